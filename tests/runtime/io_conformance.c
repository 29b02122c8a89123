#include "io_conformance.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdio.h>

/*
 * The bodies of io_conformance.h. Each operation sits in a probe_op, which keeps
 * what its completions said; drive() turns the backend until a condition holds
 * and fails the test when it does not within TURN_COUNT_MAX turns, so that a
 * lost completion is a failure and not a hang.
 */

enum {
    TURN_COUNT_MAX = 20000,
    REAP_MAX = 64,
    CONNECTION_COUNT = 50,
    STARVING_SIZE = 64 * 1024,
    HELD_COUNT_MAX = 8,
    ENDING_SIZE_MAX = 5000, /* more than one receive buffer */
    MEBIBYTE = 1024 * 1024,
};

static const uint64_t TURN_NS = 100000000;

/* An operation, and what became of it. */
struct probe_op {
    struct io_op op;
    uint32_t completion_count;
    bool more;                     /* of the last completion */
    int32_t value;                 /* of the last completion */
    int32_t fds[CONNECTION_COUNT]; /* of an accept */
    uint32_t fd_count;
    uint64_t received_count;
    char head[64]; /* the first bytes received */
    bool hold;     /* keep the receive buffers */
    uint32_t held[HELD_COUNT_MAX];
    uint32_t held_count;
    struct io *io;
};

static void on_done(struct io_op *op, const struct io_result *result)
{
    struct probe_op *probe = container_of(op, struct probe_op, op);

    probe->completion_count++;
    probe->more = result->more;
    probe->value = result->value;
    if (op->type == IO_ACCEPT && result->value >= 0) {
        cr_assert(lt(u32, probe->fd_count, CONNECTION_COUNT));
        cr_assert(result->more);
        probe->fds[probe->fd_count++] = result->value;
    }
    if (op->type != IO_RECV || result->value <= 0)
        return;
    cr_assert(result->more);
    for (int32_t i = 0; i < result->value; i++) {
        if (probe->received_count < sizeof(probe->head))
            probe->head[probe->received_count] = result->data[i];
        probe->received_count++;
    }
    if (probe->hold) {
        cr_assert(lt(u32, probe->held_count, HELD_COUNT_MAX));
        probe->held[probe->held_count++] = result->buffer_index;
        return;
    }
    io_buffer_release(probe->io, result->buffer_index);
}

static void probe_init(struct probe_op *probe, struct io *io)
{
    *probe = (struct probe_op){.io = io};
    io_op_init(&probe->op, on_done);
}

static void release_held(struct probe_op *probe)
{
    for (uint32_t i = 0; i < probe->held_count; i++)
        io_buffer_release(probe->io, probe->held[i]);
    probe->held_count = 0;
    probe->hold = false;
}

static void turn(struct io *io)
{
    cr_assert(eq(int, io_wait(io, TURN_NS), 0));
    io_reap(io, REAP_MAX);
}

/* Turns until the condition holds. A macro because a condition cannot be passed as a value. */
#define drive(io, condition)                                                                       \
    do {                                                                                           \
        int turn_count = 0;                                                                        \
                                                                                                   \
        while (!(condition)) {                                                                     \
            cr_assert(lt(int, turn_count++, TURN_COUNT_MAX), "never came true: %s", #condition);   \
            turn(io);                                                                              \
        }                                                                                          \
    } while (0)

/* Turns so often that whatever may come has come. */
static void settle(struct io *io)
{
    for (int i = 0; i < 20; i++) {
        cr_assert(eq(int, io_wait(io, 1000000), 0));
        io_reap(io, REAP_MAX);
    }
}

static int32_t finish(struct io *io, struct probe_op *probe)
{
    drive(io, !io_op_is_armed(&probe->op));
    return probe->value;
}

static void close_fd(struct io *io, int fd)
{
    struct probe_op probe;

    probe_init(&probe, io);
    io_close(io, &probe.op, fd);
    cr_assert(eq(i32, finish(io, &probe), 0));
}

static int listen_on_loopback(struct io *io, struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_storage bound;
    int fd = io_listen(io, (const struct sockaddr *)&address, sizeof(address), 128);

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(int, io_local_address(io, fd, &bound), 0));
    memcpy(ret_address, &bound, sizeof(*ret_address));
    cr_assert(ne(u16, ret_address->sin_port, 0));
    return fd;
}

