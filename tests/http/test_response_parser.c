/* Every row is fed whole, in two pieces and byte by byte, against a guard page. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/response_parser.h"
#include "tests/http/guarded.h"

static struct http_response response;

/* cut is where the first piece ends; beyond size it means byte by byte. */
static enum http_parse_result parse(const char *text, size_t size, size_t cut, bool answers_head,
                                    enum http_parse_error *ret_error)
{
    struct response_parser parser;
    enum http_parse_result result = HTTP_PARSE_NEED_MORE;

    response_parser_init(&parser, REQUEST_HEAD_SIZE_MAX, answers_head);
    if (cut <= size)
        result = response_parser_feed(&parser, guarded_copy(text, cut), cut, &response);
    for (size_t i = cut <= size ? size : 0; i <= size && result == HTTP_PARSE_NEED_MORE; i++)
        result = response_parser_feed(&parser, guarded_copy(text, i), i, &response);
    *ret_error = response_parser_error(&parser);
    return result;
}

static const struct {
    const char *text;
    enum response_body body;
    uint64_t content_length;
    unsigned status;
    bool keep_alive;
    bool answers_head;
} GOOD_ROWS[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", RESPONSE_BODY_LENGTH, 5, 200, true, false},
    {"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", RESPONSE_BODY_LENGTH, 0, 200, true, false},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", RESPONSE_BODY_LENGTH, 0, 200, true, false},
    {"HTTP/1.1 202 A\xff\tb  c\r\n\r\n", RESPONSE_BODY_UNTIL_CLOSE, 0, 202, false, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", RESPONSE_BODY_CHUNKED, 0, 200, true,
     false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
     RESPONSE_BODY_CHUNKED, 0, 200, false, false},
    {"HTTP/1.1 204 No Content\r\n\r\n", RESPONSE_BODY_NONE, 0, 204, true, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", RESPONSE_BODY_NONE, 0, 304, true,
     false},
    {"HTTP/1.1 100 Continue\r\n\r\n", RESPONSE_BODY_NONE, 0, 100, true, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", RESPONSE_BODY_NONE, 0, 200, true, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", RESPONSE_BODY_NONE, 0, 200, true,
     true},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", RESPONSE_BODY_LENGTH, 5, 200, false, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", RESPONSE_BODY_LENGTH,
     5, 200, true, false},
    {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\n",
     RESPONSE_BODY_LENGTH, 1, 503, true, false},
};

Test(response_parser, takes_each_good_response_however_it_is_cut)
{
    for (size_t i = 0; i < ARRAY_COUNT(GOOD_ROWS); i++) {
        const char *text = GOOD_ROWS[i].text;
        size_t size = strlen(text);
        enum http_parse_error error;

        for (size_t cut = 0; cut <= size + 1; cut++) {
            cr_assert(
                eq(int, parse(text, size, cut, GOOD_ROWS[i].answers_head, &error), HTTP_PARSE_DONE),
                "%s at %zu", text, cut);
            cr_expect(eq(u32, response.status, GOOD_ROWS[i].status), "%s", text);
            cr_expect(eq(int, response.body, GOOD_ROWS[i].body), "%s", text);
            cr_expect(eq(u64, response.content_length, GOOD_ROWS[i].content_length), "%s", text);
            cr_expect(eq(int, response.keep_alive, GOOD_ROWS[i].keep_alive), "%s", text);
            cr_expect(eq(sz, response.head_size, size), "%s", text);
        }
        for (size_t shorter = 0; shorter < size; shorter++)
            cr_expect(eq(int, parse(text, shorter, shorter, false, &error), HTTP_PARSE_NEED_MORE),
                      "%s at %zu", text, shorter);
    }
}

Test(response_parser, hands_out_the_fields_that_clients_act_on)
{
    static const char TEXT[] =
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\n";
    enum http_parse_error error;

    cr_assert(eq(int, parse(TEXT, sizeof(TEXT) - 1, 0, false, &error), HTTP_PARSE_DONE));
    cr_expect(slice_equal(response.retry_after, SLICE_LITERAL("7")));
    cr_expect(slice_equal(response.content_type, SLICE_LITERAL("a/b")));
    cr_expect(slice_equal(response.reason, SLICE_LITERAL("Busy")));
}

