/*
 * Load schedule: when requests are meant to start, whatever the target does.
 *
 * A profile says the rate at each moment: constant, a ramp from one rate to another, or
 * the same in steps. Arrivals follow it evenly or as a Poisson process, that is with
 * exponential gaps, as many clients that know nothing of each other make them. Pure:
 * knows no clock; the seed decides all.
 */
#pragma once

#include "runtime/rng.h"

static const double LOAD_RATE_MAX = 10e6; /* per second */
static const double LOAD_RATE_MIN = 0.001;

enum { LOAD_STEP_COUNT_MAX = 1000 };

enum load_arrivals {
    LOAD_ARRIVALS_CONSTANT,
    LOAD_ARRIVALS_POISSON,
};

/* The rate from 0 to duration_ns. Rates are within LOAD_RATE_MIN and LOAD_RATE_MAX. */
struct load_profile {
    double rate_first;   /* per second */
    double rate_last;    /* the same: constant */
    uint32_t step_count; /* 0: a ramp without steps; else at least 2 */
    uint64_t duration_ns;
};

/* Private to load_schedule.c; embedded by value. */
struct load_schedule {
    struct load_profile profile;
    enum load_arrivals arrivals;
    struct rng rng;
    uint64_t index;
    double position;   /* arrivals that the profile has given rise to by the next one */
    uint32_t step;     /* of a profile with steps, the one that position is in ... */
    double step_first; /* ... and the position at its beginning */
};

/* Reads "2000", "0.5" or, for a ramp, "100..5000". False for anything else. */
MUST_USE bool load_rate_parse(const char *text, double *ret_first, double *ret_last);

/* Begins. The same seed gives the same schedule. */
void load_schedule_init(struct load_schedule *schedule, const struct load_profile *profile,
                        enum load_arrivals arrivals, uint64_t seed);

/* When the next one is meant to start, nanoseconds since the beginning; false after the last. */
MUST_USE bool load_schedule_next(struct load_schedule *schedule, uint64_t *ret_due_ns);

/* The rate in the middle of the profile: how many there will be over how long. */
double load_profile_mean(const struct load_profile *profile);
