/*
 * Job pool: numbered items of one size, for a table that is reserved at start.
 *
 * An item is known by its index, four bytes where a pointer takes eight; 0 is none.
 * Free items form a chain through their first four bytes, and memory is touched when
 * an item is given out for the first time.
 *
 * struct job_buckets beside it says in which bucket a hash belongs. It is a linear
 * hash table: one bucket is split with each addition, so the table grows with its
 * content, no call but job_buckets_remake() rehashes, and what is not used is not touched. The
 * chains are the caller's, who knows how its items are linked.
 */
#pragma once

#include "runtime/base.h"

/* Private to job_pool.c; embedded by value. Zeroed is a pool that was never made. */
struct job_pool {
    char *memory;
    uint32_t item_size;
    uint32_t item_count_max;
    uint32_t used;  /* items that were ever given out: what has been touched */
    uint32_t count; /* items that are out */
    uint32_t free_first;
};

/* Reserves room for item_count_max items of item_size bytes. 0 or -ENOMEM. Start-up only. */
MUST_USE int job_pool_init(struct job_pool *pool, uint32_t item_size, uint32_t item_count_max);

/* Room for so many instead, no fewer than before: items may move. 0 or -ENOMEM. Start-up only. */
MUST_USE int job_pool_grow(struct job_pool *pool, uint32_t item_count_max);

/* Gives the memory back. A pool that was never made is accepted. */
void job_pool_deinit(struct job_pool *pool);

/* A zeroed item; 0 when all are out. */
MUST_USE uint32_t job_pool_acquire(struct job_pool *pool);

/* Takes the item back and zeroes it. */
void job_pool_release(struct job_pool *pool, uint32_t index);

/* Bytes that have been touched. */
uint64_t job_pool_touched_bytes(const struct job_pool *pool);

/* The item; index must have been given out at some time. */
static inline void *job_pool_at(const struct job_pool *pool, uint32_t index)
{
    assert(index - 1 < pool->used);
    return pool->memory + (size_t)index * pool->item_size;
}

/* Private to job_pool.c; embedded by value. heads may be read and written by the caller. */
struct job_buckets {
    uint32_t *heads; /* index of the first item of each chain */
    uint32_t bucket_count;
    uint32_t bucket_count_max;
    uint32_t item_count;
};

/* Reserves heads for item_count_max items. 0 or -ENOMEM. Start-up only. */
MUST_USE int job_buckets_init(struct job_buckets *buckets, uint32_t item_count_max);

/* Heads for so many items instead, no fewer than before. 0 or -ENOMEM. Start-up only. */
MUST_USE int job_buckets_extend(struct job_buckets *buckets, uint32_t item_count_max);

/* Gives the memory back. Buckets that were never made are accepted. */
void job_buckets_deinit(struct job_buckets *buckets);

/* The head of the chain to which this hash belongs. */
uint32_t *job_buckets_head(const struct job_buckets *buckets, uint64_t hash);

/*
 * Counts one more item. When a bucket was split for it, gives the head of the chain that
 * must be taken out and put in again by the caller; else NULL.
 */
MUST_USE uint32_t *job_buckets_grow(struct job_buckets *buckets);

/* Counts one more item and splits nothing: true when it is time for job_buckets_remake(). */
MUST_USE bool job_buckets_crowd(struct job_buckets *buckets);

/*
 * About bucket_count buckets, all empty: the caller puts every item in again. For when nobody
 * waits, it costs less than as many splits.
 */
void job_buckets_remake(struct job_buckets *buckets, uint64_t bucket_count);

/* Counts one item less. */
void job_buckets_shrink(struct job_buckets *buckets);
