#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "read_fixture.h"
#include "store/read_rebuild.h"

static struct read_fixture fixture;

static void setup(void)
{
    read_fixture_begin(&fixture, 1);
}

static void teardown(void)
{
    read_fixture_end(&fixture);
}

TestSuite(read_writer, .init = setup, .fini = teardown, .timeout = 60);

static const char COUNT[] = "SELECT count(*) FROM events";

/* Each event once, and nothing else; by its number, which is in its id. */
static void assert_whole(void)
{
    cr_assert(eq(i64, read_fixture_number(&fixture, COUNT), fixture.event_count));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(DISTINCT event_id) FROM events"),
                 fixture.event_count));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT sum(value) FROM metric_minutes"),
                 fixture.event_count));
    cr_assert(eq(i64,
                 read_fixture_number(&fixture, "SELECT count(*) FROM event_search"
                                               " WHERE event_search MATCH 'message : timeout'"),
                 fixture.event_count));
}

Test(read_writer, has_every_durable_event_once)
{
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    for (uint32_t i = 0; i < 5; i++) {
        read_fixture_add(&fixture, 1 + i * 130);
        cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE), "%s",
                  fixture.writer.text);
    }
    assert_whole();
}

Test(read_writer, goes_on_where_it_was_after_a_restart)
{
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    for (uint32_t i = 0; i < 6; i++) {
        read_fixture_add(&fixture, 97);
        cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
        read_fixture_crash(&fixture, true);
        cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
        cr_assert(eq(u64, log_follower_lag(&fixture.writer.follower), 0));
    }
    assert_whole();
}

/*
 * The process, or the machine, dies in every disk call that following makes. Whatever of it was
 * kept, the next start goes on, and in the end all is as if nothing had happened.
 */
static void die_in_every_call(bool kill)
{
    char *expected;
    uint64_t calls;

    read_fixture_add(&fixture, 400);
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    calls = fixture.log.host->disk_call_count;
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    calls = fixture.log.host->disk_call_count - calls;
    expected = read_fixture_dump(&fixture);
    cr_assert(calls > 20);
    for (uint64_t call = 1; call <= calls; call += 1 + call / 40) {
        char *seen;

        read_fixture_end(&fixture);
        read_fixture_begin(&fixture, 1);
        read_fixture_add(&fixture, 400);
        cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
        sim_host_crash_after(fixture.log.host, call);
        (void)read_fixture_follow(&fixture);
        read_fixture_crash(&fixture, kill);
        cr_assert(eq(int, read_fixture_open(&fixture), 0), "call %lu: %s", call, fixture.text);
        cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE), "call %lu: %s", call,
                  fixture.writer.text);
        seen = read_fixture_dump(&fixture);
        cr_assert(eq(str, seen, expected), "call %lu", call);
        free(seen);
    }
    free(expected);
}

Test(read_writer, loses_and_doubles_nothing_when_killed_in_any_disk_call)
{
    die_in_every_call(true);
}

Test(read_writer, loses_and_doubles_nothing_when_power_fails_in_any_disk_call)
{
    die_in_every_call(false);
}

Test(read_writer, tries_again_after_errors_of_the_disk)
{
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    for (uint32_t i = 0; i < 12; i++) {
        struct sim_faults *faults = &fixture.log.host->faults;

        read_fixture_add(&fixture, 60);
        faults->write_no_space.once_count = i % 3 == 0;
        faults->write_error.once_count = i % 3 == 1;
        faults->read_error.once_count = i % 3 == 2;
        for (uint32_t n = 0; read_fixture_follow(&fixture) != READ_STEP_IDLE; n++) {
            cr_assert(lt(u32, n, 4), "%s", fixture.writer.text);
            cr_assert(ne(int, fixture.writer.text[0], 0));
        }
    }
    assert_whole();
}

Test(read_writer, steps_over_what_retention_took_and_counts_it)
{
    uint64_t skipped;

    fixture.log.config.retain_bytes = 4 * fixture.log.config.segment_bytes;
    read_fixture_crash(&fixture, true);
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    read_fixture_add(&fixture, 100);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    read_fixture_add(&fixture, 5000);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE), "%s", fixture.writer.text);
    skipped = fixture.writer.committed_skipped;
    cr_assert(skipped > 1000);
    cr_assert(
        eq(u64, (uint64_t)read_fixture_number(&fixture, COUNT) + skipped, fixture.event_count));
}

/* The log is written no more, and all that was in it goes. */
static void empty_log(void)
{
    fixture.log.config.sealed = true;
    fixture.log.config.retain_bytes = 1;
    read_fixture_crash(&fixture, true);
    fixture_run(&fixture.log, 200);
    cr_assert(not(fixture_exists(&fixture.log, "log-00/0000000000000001.seg")));
}

/* It is up to date with a log that has no record any more to say so with; for good. */
static void assert_current(uint64_t skipped)
{
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE), "%s", fixture.writer.text);
    cr_assert(eq(u64, fixture.writer.committed[0].next_lsn, fixture.event_count + 1));
    cr_assert(eq(u64, fixture.writer.committed_skipped, skipped));
    read_fixture_close(&fixture);
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    cr_assert(eq(u64, fixture.writer.committed[0].next_lsn, fixture.event_count + 1));
    cr_assert(eq(u64, log_follower_lag(&fixture.writer.follower), 0));
}

Test(read_writer, is_up_to_date_with_a_log_whose_records_are_all_gone)
{
    read_fixture_add(&fixture, 28);
    empty_log();
    assert_current(0);
}

Test(read_writer, is_up_to_date_when_the_rest_of_a_log_is_gone)
{
    read_fixture_add(&fixture, 20);
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    read_fixture_close(&fixture);
    read_fixture_add(&fixture, 8);
    empty_log();
    assert_current(8);
    cr_assert(eq(i64, read_fixture_number(&fixture, COUNT), 20));
}
