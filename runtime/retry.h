/*
 * Retry: what becomes of a piece of work whose attempt has failed.
 *
 * A policy is plain data, copied by value into whoever uses it; the decision is a
 * function of it, the number of the attempt and the generator, with no clock and no
 * state, so that the same seed gives the same schedule. When an attempt fails, one
 * of three things comes of it:
 *
 *     may not be repeated                   RETRY_NOT_RETRYABLE   dead letter at once
 *     was the last one that is allowed      RETRY_EXHAUSTED       dead letter
 *     else                                  RETRY_LATER           after *ret_delay_ms
 *
 * An attempt is a handler that was started. Work that waits behind an open breaker,
 * a rate limit or a power cut has used none; who counts must see to that.
 *
 * The delay after attempt n (1 is the first) is taken from the schedule, when there
 * is one, else it grows:
 *
 *     schedule_ms[min(n, schedule_count) - 1]       or
 *     min(cap_ms, base_ms * factor^(n - 1))         factor 1: a fixed delay
 *
 * Jitter then spreads it: not at all; evenly within jitter_percent to either side; or
 * evenly from 0 to the delay (full). cap_ms is applied last and holds for the growing
 * delay only: the entries of a schedule are meant as they stand.
 *
 * A peer that says Retry-After is obeyed up to retry_after_cap_ms: the delay is never
 * less than that, whatever cap_ms says, and what the policy has of jitter comes on
 * top, so that those told the same do not come back together.
 */
#pragma once

#include "runtime/base.h"
#include "runtime/rng.h"

enum {
    RETRY_SCHEDULE_MAX = 16,              /* delays in an explicit schedule */
    RETRY_AFTER_CAP_MS_DEFAULT = 3600000, /* 1 h */
};

/* For cap_ms, of systems that have no cap: 49 days. */
#define RETRY_NO_CAP UINT32_MAX

enum retry_jitter {
    RETRY_JITTER_NONE,
    RETRY_JITTER_PROPORTIONAL, /* jitter_percent of the delay, to either side */
    RETRY_JITTER_FULL,         /* from 0 to the delay */
};

/* Any value for which retry_policy_is_sound(). */
struct retry_policy {
    uint32_t max_attempts; /* at least 1, the first included */
    uint32_t base_ms;      /* 0: no delay */
    uint32_t cap_ms;       /* at least base_ms */
    uint32_t factor;       /* 0 means 2; 1: fixed */
    enum retry_jitter jitter;
    uint32_t jitter_percent;     /* 0 to 100; for RETRY_JITTER_PROPORTIONAL only */
    uint32_t retry_after_cap_ms; /* 0 means RETRY_AFTER_CAP_MS_DEFAULT */
    uint32_t schedule_count;     /* 0: base_ms, cap_ms and factor count; else only these */
    uint32_t schedule_ms[RETRY_SCHEDULE_MAX];
};

enum retry_verdict {
    RETRY_LATER,
    RETRY_EXHAUSTED,
    RETRY_NOT_RETRYABLE,
};

/* True for a policy that the others take; ask before using one from outside. */
MUST_USE bool retry_policy_is_sound(const struct retry_policy *policy);

/*
 * Decides after attempt number attempt (1 is the first) has failed. Pass true for
 * retryable unless the failure is of a kind that a repetition cannot heal, and what
 * the peer asked for in retry_after_ms, 0 if nothing. *ret_delay_ms is set with
 * RETRY_LATER only. Numbers are drawn from rng (borrowed) only where there is jitter.
 * Nothing overflows at any attempt or retry_after_ms. The policy must be sound.
 */
MUST_USE enum retry_verdict retry_decide(const struct retry_policy *policy, uint32_t attempt,
                                         bool retryable, uint64_t retry_after_ms, struct rng *rng,
                                         uint64_t *ret_delay_ms);
