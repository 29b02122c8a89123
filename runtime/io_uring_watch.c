#include "runtime/io_uring_watch.h"

#include "runtime/io_uring_entry.h"

/*
 * An operation knows by a flag of its own that it is noted, so that noting a busy
 * connection again is one test. An operation that ends is forgotten at once, because
 * its memory may be given back: a search through the notes, once in the life of a
 * connection and only when it ends soon after a delivery.
 *
 * Why the notes are looked at together, after a while, and not one by one after
 * each delivery: a busy connection delivers thousands of times a second, and only
 * the last delivery of its life can be followed by a forgotten end.
 *
 * When poll(2) itself fails, for want of memory say, every receive counts as ended:
 * to let one look again in vain is cheap, to pass one over would leave it deaf.
 */
static const short ENDED = POLLRDHUP | POLLHUP | POLLERR;

static void watch_check(const struct io_uring_watch *watch)
{
    assert(watch->note_count <= IO_URING_WATCH_COUNT_MAX);
    assert(watch->note_count > 0 || watch->due_ns == 0);
}

void io_uring_watch_init(struct io_uring_watch *watch)
{
    watch->note_count = 0;
    watch->due_ns = 0;
}

bool io_uring_watch_add(struct io_uring_watch *watch, struct io_op *op)
{
    watch_check(watch);
    assert(op->type == IO_RECV);
    assert(io_op_is_armed(op));
    if ((op->flags & IO_URING_RECV_NOTED) != 0)
        return true;
    if (watch->note_count == IO_URING_WATCH_COUNT_MAX)
        return false;
    watch->notes[watch->note_count++] = io_uring_entry_user_data(op);
    op->flags |= IO_URING_RECV_NOTED;
    return true;
}

void io_uring_watch_forget(struct io_uring_watch *watch, struct io_op *op)
{
    uint64_t note = io_uring_entry_user_data(op);

    watch_check(watch);
    if ((op->flags & IO_URING_RECV_NOTED) == 0)
        return;
    op->flags &= ~(uint32_t)IO_URING_RECV_NOTED;
    for (uint32_t i = 0; i < watch->note_count; i++) {
        if (watch->notes[i] != note)
            continue;
        watch->notes[i] = watch->notes[--watch->note_count];
        break;
    }
    if (watch->note_count == 0)
        watch->due_ns = 0;
}

uint64_t io_uring_watch_left_ns(struct io_uring_watch *watch, uint64_t now_ns)
{
    watch_check(watch);
    if (watch->note_count == 0)
        return UINT64_MAX;
    if (watch->due_ns == 0)
        watch->due_ns = now_ns + IO_URING_WATCH_INTERVAL_NS;
    return watch->due_ns > now_ns ? watch->due_ns - now_ns : 0;
}

/* Turns the notes into questions, but for receives that need none; gives their count. */
static uint32_t take_notes(struct io_uring_watch *watch)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < watch->note_count; i++) {
        struct io_op *op = io_uring_entry_find(watch->notes[i]);

        if (op == NULL)
            continue;
        op->flags &= ~(uint32_t)IO_URING_RECV_NOTED;
        /* A linked one waits inside the backend, and will look when it is armed again. */
        if (op->state != IO_OP_ARMED || !list_is_empty(&op->backend_link))
            continue;
        watch->ops[count] = op;
        watch->polls[count] = (struct pollfd){.fd = op->fd, .events = POLLRDHUP};
        count++;
    }
    watch->note_count = 0;
    watch->due_ns = 0;
    return count;
}

uint32_t io_uring_watch_look(struct io_uring_watch *watch, struct io_op *const **ret_ops)
{
    uint32_t asked_count, ended_count = 0;
    int r = 0;

    watch_check(watch);
    asked_count = take_notes(watch);
    if (asked_count > 0)
        r = poll(watch->polls, asked_count, 0);
    if (r != 0) {
        for (uint32_t i = 0; i < asked_count; i++) {
            if (r < 0 || (watch->polls[i].revents & ENDED) != 0)
                watch->ops[ended_count++] = watch->ops[i];
        }
    }
    *ret_ops = watch->ops;
    return ended_count;
}
