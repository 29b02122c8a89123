/*
 * Base: the vocabulary that every other file speaks.
 *
 * Attributes, container_of(), slices and a few arithmetic helpers; nothing here
 * has state, allocates or does I/O. Includes banned.h, so that a banned call is
 * a compile error everywhere.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "runtime/banned.h"

static_assert(sizeof(void *) == 8, "weir runs on 64-bit Linux only");

/* The caller must look at the result. */
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))
#define NORETURN __attribute__((noreturn))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* From a pointer to an embedded member back to the struct around it. */
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* Borrowed bytes, not terminated. data may be NULL only when size is 0. */
struct slice {
    const char *data;
    size_t size;
};

/* The same in the initializer of static data, where a cast is not constant. */
#define SLICE_INITIALIZER(text)                                                                    \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define SLICE_LITERAL(text) ((struct slice){(text), sizeof(text) - 1})

/* Borrows the terminated text for as long as the slice is used. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* True when both hold the same bytes. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The smaller of the two. */
static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The larger of the two. */
static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The next multiple of alignment, which must be a power of two. */
static inline uint64_t round_up_u64(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* True for 1, 2, 4, 8 ... */
static inline bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}
