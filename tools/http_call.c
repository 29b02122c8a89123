/*
 * HTTP call: the blocking client of the tools, made of the server's own parsers.
 *
 * A call is: connect if there is no connection, write the request, read until the
 * head is complete, read the body by its framing. Everything received stays in one
 * buffer that grows: the head first, then the raw body; a chunked body is moved
 * together in place. Below are call_socket.h, with its deadline, and for https
 * call_tls.h.
 *
 * A kept connection may have been closed by the server while it was idle. That shows
 * as an error before the first byte of an answer; only then the request is sent once
 * more on a new connection.
 */
#include "tools/http_call.h"

#include <errno.h>

#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "http/chunked.h"
#include "http/response_parser.h"
#include "tools/call_tls.h"

enum {
    URL_SIZE_MAX = 1024,
    HEAD_OUT_SIZE = 4096,
    READ_SIZE = 64 * 1024, /* room that is made before each read */
    INTERIM_COUNT_MAX = 8, /* 1xx answers before the final one */
};

struct http_call {
    char text[URL_SIZE_MAX];
    struct url url; /* borrows text */
    size_t prefix_size;
    struct call_socket socket;
    struct call_tls *tls; /* NULL: plain HTTP */
    char *data;           /* what has been received of the present answer */
    size_t size;
    size_t capacity;
};

static void check(const struct http_call *call)
{
    assert(call->socket.fd >= -1);
    assert(call->size <= call->capacity);
    assert(call->tls == NULL || call->url.scheme == URL_SCHEME_HTTPS);
}

int http_call_new(const char *url, uint64_t timeout_ms, struct http_call **ret_call)
{
    size_t size = strlen(url);
    struct http_call *call;
    int r = -EINVAL;

    assert(timeout_ms > 0);
    if (size >= URL_SIZE_MAX)
        return -EINVAL;
    call = calloc(1, sizeof(*call));
    if (call == NULL)
        return -ENOMEM;
    memcpy(call->text, url, size + 1);
    call_socket_init(&call->socket, timeout_ms);
    if (url_parse(slice_of(call->text), &call->url) == URL_OK && call->url.query.data == NULL)
        r = 0;
    if (r < 0) {
        http_call_free(&call);
        return r;
    }
    call->prefix_size = call->url.path.size;
    while (call->prefix_size > 0 && call->url.path.data[call->prefix_size - 1] == '/')
        call->prefix_size--;
    check(call);
    *ret_call = call;
    return 0;
}

int http_call_trust(struct http_call *call, const char *ca_path, char *text, size_t size)
{
    check(call);
    assert(call->tls == NULL);
    return call->url.scheme == URL_SCHEME_HTTPS ? call_tls_new(ca_path, &call->tls, text, size) : 0;
}

static void hang_up(struct http_call *call)
{
    call_socket_hang_up(&call->socket);
}

void http_call_free(struct http_call **call)
{
    if (*call == NULL)
        return;
    hang_up(*call);
    call_tls_free(&(*call)->tls);
    free((*call)->data);
    free(*call);
    *call = NULL;
}

bool http_call_is_loopback(const struct http_call *call)
{
    return url_is_loopback(&call->url);
}

/* --- connection ------------------------------------------------------------ */

/* Connects, and makes the handshake of https. 0 or -errno. */
static int dial(struct http_call *call)
{
    char host[URL_SIZE_MAX];
    int r;

    snprintf(host, sizeof(host), "%.*s", (int)call->url.host.size, call->url.host.data);
    r = call_socket_dial(&call->socket, host, call->url.port);
    if (r == 0 && call->tls != NULL) {
        call_socket_start_deadline(&call->socket);
        r = call_tls_begin(call->tls, &call->socket, call->url.host);
        if (r < 0)
            hang_up(call);
    }
    return r;
}

/* Writes head and body to the end. */
static int write_all(struct http_call *call, struct slice head, struct slice body)
{
    int r;

    if (call->tls == NULL)
        return call_socket_send(&call->socket, head, body);
    r = call_tls_send(call->tls, &call->socket, head);
    return r == 0 ? call_tls_send(call->tls, &call->socket, body) : r;
}

