#include "http/connection_internals.h"

#include <errno.h>

#include "runtime/sim_point.h"

/*
 * From bytes to answered requests. Requests are parsed where they arrived: in the
 * lent receive buffer when it holds the whole request, else in the connection's own
 * input buffer. They are answered one at a time; pipelined ones wait in the input
 * buffer.
 *
 *     process -> process_head -> find_route, on_head -> process_body -> on_body
 *                     |                |                    |              |
 *                 need more         refused             need more      on_request
 *
 * The head is parsed again when a body came in later: its slices point into bytes
 * that have moved, and a connection that waits for a body keeps none of them.
 *
 * Whatever a handler may lose by a panic stands in the struct before the handler is
 * called, for the actor's release() to find: the lent receive buffer and the decoded
 * body.
 */

enum processed {
    PROCESSED_NEED_MORE,
    PROCESSED_REQUEST, /* one request used up its bytes */
};

MUST_USE static int write_continue(struct connection *c)
{
    struct slice text = response_continue();
    struct buffer *buffer;
    int r = connection_reserve_output(c, text.size, &buffer);

    if (r < 0)
        return r;
    memcpy(buffer->data + buffer->size, text.data, text.size);
    buffer->size += (uint32_t)text.size;
    c->continue_wanted = false;
    return 0;
}

static void set_correlation(struct connection *c, struct slice given)
{
    static const char hex[] = "0123456789abcdef";
    struct exchange *x = &c->exchange;
    uint64_t words[2];

    if (given.size > 0 && given.size <= EXCHANGE_CORRELATION_SIZE_MAX) {
        memcpy(x->correlation, given.data, given.size);
        x->correlation_size = (uint8_t)given.size;
        return;
    }
    words[0] = rng_next(&c->actor.shard->rng);
    words[1] = rng_next(&c->actor.shard->rng);
    for (uint32_t i = 0; i < 32; i++)
        x->correlation[i] = hex[(words[i / 16] >> (i % 16 * 4)) & 15];
    x->correlation_size = 32;
}

void connection_begin_exchange(struct connection *c, struct http_request *request)
{
    struct exchange *x = &c->exchange;

    x->server = c->server;
    x->actor = &c->actor;
    x->token++;
    x->request = request;
    x->params = c->server->params;
    x->body = (struct slice){NULL, 0};
    x->body_size_max = 0;
    x->decoded_size_max = 0;
    x->wait_ms = 0;
    x->ends_with_peer = false;
    x->started_ns = c->actor.shard->clock.mono_ns;
    x->route = NULL;
    x->route_index = c->server->router.count;
    x->method = request != NULL ? request->method : HTTP_METHOD_UNKNOWN;
    x->keep_alive = request != NULL && request->keep_alive && !connection_must_close(c);
    x->speaks_1_0 = request != NULL && request->version == HTTP_VERSION_1_0;
    x->answered = false;
    x->refusal_closes = false;
    memset(&x->note, 0, sizeof(x->note));
    set_correlation(c, request != NULL ? request->correlation_id : (struct slice){NULL, 0});
}

void connection_end_exchange(struct connection *c)
{
    assert(c->exchange.answered);
    c->exchange.request = NULL;
    c->exchange.route = NULL;
    if (c->close_after_send) {
        connection_begin_linger(c);
    } else {
        connection_enter_idle(c);
    }
}

void connection_abandon_exchange(struct connection *c)
{
    struct exchange *x = &c->exchange;
    const struct route *route = x->route;

    x->route = NULL; /* before the call: it is made once, whatever happens in it */
    if (route != NULL && !x->answered && route->on_abandon != NULL)
        route->on_abandon(x);
}

/*
 * Refusals by the connection itself, in place of the handler. They end the connection
 * when something of the request was not read: exchange_respond() knows.
 */
int connection_refuse(struct connection *c, enum problem_code code, const char *detail)
{
    struct exchange_problem_options options = {.detail = detail != NULL ? slice_of(detail)
                                                                        : (struct slice){NULL, 0}};
    int r;

    connection_abandon_exchange(c);
    r = exchange_problem(&c->exchange, code, &options);
    if (r < 0)
        return r;
    connection_end_exchange(c);
    return PROCESSED_REQUEST;
}

MUST_USE static int refuse_size(struct connection *c, enum problem_code code, uint64_t limit)
{
    struct exchange_problem_options options = {.has_limit = true, .limit = limit};
    int r;

    connection_abandon_exchange(c);
    r = exchange_problem(&c->exchange, code, &options);
    if (r < 0)
        return r;
    connection_end_exchange(c);
    return PROCESSED_REQUEST;
}

