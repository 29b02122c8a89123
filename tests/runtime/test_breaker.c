#include "runtime/breaker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "tests/runtime/breaker_fixture.h"

/*
 * The states: what opens it, how long it stays open, and how probes close it. Changing
 * clocks and policies are in test_breaker_policy.c, the durable form in
 * test_breaker_saved.c, long random runs in test_breaker_model.c.
 */

TestSuite(breaker, .timeout = 20);

/* --- closed --------------------------------------------------------------- */

Test(breaker, shows_the_states_that_metrics_document)
{
    cr_expect(eq(int, BREAKER_CLOSED, 0));
    cr_expect(eq(int, BREAKER_OPEN, 1));
    cr_expect(eq(int, BREAKER_HALF_OPEN, 2));
}

Test(breaker, opens_at_so_many_failures_in_a_row_and_not_before)
{
    begin(&GOBREAKER);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 4; i++)
            cr_expect(not(call(false)));
        cr_expect(not(call(true)));
    }
    for (uint32_t i = 0; i < 4; i++)
        cr_expect(not(call(false)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
    cr_expect(call(false));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_OPEN));
    cr_expect(is_parked());
}

Test(breaker, opens_at_the_failure_rate_once_there_are_calls_enough)
{
    begin(&RATE);
    for (uint32_t i = 0; i < 8; i++)
        cr_expect(not(call(i % 2 == 0)));
    cr_expect(not(call(true)));
    cr_expect(call(false)); /* 5 of 10 */

    begin(&RATE);
    for (uint32_t i = 0; i < 9; i++)
        cr_expect(not(call(false)));
    cr_expect(call(false)); /* all of 10, and not all of fewer */
}

Test(breaker, looks_at_the_last_calls_only_for_the_failure_rate)
{
    begin(&RATE);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert(not(call(true)));
    for (uint32_t i = 0; i < 9; i++)
        cr_assert(not(call(false)), "%u", i);
    cr_expect(call(false)); /* 10 of the last 20 */
}

Test(breaker, does_not_open_below_the_failure_rate)
{
    begin(&RATE);
    for (uint32_t i = 0; i < 5000; i++)
        cr_assert(not(call(i % 5 < 3)), "%u", i);
}

Test(breaker, can_look_back_on_as_many_calls_as_there_are_bits)
{
    struct breaker_policy wide = RATE;

    wide.failure_percent = 100;
    wide.window_calls = wide.window_calls_min = BREAKER_WINDOW_MAX;
    begin(&wide);
    cr_assert(not(call(true)));
    for (uint32_t i = 1; i < BREAKER_WINDOW_MAX; i++)
        cr_assert(not(call(false)), "%u", i);
    cr_expect(call(false));
}

Test(breaker, asks_whether_to_open_after_failures_only)
{
    begin(&RATE);
    for (uint32_t i = 0; i < 9; i++)
        cr_assert(not(call(i < 4)));
    cr_expect(not(call(true))); /* 5 of 10, but a success */
    cr_expect(call(false));
}

Test(breaker, clears_its_counts_at_the_end_of_each_interval)
{
    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    now_ms = START_MS + 30000; /* not over yet */
    cr_assert(call(false));

    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    now_ms = START_MS + 30001;
    for (uint32_t i = 0; i < 4; i++)
        cr_expect(not(call(false)));
    now_ms += 30000;
    cr_expect(call(false)); /* the next interval began at the call, not at the end of the last */
}

Test(breaker, never_clears_its_counts_without_an_interval)
{
    begin(&ONE_PROBE);
    for (uint32_t i = 0; i < 4; i++) {
        (void)call(false);
        now_ms += 1000 * HOUR_MS;
    }
    cr_expect(call(false));
}

Test(breaker, ignores_the_results_of_an_interval_that_is_over)
{
    uint32_t generations[5];

    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 5; i++)
        generations[i] = start_call();
    now_ms += 30001;
    for (uint32_t i = 0; i < 5; i++)
        cr_expect(not(end_call(generations[i], false)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
    cr_expect(ne(u32, start_call(), generations[0]));
}

Test(breaker, admits_everything_without_a_policy)
{
    begin(&NONE);
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert(not(call(false)));
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms));
}

