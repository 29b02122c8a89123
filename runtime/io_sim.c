#include "runtime/io_sim.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"

/*
 * Each armed operation has one record (struct sim_op) with one event, so it does
 * one thing at a time: it waits for its condition, or for its event, or for its
 * completion to be reaped. Multishot operations go round that circle; what
 * arrives meanwhile waits in the socket, in order.
 *
 * Disk operations take effect when their event is due, not when they are armed:
 * what is armed together finishes in drawn order, and a crash in between finds
 * them half done. The bytes of a write or send are hashed when they are lent and
 * again when they are used; a caller that changes them in between is caught.
 *
 * Everything is in order before io_op_complete(), which may leave by longjmp().
 * Once the process has died no operation's memory is touched any more.
 */
enum {
    BACKLOG_RETRY_MAX = 6,
    REAP_ADVANCE_MAX = 1 << 20,
};

static const uint64_t BACKLOG_RETRY_NS = 1000000000;

static const struct io_vtable vtable;

static void on_due(struct sim_event *event);

static struct io_sim *sim_of(const struct io *io)
{
    struct io_sim *sim = container_of(io, struct io_sim, io);

    assert(io->vtable == &vtable);
    assert(sim->ready_count <= sim->op_count);
    assert(sim->free_buffer_count <= sim->buffer_count);
    return sim;
}

static struct sim_world *world_of(const struct sim_op *sim_op)
{
    return sim_op->io->host->world;
}

static enum io_op_type type_of(const struct sim_op *sim_op)
{
    return (enum io_op_type)sim_op->args.type;
}

static bool is_on_disk(enum io_op_type type)
{
    return type == IO_READ || type == IO_WRITE || type == IO_FSYNC || type == IO_OPEN ||
           type == IO_RENAME || type == IO_UNLINK;
}

/* Where on its socket an operation of this type waits; SIM_SLOT_COUNT: nowhere. */
static enum sim_socket_slot slot_of(enum io_op_type type)
{
    if (type == IO_ACCEPT)
        return SIM_SLOT_ACCEPT;
    if (type == IO_RECV)
        return SIM_SLOT_RECV;
    if (type == IO_SEND)
        return SIM_SLOT_SEND;
    if (type == IO_CONNECT)
        return SIM_SLOT_CONNECT;
    return type == IO_POLL ? SIM_SLOT_POLL : SIM_SLOT_COUNT;
}

/* What the trace calls each type. */
static const char *const type_names[] = {
    [IO_NONE] = "none",     [IO_ACCEPT] = "accept",   [IO_RECV] = "recv",
    [IO_SEND] = "send",     [IO_CONNECT] = "connect", [IO_SHUTDOWN] = "shutdown",
    [IO_CLOSE] = "close",   [IO_READ] = "read",       [IO_WRITE] = "write",
    [IO_POLL] = "poll",     [IO_OPEN] = "open",       [IO_RENAME] = "rename",
    [IO_UNLINK] = "unlink", [IO_FSYNC] = "fsync",     [IO_CANCEL] = "cancel",
};

/* --- Records ------------------------------------------------------------------------ */

static struct sim_op *record_of(const struct io_op *op)
{
    assert(op->backend_link.next != &op->backend_link);
    return container_of(op->backend_link.next, struct sim_op, op_link);
}

static struct sim_op *acquire(struct io_sim *sim, struct io_op *op)
{
    struct list_node *node = list_pop_front(&sim->free_ops);
    struct sim_op *sim_op;

    if (node != NULL) {
        sim_op = container_of(node, struct sim_op, link);
    } else {
        sim_op = sim_alloc(sizeof(*sim_op));
        list_init(&sim_op->link);
        list_init(&sim_op->queue_link);
        list_init(&sim_op->op_link);
        sim_op->event.on_due = on_due;
        sim_op->io = sim;
        sim->op_count++;
        assert(sim->op_count <= IO_SIM_OP_COUNT_MAX);
    }
    assert(!sim_event_is_pending(&sim_op->event));
    assert(list_is_empty(&sim_op->queue_link));
    sim_op->op = op;
    sim_op->args = *op;
    sim_op->socket = NULL;
    sim_op->state = SIM_OP_PARKED;
    sim_op->cancelled = false;
    sim_op->counted = false;
    sim_op->noticed = false;
    sim_op->attempt_count = 0;
    list_push_back(&sim->armed, &sim_op->link);
    list_push_back(&op->backend_link, &sim_op->op_link);
    return sim_op;
}

