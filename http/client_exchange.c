#include "http/client_exchange.h"

#include <errno.h>

#include "http/client_internals.h"
#include "http/request_head.h"
#include "http/retry_after.h"

/*
 * The answer is gathered in one buffer: the bytes of its head as they came, then the
 * body without its framing. What comes together with the end of the head is moved there
 * in place; framing only takes bytes away, so a move never meets what is still unread.
 *
 *     input:  | head, raw, head_size | body, decoded, body_size | ...
 *
 * The head stays so that it can be parsed once more when the call is told: there is one
 * struct http_response for the whole client, and a head of 16 KiB may be anywhere by then.
 *
 * An answer may come before the request is sent. It is taken, and the connection ends.
 *
 * A kept connection may have been closed by its peer while our request was on its way.
 * That shows as an end before the first byte of an answer. The call is then sent once
 * more, on a new connection, if it is harmless: the method is idempotent, the caller
 * said so, or the request, a small one, could not even be handed to the kernel.
 */
static void exchange_check(const struct client_connection *c)
{
    assert(c->state == CLIENT_CONNECTION_BUSY);
    assert(c->call != NULL);
    assert(c->input == NULL || c->input->size >= c->head_size + c->body_size);
}

static struct request_head request_head_of(const struct http_client_call *call)
{
    return (struct request_head){.method = call->method,
                                 .url = &call->parts,
                                 .headers = call->headers,
                                 .header_count = call->header_count,
                                 .user_agent = call->client->config.user_agent,
                                 .content_length = call->body.size};
}

/* The client's own lack of room is no fault of the peer. */
static void fail_for_room(struct client_connection *c, int error)
{
    assert(error == -ENOBUFS || error == -EMSGSIZE);
    client_connection_fail(c, HTTP_CLIENT_NO_CAPACITY, error);
}

void client_exchange_begin(struct client_connection *c)
{
    struct http_client_call *call = c->call;
    struct request_head head = request_head_of(call);
    int r;

    exchange_check(c);
    assert(c->output == NULL);
    assert(c->input == NULL);
    c->head_size = 0;
    c->body_size = 0;
    c->interim_count = 0;
    c->keep_alive = false;
    c->got_bytes = false;
    c->send_failed = false;
    response_parser_init(&c->parser, c->client->config.head_size_max,
                         call->method == HTTP_METHOD_HEAD);
    r = buffer_acquire(c->client->buffers, request_head_size_max(&head) + call->body.size,
                       &c->output);
    if (r < 0) {
        fail_for_room(c, r);
        return;
    }
    c->output->size = (uint32_t)request_head_write(&head, c->output->data);
    if (call->body.size > 0)
        memcpy(c->output->data + c->output->size, call->body.data, call->body.size);
    c->output->size += (uint32_t)call->body.size;
    call->result.stage = HTTP_CLIENT_SENDING;
    client_connection_send(c);
}

void client_exchange_on_sent(struct client_connection *c, int error)
{
    exchange_check(c);
    if (error < 0)
        c->send_failed = c->output->size <= HTTP_CLIENT_REPEAT_SIZE_MAX;
    buffer_unref(&c->output);
    /* After an error, what has come tells more: an answer, or that the connection is gone. */
    if (error < 0)
        c->keep_alive = false;
}

void client_exchange_hand_over(struct client_connection *c, struct http_client_call *call)
{
    assert(call->input == NULL);
    call->input = c->input;
    call->head_size = c->head_size;
    c->input = NULL;
    if (call->input != NULL)
        call->input->size = (uint32_t)(c->head_size + c->body_size);
}

/* The answer is whole. has_more: bytes follow that nobody asked for. */
static void complete(struct client_connection *c, bool has_more)
{
    struct http_client_call *call = c->call;
    bool may_keep = c->keep_alive && !has_more && !c->peer_closed && c->output == NULL;

    client_exchange_hand_over(c, call);
    c->call = NULL;
    client_call_finish(call, HTTP_CLIENT_RESPONSE, 0);
    if (may_keep)
        client_connection_keep(c);
    else
        client_connection_close(c);
}

/* Room for size bytes behind those that are in input. 0 or -errno. */
static int make_room(struct client_connection *c, size_t size)
{
    if (c->input == NULL)
        return buffer_acquire(c->client->buffers, size, &c->input);
    if (c->input->capacity - c->input->size >= size)
        return 0;
    return buffer_grow(&c->input, c->input->size + size);
}

/*
 * Adds bytes to the body. They may lie in input, behind its end, from a time when that was
 * raw. False when the call has ended.
 */
static bool store(struct client_connection *c, struct slice piece)
{
    size_t room = c->call->body_size_max - c->body_size;
    size_t size = min_u64(piece.size, room);
    int r = make_room(c, size);

    if (r < 0) {
        fail_for_room(c, r);
        return false;
    }
    if (size > 0)
        memmove(c->input->data + c->input->size, piece.data, size);
    c->input->size += (uint32_t)size;
    c->body_size += size;
    if (size == piece.size)
        return true;
    client_connection_fail(c, HTTP_CLIENT_TOO_LARGE, 0);
    return false;
}

static void take_length(struct client_connection *c, struct slice bytes)
{
    struct slice piece = {bytes.data, min_u64(bytes.size, c->body_left)};

    c->body_left -= piece.size;
    if (store(c, piece) && c->body_left == 0)
        complete(c, piece.size < bytes.size);
}

