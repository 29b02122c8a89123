#include "store/ai_run_table.h"

/*
 * Entries lie in a pool, in chains by the low bits of their random ids. A free entry of the
 * pool is zeroed, so an id_low of 0, which is no id, tells it from one in use.
 */

static struct ai_run_entry *entry_at(const struct ai_run_table *table, uint32_t index)
{
    return job_pool_at(&table->pool, index);
}

int ai_run_table_init(struct ai_run_table *table, uint32_t count_max)
{
    int r;

    assert(count_max > 0);
    memset(table, 0, sizeof(*table));
    list_init(&table->by_age);
    table->count_max = count_max;
    r = job_pool_init(&table->pool, sizeof(struct ai_run_entry), count_max);
    if (r == 0)
        r = job_buckets_init(&table->buckets, count_max);
    return r;
}

void ai_run_table_deinit(struct ai_run_table *table)
{
    job_pool_deinit(&table->pool);
    job_buckets_deinit(&table->buckets);
}

struct ai_run_entry *ai_run_table_find(const struct ai_run_table *table, uint64_t id_low)
{
    uint32_t at = *job_buckets_head(&table->buckets, id_low);

    assert(id_low != 0);
    for (; at != 0; at = entry_at(table, at)->hash_next)
        if (entry_at(table, at)->id_low == id_low)
            return entry_at(table, at);
    return NULL;
}

static void link_entry(struct ai_run_table *table, struct ai_run_entry *entry)
{
    uint32_t *head = job_buckets_head(&table->buckets, entry->id_low);

    entry->hash_next = *head;
    *head = entry->index;
}

static void unlink_entry(struct ai_run_table *table, const struct ai_run_entry *entry)
{
    uint32_t *at = job_buckets_head(&table->buckets, entry->id_low);

    while (*at != entry->index) {
        assert(*at != 0);
        at = &entry_at(table, *at)->hash_next;
    }
    *at = entry->hash_next;
}

/* A bucket was split for the new entry: what was in it is put where it belongs now. */
static void split(struct ai_run_table *table)
{
    uint32_t *head = job_buckets_grow(&table->buckets);
    uint32_t at;

    if (head == NULL)
        return;
    at = *head;
    *head = 0;
    while (at != 0) {
        struct ai_run_entry *entry = entry_at(table, at);

        at = entry->hash_next;
        link_entry(table, entry);
    }
}

void ai_run_table_forget(struct ai_run_table *table, struct ai_run_entry *entry)
{
    assert(entry->id_low != 0);
    assert(table->live_bytes >= entry->size);
    table->live_bytes -= entry->size;
    list_remove(&entry->age_link);
    unlink_entry(table, entry);
    job_buckets_shrink(&table->buckets);
    job_pool_release(&table->pool, entry->index);
}

static struct ai_run_entry *add_entry(struct ai_run_table *table,
                                      const struct ai_run_header *header)
{
    struct ai_run_entry *entry;
    uint32_t index;

    if (table->pool.count == table->count_max) {
        table->forgotten_count++;
        ai_run_table_forget(table, container_of(table->by_age.next, struct ai_run_entry, age_link));
    }
    index = job_pool_acquire(&table->pool);
    assert(index != 0);
    entry = entry_at(table, index);
    entry->index = index;
    entry->id_low = header->id_low;
    entry->created_ms = header->created_ms;
    list_init(&entry->age_link);
    list_push_back(&table->by_age, &entry->age_link);
    split(table);
    link_entry(table, entry);
    return entry;
}

void ai_run_table_apply(struct ai_run_table *table, const struct ai_run_header *header,
                        struct journal_location location, uint32_t size)
{
    struct ai_run_entry *entry = ai_run_table_find(table, header->id_low);

    if (entry != NULL && entry->revision > header->revision)
        return;
    if (entry == NULL)
        entry = add_entry(table, header);
    table->live_bytes += size;
    table->live_bytes -= entry->size;
    entry->size = size;
    entry->revision = header->revision;
    entry->location = location;
}

struct ai_run_entry *ai_run_table_next_up_to(const struct ai_run_table *table, uint32_t *cursor,
                                             uint32_t log, uint64_t seq)
{
    while (*cursor <= table->pool.used) {
        struct ai_run_entry *entry = entry_at(table, (*cursor)++);

        if (entry->id_low != 0 && journal_location_log(entry->location) == log &&
            journal_location_seq(entry->location) <= seq)
            return entry;
    }
    return NULL;
}

uint32_t ai_run_table_count(const struct ai_run_table *table)
{
    return table->pool.count;
}
