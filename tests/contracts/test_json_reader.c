#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "contracts/json_reader.h"
#include "contracts/json_scan.h"
#include "contracts/json_string.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct json_reader reader;
static struct json_value value;

static void setup(void)
{
    guarded_text_init(&guarded);
}

/* Reads text as one document from in front of the guard page. */
static enum json_result read_guarded(struct slice text)
{
    return json_read_document(guarded_text_put(&guarded, text), JSON_DEPTH_DEFAULT, &reader,
                              &value);
}

TestSuite(json_reader, .init = setup, .timeout = 20);

/* The size is explicit because some texts contain a zero byte. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct slice ACCEPTED[] = {
    TEXT("{}"),
    TEXT("[]"),
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("0"),
    TEXT("-0"),
    TEXT("42"),
    TEXT("-1"),
    TEXT("1.5"),
    TEXT("0.0"),
    TEXT("-0.0"),
    TEXT("1e5"),
    TEXT("1E5"),
    TEXT("1e+5"),
    TEXT("1e-5"),
    TEXT("0e0"),
    TEXT("0E+1"),
    TEXT("1.0e-99999"),
    TEXT("123456789012345678901234567890"),
    TEXT("1e999999999999"),
    TEXT("0.000000000000000000000000000000000000000000001"),
    TEXT("\"\""),
    TEXT("\"a\""),
    TEXT("\" \""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0000\""),
    TEXT("\"\\u00e9\\u20AC\""),
    TEXT("\"\\uD834\\uDD1E\""),
    TEXT("\"\\ud800\\udc00\""),
    TEXT("\"\\uDBFF\\uDFFF\""),
    TEXT("\"\\uD7FF\\uE000\""),
    TEXT("\"\\uFFFF\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xc2\x80\""),
    TEXT("\"\xdf\xbf\""),
    TEXT("\"\xe0\xa0\x80\""),
    TEXT("\"\xed\x9f\xbf\""),
    TEXT("\"\xee\x80\x80\""),
    TEXT("\"\xef\xbf\xbf\""),
    TEXT("\"\xf0\x90\x80\x80\""),
    TEXT("\"\xf4\x8f\xbf\xbf\""),
    TEXT("\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\""),
    TEXT("\"0123456789abcdef\""),
    TEXT("\"0123456789abcde\\n0123456789abcdef\""),
    TEXT("\"\xe2\x80\xa8\xe2\x80\xa9\""),
    TEXT("[1]"),
    TEXT("[1,2,3]"),
    TEXT("[[],[[]],{}]"),
    TEXT("[null,true,false,0,\"\",{},[]]"),
    TEXT("{\"a\":1}"),
    TEXT("{\"\":0}"),
    TEXT("{\"a\":1,\"a\":2}"),
    TEXT("{\"a\":{\"b\":[{\"c\":null}]},\"d\":[]}"),
    TEXT("{\"__proto__\":1}"),
    TEXT("{\"\\u0061\":1}"),
    TEXT(" \t\r\n1 \t\r\n"),
    TEXT(" { \"a\" : 1 , \"b\" : [ 1 , 2 ] } "),
    TEXT("[                                        1]"),
    TEXT("[\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n]"),
    TEXT("{\"long name with more than sixteen bytes\":\"long value with more bytes\"}"),
};

struct refusal {
    struct slice text;
    enum json_error error;
    size_t offset;
};

#define BAD(literal, error, offset)                                                                \
    {                                                                                              \
        TEXT(literal), JSON_ERROR_##error, offset                                                  \
    }

static const struct refusal REFUSED[] = {
    BAD("]", VALUE, 0),
    BAD("}", VALUE, 0),
    BAD(",", VALUE, 0),
    BAD(":", VALUE, 0),
    BAD("a", VALUE, 0),
    BAD("'a'", VALUE, 0),
    BAD("+1", VALUE, 0),
    BAD(".5", VALUE, 0),
    BAD("NaN", VALUE, 0),
    BAD("Infinity", VALUE, 0),
    BAD("-Infinity", NUMBER, 1),
    BAD("nul1", VALUE, 0),
    BAD("nall", VALUE, 0),
    BAD("True", VALUE, 0),
    BAD("TRUE", VALUE, 0),
    BAD("truE", VALUE, 0),
    BAD("falsy", VALUE, 0),
    BAD("undefined", VALUE, 0),
    BAD("\xef\xbb\xbf{}", VALUE, 0),
    BAD("\0", VALUE, 0),
    BAD("\v1", VALUE, 0),
    BAD("\xc2\xa0"
        "1",
        VALUE, 0),
    BAD("/**/1", VALUE, 0),
    BAD("// x\n1", VALUE, 0),
    BAD("01", NUMBER, 0),
    BAD("-01", NUMBER, 1),
    BAD("00", NUMBER, 0),
    BAD("-a", NUMBER, 1),
    BAD("--1", NUMBER, 1),
    BAD("1.a", NUMBER, 2),
    BAD("1.e5", NUMBER, 2),
    BAD("1ex", NUMBER, 2),
    BAD("1e+x", NUMBER, 3),
    BAD("1e++1", NUMBER, 3),
    BAD("1e1.5", TRAILING, 3),
    BAD("1.5.5", TRAILING, 3),
    BAD("0x10", TRAILING, 1),
    BAD("1_000", TRAILING, 1),
    BAD("1 2", TRAILING, 2),
    BAD("{}{}", TRAILING, 2),
    BAD("[]]", TRAILING, 2),
    BAD("null,", TRAILING, 4),
    BAD("truex", TRAILING, 4),
    BAD("\"a\"\"b\"", TRAILING, 3),
    BAD("{} \0", TRAILING, 3),
    BAD("\"\\x\"", ESCAPE, 2),
    BAD("\"\\'\"", ESCAPE, 2),
    BAD("\"\\0\"", ESCAPE, 2),
    BAD("\"\\U0041\"", ESCAPE, 2),
    BAD("\"\\N\"", ESCAPE, 2),
    BAD("\"\\\n\"", ESCAPE, 2),
    BAD("\"\\u\"", ESCAPE, 3),
    BAD("\"\\u004\"", ESCAPE, 6),
    BAD("\"\\u00G0\"", ESCAPE, 5),
    BAD("\"\\u 041\"", ESCAPE, 3),
    BAD("\"\\u+041\"", ESCAPE, 3),
    BAD("\"\\uD800\"", SURROGATE, 7),
    BAD("\"\\uDC00\"", SURROGATE, 1),
    BAD("\"\\uDFFFx\"", SURROGATE, 1),
    BAD("\"\\uD800\\n\"", SURROGATE, 7),
    BAD("\"\\uD800x\"", SURROGATE, 7),
    BAD("\"\\uD800\\u0041\"", SURROGATE, 7),
    BAD("\"\\uD800\\uD800\"", SURROGATE, 7),
    BAD("\"\\uDC00\\uD800\"", SURROGATE, 1),
    BAD("\"\\uD800\\uDBFF\"", SURROGATE, 7),
    BAD("\"\\uD800\\uE000\"", SURROGATE, 7),
    BAD("\"\\uD800\\u00G0\"", ESCAPE, 11),
    BAD("\"\n\"", CONTROL, 1),
    BAD("\"\t\"", CONTROL, 1),
    BAD("\"\r\"", CONTROL, 1),
    BAD("\"a\0b\"", CONTROL, 2),
    BAD("\"\x1f\"", CONTROL, 1),
    BAD("\"0123456789abcdef\x01\"", CONTROL, 17),
    BAD("\"\x80\"", UTF8, 1),
    BAD("\"\xbf\"", UTF8, 1),
    BAD("\"\xc0\x80\"", UTF8, 1),
    BAD("\"\xc1\xbf\"", UTF8, 1),
    BAD("\"\xc2\"", UTF8, 1),
    BAD("\"\xc2\xc2\"", UTF8, 1),
    BAD("\"\xe0\x80\x80\"", UTF8, 1),
    BAD("\"\xe0\x9f\xbf\"", UTF8, 1),
    BAD("\"\xe2\x82\"", UTF8, 1),
    BAD("\"\xe2\x28\xa1\"", UTF8, 1),
    BAD("\"\xed\xa0\x80\"", UTF8, 1),
    BAD("\"\xed\xbf\xbf\"", UTF8, 1),
    BAD("\"\xf0\x80\x80\x80\"", UTF8, 1),
    BAD("\"\xf0\x8f\xbf\xbf\"", UTF8, 1),
    BAD("\"\xf0\x90\x80\"", UTF8, 1),
    BAD("\"\xf4\x90\x80\x80\"", UTF8, 1),
    BAD("\"\xf5\x80\x80\x80\"", UTF8, 1),
    BAD("\"\xf8\x88\x80\x80\x80\"", UTF8, 1),
    BAD("\"\xfe\"", UTF8, 1),
    BAD("\"\xff\"", UTF8, 1),
    BAD("\"\xc3\xa9\xe9\"", UTF8, 3),
    BAD("[1,]", VALUE, 3),
    BAD("[,1]", VALUE, 1),
    BAD("[,]", VALUE, 1),
    BAD("[1,,2]", VALUE, 3),
    BAD("[1 2]", SEPARATOR, 3),
    BAD("[1:2]", SEPARATOR, 2),
    BAD("[1}", SEPARATOR, 2),
    BAD("[}", VALUE, 1),
    BAD("[\"a\" \"b\"]", SEPARATOR, 5),
    BAD("[1;2]", SEPARATOR, 2),
    BAD("[01]", NUMBER, 1),
    BAD("[-]", NUMBER, 2),
    BAD("[1.]", NUMBER, 3),
    BAD("[1e]", NUMBER, 3),
    BAD("[tru]", VALUE, 1),
    BAD("[nul]", VALUE, 1),
    BAD("[\xff]", VALUE, 1),
    BAD("{]", KEY, 1),
    BAD("{,}", KEY, 1),
    BAD("{1:2}", KEY, 1),
    BAD("{a:1}", KEY, 1),
    BAD("{'a':1}", KEY, 1),
    BAD("{null:1}", KEY, 1),
    BAD("{\"a\"}", COLON, 4),
    BAD("{\"a\" 1}", COLON, 5),
    BAD("{\"a\",1}", COLON, 4),
    BAD("{\"a\":}", VALUE, 5),
    BAD("{\"a\"::1}", VALUE, 5),
    BAD("{\"a\":1,}", KEY, 7),
    BAD("{\"a\":1 \"b\":2}", SEPARATOR, 7),
    BAD("{\"a\":1]", SEPARATOR, 6),
    BAD("{\"a\":1,,\"b\":2}", KEY, 7),
    BAD("{\"\\uD800\":1}", SURROGATE, 8),
    BAD("{\"\xff\":1}", UTF8, 2),
    BAD("{\"a\":{\"b\":[1,{\"c\":nope}]}}", VALUE, 18),
};