/* --- open ----------------------------------------------------------------- */

Test(breaker, parks_until_strictly_after_the_open_time)
{
    begin(&GOBREAKER);
    trip();
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), START_MS + 60001));
    for (; now_ms <= START_MS + 60000; now_ms += 1000)
        cr_assert(is_parked());
    now_ms = START_MS + 60001;
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_OPEN)); /* until somebody asks */
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms));
    cr_expect(not(is_parked()));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_HALF_OPEN));
}

Test(breaker, ignores_results_of_calls_from_before_it_opened)
{
    uint32_t late[8];

    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 8; i++)
        late[i] = start_call();
    trip();
    cr_expect(not(end_call(late[0], true)));
    cr_expect(not(end_call(late[1], false)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_OPEN));
    pass_open_time();
    (void)start_call();
    for (uint32_t i = 2; i < 5; i++)
        cr_expect(not(end_call(late[i], true)));
    cr_expect(not(end_call(late[5], false)));
    breaker_release(&breaker, late[6]);
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_HALF_OPEN));
    (void)start_call();
    (void)start_call();
    cr_expect(is_parked()); /* none of them made room */
}

Test(breaker, grows_the_open_time_while_probes_fail_and_not_above_the_cap)
{
    static const uint64_t EXPECTED_S[] = {30, 60, 120, 240, 480, 900, 900, 900};

    begin(&ONE_PROBE);
    trip();
    for (uint32_t i = 0; i < ARRAY_COUNT(EXPECTED_S); i++) {
        cr_expect(
            eq(u64, breaker_next_ms(&breaker, &policy, now_ms) - now_ms, EXPECTED_S[i] * 1000 + 1));
        pass_open_time();
        cr_assert(call(false));
        cr_assert(eq(int, breaker_state(&breaker), BREAKER_OPEN));
    }
    pass_open_time();
    cr_assert(call(true));
    trip();
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms) - now_ms, 30001));
}

Test(breaker, stays_at_the_cap_however_often_probes_fail)
{
    struct breaker_policy steep = ONE_PROBE;

    steep.open_ms_cap = UINT32_MAX;
    steep.open_factor = UINT32_MAX;
    begin(&steep);
    trip();
    for (uint32_t i = 0; i < 70000; i++) {
        pass_open_time();
        cr_assert(call(false));
    }
    cr_expect(
        eq(u64, breaker_next_ms(&breaker, &policy, now_ms) - now_ms, (uint64_t)UINT32_MAX + 1));
    pass_open_time();
    cr_expect(call(true));
}

Test(breaker, does_not_grow_the_open_time_without_a_cap)
{
    begin(&GOBREAKER);
    trip();
    for (uint32_t i = 0; i < 10; i++) {
        pass_open_time();
        cr_assert(call(false));
        cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms) - now_ms, 60001));
    }
}

Test(breaker, spreads_the_open_times_of_breakers_that_open_together)
{
    struct breaker_policy jittery = ONE_PROBE;
    uint32_t tenths[10] = {0};

    jittery.open_jitter_percent = 20;
    policy = jittery;
    now_ms = START_MS;
    for (uint32_t salt = 0; salt < 10000; salt++) {
        uint64_t wait_ms, again_ms;

        breaker_init(&breaker, &policy, now_ms, (uint16_t)salt);
        trip();
        wait_ms = breaker_next_ms(&breaker, &policy, now_ms) - now_ms - 1;
        cr_assert(ge(u64, wait_ms, 30000));
        cr_assert(le(u64, wait_ms, 36000));
        tenths[min_u64((wait_ms - 30000) / 600, 9)]++;
        breaker_init(&breaker, &policy, now_ms, (uint16_t)salt);
        trip();
        again_ms = breaker_next_ms(&breaker, &policy, now_ms) - now_ms - 1;
        cr_assert(eq(u64, again_ms, wait_ms)); /* nothing but the salt decides */
    }
    for (uint32_t i = 0; i < 10; i++) {
        cr_expect(lt(u32, 800, tenths[i]));
        cr_expect(lt(u32, tenths[i], 1200));
    }
}

