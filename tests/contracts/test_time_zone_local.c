#include "contracts/time_zone.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/rng.h"
#include "tests/contracts/time_zone_fixture.h"

/* From local time to the instants that show it, over gaps and overlaps, and back. */

TestSuite(time_zone_local, .timeout = 60);

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

Test(time_zone_local, tells_gaps_and_overlaps_with_both_their_instants)
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

Test(time_zone_local, refuses_a_local_date_that_is_none)
{
    struct civil_time local = {2023, 2, 29, 0, 0, 0};
    struct time_zone_instants instants = {-1, -1, -1};

    time_zone_utc(&zone);
    cr_expect(eq(int, time_zone_to_unix(&zone, &local, &instants), TIME_ZONE_NO_DATE));
    cr_expect(eq(i64, instants.earlier_s, -1));
}

Test(time_zone_local, reaches_a_local_time_at_the_first_instant_that_shows_it_or_more)
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

/* ---- Any instant ---- */

Test(time_zone_local, comes_back_from_local_time_to_every_instant)
{
    struct rng rng;

    rng_init_seed(&rng, 7);
    for (size_t i = 0; i < ARRAY_COUNT(PLACES); i++) {
        int64_t at = YEAR_1800;

        load(PLACES[i]);
        for (int k = 0; k < 2000; k++)
            zone_assert_sane_at(&zone, YEAR_1800 + (int64_t)rng_below(&rng, YEAR_2200 - YEAR_1800));
        for (; at < YEAR_2200; at = time_zone_span_at(&zone, at).end_s)
            for (int64_t near = -7200; near <= 7200; near += 1800)
                for (int64_t one = -1; one <= 1; one++)
                    zone_assert_sane_at(&zone, at + near + one);
        cr_expect(ge(i64, at, YEAR_2200));
    }
}

Test(time_zone_local, agrees_with_the_c_library_on_what_a_local_time_means)
{
    struct rng rng;

    rng_init_seed(&rng, 11);
    for (size_t i = 0; i < ARRAY_COUNT(PLACES); i++) {
        load(PLACES[i]);
        setenv("TZ", PLACES[i], 1);
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
                cr_assert(eq(i64, instants.earlier_s, expected), "%s %jd", PLACES[i],
                          (intmax_t)local_s);
            else
                cr_assert(instants.earlier_s == expected || instants.later_s == expected, "%s %jd",
                          PLACES[i], (intmax_t)local_s);
        }
    }
}
