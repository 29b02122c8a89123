/*
 * One pass over the digits at their fixed places; the calendar itself is civil.h's.
 * An instant is split into day and time of day after a shift that makes it positive.
 */
#include "contracts/timestamp.h"

#include "contracts/civil.h"

enum {
    MS_PER_DAY = 86400000,
    MS_PER_MINUTE = 60000,
};

static const int64_t UNIX_MS_MIN = CIVIL_SECONDS_MIN * 1000;
static const int64_t UNIX_MS_MAX = CIVIL_SECONDS_MAX * 1000 + 999;

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
    if (day < 1 || (int)day > civil_month_days(year, (int)month))
        return false;
    *ret_days = civil_days(year, (int)month, (int)day);
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

static void put_date(char *at, const struct civil_time *date)
{
    put_digits(at, (unsigned)date->year, 4);
    at[4] = '-';
    put_digits(at + 5, date->month, 2);
    at[7] = '-';
    put_digits(at + 8, date->day, 2);
}

void timestamp_format(int64_t unix_ms, char ret_text[TIMESTAMP_TEXT_SIZE])
{
    struct civil_time date;
    uint32_t ms_of_day;
    uint64_t ms;

    unix_ms = unix_ms < UNIX_MS_MIN ? UNIX_MS_MIN : unix_ms > UNIX_MS_MAX ? UNIX_MS_MAX : unix_ms;
    ms = (uint64_t)(unix_ms + CIVIL_DAYS_TO_1970 * MS_PER_DAY);
    ms_of_day = (uint32_t)(ms % MS_PER_DAY);
    date = civil_date_of((int64_t)(ms / MS_PER_DAY) - CIVIL_DAYS_TO_1970);
    memcpy(ret_text, "YYYY-MM-DDTHH:MM:SS.mmmZ", TIMESTAMP_TEXT_SIZE);
    put_date(ret_text, &date);
    put_digits(ret_text + 11, ms_of_day / 3600000, 2);
    put_digits(ret_text + 14, ms_of_day / 60000 % 60, 2);
    put_digits(ret_text + 17, ms_of_day / 1000 % 60, 2);
    put_digits(ret_text + 20, ms_of_day % 1000, 3);
}
