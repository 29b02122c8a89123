/*
 * Civil: the arithmetic of the Gregorian calendar, without any time zone.
 *
 * Days are counted from 1970-01-01. The year is shifted to begin in March: the leap
 * day is then the last day of a year, a 400-year era always has 146,097 days, and no
 * table of month lengths is needed to count. Years before 1970 work because all
 * divisions are made on non-negative numbers counted from the year -400; years from
 * -399 to 9999 and a little beyond are good, which is more than any text can say.
 *
 * All of it is inline, for the time of every event goes through here.
 */
#pragma once

#include "runtime/base.h"

enum {
    CIVIL_YEAR_MIN = -399,
    CIVIL_YEAR_MAX = 10999,
    CIVIL_DAYS_PER_ERA = 146097, /* 400 years, a whole number of weeks */
    CIVIL_SECONDS_PER_DAY = 86400,
};

/* From -0400-03-01 to 1970-01-01. */
#define CIVIL_DAYS_TO_1970 ((int64_t)719468 + CIVIL_DAYS_PER_ERA)
/* 0000-01-01T00:00:00 and 9999-12-31T23:59:59, as seconds since 1970. */
#define CIVIL_SECONDS_MIN INT64_C(-62167219200)
#define CIVIL_SECONDS_MAX INT64_C(253402300799)

/* A date and a time of day as a wall clock shows them. */
struct civil_time {
    int32_t year;
    uint8_t month; /* 1..12 */
    uint8_t day;   /* 1..31 */
    uint8_t hour;
    uint8_t minute;
    uint8_t second; /* 0..59; there are no leap seconds here */
};

/* True when the year has a 29 February. */
static inline bool civil_is_leap_year(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* How many days the month, 1..12, has in that year. */
static inline int civil_month_days(int year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    assert(month >= 1 && month <= 12);
    return month == 2 && civil_is_leap_year(year) ? 29 : DAYS[month - 1];
}

/* Days since 1970-01-01 of a year within bounds, month 1..12, day 1..31. */
static inline int64_t civil_days(int year, int month, int day)
{
    int64_t shifted_year = year - (month <= 2);
    int64_t era = (shifted_year + 400) / 400 - 1; /* the year -1 lies in the era before */
    int64_t year_of_era = shifted_year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    assert(year_of_era >= 0 && year_of_era < 400);
    assert(day_of_era >= 0 && day_of_era < CIVIL_DAYS_PER_ERA);
    return era * CIVIL_DAYS_PER_ERA + day_of_era - (CIVIL_DAYS_TO_1970 - CIVIL_DAYS_PER_ERA);
}

/* The date of a day, with a time of day of 00:00:00; the opposite of civil_days(). */
static inline struct civil_time civil_date_of(int64_t days)
{
    /* Never negative, and small enough for the faster 32-bit division. */
    uint32_t count = (uint32_t)(days + CIVIL_DAYS_TO_1970);
    uint32_t era = count / CIVIL_DAYS_PER_ERA;
    uint32_t day_of_era = count % CIVIL_DAYS_PER_ERA;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t shifted_month = (5 * day_of_year + 2) / 153;
    uint32_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;

    assert(days >= -CIVIL_DAYS_TO_1970);
    assert(days <= INT32_MAX);
    return (struct civil_time){
        .year = (int32_t)(era * 400 + year_of_era + (month <= 2)) - 400,
        .month = (uint8_t)month,
        .day = (uint8_t)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
    };
}

/* 0 for Sunday to 6 for Saturday. */
static inline unsigned civil_weekday(int64_t days)
{
    assert(days >= -CIVIL_DAYS_TO_1970);
    return (unsigned)((days + CIVIL_DAYS_TO_1970 + 3) % 7); /* -0400-03-01 was a Wednesday */
}

/* The day that holds a second; seconds are counted from 1970-01-01T00:00:00. */
static inline int64_t civil_day_of(int64_t seconds)
{
    return seconds / CIVIL_SECONDS_PER_DAY - (seconds % CIVIL_SECONDS_PER_DAY < 0);
}

/* True for a date and time that exist, in the years 0000 to 9999. */
MUST_USE static inline bool civil_time_is_valid(const struct civil_time *time)
{
    if (time->year < 0 || time->year > 9999 || time->month < 1 || time->month > 12)
        return false;
    if (time->day < 1 || time->day > civil_month_days(time->year, time->month))
        return false;
    return time->hour <= 23 && time->minute <= 59 && time->second <= 59;
}

/* Seconds since 1970-01-01T00:00:00 on the same clock. */
static inline int64_t civil_time_seconds(const struct civil_time *time)
{
    assert(time->year >= CIVIL_YEAR_MIN);
    assert(time->year <= CIVIL_YEAR_MAX);
    return civil_days(time->year, time->month, time->day) * CIVIL_SECONDS_PER_DAY +
           time->hour * 3600 + time->minute * 60 + time->second;
}

/* The date and time that a clock shows so many seconds after 1970-01-01T00:00:00. */
static inline struct civil_time civil_time_of(int64_t seconds)
{
    int64_t days = civil_day_of(seconds);
    int64_t second_of_day = seconds - days * CIVIL_SECONDS_PER_DAY;
    struct civil_time time = civil_date_of(days);

    assert(second_of_day >= 0 && second_of_day < CIVIL_SECONDS_PER_DAY);
    time.hour = (uint8_t)(second_of_day / 3600);
    time.minute = (uint8_t)(second_of_day / 60 % 60);
    time.second = (uint8_t)(second_of_day % 60);
    return time;
}
