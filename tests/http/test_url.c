#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/url.h"
#include "tests/http/guarded.h"

static struct slice guarded(const char *text)
{
    return (struct slice){guarded_copy(text, strlen(text)), strlen(text)};
}

static bool is_text(struct slice slice, const char *text)
{
    return slice.data != NULL && slice_equal(slice, slice_of(text));
}

Test(url, splits_a_full_url)
{
    struct url url;

    cr_assert(
        eq(int, url_parse(guarded("HTTPS://api.example.com:8443/v1/a%20b?x=1&y"), &url), URL_OK));
    cr_expect(eq(int, url.scheme, URL_SCHEME_HTTPS));
    cr_expect(is_text(url.authority, "api.example.com:8443"));
    cr_expect(is_text(url.host, "api.example.com"));
    cr_expect(eq(u16, url.port, 8443));
    cr_expect(is_text(url.path, "/v1/a%20b"));
    cr_expect(is_text(url.query, "x=1&y"));
    cr_expect(not(url.host_is_ipv6));
}

Test(url, fills_in_what_is_left_out)
{
    struct url url;

    cr_assert(eq(int, url_parse(guarded("http://h"), &url), URL_OK));
    cr_expect(eq(u16, url.port, 80));
    cr_expect(is_text(url.path, "/"));
    cr_expect(eq(ptr, (void *)url.query.data, NULL));
    cr_assert(eq(int, url_parse(guarded("https://h:"), &url), URL_OK));
    cr_expect(eq(u16, url.port, 443));
    cr_assert(eq(int, url_parse(guarded("http://h?q"), &url), URL_OK));
    cr_expect(is_text(url.path, "/"));
    cr_expect(is_text(url.query, "q"));
    cr_assert(eq(int, url_parse(guarded("http://[::1]:3000/"), &url), URL_OK));
    cr_expect(is_text(url.host, "::1"));
    cr_expect(is_text(url.authority, "[::1]:3000"));
    cr_expect(url.host_is_ipv6);
}

Test(url, refuses_what_is_not_a_plain_http_url)
{
    static const char *const ROWS[] = {
        "",
        "http",
        "http:",
        "http:/",
        "http://",
        "http:///a",
        "http://:80/",
        "ftp://h/",
        "//h/",
        "/a",
        "h",
        "http://u@h/",
        "http://u:p@h/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:x",
        "http://h:80x/",
        "http://h:00080",
        "http://h:-1/",
        "http://h/#f",
        "http://h#f",
        "http://h/ a",
        "http://h /a",
        "http://h/%",
        "http://h/%4",
        "http://h/%",
        "http://h/\t",
        "http://h/\xc3",
        "http://[::1",
        "http://[]/",
        "http://[1]",
        "http://[::1]a",
        "http://[::g]/",
        "http://[::1%1]",
        "http://h\\a/",
        "http://h,i",
        "http://h/?\"",
        "http://h/?<",
        "http://h/{a}",
        "https:/h/",
        "http://h:80:80/",
        "http://h/a b?c",
        "http://h/?a b",
        "http://h/\x7f",
    };
    struct url url;

    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        bool is_refused = url_parse(guarded(ROWS[i]), &url) == URL_BAD;

        cr_expect(eq(int, is_refused, strcmp(ROWS[i], "http://h:00080") != 0), "%s", ROWS[i]);
    }
    cr_expect(eq(int, url_parse((struct slice){NULL, 0}, &url), URL_BAD));
}

Test(url, knows_this_machine_by_its_name_and_addresses)
{
    static const struct {
        const char *text;
        bool is_loopback;
    } CASES[] = {{"http://localhost", true},
                 {"https://localhost:8443/x", true},
                 {"http://127.0.0.1:3000", true},
                 {"http://127.255.0.9", true},
                 {"http://[::1]", true},
                 {"http://[::1]:3000/", true},
                 {"http://127.example", false},
                 {"http://127.0.0.1.example", false},
                 {"http://localhost.example", false},
                 {"http://128.0.0.1", false},
                 {"http://127", false},
                 {"http://[::2]", false}};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct url url;

        cr_assert(eq(int, url_parse(guarded(CASES[i].text), &url), URL_OK), "%s", CASES[i].text);
        cr_assert(eq(int, url_is_loopback(&url), CASES[i].is_loopback), "%s", CASES[i].text);
    }
}

