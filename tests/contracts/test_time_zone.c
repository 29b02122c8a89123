#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdlib.h>
#include <time.h>

#include "contracts/time_zone.h"
#include "runtime/rng.h"
#include "tests/support/guarded_text.h"
#include "tests/support/zone_fixture.h"

/* 1800-01-01 and 2200-01-01. */
#define YEAR_1800 INT64_C(-5364662400)
#define YEAR_2200 INT64_C(7258118400)

static char file[65536];
static struct time_zone zone;

/* The zone of that name, from the system's files. */
static void load(const char *name)
{
    size_t size = zone_read_file(name, file, sizeof(file));

    cr_assert(lt(sz, 0, size), "%s: is package tzdata installed?", name);
    cr_assert(eq(int, time_zone_parse((struct slice){file, size}, &zone), TIME_ZONE_OK), "%s",
              name);
}

/* The zone of a rule alone; what parsing it gave. */
static enum time_zone_result load_rule(const char *rule)
{
    return time_zone_parse(zone_write_rule(rule, file), &zone);
}

static bool span_is(struct time_zone_span span, int32_t offset_s, bool is_dst, const char *abbrev)
{
    return span.offset_s == offset_s && span.is_dst == is_dst &&
           slice_equal(span.abbrev, slice_of(abbrev));
}

TestSuite(time_zone, .timeout = 60);

static const struct {
    const char *zone;
    int64_t unix_s;
    int32_t offset_s;
    bool is_dst;
    const char *abbrev;
} VECTORS[] = {
    {"Europe/Berlin", 1711846799, 3600, false, "CET"},          /* 2024-03-31T00:59:59Z */
    {"Europe/Berlin", 1711846800, 7200, true, "CEST"},          /* 2024-03-31T01:00:00Z */
    {"Europe/Berlin", 1729990799, 7200, true, "CEST"},          /* 2024-10-27T00:59:59Z */
    {"Europe/Berlin", 1729990800, 3600, false, "CET"},          /* 2024-10-27T01:00:00Z */
    {"Europe/Berlin", -775872000, 10800, true, "CEMT"},         /* 1945-06-01T00:00:00Z */
    {"Europe/Berlin", 2147483647, 3600, false, "CET"},          /* 2038-01-19T03:14:07Z */
    {"Europe/Berlin", 2147483648, 3600, false, "CET"},          /* 2038-01-19T03:14:08Z */
    {"Europe/Berlin", 2161555200, 7200, true, "CEST"},          /* 2038-07-01T00:00:00Z */
    {"Europe/Berlin", 4109878799, 3600, false, "CET"},          /* 2100-03-28T00:59:59Z */
    {"Europe/Berlin", 4109878800, 7200, true, "CEST"},          /* 2100-03-28T01:00:00Z */
    {"Europe/Berlin", 4133980799, 3600, false, "CET"},          /* 2100-12-31T23:59:59Z */
    {"America/New_York", 1710053999, -18000, false, "EST"},     /* 2024-03-10T06:59:59Z */
    {"America/New_York", 1710054000, -14400, true, "EDT"},      /* 2024-03-10T07:00:00Z */
    {"America/New_York", 1730613599, -14400, true, "EDT"},      /* 2024-11-03T05:59:59Z */
    {"America/New_York", 1730613600, -18000, false, "EST"},     /* 2024-11-03T06:00:00Z */
    {"America/New_York", 4118342400, -14400, true, "EDT"},      /* 2100-07-04T00:00:00Z */
    {"America/New_York", -2717650800, -18000, false, "EST"},    /* 1883-11-18T17:00:00Z */
    {"Australia/Lord_Howe", 1712415599, 39600, true, "+11"},    /* 2024-04-06T14:59:59Z */
    {"Australia/Lord_Howe", 1712415600, 37800, false, "+1030"}, /* 2024-04-06T15:00:00Z */
    {"Australia/Lord_Howe", 1728142199, 37800, false, "+1030"}, /* 2024-10-05T15:29:59Z */
    {"Australia/Lord_Howe", 1728142200, 39600, true, "+11"},    /* 2024-10-05T15:30:00Z */
    {"Australia/Lord_Howe", 4133980800, 39600, true, "+11"},    /* 2101-01-01T00:00:00Z */
    {"Asia/Kolkata", 1704067200, 19800, false, "IST"},          /* 2024-01-01T00:00:00Z */
    {"Asia/Kolkata", 4102444800, 19800, false, "IST"},          /* 2100-01-01T00:00:00Z */
    {"America/St_Johns", 1704067200, -12600, false, "NST"},     /* 2024-01-01T00:00:00Z */
    {"America/St_Johns", 1719792000, -9000, true, "NDT"},       /* 2024-07-01T00:00:00Z */
    {"America/St_Johns", 2540246400, -9000, true, "NDT"},       /* 2050-07-01T00:00:00Z */
    {"Africa/Casablanca", 1710035999, 3600, false, "+01"},      /* 2024-03-10T01:59:59Z */
    {"Africa/Casablanca", 1710039600, 0, true, "+00"},          /* Ramadan */
    {"Africa/Casablanca", 1717200000, 3600, false, "+01"},      /* 2024-06-01T00:00:00Z */
    {"Africa/Casablanca", 3786912000, 3600, false, "+01"},      /* 2090-01-01T00:00:00Z */
    {"Pacific/Apia", 1325239199, -36000, true, "-10"},          /* 2011-12-29 ends */
    {"Pacific/Apia", 1325239200, 50400, true, "+14"},           /* 2011-12-31 begins */
    {"Europe/Dublin", 1704067200, 0, true, "GMT"},              /* winter is the exception */
    {"Europe/Dublin", 1719792000, 3600, false, "IST"},          /* 2024-07-01T00:00:00Z */
    {"America/Nuuk", 1901149199, -7200, false, "-02"},          /* M3.5.0/-1 */
    {"America/Nuuk", 1901149200, -3600, true, "-01"},           /* 2030-03-31T01:00:00Z */
    {"Asia/Gaza", 4086547200, 10800, true, "EEST"},             /* M3.4.4/50 */
};

