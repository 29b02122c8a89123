#include "actors/breakers.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "tests/actors/breakers_fixture.h"

/*
 * Records: which changes are written, what a restart makes of them, and how they leave a
 * segment that goes.
 */

TestSuite(breakers_durable, .init = breakers_fixture_begin, .fini = breakers_fixture_end);

Test(breakers_durable, is_open_again_after_a_restart_until_the_same_time)
{
    uint64_t until_ms = now_ms + OPEN_MS;

    open_it(peer("http://a:80"));
    settle();
    cr_assert(eq(u32, journal.append_count, 1));
    pass(10000);
    cr_assert(eq(int, restart_with((struct slice){journal.last, journal.last_size}), 1));
    cr_assert(eq(u32, state_of(peer("http://a:80")), BREAKER_OPEN));
    cr_assert(eq(u32, state_of(peer("http://b:80")), BREAKER_CLOSED));
    pass(until_ms - now_ms);
    cr_assert(not(is_admitted(peer("http://a:80"), usual())));
    pass(1);
    cr_assert(is_admitted(peer("http://a:80"), usual()));
    cr_assert(not(is_admitted(peer("http://a:80"), usual())));
}

Test(breakers_durable, forgets_a_probe_that_was_out_at_a_restart)
{
    open_it(peer("http://a:80"));
    pass(OPEN_MS + 1);
    cr_assert(is_admitted(peer("http://a:80"), usual()));
    settle();
    cr_assert(eq(u32, journal.append_count, 2));
    cr_assert(eq(int, restart_with((struct slice){journal.last, journal.last_size}), 1));
    pass(1);
    cr_assert(is_admitted(peer("http://a:80"), usual()));
}

Test(breakers_durable, is_closed_after_a_restart_when_it_was_closed_and_needs_no_record_for_that)
{
    open_it(peer("http://a:80"));
    settle();
    cr_assert(lt(u64, 0, breakers->live_bytes));
    pass(OPEN_MS + 1);
    call(peer("http://a:80"), usual(), BREAKERS_SUCCESS);
    settle();
    cr_assert(eq(u64, breakers->live_bytes, 0));
    cr_assert(eq(int, restart_with((struct slice){journal.last, journal.last_size}), 1));
    cr_assert(eq(u32, state_of(peer("http://a:80")), BREAKER_CLOSED));
    cr_assert(eq(u64, breakers->live_bytes, 0));
}

Test(breakers_durable, writes_what_changed_while_a_record_was_on_its_way_after_it)
{
    struct breakers_record record;
    struct slice org, project, origin;
    struct breaker saved = {0};

    open_it(peer("http://a:80"));
    pass(OPEN_MS + 1);
    call(peer("http://a:80"), usual(), BREAKERS_SUCCESS);
    cr_assert(eq(u32, journal.append_count, 1));
    settle();
    cr_assert(eq(u32, journal.append_count, 2));
    cr_assert(breakers_record_decode((struct slice){journal.last, journal.last_size}, &record, &org,
                                     &project, &origin));
    cr_assert(slice_equal(org, SLICE_LITERAL("o")));
    cr_assert(slice_equal(project, SLICE_LITERAL("p")));
    cr_assert(slice_equal(origin, SLICE_LITERAL("http://a:80")));
    breaker_init(&saved, usual(), now_ms, 0);
    cr_assert(eq(int, breaker_load(&saved, &record.saved), 0));
    cr_assert(eq(int, breaker_state(&saved), BREAKER_CLOSED));
}

Test(breakers_durable, writes_more_changes_than_records_fit_on_their_way_at_a_time)
{
    char origin[32];

    for (uint32_t i = 0; i < 3 * BREAKERS_WRITE_COUNT; i++) {
        snprintf(origin, sizeof(origin), "http://a:%u", i + 1);
        open_it(peer(origin));
    }
    cr_assert(eq(u32, journal.in_flight, BREAKERS_WRITE_COUNT));
    settle();
    cr_assert(eq(u32, journal.append_count, 3 * BREAKERS_WRITE_COUNT));
    cr_assert(eq(u32, pool_used_count(&breakers->writes), 0));
}

Test(breakers_durable, goes_on_in_memory_when_the_journal_has_stopped)
{
    struct breakers_entry *entry = peer("http://a:80");

    journal.answer = JOURNAL_STOPPED;
    open_it(entry);
    cr_assert(not(is_admitted(entry, usual())));
    cr_assert(eq(u32, pool_used_count(&breakers->writes), 0));
}

Test(breakers_durable, carries_what_is_not_closed_out_of_segments_that_go)
{
    open_it(peer("http://a:80"));
    open_it(peer("http://b:80"));
    settle();
    pass(OPEN_MS + 1);
    call(peer("http://b:80"), usual(), BREAKERS_SUCCESS);
    settle();
    cr_assert(eq(u32, journal.append_count, 4));
    journal.segment = 8;
    durable_carry(&home->keeper.durables, 0, 7);
    cr_assert(eq(u32, journal.in_flight, 1));
    cr_assert(eq(u32, journal.carried_count, 0));
    settle();
    cr_assert(eq(u32, journal.append_count, 5));
    cr_assert(eq(u32, journal.carried_count, 1));
    durable_carry(&home->keeper.durables, 0, 7);
    cr_assert(eq(u32, journal.carried_count, 2)); /* nothing is left there */
}

Test(breakers_durable, refuses_records_that_are_none)
{
    struct breakers_record record;
    struct slice org, project, origin, payload = {journal.last, 0};

    open_it(peer("http://a:80"));
    for (payload.size = 0; payload.size < journal.last_size; payload.size++)
        cr_assert(not(breakers_record_decode(payload, &record, &org, &project, &origin)));
    payload.size = journal.last_size;
    cr_assert(breakers_record_decode(payload, &record, &org, &project, &origin));
    settle();
    journal.last[8] ^= 1; /* the breaker's magic */
    cr_assert(eq(int, restart_with(payload), -EBADMSG));
    cr_assert(eq(u32, pool_used_count(&breakers->entries), 0));
}
