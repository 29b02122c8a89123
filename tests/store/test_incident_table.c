#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "store/slot_index.h"
#include "tests/store/incident_fixture.h"

static struct incident_fixture fx;

enum { SECOND = 1000, MINUTE = 60000, HOUR = 60 * MINUTE };

#define NOON FIXTURE_NOON_MS

static void setup(void)
{
    memset(&fx, 0, sizeof(fx));
    fixture_begin(&fx);
}

static void teardown(void)
{
    fixture_end(&fx);
}

/* Begins anew with what has been set in the fixture's config or rules. */
static void begin_with(struct incident_table_config config, const struct incident_rules *rules)
{
    fixture_end(&fx);
    memset(&fx, 0, sizeof(fx));
    fx.config = config;
    if (rules != NULL) {
        fx.rules = *rules;
        fx.rules_project = 1;
    }
    fixture_begin(&fx);
}

TestSuite(incident_table, .init = setup, .fini = teardown, .timeout = 120);

/* --- lifecycle --------------------------------------------------------------------- */

Test(incident_table, opens_with_the_30th_error_and_says_when_that_was)
{
    fixture_errors(&fx, NOON, NOON + 30 * SECOND, 30, 1);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(i64, fx.records[0].opened_ms, NOON + 29 * SECOND));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
    cr_assert(eq(int, fx.records[0].flags, INCIDENT_FLAG_NOTIFY));
    cr_assert(eq(u32, fx.records[0].reopen_count, 0));
}

Test(incident_table, reopens_the_same_incident_within_half_an_hour)
{
    uint64_t resolved;

    fixture_errors(&fx, NOON, NOON + 30 * SECOND, 30, 1);
    resolved = (uint64_t)NOON + 29 * SECOND + 15 * MINUTE;
    fixture_errors(&fx, (int64_t)resolved + 29 * MINUTE, (int64_t)resolved + 30 * MINUTE, 30, 1);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(u32, fx.records[0].reopen_count, 1));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
    cr_assert(eq(i64, fx.records[0].resolved_ms, 0));
    cr_assert(eq(i64, fx.records[0].opened_ms, NOON + 29 * SECOND));
    cr_assert(lt(i64, (int64_t)resolved, fx.records[0].reopened_ms));
}

Test(incident_table, opens_a_new_incident_after_that)
{
    fixture_errors(&fx, NOON, NOON + 30 * SECOND, 30, 1);
    fixture_errors(&fx, NOON + 46 * MINUTE, NOON + 47 * MINUTE, 30, 1);
    cr_assert(eq(u32, fx.record_count, 2));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
    cr_assert(eq(int, fx.records[1].status, INCIDENT_OPEN));
}

Test(incident_table, waits_as_long_as_a_breach_must_last)
{
    struct incident_rules rules = INCIDENT_RULES_DEFAULT;

    rules.pending_minutes = 10;
    begin_with((struct incident_table_config){0}, &rules);
    /* 30 in one minute are in the windows of six: not long enough. */
    fixture_errors(&fx, NOON, NOON + MINUTE, 30, 1);
    fixture_send(&fx, fixture_error(NOON + 7 * MINUTE, 1, 1));
    cr_assert(eq(u32, fx.record_count, 0));
    /* Twelve a minute go on for long enough. */
    fixture_errors(&fx, NOON + HOUR, NOON + HOUR + 20 * MINUTE, 240, 2);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(ge(i64, fx.records[0].opened_ms, NOON + HOUR + 12 * MINUTE));
    cr_assert(le(i64, fx.records[0].opened_ms, NOON + HOUR + 14 * MINUTE));
}

Test(incident_table, keeps_how_long_a_breach_has_lasted_over_a_restart)
{
    struct incident_rules rules = INCIDENT_RULES_DEFAULT;

    rules.pending_minutes = 10;
    begin_with((struct incident_table_config){0}, &rules);
    fixture_errors(&fx, NOON, NOON + 9 * MINUTE, 108, 1);
    cr_assert(eq(u32, fx.record_count, 0));
    fixture_crash(&fx);
    fixture_errors(&fx, NOON + 9 * MINUTE, NOON + 15 * MINUTE, 72, 1);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(le(i64, fx.records[0].opened_ms, NOON + 14 * MINUTE));
}

