#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <signal.h>

#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"

static char buffer[4096];
static struct json_writer writer;
static struct slice text;

static void setup(void)
{
    json_writer_init(&writer, buffer, sizeof(buffer));
}

TestSuite(json_writer, .init = setup, .timeout = 5);

Test(json_writer, puts_commas_and_colons_where_they_belong)
{
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("a"));
    json_writer_begin_array(&writer);
    json_writer_u64(&writer, 1);
    json_writer_begin_object(&writer);
    json_writer_end_object(&writer);
    json_writer_null(&writer);
    json_writer_end_array(&writer);
    json_writer_key(&writer, SLICE_LITERAL("b"));
    json_writer_raw(&writer, SLICE_LITERAL("[true]"));
    json_writer_key(&writer, SLICE_LITERAL("c"));
    json_writer_boolean(&writer, false);
    json_writer_key(&writer, SLICE_LITERAL("d"));
    json_writer_time(&writer, 1736942400123);
    json_writer_end_object(&writer);

    cr_assert(json_writer_finish(&writer, &text));
    cr_expect(slice_equal(text, SLICE_LITERAL("{\"a\":[1,{},null],\"b\":[true],\"c\":false,"
                                              "\"d\":\"2025-01-15T12:00:00.123Z\"}")));
}

Test(json_writer, escapes_what_must_be_escaped_and_nothing_else)
{
    json_writer_string(&writer, SLICE_LITERAL("\"\\/\b\f\n\r\t\x01\x1f\x7f \xc3\xa9\xe2\x82\xac"));

    cr_assert(json_writer_finish(&writer, &text));
    cr_expect(slice_equal(text, SLICE_LITERAL("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f "
                                              "\xc3\xa9\xe2\x82\xac\"")));
}

Test(json_writer, replaces_what_is_not_utf8)
{
    json_writer_string(&writer, SLICE_LITERAL("a\xff"
                                              "b\xe2\x82"
                                              "c\xc3"));

    cr_assert(json_writer_finish(&writer, &text));
    cr_expect(slice_equal(text, SLICE_LITERAL("\"a\xef\xbf\xbd"
                                              "b\xef\xbf\xbd\xef\xbf\xbd"
                                              "c\xef\xbf\xbd\"")));
}

Test(json_writer, writes_strings_that_read_back_as_they_were)
{
    char original[70];

    for (int byte = 0; byte < 0x80; byte++) {
        for (size_t at = 0; at < sizeof(original); at++) {
            struct json_reader reader;
            struct json_value value;
            char decoded[sizeof(original)];
            struct slice back;

            memset(original, 'x', sizeof(original));
            original[at] = (char)byte;
            json_writer_init(&writer, buffer, sizeof(buffer));
            json_writer_string(&writer, (struct slice){original, sizeof(original)});
            cr_assert(json_writer_finish(&writer, &text));
            cr_assert(eq(int, json_read_document(text, 1, &reader, &value), JSON_OK));
            cr_assert(json_string_text(&value, decoded, sizeof(decoded), &back));
            cr_assert(slice_equal(back, (struct slice){original, sizeof(original)}));
        }
    }
}

Test(json_writer, writes_large_integers_as_strings_to_the_last_digit)
{
    json_writer_begin_array(&writer);
    json_writer_u64_text(&writer, 0);
    json_writer_u64_text(&writer, UINT64_MAX);
    json_writer_end_array(&writer);

    cr_assert(json_writer_finish(&writer, &text));
    cr_expect(slice_equal(text, SLICE_LITERAL("[\"0\",\"18446744073709551615\"]")));
}

Test(json_writer, joins_the_pieces_of_a_string)
{
    json_writer_begin_array(&writer);
    json_writer_begin_string(&writer);
    json_writer_string_piece(&writer, SLICE_LITERAL("a\""));
    json_writer_string_piece(&writer, (struct slice){NULL, 0});
    json_writer_string_piece(&writer, SLICE_LITERAL("b"));
    json_writer_end_string(&writer);
    json_writer_u64(&writer, 0);
    json_writer_end_array(&writer);

    cr_assert(json_writer_finish(&writer, &text));
    cr_expect(slice_equal(text, SLICE_LITERAL("[\"a\\\"b\",0]")));
}

Test(json_writer, writes_the_extremes_of_numbers)
{
    json_writer_begin_array(&writer);
    json_writer_u64(&writer, UINT64_MAX);
    json_writer_i64(&writer, INT64_MIN);
    json_writer_i64(&writer, INT64_MAX);
    json_writer_i64(&writer, -1);
    json_writer_double(&writer, 0.1);
    json_writer_double(&writer, 1.0 / 3);
    json_writer_double(&writer, INFINITY);
    json_writer_end_array(&writer);

    cr_assert(json_writer_finish(&writer, &text));
    cr_expect(slice_equal(text, SLICE_LITERAL("[18446744073709551615,-9223372036854775808,"
                                              "9223372036854775807,-1,0.1,0.3333333333333333,"
                                              "null]")));
}

Test(json_writer, says_at_the_end_when_anything_did_not_fit)
{
    static const struct slice EXPECTED = {"{\"k\":[\"a\\n\",12]}", 16};

    for (size_t capacity = 0; capacity <= EXPECTED.size; capacity++) {
        json_writer_init(&writer, buffer, capacity);
        buffer[capacity] = '#';
        json_writer_begin_object(&writer);
        json_writer_key(&writer, SLICE_LITERAL("k"));
        json_writer_begin_array(&writer);
        json_writer_string(&writer, SLICE_LITERAL("a\n"));
        json_writer_u64(&writer, 12);
        json_writer_end_array(&writer);
        json_writer_end_object(&writer);
        cr_expect(eq(int, json_writer_finish(&writer, &text), capacity == EXPECTED.size));
        cr_expect(eq(chr, buffer[capacity], '#'));
    }
    cr_expect(slice_equal(text, EXPECTED));
}

Test(json_writer, aborts_when_finished_with_an_open_container, .signal = SIGABRT)
{
    json_writer_begin_object(&writer);
    (void)!json_writer_finish(&writer, &text);
}
