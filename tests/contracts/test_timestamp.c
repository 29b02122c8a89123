#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <time.h>

#include "contracts/timestamp.h"

struct timestamp_case {
    const char *text;
    int64_t unix_ms;
};

static const struct timestamp_case VALID[] = {
    {"2025-01-15T12:00Z", 1736942400000},
    {"2025-01-15T12:00:00Z", 1736942400000},
    {"2025-01-15T12:00:00+0530", 1736922600000},
    {"2025-01-15T12:00:00+05:30", 1736922600000},
    {"2025-01-15T12:00-0530", 1736962200000},
    {"2025-01-15T12:00:00.123456789Z", 1736942400123},
    {"2025-01-15T12:00:00.9999999999999999999999999999Z", 1736942400999},
    {"2025-01-15T12:00:00.1Z", 1736942400100},
    {"2025-01-15T12:00:00.05+00:00", 1736942400050},
    {"2024-02-29T12:00:00Z", 1709208000000},
    {"2000-02-29T00:00:00Z", 951782400000},
    {"1970-01-01T00:00:00Z", 0},
    {"1969-12-31T23:59:59.999Z", -1},
    {"0000-01-01T00:00:00Z", -62167219200000},
    {"0000-02-29T00:00:00Z", -62162121600000},
    {"9999-12-31T23:59:59.999Z", 253402300799999},
    {"2025-01-15T12:00:00+23:59", 1736856060000},
    {"2025-01-15T12:00:00-23:59", 1737028740000},
    {"2025-01-15T12:00:00-00:00", 1736942400000},
};

static const char *const INVALID[] = {
    "",
    "2025-01-15",
    "2025-01-15T12:00:00",
    "2025-01-15T12:00",
    "2025-01-15T12:00:00z",
    "2025-01-15t12:00:00Z",
    "2025-01-15 12:00:00Z",
    "2025-01-15T24:00:00Z",
    "2025-01-15T12:60:00Z",
    "2025-01-15T12:00:60Z",
    "2025-1-15T12:00:00Z",
    "25-01-15T12:00:00Z",
    "2025-02-29T12:00:00Z",
    "1900-02-29T12:00:00Z",
    "2025-00-15T12:00:00Z",
    "2025-13-15T12:00:00Z",
    "2025-01-00T12:00:00Z",
    "2025-01-32T12:00:00Z",
    "2025-04-31T12:00:00Z",
    "2025-01-15T12:00:00+99:99",
    "2025-01-15T12:00:00+24:00",
    "2025-01-15T12:00:00+00:60",
    "2025-01-15T12:00:00+5:30",
    "2025-01-15T12:00:00+05",
    "2025-01-15T12:00:00+053",
    "2025-01-15T12:00:00+05:3",
    "2025-01-15T12:00:00+05-30",
    "2025-01-15T12:00:00 +05:30",
    "2025-01-15T12:00:00.Z",
    "2025-01-15T12:00:00,5Z",
    "2025-01-15T12:00.5Z",
    "2025-01-15T12:00:Z",
    "2025-01-15T12:00:0Z",
    "2025-01-15T12:00:00ZZ",
    "2025-01-15T12:00:00Z ",
    " 2025-01-15T12:00:00Z",
    "2025-01-15T12Z",
    "2025/01/15T12:00:00Z",
    "+2025-01-15T12:00:00Z",
    "not-a-timestamp",
    "not-a-timestamp-at-all",
};

TestSuite(timestamp, .timeout = 10);

Test(timestamp, reads_every_valid_form)
{
    for (size_t i = 0; i < ARRAY_COUNT(VALID); i++) {
        int64_t unix_ms = -12345;

        cr_expect(timestamp_parse(slice_of(VALID[i].text), &unix_ms), "%s", VALID[i].text);
        cr_expect(eq(i64, unix_ms, VALID[i].unix_ms), "%s", VALID[i].text);
    }
}

Test(timestamp, refuses_every_invalid_form)
{
    for (size_t i = 0; i < ARRAY_COUNT(INVALID); i++) {
        int64_t unix_ms = -12345;

        cr_expect(not(timestamp_parse(slice_of(INVALID[i]), &unix_ms)), "%s", INVALID[i]);
        cr_expect(eq(i64, unix_ms, -12345), "%s", INVALID[i]);
    }
}

Test(timestamp, refuses_every_cut_of_a_valid_form)
{
    struct slice text = SLICE_LITERAL("2025-01-15T12:00:00.123+05:30");

    for (size_t size = 0; size < text.size; size++) {
        int64_t unix_ms;

        cr_expect(not(timestamp_parse((struct slice){text.data, size}, &unix_ms)), "%zu", size);
    }
}

Test(timestamp, writes_what_the_c_library_would)
{
    for (int64_t unix_ms = -62167219200000; unix_ms < 253402300799999;
         unix_ms += 86400000LL * 37 + 12345678) {
        time_t seconds = (time_t)((unix_ms - 999 * (unix_ms < 0)) / 1000);
        struct tm calendar;
        char expected[64];
        char text[TIMESTAMP_TEXT_SIZE];
        int64_t back;

        gmtime_r(&seconds, &calendar);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                 calendar.tm_year + 1900, calendar.tm_mon + 1, calendar.tm_mday, calendar.tm_hour,
                 calendar.tm_min, calendar.tm_sec, (int)(unix_ms - (int64_t)seconds * 1000));
        timestamp_format(unix_ms, text);
        cr_assert(slice_equal((struct slice){text, sizeof(text)}, slice_of(expected)), "%s",
                  expected);
        cr_assert(timestamp_parse((struct slice){text, sizeof(text)}, &back));
        cr_assert(eq(i64, back, unix_ms));
    }
}

Test(timestamp, writes_the_nearest_instant_it_can_for_one_out_of_range)
{
    char text[TIMESTAMP_TEXT_SIZE];

    timestamp_format(INT64_MAX, text);
    cr_expect(
        slice_equal((struct slice){text, sizeof(text)}, SLICE_LITERAL("9999-12-31T23:59:59.999Z")));
    timestamp_format(INT64_MIN, text);
    cr_expect(
        slice_equal((struct slice){text, sizeof(text)}, SLICE_LITERAL("0000-01-01T00:00:00.000Z")));
}