Test(incident_table, is_resolved_on_time_while_the_process_is_down)
{
    fixture_errors(&fx, NOON, NOON + 30 * SECOND, 30, 1);
    fx.now_ms = (uint64_t)NOON + 50 * MINUTE;
    fixture_crash(&fx);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
    cr_assert(eq(i64, fx.records[0].resolved_ms, NOON + 29 * SECOND + 15 * MINUTE));
}

Test(incident_table, sees_in_the_end_that_signups_are_back)
{
    fixture_signups(&fx, NOON - 75 * MINUTE, NOON - 16 * MINUTE, 300);
    fixture_pass(&fx, (uint64_t)NOON);
    cr_assert(eq(u32, fx.record_count, 1));
    /* Silence goes on for longer than the hour with which it is compared. */
    fixture_pass(&fx, (uint64_t)NOON + 3 * HOUR);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
    fixture_signups(&fx, NOON + 3 * HOUR, NOON + 4 * HOUR, 300);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
    cr_assert(le(i64, fx.records[0].resolved_ms, NOON + 3 * HOUR + 31 * MINUTE));
    cr_assert(eq(u32, fx.record_count, 1));
}

/* --- flapping (B-10) ----------------------------------------------------------------- */

/* On for 600 seconds, off for 600, six hours long. */
Test(incident_table, of_a_slow_square_wave_tells_twice_at_most)
{
    for (int i = 0; i < 18; i++)
        fixture_errors(&fx, NOON + i * 20 * MINUTE, NOON + (i * 20 + 10) * MINUTE, 120, 1);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(le(u32, fixture_count_notified(&fx), 2));
    fixture_pass(&fx, (uint64_t)NOON + 12 * HOUR);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
    cr_assert(le(u32, fixture_count_notified(&fx), 2));
}

/* With an impatient rule a burst every ten minutes would open and resolve each time. */
Test(incident_table, that_flaps_stays_open_and_tells_when_that_begins_and_ends)
{
    struct incident_rules rules = INCIDENT_RULES_DEFAULT;
    uint32_t told;

    rules.resolve_minutes = 5;
    begin_with((struct incident_table_config){0}, &rules);
    for (int i = 0; i < 6; i++)
        fixture_errors(&fx, NOON + i * 9 * MINUTE, NOON + (i * 9 + 1) * MINUTE, 30, 1);
    cr_assert(eq(u32, fixture_count(&fx, INCIDENT_CAUSE_FLAPPING), 1));
    told = fixture_count_notified(&fx);
    for (int i = 6; i < 60; i++)
        fixture_errors(&fx, NOON + i * 9 * MINUTE, NOON + (i * 9 + 1) * MINUTE, 30, 1);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(u32, fixture_count_notified(&fx), told));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
    fixture_pass(&fx, (uint64_t)NOON + 24 * HOUR);
    cr_assert(eq(u32, fixture_count(&fx, INCIDENT_CAUSE_SETTLED), 1));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
}

/* --- time (B-3) ------------------------------------------------------------------------ */

Test(incident_table, stores_but_does_not_count_what_is_too_late)
{
    fixture_send(&fx, fixture_error(NOON, 1, 1));
    cr_assert(
        eq(int, fixture_send(&fx, fixture_error(NOON - 5 * MINUTE - 1, 1, 1)), INCIDENT_LATE));
    cr_assert(eq(int, fixture_send(&fx, fixture_error(NOON - 5 * MINUTE, 1, 1)), INCIDENT_FOLDED));
    for (int i = 0; i < 100; i++)
        fixture_send(&fx, fixture_error(NOON - 6 * MINUTE, 1, 1));
    cr_assert(eq(u32, fx.record_count, 0));
    fixture_crash(&fx);
    cr_assert(eq(u32, fx.record_count, 0));
}

Test(incident_table, judges_environments_by_their_own_clocks)
{
    struct record_event event = fixture_error(NOON - 24 * HOUR, 1, 7);

    fixture_send(&fx, fixture_error(NOON, 1, 1));
    event.environment = EVENT_ENVIRONMENT_DEV;
    cr_assert(eq(int, fixture_send(&fx, event), INCIDENT_FOLDED));
    cr_assert(eq(int, fixture_send(&fx, fixture_error(NOON - 24 * HOUR, 2, 1)), INCIDENT_FOLDED));
}

