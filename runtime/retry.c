#include "runtime/retry.h"

#include "runtime/backoff.h"
#include "runtime/sim_point.h"

/*
 * The growth of a delay is that of runtime/backoff, which supervisors use to restart
 * actors; a retry adds to it an end, schedules, other jitters and what the peer asks
 * for. A backoff's own jitter only lengthens, which suits restarts and breakers, so
 * it is left at 0 here and the spread is drawn below.
 */

static bool jitter_is_sound(const struct retry_policy *policy)
{
    switch (policy->jitter) {
    case RETRY_JITTER_NONE:
    case RETRY_JITTER_FULL:
        return policy->jitter_percent == 0;
    case RETRY_JITTER_PROPORTIONAL:
        return policy->jitter_percent <= 100;
    default:
        return false;
    }
}

bool retry_policy_is_sound(const struct retry_policy *policy)
{
    return policy->max_attempts > 0 && policy->schedule_count <= RETRY_SCHEDULE_MAX &&
           (policy->schedule_count > 0 || policy->base_ms <= policy->cap_ms) &&
           jitter_is_sound(policy);
}

/* The delay before jitter; it fits 32 bits. */
static uint64_t plain_delay_ms(const struct retry_policy *policy, uint32_t attempt, struct rng *rng)
{
    struct backoff growth = {
        .min_ms = policy->base_ms,
        .max_ms = policy->cap_ms,
        .factor = policy->factor,
    };

    assert(attempt > 0);
    if (policy->schedule_count > 0)
        return policy->schedule_ms[min_u64(attempt, policy->schedule_count) - 1];
    return backoff_delay_ms(&growth, attempt - 1, rng);
}

/* A number from 0 to max_ms, evenly; no draw is wasted on certainty. */
static uint64_t draw_ms(uint64_t max_ms, struct rng *rng)
{
    return max_ms > 0 ? rng_below(rng, max_ms + 1) : 0;
}

static uint64_t spread(const struct retry_policy *policy, uint64_t plain_ms, struct rng *rng)
{
    uint64_t width_ms;

    switch (policy->jitter) {
    case RETRY_JITTER_PROPORTIONAL:
        width_ms = plain_ms * policy->jitter_percent / 100;
        return plain_ms - width_ms + draw_ms(2 * width_ms, rng);
    case RETRY_JITTER_FULL:
        return draw_ms(plain_ms, rng);
    case RETRY_JITTER_NONE:
    default:
        return plain_ms;
    }
}

/* Jitter above what the peer asked for: never below it, and not all at one instant. */
static uint64_t spread_upwards(const struct retry_policy *policy, uint64_t asked_ms,
                               uint64_t plain_ms, struct rng *rng)
{
    switch (policy->jitter) {
    case RETRY_JITTER_PROPORTIONAL:
        return asked_ms + draw_ms(asked_ms * policy->jitter_percent / 100, rng);
    case RETRY_JITTER_FULL:
        return asked_ms + draw_ms(plain_ms, rng);
    case RETRY_JITTER_NONE:
    default:
        return asked_ms;
    }
}

static uint64_t delay_ms_after(const struct retry_policy *policy, uint32_t attempt,
                               uint64_t retry_after_ms, struct rng *rng)
{
    uint32_t asked_cap_ms =
        policy->retry_after_cap_ms != 0 ? policy->retry_after_cap_ms : RETRY_AFTER_CAP_MS_DEFAULT;
    uint64_t asked_ms = min_u64(retry_after_ms, asked_cap_ms);
    uint64_t plain_ms = plain_delay_ms(policy, attempt, rng);
    uint64_t delay_ms = spread(policy, plain_ms, rng);

    if (policy->schedule_count == 0)
        delay_ms = min_u64(delay_ms, policy->cap_ms);
    if (delay_ms < asked_ms)
        delay_ms = spread_upwards(policy, asked_ms, plain_ms, rng);
    return delay_ms;
}

enum retry_verdict retry_decide(const struct retry_policy *policy, uint32_t attempt, bool retryable,
                                uint64_t retry_after_ms, struct rng *rng, uint64_t *ret_delay_ms)
{
    assert(retry_policy_is_sound(policy));
    assert(attempt > 0);
    if (!retryable)
        return RETRY_NOT_RETRYABLE;
    if (attempt >= policy->max_attempts && !MUTANT("retry_without_bound"))
        return RETRY_EXHAUSTED;
    *ret_delay_ms = delay_ms_after(policy, attempt, retry_after_ms, rng);
    return RETRY_LATER;
}
