#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "read_fixture.h"

static struct read_fixture fixture;

static void setup(void)
{
    read_fixture_begin(&fixture, 5);
}

static void teardown(void)
{
    read_fixture_end(&fixture);
}

TestSuite(read_retention, .init = setup, .fini = teardown, .timeout = 60);

static const uint64_t FIRST_MS = 1735689600000; /* when event 0 was received; 1 a ms later */

static int64_t count_events(void)
{
    return read_fixture_number(&fixture, "SELECT count(*) FROM events");
}

static int64_t count_found(void)
{
    return read_fixture_number(&fixture, "SELECT count(*) FROM event_search WHERE event_search"
                                         " MATCH 'message : timeout'");
}

Test(read_retention, removes_what_is_older_and_what_finds_it)
{
    bool more = true;
    uint32_t rounds = 0;

    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    read_fixture_add(&fixture, 1500);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    while (more) {
        int r = fixture.backend->vtable->retain(fixture.backend, FIRST_MS + 1200, &more);

        cr_assert(eq(int, r, 0));
        rounds++;
    }
    cr_assert(eq(u32, rounds, 3), "a bounded number of rows goes at a time");
    cr_assert(eq(i64, count_events(), 300));
    cr_assert(eq(i64, count_found(), 300));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT min(received_ms) FROM events"),
                 (int64_t)FIRST_MS + 1200));
}

/* Lets time pass. */
static void wait_for(uint64_t duration_ms)
{
    struct sim_world *world = fixture.log.world;

    sim_world_advance_to(world, world->mono_ns + duration_ms * 1000000);
}

static uint64_t now_ms(void)
{
    struct clock clock;

    clock_init(&clock, &fixture.log.world->clock_source);
    return clock.unix_ms;
}

Test(read_retention, does_not_make_rows_that_would_go_at_once)
{
    read_fixture_add(&fixture, 1000);
    wait_for(60000);
    fixture.retain_ms = now_ms() - FIRST_MS - 500;
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    cr_assert(eq(i64, count_events(), 500));
    cr_assert(eq(i64, count_found(), 500));
}

Test(read_retention, happens_by_itself_as_time_goes_on)
{
    fixture.retain_ms = 3600000;
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    read_fixture_add(&fixture, 100);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    cr_assert(eq(i64, count_events(), 100));
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    cr_assert(lt(u64, fixture.writer.due_ns, UINT64_MAX));
    wait_for(7200000);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    cr_assert(eq(i64, count_events(), 0));
}
