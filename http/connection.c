#include "http/connection.h"

#include <errno.h>

#include "runtime/shard.h"

/*
 * The states, and the time-out that rules each:
 *
 *     IDLE --first byte--> HEAD --empty line--> BODY --last byte--> (handler)
 *      idle    |            header   |           body                 |
 *              +----whole request----+--------------------------------+
 *                                                                     v
 *     IDLE <--answered, keep-alive-- (answered at once, or) PENDING --reply--> answered
 *     LINGER <--answered, close-- : FIN sent, input thrown away until the peer closes
 *
 * Requests are parsed where they arrived: in the lent receive buffer when it
 * holds the whole request, else in the connection's own input buffer. Requests
 * are answered one at a time; pipelined ones wait in the input buffer, and when
 * that is long the connection stops receiving, which closes the TCP window.
 *
 * There are two deadlines: that of the state above, and that of the send in flight,
 * which every state may have and which ends the connection at once. One timer serves
 * both. It is armed when a deadline comes sooner than the time it is armed for, and
 * looks at the deadlines when it fires, so a busy keep-alive connection hardly ever
 * touches the wheel.
 *
 * A refused request (4xx before its body was read) ends the connection gently:
 * the answer and FIN go out first, what the peer still sends is read and thrown
 * away for a bounded time, so that the answer is not lost to a reset.
 *
 * Asked to stop, or while the server drains, it finishes the request that has begun,
 * says Connection: close, and goes; with nothing to do it goes at once.
 *
 * Whatever a handler may lose by a panic stands in the struct before the handler is
 * called, for release() to find: the lent receive buffer and the decoded body.
 */

enum processed {
    PROCESSED_NEED_MORE,
    PROCESSED_REQUEST, /* one request used up its bytes */
};

static struct connection *connection_of(struct actor *self)
{
    return ACTOR_CAST(self, struct connection, CONNECTION_MAGIC);
}

static void connection_check(const struct connection *c)
{
    assert(c->server != NULL);
    assert(c->fd >= 0);
    assert(c->state <= CONNECTION_LINGER);
    assert(c->output != NULL || c->output_next == NULL);
    assert(c->output_sent <= (c->output != NULL ? c->output->size : 0));
}

/* Lets the timer fire no later than the earlier of the two deadlines. */
static void arm_timer(struct connection *c)
{
    uint64_t now_ns = c->actor.shard->clock.mono_ns;
    uint64_t earliest_ns = min_u64(c->deadline_ns, c->write_deadline_ns);

    if (earliest_ns >= c->timer_armed_ns)
        return;
    c->timer_armed_ns = earliest_ns;
    actor_timer_start(&c->actor, &c->timer,
                      earliest_ns > now_ns ? (earliest_ns - now_ns + 999999) / 1000000 : 0);
}

static uint64_t deadline_after(const struct connection *c, uint64_t delay_ms)
{
    return delay_ms == UINT64_MAX ? UINT64_MAX : c->actor.shard->clock.mono_ns + delay_ms * 1000000;
}

static void set_deadline(struct connection *c, uint64_t delay_ms)
{
    c->deadline_ns = deadline_after(c, delay_ms);
    arm_timer(c);
}

static void enter_idle(struct connection *c)
{
    c->state = CONNECTION_IDLE;
    request_parser_init(&c->parser, c->server->limits.head_size_max);
    set_deadline(c, c->server->limits.idle_timeout_ms);
}

/* True when nobody would miss the connection: no request has begun, no answer is under way. */
static bool has_nothing_to_do(const struct connection *c)
{
    return c->state == CONNECTION_IDLE && c->input == NULL && c->output == NULL;
}

/* Keeps the server's list of those that may be closed to make room. */
static void update_idle(struct connection *c)
{
    if (!has_nothing_to_do(c))
        list_remove(&c->idle_link);
    else if (list_is_empty(&c->idle_link))
        list_push_back(&c->server->idle, &c->idle_link);
}

/* True when the next answer is to be the last. */
static bool must_close(const struct connection *c)
{
    return c->server->draining || c->is_stopping || c->is_deaf;
}

