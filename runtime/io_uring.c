#include "runtime/io_uring.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/fd_guard.h"
#include "runtime/io_uring_entry.h"
#include "runtime/io_uring_watch.h"
#include "runtime/memory.h"
#include "runtime/recv_ring.h"
#include "runtime/socket.h"

/*
 * One ring, used by one thread.
 *
 * A completion is matched to its operation by address and generation (see
 * io_uring_entry.h). On a mismatch it is counted, what it carries (a buffer, a
 * descriptor) is given back, and nobody hears of it.
 *
 * Where an armed operation can be, besides in the kernel (at most one of these,
 * by backend_link):
 *
 *     deferred   no submission entry was free; goes in before the next wait, in order
 *     starved    a receive that found no buffer; see rearm_starved()
 *     cancelled  ended by us, -ECANCELED at the next reap
 *     uncancelled  in the kernel, its cancel request found no submission entry
 *
 * Besides, a receive that has delivered bytes is on the notes of io_uring_watch.h
 * until these are looked at, which a wait does when it is time; while there are
 * notes a wait ends by then. A receive whose stream has ended behind the kernel's
 * back is cancelled and armed again, and now the kernel looks. Nobody above hears
 * of it: what was unread and how the stream ended come as they would have. Since
 * a completion may be under way, whatever ends that arming before the cancel
 * request is as good; an owner that cancels meanwhile gets the first -ECANCELED.
 *
 * DEFER_TASKRUN means that completions appear only while we are inside
 * io_uring_enter() with GETEVENTS. The kernel says by TASKRUN in the shared flags
 * that entering is worth it, so a wait of 0 is often no system call at all.
 * Newer kernels post only about 20 deferred completions per call; drain() goes
 * back for the rest, so that the shard sees, and commits, one large batch.
 *
 * A receive that finds no buffer ends with ENOBUFS. It must not be armed again at
 * once (it would spin) nor by a timer, but when a buffer comes back: before each
 * wait at most as many are re-armed as there are free buffers, first come first
 * served. While starved ones remain beside free buffers the wait does not block,
 * since those just armed may have nothing to read.
 *
 * Callbacks may leave by longjmp(). So everything of the backend is in order
 * before io_op_complete(): the completion is consumed, the re-arming done.
 */

enum {
    ENOMEM_RETRY_COUNT_MAX = 9, /* pauses of 1, 2, 4 ... 256 ms */
    ENOMEM_PAUSE_NS_MIN = 1000000,
    DRAIN_COUNT_MAX = 8,      /* further calls for deferred completions per wait */
    END_WAIT_COUNT_MAX = 500, /* rounds of ... */
    END_WAIT_NS = 10000000,   /* ... 10 ms for the kernel to let go of our memory */
};

static const uint64_t NANOSECONDS_PER_SECOND = 1000000000;

struct uring {
    struct io io; /* first: the front's view */
    struct io_uring ring;
    struct recv_ring recv_ring;
    struct list_node deferred;
    struct list_node starved;
    struct list_node cancelled;
    struct list_node uncancelled;
    struct fd_guard fds;
    struct clock clock; /* for the watch, and read only while that has notes */
    struct io_uring_watch watch;
    const char *owner; /* thread_mark of the thread that enabled the ring */
    int wake_fd;
    bool enabled;
    bool wake_wanted; /* the wake-up poll must be armed */
};

/* Its address tells threads apart, without a system call. */
static _Thread_local char thread_mark;

static struct uring *uring_of(struct io *io)
{
    return container_of(io, struct uring, io);
}

static void uring_check(const struct uring *uring)
{
    assert(uring->wake_fd >= 0);
    assert(!uring->enabled || uring->owner == &thread_mark);
}

/* --- Submission ------------------------------------------------------------------------- */

static void count_overflow(struct uring *uring)
{
    if (unlikely(io_uring_cq_has_overflow(&uring->ring)))
        uring->io.stats.overflow_count++;
}