MUST_USE static int refuse_parse_error(struct connection *c, enum http_parse_error error)
{
    int r;

    connection_abandon_exchange(c);
    r = exchange_parse_error(&c->exchange, error);
    if (r < 0)
        return r;
    connection_end_exchange(c);
    return PROCESSED_REQUEST;
}

/* Routes the request at hand; on a miss answers it. 0, or PROCESSED_REQUEST when answered. */
MUST_USE static int find_route(struct connection *c)
{
    struct exchange *x = &c->exchange;
    struct exchange_problem_options options = {0};
    char allowed[ROUTER_ALLOWED_SIZE_MAX];
    enum problem_code code = PROBLEM_NOT_FOUND;
    int r;

    switch (router_find(&c->server->router, x->request->method, x->request->path, &x->route_index,
                        x->params)) {
    case ROUTE_FOUND:
        x->route = &c->server->router.routes[x->route_index];
        return 0;
    case ROUTE_METHOD_NOT_ALLOWED:
        code = PROBLEM_METHOD_NOT_ALLOWED;
        options.field.name = SLICE_LITERAL("allow");
        options.field.value.data = allowed;
        options.field.value.size =
            router_allowed(&c->server->router, x->request->path, allowed, sizeof(allowed));
        break;
    case ROUTE_NOT_FOUND:
        if (x->request->method == HTTP_METHOD_UNKNOWN)
            code = PROBLEM_METHOD_UNKNOWN;
        break;
    }
    x->route_index = c->server->router.count;
    r = exchange_problem(x, code, &options);
    if (r < 0)
        return r;
    connection_end_exchange(c);
    return PROCESSED_REQUEST;
}

/* The handler's word on a head. Negative, PROCESSED_REQUEST, or 0: read the body. */
MUST_USE static int on_head(struct connection *c, bool body_is_here)
{
    struct exchange *x = &c->exchange;
    struct http_request *request = x->request;
    int r;

    x->refusal_closes = !body_is_here;
    r = find_route(c);
    if (r != 0)
        return r;
    r = x->route->on_head(x);
    if (r < 0)
        return r;
    if (r == EXCHANGE_ANSWERED) {
        connection_end_exchange(c);
        return PROCESSED_REQUEST;
    }
    assert(r == EXCHANGE_READ_BODY);
    if (request->content_length > x->body_size_max)
        return refuse_size(c, PROBLEM_PAYLOAD_TOO_LARGE, x->body_size_max);
    return 0;
}

MUST_USE static int refuse_encoding(struct connection *c)
{
    struct exchange_problem_options options = {
        .field = {SLICE_LITERAL("accept-encoding"),
                  SLICE_LITERAL(CONTENT_DECODER_ACCEPT_ENCODING)}};
    int r;

    connection_abandon_exchange(c);
    r = exchange_problem(&c->exchange, PROBLEM_UNSUPPORTED_ENCODING, &options);
    if (r < 0)
        return r;
    connection_end_exchange(c);
    return PROCESSED_REQUEST;
}

/* Undoes Content-Encoding into c->decoded. 0, PROCESSED_REQUEST when refused, or -errno. */
MUST_USE static int decode_body(struct connection *c, struct slice body)
{
    struct exchange *x = &c->exchange;
    enum content_encoding encoding = content_encoding_parse(x->request->content_encoding);
    struct slice input = body;
    struct buffer *decoded = NULL;
    int r;

    if (encoding == CONTENT_ENCODING_UNSUPPORTED)
        return refuse_encoding(c);
    x->body = body;
    if (encoding == CONTENT_ENCODING_IDENTITY)
        return 0;
    r = buffer_acquire(c->server->buffers, min_u64(body.size * 4 + 4096, x->decoded_size_max + 1),
                       &decoded);
    if (r == -ENOBUFS) {
        SOMETIMES("no buffer is left to decompress a body");
        return connection_refuse(c, PROBLEM_OVERLOADED, "no buffer is free to decompress the body");
    }
    if (r < 0)
        return r;
    c->has_decoded = true;
    c->decoded = decoded;
    content_decoder_start(&c->server->decoder, encoding, x->decoded_size_max);
    for (;;) {
        struct buffer *out = c->decoded;
        size_t consumed, produced;
        enum content_decoder_result result =
            content_decoder_feed(&c->server->decoder, input, true, out->data + out->size,
                                 out->capacity - out->size, &consumed, &produced);

        input.data += consumed;
        input.size -= consumed;
        out->size += (uint32_t)produced;
        switch (result) {
        case CONTENT_DECODER_DONE:
            x->body = (struct slice){out->data, out->size};
            return 0;
        case CONTENT_DECODER_OUTPUT_FULL:
            r = buffer_grow(&c->decoded,
                            min_u64((uint64_t)out->capacity * 2, x->decoded_size_max + 1));
            if (r < 0)
                return connection_refuse(c, PROBLEM_OVERLOADED,
                                         "no buffer is free to decompress the body");
            break;
        case CONTENT_DECODER_TOO_LARGE:
            return refuse_size(c, PROBLEM_DECOMPRESSED_TOO_LARGE, x->decoded_size_max);
        case CONTENT_DECODER_WINDOW_TOO_LARGE:
            return connection_refuse(c, PROBLEM_UNSUPPORTED_ENCODING,
                                     "the zstd window is over 8 MiB");
        case CONTENT_DECODER_NEED_MORE: /* cannot come: the last input was given */
        case CONTENT_DECODER_CORRUPT:
            return connection_refuse(c, PROBLEM_DECODE_ERROR, NULL);
        }
    }
}

