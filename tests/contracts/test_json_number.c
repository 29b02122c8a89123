#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "contracts/json_number.h"

TestSuite(json_number, .timeout = 5);

Test(json_number, knows_integers_however_they_are_written)
{
    static const struct {
        const char *text;
        int64_t value;
    } CASES[] = {
        {"0", 0},
        {"-0", 0},
        {"0.000", 0},
        {"0e999999999999", 0},
        {"7", 7},
        {"-7", -7},
        {"7.0", 7},
        {"0.7e1", 7},
        {"700e-2", 7},
        {"1e3", 1000},
        {"1.5e1", 15},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"9223372036854775807.000000000000000000000000", INT64_MAX},
        {"10000000000000000000000000000000e-31", 1},
        {"0.00000000000000000000000000000001e32", 1},
        {"1000000000000000000", 1000000000000000000},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int64_t value = 42;

        cr_expect(json_number_to_i64(slice_of(CASES[i].text), &value), "%s", CASES[i].text);
        cr_expect(eq(i64, value, CASES[i].value), "%s", CASES[i].text);
    }
}

Test(json_number, refuses_what_is_no_integer_or_too_large)
{
    static const char *const CASES[] = {
        "0.5",
        "-1.25",
        "1e-1",
        "15e-1",
        "9223372036854775808",
        "-9223372036854775809",
        "1e19",
        "1e999999999999999999999",
        "1e-999999999999999999999",
        "123456789012345678901234567890",
        "9223372036854775807.0000000000000000001",
        "18446744073709551616",
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int64_t value = 42;

        cr_expect(not(json_number_to_i64(slice_of(CASES[i]), &value)), "%s", CASES[i]);
        cr_expect(eq(i64, value, 42), "%s", CASES[i]);
    }
}

Test(json_number, prints_doubles_as_javascript_does)
{
    /* The right column was printed by a JavaScript engine. */
    static const char *const CASES[][2] = {
        {"500", "500"},
        {"1.0", "1"},
        {"1e3", "1000"},
        {"-0", "0"},
        {"-0.0", "0"},
        {"-1.50", "-1.5"},
        {"0.1", "0.1"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"123456789012345678", "123456789012345680"},
        {"1e20", "100000000000000000000"},
        {"1e21", "1e+21"},
        {"123e19", "1.23e+21"},
        {"1e-6", "0.000001"},
        {"1.25e-6", "0.00000125"},
        {"1e-7", "1e-7"},
        {"1.5e-10", "1.5e-10"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"1e999", "Infinity"},
        {"-1e999", "-Infinity"},
        {"1e-999", "0"},
        {"9007199254740993", "9007199254740992"},
        {"4.35", "4.35"},
        {"100", "100"},
        {"1234.5678", "1234.5678"},
        {"-0.00001234567890123456", "-0.00001234567890123456"},
        {"-1.2345678901234567e-7", "-1.2345678901234566e-7"},
        {"2.5e-310", "2.5e-310"},
        {"1e-5", "0.00001"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char text[JSON_NUMBER_TEXT_SIZE];
        size_t size = json_number_format(slice_of(CASES[i][0]), text);

        cr_expect(slice_equal((struct slice){text, size}, slice_of(CASES[i][1])),
                  "%s gave %.*s, not %s", CASES[i][0], (int)size, text, CASES[i][1]);
    }
}

Test(json_number, does_not_convert_a_text_beyond_its_bound)
{
    static char digits[JSON_NUMBER_DOUBLE_SIZE_MAX + 1];
    char text[JSON_NUMBER_TEXT_SIZE];
    double value = 1;

    memset(digits, '9', sizeof(digits));
    cr_expect(not(json_number_to_double((struct slice){digits, sizeof(digits)}, &value)));
    cr_expect(eq(sz, json_number_format((struct slice){digits, sizeof(digits)}, text), 0));
    cr_expect(json_number_to_double((struct slice){digits, sizeof(digits) - 1}, &value));
    cr_expect(isinf(value));
}