/* A free submission entry, after handing over the full queue once; NULL when that fails. */
static struct io_uring_sqe *entry_get(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

    if (likely(sqe != NULL) || !uring->enabled)
        return sqe;
    count_overflow(uring);
    uring->io.stats.enter_count++;
    /* A failure shows in the queue still being full; the operation is deferred then. */
    if (io_uring_submit(&uring->ring) < 0)
        return NULL;
    return io_uring_get_sqe(&uring->ring);
}

/* Puts an armed operation on its way: into the queue, or behind those that wait for it. */
static void start(struct uring *uring, struct io_op *op)
{
    struct io_uring_sqe *sqe = NULL;

    if (likely(list_is_empty(&uring->deferred)))
        sqe = entry_get(uring);
    if (unlikely(sqe == NULL)) {
        list_push_back(&uring->deferred, &op->backend_link);
        return;
    }
    io_uring_entry_fill(op, sqe);
}

/* False when no submission entry was free. */
static bool request_cancel(struct uring *uring, uint64_t user_data)
{
    struct io_uring_sqe *sqe = entry_get(uring);

    if (unlikely(sqe == NULL))
        return false;
    io_uring_prep_cancel64(sqe, user_data, 0);
    io_uring_sqe_set_data64(sqe, IO_URING_KIND_CANCEL);
    return true;
}

/*
 * Never drained: each write to the eventfd reports anew, and a report is all we
 * want. So a wake-up costs this side no system call.
 */
static void arm_wake(struct uring *uring)
{
    struct io_uring_sqe *sqe = entry_get(uring);

    if (sqe == NULL)
        return;
    io_uring_prep_poll_multishot(sqe, uring->wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, IO_URING_KIND_WAKE);
    uring->wake_wanted = false;
}

static void uring_submit(struct io *io, struct io_op *op)
{
    struct uring *uring = uring_of(io);

    uring_check(uring);
    if (op->type == IO_CLOSE)
        fd_guard_check(&uring->fds, op->fd);
    else
        fd_guard_enter(&uring->fds, op->fd);
    start(uring, op);
}

static bool is_rechecked(const struct io_op *op)
{
    return op->type == IO_RECV && (op->flags & IO_URING_RECV_RECHECKED) != 0;
}

static void uring_cancel(struct io *io, struct io_op *target)
{
    struct uring *uring = uring_of(io);

    uring_check(uring);
    /* We have asked the kernel to cancel it already, or are about to. */
    if (is_rechecked(target))
        return;
    if (!list_is_empty(&target->backend_link)) {
        /* Deferred or starved: the kernel knows nothing of it. */
        list_remove(&target->backend_link);
        list_push_back(&uring->cancelled, &target->backend_link);
        return;
    }
    if (!request_cancel(uring, io_uring_entry_user_data(target)))
        list_push_back(&uring->uncancelled, &target->backend_link);
}

/* Makes receives whose end the kernel may have forgotten look again. */
static void recheck_ended(struct uring *uring)
{
    struct io_op *const *ops;
    uint32_t count = io_uring_watch_look(&uring->watch, &ops);

    for (uint32_t i = 0; i < count; i++) {
        if (is_rechecked(ops[i]))
            continue;
        ops[i]->flags |= IO_URING_RECV_RECHECKED;
        if (!request_cancel(uring, io_uring_entry_user_data(ops[i])))
            list_push_back(&uring->uncancelled, &ops[i]->backend_link);
    }
}

/* Looks when it is time; otherwise gives the nanoseconds until then, UINT64_MAX for never. */
static uint64_t recheck_when_due(struct uring *uring)
{
    uint64_t left_ns;

    if (io_uring_watch_is_empty(&uring->watch))
        return UINT64_MAX;
    clock_update(&uring->clock);
    left_ns = io_uring_watch_left_ns(&uring->watch, uring->clock.mono_ns);
    if (left_ns > 0)
        return left_ns;
    recheck_ended(uring);
    return UINT64_MAX;
}