Test(json_reader, accepts_every_valid_text)
{
    for (size_t i = 0; i < ARRAY_COUNT(ACCEPTED); i++)
        cr_expect(eq(int, read_guarded(ACCEPTED[i]), JSON_OK), "accepted text %zu: %s", i,
                  ACCEPTED[i].data);
}

Test(json_reader, refuses_every_invalid_text_where_and_for_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_COUNT(REFUSED); i++) {
        const struct refusal *refusal = &REFUSED[i];

        cr_expect(eq(int, read_guarded(refusal->text), JSON_BAD), "refused text %zu: %s", i,
                  refusal->text.data);
        cr_expect(eq(int, json_reader_error(&reader), refusal->error), "refused text %zu: %s", i,
                  refusal->text.data);
        cr_expect(eq(sz, json_reader_offset(&reader), refusal->offset), "refused text %zu: %s", i,
                  refusal->text.data);
    }
}

Test(json_reader, calls_every_cut_of_a_valid_container_or_string_truncated)
{
    for (size_t i = 0; i < ARRAY_COUNT(ACCEPTED); i++) {
        struct slice text = ACCEPTED[i];
        char last = text.data[text.size - 1];

        if (last != '}' && last != ']' && last != '"' && last != 'l' && last != 'e')
            continue; /* a cut number may be a number, and trailing space may go */
        for (size_t size = 0; size < text.size; size++) {
            cr_expect(eq(int, read_guarded((struct slice){text.data, size}), JSON_TRUNCATED),
                      "text %zu cut at %zu: %s", i, size, text.data);
            cr_expect(eq(sz, json_reader_offset(&reader), size), "text %zu cut at %zu: %s", i, size,
                      text.data);
        }
    }
}