static int connect_to(struct io *io, const struct sockaddr_in *address)
{
    struct probe_op probe;
    int fd = io_socket(io, AF_INET);

    cr_assert(ge(int, fd, 0));
    probe_init(&probe, io);
    io_connect(io, &probe.op, fd, (const struct sockaddr *)address, sizeof(*address));
    cr_assert(eq(i32, finish(io, &probe), 0));
    return fd;
}

/* A connected pair: what is sent on one end arrives at the other. */
struct pair {
    int client;
    int server;
};

static struct pair pair_open(struct io *io)
{
    static struct probe_op accept;
    struct sockaddr_in address;
    struct pair pair;
    int listener = listen_on_loopback(io, &address);

    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    pair.client = connect_to(io, &address);
    drive(io, accept.fd_count == 1);
    pair.server = accept.fds[0];
    io_cancel(io, &accept.op);
    cr_assert(eq(i32, finish(io, &accept), -ECANCELED));
    close_fd(io, listener);
    return pair;
}

static void pair_close(struct io *io, const struct pair *pair)
{
    close_fd(io, pair->client);
    close_fd(io, pair->server);
}

static void fill(char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 251);
}

void io_conformance_run(void (*run)(struct io_fixture *fixture), uint32_t buffer_count)
{
    struct io_fixture fixture = {0};

    io_fixture_open(&fixture, buffer_count);
    run(&fixture);
    cr_assert(eq(u32, fixture.io->armed_count, 0));
    io_fixture_close(&fixture);
}

/* --- Connections ---------------------------------------------------------------------- */

void echoes_bytes_over_tcp(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    struct probe_op there, back, send;

    probe_init(&there, io);
    probe_init(&back, io);
    probe_init(&send, io);
    io_recv(io, &there.op, pair.server);
    io_recv(io, &back.op, pair.client);
    io_send(io, &send.op, pair.client, "ping", 4);
    cr_expect(eq(i32, finish(io, &send), 4));
    drive(io, there.received_count == 4);
    io_send(io, &send.op, pair.server, there.head, 4);
    cr_expect(eq(i32, finish(io, &send), 4));
    drive(io, back.received_count == 4);
    cr_expect(eq(int, memcmp(back.head, "ping", 4), 0));
    cr_expect(io_op_is_armed(&there.op));

    io_cancel(io, &there.op);
    io_cancel(io, &back.op);
    cr_expect(eq(i32, finish(io, &there), -ECANCELED));
    cr_expect(eq(i32, finish(io, &back), -ECANCELED));
    pair_close(io, &pair);
}

void tells_both_ends_their_addresses(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
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
    pair_close(io, &pair);
}

void accepts_many_connections_with_one_operation(struct io_fixture *fixture)
{
    static struct probe_op accept, connects[CONNECTION_COUNT];
    struct io *io = fixture->io;
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    int fds[CONNECTION_COUNT];

    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        fds[i] = io_socket(io, AF_INET);
        cr_assert(ge(int, fds[i], 0));
        probe_init(&connects[i], io);
        io_connect(io, &connects[i].op, fds[i], (const struct sockaddr *)&address, sizeof(address));
    }
    for (int i = 0; i < CONNECTION_COUNT; i++)
        cr_expect(eq(i32, finish(io, &connects[i]), 0));
    drive(io, accept.fd_count == CONNECTION_COUNT);
    cr_expect(io_op_is_armed(&accept.op));

    io_cancel(io, &accept.op);
    cr_expect(eq(i32, finish(io, &accept), -ECANCELED));
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        close_fd(io, fds[i]);
        io_close_now(io, accept.fds[i]);
    }
    close_fd(io, listener);
}