/* After a delivery, of a receive that stays armed. */
static void note(struct uring *uring, struct io_op *op)
{
    bool noted;

    if (likely(io_uring_watch_add(&uring->watch, op)))
        return;
    recheck_ended(uring);
    noted = io_uring_watch_add(&uring->watch, op);
    assert(noted);
}

static void rearm_starved(struct uring *uring)
{
    uint32_t free_count = recv_ring_free_count(&uring->recv_ring);

    for (uint32_t i = 0; i < free_count && !list_is_empty(&uring->starved); i++) {
        struct list_node *node = list_pop_front(&uring->starved);

        start(uring, container_of(node, struct io_op, backend_link));
    }
}

/* Moves what had to wait into the queue, as far as it goes. */
static void flush_waiting(struct uring *uring)
{
    struct list_node *node;

    if (unlikely(uring->wake_wanted))
        arm_wake(uring);
    while (unlikely(!list_is_empty(&uring->uncancelled))) {
        struct io_op *op = container_of(uring->uncancelled.next, struct io_op, backend_link);

        if (!request_cancel(uring, io_uring_entry_user_data(op)))
            return;
        list_remove(&op->backend_link);
    }
    while (unlikely(!list_is_empty(&uring->deferred))) {
        struct io_uring_sqe *sqe = entry_get(uring);

        if (sqe == NULL)
            return;
        node = list_pop_front(&uring->deferred);
        io_uring_entry_fill(container_of(node, struct io_op, backend_link), sqe);
    }
}

/* --- Completion --------------------------------------------------------------------------- */

/* Takes the next completion out of the ring, so that nothing depends on what its callback does. */
static bool take(struct uring *uring, struct io_uring_cqe *ret_cqe)
{
    struct io_uring_cqe *cqe;
    unsigned int head;

    io_uring_for_each_cqe(&uring->ring, head, cqe)
    {
        *ret_cqe = *cqe;
        io_uring_cq_advance(&uring->ring, 1);
        return true;
    }
    return false;
}

static uint32_t buffer_index_of(const struct io_uring_cqe *cqe)
{
    return cqe->flags >> IORING_CQE_BUFFER_SHIFT;
}

/* Gives back what a completion carries that nobody will hear of. */
static void discard(struct uring *uring, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        recv_ring_lend(&uring->recv_ring, buffer_index_of(cqe), 0);
        recv_ring_return(&uring->recv_ring, buffer_index_of(cqe));
    } else if (io_uring_entry_kind(cqe->user_data) == IO_URING_KIND_GIVES_FD && cqe->res >= 0) {
        close(cqe->res);
    }
}

static void on_stale(struct uring *uring, const struct io_uring_cqe *cqe)
{
    uring->io.stats.stale_count++;
    /* Whoever reused the slot forgot which descriptor this was about. */
    fd_guard_blind(&uring->fds);
    discard(uring, cqe);
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        assert(uring->io.armed_count > 0);
        uring->io.armed_count--;
    } else {
        /* Refused for want of an entry: the next stale completion asks again. */
        request_cancel(uring, cqe->user_data);
    }
}

static void finish(struct uring *uring, struct io_op *op, int32_t value)
{
    struct io_result result = {.value = value};

    list_remove(&op->backend_link); /* its cancel request may still wait */
    if (op->type == IO_RECV)
        io_uring_watch_forget(&uring->watch, op);
    if (op->type != IO_CLOSE)
        fd_guard_leave(&uring->fds, op->fd);
    io_op_complete(&uring->io, op, &result);
}

/* Goes on with an operation that the kernel ended before its time. */
static void go_on(struct uring *uring, struct io_op *op)
{
    if (op->state == IO_OP_ARMED) {
        start(uring, op);
        return;
    }
    list_remove(&op->backend_link);
    list_push_back(&uring->cancelled, &op->backend_link);
}

