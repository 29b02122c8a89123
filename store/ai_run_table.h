/*
 * AI run table: where in the log the latest image of each AI run lies.
 *
 * What a shard keeps in memory of its AI runs: enough to find an image again, to tell the
 * latest from an earlier one, and to carry those that are young enough out of a segment before
 * it goes. Bounded; when it is full the oldest run is forgotten, which then goes with its
 * segment. Nothing is allocated after init.
 */
#pragma once

#include "runtime/list.h"
#include "store/ai_run_record.h"
#include "store/job_pool.h"
#include "store/segment.h"

/* One run. Private to ai_run_table.c, except for reading. */
struct ai_run_entry {
    uint32_t hash_next; /* the pool's while the entry is free */
    uint32_t size;      /* bytes that the record takes in the log */
    uint32_t revision;
    uint32_t index;
    uint64_t id_low;
    uint64_t created_ms;
    struct journal_location location;
    struct list_node age_link;
};

/* Private to ai_run_table.c; embedded by value. */
struct ai_run_table {
    struct job_pool pool;
    struct job_buckets buckets;
    struct list_node by_age; /* in the order in which they became known: nearly that of age */
    uint32_t count_max;
    uint64_t live_bytes;
    uint64_t forgotten_count; /* for want of room */
};

/* Reserves room for count_max runs. 0 or -ENOMEM. Start-up only. */
MUST_USE int ai_run_table_init(struct ai_run_table *table, uint32_t count_max);

/* Gives the memory back. A zeroed table is accepted. */
void ai_run_table_deinit(struct ai_run_table *table);

/*
 * This image is in the log, at location, where it takes size bytes. One with a lower
 * revision than what is known changes nothing.
 */
void ai_run_table_apply(struct ai_run_table *table, const struct ai_run_header *header,
                        struct journal_location location, uint32_t size);

/* The run, or NULL. */
struct ai_run_entry *ai_run_table_find(const struct ai_run_table *table, uint64_t id_low);

/*
 * A run at or after place *cursor whose image lies in the log's segments up to seq; moves
 * *cursor behind it. NULL: there are none up to the end. *cursor begins at 1.
 */
struct ai_run_entry *ai_run_table_next_up_to(const struct ai_run_table *table, uint32_t *cursor,
                                             uint32_t log, uint64_t seq);

/* The run is not needed any more. */
void ai_run_table_forget(struct ai_run_table *table, struct ai_run_entry *entry);

/* Runs that are known. */
uint32_t ai_run_table_count(const struct ai_run_table *table);
