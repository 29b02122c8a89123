#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/headers.h"
#include "tests/http/guarded.h"

static struct headers headers;

static enum http_parse_result parse(const char *text, size_t size)
{
    enum http_parse_error error = HTTP_ERROR_NONE;
    size_t parsed_size;

    return headers_parse(guarded_copy(text, size), size, &headers, &parsed_size, &error);
}

static bool is_text(struct slice slice, const char *text)
{
    return slice.data != NULL && slice_equal(slice, slice_of(text));
}

Test(headers, finds_the_first_field_of_a_name_in_any_case)
{
    static const char TEXT[] = "Accept: a\r\nACCEPT: b\r\nx: 1\r\n\r\n";

    cr_assert(eq(int, parse(TEXT, sizeof(TEXT) - 1), HTTP_PARSE_DONE));
    cr_expect(is_text(headers_value(&headers, SLICE_LITERAL("accept")), "a"));
    cr_expect(eq(sz, headers_count_of(&headers, SLICE_LITERAL("accept")), 2));
    cr_expect(is_text(headers_find(&headers, SLICE_LITERAL("x"))->name, "x"));
    cr_expect(eq(ptr, (void *)headers_find(&headers, SLICE_LITERAL("y")), NULL));
    cr_expect(eq(ptr, (void *)headers_value(&headers, SLICE_LITERAL("accep")).data, NULL));
}

Test(headers, takes_an_empty_section)
{
    cr_assert(eq(int, parse("\r\n", 2), HTTP_PARSE_DONE));
    cr_expect(eq(u32, headers.count, 0));
    cr_expect(eq(int, parse("\r", 1), HTTP_PARSE_NEED_MORE));
    cr_expect(eq(int, parse("", 0), HTTP_PARSE_NEED_MORE));
    cr_expect(eq(int, parse("\rx", 2), HTTP_PARSE_BAD));
}

Test(headers, trims_values_but_not_their_inside)
{
    static const char TEXT[] = "a: \t b \t c\t \r\nd:  \r\n\r\n";

    cr_assert(eq(int, parse(TEXT, sizeof(TEXT) - 1), HTTP_PARSE_DONE));
    cr_expect(is_text(headers_value(&headers, SLICE_LITERAL("a")), "b \t c"));
    cr_expect(is_text(headers_value(&headers, SLICE_LITERAL("d")), ""));
}

Test(headers, walks_token_lists_over_empty_elements_and_lines)
{
    static const char TEXT[] = "te: ,a , ,B,\r\nte:\r\nTE: c d\r\n\r\n";
    struct header_tokens tokens;
    struct slice token;

    cr_assert(eq(int, parse(TEXT, sizeof(TEXT) - 1), HTTP_PARSE_DONE));
    header_tokens_init(&tokens, headers.items[0].value);
    cr_assert(header_tokens_next(&tokens, &token));
    cr_expect(is_text(token, "a"));
    cr_assert(header_tokens_next(&tokens, &token));
    cr_expect(is_text(token, "B"));
    cr_expect(not(header_tokens_next(&tokens, &token)));
    cr_expect(headers_have_token(&headers, SLICE_LITERAL("te"), SLICE_LITERAL("b")));
    cr_expect(headers_have_token(&headers, SLICE_LITERAL("te"), SLICE_LITERAL("c d")));
    cr_expect(not(headers_have_token(&headers, SLICE_LITERAL("te"), SLICE_LITERAL("c"))));
    cr_expect(not(headers_have_token(&headers, SLICE_LITERAL("t"), SLICE_LITERAL("a"))));
}

Test(headers, reads_lengths_up_to_the_largest_and_nothing_else)
{
    uint64_t length = 7;

    cr_expect(header_parse_length(SLICE_LITERAL("9223372036854775807"), &length));
    cr_expect(eq(u64, length, INT64_MAX));
    cr_expect(header_parse_length(SLICE_LITERAL("0"), &length));
    cr_expect(eq(u64, length, 0));
    cr_expect(not(header_parse_length(SLICE_LITERAL("9223372036854775808"), &length)));
    cr_expect(not(header_parse_length(SLICE_LITERAL(""), &length)));
    cr_expect(not(header_parse_length(SLICE_LITERAL("1 "), &length)));
    cr_expect(not(header_parse_length(SLICE_LITERAL("+1"), &length)));
    cr_expect(eq(u64, length, 0), "a refusal writes nothing");
}

Test(headers, judges_names_and_values_that_we_would_send)
{
    cr_expect(header_name_is_valid(SLICE_LITERAL("X-Long-Enough-For-Vectors_1")));
    cr_expect(not(header_name_is_valid(SLICE_LITERAL(""))));
    cr_expect(not(header_name_is_valid(SLICE_LITERAL("X-Long-Enough-For-Vectors:1"))));
    cr_expect(header_value_is_valid(SLICE_LITERAL("")));
    cr_expect(header_value_is_valid(SLICE_LITERAL("a\tb \xff")));
    cr_expect(not(header_value_is_valid(SLICE_LITERAL("long enough for vectors\r\n"))));
    cr_expect(not(header_value_is_valid(SLICE_LITERAL("a\0b"))));
}
