/*
 * Every row of the tables is run three ways: whole, cut in two at every place,
 * and byte by byte, always flush against a PROT_NONE page. The verdict, its
 * reason and its size must be the same each time.
 */
#include <signal.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/char_class.h"
#include "http/request_parser.h"
#include "tests/http/guarded.h"

#define H "Host: a\r\n"

static struct http_request request;

static enum http_parse_result feed(struct request_parser *parser, const char *text, size_t size)
{
    return request_parser_feed(parser, guarded_copy(text, size), size, &request);
}

static enum http_parse_result parse_whole(const char *text, size_t size,
                                          enum http_parse_error *ret_error)
{
    struct request_parser parser;
    enum http_parse_result result;

    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    result = feed(&parser, text, size);
    *ret_error = request_parser_error(&parser);
    return result;
}

static enum http_parse_result parse_in_two(const char *text, size_t size, size_t cut,
                                           enum http_parse_error *ret_error)
{
    struct request_parser parser;
    enum http_parse_result result;

    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    result = feed(&parser, text, cut);
    if (result == HTTP_PARSE_NEED_MORE)
        result = feed(&parser, text, size);
    *ret_error = request_parser_error(&parser);
    return result;
}

static enum http_parse_result parse_bytewise(const char *text, size_t size,
                                             enum http_parse_error *ret_error)
{
    struct request_parser parser;
    enum http_parse_result result = HTTP_PARSE_NEED_MORE;

    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    for (size_t i = 0; i <= size && result == HTTP_PARSE_NEED_MORE; i++)
        result = feed(&parser, text, i);
    *ret_error = request_parser_error(&parser);
    return result;
}

/* A good head: the same size however it is cut, and incomplete until its last byte. */
static void expect_good(const char *text, size_t size, size_t head_size)
{
    enum http_parse_error error;

    cr_expect(eq(int, parse_whole(text, size, &error), HTTP_PARSE_DONE), "%s: error %d", text,
              (int)error);
    cr_expect(eq(sz, request.head_size, head_size), "%s", text);
    for (size_t cut = 0; cut < size; cut++) {
        cr_expect(eq(int, parse_in_two(text, size, cut, &error), HTTP_PARSE_DONE), "%s at %zu",
                  text, cut);
        cr_expect(eq(sz, request.head_size, head_size), "%s at %zu", text, cut);
    }
    for (size_t shorter = 0; shorter < head_size; shorter++)
        cr_expect(eq(int, parse_whole(text, shorter, &error), HTTP_PARSE_NEED_MORE), "%s at %zu",
                  text, shorter);
    cr_expect(eq(int, parse_bytewise(text, size, &error), HTTP_PARSE_DONE), "%s", text);
    cr_expect(eq(sz, request.head_size, head_size), "%s", text);
}

static void expect_bad(const char *text, size_t size, enum http_parse_error reason)
{
    enum http_parse_error error;

    cr_expect(eq(int, parse_whole(text, size, &error), HTTP_PARSE_BAD), "%s", text);
    cr_expect(eq(int, error, reason), "%s: got %s", text,
              error != HTTP_ERROR_NONE ? http_parse_error_code(error).data : "none");
    for (size_t cut = 0; cut < size; cut++) {
        cr_expect(eq(int, parse_in_two(text, size, cut, &error), HTTP_PARSE_BAD), "%s at %zu", text,
                  cut);
        cr_expect(eq(int, error, reason), "%s at %zu", text, cut);
    }
}

struct bad_row {
    enum http_parse_error reason;
    const char *text;
    size_t size;
};

#define BAD(reason, text)                                                                          \
    {                                                                                              \
        HTTP_ERROR_##reason, (text), sizeof(text) - 1                                              \
    }
#define LINE "POST /v1/events HTTP/1.1\r\n"

