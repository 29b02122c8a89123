/*
 * Sim op: what the simulator keeps about one armed operation.
 *
 *              condition holds             event is due          reaped
 *     PARKED -------------------> PENDING --------------> READY ---------> gone
 *      ^   ^                        | no buffer             |
 *      |   +-- STARVED <------------+                       | more
 *      +----------------------------------------------------+
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
    SIM_OP_PARKED,  /* its condition does not hold: no data, no room */
    SIM_OP_PENDING, /* its event is in the queue */
    SIM_OP_STARVED, /* data, but no receive buffer */
    SIM_OP_READY,   /* result waits to be reaped */
};

/* Private to io_sim.c. */
struct sim_op {
    struct list_node link;       /* io->armed, or io->free_ops */
    struct list_node queue_link; /* io->ready or io->starved */
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

/* Lets the operation look again at what it waits for. NULL is accepted. */
void sim_op_notify(struct sim_op *sim_op);
