#include "tests/runtime/io_conformance.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "tests/runtime/probe_op.h"

/*
 * Cases of io_conformance.h: how operations end, by the peer's doing or by a cancel, each
 * with one last completion.
 */

enum {
    ENDING_SIZE_MAX = 5000, /* more than one receive buffer */
    MEBIBYTE = 1024 * 1024,
};

/* --- Ends ----------------------------------------------------------------------------------- */

void ends_a_receive_at_the_end_of_the_stream(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op recv, send, shutdown;

    probe_recv(&recv, io, pair.server);
    probe_init(&send, io);
    probe_init(&shutdown, io);
    io_send(io, &send.op, pair.client, "last", 4);
    cr_expect(eq(i32, probe_finish(io, &send), 4));
    io_shutdown(io, &shutdown.op, pair.client, SHUT_WR);
    cr_expect(eq(i32, probe_finish(io, &shutdown), 0));
    cr_expect(eq(i32, probe_finish(io, &recv), 0));
    cr_expect(not(recv.more));
    cr_expect(eq(u64, recv.received_count, 4));
    probe_pair_close(io, &pair);
}

/*
 * Connections whose peers send size bytes and close at once. Every second receive is
 * armed only when all that has happened. reset leaves each peer something unread,
 * which makes a kernel's close a reset.
 */
static void send_and_close_at_once(struct io *io, uint32_t size, bool reset)
{
    static struct probe_op accept, recvs[PROBE_CONNECTION_COUNT], sends[PROBE_CONNECTION_COUNT];
    static char data[ENDING_SIZE_MAX];
    struct sockaddr_in address;
    int listener = probe_listen(io, &address);
    int fds[PROBE_CONNECTION_COUNT];

    probe_fill(data, sizeof(data));
    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++)
        fds[i] = probe_connect(io, &address);
    drive(io, accept.fd_count == PROBE_CONNECTION_COUNT);
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++) {
        probe_init(&recvs[i], io);
        probe_init(&sends[i], io);
        if (reset) {
            io_send(io, &sends[i].op, accept.fds[i], "unread", 6);
            cr_assert(eq(i32, probe_finish(io, &sends[i]), 6));
        }
        if (i % 2 == 0)
            io_recv(io, &recvs[i].op, accept.fds[i]);
        io_send(io, &sends[i].op, fds[i], data, size);
        cr_assert(eq(i32, probe_finish(io, &sends[i]), (int32_t)size));
        probe_close(io, fds[i]);
    }
    probe_settle(io);
    for (int i = 1; i < PROBE_CONNECTION_COUNT; i += 2)
        io_recv(io, &recvs[i].op, accept.fds[i]);

    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++) {
        if (reset) {
            cr_expect(le(i32, probe_finish(io, &recvs[i]), 0));
            cr_expect(le(u64, recvs[i].received_count, size));
        } else {
            cr_expect(eq(i32, probe_finish(io, &recvs[i]), 0));
            cr_expect(eq(u64, recvs[i].received_count, size));
        }
        cr_expect(not(recvs[i].more));
        cr_expect(
            eq(int,
               memcmp(recvs[i].head, data, min_u64(recvs[i].received_count, sizeof(recvs[i].head))),
               0));
        probe_close(io, accept.fds[i]);
    }
    io_cancel(io, &accept.op);
    cr_expect(eq(i32, probe_finish(io, &accept), -ECANCELED));
    probe_close(io, listener);
}

void ends_each_receive_whose_bytes_and_end_came_together(struct io_fixture *fixture)
{
    send_and_close_at_once(fixture->io, 1, false);
    send_and_close_at_once(fixture->io, 30, false);
    send_and_close_at_once(fixture->io, ENDING_SIZE_MAX, false);
}

void ends_each_receive_whose_bytes_and_reset_came_together(struct io_fixture *fixture)
{
    send_and_close_at_once(fixture->io, 1, true);
    send_and_close_at_once(fixture->io, 30, true);
    send_and_close_at_once(fixture->io, ENDING_SIZE_MAX, true);
}

void tears_down_by_shutdown_then_close(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op ours, theirs, shutdown;

    probe_recv(&ours, io, pair.server);
    probe_recv(&theirs, io, pair.client);
    probe_init(&shutdown, io);
    io_shutdown(io, &shutdown.op, pair.server, SHUT_RDWR);
    cr_expect(eq(i32, probe_finish(io, &shutdown), 0));
    cr_expect(eq(i32, probe_finish(io, &ours), 0));
    cr_expect(eq(i32, probe_finish(io, &theirs), 0));
    probe_pair_close(io, &pair);
}

/* --- Cancels -------------------------------------------------------------------------------- */

void completes_a_cancelled_receive_once(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op recv;

    probe_recv(&recv, io, pair.server);
    probe_settle(io);
    io_cancel(io, &recv.op);
    io_cancel(io, &recv.op);
    cr_expect(eq(u32, recv.completion_count, 0));
    cr_expect(eq(i32, probe_finish(io, &recv), -ECANCELED));
    probe_settle(io);
    cr_expect(eq(u32, recv.completion_count, 1));
    probe_pair_close(io, &pair);
}

void completes_a_cancelled_accept(struct io_fixture *fixture)
{
    static struct probe_op accept;
    struct io *io = fixture->io;
    struct sockaddr_in address;
    int listener = probe_listen(io, &address);

    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    io_cancel(io, &accept.op);
    cr_expect(eq(i32, probe_finish(io, &accept), -ECANCELED));
    cr_expect(eq(u32, accept.completion_count, 1));
    probe_close(io, listener);
}

void ignores_a_cancel_of_an_idle_operation(struct io_fixture *fixture)
{
    struct probe_op probe;

    probe_init(&probe, fixture->io);
    io_cancel(fixture->io, &probe.op);
    probe_settle(fixture->io);
    cr_expect(eq(u32, probe.completion_count, 0));
}

void ends_a_blocked_send_on_cancel(struct io_fixture *fixture)
{
    enum { SIZE = 64 * MEBIBYTE };
    static char data[SIZE];
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op send;

    probe_init(&send, io);
    io_send(io, &send.op, pair.client, data, SIZE);
    probe_settle(io);
    cr_assert(io_op_is_armed(&send.op)); /* nobody reads, and no kernel buffers that much */
    io_cancel(io, &send.op);
    cr_expect(lt(i32, probe_finish(io, &send), 0));
    cr_expect(eq(u32, send.completion_count, 1));
    probe_pair_close(io, &pair);
}
