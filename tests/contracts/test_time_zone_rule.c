#include "contracts/time_zone_rule.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/contracts/time_zone_fixture.h"

/* Rules, each as the footer of a file without a table. */

TestSuite(time_zone_rule, .timeout = 60);

static void expect_dst(const char *rule, int64_t first_s, int64_t end_s)
{
    cr_assert(eq(int, load_rule(rule), TIME_ZONE_OK), "%s", rule);
    cr_expect(not(time_zone_span_at(&zone, first_s - 1).is_dst), "%s", rule);
    cr_expect(time_zone_span_at(&zone, first_s).is_dst, "%s", rule);
    cr_expect(time_zone_span_at(&zone, end_s - 1).is_dst, "%s", rule);
    cr_expect(not(time_zone_span_at(&zone, end_s).is_dst), "%s", rule);
}

Test(time_zone_rule, reads_rules_with_every_kind_of_date)
{
    /* The last Sunday, the second Sunday, the first; 02:00 is the default. */
    expect_dst("CET-1CEST,M3.5.0,M10.5.0/3", utc(2024, 3, 31, 1, 0), utc(2024, 10, 27, 1, 0));
    expect_dst("EST5EDT,M3.2.0,M11.1.0", utc(2024, 3, 10, 7, 0), utc(2024, 11, 3, 6, 0));
    /* A month that begins on the weekday, and one whose fifth is its last week. */
    expect_dst("AAA0BBB,M9.1.0/0,M12.5.2/0", utc(2024, 9, 1, 0, 0), utc(2024, 12, 30, 23, 0));
    /* J60 is 1 March in every year, 60 is 29 February in a leap year only. */
    expect_dst("AAA0BBB,J60/0,J365/0", utc(2024, 3, 1, 0, 0), utc(2024, 12, 30, 23, 0));
    expect_dst("AAA0BBB,J60/0,J365/0", utc(2023, 3, 1, 0, 0), utc(2023, 12, 30, 23, 0));
    expect_dst("AAA0BBB,J59/0,364/0", utc(2024, 2, 28, 0, 0), utc(2024, 12, 29, 23, 0));
    expect_dst("AAA0BBB,59/0,364/0", utc(2024, 2, 29, 0, 0), utc(2024, 12, 29, 23, 0));
    expect_dst("AAA0BBB,59/0,364/0", utc(2023, 3, 1, 0, 0), utc(2023, 12, 30, 23, 0));
    expect_dst("AAA0BBB,0/0,365/0", utc(2024, 1, 1, 0, 0), utc(2024, 12, 30, 23, 0));
    /* South of the equator, and with minutes and seconds everywhere. */
    expect_dst("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", utc(2024, 10, 5, 15, 30),
               utc(2025, 4, 5, 15, 0));
    expect_dst("AAA+1:02:03BBB-0:00:04,J100/1:2:3,J200/4:5:6", utc(2024, 4, 10, 2, 4) + 6,
               utc(2024, 7, 19, 4, 5) + 2);
}

Test(time_zone_rule, reads_hours_of_a_week_around_a_date)
{
    expect_dst("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", utc(2024, 3, 31, 1, 0), utc(2024, 10, 27, 1, 0));
    expect_dst("EET-2EEST,M3.4.4/50,M10.4.4/50", utc(2024, 3, 30, 0, 0), utc(2024, 10, 25, 23, 0));
    expect_dst("AAA0BBB,J1/-167,J1/167", utc(2023, 12, 25, 1, 0), utc(2024, 1, 7, 22, 0));
    expect_dst("AAA0BBB,J365/167,J60/0", utc(2024, 1, 6, 23, 0), utc(2024, 2, 29, 23, 0));
}

/* On 3 January the dates of the year before are still to come, or those of the next are over. */
Test(time_zone_rule, finds_the_neighbours_of_an_instant_in_years_further_off)
{
    static const char *const RULES[] = {"AAA0BBB,J364/167,J365/160", "AAA0BBB,J1/-160,J2/-167"};

    for (size_t i = 0; i < ARRAY_COUNT(RULES); i++) {
        cr_assert(eq(int, load_rule(RULES[i]), TIME_ZONE_OK));
        for (int64_t at = utc(2023, 1, 1, 0, 0); at < utc(2026, 1, 1, 0, 0); at += 6 * 3600) {
            struct time_zone_span span = time_zone_span_at(&zone, at);

            zone_assert_span_at(&zone, at);
            cr_assert(lt(i64, span.end_s - span.begin_s, INT64_C(366) * CIVIL_SECONDS_PER_DAY));
        }
    }
}

Test(time_zone_rule, takes_a_rule_from_new_year_to_new_year_for_daylight_saving_for_ever)
{
    cr_assert(eq(int, load_rule("EST5EDT,0/0,J365/25"), TIME_ZONE_OK));
    for (int64_t at = utc(2020, 1, 1, 0, 0); at < utc(2030, 1, 1, 0, 0); at += 1800)
        cr_assert(span_is(time_zone_span_at(&zone, at), -14400, true, "EDT"), "%jd", (intmax_t)at);
}

Test(time_zone_rule, refuses_rules_that_are_none)
{
    static const char *const WRONG[] = {
        "CET",
        "-1",
        "CE-1",
        "ABCDEFGHIJKLMNOP-1",
        "<CET-1",
        "<>-1",
        "<+1>-1",
        "<CE T>-1",
        "C1T-1",
        "CET-25",
        "CET-1:60",
        "CET-1:00:60",
        "CET-1:",
        "CET-1:00:",
        "CET--1",
        "CET+-1",
        "CET-0001",
        "CET-1CEST",
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,",
        "CET-1CEST,M3.5.0,M10.5.0,",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
        "CET-1CEST,M3.5.0,M10.5.0/3 ",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,M3,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J366,J1",
        "CET-1CEST,366,1",
        "CET-1CEST,J,J1",
        "CET-1CEST,-1,1",
        "CET-1CEST,J1/168,J2",
        "CET-1CEST,J1/-168,J2",
        "CET-1CEST,J1/,J2",
        "CET-1CEST,J1/2:,J2",
        "CET-1CEST25,J1,J2",
        "CET-1CEST-1:00:60,J1,J2",
        "CET-1CEST;J1;J2",
        ":Europe/Berlin",
        "\nUTC0",
        "UTC0\n",
        " UTC0",
    };

    for (size_t i = 0; i < ARRAY_COUNT(WRONG); i++)
        cr_expect(eq(int, load_rule(WRONG[i]), TIME_ZONE_BAD), "%s", WRONG[i]);
}

Test(time_zone_rule, reads_rules_up_to_their_bounds)
{
    cr_assert(
        eq(int, load_rule("<-2459>24:59:59<ABCDEFGHIJKLMNO>-24:59:59,J100/+2,J200"), TIME_ZONE_OK));
    cr_expect(eq(int, time_zone_span_at(&zone, utc(2024, 2, 1, 0, 0)).offset_s, -89999));
    cr_assert(eq(int, load_rule("AAA-24:59:59BBB,J100,J200"), TIME_ZONE_OK));
    cr_expect(
        eq(int, time_zone_span_at(&zone, utc(2024, 6, 1, 0, 0)).offset_s, TIME_ZONE_OFFSET_S_MAX));
    cr_assert(eq(int, load_rule(""), TIME_ZONE_OK));
    cr_expect(span_is(time_zone_span_at(&zone, 0), 0, false, "UTC"));
}