/* Forgets all but the memory, which other operations use again. Does not touch the operation. */
static void release(struct sim_op *sim_op)
{
    enum io_op_type type = type_of(sim_op);

    if (sim_op->socket != NULL && slot_of(type) != SIM_SLOT_COUNT &&
        sim_op->socket->waiting[slot_of(type)] == sim_op)
        sim_op->socket->waiting[slot_of(type)] = NULL;
    sim_world_unschedule(world_of(sim_op), &sim_op->event);
    list_remove(&sim_op->queue_link);
    list_remove(&sim_op->link);
    list_init(&sim_op->op_link);
    sim_op->op = NULL;
    sim_op->socket = NULL;
    list_push_front(&sim_op->io->free_ops, &sim_op->link);
}

/* The descriptor's record, of whatever kind; NULL when the operation has none or it is closed. */
static struct sim_fd *fd_of(const struct io_sim *sim, int fd)
{
    struct sim_fd *record = sim_host_fd(sim->host, fd, SIM_FD_FILE);

    return record != NULL ? record : sim_host_fd(sim->host, fd, SIM_FD_SOCKET);
}

static void pend(struct sim_op *sim_op, uint64_t delay_ns)
{
    sim_op->state = SIM_OP_PENDING;
    sim_world_schedule(world_of(sim_op), &sim_op->event, delay_ns);
}

static uint64_t completion_latency_ns(const struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;

    return sim_range_draw(&host->faults.completion_latency_ns, &host->world->rng);
}

static uint64_t disk_latency_ns(const struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;
    uint64_t latency_ns = sim_range_draw(&host->faults.disk_latency_ns, &host->world->rng);

    if (sim_fault_strikes(&host->faults.disk_stuck, &host->world->rng))
        latency_ns += sim_range_draw(&host->faults.stuck_ns, &host->world->rng);
    return latency_ns;
}

/* --- Completion --------------------------------------------------------------------- */

static void trace(const struct sim_op *sim_op, int64_t value, uint64_t detail)
{
    const struct sim_host *host = sim_op->io->host;
    struct sim_trace_entry entry = {
        .mono_ns = host->world->mono_ns,
        .host = host->name,
        .io_index = sim_op->io->index,
        .what = type_names[type_of(sim_op)],
        .fd = sim_op->args.fd,
        .value = value,
        .detail = detail,
    };

    sim_trace_add(&host->world->trace, &entry);
}

static void complete(struct sim_op *sim_op, int64_t value, bool more, uint64_t detail)
{
    assert(value <= INT32_MAX);
    assert(value >= INT32_MIN);
    sim_op->result.value = (int32_t)value;
    sim_op->result.more = more;
    sim_op->state = SIM_OP_READY;
    list_push_back(&sim_op->io->ready, &sim_op->queue_link);
    sim_op->io->ready_count++;
    trace(sim_op, value, detail);
}

/* True when a parked operation could do something now. */
static bool condition_holds(const struct sim_op *sim_op)
{
    const struct sim_socket *socket = sim_op->socket;

    switch (type_of(sim_op)) {
    case IO_ACCEPT:
        return socket->state != SIM_SOCKET_LISTENING || socket->backlog_count > 0;
    case IO_RECV:
        return socket->state != SIM_SOCKET_CONNECTED || socket->size > 0 || socket->fin_arrived ||
               socket->receive_shut || socket->error != 0;
    case IO_SEND:
        return socket->fin_sent || sim_socket_has_room(socket);
    case IO_POLL:
        return (sim_socket_events(socket) & sim_op->args.as.events) != 0;
    case IO_NONE:
    case IO_CONNECT:
    case IO_SHUTDOWN:
    case IO_CLOSE:
    case IO_READ:
    case IO_WRITE:
    case IO_OPEN:
    case IO_RENAME:
    case IO_UNLINK:
    case IO_FSYNC:
    case IO_CANCEL:
        break;
    }
    assert(false);
    return false;
}