Test(time_zone, knows_the_offsets_of_places_with_every_kind_of_history)
{
    for (size_t i = 0; i < ARRAY_COUNT(VECTORS); i++) {
        load(VECTORS[i].zone);
        cr_expect(span_is(time_zone_span_at(&zone, VECTORS[i].unix_s), VECTORS[i].offset_s,
                          VECTORS[i].is_dst, VECTORS[i].abbrev),
                  "%s at %jd", VECTORS[i].zone, (intmax_t)VECTORS[i].unix_s);
    }
}

/* ---- The system's files ---- */

static void compare_at(const char *name, int64_t unix_s)
{
    struct time_zone_span span = time_zone_span_at(&zone, unix_s);
    time_t time = (time_t)unix_s;
    struct tm local;

    localtime_r(&time, &local);
    if (!span_is(span, (int32_t)local.tm_gmtoff, local.tm_isdst > 0, local.tm_zone))
        cr_fatal("%s at %jd: %d %.*s, glibc %ld %s", name, (intmax_t)unix_s, span.offset_s,
                 (int)span.abbrev.size, span.abbrev.data, local.tm_gmtoff, local.tm_zone);
}

/* Of the zone in file: around every transition until 2200, and at random instants. */
static void compare_with_c_library(const char *name)
{
    /* Before the table glibc takes the first type without daylight saving instead. */
    int64_t first_s = time_zone_span_at(&zone, INT64_MIN).end_s;
    struct rng rng;

    rng_init_seed(&rng, 2024);
    first_s = first_s < YEAR_1800 || first_s > YEAR_2200 ? YEAR_1800 : first_s;
    setenv("TZ", name, 1);
    tzset();
    for (int64_t at = first_s; at < YEAR_2200; at = time_zone_span_at(&zone, at).end_s) {
        compare_at(name, at);
        if (at > first_s)
            compare_at(name, at - 1);
    }
    for (int i = 0; i < 100; i++)
        compare_at(name, first_s + (int64_t)rng_below(&rng, (uint64_t)(YEAR_2200 - first_s)));
}

static size_t zone_count;

static int visit(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    const char *name = path + strlen("/usr/share/zoneinfo/");
    enum time_zone_result result;
    size_t size;

    (void)status;
    (void)ftw;
    size = type == FTW_F ? zone_read_path(path, file, sizeof(file)) : 0;
    if (size < 4 || memcmp(file, "TZif", 4) != 0)
        return 0;
    result = time_zone_parse((struct slice){file, size}, &zone);
    if (strncmp(name, "right/", 6) == 0) {
        cr_assert(eq(int, result, TIME_ZONE_LEAP_SECONDS), "%s", name);
        return 0;
    }
    cr_assert(eq(int, result, TIME_ZONE_OK), "%s", name);
    cr_assert(time_zone_name_is_valid(slice_of(name)), "%s", name);
    compare_with_c_library(name);
    zone_count++;
    return 0;
}

Test(time_zone, reads_every_zone_of_the_system_and_agrees_with_the_c_library)
{
    cr_assert(eq(int, nftw("/usr/share/zoneinfo", visit, 16, FTW_PHYS), 0));
    cr_assert(lt(sz, 250, zone_count), "is package tzdata installed?");
}