/* Bytes of answers that the peer has not been given yet. */
static size_t output_size(const struct connection *c)
{
    return (c->output != NULL ? c->output->size - c->output_sent : 0) +
           (c->output_next != NULL ? c->output_next->size : 0);
}

static void send_output(struct connection *c)
{
    size_t size;

    if (c->output == NULL || io_op_is_armed(&c->send_op))
        return;
    size = min_u64(c->output->size - c->output_sent, HTTP_SEND_SIZE_MAX);
    io_send(c->actor.shard->io, &c->send_op, c->fd, c->output->data + c->output_sent,
            (uint32_t)size);
    c->write_deadline_ns = deadline_after(c, c->server->limits.write_timeout_ms);
    arm_timer(c);
}

/* The buffer that gathers answers now, with room for size more bytes. 0 or -errno. */
MUST_USE static int reserve_output(struct connection *c, size_t size, struct buffer **ret_buffer)
{
    struct buffer **slot = io_op_is_armed(&c->send_op) ? &c->output_next : &c->output;
    int r = 0;

    if (*slot == NULL)
        r = buffer_acquire(c->server->buffers, size, slot);
    else if ((*slot)->size + size > (*slot)->capacity)
        r = buffer_grow(slot, (*slot)->size + size);
    if (r < 0)
        return r;
    *ret_buffer = *slot;
    return 0;
}

int connection_write(struct connection *c, const struct response_head *head, struct slice body)
{
    struct buffer *buffer;
    size_t head_size_max =
        RESPONSE_HEAD_FIXED_SIZE + head->content_type.size + head->correlation_id.size;
    size_t head_size;
    int r;

    connection_check(c);
    for (size_t i = 0; i < head->extra_count; i++)
        head_size_max += head->extra[i].name.size + head->extra[i].value.size + 4;
    r = reserve_output(c, head_size_max + body.size, &buffer);
    if (r < 0)
        return r;
    r = response_head_write(head, buffer->data + buffer->size, buffer->capacity - buffer->size,
                            &head_size);
    if (r < 0)
        return r;
    assert(head_size <= head_size_max);
    buffer->size += (uint32_t)head_size;
    if (body.size > 0)
        memcpy(buffer->data + buffer->size, body.data, body.size);
    buffer->size += (uint32_t)body.size;
    c->close_after_send |= !head->keep_alive;
    return 0;
}