static void look_again(struct sim_op *sim_op)
{
    assert(sim_op->state == SIM_OP_PARKED);
    if (sim_op->cancelled || condition_holds(sim_op))
        pend(sim_op, completion_latency_ns(sim_op));
}

void sim_op_notify(struct sim_op *sim_op)
{
    if (sim_op == NULL)
        return;
    if (sim_op->state == SIM_OP_PARKED)
        look_again(sim_op);
    else
        sim_op->noticed = true;
}

/* --- What operations do when they are due ---------------------------------------------- */

static void park(struct sim_op *sim_op)
{
    sim_op->state = SIM_OP_PARKED;
}

static void do_accept(struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;
    struct sim_socket *accepted;
    int fd;

    if (sim_op->socket->state != SIM_SOCKET_LISTENING) {
        complete(sim_op, -EINVAL, false, 0);
        return;
    }
    if (sim_op->socket->backlog_count == 0) {
        park(sim_op);
        return;
    }
    /* As the kernel does it: the connection stays in the backlog when there is no descriptor. */
    fd = sim_host_fd_add(host, SIM_FD_SOCKET);
    if (fd < 0) {
        complete(sim_op, fd, false, 0);
        return;
    }
    accepted = sim_net_accept(sim_op->socket);
    host->fds[fd].socket = accepted;
    if (!sim_fault_strikes(&host->faults.accept_error, &host->world->rng)) {
        complete(sim_op, fd, true, 0);
        return;
    }
    sim_host_fd_close(host, fd);
    complete(sim_op, -ECONNABORTED, false, 0);
}

static char *buffer_at(const struct io_sim *sim, uint32_t index)
{
    return sim->buffers + (size_t)index * sim->buffer_size;
}

static void do_recv(struct sim_op *sim_op)
{
    struct io_sim *sim = sim_op->io;
    uint32_t index;
    char *data;
    int64_t r;

    if (!condition_holds(sim_op)) {
        park(sim_op);
        return;
    }
    if (sim->free_buffer_count == 0 && sim_op->cancelled) {
        complete(sim_op, -ECANCELED, false, 0);
        return;
    }
    if (sim->free_buffer_count == 0) {
        sim_op->state = SIM_OP_STARVED;
        list_push_back(&sim->starved, &sim_op->queue_link);
        sim->io.stats.starved_count++;
        return;
    }
    index = sim->free_buffers[sim->free_buffer_count - 1];
    data = buffer_at(sim, index);
    memory_unpoison(data, sim->buffer_size);
    r = sim_socket_receive(sim_op->socket, data, sim->buffer_size);
    assert(r != -EAGAIN);
    if (r > 0) {
        sim->free_buffer_count--;
        sim_op->result.data = data;
        sim_op->result.buffer_index = index;
        complete(sim_op, r, true, sim_hash(data, (size_t)r));
        return;
    }
    memory_poison(data, sim->buffer_size);
    complete(sim_op, r, false, 0);
}

static void do_send(struct sim_op *sim_op)
{
    struct io_op *op = &sim_op->args;
    const char *data = op->as.rw.data;
    int64_t r;

    r = sim_socket_send(sim_op->socket, data + op->as.rw.done, op->as.rw.size - op->as.rw.done);
    if (r < 0) {
        complete(sim_op, r, false, op->as.rw.done);
        return;
    }
    op->as.rw.done += (uint32_t)r;
    if (op->as.rw.done == op->as.rw.size) {
        assert(sim_hash(data, op->as.rw.size) == sim_op->data_hash);
        complete(sim_op, op->as.rw.size, false, sim_op->data_hash);
        return;
    }
    park(sim_op);
    /* One that overlaps another is not told of room and looks from time to time. */
    if (r > 0 || sim_op->socket->waiting[SIM_SLOT_SEND] != sim_op)
        pend(sim_op, sim_socket_latency_ns(sim_op->socket));
}

