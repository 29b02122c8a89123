/*
 * Guarded text: a copy that ends flush against a page nobody may read.
 *
 * A parser that looks one byte too far crashes here instead of passing. One
 * mapping serves any number of texts up to GUARDED_TEXT_SIZE_MAX, one at a time.
 */
#pragma once

#include <sys/mman.h>

#include "runtime/base.h"

enum { GUARDED_TEXT_SIZE_MAX = 1 << 20, GUARDED_PAGE_SIZE = 4096 };

/* Private to guarded_text.h. */
struct guarded_text {
    char *pages;
};

/* Maps the pages; they live as long as the process. */
static inline void guarded_text_init(struct guarded_text *guarded)
{
    size_t size = GUARDED_TEXT_SIZE_MAX + GUARDED_PAGE_SIZE;
    int r;

    guarded->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(guarded->pages != MAP_FAILED);
    r = mprotect(guarded->pages + GUARDED_TEXT_SIZE_MAX, GUARDED_PAGE_SIZE, PROT_NONE);
    assert(r == 0);
}

/* Replaces the copy; the slice given is valid until the next call. */
static inline struct slice guarded_text_put(struct guarded_text *guarded, struct slice text)
{
    char *start = guarded->pages + GUARDED_TEXT_SIZE_MAX - text.size;

    assert(text.size <= GUARDED_TEXT_SIZE_MAX);
    if (text.size > 0)
        memcpy(start, text.data, text.size);
    return (struct slice){start, text.size};
}
