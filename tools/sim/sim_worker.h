/*
 * Sim worker: a process of its own that runs one seed after the other.
 *
 *     IDLE --assign--> BUSY --SIM_WORKER_DONE--> IDLE
 *                       |
 *                       +--SIM_WORKER_FAILED, SIM_WORKER_DIED, end()--> no process
 *
 * A failed run cannot be cleared away from within, because it is left in the midst of
 * a callback; a broken assertion ends the process; and a run may hang. So each runs
 * apart from the process that counts. The two share the story, the result and the
 * counts of points, and take turns with them: the worker owns them while it is busy.
 * What a worker writes to standard error is caught, for the report.
 */
#pragma once

#include <sys/types.h>

#include "tools/sim/sim_run.h"

enum {
    SIM_WORKER_PLACE_COUNT_MAX = 4096, /* sim_point_all() */
    SIM_WORKER_OUTPUT_SIZE_MAX = 65536,
};

/* What every worker of a campaign does. run has no seed. */
struct sim_worker_task {
    void (*run_seed)(const struct sim_run_options *options, struct sim_story *story,
                     struct sim_story_judge *judge, struct sim_run_result *ret_result);
    struct sim_run_options run;
    const char *replay_options; /* for sim_story_prepare() */
};

/* In memory of both processes. */
struct sim_worker_share {
    struct sim_story story;
    struct sim_run_result result;                    /* only after SIM_WORKER_DONE */
    uint64_t hit_counts[SIM_WORKER_PLACE_COUNT_MAX]; /* as sim_point_all() has them */
};

enum sim_worker_news {
    SIM_WORKER_DONE,   /* share->result; it is idle again */
    SIM_WORKER_FAILED, /* share->story.failure; the process is gone */
    SIM_WORKER_DIED,   /* the same; the report says how it died */
};

/* The parent's side. Fields but for the private ones may be read. */
struct sim_worker {
    struct sim_worker_share *share;
    uint64_t seed; /* while busy, and of the latest news */
    bool is_busy;
    pid_t pid;     /* 0: no process; private from here */
    int fd;        /* a socket: a seed goes out, a word comes back */
    int output_fd; /* its standard error, of bounded size */
    const struct sim_worker_task *task;
    char *output;
};

/* Makes what the processes share. Borrows task. 0 or -errno. */
MUST_USE int sim_worker_init(struct sim_worker *worker, const struct sim_worker_task *task);

/* Ends the process if there is one and gives all back. Accepts one that is only zeroed. */
void sim_worker_deinit(struct sim_worker *worker);

/* Lets the worker run seed, in a new process if it has none. It must not be busy. 0 or -errno. */
MUST_USE int sim_worker_assign(struct sim_worker *worker, uint64_t seed);

/* What became of the seed. For a busy worker whose fd is readable: does not wait long. */
enum sim_worker_news sim_worker_hear(struct sim_worker *worker);

/* CPU time that the process has used; only differences mean anything. */
uint64_t sim_worker_cpu_ns(const struct sim_worker *worker);

/* Ends the process at once, without a report. */
void sim_worker_end(struct sim_worker *worker);

/* The same for a run that takes too long; share->story.failure gets the report. */
void sim_worker_end_hanging(struct sim_worker *worker, uint64_t limit_ms);
