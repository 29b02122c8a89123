/*
 * The dates, with d for a digit, www and mmm for the name of a day and of a month:
 *
 *     IMF-fixdate   www, dd mmm dddd dd:dd:dd GMT
 *     RFC 850       any weekday, then dd-mmm-dd dd:dd:dd GMT
 *     asctime       www mmm _d dd:dd:dd dddd
 *
 * The name of the day says nothing that the date does not say, so it is not compared
 * with it. A leap second, :60, is the next second.
 */
#include "http/retry_after.h"

#include "contracts/civil.h"
#include "http/char_class.h"
#include "http/headers.h"

struct date_reader {
    struct slice text;
    size_t at;
    bool failed;
};

static void expect(struct date_reader *reader, struct slice literal)
{
    if (reader->failed || reader->text.size - reader->at < literal.size ||
        memcmp(reader->text.data + reader->at, literal.data, literal.size) != 0) {
        reader->failed = true;
        return;
    }
    reader->at += literal.size;
}

static int read_number(struct date_reader *reader, size_t digit_count)
{
    int number = 0;

    if (reader->failed || reader->text.size - reader->at < digit_count) {
        reader->failed = true;
        return 0;
    }
    for (size_t i = 0; i < digit_count; i++, reader->at++) {
        char c = reader->text.data[reader->at];

        reader->failed |= !char_is_digit(c);
        number = number * 10 + (c - '0');
    }
    return number;
}

/* The place of a three-letter name in names, from 0. */
static int read_name(struct date_reader *reader, const char *names)
{
    if (reader->failed || reader->text.size - reader->at < 3) {
        reader->failed = true;
        return 0;
    }
    for (int i = 0; names[i * 3] != '\0'; i++) {
        if (memcmp(reader->text.data + reader->at, names + (size_t)i * 3, 3) == 0) {
            reader->at += 3;
            return i;
        }
    }
    reader->failed = true;
    return 0;
}

static uint8_t read_month(struct date_reader *reader)
{
    return (uint8_t)(read_name(reader, "JanFebMarAprMayJunJulAugSepOctNovDec") + 1);
}

static void read_weekday(struct date_reader *reader)
{
    (void)read_name(reader, "SunMonTueWedThuFriSat");
}

static void read_time_of_day(struct date_reader *reader, struct civil_time *time)
{
    time->hour = (uint8_t)read_number(reader, 2);
    expect(reader, SLICE_LITERAL(":"));
    time->minute = (uint8_t)read_number(reader, 2);
    expect(reader, SLICE_LITERAL(":"));
    time->second = (uint8_t)read_number(reader, 2);
}

static void read_fixdate(struct date_reader *reader, struct civil_time *time)
{
    read_weekday(reader);
    expect(reader, SLICE_LITERAL(", "));
    time->day = (uint8_t)read_number(reader, 2);
    expect(reader, SLICE_LITERAL(" "));
    time->month = read_month(reader);
    expect(reader, SLICE_LITERAL(" "));
    time->year = read_number(reader, 4);
    expect(reader, SLICE_LITERAL(" "));
    read_time_of_day(reader, time);
    expect(reader, SLICE_LITERAL(" GMT"));
}

/* A year that seems to be more than 50 years ahead is the last one with those digits. */
static int full_year(int two_digits, uint64_t unix_ms)
{
    int this_year = civil_time_of((int64_t)(unix_ms / 1000)).year;
    int year = this_year - this_year % 100 + two_digits;

    return year > this_year + 50 ? year - 100 : year;
}

static void read_rfc850(struct date_reader *reader, uint64_t unix_ms, struct civil_time *time)
{
    read_weekday(reader);
    while (!reader->failed && reader->at < reader->text.size &&
           char_lower(reader->text.data[reader->at]) >= 'a' &&
           char_lower(reader->text.data[reader->at]) <= 'z')
        reader->at++;
    expect(reader, SLICE_LITERAL(", "));
    time->day = (uint8_t)read_number(reader, 2);
    expect(reader, SLICE_LITERAL("-"));
    time->month = read_month(reader);
    expect(reader, SLICE_LITERAL("-"));
    time->year = full_year(read_number(reader, 2), unix_ms);
    expect(reader, SLICE_LITERAL(" "));
    read_time_of_day(reader, time);
    expect(reader, SLICE_LITERAL(" GMT"));
}

static void read_asctime(struct date_reader *reader, struct civil_time *time)
{
    read_weekday(reader);
    expect(reader, SLICE_LITERAL(" "));
    time->month = read_month(reader);
    expect(reader, SLICE_LITERAL(" "));
    if (!reader->failed && reader->at < reader->text.size && reader->text.data[reader->at] == ' ') {
        reader->at++;
        time->day = (uint8_t)read_number(reader, 1);
    } else {
        time->day = (uint8_t)read_number(reader, 2);
    }
    expect(reader, SLICE_LITERAL(" "));
    read_time_of_day(reader, time);
    expect(reader, SLICE_LITERAL(" "));
    time->year = read_number(reader, 4);
}

/* Milliseconds since 1970; false for no date in any of the forms. */
static bool parse_date(struct slice text, uint64_t unix_ms, int64_t *ret_unix_ms)
{
    struct civil_time time = {0};
    struct date_reader reader = {.text = text};
    int64_t leap_s = 0;

    assert(text.size > 0);
    if (text.size > 3 && text.data[3] == ',')
        read_fixdate(&reader, &time);
    else if (memchr(text.data, ',', text.size) != NULL)
        read_rfc850(&reader, unix_ms, &time);
    else
        read_asctime(&reader, &time);
    if (reader.failed || reader.at != text.size)
        return false;
    if (time.second == 60) {
        time.second = 59;
        leap_s = 1;
    }
    if (!civil_time_is_valid(&time))
        return false;
    *ret_unix_ms = (civil_time_seconds(&time) + leap_s) * 1000;
    return true;
}

/* Digits only; what is larger than anybody waits is cut. */
static bool parse_seconds(struct slice text, uint64_t *ret_delay_ms)
{
    uint64_t seconds = 0;

    assert(text.size > 0);
    for (size_t i = 0; i < text.size; i++) {
        if (!char_is_digit(text.data[i]))
            return false;
        if (seconds <= RETRY_AFTER_MS_MAX)
            seconds = seconds * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_delay_ms = seconds > RETRY_AFTER_MS_MAX / 1000 ? RETRY_AFTER_MS_MAX : seconds * 1000;
    return true;
}

bool retry_after_parse(struct slice value, uint64_t unix_ms, uint64_t *ret_delay_ms)
{
    struct slice text = header_text_trim(value);
    int64_t instant_ms;

    assert(ret_delay_ms != NULL);
    if (text.size == 0)
        return false;
    if (char_is_digit(text.data[0]))
        return parse_seconds(text, ret_delay_ms);
    if (!parse_date(text, unix_ms, &instant_ms))
        return false;
    *ret_delay_ms = instant_ms <= (int64_t)unix_ms
                        ? 0
                        : min_u64((uint64_t)instant_ms - unix_ms, RETRY_AFTER_MS_MAX);
    return true;
}