static bool origin_is(const char *text, const char *expected)
{
    char buffer[64];
    struct slice origin;
    struct url url;

    return url_parse(guarded(text), &url) == URL_OK &&
           url_origin_write(&url, buffer, sizeof(buffer), &origin) && is_text(origin, expected);
}

Test(url, names_the_origin_in_lower_case_and_with_its_port)
{
    cr_expect(origin_is("HTTPS://API.Example.com/v1?x=1", "https://api.example.com:443"));
    cr_expect(origin_is("http://h:8080", "http://h:8080"));
    cr_expect(origin_is("http://[FE80::1]/", "http://[fe80::1]:80"));
}

Test(url, says_when_an_origin_does_not_fit)
{
    struct slice origin = {"untouched", 9};
    struct url url;
    char buffer[16];

    cr_assert(eq(int, url_parse(guarded("http://abcdef:80/"), &url), URL_OK));
    cr_expect(not(url_origin_write(&url, buffer, 16, &origin)));
    cr_expect(is_text(origin, "untouched"));
    cr_assert(eq(int, url_parse(guarded("http://abcde:80/"), &url), URL_OK));
    cr_expect(url_origin_write(&url, buffer, 16, &origin));
    cr_expect(is_text(origin, "http://abcde:80"));
}

Test(url, decodes_percents_and_only_those)
{
    char buffer[32];
    size_t size;

    cr_assert(
        eq(int, url_decode(guarded("a%20b+c%2F%c3%A9"), buffer, sizeof(buffer), &size), URL_OK));
    cr_expect(is_text((struct slice){buffer, size}, "a b+c/\xc3\xa9"));
    cr_expect(eq(int, url_decode(guarded("%2541"), buffer, sizeof(buffer), &size), URL_OK));
    cr_expect(is_text((struct slice){buffer, size}, "%41"), "decoded once, not twice");
}

Test(url, refuses_nul_and_broken_percents)
{
    static const char *const ROWS[] = {"%", "%4", "%00", "a%", "a%4", "%g0", "%0g", "%%41", "% 1"};
    char buffer[32];
    size_t size = 7;

    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++)
        cr_expect(eq(int, url_decode(guarded(ROWS[i]), buffer, sizeof(buffer), &size), URL_BAD),
                  "%s", ROWS[i]);
    cr_expect(eq(int, url_decode((struct slice){"a\0b", 3}, buffer, 32, &size), URL_BAD));
    cr_expect(eq(sz, size, 7), "a refusal writes no size");
}

Test(url, says_when_the_buffer_is_too_small)
{
    char buffer[3];
    size_t size;

    cr_expect(eq(int, url_decode(guarded("a%62c"), buffer, 3, &size), URL_OK));
    cr_expect(eq(sz, size, 3));
    cr_expect(eq(int, url_decode(guarded("a%62cd"), buffer, 3, &size), URL_TOO_LONG));
}

Test(url, decodes_in_place)
{
    char text[] = "a%41%42c";
    size_t size;

    cr_assert(eq(int, url_decode((struct slice){text, 8}, text, 8, &size), URL_OK));
    cr_expect(is_text((struct slice){text, size}, "aABc"));
}

Test(url, walks_query_parameters)
{
    static const struct {
        const char *key;
        const char *value;
    } WANTED[] = {{"a", "1"}, {"b c", "d e"}, {"f", ""}, {"g", ""}, {"", "h"}, {"i", "j=k"}};
    struct url_query query;
    struct slice key;
    struct slice value;
    char buffer[16];

    url_query_init(&query, guarded("&a=1&&b+c=d%20e&f&g=&=h&i=j=k&"));
    for (size_t i = 0; i < ARRAY_COUNT(WANTED); i++) {
        cr_assert(eq(int, url_query_next(&query, buffer, sizeof(buffer), &key, &value), URL_OK));
        cr_expect(is_text(key, WANTED[i].key), "%zu", i);
        cr_expect(is_text(value, WANTED[i].value), "%zu", i);
    }
    cr_expect(eq(int, url_query_next(&query, buffer, sizeof(buffer), &key, &value), URL_END));
    url_query_init(&query, (struct slice){NULL, 0});
    cr_expect(eq(int, url_query_next(&query, buffer, sizeof(buffer), &key, &value), URL_END));
}

