#include "runtime/io_uring_watch.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/io_uring_entry.h"

/*
 * The notes by themselves: operations that no kernel knows, on local sockets, and a
 * clock that the test is.
 */

enum { NOW_NS = 12345 };

static struct io_uring_watch watch;

static void ignore(struct io_op *op, const struct io_result *result)
{
    (void)op;
    (void)result;
}

/* As if a backend had armed it. */
static void arm(struct io_op *op, int fd)
{
    op->generation++;
    op->type = IO_RECV;
    op->state = IO_OP_ARMED;
    op->fd = fd;
    op->flags = 0;
}

static void add(struct io_op *op)
{
    cr_assert(io_uring_watch_add(&watch, op));
}

static uint32_t look(struct io_op *const **ret_ops)
{
    return io_uring_watch_look(&watch, ret_ops);
}

struct receiver {
    struct io_op op;
    int peer;
};

static void receiver_open(struct receiver *receiver)
{
    int fds[2];

    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0));
    io_op_init(&receiver->op, ignore);
    arm(&receiver->op, fds[0]);
    receiver->peer = fds[1];
}

static struct receiver one, two;

static void setup(void)
{
    io_uring_watch_init(&watch);
    receiver_open(&one);
    receiver_open(&two);
}

TestSuite(io_uring_watch, .init = setup);

Test(io_uring_watch, has_nothing_to_wake_for_without_a_note)
{
    cr_expect(io_uring_watch_is_empty(&watch));
    cr_expect(eq(u64, io_uring_watch_left_ns(&watch, NOW_NS), UINT64_MAX));
}

Test(io_uring_watch, is_due_an_interval_after_the_first_note)
{
    add(&one.op);
    cr_expect(not(io_uring_watch_is_empty(&watch)));
    cr_expect(eq(u64, io_uring_watch_left_ns(&watch, NOW_NS), IO_URING_WATCH_INTERVAL_NS));
    add(&two.op);
    cr_expect(eq(u64, io_uring_watch_left_ns(&watch, NOW_NS + IO_URING_WATCH_INTERVAL_NS - 1), 1));
    cr_expect(eq(u64, io_uring_watch_left_ns(&watch, NOW_NS + IO_URING_WATCH_INTERVAL_NS), 0));
    cr_expect(eq(u64, io_uring_watch_left_ns(&watch, NOW_NS + 2 * IO_URING_WATCH_INTERVAL_NS), 0));
}

Test(io_uring_watch, has_nothing_to_wake_for_after_a_look_though_connections_live_on)
{
    struct io_op *const *ops;

    add(&one.op);
    cr_expect(eq(u32, look(&ops), 0));
    cr_expect(io_uring_watch_is_empty(&watch));
    cr_expect(eq(u64, io_uring_watch_left_ns(&watch, NOW_NS), UINT64_MAX));
    cr_expect(eq(u32, one.op.flags, 0));
}

Test(io_uring_watch, begins_the_interval_anew_after_a_look)
{
    struct io_op *const *ops;

    add(&one.op);
    cr_assert(eq(u64, io_uring_watch_left_ns(&watch, NOW_NS), IO_URING_WATCH_INTERVAL_NS));
    look(&ops);
    add(&one.op);
    cr_expect(
        eq(u64, io_uring_watch_left_ns(&watch, 1 + (uint64_t)NOW_NS), IO_URING_WATCH_INTERVAL_NS));
}

Test(io_uring_watch, names_only_the_receive_whose_peer_is_gone)
{
    struct io_op *const *ops;

    add(&one.op);
    add(&two.op);
    close(two.peer);
    cr_assert(eq(u32, look(&ops), 1));
    cr_expect(eq(ptr, ops[0], &two.op));
}

Test(io_uring_watch, names_a_receive_whose_peer_has_only_stopped_sending)
{
    struct io_op *const *ops;

    add(&one.op);
    shutdown(one.peer, SHUT_WR);
    cr_assert(eq(u32, look(&ops), 1));
    cr_expect(eq(ptr, ops[0], &one.op));
}

Test(io_uring_watch, does_not_take_waiting_bytes_for_an_end)
{
    struct io_op *const *ops;

    add(&one.op);
    cr_assert(eq(i64, write(one.peer, "x", 1), 1));
    cr_expect(eq(u32, look(&ops), 0));
}