void connection_release_decoded(struct connection *c)
{
    if (!c->has_decoded)
        return;
    c->has_decoded = false;
    buffer_unref(&c->decoded);
}

/* The whole body is at hand: decode it and let the handler answer. */
MUST_USE static int on_body(struct connection *c, struct slice body)
{
    struct exchange *x = &c->exchange;
    uint64_t limit_ms = c->server->limits.answer_timeout_ms;
    int r;

    x->refusal_closes = false;
    x->keep_alive = x->keep_alive && !connection_must_close(c);
    r = decode_body(c, body);
    if (r == 0) {
        r = x->route->on_request(x);
        if (r == EXCHANGE_PENDING && !x->answered) {
            x->request = NULL;
            c->state = CONNECTION_PENDING;
            connection_set_deadline(
                c, limit_ms > 0 && !MUTANT("timer_dropped") ? limit_ms + x->wait_ms : UINT64_MAX);
        } else if (r >= 0) {
            assert(r == EXCHANGE_ANSWERED);
            connection_end_exchange(c);
        }
    }
    connection_release_decoded(c);
    return r < 0 ? r : PROCESSED_REQUEST;
}

enum chunk_step {
    CHUNK_COMPLETE,
    CHUNK_NEED_MORE,
    CHUNK_REFUSED,
};

/*
 * Decodes what there is of a chunked body in place: the decoded bytes gather right
 * behind the head, and on CHUNK_NEED_MORE *size has shrunk to them. On
 * CHUNK_COMPLETE the next request starts at *ret_rest_offset. Or -errno.
 */
MUST_USE static int decode_chunks(struct connection *c, char *data, size_t *size,
                                  size_t *ret_rest_offset)
{
    size_t raw_offset = c->head_size + c->body_size;
    size_t consumed;
    struct slice piece;
    int r;

    for (;;) {
        switch (
            chunked_feed(&c->chunked, data + raw_offset, *size - raw_offset, &consumed, &piece)) {
        case CHUNKED_DATA:
            memmove(data + c->head_size + c->body_size, piece.data, piece.size);
            c->body_size += piece.size;
            raw_offset += consumed;
            break;
        case CHUNKED_DONE:
            *ret_rest_offset = raw_offset + consumed;
            return CHUNK_COMPLETE;
        case CHUNKED_NEED_MORE:
            assert(raw_offset + consumed == *size);
            *size = c->head_size + c->body_size;
            return CHUNK_NEED_MORE;
        case CHUNKED_BAD:
            r = refuse_parse_error(c, chunked_error(&c->chunked));
            return r < 0 ? r : CHUNK_REFUSED;
        case CHUNKED_TOO_LARGE:
            r = refuse_size(c, PROBLEM_PAYLOAD_TOO_LARGE, c->exchange.body_size_max);
            return r < 0 ? r : CHUNK_REFUSED;
        }
    }
}

/* Finds the head again in bytes that moved since it was first parsed. */
static void reparse_head(struct connection *c, const char *data)
{
    struct http_request *request = &c->server->request;
    struct request_parser parser;
    enum http_parse_result result;
    enum route_result found;
    uint32_t route_index;

    request_parser_init(&parser, c->server->limits.head_size_max);
    result = request_parser_feed(&parser, data, c->head_size, request);
    assert(result == HTTP_PARSE_DONE);
    found = router_find(&c->server->router, request->method, request->path, &route_index,
                        c->exchange.params);
    assert(found == ROUTE_FOUND);
    assert(route_index == c->exchange.route_index);
    c->exchange.request = request;
}

/*
 * Goes on with the request at data. *size may shrink (chunk framing taken out).
 * Negative, PROCESSED_NEED_MORE, or PROCESSED_REQUEST with *ret_used.
 */
