#include "runtime/sim_act.h"

#include <errno.h>

#include "runtime/io_sim.h"
#include "runtime/memory.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"

/*
 * Disk operations take effect when their event is due, not when they are armed:
 * what is armed together finishes in drawn order, and a crash in between finds
 * them half done. The bytes of a write or send are hashed when they are lent and
 * again when they are used; a caller that changes them in between is caught.
 */
enum { BACKLOG_RETRY_MAX = 6 };

static const uint64_t BACKLOG_RETRY_NS = 1000000000;

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

static uint64_t disk_latency_ns(const struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;
    uint64_t latency_ns = sim_range_draw(&host->faults.disk_latency_ns, &host->world->rng);

    if (sim_fault_strikes(&host->faults.disk_stuck, &host->world->rng)) {
        latency_ns += sim_range_draw(&host->faults.stuck_ns, &host->world->rng);
        sim_host_hang(host, latency_ns);
    }
    return latency_ns;
}

bool sim_act_is_possible(const struct sim_op *sim_op)
{
    const struct sim_socket *socket = sim_op->socket;

    switch (sim_op_type(sim_op)) {
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

static void do_accept(struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;
    struct sim_socket *accepted;
    int fd;

    if (sim_op->socket->state != SIM_SOCKET_LISTENING) {
        sim_op_complete(sim_op, -EINVAL, false, 0);
        return;
    }
    if (sim_op->socket->backlog_count == 0) {
        sim_op_park(sim_op);
        return;
    }
    /* As the kernel does it: the connection stays in the backlog when there is no descriptor. */
    fd = sim_host_fd_add(host, SIM_FD_SOCKET);
    if (fd < 0) {
        sim_op_complete(sim_op, fd, false, 0);
        return;
    }
    accepted = sim_net_accept(sim_op->socket);
    assert(accepted != NULL);
    host->fds[fd].socket = accepted;
    if (!sim_fault_strikes(&host->faults.accept_error, &host->world->rng)) {
        sim_op_complete(sim_op, fd, true, 0);
        return;
    }
    sim_host_fd_close(host, fd);
    sim_op_complete(sim_op, -ECONNABORTED, false, 0);
}

static void do_recv(struct sim_op *sim_op)
{
    struct io_sim *sim = sim_op->io;
    struct sim_host *host = sim->host;
    uint64_t retry_ns = 0;
    uint32_t index;
    char *data;
    int64_t r;

    if (!sim_act_is_possible(sim_op)) {
        sim_op_park(sim_op);
        return;
    }
    if (sim->free_buffer_count == 0)
        retry_ns = UINT64_MAX;
    else if (sim_fault_strikes(&host->faults.recv_starved, &host->world->rng))
        retry_ns = sim_range_draw(&host->faults.starve_ns, &host->world->rng);
    if (retry_ns > 0 && sim_op->cancelled) {
        sim_op_complete(sim_op, -ECANCELED, false, 0);
        return;
    }
    if (retry_ns > 0) {
        sim_host_trace(host, "starved", sim_op->args.fd, (int64_t)sim->free_buffer_count, 0);
        sim_op_starve(sim_op, retry_ns);
        return;
    }
    index = sim->free_buffers[sim->free_buffer_count - 1];
    data = io_sim_buffer(sim, index);
    memory_unpoison(data, sim->buffer_size);
    r = sim_socket_receive(sim_op->socket, data, sim->buffer_size);
    assert(r != -EAGAIN);
    if (r > 0) {
        sim->free_buffer_count--;
        sim_op->result.data = data;
        sim_op->result.buffer_index = index;
        sim_op_complete(sim_op, r, true, sim_hash(data, (size_t)r));
        return;
    }
    memory_poison(data, sim->buffer_size);
    sim_op_complete(sim_op, r, false, 0);
}

static void do_send(struct sim_op *sim_op)
{
    struct io_op *op = &sim_op->args;
    const char *data = op->as.rw.data;
    int64_t r;

    r = sim_socket_send(sim_op->socket, data + op->as.rw.done, op->as.rw.size - op->as.rw.done);
    if (r < 0) {
        sim_op_complete(sim_op, r, false, op->as.rw.done);
        return;
    }
    op->as.rw.done += (uint32_t)r;
    assert(op->as.rw.done <= op->as.rw.size);
    if (op->as.rw.done == op->as.rw.size) {
        assert(sim_hash(data, op->as.rw.size) == sim_op->data_hash);
        sim_op_complete(sim_op, op->as.rw.size, false, sim_op->data_hash);
        return;
    }
    sim_op_park(sim_op);
    /* One that overlaps another is not told of room and looks from time to time. */
    if (r > 0 || sim_op->socket->waiting[SIM_SLOT_SEND] != sim_op)
        sim_op_pend(sim_op, sim_socket_latency_ns(sim_op->socket));
}

static void do_connect(struct sim_op *sim_op)
{
    const struct io_op *op = &sim_op->args;
    int r;

    r = sim_net_connect(sim_op->socket, op->as.connect.address, op->as.connect.size);
    if (r != -EAGAIN) {
        sim_op_complete(sim_op, r, false, 0);
    } else if (++sim_op->attempt_count == BACKLOG_RETRY_MAX) {
        sim_op_complete(sim_op, -ETIMEDOUT, false, 0);
    } else {
        sim_op_pend(sim_op, BACKLOG_RETRY_NS);
    }
}

static void do_poll(struct sim_op *sim_op)
{
    uint32_t events = sim_socket_events(sim_op->socket) & sim_op->args.as.events;

    sim_op->noticed = false;
    if (events == 0)
        sim_op_park(sim_op);
    else
        sim_op_complete(sim_op, events, true, 0);
}

static void do_close(struct sim_op *sim_op)
{
    struct io_sim *sim = sim_op->io;

    if (sim_op_fd(sim, sim_op->args.fd) == NULL) {
        sim_op_complete(sim_op, -EBADF, false, 0);
        return;
    }
    sim_host_fd_close(sim->host, sim_op->args.fd);
    sim_op_complete(sim_op, 0, false, 0);
}

/* True when a signal, or the kernel's mood, ends the operation before it has done its work. */
static bool is_interrupted(struct sim_op *sim_op)
{
    static const int32_t errors[] = {-EINTR, -EAGAIN, -ECANCELED};
    struct sim_host *host = sim_op->io->host;
    const struct io_op *op = &sim_op->args;
    enum io_op_type type = sim_op_type(sim_op);

    if (type != IO_READ && type != IO_WRITE && type != IO_FSYNC)
        return false;
    if (!sim_fault_strikes(&host->faults.op_interrupted, &host->world->rng))
        return false;
    if (type == IO_WRITE && sim_world_coin(host->world))
        sim_disk_abandon_write(host->disk, op->fd, op->as.rw.data, op->as.rw.size,
                               op->as.rw.offset);
    sim_op_complete(sim_op, errors[rng_below(&host->world->rng, ARRAY_COUNT(errors))], false,
                    type == IO_FSYNC ? 0 : op->as.rw.offset);
    return true;
}

static void do_disk(struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;
    struct sim_disk *sd = host->disk;
    const struct io_op *op = &sim_op->args;
    uint64_t detail = 0;
    int64_t r = 0;

    if (is_interrupted(sim_op))
        return;
    switch (sim_op_type(sim_op)) {
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
    if (host->world->mono_ns <= host->hang_until_ns)
        host->hang_used = sd->used;
    sim_op_complete(sim_op, r, false, detail);
}

/* True when a cancel request comes in time; else what was on its way happens first. */
static bool cancel_wins(struct sim_op *sim_op)
{
    enum io_op_type type = sim_op_type(sim_op);

    if (!sim_op->cancelled || type == IO_CLOSE || type == IO_SHUTDOWN)
        return false;
    if (type == IO_SEND || type == IO_CONNECT)
        return true;
    if (!is_on_disk(type) && !sim_act_is_possible(sim_op))
        return true;
    return sim_world_coin(sim_op->io->host->world);
}

void sim_act(struct sim_op *sim_op)
{
    if (cancel_wins(sim_op)) {
        sim_op_complete(sim_op, -ECANCELED, false, 0);
        return;
    }
    switch (sim_op_type(sim_op)) {
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
        sim_op_complete(sim_op, sim_socket_shutdown(sim_op->socket, sim_op->args.as.how), false, 0);
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

/* Binds the operation to its socket; false when the descriptor is none. */
static bool attach(struct sim_op *sim_op)
{
    struct io_sim *sim = sim_op->io;
    const struct io_op *op = &sim_op->args;
    const struct sim_fd *record = sim_host_fd(sim->host, op->fd, SIM_FD_SOCKET);
    enum sim_socket_slot slot = slot_of(sim_op_type(sim_op));

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

static void begin(struct sim_op *sim_op)
{
    switch (sim_op_type(sim_op)) {
    case IO_ACCEPT:
    case IO_RECV:
    case IO_POLL:
        sim_op_look_again(sim_op);
        break;
    case IO_SEND:
    case IO_CONNECT:
        sim_op_pend(sim_op, sim_socket_latency_ns(sim_op->socket));
        break;
    case IO_SHUTDOWN:
    case IO_CLOSE:
        sim_op_pend(sim_op, io_sim_latency_ns(sim_op->io));
        break;
    case IO_FSYNC:
        sim_op->sequence = sim_op->io->host->disk->write_sequence;
        sim_op_pend(sim_op, disk_latency_ns(sim_op));
        break;
    case IO_READ:
    case IO_WRITE:
    case IO_OPEN:
    case IO_RENAME:
    case IO_UNLINK:
        sim_op_pend(sim_op, disk_latency_ns(sim_op));
        break;
    case IO_NONE:
    case IO_CANCEL:
        assert(false);
        break;
    }
}

void sim_act_enter(struct sim_op *sim_op)
{
    const struct io_op *op = &sim_op->args;
    enum io_op_type type = sim_op_type(sim_op);
    struct sim_fd *record = sim_op_fd(sim_op->io, op->fd);

    if (record != NULL && type == IO_CLOSE)
        assert(record->armed_count == 0);
    sim_op->counted = record != NULL && type != IO_CLOSE;
    if (sim_op->counted)
        record->armed_count++;
    if (type == IO_WRITE || type == IO_SEND)
        sim_op->data_hash = sim_hash(op->as.rw.data, op->as.rw.size);
}

void sim_act_start(struct sim_op *sim_op)
{
    enum io_op_type type = sim_op_type(sim_op);

    sim_op_park(sim_op);
    /* A descriptor that was none when the operation was armed stays none for it. */
    if (sim_op->args.fd >= 0 && type != IO_CLOSE && !sim_op->counted) {
        sim_op_complete(sim_op, -EBADF, false, 0);
        return;
    }
    if (is_on_disk(type) || type == IO_CLOSE || attach(sim_op))
        begin(sim_op);
    else
        sim_op_complete(sim_op, -ENOTSOCK, false, 0);
}

void sim_act_abandon(struct sim_op *sim_op)
{
    struct sim_host *host = sim_op->io->host;
    const struct io_op *op = &sim_op->args;
    enum io_op_type type = sim_op_type(sim_op);
    bool is_under_way = sim_op->state == SIM_OP_PENDING;

    if (is_under_way && type == IO_WRITE)
        sim_disk_abandon_write(host->disk, op->fd, op->as.rw.data, op->as.rw.size,
                               op->as.rw.offset);
    else if (is_under_way && is_on_disk(type) && type != IO_READ && sim_world_coin(host->world))
        do_disk(sim_op);
    sim_op_uncount(sim_op);
    sim_op_release(sim_op);
}
