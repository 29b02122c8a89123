#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "contracts/cron.h"
#include "contracts/timestamp.h"
#include "runtime/rng.h"
#include "tests/support/guarded_text.h"
#include "tests/support/zone_fixture.h"

static struct time_zone zone;
static struct cron cron;
static struct cron_error error;

static void load(const char *name)
{
    static char file[TIME_ZONE_FILE_SIZE_MAX];
    size_t size = zone_read_file(name, file, sizeof(file));

    cr_assert(lt(sz, 0, size), "%s: is package tzdata installed?", name);
    cr_assert(eq(int, time_zone_parse((struct slice){file, size}, &zone), TIME_ZONE_OK), "%s",
              name);
}

static enum cron_result parse(const char *text)
{
    return cron_parse(slice_of(text), &cron, &error);
}

/* "2024-03-31T01:00Z" */
static int64_t instant(const char *text)
{
    int64_t unix_ms = 0;

    cr_assert(timestamp_parse(slice_of(text), &unix_ms), "%s", text);
    return unix_ms / 1000;
}

/* The runs of a schedule after an instant are exactly these, up to the next NULL. */
static void expect_runs(const char *schedule, const char *after, const char *const *runs)
{
    int64_t at = instant(after);

    cr_assert(eq(int, parse(schedule), CRON_OK), "%s", schedule);
    for (; *runs != NULL; runs++) {
        char text[TIMESTAMP_TEXT_SIZE];

        cr_assert(eq(int, cron_next(&cron, &zone, at, &at), CRON_OK), "%s", schedule);
        timestamp_format(at * 1000, text);
        cr_expect(eq(i64, at, instant(*runs)), "%s: %.*s, not %s", schedule, TIMESTAMP_TEXT_SIZE,
                  text, *runs);
    }
}

#define EXPECT_RUNS(schedule, after, ...)                                                          \
    expect_runs(schedule, after, (const char *const[]){__VA_ARGS__, NULL})

static void setup(void)
{
    time_zone_utc(&zone);
}

TestSuite(cron, .init = setup, .timeout = 60);

/* ---- Reading ---- */

static const struct {
    const char *text;
    struct cron cron;
} READ[] = {
#define MINUTES_ALL ((UINT64_C(1) << 60) - 1)
#define HOURS_ALL ((1U << 24) - 1)
#define DAYS_ALL (UINT32_MAX - 1)
#define MONTHS_ALL 0x1ffe
#define STAR(field) (1 << (field))
#define STARS_DATE (STAR(CRON_DAY_OF_MONTH) | STAR(CRON_MONTH) | STAR(CRON_DAY_OF_WEEK))
    {"* * * * *",
     {1, MINUTES_ALL, HOURS_ALL, DAYS_ALL, MONTHS_ALL, 0x7f,
      STAR(CRON_MINUTE) | STAR(CRON_HOUR) | STARS_DATE}},
    {"0 0 1 1 0", {1, 1, 1, 2, 2, 1, 0}},
    {"59 23 31 12 7", {1, UINT64_C(1) << 59, 1 << 23, 1U << 31, 1 << 12, 1, 0}},
    {" \t05  007\t1,2 1-3 1-5 ", {1, 32, 128, 6, 14, 0x3e, 0}},
    {"*/15 */6 */10 */5 */2",
     {1, 1 | 1 << 15 | 1 << 30 | UINT64_C(1) << 45, 1 | 1 << 6 | 1 << 12 | 1 << 18,
      2 | 1 << 11 | 1 << 21 | 1U << 31, 2 | 1 << 6 | 1 << 11, 0x55,
      STAR(CRON_MINUTE) | STAR(CRON_HOUR) | STARS_DATE}},
    {"10-20/5 5/10 1,*/16 1 1",
     {1, 1 << 10 | 1 << 15 | 1 << 20, 1 << 5 | 1 << 15, 2 | 1 << 17, 2, 2, 0}},
    {"*,5 0 1 JAN,feb-Apr,DEC MON",
     {1, MINUTES_ALL, 1, 2, 2 | 4 | 8 | 16 | 1 << 12, 2, STAR(CRON_MINUTE)}},
    {"0 0 1 1 SUN", {1, 1, 1, 2, 2, 1, 0}},
    {"0 0 1 1 sun-sat", {1, 1, 1, 2, 2, 0x7f, 0}},
    {"0 0 1 1 FRI-SUN", {1, 1, 1, 2, 2, 0x61, 0}},
    {"0 0 1 1 SUN-SUN", {1, 1, 1, 2, 2, 1, 0}},
    {"0 0 1 1 5-7", {1, 1, 1, 2, 2, 0x61, 0}},
    {"0 0 1 1 0-7", {1, 1, 1, 2, 2, 0x7f, 0}},
    {"0 0 1 1 1/3", {1, 1, 1, 2, 2, 0x12, 0}},
    {"0 0 1 1 7/2", {1, 1, 1, 2, 2, 1, 0}},
    {"0 0 1 1 */7", {1, 1, 1, 2, 2, 1, STAR(CRON_DAY_OF_WEEK)}},
    {"*/60 0 1 1 0", {1, 1, 1, 2, 2, 1, STAR(CRON_MINUTE)}},
    {"30 0 0 1 1 0", {1 << 30, 1, 1, 2, 2, 1, 0}},
    {"*/30 0 0 1 1 0", {1 | 1 << 30, 1, 1, 2, 2, 1, STAR(CRON_SECOND)}},
    {"@yearly", {1, 1, 1, 2, 2, 0x7f, STAR(CRON_DAY_OF_WEEK)}},
    {"@annually", {1, 1, 1, 2, 2, 0x7f, STAR(CRON_DAY_OF_WEEK)}},
    {"@monthly", {1, 1, 1, 2, MONTHS_ALL, 0x7f, STAR(CRON_MONTH) | STAR(CRON_DAY_OF_WEEK)}},
    {"@weekly", {1, 1, 1, DAYS_ALL, MONTHS_ALL, 1, STAR(CRON_DAY_OF_MONTH) | STAR(CRON_MONTH)}},
    {"@daily", {1, 1, 1, DAYS_ALL, MONTHS_ALL, 0x7f, STARS_DATE}},
    {"@midnight", {1, 1, 1, DAYS_ALL, MONTHS_ALL, 0x7f, STARS_DATE}},
    {" @hourly ", {1, 1, HOURS_ALL, DAYS_ALL, MONTHS_ALL, 0x7f, STAR(CRON_HOUR) | STARS_DATE}},
};

