#include "actors/breakers.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "tests/actors/breakers_fixture.h"

/*
 * What opens the breaker of a destination, how probes close it, and whose place a new
 * destination takes. The parked are in test_breakers_parked.c, restarts in
 * test_breakers_durable.c, metrics, views and the audit in test_breakers_view.c.
 */

TestSuite(breakers, .init = breakers_fixture_begin, .fini = breakers_fixture_end);

/* --- opening ------------------------------------------------------------------------- */

Test(breakers, opens_after_failures_in_a_row)
{
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < FAILURES - 1; i++)
        call(entry, usual(), BREAKERS_FAILURE);
    call(entry, usual(), BREAKERS_SUCCESS);
    for (uint32_t i = 0; i < FAILURES - 1; i++)
        call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
    cr_assert(not(is_admitted(entry, usual())));
}

Test(breakers, opens_when_half_of_the_last_calls_failed)
{
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < usual()->window_calls - 1; i++)
        call(entry, usual(), i % 2 == 0 ? BREAKERS_SUCCESS : BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
}

Test(breakers, learns_nothing_from_calls_that_say_nothing_of_the_peer)
{
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < 10 * FAILURES; i++)
        call(entry, usual(), BREAKERS_NOTHING);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    cr_assert(eq(u32, journal.append_count, 0));
}

Test(breakers, admits_everything_under_a_policy_without_a_breaker)
{
    const struct policy_preset *preset = policy_presets_find(SLICE_LITERAL("ai-job"));
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < 10 * FAILURES; i++)
        call(entry, &preset->breaker, BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
}

Test(breakers, keeps_a_destination_apart_for_each_project_and_organisation)
{
    const struct slice origin = SLICE_INITIALIZER("http://a:80"), o = SLICE_INITIALIZER("o");
    struct breakers_entry *entry = peer("http://a:80");
    struct breakers_entry *other = breakers_get(breakers, o, SLICE_LITERAL("q"), origin, now_ms);
    struct breakers_entry *stranger =
        breakers_get(breakers, SLICE_LITERAL("x"), SLICE_LITERAL("p"), origin, now_ms);

    open_it(entry);
    cr_assert(eq(ptr, peer("http://a:80"), entry));
    cr_assert(is_admitted(other, usual()));
    cr_assert(is_admitted(stranger, usual()));
    cr_assert(is_admitted(peer("http://a:81"), usual()));
    cr_assert(not(is_admitted(entry, usual())));
}

/* --- half-open ----------------------------------------------------------------------- */

Test(breakers, lets_one_probe_out_and_parks_the_rest_until_it_is_back)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint32_t generation;
    uint64_t waiting;

    open_it(entry);
    pass(OPEN_MS + 1);
    cr_assert(breakers_admit(breakers, entry, usual(), now_ms, &generation));
    cr_assert(eq(u32, state_of(entry), BREAKER_HALF_OPEN));
    waiting = park_one(entry);
    cr_assert(eq(int, job_fixture_state(waiting), JOB_SCHEDULED));
    /* The probe was never sent: another one takes its place. */
    breakers_end(breakers, entry, usual(), now_ms, generation, BREAKERS_NOTHING);
    cr_assert(eq(u32, state_of(entry), BREAKER_HALF_OPEN));
    cr_assert(eq(int, job_fixture_state(waiting), JOB_QUEUED));
    call(entry, usual(), BREAKERS_SUCCESS);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
}