static const char *const NAMES[] = {
    "Europe/Berlin",    "America/New_York",  "Australia/Lord_Howe", "Asia/Kolkata",
    "America/St_Johns", "Africa/Casablanca", "Pacific/Apia",        "Europe/Dublin",
    "America/Nuuk",     "Asia/Gaza",         "America/Santiago",    "Africa/Monrovia",
    "Asia/Manila",      "Antarctica/Troll",  "America/Juneau",      "UTC",
};

Test(time_zone, comes_back_from_local_time_to_every_instant)
{
    struct rng rng;

    rng_init_seed(&rng, 7);
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        int64_t at = YEAR_1800;

        load(NAMES[i]);
        for (int k = 0; k < 2000; k++)
            zone_assert_sane_at(&zone, YEAR_1800 + (int64_t)rng_below(&rng, YEAR_2200 - YEAR_1800));
        for (; at < YEAR_2200; at = time_zone_span_at(&zone, at).end_s)
            for (int64_t near = -7200; near <= 7200; near += 1800)
                for (int64_t one = -1; one <= 1; one++)
                    zone_assert_sane_at(&zone, at + near + one);
        cr_expect(ge(i64, at, YEAR_2200));
    }
}

Test(time_zone, agrees_with_the_c_library_on_what_a_local_time_means)
{
    struct rng rng;

    rng_init_seed(&rng, 11);
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        load(NAMES[i]);
        setenv("TZ", NAMES[i], 1);
        tzset();
        for (int k = 0; k < 500; k++) {
            /* From 1975 on: before, offsets have seconds that glibc's search trips over. */
            int64_t local_s = INT64_C(157766400) + (int64_t)rng_below(&rng, INT64_C(4000000000));
            struct civil_time local = civil_time_of(local_s);
            struct tm tm = {.tm_year = local.year - 1900,
                            .tm_mon = local.month - 1,
                            .tm_mday = local.day,
                            .tm_hour = local.hour,
                            .tm_min = local.minute,
                            .tm_sec = local.second,
                            .tm_isdst = -1};
            struct time_zone_instants instants;
            time_t expected = mktime(&tm);

            if (time_zone_to_unix(&zone, &local, &instants) == TIME_ZONE_UNIQUE)
                cr_assert(eq(i64, instants.earlier_s, expected), "%s %jd", NAMES[i],
                          (intmax_t)local_s);
            else
                cr_assert(instants.earlier_s == expected || instants.later_s == expected, "%s %jd",
                          NAMES[i], (intmax_t)local_s);
        }
    }
}

/* ---- Local time ---- */

static const struct {
    const char *zone;
    struct civil_time local;
    enum time_zone_local kind;
    struct time_zone_instants instants;
} LOCAL_VECTORS[] = {
    {"Europe/Berlin",
     {2024, 7, 1, 12, 0, 0},
     TIME_ZONE_UNIQUE,
     {1719828000, 1719828000, 1719828000}},
    {"Europe/Berlin",
     {2024, 3, 31, 1, 59, 59},
     TIME_ZONE_UNIQUE,
     {1711846799, 1711846799, 1711846799}},
    {"Europe/Berlin", {2024, 3, 31, 2, 0, 0}, TIME_ZONE_GAP, {1711843200, 1711846800, 1711846800}},
    {"Europe/Berlin", {2024, 3, 31, 2, 30, 0}, TIME_ZONE_GAP, {1711845000, 1711848600, 1711846800}},
    {"Europe/Berlin",
     {2024, 3, 31, 3, 0, 0},
     TIME_ZONE_UNIQUE,
     {1711846800, 1711846800, 1711846800}},
    {"Europe/Berlin",
     {2024, 10, 27, 2, 0, 0},
     TIME_ZONE_OVERLAP,
     {1729987200, 1729990800, 1729987200}},
    {"Europe/Berlin",
     {2024, 10, 27, 2, 59, 59},
     TIME_ZONE_OVERLAP,
     {1729990799, 1729994399, 1729990799}},
    {"Europe/Berlin",
     {2024, 10, 27, 3, 0, 0},
     TIME_ZONE_UNIQUE,
     {1729994400, 1729994400, 1729994400}},
    {"Europe/Berlin", {2100, 3, 28, 2, 30, 0}, TIME_ZONE_GAP, {4109877000, 4109880600, 4109878800}},
    {"America/New_York",
     {2024, 3, 10, 2, 30, 0},
     TIME_ZONE_GAP,
     {1710052200, 1710055800, 1710054000}},
    {"America/New_York",
     {2024, 11, 3, 1, 30, 0},
     TIME_ZONE_OVERLAP,
     {1730611800, 1730615400, 1730611800}},
    {"Australia/Lord_Howe",
     {2024, 10, 6, 2, 15, 0},
     TIME_ZONE_GAP,
     {1728141300, 1728143100, 1728142200}},
    {"Australia/Lord_Howe",
     {2024, 4, 7, 1, 45, 0},
     TIME_ZONE_OVERLAP,
     {1712414700, 1712416500, 1712414700}},
    {"Pacific/Apia", {2011, 12, 30, 12, 0, 0}, TIME_ZONE_GAP, {1325196000, 1325282400, 1325239200}},
    {"UTC", {1970, 1, 1, 0, 0, 0}, TIME_ZONE_UNIQUE, {0, 0, 0}},
};

