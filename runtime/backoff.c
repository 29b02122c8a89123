#include "runtime/backoff.h"

static void backoff_check(const struct backoff *backoff)
{
    assert(backoff->min_ms <= backoff->max_ms);
    assert(backoff->jitter_percent <= 1000);
}

uint64_t backoff_delay_ms(const struct backoff *backoff, uint32_t attempt, struct rng *rng)
{
    uint64_t factor = backoff->factor != 0 ? backoff->factor : 2;
    uint64_t delay_ms = backoff->min_ms;
    uint64_t jitter_ms;

    backoff_check(backoff);
    if (backoff->min_ms == 0)
        return 0;
    for (uint32_t i = 0; i < attempt && delay_ms < backoff->max_ms && factor > 1; i++)
        delay_ms *= factor; /* both fit 32 bits, and the loop ends at max_ms */
    delay_ms = min_u64(delay_ms, backoff->max_ms);
    jitter_ms = delay_ms * backoff->jitter_percent / 100;
    if (jitter_ms > 0)
        delay_ms += rng_below(rng, jitter_ms + 1);
    return min_u64(delay_ms, backoff->max_ms);
}

uint64_t backoff_healthy_ms(const struct backoff *backoff)
{
    backoff_check(backoff);
    return backoff->healthy_ms != 0 ? backoff->healthy_ms : backoff->max_ms;
}