void refuses_a_connection_to_a_closed_port(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct sockaddr_in address;
    struct probe_op connect;
    int fd = io_socket(io, AF_INET);

    close_fd(io, listen_on_loopback(io, &address));
    cr_assert(ge(int, fd, 0));
    probe_init(&connect, io);
    io_connect(io, &connect.op, fd, (const struct sockaddr *)&address, sizeof(address));
    cr_expect(eq(i32, finish(io, &connect), -ECONNREFUSED));
    close_fd(io, fd);
}

/* --- Buffers ---------------------------------------------------------------------------- */

void delivers_everything_with_four_buffers(struct io_fixture *fixture)
{
    static struct probe_op accept, sends[CONNECTION_COUNT], recvs[CONNECTION_COUNT];
    static char data[STARVING_SIZE];
    struct io *io = fixture->io;
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    int fds[CONNECTION_COUNT];
    uint64_t chunk_count = 0;

    cr_assert(eq(u64, io->stats.buffer_count, 4));
    fill(data, sizeof(data));
    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    for (int i = 0; i < CONNECTION_COUNT; i++)
        fds[i] = connect_to(io, &address);
    drive(io, accept.fd_count == CONNECTION_COUNT);
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        probe_init(&sends[i], io);
        probe_init(&recvs[i], io);
        io_send(io, &sends[i].op, fds[i], data, sizeof(data));
        io_recv(io, &recvs[i].op, accept.fds[i]);
    }
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        drive(io, recvs[i].received_count == STARVING_SIZE);
        cr_expect(eq(i32, finish(io, &sends[i]), STARVING_SIZE));
        chunk_count += recvs[i].completion_count;
    }
    /* Re-armed when a buffer came back, not again and again. */
    cr_expect(lt(u64, io->stats.starved_count, 2 * chunk_count));

    io_cancel(io, &accept.op);
    for (int i = 0; i < CONNECTION_COUNT; i++)
        io_cancel(io, &recvs[i].op);
    cr_expect(eq(i32, finish(io, &accept), -ECANCELED));
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        cr_expect(eq(i32, finish(io, &recvs[i]), -ECANCELED));
        close_fd(io, fds[i]);
        close_fd(io, accept.fds[i]);
    }
    close_fd(io, listener);
}

/* Leaves recv holding all four buffers and starved for the fifth; gives the bytes sent. */
static uint32_t starve(struct io_fixture *fixture, const struct pair *pair, struct probe_op *recv,
                       struct probe_op *send)
{
    static char data[STARVING_SIZE];
    struct io *io = fixture->io;
    uint32_t size = 6 * fixture->buffer_size;

    cr_assert(eq(u64, io->stats.buffer_count, 4));
    cr_assert(le(u32, size, sizeof(data)));
    fill(data, size);
    probe_init(recv, io);
    probe_init(send, io);
    recv->hold = true;
    io_recv(io, &recv->op, pair->server);
    io_send(io, &send->op, pair->client, data, size);
    drive(io, recv->held_count == 4);
    settle(io);
    cr_assert(eq(u32, recv->held_count, 4));
    cr_assert(io_op_is_armed(&recv->op));
    return size;
}

void keeps_bytes_in_the_kernel_while_the_reader_holds_the_buffers(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    static struct probe_op recv, send;
    uint32_t size = starve(fixture, &pair, &recv, &send);

    release_held(&recv);
    drive(io, recv.received_count == size);
    cr_expect(eq(i32, finish(io, &send), (int32_t)size));
    io_cancel(io, &recv.op);
    cr_expect(eq(i32, finish(io, &recv), -ECANCELED));
    pair_close(io, &pair);
}

