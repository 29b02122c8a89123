#include "tools/sim/peer.h"

#include <errno.h>
#include <stdlib.h>

/*
 * As raw_client.c: calls and completions note what is wanted, go_on() looks at the state
 * and does what is next. A descriptor is closed when none of its operations is armed.
 */
enum { BACKLOG = 1024 };

static void go_on(struct peer_connection *c);

static void append(char **bytes, size_t *size, size_t *capacity, const char *data, size_t data_size)
{
    if (*size + data_size + 1 > *capacity) {
        *capacity = *capacity * 2 + data_size + 1024;
        *bytes = realloc(*bytes, *capacity);
        assert(*bytes != NULL);
    }
    memcpy(*bytes + *size, data, data_size);
    *size += data_size;
    (*bytes)[*size] = '\0';
}

static size_t content_length_of(struct slice head)
{
    char *text = strndup(head.data, head.size);
    char *field = strcasestr(text, "\r\nContent-Length: ");
    size_t length = field != NULL ? strtoul(field + 18, NULL, 10) : 0;

    free(text);
    return length;
}

/* Tells the test of each request that has come wholly. */
static void take_requests(struct peer_connection *c)
{
    while (c->is_open && c->in_size > c->in_used) {
        char *start = c->in + c->in_used;
        char *end = strstr(start, "\r\n\r\n");
        struct slice head, body;

        if (end == NULL)
            return;
        head = (struct slice){start, (size_t)(end + 4 - start)};
        body = (struct slice){end + 4, content_length_of(head)};
        if (c->in_size - c->in_used < head.size + body.size)
            return;
        c->in_used += head.size + body.size;
        c->request_count++;
        c->peer->request_count++;
        if (c->peer->on_request != NULL)
            c->peer->on_request(c, head, body);
    }
}

static void begin_close(struct peer_connection *c)
{
    c->is_open = false;
    if (c->is_closing)
        return;
    c->is_closing = true;
    sim_world_unschedule(c->peer->world, &c->pause_over);
    io_cancel(c->peer->io, &c->recv_op);
    io_cancel(c->peer->io, &c->send_op);
}

static void send_piece(struct peer_connection *c)
{
    size_t size = c->out_size - c->out_sent;

    if (c->piece_size_max > 0)
        size = min_u64(size, c->piece_size_max);
    c->piece = realloc(c->piece, size);
    assert(c->piece != NULL);
    memcpy(c->piece, c->out + c->out_sent, size);
    io_send(c->peer->io, &c->send_op, c->fd, c->piece, (uint32_t)size);
}

static void go_on(struct peer_connection *c)
{
    bool is_waiting = io_op_is_armed(&c->send_op) || sim_event_is_pending(&c->pause_over);

    if (!c->is_closing && !is_waiting && c->out_sent < c->out_size)
        send_piece(c);
    else if (!c->is_closing && !is_waiting && c->end_wanted)
        begin_close(c);
    if (c->is_closing && c->fd >= 0 && !io_op_is_armed(&c->recv_op) &&
        !io_op_is_armed(&c->send_op)) {
        io_close_now(c->peer->io, c->fd);
        c->fd = -1;
    }
}

static void on_recv(struct io_op *op, const struct io_result *result)
{
    struct peer_connection *c = container_of(op, struct peer_connection, recv_op);

    if (result->value > 0) {
        append(&c->in, &c->in_size, &c->in_capacity, result->data, (size_t)result->value);
        io_buffer_release(c->peer->io, result->buffer_index);
        if (c->peer->on_bytes != NULL && !c->is_closing)
            c->peer->on_bytes(c);
        take_requests(c);
    } else if (result->value != -ECANCELED) {
        c->saw_end = true;
        begin_close(c);
    }
    go_on(c);
}

static void on_sent(struct io_op *op, const struct io_result *result)
{
    struct peer_connection *c = container_of(op, struct peer_connection, send_op);

    if (result->value < 0)
        begin_close(c);
    else
        c->out_sent += (size_t)result->value;
    if (!c->is_closing && c->pause_ns > 0)
        sim_world_schedule(c->peer->world, &c->pause_over, c->pause_ns);
    go_on(c);
}