Test(breakers, lets_as_many_probes_out_as_the_policy_says_and_closes_when_all_succeed)
{
    const struct breaker_policy *three =
        &policy_presets_find(SLICE_LITERAL("order-integration"))->breaker;
    struct breakers_entry *entry = peer("http://a:80");
    uint32_t generations[3];

    for (uint32_t i = 0; i < FAILURES; i++)
        call(entry, three, BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
    pass(three->open_ms + 1);
    for (uint32_t i = 0; i < three->probe_count; i++)
        cr_assert(breakers_admit(breakers, entry, three, now_ms, &generations[i]));
    cr_assert(not(is_admitted(entry, three)));
    for (uint32_t i = 0; i < three->probe_count; i++) {
        cr_assert(eq(u32, state_of(entry), BREAKER_HALF_OPEN));
        breakers_end(breakers, entry, three, now_ms, generations[i], BREAKERS_SUCCESS);
    }
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
}

Test(breakers, stays_open_longer_each_time_a_probe_fails_up_to_the_cap)
{
    static const struct breaker_policy policy = {.consecutive_failures = 1,
                                                 .open_ms = 1000,
                                                 .open_ms_cap = 5000,
                                                 .open_factor = 2,
                                                 .probe_count = 1,
                                                 .probe_successes = 1};
    static const uint32_t TIMES[] = {1000, 2000, 4000, 5000, 5000};
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
        call(entry, &policy, BREAKERS_FAILURE);
        pass(TIMES[i]);
        cr_assert(not(is_admitted(entry, &policy)), "opening %u", i);
        pass(1);
    }
    call(entry, &policy, BREAKERS_SUCCESS);
    call(entry, &policy, BREAKERS_FAILURE);
    pass(TIMES[0] + 1);
    cr_assert(is_admitted(entry, &policy));
}

/* --- too many destinations ------------------------------------------------------------ */

static struct breakers_entry *numbered(uint32_t number)
{
    char origin[32];

    snprintf(origin, sizeof(origin), "http://a:%u", number);
    return peer(origin);
}

Test(breakers, gives_the_place_of_the_closed_one_used_longest_ago_to_a_new_destination)
{
    uint32_t generation;

    open_it(numbered(0));
    settle();
    cr_assert(breakers_admit(breakers, numbered(1), usual(), now_ms, &generation));
    for (uint32_t i = 2; i < BREAKERS_COUNT_MAX; i++)
        (void)numbered(i);
    (void)numbered(2); /* used just now: 3 is the one to go */
    call(numbered(3), usual(), BREAKERS_FAILURE);
    call(numbered(4), usual(), BREAKERS_FAILURE);
    for (uint32_t i = 5; i < BREAKERS_COUNT_MAX; i++)
        (void)numbered(i);
    (void)numbered(2);
    (void)numbered(BREAKERS_COUNT_MAX);
    cr_assert(eq(u32, pool_used_count(&breakers->entries), BREAKERS_COUNT_MAX));
    cr_assert(eq(u16, numbered(4)->breaker.consecutive_failures, 1));
    cr_assert(eq(u32, state_of(numbered(0)), BREAKER_OPEN));
    cr_assert(eq(u32, numbered(1)->call_count, 1)); /* its call is still out */
    cr_assert(eq(u16, numbered(3)->breaker.consecutive_failures, 0));
    breakers_end(breakers, numbered(1), usual(), now_ms, generation, BREAKERS_SUCCESS);
}

Test(breakers, gives_the_place_of_an_open_one_when_none_of_the_oldest_is_closed)
{
    enum { OPEN_COUNT = 80 };
    uint64_t live_bytes;

    for (uint32_t i = 0; i < OPEN_COUNT; i++)
        open_it(numbered(i));
    settle();
    (void)breakers_park(breakers, numbered(0), usual(), 1, now_ms);
    (void)breakers_park(breakers, numbered(0), usual(), 2, now_ms);
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 1));
    for (uint32_t i = 1; i < BREAKERS_COUNT_MAX; i++)
        (void)numbered(i);
    live_bytes = breakers->live_bytes;
    (void)numbered(BREAKERS_COUNT_MAX);
    cr_assert(lt(u64, breakers->live_bytes, live_bytes));
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 0)); /* they come by themselves */
    cr_assert(eq(u32, state_of(numbered(1)), BREAKER_OPEN));
    cr_assert(eq(u32, state_of(numbered(0)), BREAKER_CLOSED));
}

Test(breakers, aborts_when_a_call_ends_that_was_not_admitted, .signal = SIGABRT)
{
    breakers_end(breakers, peer("http://a:80"), usual(), now_ms, 1, BREAKERS_SUCCESS);
}