void sends_a_mebibyte_to_a_slow_reader(struct io_fixture *fixture)
{
    static char data[MEBIBYTE];
    static struct probe_op recv, send;
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);

    fill(data, sizeof(data));
    probe_init(&recv, io);
    probe_init(&send, io);
    io_send(io, &send.op, pair.client, data, sizeof(data));
    settle(io);
    recv.hold = true;
    io_recv(io, &recv.op, pair.server);
    while (recv.received_count < MEBIBYTE) {
        uint64_t before = recv.received_count;

        drive(io, recv.received_count > before);
        release_held(&recv);
        recv.hold = true;
    }
    cr_expect(eq(i32, finish(io, &send), MEBIBYTE));
    cr_expect(eq(u32, send.completion_count, 1));
    cr_expect(eq(u64, recv.received_count, MEBIBYTE));
    cr_expect(eq(int, memcmp(recv.head, data, sizeof(recv.head)), 0));
    io_cancel(io, &recv.op);
    cr_expect(eq(i32, finish(io, &recv), -ECANCELED));
    pair_close(io, &pair);
}

/* --- Ends --------------------------------------------------------------------------------- */

void ends_a_receive_at_the_end_of_the_stream(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    struct probe_op recv, send, shutdown;

    probe_init(&recv, io);
    probe_init(&send, io);
    probe_init(&shutdown, io);
    io_recv(io, &recv.op, pair.server);
    io_send(io, &send.op, pair.client, "last", 4);
    cr_expect(eq(i32, finish(io, &send), 4));
    io_shutdown(io, &shutdown.op, pair.client, SHUT_WR);
    cr_expect(eq(i32, finish(io, &shutdown), 0));
    cr_expect(eq(i32, finish(io, &recv), 0));
    cr_expect(not(recv.more));
    cr_expect(eq(u64, recv.received_count, 4));
    pair_close(io, &pair);
}

/*
 * Connections whose peers send size bytes and close at once. Every second receive is
 * armed only when all that has happened. reset leaves each peer something unread,
 * which makes a kernel's close a reset.
 */
static void send_and_close_at_once(struct io *io, uint32_t size, bool reset)
{
    static struct probe_op accept, recvs[CONNECTION_COUNT], sends[CONNECTION_COUNT];
    static char data[ENDING_SIZE_MAX];
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);
    int fds[CONNECTION_COUNT];

    fill(data, sizeof(data));
    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    for (int i = 0; i < CONNECTION_COUNT; i++)
        fds[i] = connect_to(io, &address);
    drive(io, accept.fd_count == CONNECTION_COUNT);
    for (int i = 0; i < CONNECTION_COUNT; i++) {
        probe_init(&recvs[i], io);
        probe_init(&sends[i], io);
        if (reset) {
            io_send(io, &sends[i].op, accept.fds[i], "unread", 6);
            cr_assert(eq(i32, finish(io, &sends[i]), 6));
        }
        if (i % 2 == 0)
            io_recv(io, &recvs[i].op, accept.fds[i]);
        io_send(io, &sends[i].op, fds[i], data, size);
        cr_assert(eq(i32, finish(io, &sends[i]), (int32_t)size));
        close_fd(io, fds[i]);
    }
    settle(io);
    for (int i = 1; i < CONNECTION_COUNT; i += 2)
        io_recv(io, &recvs[i].op, accept.fds[i]);

    for (int i = 0; i < CONNECTION_COUNT; i++) {
        if (reset) {
            cr_expect(le(i32, finish(io, &recvs[i]), 0));
            cr_expect(le(u64, recvs[i].received_count, size));
        } else {
            cr_expect(eq(i32, finish(io, &recvs[i]), 0));
            cr_expect(eq(u64, recvs[i].received_count, size));
        }
        cr_expect(not(recvs[i].more));
        cr_expect(
            eq(int,
               memcmp(recvs[i].head, data, min_u64(recvs[i].received_count, sizeof(recvs[i].head))),
               0));
        close_fd(io, accept.fds[i]);
    }
    io_cancel(io, &accept.op);
    cr_expect(eq(i32, finish(io, &accept), -ECANCELED));
    close_fd(io, listener);
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
    struct pair pair = pair_open(io);
    struct probe_op ours, theirs, shutdown;

    probe_init(&ours, io);
    probe_init(&theirs, io);
    probe_init(&shutdown, io);
    io_recv(io, &ours.op, pair.server);
    io_recv(io, &theirs.op, pair.client);
    io_shutdown(io, &shutdown.op, pair.server, SHUT_RDWR);
    cr_expect(eq(i32, finish(io, &shutdown), 0));
    cr_expect(eq(i32, finish(io, &ours), 0));
    cr_expect(eq(i32, finish(io, &theirs), 0));
    pair_close(io, &pair);
}

