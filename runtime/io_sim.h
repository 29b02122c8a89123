/*
 * Io sim: the simulated backend of io.h, one per shard.
 *
 * Operations act on the host's simulated disk and sockets; completions come
 * after drawn times in drawn order. io_wait() never blocks: whoever drives the
 * world moves the clock (sim_world.h), unless host->wait_drives_world says that
 * io_wait() does it itself, for tests with a single backend.
 */
#pragma once

#include "runtime/sim_host.h"
#include "runtime/sim_op.h"

enum { IO_SIM_OP_COUNT_MAX = 1 << 20 };

/* Private to io_sim.c and sim_host.c. */
struct io_sim {
    struct io io;          /* first: the front's view */
    struct list_node link; /* host->ios; unlinked when dead */
    struct sim_host *host;
    uint32_t index;
    struct list_node armed;     /* every operation in flight */
    struct list_node deferred;  /* operations that the ring had no room for, in order */
    struct sim_event hand_over; /* comes while there are any */
    struct list_node ready;     /* completions to be reaped, in order */
    struct list_node starved;   /* receives that wait for a buffer */
    struct list_node free_ops;  /* records to be used again */
    uint32_t op_count;
    uint32_t ready_count;
    uint32_t submitted_count; /* handed over since the last turn of the process */
    bool was_held;            /* the reap before held completions back */
    char *buffers;
    uint32_t *free_buffers; /* indexes of those not lent */
    uint32_t free_buffer_count;
    uint32_t buffer_count;
    uint32_t buffer_size;
    bool dead; /* the process has ended: nothing completes any more */
};

/* The receive buffer with this index. */
static inline char *io_sim_buffer(const struct io_sim *sim, uint32_t index)
{
    assert(index < sim->buffer_count);
    return sim->buffers + (size_t)index * sim->buffer_size;
}

/* From "it happened" to "the completion is there". */
uint64_t io_sim_latency_ns(struct io_sim *sim);

/* Makes a backend on a host that is up, with the host's buffer sizes. 0. End with io_free(). */
MUST_USE int io_sim_new(struct sim_host *host, struct io **ret_io);

/* Completions that io_reap() would deliver now; 0 for a dead backend. io must be simulated. */
uint32_t io_sim_ready_count(const struct io *io);

/* The process of this backend ends: settles writes in flight and forgets all operations, without
 * touching their memory ever after. For sim_host.c. */
void io_sim_die(struct io_sim *sim);