Test(incident_table, opens_in_the_past_what_was_held_up_on_its_way)
{
    fixture_send(&fx, fixture_error(NOON - 10 * MINUTE, 1, 1));
    fixture_pass(&fx, (uint64_t)NOON);
    for (int i = 0; i < 30; i++) {
        struct record_event event = fixture_error(NOON - 8 * MINUTE + i, 1, 1);

        event.received_ms = (uint64_t)NOON;
        cr_assert(eq(int, fixture_send(&fx, event), INCIDENT_FOLDED));
    }
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(i64, fx.records[0].opened_ms, NOON - 8 * MINUTE + 28));
}

/* The same recording at several speeds: 0 is as fast as it goes. */
static uint32_t play(uint32_t speed, struct incident_image_header *ret_records)
{
    int64_t start = NOON + INT64_C(100) * 24 * HOUR; /* when it is played */
    uint64_t state = 99;

    begin_with((struct incident_table_config){0}, NULL);
    for (int64_t at = 0; at < 8 * HOUR;) {
        struct record_event event;
        uint64_t step;

        state = state * 6364136223846793005 + 1442695040888963407;
        /* Bursts of errors, quiet hours, and signups that stop after a while. */
        step = (state >> 33) % 100 == 0 ? 40 * MINUTE : (state >> 40) % (4 * SECOND);
        at += (int64_t)step;
        event = (state >> 20) % 3 == 0 && at < 3 * HOUR
                    ? fixture_signup(NOON + at, 1)
                    : fixture_error(NOON + at, 1, 1 + (uint64_t)at / (20 * MINUTE) % 5);
        event.received_ms = (uint64_t)(start + (speed == 0 ? 0 : at / speed));
        if (event.received_ms > fx.now_ms + 200)
            fixture_pass(&fx, event.received_ms);
        fixture_send(&fx, event);
    }
    fixture_send(&fx, fixture_error(NOON + 24 * HOUR, 1, 100));
    memcpy(ret_records, fx.records, fx.record_count * sizeof(*ret_records));
    return fx.record_count;
}

Test(incident_table, finds_the_same_incidents_at_any_speed)
{
    static struct incident_image_header plain[FIXTURE_INCIDENTS_MAX], fast[FIXTURE_INCIDENTS_MAX];
    static const uint32_t SPEEDS[] = {10, 100, 0};
    uint32_t count = play(1, plain);

    cr_assert(lt(u32, 4, count));
    for (uint32_t i = 0; i < ARRAY_COUNT(SPEEDS); i++) {
        cr_assert(eq(u32, play(SPEEDS[i], fast), count), "speed %u", SPEEDS[i]);
        for (uint32_t j = 0; j < count; j++) {
            /* What is the server's own: ids and its clock; and how often last_seen was noted. */
            fast[j].id_low = plain[j].id_low;
            fast[j].created_ms = plain[j].created_ms;
            fast[j].written_ms = plain[j].written_ms;
            fast[j].revision = plain[j].revision;
            cr_assert(eq(int, memcmp(&plain[j], &fast[j], sizeof(plain[j])), 0),
                      "speed %u, incident %u", SPEEDS[i], j);
        }
    }
}

/* --- guardrails (B-11) -------------------------------------------------------------------- */

Test(incident_table, counts_together_what_is_new_beyond_100_a_minute)
{
    for (uint64_t i = 1; i <= 101; i++)
        cr_assert(eq(int, fixture_send(&fx, fixture_error(NOON + (int64_t)i, 1, i)),
                     i <= 100 ? INCIDENT_FOLDED : INCIDENT_OVERFLOWED));
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(int, fx.records[0].rule, INCIDENT_RULE_OVERFLOW));
    cr_assert(eq(int, fx.records[0].severity, INCIDENT_SEVERITY_WARN));
    /* Those that are known go on, and other projects do not notice. */
    cr_assert(eq(int, fixture_send(&fx, fixture_error(NOON + 500, 1, 50)), INCIDENT_FOLDED));
    cr_assert(eq(int, fixture_send(&fx, fixture_error(NOON + 500, 2, 7)), INCIDENT_FOLDED));
    /* In the next minute there is room again. */
    cr_assert(eq(int, fixture_send(&fx, fixture_error(NOON + MINUTE, 1, 200)), INCIDENT_FOLDED));
}