void completes_a_cancelled_receive_once(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    struct probe_op recv;

    probe_init(&recv, io);
    io_recv(io, &recv.op, pair.server);
    settle(io);
    io_cancel(io, &recv.op);
    io_cancel(io, &recv.op);
    cr_expect(eq(u32, recv.completion_count, 0));
    cr_expect(eq(i32, finish(io, &recv), -ECANCELED));
    settle(io);
    cr_expect(eq(u32, recv.completion_count, 1));
    pair_close(io, &pair);
}

void completes_a_cancelled_starved_receive_later_and_once(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    static struct probe_op recv, send, shutdown;
    uint32_t before;

    starve(fixture, &pair, &recv, &send);
    before = recv.completion_count;
    io_cancel(io, &recv.op);
    cr_expect(eq(u32, recv.completion_count, before));
    cr_expect(eq(i32, finish(io, &recv), -ECANCELED));
    release_held(&recv);
    settle(io);
    cr_expect(eq(u32, recv.completion_count, before + 1));

    probe_init(&shutdown, io);
    io_shutdown(io, &shutdown.op, pair.client, SHUT_RDWR);
    finish(io, &shutdown);
    finish(io, &send);
    pair_close(io, &pair);
}

void completes_a_cancelled_accept(struct io_fixture *fixture)
{
    static struct probe_op accept;
    struct io *io = fixture->io;
    struct sockaddr_in address;
    int listener = listen_on_loopback(io, &address);

    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    io_cancel(io, &accept.op);
    cr_expect(eq(i32, finish(io, &accept), -ECANCELED));
    cr_expect(eq(u32, accept.completion_count, 1));
    close_fd(io, listener);
}

void ignores_a_cancel_of_an_idle_operation(struct io_fixture *fixture)
{
    struct probe_op probe;

    probe_init(&probe, fixture->io);
    io_cancel(fixture->io, &probe.op);
    settle(fixture->io);
    cr_expect(eq(u32, probe.completion_count, 0));
}

void ends_a_blocked_send_on_cancel(struct io_fixture *fixture)
{
    enum { SIZE = 64 * MEBIBYTE };
    static char data[SIZE];
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    struct probe_op send;

    probe_init(&send, io);
    io_send(io, &send.op, pair.client, data, SIZE);
    settle(io);
    cr_assert(io_op_is_armed(&send.op)); /* nobody reads, and no kernel buffers that much */
    io_cancel(io, &send.op);
    cr_expect(lt(i32, finish(io, &send), 0));
    cr_expect(eq(u32, send.completion_count, 1));
    pair_close(io, &pair);
}

