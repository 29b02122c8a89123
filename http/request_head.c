#include "http/request_head.h"

#include <errno.h>

#include "http/char_class.h"

/*
 *     method target HTTP/1.1
 *     Host: authority as it stands in the URL, without a port that the scheme implies
 *     [User-Agent]  [Accept-Encoding: identity, unless the caller names another]
 *     the caller's fields
 *     [Content-Length]
 *
 * Bare characters that browsers leave in a query are sent as they are.
 */
enum { LENGTH_DIGIT_COUNT_MAX = 20, FIELD_OVERHEAD = 4 };

bool http_method_is_idempotent(enum http_method method)
{
    assert(method > HTTP_METHOD_UNKNOWN);
    assert(method < HTTP_METHOD_COUNT);
    return method != HTTP_METHOD_POST && method != HTTP_METHOD_PATCH;
}

/* True for a field that is not the caller's to set. */
static bool is_ours(struct slice name)
{
    static const struct slice OURS[] = {
        SLICE_INITIALIZER("connection"), SLICE_INITIALIZER("content-length"),
        SLICE_INITIALIZER("expect"),     SLICE_INITIALIZER("host"),
        SLICE_INITIALIZER("keep-alive"), SLICE_INITIALIZER("proxy-connection"),
        SLICE_INITIALIZER("te"),         SLICE_INITIALIZER("trailer"),
        SLICE_INITIALIZER("upgrade"),    SLICE_INITIALIZER("transfer-encoding"),
    };

    for (size_t i = 0; i < ARRAY_COUNT(OURS); i++)
        if (header_text_equal(name, OURS[i]))
            return true;
    return false;
}

static bool has_field(const struct request_head *head, struct slice lower_name)
{
    for (uint32_t i = 0; i < head->header_count; i++)
        if (header_text_equal(head->headers[i].name, lower_name))
            return true;
    return false;
}

int request_head_check(const struct request_head *head)
{
    assert(head->headers != NULL || head->header_count == 0);
    assert(header_value_is_valid(head->user_agent));
    for (uint32_t i = 0; i < head->header_count; i++) {
        const struct header *header = &head->headers[i];

        if (!header_name_is_valid(header->name) || !header_value_is_valid(header->value) ||
            is_ours(header->name))
            return -EINVAL;
    }
    return 0;
}

size_t request_head_size_max(const struct request_head *head)
{
    const struct url *url = head->url;
    size_t size = REQUEST_HEAD_FIXED_SIZE + url->authority.size + url->path.size + url->query.size +
                  head->user_agent.size;

    for (uint32_t i = 0; i < head->header_count; i++)
        size += head->headers[i].name.size + head->headers[i].value.size + FIELD_OVERHEAD;
    return size;
}

static char *append(char *at, struct slice text)
{
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

static char *append_field(char *at, struct slice name, struct slice value)
{
    at = append(at, name);
    at = append(at, SLICE_LITERAL(": "));
    at = append(at, value);
    return append(at, SLICE_LITERAL("\r\n"));
}

/* An address in brackets keeps them; a port that the scheme implies is left out. */
static char *append_host(char *at, const struct url *url)
{
    struct slice host = url->authority;
    uint16_t implied = url->scheme == URL_SCHEME_HTTPS ? 443 : 80;

    if (url->port == implied)
        host.size = url->host.size + (url->host_is_ipv6 ? 2 : 0);
    return append_field(at, SLICE_LITERAL("Host"), host);
}

static char *append_length(char *at, uint64_t length)
{
    char digits[LENGTH_DIGIT_COUNT_MAX];
    size_t start = sizeof(digits);

    do {
        digits[--start] = (char)('0' + length % 10);
        length /= 10;
    } while (length > 0);
    return append_field(at, SLICE_LITERAL("Content-Length"),
                        (struct slice){digits + start, sizeof(digits) - start});
}

static bool has_body(const struct request_head *head)
{
    return head->content_length > 0 || head->method == HTTP_METHOD_POST ||
           head->method == HTTP_METHOD_PUT || head->method == HTTP_METHOD_PATCH;
}

size_t request_head_write(const struct request_head *head, char *buffer)
{
    char *at = append(buffer, http_method_name(head->method));

    assert(head->url->path.size > 0);
    at = append(at, SLICE_LITERAL(" "));
    at = append(at, head->url->path);
    if (head->url->query.data != NULL) {
        at = append(at, SLICE_LITERAL("?"));
        at = append(at, head->url->query);
    }
    at = append(at, SLICE_LITERAL(" HTTP/1.1\r\n"));
    at = append_host(at, head->url);
    if (head->user_agent.size > 0 && !has_field(head, SLICE_LITERAL("user-agent")))
        at = append_field(at, SLICE_LITERAL("User-Agent"), head->user_agent);
    if (!has_field(head, SLICE_LITERAL("accept-encoding")))
        at = append_field(at, SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity"));
    for (uint32_t i = 0; i < head->header_count; i++)
        at = append_field(at, head->headers[i].name, head->headers[i].value);
    if (has_body(head))
        at = append_length(at, head->content_length);
    at = append(at, SLICE_LITERAL("\r\n"));
    assert((size_t)(at - buffer) <= request_head_size_max(head));
    return (size_t)(at - buffer);
}