/* This arming is over, and with it what we asked the kernel about it. True when we had asked. */
static bool end_recheck(struct io_op *op)
{
    bool rechecked = is_rechecked(op);

    if (rechecked) {
        op->flags &= ~(uint32_t)IO_URING_RECV_RECHECKED;
        list_remove(&op->backend_link);
    }
    return rechecked;
}

static uint32_t on_bytes(struct uring *uring, struct io_op *op, const struct io_uring_cqe *cqe)
{
    struct io_result result = {.value = cqe->res, .more = true};

    assert((cqe->flags & IORING_CQE_F_BUFFER) != 0);
    result.buffer_index = buffer_index_of(cqe);
    result.data = recv_ring_lend(&uring->recv_ring, result.buffer_index, (uint32_t)cqe->res);
    if (likely((cqe->flags & IORING_CQE_F_MORE) != 0)) {
        note(uring, op);
    } else {
        end_recheck(op);
        go_on(uring, op);
    }
    io_op_complete(&uring->io, op, &result);
    return 1;
}

static uint32_t on_recv(struct uring *uring, struct io_op *op, const struct io_uring_cqe *cqe)
{
    bool rechecked;

    if (cqe->res > 0)
        return on_bytes(uring, op, cqe);
    discard(uring, cqe); /* some kernels attach a buffer to the end of the stream */
    rechecked = end_recheck(op);
    if (op->state == IO_OP_ARMED && cqe->res == -ENOBUFS) {
        uring->io.stats.starved_count++;
        list_push_back(&uring->starved, &op->backend_link);
        return 0;
    }
    if (op->state == IO_OP_ARMED && cqe->res == -ECANCELED && rechecked) {
        start(uring, op);
        return 0;
    }
    finish(uring, op, cqe->res == -ENOBUFS ? -ECANCELED : cqe->res);
    return 1;
}

static uint32_t on_send(struct uring *uring, struct io_op *op, const struct io_uring_cqe *cqe)
{
    if (cqe->res < 0) {
        finish(uring, op, cqe->res);
        return 1;
    }
    assert((uint32_t)cqe->res <= op->as.rw.size - op->as.rw.done);
    op->as.rw.done += (uint32_t)cqe->res;
    if (op->as.rw.done == op->as.rw.size) {
        finish(uring, op, (int32_t)op->as.rw.size);
        return 1;
    }
    go_on(uring, op);
    return 0;
}

