#include "runtime/token_bucket.h"

/*
 * Time is counted in steps of 1/16 ns: fine enough that rounding the price of one
 * token up costs little of a high rate, coarse enough that the word lasts for 36
 * years of uptime.
 *
 *     price   = ceil(1 s / rate)             of one token, in steps
 *     full_at                                 the instant when the bucket is full again
 *     missing = max(full_at - now, 0)        steps by which it is not full now
 *
 * Taking cost tokens is allowed when missing + cost * price <= burst * price, and
 * moves full_at to now + missing + cost * price.
 *
 * All accesses are relaxed. The word guards no other data, so there is nothing to
 * order: it only has to change in one piece, which compare-and-swap gives. A lost
 * race means that another thread took tokens, so the loop goes on only while
 * somebody makes progress.
 */

enum { STEPS_PER_NS = 16 };

static const uint64_t STEPS_PER_S = (uint64_t)1000000000 * STEPS_PER_NS;

static_assert((uint64_t)TOKEN_BUCKET_BURST_MAX < UINT64_MAX / 4 / ((uint64_t)1000000000 * 16),
              "burst * price does not overflow, even at one token per second");

static uint64_t price_of(uint64_t rate_per_s)
{
    assert(rate_per_s > 0);
    assert(rate_per_s <= TOKEN_BUCKET_RATE_MAX);
    return (STEPS_PER_S + rate_per_s - 1) / rate_per_s;
}

static uint64_t missing_at(uint64_t full_at, uint64_t now)
{
    return full_at > now ? full_at - now : 0;
}

bool token_bucket_take(struct token_bucket *bucket, uint64_t now_ns, uint32_t cost,
                       uint64_t rate_per_s, uint32_t burst, uint64_t *ret_wait_ns)
{
    uint64_t price = price_of(rate_per_s);
    uint64_t now = now_ns * STEPS_PER_NS;
    uint64_t full_at = __atomic_load_n(&bucket->full_at, __ATOMIC_RELAXED);
    bool taken = false;

    assert(burst > 0);
    assert(burst <= TOKEN_BUCKET_BURST_MAX);
    assert(now_ns <= UINT64_MAX / STEPS_PER_NS / 2);
    if (cost > burst) {
        *ret_wait_ns = UINT64_MAX;
        return false;
    }
    while (!taken) {
        uint64_t after = missing_at(full_at, now) + cost * price;

        if (after > burst * price) {
            *ret_wait_ns = (after - burst * price + STEPS_PER_NS - 1) / STEPS_PER_NS;
            return false;
        }
        taken = __atomic_compare_exchange_n(&bucket->full_at, &full_at, now + after, true,
                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
    return true;
}

uint32_t token_bucket_left(const struct token_bucket *bucket, uint64_t now_ns, uint64_t rate_per_s,
                           uint32_t burst)
{
    uint64_t price = price_of(rate_per_s);
    uint64_t full_at = __atomic_load_n(&bucket->full_at, __ATOMIC_RELAXED);
    uint64_t missing = missing_at(full_at, now_ns * STEPS_PER_NS);
    uint64_t missing_tokens = (missing + price - 1) / price;

    assert(burst > 0);
    assert(burst <= TOKEN_BUCKET_BURST_MAX);
    return missing_tokens >= burst ? 0 : burst - (uint32_t)missing_tokens;
}
