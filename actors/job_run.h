/*
 * Job run: one job being carried out by a handler, from its lease to its outcome.
 *
 *     READING --body there--> STARTED --complete, fail--> ENDING --claimed--> WRITING --> gone
 *                                |  \--park: no attempt is used ------------------------> gone
 *                                |  \--its deadline: cancelled, then failed --> ENDING
 *                                \--somebody else ended the job: cancelled -------------> gone
 *
 * The handler is lent the payload and reports the outcome by a call. Nothing is different in
 * the log from what a worker does: the same claims, the same facts, the same rules for what a
 * failure leads to.
 *
 * The lease is renewed while the handler says that it is at work on the job; the deadline
 * of the run is never moved by that. What runs lies in a breadcrumb page
 * (runtime/breadcrumbs.h), so that the next process knows what ran when this one crashed.
 */
#pragma once

#include "runtime/breadcrumbs.h"
#include "runtime/buffer.h"
#include "store/durable.h"
#include "store/job_table.h"
#include "store/journal_reader.h"

enum {
    JOB_RUN_MAGIC = 0x4a52554e,
    JOB_RUN_COUNT_MAX = BREADCRUMBS_PER_SHARD_MAX, /* of all handlers of a shard */
    JOB_RUN_BUCKET_COUNT = 256,
    JOB_RUN_ERROR_SIZE_MAX = 256,
    JOB_RUN_BUSY_MS = 100, /* until a job comes again for which there was no buffer */
    JOB_RUN_PARK_MS_MAX = 3600000,
};

struct job_desk;
struct job_handler;

enum job_run_phase {
    JOB_RUN_READING,
    JOB_RUN_STARTED,
    JOB_RUN_ENDING,  /* the outcome waits for another fact about the job */
    JOB_RUN_WRITING, /* the outcome is on its way */
};

/* One job being run. The first group may be read by its handler, and is borrowed. */
struct job_run {
    struct job_desk *desk;
    struct job_handler *handler;
    const struct job_queue *queue;
    struct job_ref ref;
    uint64_t id_low;
    uint64_t created_ms;
    uint32_t partition;
    struct journal_location location; /* of the JOB, or of what it was carried forward as */
    uint8_t attempt;                  /* this one */
    uint8_t max_attempts;
    struct job_image image; /* payload and key */

    /* Private to job_run.c. */
    uint32_t magic;
    uint8_t phase; /* enum job_run_phase */
    bool is_dropped;
    bool is_suspect;
    bool is_failure;
    bool is_retryable;
    uint32_t slot;
    uint64_t epoch;
    uint64_t deadline_ms;
    uint64_t renew_ms;
    uint64_t retry_after_ms;
    uint32_t text_size;
    struct buffer *record;
    struct buffer *fact;
    struct list_node link;
    struct list_node id_link;
    struct journal_read read;
    struct slice part;
    struct journal_record records[2]; /* the fact, and what the handler attaches */
    struct durable_step step;
};

/* What a shard runs. Private to job_run.c, but to be looked at; embedded in the handlers. */
struct job_runs {
    uint32_t count;
    uint32_t suspect_count; /* of jobs that were blamed for a crash */
    struct list_node all;
    struct list_node by_id[JOB_RUN_BUCKET_COUNT];
    uint16_t slots[JOB_RUN_COUNT_MAX]; /* stack of free ones */
};

/* --- for handlers ------------------------------------------------------------------ */

/* Where the result is to be written before job_run_complete(); *ret_capacity bytes. */
char *job_run_text(struct job_run *run, size_t *ret_capacity);

/* The run may take so long from now. In start(). */
void job_run_allow(struct job_run *run, uint64_t duration_ms);

/* Done; the result, JSON, is the first size bytes of job_run_text(). */
void job_run_complete(struct job_run *run, size_t size);

/* The attempt has failed; error is cut to JOB_RUN_ERROR_SIZE_MAX. retry_after_ms 0: by policy. */
void job_run_fail(struct job_run *run, struct slice error, bool is_retryable,
                  uint64_t retry_after_ms);

/* It cannot be run before until_ms, on the desk's clock; no attempt is used. The run is gone. */
void job_run_park(struct job_run *run, uint64_t until_ms);

/* --- for job_handler.c --------------------------------------------------------------- */

/* Once, before the actor starts. */
void job_runs_init(struct job_runs *runs);

/* The run of this job, or NULL. */
struct job_run *job_runs_find(struct job_runs *runs, uint64_t id_low);

/* A leased job gets a run, which is READING; NULL when there is no room. */
MUST_USE struct job_run *job_run_begin(struct job_desk *desk, struct job_handler *handler,
                                       const struct job_view *view);

/* Gets the job's record and starts. False: the run is gone, and its queue should rest. */
bool job_run_start(struct job_run *run);

/* Whatever is due: the deadline, the lease, an outcome that has waited. The run may be gone. */
void job_run_look_after(struct job_run *run, uint64_t now_ms);

/* A fact that ends the job was applied: unless it is the run's own, the run goes. */
void job_run_on_end(struct job_run *run);

/* The desk is stopping; is_over: so is the time that runs were given. The run may be gone. */
void job_run_stop(struct job_run *run, bool is_over);
