/*
 * Days are counted with the civil-calendar arithmetic that shifts the year to begin
 * in March: the leap day is then the last day of a year, a 400-year era always has
 * 146,097 days, and no table of month lengths is needed. Years before 1970 work
 * because all divisions are made on non-negative numbers counted from year 0.
 */
#include "contracts/timestamp.h"

enum {
    DAYS_PER_ERA = 146097,             /* 400 years */
    DAYS_FROM_YEAR_0_TO_1970 = 719468, /* from 0000-03-01 */
    MS_PER_DAY = 86400000,
    MS_PER_MINUTE = 60000,
};

static const int64_t UNIX_MS_MIN = -62167219200000; /* 0000-01-01T00:00:00.000Z */
static const int64_t UNIX_MS_MAX = 253402300799999; /* 9999-12-31T23:59:59.999Z */

/* year 0..9999, month 1..12, day 1..31. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t shifted_year = year - (month <= 2);
    int64_t era = (shifted_year + 400) / 400 - 1; /* the year -1 lies in the era before */
    int64_t year_of_era = shifted_year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    assert(year_of_era >= 0 && year_of_era < 400);
    assert(day_of_era >= 0 && day_of_era < DAYS_PER_ERA);
    return era * DAYS_PER_ERA + day_of_era - DAYS_FROM_YEAR_0_TO_1970;
}

static bool is_leap_year(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_of_month(int year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    assert(month >= 1 && month <= 12);
    return month == 2 && is_leap_year(year) ? 29 : DAYS[month - 1];
}

/* Two digits, or a value above 99 when either is none. */
static unsigned two_digits(const char *at)
{
    unsigned tens = (unsigned)(unsigned char)at[0] - '0';
    unsigned ones = (unsigned)(unsigned char)at[1] - '0';

    return tens > 9 || ones > 9 ? 100 : tens * 10 + ones;
}

/* "YYYY-MM-DD" */
static bool parse_date(const char *at, int64_t *ret_days)
{
    unsigned century = two_digits(at);
    unsigned year_of_century = two_digits(at + 2);
    unsigned month = two_digits(at + 5);
    unsigned day = two_digits(at + 8);
    int year = (int)(century * 100 + year_of_century);

    if (century > 99 || year_of_century > 99 || at[4] != '-' || at[7] != '-')
        return false;
    if (month < 1 || month > 12)
        return false;
    if (day < 1 || (int)day > days_of_month(year, (int)month))
        return false;
    *ret_days = days_from_civil(year, (int)month, (int)day);
    return true;
}

/* Behind the minutes: an optional ":SS" and fraction. Returns what follows, or NULL. */
static const char *parse_seconds(const char *at, const char *end, int64_t *ret_ms)
{
    unsigned seconds;
    unsigned scale = 100;
    int64_t ms;

    *ret_ms = 0;
    if (at == end || *at != ':')
        return at;
    if (end - at < 3 || (seconds = two_digits(at + 1)) > 59)
        return NULL;
    ms = (int64_t)seconds * 1000;
    at += 3;
    if (at < end && *at == '.') {
        const char *first_digit = ++at;

        for (; at < end && *at >= '0' && *at <= '9'; at++, scale /= 10)
            ms += (int64_t)scale * (*at - '0');
        if (at == first_digit)
            return NULL;
    }
    *ret_ms = ms;
    return at;
}

/* All of at..end is "Z" or an offset. */
static bool parse_zone(const char *at, const char *end, int *ret_offset_minutes)
{
    unsigned hours;
    unsigned minutes;
    size_t size = (size_t)(end - at);

    if (size == 1 && *at == 'Z') {
        *ret_offset_minutes = 0;
        return true;
    }
    if ((size != 5 && size != 6) || (*at != '+' && *at != '-'))
        return false;
    if (size == 6 && at[3] != ':')
        return false;
    hours = two_digits(at + 1);
    minutes = two_digits(end - 2);
    if (hours > 23 || minutes > 59)
        return false;
    *ret_offset_minutes = (int)(hours * 60 + minutes) * (*at == '-' ? -1 : 1);
    return true;
}

bool timestamp_parse(struct slice text, int64_t *ret_unix_ms)
{
    const char *at = text.data;
    const char *end;
    int64_t days;
    int64_t ms;
    unsigned hours;
    unsigned minutes;
    int offset_minutes;

    if (text.size < sizeof("2025-01-15T12:00Z") - 1)
        return false;
    end = at + text.size;
    if (!parse_date(at, &days) || at[10] != 'T' || at[13] != ':')
        return false;
    hours = two_digits(at + 11);
    minutes = two_digits(at + 14);
    if (hours > 23 || minutes > 59)
        return false;
    at = parse_seconds(at + 16, end, &ms);
    if (at == NULL || !parse_zone(at, end, &offset_minutes))
        return false;
    assert(ms >= 0 && ms < MS_PER_MINUTE);
    *ret_unix_ms = days * MS_PER_DAY + ms +
                   ((int64_t)hours * 60 + (int64_t)minutes - offset_minutes) * MS_PER_MINUTE;
    return true;
}

static void put_digits(char *at, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    assert(value == 0);
}

/* days counts from -0400-03-01, one era before year 0, so that it is never negative. */
static void put_date(char *at, uint32_t days)
{
    uint32_t era = days / DAYS_PER_ERA;
    uint32_t day_of_era = days % DAYS_PER_ERA;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t shifted_month = (5 * day_of_year + 2) / 153;
    uint32_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    uint32_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    uint32_t year = era * 400 + year_of_era + (month <= 2) - 400;

    put_digits(at, year, 4);
    at[4] = '-';
    put_digits(at + 5, month, 2);
    at[7] = '-';
    put_digits(at + 8, day, 2);
}

void timestamp_format(int64_t unix_ms, char ret_text[TIMESTAMP_TEXT_SIZE])
{
    uint64_t ms;
    uint32_t ms_of_day;

    unix_ms = unix_ms < UNIX_MS_MIN ? UNIX_MS_MIN : unix_ms > UNIX_MS_MAX ? UNIX_MS_MAX : unix_ms;
    /* One era is added so that January and February of year 0 count from above zero. */
    ms = (uint64_t)(unix_ms + (int64_t)(DAYS_FROM_YEAR_0_TO_1970 + DAYS_PER_ERA) * MS_PER_DAY);
    ms_of_day = (uint32_t)(ms % MS_PER_DAY);
    memcpy(ret_text, "YYYY-MM-DDTHH:MM:SS.mmmZ", TIMESTAMP_TEXT_SIZE);
    put_date(ret_text, (uint32_t)(ms / MS_PER_DAY));
    put_digits(ret_text + 11, ms_of_day / 3600000, 2);
    put_digits(ret_text + 14, ms_of_day / 60000 % 60, 2);
    put_digits(ret_text + 17, ms_of_day / 1000 % 60, 2);
    put_digits(ret_text + 20, ms_of_day % 1000, 3);
}
