/*
 * A schedule is six sets of small numbers, so it is kept as six bitmaps, and looking
 * for a time means looking for the next bit: never a walk over minutes or seconds.
 * next_local() finds the next matching time on a clock that knows no zone. It goes
 * through months; a month's days are one word, made from the days of the month and
 * from the seven weekday bits repeated over it.
 *
 * The zone comes in on top, in one of two ways (see cron.h for what they are for):
 *
 *   fixed-time   A time is due when the local clock reaches it or passes it for the
 *                first time. So: what is the latest the clock has shown so far, which
 *                matching time comes after that, and when does the clock reach it?
 *                A gap gives its end, an overlap its first pass, and whatever else a
 *                government decides gives an answer too: reaching is monotonic.
 *
 *   interval     A time is due whenever the clock shows it. So each span of constant
 *                offset is searched by itself, as if it were the whole of time.
 *
 * The search is bounded by CRON_SEARCH_YEARS: 492 months, and for an interval job the
 * spans in them, two a year. Why no more is needed: months of the same length that
 * begin on the same weekday come again within 12 years across a century that skips
 * its leap day, but a February of 29 days only after 28 years, and 40 across such a
 * century.
 */
#include "contracts/cron.h"

#define FIELD_BIT(field) (1U << (field))
#define SEARCH_S ((int64_t)CRON_SEARCH_YEARS * 366 * CIVIL_SECONDS_PER_DAY)

enum { WEEKDAYS_ALL = 0x7f };

static_assert(sizeof(struct cron) <= 64, "a schedule is stored beside each timer");

struct field_rule {
    uint8_t min;
    uint8_t max; /* of '*' */
    uint8_t name_count;
    uint8_t name_value; /* of the first name */
    const char *names;  /* three letters each */
};