static void do_connect(struct sim_op *sim_op)
{
    const struct io_op *op = &sim_op->args;
    int r;

    r = sim_net_connect(sim_op->socket, op->as.connect.address, op->as.connect.size);
    if (r != -EAGAIN) {
        complete(sim_op, r, false, 0);
    } else if (++sim_op->attempt_count == BACKLOG_RETRY_MAX) {
        complete(sim_op, -ETIMEDOUT, false, 0);
    } else {
        pend(sim_op, BACKLOG_RETRY_NS);
    }
}

static void do_poll(struct sim_op *sim_op)
{
    uint32_t events = sim_socket_events(sim_op->socket) & sim_op->args.as.events;

    sim_op->noticed = false;
    if (events == 0)
        park(sim_op);
    else
        complete(sim_op, events, true, 0);
}

static void do_close(struct sim_op *sim_op)
{
    struct io_sim *sim = sim_op->io;

    if (fd_of(sim, sim_op->args.fd) == NULL) {
        complete(sim_op, -EBADF, false, 0);
        return;
    }
    sim_host_fd_close(sim->host, sim_op->args.fd);
    complete(sim_op, 0, false, 0);
}

static void do_disk(struct sim_op *sim_op)
{
    struct sim_disk *sd = sim_op->io->host->disk;
    const struct io_op *op = &sim_op->args;
    uint64_t detail = 0;
    int64_t r = 0;

    switch (type_of(sim_op)) {
    case IO_READ:
        r = sim_disk_read(sd, op->fd, op->as.rw.data, op->as.rw.size, op->as.rw.offset);
        detail = r > 0 ? sim_hash(op->as.rw.data, (size_t)r) : 0;
        break;
    case IO_WRITE:
        assert(sim_hash(op->as.rw.data, op->as.rw.size) == sim_op->data_hash);
        detail = sim_op->data_hash ^ op->as.rw.offset;
        r = sim_disk_write(sd, op->fd, op->as.rw.data, op->as.rw.size, op->as.rw.offset,
                           (op->flags & IO_WRITE_DURABLE) != 0);
        break;
    case IO_FSYNC:
        r = sim_disk_sync(sd, op->fd, sim_op->sequence);
        break;
    case IO_OPEN:
        r = sim_disk_open(sd, op->as.file.path, op->as.file.flags);
        break;
    case IO_RENAME:
        r = sim_disk_rename(sd, op->as.file.path, op->as.file.new_path);
        break;
    case IO_UNLINK:
        r = sim_disk_unlink(sd, op->as.file.path);
        break;
    case IO_NONE:
    case IO_ACCEPT:
    case IO_RECV:
    case IO_SEND:
    case IO_CONNECT:
    case IO_SHUTDOWN:
    case IO_CLOSE:
    case IO_POLL:
    case IO_CANCEL:
        assert(false);
        break;
    }
    complete(sim_op, r, false, detail);
}

/* True when a cancel request comes in time; else what was on its way happens first. */
static bool cancel_wins(struct sim_op *sim_op)
{
    enum io_op_type type = type_of(sim_op);

    if (!sim_op->cancelled || type == IO_CLOSE || type == IO_SHUTDOWN)
        return false;
    if (type == IO_SEND || type == IO_CONNECT)
        return true;
    if (!is_on_disk(type) && !condition_holds(sim_op))
        return true;
    return sim_world_coin(world_of(sim_op));
}

