/*
 * Journal: one shard's append-only log.
 *
 * The shard's owner actor opens one journal per shard and drives it; only that
 * shard's thread touches it. Records are appended in groups that survive a crash
 * as a whole or not at all. journal_append() copies into a staging batch and
 * returns; the append's on_durable is called, in order of LSN, once everything up
 * to the group's end is on stable storage. Nothing may be acknowledged earlier.
 *
 *     OPEN --journal_stop()--> STOPPING --all written--> STOPPED
 *       \--write or sync error--> FAILED (no acknowledgement ever again)
 *
 * The owner must call journal_flush() at the end of each activation in which it
 * or others appended; a batch otherwise waits for a running write to end. There
 * is no delay timer: while a write is in flight appends gather in the next batch.
 * With a timer wheel in the configuration the journal does its own time-based
 * work (watermarks, free space, retention); otherwise call journal_tick().
 */
#pragma once

#include "runtime/clock.h"
#include "runtime/disk.h"
#include "runtime/io.h"
#include "runtime/metrics.h"
#include "runtime/timer_wheel.h"
#include "store/segment.h"

struct journal;
struct journal_append;
struct journal_owner;
struct recovered_log;

enum {
    JOURNAL_BATCH_COUNT = 4,
    JOURNAL_BATCH_SIZE_DEFAULT = 1 << 20,
    JOURNAL_BATCH_SIZE_MAX = 4 << 20,
    JOURNAL_WRITES_IN_FLIGHT_MAX = JOURNAL_BATCH_COUNT,
    JOURNAL_WRITES_IN_FLIGHT_DEFAULT = 2,
    JOURNAL_REWRITE_MAX = 8,           /* repeats of one batch after short or interrupted writes */
    JOURNAL_SEGMENT_COUNT_MAX = 65536, /* retained per log; more drops the oldest */
    JOURNAL_RESERVE_SEGMENTS_MAX = 8,
    JOURNAL_SPACE_POLL_MS = 1000,
    JOURNAL_WATERMARK_IDLE_NS = 1000000,
    /* A log may hold so many times what is alive in it, and so many segments more. */
    JOURNAL_LIVE_FACTOR = 2,
    JOURNAL_SPENT_SEGMENTS = 4,
    JOURNAL_RUN_BYTES_MAX = 256 << 20, /* of segments that on_retire names at a time */
};

/* What journal_append() answers, besides a negative errno. */
enum journal_result {
    JOURNAL_OK,       /* on_durable will be called exactly once */
    JOURNAL_FULL,     /* staging is full: back-pressure, 503; on_room tells when to try again */
    JOURNAL_NO_SPACE, /* the disk is full but for the reserve: 503 + Retry-After */
    JOURNAL_STOPPED,  /* stopping or failed: nothing more is taken */
};

/* How an append ended. */
enum journal_outcome {
    JOURNAL_DURABLE,
    JOURNAL_OUTCOME_UNKNOWN, /* the journal failed: may or may not be there after a restart */
};

/* Flags of one append. */
enum {
    JOURNAL_IMPORTANT = 1, /* may use the reserve: acknowledgements, dead letters, shutdown */
};

/*
 * One record to append: its payload is the parts put one after the other.
 * location is written by journal_append() (for a borrowed group: before on_durable).
 */
struct journal_record {
    uint32_t partition; /* at most JOURNAL_PARTITION_MAX */
    uint8_t type;       /* 1..255; its meaning is the caller's */
    uint8_t version;    /* of the payload's format */
    uint64_t mailbox;   /* within the partition, below 2^48; 0 is the partition itself */
    const struct slice *parts;
    uint32_t part_count;
    struct journal_location location; /* out */
};

/*
 * One append in flight: intrusive, the caller's memory until on_durable. Set
 * on_durable; the rest is the journal's, readable from on_durable on.
 */
struct journal_append {
    void (*on_durable)(struct journal_append *append, enum journal_outcome outcome);
    struct list_node link;
    uint64_t lsn_first;
    uint64_t lsn_last;
    struct journal_location location; /* of the first record */
    /* A group still being copied: borrowed until on_durable. Private to journal.c. */
    struct journal_record *records;
    uint32_t record_count;
};

