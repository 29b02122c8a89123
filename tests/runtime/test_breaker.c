#include "runtime/breaker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "runtime/rng.h"

static const uint64_t START_MS = 1700000000000, HOUR_MS = 3600000;

static const struct breaker_policy GOBREAKER = {.consecutive_failures = 5,
                                                .interval_ms = 30000,
                                                .open_ms = 60000,
                                                .probe_count = 3,
                                                .probe_successes = 3};
static const struct breaker_policy ONE_PROBE = {.consecutive_failures = 5,
                                                .open_ms = 30000,
                                                .open_ms_cap = 900000,
                                                .open_factor = 2,
                                                .probe_count = 1,
                                                .probe_successes = 1};
static const struct breaker_policy RATE = {.failure_percent = 50,
                                           .window_calls = 20,
                                           .window_calls_min = 10,
                                           .open_ms = 30000,
                                           .probe_count = 1,
                                           .probe_successes = 1};
static const struct breaker_policy NONE = {0};

static struct breaker breaker;
static struct breaker_policy policy;
static uint64_t now_ms;

static void begin(const struct breaker_policy *with)
{
    policy = *with;
    now_ms = START_MS;
    breaker_init(&breaker, &policy, now_ms, 0);
}

static bool is_parked(void)
{
    uint32_t generation = 77;
    bool parked = breaker_admit(&breaker, &policy, now_ms, &generation) == BREAKER_PARKED;

    if (parked)
        cr_assert(eq(u32, generation, 77));
    return parked;
}

/* Starts a call, which must be admitted: its generation. */
static uint32_t start_call(void)
{
    uint32_t generation = 0;

    cr_assert(eq(int, breaker_admit(&breaker, &policy, now_ms, &generation), BREAKER_ADMITTED));
    return generation;
}

static bool end_call(uint32_t generation, bool success)
{
    return breaker_on_result(&breaker, &policy, now_ms, generation, success);
}

/* A whole call: true when it changed the state. */
static bool call(bool success)
{
    return end_call(start_call(), success);
}

static void trip(void)
{
    for (uint32_t i = 1; i < policy.consecutive_failures; i++)
        cr_assert(not(call(false)));
    cr_assert(call(false));
    cr_assert(eq(int, breaker_state(&breaker), BREAKER_OPEN));
}

/* To the first moment at which it is worth asking again. */
static void pass_open_time(void)
{
    now_ms = breaker_next_ms(&breaker, &policy, now_ms);
}

static void save_and_load(void)
{
    struct breaker_saved saved;

    breaker_save(&breaker, &saved);
    memset(&breaker, 0xee, sizeof(breaker));
    cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
}

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

/* --- clock, policy -------------------------------------------------------- */

Test(breaker, stays_open_no_longer_than_its_open_time_when_the_clock_is_set_back)
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

Test(breaker, sends_its_probe_early_when_the_clock_is_set_forward)
{
    begin(&ONE_PROBE);
    trip();
    now_ms += HOUR_MS;
    cr_assert(not(is_parked()));
    cr_expect(is_parked());
    now_ms -= HOUR_MS;
    cr_expect(is_parked()); /* still the one probe */
}

Test(breaker, keeps_its_intervals_when_the_clock_jumps)
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

Test(breaker, is_not_parked_beyond_the_cap_by_any_time_that_was_saved)
{
    struct breaker_saved saved;

    begin(&ONE_PROBE);
    trip();
    breaker_save(&breaker, &saved);
    memset(saved.bytes + 8, 0xff, 8);
    cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 30001));
}

Test(breaker, follows_a_policy_with_a_shorter_open_time)
{
    begin(&ONE_PROBE);
    trip();
    policy.open_ms = 1000;
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 1001));
}

Test(breaker, closes_when_the_policy_takes_it_away)
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

Test(breaker, does_not_wait_for_successes_that_a_new_policy_no_longer_asks_for)
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

Test(breaker, begins_and_ends_its_intervals_with_the_policy)
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

Test(breaker, tells_unsound_policies_from_sound_ones)
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