MUST_USE static int write_continue(struct connection *c)
{
    struct slice text = response_continue();
    struct buffer *buffer;
    int r = reserve_output(c, text.size, &buffer);

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

static void begin_exchange(struct connection *c, struct http_request *request)
{
    struct exchange *x = &c->exchange;

    x->server = c->server;
    x->actor = &c->actor;
    x->token++;
    x->request = request;
    x->body = (struct slice){NULL, 0};
    x->body_size_max = 0;
    x->decoded_size_max = 0;
    x->started_ns = c->actor.shard->clock.mono_ns;
    x->route = NULL;
    x->route_index = c->server->router.count;
    x->method = request != NULL ? request->method : HTTP_METHOD_UNKNOWN;
    x->keep_alive = request != NULL && request->keep_alive && !must_close(c);
    x->speaks_1_0 = request != NULL && request->version == HTTP_VERSION_1_0;
    x->answered = false;
    x->refusal_closes = false;
    memset(&x->note, 0, sizeof(x->note));
    set_correlation(c, request != NULL ? request->correlation_id : (struct slice){NULL, 0});
}

/* After an answer: the next request, or the end. */
static void end_exchange(struct connection *c)
{
    assert(c->exchange.answered);
    c->exchange.request = NULL;
    c->exchange.route = NULL;
    if (c->close_after_send) {
        /* What is sent still has its own deadline, what follows gets one with the FIN. */
        c->state = CONNECTION_LINGER;
        set_deadline(c, UINT64_MAX);
    } else {
        enter_idle(c);
    }
}

/* The handler will not get to answer: it gives back what it took. */
static void abandon_exchange(struct connection *c)
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
MUST_USE static int refuse(struct connection *c, enum problem_code code, const char *detail)
{
    struct exchange_problem_options options = {.detail = detail != NULL ? slice_of(detail)
                                                                        : (struct slice){NULL, 0}};
    int r;

    abandon_exchange(c);
    r = exchange_problem(&c->exchange, code, &options);
    if (r < 0)
        return r;
    end_exchange(c);
    return PROCESSED_REQUEST;
}

MUST_USE static int refuse_size(struct connection *c, enum problem_code code, uint64_t limit)
{
    struct exchange_problem_options options = {.has_limit = true, .limit = limit};
    int r;

    abandon_exchange(c);
    r = exchange_problem(&c->exchange, code, &options);
    if (r < 0)
        return r;
    end_exchange(c);
    return PROCESSED_REQUEST;
}

MUST_USE static int refuse_parse_error(struct connection *c, enum http_parse_error error)
{
    int r;

    abandon_exchange(c);
    r = exchange_parse_error(&c->exchange, error);
    if (r < 0)
        return r;
    end_exchange(c);
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
    end_exchange(c);
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
        end_exchange(c);
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

    abandon_exchange(c);
    r = exchange_problem(&c->exchange, PROBLEM_UNSUPPORTED_ENCODING, &options);
    if (r < 0)
        return r;
    end_exchange(c);
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
    if (r == -ENOBUFS)
        return refuse(c, PROBLEM_OVERLOADED, "no buffer is free to decompress the body");
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
                return refuse(c, PROBLEM_OVERLOADED, "no buffer is free to decompress the body");
            break;
        case CONTENT_DECODER_TOO_LARGE:
            return refuse_size(c, PROBLEM_DECOMPRESSED_TOO_LARGE, x->decoded_size_max);
        case CONTENT_DECODER_WINDOW_TOO_LARGE:
            return refuse(c, PROBLEM_UNSUPPORTED_ENCODING, "the zstd window is over 8 MiB");
        case CONTENT_DECODER_NEED_MORE: /* cannot come: the last input was given */
        case CONTENT_DECODER_CORRUPT:
            return refuse(c, PROBLEM_DECODE_ERROR, NULL);
        }
    }
}

static void release_decoded(struct connection *c)
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
    int r;

    x->refusal_closes = false;
    x->keep_alive = x->keep_alive && !must_close(c);
    r = decode_body(c, body);
    if (r == 0) {
        r = x->route->on_request(x);
        if (r == EXCHANGE_PENDING && !x->answered) {
            x->request = NULL;
            c->state = CONNECTION_PENDING;
            set_deadline(c, c->server->limits.answer_timeout_ms > 0
                                ? c->server->limits.answer_timeout_ms
                                : UINT64_MAX);
        } else if (r >= 0) {
            assert(r == EXCHANGE_ANSWERED);
            end_exchange(c);
        }
    }
    release_decoded(c);
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
            set_deadline(c, c->server->limits.body_timeout_ms);
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
            set_deadline(c, c->server->limits.header_timeout_ms);
        }
        return PROCESSED_NEED_MORE;
    case HTTP_PARSE_BAD:
        begin_exchange(c, NULL);
        *ret_used = *size;
        return refuse_parse_error(c, request_parser_error(&c->parser));
    case HTTP_PARSE_DONE:
        break;
    }
    begin_exchange(c, request);
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

/* True while no further request may be started or read on. */
static bool must_wait(const struct connection *c)
{
    return c->state == CONNECTION_PENDING || c->state == CONNECTION_LINGER ||
           output_size(c) >= HTTP_OUTPUT_PENDING_MAX;
}

/* Answers what can be answered of the bytes at data; says how many are used up and how many remain.
 */
