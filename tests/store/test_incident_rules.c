#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/store/incident_fixture.h"

/*
 * The vectors that follow from the seed's formulas: B events in the hour before, C in the
 * window. And the seed's defects, each under its number in the list it stands in.
 */

static struct incident_fixture fx;

enum { SECOND = 1000, MINUTE = 60000, HOUR = 60 * MINUTE };

static void setup(void)
{
    memset(&fx, 0, sizeof(fx));
    fixture_begin(&fx);
}

static void teardown(void)
{
    fixture_end(&fx);
}

TestSuite(incident_rules, .init = setup, .fini = teardown, .timeout = 60);

/* B errors in the hour before noon's window, C within it; the severity, or -1 for none. */
static int spike(uint32_t before, uint32_t count)
{
    int64_t noon = FIXTURE_NOON_MS;

    /* The window of 12:05 is 12:00 to 12:05; the hour before it begins at 11:00. */
    if (before > 0)
        fixture_errors(&fx, noon - HOUR, noon, before, 1);
    fixture_errors(&fx, noon + 5 * MINUTE, noon + 6 * MINUTE, count, 1);
    return fx.record_count == 0 ? -1 : fx.records[0].severity;
}

Test(incident_rules, b0_c29_is_nothing)
{
    cr_assert(eq(int, spike(0, 29), -1));
}

Test(incident_rules, b0_c30_is_a_new_error)
{
    cr_assert(eq(int, spike(0, 30), INCIDENT_SEVERITY_ERROR));
    /* Defect B0-6: with nothing to compare with it is no spike. */
    cr_assert(eq(int, fx.records[0].rule, INCIDENT_RULE_NEW_ERROR));
}

Test(incident_rules, b120_c30_is_a_warning)
{
    cr_assert(eq(int, spike(120, 30), INCIDENT_SEVERITY_WARN));
    cr_assert(eq(int, fx.records[0].rule, INCIDENT_RULE_ERROR_SPIKE));
    cr_assert(eq(u64, fx.records[0].baseline_milli, 10000));
    cr_assert(eq(u64, fx.records[0].window_count, 30));
}

Test(incident_rules, b120_c29_is_nothing)
{
    cr_assert(eq(int, spike(120, 29), -1));
}

Test(incident_rules, b120_c50_is_an_error)
{
    cr_assert(eq(int, spike(120, 50), INCIDENT_SEVERITY_ERROR));
}

Test(incident_rules, b120_c100_is_critical)
{
    cr_assert(eq(int, spike(120, 100), INCIDENT_SEVERITY_CRITICAL));
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(u32, fixture_count(&fx, INCIDENT_CAUSE_ESCALATED), 2));
}

Test(incident_rules, b144_c35_is_nothing)
{
    cr_assert(eq(int, spike(144, 35), -1));
}

Test(incident_rules, b144_c36_is_a_warning)
{
    cr_assert(eq(int, spike(144, 36), INCIDENT_SEVERITY_WARN));
}

/* Signups in the 60 minutes before the last 15, and in these; the severity at noon, or -1. */
static int drop(uint32_t before, uint32_t last)
{
    int64_t noon = FIXTURE_NOON_MS;

    fixture_signups(&fx, noon - 75 * MINUTE, noon - 15 * MINUTE, before);
    if (last > 0)
        fixture_signups(&fx, noon - 15 * MINUTE, noon - SECOND, last);
    /* Another event at noon: the tick of 12:00 is due. */
    fixture_send(&fx, fixture_error(noon, 1, 1));
    return fx.record_count == 0 ? -1 : fx.records[0].severity;
}

Test(incident_rules, signups_39_then_1_is_nothing)
{
    cr_assert(eq(int, drop(39, 1), -1));
}

/* 1.15 number 7: 40 an hour are 10 in a quarter, and 10 are no drop. */
Test(incident_rules, signups_40_then_10_is_the_normal_rate)
{
    cr_assert(eq(int, drop(40, 10), -1));
}

Test(incident_rules, signups_80_then_5_is_an_error)
{
    cr_assert(eq(int, drop(80, 5), INCIDENT_SEVERITY_ERROR));
    cr_assert(eq(int, fx.records[0].rule, INCIDENT_RULE_SIGNUP_DROP));
    cr_assert(le(i64, fx.records[0].opened_ms, FIXTURE_NOON_MS));
}

Test(incident_rules, signups_400_then_10_is_critical)
{
    cr_assert(eq(int, drop(400, 10), INCIDENT_SEVERITY_CRITICAL));
}

Test(incident_rules, signups_400_then_11_is_nothing)
{
    cr_assert(eq(int, drop(400, 11), -1));
}

Test(incident_rules, signups_40_then_5_is_a_warning)
{
    cr_assert(eq(int, drop(40, 5), INCIDENT_SEVERITY_WARN));
}

/* --- the seed's defects, B0 ------------------------------------------------------ */

/* Windows by the server's clock, buckets by the event's: a recording never matched. */
Test(incident_rules, defect_1_an_old_recording_opens_what_it_opened_then)
{
    for (int i = 0; i < 30; i++) {
        struct record_event event = fixture_error(FIXTURE_NOON_MS + i * SECOND, 1, 1);

        event.received_ms = (uint64_t)FIXTURE_NOON_MS + 7 * 24 * HOUR + (uint64_t)i;
        fixture_send(&fx, event);
    }
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(i64, fx.records[0].opened_ms, FIXTURE_NOON_MS + 29 * SECOND));
}

