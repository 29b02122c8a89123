#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_string.h"

static struct json_value string_of(const char *text)
{
    struct json_reader reader;
    struct json_value value = {0};
    enum json_result result =
        json_read_document(slice_of(text), JSON_DEPTH_DEFAULT, &reader, &value);

    assert(result == JSON_OK && value.type == JSON_STRING);
    return value;
}

TestSuite(json_string, .timeout = 5);

Test(json_string, decodes_every_escape)
{
    struct json_value string =
        string_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\uD834\\uDD1Ez\"");
    char buffer[64];
    struct slice text;

    cr_assert(json_string_text(&string, buffer, sizeof(buffer), &text));
    cr_expect(
        slice_equal(text, SLICE_LITERAL("\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9ez")));
}

Test(json_string, keeps_a_decoded_zero_byte)
{
    struct json_value string = string_of("\"a\\u0000b\"");
    char buffer[8];
    struct slice text;

    cr_assert(json_string_text(&string, buffer, sizeof(buffer), &text));
    cr_expect(slice_equal(text, SLICE_LITERAL("a\0b")));
}

Test(json_string, borrows_the_text_when_there_is_nothing_to_decode)
{
    struct json_value string = string_of("\"plain \xc3\xa9\"");
    struct slice text;

    cr_assert(json_string_text(&string, NULL, 0, &text));
    cr_expect(eq(ptr, (void *)text.data, (void *)(string.raw.data + 1)));
    cr_expect(eq(sz, text.size, 8));
}

Test(json_string, says_when_the_decoded_text_does_not_fit)
{
    struct json_value string = string_of("\"abc\\n\"");
    char buffer[4];
    struct slice text;

    cr_expect(not(json_string_text(&string, buffer, 3, &text)));
    cr_expect(json_string_text(&string, buffer, 4, &text));
}

Test(json_string, cuts_between_characters_and_leaves_no_hole)
{
    struct json_value string = string_of("\"ab\\u20accd\"");
    char buffer[16];
    size_t written;

    for (size_t capacity = 2; capacity < 5; capacity++) {
        cr_expect(eq(sz, json_string_decode(&string, buffer, capacity, &written), 7));
        cr_expect(eq(sz, written, 2));
    }
    cr_expect(eq(sz, json_string_decode(&string, buffer, 6, &written), 7));
    cr_expect(slice_equal((struct slice){buffer, written}, SLICE_LITERAL("ab\xe2\x82\xac"
                                                                         "c")));
}

Test(json_string, compares_by_characters_not_by_spelling)
{
    struct json_value escaped = string_of("\"\\u0065vent\\u005ftype\"");
    struct json_value plain = string_of("\"event_type\"");
    struct json_value other = string_of("\"event\\u005ftyp\"");
    struct json_value split = string_of("\"\\u0065\\u0076ent_type\"");

    cr_expect(json_string_equal(&escaped, SLICE_LITERAL("event_type")));
    cr_expect(json_string_equal(&plain, SLICE_LITERAL("event_type")));
    cr_expect(not(json_string_equal(&other, SLICE_LITERAL("event_type"))));
    cr_expect(not(json_string_equal(&escaped, SLICE_LITERAL("event_types"))));
    cr_expect(not(json_string_equal(&escaped, SLICE_LITERAL(""))));
    cr_expect(json_string_same(&escaped, &plain));
    cr_expect(json_string_same(&plain, &escaped));
    cr_expect(json_string_same(&escaped, &split));
    cr_expect(not(json_string_same(&escaped, &other)));
    cr_expect(not(json_string_same(&other, &escaped)));
}
