#include "runtime/policy_presets.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

static const uint64_t MIN = 60000, H = 3600000;

static struct rng rng;

static void setup(void)
{
    rng_init_seed(&rng, 1);
}

static const struct policy_preset *preset(const char *name)
{
    const struct policy_preset *found = policy_presets_find(slice_of(name));

    cr_assert(ne(ptr, (void *)found, NULL), "%s", name);
    return found;
}

TestSuite(policy_presets, .init = setup, .timeout = 20);

Test(policy_presets, are_sound_and_found_by_their_names)
{
    uint32_t count;
    const struct policy_preset *presets = policy_presets_all(&count);

    cr_assert(lt(u32, 0, count));
    for (uint32_t i = 0; i < count; i++) {
        cr_expect(retry_policy_is_sound(&presets[i].retry), "%s", presets[i].name);
        cr_expect(breaker_policy_is_sound(&presets[i].breaker), "%s", presets[i].name);
        cr_expect(lt(u32, 0, presets[i].lease_ms), "%s", presets[i].name);
        cr_expect(lt(u32, 0, presets[i].deadline_ms), "%s", presets[i].name);
        /* A second one of the same name would never be found. */
        cr_expect(eq(ptr, (void *)preset(presets[i].name), (void *)&presets[i]));
    }
}

Test(policy_presets, know_no_other_names)
{
    static const char *const NAMES[] = {"", "defaul", "defaults", "Default", "webhook ", "ai"};

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        cr_expect(eq(ptr, (void *)policy_presets_find(slice_of(NAMES[i])), NULL), "'%s'", NAMES[i]);
    cr_expect(eq(ptr, (void *)policy_presets_find((struct slice){NULL, 0}), NULL));
}

Test(policy_presets, begin_with_the_default)
{
    uint32_t count;

    cr_expect(eq(ptr, (void *)policy_presets_default(), (void *)preset("default")));
    cr_expect(eq(ptr, (void *)policy_presets_default(), (void *)policy_presets_all(&count)));
}

/* What a user of each system saw: the waits between attempts, then the end. */
Test(policy_presets, reproduce_the_schedules_of_what_they_replace)
{
    static const struct {
        const char *name;
        uint32_t delay_count;
        uint64_t delays_ms[8];
    } CASES[] = {
        {"ai-job", 2, {5000, 10000}},
        {"order-integration", 2, {1000, 2000}},
        {"pg-boss", 2, {0, 0}},
        {"bullmq", 0, {0}},
        {"helpdesk-sla-monitor", 1, {60000}},
        {"helpdesk-escalation", 2, {5000, 10000}},
        {"helpdesk-assignment", 2, {5000, 10000}},
        {"helpdesk-notification", 4, {5000, 10000, 20000, 40000}},
        {"opsdesk-webhook", 2, {300000, 1800000}},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct retry_policy *policy = &preset(CASES[i].name)->retry;
        uint64_t delay_ms;

        for (uint32_t n = 0; n < CASES[i].delay_count; n++) {
            cr_assert(eq(int, retry_decide(policy, n + 1, true, 0, &rng, &delay_ms), RETRY_LATER),
                      "%s, attempt %u", CASES[i].name, n + 1);
            cr_expect(eq(u64, delay_ms, CASES[i].delays_ms[n]), "%s, attempt %u", CASES[i].name,
                      n + 1);
        }
        cr_expect(eq(int, retry_decide(policy, CASES[i].delay_count + 1, true, 0, &rng, &delay_ms),
                     RETRY_EXHAUSTED),
                  "%s", CASES[i].name);
    }
}

Test(policy_presets, keep_on_growing_with_more_attempts_than_the_originals_made)
{
    static const uint64_t OPSDESK_MIN[] = {5, 30, 120, 360, 360};
    static const uint64_t AI_S[] = {5, 10, 20, 40, 80, 120, 120};
    struct retry_policy opsdesk = preset("opsdesk-webhook")->retry;
    struct retry_policy ai = preset("ai-job")->retry;
    uint64_t delay_ms;

    opsdesk.max_attempts = ai.max_attempts = 100;
    for (uint32_t n = 0; n < ARRAY_COUNT(OPSDESK_MIN); n++) {
        cr_assert(eq(int, retry_decide(&opsdesk, n + 1, true, 0, &rng, &delay_ms), RETRY_LATER));
        cr_expect(eq(u64, delay_ms, OPSDESK_MIN[n] * MIN));
    }
    for (uint32_t n = 0; n < ARRAY_COUNT(AI_S); n++) {
        cr_assert(eq(int, retry_decide(&ai, n + 1, true, 0, &rng, &delay_ms), RETRY_LATER));
        cr_expect(eq(u64, delay_ms, AI_S[n] * 1000));
    }
}