#define BAD(reason, text)                                                                          \
    {                                                                                              \
        HTTP_ERROR_##reason, (text), sizeof(text) - 1                                              \
    }
#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    enum http_parse_error reason;
    const char *text;
    size_t size;
} BAD_ROWS[] = {
    BAD(BAD_STATUS_LINE, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "http/1.1 200 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1  200 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1 20 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1 2000 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1 200OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1 099 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1 600 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1 -20 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "HTTP/1.1 200 O\0K\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "ICY 200 OK\r\n\r\n"),
    BAD(BAD_STATUS_LINE, "<html>"),
    BAD(UNSUPPORTED_VERSION, "HTTP/2.0 200 OK\r\n\r\n"),
    BAD(BARE_LF, "HTTP/1.1 200 OK\n\r\n"),
    BAD(BARE_CR, "HTTP/1.1 200 OK\rX\r\n\r\n"),
    BAD(LINE_FOLDING, OK "A: b\r\n c\r\n\r\n"),
    BAD(SPACE_BEFORE_COLON, OK "Content-Length : 5\r\n\r\n"),
    BAD(BAD_HEADER_VALUE, OK "A: \0\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, OK "Content-Length: 5, 5\r\n\r\n"),
    BAD(BAD_CONTENT_LENGTH, OK "Content-Length: -1\r\n\r\n"),
    BAD(DUPLICATE_CONTENT_LENGTH, OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    BAD(CONFLICTING_FRAMING, OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(UNSUPPORTED_TRANSFER_ENCODING, OK "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(DUPLICATE_TRANSFER_ENCODING,
        OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(TRANSFER_ENCODING_IN_1_0, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
};

Test(response_parser, refuses_each_bad_response_for_its_reason_however_it_is_cut)
{
    for (size_t i = 0; i < ARRAY_COUNT(BAD_ROWS); i++) {
        enum http_parse_error error;

        for (size_t cut = 0; cut <= BAD_ROWS[i].size; cut++) {
            cr_expect(eq(int, parse(BAD_ROWS[i].text, BAD_ROWS[i].size, cut, false, &error),
                         HTTP_PARSE_BAD),
                      "%s at %zu", BAD_ROWS[i].text, cut);
            cr_expect(eq(int, error, BAD_ROWS[i].reason), "%s at %zu", BAD_ROWS[i].text, cut);
        }
    }
}

Test(response_parser, bounds_head_and_status_line)
{
    static char big[REQUEST_HEAD_SIZE_MAX + 1];
    enum http_parse_error error;

    memset(big, 'v', sizeof(big));
    memcpy(big, "HTTP/1.1 200 ", 13);
    cr_expect(eq(int, parse(big, sizeof(big), sizeof(big), false, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_BAD_STATUS_LINE));
    memcpy(big, OK "A: ", sizeof(OK "A: ") - 1);
    cr_expect(eq(int, parse(big, sizeof(big), sizeof(big), false, &error), HTTP_PARSE_BAD));
    cr_expect(eq(int, error, HTTP_ERROR_HEAD_TOO_LARGE));
}

Test(response_parser, finds_the_final_response_behind_an_interim_one)
{
    static const char TEXT[] = "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 0\r\n\r\n";
    struct response_parser parser;
    size_t at;

    response_parser_init(&parser, REQUEST_HEAD_SIZE_MAX, false);
    cr_assert(
        eq(int, response_parser_feed(&parser, TEXT, sizeof(TEXT) - 1, &response), HTTP_PARSE_DONE));
    cr_expect(eq(u32, response.status, 100));
    at = response.head_size;
    response_parser_init(&parser, REQUEST_HEAD_SIZE_MAX, false);
    cr_assert(eq(int, response_parser_feed(&parser, TEXT + at, sizeof(TEXT) - 1 - at, &response),
                 HTTP_PARSE_DONE));
    cr_expect(eq(u32, response.status, 200));
}
