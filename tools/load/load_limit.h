/*
 * Load limit: finds the highest rate that a target holds, by trying.
 *
 * Rates are doubled while the target holds them, then the gap between the highest that it
 * held and the lowest that it did not is halved until it is small. Pure: whoever tries
 * says whether the target held it.
 *
 *     load_limit_init(...); while (load_limit_next(&limit, &rate)) load_limit_note(&limit, ...);
 */
#pragma once

#include "runtime/base.h"

enum {
    LOAD_LIMIT_TRY_COUNT_MAX = 60,
    LOAD_LIMIT_REPEAT_COUNT_MAX = 2, /* of a try that said nothing */
};

/* What came of one try. */
enum load_limit_outcome {
    LOAD_LIMIT_HELD,
    LOAD_LIMIT_MISSED,  /* the target was too slow, or answered with errors */
    LOAD_LIMIT_UNKNOWN, /* the run was void: it says nothing about the target; tried again */
};

/* Public and read-only. */
struct load_limit {
    double rate_first;
    double precision; /* the gap that is small enough, as a share of the rate */
    double held;      /* the highest rate that was held; 0: none */
    double missed;    /* the lowest rate that was not; 0: none */
    double rate;      /* being tried */
    uint32_t try_count;
    uint32_t repeat_count;   /* of the present rate */
    bool is_generator_limit; /* `missed` is a rate that could not be tried */
};

/* Begins at rate_first; precision such as 0.05. */
void load_limit_init(struct load_limit *limit, double rate_first, double precision);

/* The next rate to try; false when the limit is found, or cannot be. */
MUST_USE bool load_limit_next(struct load_limit *limit, double *ret_rate);

/* What came of that try. */
void load_limit_note(struct load_limit *limit, enum load_limit_outcome outcome);
