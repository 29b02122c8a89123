#include "http/request_head.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

static struct url url_of(const char *text)
{
    struct url url;

    cr_assert(eq(int, url_parse(slice_of(text), &url), URL_OK), "%s", text);
    return url;
}

/* Writes into memory of exactly the promised size, so that a sanitizer sees a byte too much. */
static void assert_head(const struct request_head *head, const char *expected)
{
    size_t size_max = request_head_size_max(head);
    char *buffer = malloc(size_max);
    size_t size;

    cr_assert(eq(int, request_head_check(head), 0));
    size = request_head_write(head, buffer);
    cr_assert(le(sz, size, size_max));
    cr_assert(slice_equal(((struct slice){buffer, size}), slice_of(expected)), "%.*s", (int)size,
              buffer);
    free(buffer);
}

Test(request_head, asks_for_the_path_and_the_query_as_they_stand_in_the_url)
{
    struct url url = url_of("http://example.com/a%20b/c?x=[1]&y");
    struct request_head head = {.method = HTTP_METHOD_GET, .url = &url};

    assert_head(&head, "GET /a%20b/c?x=[1]&y HTTP/1.1\r\nHost: example.com\r\n"
                       "Accept-Encoding: identity\r\n\r\n");
}

Test(request_head, names_a_port_only_when_the_scheme_does_not_imply_it)
{
    struct url url = url_of("http://example.com:80");
    struct request_head head = {.method = HTTP_METHOD_GET, .url = &url};

    assert_head(&head, "GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: identity\r\n\r\n");
    url = url_of("https://example.com:80");
    assert_head(&head,
                "GET / HTTP/1.1\r\nHost: example.com:80\r\nAccept-Encoding: identity\r\n\r\n");
    url = url_of("https://[2001:db8::1]:443/");
    assert_head(&head,
                "GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\nAccept-Encoding: identity\r\n\r\n");
    url = url_of("http://[2001:db8::1]:443/");
    assert_head(&head,
                "GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\nAccept-Encoding: identity\r\n\r\n");
    url = url_of("http://example.com:?");
    assert_head(&head, "GET /? HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: identity\r\n\r\n");
}

Test(request_head, tells_the_length_of_a_body_and_of_one_that_is_missing)
{
    struct url url = url_of("http://h/");
    struct request_head head = {
        .method = HTTP_METHOD_POST, .url = &url, .content_length = UINT64_MAX};

    assert_head(&head, "POST / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\n"
                       "Content-Length: 18446744073709551615\r\n\r\n");
    head.content_length = 0;
    assert_head(&head, "POST / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\n"
                       "Content-Length: 0\r\n\r\n");
    head.method = HTTP_METHOD_DELETE;
    assert_head(&head, "DELETE / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\n\r\n");
    head.content_length = 5;
    assert_head(&head, "DELETE / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\n"
                       "Content-Length: 5\r\n\r\n");
}

Test(request_head, lets_the_caller_choose_agent_and_encodings)
{
    const struct header headers[] = {{SLICE_LITERAL("USER-AGENT"), SLICE_LITERAL("mine")},
                                     {SLICE_LITERAL("accept-encoding"), SLICE_LITERAL("gzip")},
                                     {SLICE_LITERAL("X-Empty"), {NULL, 0}}};
    struct url url = url_of("http://h/");
    struct request_head head = {
        .method = HTTP_METHOD_HEAD, .url = &url, .user_agent = SLICE_LITERAL("weir/1")};

    assert_head(&head, "HEAD / HTTP/1.1\r\nHost: h\r\nUser-Agent: weir/1\r\n"
                       "Accept-Encoding: identity\r\n\r\n");
    head.headers = headers;
    head.header_count = 3;
    assert_head(&head, "HEAD / HTTP/1.1\r\nHost: h\r\nUSER-AGENT: mine\r\n"
                       "accept-encoding: gzip\r\nX-Empty: \r\n\r\n");
}

Test(request_head, refuses_fields_that_would_break_the_message_or_its_framing)
{
    static const struct header BAD[] = {
        {SLICE_INITIALIZER(""), SLICE_INITIALIZER("a")},
        {SLICE_INITIALIZER("a b"), SLICE_INITIALIZER("c")},
        {SLICE_INITIALIZER("a:"), SLICE_INITIALIZER("c")},
        {SLICE_INITIALIZER("a"), SLICE_INITIALIZER("b\r\nHost: c")},
        {SLICE_INITIALIZER("a"), SLICE_INITIALIZER("b\nc")},
        {SLICE_INITIALIZER("a"), SLICE_INITIALIZER("b\0c")},
        {SLICE_INITIALIZER("Host"), SLICE_INITIALIZER("other")},
        {SLICE_INITIALIZER("content-length"), SLICE_INITIALIZER("1")},
        {SLICE_INITIALIZER("Transfer-Encoding"), SLICE_INITIALIZER("chunked")},
        {SLICE_INITIALIZER("CONNECTION"), SLICE_INITIALIZER("close")},
        {SLICE_INITIALIZER("Expect"), SLICE_INITIALIZER("100-continue")},
        {SLICE_INITIALIZER("Upgrade"), SLICE_INITIALIZER("websocket")},
        {SLICE_INITIALIZER("Keep-Alive"), SLICE_INITIALIZER("1")},
        {SLICE_INITIALIZER("Proxy-Connection"), SLICE_INITIALIZER("close")},
        {SLICE_INITIALIZER("TE"), SLICE_INITIALIZER("trailers")},
        {SLICE_INITIALIZER("Trailer"), SLICE_INITIALIZER("x")},
    };
    struct url url = url_of("http://h/");

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        struct request_head head = {
            .method = HTTP_METHOD_GET, .url = &url, .headers = &BAD[i], .header_count = 1};

        cr_assert(eq(int, request_head_check(&head), -EINVAL), "row %zu", i);
    }
}

Test(request_head, knows_which_methods_may_be_repeated)
{
    cr_assert(http_method_is_idempotent(HTTP_METHOD_GET));
    cr_assert(http_method_is_idempotent(HTTP_METHOD_HEAD));
    cr_assert(http_method_is_idempotent(HTTP_METHOD_PUT));
    cr_assert(http_method_is_idempotent(HTTP_METHOD_DELETE));
    cr_assert(http_method_is_idempotent(HTTP_METHOD_OPTIONS));
    cr_assert(not(http_method_is_idempotent(HTTP_METHOD_POST)));
    cr_assert(not(http_method_is_idempotent(HTTP_METHOD_PATCH)));
}
