/*
 * Io_uring watch: finds receives whose stream ended without the kernel saying so.
 *
 * When a multishot receive finds bytes and the end of the connection (above all a
 * reset) at the same time, kernels as new as 6.18 read the bytes and forget the end:
 * the receive stays armed for good, and deaf. So each receive that delivered bytes
 * and stays armed is noted here, and a little later all that were noted are asked
 * about at once, by poll(2).
 *
 * Once is enough: what the kernel forgets had happened before it delivered the
 * bytes, so it shows by then. Asking forgets the notes, so a connection that is
 * silent costs nothing, and a process whose connections are has nothing to wake for.
 *
 * A note is a user_data word (see io_uring_entry.h), not a link: an operation that
 * ended, began anew or gave its memory to another meanwhile is passed over. Owned
 * by the shard's thread.
 */
#pragma once

#include <poll.h>

#include "runtime/io.h"

enum {
    IO_URING_WATCH_COUNT_MAX = 1024,               /* receives noted, and asked about by one call */
    IO_URING_WATCH_INTERVAL_NS = 20 * 1000 * 1000, /* from the first note until it is time */
};

/* Private to io_uring_watch.c; embedded by value. */
struct io_uring_watch {
    uint64_t notes[IO_URING_WATCH_COUNT_MAX]; /* user_data of receives */
    struct pollfd polls[IO_URING_WATCH_COUNT_MAX];
    struct io_op *ops[IO_URING_WATCH_COUNT_MAX]; /* asked about, then: ended */
    uint32_t note_count;
    uint64_t due_ns; /* mono_ns of the next look, 0 while there is no note */
};

/* Makes a watch without notes. */
void io_uring_watch_init(struct io_uring_watch *watch);

/* Notes an armed receive; one that is noted already is so once. False when no room is left. */
MUST_USE bool io_uring_watch_add(struct io_uring_watch *watch, struct io_op *op);

/* op has ended or is about to: no note of it stays. op must not have been armed again. */
void io_uring_watch_forget(struct io_uring_watch *watch, struct io_op *op);

/* True while nothing is noted; then nobody needs to know the time. */
static inline bool io_uring_watch_is_empty(const struct io_uring_watch *watch)
{
    return watch->note_count == 0;
}

/*
 * Nanoseconds from now_ns until it is time to look, 0 when it is, UINT64_MAX when
 * nothing is noted. The interval begins with the first call after the first note.
 */
uint64_t io_uring_watch_left_ns(struct io_uring_watch *watch, uint64_t now_ns);

/*
 * Looks at the sockets of all noted receives and forgets the notes. Gives the count
 * of those that are still armed, not being cancelled, in the kernel's hands, and
 * whose socket says that its peer is done or that something is wrong; *ret_ops lists
 * them and is the watch's until the next call. It may name one that the kernel is
 * just about to complete, but none that ended stays out.
 */
uint32_t io_uring_watch_look(struct io_uring_watch *watch, struct io_op *const **ret_ops);
