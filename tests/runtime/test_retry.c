#include "runtime/retry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

static const struct retry_policy PLAIN = {
    .max_attempts = 8, .base_ms = 1000, .cap_ms = 300000, .factor = 2};

static struct rng rng;

static void setup(void)
{
    rng_init_seed(&rng, 1);
}

/* The delay after attempt; the verdict must be to try again. */
static uint64_t delay_after(const struct retry_policy *policy, uint32_t attempt,
                            uint64_t retry_after_ms)
{
    uint64_t delay_ms = UINT64_MAX;

    cr_assert(
        eq(int, retry_decide(policy, attempt, true, retry_after_ms, &rng, &delay_ms), RETRY_LATER));
    return delay_ms;
}

TestSuite(retry, .init = setup, .timeout = 20);

Test(retry, ends_with_the_last_attempt_that_is_allowed)
{
    struct retry_policy policy = PLAIN;
    uint64_t delay_ms = 77;

    policy.max_attempts = 3;
    cr_expect(eq(u64, delay_after(&policy, 1, 0), 1000));
    cr_expect(eq(u64, delay_after(&policy, 2, 0), 2000));
    cr_expect(eq(int, retry_decide(&policy, 3, true, 0, &rng, &delay_ms), RETRY_EXHAUSTED));
    cr_expect(eq(int, retry_decide(&policy, 4, true, 0, &rng, &delay_ms), RETRY_EXHAUSTED));
    cr_expect(
        eq(int, retry_decide(&policy, UINT32_MAX, true, 0, &rng, &delay_ms), RETRY_EXHAUSTED));
    cr_expect(eq(u64, delay_ms, 77));
}

Test(retry, allows_none_when_one_attempt_is_all)
{
    struct retry_policy policy = PLAIN;
    uint64_t delay_ms = 77;

    policy.max_attempts = 1;
    cr_expect(eq(int, retry_decide(&policy, 1, true, 9000, &rng, &delay_ms), RETRY_EXHAUSTED));
    cr_expect(eq(u64, delay_ms, 77));
}

Test(retry, does_not_repeat_what_cannot_heal_whatever_the_peer_asks_for)
{
    uint64_t delay_ms = 77;

    for (uint32_t attempt = 1; attempt < 10; attempt++)
        cr_expect(eq(int, retry_decide(&PLAIN, attempt, false, 5000, &rng, &delay_ms),
                     RETRY_NOT_RETRYABLE));
    cr_expect(eq(u64, delay_ms, 77));
}