Test(json_reader, never_calls_a_cut_of_a_valid_text_bad)
{
    for (size_t i = 0; i < ARRAY_COUNT(ACCEPTED); i++)
        for (size_t size = 0; size < ACCEPTED[i].size; size++)
            cr_expect(ne(int, read_guarded((struct slice){ACCEPTED[i].data, size}), JSON_BAD),
                      "text %zu cut at %zu", i, size);
}

Test(json_reader, calls_numbers_that_cannot_end_yet_truncated)
{
    static const char *const UNFINISHED[] = {"-", "1.", "1e", "1E+", "1e-", "-0.", "0.0e"};

    for (size_t i = 0; i < ARRAY_COUNT(UNFINISHED); i++)
        cr_expect(eq(int, read_guarded(slice_of(UNFINISHED[i])), JSON_TRUNCATED), "%s",
                  UNFINISHED[i]);
}

Test(json_reader, calls_nothing_but_white_space_truncated)
{
    cr_expect(eq(int, read_guarded((struct slice){NULL, 0}), JSON_TRUNCATED));
    cr_expect(eq(int, read_guarded(SLICE_LITERAL(" \r\n\t                  ")), JSON_TRUNCATED));
}

Test(json_reader, finds_a_flaw_at_every_position_of_a_long_string)
{
    char text[80];

    for (size_t size = 2; size < sizeof(text); size++) {
        for (size_t flaw = 1; flaw + 1 < size; flaw++) {
            memset(text, 'x', size);
            text[0] = text[size - 1] = '"';
            text[flaw] = '\n';
            cr_assert(eq(int, read_guarded((struct slice){text, size}), JSON_BAD));
            cr_assert(eq(sz, json_reader_offset(&reader), flaw));
            text[flaw] = (char)0x80;
            cr_assert(eq(int, read_guarded((struct slice){text, size}), JSON_BAD));
            cr_assert(eq(sz, json_reader_offset(&reader), flaw));
            text[flaw] = '"';
            cr_assert(eq(int, read_guarded((struct slice){text, size}), JSON_BAD));
            cr_assert(eq(sz, json_reader_offset(&reader), flaw + 1));
        }
    }
}

