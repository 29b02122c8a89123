/*
 * Job internal: a job that a durable actor enqueues by itself, on its own shard.
 *
 * The job stands in the same record group as the actor's own facts, so that either both
 * are true or neither: a schedule that has run and its job, an incident and the work it
 * asks for. The project must be one that this shard owns, see job_desk_of_project().
 *
 *     r = job_internal_prepare(&it->job, desk, &wish, &it->records[1]);
 *     if (r != JOB_ADMITTED)
 *         ... the queue does not want it: nothing to give back ...
 *     it->step = {.on_done = on_done, .records = it->records, .record_count = 2};
 *     if (!durable_commit_later(set, &it->step))      (or durable_commit())
 *         job_internal_withdraw(&it->job);
 *     ...
 *     on_done(step, outcome): job_internal_done(&it->job, outcome);
 *
 * The desk applies the JOB like any other; job_internal_done() lets waiting leases have it.
 */
#pragma once

#include "actors/job_desk.h"

/* What is to be enqueued; all borrowed for the call of job_internal_prepare(). */
struct job_wish {
    struct slice org;
    struct slice project;
    struct slice kind;
    struct slice payload;     /* JSON */
    struct slice key;         /* serial key; may be empty */
    struct slice correlation; /* what it follows from; may be empty */
    uint64_t delay_ms;        /* 0: at once */
    uint32_t timeout_ms;      /* 0: the queue's */
    uint8_t priority;
    uint8_t max_attempts; /* 0: the queue's */
};

/* One such job on its way into the log; the caller's memory, as long as its step. */
struct job_internal {
    struct job_desk *desk; /* NULL: nothing is on its way */
    struct job_id id;      /* read by the caller once prepared */
    struct job_ref ref;
    struct buffer *encoded;
    struct slice part;
};

/*
 * Admits the job and writes its record. JOB_ADMITTED; or JOB_TABLE_FULL (no memory for it just
 * now), JOB_QUEUE_FULL, JOB_QUEUE_CLOSED, and nothing has happened. The record is valid until
 * withdraw or done.
 */
MUST_USE enum job_admission job_internal_prepare(struct job_internal *job, struct job_desk *desk,
                                                 const struct job_wish *wish,
                                                 struct journal_record *ret_record);

/* The append was refused: as if the job had never been asked for. */
void job_internal_withdraw(struct job_internal *job);

/* The step has ended. For steps without a job, whose struct is zeroed, it does nothing. */
void job_internal_done(struct job_internal *job, enum durable_outcome outcome);
