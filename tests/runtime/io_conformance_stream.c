#include "tests/runtime/io_conformance.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "tests/runtime/probe_op.h"

/*
 * Cases of io_conformance.h: connections, and what becomes of their bytes when there are
 * few receive buffers.
 */

enum { STARVING_SIZE = 64 * 1024, MEBIBYTE = 1024 * 1024 };

/* --- Connections ---------------------------------------------------------------------------- */

void echoes_bytes_over_tcp(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct probe_op there, back, send;

    probe_recv(&there, io, pair.server);
    probe_recv(&back, io, pair.client);
    probe_init(&send, io);
    io_send(io, &send.op, pair.client, "ping", 4);
    cr_expect(eq(i32, probe_finish(io, &send), 4));
    drive(io, there.received_count == 4);
    io_send(io, &send.op, pair.server, there.head, 4);
    cr_expect(eq(i32, probe_finish(io, &send), 4));
    drive(io, back.received_count == 4);
    cr_expect(eq(int, memcmp(back.head, "ping", 4), 0));
    cr_expect(io_op_is_armed(&there.op));

    io_cancel(io, &there.op);
    io_cancel(io, &back.op);
    cr_expect(eq(i32, probe_finish(io, &there), -ECANCELED));
    cr_expect(eq(i32, probe_finish(io, &back), -ECANCELED));
    probe_pair_close(io, &pair);
}

void tells_both_ends_their_addresses(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    struct sockaddr_storage local, peer;

    cr_assert(eq(int, io_local_address(io, pair.client, &local), 0));
    cr_assert(eq(int, io_peer_address(io, pair.server, &peer), 0));
    cr_expect(
        eq(u16, ((struct sockaddr_in *)&local)->sin_port, ((struct sockaddr_in *)&peer)->sin_port));
    cr_expect(eq(u32, ((struct sockaddr_in *)&peer)->sin_addr.s_addr, htonl(INADDR_LOOPBACK)));
    cr_assert(eq(int, io_peer_address(io, pair.client, &peer), 0));
    cr_assert(eq(int, io_local_address(io, pair.server, &local), 0));
    cr_expect(
        eq(u16, ((struct sockaddr_in *)&local)->sin_port, ((struct sockaddr_in *)&peer)->sin_port));
    probe_pair_close(io, &pair);
}

void accepts_many_connections_with_one_operation(struct io_fixture *fixture)
{
    static struct probe_op accept, connects[PROBE_CONNECTION_COUNT];
    struct io *io = fixture->io;
    struct sockaddr_in address;
    int listener = probe_listen(io, &address);
    int fds[PROBE_CONNECTION_COUNT];

    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++) {
        fds[i] = io_socket(io, AF_INET);
        cr_assert(ge(int, fds[i], 0));
        probe_init(&connects[i], io);
        io_connect(io, &connects[i].op, fds[i], (const struct sockaddr *)&address, sizeof(address));
    }
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++)
        cr_expect(eq(i32, probe_finish(io, &connects[i]), 0));
    drive(io, accept.fd_count == PROBE_CONNECTION_COUNT);
    cr_expect(io_op_is_armed(&accept.op));

    io_cancel(io, &accept.op);
    cr_expect(eq(i32, probe_finish(io, &accept), -ECANCELED));
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++) {
        probe_close(io, fds[i]);
        io_close_now(io, accept.fds[i]);
    }
    probe_close(io, listener);
}

void refuses_a_connection_to_a_closed_port(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct sockaddr_in address;
    struct probe_op connect;
    int fd = io_socket(io, AF_INET);

    probe_close(io, probe_listen(io, &address));
    cr_assert(ge(int, fd, 0));
    probe_init(&connect, io);
    io_connect(io, &connect.op, fd, (const struct sockaddr *)&address, sizeof(address));
    cr_expect(eq(i32, probe_finish(io, &connect), -ECONNREFUSED));
    probe_close(io, fd);
}

/* --- Buffers -------------------------------------------------------------------------------- */

