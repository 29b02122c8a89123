#include "runtime/sim_socket.h"

#include <errno.h>
#include <poll.h>

/*
 * The buffer is a flat array whose live part starts at `start`; it is moved to
 * the front when its end is reached and doubled when that is not enough, so idle
 * connections cost little and a full one stops at the host's limit.
 *
 * Of what TCP does, this keeps what a program can see: order, back-pressure,
 * arbitrary cuts, half-close, and that data which arrived before a reset can
 * still be read while what was under way is lost.
 */
enum { CAPACITY_MIN = 4096 };

static void on_fin(struct sim_event *event);
static void on_reset(struct sim_event *event);

static void socket_check(const struct sim_socket *socket)
{
    assert(socket->host != NULL);
    assert(socket->start <= socket->capacity);
    assert(socket->size <= socket->capacity - socket->start);
    assert(socket->peer == NULL || socket->peer->peer == socket);
}

struct sim_socket *sim_socket_new(struct sim_host *host)
{
    struct sim_socket *socket = sim_alloc(sizeof(*socket));

    socket->host = host;
    socket->fin_arrival.on_due = on_fin;
    socket->reset_arrival.on_due = on_reset;
    list_init(&socket->listener_link);
    list_init(&socket->backlog);
    list_init(&socket->backlog_link);
    return socket;
}

/* After any change: whoever waits looks again. */
static void notify(struct sim_socket *socket)
{
    sim_op_notify(socket->waiting[SIM_SLOT_RECV]);
    sim_op_notify(socket->waiting[SIM_SLOT_SEND]);
    sim_op_notify(socket->waiting[SIM_SLOT_POLL]);
}

static void on_fin(struct sim_event *event)
{
    struct sim_socket *socket = container_of(event, struct sim_socket, fin_arrival);

    socket_check(socket);
    sim_host_trace(socket->host, "fin", -1, socket->size, 0);
    socket->fin_arrived = true;
    notify(socket);
}

static void on_reset(struct sim_event *event)
{
    struct sim_socket *socket = container_of(event, struct sim_socket, reset_arrival);

    socket_check(socket);
    sim_host_trace(socket->host, "reset", -1, socket->size, 0);
    socket->error = ECONNRESET;
    socket->silent = false;
    notify(socket);
}

uint64_t sim_socket_latency_ns(struct sim_socket *socket)
{
    struct sim_faults *faults = &socket->host->faults;
    struct rng *rng = &socket->host->world->rng;
    uint64_t latency_ns = sim_range_draw(&faults->net_latency_ns, rng);

    if (sim_fault_strikes(&faults->stall, rng))
        latency_ns += sim_range_draw(&faults->stall_ns, rng);
    return latency_ns;
}

/* Ends the connection on this side: the peer is told by the given arrival, once. */
static void part(struct sim_socket *socket, struct sim_event *arrival, uint64_t delay_ns)
{
    struct sim_socket *peer = socket->peer;

    if (!sim_event_is_pending(arrival))
        sim_world_schedule(socket->host->world, arrival, delay_ns);
    socket->peer = NULL;
    peer->peer = NULL;
}

void sim_socket_close(struct sim_socket **socket)
{
    struct sim_socket *s = *socket;

    if (s == NULL)
        return;
    socket_check(s);
    for (uint32_t i = 0; i < SIM_SLOT_COUNT; i++)
        assert(s->waiting[i] == NULL);

    list_remove(&s->listener_link);
    while (!list_is_empty(&s->backlog)) {
        struct sim_socket *waiting = container_of(s->backlog.next, struct sim_socket, backlog_link);

        list_remove(&waiting->backlog_link);
        if (waiting->peer != NULL)
            part(waiting, &waiting->peer->reset_arrival, sim_socket_latency_ns(waiting));
        sim_socket_close(&waiting);
    }
    if (s->peer != NULL && s->size > 0)
        part(s, &s->peer->reset_arrival, sim_socket_latency_ns(s));
    else if (s->peer != NULL)
        part(s, &s->peer->fin_arrival, sim_socket_latency_ns(s));
    list_remove(&s->backlog_link);
    sim_world_unschedule(s->host->world, &s->fin_arrival);
    sim_world_unschedule(s->host->world, &s->reset_arrival);
    free(s->bytes);
    free(s);
    *socket = NULL;
}

/* A dead machine's peers learn of it when it answers again, or somebody gives up for it. */
static uint64_t vanish_delay_ns(struct sim_socket *socket)
{
    struct sim_faults *faults = &socket->host->faults;
    struct rng *rng = &socket->host->world->rng;

    if (!sim_fault_strikes(&faults->half_open, rng))
        return sim_range_draw(&faults->vanish_ns, rng);
    sim_host_trace(socket->host, "half open", -1, 0, 0);
    return sim_range_draw(&faults->half_open_ns, rng);
}

void sim_socket_vanish(struct sim_socket *socket)
{
    socket_check(socket);
    for (struct list_node *node = socket->backlog.next; node != &socket->backlog; node = node->next)
        sim_socket_vanish(container_of(node, struct sim_socket, backlog_link));
    if (socket->peer == NULL)
        return;
    socket->peer->silent = true;
    part(socket, &socket->peer->reset_arrival, vanish_delay_ns(socket));
}

void sim_socket_pair(struct sim_socket *a, struct sim_socket *b)
{
    assert(a->state == SIM_SOCKET_FRESH);
    assert(b->state == SIM_SOCKET_FRESH);
    a->state = SIM_SOCKET_CONNECTED;
    b->state = SIM_SOCKET_CONNECTED;
    a->peer = b;
    b->peer = a;
    b->local = a->remote;
    b->remote = a->local;
}

