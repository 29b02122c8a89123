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

static void on_submit(struct io *io, struct io_op *op)
{
    struct io_sim *sim = sim_of(io);
    struct sim_op *sim_op;

    /* A process that died in this very turn may go on talking; nobody listens. */
    if (sim->dead || !sim_host_is_up(sim->host))
        return;
    sim_op = sim_op_acquire(sim, op);
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
    if (sim_op->state == SIM_OP_STARVED) {
        list_remove(&sim_op->queue_link);
        sim_op_park(sim_op);
    }
    if (sim_op->state == SIM_OP_PARKED)
        sim_op_look_again(sim_op);
}

static uint32_t on_reap(struct io *io, uint32_t completion_count_max)
{
    struct io_sim *sim = sim_of(io);
    uint32_t count = 0;

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
    node = list_pop_front(&sim->starved);
    if (node != NULL) {
        struct sim_op *sim_op = container_of(node, struct sim_op, queue_link);

        sim_op_park(sim_op);
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

    if (!sim->dead && sim_op_fd(sim, fd) != NULL)
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
    assert(list_is_empty(&sim->ready));
    assert(list_is_empty(&sim->starved));
}

static void on_free(struct io **io)
{
    struct io_sim *sim = sim_of(*io);
    struct list_node *node;

    if (!sim->dead)
        io_sim_die(sim);
    while ((node = list_pop_front(&sim->free_ops)) != NULL)
        free(container_of(node, struct sim_op, link));
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
    list_init(&sim->ready);
    list_init(&sim->starved);
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
