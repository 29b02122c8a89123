#include "runtime/io_sim.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_act.h"
#include "runtime/sim_net.h"

/*
 * Each armed operation has one record (struct sim_op) with one event, so it does
 * one thing at a time: it waits for its condition, or for its event, or for its
 * completion to be reaped. Multishot operations go round that circle; what
 * arrives meanwhile waits in the socket, in order.
 *
 * As in io_uring.c an operation that finds the submission ring full is deferred, and
 * with it all that come after it, until io_wait() hands over what has room then. A
 * client that never waits is served by an event. Completions that a reap holds back
 * are those for which the completion ring had no room.
 *
 * Everything is in order before io_op_complete(), which may leave by longjmp().
 * Once the process has died no operation's memory is touched any more.
 */
enum { WAIT_STEP_COUNT_MAX = 1 << 20 };

static const struct io_vtable vtable;

static struct io_sim *sim_of(const struct io *io)
{
    struct io_sim *sim = container_of(io, struct io_sim, io);

    assert(io->vtable == &vtable);
    assert(sim->ready_count <= sim->op_count);
    assert(sim->free_buffer_count <= sim->buffer_count);
    return sim;
}

/* --- Rings -------------------------------------------------------------------------------- */

static bool has_room(const struct io_sim *sim)
{
    return sim->host->ring_size == 0 || sim->submitted_count < sim->host->ring_size;
}

static bool is_ring_full(struct io_sim *sim)
{
    if (!list_is_empty(&sim->deferred) || !has_room(sim))
        return true;
    return sim_fault_strikes(&sim->host->faults.ring_full, &sim->host->world->rng);
}

static void defer(struct io_sim *sim, struct sim_op *sim_op)
{
    sim_op->state = SIM_OP_DEFERRED;
    list_push_back(&sim->deferred, &sim_op->queue_link);
    sim_host_trace(sim->host, "deferred", sim_op->args.fd, sim_op->args.type, sim->index);
    if (!sim_event_is_pending(&sim->hand_over))
        sim_world_schedule(sim->host->world, &sim->hand_over, io_sim_latency_ns(sim));
}

/* A turn has ended: the ring is empty, and takes what was deferred as far as there is room. */
static void hand_over(struct io_sim *sim)
{
    struct list_node *node;

    sim->submitted_count = 0;
    while (has_room(sim) && (node = list_pop_front(&sim->deferred)) != NULL) {
        sim->submitted_count++;
        sim_act_start(container_of(node, struct sim_op, queue_link));
    }
    if (list_is_empty(&sim->deferred))
        sim_world_unschedule(sim->host->world, &sim->hand_over);
    else if (!sim_event_is_pending(&sim->hand_over))
        sim_world_schedule(sim->host->world, &sim->hand_over, io_sim_latency_ns(sim));
}

static void on_hand_over(struct sim_event *event)
{
    struct io_sim *sim = container_of(event, struct io_sim, hand_over);

    assert(!sim->dead);
    if (sim_host_is_up(sim->host))
        hand_over(sim);
}

/* How many completions a reap finds. Those held back are there for the next one. */
static uint32_t visible_count(struct io_sim *sim)
{
    struct sim_host *host = sim->host;
    uint32_t count = io_sim_ready_count(&sim->io);

    if (count == 0 || sim->was_held ||
        !sim_fault_strikes(&host->faults.completions_held, &host->world->rng)) {
        sim->was_held = false;
        return UINT32_MAX;
    }
    sim->was_held = true;
    sim->io.stats.overflow_count++;
    count = (uint32_t)rng_below(&host->world->rng, count);
    sim_host_trace(host, "held", -1, count, sim->index);
    return count;
}

/* --- Operations --------------------------------------------------------------------------- */

static void on_submit(struct io *io, struct io_op *op)
{
    struct io_sim *sim = sim_of(io);
    struct sim_op *sim_op;

    /* A process that died in this very turn may go on talking; nobody listens. */
    if (sim->dead || !sim_host_is_up(sim->host))
        return;
    sim_op = sim_op_acquire(sim, op);
    sim_act_enter(sim_op);
    if (unlikely(is_ring_full(sim))) {
        defer(sim, sim_op);
        return;
    }
    sim->submitted_count++;
    sim_act_start(sim_op);
}