static const struct bad_row BAD_ROWS[] = {
    /* The request line. */
    BAD(BAD_METHOD, " GET / HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_METHOD, "G(T / HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_METHOD, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_METHOD, "\x16\x03\x01\x02\x00\x01"),
    BAD(BAD_METHOD, "\x80GET / HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_METHOD, "GET\0 / HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_METHOD, "{\"a\":1}\r\n"),
    BAD(METHOD_TOO_LONG, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET\r\n\r\n"),
    BAD(BAD_REQUEST_LINE, "GET /\r\n\r\n"),
    BAD(BAD_REQUEST_LINE, "GET  / HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET /  HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP/1.1 \r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / http/1.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP/1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP/1.\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP/1.10\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP/01.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP /1.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / a b HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / XTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP/1,1\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "GET / HTTP/1.1\0\r\n" H "\r\n"),
    BAD(BAD_REQUEST_LINE, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    BAD(UNSUPPORTED_VERSION, "GET / HTTP/2.0\r\n" H "\r\n"),
    BAD(UNSUPPORTED_VERSION, "GET / HTTP/1.2\r\n" H "\r\n"),
    BAD(UNSUPPORTED_VERSION, "GET / HTTP/0.9\r\n" H "\r\n"),
    BAD(UNSUPPORTED_VERSION, "GET / HTTP/9.9\r\n" H "\r\n"),
    BAD(UNSUPPORTED_VERSION, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    /* The target. */
    BAD(BAD_TARGET, "GET a HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET * HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "OPTIONS ** HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "CONNECT a:443 HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET a:443 HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET ?a=1 HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /#f HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /a\tb HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /\0 HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /\x7f HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /a\"b HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /<a> HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /a\\b HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET /{a} HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET http:///a HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET http://u@a/ HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET http://a:99999/ HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_TARGET, "GET http:/a HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_PERCENT_ENCODING, "GET /% HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_PERCENT_ENCODING, "GET /%4 HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_PERCENT_ENCODING, "GET /%4?1 HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_PERCENT_ENCODING, "GET /%zz HTTP/1.1\r\n" H "\r\n"),
    BAD(BAD_PERCENT_ENCODING, "GET /a%%41 HTTP/1.1\r\n" H "\r\n"),
    /* Line ends. */
    BAD(BARE_LF, "\nGET / HTTP/1.1\r\n" H "\r\n"),
    BAD(BARE_LF, "GET\n"),
    BAD(BARE_LF, "GET /\n"),
    BAD(BARE_LF, "GET / HTTP/1.1\n" H "\r\n"),
    BAD(BARE_LF, "GET / H\n"),
    BAD(BARE_LF, LINE "Host: a\n\r\n"),
    BAD(BARE_LF, LINE H "\n"),
    BAD(BARE_LF, LINE H "A\n"),
    BAD(BARE_LF, LINE H "A: b\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(BARE_CR, "\rGET / HTTP/1.1\r\n" H "\r\n"),
    BAD(BARE_CR, "GET / HTTP/1.1\r" H "\r\n"),
    BAD(BARE_CR, LINE H "A: b\rTransfer-Encoding: chunked\r\n\r\n"),
    BAD(BARE_CR, LINE H "A: b\r\r\n\r\n"),
    BAD(BARE_CR, LINE H "\rA: b\r\n\r\n"),
    BAD(BAD_REQUEST_LINE, "GET /\r HTTP/1.1\r\n" H "\r\n"),
    /* Names. */
    BAD(EMPTY_HEADER_NAME, LINE H ": b\r\n\r\n"),
    BAD(SPACE_BEFORE_COLON, LINE H "A : b\r\n\r\n"),
    BAD(SPACE_BEFORE_COLON, LINE H "A\t: b\r\n\r\n"),
    BAD(SPACE_BEFORE_COLON, LINE H "Transfer-Encoding : chunked\r\n\r\n"),
    BAD(SPACE_BEFORE_COLON, LINE H "Content-Length : 5\r\n\r\n"),
    BAD(SPACE_BEFORE_COLON, LINE H "A B: c\r\n\r\n"),
    BAD(LINE_FOLDING, LINE " Host: a\r\n\r\n"),
    BAD(LINE_FOLDING, LINE H "A: b\r\n c\r\n\r\n"),
    BAD(LINE_FOLDING, LINE H "A: b\r\n\tc: d\r\n\r\n"),
    BAD(LINE_FOLDING, LINE H "Transfer-Encoding:\r\n chunked\r\n\r\n"),
    BAD(LINE_FOLDING, LINE H " \r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "A\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "(A): b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "A\0: b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "\0A: b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "A\x80: b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "A\x7f: b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "\"A\": b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "A/B: b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "A@B: b\r\n\r\n"),
    BAD(BAD_HEADER_NAME, LINE H "Content_Length_as_long_as_it_gets[: 5\r\n\r\n"),
    /* Values. */
    BAD(BAD_HEADER_VALUE, LINE H "A: b\0c\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "A: \0\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "A: b\x01\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "A: b\x0b\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "A: b\x0c\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "A: b\x1f\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "A: b\x7f\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "A: 0123456789abcdef0123456789abcdef\x08 tail\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, LINE H "Transfer-Encoding: \x0b"
                                 "chunked\r\n\r\n"),
    /* Content-Length. */
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length:\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: \t \r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: +5\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: -5\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 5 5\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 5,5\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 5, 5\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 0x5\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 5.0\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 5e1\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: five\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 9223372036854775808\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 18446744073709551616\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 18446744073709551621\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: 00000000000000000005\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, LINE H "Content-Length: \"5\"\r\n\r\n"),
    BAD(DUPLICATE_CONTENT_LENGTH, LINE H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    BAD(DUPLICATE_CONTENT_LENGTH, LINE H "Content-Length: 5\r\ncontent-length: 6\r\n\r\n"),
    /* Transfer-Encoding. */
    BAD(CONFLICTING_FRAMING, LINE H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(CONFLICTING_FRAMING, LINE H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    BAD(CONFLICTING_FRAMING, LINE H "transfer-encoding: x\r\ncontent-length: 0\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: chunked, gzip\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: identity\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: xchunked\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: ,chunked\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding:\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, LINE H "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    BAD(DUPLICATE_TRANSFER_ENCODING,
        LINE H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(DUPLICATE_TRANSFER_ENCODING,
        LINE H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
    BAD(TRANSFER_ENCODING_IN_1_0, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    /* Host. */
    BAD(MISSING_HOST, LINE "\r\n"),
    BAD(MISSING_HOST, LINE "Hos: a\r\nHostt: b\r\n\r\n"),
    BAD(MISSING_HOST, "GET http://a/ HTTP/1.1\r\n\r\n"),
    BAD(DUPLICATE_HOST, LINE H H "\r\n"),
    BAD(DUPLICATE_HOST, LINE H "hOST: b\r\n\r\n"),
    BAD(DUPLICATE_HOST, "GET / HTTP/1.0\r\n" H H "\r\n"),
    BAD(BAD_HOST, LINE "Host:\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: a b\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: a,b\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: a/b\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: u@a\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: a:b\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: a:65536\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: a:80:80\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: :80\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: [::1\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: []\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: [::1]x\r\n\r\n"),
    BAD(BAD_HOST, LINE "Host: \xc3\xa9\r\n\r\n"),
    BAD(BAD_HOST, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
    BAD(BAD_HOST, "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"),
    /* Fields with one value, and the expectation. */
    BAD(DUPLICATE_HEADER, LINE H "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n"),
    BAD(DUPLICATE_HEADER, LINE H "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n"),
    BAD(DUPLICATE_HEADER, LINE H "X-API-Key: a\r\nx-api-key: b\r\n\r\n"),
    BAD(DUPLICATE_HEADER, LINE H "Authorization: a\r\nAuthorization: b\r\n\r\n"),
    BAD(DUPLICATE_HEADER, LINE H "Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n"),
    BAD(DUPLICATE_HEADER, LINE H "X-Correlation-Id: a\r\nX-Correlation-Id:\r\n\r\n"),
    BAD(DUPLICATE_HEADER, LINE H "traceparent:\r\ntraceparent: a\r\n\r\n"),
    BAD(UNKNOWN_EXPECTATION, LINE H "Expect: 200-ok\r\n\r\n"),
    BAD(UNKNOWN_EXPECTATION, LINE H "Expect:\r\n\r\n"),
};

static_assert(ARRAY_COUNT(BAD_ROWS) >= 100, "the table of refused requests is the point");

TestSuite(request_parser, .timeout = 60);

Test(request_parser, refuses_each_bad_request_for_its_reason_however_it_is_cut)
{
    for (size_t i = 0; i < ARRAY_COUNT(BAD_ROWS); i++)
        expect_bad(BAD_ROWS[i].text, BAD_ROWS[i].size, BAD_ROWS[i].reason);
}

struct good_row {
    const char *text;
    size_t rest_size; /* bytes after the head */
};

static const struct good_row GOOD_ROWS[] = {
    {"GET / HTTP/1.1\r\n" H "\r\n", 0},
    {"GET / HTTP/1.1\r\nHost:a\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost:\t a \t\r\n\r\n", 0},
    {"\r\nGET / HTTP/1.1\r\n" H "\r\n", 0},
    {"GET / HTTP/1.0\r\n\r\n", 0},
    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", 0},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", 0},
    {"BREW /pot HTTP/1.1\r\n" H "\r\n", 0},
    {"get / HTTP/1.1\r\n" H "\r\n", 0},
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" H "\r\n", 0},
    {"GET http://example.org:8080/a?b HTTP/1.1\r\n" H "\r\n", 0},
    {"GET HTTPS://example.org HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /a/b;c=d:e@f!$&'()*+,-._~%20%7e HTTP/1.1\r\n" H "\r\n", 0},
    {"GET /?a[]={b}|c&d=%&e=\\^` HTTP/1.1\r\n" H "\r\n", 0},
    {"GET //a//b?? HTTP/1.1\r\n" H "\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: 127.0.0.1:\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\n" H "X:\r\nY: \r\nZ: a\tb  c\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\n" H "X: caf\xc3\xa9 \xff\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~09azAZ: every token character\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 007\r\n\r\n0123456", 7},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 5},
    {"POST / HTTP/1.0\r\nExpect: whatever\r\nContent-Length: 1\r\n\r\nx", 1},
    {"GET / HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n" H "\r\n", 27},
    {"GET / HTTP/1.1\r\n" H "\r\n\n\r\0garbage that is not ours to judge", 2},
};

Test(request_parser, takes_each_good_request_however_it_is_cut)
{
    for (size_t i = 0; i < ARRAY_COUNT(GOOD_ROWS); i++) {
        size_t size = strlen(GOOD_ROWS[i].text);

        expect_good(GOOD_ROWS[i].text, size, size - GOOD_ROWS[i].rest_size);
    }
}

static void parse_good(const char *text)
{
    enum http_parse_error error;

    cr_assert(eq(int, parse_whole(text, strlen(text), &error), HTTP_PARSE_DONE));
}

static bool is_text(struct slice slice, const char *text)
{
    return slice.data != NULL && slice_equal(slice, slice_of(text));
}

Test(request_parser, hands_out_every_part_of_a_typical_request)
{
    parse_good("POST /v1/events?partial=true HTTP/1.1\r\n"
               "host: weir.example:3000\r\n"
               "USER-AGENT: test\r\n"
               "Content-type: application/json; charset=utf-8\r\n"
               "content-ENCODING: gzip\r\n"
               "X-Api-Key: dev-api-key-12345\r\n"
               "AUTHORIZATION: Bearer abc\r\n"
               "idempotency-key: k-1\r\n"
               "X-Correlation-ID: c-1\r\n"
               "Traceparent: 00-1-2-01\r\n"
               "Expect: 100-Continue\r\n"
               "Content-Length: 42\r\n\r\n");
    cr_expect(eq(int, request.method, HTTP_METHOD_POST));
    cr_expect(eq(int, request.version, HTTP_VERSION_1_1));
    cr_expect(is_text(request.method_name, "POST"));
    cr_expect(is_text(request.target, "/v1/events?partial=true"));
    cr_expect(is_text(request.path, "/v1/events"));
    cr_expect(is_text(request.query, "partial=true"));
    cr_expect(is_text(request.host, "weir.example:3000"));
    cr_expect(is_text(request.content_type, "application/json; charset=utf-8"));
    cr_expect(is_text(request.content_encoding, "gzip"));
    cr_expect(is_text(request.api_key, "dev-api-key-12345"));
    cr_expect(is_text(request.authorization, "Bearer abc"));
    cr_expect(is_text(request.idempotency_key, "k-1"));
    cr_expect(is_text(request.correlation_id, "c-1"));
    cr_expect(is_text(request.traceparent, "00-1-2-01"));
    cr_expect(request.has_content_length);
    cr_expect(eq(u64, request.content_length, 42));
    cr_expect(not(request.is_chunked));
    cr_expect(request.expects_continue);
    cr_expect(request.keep_alive);
    cr_expect(eq(u32, request.headers.count, 11));
    cr_expect(is_text(headers_value(&request.headers, SLICE_LITERAL("user-agent")), "test"));
}

Test(request_parser, tells_absent_from_empty)
{
    parse_good("GET /? HTTP/1.1\r\n" H "X-Api-Key:\r\n\r\n");
    cr_expect(ne(ptr, (void *)request.query.data, NULL));
    cr_expect(eq(sz, request.query.size, 0));
    cr_expect(ne(ptr, (void *)request.api_key.data, NULL));
    cr_expect(eq(sz, request.api_key.size, 0));
    cr_expect(eq(ptr, (void *)request.authorization.data, NULL));
    cr_expect(not(request.has_content_length));
    parse_good("GET / HTTP/1.1\r\n" H "\r\n");
    cr_expect(eq(ptr, (void *)request.query.data, NULL));
    cr_expect(eq(ptr, (void *)request.api_key.data, NULL));
}

Test(request_parser, knows_its_methods_and_leaves_the_rest_to_the_router)
{
    static const char *const NAMES[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    static const char *const OTHERS[] = {"get", "TRACE", "PURGE", "GETT", "GE", "M-SEARCH"};
    char text[64];

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" H "\r\n", NAMES[i]);
        parse_good(text);
        cr_expect(is_text(http_method_name(request.method), NAMES[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(OTHERS); i++) {
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" H "\r\n", OTHERS[i]);
        parse_good(text);
        cr_expect(eq(int, request.method, HTTP_METHOD_UNKNOWN));
        cr_expect(is_text(request.method_name, OTHERS[i]));
    }
}

Test(request_parser, takes_the_host_of_an_absolute_target)
{
    parse_good("GET http://x.example:81/p?q HTTP/1.1\r\nHost: y\r\n\r\n");
    cr_expect(is_text(request.host, "x.example:81"));
    cr_expect(is_text(request.path, "/p"));
    cr_expect(is_text(request.query, "q"));
    parse_good("GET http://x.example HTTP/1.1\r\nHost: y\r\n\r\n");
    cr_expect(is_text(request.path, "/"));
    parse_good("OPTIONS * HTTP/1.1\r\nHost: y\r\n\r\n");
    cr_expect(is_text(request.path, "*"));
}

Test(request_parser, decides_persistence_from_version_and_connection)
{
    static const struct {
        const char *version;
        const char *connection;
        bool keep_alive;
    } ROWS[] = {
        {"1.1", "", true},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "Connection: Upgrade, CLOSE\r\n", false},
        {"1.1", "Connection: keep-alive\r\nconnection: close\r\n", false},
        {"1.1", "Connection: keep-alive, close\r\n", false},
        {"1.1", "Connection: closed\r\n", true},
        {"1.1", "Connection: close x\r\n", true},
        {"1.1", "Connection:\r\n", true},
        {"1.0", "", false},
        {"1.0", "Connection: Keep-Alive\r\n", true},
        {"1.0", "Connection: x , ,keep-alive\r\n", true},
        {"1.0", "Connection: keep-alive, close\r\n", false},
    };
    char text[128];

    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        snprintf(text, sizeof(text), "GET / HTTP/%s\r\n" H "%s\r\n", ROWS[i].version,
                 ROWS[i].connection);
        parse_good(text);
        cr_expect(eq(int, request.keep_alive, ROWS[i].keep_alive), "%s", text);
    }
}

Test(request_parser, ignores_an_expectation_of_http_1_0)
{
    parse_good("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    cr_expect(not(request.expects_continue));
}

Test(request_parser, walks_pipelined_requests)
{
    static const char TEXT[] = "GET /1 HTTP/1.1\r\n" H "\r\n"
                               "POST /2 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
                               "GET /3 HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
    static const char *const PATHS[] = {"/1", "/2", "/3"};
    const char *at = guarded_copy(TEXT, sizeof(TEXT) - 1);
    const char *end = at + sizeof(TEXT) - 1;
    struct request_parser parser;

    for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++) {
        request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
        cr_assert(eq(int, request_parser_feed(&parser, at, (size_t)(end - at), &request),
                     HTTP_PARSE_DONE));
        cr_expect(is_text(request.path, PATHS[i]));
        at += request.head_size + request.content_length;
    }
    cr_expect(eq(ptr, (void *)at, (void *)end));
}

/* A buffer that the limit tests fill. */
static char big[GUARDED_SIZE_MAX];

/* "GET /aaa... HTTP/1.1" of exactly that many bytes, and Host. */
static size_t build_line(size_t line_size)
{
    static const char TAIL[] = " HTTP/1.1\r\n" H "\r\n";
    size_t tail_on_line = strlen(" HTTP/1.1");

    memset(big, 'a', line_size);
    memcpy(big, "GET /", 5);
    memcpy(big + line_size - tail_on_line, TAIL, sizeof(TAIL) - 1);
    return line_size - tail_on_line + sizeof(TAIL) - 1;
}

Test(request_parser, takes_a_request_line_of_the_limit_and_refuses_one_byte_more)
{
    enum http_parse_error error;
    size_t size = build_line(REQUEST_LINE_SIZE_MAX);

    cr_expect(eq(int, parse_whole(big, size, &error), HTTP_PARSE_DONE));
    cr_expect(eq(int, parse_bytewise(big, size, &error), HTTP_PARSE_DONE));
    size = build_line(REQUEST_LINE_SIZE_MAX + 1);
    cr_expect(eq(int, parse_whole(big, size, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_REQUEST_LINE_TOO_LONG));
    cr_expect(eq(int, parse_bytewise(big, size, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_REQUEST_LINE_TOO_LONG));
}

Test(request_parser, refuses_an_endless_request_line_as_soon_as_it_is_over)
{
    struct request_parser parser;
    enum http_parse_result result = HTTP_PARSE_NEED_MORE;
    size_t size = 0;

    memset(big, 'a', 10000);
    memcpy(big, "GET /", 5);
    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    while (result == HTTP_PARSE_NEED_MORE)
        result = request_parser_feed(&parser, big, size++, &request);
    cr_expect(eq(int, request_parser_error(&parser), HTTP_ERROR_REQUEST_LINE_TOO_LONG));
    cr_expect(eq(sz, size - 1, REQUEST_LINE_SIZE_MAX + 2));
}

/* A head of exactly that many bytes, padded with one long value. */
static size_t build_head(size_t head_size)
{
    static const char START[] = "GET / HTTP/1.1\r\n" H "X: ";

    memset(big, 'v', head_size);
    memcpy(big, START, sizeof(START) - 1);
    memcpy(big + head_size - 4, "\r\n\r\n", 4);
    return head_size;
}

Test(request_parser, takes_a_head_of_the_limit_and_refuses_one_byte_more)
{
    enum http_parse_error error;
    size_t size = build_head(REQUEST_HEAD_SIZE_MAX);

    cr_expect(eq(int, parse_whole(big, size, &error), HTTP_PARSE_DONE));
    cr_expect(eq(int, parse_bytewise(big, size, &error), HTTP_PARSE_DONE));
    size = build_head(REQUEST_HEAD_SIZE_MAX + 1);
    cr_expect(eq(int, parse_whole(big, size, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_HEAD_TOO_LARGE));
    cr_expect(eq(int, parse_bytewise(big, size, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_HEAD_TOO_LARGE));
}

Test(request_parser, never_looks_beyond_the_head_limit)
{
    struct request_parser parser;
    size_t size = build_head(REQUEST_HEAD_SIZE_MIN);

    memset(big + size, '\0', 1000);
    request_parser_init(&parser, REQUEST_HEAD_SIZE_MIN);
    cr_expect(eq(int, request_parser_feed(&parser, big, size + 1000, &request), HTTP_PARSE_DONE));
    size = build_head(REQUEST_HEAD_SIZE_MIN + 1);
    request_parser_init(&parser, REQUEST_HEAD_SIZE_MIN);
    cr_expect(eq(int, request_parser_feed(&parser, big, size, &request), HTTP_PARSE_BAD));
    cr_expect(eq(int, request_parser_error(&parser), HTTP_ERROR_HEAD_TOO_LARGE));
    size = build_line(REQUEST_HEAD_SIZE_MIN + 1);
    request_parser_init(&parser, REQUEST_HEAD_SIZE_MIN);
    cr_expect(eq(int, request_parser_feed(&parser, big, size, &request), HTTP_PARSE_BAD));
    cr_expect(eq(int, request_parser_error(&parser), HTTP_ERROR_REQUEST_LINE_TOO_LONG));
}

Test(request_parser, takes_as_many_headers_as_the_limit_and_refuses_one_more)
{
    enum http_parse_error error;
    size_t size = (size_t)snprintf(big, sizeof(big), "GET / HTTP/1.1\r\n" H);

    for (size_t i = 1; i < HEADER_COUNT_MAX; i++)
        size += (size_t)snprintf(big + size, sizeof(big) - size, "x-%zu: %zu\r\n", i, i);
    memcpy(big + size, "\r\n", 2);
    cr_expect(eq(int, parse_whole(big, size + 2, &error), HTTP_PARSE_DONE));
    cr_expect(eq(u32, request.headers.count, HEADER_COUNT_MAX));
    memcpy(big + size, "y: 1\r\n\r\n", 8);
    cr_expect(eq(int, parse_whole(big, size + 8, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_TOO_MANY_HEADERS));
    cr_expect(eq(int, parse_bytewise(big, size + 8, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_TOO_MANY_HEADERS));
}

Test(request_parser, refuses_a_bad_line_long_before_the_head_is_complete)
{
    static const char START[] = "GET / HTTP/1.1\r\nbad line\r\n";
    struct request_parser parser;
    enum http_parse_result result = HTTP_PARSE_NEED_MORE;
    size_t size = 0;

    memset(big, 'v', 4096);
    memcpy(big, START, sizeof(START) - 1);
    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    while (result == HTTP_PARSE_NEED_MORE)
        result = request_parser_feed(&parser, big, size++, &request);
    cr_expect(eq(int, request_parser_error(&parser), HTTP_ERROR_SPACE_BEFORE_COLON));
    cr_expect(le(sz, size, 2 * sizeof(START)));
}

/* Full passes are counted through what they leave behind in the request. */
Test(request_parser, parses_a_dripping_head_in_full_only_a_few_times)
{
    struct request_parser parser;
    size_t size = build_head(REQUEST_HEAD_SIZE_MAX);
    enum http_parse_result result = HTTP_PARSE_NEED_MORE;
    size_t pass_count = 0;

    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    for (size_t i = 1; i <= size && result == HTTP_PARSE_NEED_MORE; i++) {
        request.head_size = SIZE_MAX;
        result = request_parser_feed(&parser, big, i, &request);
        pass_count += request.head_size != SIZE_MAX;
    }
    cr_expect(eq(int, result, HTTP_PARSE_DONE));
    cr_expect(le(sz, pass_count, 20));
}

Test(request_parser, goes_on_when_the_buffer_has_moved)
{
    static const char TEXT[] = "GET /moved HTTP/1.1\r\n" H "\r\n";
    struct request_parser parser;
    char copy[sizeof(TEXT)];

    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    cr_assert(eq(int, feed(&parser, TEXT, 20), HTTP_PARSE_NEED_MORE));
    memcpy(copy, TEXT, sizeof(TEXT));
    cr_assert(
        eq(int, request_parser_feed(&parser, copy, sizeof(TEXT) - 1, &request), HTTP_PARSE_DONE));
    cr_expect(eq(ptr, (void *)request.path.data, copy + 4));
}

Test(request_parser, finds_a_bad_byte_at_every_place_of_name_and_value)
{
    char text[128];
    enum http_parse_error error;

    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 40; at++) {
            int start = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H);
            bool is_good;

            memset(text + start, 'n', 40);
            text[start + (int)at] = (char)c;
            memcpy(text + start + 40, ": v\r\n\r\n", 7);
            is_good = char_is((char)c, CHAR_TOKEN) || (c == ':' && at > 0);
            cr_expect(
                eq(int, parse_whole(text, (size_t)start + 47, &error) == HTTP_PARSE_DONE, is_good),
                "name byte %d at %zu", c, at);

            memcpy(text + start, "n: ", 3);
            memset(text + start + 3, 'v', 40);
            text[start + 3 + (int)at] = (char)c;
            memcpy(text + start + 43, "\r\n\r\n", 4);
            is_good = char_is((char)c, CHAR_FIELD_VALUE);
            cr_expect(
                eq(int, parse_whole(text, (size_t)start + 47, &error) == HTTP_PARSE_DONE, is_good),
                "value byte %d at %zu", c, at);
        }
    }
}

Test(request_parser, has_a_status_a_code_and_a_text_for_each_error)
{
    for (int i = HTTP_ERROR_NONE + 1; i < HTTP_ERROR_COUNT; i++) {
        unsigned status = http_parse_error_status((enum http_parse_error)i);
        struct slice code = http_parse_error_code((enum http_parse_error)i);

        cr_expect(status == 400 || status == 413 || status == 414 || status == 417 ||
                  status == 431 || status == 501 || status == 502 || status == 505);
        cr_expect(lt(sz, 0, code.size));
        cr_expect(lt(sz, 0, http_parse_error_text((enum http_parse_error)i).size));
        for (size_t c = 0; c < code.size; c++)
            cr_expect(code.data[c] == '_' || char_is_digit(code.data[c]) ||
                      (code.data[c] >= 'a' && code.data[c] <= 'z'));
        for (int j = HTTP_ERROR_NONE + 1; j < i; j++)
            cr_expect(not(slice_equal(code, http_parse_error_code((enum http_parse_error)j))));
    }
}

Test(request_parser, aborts_when_fed_after_a_refusal, .signal = SIGABRT)
{
    struct request_parser parser;
    enum http_parse_result result;

    request_parser_init(&parser, REQUEST_HEAD_SIZE_MAX);
    result = feed(&parser, "\n", 1);
    cr_assert(eq(int, result, HTTP_PARSE_BAD));
    result = feed(&parser, "\n\n", 2);
    cr_assert(eq(int, result, HTTP_PARSE_BAD));
}
