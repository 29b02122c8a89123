/*
 * Memory: address space from the kernel, for whatever is reserved at start.
 *
 * A mapping is zeroed, page-aligned and costs nothing until it is touched, so
 * bounds may be generous. Poisoning tells AddressSanitizer that bytes have no
 * owner now; without it the calls are empty.
 */
#pragma once

#include "runtime/base.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(MEMORY_ASAN)
#define MEMORY_ASAN 1
#endif
#ifndef MEMORY_ASAN
#define MEMORY_ASAN 0
#endif

#if MEMORY_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum { MEMORY_PAGE_SIZE = 4096 };

/* Gives size zeroed bytes, not yet touched. 0 or -ENOMEM. Start-up only. */
MUST_USE int memory_map(size_t size, char **ret_memory);

/*
 * Makes size bytes new_size, elsewhere if it must be, with what they hold; those behind are zeroed
 * and not yet touched. 0, or -ENOMEM and nothing has changed. Start-up only.
 */
MUST_USE int memory_grow(char **memory, size_t size, size_t new_size);

/* Gives size bytes back, poisoned or not, and nulls the pointer. NULL is accepted. */
void memory_unmap(char **memory, size_t size);

/* Both for what is not bytes: *ret_memory is a pointer to objects of any type, and memory such. */
MUST_USE int memory_map_objects(size_t size, void *ret_memory);
void memory_unmap_objects(void *memory, size_t size);

/* Drops the pages; the bytes read as zero afterwards. memory must be page-aligned. */
void memory_drop_pages(char *memory, size_t size);

/* Makes every access a reported error until memory_unpoison(). */
static inline void memory_poison(const char *memory, size_t size)
{
#if MEMORY_ASAN
    __asan_poison_memory_region(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

/* Makes the bytes usable again. */
static inline void memory_unpoison(const char *memory, size_t size)
{
#if MEMORY_ASAN
    __asan_unpoison_memory_region(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}
