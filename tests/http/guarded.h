/*
 * Guarded: bytes that end exactly where a PROT_NONE page begins.
 *
 * A parser that reads one byte too far crashes instead of passing by luck. One
 * static area, for one input at a time.
 */
#pragma once

#include <sys/mman.h>

#include "runtime/base.h"

enum { GUARDED_SIZE_MAX = 1 << 20 };

/* Copies the bytes to the end of the area; the result lives until the next call. */
static inline char *guarded_copy(const char *data, size_t size)
{
    static char *area;

    assert(size <= GUARDED_SIZE_MAX);
    if (area == NULL) {
        area = mmap(NULL, GUARDED_SIZE_MAX + 4096, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert(area != MAP_FAILED);
        int r = mprotect(area + GUARDED_SIZE_MAX, 4096, PROT_NONE);
        assert(r == 0);
    }
    if (size > 0)
        memcpy(area + GUARDED_SIZE_MAX - size, data, size);
    return area + GUARDED_SIZE_MAX - size;
}
