/*
 * Sim campaign: many seeds, as many at a time as there are processors.
 *
 *     seeds --> worker processes (sim_worker.h) --> sums, maxima, points met, failures
 *
 * Seeds are handed out in order, one to each worker that is idle. When enough runs
 * have failed, no later seed is begun, later ones that run are broken off, and earlier
 * ones are finished: so the failures reported are those with the smallest seeds,
 * however many workers there are and however fast.
 *
 * SIGINT and SIGTERM end a campaign early; what was done so far stays readable.
 */
#pragma once

#include "runtime/clock.h"
#include "runtime/sim_point.h"
#include "tools/sim/sim_worker.h"

enum {
    SIM_CAMPAIGN_JOB_COUNT_MAX = 64,
    SIM_CAMPAIGN_FAILURE_COUNT_MAX = 20,
    SIM_CAMPAIGN_SEED_TIMEOUT_MS = 120000, /* a good default */
    SIM_CAMPAIGN_HASH_COUNT_MAX = 10000000,
};

/* X(member): the numbers of struct sim_run_result that are added up. */
#define SIM_CAMPAIGN_NUMBERS(X)                                                                    \
    X(simulated_ns)                                                                                \
    X(step_count)                                                                                  \
    X(life_count)                                                                                  \
    X(crash_count)                                                                                 \
    X(kill_count)                                                                                  \
    X(exit_count)                                                                                  \
    X(failed_start_count)                                                                          \
    X(request_count)                                                                               \
    X(acknowledged_count)                                                                          \
    X(job_count)                                                                                   \
    X(lease_count)                                                                                 \
    X(call_count)                                                                                  \
    X(replay_count)                                                                                \
    X(unknown_count)                                                                               \
    X(stored_count)                                                                                \
    X(check_count)                                                                                 \
    X(damage_count)

struct sim_campaign;

/* Who wants to know how it goes; embedded in its own struct. */
struct sim_campaign_watch {
    /* Called a few times per second, and once at the end. */
    void (*on_progress)(struct sim_campaign_watch *watch, const struct sim_campaign *campaign);
};

/* What to do. Everything pointed to is borrowed for the life of the campaign. */
struct sim_campaign_options {
    uint64_t seed_begin;
    uint64_t seed_end;                /* exclusive; above seed_begin */
    struct sim_worker_task task;      /* run.trace only with a single seed */
    uint32_t job_count;               /* 0: as many as processors */
    uint32_t failure_count_max;       /* it ends after so many; at least 1 */
    uint64_t seed_timeout_ms;         /* of CPU time, or 20 times as much by the clock; 0: none */
    bool wants_hashes;                /* of each run, for up to SIM_CAMPAIGN_HASH_COUNT_MAX seeds */
    struct sim_campaign_watch *watch; /* or NULL */
};

/* One name out of sim_point_all(), however many places bear it. */
struct sim_campaign_point {
    const char *name;
    enum sim_point_kind kind;
    uint64_t hit_count;  /* over all seeds */
    uint64_t seed_count; /* in which it was met */
};

/* One run that failed. */
struct sim_campaign_failure {
    uint64_t seed;
    char what[SIM_STORY_WHAT_SIZE_MAX];
    char report[SIM_STORY_FAILURE_SIZE_MAX];
};

/* Made by sim_campaign_new(). The first group may be read during and after the run. */
struct sim_campaign {
    struct sim_campaign_options options;
    uint64_t done_count;       /* runs without a failure */
    uint64_t hash;             /* of all their hashes, whatever the order they ended in */
    struct sim_run_result sum; /* all but hash */
    struct sim_run_result max; /* likewise */
    uint64_t *hashes;          /* one per seed, 0 for those that were not done; or NULL */
    uint64_t wall_ns;          /* so far */
    uint32_t worker_count;
    uint32_t failure_count; /* failures[0 ..), by seed */
    struct sim_campaign_failure *failures[SIM_CAMPAIGN_FAILURE_COUNT_MAX + 1];
    struct sim_campaign_point *points; /* by kind and name */
    uint32_t point_count;
    bool was_interrupted;

    uint32_t *place_points; /* index in sim_point_all() to index in points; private from here */
    struct sim_worker workers[SIM_CAMPAIGN_JOB_COUNT_MAX];
    uint64_t worker_begin_ns[SIM_CAMPAIGN_JOB_COUNT_MAX];
    uint64_t worker_begin_cpu_ns[SIM_CAMPAIGN_JOB_COUNT_MAX];
    uint64_t seed_next;
    struct clock clock;
    uint64_t begin_ns;
    int signal_fd;
};

/* Makes a campaign; nothing runs yet. 0 or -errno. */
MUST_USE int sim_campaign_new(const struct sim_campaign_options *options,
                              struct sim_campaign **ret_campaign);

/* Ends and frees all and nulls the pointer. NULL is accepted. */
void sim_campaign_free(struct sim_campaign **campaign);

/*
 * Runs the seeds, once. 0 when it came to its end, with or without failures; -EINTR
 * after a signal; another negative errno when there can be no workers. No process of
 * it is left when it returns.
 */
MUST_USE int sim_campaign_run(struct sim_campaign *campaign);