Test(json_reader, scans_the_same_with_and_without_vectors)
{
    char text[64];

    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < sizeof(text); at++) {
            struct slice copy;

            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            copy = guarded_text_put(&guarded, (struct slice){text, sizeof(text)});
            cr_assert(eq(ptr, (void *)json_scan_plain(copy.data, copy.data + copy.size),
                         (void *)json_scan_plain_portable(copy.data, copy.data + copy.size)));
        }
    }
}

Test(json_reader, refuses_nesting_beyond_the_limit_without_recursion)
{
    static char bomb[GUARDED_TEXT_SIZE_MAX];

    memset(bomb, '[', sizeof(bomb));
    cr_expect(eq(int, read_guarded((struct slice){bomb, sizeof(bomb)}), JSON_BAD));
    cr_expect(eq(int, json_reader_error(&reader), JSON_ERROR_DEPTH));
    cr_expect(eq(sz, json_reader_offset(&reader), JSON_DEPTH_DEFAULT));

    for (size_t i = 0; i + 5 <= sizeof(bomb); i += 5)
        memcpy(bomb + i, "{\"a\":", 5);
    cr_expect(eq(int, read_guarded((struct slice){bomb, sizeof(bomb)}), JSON_BAD));
    cr_expect(eq(int, json_reader_error(&reader), JSON_ERROR_DEPTH));
    cr_expect(eq(sz, json_reader_offset(&reader), 5 * JSON_DEPTH_DEFAULT));
}

Test(json_reader, accepts_nesting_up_to_exactly_the_limit)
{
    for (uint32_t limit = 1; limit <= JSON_DEPTH_MAX; limit++) {
        char text[2 * (JSON_DEPTH_MAX + 1)];
        struct slice whole = {text, 2 * (size_t)limit};

        memset(text, '[', limit);
        memset(text + limit, ']', limit);
        cr_assert(eq(int, json_read_document(whole, limit, &reader, &value), JSON_OK));
        if (limit > 1)
            cr_assert(eq(int, json_read_document(whole, limit - 1, &reader, &value), JSON_BAD));
    }
}