static const struct field_rule RULES[CRON_FIELD_COUNT] = {
    [CRON_SECOND] = {0, 59, 0, 0, ""},
    [CRON_MINUTE] = {0, 59, 0, 0, ""},
    [CRON_HOUR] = {0, 23, 0, 0, ""},
    [CRON_DAY_OF_MONTH] = {1, 31, 0, 0, ""},
    [CRON_MONTH] = {1, 12, 12, 1, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
    [CRON_DAY_OF_WEEK] = {0, 6, 7, 0, "SUNMONTUEWEDTHUFRISAT"},
};

static const struct {
    struct slice name;
    struct slice fields;
} MACROS[] = {
    {SLICE_INITIALIZER("@yearly"), SLICE_INITIALIZER("0 0 1 1 *")},
    {SLICE_INITIALIZER("@annually"), SLICE_INITIALIZER("0 0 1 1 *")},
    {SLICE_INITIALIZER("@monthly"), SLICE_INITIALIZER("0 0 1 * *")},
    {SLICE_INITIALIZER("@weekly"), SLICE_INITIALIZER("0 0 * * 0")},
    {SLICE_INITIALIZER("@daily"), SLICE_INITIALIZER("0 0 * * *")},
    {SLICE_INITIALIZER("@midnight"), SLICE_INITIALIZER("0 0 * * *")},
    {SLICE_INITIALIZER("@hourly"), SLICE_INITIALIZER("0 * * * *")},
};

static void check(const struct cron *cron)
{
    assert(cron->seconds != 0 && cron->seconds >> 60 == 0);
    assert(cron->minutes != 0 && cron->minutes >> 60 == 0);
    assert(cron->hours != 0 && cron->hours >> 24 == 0);
    assert(cron->days != 0 && (cron->days & 1) == 0);
    assert(cron->months != 0 && cron->months >> 13 == 0 && (cron->months & 1) == 0);
    assert(cron->weekdays != 0 && cron->weekdays <= WEEKDAYS_ALL);
}

struct slice cron_result_text(enum cron_result result)
{
    switch (result) {
    case CRON_OK:
        return SLICE_LITERAL("is right");
    case CRON_NEVER:
        return SLICE_LITERAL("is never due");
    case CRON_TOO_LONG:
        return SLICE_LITERAL("is too long");
    case CRON_FEW_FIELDS:
        return SLICE_LITERAL("is missing");
    case CRON_MANY_FIELDS:
        return SLICE_LITERAL("has more than six fields");
    case CRON_UNKNOWN_MACRO:
        return SLICE_LITERAL("has an unknown name after @");
    case CRON_UNKNOWN_NAME:
        return SLICE_LITERAL("has an unknown name");
    case CRON_BAD_SYNTAX:
        return SLICE_LITERAL("has something where a value, '*' or the end is expected");
    case CRON_OUT_OF_RANGE:
        return SLICE_LITERAL("is out of range");
    case CRON_BACKWARD_RANGE:
        return SLICE_LITERAL("has a range that runs backwards");
    case CRON_BAD_STEP:
        return SLICE_LITERAL("has a step that is zero or greater than the field");
    }
    assert(false && "an enum cron_result");
    return SLICE_LITERAL("");
}

struct slice cron_field_name(enum cron_field field)
{
    static const struct slice NAMES[] = {
        SLICE_INITIALIZER("second"),   SLICE_INITIALIZER("minute"),
        SLICE_INITIALIZER("hour"),     SLICE_INITIALIZER("day of month"),
        SLICE_INITIALIZER("month"),    SLICE_INITIALIZER("day of week"),
        SLICE_INITIALIZER("schedule"),
    };

    static_assert(ARRAY_COUNT(NAMES) == CRON_FIELD_COUNT + 1, "a name for each and for none");
    assert((size_t)field < ARRAY_COUNT(NAMES));
    return NAMES[field];
}

/* ---- Reading ---- */

/* at..end is what is left of the field; at stands at the offending byte after a failure. */
struct field_cursor {
    const char *at;
    const char *end;
    enum cron_field field;
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static char upper(char byte)
{
    return byte >= 'a' && byte <= 'z' ? (char)(byte - 'a' + 'A') : byte;
}

static bool is_letter(char byte)
{
    return upper(byte) >= 'A' && upper(byte) <= 'Z';
}

static bool take_byte(struct field_cursor *cursor, char byte)
{
    if (cursor->at == cursor->end || *cursor->at != byte)
        return false;
    cursor->at++;
    return true;
}

/* Digits of any count, as large a value as there is sense in. */
static unsigned take_digits(struct field_cursor *cursor)
{
    unsigned value = 0;

    for (; cursor->at < cursor->end && is_digit(*cursor->at); cursor->at++)
        value = value > 99 ? value : value * 10 + (unsigned)(*cursor->at - '0');
    return value;
}

static enum cron_result take_name(struct field_cursor *cursor, unsigned *ret_value)
{
    const struct field_rule *rule = &RULES[cursor->field];
    size_t size = 0;

    while (cursor->at + size < cursor->end && is_letter(cursor->at[size]))
        size++;
    for (unsigned i = 0; i < rule->name_count && size == 3; i++) {
        const char *name = rule->names + 3 * (size_t)i;

        if (upper(cursor->at[0]) == name[0] && upper(cursor->at[1]) == name[1] &&
            upper(cursor->at[2]) == name[2]) {
            *ret_value = rule->name_value + i;
            cursor->at += size;
            return CRON_OK;
        }
    }
    return CRON_UNKNOWN_NAME;
}

/* A number or a name, in bounds. Sunday may be 7. */
static enum cron_result take_value(struct field_cursor *cursor, unsigned *ret_value)
{
    const struct field_rule *rule = &RULES[cursor->field];
    const char *begin = cursor->at;
    unsigned max = cursor->field == CRON_DAY_OF_WEEK ? 7 : rule->max;

    if (cursor->at < cursor->end && is_letter(*cursor->at) && rule->name_count > 0)
        return take_name(cursor, ret_value);
    if (cursor->at == cursor->end || !is_digit(*cursor->at))
        return CRON_BAD_SYNTAX;
    *ret_value = take_digits(cursor);
    if (*ret_value >= rule->min && *ret_value <= max)
        return CRON_OK;
    cursor->at = begin;
    return CRON_OUT_OF_RANGE;
}

/* "/n" after what it divides. */
static enum cron_result take_step(struct field_cursor *cursor, unsigned *ret_step)
{
    const struct field_rule *rule = &RULES[cursor->field];
    const char *begin = cursor->at;

    if (cursor->at == cursor->end || !is_digit(*cursor->at))
        return CRON_BAD_SYNTAX;
    *ret_step = take_digits(cursor);
    if (*ret_step >= 1 && *ret_step <= rule->max - rule->min + 1U)
        return CRON_OK;
    cursor->at = begin;
    return CRON_BAD_STEP;
}

/* The b of "a-b". SUN is the end of the week when it ends a range that begins later. */
static enum cron_result take_range_end(struct field_cursor *cursor, unsigned first,
                                       unsigned *ret_last)
{
    const char *begin = cursor->at;
    bool is_name = begin < cursor->end && is_letter(*begin);
    enum cron_result result = take_value(cursor, ret_last);

    if (result != CRON_OK)
        return result;
    if (cursor->field == CRON_DAY_OF_WEEK && is_name && *ret_last == 0 && first > 0)
        *ret_last = 7;
    if (first <= *ret_last)
        return CRON_OK;
    cursor->at = begin;
    return CRON_BACKWARD_RANGE;
}

/* One item of a list, added to bits. */
static enum cron_result take_item(struct field_cursor *cursor, uint64_t *bits)
{
    const struct field_rule *rule = &RULES[cursor->field];
    unsigned first = rule->min;
    unsigned last = rule->max;
    unsigned step = 1;
    bool is_range = take_byte(cursor, '*');
    enum cron_result result;

    if (!is_range) {
        result = take_value(cursor, &first);
        if (result != CRON_OK)
            return result;
        last = first;
        if (take_byte(cursor, '-')) {
            is_range = true;
            result = take_range_end(cursor, first, &last);
            if (result != CRON_OK)
                return result;
        }
    }
    if (take_byte(cursor, '/')) {
        result = take_step(cursor, &step);
        if (result != CRON_OK)
            return result;
        last = is_range || first > rule->max ? last : rule->max;
    }
    assert(last < 64);
    for (unsigned value = first; value <= last; value += step)
        *bits |= UINT64_C(1) << value;
    return CRON_OK;
}

static enum cron_result take_list(struct field_cursor *cursor, uint64_t *ret_bits)
{
    enum cron_result result;
    uint64_t bits = 0;

    do {
        result = take_item(cursor, &bits);
        if (result != CRON_OK)
            return result;
    } while (take_byte(cursor, ','));
    if (cursor->at < cursor->end)
        return CRON_BAD_SYNTAX;
    assert(bits != 0);
    *ret_bits = bits;
    return CRON_OK;
}

/* Gives the words of text. Their count, CRON_FIELD_COUNT + 1 for any number above that. */
static size_t split(struct slice text, struct slice ret_words[CRON_FIELD_COUNT + 1])
{
    size_t count = 0;

    for (size_t i = 0; i < text.size && count <= CRON_FIELD_COUNT;) {
        size_t begin = i;

        while (i < text.size && !is_blank(text.data[i]))
            i++;
        if (i > begin)
            ret_words[count++] = (struct slice){text.data + begin, i - begin};
        else
            i++;
    }
    return count;
}

/* The fields that "@name" stands for. False when it stands for none. */
static bool find_macro(struct slice name, struct slice *ret_fields)
{
    for (size_t i = 0; i < ARRAY_COUNT(MACROS); i++) {
        if (slice_equal(name, MACROS[i].name)) {
            *ret_fields = MACROS[i].fields;
            return true;
        }
    }
    return false;
}

static enum cron_result refuse(enum cron_result result, enum cron_field field, size_t offset,
                               struct cron_error *ret_error)
{
    assert(result != CRON_OK);
    *ret_error = (struct cron_error){result, field, (uint32_t)offset};
    return result;
}

/* words[0..count) are five or six fields in text. */
static enum cron_result parse_fields(struct slice text, const struct slice *words, size_t count,
                                     struct cron *ret_cron, struct cron_error *ret_error)
{
    uint64_t bits[CRON_FIELD_COUNT] = {[CRON_SECOND] = 1};
    uint8_t stars = 0;
    size_t first_field = CRON_FIELD_COUNT - count;

    assert(count == CRON_FIELD_COUNT || count == CRON_FIELD_COUNT - 1);
    for (size_t i = 0; i < count; i++) {
        enum cron_field field = (enum cron_field)(first_field + i);
        struct field_cursor cursor = {words[i].data, words[i].data + words[i].size, field};
        enum cron_result result = take_list(&cursor, &bits[field]);

        if (result != CRON_OK)
            return refuse(result, field, (size_t)(cursor.at - text.data), ret_error);
        if (words[i].data[0] == '*')
            stars |= (uint8_t)FIELD_BIT(field);
    }
    *ret_cron = (struct cron){
        .seconds = bits[CRON_SECOND],
        .minutes = bits[CRON_MINUTE],
        .hours = (uint32_t)bits[CRON_HOUR],
        .days = (uint32_t)bits[CRON_DAY_OF_MONTH],
        .months = (uint16_t)bits[CRON_MONTH],
        .weekdays =
            (uint8_t)((bits[CRON_DAY_OF_WEEK] | bits[CRON_DAY_OF_WEEK] >> 7) & WEEKDAYS_ALL),
        .stars = stars,
    };
    check(ret_cron);
    return CRON_OK;
}

enum cron_result cron_parse(struct slice text, struct cron *ret_cron, struct cron_error *ret_error)
{
    struct slice words[CRON_FIELD_COUNT + 1] = {{NULL, 0}};
    size_t count;

    if (text.size > CRON_TEXT_SIZE_MAX)
        return refuse(CRON_TOO_LONG, CRON_FIELD_COUNT, CRON_TEXT_SIZE_MAX, ret_error);
    count = split(text, words);
    if (count > 0 && words[0].data[0] == '@') {
        size_t offset = (size_t)((count > 1 ? words[1] : words[0]).data - text.data);

        if (count > 1)
            return refuse(CRON_MANY_FIELDS, CRON_FIELD_COUNT, offset, ret_error);
        if (!find_macro(words[0], &text))
            return refuse(CRON_UNKNOWN_MACRO, CRON_FIELD_COUNT, offset, ret_error);
        count = split(text, words);
    }
    if (count > CRON_FIELD_COUNT) {
        size_t offset = (size_t)(words[CRON_FIELD_COUNT].data - text.data);

        return refuse(CRON_MANY_FIELDS, CRON_FIELD_COUNT, offset, ret_error);
    }
    if (count < CRON_FIELD_COUNT - 1)
        return refuse(CRON_FEW_FIELDS, (enum cron_field)(CRON_MINUTE + count), text.size,
                      ret_error);
    return parse_fields(text, words, count, ret_cron, ret_error);
}

/* ---- Searching ---- */

/* The lowest bit that is set at from or above it. -1 when there is none. */
static int next_bit(uint64_t bits, int from)
{
    assert(from >= 0);
    assert(from <= 64);
    bits = from > 63 ? 0 : bits >> from << from;
    return bits == 0 ? -1 : __builtin_ctzll(bits);
}

/* The days of a month that match, bit 1 for the first. */
static uint64_t month_days(const struct cron *cron, int year, int month)
{
    unsigned weekday = civil_weekday(civil_days(year, month, 1));
    /* Six times the week, from the weekday of the first on, then moved to bit 1. */
    uint64_t by_weekday = cron->weekdays * UINT64_C(0x0000000810204081) >> weekday << 1;
    uint64_t exists = (UINT64_C(2) << civil_month_days(year, month)) - 2;
    unsigned stars = FIELD_BIT(CRON_DAY_OF_MONTH) | FIELD_BIT(CRON_DAY_OF_WEEK);

    assert(weekday <= 6);
    if ((cron->months >> month & 1) == 0)
        return 0;
    if ((cron->stars & stars) != 0)
        return cron->days & by_weekday & exists;
    return (cron->days | by_weekday) & exists;
}

/* The next matching time of day, from second_of_day on. -1 when the day has no more. */
static int next_in_day(const struct cron *cron, int second_of_day)
{
    int hour = second_of_day / 3600;
    int minute = second_of_day / 60 % 60;
    int second = second_of_day % 60;

    if ((cron->hours >> hour & 1) != 0) {
        if ((cron->minutes >> minute & 1) != 0) {
            second = next_bit(cron->seconds, second);
            if (second >= 0)
                return hour * 3600 + minute * 60 + second;
        }
        minute = next_bit(cron->minutes, minute + 1);
        if (minute >= 0)
            return hour * 3600 + minute * 60 + next_bit(cron->seconds, 0);
    }
    hour = next_bit(cron->hours, hour + 1);
    if (hour < 0)
        return -1;
    return hour * 3600 + next_bit(cron->minutes, 0) * 60 + next_bit(cron->seconds, 0);
}

/* The first day that matches, from day on and before day_end, both since 1970. */
static bool next_day(const struct cron *cron, int64_t day, int64_t day_end, int64_t *ret_day)
{
    struct civil_time date = civil_date_of(day);
    int year = date.year;
    int month = date.month;
    int from = date.day;
    int64_t first = day - (from - 1);

    while (first < day_end) {
        int found = next_bit(month_days(cron, year, month), from);

        if (found > 0) {
            *ret_day = first + found - 1;
            return *ret_day < day_end;
        }
        first += civil_month_days(year, month);
        year += month == 12;
        month = month == 12 ? 1 : month + 1;
        from = 1;
    }
    return false;
}

/* The first local time that matches, from from_s on and before end_s. */
static bool next_local(const struct cron *cron, int64_t from_s, int64_t end_s, int64_t *ret_local_s)
{
    int64_t day = civil_day_of(from_s);
    int64_t day_end = civil_day_of(end_s) + 1;
    int64_t found;
    int time = -1;

    assert(from_s <= end_s);
    if (next_day(cron, day, day + 1, &found))
        time = next_in_day(cron, (int)(from_s - day * CIVIL_SECONDS_PER_DAY));
    if (time < 0) {
        if (!next_day(cron, day + 1, day_end, &found))
            return false;
        time = next_in_day(cron, 0);
    }
    assert(time >= 0);
    found = found * CIVIL_SECONDS_PER_DAY + time;
    if (found >= end_s)
        return false;
    assert(found >= from_s);
    *ret_local_s = found;
    return true;
}

static bool next_fixed(const struct cron *cron, const struct time_zone *zone, int64_t after_s,
                       int64_t *ret_unix_s)
{
    int64_t from_s = time_zone_latest_local(zone, after_s) + 1;
    int64_t local_s;

    if (!next_local(cron, from_s, from_s + SEARCH_S, &local_s))
        return false;
    *ret_unix_s = time_zone_reach(zone, local_s);
    return true;
}

static bool next_interval(const struct cron *cron, const struct time_zone *zone, int64_t after_s,
                          int64_t *ret_unix_s)
{
    int64_t search_end_s = after_s + SEARCH_S;

    for (int64_t at = after_s + 1; at < search_end_s;) {
        struct time_zone_span span = time_zone_span_at(zone, at);
        int64_t end_s = span.end_s < search_end_s ? span.end_s : search_end_s;
        int64_t local_s;

        if (next_local(cron, at + span.offset_s, end_s + span.offset_s, &local_s)) {
            *ret_unix_s = local_s - span.offset_s;
            return true;
        }
        at = end_s;
    }
    return false;
}

enum cron_result cron_next(const struct cron *cron, const struct time_zone *zone,
                           int64_t after_unix_s, int64_t *ret_unix_s)
{
    unsigned stars = FIELD_BIT(CRON_MINUTE) | FIELD_BIT(CRON_HOUR);
    bool is_interval = (cron->stars & stars) != 0;
    int64_t next_s;

    check(cron);
    if (after_unix_s >= CIVIL_SECONDS_MAX)
        return CRON_NEVER;
    if (after_unix_s < CIVIL_SECONDS_MIN)
        after_unix_s = CIVIL_SECONDS_MIN - 1;
    if (!(is_interval ? next_interval(cron, zone, after_unix_s, &next_s)
                      : next_fixed(cron, zone, after_unix_s, &next_s)))
        return CRON_NEVER;
    assert(next_s > after_unix_s);
    if (next_s > CIVIL_SECONDS_MAX)
        return CRON_NEVER;
    *ret_unix_s = next_s;
    return CRON_OK;
}

uint32_t cron_count_missed(const struct cron *cron, const struct time_zone *zone,
                           int64_t from_unix_s, int64_t to_unix_s, uint32_t count_max)
{
    uint32_t count = 0;

    assert(count_max <= CRON_MISSED_COUNT_MAX);
    while (count < count_max && cron_next(cron, zone, from_unix_s, &from_unix_s) == CRON_OK &&
           from_unix_s <= to_unix_s)
        count++;
    return count;
}
