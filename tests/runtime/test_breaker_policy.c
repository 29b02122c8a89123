#include "runtime/breaker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "tests/runtime/breaker_fixture.h"

/*
 * What changes under a breaker: the clock is set, its policy becomes another one, or is
 * none that it can take.
 */

TestSuite(breaker_policy, .timeout = 20);

/* --- clock ---------------------------------------------------------------- */

Test(breaker_policy, stays_open_no_longer_than_its_open_time_when_the_clock_is_set_back)
{
    begin(&ONE_PROBE);
    trip();
    for (uint32_t i = 0; i < 3; i++) {
        now_ms -= HOUR_MS;
        cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 30001));
        cr_expect(is_parked());
        cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 30001));
    }
    now_ms += 30001;
    cr_expect(not(is_parked()));
}

Test(breaker_policy, sends_its_probe_early_when_the_clock_is_set_forward)
{
    begin(&ONE_PROBE);
    trip();
    now_ms += HOUR_MS;
    cr_assert(not(is_parked()));
    cr_expect(is_parked());
    now_ms -= HOUR_MS;
    cr_expect(is_parked()); /* still the one probe */
}

Test(breaker_policy, keeps_its_intervals_when_the_clock_jumps)
{
    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    now_ms -= HOUR_MS;
    breaker_release(&breaker, start_call());
    now_ms += 30001;
    cr_expect(not(call(false))); /* over after one interval, not after an hour */

    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    now_ms += HOUR_MS;
    cr_expect(not(call(false)));
}

/* --- policy --------------------------------------------------------------- */

Test(breaker_policy, follows_a_policy_with_a_shorter_open_time)
{
    begin(&ONE_PROBE);
    trip();
    policy.open_ms = 1000;
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 1001));
}

Test(breaker_policy, closes_when_the_policy_takes_it_away)
{
    begin(&ONE_PROBE);
    trip();
    policy = NONE;
    cr_expect(not(is_parked()));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));

    begin(&ONE_PROBE);
    trip();
    pass_open_time();
    (void)start_call();
    policy = NONE;
    cr_expect(not(is_parked()));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
}

Test(breaker_policy, does_not_wait_for_successes_that_a_new_policy_no_longer_asks_for)
{
    struct breaker_policy careful = ONE_PROBE;

    careful.probe_successes = 3;
    begin(&careful);
    trip();
    pass_open_time();
    (void)call(true);
    (void)call(true);
    policy.probe_successes = 2;
    cr_expect(not(is_parked()));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
}

Test(breaker_policy, begins_and_ends_its_intervals_with_the_policy)
{
    begin(&ONE_PROBE);
    policy.interval_ms = 1000;
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    now_ms += 1001;
    cr_expect(not(call(false)));
    policy.interval_ms = 0;
    now_ms += HOUR_MS;
    for (uint32_t i = 0; i < 3; i++)
        cr_expect(not(call(false)));
    cr_expect(call(false));
}

Test(breaker_policy, tells_unsound_policies_from_sound_ones)
{
    struct breaker_policy p;

#define EXPECT_SOUND(is_sound, base, ...)                                                          \
    p = base;                                                                                      \
    __VA_ARGS__;                                                                                   \
    cr_expect(eq(int, breaker_policy_is_sound(&p), is_sound), "%s", #__VA_ARGS__)

    EXPECT_SOUND(true, GOBREAKER, (void)0);
    EXPECT_SOUND(true, ONE_PROBE, (void)0);
    EXPECT_SOUND(true, RATE, (void)0);
    EXPECT_SOUND(true, NONE, (void)0);
    EXPECT_SOUND(true, NONE, p.open_ms_cap = 1);
    EXPECT_SOUND(false, GOBREAKER, p.open_ms = 0);
    EXPECT_SOUND(false, GOBREAKER, p.open_ms_cap = 59999);
    EXPECT_SOUND(true, GOBREAKER, p.open_ms_cap = 60000);
    EXPECT_SOUND(false, GOBREAKER, p.open_jitter_percent = 101);
    EXPECT_SOUND(false, GOBREAKER, p.probe_count = 0);
    EXPECT_SOUND(false, GOBREAKER, p.probe_successes = 0);
    EXPECT_SOUND(false, GOBREAKER, p.probe_count = BREAKER_COUNT_MAX + 1);
    EXPECT_SOUND(false, GOBREAKER, p.probe_successes = BREAKER_COUNT_MAX + 1);
    EXPECT_SOUND(false, GOBREAKER, p.consecutive_failures = BREAKER_COUNT_MAX + 1);
    EXPECT_SOUND(true, GOBREAKER, p.consecutive_failures = BREAKER_COUNT_MAX);
    EXPECT_SOUND(false, RATE, p.failure_percent = 101);
    EXPECT_SOUND(false, RATE, p.window_calls = BREAKER_WINDOW_MAX + 1);
    EXPECT_SOUND(true, RATE, p.window_calls = BREAKER_WINDOW_MAX);
    EXPECT_SOUND(false, RATE, p.window_calls_min = 0);
    EXPECT_SOUND(false, RATE, p.window_calls_min = 21);
#undef EXPECT_SOUND
}

Test(breaker_policy, aborts_on_an_unsound_policy, .signal = SIGABRT)
{
    begin(&GOBREAKER);
    policy.open_ms = 0;
    (void)start_call();
}