Test(json_reader, counts_entered_containers_against_the_limit)
{
    struct json_value key;

    json_reader_init(&reader, SLICE_LITERAL("{\"a\":[[1]]}"), 2);
    cr_assert(eq(int, json_reader_enter_object(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_OK));
    cr_assert(eq(int, json_reader_enter_array(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_OK));
    cr_expect(eq(int, json_reader_enter_array(&reader), JSON_BAD));
    cr_expect(eq(int, json_reader_error(&reader), JSON_ERROR_DEPTH));
}

Test(json_reader, walks_members_and_elements_in_order)
{
    struct json_value key;
    enum json_type type;

    json_reader_init(&reader, SLICE_LITERAL(" {\"a\":[1,[2],{}], \"b\" : {} ,\"c\":\"x\"} "), 3);
    cr_assert(eq(int, json_reader_peek(&reader, &type), JSON_OK));
    cr_assert(eq(int, type, JSON_OBJECT));
    cr_assert(eq(int, json_reader_enter_object(&reader), JSON_OK));

    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_OK));
    cr_assert(json_string_equal(&key, SLICE_LITERAL("a")));
    cr_assert(eq(int, json_reader_enter_array(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_read(&reader, &value), JSON_OK));
    cr_assert(slice_equal(value.raw, SLICE_LITERAL("1")));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_enter_array(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_read(&reader, &value), JSON_OK));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_END));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_read(&reader, &value), JSON_OK));
    cr_assert(eq(int, value.type, JSON_OBJECT));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_END));

    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_OK));
    cr_assert(eq(int, json_reader_enter_object(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_END));

    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_OK));
    cr_assert(json_string_equal(&key, SLICE_LITERAL("c")));
    cr_assert(eq(int, json_reader_read(&reader, &value), JSON_OK));
    cr_assert(slice_equal(value.raw, SLICE_LITERAL("\"x\"")));
    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_END));
    cr_assert(eq(int, json_reader_finish(&reader), JSON_OK));
}

/* Walks text with enter and next instead of read; the depth of containers is bounded by 64. */
static enum json_result walk(struct json_reader *walker)
{
    struct json_value key;
    struct json_value scalar;
    enum json_type type;
    enum json_result result = json_reader_peek(walker, &type);

    if (result != JSON_OK)
        return result;
    if (type == JSON_OBJECT) {
        result = json_reader_enter_object(walker);
        while (result == JSON_OK && (result = json_reader_next_member(walker, &key)) == JSON_OK)
            result = walk(walker);
        return result == JSON_END ? JSON_OK : result;
    }
    if (type == JSON_ARRAY) {
        result = json_reader_enter_array(walker);
        while (result == JSON_OK && (result = json_reader_next_element(walker)) == JSON_OK)
            result = walk(walker);
        return result == JSON_END ? JSON_OK : result;
    }
    return json_reader_read(walker, &scalar);
}

static enum json_result walk_document(struct slice text)
{
    enum json_result result;

    json_reader_init(&reader, guarded_text_put(&guarded, text), JSON_DEPTH_DEFAULT);
    result = walk(&reader);
    return result == JSON_OK ? json_reader_finish(&reader) : result;
}

