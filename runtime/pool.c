#include "runtime/pool.h"

#include <errno.h>

#include "runtime/memory.h"

/*
 * One mapping holds the slots, then the stack of released indexes, then one bit
 * per slot. Slots that were never used are not on the stack: they are handed out
 * in order of address once the stack is empty, so a generous bound costs address
 * space and nothing else. The bits exist to stop at a second release, at once,
 * instead of two owners sharing a slot an hour later.
 */

enum { SLOT_ALIGNMENT = 64, BITS_PER_WORD = 64 };

static uint32_t released_count(const struct pool *pool)
{
    return pool->free_count - (pool->slot_count - pool->touched_count);
}

static void pool_check(const struct pool *pool)
{
    assert(pool->slots != NULL);
    assert(pool->touched_count <= pool->slot_count);
    assert(pool->free_count <= pool->slot_count);
    assert(pool->free_count >= pool->slot_count - pool->touched_count);
}

static uint64_t used_mask(uint32_t index)
{
    return (uint64_t)1 << (index % BITS_PER_WORD);
}

int pool_init(struct pool *pool, const char *name, size_t slot_size, uint32_t slot_count)
{
    size_t size = round_up_u64(slot_size, SLOT_ALIGNMENT);
    size_t slots_size = size * slot_count;
    size_t bits_size = ((size_t)slot_count / BITS_PER_WORD + 1) * sizeof(uint64_t);
    size_t stack_size = round_up_u64((size_t)slot_count * sizeof(uint32_t), SLOT_ALIGNMENT);
    char *memory = NULL;
    int r;

    assert(slot_size > 0);
    assert(size <= UINT32_MAX);
    assert(slot_count > 0);
    r = memory_map(slots_size + stack_size + bits_size, &memory);
    if (r < 0)
        return r;
    *pool = (struct pool){
        .name = name,
        .slots = memory,
        .free_stack = (uint32_t *)(void *)(memory + slots_size),
        .used_bits = (uint64_t *)(void *)(memory + slots_size + stack_size),
        .mapped_size = slots_size + stack_size + bits_size,
        .free_count = slot_count,
        .slot_count = slot_count,
        .slot_size = (uint32_t)size,
    };
    return 0;
}

void pool_deinit(struct pool *pool)
{
    if (pool->slots == NULL)
        return;
    pool_check(pool);
    assert(pool->free_count == pool->slot_count);
    memory_unmap(&pool->slots, pool->mapped_size);
    *pool = (struct pool){.name = pool->name};
}

void pool_abandon(struct pool *pool)
{
    if (pool->slots == NULL)
        return;
    pool_check(pool);
    memory_unmap(&pool->slots, pool->mapped_size);
    *pool = (struct pool){.name = pool->name};
}

void *pool_acquire(struct pool *pool)
{
    uint32_t index;
    uint32_t used_count;
    char *slot;

    pool_check(pool);
    if (pool->free_count == 0)
        return NULL;
    if (released_count(pool) > 0)
        index = pool->free_stack[released_count(pool) - 1];
    else
        index = pool->touched_count++;
    pool->free_count--;

    assert((pool->used_bits[index / BITS_PER_WORD] & used_mask(index)) == 0);
    pool->used_bits[index / BITS_PER_WORD] |= used_mask(index);
    used_count = pool->slot_count - pool->free_count;
    if (used_count > pool->used_high_water)
        pool->used_high_water = used_count;
    slot = pool->slots + (size_t)index * pool->slot_size;
    memory_unpoison(slot, pool->slot_size);
    return slot;
}

void pool_release(struct pool *pool, void **slot)
{
    uint32_t index;

    if (*slot == NULL)
        return;
    pool_check(pool);
    index = pool_index(pool, *slot);
    assert((pool->used_bits[index / BITS_PER_WORD] & used_mask(index)) != 0);
    pool->used_bits[index / BITS_PER_WORD] &= ~used_mask(index);
    pool->free_stack[released_count(pool)] = index;
    pool->free_count++;
    memory_poison(*slot, pool->slot_size);
    *slot = NULL;
}

uint32_t pool_used_count(const struct pool *pool)
{
    return pool->slot_count - pool->free_count;
}

uint32_t pool_index(const struct pool *pool, const void *slot)
{
    size_t offset = (size_t)((const char *)slot - pool->slots);
    size_t index = offset / pool->slot_size;

    /* A pointer below the first slot gives a huge offset. */
    assert(index < pool->slot_count);
    assert(offset % pool->slot_size == 0);
    return (uint32_t)index;
}

void *pool_at(const struct pool *pool, uint32_t index)
{
    assert(index < pool->slot_count);
    return pool->slots + (size_t)index * pool->slot_size;
}