/* What a sealed or active segment is; given to on_retire. */
struct journal_segment {
    uint64_t seq;
    uint64_t first_lsn;
    uint64_t last_lsn; /* first_lsn - 1 when it holds no record */
    uint64_t created_unix_ms;
    uint64_t size; /* bytes it takes on disk */
};

/* Why a segment is dropped; the label of weir_journal_segments_dropped_total. */
enum journal_drop_reason {
    JOURNAL_DROP_BYTES,     /* retain_bytes, and JOURNAL_LIVE_FACTOR times what is alive */
    JOURNAL_DROP_AGE,       /* retain_hours */
    JOURNAL_DROP_ENTRIES,   /* the event index is full */
    JOURNAL_DROP_COUNT,     /* JOURNAL_SEGMENT_COUNT_MAX */
    JOURNAL_DROP_RECLAIMED, /* the owner has nothing in it to keep for a time */
    JOURNAL_DROP_REASON_COUNT,
};

/*
 * What the journal tells its owner; embedded in the owner's struct. Called on the
 * shard's thread from inside journal functions and completions.
 */
struct journal_owner {
    /* The log can no longer be trusted to take writes: end the process with exit code 74. */
    void (*on_failed)(struct journal_owner *owner, int error, const char *text);
    /*
     * The segment is about to be dropped. Append again what must live on, and when
     * that is durable call journal_retire_done(); it may be called from here. May be
     * NULL: drop at once. Drop the segment from the event index, but not yet from dedup.
     * As things stand the ones up to run_last_seq will go next, for the same reason: what
     * is appended again out of all of them at a time costs one look at what is alive.
     */
    void (*on_retire)(struct journal_owner *owner, const struct journal_segment *segment,
                      uint64_t run_last_seq);
    /*
     * The segment is gone, and durably so. Only now may its ids be taken as new: a removal
     * that a power cut undoes would leave them in the log twice. May be NULL.
     */
    void (*on_retired)(struct journal_owner *owner, uint64_t seq);
    /*
     * True when nothing in the oldest segment has to stay for a time: it may go when the log is
     * out of proportion to what is alive, or sealed. Asked when a segment begins or is
     * dropped, and at ticks. May be NULL: never.
     */
    bool (*is_spent)(struct journal_owner *owner, const struct journal_segment *oldest);
    /*
     * Bytes of the records in this log that on_retire would append again, whichever segment
     * goes: dropping more does not make the log smaller than these. May be NULL: 0.
     */
    uint64_t (*live_bytes)(struct journal_owner *owner);
    /* After JOURNAL_FULL or JOURNAL_NO_SPACE was answered: room again. May be NULL. */
    void (*on_room)(struct journal_owner *owner);
    /* journal_stop() is complete: journal_free() may be called. */
    void (*on_stopped)(struct journal_owner *owner);
};

/* Series of the journal; made once at boot, shared by all shards. */
struct journal_metrics {
    struct metric flush_duration;
    struct metric batch_records;
    struct metric bytes;
    struct metric durable_lsn;
    struct metric flushes;
    struct metric rewrites;
    struct metric retained_segments;
    struct metric retained_bytes;
    struct metric no_space;
    struct metric dropped[JOURNAL_DROP_REASON_COUNT];
};