/* Accept and poll: each success is one of many, whatever the kernel thinks. */
static uint32_t on_multishot(struct uring *uring, struct io_op *op, const struct io_uring_cqe *cqe)
{
    struct io_result result = {.value = cqe->res, .more = true};

    if (cqe->res < 0) {
        finish(uring, op, cqe->res);
        return 1;
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        go_on(uring, op);
    io_op_complete(&uring->io, op, &result);
    return 1;
}

/* Answers how many completions the caller saw. */
static uint32_t dispatch(struct uring *uring, const struct io_uring_cqe *cqe)
{
    enum io_uring_kind kind = io_uring_entry_kind(cqe->user_data);
    struct io_op *op;

    if (unlikely(kind == IO_URING_KIND_CANCEL))
        return 0; /* found, not found, too late: the target's own completion tells */
    if (unlikely(kind == IO_URING_KIND_WAKE)) {
        if ((cqe->flags & IORING_CQE_F_MORE) == 0)
            uring->wake_wanted = true;
        return 0;
    }
    op = io_uring_entry_find(cqe->user_data);
    if (unlikely(op == NULL)) {
        on_stale(uring, cqe);
        return 0;
    }

    switch ((enum io_op_type)op->type) {
    case IO_RECV:
        return on_recv(uring, op, cqe);
    case IO_SEND:
        return on_send(uring, op, cqe);
    case IO_ACCEPT:
    case IO_POLL:
        return on_multishot(uring, op, cqe);
    case IO_CONNECT:
    case IO_SHUTDOWN:
    case IO_CLOSE:
    case IO_READ:
    case IO_WRITE:
    case IO_OPEN:
    case IO_RENAME:
    case IO_UNLINK:
    case IO_FSYNC:
        finish(uring, op, cqe->res);
        return 1;
    case IO_NONE:
    case IO_CANCEL:
        break;
    }
    assert(false);
    return 0;
}

static uint32_t uring_reap(struct io *io, uint32_t completion_count_max)
{
    struct uring *uring = uring_of(io);
    struct io_uring_cqe cqe;
    struct list_node *node;
    uint32_t count = 0;

    uring_check(uring);
    while (count < completion_count_max && take(uring, &cqe))
        count += dispatch(uring, &cqe);
    while (count < completion_count_max && (node = list_pop_front(&uring->cancelled)) != NULL) {
        finish(uring, container_of(node, struct io_op, backend_link), -ECANCELED);
        count++;
    }
    return count;
}

static void uring_buffer_release(struct io *io, uint32_t buffer_index)
{
    struct uring *uring = uring_of(io);

    uring_check(uring);
    recv_ring_return(&uring->recv_ring, buffer_index);
}

/* --- Waiting -------------------------------------------------------------------------------- */

static bool has_flag(const struct uring *uring, unsigned int flag)
{
    return (IO_URING_READ_ONCE(*uring->ring.sq.kflags) & flag) != 0;
}

/* True while the kernel holds completions that only entering will show. */
static bool is_worth_entering(const struct uring *uring)
{
    return has_flag(uring, IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/*
 * What entering may answer in ordinary life: time is over, a signal came, or the
 * kernel wants completions reaped (EBUSY) or memory (EAGAIN) first. Whatever was
 * not handed over is still in the queue and goes with the next call.
 */
static int entered(int r)
{
    if (r >= 0 || r == -ETIME || r == -EINTR || r == -EBUSY || r == -EAGAIN)
        return 0;
    return r;
}

static int poll_kernel(struct uring *uring)
{
    count_overflow(uring);
    uring->io.stats.enter_count++;
    return entered(io_uring_submit_and_get_events(&uring->ring));
}

static int block(struct uring *uring, uint64_t timeout_ns)
{
    struct __kernel_timespec timeout;
    struct io_uring_cqe *unused;

    uring->io.stats.enter_count++;
    if (timeout_ns == UINT64_MAX)
        return entered(io_uring_submit_and_wait(&uring->ring, 1));
    timeout.tv_sec = (int64_t)(timeout_ns / NANOSECONDS_PER_SECOND);
    timeout.tv_nsec = (long long)(timeout_ns % NANOSECONDS_PER_SECOND);
    return entered(io_uring_submit_and_wait_timeout(&uring->ring, &unused, 1, &timeout, NULL));
}

static int drain(struct uring *uring)
{
    int r = 0;

    for (int i = 0; i < DRAIN_COUNT_MAX && r == 0 && is_worth_entering(uring); i++) {
        /* A full queue of completions must be reaped before more can come. */
        if (io_uring_cq_ready(&uring->ring) >= uring->ring.cq.ring_entries)
            break;
        r = poll_kernel(uring);
    }
    return r;
}

/* True when nothing is left to do but wait. */
static bool may_block(const struct uring *uring)
{
    bool hungry = !list_is_empty(&uring->starved) && recv_ring_free_count(&uring->recv_ring) > 0;

    return io_uring_cq_ready(&uring->ring) == 0 && list_is_empty(&uring->cancelled) &&
           list_is_empty(&uring->uncancelled) && list_is_empty(&uring->deferred) && !hungry;
}

static int uring_wait(struct io *io, uint64_t timeout_ns)
{
    struct uring *uring = uring_of(io);
    uint64_t recheck_ns;
    int r = 0;

    uring_check(uring);
    assert(uring->enabled);
    recheck_ns = recheck_when_due(uring);
    /* Only with every completion looked at is the count of free buffers exact. */
    if (io_uring_cq_ready(&uring->ring) == 0)
        rearm_starved(uring);
    flush_waiting(uring);
    if (timeout_ns > 0 && may_block(uring))
        r = block(uring, min_u64(timeout_ns, recheck_ns));
    else if (io_uring_sq_ready(&uring->ring) > 0 || is_worth_entering(uring))
        r = poll_kernel(uring);
    if (r == 0)
        r = drain(uring);
    return r;
}

static void uring_wake(struct io *io)
{
    struct uring *uring = uring_of(io);
    uint64_t one = 1;
    ssize_t written;

    /* Not uring_check(): this is another thread. A full counter means many unseen wake-ups. */
    written = write(uring->wake_fd, &one, sizeof(one));
    assert(written == sizeof(one) || errno == EAGAIN || errno == EINTR);
}

/* --- Sockets ---------------------------------------------------------------------------------- */

static int uring_probe_address(struct io *io, const struct sockaddr *address, socklen_t size)
{
    (void)io;
    return socket_probe(address, size);
}

static int uring_listen(struct io *io, const struct sockaddr *address, socklen_t size, int backlog)
{
    (void)io;
    return socket_listen(address, size, backlog);
}

static int uring_socket(struct io *io, int family)
{
    (void)io;
    return socket_new(family);
}

static int uring_local_address(struct io *io, int fd, struct sockaddr_storage *ret_address)
{
    (void)io;
    return socket_local_address(fd, ret_address);
}

static int uring_peer_address(struct io *io, int fd, struct sockaddr_storage *ret_address)
{
    (void)io;
    return socket_peer_address(fd, ret_address);
}

static void uring_close_now(struct io *io, int fd)
{
    struct uring *uring = uring_of(io);

    uring_check(uring);
    fd_guard_check(&uring->fds, fd);
    close(fd);
}

/* --- Life ------------------------------------------------------------------------------------- */

static int uring_enable(struct io *io)
{
    struct uring *uring = uring_of(io);
    int r;

    assert(!uring->enabled);
    /* liburing 2.3 declares io_uring_enable_rings() but does not export it. */
    r = io_uring_register((unsigned int)uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (r < 0)
        return r;
    /* Saves a look-up per system call; without it everything works as well. */
    r = io_uring_register_ring_fd(&uring->ring);
    assert(r <= 1);
    uring->owner = &thread_mark;
    uring->enabled = true;
    return 0;
}

static uint32_t list_count(const struct list_node *head)
{
    uint32_t count = 0;

    for (const struct list_node *node = head->next; node != head; node = node->next)
        count++;
    return count;
}

/*
 * Cancels all and waits until the kernel has let go of the callers' memory, which
 * it does not promise when a ring is merely closed. Not from another thread: the
 * one that owned the ring has ended then, and the kernel cancelled for it.
 */
static void cancel_all(struct uring *uring)
{
    struct __kernel_timespec timeout = {.tv_nsec = END_WAIT_NS};
    uint32_t in_kernel_count = uring->io.armed_count - list_count(&uring->deferred) -
                               list_count(&uring->starved) - list_count(&uring->cancelled);
    struct io_uring_cqe cqe, *unused;
    struct io_uring_sqe *sqe = entry_get(uring);

    if (sqe == NULL)
        return;
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, IO_URING_KIND_CANCEL);
    /* Disk I/O that has begun cannot be cancelled, so this may take what the disk takes. */
    for (int i = 0; i < END_WAIT_COUNT_MAX && in_kernel_count > 0; i++) {
        io_uring_submit_and_wait_timeout(&uring->ring, &unused, 1, &timeout, NULL);
        while (take(uring, &cqe)) {
            enum io_uring_kind kind = io_uring_entry_kind(cqe.user_data);

            discard(uring, &cqe);
            if (kind <= IO_URING_KIND_GIVES_FD && (cqe.flags & IORING_CQE_F_MORE) == 0)
                in_kernel_count--;
        }
    }
}

static void uring_free(struct io **io)
{
    struct uring *uring = uring_of(*io);
    char *memory = (char *)uring;

    if (uring->enabled && uring->owner == &thread_mark)
        cancel_all(uring);
    else
        /* Keeps liburing from giving up this thread's registration of another ring. */
        uring->ring.int_flags = 0;
    io_uring_queue_exit(&uring->ring);
    recv_ring_deinit(&uring->recv_ring);
    close(uring->wake_fd);
    fd_guard_deinit(&uring->fds);
    memory_unmap(&memory, sizeof(struct uring));
    *io = NULL;
}

static const struct io_vtable URING_VTABLE = {
    .name = "uring",
    .submit = uring_submit,
    .cancel = uring_cancel,
    .reap = uring_reap,
    .wait = uring_wait,
    .wake = uring_wake,
    .buffer_release = uring_buffer_release,
    .listen = uring_listen,
    .probe_address = uring_probe_address,
    .socket = uring_socket,
    .local_address = uring_local_address,
    .peer_address = uring_peer_address,
    .close_now = uring_close_now,
    .enable = uring_enable,
    .free = uring_free,
};

/* The ring with its receive buffers, or neither. */
static int make_ring(struct uring *uring, const struct io_uring_config *sizes)
{
    int r;

    r = io_uring_setup_ring(sizes, &uring->ring);
    if (r < 0)
        return r;
    r = recv_ring_init(&uring->recv_ring, &uring->ring, sizes->recv_buffer_count,
                       sizes->recv_buffer_size);
    if (r < 0)
        io_uring_queue_exit(&uring->ring);
    return r;
}

/* With patience for locked memory that an ended ring has not given back yet. */
static int make_ring_patiently(struct uring *uring, const struct io_uring_config *sizes)
{
    struct timespec pause = {.tv_nsec = ENOMEM_PAUSE_NS_MIN};
    int r;

    r = make_ring(uring, sizes);
    for (int i = 0; r == -ENOMEM && i < ENOMEM_RETRY_COUNT_MAX; i++) {
        nanosleep(&pause, NULL);
        pause.tv_nsec *= 2;
        r = make_ring(uring, sizes);
    }
    return r;
}

int io_uring_new(const struct io_uring_config *config, struct io **ret_io)
{
    struct io_uring_config sizes = io_uring_sizes(config);
    struct uring *uring;
    char *memory = NULL;
    int r;

    r = memory_map(sizeof(struct uring), &memory);
    if (r < 0)
        return r;
    uring = (struct uring *)(void *)memory;
    *uring = (struct uring){.io.vtable = &URING_VTABLE,
                            .io.stats.buffer_size = sizes.recv_buffer_size,
                            .io.stats.buffer_count = sizes.recv_buffer_count,
                            .wake_fd = -1,
                            .wake_wanted = true};
    list_init(&uring->deferred);
    list_init(&uring->starved);
    list_init(&uring->cancelled);
    list_init(&uring->uncancelled);
    clock_init(&uring->clock, &clock_source_system);
    io_uring_watch_init(&uring->watch);

    r = fd_guard_init(&uring->fds);
    if (r < 0)
        goto fail;
    uring->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (uring->wake_fd < 0) {
        r = -errno;
        goto fail;
    }
    r = make_ring_patiently(uring, &sizes);
    if (r < 0)
        goto fail;
    *ret_io = &uring->io;
    return 0;

fail:
    if (uring->wake_fd >= 0)
        close(uring->wake_fd);
    fd_guard_deinit(&uring->fds);
    memory_unmap(&memory, sizeof(struct uring));
    return r;
}
