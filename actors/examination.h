/*
 * Examination: every invariant of one shard that can be checked while it runs.
 *
 * What holds at any instant is looked at once: accounting, permits, room, the journal. What
 * only a scan can show goes through the job table's auditor, a bounded part per turn, for a
 * whole round, so that intake is not slowed. Sums can be compared with a scan only when
 * nothing has changed meanwhile; where that did not come to be, the examination says so.
 *
 *     begin --> step, step, ... true --> results, lent back and merged with other shards'
 */
#pragma once

#include "contracts/json_writer.h"
#include "runtime/list.h"
#include "store/job_table.h"

enum {
    EXAMINATION_NUMBER_COUNT = 3,
    EXAMINATION_STEP_MAX = 4096,   /* entries of the job table looked at per turn */
    EXAMINATION_TRY_COUNT_MAX = 3, /* rounds, until sums could be compared */
    EXAMINATION_JSON_SIZE_MAX = 16384,
};

struct app_shard;

enum examination_status {
    EXAMINATION_OK,
    EXAMINATION_WARN,
    EXAMINATION_FAIL,
};

/* In the order in which they are shown. */
enum examination_check {
    EXAMINE_RECOVERED,
    EXAMINE_JOURNAL,
    EXAMINE_SEGMENTS,
    EXAMINE_RETIREMENT,
    EXAMINE_FACTS,
    EXAMINE_ACCOUNTING,
    EXAMINE_QUEUES,
    EXAMINE_PERMITS,
    EXAMINE_RUNS,
    EXAMINE_BREAKERS,
    EXAMINE_PROBES,
    EXAMINE_DUE,
    EXAMINE_LISTS,
    EXAMINE_LOCATIONS,
    EXAMINE_FLOWS,
    EXAMINE_KEYS,
    EXAMINE_SUMS,
    EXAMINE_HISTORY,
    EXAMINE_LATENESS,
    EXAMINE_WAKING,
    EXAMINE_JOB_ROOM,
    EXAMINE_DEAD_ROOM,
    EXAMINE_QUEUE_ROOM,
    EXAMINE_PARKED_ROOM,
    EXAMINE_DEDUP_ROOM,
    EXAMINE_INDEX_ROOM,
    EXAMINE_MAILBOXES,
    EXAMINE_RESTARTS,
    EXAMINE_READ_MODEL,
    EXAMINATION_CHECK_COUNT,
};

struct examination_result {
    enum examination_status status;
    uint64_t numbers[EXAMINATION_NUMBER_COUNT];
};

/* Of one shard. Private to examination.c, but for link and results. */
struct examination {
    struct list_node link; /* the owner's */
    struct job_audit_tally before;
    uint64_t began_ns;
    uint64_t rounds_wanted;
    uint32_t try_count;
    uint32_t unserved_before; /* queues with both jobs and workers waiting, at the beginning */
    struct examination_result results[EXAMINATION_CHECK_COUNT];
};

/* Looks at what can be seen at once. On the shard's thread, like the next. */
void examination_begin(struct examination *examination, struct app_shard *home);

/* Goes on with the scan; true when the results are complete. */
MUST_USE bool examination_step(struct examination *examination, struct app_shard *home);

/* The worst of all. */
enum examination_status examination_status_of(const struct examination *const *examinations,
                                              uint32_t count);

/* "ok", "warn" or "fail". */
struct slice examination_status_name(enum examination_status status);

/* Writes all checks as one array: the worst of the shards, and which shards are not well. */
void examination_write(const struct examination *const *examinations, uint32_t count,
                       struct json_writer *writer);