Test(incident_table, holds_100000_fingerprints_in_bounded_memory)
{
    struct incident_table_stats stats;
    uint64_t bytes;

    begin_with((struct incident_table_config){.new_max = 1000000}, NULL);
    bytes = incident_table_bytes(&fx.config);
    for (uint64_t i = 1; i <= 100000; i++)
        fixture_send(&fx, fixture_error(NOON + (int64_t)i, 1, i));
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u64, stats.folded, 100000));
    cr_assert(eq(u64, stats.overflowed, 90000));
    cr_assert(eq(u32, stats.series, 10001));
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(u64, incident_table_bytes(&fx.config), bytes));
    incident_table_check(fx.table);
    /* Two hours later they are forgotten, and there is room for others. */
    for (uint64_t i = 0; i < 1300; i++)
        fixture_send(&fx, fixture_error(NOON + 131 * MINUTE, 1, 200000 + i));
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u64, stats.overflowed, 90000));
    cr_assert(lt(u32, stats.series, 1310));
}

Test(incident_table, holds_many_projects_within_its_total)
{
    struct incident_table_stats stats;

    begin_with((struct incident_table_config){.series_max = 2000, .projects_max = 100}, NULL);
    for (uint64_t project = 1; project <= 150; project++)
        for (uint64_t i = 1; i <= 90; i++)
            fixture_send(&fx, fixture_error(NOON, project, i));
    incident_table_stats(fx.table, &stats);
    cr_assert(le(u32, stats.series, 2000 + INCIDENT_RESERVE_MAX));
    cr_assert(eq(u32, stats.projects, 100));
    cr_assert(eq(u64, stats.folded + stats.unfolded, 150 * 90));
    cr_assert(lt(u64, 0, stats.overflowed));
    cr_assert(lt(u64, 0, stats.unfolded));
}

Test(incident_table, goes_on_when_there_are_too_many_incidents)
{
    struct incident_table_stats stats;

    begin_with((struct incident_table_config){.incidents_max = 4}, NULL);
    for (uint64_t i = 1; i <= 6; i++)
        fixture_errors(&fx, NOON + (int64_t)i, NOON + (int64_t)i + SECOND, 30, i);
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u32, stats.open, 4));
    cr_assert(lt(u64, 0, stats.refused));
    /* An hour later those are resolved and make room. */
    fixture_errors(&fx, NOON + 2 * HOUR, NOON + 2 * HOUR + SECOND, 30, 7);
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u32, stats.open, 1));
    cr_assert(eq(u32, stats.incidents, 4));
}

Test(incident_table, reads_back_every_incident_that_is_not_resolved)
{
    enum { COUNT = 100, LIMIT = 4 };
    struct incident_table_stats stats;

    begin_with((struct incident_table_config){.incidents_max = COUNT}, NULL);
    for (uint64_t i = 1; i <= COUNT; i++)
        fixture_errors(&fx, NOON + (int64_t)i, NOON + (int64_t)i + SECOND, 30, i);
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u32, stats.open, COUNT));
    fx.config.incidents_max = LIMIT;
    fixture_crash(&fx);
    incident_table_check(fx.table);
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u32, stats.open, COUNT));
    fixture_errors(&fx, NOON + MINUTE, NOON + MINUTE + SECOND, 30, COUNT + 1);
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u32, stats.open, COUNT), "no more are opened");
    /* All of them end, and go but for so many. */
    fixture_errors(&fx, NOON + 2 * HOUR, NOON + 2 * HOUR + SECOND, 30, COUNT + 2);
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u32, stats.open, 1));
    incident_table_check(fx.table);
}

Test(incident_table, reads_back_the_rules_of_all_projects)
{
    enum { COUNT = 500 };
    struct incident_rules_record record = {.revision = 1, .rules = INCIDENT_RULES_DEFAULT};
    struct incident_table *table = NULL;
    struct incident_table_config config;

    begin_with((struct incident_table_config){.projects_max = 4}, NULL);
    config = fx.config;
    cr_assert(eq(int, incident_table_new(&config, &table), 0));
    for (record.project = 1; record.project <= COUNT; record.project++)
        cr_assert(eq(
            int, incident_table_apply_rules(table, &record, 3, journal_location_make(0, 1, 8), 100),
            0));
    cr_assert(incident_table_resume(table, 1));
    for (uint64_t project = 1; project <= COUNT; project++)
        cr_assert(ne(ptr, (void *)(uintptr_t)incident_table_rules(table, project), NULL));
    cr_assert(not(incident_table_takes_rules(table, COUNT + 1, 3)));
    incident_table_check(table);
    incident_table_free(&table);
}

/* --- people --------------------------------------------------------------------------------- */