/* --- Callbacks ------------------------------------------------------------------------------ */

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
    struct pair pair = pair_open(io);
    struct probe_op send = {.io = io};

    io_op_init(&send.op, on_done_again);
    io_send(io, &send.op, pair.client, "ab", 2);
    drive(io, send.completion_count == REARM_COUNT);
    cr_expect(not(io_op_is_armed(&send.op)));
    pair_close(io, &pair);
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
    struct pair pair = pair_open(io);

    for (size_t i = 0; i < ARRAY_COUNT(sends); i++) {
        sends[i] = (struct probe_op){.io = io};
        io_op_init(&sends[i].op, on_done_escape);
        /* Of one octet each, so that their order does not matter. */
        io_send(io, &sends[i].op, i % 2 == 0 ? pair.client : pair.server, "x", 1);
    }
    if (setjmp(escape) != 0)
        escape_count++;
    while (escape_count < (int)ARRAY_COUNT(sends)) {
        cr_assert(lt(int, turn_count++, TURN_COUNT_MAX));
        turn(io);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sends); i++) {
        cr_expect(eq(u32, sends[i].completion_count, 1));
        cr_expect(eq(i32, sends[i].value, 1));
    }
    pair_close(io, &pair);
}

void reaps_no_more_than_asked(struct io_fixture *fixture)
{
    static struct probe_op sends[6];
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    uint32_t total = 0;
    int turn_count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(sends); i++) {
        probe_init(&sends[i], io);
        io_send(io, &sends[i].op, i % 2 == 0 ? pair.client : pair.server, "x", 1);
    }
    while (total < ARRAY_COUNT(sends)) {
        uint32_t count;

        cr_assert(lt(int, turn_count++, TURN_COUNT_MAX));
        cr_assert(eq(int, io_wait(io, TURN_NS), 0));
        count = io_reap(io, 2);
        cr_expect(le(u32, count, 2));
        total += count;
    }
    cr_expect(eq(u32, total, ARRAY_COUNT(sends)));
    pair_close(io, &pair);
}

/* --- Files ---------------------------------------------------------------------------------- */

static int open_file(struct io *io, const char *path, int flags)
{
    struct probe_op probe;

    probe_init(&probe, io);
    io_open(io, &probe.op, path, flags, 0600);
    return finish(io, &probe);
}

void writes_syncs_renames_reads_and_unlinks_a_file(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    char path[256], new_path[256], data[8] = "";
    struct probe_op probe;
    int fd, directory;

    snprintf(path, sizeof(path), "%s/before", fixture->directory);
    snprintf(new_path, sizeof(new_path), "%s/after", fixture->directory);
    probe_init(&probe, io);
    fd = open_file(io, path, O_RDWR | O_CREAT | O_EXCL);
    cr_assert(ge(int, fd, 0));
    io_write(io, &probe.op, fd, "abcd", 4, 0, IO_WRITE_DURABLE);
    cr_expect(eq(i32, finish(io, &probe), 4));
    io_write(io, &probe.op, fd, "efg", 3, 4, 0);
    cr_expect(eq(i32, finish(io, &probe), 3));
    io_fsync(io, &probe.op, fd, IO_FSYNC_DATA);
    cr_expect(eq(i32, finish(io, &probe), 0));
    io_rename(io, &probe.op, path, new_path);
    cr_expect(eq(i32, finish(io, &probe), 0));
    directory = open_file(io, fixture->directory, O_RDONLY | O_DIRECTORY);
    cr_assert(ge(int, directory, 0));
    io_fsync(io, &probe.op, directory, 0);
    cr_expect(eq(i32, finish(io, &probe), 0));
    close_fd(io, directory);
    close_fd(io, fd);

    fd = open_file(io, new_path, O_RDONLY);
    cr_assert(ge(int, fd, 0));
    io_read(io, &probe.op, fd, data, 4, 3);
    cr_expect(eq(i32, finish(io, &probe), 4));
    cr_expect(eq(str, data, "defg"));
    close_fd(io, fd);
    io_unlink(io, &probe.op, new_path);
    cr_expect(eq(i32, finish(io, &probe), 0));
    cr_expect(eq(int, open_file(io, new_path, O_RDONLY), -ENOENT));
}