Test(time_zone, tells_gaps_and_overlaps_with_both_their_instants)
{
    for (size_t i = 0; i < ARRAY_COUNT(LOCAL_VECTORS); i++) {
        const struct time_zone_instants *expected = &LOCAL_VECTORS[i].instants;
        struct time_zone_instants instants = {-1, -1, -1};

        load(LOCAL_VECTORS[i].zone);
        cr_expect(eq(int, time_zone_to_unix(&zone, &LOCAL_VECTORS[i].local, &instants),
                     LOCAL_VECTORS[i].kind),
                  "%zu", i);
        cr_expect(eq(i64, instants.earlier_s, expected->earlier_s), "%zu", i);
        cr_expect(eq(i64, instants.later_s, expected->later_s), "%zu", i);
        cr_expect(eq(i64, instants.transition_s, expected->transition_s), "%zu", i);
    }
}

Test(time_zone, refuses_a_local_date_that_is_none)
{
    struct civil_time local = {2023, 2, 29, 0, 0, 0};
    struct time_zone_instants instants = {-1, -1, -1};

    time_zone_utc(&zone);
    cr_expect(eq(int, time_zone_to_unix(&zone, &local, &instants), TIME_ZONE_NO_DATE));
    cr_expect(eq(i64, instants.earlier_s, -1));
}

Test(time_zone, reaches_a_local_time_at_the_first_instant_that_shows_it_or_more)
{
    /* 2024-03-31 and 2024-10-27 in Berlin, local seconds. */
    int64_t spring = 1711843200;
    int64_t autumn = 1729987200;

    load("Europe/Berlin");
    cr_expect(eq(i64, time_zone_reach(&zone, spring + 7199), 1711846799));
    cr_expect(eq(i64, time_zone_reach(&zone, spring + 7200), 1711846800));
    cr_expect(eq(i64, time_zone_reach(&zone, spring + 10799), 1711846800));
    cr_expect(eq(i64, time_zone_reach(&zone, spring + 10801), 1711846801));
    cr_expect(eq(i64, time_zone_latest_local(&zone, 1711846800), spring + 10800));
    cr_expect(eq(i64, time_zone_reach(&zone, autumn + 9000), 1729989000));
    cr_expect(eq(i64, time_zone_latest_local(&zone, 1729990799), autumn + 10799));
    cr_expect(eq(i64, time_zone_latest_local(&zone, 1729990800), autumn + 10799));
    cr_expect(eq(i64, time_zone_latest_local(&zone, 1729994399), autumn + 10799));
    cr_expect(eq(i64, time_zone_latest_local(&zone, 1729994400), autumn + 10800));
}

Test(time_zone, has_an_answer_for_every_instant_there_is)
{
    static const int64_t INSTANTS[] = {INT64_MIN, INT64_MIN + 1, INT64_MIN / 2, -1,       0,
                                       1,         INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        load(NAMES[i]);
        for (size_t k = 0; k < ARRAY_COUNT(INSTANTS); k++)
            zone_assert_span_at(&zone, INSTANTS[k]);
    }
    cr_assert(eq(int, load_rule("CET-1CEST,M3.5.0,M10.5.0/3"), TIME_ZONE_OK));
    for (size_t k = 0; k < ARRAY_COUNT(INSTANTS); k++)
        zone_assert_span_at(&zone, INSTANTS[k]);
    /* The same date of the next 400 years. */
    cr_expect(eq(i64, time_zone_span_at(&zone, 1711846800 + 12622780800 * 1000).begin_s,
                 1711846800 + 12622780800 * 1000));
    cr_expect(eq(i64, time_zone_span_at(&zone, 1711846800 - 12622780800 * 1000).begin_s,
                 1711846800 - 12622780800 * 1000));
}

