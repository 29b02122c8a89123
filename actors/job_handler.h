/*
 * Job handlers: kinds of jobs that the process itself carries out.
 *
 * A handler is registered for one kind on each shard. The jobs of that kind of all projects
 * of the shard are offered to it, in turns, and each job it takes becomes a run
 * (actors/job_run.h), which it carries out and reports the outcome of.
 *
 * Fairness: queues with work stand in a row and are served one job each. A queue may hold a
 * lease while it holds less than JOB_HANDLER_SHARE times what is free, or none at all, so that
 * however much one project has to do, and however slow it is, some of the concurrency is
 * left for the next that comes.
 *
 * Jobs that were running when the process crashed are blamed for it, at JOB_CRASH_COUNT_MAX
 * they are dead, reason poison; blamed ones run one at a time.
 *
 * Handlers' functions run inside actors of the shard and must not panic.
 */
#pragma once

#include "actors/job_run.h"
#include "runtime/timer_wheel.h"

enum {
    JOB_HANDLER_COUNT_MAX = 8,
    JOB_HANDLER_SHARE = 3,
    JOB_HANDLER_OFFER_MAX = 64, /* jobs taken in one go */
    JOB_HANDLER_TICK_MS = 250,  /* between looks at leases and deadlines, while jobs run */
    JOB_HANDLER_BUSY_MS = 100,  /* until a job comes again for which there was no run */
    JOB_SUSPECT_WAIT_MS = 1000, /* the same, while another job that was blamed runs */
    JOB_CRASH_COUNT_MAX = 3,
};

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
    uint32_t run_count; /* kept by job_run.c */
    /* Private to job_handler.c. */
    struct list_node ready; /* queues with work, in turn */
    struct timer wake;
    struct job_desk *desk;
};

/* Private to job_handler.c; embedded in the desk. */
struct job_handlers {
    struct job_handler *handlers[JOB_HANDLER_COUNT_MAX];
    uint32_t handler_count;
    struct job_runs runs;
    struct list_node rated; /* queues that wait for their rate */
    uint64_t rated_ms;
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

/*
 * Calls on_wake() soon, from the desk: for what has ended outside of any actor. Nothing
 * while the desk does not run.
 */
void job_handler_wake(struct job_handler *handler);
