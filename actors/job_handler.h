/*
 * Job handlers: kinds of jobs that the process itself carries out.
 *
 * A handler is registered for one kind on each shard. The jobs of that kind of all projects
 * of the shard are offered to it, in turns, and each job it runs is a struct job_run: its
 * payload is lent, its outcome reported by a call. Nothing is different in the log from what
 * a worker does: the same claims, the same facts, the same rules for what a failure leads to.
 *
 *     READING --body there--> STARTED --complete, fail--> ENDING --claimed--> WRITING --> gone
 *                                |  \--park: no attempt is used ------------------------> gone
 *                                |  \--its deadline: cancelled, then failed --> ENDING
 *                                \--somebody else ended the job: cancelled -------------> gone
 *
 * Fairness: queues with work stand in a row and are served one job each. A queue may hold a
 * lease while it holds less than JOB_HANDLER_SHARE times what is free, or none at all, so that
 * however much one project has to do, and however slow it is, some of the concurrency is
 * left for the next that comes.
 *
 * The lease is renewed while the handler says that it is at work on the job; the deadline
 * of the run is never moved by that. What runs lies in a breadcrumb page
 * (runtime/breadcrumbs.h): jobs that were running when the process crashed are blamed for it, at
 * JOB_CRASH_COUNT_MAX they are dead, reason poison; blamed ones run one at a time.
 *
 * Handlers' functions run inside actors of the shard and must not panic.
 */
#pragma once

#include "runtime/breadcrumbs.h"
#include "runtime/buffer.h"
#include "runtime/timer_wheel.h"
#include "store/durable.h"
#include "store/job_table.h"
#include "store/journal_reader.h"

enum {
    JOB_RUN_MAGIC = 0x4a52554e,
    JOB_HANDLER_COUNT_MAX = 8,
    JOB_RUN_COUNT_MAX = BREADCRUMBS_PER_SHARD_MAX, /* of all handlers of a shard */
    JOB_RUN_BUCKET_COUNT = 256,
    JOB_HANDLER_SHARE = 3,
    JOB_HANDLER_OFFER_MAX = 64, /* jobs taken in one go */
    JOB_HANDLER_TICK_MS = 250,  /* between looks at leases and deadlines, while jobs run */
    JOB_HANDLER_BUSY_MS = 100,  /* until a job comes again for which there was no buffer */
    JOB_SUSPECT_WAIT_MS = 1000, /* the same, while another job that was blamed runs */
    JOB_CRASH_COUNT_MAX = 3,
    JOB_RUN_ERROR_SIZE_MAX = 256,
    JOB_RUN_PARK_MS_MAX = 3600000,
};

struct job_desk;
struct job_handler;
struct job_run;

/* What one kind of handler does. Static. */
struct job_handler_type {
    struct slice kind;
    uint32_t lease_ms;
    uint32_t deadline_ms;     /* of a run, unless job_run_allow() */
    uint32_t result_size_max; /* what job_run_text() has room for, at least */
    /* Room for one more run, embedded in the handler's own struct; NULL: none. */
    struct job_run *(*acquire)(struct job_handler *handler);
    /* Takes it back. The run is over. */
    void (*release)(struct job_handler *handler, struct job_run *run);
    /* Begins. The outcome may be reported from inside. */
    void (*start)(struct job_handler *handler, struct job_run *run);
    /* Stops at once; no outcome is to be reported. */
    void (*cancel)(struct job_handler *handler, struct job_run *run);
    /* True while it is at work on the job, so that the lease is renewed. */
    bool (*is_alive)(const struct job_run *run);
    /*
     * A record of its own that stands in the group of the outcome. header says what that is
     * (COMPLETED, RETRY or DEAD), text is its result or error. Fills *ret_record, whose parts
     * lie in memory of the run until release(); false: there is none. NULL: never.
     */
    bool (*attach)(struct job_handler *handler, struct job_run *run,
                   const struct job_fact_header *header, struct slice text,
                   struct journal_record *ret_record);
    /* After job_handler_wake(). NULL: it never calls that. */
    void (*on_wake)(struct job_handler *handler);
};

/* One handler of a shard; embedded in the handler's own struct. */
struct job_handler {
    const struct job_handler_type *type;
    uint32_t concurrency;
    /* Private to job_handler.c. */
    uint32_t run_count;
    struct list_node ready; /* queues with work, in turn */
    struct timer wake;
    struct job_desk *desk;
};

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

    /* Private to job_handler.c. */
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

/* Private to job_handler.c; embedded in the desk. */
struct job_handlers {
    struct job_handler *handlers[JOB_HANDLER_COUNT_MAX];
    uint32_t handler_count;
    uint32_t run_count;
    uint32_t suspect_count; /* running */
    struct list_node runs;
    struct list_node by_id[JOB_RUN_BUCKET_COUNT];
    struct list_node rated; /* queues that wait for their rate */
    uint64_t rated_ms;
    uint16_t slots[JOB_RUN_COUNT_MAX]; /* stack of free ones */
    struct timer tick;
    struct timer go_on;
    uint64_t stop_ns; /* when runs are given up; 0: not stopping */
};

/* Once, before the actor starts. */
void job_handlers_init(struct job_handlers *handlers);

/* Once per start of the actor. */
void job_handlers_start(struct job_handlers *handlers, struct job_desk *desk);

/* Registers handler (borrowed), whose first two fields are set. Start-up only. */
void job_handlers_add(struct job_handlers *handlers, struct job_handler *handler);

/* The handler of this kind, or NULL. */
struct job_handler *job_handlers_find(const struct job_handlers *handlers, struct slice kind);

/* The queue has something to run: it takes its place in the row. */
void job_handlers_note_ready(struct job_handlers *handlers, struct job_handler *handler,
                             struct job_queue *queue);

/* Starts what may be started. */
void job_handlers_offer(struct job_handlers *handlers, struct job_desk *desk);

/* A fact of this kind was applied to the job: what runs of it has ended, unless it is its own. */
void job_handlers_on_fact(struct job_handlers *handlers, uint64_t id_low, enum job_fact_kind kind);

/* True when timer was of the handlers, after acting on it. */
bool job_handlers_on_timer(struct job_handlers *handlers, struct job_desk *desk,
                           const struct timer *timer);

/* Blames the jobs that ran when the process crashed. At resume, before anything is offered. */
void job_handlers_blame(struct job_desk *desk);

/* The drain time begins now. */
void job_handlers_drain(struct job_handlers *handlers, const struct job_desk *desk);

/*
 * The desk is stopping: nothing is offered any more, and what still runs at the end of the
 * drain time is cancelled and goes back. True when no run is left.
 */
MUST_USE bool job_handlers_stop(struct job_handlers *handlers, struct job_desk *desk);

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

/*
 * Calls on_wake() soon, from the desk: for what has ended outside of any actor. Nothing
 * while the desk does not run.
 */
void job_handler_wake(struct job_handler *handler);