Test(json_reader, decides_the_same_step_by_step_as_in_one_go)
{
    for (size_t i = 0; i < ARRAY_COUNT(ACCEPTED); i++) {
        for (size_t size = 0; size <= ACCEPTED[i].size; size++) {
            struct slice cut = {ACCEPTED[i].data, size};
            enum json_result expected = read_guarded(cut);

            cr_expect(eq(int, walk_document(cut), expected), "text %zu cut at %zu", i, size);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(REFUSED); i++) {
        cr_expect(eq(int, walk_document(REFUSED[i].text), JSON_BAD), "%zu", i);
        cr_expect(eq(int, json_reader_error(&reader), REFUSED[i].error), "%zu", i);
        cr_expect(eq(sz, json_reader_offset(&reader), REFUSED[i].offset), "%zu", i);
    }
}

Test(json_reader, repeats_its_first_error_for_ever)
{
    struct json_value key;

    json_reader_init(&reader, SLICE_LITERAL("{\"a\":nope,\"b\":1}"), 4);
    cr_assert(eq(int, json_reader_enter_object(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_OK));
    cr_assert(eq(int, json_reader_read(&reader, &value), JSON_BAD));
    cr_expect(eq(int, json_reader_read(&reader, &value), JSON_BAD));
    cr_expect(eq(int, json_reader_next_member(&reader, &key), JSON_BAD));
    cr_expect(eq(int, json_reader_finish(&reader), JSON_BAD));
    cr_expect(eq(sz, json_reader_offset(&reader), 5));
}

Test(json_reader, leaves_the_output_alone_when_it_fails)
{
    struct json_value before = {.type = JSON_NUMBER, .raw = SLICE_LITERAL("7")};

    value = before;
    cr_assert(eq(int, read_guarded(SLICE_LITERAL("[1,2")), JSON_TRUNCATED));
    cr_expect(eq(int, value.type, JSON_NUMBER));
    cr_expect(eq(ptr, (void *)value.raw.data, (void *)before.raw.data));
}

Test(json_reader, classifies_what_it_reads)
{
    cr_assert(eq(int, read_guarded(SLICE_LITERAL("-12")), JSON_OK));
    cr_expect(eq(int, value.type, JSON_NUMBER));
    cr_expect(value.is_integer);
    cr_assert(eq(int, read_guarded(SLICE_LITERAL("1e2")), JSON_OK));
    cr_expect(not(value.is_integer));
    cr_assert(eq(int, read_guarded(SLICE_LITERAL("true")), JSON_OK));
    cr_expect(eq(int, value.type, JSON_BOOLEAN));
    cr_expect(value.is_true);
    cr_assert(eq(int, read_guarded(SLICE_LITERAL("false")), JSON_OK));
    cr_expect(not(value.is_true));
    cr_assert(eq(int, read_guarded(SLICE_LITERAL("\"a\\tb\"")), JSON_OK));
    cr_expect(value.has_escapes);
    cr_assert(eq(int, read_guarded(SLICE_LITERAL("\"a\xc3\xa9\"")), JSON_OK));
    cr_expect(not(value.has_escapes));
}

Test(json_reader, keeps_a_number_of_any_length_byte_for_byte)
{
    static char digits[100000];

    memset(digits, '7', sizeof(digits));
    cr_assert(eq(int, read_guarded((struct slice){digits, sizeof(digits)}), JSON_OK));
    cr_expect(slice_equal(value.raw, (struct slice){digits, sizeof(digits)}));
}

Test(json_reader, gives_the_raw_form_of_what_was_walked)
{
    struct json_value key;
    size_t begin;

    json_reader_init(&reader, SLICE_LITERAL("[ {\"a\" : 1} ,2]"), 4);
    cr_assert(eq(int, json_reader_enter_array(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_element(&reader), JSON_OK));
    begin = json_reader_offset(&reader);
    cr_assert(eq(int, json_reader_enter_object(&reader), JSON_OK));
    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_OK));
    cr_assert(eq(int, json_reader_read(&reader, &value), JSON_OK));
    cr_assert(eq(int, json_reader_next_member(&reader, &key), JSON_END));
    cr_expect(slice_equal(json_reader_since(&reader, begin), SLICE_LITERAL("{\"a\" : 1}")));
}

Test(json_reader, finds_the_last_of_repeated_members)
{
    struct slice object = SLICE_LITERAL("{\"a\":1,\"\\u0061\":2,\"b\":{\"a\":3}}");

    cr_assert(json_find_member(object, SLICE_LITERAL("a"), &value));
    cr_expect(slice_equal(value.raw, SLICE_LITERAL("2")));
    cr_expect(not(json_find_member(object, SLICE_LITERAL("c"), &value)));
}

Test(json_reader, has_a_text_for_every_error)
{
    for (int error = JSON_ERROR_NONE; error <= JSON_ERROR_TRAILING; error++)
        cr_expect(lt(sz, 0, json_error_text((enum json_error)error).size));
}

Test(json_reader, aborts_on_a_depth_limit_of_zero, .signal = SIGABRT)
{
    json_reader_init(&reader, SLICE_LITERAL("1"), 0);
}