Test(breaker, aborts_on_an_unsound_policy, .signal = SIGABRT)
{
    begin(&GOBREAKER);
    policy.open_ms = 0;
    (void)start_call();
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

/* --- durable form --------------------------------------------------------- */

Test(breaker, is_saved_byte_by_byte_as_documented)
{
    static const uint8_t EXPECTED[BREAKER_SAVED_SIZE] = {
        'W',  'B',  'R',  '1',  0,    5,    2,    0,    /* closed */
        0x30, 0xdd, 0xe5, 0xcf, 0x8b, 0x01, 0x00, 0x00, /* START_MS + 30 s */
        0x13, 0,    0,    0,    0,    0,    0,    0,    /* F, S, S, F, F */
        1,    0,    0,    0,    0,    0,    0xef, 0xbe};
    struct breaker_saved saved;

    begin(&GOBREAKER);
    breaker_init(&breaker, &policy, now_ms, 0xbeef);
    (void)call(false);
    (void)call(true);
    (void)call(true);
    (void)call(false);
    (void)call(false);
    breaker_save(&breaker, &saved);
    for (size_t i = 0; i < sizeof(EXPECTED); i++)
        cr_expect(eq(u8, saved.bytes[i], EXPECTED[i]), "byte %zu", i);
}

Test(breaker, goes_on_counting_after_a_restart)
{
    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    save_and_load();
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
    cr_expect(call(false));

    begin(&RATE);
    for (uint32_t i = 0; i < 9; i++)
        (void)call(false);
    save_and_load();
    cr_expect(call(false));
}

Test(breaker, keeps_the_time_until_which_it_is_open_over_a_restart)
{
    struct breaker_policy jittery = ONE_PROBE;

    jittery.open_jitter_percent = 20;
    for (uint32_t salt = 0; salt < 100; salt++) {
        uint64_t next_ms;

        policy = jittery;
        now_ms = START_MS;
        breaker_init(&breaker, &policy, now_ms, (uint16_t)salt);
        trip();
        next_ms = breaker_next_ms(&breaker, &policy, now_ms);
        save_and_load();
        cr_assert(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), next_ms));
        now_ms = next_ms - 1;
        cr_assert(is_parked());
        now_ms++;
        cr_assert(not(is_parked()));
    }
}

Test(breaker, is_open_and_due_after_a_restart_in_the_midst_of_a_probe)
{
    begin(&ONE_PROBE);
    trip();
    pass_open_time();
    (void)start_call();
    save_and_load();
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_OPEN));
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms));
    cr_assert(call(false));
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 60001));
}

Test(breaker, ignores_results_of_calls_from_before_a_restart)
{
    uint32_t before;

    begin(&GOBREAKER);
    before = start_call();
    save_and_load();
    for (uint32_t i = 0; i < 4; i++)
        cr_expect(not(call(false)));
    cr_expect(not(end_call(before, false)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));

    begin(&ONE_PROBE);
    trip();
    {
        struct breaker_saved saved;

        breaker_save(&breaker, &saved);
        pass_open_time();
        before = start_call(); /* a generation that was never saved */
        cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
    }
    (void)start_call();
    cr_expect(not(end_call(before, true)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_HALF_OPEN));
}

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

Test(breaker, is_saved_the_same_after_it_was_loaded)
{
    struct breaker_saved saved, again;

    begin(&ONE_PROBE);
    trip();
    breaker_save(&breaker, &saved);
    cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
    breaker_save(&breaker, &again);
    memset(saved.bytes + 24, 0, 4); /* but for its generation */
    memset(again.bytes + 24, 0, 4);
    cr_expect(eq(int, memcmp(&saved, &again, sizeof(saved)), 0));
}

Test(breaker, refuses_bytes_that_it_did_not_write_and_stays_as_it_was)
{
    static const struct {
        uint8_t offset;
        uint8_t value;
        bool is_open; /* else it is closed, with one failure */
    } CASES[] = {
        {0, 'X', false}, {1, 'X', false}, {2, 'X', false},  {3, '2', false}, {4, 1, false},
        {4, 2, false},   {4, 3, false},   {4, 255, false},  {5, 65, false},  {5, 255, false},
        {5, 0, false},   {16, 2, false},  {23, 128, false}, {28, 1, false},  {29, 1, false},
        {4, 0, true},    {4, 2, true},    {5, 1, true},     {6, 1, true},    {7, 1, true},
        {16, 1, true},   {28, 0, true},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct breaker_saved saved;
        struct breaker before;

        begin(&ONE_PROBE);
        (void)call(false);
        if (CASES[i].is_open)
            for (uint32_t n = 0; n < 4; n++)
                (void)call(false);
        breaker_save(&breaker, &saved);
        saved.bytes[CASES[i].offset] = CASES[i].value;
        before = breaker;
        cr_expect(eq(int, breaker_load(&breaker, &saved), -EBADMSG), "case %zu", i);
        cr_expect(eq(int, memcmp(&breaker, &before, sizeof(breaker)), 0), "case %zu", i);
    }
}

Test(breaker, refuses_noise_and_works_with_whatever_it_accepts)
{
    struct breaker_saved saved, good;
    struct rng rng;
    uint32_t accepted_count = 0;

    rng_init_seed(&rng, 1);
    begin(&GOBREAKER);
    breaker_save(&breaker, &good);
    for (uint32_t i = 0; i < 100000; i++) {
        rng_fill(&rng, &saved, sizeof(saved));
        cr_assert(eq(int, breaker_load(&breaker, &saved), -EBADMSG));
    }
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t next_ms;

        saved = good;
        for (uint64_t n = rng_below(&rng, 4) + 1; n > 0; n--)
            saved.bytes[4 + rng_below(&rng, 28)] = (uint8_t)rng_below(&rng, 8);
        if (breaker_load(&breaker, &saved) != 0)
            continue;
        accepted_count++;
        next_ms = breaker_next_ms(&breaker, &policy, now_ms);
        cr_assert(ge(u64, next_ms, now_ms));
        cr_assert(le(u64, next_ms, now_ms + 60001));
        if (next_ms > now_ms)
            cr_assert(is_parked());
        now_ms = next_ms;
        (void)call(false);
        now_ms = START_MS;
    }
    cr_expect(lt(u32, 1000, accepted_count));
}