static enum incident_moved move(enum incident_status status)
{
    uint32_t slot;
    enum incident_moved moved = incident_table_move(fx.table, fx.records[0].id_low, 1, status,
                                                    SLICE_LITERAL("key"), fx.now_ms, &slot);

    fixture_write(&fx);
    return moved;
}

Test(incident_table, lets_people_move_it_where_that_makes_sense)
{
    uint32_t slot;

    fixture_errors(&fx, NOON, NOON + 30 * SECOND, 30, 1);
    cr_assert(eq(int, move(INCIDENT_OPEN), INCIDENT_UNMOVED));
    cr_assert(eq(int, move(INCIDENT_INVESTIGATING), INCIDENT_MOVED));
    cr_assert(eq(int, move(INCIDENT_RESOLVED), INCIDENT_MOVED));
    cr_assert(eq(int, move(INCIDENT_INVESTIGATING), INCIDENT_ILLEGAL));
    cr_assert(eq(int, move(INCIDENT_OPEN), INCIDENT_MOVED));
    cr_assert(eq(u32, fx.records[0].reopen_count, 1));
    cr_assert(eq(int,
                 incident_table_move(fx.table, fx.records[0].id_low, 2, INCIDENT_RESOLVED,
                                     SLICE_LITERAL(""), fx.now_ms, &slot),
                 INCIDENT_UNKNOWN));
    cr_assert(eq(int,
                 incident_table_move(fx.table, 12345, 1, INCIDENT_RESOLVED, SLICE_LITERAL(""),
                                     fx.now_ms, &slot),
                 INCIDENT_UNKNOWN));
}

Test(incident_table, that_somebody_resolved_comes_back_only_by_what_comes_after)
{
    fixture_errors(&fx, NOON, NOON + 50 * SECOND, 30, 1);
    cr_assert(eq(int, move(INCIDENT_RESOLVED), INCIDENT_MOVED));
    fixture_errors(&fx, NOON + MINUTE, NOON + 2 * MINUTE, 29, 1);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
    fixture_send(&fx, fixture_error(NOON + 2 * MINUTE, 1, 1));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
    cr_assert(eq(u32, fx.record_count, 1));
}

Test(incident_table, that_is_investigated_is_not_resolved_by_itself)
{
    fixture_errors(&fx, NOON, NOON + 50 * SECOND, 30, 1);
    cr_assert(eq(int, move(INCIDENT_INVESTIGATING), INCIDENT_MOVED));
    fixture_pass(&fx, (uint64_t)NOON + 24 * HOUR);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_INVESTIGATING));
}

Test(incident_table, cannot_be_reopened_when_its_series_has_a_later_one)
{
    fixture_errors(&fx, NOON, NOON + 30 * SECOND, 30, 1);
    fixture_errors(&fx, NOON + 2 * HOUR, NOON + 2 * HOUR + MINUTE, 30, 1);
    cr_assert(eq(u32, fx.record_count, 2));
    cr_assert(eq(int, move(INCIDENT_OPEN), INCIDENT_ILLEGAL));
    fixture_pass(&fx, (uint64_t)NOON + 4 * HOUR);
    cr_assert(eq(int, move(INCIDENT_OPEN), INCIDENT_MOVED));
}

/* --- records ---------------------------------------------------------------------------------- */

Test(incident_table, knows_of_two_records_the_later_and_what_is_still_needed)
{
    struct incident_image image;

    fixture_errors(&fx, NOON, NOON + 30 * SECOND, 30, 1);
    cr_assert(eq(u64, incident_table_live_bytes(fx.table), 100));
    cr_assert(eq(u32, incident_table_up_to(fx.table, 0, 0, 1), 0));
    cr_assert(eq(u32, incident_table_up_to(fx.table, 0, 1, 1), SLOT_NONE));
    cr_assert(eq(u32, incident_table_up_to(fx.table, 1, 0, 1), SLOT_NONE));
    /* Carried forward: the same revision, elsewhere. */
    incident_table_written(fx.table, 0, fx.records[0].revision, journal_location_make(0, 2, 8), 90);
    cr_assert(eq(u32, incident_table_up_to(fx.table, 0, 0, 2), 0));
    cr_assert(eq(u64, incident_table_live_bytes(fx.table), 90));
    cr_assert(eq(int, move(INCIDENT_RESOLVED), INCIDENT_MOVED));
    fixture_crash(&fx);
    incident_table_current(fx.table, 0, &image);
    cr_assert(eq(int, image.header.status, INCIDENT_RESOLVED));
    incident_table_expire(fx.table, (uint64_t)NOON);
    cr_assert(ne(ptr, (void *)incident_table_at(fx.table, 0), NULL));
    /* Only when its series has let it go. */
    fixture_pass(&fx, (uint64_t)NOON + 2 * HOUR);
    incident_table_expire(fx.table, (uint64_t)NOON + HOUR);
    cr_assert(eq(ptr, (void *)incident_table_at(fx.table, 0), NULL));
    cr_assert(eq(u64, incident_table_live_bytes(fx.table), 0));
}

