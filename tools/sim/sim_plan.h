/*
 * Sim plan: what a seed draws before anything happens.
 *
 * The settings of the server, who its clients are and what they ask, and what a run leaves out
 * so that more can be judged: a run without delays can hold answers to their time limit. What
 * happens while the run lasts is drawn where it happens (sim_run.c, sim_weather.c and the
 * clients). Swarm testing: most features and faults are wholly off in half of the runs (Groce
 * and others, "Swarm Testing", ISSTA 2012).
 */
#pragma once

#include "tools/sim/sim_callers.h"
#include "tools/sim/sim_job_crew.h"
#include "tools/sim/sim_server.h"
#include "tools/sim/sim_weather.h"
#include "tools/sim/sim_workload.h"

enum { SIM_FD_COUNT_MANY = 4096 }; /* so many descriptors that nobody waits for one */

/* Plain data, read-only once it is drawn. */
struct sim_plan {
    struct sim_server *server; /* borrowed; gets its settings */
    uint32_t faults;           /* bit set of enum sim_fault_group, of those that were allowed */
    bool no_jobs;
    bool is_hurried;     /* clients ask all at the same time */
    bool has_calls_only; /* little else is done than calls of the server's own */
    struct sim_workload_spec events;
    struct sim_job_crew_spec crew;   /* no clients: no jobs */
    struct sim_callers_spec callers; /* no callers: no calls */

    /* What the models have to know. */
    bool forgets_events; /* in one way or another */
    bool may_lack_old;   /* events, after retention or for want of an index */
    uint64_t window_ns;  /* of deduplication, if it is short; else 0 */
    bool forgets_jobs;
    bool limits_dead_letters;
    bool are_calls_exact; /* nothing delays a call: breakers can be judged from outside */
};

/*
 * Draws all of it from the server's world, which must be new; faults and no_jobs are what the
 * options allow. Sets settings, descriptors and staging of the server.
 */
void sim_plan_draw(struct sim_plan *plan, uint32_t faults, bool no_jobs, struct sim_server *server);
