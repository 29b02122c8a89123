/*
 * The buckets are numbered; with 2^k <= bucket_count < 2^(k+1) those below
 * bucket_count - 2^k and those from 2^k on are told apart by k + 1 bits of the hash,
 * the others by k bits. The next split is that of bucket_count - 2^k, into itself and
 * bucket_count. Nothing is ever merged: a table that was large once stays prepared.
 */
#include "store/job_pool.h"

#include "runtime/memory.h"

enum { BUCKET_COUNT_MIN = 16 };

static void pool_check(const struct job_pool *pool)
{
    assert(pool->memory != NULL);
    assert(pool->count <= pool->used);
    assert(pool->used <= pool->item_count_max);
}

static size_t items_size(const struct job_pool *pool, uint32_t count)
{
    return ((size_t)count + 1) * pool->item_size;
}

int job_pool_init(struct job_pool *pool, uint32_t item_size, uint32_t item_count_max)
{
    assert(item_size >= sizeof(uint32_t));
    assert(item_count_max > 0);
    *pool = (struct job_pool){.item_size = item_size, .item_count_max = item_count_max};
    return memory_map(items_size(pool, item_count_max), &pool->memory);
}

int job_pool_grow(struct job_pool *pool, uint32_t item_count_max)
{
    int r;

    pool_check(pool);
    assert(item_count_max >= pool->item_count_max);
    r = memory_grow(&pool->memory, items_size(pool, pool->item_count_max),
                    items_size(pool, item_count_max));
    if (r == 0)
        pool->item_count_max = item_count_max;
    return r;
}

void job_pool_deinit(struct job_pool *pool)
{
    memory_unmap(&pool->memory, items_size(pool, pool->item_count_max));
}

uint32_t job_pool_acquire(struct job_pool *pool)
{
    uint32_t index = pool->free_first;

    pool_check(pool);
    if (index != 0) {
        memcpy(&pool->free_first, job_pool_at(pool, index), sizeof(pool->free_first));
        memset(job_pool_at(pool, index), 0, sizeof(pool->free_first));
    } else if (pool->used < pool->item_count_max) {
        index = ++pool->used;
    } else {
        return 0;
    }
    pool->count++;
    return index;
}

void job_pool_release(struct job_pool *pool, uint32_t index)
{
    char *item = job_pool_at(pool, index);

    pool_check(pool);
    assert(pool->count > 0);
    memset(item, 0, pool->item_size);
    memcpy(item, &pool->free_first, sizeof(pool->free_first));
    pool->free_first = index;
    pool->count--;
}

uint64_t job_pool_touched_bytes(const struct job_pool *pool)
{
    return (uint64_t)pool->used * pool->item_size;
}

/* --- buckets ---------------------------------------------------------------- */

/* The highest power of two that is not above bucket_count. */
static uint32_t level_size(const struct job_buckets *buckets)
{
    assert(buckets->bucket_count >= BUCKET_COUNT_MIN);
    return 1u << (31 - __builtin_clz(buckets->bucket_count));
}

/* The same before the newest bucket was there. */
static uint32_t level_before(const struct job_buckets *buckets)
{
    return 1u << (31 - __builtin_clz(buckets->bucket_count - 1));
}

static size_t buckets_size(const struct job_buckets *buckets)
{
    return (size_t)buckets->bucket_count_max * sizeof(uint32_t);
}

int job_buckets_init(struct job_buckets *buckets, uint32_t item_count_max)
{
    char *memory = NULL;
    int r;

    assert(item_count_max > 0);
    *buckets = (struct job_buckets){
        .bucket_count = BUCKET_COUNT_MIN,
        .bucket_count_max = (uint32_t)max_u64(item_count_max, BUCKET_COUNT_MIN),
    };
    r = memory_map(buckets_size(buckets), &memory);
    if (r == 0)
        buckets->heads = (void *)memory;
    return r;
}

int job_buckets_extend(struct job_buckets *buckets, uint32_t item_count_max)
{
    char *memory = (void *)buckets->heads;
    uint32_t count_max = (uint32_t)max_u64(item_count_max, BUCKET_COUNT_MIN);
    int r;

    assert(count_max >= buckets->bucket_count_max);
    r = memory_grow(&memory, buckets_size(buckets), (size_t)count_max * sizeof(uint32_t));
    if (r != 0)
        return r;
    buckets->heads = (void *)memory;
    buckets->bucket_count_max = count_max;
    return 0;
}

void job_buckets_deinit(struct job_buckets *buckets)
{
    char *memory = (void *)buckets->heads;

    memory_unmap(&memory, buckets_size(buckets));
    buckets->heads = NULL;
}

uint32_t *job_buckets_head(const struct job_buckets *buckets, uint64_t hash)
{
    uint32_t level = level_size(buckets);
    uint64_t bucket = hash & (2 * (uint64_t)level - 1);

    if (bucket >= buckets->bucket_count)
        bucket = hash & (level - 1);
    assert(bucket < buckets->bucket_count);
    return &buckets->heads[bucket];
}

uint32_t *job_buckets_grow(struct job_buckets *buckets)
{
    uint32_t bucket = buckets->bucket_count;

    buckets->item_count++;
    if (buckets->item_count <= bucket || bucket == buckets->bucket_count_max)
        return NULL;
    assert(buckets->heads[bucket] == 0);
    buckets->bucket_count++;
    return &buckets->heads[bucket - level_before(buckets)];
}

bool job_buckets_crowd(struct job_buckets *buckets)
{
    buckets->item_count++;
    return buckets->item_count > buckets->bucket_count &&
           buckets->bucket_count < buckets->bucket_count_max;
}

void job_buckets_remake(struct job_buckets *buckets, uint64_t bucket_count)
{
    memset(buckets->heads, 0, buckets->bucket_count * sizeof(buckets->heads[0]));
    buckets->bucket_count =
        (uint32_t)min_u64(max_u64(bucket_count, BUCKET_COUNT_MIN), buckets->bucket_count_max);
}

void job_buckets_shrink(struct job_buckets *buckets)
{
    assert(buckets->item_count > 0);
    buckets->item_count--;
}
