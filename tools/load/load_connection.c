/*
 * One multishot receive is armed from connect to close; what comes is read by load_answer.
 *
 * A failed send says nothing by itself: the receive tells how the connection ended, and
 * maybe an answer that came before. A closing connection cancels what is armed, waits for
 * it, then closes the descriptor; only then is it free for the next request.
 */
#include "tools/load/load_connection.h"

#include <errno.h>
#include <unistd.h>

static void load_connection_check(const struct load_connection *connection)
{
    assert(connection->peer != NULL);
    assert((connection->tls == NULL) == (connection->wire == NULL));
    assert((connection->fd >= 0) == (connection->state != LOAD_CONNECTION_CLOSED));
    assert(connection->state != LOAD_CONNECTION_BUSY || connection->has_request ||
           connection->is_answered);
}

static struct load_connection_owner *owner_of(const struct load_connection *connection)
{
    return connection->peer->owner;
}

/* --- closing -------------------------------------------------------------- */

static void step_close(struct load_connection *connection)
{
    assert(connection->state == LOAD_CONNECTION_CLOSING);
    if (io_op_is_armed(&connection->recv) || io_op_is_armed(&connection->send) ||
        io_op_is_armed(&connection->connect) || io_op_is_armed(&connection->close))
        return;
    io_close(connection->peer->io, &connection->close, connection->fd);
}

static void begin_close(struct load_connection *connection)
{
    struct io *io = connection->peer->io;

    assert(connection->state != LOAD_CONNECTION_CLOSED);
    assert(!connection->has_request);
    if (connection->state == LOAD_CONNECTION_CLOSING)
        return;
    connection->state = LOAD_CONNECTION_CLOSING;
    io_cancel(io, &connection->recv);
    io_cancel(io, &connection->send);
    io_cancel(io, &connection->connect);
    step_close(connection);
}

static void on_closed(struct io_op *op, const struct io_result *result)
{
    struct load_connection *connection = container_of(op, struct load_connection, close);

    (void)result; /* the descriptor is gone whatever it says */
    connection->fd = -1;
    connection->state = LOAD_CONNECTION_CLOSED;
    owner_of(connection)->on_free(owner_of(connection), connection);
}

static void fail(struct load_connection *connection, enum load_error error)
{
    if (connection->state == LOAD_CONNECTION_CLOSING)
        return;
    if (connection->state == LOAD_CONNECTION_IDLE)
        owner_of(connection)->on_lost(owner_of(connection), connection);
    connection->has_failed = error == LOAD_ERROR_CONNECT || error == LOAD_ERROR_TLS;
    if (connection->has_request) {
        connection->has_request = false;
        owner_of(connection)->on_fail(owner_of(connection), connection, error);
    }
    begin_close(connection);
}

void load_connection_abort(struct load_connection *connection, enum load_error error)
{
    load_connection_check(connection);
    if (connection->state != LOAD_CONNECTION_CLOSED)
        fail(connection, error);
}

/* --- sending -------------------------------------------------------------- */

static void send_plain(struct load_connection *connection)
{
    struct slice request = connection->request;

    connection->request = (struct slice){NULL, 0};
    connection->peer->bytes_out += request.size;
    io_send(connection->peer->io, &connection->send, connection->fd, request.data,
            (uint32_t)request.size);
}

/* Sends what TLS has for the wire, made of the request when there is one. */
static void send_secure(struct load_connection *connection)
{
    size_t size = 0;

    if (io_op_is_armed(&connection->send))
        return;
    while (size < TLS_CLIENT_WIRE_SIZE) {
        size_t taken = tls_client_take_wire(connection->tls, connection->wire + size,
                                            TLS_CLIENT_WIRE_SIZE - size);
        size_t written = 0;

        if (connection->state == LOAD_CONNECTION_BUSY && connection->request.size > 0)
            written = tls_client_write(connection->tls, connection->request.data,
                                       connection->request.size);
        connection->request.data += written;
        connection->request.size -= written;
        size += taken;
        if (taken + written == 0)
            break;
    }
    connection->peer->bytes_out += size;
    if (size > 0)
        io_send(connection->peer->io, &connection->send, connection->fd, connection->wire,
                (uint32_t)size);
}

