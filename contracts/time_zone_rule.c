/*
 * With hours of up to a week around it a date of a rule may fall into the year before
 * or after its own. So the neighbours of an instant are looked for among the dates of
 * five years, which also takes care of zones whose daylight saving spans New Year.
 * Years repeat after 400 with their weekdays, which brings any instant into reach.
 *
 * Of two dates at the same instant that of the later year counts, and within a year
 * the return to standard time: daylight saving from "0/0" to "J365/25" is for ever.
 */
#include "contracts/time_zone_rule.h"

#include "contracts/civil.h"

enum {
    DATES_YEARS = 2, /* how many years before and after are looked at */
    WEEK_LAST = 5,
};

enum {
    DATE_MONTH_WEEK_DAY,   /* Mm.w.d */
    DATE_JULIAN,           /* Jn: 1..365 */
    DATE_ZERO_BASED_JULIAN /* n: 0..365 */
};

#define SECONDS_PER_ERA ((int64_t)CIVIL_DAYS_PER_ERA * CIVIL_SECONDS_PER_DAY)

static void check(const struct time_zone_rule *rule)
{
    assert(rule->std_offset_s >= TIME_ZONE_OFFSET_S_MIN);
    assert(rule->std_offset_s <= TIME_ZONE_OFFSET_S_MAX);
    assert(rule->dst_offset_s >= TIME_ZONE_OFFSET_S_MIN);
    assert(rule->dst_offset_s <= TIME_ZONE_OFFSET_S_MAX);
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

/* ---- Reading; each take_x() consumes what it reads from the front of text ---- */

static bool take_byte(struct slice *text, char byte)
{
    if (text->size == 0 || text->data[0] != byte)
        return false;
    text->data++;
    text->size--;
    return true;
}

/* One to three digits. */
static bool take_number(struct slice *text, int min, int max, int *ret_value)
{
    size_t count = 0;
    int value = 0;

    while (count < text->size && count < 4 && is_digit(text->data[count]))
        value = value * 10 + (text->data[count++] - '0');
    if (count == 0 || count > 3 || value < min || value > max)
        return false;
    text->data += count;
    text->size -= count;
    *ret_value = value;
    return true;
}

/* "[+-]hh[:mm[:ss]]" */
static bool take_time(struct slice *text, int hours_max, int32_t *ret_seconds)
{
    int sign = take_byte(text, '-') ? -1 : 1;
    int hours;
    int minutes = 0;
    int seconds = 0;

    if (sign == 1)
        (void)take_byte(text, '+');
    if (!take_number(text, 0, hours_max, &hours))
        return false;
    if (take_byte(text, ':')) {
        if (!take_number(text, 0, 59, &minutes))
            return false;
        if (take_byte(text, ':') && !take_number(text, 0, 59, &seconds))
            return false;
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

/* "CET" or "<+0330>"; at least three bytes, as POSIX asks. */
static bool take_abbrev(struct slice *text, char ret_abbrev[TIME_ZONE_ABBREV_SIZE_MAX + 1])
{
    bool is_quoted = take_byte(text, '<');
    size_t size = 0;

    while (size < text->size &&
           (is_quoted ? time_zone_byte_is_abbrev(text->data[size]) : is_letter(text->data[size])))
        size++;
    if (size < 3 || size > TIME_ZONE_ABBREV_SIZE_MAX)
        return false;
    memcpy(ret_abbrev, text->data, size);
    ret_abbrev[size] = '\0';
    text->data += size;
    text->size -= size;
    return !is_quoted || take_byte(text, '>');
}

/* The day of a date: "Mm.w.d", "Jn" or "n". */
static bool take_day(struct slice *text, struct time_zone_rule_date *date)
{
    int month = 0;
    int week = 0;
    int day;

    if (take_byte(text, 'M')) {
        date->kind = DATE_MONTH_WEEK_DAY;
        if (!take_number(text, 1, 12, &month) || !take_byte(text, '.') ||
            !take_number(text, 1, WEEK_LAST, &week) || !take_byte(text, '.') ||
            !take_number(text, 0, 6, &day))
            return false;
    } else if (take_byte(text, 'J')) {
        date->kind = DATE_JULIAN;
        if (!take_number(text, 1, 365, &day))
            return false;
    } else {
        date->kind = DATE_ZERO_BASED_JULIAN;
        if (!take_number(text, 0, 365, &day))
            return false;
    }
    date->month = (uint8_t)month;
    date->week = (uint8_t)week;
    date->day = (uint16_t)day;
    return true;
}

/* ",day[/time]"; the time is 02:00 when not given. */
static bool take_date(struct slice *text, struct time_zone_rule_date *date)
{
    date->time_s = 2 * 3600;
    if (!take_byte(text, ',') || !take_day(text, date))
        return false;
    return !take_byte(text, '/') || take_time(text, 167, &date->time_s);
}

bool time_zone_rule_parse(struct slice text, struct time_zone_rule *ret_rule)
{
    struct time_zone_rule rule = {.has_dst = false};
    int32_t west_s;

    if (!take_abbrev(&text, rule.std_abbrev) || !take_time(&text, 24, &west_s))
        return false;
    rule.std_offset_s = -west_s;
    if (text.size > 0) {
        rule.has_dst = true;
        if (!take_abbrev(&text, rule.dst_abbrev))
            return false;
        rule.dst_offset_s = rule.std_offset_s + 3600;
        if (text.size > 0 && text.data[0] != ',') {
            if (!take_time(&text, 24, &west_s))
                return false;
            rule.dst_offset_s = -west_s;
        }
        if (!take_date(&text, &rule.dst_start) || !take_date(&text, &rule.dst_end) || text.size > 0)
            return false;
    }
    check(&rule);
    *ret_rule = rule;
    return true;
}

/* ---- Spans ---- */

/* Days since 1970 of a rule's date in that year. */
static int64_t rule_date_days(const struct time_zone_rule_date *date, int year)
{
    int64_t days = civil_days(year, 1, 1);
    int day;

    switch (date->kind) {
    case DATE_JULIAN:
        return days + date->day - (date->day < 60 || !civil_is_leap_year(year));
    case DATE_ZERO_BASED_JULIAN:
        return days + date->day;
    default:
        assert(date->kind == DATE_MONTH_WEEK_DAY);
        days = civil_days(year, date->month, 1);
        day = (date->day - (int)civil_weekday(days) + 7) % 7 + (date->week - 1) * 7;
        return days + (day < civil_month_days(year, date->month) ? day : day - 7);
    }
}

static int64_t dst_start_s(const struct time_zone_rule *rule, int year)
{
    return rule_date_days(&rule->dst_start, year) * CIVIL_SECONDS_PER_DAY + rule->dst_start.time_s -
           rule->std_offset_s;
}

static int64_t dst_end_s(const struct time_zone_rule *rule, int year)
{
    return rule_date_days(&rule->dst_end, year) * CIVIL_SECONDS_PER_DAY + rule->dst_end.time_s -
           rule->dst_offset_s;
}

/* Lets one date of a rule narrow the span around unix_s. */
static void narrow(struct time_zone_span *span, int64_t unix_s, int64_t date_s, bool is_dst)
{
    if (date_s > unix_s) {
        span->end_s = date_s < span->end_s ? date_s : span->end_s;
    } else if (date_s >= span->begin_s) {
        span->begin_s = date_s;
        span->is_dst = is_dst;
    }
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

struct time_zone_span time_zone_rule_span_at(const struct time_zone_rule *rule, int64_t unix_s)
{
    struct time_zone_span span = {.begin_s = INT64_MIN, .end_s = INT64_MAX};

    check(rule);
    if (rule->has_dst) {
        int64_t in_era_s = unix_s % SECONDS_PER_ERA;
        int year;

        in_era_s += in_era_s < 0 ? SECONDS_PER_ERA : 0;
        year = civil_date_of(civil_day_of(in_era_s)).year;
        for (int y = year - DATES_YEARS; y <= year + DATES_YEARS; y++) {
            narrow(&span, in_era_s, dst_start_s(rule, y), true);
            narrow(&span, in_era_s, dst_end_s(rule, y), false);
        }
        assert(span.begin_s <= in_era_s);
        assert(span.end_s > in_era_s);
        span.begin_s = add_saturated(unix_s, span.begin_s - in_era_s);
        span.end_s = add_saturated(unix_s, span.end_s - in_era_s);
    }
    span.offset_s = span.is_dst ? rule->dst_offset_s : rule->std_offset_s;
    span.abbrev = slice_of(span.is_dst ? rule->dst_abbrev : rule->std_abbrev);
    return span;
}
