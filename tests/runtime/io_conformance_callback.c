#include "tests/runtime/io_conformance.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <setjmp.h>

#include "tests/runtime/probe_op.h"

/*
 * Cases of io_conformance.h: what callbacks may do, and how many are called in one turn.
 * A callback may arm its own operation again, and it may be left by longjmp, as a panic
 * of an actor does: what completes after it is delivered all the same.
 */

enum { REARM_COUNT = 100 };

static void on_done_again(struct io_op *op, const struct io_result *result)
{
    struct probe_op *probe = container_of(op, struct probe_op, op);

    probe->completion_count++;
    cr_assert(eq(i32, result->value, 2));
    if (probe->completion_count < REARM_COUNT)
        io_send(probe->io, op, op->fd, "ab", 2);
}

void lets_a_callback_arm_its_operation_again(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op send = {.io = io};

    io_op_init(&send.op, on_done_again);
    io_send(io, &send.op, pair.client, "ab", 2);
    drive(io, send.completion_count == REARM_COUNT);
    cr_expect(not(io_op_is_armed(&send.op)));
    probe_pair_close(io, &pair);
}

static jmp_buf escape;

static void on_done_escape(struct io_op *op, const struct io_result *result)
{
    struct probe_op *probe = container_of(op, struct probe_op, op);

    probe->completion_count++;
    probe->value = result->value;
    longjmp(escape, 1);
}

void goes_on_after_a_callback_left_by_longjmp(struct io_fixture *fixture)
{
    static struct probe_op sends[8];
    static volatile int escape_count;
    static int turn_count;
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);

    for (size_t i = 0; i < ARRAY_COUNT(sends); i++) {
        sends[i] = (struct probe_op){.io = io};
        io_op_init(&sends[i].op, on_done_escape);
        /* Of one octet each, so that their order does not matter. */
        io_send(io, &sends[i].op, i % 2 == 0 ? pair.client : pair.server, "x", 1);
    }
    if (setjmp(escape) != 0)
        escape_count++;
    while (escape_count < (int)ARRAY_COUNT(sends)) {
        cr_assert(lt(int, turn_count++, PROBE_TURN_COUNT_MAX));
        probe_turn(io);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sends); i++) {
        cr_expect(eq(u32, sends[i].completion_count, 1));
        cr_expect(eq(i32, sends[i].value, 1));
    }
    probe_pair_close(io, &pair);
}

void reaps_no_more_than_asked(struct io_fixture *fixture)
{
    static struct probe_op sends[6];
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    uint32_t total = 0;
    int turn_count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(sends); i++) {
        probe_init(&sends[i], io);
        io_send(io, &sends[i].op, i % 2 == 0 ? pair.client : pair.server, "x", 1);
    }
    while (total < ARRAY_COUNT(sends)) {
        uint32_t count;

        cr_assert(lt(int, turn_count++, PROBE_TURN_COUNT_MAX));
        cr_assert(eq(int, io_wait(io, PROBE_TURN_NS), 0));
        count = io_reap(io, 2);
        cr_expect(le(u32, count, 2));
        total += count;
    }
    cr_expect(eq(u32, total, ARRAY_COUNT(sends)));
    probe_pair_close(io, &pair);
}