Test(time_zone, has_utc_without_a_file)
{
    time_zone_utc(&zone);
    cr_expect(span_is(time_zone_span_at(&zone, 0), 0, false, "UTC"));
    cr_expect(eq(i64, time_zone_span_at(&zone, 0).begin_s, INT64_MIN));
    cr_expect(eq(i64, time_zone_span_at(&zone, 0).end_s, INT64_MAX));
    zone_assert_sane_at(&zone, 1719828000);
}

/* ---- Rules ---- */

static int64_t utc(int year, int month, int day, int hour, int minute)
{
    struct civil_time time = {year,          (uint8_t)month,  (uint8_t)day,
                              (uint8_t)hour, (uint8_t)minute, 0};

    return civil_time_seconds(&time);
}

static void expect_dst(const char *rule, int64_t first_s, int64_t end_s)
{
    cr_assert(eq(int, load_rule(rule), TIME_ZONE_OK), "%s", rule);
    cr_expect(not(time_zone_span_at(&zone, first_s - 1).is_dst), "%s", rule);
    cr_expect(time_zone_span_at(&zone, first_s).is_dst, "%s", rule);
    cr_expect(time_zone_span_at(&zone, end_s - 1).is_dst, "%s", rule);
    cr_expect(not(time_zone_span_at(&zone, end_s).is_dst), "%s", rule);
}

Test(time_zone, reads_rules_with_every_kind_of_date)
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

Test(time_zone, reads_hours_of_a_week_around_a_date)
{
    expect_dst("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", utc(2024, 3, 31, 1, 0), utc(2024, 10, 27, 1, 0));
    expect_dst("EET-2EEST,M3.4.4/50,M10.4.4/50", utc(2024, 3, 30, 0, 0), utc(2024, 10, 25, 23, 0));
    expect_dst("AAA0BBB,J1/-167,J1/167", utc(2023, 12, 25, 1, 0), utc(2024, 1, 7, 22, 0));
    expect_dst("AAA0BBB,J365/167,J60/0", utc(2024, 1, 6, 23, 0), utc(2024, 2, 29, 23, 0));
}

/* On 3 January the dates of the year before are still to come, or those of the next are over. */
Test(time_zone, finds_the_neighbours_of_an_instant_in_years_further_off)
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

Test(time_zone, takes_a_rule_from_new_year_to_new_year_for_daylight_saving_for_ever)
{
    cr_assert(eq(int, load_rule("EST5EDT,0/0,J365/25"), TIME_ZONE_OK));
    for (int64_t at = utc(2020, 1, 1, 0, 0); at < utc(2030, 1, 1, 0, 0); at += 1800)
        cr_assert(span_is(time_zone_span_at(&zone, at), -14400, true, "EDT"), "%jd", (intmax_t)at);
}

Test(time_zone, refuses_rules_that_are_none)
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

Test(time_zone, reads_rules_up_to_their_bounds)
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

/* ---- Files made by hand ---- */

static const int64_t TRANSITIONS[] = {-1000000, 0, 1000000};
static const struct time_zone_type TYPES[] = {{3600, false, 0}, {7200, true, 4}, {-3600, false, 9}};

/* Standard time, then daylight saving, then an hour behind UTC. */
static struct zone_source good_source(char version)
{
    return (struct zone_source){
        .version = version,
        .transition_count = 3,
        .transitions = TRANSITIONS,
        .transition_types = "\0\1\2",
        .type_count = 3,
        .types = TYPES,
        .chars = {"CET\0CEST\0-01", 13},
        .isstd = {"\1\1\0", 3},
        .isut = {"\1\0\0", 3},
        .footer = "",
    };
}

static enum time_zone_result parse_source(const struct zone_source *source)
{
    return time_zone_parse(zone_write(source, file), &zone);
}

Test(time_zone, reads_all_versions)
{
    static const char VERSIONS[] = {'\0', '2', '3', '4'};

    for (size_t i = 0; i < ARRAY_COUNT(VERSIONS); i++) {
        struct zone_source source = good_source(VERSIONS[i]);

        cr_assert(eq(int, parse_source(&source), TIME_ZONE_OK), "%zu", i);
        cr_expect(span_is(time_zone_span_at(&zone, INT64_MIN), 3600, false, "CET"));
        cr_expect(span_is(time_zone_span_at(&zone, -1), 3600, false, "CET"));
        cr_expect(span_is(time_zone_span_at(&zone, 0), 7200, true, "CEST"));
        cr_expect(span_is(time_zone_span_at(&zone, 999999), 7200, true, "CEST"));
        cr_expect(span_is(time_zone_span_at(&zone, INT64_MAX), -3600, false, "-01"));
        zone_assert_sane_at(&zone, 0);
    }
}