static void on_due(struct sim_event *event)
{
    struct sim_op *sim_op = container_of(event, struct sim_op, event);

    assert(sim_op->state == SIM_OP_PENDING);
    assert(!sim_op->io->dead);
    if (!sim_host_is_up(sim_op->io->host))
        return; /* dying: nothing completes any more */
    if (cancel_wins(sim_op)) {
        complete(sim_op, -ECANCELED, false, 0);
        return;
    }
    switch (type_of(sim_op)) {
    case IO_ACCEPT:
        do_accept(sim_op);
        break;
    case IO_RECV:
        do_recv(sim_op);
        break;
    case IO_SEND:
        do_send(sim_op);
        break;
    case IO_CONNECT:
        do_connect(sim_op);
        break;
    case IO_SHUTDOWN:
        complete(sim_op, sim_socket_shutdown(sim_op->socket, sim_op->args.as.how), false, 0);
        break;
    case IO_CLOSE:
        do_close(sim_op);
        break;
    case IO_POLL:
        do_poll(sim_op);
        break;
    case IO_READ:
    case IO_WRITE:
    case IO_FSYNC:
    case IO_OPEN:
    case IO_RENAME:
    case IO_UNLINK:
        do_disk(sim_op);
        break;
    case IO_NONE:
    case IO_CANCEL:
        assert(false);
        break;
    }
}

/* --- The vtable --------------------------------------------------------------------- */

/* Binds the operation to its socket; false when the descriptor is none. */
static bool attach(struct sim_op *sim_op)
{
    struct io_sim *sim = sim_op->io;
    const struct io_op *op = &sim_op->args;
    const struct sim_fd *record = sim_host_fd(sim->host, op->fd, SIM_FD_SOCKET);
    enum sim_socket_slot slot = slot_of(type_of(sim_op));

    if (record == NULL)
        return false;
    sim_op->socket = record->socket;
    if (slot == SIM_SLOT_COUNT)
        return true;
    if (slot == SIM_SLOT_SEND && sim_op->socket->waiting[slot] != NULL &&
        sim->host->sends_may_overlap)
        return true;
    assert(sim_op->socket->waiting[slot] == NULL); /* one of each kind per socket */
    sim_op->socket->waiting[slot] = sim_op;
    return true;
}

static void start(struct sim_op *sim_op)
{
    const struct io_op *op = &sim_op->args;

    switch (type_of(sim_op)) {
    case IO_ACCEPT:
    case IO_RECV:
    case IO_POLL:
        look_again(sim_op);
        break;
    case IO_SEND:
        sim_op->data_hash = sim_hash(op->as.rw.data, op->as.rw.size);
        pend(sim_op, sim_socket_latency_ns(sim_op->socket));
        break;
    case IO_CONNECT:
        pend(sim_op, sim_socket_latency_ns(sim_op->socket));
        break;
    case IO_SHUTDOWN:
    case IO_CLOSE:
        pend(sim_op, completion_latency_ns(sim_op));
        break;
    case IO_WRITE:
        sim_op->data_hash = sim_hash(op->as.rw.data, op->as.rw.size);
        pend(sim_op, disk_latency_ns(sim_op));
        break;
    case IO_FSYNC:
        sim_op->sequence = sim_op->io->host->disk->write_sequence;
        pend(sim_op, disk_latency_ns(sim_op));
        break;
    case IO_READ:
    case IO_OPEN:
    case IO_RENAME:
    case IO_UNLINK:
        pend(sim_op, disk_latency_ns(sim_op));
        break;
    case IO_NONE:
    case IO_CANCEL:
        assert(false);
        break;
    }
}

static void on_submit(struct io *io, struct io_op *op)
{
    struct io_sim *sim = sim_of(io);
    enum io_op_type type = (enum io_op_type)op->type;
    struct sim_fd *record;
    struct sim_op *sim_op;

    /* A process that died in this very turn may go on talking; nobody listens. */
    if (sim->dead || !sim_host_is_up(sim->host))
        return;
    sim_op = acquire(sim, op);
    if (op->fd < 0) {
        start(sim_op);
        return;
    }
    record = fd_of(sim, op->fd);
    if (record != NULL && type == IO_CLOSE)
        assert(record->armed_count == 0);
    sim_op->counted = record != NULL && type != IO_CLOSE;
    if (sim_op->counted)
        record->armed_count++;
    if (record == NULL || (!is_on_disk(type) && type != IO_CLOSE && !attach(sim_op)))
        complete(sim_op, record == NULL ? -EBADF : -ENOTSOCK, false, 0);
    else
        start(sim_op);
}