Test(incident_table, forgets_an_incident_that_cannot_be_written)
{
    const struct incident_change *change;
    struct incident_table_stats stats;

    for (int i = 0; i < 31; i++) {
        struct record_event event = fixture_error(i < 30 ? NOON + i : NOON + 3 * HOUR, 1, 1);

        event.received_ms = (uint64_t)NOON;
        event.occurred_ms -= 24 * HOUR;
        incident_table_fold(fx.table, &event, journal_location_make(0, 1, 8), event.received_ms);
    }
    change = incident_table_change(fx.table);
    cr_assert(ne(ptr, (void *)change, NULL));
    cr_assert(eq(u64, incident_table_source(fx.table, change->slot).bits,
                 journal_location_make(0, 1, 8).bits));
    incident_table_take_change(fx.table);
    cr_assert(eq(u32, incident_table_change(fx.table)->slot, 0), "and it ends");
    incident_table_give_up(fx.table, 0);
    cr_assert(eq(u32, incident_table_change(fx.table)->slot, SLOT_NONE));
    incident_table_stats(fx.table, &stats);
    cr_assert(eq(u32, stats.incidents, 0));
    cr_assert(eq(u32, stats.open, 0));
    incident_table_check(fx.table);
}

/* A batch of a recording: opened, resolved and over before anybody has written a thing. */
Test(incident_table, knows_where_its_events_are_even_when_it_is_over)
{
    for (int i = 0; i < 31; i++) {
        struct record_event event = fixture_error(i < 30 ? NOON + i : NOON + 3 * HOUR, 1, 1);

        event.received_ms = (uint64_t)NOON;
        event.occurred_ms -= 24 * HOUR;
        incident_table_fold(fx.table, &event, journal_location_make(0, 1, 8 * (uint64_t)(i + 1)),
                            event.received_ms);
    }
    cr_assert(eq(int, incident_table_at(fx.table, 0)->status, INCIDENT_RESOLVED));
    cr_assert(eq(u64, incident_table_source(fx.table, 0).bits,
                 journal_location_make(0, 1, 8 * UINT64_C(30)).bits));
}

Test(incident_table, takes_rules_of_a_project_and_keeps_the_latest)
{
    struct incident_rules_record record = {
        .revision = 2, .project = 5, .rules = INCIDENT_RULES_DEFAULT};
    uint32_t position = 0;

    cr_assert(eq(ptr, (void *)incident_table_rules(fx.table, 5), NULL));
    record.rules.spike_count = 5;
    cr_assert(eq(
        int, incident_table_apply_rules(fx.table, &record, 3, journal_location_make(0, 3, 8), 50),
        0));
    record.revision = 1;
    record.rules.spike_count = 9;
    cr_assert(eq(
        int, incident_table_apply_rules(fx.table, &record, 3, journal_location_make(0, 4, 8), 50),
        0));
    cr_assert(eq(u32, incident_table_rules(fx.table, 5)->record.rules.spike_count, 5));
    cr_assert(eq(ptr, (void *)incident_table_rules_up_to(fx.table, &position, 0, 2), NULL));
    position = 0;
    cr_assert(ne(ptr, (void *)incident_table_rules_up_to(fx.table, &position, 0, 3), NULL));
    for (int i = 0; i < 5; i++)
        fixture_send(&fx, fixture_error(NOON + i, 5, 1));
    cr_assert(eq(u32, fx.record_count, 1));
}

Test(incident_table, does_not_fold_without_room_for_changes, .signal = SIGABRT)
{
    for (uint64_t i = 1; i < 2000; i++)
        for (int j = 0; j < 30; j++) {
            struct record_event event = fixture_error(NOON + (int64_t)i * MINUTE, 1, i);

            event.received_ms = (uint64_t)event.occurred_ms;
            incident_table_fold(fx.table, &event, journal_location_make(0, 1, 8),
                                event.received_ms);
        }
}