Test(retry, follows_its_table)
{
    static const struct {
        struct retry_policy policy;
        uint64_t expected[6];
    } CASES[] = {
        {{.max_attempts = 99, .base_ms = 5000, .cap_ms = 120000, .factor = 2},
         {5000, 10000, 20000, 40000, 80000, 120000}},
        {{.max_attempts = 99, .base_ms = 1000, .cap_ms = 300000},
         {1000, 2000, 4000, 8000, 16000, 32000}},
        {{.max_attempts = 99, .base_ms = 7, .cap_ms = 1000, .factor = 3},
         {7, 21, 63, 189, 567, 1000}},
        {{.max_attempts = 99, .base_ms = 60000, .cap_ms = 60000, .factor = 1},
         {60000, 60000, 60000, 60000, 60000, 60000}},
        {{.max_attempts = 99, .cap_ms = 60000}, {0, 0, 0, 0, 0, 0}},
        {{.max_attempts = 99, .schedule_count = 4, .schedule_ms = {9, 3, 27, 1}},
         {9, 3, 27, 1, 1, 1}},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        for (uint32_t n = 0; n < ARRAY_COUNT(CASES[i].expected); n++)
            cr_expect(eq(u64, delay_after(&CASES[i].policy, n + 1, 0), CASES[i].expected[n]),
                      "case %zu, attempt %u", i, n + 1);
}

Test(retry, draws_the_same_schedule_from_the_same_seed)
{
    static const uint64_t EXPECTED[] = {703, 1041, 2296, 3131, 11155, 4594, 4546};
    struct retry_policy policy = PLAIN;

    policy.jitter = RETRY_JITTER_FULL;
    for (uint32_t n = 0; n < ARRAY_COUNT(EXPECTED); n++)
        cr_expect(eq(u64, delay_after(&policy, n + 1, 0), EXPECTED[n]));
}

Test(retry, draws_nothing_without_jitter)
{
    struct rng untouched;

    rng_init_seed(&untouched, 1);
    for (uint32_t attempt = 1; attempt < 8; attempt++)
        (void)delay_after(&PLAIN, attempt, 5000);
    cr_expect(eq(u64, rng_next(&rng), rng_next(&untouched)));
}

Test(retry, spreads_full_jitter_evenly_from_nothing_to_the_delay)
{
    struct retry_policy policy = PLAIN;
    uint32_t quarters[4] = {0};

    policy.jitter = RETRY_JITTER_FULL;
    for (uint32_t i = 0; i < 40000; i++) {
        uint64_t delay_ms = delay_after(&policy, 3, 0);

        cr_assert(le(u64, delay_ms, 4000));
        quarters[min_u64(delay_ms / 1000, 3)]++;
    }
    for (uint32_t i = 0; i < 4; i++) {
        cr_expect(lt(u32, 9500, quarters[i]));
        cr_expect(lt(u32, quarters[i], 10500));
    }
}

Test(retry, spreads_proportional_jitter_to_both_sides_and_within_its_share)
{
    static const struct retry_policy POLICY = {.max_attempts = 99,
                                               .jitter = RETRY_JITTER_PROPORTIONAL,
                                               .jitter_percent = 20,
                                               .schedule_count = 3,
                                               .schedule_ms = {5000, 300000, 86400000}};

    for (uint32_t attempt = 1; attempt <= 4; attempt++) {
        uint64_t plain_ms = POLICY.schedule_ms[min_u64(attempt, 3) - 1];
        uint32_t below = 0, above = 0;

        for (uint32_t i = 0; i < 10000; i++) {
            uint64_t delay_ms = delay_after(&POLICY, attempt, 0);

            cr_assert(ge(u64, delay_ms, plain_ms * 80 / 100));
            cr_assert(le(u64, delay_ms, plain_ms * 120 / 100));
            below += delay_ms < plain_ms ? 1 : 0;
            above += delay_ms > plain_ms ? 1 : 0;
        }
        cr_expect(lt(u32, 4500, below));
        cr_expect(lt(u32, 4500, above));
    }
}

Test(retry, never_waits_longer_than_the_cap_jitter_included)
{
    struct retry_policy policy = PLAIN;

    policy.max_attempts = UINT32_MAX;
    policy.jitter = RETRY_JITTER_PROPORTIONAL;
    policy.jitter_percent = 100;
    for (uint32_t i = 0; i < 10000; i++)
        cr_assert(le(u64, delay_after(&policy, i + 1, 0), 300000));
}

Test(retry, is_saturated_and_not_wrapped_at_any_attempt)
{
    static const uint32_t ATTEMPTS[] = {32, 33, 64, 65, 1000, 1u << 31, UINT32_MAX - 1};
    static const uint32_t FACTORS[] = {0, 2, 3, 65536, UINT32_MAX};
    struct retry_policy policy = {.max_attempts = UINT32_MAX, .base_ms = 1};

    policy.cap_ms = RETRY_NO_CAP;
    for (size_t f = 0; f < ARRAY_COUNT(FACTORS); f++)
        for (size_t i = 0; i < ARRAY_COUNT(ATTEMPTS); i++) {
            policy.factor = FACTORS[f];
            policy.jitter = RETRY_JITTER_NONE;
            cr_assert(eq(u64, delay_after(&policy, ATTEMPTS[i], 0),
                         i == 0 && FACTORS[f] <= 2 ? UINT64_C(1) << 31 : UINT32_MAX));
            policy.jitter = RETRY_JITTER_FULL;
            cr_assert(le(u64, delay_after(&policy, ATTEMPTS[i], 0), UINT32_MAX));
        }
    policy.factor = 1;
    policy.jitter = RETRY_JITTER_NONE;
    cr_expect(eq(u64, delay_after(&policy, 1u << 31, 0), 1));
}

Test(retry, waits_as_long_as_the_peer_asks_for_above_its_own_cap_too)
{
    cr_expect(eq(u64, delay_after(&PLAIN, 1, 500), 1000));
    cr_expect(eq(u64, delay_after(&PLAIN, 1, 120000), 120000));
    cr_expect(eq(u64, delay_after(&PLAIN, 7, 120000), 120000));
    cr_expect(eq(u64, delay_after(&PLAIN, 1, 1800000), 1800000));
}

Test(retry, obeys_the_peer_for_an_hour_at_most_unless_told_otherwise)
{
    struct retry_policy policy = PLAIN;

    cr_expect(eq(u64, delay_after(&policy, 1, 3600001), 3600000));
    cr_expect(eq(u64, delay_after(&policy, 1, UINT64_MAX), 3600000));
    policy.retry_after_cap_ms = 86400000;
    cr_expect(eq(u64, delay_after(&policy, 1, 3600001), 3600001));
    cr_expect(eq(u64, delay_after(&policy, 1, UINT64_MAX), 86400000));
    policy.retry_after_cap_ms = UINT32_MAX;
    cr_expect(eq(u64, delay_after(&policy, 1, UINT64_MAX), UINT32_MAX));
}

Test(retry, puts_jitter_on_top_of_what_the_peer_asks_for_and_never_below)
{
    static const uint64_t MAX_MS[] = {
        [RETRY_JITTER_NONE] = 120000,
        [RETRY_JITTER_PROPORTIONAL] = 144000,
        [RETRY_JITTER_FULL] = 124000,
    };
    struct retry_policy policy = PLAIN;

    for (uint32_t jitter = 0; jitter < ARRAY_COUNT(MAX_MS); jitter++) {
        bool varied = false;

        policy.jitter = (enum retry_jitter)jitter;
        policy.jitter_percent = policy.jitter == RETRY_JITTER_PROPORTIONAL ? 20 : 0;
        for (uint32_t i = 0; i < 1000; i++) {
            uint64_t delay_ms = delay_after(&policy, 3, 120000);

            cr_assert(ge(u64, delay_ms, 120000));
            cr_assert(le(u64, delay_ms, MAX_MS[jitter]));
            varied = varied || delay_ms > 120000;
        }
        cr_expect(eq(int, varied, policy.jitter != RETRY_JITTER_NONE));
    }
}

Test(retry, tells_unsound_policies_from_sound_ones)
{
    static const struct {
        bool is_sound;
        struct retry_policy policy;
    } CASES[] = {
        {true, {.max_attempts = 1}},
        {false, {.max_attempts = 0, .base_ms = 1, .cap_ms = 2}},
        {true, {.max_attempts = 1, .base_ms = 5, .cap_ms = 5}},
        {false, {.max_attempts = 1, .base_ms = 5, .cap_ms = 4}},
        {true, {.max_attempts = 1, .base_ms = 5, .schedule_count = RETRY_SCHEDULE_MAX}},
        {false, {.max_attempts = 1, .schedule_count = RETRY_SCHEDULE_MAX + 1}},
        {true, {.max_attempts = 1, .jitter = RETRY_JITTER_PROPORTIONAL, .jitter_percent = 100}},
        {false, {.max_attempts = 1, .jitter = RETRY_JITTER_PROPORTIONAL, .jitter_percent = 101}},
        {false, {.max_attempts = 1, .jitter = RETRY_JITTER_FULL, .jitter_percent = 1}},
        {false, {.max_attempts = 1, .jitter = (enum retry_jitter)3}},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        cr_expect(eq(int, retry_policy_is_sound(&CASES[i].policy), CASES[i].is_sound), "case %zu",
                  i);
}

Test(retry, aborts_on_an_attempt_that_nobody_can_have_made, .signal = SIGABRT)
{
    (void)delay_after(&PLAIN, 0, 0);
}

Test(retry, aborts_on_an_unsound_policy, .signal = SIGABRT)
{
    static const struct retry_policy POLICY = {0};

    (void)delay_after(&POLICY, 1, 0);
}