void reports_the_errors_of_files(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_op probe;
    char path[256], new_path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/none", fixture->directory);
    snprintf(new_path, sizeof(new_path), "%s/other", fixture->directory);
    probe_init(&probe, io);
    cr_expect(eq(int, open_file(io, path, O_RDWR), -ENOENT));
    io_unlink(io, &probe.op, path);
    cr_expect(eq(i32, finish(io, &probe), -ENOENT));
    io_rename(io, &probe.op, path, new_path);
    cr_expect(eq(i32, finish(io, &probe), -ENOENT));
    fd = open_file(io, path, O_RDONLY | O_CREAT);
    cr_assert(ge(int, fd, 0));
    cr_expect(eq(int, open_file(io, path, O_RDWR | O_CREAT | O_EXCL), -EEXIST));
    io_write(io, &probe.op, fd, "x", 1, 0, 0);
    cr_expect(eq(i32, finish(io, &probe), -EBADF));
    close_fd(io, fd);
    io_unlink(io, &probe.op, path);
    cr_expect(eq(i32, finish(io, &probe), 0));
}

void reads_short_at_the_end_of_a_file(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_op probe;
    char path[256], data[16];
    int fd;

    snprintf(path, sizeof(path), "%s/short", fixture->directory);
    probe_init(&probe, io);
    fd = open_file(io, path, O_RDWR | O_CREAT);
    cr_assert(ge(int, fd, 0));
    io_write(io, &probe.op, fd, "abc", 3, 0, 0);
    cr_expect(eq(i32, finish(io, &probe), 3));
    io_read(io, &probe.op, fd, data, sizeof(data), 1);
    cr_expect(eq(i32, finish(io, &probe), 2));
    io_read(io, &probe.op, fd, data, sizeof(data), 3);
    cr_expect(eq(i32, finish(io, &probe), 0));
    close_fd(io, fd);
    io_unlink(io, &probe.op, path);
    cr_expect(eq(i32, finish(io, &probe), 0));
}

void completes_a_thousand_operations_armed_at_once(struct io_fixture *fixture)
{
    enum { COUNT = 1000 };
    static struct probe_op reads[COUNT];
    static char data[COUNT];
    struct io *io = fixture->io;
    struct probe_op write;
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/many", fixture->directory);
    fill(data, sizeof(data));
    probe_init(&write, io);
    fd = open_file(io, path, O_RDWR | O_CREAT);
    cr_assert(ge(int, fd, 0));
    io_write(io, &write.op, fd, data, COUNT, 0, 0);
    cr_assert(eq(i32, finish(io, &write), COUNT));
    memset(data, 0, sizeof(data));

    for (uint32_t i = 0; i < COUNT; i++) {
        probe_init(&reads[i], io);
        io_read(io, &reads[i].op, fd, &data[i], 1, i);
    }
    cr_expect(eq(u32, io->armed_count, COUNT));
    for (uint32_t i = 0; i < COUNT; i++) {
        cr_assert(eq(i32, finish(io, &reads[i]), 1));
        cr_assert(eq(u32, reads[i].completion_count, 1));
        cr_assert(eq(chr, data[i], (char)(i * 7 + i / 251)));
    }
    close_fd(io, fd);
    io_unlink(io, &write.op, path);
    cr_expect(eq(i32, finish(io, &write), 0));
}

/* --- Misuse --------------------------------------------------------------------------------- */

void aborts_when_a_descriptor_is_closed_under_a_receive(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    struct probe_op recv, close;

    probe_init(&recv, io);
    probe_init(&close, io);
    io_recv(io, &recv.op, pair.server);
    io_close(io, &close.op, pair.server);
}

void aborts_when_an_armed_operation_is_armed_again(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct pair pair = pair_open(io);
    struct probe_op recv;

    probe_init(&recv, io);
    io_recv(io, &recv.op, pair.server);
    io_recv(io, &recv.op, pair.server);
}