/* Receives some more behind what is there. The count, 0 at the end of the stream, or -errno. */
static ssize_t read_more(struct http_call *call)
{
    char *data;
    ssize_t n;

    if (call->capacity - call->size < READ_SIZE) {
        size_t capacity = call->capacity * 2 + READ_SIZE;

        if (call->size > (size_t)HTTP_CALL_BODY_SIZE_MAX + HTTP_CALL_HEAD_SIZE_MAX)
            return -EMSGSIZE;
        data = realloc(call->data, capacity);
        if (data == NULL)
            return -ENOMEM;
        call->data = data;
        call->capacity = capacity;
    }
    data = call->data + call->size;
    n = call->tls != NULL
            ? call_tls_receive(call->tls, &call->socket, data, call->capacity - call->size)
            : call_socket_receive(&call->socket, data, call->capacity - call->size);
    call->size += n > 0 ? (size_t)n : 0;
    return n;
}

/* --- answer --------------------------------------------------------------- */

/*
 * Reads until the head of the final answer is at the front of the buffer. response is
 * valid until the buffer moves, so until the next read.
 */
static int read_head(struct http_call *call, struct http_response *response)
{
    struct response_parser parser;

    call->size = 0;
    response_parser_init(&parser, HTTP_CALL_HEAD_SIZE_MAX, false);
    for (int interim_count = 0; interim_count <= INTERIM_COUNT_MAX;) {
        size_t visible = (size_t)min_u64(call->size, HTTP_CALL_HEAD_SIZE_MAX);

        switch (visible > 0 ? response_parser_feed(&parser, call->data, visible, response)
                            : HTTP_PARSE_NEED_MORE) {
        case HTTP_PARSE_DONE:
            if (response->status >= 200)
                return 0;
            memmove(call->data, call->data + response->head_size, call->size - response->head_size);
            call->size -= response->head_size;
            response_parser_init(&parser, HTTP_CALL_HEAD_SIZE_MAX, false);
            interim_count++;
            break;
        case HTTP_PARSE_NEED_MORE: {
            ssize_t n = read_more(call);

            if (n <= 0)
                return n < 0 ? (int)n : -ECONNRESET;
            break;
        }
        case HTTP_PARSE_BAD:
            return -EPROTO;
        }
    }
    return -EPROTO;
}

/* Reads a chunked body that begins at offset; leaves its decoded bytes there. */
static int read_chunked(struct http_call *call, size_t offset, size_t *ret_size)
{
    struct chunked chunked;
    size_t decoded = offset; /* end of the decoded part */
    size_t position = offset;

    chunked_init(&chunked, HTTP_CALL_BODY_SIZE_MAX);
    while (true) {
        struct slice piece = {NULL, 0};
        size_t consumed = 0;
        enum chunked_result result = CHUNKED_NEED_MORE;

        if (position < call->size)
            result = chunked_feed(&chunked, call->data + position, call->size - position, &consumed,
                                  &piece);
        if (piece.size > 0)
            memmove(call->data + decoded, piece.data, piece.size);
        decoded += piece.size;
        position += consumed;
        switch (result) {
        case CHUNKED_DATA:
            break;
        case CHUNKED_NEED_MORE: {
            ssize_t n = read_more(call);

            if (n <= 0)
                return n < 0 ? (int)n : -ECONNRESET;
            break;
        }
        case CHUNKED_DONE:
            *ret_size = decoded - offset;
            return 0;
        case CHUNKED_BAD:
            return -EPROTO;
        case CHUNKED_TOO_LARGE:
            return -EMSGSIZE;
        }
    }
}