Test(time_zone, uses_the_rule_only_behind_the_table)
{
    struct zone_source source = good_source('2');

    source.footer = "CET-1CEST,M3.5.0,M10.5.0/3";
    cr_assert(eq(int, parse_source(&source), TIME_ZONE_OK));
    cr_expect(span_is(time_zone_span_at(&zone, 999999), 7200, true, "CEST"));
    cr_expect(span_is(time_zone_span_at(&zone, 1000000), 3600, false, "CET"));
    cr_expect(eq(i64, time_zone_span_at(&zone, 1000000).begin_s, 1000000));
    cr_expect(span_is(time_zone_span_at(&zone, utc(2100, 7, 1, 0, 0)), 7200, true, "CEST"));
}

Test(time_zone, uses_the_wide_times_and_only_skips_the_narrow_ones)
{
    struct zone_source narrow = good_source(0);
    struct zone_source wide = good_source('2');
    int64_t far[] = {-5000000000, 0, 5000000000};
    char other[ZONE_WRITTEN_SIZE_MAX];
    struct slice first = zone_write(&narrow, file);
    struct slice second;

    /* Nonsense in the narrow block, but of the length that its header gives. */
    file[4] = '2';
    memset(file + ZONE_HEADER_SIZE, 0xff, first.size - ZONE_HEADER_SIZE);
    wide.transitions = far;
    second = zone_write(&wide, other);
    memcpy(file + first.size, second.data + ZONE_HEADER_SIZE, second.size - ZONE_HEADER_SIZE);
    first.size += second.size - ZONE_HEADER_SIZE;
    cr_assert(eq(int, time_zone_parse(first, &zone), TIME_ZONE_OK));
    cr_expect(eq(i64, time_zone_span_at(&zone, 1).end_s, 5000000000));
}

Test(time_zone, refuses_a_table_that_breaks_a_rule)
{
    static const int64_t EQUAL[] = {0, 0, 1};
    static const int64_t DESCENDING[] = {0, 2, 1};
    static const int64_t TOO_EARLY[] = {-(INT64_C(1) << 59) - 1, 0, 1};
    static const int64_t TOO_LATE[] = {0, 1, (INT64_C(1) << 59) + 1};
    static const struct time_zone_type TOO_FAR_EAST[] = {{93600, false, 0}};
    static const struct time_zone_type TOO_FAR_WEST[] = {{-90000, false, 0}};
    static const struct time_zone_type LEAST[] = {{INT32_MIN, false, 0}};
    static const struct time_zone_type NO_ABBREV[] = {{0, false, 13}};
    static const struct time_zone_type EMPTY_ABBREV[] = {{0, false, 3}};
    struct zone_source good = good_source('2');
    struct zone_source bad[20];
    size_t count = 0;

    cr_assert(eq(int, parse_source(&good), TIME_ZONE_OK));
    bad[count] = good;
    bad[count++].transitions = EQUAL;
    bad[count] = good;
    bad[count++].transitions = DESCENDING;
    bad[count] = good;
    bad[count++].transitions = TOO_EARLY;
    bad[count] = good;
    bad[count++].transitions = TOO_LATE;
    bad[count] = good;
    bad[count++].transition_types = "\0\3\0";
    bad[count] = good;
    bad[count++].chars = (struct slice){"CET\0CEST\0-01", 12}; /* the last NUL */
    bad[count] = good;
    bad[count++].chars = (struct slice){"C T\0CEST\0-01", 13};
    bad[count] = good;
    bad[count++].chars = (struct slice){"CET\0CEST\0-1\xff", 13};
    bad[count] = good;
    bad[count++].chars = (struct slice){"ABCDEFGHIJKLMNOP", 17};
    bad[count] = good;
    bad[count++].isstd = (struct slice){"\1\1", 2};
    bad[count] = good;
    bad[count++].isut = (struct slice){"\1\0", 2};
    bad[count] = good;
    bad[count++].isstd = (struct slice){"\1\2\0", 3};
    bad[count] = good;
    bad[count++].isut = (struct slice){"\2\0\0", 3};
    bad[count] = good;
    bad[count++].isut = (struct slice){"\0\0\1", 3}; /* UT but not standard */
    bad[count] = good;
    bad[count++].isstd = (struct slice){NULL, 0}; /* the same */
    for (size_t i = 0; i < count; i++)
        cr_expect(eq(int, parse_source(&bad[i]), TIME_ZONE_BAD), "%zu", i);

    const struct time_zone_type *types[] = {TOO_FAR_EAST, TOO_FAR_WEST, LEAST, NO_ABBREV,
                                            EMPTY_ABBREV};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct zone_source source = good;

        source.transition_count = 0;
        source.isstd.size = 0;
        source.isut.size = 0;
        source.type_count = 1;
        source.types = types[i];
        cr_expect(eq(int, parse_source(&source), TIME_ZONE_BAD), "%zu", i);
    }
}

