/*
 * Actor table: from an id to the actor on this shard, or to nothing.
 *
 * An id is shard:8 | index:32 | generation:24. The index names a row; the row's
 * generation changes when its actor is gone for good, so an old id finds
 * nothing. Freed rows are used again in the order they became free, which puts
 * the most time between two uses of the same row. One thread.
 */
#pragma once

#include "runtime/message.h"

enum {
    ACTOR_GENERATION_BITS = 24,
    ACTOR_INDEX_BITS = 32,
    ACTOR_GENERATION_MAX = (1 << ACTOR_GENERATION_BITS) - 1,
    ACTOR_COUNT_MAX = 1 << 26, /* rows per shard: a bound on configuration */
};

struct actor;

/* Private to actor_table.c and the find below. */
struct actor_row {
    struct actor *actor; /* NULL when free */
    uint32_t generation;
    uint32_t next_free;
};

struct actor_table {
    struct actor_row *rows;
    uint32_t row_count;
    uint32_t touched_count; /* rows from here on were never used */
    uint32_t used_count;    /* may be read */
    uint32_t first_free;
    uint32_t last_free;
    uint32_t shard_index;
};

/* Reserves row_count rows. 0 or -ENOMEM. Start-up only. */
MUST_USE int actor_table_init(struct actor_table *table, uint32_t shard_index, uint32_t row_count);

/* Gives the memory back. */
void actor_table_deinit(struct actor_table *table);

/* Enters actor and gives it an id. 0, or -EAGAIN when every row is used. */
MUST_USE int actor_table_add(struct actor_table *table, struct actor *actor,
                             struct actor_id *ret_id);

/* Takes the actor with this id out; the id is stale from now on. */
void actor_table_remove(struct actor_table *table, struct actor_id id);

/* The shard that an id names. */
static inline uint32_t actor_id_shard(struct actor_id id)
{
    return (uint32_t)(id.bits >> (ACTOR_GENERATION_BITS + ACTOR_INDEX_BITS));
}

/* The row that an id names. */
static inline uint32_t actor_id_index(struct actor_id id)
{
    return (uint32_t)(id.bits >> ACTOR_GENERATION_BITS);
}

/* True for the same actor. */
static inline bool actor_id_equal(struct actor_id a, struct actor_id b)
{
    return a.bits == b.bits;
}

/* True for ACTOR_ID_NONE. */
static inline bool actor_id_is_none(struct actor_id id)
{
    return id.bits == 0;
}

/* The actor, in whatever state, or NULL when the id is stale or of another shard. */
static inline struct actor *actor_table_find(const struct actor_table *table, struct actor_id id)
{
    uint32_t index = actor_id_index(id);
    const struct actor_row *row;

    if (index >= table->touched_count || actor_id_shard(id) != table->shard_index)
        return NULL;
    row = &table->rows[index];
    if (row->generation != (id.bits & ACTOR_GENERATION_MAX))
        return NULL;
    return row->actor;
}