/* How to open one log. Pointers are borrowed for the journal's life. */
struct journal_config {
    struct io *io;
    struct disk *disk;
    const struct clock *clock;            /* the shard's */
    struct timer_wheel *timers;           /* or NULL: the owner calls journal_tick() */
    struct metrics *metrics;              /* or NULL */
    const struct journal_metrics *series; /* or NULL */
    struct journal_owner *owner;
    const char *data_path;     /* the data directory */
    uint32_t log;              /* number of the log: the shard's index */
    uint32_t boot_generation;  /* from the superblock */
    const uint8_t *uuid;       /* from the superblock */
    uint64_t segment_bytes;    /* SEGMENT_SIZE_MIN..MAX, a multiple of the block; 0: 64 MiB */
    uint64_t batch_bytes;      /* a multiple of the block; 0: 1 MiB */
    uint32_t writes_in_flight; /* 1..4; 0: 2 */
    uint32_t spare_segments;   /* ready ahead of need, besides the reserve; 0: 2 */
    uint64_t reserve_bytes;    /* rounded up to segments; 0: 64 MiB */
    uint64_t retain_bytes;     /* 0: unlimited */
    uint64_t retain_ms;        /* 0: unlimited */
    bool sealed;         /* nothing is appended: a log left over from a start with more shards */
    bool unsafe_storage; /* do without O_DIRECT (file systems that refuse it) */
};

/* Numbers for tools and tests. */
struct journal_stats {
    uint64_t durable_lsn;
    uint64_t next_lsn;
    uint64_t flush_count;
    uint64_t rewrite_count;
    uint64_t record_count; /* made durable since open */
    uint64_t byte_count;   /* written since open */
    uint64_t watermark_count;
    uint64_t segment_count; /* retained, with the active one */
    uint64_t segment_bytes;
    uint64_t dropped_count;
    uint32_t spare_count; /* ready, with the reserve */
    uint64_t active_seq;
};

/* Registers the series. Boot only. */
void journal_metrics_add(struct metrics_registry *registry, struct journal_metrics *ret_series);

/*
 * Opens the log at the position that recovery found, in a new segment. Blocks
 * (start-up only): makes the first segment file when no spare is there. 0 or -errno.
 */
MUST_USE int journal_open(const struct journal_config *config, const struct recovered_log *position,
                          struct journal **ret_journal);

/*
 * Frees it and nulls the pointer. Only when STOPPED, or after the backend is gone: the
 * memory may be under a running write otherwise. NULL is accepted.
 */
void journal_free(struct journal **journal);

/*
 * Appends records[0..count) as one group. Groups of at most
 * journal_group_copy_max() bytes (headers, payloads and padding) are copied before the call
 * returns; larger ones are borrowed, with all their parts, until on_durable. Answers an enum
 * journal_result, append untouched unless JOURNAL_OK; or -EMSGSIZE when the group is larger than
 * JOURNAL_GROUP_SIZE_MAX, than a segment, or has too many records.
 */
MUST_USE int journal_append(struct journal *journal, struct journal_append *append,
                            struct journal_record *records, uint32_t count, uint32_t flags);

/* The largest group that is copied at once; about 2 MiB with the default batch size. */
uint64_t journal_group_copy_max(const struct journal *journal);

/* Starts writing what is staged if a write slot is free. Cheap when there is nothing to do. */
void journal_flush(struct journal *journal);

/* True when staged records wait for journal_flush(). */
bool journal_needs_flush(const struct journal *journal);

/*
 * Time-based work: watermark, free space, retention. Returns the mono_ns of the
 * next call wanted, UINT64_MAX for none. Only without a timer wheel.
 */
uint64_t journal_tick(struct journal *journal);

/* True while the disk is full but for the reserve: ordinary appends are or will be refused. */
bool journal_is_low(const struct journal *journal);

/* Everything up to this LSN is durable. */
uint64_t journal_durable_lsn(const struct journal *journal);

/* The oldest segment may go now: on_retire's work is durable. */
void journal_retire_done(struct journal *journal, uint64_t seq);

/*
 * Starts dropping the oldest sealed segment, for the given reason. False when there
 * is none, or one is being dropped already.
 */
bool journal_retire_oldest(struct journal *journal, enum journal_drop_reason reason);

/* The sequence number of the oldest retained segment; locations before it are gone. */
uint64_t journal_oldest_seq(const struct journal *journal);

/* The segment that the latest append went to, or the next one will. */
uint64_t journal_active_seq(const struct journal *journal);

/* Takes no more appends, writes what is staged and a last watermark, then on_stopped. */
void journal_stop(struct journal *journal);

/* A copy of the present numbers. */
void journal_stats(const struct journal *journal, struct journal_stats *ret_stats);
