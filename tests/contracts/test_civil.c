#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <time.h>

#include "contracts/civil.h"

TestSuite(civil, .timeout = 20);

Test(civil, agrees_with_the_c_library_on_every_day_of_ten_thousand_years)
{
    for (int64_t day = civil_days(0, 1, 1); day <= civil_days(9999, 12, 31); day++) {
        time_t seconds = (time_t)(day * 86400 + (day % 86400 + 86400) % 86400);
        struct civil_time time = civil_time_of(seconds);
        struct tm calendar;

        gmtime_r(&seconds, &calendar);
        if (time.year != calendar.tm_year + 1900 || time.month != calendar.tm_mon + 1 ||
            time.day != calendar.tm_mday || time.hour != calendar.tm_hour ||
            time.minute != calendar.tm_min || time.second != calendar.tm_sec ||
            (int)civil_weekday(day) != calendar.tm_wday || civil_day_of(seconds) != day ||
            civil_time_seconds(&time) != seconds || !civil_time_is_valid(&time))
            cr_fatal("day %jd", (intmax_t)day);
    }
}

Test(civil, names_its_bounds_rightly)
{
    struct civil_time first = {0, 1, 1, 0, 0, 0};
    struct civil_time last = {9999, 12, 31, 23, 59, 59};

    cr_expect(eq(i64, civil_time_seconds(&first), CIVIL_SECONDS_MIN));
    cr_expect(eq(i64, civil_time_seconds(&last), CIVIL_SECONDS_MAX));
    first = civil_date_of(civil_days(CIVIL_YEAR_MIN, 1, 1));
    last = civil_date_of(civil_days(CIVIL_YEAR_MAX, 12, 31));
    cr_expect(eq(int, first.year, CIVIL_YEAR_MIN));
    cr_expect(eq(int, first.day, 1));
    cr_expect(eq(int, last.year, CIVIL_YEAR_MAX));
    cr_expect(eq(int, last.day, 31));
}

Test(civil, knows_what_is_no_date)
{
    static const struct civil_time WRONG[] = {
        {2024, 0, 1, 0, 0, 0},  {2024, 13, 1, 0, 0, 0},     {2024, 1, 0, 0, 0, 0},
        {2024, 1, 32, 0, 0, 0}, {2024, 4, 31, 0, 0, 0},     {2023, 2, 29, 0, 0, 0},
        {1900, 2, 29, 0, 0, 0}, {2024, 2, 30, 0, 0, 0},     {2024, 1, 1, 24, 0, 0},
        {2024, 1, 1, 0, 60, 0}, {2024, 1, 1, 0, 0, 60},     {-1, 1, 1, 0, 0, 0},
        {10000, 1, 1, 0, 0, 0}, {INT32_MAX, 1, 1, 0, 0, 0}, {INT32_MIN, 1, 1, 0, 0, 0},
    };
    struct civil_time leap_days[] = {{2024, 2, 29, 0, 0, 0}, {2000, 2, 29, 23, 59, 59}};

    for (size_t i = 0; i < ARRAY_COUNT(WRONG); i++)
        cr_expect(not(civil_time_is_valid(&WRONG[i])), "%zu", i);
    for (size_t i = 0; i < ARRAY_COUNT(leap_days); i++)
        cr_expect(civil_time_is_valid(&leap_days[i]), "%zu", i);
}
