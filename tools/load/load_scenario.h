/*
 * Load scenario: what is sent when, a story of events or one request over and over.
 *
 * With a rate the story follows a schedule; without one it has its own rhythm, that of
 * the generator that it was taken over from:
 *
 *     scenario           own rhythm                            with a rate
 *     request            -                                     the request
 *     normal             each second one batch: 2-3 signups,   these, by the same weights
 *                        5-9 requests, 1 % an error
 *     spike_errors       50 payment errors at once             payment errors
 *     drop_signups       3 signups a second for a third of     signups; after a third of
 *                        the time, then one, 10 % a second     the time 1 of 30 is left
 *     deploy_then_spike  a deploy, 2 s later 40 errors         a deploy, after 2 s errors
 *     burst              35 errors 50-150 ms apart             the errors of a burst
 *
 * Pure: knows no clock; the seed decides all.
 */
#pragma once

#include "tools/load/load_schedule.h"

enum {
    LOAD_BATCH_COUNT_MAX = 100, /* events of one request; more is refused by the server */
    LOAD_SCENARIO_EVENTS_MAX = 1000000,
};

enum load_scenario_kind {
    LOAD_SCENARIO_REQUEST,
    LOAD_SCENARIO_NORMAL,
    LOAD_SCENARIO_SPIKE_ERRORS,
    LOAD_SCENARIO_DROP_SIGNUPS,
    LOAD_SCENARIO_DEPLOY_THEN_SPIKE,
    LOAD_SCENARIO_BURST,
};

/* What one request is made of. */
enum load_mix {
    LOAD_MIX_REQUEST,       /* the request of the command line */
    LOAD_MIX_NORMAL,        /* events of everyday life, by weight */
    LOAD_MIX_NORMAL_SECOND, /* a second of it in one batch; event_count is 0 */
    LOAD_MIX_SIGNUP,
    LOAD_MIX_PAYMENT_ERROR,
    LOAD_MIX_DEPLOY,
    LOAD_MIX_BURST_ERROR,
    LOAD_MIX_COUNT,
};

/* One request to come. */
struct load_arrival {
    uint64_t due_ns; /* since the beginning */
    uint16_t mix;    /* enum load_mix */
    uint16_t event_count;
};

struct load_scenario_config {
    enum load_scenario_kind kind;
    bool has_rate;               /* profile and arrivals hold, else its own rhythm */
    struct load_profile profile; /* duration_ns holds in any case */
    enum load_arrivals arrivals;
    uint32_t batch_count; /* events of one request, with a rate; 1 to LOAD_BATCH_COUNT_MAX */
    uint32_t event_count; /* of a spike or burst without a rate; 0: as in the table */
    uint64_t seed;
};

/* Private to load_scenario.c; embedded by value. */
struct load_scenario {
    struct load_scenario_config config;
    struct load_schedule schedule;
    struct rng rng;
    uint64_t index;    /* arrivals given */
    uint64_t clock_ns; /* of the own rhythm */
    uint32_t left;     /* events of the spike that are still to come */
};

/* The scenario of that name, or false. */
MUST_USE bool load_scenario_parse(const char *name, enum load_scenario_kind *ret_kind);

/* Its name. Static. */
const char *load_scenario_name(enum load_scenario_kind kind);

/* Begins. */
void load_scenario_init(struct load_scenario *scenario, const struct load_scenario_config *config);

/* The next request, in the order of due_ns, or false after the last one. */
MUST_USE bool load_scenario_next(struct load_scenario *scenario, struct load_arrival *ret_arrival);

/* What is sent at now_ns when requests follow answers instead of a schedule. */
struct load_arrival load_scenario_at(struct load_scenario *scenario, uint64_t now_ns);
