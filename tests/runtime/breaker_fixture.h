/*
 * Breaker fixture: one breaker with its policy and the time, and what tests do with them.
 *
 * A test starts with begin(), which copies a policy that it may change afterwards; time
 * passes when it changes now_ms. The names are short because each line of a test is made
 * of them.
 */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/breaker.h"

static const uint64_t START_MS = 1700000000000, HOUR_MS = 3600000;

static const struct breaker_policy GOBREAKER = {.consecutive_failures = 5,
                                                .interval_ms = 30000,
                                                .open_ms = 60000,
                                                .probe_count = 3,
                                                .probe_successes = 3};
static const struct breaker_policy ONE_PROBE = {.consecutive_failures = 5,
                                                .open_ms = 30000,
                                                .open_ms_cap = 900000,
                                                .open_factor = 2,
                                                .probe_count = 1,
                                                .probe_successes = 1};
static const struct breaker_policy RATE = {.failure_percent = 50,
                                           .window_calls = 20,
                                           .window_calls_min = 10,
                                           .open_ms = 30000,
                                           .probe_count = 1,
                                           .probe_successes = 1};
static const struct breaker_policy NONE = {0};

static struct breaker breaker;
static struct breaker_policy policy;
static uint64_t now_ms;

/* A breaker of a copy of this policy, closed, at START_MS. */
static inline void begin(const struct breaker_policy *with)
{
    policy = *with;
    now_ms = START_MS;
    breaker_init(&breaker, &policy, now_ms, 0);
}

/* Asks for a call; true when it is parked, and then without a generation. */
static inline bool is_parked(void)
{
    uint32_t generation = 77;
    bool parked = breaker_admit(&breaker, &policy, now_ms, &generation) == BREAKER_PARKED;

    if (parked)
        cr_assert(eq(u32, generation, 77));
    return parked;
}

/* Starts a call, which must be admitted: its generation. */
static inline uint32_t start_call(void)
{
    uint32_t generation = 0;

    cr_assert(eq(int, breaker_admit(&breaker, &policy, now_ms, &generation), BREAKER_ADMITTED));
    return generation;
}

/* Ends a call: true when that changed the state. */
static inline bool end_call(uint32_t generation, bool success)
{
    return breaker_on_result(&breaker, &policy, now_ms, generation, success);
}

/* A whole call: true when it changed the state. */
static inline bool call(bool success)
{
    return end_call(start_call(), success);
}

/* Lets calls fail until it opens, which it must at the last one. */
static inline void trip(void)
{
    for (uint32_t i = 1; i < policy.consecutive_failures; i++)
        cr_assert(not(call(false)));
    cr_assert(call(false));
    cr_assert(eq(int, breaker_state(&breaker), BREAKER_OPEN));
}

/* To the first moment at which it is worth asking again. */
static inline void pass_open_time(void)
{
    now_ms = breaker_next_ms(&breaker, &policy, now_ms);
}