Test(policy_presets, try_eight_times_with_full_jitter_by_default)
{
    const struct retry_policy *policy = &policy_presets_default()->retry;
    uint64_t delay_ms, widest_ms = 0;

    for (uint32_t attempt = 1; attempt < 8; attempt++)
        for (uint32_t i = 0; i < 1000; i++) {
            cr_assert(
                eq(int, retry_decide(policy, attempt, true, 0, &rng, &delay_ms), RETRY_LATER));
            cr_assert(le(u64, delay_ms, UINT64_C(1000) << (attempt - 1)));
            widest_ms = max_u64(widest_ms, delay_ms);
        }
    cr_expect(lt(u64, 63000, widest_ms));
    cr_expect(eq(int, retry_decide(policy, 8, true, 0, &rng, &delay_ms), RETRY_EXHAUSTED));
}

Test(policy_presets, deliver_webhooks_for_three_days_within_a_fifth)
{
    static const uint64_t STEPS_S[] = {5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};
    const struct retry_policy *policy = &preset("webhook")->retry;
    uint64_t delay_ms, plain_s = 0;

    for (uint32_t n = 0; n < ARRAY_COUNT(STEPS_S); n++) {
        plain_s += STEPS_S[n];
        for (uint32_t i = 0; i < 1000; i++) {
            cr_assert(eq(int, retry_decide(policy, n + 1, true, 0, &rng, &delay_ms), RETRY_LATER));
            cr_assert(ge(u64, delay_ms, STEPS_S[n] * 800));
            cr_assert(le(u64, delay_ms, STEPS_S[n] * 1200));
        }
    }
    cr_expect(eq(u64, plain_s, 75 * 3600 + 35 * 60 + 5));
    cr_expect(eq(int, retry_decide(policy, 10, true, 0, &rng, &delay_ms), RETRY_EXHAUSTED));
}

/* 10,000 deliveries that failed together do not come back together. */
Test(policy_presets, put_no_more_than_a_twentieth_of_webhooks_into_one_second)
{
    static uint32_t seconds[400];
    const struct retry_policy *policy = &preset("webhook")->retry;
    uint64_t delay_ms;

    for (uint32_t i = 0; i < 10000; i++) {
        cr_assert(eq(int, retry_decide(policy, 2, true, 0, &rng, &delay_ms), RETRY_LATER));
        cr_assert(lt(u64, delay_ms / 1000, ARRAY_COUNT(seconds)));
        seconds[delay_ms / 1000]++;
    }
    for (size_t i = 0; i < ARRAY_COUNT(seconds); i++)
        cr_expect(le(u32, seconds[i], 500));
}

Test(policy_presets, obey_a_subscriber_for_a_day_and_anybody_else_for_an_hour)
{
    uint64_t delay_ms = 0;

    cr_assert(eq(int, retry_decide(&preset("webhook")->retry, 1, true, 100 * H, &rng, &delay_ms),
                 RETRY_LATER));
    cr_expect(ge(u64, delay_ms, 24 * H));
    cr_expect(le(u64, delay_ms, 24 * H * 120 / 100));
    cr_assert(eq(int, retry_decide(&preset("ai-job")->retry, 1, true, 100 * H, &rng, &delay_ms),
                 RETRY_LATER));
    cr_expect(eq(u64, delay_ms, H));
}

Test(policy_presets, have_breakers_where_the_peers_are_others)
{
    static const struct breaker_policy NONE;
    static const struct {
        const char *name;
        bool has_breaker;
    } CASES[] = {
        {"default", true},
        {"order-integration", true},
        {"webhook", true},
        {"ai-job", false},
        {"pg-boss", false},
        {"bullmq", false},
        {"helpdesk-sla-monitor", false},
        {"helpdesk-escalation", false},
        {"helpdesk-assignment", false},
        {"helpdesk-notification", false},
        {"opsdesk-webhook", false},
    };
    uint32_t count;

    (void)policy_presets_all(&count);
    cr_assert(eq(u32, count, ARRAY_COUNT(CASES)));
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        cr_expect(eq(int, memcmp(&preset(CASES[i].name)->breaker, &NONE, sizeof(NONE)) != 0,
                     CASES[i].has_breaker),
                  "%s", CASES[i].name);
}

/* Two records of three attempts each: the second one finds the breaker open. */
Test(policy_presets, trip_the_order_integration_at_the_fifth_attempt_and_close_after_three_probes)
{
    const struct breaker_policy *policy = &preset("order-integration")->breaker;
    uint64_t now_ms = 1700000000000;
    uint32_t generations[3];
    struct breaker breaker;

    breaker_init(&breaker, policy, now_ms, 0);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert(eq(int, breaker_admit(&breaker, policy, now_ms, generations), BREAKER_ADMITTED));
        cr_expect(
            eq(int, breaker_on_result(&breaker, policy, now_ms, generations[0], false), i == 4));
    }
    cr_expect(
        eq(int, breaker_admit(&breaker, policy, now_ms + 60000, generations), BREAKER_PARKED));
    now_ms += 60001;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(
            eq(int, breaker_admit(&breaker, policy, now_ms, &generations[i]), BREAKER_ADMITTED));
    cr_expect(eq(int, breaker_admit(&breaker, policy, now_ms, &generations[0]), BREAKER_PARKED));
    for (uint32_t i = 0; i < 3; i++)
        cr_expect(
            eq(int, breaker_on_result(&breaker, policy, now_ms, generations[i], true), i == 2));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
}
