#include "tests/http/raw_client.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Everything goes through go_on(), which looks at the state and does what is next;
 * completions and calls only note what happened. A descriptor is closed when none
 * of its operations is armed, as io.h asks.
 */

enum { REQUEST_SIZE_MAX = 4096 };

static void go_on(struct raw_client *c);

static void client_check(const struct raw_client *c)
{
    assert(c->world != NULL);
    assert(c->out_sent <= c->out_size);
    assert(c->in_read <= c->in_size);
}

static void append(char **bytes, size_t *size, size_t *capacity, const char *data, size_t data_size)
{
    if (*size + data_size > *capacity) {
        *capacity = max_u64(*capacity * 2, *size + data_size + 1024);
        *bytes = realloc(*bytes, *capacity);
        assert(*bytes != NULL);
    }
    if (data_size > 0)
        memcpy(*bytes + *size, data, data_size);
    *size += data_size;
}

static void begin_close(struct raw_client *c)
{
    if (c->state >= RAW_CLIENT_CLOSING)
        return;
    c->state = RAW_CLIENT_CLOSING;
    sim_world_unschedule(c->world, &c->pause_over);
    io_cancel(c->io, &c->connect_op);
    io_cancel(c->io, &c->recv_op);
    io_cancel(c->io, &c->send_op);
}

static void send_piece(struct raw_client *c)
{
    size_t size = c->out_size - c->out_sent;

    if (size == 0 && c->end_wanted && c->plain_written == c->plain_size) {
        c->end_wanted = false;
        io_shutdown(c->io, &c->shutdown_op, c->fd, SHUT_WR);
    }
    if (size == 0)
        return;
    if (c->piece_size_max > 0)
        size = min_u64(size, 1 + rng_below(&c->world->rng, c->piece_size_max));
    /* A copy, because the bytes are lent to the operation while more may be appended. */
    c->piece = realloc(c->piece, size);
    assert(c->piece != NULL);
    memcpy(c->piece, c->out + c->out_sent, size);
    io_send(c->io, &c->send_op, c->fd, c->piece, (uint32_t)size);
}

/* Moves what TLS has to say to out, and what is to be sent into TLS. */
static void pump_tls(struct raw_client *c)
{
    char wire[TLS_CLIENT_WIRE_SIZE];
    size_t size = 1;

    while (size > 0) {
        size = tls_client_take_wire(c->tls, wire, sizeof(wire));
        append(&c->out, &c->out_size, &c->out_capacity, wire, size);
        if (size > 0)
            continue;
        size =
            tls_client_write(c->tls, c->plain + c->plain_written, c->plain_size - c->plain_written);
        c->plain_written += size;
    }
}

/* Takes bytes of the wire; what is plain in them has come. */
static void on_wire(struct raw_client *c, const char *data, size_t size)
{
    while (size > 0) {
        size_t fed = tls_client_feed(c->tls, data, size);
        struct slice plain;

        data += fed;
        size -= fed;
        while ((plain = tls_client_plain(c->tls)).size > 0) {
            append(&c->in, &c->in_size, &c->in_capacity, plain.data, plain.size);
            tls_client_plain_taken(c->tls, plain.size);
        }
        pump_tls(c);
        c->saw_farewell |= tls_client_is_finished(c->tls);
        c->tls_error = tls_client_error(c->tls);
        if (fed == 0)
            return;
    }
}

static void go_on(struct raw_client *c)
{
    client_check(c);
    if (c->tls != NULL && c->state == RAW_CLIENT_OPEN)
        pump_tls(c);
    if (c->state == RAW_CLIENT_CLOSING) {
        if (!io_op_is_armed(&c->connect_op) && !io_op_is_armed(&c->recv_op) &&
            !io_op_is_armed(&c->send_op) && !io_op_is_armed(&c->shutdown_op) &&
            !io_op_is_armed(&c->close_op))
            io_close(c->io, &c->close_op, c->fd);
        return;
    }
    if (c->state != RAW_CLIENT_OPEN)
        return;
    if (!io_op_is_armed(&c->send_op) && !io_op_is_armed(&c->shutdown_op) &&
        !sim_event_is_pending(&c->pause_over))
        send_piece(c);
    if (!io_op_is_armed(&c->recv_op) && !c->reading_paused && !c->saw_end && !c->saw_reset)
        io_recv(c->io, &c->recv_op, c->fd);
}

static void on_connect(struct io_op *op, const struct io_result *result)
{
    struct raw_client *c = container_of(op, struct raw_client, connect_op);

    if (c->state == RAW_CLIENT_CONNECTING && result->value == 0) {
        c->state = RAW_CLIENT_OPEN;
    } else {
        c->refused = result->value != -ECANCELED;
        begin_close(c);
    }
    go_on(c);
}

