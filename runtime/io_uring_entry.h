/*
 * Io_uring entry: from an operation to the kernel's submission entry, and the 64
 * bits of user_data by which a completion finds its operation again.
 *
 *     63          48 47                                  3 2     0
 *     | generation   | address of the operation, 8-aligned | kind  |
 *
 * An address alone would be dangerous: the memory may serve another operation by
 * the time the completion comes. So the completion is believed only when the
 * generation is still the operation's own. The kind tells what a stale completion
 * carries and marks the backend's own entries. Pure: no state, no system call.
 */
#pragma once

#include <liburing.h>

#include "runtime/io.h"

/* The low bits of user_data. */
enum io_uring_kind {
    IO_URING_KIND_PLAIN = 0,
    IO_URING_KIND_GIVES_FD = 1, /* accept, open: a stale result must be closed */
    IO_URING_KIND_CANCEL = 2,   /* a cancel request; nobody waits for its answer */
    IO_URING_KIND_WAKE = 3,     /* the poll that io_wake() triggers */
    IO_URING_KIND_MASK = 7,
};

/* The backend's bits in the flags of a receive, which has none of its own; arming clears them. */
enum io_uring_recv_flags {
    IO_URING_RECV_NOTED = 1,     /* io_uring_watch.c will look at its socket */
    IO_URING_RECV_RECHECKED = 2, /* cancelled by the backend, to be armed again */
};

/* What names this arming of op. */
uint64_t io_uring_entry_user_data(const struct io_op *op);

/* The operation that a PLAIN or GIVES_FD user_data names, NULL when it is stale. */
struct io_op *io_uring_entry_find(uint64_t user_data);

/* The kind in user_data. */
static inline enum io_uring_kind io_uring_entry_kind(uint64_t user_data)
{
    return (enum io_uring_kind)(user_data & IO_URING_KIND_MASK);
}

/* Fills sqe with what op asks for; a send goes on behind what is done already. */
void io_uring_entry_fill(const struct io_op *op, struct io_uring_sqe *sqe);
