/*
 * Backoff: how long to wait before the next try.
 *
 *     delay(n) = min(max, min_ms * factor^n * (1 + jitter))
 *
 * with a jitter drawn evenly from 0 to jitter_percent; the cap is applied last, so
 * no wait is ever longer than max_ms. Data only: who waits, and when the count
 * starts again, is the caller's.
 */
#pragma once

#include "runtime/base.h"
#include "runtime/rng.h"

/* min_ms 0 means no waiting at all. */
struct backoff {
    uint32_t min_ms;
    uint32_t max_ms;
    uint32_t factor; /* 0 means 2 */
    uint32_t jitter_percent;
    uint32_t healthy_ms; /* a life this long starts the count again; 0 means max_ms */
};

/* The wait before try number attempt (0 is the first retry). */
uint64_t backoff_delay_ms(const struct backoff *backoff, uint32_t attempt, struct rng *rng);

/* How long something must have lived for the count to start again. */
uint64_t backoff_healthy_ms(const struct backoff *backoff);
