/*
 * Sim run: one seed, from an empty disk to the last check.
 *
 *     draw a world -> life -> end -> check -> life -> ... -> calm -> everything finishes -> check
 *
 * A life is one process of the server: it starts (recovery, perhaps cut off in the
 * midst of it), serves clients under the weather of faults that the seed has drawn
 * (sim_weather.h), and ends by a power cut, a kill, an error or an orderly stop. After
 * each end the log on the disk is compared with the reference model (sim_model.h).
 * At last the faults cease, and everything that was begun must come to its end.
 *
 * One run at a time in a process. All of it follows from the options: the same
 * options and binary give the same trace.
 */
#pragma once

#include "tools/sim/sim_story.h"
#include "tools/sim/sim_weather.h"

/* What to run. */
struct sim_run_options {
    uint64_t seed;
    uint64_t step_count_max; /* of the driver, in all; 0: the default bound */
    uint32_t faults;         /* bit set of enum sim_fault_group: what may be drawn */
    const char *mutant;      /* planted bug, or NULL; only in a build that has it */
    FILE *trace;             /* gets the story, or NULL */
    bool trace_io;           /* the story has every I/O operation too */
    bool no_jobs;            /* clients send events only */
};

/* What came of it; a run that fails does not come so far (sim_story_fail). */
struct sim_run_result {
    uint64_t hash; /* of all that happened and of the disk at the end */
    uint64_t simulated_ns;
    uint64_t step_count;
    uint64_t life_count;
    uint64_t crash_count; /* power cuts */
    uint64_t kill_count;
    uint64_t exit_count; /* of lives that ended by themselves after a fault */
    uint64_t failed_start_count;
    uint64_t request_count;      /* sent by clients */
    uint64_t acknowledged_count; /* events */
    uint64_t job_count;          /* jobs that were accepted */
    uint64_t lease_count;        /* jobs that workers were given */
    uint64_t call_count;         /* that the peer of http.request was sent */
    uint64_t replay_count;       /* of dead letters, that came to their end */
    uint64_t unknown_count;      /* requests whose answer never came or was 503 unknown */
    uint64_t stored_count;       /* events in the log at the end */
    uint64_t check_count;        /* of the whole log */
    uint64_t damage_count;       /* detect-only faults that were detected and refused */
};

/* Runs one seed. story is the caller's, large, and used again for the next. */
void sim_run(const struct sim_run_options *options, struct sim_story *story,
             struct sim_story_judge *judge, struct sim_run_result *ret_result);