static void on_cancel(struct io *io, struct io_op *target)
{
    struct io_sim *sim = sim_of(io);
    struct sim_op *sim_op;

    if (sim->dead || !sim_host_is_up(sim->host))
        return;
    sim_op = sim_op_of(target);
    assert(sim_op->op == target);
    sim_op->cancelled = true;
    if (sim_op->state == SIM_OP_DEFERRED) {
        list_remove(&sim_op->queue_link);
        sim_op_complete(sim_op, -ECANCELED, false, 0);
    }
    if (sim_op->state == SIM_OP_STARVED)
        sim_op_feed(sim_op);
    if (sim_op->state == SIM_OP_PARKED)
        sim_op_look_again(sim_op);
}

static uint32_t on_reap(struct io *io, uint32_t completion_count_max)
{
    struct io_sim *sim = sim_of(io);
    uint32_t count = 0;

    completion_count_max = (uint32_t)min_u64(completion_count_max, visible_count(sim));
    for (; count < completion_count_max && io_sim_ready_count(io) > 0; count++) {
        struct io_result result;
        struct io_op *op = sim_op_take(sim, &result);

        if (likely(op != NULL))
            io_op_complete(io, op, &result);
    }
    return count;
}

static int on_wait(struct io *io, uint64_t timeout_ns)
{
    struct io_sim *sim = sim_of(io);
    struct sim_world *world = sim->host->world;
    uint64_t end_ns =
        timeout_ns < UINT64_MAX - world->mono_ns ? world->mono_ns + timeout_ns : UINT64_MAX;

    io->stats.enter_count++;
    if (!sim->dead && sim_host_is_up(sim->host))
        hand_over(sim);
    if (!sim->host->wait_drives_world)
        return 0;
    for (uint32_t i = 0; i < WAIT_STEP_COUNT_MAX && sim->ready_count == 0; i++) {
        uint64_t next_ns = sim_world_step(world);

        if (sim->ready_count > 0)
            break;
        if (next_ns >= end_ns) {
            if (end_ns != UINT64_MAX)
                sim_world_advance_to(world, end_ns);
            break;
        }
        sim_world_advance_to(world, next_ns);
    }
    return 0;
}

static void on_wake(struct io *io)
{
    /* Nobody ever sleeps here. */
    assert(sim_of(io)->host != NULL);
}

static void on_buffer_release(struct io *io, uint32_t buffer_index)
{
    struct io_sim *sim = sim_of(io);
    struct list_node *node;

    assert(buffer_index < sim->buffer_count);
    assert(sim->free_buffer_count < sim->buffer_count);
    memory_poison(io_sim_buffer(sim, buffer_index), sim->buffer_size);
    sim->free_buffers[sim->free_buffer_count++] = buffer_index;
    if (sim->dead)
        return;
    node = sim->starved.next;
    if (node != &sim->starved) {
        struct sim_op *sim_op = container_of(node, struct sim_op, queue_link);

        sim_op_feed(sim_op);
        sim_op_look_again(sim_op);
    }
}

/* A descriptor for a new socket of this host, or -errno. */
static int make_socket(struct io_sim *sim)
{
    int fd;

    if (sim->dead || !sim_host_is_up(sim->host))
        return -EIO;
    fd = sim_host_fd_add(sim->host, SIM_FD_SOCKET);
    if (fd >= 0)
        sim->host->fds[fd].socket = sim_socket_new(sim->host);
    return fd;
}

static int on_listen(struct io *io, const struct sockaddr *address, socklen_t size, int backlog)
{
    struct io_sim *sim = sim_of(io);
    int fd = make_socket(sim);
    int r;

    if (fd < 0)
        return fd;
    r = sim_net_listen(sim->host->fds[fd].socket, address, size, backlog);
    if (r == 0)
        return fd;
    sim_host_fd_close(sim->host, fd);
    return r;
}

static int on_socket(struct io *io, int family)
{
    (void)family; /* the address given to io_connect() says it again */
    return make_socket(sim_of(io));
}

static int on_local_address(struct io *io, int fd, struct sockaddr_storage *ret_address)
{
    const struct sim_fd *record = sim_host_fd(sim_of(io)->host, fd, SIM_FD_SOCKET);

    if (record == NULL)
        return -EBADF;
    *ret_address = record->socket->local;
    return 0;
}