/* The window dropped its first, partial minute: 30 errors in just under 5 minutes were missed. */
Test(incident_rules, defect_2_a_window_is_never_shorter_than_five_minutes)
{
    fixture_send(&fx, fixture_error(FIXTURE_NOON_MS + 30 * SECOND, 1, 1));
    fixture_errors(&fx, FIXTURE_NOON_MS + 4 * MINUTE, FIXTURE_NOON_MS + 5 * MINUTE + 29 * SECOND,
                   29, 1);
    cr_assert(eq(u32, fx.record_count, 1));
}

/* Only a signup looked for missing signups: total silence was never seen. */
Test(incident_rules, defect_4_total_silence_is_seen_within_16_minutes)
{
    uint64_t last = (uint64_t)FIXTURE_NOON_MS - 1;

    fixture_signups(&fx, FIXTURE_NOON_MS - 75 * MINUTE, FIXTURE_NOON_MS, 300);
    fixture_pass(&fx, last + 5 * MINUTE);
    cr_assert(eq(u32, fx.record_count, 0));
    fixture_pass(&fx, last + 16 * MINUTE);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(int, fx.records[0].rule, INCIDENT_RULE_SIGNUP_DROP));
    cr_assert(le(i64, fx.records[0].opened_ms, FIXTURE_NOON_MS + 16 * MINUTE));
}

/* The drop's baseline had the drop in it: 30 before and 10 now were "40 an hour". */
Test(incident_rules, defect_5_the_baseline_of_a_drop_does_not_include_it)
{
    cr_assert(eq(int, drop(36, 9), -1));
}

/* Find, then insert, and no unique index. */
Test(incident_rules, defects_7_and_8_there_is_one_incident_however_many_errors)
{
    for (int i = 0; i < 100000; i++)
        fixture_send(&fx, fixture_error(FIXTURE_NOON_MS + i, 1, 1));
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(u32, fixture_count(&fx, INCIDENT_CAUSE_OPENED), 1));
}

/* It was resolved while errors went on, since only a breach counted as a sign of life. */
Test(incident_rules, defect_9_it_stays_open_while_errors_go_on)
{
    fixture_errors(&fx, FIXTURE_NOON_MS, FIXTURE_NOON_MS + MINUTE, 30, 1);
    /* One in 100 seconds: three in each window, a tenth of the threshold. */
    for (int i = 0; i < 36; i++)
        fixture_send(&fx, fixture_error(FIXTURE_NOON_MS + MINUTE + i * 100 * SECOND, 1, 1));
    cr_assert(eq(u32, fixture_count(&fx, INCIDENT_CAUSE_AUTO_RESOLVED), 0));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
}

/* And the ticker came every five minutes. */
Test(incident_rules, defect_9_it_is_resolved_to_the_second)
{
    int64_t last = FIXTURE_NOON_MS + 29 * 2 * SECOND;

    fixture_errors(&fx, FIXTURE_NOON_MS, FIXTURE_NOON_MS + MINUTE, 30, 1);
    fixture_pass(&fx, (uint64_t)last + 15 * MINUTE - 1);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
    fixture_pass(&fx, (uint64_t)last + 15 * MINUTE + SECOND);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
    cr_assert(eq(i64, fx.records[0].resolved_ms, last + 15 * MINUTE));
    cr_assert(eq(i64, fx.records[0].last_seen_ms, last));
}

/* --- 1.15 ------------------------------------------------------------------------- */

/* Number 5: an incident that somebody investigates was not found, and a second one opened. */
Test(incident_rules, number_5_an_investigated_incident_is_the_same_incident)
{
    uint32_t slot;

    fixture_errors(&fx, FIXTURE_NOON_MS, FIXTURE_NOON_MS + MINUTE, 30, 1);
    cr_assert(eq(int,
                 incident_table_move(fx.table, fx.records[0].id_low, 1, INCIDENT_INVESTIGATING,
                                     SLICE_LITERAL("me"), fx.now_ms, &slot),
                 INCIDENT_MOVED));
    fixture_write(&fx);
    fixture_errors(&fx, FIXTURE_NOON_MS + MINUTE, FIXTURE_NOON_MS + 2 * MINUTE, 300, 1);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(eq(int, fx.records[0].status, INCIDENT_INVESTIGATING));
}

/* Number 6: one from the future could trigger. It counts when it came, at most a minute ahead. */
Test(incident_rules, number_6_the_future_does_not_move_the_clock)
{
    struct record_event event = fixture_error(FIXTURE_NOON_MS + 24 * HOUR, 1, 1);

    event.received_ms = (uint64_t)FIXTURE_NOON_MS;
    fixture_send(&fx, event);
    cr_assert(eq(int, fixture_send(&fx, fixture_error(FIXTURE_NOON_MS, 1, 1)), INCIDENT_FOLDED));
    fixture_errors(&fx, FIXTURE_NOON_MS, FIXTURE_NOON_MS + MINUTE, 28, 1);
    cr_assert(eq(u32, fx.record_count, 1));
    cr_assert(le(i64, fx.records[0].opened_ms, FIXTURE_NOON_MS + MINUTE));
}

/* Number 8: 15 or 60 minutes: it is a rule. */
Test(incident_rules, number_8_the_time_to_resolve_is_a_rule)
{
    fixture_end(&fx);
    memset(&fx, 0, sizeof(fx));
    fx.rules = INCIDENT_RULES_DEFAULT;
    fx.rules.resolve_minutes = 60;
    fx.rules_project = 1;
    fixture_begin(&fx);
    fixture_errors(&fx, FIXTURE_NOON_MS, FIXTURE_NOON_MS + MINUTE, 30, 1);
    fixture_pass(&fx, (uint64_t)FIXTURE_NOON_MS + 59 * MINUTE);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_OPEN));
    fixture_pass(&fx, (uint64_t)FIXTURE_NOON_MS + 61 * MINUTE + SECOND);
    cr_assert(eq(int, fx.records[0].status, INCIDENT_RESOLVED));
}