int sim_socket_shutdown(struct sim_socket *socket, int how)
{
    socket_check(socket);
    if (socket->state == SIM_SOCKET_LISTENING)
        return 0;
    if (socket->state != SIM_SOCKET_CONNECTED)
        return -ENOTCONN;
    if (how != SHUT_WR)
        socket->receive_shut = true;
    if (how != SHUT_RD && !socket->fin_sent) {
        socket->fin_sent = true;
        if (socket->peer != NULL && !sim_event_is_pending(&socket->peer->fin_arrival))
            sim_world_schedule(socket->host->world, &socket->peer->fin_arrival,
                               sim_socket_latency_ns(socket));
    }
    notify(socket);
    if (socket->peer != NULL)
        notify(socket->peer);
    return 0;
}

static void make_room(struct sim_socket *socket, uint32_t size)
{
    if (size <= socket->capacity - socket->start - socket->size)
        return;
    if (socket->size > 0)
        memmove(socket->bytes, socket->bytes + socket->start, socket->size);
    socket->start = 0;
    if (size > socket->capacity - socket->size) {
        uint32_t capacity = socket->capacity == 0 ? CAPACITY_MIN : socket->capacity;

        while (capacity - socket->size < size)
            capacity *= 2;
        socket->bytes = realloc(socket->bytes, capacity);
        assert(socket->bytes != NULL);
        socket->capacity = capacity;
    }
}

/* Both ends see a reset: this one now, the other after a while. */
static void break_connection(struct sim_socket *socket)
{
    part(socket, &socket->peer->reset_arrival, sim_socket_latency_ns(socket));
    socket->error = ECONNRESET;
    notify(socket);
}

/* How many of size bytes go as one segment. */
static uint32_t cut_segment(struct sim_socket *socket, uint32_t size)
{
    struct rng *rng = &socket->host->world->rng;

    if (size < 2 || !sim_fault_strikes(&socket->host->faults.split, rng))
        return size;
    /* Now and then a cut close to the start: parsers fear those. */
    if (rng_chance(rng, 1, 4))
        size = (uint32_t)min_u64(size, 16);
    return 1 + (uint32_t)rng_below(rng, size);
}

int64_t sim_socket_send(struct sim_socket *socket, const char *data, uint32_t size)
{
    struct sim_socket *peer = socket->peer;
    uint32_t count;

    socket_check(socket);
    assert(size > 0);
    if (socket->state != SIM_SOCKET_CONNECTED)
        return -ENOTCONN;
    if (socket->fin_sent)
        return -EPIPE;
    if (socket->silent)
        return 0;
    if (peer == NULL)
        return socket->error != 0 ? -socket->error : -EPIPE;
    if (sim_fault_strikes(&socket->host->faults.reset, &socket->host->world->rng)) {
        break_connection(socket);
        return -ECONNRESET;
    }
    if (peer->receive_shut)
        return size;
    if (peer->size >= peer->host->socket_buffer_size)
        return 0;
    count =
        cut_segment(socket, (uint32_t)min_u64(size, peer->host->socket_buffer_size - peer->size));
    make_room(peer, count);
    memcpy(peer->bytes + peer->start + peer->size, data, count);
    peer->size += count;
    sim_op_notify(peer->waiting[SIM_SLOT_RECV]);
    sim_op_notify(peer->waiting[SIM_SLOT_POLL]);
    return count;
}

bool sim_socket_has_room(const struct sim_socket *socket)
{
    const struct sim_socket *peer = socket->peer;

    socket_check(socket);
    if (socket->silent)
        return false;
    return peer == NULL || peer->receive_shut || peer->size < peer->host->socket_buffer_size;
}

int64_t sim_socket_receive(struct sim_socket *socket, char *data, uint32_t size)
{
    uint32_t count = (uint32_t)min_u64(size, socket->size);

    socket_check(socket);
    assert(size > 0);
    if (socket->state != SIM_SOCKET_CONNECTED)
        return -ENOTCONN;
    if (count == 0 && socket->error != 0) {
        socket->error = 0;
        socket->fin_arrived = true;
        return -ECONNRESET;
    }
    if (count == 0)
        return socket->fin_arrived || socket->receive_shut ? 0 : -EAGAIN;
    memcpy(data, socket->bytes + socket->start, count);
    socket->start += count;
    socket->size -= count;
    if (socket->size == 0)
        socket->start = 0;
    if (socket->peer != NULL) {
        sim_op_notify(socket->peer->waiting[SIM_SLOT_SEND]);
        sim_op_notify(socket->peer->waiting[SIM_SLOT_POLL]);
    }
    return count;
}

uint32_t sim_socket_events(const struct sim_socket *socket)
{
    const struct sim_socket *peer = socket->peer;
    uint32_t events = 0;

    socket_check(socket);
    if (socket->state == SIM_SOCKET_LISTENING)
        return socket->backlog_count > 0 ? POLLIN : 0;
    if (socket->state == SIM_SOCKET_FRESH)
        return 0;
    if (socket->size > 0 || socket->fin_arrived || socket->receive_shut || socket->error != 0)
        events |= POLLIN;
    if (sim_socket_has_room(socket))
        events |= POLLOUT;
    if (socket->error != 0)
        events |= POLLERR;
    if (peer == NULL || (socket->fin_arrived && socket->fin_sent))
        events |= POLLHUP;
    return events;
}