/* The file with one byte set; at an offset from the second header. */
static enum time_zone_result parse_spoilt(size_t offset, char value)
{
    struct zone_source source = good_source('2');
    struct slice bytes = zone_write(&source, file);

    file[ZONE_HEADER_SIZE + offset] = value;
    return time_zone_parse(bytes, &zone);
}

Test(time_zone, refuses_headers_that_lie)
{
    struct zone_source source = good_source('2');
    struct slice bytes;

    cr_expect(eq(int, parse_spoilt(0, 'T'), TIME_ZONE_OK));
    cr_expect(eq(int, parse_spoilt(0, 'X'), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(4, '3'), TIME_ZONE_BAD)); /* two versions in one file */
    cr_expect(eq(int, parse_spoilt(4, '5'), TIME_ZONE_UNKNOWN_VERSION));
    cr_expect(eq(int, parse_spoilt(4, '1'), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(31, 1), TIME_ZONE_LEAP_SECONDS));
    cr_expect(eq(int, parse_spoilt(34, 2), TIME_ZONE_TOO_BIG)); /* 515 transitions */
    cr_expect(eq(int, parse_spoilt(35, 2), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(35, 4), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(32, (char)0xff), TIME_ZONE_TOO_BIG));
    cr_expect(eq(int, parse_spoilt(39, 0), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(43, 0), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(43, (char)129), TIME_ZONE_TOO_BIG));
    cr_expect(eq(int, parse_spoilt(44 + 27 + 3 + 4, 2), TIME_ZONE_BAD)); /* is_dst */

    /* A first block that claims to be longer than the file, by each of its counts. */
    for (size_t i = 0; i < 6; i++) {
        bytes = zone_write(&source, file);
        memset(file + 20 + 4 * i, 0xff, 4);
        cr_expect(eq(int, time_zone_parse(bytes, &zone), TIME_ZONE_BAD), "%zu", i);
    }
    bytes = zone_write(&source, file);
    bytes.size++;
    cr_expect(eq(int, time_zone_parse(bytes, &zone), TIME_ZONE_BAD));
    bytes.size = TIME_ZONE_FILE_SIZE_MAX + 1;
    cr_expect(eq(int, time_zone_parse(bytes, &zone), TIME_ZONE_TOO_BIG));
}

Test(time_zone, refuses_too_many_types_and_takes_the_most_there_may_be)
{
    static struct time_zone_type types[TIME_ZONE_TYPE_COUNT_MAX + 1];
    static int64_t transitions[TIME_ZONE_TRANSITION_COUNT_MAX];
    static char zeros[TIME_ZONE_TRANSITION_COUNT_MAX];
    static char bytes[16384];
    struct zone_source source = {.version = 0,
                                 .transition_count = TIME_ZONE_TRANSITION_COUNT_MAX,
                                 .transitions = transitions,
                                 .transition_types = zeros,
                                 .type_count = TIME_ZONE_TYPE_COUNT_MAX,
                                 .types = types,
                                 .chars = {"UTC", 4}};

    for (int i = 0; i < TIME_ZONE_TRANSITION_COUNT_MAX; i++)
        transitions[i] = i;
    cr_assert(eq(int, time_zone_parse(zone_write(&source, bytes), &zone), TIME_ZONE_OK));
    cr_expect(eq(i64, time_zone_span_at(&zone, 300).end_s, 301));
    zone_assert_sane_at(&zone, 300);
    source.type_count++;
    cr_expect(eq(int, time_zone_parse(zone_write(&source, bytes), &zone), TIME_ZONE_TOO_BIG));
}

/* ---- Damage ---- */

Test(time_zone, refuses_every_cut_of_a_file)
{
    static const char *const CUT[] = {"Europe/Berlin", "Asia/Kolkata", "UTC"};
    struct guarded_text guarded;

    guarded_text_init(&guarded);
    for (size_t i = 0; i < ARRAY_COUNT(CUT); i++) {
        size_t full_size = zone_read_file(CUT[i], file, sizeof(file));

        cr_assert(lt(sz, ZONE_HEADER_SIZE, full_size));
        for (size_t size = 0; size < full_size; size++) {
            struct slice cut = guarded_text_put(&guarded, (struct slice){file, size});
            enum time_zone_result result = time_zone_parse(cut, &zone);

            cr_assert(eq(int, result, TIME_ZONE_BAD), "%s, %zu bytes", CUT[i], size);
        }
    }
}