/* --- against gobreaker ---------------------------------------------------- */

/* What seeds' library does, written down without regard for size. */
struct model {
    int state; /* as enum breaker_state */
    uint64_t expiry_ms;
    uint32_t generation, request_count, successes_in_row, failures_in_row;
};

static void model_enter(struct model *model, int state)
{
    model->state = state;
    model->generation++;
    model->request_count = model->successes_in_row = model->failures_in_row = 0;
    model->expiry_ms = state == BREAKER_CLOSED ? now_ms + GOBREAKER.interval_ms
                       : state == BREAKER_OPEN ? now_ms + GOBREAKER.open_ms
                                               : UINT64_MAX;
}

static void model_refresh(struct model *model)
{
    if (model->expiry_ms < now_ms)
        model_enter(model, model->state == BREAKER_OPEN ? BREAKER_HALF_OPEN : BREAKER_CLOSED);
}

static bool model_admit(struct model *model)
{
    model_refresh(model);
    if (model->state == BREAKER_OPEN ||
        (model->state == BREAKER_HALF_OPEN && model->request_count >= 3))
        return false;
    model->request_count++;
    return true;
}

static void model_end(struct model *model, uint32_t generation, bool success)
{
    model_refresh(model);
    if (generation != model->generation)
        return;
    model->successes_in_row = success ? model->successes_in_row + 1 : 0;
    model->failures_in_row = success ? 0 : model->failures_in_row + 1;
    if (model->state == BREAKER_HALF_OPEN && success && model->successes_in_row >= 3)
        model_enter(model, BREAKER_CLOSED);
    else if (!success && (model->state == BREAKER_HALF_OPEN || model->failures_in_row >= 5))
        model_enter(model, BREAKER_OPEN);
}

Test(breaker, does_what_gobreaker_does_over_any_sequence_of_calls)
{
    enum { CALLS_MAX = 8 };
    uint32_t state_counts[3] = {0}, call_count = 0;
    struct {
        uint32_t generation, model_generation;
    } calls[CALLS_MAX];
    struct model model = {0};
    struct rng rng;

    rng_init_seed(&rng, 1);
    begin(&GOBREAKER);
    model_enter(&model, BREAKER_CLOSED);
    for (uint32_t step = 0; step < 300000; step++) {
        uint64_t action = rng_below(&rng, 100);

        if (action < 5) {
            static const uint64_t LEAPS_MS[] = {1, 7000, 30000, 30001, 60000, 60001};

            now_ms += LEAPS_MS[rng_below(&rng, ARRAY_COUNT(LEAPS_MS))];
        } else if (action < 55 && call_count < CALLS_MAX) {
            bool admitted = breaker_admit(&breaker, &policy, now_ms,
                                          &calls[call_count].generation) == BREAKER_ADMITTED;

            cr_assert(eq(int, admitted, model_admit(&model)), "step %u", step);
            calls[call_count].model_generation = model.generation;
            call_count += admitted ? 1 : 0;
        } else if (call_count > 0) {
            uint64_t n = rng_below(&rng, call_count);
            bool success = rng_chance(&rng, (step / 1000) % 10, 10);

            (void)end_call(calls[n].generation, success);
            model_end(&model, calls[n].model_generation, success);
            calls[n] = calls[--call_count];
        }
        cr_assert(eq(int, breaker_state(&breaker), model.state), "step %u", step);
        state_counts[model.state]++;
    }
    for (uint32_t i = 0; i < 3; i++)
        cr_expect(lt(u32, 1000, state_counts[i]), "state %u", i);
}

Test(breaker, keeps_its_word_about_when_to_ask_again)
{
    uint32_t probe_count = 0, parked_count = 0;
    struct breaker_policy mixed = ONE_PROBE;
    struct rng rng;

    rng_init_seed(&rng, 2);
    mixed.open_jitter_percent = 20;
    mixed.failure_percent = 60;
    mixed.window_calls = 20;
    mixed.window_calls_min = 10;
    begin(&mixed);
    for (uint32_t step = 0; step < 100000; step++) {
        uint64_t next_ms = breaker_next_ms(&breaker, &policy, now_ms);

        cr_assert(le(u64, next_ms, now_ms + 900001));
        if (next_ms > now_ms) {
            parked_count++;
            cr_assert(is_parked());
            now_ms = next_ms - 1;
            cr_assert(is_parked());
            now_ms = next_ms;
        }
        (void)call(rng_chance(&rng, 1, 2));
        if (breaker_state(&breaker) == BREAKER_OPEN && rng_chance(&rng, 1, 8))
            now_ms += rng_below(&rng, 2 * HOUR_MS) - HOUR_MS;
        probe_count += breaker_state(&breaker) != BREAKER_CLOSED ? 1 : 0;
    }
    cr_expect(lt(u32, 1000, probe_count));
    cr_expect(lt(u32, 1000, parked_count));
}