static void on_recv(struct io_op *op, const struct io_result *result)
{
    struct raw_client *c = container_of(op, struct raw_client, recv_op);

    if (result->value > 0) {
        if (c->tls != NULL)
            on_wire(c, result->data, (size_t)result->value);
        else
            append(&c->in, &c->in_size, &c->in_capacity, result->data, (size_t)result->value);
        io_buffer_release(c->io, result->buffer_index);
    } else if (result->value == 0) {
        c->saw_end = true;
    } else if (result->value != -ECANCELED) {
        c->saw_reset = true;
    }
    if (c->saw_reset || (c->saw_end && !c->stays_open))
        begin_close(c);
    if (!result->more || c->tls != NULL)
        go_on(c);
}

static void on_send(struct io_op *op, const struct io_result *result)
{
    struct raw_client *c = container_of(op, struct raw_client, send_op);

    if (result->value < 0) {
        /* What the server said before is still to be read, if it is there. */
        c->out_size = c->out_sent;
        c->plain_size = c->plain_written;
        c->end_wanted = false;
    } else {
        c->out_sent += (size_t)result->value;
    }
    if (c->state == RAW_CLIENT_OPEN && c->piece_size_max > 0 && c->pause_ns_max > 0)
        sim_world_schedule(c->world, &c->pause_over, rng_below(&c->world->rng, c->pause_ns_max));
    go_on(c);
}

static void on_shutdown(struct io_op *op, const struct io_result *result)
{
    struct raw_client *c = container_of(op, struct raw_client, shutdown_op);

    assert(result->value <= 0);
    go_on(c);
}

static void on_close(struct io_op *op, const struct io_result *result)
{
    struct raw_client *c = container_of(op, struct raw_client, close_op);

    assert(result->value == 0);
    c->state = RAW_CLIENT_CLOSED;
    c->fd = -1;
}

static void on_pause_over(struct sim_event *event)
{
    go_on(container_of(event, struct raw_client, pause_over));
}

struct raw_client *raw_client_new(struct sim_world *world, struct io *io,
                                  const struct sockaddr *address, socklen_t address_size)
{
    struct raw_client *c = calloc(1, sizeof(*c));

    assert(c != NULL);
    c->world = world;
    c->io = io;
    c->address = address;
    c->address_size = address_size;
    c->pause_over.on_due = on_pause_over;
    list_init(&c->link);
    io_op_init(&c->connect_op, on_connect);
    io_op_init(&c->recv_op, on_recv);
    io_op_init(&c->send_op, on_send);
    io_op_init(&c->shutdown_op, on_shutdown);
    io_op_init(&c->close_op, on_close);
    c->fd = io_socket(io, address->sa_family);
    assert(c->fd >= 0);
    io_connect(io, &c->connect_op, c->fd, address, address_size);
    return c;
}

void raw_client_free(struct raw_client **client)
{
    struct raw_client *c = *client;

    if (c == NULL)
        return;
    sim_world_unschedule(c->world, &c->pause_over);
    list_remove(&c->link);
    free(c->in);
    free(c->out);
    free(c->piece);
    free(c->plain);
    free(c->tls);
    free(c);
    *client = NULL;
}

void raw_client_start_tls(struct raw_client *c, const struct trust_store *trust, const char *name,
                          const br_ssl_session_parameters *session)
{
    uint8_t seed[TLS_CLIENT_SEED_SIZE];
    uint64_t mono_ns, unix_ms;

    assert(c->out_size == 0);
    c->tls = malloc(sizeof(*c->tls));
    assert(c->tls != NULL);
    rng_fill(&c->world->rng, seed, sizeof(seed));
    c->world->clock_source.read(&c->world->clock_source, &mono_ns, &unix_ms);
    tls_client_start(c->tls, trust, slice_of(name), session, unix_ms, seed);
    go_on(c);
}

void raw_client_send_wire(struct raw_client *c, const char *data, size_t size)
{
    append(&c->out, &c->out_size, &c->out_capacity, data, size);
    go_on(c);
}

void raw_client_farewell(struct raw_client *c)
{
    pump_tls(c);
    assert(c->plain_written == c->plain_size);
    br_ssl_engine_close(&c->tls->engine.eng);
    go_on(c);
}

void raw_client_send(struct raw_client *c, const char *data, size_t size)
{
    if (c->tls != NULL)
        append(&c->plain, &c->plain_size, &c->plain_capacity, data, size);
    else
        append(&c->out, &c->out_size, &c->out_capacity, data, size);
    go_on(c);
}

void raw_client_send_text(struct raw_client *c, const char *text)
{
    raw_client_send(c, text, strlen(text));
}

void raw_client_ask(struct raw_client *c, const char *method, const char *path, const char *fields)
{
    char text[REQUEST_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nhost: weir\r\n%s\r\n", method, path,
                        fields);

    assert(size < REQUEST_SIZE_MAX);
    raw_client_send(c, text, (size_t)size);
}

void raw_client_post(struct raw_client *c, const char *path, const char *fields, const char *body,
                     size_t body_size)
{
    char text[REQUEST_SIZE_MAX];
    int size = snprintf(text, sizeof(text),
                        "POST %s HTTP/1.1\r\nhost: weir\r\n%scontent-length: %zu\r\n\r\n", path,
                        fields, body_size);

    assert(size < REQUEST_SIZE_MAX);
    raw_client_send(c, text, (size_t)size);
    raw_client_send(c, body, body_size);
}