void delivers_everything_with_four_buffers(struct io_fixture *fixture)
{
    static struct probe_op accept, sends[PROBE_CONNECTION_COUNT], recvs[PROBE_CONNECTION_COUNT];
    static char data[STARVING_SIZE];
    struct io *io = fixture->io;
    struct sockaddr_in address;
    int listener = probe_listen(io, &address);
    int fds[PROBE_CONNECTION_COUNT];
    uint64_t chunk_count = 0;

    cr_assert(eq(u64, io->stats.buffer_count, 4));
    probe_fill(data, sizeof(data));
    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++)
        fds[i] = probe_connect(io, &address);
    drive(io, accept.fd_count == PROBE_CONNECTION_COUNT);
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++) {
        probe_init(&sends[i], io);
        io_send(io, &sends[i].op, fds[i], data, sizeof(data));
        probe_recv(&recvs[i], io, accept.fds[i]);
    }
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++) {
        drive(io, recvs[i].received_count == STARVING_SIZE);
        cr_expect(eq(i32, probe_finish(io, &sends[i]), STARVING_SIZE));
        chunk_count += recvs[i].completion_count;
    }
    /* Re-armed when a buffer came back, not again and again. */
    cr_expect(lt(u64, io->stats.starved_count, 2 * chunk_count));

    io_cancel(io, &accept.op);
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++)
        io_cancel(io, &recvs[i].op);
    cr_expect(eq(i32, probe_finish(io, &accept), -ECANCELED));
    for (int i = 0; i < PROBE_CONNECTION_COUNT; i++) {
        cr_expect(eq(i32, probe_finish(io, &recvs[i]), -ECANCELED));
        probe_close(io, fds[i]);
        probe_close(io, accept.fds[i]);
    }
    probe_close(io, listener);
}

/* Leaves recv holding all four buffers and starved for the fifth; gives the bytes sent. */
static uint32_t starve(struct io_fixture *fixture, const struct probe_pair *pair,
                       struct probe_op *recv, struct probe_op *send)
{
    static char data[STARVING_SIZE];
    struct io *io = fixture->io;
    uint32_t size = 6 * fixture->buffer_size;

    cr_assert(eq(u64, io->stats.buffer_count, 4));
    cr_assert(le(u32, size, sizeof(data)));
    probe_fill(data, size);
    probe_init(recv, io);
    probe_init(send, io);
    recv->hold = true;
    io_recv(io, &recv->op, pair->server);
    io_send(io, &send->op, pair->client, data, size);
    drive(io, recv->held_count == 4);
    probe_settle(io);
    cr_assert(eq(u32, recv->held_count, 4));
    cr_assert(io_op_is_armed(&recv->op));
    return size;
}

void keeps_bytes_in_the_kernel_while_the_reader_holds_the_buffers(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    static struct probe_op recv, send;
    uint32_t size = starve(fixture, &pair, &recv, &send);

    probe_release(&recv);
    drive(io, recv.received_count == size);
    cr_expect(eq(i32, probe_finish(io, &send), (int32_t)size));
    io_cancel(io, &recv.op);
    cr_expect(eq(i32, probe_finish(io, &recv), -ECANCELED));
    probe_pair_close(io, &pair);
}

void completes_a_cancelled_starved_receive_later_and_once(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);
    static struct probe_op recv, send, shutdown;
    uint32_t before;

    starve(fixture, &pair, &recv, &send);
    before = recv.completion_count;
    io_cancel(io, &recv.op);
    cr_expect(eq(u32, recv.completion_count, before));
    cr_expect(eq(i32, probe_finish(io, &recv), -ECANCELED));
    probe_release(&recv);
    probe_settle(io);
    cr_expect(eq(u32, recv.completion_count, before + 1));

    probe_init(&shutdown, io);
    io_shutdown(io, &shutdown.op, pair.client, SHUT_RDWR);
    probe_finish(io, &shutdown);
    probe_finish(io, &send);
    probe_pair_close(io, &pair);
}

void sends_a_mebibyte_to_a_slow_reader(struct io_fixture *fixture)
{
    static char data[MEBIBYTE];
    static struct probe_op recv, send;
    struct io *io = fixture->io;
    struct probe_pair pair = probe_pair_open(io);

    probe_fill(data, sizeof(data));
    probe_init(&recv, io);
    probe_init(&send, io);
    io_send(io, &send.op, pair.client, data, sizeof(data));
    probe_settle(io);
    recv.hold = true;
    io_recv(io, &recv.op, pair.server);
    while (recv.received_count < MEBIBYTE) {
        uint64_t before = recv.received_count;

        drive(io, recv.received_count > before);
        probe_release(&recv);
        recv.hold = true;
    }
    cr_expect(eq(i32, probe_finish(io, &send), MEBIBYTE));
    cr_expect(eq(u32, send.completion_count, 1));
    cr_expect(eq(u64, recv.received_count, MEBIBYTE));
    cr_expect(eq(int, memcmp(recv.head, data, sizeof(recv.head)), 0));
    io_cancel(io, &recv.op);
    cr_expect(eq(i32, probe_finish(io, &recv), -ECANCELED));
    probe_pair_close(io, &pair);
}