static void on_pause_over(struct sim_event *event)
{
    go_on(container_of(event, struct peer_connection, pause_over));
}

/* For one more connection. */
static void make_room(struct peer *peer)
{
    if (peer->connection_count < peer->connection_capacity)
        return;
    peer->connection_capacity = peer->connection_capacity * 2 + 64;
    peer->connections =
        realloc(peer->connections, peer->connection_capacity * sizeof(struct peer_connection *));
    assert(peer->connections != NULL);
}

static void on_accept(struct io_op *op, const struct io_result *result)
{
    struct peer *peer = container_of(op, struct peer, accept_op);
    struct peer_connection *c;

    if (!io_op_is_armed(op) && result->value != -ECANCELED)
        io_accept(peer->io, op, peer->fd);
    if (result->value < 0)
        return;
    make_room(peer);
    c = calloc(1, sizeof(*c));
    assert(c != NULL);
    c->peer = peer;
    c->index = peer->connection_count;
    c->fd = result->value;
    c->is_open = true;
    c->pause_over.on_due = on_pause_over;
    io_op_init(&c->recv_op, on_recv);
    io_op_init(&c->send_op, on_sent);
    peer->connections[peer->connection_count++] = c;
    io_recv(peer->io, &c->recv_op, c->fd);
}

static struct address address_of(const char *host, uint16_t port)
{
    struct address address = {0};
    enum address_literal literal =
        address_parse(slice_of(host), strchr(host, ':') != NULL, port, &address);

    assert(literal == ADDRESS_LITERAL);
    return address;
}

void peer_init(struct peer *peer, struct sim_world *world, struct io *io, const char *host,
               uint16_t port)
{
    struct address address = address_of(host, port);

    memset(peer, 0, sizeof(*peer));
    peer->world = world;
    peer->io = io;
    peer->fd = io_listen(io, &address.as.any, address_size(&address), BACKLOG);
    assert(peer->fd >= 0);
    io_op_init(&peer->accept_op, on_accept);
    io_accept(io, &peer->accept_op, peer->fd);
}

struct peer *peer_new(struct sim_world *world, struct io *io, const char *host, uint16_t port)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    assert(peer != NULL);
    peer_init(peer, world, io, host, port);
    return peer;
}

int peer_listen_deaf(struct io *io, const char *host, uint16_t port)
{
    struct address address = address_of(host, port);
    int fd = io_listen(io, &address.as.any, address_size(&address), 1);

    assert(fd >= 0);
    return fd;
}

void peer_deinit(struct peer *peer)
{
    for (uint32_t i = 0; i < peer->connection_count; i++) {
        struct peer_connection *c = peer->connections[i];

        sim_world_unschedule(peer->world, &c->pause_over);
        free(c->in);
        free(c->out);
        free(c->piece);
        free(c);
    }
    free(peer->connections);
    peer->connections = NULL;
    peer->connection_count = 0;
}

void peer_free(struct peer **peer)
{
    if (*peer == NULL)
        return;
    peer_deinit(*peer);
    free(*peer);
    *peer = NULL;
}

void peer_send_bytes(struct peer_connection *c, const char *data, size_t size)
{
    size_t capacity = 0;

    /* Grown to the byte, so that nothing else needs to be kept. */
    if (c->out != NULL)
        capacity = c->out_size + 1;
    append(&c->out, &c->out_size, &capacity, data, size);
    go_on(c);
}

void peer_send(struct peer_connection *c, const char *text)
{
    peer_send_bytes(c, text, strlen(text));
}

void peer_drip(struct peer_connection *c, size_t piece_size_max, uint64_t pause_ns)
{
    c->piece_size_max = piece_size_max;
    c->pause_ns = pause_ns;
}

void peer_close(struct peer_connection *c)
{
    c->end_wanted = true;
    go_on(c);
}

uint32_t peer_open_count(const struct peer *peer)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < peer->connection_count; i++)
        count += peer->connections[i]->is_open;
    return count;
}