MUST_USE static int process_body(struct connection *c, char *data, size_t *size, bool head_is_fresh,
                                 size_t *ret_used)
{
    size_t end = c->head_size + c->body_size;
    size_t body_size;
    int r;

    if (c->body_is_chunked) {
        r = decode_chunks(c, data, size, &end);
        if (r < 0)
            return r;
        if (r == CHUNK_REFUSED) {
            *ret_used = *size;
            return PROCESSED_REQUEST;
        }
        if (r == CHUNK_NEED_MORE)
            end = SIZE_MAX;
    }
    if (end > *size) {
        if (c->state != CONNECTION_BODY) {
            c->state = CONNECTION_BODY;
            connection_set_deadline(c, c->server->limits.body_timeout_ms);
        }
        c->exchange.request = NULL; /* scratch of the shard: the next connection writes to it */
        return c->continue_wanted ? write_continue(c) : PROCESSED_NEED_MORE;
    }
    if (!head_is_fresh)
        reparse_head(c, data);
    body_size = c->body_size;
    *ret_used = end;
    return on_body(c, (struct slice){data + c->head_size, body_size});
}

/* As process_body(), from the start of a request. */
MUST_USE static int process_head(struct connection *c, char *data, size_t *size, size_t *ret_used)
{
    struct http_request *request = &c->server->request;
    size_t body_here;
    int r;

    switch (request_parser_feed(&c->parser, data, *size, request)) {
    case HTTP_PARSE_NEED_MORE:
        if (c->state == CONNECTION_IDLE) {
            c->state = CONNECTION_HEAD;
            connection_set_deadline(c, c->server->limits.header_timeout_ms);
        }
        return PROCESSED_NEED_MORE;
    case HTTP_PARSE_BAD:
        connection_begin_exchange(c, NULL);
        *ret_used = *size;
        return refuse_parse_error(c, request_parser_error(&c->parser));
    case HTTP_PARSE_DONE:
        break;
    }
    connection_begin_exchange(c, request);
    c->head_size = (uint32_t)request->head_size;
    c->body_size = request->content_length;
    c->body_is_chunked = request->is_chunked;
    body_here = *size - request->head_size;
    c->continue_wanted = request->expects_continue && body_here == 0;
    *ret_used = (size_t)min_u64(*size, request->head_size + request->content_length);
    r = on_head(c, !request->is_chunked && body_here >= request->content_length);
    if (r != 0)
        return r;
    if (c->body_is_chunked)
        chunked_init(&c->chunked, c->exchange.body_size_max);
    return process_body(c, data, size, true, ret_used);
}

bool connection_must_wait(const struct connection *c)
{
    return c->state == CONNECTION_PENDING || c->state == CONNECTION_LINGER ||
           connection_output_size(c) >= HTTP_OUTPUT_PENDING_MAX;
}

int connection_process(struct connection *c, char *data, size_t size, size_t *ret_used,
                       size_t *ret_left)
{
    size_t offset = 0;
    int r = PROCESSED_REQUEST;

    while (r == PROCESSED_REQUEST && offset < size && !connection_must_wait(c)) {
        size_t left = size - offset;
        size_t used = 0;

        r = c->state == CONNECTION_BODY ? process_body(c, data + offset, &left, false, &used)
                                        : process_head(c, data + offset, &left, &used);
        if (r < 0)
            return r;
        size = offset + left;
        if (r == PROCESSED_REQUEST)
            offset += used;
    }
    if (c->state == CONNECTION_LINGER)
        offset = size;
    *ret_used = offset;
    *ret_left = size - offset;
    return 0;
}

/* How large the input buffer should be for what is being read. */
static size_t input_capacity_wanted(const struct connection *c, size_t size)
{
    size_t wanted = size + 1024;

    if (c->state == CONNECTION_BODY && !c->body_is_chunked)
        wanted = max_u64(wanted, min_u64(c->head_size + c->body_size, size * 4));
    return wanted;
}

int connection_keep_input(struct connection *c, const char *data, size_t size)
{
    int r = 0;
    size_t present = c->input != NULL ? c->input->size : 0;

    if (size == 0)
        return 0;
    if (c->input == NULL)
        r = buffer_acquire(c->server->buffers, input_capacity_wanted(c, size), &c->input);
    else if (present + size > c->input->capacity)
        r = buffer_grow(&c->input, input_capacity_wanted(c, present + size));
    if (r < 0)
        return r;
    memcpy(c->input->data + c->input->size, data, size);
    c->input->size += (uint32_t)size;
    return 0;
}

int connection_process_input(struct connection *c)
{
    size_t used, left;
    int r;

    if (c->input == NULL || connection_must_wait(c))
        return 0;
    r = connection_process(c, c->input->data, c->input->size, &used, &left);
    if (r < 0)
        return r;
    if (left == 0) {
        buffer_unref(&c->input);
        return 0;
    }
    if (used > 0)
        memmove(c->input->data, c->input->data + used, left);
    c->input->size = (uint32_t)left;
    return 0;
}
