/*
 * Sim op: what the simulator keeps about one armed operation.
 *
 *     DEFERRED: no room in the submission ring
 *         | handed over
 *         v     condition holds             event is due          reaped
 *     PARKED -------------------> PENDING --------------> READY ---------> gone
 *      ^   ^                        | no buffer             |
 *      |   +-- STARVED <------------+                       | more
 *      +----------------------------------------------------+
 *
 * STARVED ends when a buffer is released or, if a fault was the cause, by the event.
 *
 * Sockets hold borrowed pointers to the operations that wait on them and tell
 * them when something changed. For runtime/sim_*.c and io_sim.c.
 */
#pragma once

#include "runtime/io.h"
#include "runtime/sim_world.h"

struct io_sim;
struct sim_socket;

enum sim_op_state {
    SIM_OP_DEFERRED, /* armed, and not yet handed over */
    SIM_OP_PARKED,   /* its condition does not hold: no data, no room */
    SIM_OP_PENDING,  /* its event is in the queue */
    SIM_OP_STARVED,  /* data, but no receive buffer */
    SIM_OP_READY,    /* result waits to be reaped */
};

/* Private to io_sim.c. */
struct sim_op {
    struct list_node link;       /* io->armed, or io->free_ops */
    struct list_node queue_link; /* io->deferred, io->ready or io->starved */
    struct list_node op_link;    /* a ring of two with op->backend_link: leads from op to here */
    struct sim_event event;
    struct io_sim *io;
    struct io_op *op;
    struct io_op args; /* as it was armed, like a kernel's copy: op's memory is not believed */
    struct sim_socket *socket; /* of operations on sockets */
    struct io_result result;
    uint64_t data_hash; /* of the bytes lent by a write or send, to catch who changes them */
    uint64_t sequence;  /* of a sync: the latest write that it covers */
    uint32_t attempt_count;
    enum sim_op_state state;
    bool cancelled;
    bool counted; /* in its descriptor's armed_count */
    bool noticed; /* told of a change while it could not look */
};

/* What the operation does; how it was armed. */
static inline enum io_op_type sim_op_type(const struct sim_op *sim_op)
{
    return (enum io_op_type)sim_op->args.type;
}

/* A record for op, PARKED, in the backend's list. */
struct sim_op *sim_op_acquire(struct io_sim *sim, struct io_op *op);

/* Forgets the operation without touching its memory; the record is used again. */
void sim_op_release(struct sim_op *sim_op);

/* The record of an armed operation. */
struct sim_op *sim_op_of(const struct io_op *op);

/* The descriptor's record, of whatever kind, or NULL when it is not open. */
struct sim_fd *sim_op_fd(const struct io_sim *sim, int fd);

/* The operation no longer keeps its descriptor from being closed. Repeating it does nothing. */
void sim_op_uncount(struct sim_op *sim_op);

/* To PENDING: its event comes delay_ns from now. To PARKED. */
void sim_op_pend(struct sim_op *sim_op, uint64_t delay_ns);
void sim_op_park(struct sim_op *sim_op);

/*
 * To STARVED, behind those that are; retried by itself after retry_ns, unless that is
 * UINT64_MAX. And from there to PARKED.
 */
void sim_op_starve(struct sim_op *sim_op, uint64_t retry_ns);
void sim_op_feed(struct sim_op *sim_op);

/* To READY with this result; detail goes into the trace only. */
void sim_op_complete(struct sim_op *sim_op, int64_t value, bool more, uint64_t detail);

/* A PARKED operation that could do something now, or is cancelled, becomes PENDING. */
void sim_op_look_again(struct sim_op *sim_op);

/* Tells the operation that what it waits for may have changed. NULL is accepted. */
void sim_op_notify(struct sim_op *sim_op);

/*
 * Takes the oldest completion of the backend and brings its record into order. Gives the
 * operation; NULL when its memory serves another one by now: then nobody is told.
 */
struct io_op *sim_op_take(struct io_sim *sim, struct io_result *ret_result);