MUST_USE static int process(struct connection *c, char *data, size_t size, size_t *ret_used,
                            size_t *ret_left)
{
    size_t offset = 0;
    int r = PROCESSED_REQUEST;

    while (r == PROCESSED_REQUEST && offset < size && !must_wait(c)) {
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

/* Keeps size bytes at data for later. 0 or -errno. */
MUST_USE static int keep_input(struct connection *c, const char *data, size_t size)
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

/* Processes the input buffer and keeps what is left of it. */
MUST_USE static int process_input(struct connection *c)
{
    size_t used, left;
    int r;

    if (c->input == NULL || must_wait(c))
        return 0;
    r = process(c, c->input->data, c->input->size, &used, &left);
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

/* Stops receiving while the input is long enough, and starts again when it is not. */
static void steer_receiving(struct connection *c)
{
    struct io *io = c->actor.shard->io;
    size_t kept = c->input != NULL ? c->input->size : 0;
    bool wanted = !c->peer_closed && !(must_wait(c) && c->state != CONNECTION_LINGER &&
                                       kept >= HTTP_INPUT_PIPELINED_MAX);

    c->is_receiving_wanted = wanted;
    if (!wanted && io_op_is_armed(&c->recv_op))
        io_cancel(io, &c->recv_op);
    else if (wanted && !io_op_is_armed(&c->recv_op))
        io_recv(io, &c->recv_op, c->fd);
}

/* After anything happened: send, receive, and see whether the end has come. */
MUST_USE static int proceed(struct connection *c)
{
    bool is_sending;

    send_output(c);
    is_sending = c->output != NULL;
    if (c->peer_closed && !is_sending && c->state != CONNECTION_PENDING)
        return ACTOR_STOP;
    if (has_nothing_to_do(c) && must_close(c))
        return ACTOR_STOP;
    steer_receiving(c);
    update_idle(c);
    if (c->state == CONNECTION_LINGER && !is_sending && !c->fin_sent) {
        c->fin_sent = true;
        memset(&c->shutdown_op, 0, sizeof(c->shutdown_op));
        actor_op_init(&c->actor, &c->shutdown_op);
        io_shutdown(c->actor.shard->io, &c->shutdown_op, c->fd, SHUT_WR);
        set_deadline(c, c->server->limits.linger_timeout_ms);
    }
    return ACTOR_OK;
}

/*
 * No buffer is left for what the peer sends: 503 and the end. While an answer is
 * awaited that answer is the end, and the requests behind it are lost, as they may be
 * whenever a server closes.
 */
MUST_USE static int shed(struct connection *c)
{
    int r;

    assert(c->state != CONNECTION_LINGER);
    if (c->state == CONNECTION_PENDING) {
        c->is_deaf = true;
        buffer_unref(&c->input);
        return proceed(c);
    }
    if (c->state != CONNECTION_BODY)
        begin_exchange(c, NULL);
    r = refuse(c, PROBLEM_OVERLOADED, "no buffer is free for the request");
    return r < 0 ? r : proceed(c);
}

MUST_USE static int on_bytes(struct connection *c, char *data, size_t size)
{
    size_t used, left;
    int r;

    if (c->state == CONNECTION_LINGER || c->is_deaf)
        return ACTOR_OK;
    if (c->state == CONNECTION_BODY)
        set_deadline(c, c->server->limits.body_timeout_ms);
    if (c->input == NULL && !must_wait(c)) {
        r = process(c, data, size, &used, &left);
        if (r < 0)
            return r;
        r = keep_input(c, data + used, left);
        if (r == -ENOBUFS || r == -EMSGSIZE)
            return shed(c);
        return r < 0 ? r : proceed(c);
    }
    r = keep_input(c, data, size);
    if (r == -ENOBUFS || r == -EMSGSIZE)
        return shed(c);
    if (r == 0)
        r = process_input(c);
    return r < 0 ? r : proceed(c);
}

static void release_lent(struct connection *c)
{
    if (!c->has_lent)
        return;
    c->has_lent = false;
    io_buffer_release(c->actor.shard->io, c->lent_index);
}

MUST_USE static int on_received(struct connection *c, const struct io_result *result)
{
    int r;

    if (result->value > 0) {
        /* Noted first: a handler that panics leaves it to release(). */
        assert(!c->has_lent);
        c->has_lent = true;
        c->lent_index = result->buffer_index;
        /* The lent bytes are ours until released, so chunks may be decoded in place. */
        r = on_bytes(c, (char *)(uintptr_t)result->data, (size_t)result->value);
        release_lent(c);
        return r;
    }
    if (result->value == -ECANCELED && !c->is_receiving_wanted)
        return ACTOR_OK;
    if (result->value == -ECANCELED)
        return proceed(c);
    if (result->value < 0)
        return ACTOR_STOP; /* reset: nobody is there to be answered */
    c->peer_closed = true;
    return proceed(c);
}

MUST_USE static int on_sent(struct connection *c, const struct io_result *result)
{
    int r;

    if (result->value < 0)
        return ACTOR_STOP;
    c->write_deadline_ns = UINT64_MAX;
    c->output_sent += (uint32_t)result->value;
    if (c->output_sent == c->output->size) {
        buffer_unref(&c->output);
        c->output = c->output_next;
        c->output_next = NULL;
        c->output_sent = 0;
    }
    send_output(c);
    if (c->state == CONNECTION_IDLE && c->output == NULL)
        set_deadline(c, c->server->limits.idle_timeout_ms);
    r = process_input(c);
    return r < 0 ? r : proceed(c);
}

MUST_USE static int on_io(struct connection *c, const struct message_io *io)
{
    if (io->op == &c->recv_op)
        return on_received(c, io->result);
    if (io->op == &c->send_op)
        return on_sent(c, io->result);
    assert(c->fin_sent);
    assert(io->op == &c->shutdown_op);
    return c->peer_closed ? ACTOR_STOP : ACTOR_OK;
}

MUST_USE static int on_deadline(struct connection *c)
{
    int r;

    switch ((enum connection_state)c->state) {
    case CONNECTION_IDLE:
        if (has_nothing_to_do(c))
            return ACTOR_STOP;
        set_deadline(c, UINT64_MAX); /* what is being sent has its own deadline */
        return ACTOR_OK;
    case CONNECTION_LINGER:
        return ACTOR_STOP;
    case CONNECTION_PENDING:
        c->exchange.keep_alive = false;
        r = refuse(c, PROBLEM_ANSWER_TIMEOUT,
                   "the answer did not come in time; what was asked may "
                   "still happen, and is safe to repeat");
        return r < 0 ? r : proceed(c);
    case CONNECTION_HEAD:
        begin_exchange(c, NULL);
        r = refuse(c, PROBLEM_REQUEST_TIMEOUT, "the request head did not come in time");
        return r < 0 ? r : proceed(c);
    case CONNECTION_BODY:
        r = refuse(c, PROBLEM_REQUEST_TIMEOUT, "the request body stalled");
        return r < 0 ? r : proceed(c);
    }
    return ACTOR_STOP;
}

MUST_USE static int on_timer(struct connection *c)
{
    uint64_t now_ns = c->actor.shard->clock.mono_ns;

    c->timer_armed_ns = UINT64_MAX;
    if (c->write_deadline_ns <= now_ns)
        return ACTOR_STOP;
    if (c->deadline_ns <= now_ns) {
        int r = on_deadline(c);

        if (r != ACTOR_OK)
            return r;
    }
    arm_timer(c);
    return ACTOR_OK;
}

/* An answer that is begun is finished and the last; proceed() ends what has nothing to do. */
MUST_USE static int on_stop(struct connection *c)
{
    c->is_stopping = true;
    return proceed(c);
}

MUST_USE static int on_reply(struct connection *c, const struct message *msg)
{
    struct exchange *x = &c->exchange;
    int r;

    if (c->state != CONNECTION_PENDING || msg->token != x->token)
        return ACTOR_OK; /* answered without it, when its time was over */
    assert(x->route->on_reply != NULL);
    x->keep_alive = x->keep_alive && !must_close(c);
    r = x->route->on_reply(x, msg);
    if (r < 0)
        return r;
    if (r == EXCHANGE_PENDING)
        return ACTOR_OK;
    assert(r == EXCHANGE_ANSWERED);
    end_exchange(c);
    r = process_input(c);
    return r < 0 ? r : proceed(c);
}

MUST_USE static int on_message(struct connection *c, const struct message *msg)
{
    switch (msg->type) {
    case MSG_IO:
        return on_io(c, &msg->as.io);
    case MSG_TIMER:
        return on_timer(c);
    case MSG_STOP:
        return on_stop(c);
    default:
        return on_reply(c, msg);
    }
}

static int receive(struct actor *self, const struct message *msg)
{
    struct connection *c = connection_of(self);
    int r;

    connection_check(c);
    r = on_message(c, msg);
    /* No buffer for an answer is overload, which ends the connection, not a failure of it. */
    return r == -ENOBUFS ? ACTOR_STOP : r;
}

static int start(struct actor *self)
{
    struct connection *c = connection_of(self);

    actor_op_init(self, &c->recv_op);
    actor_op_init(self, &c->send_op);
    actor_timer_init(self, &c->timer);
    list_init(&c->idle_link);
    c->write_deadline_ns = UINT64_MAX;
    c->timer_armed_ns = UINT64_MAX;
    c->is_receiving_wanted = true;
    enter_idle(c);
    update_idle(c);
    io_recv(self->shard->io, &c->recv_op, c->fd);
    return 0;
}

static void release(struct actor *self)
{
    struct connection *c = connection_of(self);

    list_remove(&c->idle_link);
    release_lent(c);
    buffer_unref(&c->input);
    release_decoded(c);
    buffer_unref(&c->output);
    buffer_unref(&c->output_next);
    io_close_now(self->shard->io, c->fd);
    abandon_exchange(c); /* the handler's code comes last: if it panics, all else is done */
}

static void free_connection(struct actor *self)
{
    struct connection *c = connection_of(self);
    struct http_server *server = c->server;
    void *slot = c;

    assert(server->connection_count > 0);
    server->connection_count--;
    metrics_set(&self->shard->metrics, server->metrics->connections, server->connection_count);
    pool_release(&server->connections, &slot);
}

const struct actor_type connection_type = {
    .name = "connection",
    .start = start,
    .receive = receive,
    .release = release,
    .free = free_connection,
    .mailbox_max = 16,
};

int connection_open(struct http_server *server, int fd)
{
    struct connection *c = pool_acquire(&server->connections);
    void *slot = c;
    int r;

    if (c == NULL) {
        io_close_now(server->shard->io, fd);
        return -EAGAIN;
    }
    memset(c, 0, sizeof(*c));
    c->server = server;
    c->fd = fd;
    r = supervisor_start_child(server->supervisor, &c->actor);
    if (r < 0) {
        io_close_now(server->shard->io, fd);
        pool_release(&server->connections, &slot);
        return r;
    }
    server->connection_count++;
    metrics_set(&server->shard->metrics, server->metrics->connections, server->connection_count);
    metrics_add(&server->shard->metrics, server->metrics->connections_accepted, 1);
    return 0;
}

bool connection_close_idle(struct http_server *server)
{
    struct list_node *node = list_pop_front(&server->idle);

    if (node == NULL)
        return false;
    actor_stop(server->shard, container_of(node, struct connection, idle_link)->actor.id);
    return true;
}

bool connection_can_evict(const struct http_server *server)
{
    uint64_t now_ns = server->shard->clock.mono_ns;
    const struct connection *longest;
    uint64_t idle_since_ns;

    if (list_is_empty(&server->idle))
        return false;
    longest = container_of(server->idle.next, struct connection, idle_link);
    assert(longest->state == CONNECTION_IDLE);
    idle_since_ns = longest->deadline_ns - server->limits.idle_timeout_ms * 1000000;
    return idle_since_ns + CONNECTION_EVICT_IDLE_MS * UINT64_C(1000000) <= now_ns;
}

bool connection_evict(struct http_server *server)
{
    if (!connection_can_evict(server))
        return false;
    metrics_add(&server->shard->metrics, server->metrics->connections_evicted, 1);
    return connection_close_idle(server);
}
