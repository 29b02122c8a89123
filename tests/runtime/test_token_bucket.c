#include "runtime/token_bucket.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "runtime/rng.h"

static const uint64_t S = 1000000000;

static struct token_bucket bucket;
static uint64_t now_ns;
static uint64_t wait_ns;

static void setup(void)
{
    bucket = (struct token_bucket){0};
    now_ns = 1000 * S;
    wait_ns = 0;
}

static bool take(uint32_t cost, uint64_t rate_per_s, uint32_t burst)
{
    return token_bucket_take(&bucket, now_ns, cost, rate_per_s, burst, &wait_ns);
}

TestSuite(token_bucket, .init = setup, .timeout = 20);

Test(token_bucket, lets_exactly_the_burst_through_at_once)
{
    static const uint64_t rates[] = {1, 3, 7, 700000, 999999937, TOKEN_BUCKET_RATE_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(rates); i++) {
        bucket = (struct token_bucket){0};
        for (int taken = 0; taken < 30; taken++)
            cr_assert(take(1, rates[i], 30));
        cr_assert(not(take(1, rates[i], 30)));
        cr_expect(lt(u64, 0, wait_ns));
    }
}

Test(token_bucket, says_exactly_how_long_to_wait)
{
    cr_assert(take(10, 10, 10));
    cr_assert(not(take(3, 10, 10)));
    cr_expect(eq(u64, wait_ns, 3 * S / 10));

    now_ns += wait_ns - 1;
    cr_expect(not(take(3, 10, 10)));
    cr_expect(eq(u64, wait_ns, 1));
    now_ns += 1;
    cr_expect(take(3, 10, 10));
}

Test(token_bucket, keeps_its_word_about_the_wait_at_any_rate)
{
    static const uint64_t rates[] = {1, 3, 7, 11, 999, 700000, 333333333, 999999937};

    for (size_t i = 0; i < ARRAY_COUNT(rates); i++) {
        bucket = (struct token_bucket){0};
        cr_assert(take(100, rates[i], 100));
        for (uint32_t cost = 1; cost <= 100; cost += 33) {
            cr_assert(not(take(cost, rates[i], 100)));
            now_ns += wait_ns;
            cr_assert(take(cost, rates[i], 100));
        }
    }
}

Test(token_bucket, takes_nothing_when_it_refuses)
{
    cr_assert(take(8, 10, 10));
    cr_assert(not(take(3, 10, 10)));

    cr_expect(eq(u32, token_bucket_left(&bucket, now_ns, 10, 10), 2));
    cr_expect(take(2, 10, 10));
}

Test(token_bucket, never_lets_more_than_its_burst_gather)
{
    now_ns += 1000000 * S;
    cr_expect(eq(u32, token_bucket_left(&bucket, now_ns, 10, 5), 5));
    cr_expect(take(5, 10, 5));
    cr_expect(not(take(1, 10, 5)));
}

Test(token_bucket, says_never_when_the_cost_is_above_the_burst)
{
    cr_expect(not(take(11, 10, 10)));
    cr_expect(eq(u64, wait_ns, UINT64_MAX));
    cr_expect(eq(u32, token_bucket_left(&bucket, now_ns, 10, 10), 10));
}

Test(token_bucket, counts_a_started_token_as_not_there)
{
    cr_assert(take(10, 10, 10));
    now_ns += S / 10 + S / 20;

    cr_expect(eq(u32, token_bucket_left(&bucket, now_ns, 10, 10), 1));
}

Test(token_bucket, accepts_a_clock_that_is_a_little_behind)
{
    cr_assert(take(10, 10, 10));
    now_ns -= S / 10;

    cr_expect(not(take(1, 10, 10)));
    cr_expect(eq(u64, wait_ns, 2 * S / 10));
    cr_expect(eq(u32, token_bucket_left(&bucket, now_ns, 10, 10), 0));
}

Test(token_bucket, follows_a_new_rate_and_burst)
{
    cr_assert(take(10, 10, 10));

    now_ns += S;
    cr_expect(take(100, 1000, 100));
    cr_expect(not(take(1, 10, 1)));
}

Test(token_bucket, works_at_its_limits)
{
    now_ns = UINT64_MAX / 32;
    cr_expect(take(TOKEN_BUCKET_BURST_MAX, 1, TOKEN_BUCKET_BURST_MAX));
    cr_expect(not(take(TOKEN_BUCKET_BURST_MAX, 1, TOKEN_BUCKET_BURST_MAX)));
    cr_expect(eq(u64, wait_ns, TOKEN_BUCKET_BURST_MAX * S));
}

Test(token_bucket, keeps_its_rate_over_random_demand)
{
    struct rng rng;

    rng_init_seed(&rng, 5);
    for (int round = 0; round < 50; round++) {
        uint64_t rate = 1 + rng_below(&rng, 1000000);
        uint32_t burst = 1 + (uint32_t)rng_below(&rng, 1000);
        uint64_t taken = 0;
        uint64_t start_ns;

        setup();
        start_ns = now_ns;
        for (int step = 0; step < 5000; step++) {
            uint32_t cost = 1 + (uint32_t)rng_below(&rng, burst);

            if (take(cost, rate, burst))
                taken += cost;
            else
                now_ns += rng_chance(&rng, 1, 2) ? wait_ns : rng_below(&rng, wait_ns + 1);
            /* Whole seconds are far below 2^64 / 1e6 here. */
            cr_assert(
                le(u64, taken,
                   burst + (now_ns - start_ns) / S * rate + (now_ns - start_ns) % S * rate / S));
        }
        /* Demand was always there, so little of the rate may be lost to rounding. */
        cr_assert(ge(dbl, (double)taken, 0.99 * (double)(now_ns - start_ns) / 1e9 * (double)rate));
    }
}

Test(token_bucket, aborts_on_a_rate_of_zero, .signal = SIGABRT)
{
    (void)!take(1, 0, 1);
}
