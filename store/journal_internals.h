/*
 * Journal internals: the parts of the journal among themselves. Included by
 * store/journal*.c only.
 *
 *     journal.c            opening, closing, time
 *     journal_append.c     from records to staged bytes
 *     journal_write.c      from staged bytes to acknowledgements, and failure
 *     journal_retention.c  which segments there are, and which go
 *     journal_metrics.c    the series
 */
#pragma once

#include "store/journal.h"
#include "store/recovery.h"
#include "store/segment_pool.h"
#include "store/staging.h"

static_assert((int)JOURNAL_BATCH_COUNT == (int)STAGING_BATCH_COUNT, "one ring");
static_assert((int)JOURNAL_BATCH_SIZE_MAX == (int)STAGING_BATCH_SIZE_MAX, "one bound");

enum { JOURNAL_MAGIC = 0x70a17b4e };
static const uint64_t JOURNAL_NS_PER_MS = 1000000;

/* See the diagram in journal.h. */
enum journal_state {
    JOURNAL_STATE_OPEN,
    JOURNAL_STATE_STOPPING,
    JOURNAL_STATE_STOPPED,
    JOURNAL_STATE_FAILED,
};

/* How far the newest group has been copied; append is NULL when it is whole. */
struct journal_emission {
    struct journal_append *append;
    uint32_t record; /* index */
    uint32_t part;   /* 0: header; 1..part_count: payload parts; part_count + 1: padding */
    uint64_t offset; /* within the part */
    struct segment_record_header header;
};

/* One log. Each group of fields belongs to one of the files above. */
struct journal {
    uint32_t magic;
    enum journal_state state;
    struct journal_config config;
    uint8_t uuid[SEGMENT_UUID_SIZE];
    uint32_t segment_blocks;

    struct staging staging;
    struct journal_emission emission;
    struct list_node appends; /* struct journal_append.link, in order of LSN */
    uint64_t next_lsn;
    uint64_t durable_lsn;
    uint64_t vouched_lsn; /* the highest durable LSN that a durable block states */
    bool delivering;
    bool room_wanted;  /* JOURNAL_FULL was answered */
    bool space_wanted; /* JOURNAL_NO_SPACE was answered */

    struct segment_pool pool;
    struct segment_pool_owner pool_owner;
    struct segment_header header; /* of segment write_seq */
    uint64_t write_seq;
    uint64_t write_block;     /* where in it the next batch begins */
    uint64_t write_block_lsn; /* and its number in the log */
    uint64_t file_seq;
    int file_fd; /* of file_seq */
    int old_fd;  /* of file_seq - 1 while writes to it run, or -1 */
    uint32_t writing_count;
    uint32_t old_writing_count;
    uint64_t write_retry_ns;   /* a write met a full disk: not before this; 0: none */
    bool write_no_space;       /* and none has succeeded since */
    uint64_t watermark_due_ns; /* 0: none */

    struct journal_segment *segments; /* ring of JOURNAL_SEGMENT_COUNT_MAX, oldest first */
    uint32_t segment_head;
    uint32_t segment_count;
    uint64_t segment_bytes_total;
    uint64_t started_seq;  /* newest segment whose header is durable */
    uint64_t retiring_seq; /* on_retire was called for it; 0: none */
    enum journal_drop_reason retiring_reason;

    struct timer timer;
    uint64_t timer_ns; /* what the timer is set to; 0: not set */
    struct journal_stats stats;
};

/* Aborts when an invariant does not hold. */
void journal_check(const struct journal *journal);

/* Exports the present levels. */
void journal_export_gauges(struct journal *journal);

/* The n-th retained segment, the oldest first. */
struct journal_segment *journal_segment_at(const struct journal *journal, uint32_t n);

/* Adds a segment after the newest. */
void journal_add_segment(struct journal *journal, const struct journal_segment *segment);

/* Makes segment write_seq the one that batches go to from now on. */
void journal_begin_segment(struct journal *journal, uint64_t previous_seq);

/* Starts dropping the oldest segment if a bound is exceeded. */
void journal_retain(struct journal *journal);

/* The pool has removed the segment. */
void journal_on_pool_retired(struct segment_pool_owner *owner, uint64_t seq);

/* Seals the batch being filled; the next one begins behind it. */
void journal_seal(struct journal *journal, struct staging_batch *batch);

/*
 * True when an ordinary append must leave what is left to more important ones; rolls: it
 * would need the next segment. No room for one more spare is not yet a full disk: the
 * spares above the reserve are used first.
 */
bool journal_must_spare_reserve(const struct journal *journal, bool rolls);

/* Copies more of a group that did not fit; true when it is whole or nothing is pending. */
bool journal_emit(struct journal *journal);

/* A batch's write has ended. */
void journal_on_write_done(struct io_op *op, const struct io_result *result);

/* No acknowledgement from now on: tells the appends, then the owner. */
void journal_fail(struct journal *journal, int error, const char *text);

/* Nothing is staged, written or waited for. */
bool journal_is_idle(const struct journal *journal);

/* Puts an empty block out that states the durable LSN. */
void journal_write_watermark(struct journal *journal);

/* The next step of journal_stop(), whenever something has ended. */
void journal_go_on_stopping(struct journal *journal);

/* Sets the timer earlier if need be; a timer that comes too early does no harm. */
void journal_arm_timer(struct journal *journal);