Test(io_uring_watch, names_a_receive_once_however_often_it_was_noted)
{
    struct io_op *const *ops;

    for (int i = 0; i < 2 * IO_URING_WATCH_COUNT_MAX; i++)
        add(&one.op);
    close(one.peer);
    cr_expect(eq(u32, look(&ops), 1));
    cr_expect(eq(u32, look(&ops), 0));
}

Test(io_uring_watch, passes_over_a_receive_that_has_ended)
{
    struct io_op *const *ops;

    add(&one.op);
    close(one.peer);
    one.op.state = IO_OP_IDLE;
    cr_expect(eq(u32, look(&ops), 0));
}

Test(io_uring_watch, passes_over_a_receive_that_was_armed_anew)
{
    struct io_op *const *ops;

    add(&one.op);
    close(one.peer);
    one.op.state = IO_OP_IDLE;
    arm(&one.op, one.op.fd);
    cr_expect(eq(u32, look(&ops), 0));
    add(&one.op);
    cr_expect(eq(u32, look(&ops), 1));
}

Test(io_uring_watch, passes_over_a_receive_whose_memory_is_used_anew)
{
    struct io_op *const *ops;

    add(&one.op);
    close(one.peer);
    io_op_init(&one.op, ignore);
    cr_expect(eq(u32, look(&ops), 0));
}

Test(io_uring_watch, passes_over_a_receive_that_its_owner_cancels)
{
    struct io_op *const *ops;

    add(&one.op);
    close(one.peer);
    one.op.state = IO_OP_CANCELLING;
    cr_expect(eq(u32, look(&ops), 0));
}

Test(io_uring_watch, passes_over_a_receive_that_waits_inside_the_backend)
{
    struct io_op *const *ops;
    struct list_node starved;

    list_init(&starved);
    add(&one.op);
    close(one.peer);
    list_push_back(&starved, &one.op.backend_link);
    cr_expect(eq(u32, look(&ops), 0));
}

Test(io_uring_watch, says_that_it_is_full)
{
    static struct io_op ops[IO_URING_WATCH_COUNT_MAX + 1];
    struct io_op *const *ended;

    close(one.peer);
    for (uint32_t i = 0; i < ARRAY_COUNT(ops); i++) {
        io_op_init(&ops[i], ignore);
        arm(&ops[i], one.op.fd);
        cr_assert(eq(int, io_uring_watch_add(&watch, &ops[i]), i < IO_URING_WATCH_COUNT_MAX));
    }
    cr_expect(eq(u32, look(&ended), IO_URING_WATCH_COUNT_MAX));
    cr_expect(io_uring_watch_add(&watch, &ops[IO_URING_WATCH_COUNT_MAX]));
    cr_expect(eq(u32, look(&ended), 1));
}

Test(io_uring_watch, takes_all_for_ended_when_it_cannot_ask)
{
    struct rlimit limit, low;
    struct io_op *const *ops;
    uint32_t count;

    add(&one.op);
    add(&two.op);
    cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &limit), 0));
    low = limit;
    low.rlim_cur = 1; /* poll(2) refuses more descriptors than may be open */
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &low), 0));
    count = look(&ops);
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &limit), 0));
    cr_expect(eq(u32, count, 2));
}

Test(io_uring_watch, aborts_when_what_it_shall_note_is_not_armed, .signal = SIGABRT)
{
    one.op.state = IO_OP_IDLE;
    cr_assert(io_uring_watch_add(&watch, &one.op));
}

Test(io_uring_watch, does_not_touch_an_operation_that_has_ended)
{
    static struct receiver receivers[2];
    struct io_op *const *ops;

    receiver_open(&receivers[0]);
    receiver_open(&receivers[1]);
    add(&receivers[0].op);
    add(&receivers[1].op);
    io_uring_watch_forget(&watch, &receivers[0].op);
    memset(&receivers[0], 0xff, sizeof(receivers[0])); /* its slot belongs to somebody else */
    close(receivers[1].peer);
    cr_assert(eq(u32, look(&ops), 1));
    cr_expect(eq(ptr, ops[0], &receivers[1].op));
    io_uring_watch_forget(&watch, &receivers[1].op);
    cr_expect(io_uring_watch_is_empty(&watch));
}
