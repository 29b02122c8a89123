#include "actors/breakers.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/actors/breakers_fixture.h"

/*
 * Jobs that are kept away: they use no attempts, are called when the peer is well, and
 * come by themselves when there are too many to remember.
 */

TestSuite(breakers_parked, .init = breakers_fixture_begin, .fini = breakers_fixture_end);

Test(breakers_parked, parks_without_using_attempts_and_probes_with_one_when_the_time_is_over)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t ids[4];

    open_it(entry);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = park_one(entry);
    cr_assert(eq(u64, job_fixture_view(ids[0]).when_ms, now_ms + OPEN_MS + 1));
    for (uint32_t i = 1; i < ARRAY_COUNT(ids); i++)
        cr_assert(ge(u64, job_fixture_view(ids[i]).when_ms, now_ms + BREAKERS_PARK_MS));
    pass(OPEN_MS + 1);
    job_fixture_due();
    cr_assert(eq(u64, job_fixture_take("mail", LEASE_MS), ids[0]));
    cr_assert(eq(u64, job_fixture_take("mail", LEASE_MS), 0));
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        cr_assert(eq(u8, job_fixture_view(ids[i]).attempt, 0));
    cr_assert(eq(u32, job_fixture_audit(), 0));
}

Test(breakers_parked, calls_two_of_the_parked_for_each_success_once_the_peer_is_well)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t ids[5];

    open_it(entry);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = park_one(entry);
    pass(OPEN_MS + 1);
    call(entry, usual(), BREAKERS_SUCCESS);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    cr_assert(eq(int, job_fixture_state(ids[1]), JOB_QUEUED));
    cr_assert(eq(int, job_fixture_state(ids[2]), JOB_QUEUED));
    cr_assert(eq(int, job_fixture_state(ids[3]), JOB_SCHEDULED));
    call(entry, usual(), BREAKERS_SUCCESS);
    cr_assert(eq(int, job_fixture_state(ids[3]), JOB_QUEUED));
    cr_assert(eq(int, job_fixture_state(ids[4]), JOB_QUEUED));
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 0));
}

Test(breakers_parked, appoints_another_probe_when_the_first_has_failed)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t first, second, third;

    open_it(entry);
    first = park_one(entry);
    second = park_one(entry);
    third = park_one(entry);
    pass(OPEN_MS + 1);
    job_fixture_due();
    cr_assert(eq(u64, job_fixture_take("mail", LEASE_MS), first));
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
    cr_assert(eq(u64, job_fixture_view(second).when_ms, now_ms + OPEN_MS + 1));
    cr_assert(lt(u64, now_ms + OPEN_MS + 1, job_fixture_view(third).when_ms));
}

Test(breakers_parked, passes_over_parked_jobs_that_wait_no_more)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t probe, cancelled, moved, waiting;

    open_it(entry);
    probe = park_one(entry);
    cancelled = park_one(entry);
    moved = park_one(entry);
    waiting = park_one(entry);
    cr_assert(eq(int,
                 job_fixture_do(cancelled, false, 0,
                                (struct job_fact){.header = {.kind = JOB_FACT_CANCELLED}}),
                 JOB_CLAIMED));
    job_table_reschedule(table, job_fixture_view(moved).ref, now_ms, now_ms + 5);
    pass(OPEN_MS + 1);
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u64, job_fixture_view(waiting).when_ms, now_ms + OPEN_MS + 1));
    cr_assert(eq(u64, job_fixture_view(moved).when_ms, now_ms - OPEN_MS - 1 + 5));
    cr_assert(eq(u64, job_fixture_view(probe).when_ms, now_ms));
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 0));
}

Test(breakers_parked, lets_sixteen_calls_out_at_a_time)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint32_t generation;
    uint64_t waiting;

    for (uint32_t i = 0; i < BREAKERS_CALLS_MAX; i++)
        cr_assert(breakers_admit(breakers, entry, usual(), now_ms, &generation));
    waiting = park_one(entry);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    breakers_end(breakers, entry, usual(), now_ms, generation, BREAKERS_SUCCESS);
    cr_assert(eq(int, job_fixture_state(waiting), JOB_QUEUED));
    cr_assert(is_admitted(entry, usual()));
    cr_assert(not(is_admitted(entry, usual())));
}

Test(breakers_parked, remembers_a_bounded_number_and_the_others_come_by_themselves)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t due_ms = 0, first_ms;

    open_it(entry);
    (void)breakers_park(breakers, entry, usual(), 1, now_ms); /* the probe */
    first_ms = breakers_park(breakers, entry, usual(), 2, now_ms);
    for (uint32_t i = 1; i < BREAKERS_PARKED_MAX + 10; i++) {
        uint64_t next_ms = breakers_park(breakers, entry, usual(), 3 + i, now_ms);

        cr_assert(ge(u64, next_ms, due_ms)); /* in line, not all at once */
        due_ms = next_ms;
    }
    cr_assert(eq(u32, pool_used_count(&breakers->parked), BREAKERS_PARKED_MAX));
    cr_assert(
        eq(u64, due_ms - first_ms, (uint64_t)(BREAKERS_PARKED_MAX + 9) * BREAKERS_LINE_US / 1000));
    /* Those whose time has passed are forgotten when somebody comes. */
    pass(due_ms - now_ms + 1);
    (void)breakers_park(breakers, entry, usual(), 1, now_ms);
    (void)breakers_park(breakers, entry, usual(), 2, now_ms);
    cr_assert(le(u32, pool_used_count(&breakers->parked), 2));
}