static int on_peer_address(struct io *io, int fd, struct sockaddr_storage *ret_address)
{
    const struct sim_fd *record = sim_host_fd(sim_of(io)->host, fd, SIM_FD_SOCKET);

    if (record == NULL)
        return -EBADF;
    if (record->socket->state != SIM_SOCKET_CONNECTED)
        return -ENOTCONN;
    *ret_address = record->socket->remote;
    return 0;
}

static void on_close_now(struct io *io, int fd)
{
    struct io_sim *sim = sim_of(io);

    if (!sim->dead && sim_host_is_up(sim->host) && sim_op_fd(sim, fd) != NULL)
        sim_host_fd_close(sim->host, fd);
}

static int on_enable(struct io *io)
{
    assert(sim_of(io)->host != NULL);
    return 0;
}

void io_sim_die(struct io_sim *sim)
{
    assert(!sim->dead);
    sim->dead = true;
    list_remove(&sim->link);
    while (!list_is_empty(&sim->armed))
        sim_act_abandon(container_of(sim->armed.next, struct sim_op, link));
    sim->ready_count = 0;
    sim_world_unschedule(sim->host->world, &sim->hand_over);
    assert(list_is_empty(&sim->deferred));
    assert(list_is_empty(&sim->ready));
    assert(list_is_empty(&sim->starved));
}

static void on_free(struct io **io)
{
    struct io_sim *sim = sim_of(*io);

    if (!sim->dead)
        io_sim_die(sim);
#ifndef __clang_analyzer__ /* which loses count of who is in an intrusive list */
    while (!list_is_empty(&sim->free_ops)) {
        struct sim_op *sim_op = container_of(sim->free_ops.next, struct sim_op, link);

        list_remove(&sim_op->link);
        free(sim_op);
    }
#endif
    memory_unpoison(sim->buffers, (size_t)sim->buffer_count * sim->buffer_size);
    free(sim->buffers);
    free(sim->free_buffers);
    free(sim);
    *io = NULL;
}

static const struct io_vtable vtable = {
    .name = "sim",
    .submit = on_submit,
    .cancel = on_cancel,
    .reap = on_reap,
    .wait = on_wait,
    .wake = on_wake,
    .buffer_release = on_buffer_release,
    .listen = on_listen,
    .socket = on_socket,
    .local_address = on_local_address,
    .peer_address = on_peer_address,
    .close_now = on_close_now,
    .enable = on_enable,
    .free = on_free,
};

uint64_t io_sim_latency_ns(struct io_sim *sim)
{
    assert(sim->host != NULL);
    return sim_range_draw(&sim->host->faults.completion_latency_ns, &sim->host->world->rng);
}

uint32_t io_sim_ready_count(const struct io *io)
{
    const struct io_sim *sim = sim_of(io);

    return sim->dead || !sim_host_is_up(sim->host) ? 0 : sim->ready_count;
}

int io_sim_new(struct sim_host *host, struct io **ret_io)
{
    struct io_sim *sim;

    assert(sim_host_is_up(host));
    assert(host->receive_buffer_count > 0);
    assert(host->receive_buffer_size > 0);

    sim = sim_alloc(sizeof(*sim));
    sim->io.vtable = &vtable;
    sim->host = host;
    sim->index = host->io_count++;
    list_init(&sim->link);
    list_init(&sim->armed);
    list_init(&sim->deferred);
    list_init(&sim->ready);
    list_init(&sim->starved);
    sim->hand_over.on_due = on_hand_over;
    list_init(&sim->free_ops);
    list_push_back(&host->ios, &sim->link);
    sim->buffer_count = host->receive_buffer_count;
    sim->buffer_size = host->receive_buffer_size;
    sim->buffers = sim_alloc((size_t)sim->buffer_count * sim->buffer_size);
    memory_poison(sim->buffers, (size_t)sim->buffer_count * sim->buffer_size);
    sim->free_buffers = sim_alloc(sim->buffer_count * sizeof(uint32_t));
    for (uint32_t i = sim->buffer_count; i > 0; i--)
        sim->free_buffers[sim->free_buffer_count++] = i - 1;
    sim->io.stats.buffer_count = sim->buffer_count;
    sim->io.stats.buffer_size = sim->buffer_size;
    *ret_io = &sim->io;
    return 0;
}
