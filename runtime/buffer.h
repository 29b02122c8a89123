/*
 * Buffer: reference-counted bytes in a few size classes, all reserved at start.
 *
 * Requests and responses that outlive one receive live here. Classes are fixed
 * (BUFFER_CLASS_*); each has its own count, so big bodies cannot starve small
 * answers. Memory is reserved, not touched: an unused class costs nothing, and
 * a class of 1 MiB or more gives its pages back to the kernel on release.
 * Counts are not atomic: a buffer stays on the shard that acquired it.
 */
#pragma once

#include "runtime/base.h"

enum { BUFFER_CLASS_COUNT_MAX = 8 };

struct buffer_pool;

/* data, capacity and size are public; the rest is private to buffer.c. */
struct buffer {
    char *data;
    uint32_t capacity;
    uint32_t size; /* bytes in use; the owner keeps it */
    uint32_t ref_count;
    uint32_t class_index;
    struct buffer_pool *pool;
};

/* One size class, as configured. */
struct buffer_class {
    uint32_t capacity; /* bytes; classes come in ascending order */
    uint32_t count;
};

/* Reserves all classes. 0 or -errno. Start-up only; release with buffer_pool_free(). */
MUST_USE int buffer_pool_new(const struct buffer_class *classes, uint32_t class_count,
                             struct buffer_pool **ret_pool);

/* Frees the pool and nulls the pointer; every buffer must be back. NULL is accepted. */
void buffer_pool_free(struct buffer_pool **pool);

/* The same though buffers are in use: whoever held them is gone (a simulated crash). */
void buffer_pool_abandon(struct buffer_pool **pool);

/*
 * Gives an empty buffer of at least capacity_min bytes from the smallest class
 * that has one free. 0, -ENOBUFS when none is free, -EMSGSIZE when no class is
 * that big.
 */
MUST_USE int buffer_acquire(struct buffer_pool *pool, size_t capacity_min,
                            struct buffer **ret_buffer);

/* One more reference to the same bytes. */
struct buffer *buffer_ref(struct buffer *buffer);

/* Drops one reference, the last one returns the buffer; nulls the pointer. NULL is accepted. */
void buffer_unref(struct buffer **buffer);

/*
 * Moves the bytes into a buffer of at least capacity_min and replaces *buffer.
 * Errors as buffer_acquire(), *buffer untouched then. Only for the sole holder.
 */
MUST_USE int buffer_grow(struct buffer **buffer, size_t capacity_min);

/* Bytes of all classes together. */
uint64_t buffer_pool_capacity(const struct buffer_pool *pool);

/* Bytes of the buffers now in use, counted by their capacity. */
uint64_t buffer_pool_used(const struct buffer_pool *pool);