Test(cron, reads_schedules)
{
    for (size_t i = 0; i < ARRAY_COUNT(READ); i++) {
        const struct cron *expected = &READ[i].cron;

        cr_assert(eq(int, parse(READ[i].text), CRON_OK), "%s", READ[i].text);
        cr_expect(eq(u64, cron.seconds, expected->seconds), "%s", READ[i].text);
        cr_expect(eq(u64, cron.minutes, expected->minutes), "%s", READ[i].text);
        cr_expect(eq(u32, cron.hours, expected->hours), "%s", READ[i].text);
        cr_expect(eq(u32, cron.days, expected->days), "%s", READ[i].text);
        cr_expect(eq(u16, cron.months, expected->months), "%s", READ[i].text);
        cr_expect(eq(u8, cron.weekdays, expected->weekdays), "%s", READ[i].text);
        cr_expect(eq(u8, cron.stars, expected->stars), "%s", READ[i].text);
    }
}

static const struct {
    const char *text;
    enum cron_result result;
    enum cron_field field;
    uint32_t offset;
} REFUSED[] = {
    {"", CRON_FEW_FIELDS, CRON_MINUTE, 0},
    {" \t ", CRON_FEW_FIELDS, CRON_MINUTE, 3},
    {"*", CRON_FEW_FIELDS, CRON_HOUR, 1},
    {"* * * *", CRON_FEW_FIELDS, CRON_DAY_OF_WEEK, 7},
    {"* * * * * * *", CRON_MANY_FIELDS, CRON_FIELD_COUNT, 12},
    {"* * * * * * * * *", CRON_MANY_FIELDS, CRON_FIELD_COUNT, 12},
    {"60 * * * *", CRON_OUT_OF_RANGE, CRON_MINUTE, 0},
    {"60 * * * * *", CRON_OUT_OF_RANGE, CRON_SECOND, 0},
    {"0 24 * * *", CRON_OUT_OF_RANGE, CRON_HOUR, 2},
    {"0 0 0 * *", CRON_OUT_OF_RANGE, CRON_DAY_OF_MONTH, 4},
    {"0 0 32 * *", CRON_OUT_OF_RANGE, CRON_DAY_OF_MONTH, 4},
    {"0 0 * 0 *", CRON_OUT_OF_RANGE, CRON_MONTH, 6},
    {"0 0 * 13 *", CRON_OUT_OF_RANGE, CRON_MONTH, 6},
    {"0 0 * * 8", CRON_OUT_OF_RANGE, CRON_DAY_OF_WEEK, 8},
    {"0 0 * * 1,2,8", CRON_OUT_OF_RANGE, CRON_DAY_OF_WEEK, 12},
    {"0 0 * * 5-8", CRON_OUT_OF_RANGE, CRON_DAY_OF_WEEK, 10},
    {"18446744073709551616 * * * *", CRON_OUT_OF_RANGE, CRON_MINUTE, 0},
    {"4294967296 * * * *", CRON_OUT_OF_RANGE, CRON_MINUTE, 0},
    {"20-10 * * * *", CRON_BACKWARD_RANGE, CRON_MINUTE, 3},
    {"0 0 * * FRI-MON", CRON_BACKWARD_RANGE, CRON_DAY_OF_WEEK, 12},
    {"0 0 * * 5-0", CRON_BACKWARD_RANGE, CRON_DAY_OF_WEEK, 10},
    {"0 0 * DEC-JAN *", CRON_BACKWARD_RANGE, CRON_MONTH, 10},
    {"*/0 * * * *", CRON_BAD_STEP, CRON_MINUTE, 2},
    {"*/61 * * * *", CRON_BAD_STEP, CRON_MINUTE, 2},
    {"0 */25 * * *", CRON_BAD_STEP, CRON_HOUR, 4},
    {"0 0 * */13 *", CRON_BAD_STEP, CRON_MONTH, 8},
    {"0 0 * * */8", CRON_BAD_STEP, CRON_DAY_OF_WEEK, 10},
    {"*/99999999999 * * * *", CRON_BAD_STEP, CRON_MINUTE, 2},
    {"? * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 0},
    {"0 0 ? * MON", CRON_BAD_SYNTAX, CRON_DAY_OF_MONTH, 4},
    {"0 0 L * *", CRON_BAD_SYNTAX, CRON_DAY_OF_MONTH, 4},
    {"0 0 15W * *", CRON_BAD_SYNTAX, CRON_DAY_OF_MONTH, 6},
    {"0 0 * * 5#2", CRON_BAD_SYNTAX, CRON_DAY_OF_WEEK, 9},
    {"0 H * * *", CRON_BAD_SYNTAX, CRON_HOUR, 2},
    {", * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 0},
    {"1, * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 2},
    {"1,,2 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 2},
    {"-1 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 0},
    {"+1 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 0},
    {"1- * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 2},
    {"1-2-3 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 3},
    {"*-5 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 1},
    {"1-* * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 2},
    {"*/ * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 2},
    {"*/-5 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 2},
    {"*/5/5 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 3},
    {"/5 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 0},
    {"** * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 1},
    {"5* * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 1},
    {"1.5 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 1},
    {"0x1 * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 1},
    {"0 0 * * MON1", CRON_BAD_SYNTAX, CRON_DAY_OF_WEEK, 11},
    {"0 0 * * 1MON", CRON_BAD_SYNTAX, CRON_DAY_OF_WEEK, 9},
    {"0 0 * * *\n", CRON_BAD_SYNTAX, CRON_DAY_OF_WEEK, 9},
    {"JAN * * * *", CRON_BAD_SYNTAX, CRON_MINUTE, 0},
    {"0 0 * MON *", CRON_UNKNOWN_NAME, CRON_MONTH, 6},
    {"0 0 * JANUARY *", CRON_UNKNOWN_NAME, CRON_MONTH, 6},
    {"0 0 * * MO", CRON_UNKNOWN_NAME, CRON_DAY_OF_WEEK, 8},
    {"0 0 * * MON-XYZ", CRON_UNKNOWN_NAME, CRON_DAY_OF_WEEK, 12},
    {"0 0 * * JAN", CRON_UNKNOWN_NAME, CRON_DAY_OF_WEEK, 8},
    {"@reboot", CRON_UNKNOWN_MACRO, CRON_FIELD_COUNT, 0},
    {" @", CRON_UNKNOWN_MACRO, CRON_FIELD_COUNT, 1},
    {"@dailyx", CRON_UNKNOWN_MACRO, CRON_FIELD_COUNT, 0},
    {"@DAILY", CRON_UNKNOWN_MACRO, CRON_FIELD_COUNT, 0},
    {"@daily *", CRON_MANY_FIELDS, CRON_FIELD_COUNT, 7},
    {"* * * * @daily", CRON_BAD_SYNTAX, CRON_DAY_OF_WEEK, 8},
};

Test(cron, refuses_what_is_no_schedule_and_says_where)
{
    struct guarded_text guarded;

    guarded_text_init(&guarded);
    for (size_t i = 0; i < ARRAY_COUNT(REFUSED); i++) {
        struct slice text = guarded_text_put(&guarded, slice_of(REFUSED[i].text));

        cr_expect(eq(int, cron_parse(text, &cron, &error), REFUSED[i].result), "%s",
                  REFUSED[i].text);
        cr_expect(eq(int, error.result, REFUSED[i].result), "%s", REFUSED[i].text);
        cr_expect(eq(int, error.field, REFUSED[i].field), "%s", REFUSED[i].text);
        cr_expect(eq(u32, error.offset, REFUSED[i].offset), "%s", REFUSED[i].text);
    }
}

Test(cron, bounds_the_size_of_a_schedule)
{
    char text[CRON_TEXT_SIZE_MAX + 1];

    memset(text, ' ', sizeof(text));
    memcpy(text, "0 0 1 1 0", strlen("0 0 1 1 0"));
    cr_expect(
        eq(int, cron_parse((struct slice){text, CRON_TEXT_SIZE_MAX}, &cron, &error), CRON_OK));
    cr_expect(
        eq(int, cron_parse((struct slice){text, sizeof(text)}, &cron, &error), CRON_TOO_LONG));
    cr_expect(eq(u32, error.offset, CRON_TEXT_SIZE_MAX));
    cr_expect(eq(int, cron_parse((struct slice){NULL, 0}, &cron, &error), CRON_FEW_FIELDS));
}

Test(cron, names_every_field_and_every_result)
{
    cr_expect(slice_equal(cron_field_name(CRON_SECOND), SLICE_LITERAL("second")));
    cr_expect(slice_equal(cron_field_name(CRON_DAY_OF_WEEK), SLICE_LITERAL("day of week")));
    cr_expect(slice_equal(cron_field_name(CRON_FIELD_COUNT), SLICE_LITERAL("schedule")));
    for (int i = CRON_OK; i <= CRON_BAD_STEP; i++)
        cr_expect(lt(sz, 0, cron_result_text((enum cron_result)i).size));
}

/* ---- When ---- */

Test(cron, finds_the_next_time_strictly_after_an_instant)
{
    EXPECT_RUNS("* * * * *", "2024-01-01T00:00:00Z", "2024-01-01T00:01Z", "2024-01-01T00:02Z");
    EXPECT_RUNS("* * * * *", "2024-01-01T00:00:59Z", "2024-01-01T00:01Z");
    EXPECT_RUNS("0 0 1 1 *", "2023-12-31T23:59:59Z", "2024-01-01T00:00Z", "2025-01-01T00:00Z");
    EXPECT_RUNS("15,45 9-17/4 * * *", "2024-01-01T09:15Z", "2024-01-01T09:45Z", "2024-01-01T13:15Z",
                "2024-01-01T13:45Z", "2024-01-01T17:15Z", "2024-01-01T17:45Z", "2024-01-02T09:15Z");
    EXPECT_RUNS("*/20 * * * * *", "2024-12-31T23:59:30Z", "2024-12-31T23:59:40Z",
                "2025-01-01T00:00:00Z", "2025-01-01T00:00:20Z");
    EXPECT_RUNS("59 59 23 31 12 *", "1969-01-01T00:00Z", "1969-12-31T23:59:59Z",
                "1970-12-31T23:59:59Z");
    EXPECT_RUNS("0 0 31 * *", "2024-01-31T00:00Z", "2024-03-31T00:00Z", "2024-05-31T00:00Z",
                "2024-07-31T00:00Z", "2024-08-31T00:00Z");
    EXPECT_RUNS("@weekly", "2024-02-28T00:00Z", "2024-03-03T00:00Z", "2024-03-10T00:00Z");
    EXPECT_RUNS("@hourly", "2038-01-19T03:14:07Z", "2038-01-19T04:00Z", "2038-01-19T05:00Z");
}

Test(cron, takes_either_day_field_unless_one_begins_with_a_star)
{
    EXPECT_RUNS("0 0 13 * FRI", "2024-09-01T00:00Z", "2024-09-06T00:00Z", "2024-09-13T00:00Z",
                "2024-09-20T00:00Z", "2024-09-27T00:00Z", "2024-10-04T00:00Z", "2024-10-11T00:00Z",
                "2024-10-13T00:00Z");
    EXPECT_RUNS("0 0 * * FRI", "2024-09-01T00:00Z", "2024-09-06T00:00Z", "2024-09-13T00:00Z");
    EXPECT_RUNS("0 0 13 * *", "2024-09-01T00:00Z", "2024-09-13T00:00Z", "2024-10-13T00:00Z");
    /* Odd days that are Fridays. */
    EXPECT_RUNS("0 0 */2 * FRI", "2024-09-01T00:00Z", "2024-09-13T00:00Z", "2024-09-27T00:00Z",
                "2024-10-11T00:00Z");
    /* The 13th when it is a Sunday. */
    EXPECT_RUNS("0 0 13 * */7", "2024-01-01T00:00Z", "2024-10-13T00:00Z", "2025-04-13T00:00Z");
}

Test(cron, finds_leap_days_however_far)
{
    EXPECT_RUNS("0 0 29 2 *", "2024-02-29T00:00Z", "2028-02-29T00:00Z");
    EXPECT_RUNS("0 0 29 2 *", "1896-02-29T00:00Z", "1904-02-29T00:00Z");
    EXPECT_RUNS("0 0 29 2 *", "2096-02-29T00:00Z", "2104-02-29T00:00Z");
    /* Leap days that are Sundays: 28 years apart, and 40 over a year without one. */
    EXPECT_RUNS("0 0 29 2 */7", "2004-02-29T00:00Z", "2032-02-29T00:00Z");
    EXPECT_RUNS("0 0 29 2 */7", "2088-02-29T00:00Z", "2128-02-29T00:00Z");
    EXPECT_RUNS("* * 29 2 */7", "2088-02-29T23:59Z", "2128-02-29T00:00Z");
}

Test(cron, finds_nothing_where_there_is_nothing)
{
    static const char *const NEVER[] = {"0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30 2 *",
                                        "* * * 31 6 */7", "0 0 30-31 FEB *"};
    int64_t at = -7;

    for (size_t i = 0; i < ARRAY_COUNT(NEVER); i++) {
        cr_assert(eq(int, parse(NEVER[i]), CRON_OK), "%s", NEVER[i]);
        cr_expect(eq(int, cron_next(&cron, &zone, 0, &at), CRON_NEVER), "%s", NEVER[i]);
        cr_expect(eq(i64, at, -7), "%s", NEVER[i]);
    }
}

Test(cron, keeps_to_the_years_that_can_be_written)
{
    int64_t at = -7;

    cr_assert(eq(int, parse("* * * * * *"), CRON_OK));
    cr_assert(eq(int, cron_next(&cron, &zone, INT64_MIN, &at), CRON_OK));
    cr_expect(eq(i64, at, CIVIL_SECONDS_MIN));
    cr_assert(eq(int, cron_next(&cron, &zone, CIVIL_SECONDS_MAX - 1, &at), CRON_OK));
    cr_expect(eq(i64, at, CIVIL_SECONDS_MAX));
    cr_expect(eq(int, cron_next(&cron, &zone, CIVIL_SECONDS_MAX, &at), CRON_NEVER));
    cr_expect(eq(int, cron_next(&cron, &zone, INT64_MAX, &at), CRON_NEVER));
    cr_assert(eq(int, parse("@yearly"), CRON_OK));
    cr_expect(eq(int, cron_next(&cron, &zone, CIVIL_SECONDS_MAX - 1, &at), CRON_NEVER));
    load("Pacific/Apia");
    cr_expect(eq(int, cron_next(&cron, &zone, CIVIL_SECONDS_MAX - 1, &at), CRON_NEVER));
    cr_expect(eq(int, cron_next(&cron, &zone, INT64_MIN, &at), CRON_OK));
}

/* ---- Clocks that change; each list shows real time ---- */

Test(cron, runs_a_fixed_time_in_a_gap_once_at_its_end)
{
    load("Europe/Berlin");
    EXPECT_RUNS("30 2 * * *", "2024-03-30T00:00Z", "2024-03-30T01:30Z", "2024-03-31T01:00Z",
                "2024-04-01T00:30Z");
    /* Two times of the gap are one run, and so is one at its end. */
    EXPECT_RUNS("0,30 2 * * *", "2024-03-30T12:00Z", "2024-03-31T01:00Z", "2024-04-01T00:00Z");
    EXPECT_RUNS("0 2,3 * * *", "2024-03-30T12:00Z", "2024-03-31T01:00Z", "2024-04-01T00:00Z");
    EXPECT_RUNS("59 1,2,3 * * *", "2024-03-30T12:00Z", "2024-03-31T00:59Z", "2024-03-31T01:00Z",
                "2024-03-31T01:59Z", "2024-03-31T23:59Z");
    EXPECT_RUNS("*/10 30 2 31 3 *", "2024-01-01T00:00Z", "2024-03-31T01:00Z",
                "2025-03-31T00:30:00Z", "2025-03-31T00:30:10Z");
    load("America/New_York");
    EXPECT_RUNS("30 2 * * SUN", "2024-03-04T00:00Z", "2024-03-10T07:00Z", "2024-03-17T06:30Z");
    load("Australia/Lord_Howe");
    EXPECT_RUNS("15 2 * * *", "2024-10-04T18:00Z", "2024-10-05T15:30Z", "2024-10-06T15:15Z");
}

Test(cron, runs_a_fixed_time_in_an_overlap_the_first_time_round)
{
    load("Europe/Berlin");
    EXPECT_RUNS("30 2 * * *", "2024-10-26T12:00Z", "2024-10-27T00:30Z", "2024-10-28T01:30Z");
    EXPECT_RUNS("0,59 2,3 * * *", "2024-10-26T12:00Z", "2024-10-27T00:00Z", "2024-10-27T00:59Z",
                "2024-10-27T02:00Z", "2024-10-27T02:59Z");
    /* Asked in the second pass, the first has been. */
    EXPECT_RUNS("30 2 * * *", "2024-10-27T01:10Z", "2024-10-28T01:30Z");
    load("Australia/Lord_Howe");
    EXPECT_RUNS("45 1 * * *", "2024-04-06T00:00Z", "2024-04-06T14:45Z", "2024-04-07T15:15Z");
}

Test(cron, lets_an_interval_follow_real_time)
{
    load("Europe/Berlin");
    EXPECT_RUNS("*/30 * * * *", "2024-03-31T00:00Z", "2024-03-31T00:30Z", "2024-03-31T01:00Z",
                "2024-03-31T01:30Z");
    EXPECT_RUNS("0 * * * *", "2024-10-26T23:00Z", "2024-10-27T00:00Z", "2024-10-27T01:00Z",
                "2024-10-27T02:00Z");
    /* Every quarter of an hour that shows a 2: none in spring, eight in autumn. */
    EXPECT_RUNS("*/15 2 * * *", "2024-03-30T12:00Z", "2024-04-01T00:00Z");
    EXPECT_RUNS("*/30 2 * * *", "2024-10-26T12:00Z", "2024-10-27T00:00Z", "2024-10-27T00:30Z",
                "2024-10-27T01:00Z", "2024-10-27T01:30Z", "2024-10-28T01:00Z");
    load("Australia/Lord_Howe");
    EXPECT_RUNS("0 * * * *", "2024-10-05T14:00Z", "2024-10-05T14:30Z", "2024-10-05T16:00Z");
    EXPECT_RUNS("45 * * * *", "2024-04-06T13:50Z", "2024-04-06T14:45Z", "2024-04-06T15:15Z",
                "2024-04-06T16:15Z");
}

Test(cron, makes_up_for_a_day_that_a_country_leaves_out)
{
    load("Pacific/Apia");
    EXPECT_RUNS("0 12 * * *", "2011-12-28T23:00Z", "2011-12-29T22:00Z", "2011-12-30T10:00Z",
                "2011-12-30T22:00Z", "2011-12-31T22:00Z");
    EXPECT_RUNS("0 12 30 12 *", "2011-01-01T00:00Z", "2011-12-30T10:00Z", "2012-12-29T22:00Z");
    EXPECT_RUNS("0 * 30 12 *", "2011-01-01T00:00Z", "2012-12-29T10:00Z");
}

Test(cron, knows_changes_that_lie_beyond_the_table)
{
    load("Europe/Berlin");
    EXPECT_RUNS("30 2 * * *", "2100-03-27T12:00Z", "2100-03-28T01:00Z", "2100-03-29T00:30Z");
    EXPECT_RUNS("30 2 * * *", "2100-10-30T12:00Z", "2100-10-31T00:30Z", "2100-11-01T01:30Z");
    EXPECT_RUNS("0 12 19 1 *", "2038-01-19T03:14:08Z", "2038-01-19T11:00Z", "2039-01-19T11:00Z");
}

/* ---- Against a model ---- */

enum { MODEL_DAYS = 6, MODEL_MINUTES = MODEL_DAYS * 1440 };

/* A schedule as sets, drawn at random and spelled out for the parser. */
struct model {
    bool matches[CRON_FIELD_COUNT][60];
    bool has_star[CRON_FIELD_COUNT];
    char text[512];
};

static void model_add_field(struct model *model, enum cron_field field, int min, int max,
                            struct rng *rng)
{
    size_t size = strlen(model->text);
    int kind = (int)rng_below(rng, 6);
    int step = kind == 1 ? 1 + (int)rng_below(rng, (uint64_t)(max - min + 1)) : 1;
    int item_count = 1 + (int)rng_below(rng, 3);

    if (kind <= 1) {
        model->has_star[field] = true;
        for (int value = min; value <= max; value += step)
            model->matches[field][value] = true;
        snprintf(model->text + size, sizeof(model->text) - size, step == 1 ? "* " : "*/%d ", step);
        return;
    }
    for (int i = 0; i < item_count; i++) {
        /* Small values are drawn more often: clocks change at night. */
        int span = rng_chance(rng, 1, 2) && max - min > 5 ? 5 : max - min + 1;
        int first = min + (int)rng_below(rng, (uint64_t)span);
        int last = kind == 2 ? first + (int)rng_below(rng, (uint64_t)(max - first + 1)) : first;

        for (int value = first; value <= last; value++)
            model->matches[field][value] = true;
        size = strlen(model->text);
        snprintf(model->text + size, sizeof(model->text) - size, "%d-%d%s", first, last,
                 i + 1 < item_count ? "," : " ");
    }
}

static void model_init(struct model *model, struct rng *rng)
{
    memset(model, 0, sizeof(*model));
    model_add_field(model, CRON_MINUTE, 0, 59, rng);
    model_add_field(model, CRON_HOUR, 0, 23, rng);
    model_add_field(model, CRON_DAY_OF_MONTH, 1, 31, rng);
    model_add_field(model, CRON_MONTH, 1, 12, rng);
    model_add_field(model, CRON_DAY_OF_WEEK, 0, 6, rng);
}

static bool model_matches(const struct model *model, int64_t local_s)
{
    time_t seconds = (time_t)local_s;
    struct tm tm;
    bool by_day;
    bool by_weekday;

    gmtime_r(&seconds, &tm);
    by_day = model->matches[CRON_DAY_OF_MONTH][tm.tm_mday];
    by_weekday = model->matches[CRON_DAY_OF_WEEK][tm.tm_wday];
    if (!model->matches[CRON_MINUTE][tm.tm_min] || !model->matches[CRON_HOUR][tm.tm_hour] ||
        !model->matches[CRON_MONTH][tm.tm_mon + 1])
        return false;
    if (model->has_star[CRON_DAY_OF_MONTH] || model->has_star[CRON_DAY_OF_WEEK])
        return by_day && by_weekday;
    return by_day || by_weekday;
}

/*
 * Watches the C library's clock minute by minute. An interval job runs when the clock
 * shows a match; a fixed-time job when the clock shows more than ever before and there
 * is a match in what is new.
 */
static void compare_with_model(const struct model *model, const int64_t *locals, int64_t begin_s)
{
    bool is_interval = model->has_star[CRON_MINUTE] || model->has_star[CRON_HOUR];
    int64_t latest_s = locals[0];
    int64_t at = begin_s;
    bool is_over = cron_next(&cron, &zone, at, &at) != CRON_OK;

    for (int i = 1; i < MODEL_MINUTES; i++) {
        bool is_due = is_interval && model_matches(model, locals[i]);
        bool is_run = !is_over && at == begin_s + i * 60;

        for (; latest_s < locals[i]; latest_s += 60)
            is_due |= !is_interval && model_matches(model, latest_s + 60);
        if (is_due != is_run)
            cr_fatal("%s: %s at %jd", model->text, is_due ? "no run" : "a run",
                     (intmax_t)(begin_s + i * 60));
        if (is_run)
            is_over = cron_next(&cron, &zone, at, &at) != CRON_OK;
    }
    cr_assert(is_over || at >= begin_s + MODEL_MINUTES * 60);
}

Test(cron, agrees_with_watching_the_c_librarys_clock)
{
    static const struct {
        const char *zone;
        const char *change;
    } PLACES[] = {
        {"Europe/Berlin", "2024-03-31T00:00Z"},       {"Europe/Berlin", "2024-10-27T00:00Z"},
        {"America/New_York", "2024-03-10T00:00Z"},    {"America/New_York", "2024-11-03T00:00Z"},
        {"Australia/Lord_Howe", "2024-04-06T00:00Z"}, {"Australia/Lord_Howe", "2024-10-05T00:00Z"},
        {"America/St_Johns", "2006-04-02T00:00Z"},    {"America/St_Johns", "2006-10-29T00:00Z"},
        {"Africa/Casablanca", "2024-03-10T00:00Z"},   {"Africa/Casablanca", "2024-04-14T00:00Z"},
        {"Pacific/Apia", "2011-12-30T00:00Z"},        {"Asia/Kolkata", "2024-12-31T00:00Z"},
        {"America/Santiago", "2099-09-06T00:00Z"},    {"Antarctica/Troll", "2024-03-31T00:00Z"},
        {"Asia/Manila", "2024-02-28T00:00Z"},
    };
    static int64_t locals[MODEL_MINUTES];
    static struct model model;
    struct rng rng;

    rng_init_seed(&rng, 18);
    for (size_t p = 0; p < ARRAY_COUNT(PLACES); p++) {
        int64_t begin_s = instant(PLACES[p].change) - MODEL_DAYS / 2 * CIVIL_SECONDS_PER_DAY;

        load(PLACES[p].zone);
        setenv("TZ", PLACES[p].zone, 1);
        tzset();
        for (int i = 0; i < MODEL_MINUTES; i++) {
            time_t seconds = (time_t)(begin_s + i * 60);
            struct tm tm;

            localtime_r(&seconds, &tm);
            locals[i] = seconds + tm.tm_gmtoff;
        }
        for (int k = 0; k < 150; k++) {
            model_init(&model, &rng);
            cr_assert(eq(int, parse(model.text), CRON_OK), "%s", model.text);
            compare_with_model(&model, locals, begin_s);
        }
    }
}

/* ---- Missed runs ---- */

Test(cron, counts_what_was_missed)
{
    int64_t from = instant("2024-01-01T00:00Z");

    cr_assert(eq(int, parse("*/5 * * * *"), CRON_OK));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from, 1000), 0));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from + 299, 1000), 0));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from + 300, 1000), 1));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from + 86400, 1000), 288));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from + 86400, 288), 288));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from + 86400, 100), 100));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from + 86400, 0), 0));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, INT64_MAX, 1000), 1000));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, from - 3600, 1000), 0));
    cr_assert(eq(int, parse("0 0 30 2 *"), CRON_OK));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, from, INT64_MAX, 1000), 0));
}

Test(cron, counts_a_change_of_the_clock_as_it_would_have_run)
{
    int64_t spring = instant("2024-03-30T12:00Z");
    int64_t autumn = instant("2024-10-26T12:00Z");

    load("Europe/Berlin");
    cr_assert(eq(int, parse("30 2 * * *"), CRON_OK));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, spring, spring + 86400, 1000), 1));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, autumn, autumn + 86400, 1000), 1));
    cr_assert(eq(int, parse("*/15 2 * * *"), CRON_OK));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, spring, spring + 43200, 1000), 0));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, autumn, autumn + 86400, 1000), 8));
}

Test(cron, aborts_on_a_bound_above_the_policy, .signal = SIGABRT)
{
    cr_assert(eq(int, parse("@daily"), CRON_OK));
    cr_expect(eq(u32, cron_count_missed(&cron, &zone, 0, 1, CRON_MISSED_COUNT_MAX + 1), 0));
}
