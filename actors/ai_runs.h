/*
 * AI runs: what is remembered of the work of models, as a durable of the shard.
 *
 * Who runs a model commits an AI_RUN in the group of the fact about its job; here it becomes
 * known where that lies, so that the next attempt can go on from it, and so that it is carried
 * out of a segment before that goes, for as long as [store] retain_days says. To be listed and
 * shown it is in the read model, which follows the log by itself.
 *
 *     carry(): entry in a segment that goes?
 *                  too old: forgotten
 *                  else:    a slot reads it; all read, all are written again; applied, it is free
 *                           a disk that fails is tried again later, from the first entry on
 *              end of the table: something found, once more; nothing found, durable_carried()
 *
 * One per shard, one thread, not an actor: what it does follows from what the log does.
 */
#pragma once

#include "contracts/json_writer.h"
#include "store/ai_run_table.h"
#include "store/durable.h"
#include "store/journal_reader.h"

enum {
    AI_RUNS_CARRY_SLOT_COUNT = 16, /* enough that what they write together fills blocks */
    /* A record of any size, at any place in its first block. */
    AI_RUNS_READ_SIZE = 16 * SEGMENT_BLOCK_SIZE,
    AI_RUNS_DISK_MS = 10, /* until the disk, which could not read one, is tried again; doubled */
    AI_RUNS_DISK_MS_MAX = 1000, /* as long as it goes on failing, */
    AI_RUNS_DISK_TRY_MAX = 67,  /* for about a minute; then what is unread goes with its segment */
};

static_assert(AI_RUN_RECORD_SIZE_MAX + 3 * SEGMENT_BLOCK_SIZE <= AI_RUNS_READ_SIZE,
              "with the trailers of its blocks");

struct ai_runs;
struct app_shard;

/* One record being carried forward. Private to ai_runs.c. */
struct ai_runs_slot {
    struct ai_runs *runs;
    bool is_busy;
    bool is_read; /* waits for the others */
    uint64_t id_low;
    char *memory; /* AI_RUNS_READ_SIZE */
    struct journal_read read;
    struct durable_step step;
    struct journal_record record;
    struct slice part;
};

/* Private to ai_runs.c, except the table for reading; embedded in the app_shard. */
struct ai_runs {
    struct durable durable;
    struct app_shard *home;
    struct ai_run_table table;
    struct ai_runs_slot slots[AI_RUNS_CARRY_SLOT_COUNT];
    char *memory; /* of all slots */
    uint32_t busy_count;
    uint32_t carry_log;
    uint64_t carry_seq; /* 0: nothing is being carried */
    uint32_t cursor;
    bool has_found_any;
    bool has_unread;    /* in this round, for which the disk failed */
    uint32_t try_count; /* rounds in a row that had some */
    struct timer timer; /* until the next round, then */
    bool is_stopped;    /* the journal takes nothing any more */
};

/* Reserves the table. 0 or -errno. Start-up only; the durable is added by the caller. */
MUST_USE int ai_runs_init(struct ai_runs *runs, struct app_shard *home);

/* Frees what ai_runs_init() made. */
void ai_runs_deinit(struct ai_runs *runs);

/* Where the latest image of the run lies; JOURNAL_LOCATION_NONE when there is none. */
struct journal_location ai_runs_find(const struct ai_runs *runs, uint64_t id_low);

/* The revision of that image; 0 when there is none. */
uint32_t ai_runs_revision(const struct ai_runs *runs, uint64_t id_low);
