/*
 * Schedule table: one shard's cron schedules in memory.
 *
 * It remembers and finds; when something is due is schedule_due.h's to say, and writing is
 * the owner's (actors/schedules.c), who follows the pattern of the job table: claim, then
 * append, then apply when it is durable, or withdraw when it was refused.
 *
 *     FREE --claim by name--> NEW --apply--> LIVE --apply DELETED--> FREE or GONE
 *                              \--withdraw--> FREE
 *
 * GONE is a schedule that was removed while another log may still hold an image of it, for
 * the number of shards has changed: it stays until the next start, and is carried forward,
 * so that the older image does not come to life again.
 *
 * Each entry holds the record's bytes as they are in the log, payload included: carrying
 * forward and running read no disk. A search goes through arrays of one word per entry.
 * Memory is reserved at start, touched when used. One thread.
 */
#pragma once

#include "runtime/shard.h"
#include "store/schedule_record.h"
#include "store/segment.h"

enum {
    SCHEDULE_COUNT_MAX = 1024, /* per shard, by admission */
    /* What a start finds: it may have one shard, and the one before had as many as can be. */
    SCHEDULE_SLOT_COUNT_MAX = SCHEDULE_COUNT_MAX * SHARD_COUNT_MAX,
};

enum schedule_state {
    SCHEDULE_FREE,
    SCHEDULE_NEW, /* its first record is being written */
    SCHEDULE_LIVE,
    SCHEDULE_GONE,
};

/* One schedule. Read by the owner; image of NEW: only the names. */
struct schedule {
    uint8_t state;      /* enum schedule_state */
    bool is_committing; /* a record of it is being written */
    bool is_scattered;  /* more than one log has held records of it */
    uint32_t index;
    uint32_t record_size;
    struct schedule_image image; /* slices of record */
    struct cron cron;
    struct zone *zone; /* the owner's; NULL at first */
    char record[SCHEDULE_RECORD_SIZE_MAX];
};

struct schedule_table;

/* Reserves the memory. 0 or -errno. Start-up only. */
MUST_USE int schedule_table_new(struct schedule_table **ret_table);

/* Frees it and nulls the pointer. NULL is accepted. */
void schedule_table_free(struct schedule_table **table);

/*
 * The schedule of this name, or NULL. It is LIVE, or something about it is committing: then
 * only what becomes of that tells what it is.
 */
struct schedule *schedule_table_find(const struct schedule_table *table, struct slice org,
                                     struct slice project, struct slice name);

/* The entry with this index, whatever its state. */
struct schedule *schedule_table_at(const struct schedule_table *table, uint32_t index);

/* Indexes below this one may be in use. */
uint32_t schedule_table_end(const struct schedule_table *table);

/* LIVE and NEW schedules. */
uint32_t schedule_table_count(const struct schedule_table *table);

/*
 * Claims the name for a record that is about to be written: the schedule, which must not be
 * committing, or a NEW one. NULL: there are SCHEDULE_COUNT_MAX already.
 */
MUST_USE struct schedule *schedule_table_claim(struct schedule_table *table, struct slice org,
                                               struct slice project, struct slice name);

/* The append was refused: as if it had not been claimed. */
void schedule_table_withdraw(struct schedule_table *table, struct schedule *schedule);

/* A revision for the next record. */
uint64_t schedule_table_next_revision(struct schedule_table *table);

/*
 * This SCHEDULE is in the log at location, of size bytes: a claimed one, one carried
 * forward, or one read back by recovery. *ret_schedule is it, LIVE or GONE, or NULL when a
 * newer one is there; it is no longer committing. 0; -EBADMSG, or -ENOSPC when recovery
 * finds more than SCHEDULE_SLOT_COUNT_MAX.
 */
MUST_USE int schedule_table_apply(struct schedule_table *table, struct slice payload,
                                  struct journal_location location, uint32_t size,
                                  struct schedule **ret_schedule);

/* It is GONE, and its zone is NULL: frees the entry unless it must be remembered. */
void schedule_table_forget(struct schedule_table *table, struct schedule *schedule);

/* After recovery: forgets what was removed and nothing else can bring back. */
void schedule_table_resume(struct schedule_table *table);

/*
 * The first entry from index on that has its record in this log up to seq, GONE ones too;
 * SCHEDULE_SLOT_COUNT_MAX when there is none.
 */
uint32_t schedule_table_find_up_to(const struct schedule_table *table, uint32_t index, uint32_t log,
                                   uint64_t seq);

/* When the schedule is due next; SCHEDULE_NEVER_MS at first. The owner says so. */
void schedule_table_set_next(struct schedule_table *table, const struct schedule *schedule,
                             uint64_t next_ms);
uint64_t schedule_table_next(const struct schedule_table *table, const struct schedule *schedule);

/* The earliest of all; SCHEDULE_NEVER_MS when there is none. */
uint64_t schedule_table_earliest(const struct schedule_table *table);

/* The first LIVE schedule from index on that is due by now_ms and not committing, or NULL. */
struct schedule *schedule_table_due(const struct schedule_table *table, uint32_t index,
                                    uint64_t now_ms);

/* Bytes of the records that are still needed. */
uint64_t schedule_table_live_bytes(const struct schedule_table *table);

/* The names of a schedule's tenant, and its own. */
static inline struct slice schedule_text(const struct schedule *schedule,
                                         enum schedule_section section)
{
    return schedule->image.sections[section];
}