/* The connection stands: the request, if it has one, may go. */
static void begin_request(struct load_connection *connection)
{
    connection->state = LOAD_CONNECTION_BUSY;
    connection->is_answered = false;
    load_answer_begin(&connection->answer, connection->peer->answers_head);
    if (connection->tls == NULL)
        send_plain(connection);
    else
        send_secure(connection);
}

static void become_idle(struct load_connection *connection)
{
    connection->state = LOAD_CONNECTION_IDLE;
    owner_of(connection)->on_free(owner_of(connection), connection);
}

static void become_open(struct load_connection *connection)
{
    connection->has_failed = false;
    if (connection->has_request)
        begin_request(connection);
    else
        become_idle(connection);
}

/* All is sent and answered: what the answer says about the connection holds. */
static void finish(struct load_connection *connection)
{
    if (connection->answer.keeps_alive)
        become_idle(connection);
    else
        begin_close(connection);
}

static void on_sent(struct io_op *op, const struct io_result *result)
{
    struct load_connection *connection = container_of(op, struct load_connection, send);

    if (connection->state == LOAD_CONNECTION_CLOSING) {
        step_close(connection);
        return;
    }
    if (result->value < 0)
        return;
    if (connection->tls != NULL)
        send_secure(connection);
    if (connection->state == LOAD_CONNECTION_BUSY && connection->is_answered &&
        !io_op_is_armed(&connection->send))
        finish(connection);
}

/* --- the answer ----------------------------------------------------------- */

static void on_whole(struct load_connection *connection)
{
    assert(connection->has_request);
    connection->has_request = false;
    connection->is_answered = true;
    owner_of(connection)->on_answer(owner_of(connection), connection, connection->answer.status);
    if (!io_op_is_armed(&connection->send) || !connection->answer.keeps_alive)
        finish(connection);
}

/* Plain bytes have come. */
static void on_bytes(struct load_connection *connection, const char *data, size_t size)
{
    /* Nobody asked for them, or they come after the answer. */
    if (connection->state != LOAD_CONNECTION_BUSY || connection->is_answered) {
        fail(connection, LOAD_ERROR_PROTOCOL);
        return;
    }
    switch (load_answer_feed(&connection->answer, data, size)) {
    case LOAD_ANSWER_MORE:
        break;
    case LOAD_ANSWER_DONE:
        on_whole(connection);
        break;
    case LOAD_ANSWER_BAD:
        fail(connection, LOAD_ERROR_PROTOCOL);
        break;
    }
}

/* --- receiving ------------------------------------------------------------ */

/* Bytes of the wire have come. */
static void on_wire(struct load_connection *connection, const char *data, size_t size)
{
    size_t fed = 0;

    while (connection->state != LOAD_CONNECTION_CLOSING) {
        size_t count = tls_client_feed(connection->tls, data + fed, size - fed);
        struct slice plain = tls_client_plain(connection->tls);

        fed += count;
        if (plain.size > 0) {
            on_bytes(connection, plain.data, plain.size);
            tls_client_plain_taken(connection->tls, plain.size);
        }
        if (tls_client_error(connection->tls) != 0) {
            connection->peer->tls_error = tls_client_error(connection->tls);
            fail(connection, LOAD_ERROR_TLS);
            return;
        }
        if (connection->state == LOAD_CONNECTION_SECURING && tls_client_is_open(connection->tls))
            become_open(connection);
        if (connection->state != LOAD_CONNECTION_CLOSING)
            send_secure(connection);
        if (count == 0 && plain.size == 0)
            break;
    }
    /* The engine takes all, unless our own bytes are stuck in the middle of a handshake. */
    if (fed < size && connection->state != LOAD_CONNECTION_CLOSING)
        fail(connection, LOAD_ERROR_TLS);
}