void raw_client_post_chunked(struct raw_client *c, const char *path, const char *fields,
                             const char *body, size_t body_size, size_t chunk_size_max)
{
    char text[REQUEST_SIZE_MAX];
    int size = snprintf(text, sizeof(text),
                        "POST %s HTTP/1.1\r\nhost: weir\r\n%stransfer-encoding: chunked\r\n\r\n",
                        path, fields);

    assert(size < REQUEST_SIZE_MAX);
    raw_client_send(c, text, (size_t)size);
    for (size_t i = 0; i < body_size;) {
        size_t count = min_u64(1 + rng_below(&c->world->rng, chunk_size_max), body_size - i);

        size = snprintf(text, sizeof(text), "%zx\r\n", count);
        raw_client_send(c, text, (size_t)size);
        raw_client_send(c, body + i, count);
        raw_client_send_text(c, "\r\n");
        i += count;
    }
    raw_client_send_text(c, "0\r\n\r\n");
}

void raw_client_finish(struct raw_client *c)
{
    c->end_wanted = true;
    go_on(c);
}

void raw_client_drop(struct raw_client *c)
{
    begin_close(c);
    go_on(c);
}

void raw_client_pause_reading(struct raw_client *c, bool paused)
{
    c->reading_paused = paused;
    if (paused)
        io_cancel(c->io, &c->recv_op);
    else
        go_on(c);
}

struct slice raw_answer_field(const struct raw_answer *answer, const char *name)
{
    size_t name_size = strlen(name);
    const char *line = answer->head.data;
    const char *end = answer->head.data + answer->head.size;

    while (line < end) {
        const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        size_t size = (size_t)((next == NULL ? end : next) - line);

        if (size > name_size + 1 && line[name_size] == ':' &&
            strncasecmp(line, name, name_size) == 0)
            return (struct slice){line + name_size + 2, size - name_size - 2};
        line += size + 2;
    }
    return (struct slice){NULL, 0};
}

/* The answer that begins at offset. Its size, or 0 when it is not there wholly. */
static size_t parse_answer(const struct raw_client *c, size_t offset, bool is_head,
                           struct raw_answer *ret_answer)
{
    size_t left = c->in_size - offset;
    const char *at = c->in + offset;
    const char *end = left > 0 ? memmem(at, left, "\r\n\r\n", 4) : NULL;
    struct raw_answer answer = {0};
    struct slice length;
    size_t body_size = 0;

    if (end == NULL)
        return 0;
    answer.head = (struct slice){at, (size_t)(end - at)};
    assert(answer.head.size >= 13);
    assert(memcmp(at, "HTTP/1.1 ", 9) == 0);
    for (uint32_t i = 9; i < 12; i++) {
        assert(at[i] >= '0' && at[i] <= '9');
        answer.status = answer.status * 10 + (uint32_t)(at[i] - '0');
    }
    assert(at[12] == ' ');
    length = raw_answer_field(&answer, "content-length");
    assert((length.data != NULL) == (answer.status >= 200 && answer.status != 204));
    for (size_t i = 0; i < length.size; i++)
        body_size = body_size * 10 + (size_t)(length.data[i] - '0');
    if (is_head && answer.status >= 200)
        body_size = 0;
    if (left < answer.head.size + 4 + body_size)
        return 0;
    answer.body = (struct slice){end + 4, body_size};
    answer.says_close =
        slice_equal(raw_answer_field(&answer, "connection"), SLICE_LITERAL("close"));
    *ret_answer = answer;
    return answer.head.size + 4 + body_size;
}

bool raw_client_next(struct raw_client *c, bool is_head, struct raw_answer *ret_answer)
{
    size_t size = parse_answer(c, c->in_read, is_head, ret_answer);

    c->in_read += size;
    return size > 0;
}

bool raw_client_next_has(struct raw_client *c, uint32_t status, const char *body, size_t body_size)
{
    struct raw_answer answer;

    return raw_client_next(c, false, &answer) && answer.status == status &&
           slice_equal(answer.body, (struct slice){body, body_size});
}

bool raw_client_next_is(struct raw_client *c, uint32_t status, const char *body)
{
    return raw_client_next_has(c, status, body, strlen(body));
}

bool raw_answer_says(const struct raw_answer *answer, const char *name, const char *value)
{
    return slice_equal(raw_answer_field(answer, name), slice_of(value));
}

uint32_t raw_client_answer_count(struct raw_client *c)
{
    struct raw_answer answer;
    size_t size;

    while ((size = parse_answer(c, c->in_counted, false, &answer)) > 0) {
        c->answer_count += answer.status >= 200;
        c->in_counted += size;
    }
    return c->answer_count;
}

size_t raw_client_unread_size(const struct raw_client *c)
{
    return c->in_size - c->in_read;
}
