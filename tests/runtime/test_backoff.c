#include "runtime/backoff.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

static struct rng rng;

static void setup(void)
{
    rng_init_seed(&rng, 1);
}

TestSuite(backoff, .init = setup, .timeout = 10);

Test(backoff, doubles_until_the_cap_without_jitter)
{
    static const struct backoff B = {.min_ms = 1000, .max_ms = 60000};
    static const uint64_t EXPECTED[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};

    for (uint32_t i = 0; i < 8; i++)
        cr_expect(eq(u64, backoff_delay_ms(&B, i, &rng), EXPECTED[i]));
    cr_expect(eq(u64, backoff_delay_ms(&B, UINT32_MAX, &rng), 60000));
}

Test(backoff, stays_between_the_exact_delay_and_delay_plus_jitter_and_below_the_cap)
{
    static const struct backoff B = {.min_ms = 100, .max_ms = 5000, .jitter_percent = 50};
    bool varied = false;

    for (uint32_t attempt = 0; attempt < 10; attempt++) {
        uint64_t base = attempt < 6 ? UINT64_C(100) << attempt : 5000;

        for (uint32_t i = 0; i < 1000; i++) {
            uint64_t delay_ms = backoff_delay_ms(&B, attempt, &rng);

            cr_assert(ge(u64, delay_ms, base));
            cr_assert(le(u64, delay_ms, base + base / 2));
            cr_assert(le(u64, delay_ms, 5000));
            varied = varied || delay_ms != base;
        }
    }
    cr_expect(varied);
}

Test(backoff, of_factor_one_is_constant)
{
    static const struct backoff B = {.min_ms = 250, .max_ms = 5000, .factor = 1};

    cr_expect(eq(u64, backoff_delay_ms(&B, 0, &rng), 250));
    cr_expect(eq(u64, backoff_delay_ms(&B, UINT32_MAX, &rng), 250));
}

Test(backoff, of_nothing_is_no_wait)
{
    static const struct backoff B = {0};

    cr_expect(eq(u64, backoff_delay_ms(&B, 5, &rng), 0));
}

Test(backoff, takes_the_cap_as_the_healthy_interval_by_default)
{
    static const struct backoff B = {.min_ms = 1, .max_ms = 700};
    static const struct backoff C = {.min_ms = 1, .max_ms = 700, .healthy_ms = 9};

    cr_expect(eq(u64, backoff_healthy_ms(&B), 700));
    cr_expect(eq(u64, backoff_healthy_ms(&C), 9));
}

Test(backoff, aborts_on_a_cap_below_the_minimum, .signal = SIGABRT)
{
    static const struct backoff B = {.min_ms = 10, .max_ms = 5};

    (void)backoff_delay_ms(&B, 0, &rng);
}