Test(url, moves_on_past_a_bad_parameter)
{
    struct url_query query;
    struct slice key;
    struct slice value;
    char buffer[4];

    url_query_init(&query, guarded("a=%&toolong=1&b=2"));
    cr_expect(eq(int, url_query_next(&query, buffer, sizeof(buffer), &key, &value), URL_BAD));
    cr_expect(eq(int, url_query_next(&query, buffer, sizeof(buffer), &key, &value), URL_TOO_LONG));
    cr_expect(eq(int, url_query_next(&query, buffer, sizeof(buffer), &key, &value), URL_OK));
    cr_expect(is_text(value, "2"));
}

Test(url, reads_a_number_of_a_query_within_its_bounds)
{
    struct slice query =
        guarded("a=7&b=&c=1x&d=-1&e=0000000000007&f=18446744073709551617&g=%zz&a=9");
    uint64_t value = 3;

    cr_expect(url_query_number((struct slice){NULL, 0}, SLICE_LITERAL("a"), 5, 9, &value));
    cr_expect(url_query_number(query, SLICE_LITERAL("z"), 5, 9, &value));
    cr_expect(eq(u64, value, 3)); /* there is none: not looked at */
    cr_expect(not(url_query_number(query, SLICE_LITERAL("a"), 8, 9, &value)));
    cr_expect(not(url_query_number(query, SLICE_LITERAL("a"), 1, 6, &value)));
    cr_expect(not(url_query_number(query, SLICE_LITERAL("b"), 0, 9, &value)));
    cr_expect(not(url_query_number(query, SLICE_LITERAL("c"), 0, 9, &value)));
    cr_expect(not(url_query_number(query, SLICE_LITERAL("d"), 0, 9, &value)));
    cr_expect(not(url_query_number(query, SLICE_LITERAL("f"), 0, UINT32_MAX, &value)));
    cr_expect(not(url_query_number(query, SLICE_LITERAL("g"), 0, 9, &value)));
    cr_expect(eq(u64, value, 3));
    cr_expect(url_query_number(query, SLICE_LITERAL("a"), 7, 7, &value));
    cr_expect(eq(u64, value, 7));
    value = 3;
    cr_expect(url_query_number(query, SLICE_LITERAL("e"), 0, 9, &value));
    cr_expect(eq(u64, value, 7));
}

Test(url, reads_the_text_of_a_query_that_fits)
{
    struct slice query = guarded("a=x%20y&b=&c=%zz&d=12345&a=2");
    char text[4];
    struct slice value;

    cr_expect(
        url_query_text((struct slice){NULL, 0}, SLICE_LITERAL("a"), text, sizeof(text), &value));
    cr_expect(eq(ptr, (void *)value.data, NULL));
    cr_expect(url_query_text(query, SLICE_LITERAL("z"), text, sizeof(text), &value));
    cr_expect(eq(ptr, (void *)value.data, NULL));
    cr_expect(url_query_text(query, SLICE_LITERAL("a"), text, sizeof(text), &value));
    cr_expect(is_text(value, "x y"));
    cr_expect(url_query_text(query, SLICE_LITERAL("b"), text, sizeof(text), &value));
    cr_expect(ne(ptr, (void *)value.data, NULL)); /* there, and empty */
    cr_expect(is_text(value, ""));
    cr_expect(not(url_query_text(query, SLICE_LITERAL("c"), text, sizeof(text), &value)));
    cr_expect(not(url_query_text(query, SLICE_LITERAL("d"), text, sizeof(text), &value)));
}

Test(url, finds_the_first_parameter_of_a_name)
{
    struct slice query = guarded("x=%zz&long=aaaaaaaaaaaaaa&li%6dit=20&limit=30&bad=%0&n%");
    struct slice value;
    char buffer[4];

    cr_expect(eq(int, url_query_find(query, SLICE_LITERAL("limit"), buffer, 4, &value), URL_OK));
    cr_expect(is_text(value, "20"));
    cr_expect(
        eq(int, url_query_find(query, SLICE_LITERAL("long"), buffer, 4, &value), URL_TOO_LONG));
    cr_expect(eq(int, url_query_find(query, SLICE_LITERAL("bad"), buffer, 4, &value), URL_BAD));
    cr_expect(eq(int, url_query_find(query, SLICE_LITERAL("lim"), buffer, 4, &value), URL_END));
    cr_expect(eq(int, url_query_find(query, SLICE_LITERAL("limits"), buffer, 4, &value), URL_END));
}
