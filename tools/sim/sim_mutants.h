/*
 * Sim mutants: does the simulation find what it is there to find?
 *
 * A build with the option `mutants` has planted bugs in it (runtime/sim_point.h), all
 * of them asleep. Each is woken alone, and seeds are run until one fails. The number
 * of seeds needed is that of the smallest failing seed plus one, so that it does not
 * depend on the machine. A mutant that no seed finds is a hole in the simulation; one
 * whose place no seed even meets is a hole in the workload.
 */
#pragma once

#include "tools/sim/sim_campaign.h"

enum {
    SIM_MUTANT_COUNT_MAX = 256,
    SIM_MUTANT_SEED_BUDGET = 1000, /* per mutant; a good default */
};

/* What came of one mutant. */
struct sim_mutant {
    const char *name;
    bool was_met; /* its place, in some seed */
    bool was_caught;
    uint64_t seed_count;                /* up to and with the smallest that fails, when caught */
    char what[SIM_STORY_WHAT_SIZE_MAX]; /* how it showed, when caught */
};

/* The mutants of this binary, by name. */
struct sim_mutants {
    struct sim_mutant items[SIM_MUTANT_COUNT_MAX];
    uint32_t count;
    uint32_t done_count; /* items that have been run */
};

/* Finds the mutants of this binary; none in an ordinary build. */
void sim_mutants_init(struct sim_mutants *mutants);

/* True when name is one of them. */
bool sim_mutants_has(const struct sim_mutants *mutants, const char *name);

/*
 * Runs the next mutant over the seeds of options, to which it adds the mutant. 0,
 * -EINTR after a signal, or -errno.
 */
MUST_USE int sim_mutants_run_next(struct sim_mutants *mutants,
                                  const struct sim_campaign_options *options);

/* Prints one line about the mutant that was run last. */
void sim_mutants_print_latest(const struct sim_mutants *mutants, FILE *stream);

/* How many seeds had to be run until all that were caught were: the most that one needed. */
uint64_t sim_mutants_seed_count(const struct sim_mutants *mutants);

/* How many of those that have been run were caught. */
uint32_t sim_mutants_caught_count(const struct sim_mutants *mutants);

/* Prints the results as one JSON object. */
void sim_mutants_print_json(const struct sim_mutants *mutants, FILE *stream);

/*
 * Puts the results as a table between the two markers of a Markdown file, which
 * must be there. 0, -ENOENT without the file, -EINVAL without the markers, or -errno.
 */
MUST_USE int sim_mutants_write_table(const struct sim_mutants *mutants, const char *path);