static void take_chunks(struct client_connection *c, struct slice bytes)
{
    while (true) {
        struct slice piece = {NULL, 0};
        size_t consumed = 0;
        enum chunked_result result = CHUNKED_NEED_MORE;

        if (bytes.size > 0)
            result = chunked_feed(&c->chunked, bytes.data, bytes.size, &consumed, &piece);
        bytes = (struct slice){bytes.data + consumed, bytes.size - consumed};
        switch (result) {
        case CHUNKED_DATA:
            if (!store(c, piece))
                return;
            break;
        case CHUNKED_NEED_MORE:
            return;
        case CHUNKED_DONE:
            complete(c, bytes.size > 0);
            return;
        case CHUNKED_BAD:
        case CHUNKED_TOO_LARGE:
            client_connection_fail(c, HTTP_CLIENT_BAD_RESPONSE, 0);
            return;
        }
    }
}

static void take_body(struct client_connection *c, struct slice bytes)
{
    switch ((enum response_body)c->body_kind) {
    case RESPONSE_BODY_NONE:
        complete(c, bytes.size > 0);
        break;
    case RESPONSE_BODY_LENGTH:
        take_length(c, bytes);
        break;
    case RESPONSE_BODY_CHUNKED:
        take_chunks(c, bytes);
        break;
    case RESPONSE_BODY_UNTIL_CLOSE:
        (void)store(c, bytes);
        break;
    }
}

/* Notes what the head says that is needed before the call is told. */
static void note_head(struct client_connection *c, const struct http_response *response)
{
    struct http_client_result *result = &c->call->result;

    c->head_size = response->head_size;
    c->body_kind = (uint8_t)response->body;
    c->body_left = response->content_length;
    c->keep_alive = response->keep_alive && !c->send_failed;
    chunked_init(&c->chunked, INT64_MAX);
    result->status = response->status;
    result->has_retry_after =
        response->retry_after.data != NULL &&
        retry_after_parse(response->retry_after, c->client->actor.shard->clock.unix_ms,
                          &result->retry_after_ms);
}

/* The head is whole; what lies behind it in input is raw body. */
static void begin_body(struct client_connection *c, const struct http_response *response)
{
    size_t size_max = c->call->body_size_max;
    size_t raw_size;
    int r = 0;

    note_head(c, response);
    raw_size = c->input->size - c->head_size;
    if (response->body == RESPONSE_BODY_LENGTH &&
        min_u64(response->content_length, size_max) > raw_size)
        r = make_room(c, min_u64(response->content_length, size_max) - raw_size);
    if (r < 0) {
        fail_for_room(c, r);
        return;
    }
    c->input->size = (uint32_t)c->head_size;
    take_body(c, (struct slice){c->input->data + c->head_size, raw_size});
}

/* A 1xx: thrown away, the final answer is to come. False when the call has ended. */
static bool skip_interim(struct client_connection *c, const struct http_response *response)
{
    size_t left = c->input->size - response->head_size;

    /* Nobody asked for another protocol. */
    if (response->status == 101 || ++c->interim_count > HTTP_CLIENT_INTERIM_COUNT_MAX) {
        client_connection_fail(c, HTTP_CLIENT_BAD_RESPONSE, 0);
        return false;
    }
    memmove(c->input->data, c->input->data + response->head_size, left);
    c->input->size = (uint32_t)left;
    response_parser_init(&c->parser, c->client->config.head_size_max,
                         c->call->method == HTTP_METHOD_HEAD);
    return true;
}

static void take_head(struct client_connection *c, const char *data, size_t size)
{
    struct http_response *response = &c->client->response;
    int r = make_room(c, size);

    if (r < 0) {
        fail_for_room(c, r);
        return;
    }
    memcpy(c->input->data + c->input->size, data, size);
    c->input->size += (uint32_t)size;
    while (c->input->size > 0) {
        switch (response_parser_feed(&c->parser, c->input->data, c->input->size, response)) {
        case HTTP_PARSE_NEED_MORE:
            return;
        case HTTP_PARSE_BAD:
            client_connection_fail(c, HTTP_CLIENT_BAD_RESPONSE, 0);
            return;
        case HTTP_PARSE_DONE:
            break;
        }
        if (response->status >= 200) {
            begin_body(c, response);
            return;
        }
        if (!skip_interim(c, response))
            return;
    }
}

void client_exchange_on_bytes(struct client_connection *c, const char *data, size_t size)
{
    exchange_check(c);
    assert(size > 0);
    if (!c->got_bytes) {
        c->got_bytes = true;
        c->call->result.first_byte_ns = client_now_ns(c->client);
        c->call->result.stage = HTTP_CLIENT_RECEIVING;
    }
    if (c->head_size == 0)
        take_head(c, data, size);
    else
        take_body(c, (struct slice){data, size});
}

/* True when the call may be sent again without doing anything twice. */
static bool may_repeat(const struct client_connection *c)
{
    const struct http_client_call *call = c->call;

    if (!c->is_reused || c->got_bytes || call->result.was_repeated)
        return false;
    return call->is_repeatable || http_method_is_idempotent(call->method) || c->send_failed;
}

void client_exchange_on_end(struct client_connection *c, int error)
{
    struct http_client_call *call = c->call;

    exchange_check(c);
    assert(error <= 0);
    c->peer_closed = true;
    if (c->head_size > 0 && c->body_kind == RESPONSE_BODY_UNTIL_CLOSE && error == 0) {
        complete(c, false);
    } else if (may_repeat(c)) {
        c->call = NULL;
        client_call_repeat(call);
        client_connection_close(c);
    } else {
        client_connection_fail(c, HTTP_CLIENT_CLOSED_EARLY, error);
    }
}
