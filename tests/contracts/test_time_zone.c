#include "contracts/time_zone.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/rng.h"
#include "tests/contracts/time_zone_fixture.h"

/* Which offset holds when, in the places of the world; and the names of zones. */

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

/* ---- Every instant ---- */

Test(time_zone, has_an_answer_for_every_instant_there_is)
{
    static const int64_t INSTANTS[] = {INT64_MIN, INT64_MIN + 1, INT64_MIN / 2, -1,       0,
                                       1,         INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(PLACES); i++) {
        load(PLACES[i]);
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
