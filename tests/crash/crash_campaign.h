/*
 * Crash campaign: all crash states of one recorded round, each judged.
 *
 * At each moment of the log that matters the campaign takes states as its bounds say:
 * every combination of what is uncertain while there are few, else none of it, all of
 * it, each piece alone, and random ones; and random ones with torn writes on top. Of
 * the states that recovery had to put right, some have that recovery recorded and
 * crashed at every write of its own.
 */
#pragma once

#include "tests/crash/crash_cursor.h"
#include "tests/crash/crash_judge.h"

/* How much to do. */
struct crash_bounds {
    uint32_t state_count_max;     /* untorn states of a moment; more are sampled */
    uint32_t alone_count_max;     /* of these, effects that are there alone */
    uint32_t torn_count;          /* torn states of a moment */
    uint32_t recovery_period;     /* one in so many repaired states is crashed again; 0: none */
    uint32_t recovery_torn_count; /* torn states of a moment of recovery */
};

/* Owned by one thread. Fields are read-only between calls. */
struct crash_campaign {
    struct crash_judge *judge;
    const struct crash_bounds *bounds;
    struct rng rng;
    const char *failure_path;  /* where a failing state is put, or NULL: findings are kept quiet */
    enum crash_finding wanted; /* pass over every other finding; CRASH_GOOD: over none */
    uint64_t moment_count;
    uint64_t state_count;
    uint64_t repaired_count;
    uint64_t recovery_crash_count; /* recoveries that were recorded and crashed */
    uint64_t recovery_state_count; /* states they left */
    enum crash_finding finding;    /* the first that is not good */
    struct crash_disk chosen;      /* one of the repaired states, any, before its start */
    bool has_chosen;
    bool is_there[CRASH_EVENT_COUNT_MAX]; /* the events in it */
    uint64_t chosen_from_count;
};

/* Borrows all. */
void crash_campaign_init(struct crash_campaign *campaign, struct crash_judge *judge,
                         const struct crash_bounds *bounds, uint64_t seed);

/* Frees what the campaign holds. */
void crash_campaign_deinit(struct crash_campaign *campaign);

/* Judges the states of ledger's log, until a finding. flaws as for crash_cursor_init(). */
enum crash_finding crash_campaign_run(struct crash_campaign *campaign, struct crash_ledger *ledger,
                                      uint32_t flaws);