/* Whatever is accepted in spite of the damage is a zone like any other. */
Test(time_zone, survives_damage_to_every_byte)
{
    static const char *const DAMAGED[] = {"Europe/Berlin", "Australia/Lord_Howe"};
    static const uint8_t FLIPS[] = {0x01, 0x10, 0x80, 0xff};
    struct guarded_text guarded;
    size_t accepted_count = 0;
    size_t refused_count = 0;

    guarded_text_init(&guarded);
    for (size_t i = 0; i < ARRAY_COUNT(DAMAGED); i++) {
        size_t size = zone_read_file(DAMAGED[i], file, sizeof(file));

        for (size_t k = 0; k < size * ARRAY_COUNT(FLIPS); k++) {
            char *byte = &file[k / ARRAY_COUNT(FLIPS)];
            char before = *byte;
            struct slice bytes;

            *byte = (char)(*byte ^ FLIPS[k % ARRAY_COUNT(FLIPS)]);
            bytes = guarded_text_put(&guarded, (struct slice){file, size});
            *byte = before;
            if (time_zone_parse(bytes, &zone) != TIME_ZONE_OK) {
                refused_count++;
                continue;
            }
            accepted_count++;
            zone_assert_span_at(&zone, INT64_MIN);
            zone_assert_span_at(&zone, INT64_MAX);
            for (int64_t at = YEAR_1800; at < YEAR_2200; at += 500000017)
                zone_assert_sane_at(&zone, at);
        }
    }
    cr_expect(lt(sz, 0, accepted_count));
    cr_expect(lt(sz, 0, refused_count));
}

Test(time_zone, leaves_the_zone_alone_when_it_refuses)
{
    struct time_zone before;

    time_zone_utc(&zone);
    before = zone;
    cr_assert(eq(int, load_rule("CET-1CEST,J1"), TIME_ZONE_BAD));
    cr_expect(eq(int, memcmp(&before, &zone, sizeof(zone)), 0));
}

/* ---- Names ---- */

Test(time_zone, takes_names_of_zones)
{
    static const char *const RIGHT[] = {
        "UTC",        "Europe/Berlin", "America/Argentina/ComodRivadavia", "Etc/GMT+5",
        "Etc/GMT-14", "GMT0",          "America/Port-au-Prince",           "America/New_York",
        "posix/UTC",
    };

    for (size_t i = 0; i < ARRAY_COUNT(RIGHT); i++)
        cr_expect(time_zone_name_is_valid(slice_of(RIGHT[i])), "%s", RIGHT[i]);
}

Test(time_zone, refuses_names_that_could_leave_the_directory)
{
    static const struct slice WRONG[] = {
        SLICE_INITIALIZER(""),
        SLICE_INITIALIZER("/"),
        SLICE_INITIALIZER("/etc/passwd"),
        SLICE_INITIALIZER("../../etc/passwd"),
        SLICE_INITIALIZER("Europe/../../etc/passwd"),
        SLICE_INITIALIZER("."),
        SLICE_INITIALIZER(".."),
        SLICE_INITIALIZER("Europe/./Berlin"),
        SLICE_INITIALIZER("Europe//Berlin"),
        SLICE_INITIALIZER("Europe/"),
        SLICE_INITIALIZER("zone.tab"),
        SLICE_INITIALIZER("Europe\\Berlin"),
        SLICE_INITIALIZER("Europe/Berlin\n"),
        SLICE_INITIALIZER("Europe Berlin"),
        SLICE_INITIALIZER("UTC\0"),
        SLICE_INITIALIZER("Europe/M\xc3\xbcnchen"),
        SLICE_INITIALIZER("%2e%2e"),
        SLICE_INITIALIZER(":UTC"),
    };
    char longest[TIME_ZONE_NAME_SIZE_MAX + 1];

    for (size_t i = 0; i < ARRAY_COUNT(WRONG); i++)
        cr_expect(not(time_zone_name_is_valid(WRONG[i])), "%zu", i);
    memset(longest, 'a', sizeof(longest));
    cr_expect(time_zone_name_is_valid((struct slice){longest, TIME_ZONE_NAME_SIZE_MAX}));
    cr_expect(not(time_zone_name_is_valid((struct slice){longest, sizeof(longest)})));
}

Test(time_zone, says_what_each_result_means)
{
    for (int i = TIME_ZONE_OK; i <= TIME_ZONE_LEAP_SECONDS; i++)
        cr_expect(lt(sz, 0, time_zone_result_text((enum time_zone_result)i).size));
}