static void on_cancel(struct io *io, struct io_op *target)
{
    struct io_sim *sim = sim_of(io);
    struct sim_op *sim_op;

    if (sim->dead || !sim_host_is_up(sim->host))
        return;
    sim_op = record_of(target);
    assert(sim_op->op == target);
    sim_op->cancelled = true;
    if (sim_op->state == SIM_OP_STARVED) {
        list_remove(&sim_op->queue_link);
        park(sim_op);
    }
    if (sim_op->state == SIM_OP_PARKED)
        look_again(sim_op);
}

static void uncount(struct sim_op *sim_op)
{
    struct sim_fd *record = fd_of(sim_op->io, sim_op->args.fd);

    if (!sim_op->counted)
        return;
    assert(record != NULL);
    assert(record->armed_count > 0);
    record->armed_count--;
    sim_op->counted = false;
}

/* Takes the first completion off the queue and brings its record into order. */
static struct io_op *take(struct io_sim *sim, struct io_result *ret_result, bool *ret_stale)
{
    struct sim_op *sim_op = container_of(sim->ready.next, struct sim_op, queue_link);
    struct io_op *op = sim_op->op;

    *ret_result = sim_op->result;
    *ret_stale = op->magic != IO_OP_MAGIC || op->generation != sim_op->args.generation;
    list_remove(&sim_op->queue_link);
    sim->ready_count--;
    if (ret_result->more) {
        park(sim_op);
        /* A poll reports changes only; whoever polls uses the descriptor until it would block. */
        if (type_of(sim_op) != IO_POLL || sim_op->noticed || sim_op->cancelled)
            look_again(sim_op);
        return op;
    }
    uncount(sim_op);
    list_remove(&sim_op->op_link);
    release(sim_op);
    return op;
}

static uint32_t on_reap(struct io *io, uint32_t completion_count_max)
{
    struct io_sim *sim = sim_of(io);
    uint32_t count = 0;

    while (count < completion_count_max && io_sim_ready_count(io) > 0) {
        struct io_result result;
        struct io_op *op;
        bool stale;

        op = take(sim, &result, &stale);
        count++;
        if (unlikely(stale))
            sim->io.stats.stale_count++;
        else
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
    for (uint32_t i = 0; i < REAP_ADVANCE_MAX && sim->ready_count == 0; i++) {
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
    memory_poison(buffer_at(sim, buffer_index), sim->buffer_size);
    sim->free_buffers[sim->free_buffer_count++] = buffer_index;
    if (sim->dead)
        return;
    node = list_pop_front(&sim->starved);
    if (node != NULL) {
        struct sim_op *sim_op = container_of(node, struct sim_op, queue_link);

        park(sim_op);
        look_again(sim_op);
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

    if (!sim->dead && fd_of(sim, fd) != NULL)
        sim_host_fd_close(sim->host, fd);
}

static int on_enable(struct io *io)
{
    assert(sim_of(io)->host != NULL);
    return 0;
}

/* The process no longer hears of this operation; what it was about may happen, or half of it. */
static void abandon(struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;
    const struct io_op *op = &sim_op->args;
    enum io_op_type type = type_of(sim_op);
    bool is_under_way = sim_op->state == SIM_OP_PENDING;

    if (is_under_way && type == IO_WRITE)
        sim_disk_abandon_write(host->disk, op->fd, op->as.rw.data, op->as.rw.size,
                               op->as.rw.offset);
    else if (is_under_way && is_on_disk(type) && type != IO_READ && sim_world_coin(host->world))
        do_disk(sim_op);
    uncount(sim_op);
    release(sim_op);
}

void io_sim_die(struct io_sim *sim)
{
    assert(!sim->dead);
    sim->dead = true;
    list_remove(&sim->link);
    while (!list_is_empty(&sim->armed))
        abandon(container_of(sim->armed.next, struct sim_op, link));
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
