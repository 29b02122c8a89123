/*
 * Keeper: owns the shard's logs.
 *
 * Opens the shard's own log when recovery hands over, and the logs that are left
 * from starts with more shards (read and dropped by age, never written). Flushes
 * at the end of each turn, carries out retention, ends the process when the disk
 * can no longer be trusted. It is what the shard's durable actors write through:
 * their set is `durables`.
 *
 * Before a segment goes, the API keys in it are copied forward (tenant.h), then all
 * shards carry forward what their durables need of it (retirement.h).
 */
#pragma once

#include "actors/outbox.h"
#include "actors/retirement.h"
#include "contracts/problem.h"
#include "runtime/shard.h"
#include "store/durable.h"
#include "store/event_index.h"
#include "store/journal.h"
#include "store/journal_reader.h"
#include "store/segment_marks.h"

enum { KEEPER_MAGIC = 0x4b454550 };

struct app_shard;
struct keeper;
struct recovered;

/* One log of this shard; logs[0] is the one that is written. */
struct keeper_log {
    struct journal_owner owner;
    struct keeper *keeper;
    struct journal *journal; /* NULL until recovered */
    struct event_index *index;
    struct segment_marks events; /* segments with events or claims: only retention drops them */
    uint32_t log;
    uint32_t asked_count;  /* shards that have not answered about carrying_seq */
    uint64_t retiring_seq; /* waits to be carried; 0: none does */
    uint64_t carrying_seq; /* what is needed of segments up to this one is being written again */
    uint64_t carried_seq;  /* and of those up to this one has been */
    bool is_stopped;
};

/* Private to keeper.c, except reader and logs[], which others may use to read, and durables. */
struct keeper {
    struct actor actor;
    struct app_shard *home;
    struct outbox outbox;
    struct turn_hook flush_hook;
    struct durable_set durables; /* of this shard; durable_add() after keeper_init() */
    struct durable_writer writer;
    struct retirement retirement;
    struct journal_reader *reader;
    struct keeper_log *logs;
    uint32_t log_count;
    /* By log, not the shard's own: the newest segment of earlier starts that is still there. */
    uint64_t old_seqs[SEGMENT_LOG_MAX + 1];
    uint32_t old_log_count;
    bool is_open;
    bool has_failed;
    uint64_t full_shards;  /* bit n: shard n finds the disk full */
    uint64_t ready_shards; /* bit n: shard n has recovered */
    bool is_stopping;
};

/* Makes the indexes and the reader. 0 or -errno. Start-up only. */
MUST_USE int keeper_init(struct keeper *keeper, struct app_shard *home);

/* Frees what keeper_init() and the opening made. */
void keeper_deinit(struct keeper *keeper);

extern const struct actor_type keeper_type;

/* journal_append() on the shard's own log; JOURNAL_STOPPED before it is open. */
MUST_USE int keeper_append(struct keeper *keeper, struct journal_append *append,
                           struct journal_record *records, uint32_t count, uint32_t flags);

/* Makes a durable event findable by the low word of its key. */
void keeper_index(struct keeper *keeper, uint32_t hash, struct journal_location location);

/* The shard's log with this number, NULL when another shard has it. */
struct keeper_log *keeper_find_log(struct keeper *keeper, uint32_t log);

/* PROBLEM_NONE when the journal takes appends, else why not. */
MUST_USE enum problem_code keeper_admit(const struct keeper *keeper);

/*
 * Something that readiness waits for has come: the log is open, or the demo key is
 * known. Makes the shard ready when all is there.
 */
void keeper_try_ready(struct keeper *keeper);

/* True until this shard has recovered and has heard that all others have too. */
bool keeper_is_recovering(const struct keeper *keeper);

/* True when this shard or, as far as it has heard, another one finds the disk full. */
bool keeper_disk_is_low(const struct keeper *keeper);

/*
 * Somebody on this shard has no descriptor: every shard closes a segment that it only keeps
 * open for reads to come.
 */
void keeper_yield_descriptors(struct keeper *keeper);

/* The tenant has copied forward the keys it needed from the segment. */
void keeper_keys_copied(struct keeper *keeper, uint32_t log, uint64_t seq);

/* Recovery: this record is an event or a claim, which only retention may drop. */
void keeper_note_event(struct keeper *keeper, struct journal_location location);