/* The stream is over. */
static void on_end(struct load_connection *connection)
{
    bool is_waiting = connection->state == LOAD_CONNECTION_BUSY && !connection->is_answered;

    if (is_waiting && load_answer_end(&connection->answer)) {
        on_whole(connection);
    } else {
        fail(connection,
             connection->state == LOAD_CONNECTION_SECURING ? LOAD_ERROR_TLS : LOAD_ERROR_CLOSED);
    }
}

static void on_received(struct io_op *op, const struct io_result *result)
{
    struct load_connection *connection = container_of(op, struct load_connection, recv);

    if (result->value > 0) {
        connection->peer->bytes_in += (uint64_t)result->value;
        if (connection->state != LOAD_CONNECTION_CLOSING && connection->tls == NULL)
            on_bytes(connection, result->data, (size_t)result->value);
        else if (connection->state != LOAD_CONNECTION_CLOSING)
            on_wire(connection, result->data, (size_t)result->value);
        io_buffer_release(connection->peer->io, result->buffer_index);
        return;
    }
    if (connection->state == LOAD_CONNECTION_CLOSING)
        step_close(connection);
    else if (result->value == 0)
        on_end(connection);
    else
        fail(connection, LOAD_ERROR_CLOSED);
}

/* --- opening -------------------------------------------------------------- */

static void secure(struct load_connection *connection)
{
    struct load_peer *peer = connection->peer;
    uint8_t seed[TLS_CLIENT_SEED_SIZE];

    if (rng_secret(&peer->rng, seed, sizeof(seed)) < 0) {
        fail(connection, LOAD_ERROR_TLS);
        return;
    }
    connection->state = LOAD_CONNECTION_SECURING;
    tls_client_start(connection->tls, peer->trust, peer->name, NULL, peer->unix_ms, seed);
    send_secure(connection);
}

static void on_connected(struct io_op *op, const struct io_result *result)
{
    struct load_connection *connection = container_of(op, struct load_connection, connect);

    if (connection->state == LOAD_CONNECTION_CLOSING) {
        step_close(connection);
        return;
    }
    if (result->value < 0) {
        connection->peer->connect_error = result->value;
        fail(connection, LOAD_ERROR_CONNECT);
        return;
    }
    connection->peer->connects++;
    io_recv(connection->peer->io, &connection->recv, connection->fd);
    if (connection->tls != NULL)
        secure(connection);
    else
        become_open(connection);
}

void load_connection_init(struct load_connection *connection, struct load_peer *peer, char *head,
                          struct tls_client *tls, char *wire)
{
    connection->peer = peer;
    load_answer_init(&connection->answer, head, &peer->response);
    connection->tls = tls;
    connection->wire = wire;
    connection->fd = -1;
    connection->state = LOAD_CONNECTION_CLOSED;
    list_init(&connection->link);
    io_op_init(&connection->recv, on_received);
    io_op_init(&connection->send, on_sent);
    io_op_init(&connection->connect, on_connected);
    io_op_init(&connection->close, on_closed);
    load_connection_check(connection);
}

void load_connection_open(struct load_connection *connection)
{
    struct load_peer *peer = connection->peer;
    int fd = io_socket(peer->io, peer->address.as.any.sa_family);

    load_connection_check(connection);
    assert(connection->state == LOAD_CONNECTION_CLOSED);
    if (fd < 0) {
        peer->connect_error = fd;
        if (connection->has_request) {
            connection->has_request = false;
            peer->owner->on_fail(peer->owner, connection, LOAD_ERROR_CONNECT);
        }
        peer->owner->on_lost(peer->owner, connection);
        return;
    }
    connection->fd = fd;
    connection->state = LOAD_CONNECTION_CONNECTING;
    io_connect(peer->io, &connection->connect, fd, &peer->address.as.any,
               address_size(&peer->address));
}

void load_connection_send(struct load_connection *connection, struct slice request)
{
    load_connection_check(connection);
    assert(load_connection_is_free(connection));
    assert(request.size > 0);
    connection->request = request;
    connection->has_request = true;
    if (connection->state == LOAD_CONNECTION_IDLE)
        begin_request(connection);
    else
        load_connection_open(connection);
}

void load_connection_deinit(struct load_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->state = LOAD_CONNECTION_CLOSED;
}