/* --- half-open ------------------------------------------------------------ */

Test(breaker, lets_exactly_one_probe_through)
{
    uint32_t probe;

    begin(&ONE_PROBE);
    trip();
    pass_open_time();
    probe = start_call();
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert(is_parked());
        cr_assert(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), BREAKER_AT_NEXT_RESULT));
        now_ms += HOUR_MS;
    }
    cr_expect(end_call(probe, true));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
    cr_expect(not(is_parked()));
}

Test(breaker, asks_for_several_successes_one_probe_after_the_other)
{
    struct breaker_policy careful = ONE_PROBE;

    careful.probe_successes = 3;
    begin(&careful);
    trip();
    pass_open_time();
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t probe = start_call();

        cr_expect(is_parked());
        cr_expect(eq(int, end_call(probe, true), i == 2));
    }
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
}

Test(breaker, sends_no_more_probes_than_successes_are_missing)
{
    struct breaker_policy eager = ONE_PROBE;
    uint32_t probe;

    eager.probe_count = 10;
    eager.probe_successes = 2;
    begin(&eager);
    trip();
    pass_open_time();
    probe = start_call();
    cr_expect(not(end_call(probe, true)));
    (void)start_call();
    cr_expect(is_parked());
}

Test(breaker, opens_again_at_the_first_probe_that_fails)
{
    uint32_t probes[3];

    begin(&GOBREAKER);
    trip();
    pass_open_time();
    for (uint32_t i = 0; i < 3; i++)
        probes[i] = start_call();
    cr_expect(not(end_call(probes[0], true)));
    cr_expect(end_call(probes[1], false));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_OPEN));
    cr_expect(not(end_call(probes[2], true)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_OPEN));
}

Test(breaker, takes_a_probe_back_that_was_never_sent)
{
    begin(&ONE_PROBE);
    trip();
    pass_open_time();
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t probe = start_call();

        cr_assert(is_parked());
        breaker_release(&breaker, probe);
        cr_assert(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms));
    }
    cr_expect(call(true));
}

Test(breaker, counts_nothing_for_a_call_that_is_released_while_closed)
{
    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    breaker_release(&breaker, start_call());
    cr_expect(call(false)); /* it did not break the row either */
}

Test(breaker, aborts_when_one_probe_reports_twice, .signal = SIGABRT)
{
    struct breaker_policy careful = ONE_PROBE;
    uint32_t probe;

    careful.probe_successes = 3;
    begin(&careful);
    trip();
    pass_open_time();
    probe = start_call();
    (void)end_call(probe, true);
    (void)end_call(probe, true);
}

/* --- looking at it -------------------------------------------------------- */

Test(breaker, can_be_looked_at_in_every_state)
{
    static const char *const NAMES[] = {"closed", "open", "half_open"};
    struct breaker_view view;

    begin(&ONE_PROBE);
    (void)call(false);
    (void)call(false);
    breaker_look(&breaker, &view);
    cr_expect(eq(int, view.state, BREAKER_CLOSED));
    cr_expect(eq(u32, view.failure_count, 2));
    cr_expect(eq(u32, view.open_count, 0));
    cr_expect(eq(u64, view.until_ms, 0));
    begin(&ONE_PROBE);
    trip();
    breaker_look(&breaker, &view);
    cr_expect(eq(int, view.state, BREAKER_OPEN));
    cr_expect(eq(u32, view.failure_count, 0));
    cr_expect(eq(u32, view.open_count, 1));
    cr_expect(eq(u64, view.until_ms, now_ms + ONE_PROBE.open_ms));
    pass_open_time();
    (void)start_call();
    breaker_look(&breaker, &view);
    cr_expect(eq(int, view.state, BREAKER_HALF_OPEN));
    cr_expect(eq(u64, view.until_ms, 0));
    for (uint32_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        cr_expect(slice_equal(breaker_state_name((enum breaker_state)i), slice_of(NAMES[i])));
}