/* Reads until size bytes are in the buffer. */
static int read_until(struct http_call *call, size_t size)
{
    while (call->size < size) {
        ssize_t n = read_more(call);

        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
    return 0;
}

/* Reads the body behind the head at the front of the buffer, by its framing. */
static int read_body(struct http_call *call, const struct http_response *response, size_t *ret_size)
{
    size_t offset = response->head_size;
    ssize_t n;

    switch (response->body) {
    case RESPONSE_BODY_NONE:
        *ret_size = 0;
        return 0;
    case RESPONSE_BODY_LENGTH:
        if (response->content_length > HTTP_CALL_BODY_SIZE_MAX)
            return -EMSGSIZE;
        *ret_size = (size_t)response->content_length;
        return read_until(call, offset + *ret_size);
    case RESPONSE_BODY_CHUNKED:
        return read_chunked(call, offset, ret_size);
    case RESPONSE_BODY_UNTIL_CLOSE:
        do
            n = read_more(call);
        while (n > 0);
        *ret_size = call->size - offset;
        return (int)n;
    }
    return -EPROTO;
}

/* The seconds of a Retry-After; a date, which weir does not send, counts as none. */
static uint64_t read_retry_after(struct slice value)
{
    uint64_t seconds = 0;

    return header_parse_length(value, &seconds) ? seconds : 0;
}

/* Where a slice of the head lies in the buffer, which may still move. */
static size_t offset_of(const struct http_call *call, struct slice part)
{
    return part.data != NULL ? (size_t)(part.data - call->data) : 0;
}

static int read_answer(struct http_call *call, struct http_call_answer *ret_answer)
{
    struct http_response response;
    size_t content_type, body_size = 0;
    int r = read_head(call, &response);

    if (r < 0)
        return r;
    content_type = offset_of(call, response.content_type);
    ret_answer->retry_after_s = read_retry_after(response.retry_after);
    r = read_body(call, &response, &body_size);
    if (r < 0)
        return r;
    ret_answer->status = response.status;
    ret_answer->content_type =
        (struct slice){call->data + content_type, response.content_type.size};
    ret_answer->body = (struct slice){call->data + response.head_size, body_size};
    if (!response.keep_alive)
        hang_up(call);
    return 0;
}

/* --- request -------------------------------------------------------------- */

static bool field_is_valid(const char *value)
{
    return value == NULL || header_value_is_valid(slice_of(value));
}

/* Writes the head; -EINVAL when a value cannot stand in one, -EMSGSIZE when it is too long. */
static int write_head(const struct http_call *call, const struct http_call_request *request,
                      char *head, size_t capacity, size_t *ret_size)
{
    int size;

    if (!field_is_valid(request->api_key) || !field_is_valid(request->token) ||
        !field_is_valid(request->content_type) || strpbrk(request->path, " \r\n") != NULL)
        return -EINVAL;
    size = snprintf(
        head, capacity,
        "%s %.*s%s HTTP/1.1\r\nhost: %.*s\r\nuser-agent: weir\r\naccept: "
        "application/json, application/problem+json\r\n%s%s%s%s%s%s%s%s%s",
        request->method, (int)call->prefix_size, call->url.path.data, request->path,
        (int)call->url.authority.size, call->url.authority.data,
        request->content_type != NULL ? "content-type: " : "",
        request->content_type != NULL ? request->content_type : "",
        request->content_type != NULL ? "\r\n" : "", request->api_key != NULL ? "x-api-key: " : "",
        request->api_key != NULL ? request->api_key : "", request->api_key != NULL ? "\r\n" : "",
        request->token != NULL ? "authorization: Bearer " : "",
        request->token != NULL ? request->token : "", request->token != NULL ? "\r\n" : "");
    if (size < 0 || (size_t)size >= capacity)
        return -EMSGSIZE;
    *ret_size = (size_t)size;
    /* Without a body a GET has no length, but a POST says 0. */
    if (request->body.size > 0 || strcmp(request->method, "POST") == 0)
        size = snprintf(head + *ret_size, capacity - *ret_size, "content-length: %zu\r\n\r\n",
                        request->body.size);
    else
        size = snprintf(head + *ret_size, capacity - *ret_size, "\r\n");
    if (size < 0 || (size_t)size >= capacity - *ret_size)
        return -EMSGSIZE;
    *ret_size += (size_t)size;
    return 0;
}

/* True when the server may just have closed a connection that it had kept long enough. */
static bool was_closed(const struct http_call *call, int error)
{
    return call->size == 0 && (error == -ECONNRESET || error == -EPIPE);
}

/* One attempt over the present connection. */
static int exchange(struct http_call *call, struct slice head, struct slice body,
                    struct http_call_answer *ret_answer)
{
    int r;

    call_socket_start_deadline(&call->socket);
    call->size = 0;
    r = write_all(call, head, body);
    /* A server may refuse a body it has not read to its end: its answer explains more. */
    if (r == 0 || r == -EPIPE || r == -ECONNRESET) {
        int answered = read_answer(call, ret_answer);

        if (r < 0 && answered == 0)
            hang_up(call);
        r = answered;
    }
    return r;
}

int http_call_send(struct http_call *call, const struct http_call_request *request,
                   struct http_call_answer *ret_answer)
{
    struct http_call_answer answer = {0};
    char head[HEAD_OUT_SIZE];
    size_t head_size;
    bool was_kept = call->socket.fd >= 0;
    int r;

    check(call);
    if (call->url.scheme == URL_SCHEME_HTTPS && call->tls == NULL)
        return -ENOKEY;
    r = write_head(call, request, head, sizeof(head), &head_size);
    if (r < 0)
        return r;
    r = was_kept ? 0 : dial(call);
    if (r == 0)
        r = exchange(call, (struct slice){head, head_size}, request->body, &answer);
    if (r < 0 && was_kept && was_closed(call, r)) {
        hang_up(call);
        r = dial(call);
        if (r == 0)
            r = exchange(call, (struct slice){head, head_size}, request->body, &answer);
    }
    if (r < 0) {
        hang_up(call);
        return r;
    }
    *ret_answer = answer;
    return 0;
}

/* --- words ---------------------------------------------------------------- */

bool http_call_is_unreachable(int error)
{
    return error == -ECONNREFUSED || error == -EHOSTUNREACH || error == -ENETUNREACH ||
           error == -ETIMEDOUT || error == -ECONNRESET || error == -EPIPE;
}

void http_call_describe(const struct http_call *call, int error, char *text, size_t size)
{
    if (http_call_is_unreachable(error))
        snprintf(text, size, "cannot reach %s: %s", call->text, strerror(-error));
    else if (error == -EKEYREJECTED)
        snprintf(text, size, "cannot speak TLS with %s: %s", call->text,
                 call_tls_describe(call->tls));
    else if (error == -EPROTO)
        snprintf(text, size, "what answers at %s does not speak HTTP/1.1", call->text);
    else if (error == -EINVAL)
        snprintf(text, size, "a value cannot be sent in a header");
    else
        snprintf(text, size, "the call to %s failed: %s", call->text, strerror(-error));
}

/* The text of a string member of object; false when there is none. */
static bool find_text(struct slice object, struct slice name, char *buffer, size_t size,
                      struct slice *ret_text)
{
    struct json_value value;
    struct slice text;

    if (!json_find_member(object, name, &value) || value.type != JSON_STRING ||
        !json_string_text(&value, buffer, size, &text) || text.size == 0)
        return false;
    *ret_text = text;
    return true;
}

/* ": /events/0/message Required" of the first of "details", or nothing. */
static void describe_first_issue(struct slice problem, char *text, size_t size)
{
    char pointer_buffer[128], message_buffer[256];
    struct slice pointer, message;
    struct json_value details, issue;
    struct json_reader reader;

    text[0] = '\0';
    if (!json_find_member(problem, SLICE_LITERAL("details"), &details) ||
        details.type != JSON_ARRAY)
        return;
    json_reader_init(&reader, details.raw, JSON_DEPTH_DEFAULT);
    if (json_reader_enter_array(&reader) != JSON_OK ||
        json_reader_next_element(&reader) != JSON_OK ||
        json_reader_read(&reader, &issue) != JSON_OK || issue.type != JSON_OBJECT ||
        !find_text(issue.raw, SLICE_LITERAL("message"), message_buffer, sizeof(message_buffer),
                   &message))
        return;
    if (!find_text(issue.raw, SLICE_LITERAL("pointer"), pointer_buffer, sizeof(pointer_buffer),
                   &pointer))
        pointer = SLICE_LITERAL("-");
    snprintf(text, size, ": %.*s %.*s", (int)pointer.size, pointer.data, (int)message.size,
             message.data);
}

void http_call_describe_refusal(const struct http_call_answer *answer, char *text, size_t size)
{
    static const struct slice NAMES[] = {SLICE_INITIALIZER("detail"), SLICE_INITIALIZER("title"),
                                         SLICE_INITIALIZER("error")};
    struct slice reason = SLICE_LITERAL("without a reason"), code = SLICE_LITERAL("no code");
    char reason_buffer[256], code_buffer[64], issue[400] = "";
    struct json_reader reader;
    struct json_value document;

    if (json_read_document(answer->body, JSON_DEPTH_DEFAULT, &reader, &document) == JSON_OK &&
        document.type == JSON_OBJECT) {
        bool found = false;

        for (size_t i = 0; !found && i < ARRAY_COUNT(NAMES); i++)
            found =
                find_text(document.raw, NAMES[i], reason_buffer, sizeof(reason_buffer), &reason);
        if (!find_text(document.raw, SLICE_LITERAL("code"), code_buffer, sizeof(code_buffer),
                       &code))
            code = SLICE_LITERAL("no code");
        describe_first_issue(document.raw, issue, sizeof(issue));
    }
    snprintf(text, size, "%u %.*s (%.*s)%s", answer->status, (int)reason.size, reason.data,
             (int)code.size, code.data, issue);
}
