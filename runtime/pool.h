/*
 * Pool: a fixed number of equal slots, reserved once at start.
 *
 * pool_acquire() answers NULL when none is left; the caller turns that into
 * back-pressure. The slot released last is given first, because it is still in
 * the cache. Released slots are poisoned under ASan. One thread.
 */
#pragma once

#include "runtime/base.h"

/* Private to pool.c, except that the counters may be read. */
struct pool {
    const char *name; /* a literal, for --print-limits and metrics */
    char *slots;
    uint32_t *free_stack; /* indexes of released slots, the latest on top */
    uint64_t *used_bits;  /* bit n: slot n is in use */
    size_t mapped_size;
    uint32_t free_count; /* released and never used ones together */
    uint32_t slot_count;
    uint32_t slot_size;       /* rounded up to 64 bytes */
    uint32_t touched_count;   /* slots from here on were never used */
    uint32_t used_high_water; /* the most that were ever in use at once */
};

/* Reserves slot_count slots, zeroed and untouched until first used. 0 or -ENOMEM. Start-up only. */
MUST_USE int pool_init(struct pool *pool, const char *name, size_t slot_size, uint32_t slot_count);

/* Gives the memory back; every slot must have been released. */
void pool_deinit(struct pool *pool);

/* Gives the memory back although slots may be in use, whose users end with the owner. */
void pool_abandon(struct pool *pool);

/* Gives one slot, contents undefined, or NULL when all are in use. */
MUST_USE void *pool_acquire(struct pool *pool);

/* Takes *slot back and nulls it. NULL is accepted; releasing twice aborts. */
void pool_release(struct pool *pool, void **slot);

/* Slots in use. */
uint32_t pool_used_count(const struct pool *pool);

/* The slot's index, stable for its life. */
uint32_t pool_index(const struct pool *pool, const void *slot);

/* Borrows the slot with this index, in use or not. */
void *pool_at(const struct pool *pool, uint32_t index);
