#include "runtime/sim_op.h"

#include "runtime/io_sim.h"
#include "runtime/sim_act.h"
#include "runtime/sim_socket.h"

/*
 * Records are made on demand, kept in the backend and used again. A record leads
 * to its operation by pointer and back by a ring of two: the operation's
 * backend_link and the record's op_link. What an operation does when its event is
 * due stands in sim_act.c; this file only moves records between their states.
 */

/* What the trace calls each type. */
static const char *const type_names[] = {
    [IO_NONE] = "none",     [IO_ACCEPT] = "accept",   [IO_RECV] = "recv",
    [IO_SEND] = "send",     [IO_CONNECT] = "connect", [IO_SHUTDOWN] = "shutdown",
    [IO_CLOSE] = "close",   [IO_READ] = "read",       [IO_WRITE] = "write",
    [IO_POLL] = "poll",     [IO_OPEN] = "open",       [IO_RENAME] = "rename",
    [IO_UNLINK] = "unlink", [IO_FSYNC] = "fsync",     [IO_CANCEL] = "cancel",
};

struct sim_op *sim_op_of(const struct io_op *op)
{
    assert(op->backend_link.next != &op->backend_link);
    return container_of(op->backend_link.next, struct sim_op, op_link);
}

static void on_due(struct sim_event *event)
{
    struct sim_op *sim_op = container_of(event, struct sim_op, event);

    assert(sim_op->state == SIM_OP_PENDING || sim_op->state == SIM_OP_STARVED);
    assert(!sim_op->io->dead);
    /* A dying process hears of nothing any more. */
    if (!sim_host_is_up(sim_op->io->host))
        return;
    if (sim_op->state == SIM_OP_STARVED) {
        sim_op_feed(sim_op);
        sim_op_look_again(sim_op);
    } else {
        sim_act(sim_op);
    }
}

struct sim_op *sim_op_acquire(struct io_sim *sim, struct io_op *op)
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

void sim_op_release(struct sim_op *sim_op)
{
    for (uint32_t i = 0; sim_op->socket != NULL && i < SIM_SLOT_COUNT; i++) {
        if (sim_op->socket->waiting[i] == sim_op)
            sim_op->socket->waiting[i] = NULL;
    }
    sim_world_unschedule(sim_op->io->host->world, &sim_op->event);
    list_remove(&sim_op->queue_link);
    list_remove(&sim_op->link);
    list_init(&sim_op->op_link);
    sim_op->op = NULL;
    sim_op->socket = NULL;
    list_push_front(&sim_op->io->free_ops, &sim_op->link);
}

struct sim_fd *sim_op_fd(const struct io_sim *sim, int fd)
{
    struct sim_fd *record = sim_host_fd(sim->host, fd, SIM_FD_FILE);

    return record != NULL ? record : sim_host_fd(sim->host, fd, SIM_FD_SOCKET);
}

void sim_op_uncount(struct sim_op *sim_op)
{
    struct sim_fd *record = sim_op_fd(sim_op->io, sim_op->args.fd);

    if (!sim_op->counted)
        return;
    assert(record != NULL);
    assert(record->armed_count > 0);
    record->armed_count--;
    sim_op->counted = false;
}

void sim_op_pend(struct sim_op *sim_op, uint64_t delay_ns)
{
    sim_op->state = SIM_OP_PENDING;
    sim_world_schedule(sim_op->io->host->world, &sim_op->event, delay_ns);
}

void sim_op_park(struct sim_op *sim_op)
{
    sim_op->state = SIM_OP_PARKED;
}

void sim_op_starve(struct sim_op *sim_op, uint64_t retry_ns)
{
    struct io_sim *sim = sim_op->io;

    assert(sim_op_type(sim_op) == IO_RECV);
    sim_op->state = SIM_OP_STARVED;
    list_push_back(&sim->starved, &sim_op->queue_link);
    sim->io.stats.starved_count++;
    if (retry_ns != UINT64_MAX)
        sim_world_schedule(sim->host->world, &sim_op->event, retry_ns);
}

void sim_op_feed(struct sim_op *sim_op)
{
    assert(sim_op->state == SIM_OP_STARVED);
    sim_world_unschedule(sim_op->io->host->world, &sim_op->event);
    list_remove(&sim_op->queue_link);
    sim_op_park(sim_op);
}

static void trace(const struct sim_op *sim_op, int64_t value, uint64_t detail)
{
    const struct sim_host *host = sim_op->io->host;
    struct sim_trace_entry entry = {
        .mono_ns = host->world->mono_ns,
        .host = host->name,
        .io_index = sim_op->io->index,
        .what = type_names[sim_op_type(sim_op)],
        .fd = sim_op->args.fd,
        .value = value,
        .detail = detail,
    };

    sim_trace_add(&host->world->trace, &entry);
}

void sim_op_complete(struct sim_op *sim_op, int64_t value, bool more, uint64_t detail)
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

void sim_op_look_again(struct sim_op *sim_op)
{
    assert(sim_op->state == SIM_OP_PARKED);
    if (sim_op->cancelled || sim_act_is_possible(sim_op))
        sim_op_pend(sim_op, io_sim_latency_ns(sim_op->io));
}

void sim_op_notify(struct sim_op *sim_op)
{
    if (sim_op == NULL)
        return;
    if (sim_op->state == SIM_OP_PARKED)
        sim_op_look_again(sim_op);
    else
        sim_op->noticed = true;
}

/* True when the operation's memory serves another one, or none, by now. */
static bool is_stale(const struct sim_op *sim_op)
{
    return sim_op->op->magic != IO_OP_MAGIC || sim_op->op->generation != sim_op->args.generation ||
           sim_op->op->state == IO_OP_IDLE;
}

/* Gives back what a completion carries that nobody will hear of, and ends its operation. */
static void discard(struct sim_op *sim_op)
{
    struct io_sim *sim = sim_op->io;
    enum io_op_type type = sim_op_type(sim_op);
    int32_t value = sim_op->result.value;

    sim->io.stats.stale_count++;
    if (type == IO_RECV && value > 0)
        io_buffer_release(&sim->io, sim_op->result.buffer_index);
    else if ((type == IO_ACCEPT || type == IO_OPEN) && value >= 0)
        sim_host_fd_close(sim->host, value);
    sim_op->cancelled = true;
    if (!sim_op->result.more) {
        assert(sim->io.armed_count > 0);
        sim->io.armed_count--;
    }
}

struct io_op *sim_op_take(struct io_sim *sim, struct io_result *ret_result)
{
    struct sim_op *sim_op = container_of(sim->ready.next, struct sim_op, queue_link);
    struct io_op *op = is_stale(sim_op) ? NULL : sim_op->op;

    *ret_result = sim_op->result;
    list_remove(&sim_op->queue_link);
    sim->ready_count--;
    if (op == NULL)
        discard(sim_op);
    if (sim_op->result.more) {
        sim_op_park(sim_op);
        /* A poll reports changes only; whoever polls uses the descriptor until it would block. */
        if (sim_op_type(sim_op) != IO_POLL || sim_op->noticed || sim_op->cancelled)
            sim_op_look_again(sim_op);
        return op;
    }
    sim_op_uncount(sim_op);
    if (op != NULL)
        list_remove(&sim_op->op_link);
    sim_op_release(sim_op);
    return op;
}
