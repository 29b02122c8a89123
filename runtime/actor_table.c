#include "runtime/actor_table.h"

#include <errno.h>

#include "runtime/memory.h"

/*
 * Rows never used need no initialisation: the memory is zero and touched_count
 * says where they start. Generations start at 1, so no id is ever 0; a row that
 * runs through all generations starts again at 1.
 */

enum { NO_ROW = -1 };

static void actor_table_check(const struct actor_table *table)
{
    assert(table->rows != NULL);
    assert(table->used_count <= table->touched_count);
    assert(table->touched_count <= table->row_count);
}

int actor_table_init(struct actor_table *table, uint32_t shard_index, uint32_t row_count)
{
    char *memory = NULL;
    int r;

    assert(row_count > 0);
    assert(row_count <= ACTOR_COUNT_MAX);
    r = memory_map(row_count * sizeof(struct actor_row), &memory);
    if (r < 0)
        return r;
    *table = (struct actor_table){
        .rows = (struct actor_row *)(void *)memory,
        .row_count = row_count,
        .first_free = (uint32_t)NO_ROW,
        .last_free = (uint32_t)NO_ROW,
        .shard_index = shard_index,
    };
    return 0;
}

void actor_table_deinit(struct actor_table *table)
{
    char *memory = (char *)table->rows;

    memory_unmap(&memory, table->row_count * sizeof(struct actor_row));
    table->rows = NULL;
}

/* A row that was never used, else the one that has been free the longest. */
static uint32_t take_free_row(struct actor_table *table)
{
    uint32_t index = table->first_free;

    if (table->touched_count < table->row_count)
        return table->touched_count++;
    if (index == (uint32_t)NO_ROW)
        return index;
    table->first_free = table->rows[index].next_free;
    if (table->first_free == (uint32_t)NO_ROW)
        table->last_free = (uint32_t)NO_ROW;
    return index;
}

int actor_table_add(struct actor_table *table, struct actor *actor, struct actor_id *ret_id)
{
    uint32_t index;
    struct actor_row *row;

    actor_table_check(table);
    index = take_free_row(table);
    if (index == (uint32_t)NO_ROW)
        return -EAGAIN;
    row = &table->rows[index];
    assert(row->actor == NULL);
    row->actor = actor;
    row->generation = row->generation == ACTOR_GENERATION_MAX ? 1 : row->generation + 1;
    table->used_count++;
    ret_id->bits = (uint64_t)table->shard_index << (ACTOR_GENERATION_BITS + ACTOR_INDEX_BITS) |
                   (uint64_t)index << ACTOR_GENERATION_BITS | row->generation;
    return 0;
}

void actor_table_remove(struct actor_table *table, struct actor_id id)
{
    uint32_t index = actor_id_index(id);

    actor_table_check(table);
    assert(actor_table_find(table, id) != NULL);
    table->rows[index].actor = NULL;
    table->rows[index].next_free = (uint32_t)NO_ROW;
    if (table->last_free == (uint32_t)NO_ROW)
        table->first_free = index;
    else
        table->rows[table->last_free].next_free = index;
    table->last_free = index;
    table->used_count--;
}
