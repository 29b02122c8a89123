#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io_conformance.h"
#include "runtime/io_uring.h"
#include "runtime/io_uring_watch.h"

/*
 * The production backend: the shared conformance cases, and below them what only
 * a real kernel can show. The queues are kept small, so that they overflow.
 */

enum { TURN_COUNT_MAX = 10000, NOBODY = 65534 };

static const uint64_t TURN_NS = 100000000;
static char directory[64];
static struct io_uring_config small = {.entries = 64, .cq_entries = 128, .recv_buffer_size = 4096};

/* An assert that a test wants leaves no other moment to tidy up. */
static void on_abort(int number)
{
    (void)number;
    rmdir(directory);
}

void io_fixture_open(struct io_fixture *fixture, uint32_t buffer_count)
{
    struct io_uring_config config = small;

    config.recv_buffer_count = buffer_count;
    snprintf(directory, sizeof(directory), "/tmp/weir-io-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(directory), NULL));
    signal(SIGABRT, on_abort);
    cr_assert(eq(int, io_uring_new(&config, &fixture->io), 0));
    cr_assert(eq(int, io_enable(fixture->io), 0));
    fixture->directory = directory;
    fixture->buffer_size = config.recv_buffer_size;
}

void io_fixture_close(struct io_fixture *fixture)
{
    io_free(&fixture->io);
    cr_assert(eq(int, rmdir(directory), 0));
}

#define AS_TEST(name, buffer_count)                                                                \
    Test(io_uring, name, .timeout = 60)                                                            \
    {                                                                                              \
        io_conformance_run(name, buffer_count);                                                    \
    }
IO_CONFORMANCE_CASES(AS_TEST)

#define AS_ABORT_TEST(name, buffer_count)                                                          \
    Test(io_uring, name, .timeout = 60, .signal = SIGABRT)                                         \
    {                                                                                              \
        io_conformance_run(name, buffer_count);                                                    \
    }
IO_CONFORMANCE_ABORT_CASES(AS_ABORT_TEST)

/* --- What only the kernel does ---------------------------------------------------------- */

static struct io_fixture fixture;

static void setup(void)
{
    io_fixture_open(&fixture, 4);
}

static void teardown(void)
{
    io_fixture_close(&fixture);
}

struct seen {
    struct io_op op;
    uint32_t count;
    int32_t value;
    bool more;
    uint32_t buffer_index;
    uint32_t end_count;      /* with on_done_release(): completions that were the last */
    uint64_t received_count; /* likewise: bytes */
};

static void on_done(struct io_op *op, const struct io_result *result)
{
    struct seen *seen = container_of(op, struct seen, op);

    seen->count++;
    seen->value = result->value;
    seen->more = result->more;
    seen->buffer_index = result->buffer_index;
}

static void turn(struct io *io)
{
    cr_assert(eq(int, io_wait(io, TURN_NS), 0));
    io_reap(io, 64);
}

/* For what gives its buffers back at once. */
static void on_done_release(struct io_op *op, const struct io_result *result)
{
    struct seen *seen = container_of(op, struct seen, op);

    on_done(op, result);
    if (!result->more)
        seen->end_count++;
    if (result->value <= 0)
        return;
    seen->received_count += (uint64_t)result->value;
    io_buffer_release(fixture.io, result->buffer_index);
}

/* A turn that does not wait. */
static void turn_at_once(struct io *io)
{
    cr_assert(eq(int, io_wait(io, 0), 0));
    io_reap(io, 64);
}

#define drive(io, condition)                                                                       \
    do {                                                                                           \
        int turn_count = 0;                                                                        \
                                                                                                   \
        while (!(condition)) {                                                                     \
            cr_assert(lt(int, turn_count++, TURN_COUNT_MAX), "never came true: %s", #condition);   \
            turn(io);                                                                              \
        }                                                                                          \
    } while (0)

static int listen_on(struct io *io, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = io_listen(io, (const struct sockaddr *)&address, sizeof(address), 64);

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(int, io_local_address(io, fd, ret_address), 0));
    return fd;
}

/* A peer outside the backend, in plain system calls. */
static int peer_connect(const struct sockaddr_storage *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(ge(int, fd, 0));
    cr_assert(
        eq(int, connect(fd, (const struct sockaddr *)address, sizeof(struct sockaddr_in)), 0));
    return fd;
}

TestSuite(io_uring_only, .init = setup, .fini = teardown, .timeout = 60);

Test(io_uring_only, names_itself)
{
    cr_expect(eq(str, (char *)fixture.io->vtable->name, "uring"));
}

static void *wake_from_elsewhere(void *io)
{
    io_wake(io);
    return NULL;
}

Test(io_uring_only, is_woken_by_another_thread)
{
    pthread_t thread;

    for (int i = 0; i < 100; i++) {
        cr_assert(eq(int, pthread_create(&thread, NULL, wake_from_elsewhere, fixture.io), 0));
        cr_assert(eq(int, io_wait(fixture.io, UINT64_MAX), 0));
        cr_expect(eq(u32, io_reap(fixture.io, 64), 0));
        pthread_join(thread, NULL);
    }
}

Test(io_uring_only, does_not_miss_a_wake_up_that_came_before_the_wait)
{
    /* The test's time limit is what fails here if one is missed. */
    for (int i = 0; i < 100; i++) {
        io_wake(fixture.io);
        cr_assert(eq(int, io_wait(fixture.io, UINT64_MAX), 0));
        cr_expect(eq(u32, io_reap(fixture.io, 64), 0));
    }
}

Test(io_uring_only, stays_out_of_the_kernel_when_there_is_nothing_to_do)
{
    uint64_t before;

    cr_assert(eq(int, io_wait(fixture.io, 0), 0));
    io_reap(fixture.io, 64);
    before = fixture.io->stats.enter_count;
    for (int i = 0; i < 1000; i++) {
        cr_assert(eq(int, io_wait(fixture.io, 0), 0));
        cr_assert(eq(u32, io_reap(fixture.io, 64), 0));
    }
    cr_expect(eq(u64, fixture.io->stats.enter_count, before));
}

Test(io_uring_only, counts_an_overflow_and_loses_nothing)
{
    enum { COUNT = 1000 };
    static struct seen reads[COUNT];
    static char data[COUNT];
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    uint32_t count = 0;

    for (int i = 0; i < COUNT; i++) {
        io_op_init(&reads[i].op, on_done);
        io_read(fixture.io, &reads[i].op, fd, &data[i], 1, 0);
    }
    for (int i = 0; count < COUNT; i++) {
        cr_assert(lt(int, i, TURN_COUNT_MAX));
        cr_assert(eq(int, io_wait(fixture.io, TURN_NS), 0));
        count += io_reap(fixture.io, 16);
    }
    for (int i = 0; i < COUNT; i++)
        cr_assert(eq(u32, reads[i].count, 1));
    cr_expect(lt(u64, 0, fixture.io->stats.overflow_count));
    cr_expect(eq(u32, fixture.io->armed_count, 0));
    close(fd);
}

Test(io_uring_only, starts_what_was_armed_before_it_was_enabled)
{
    enum { COUNT = 200 }; /* more than the queue holds */
    static struct seen reads[COUNT];
    static char data[COUNT];
    struct io_uring_config config = small;
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    struct io *io = NULL;

    cr_assert(eq(int, io_uring_new(&config, &io), 0));
    for (int i = 0; i < COUNT; i++) {
        io_op_init(&reads[i].op, on_done);
        io_read(io, &reads[i].op, fd, &data[i], 1, 0);
    }
    io_cancel(io, &reads[COUNT - 1].op); /* one that the kernel never hears of */
    cr_assert(eq(int, io_enable(io), 0));
    drive(io, io->armed_count == 0);
    for (int i = 0; i < COUNT - 1; i++)
        cr_assert(eq(i32, reads[i].value, 1));
    cr_expect(eq(i32, reads[COUNT - 1].value, -ECANCELED));
    io_free(&io);
    close(fd);
}

Test(io_uring_only, drops_the_completion_of_an_earlier_receive_and_keeps_its_buffer)
{
    static struct seen accept, recv;
    struct sockaddr_storage address;
    int listener = listen_on(fixture.io, &address);
    int peer, server;

    io_op_init(&accept.op, on_done);
    io_accept(fixture.io, &accept.op, listener);
    peer = peer_connect(&address);
    drive(fixture.io, accept.count == 1);
    server = accept.value;
    io_op_init(&recv.op, on_done);
    io_recv(fixture.io, &recv.op, server);
    turn(fixture.io);

    /* The slot gets a new user while the kernel still knows the old one. */
    io_op_init(&recv.op, on_done);
    for (int i = 0; i < 20; i++) {
        cr_assert(eq(i64, write(peer, "x", 1), 1));
        turn(fixture.io);
    }
    drive(fixture.io, fixture.io->armed_count == 1); /* the accept */
    cr_expect(ge(u64, fixture.io->stats.stale_count, 2));
    cr_expect(eq(u32, recv.count, 0));

    /* All four buffers are there for the new one. */
    io_recv(fixture.io, &recv.op, server);
    drive(fixture.io, recv.count >= 1);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(eq(i64, write(peer, "x", 1), 1));
        drive(fixture.io, recv.count >= i + 2);
    }
    cr_expect(eq(u64, fixture.io->stats.starved_count, 0));
    io_cancel(fixture.io, &recv.op);
    io_cancel(fixture.io, &accept.op);
    drive(fixture.io, fixture.io->armed_count == 0);
    close(peer);
    io_close_now(fixture.io, server);
    io_close_now(fixture.io, listener);
}

/*
 * Connections whose peer resets them right behind its bytes, before the backend
 * looks: of which kernels report the half (see io_uring_watch.h).
 */
struct reset {
    struct seen recv;
    int fd;
};

/* What the kernel finds: bytes and reset as two wake-ups, or both when it first looks. */
enum arming { ARMED_BEFORE, ARMED_AFTER };

static int reset_listener(struct seen *accept, struct sockaddr_storage *ret_address)
{
    int listener = listen_on(fixture.io, ret_address);

    io_op_init(&accept->op, on_done);
    io_accept(fixture.io, &accept->op, listener);
    return listener;
}

static void reset_begin(struct reset *reset, struct seen *accept, struct sockaddr_storage *address,
                        size_t size, enum arming arming)
{
    static const char data[5000];
    struct linger linger = {.l_onoff = 1};
    uint32_t before = accept->count;
    int peer = peer_connect(address);

    drive(fixture.io, accept->count == before + 1);
    *reset = (struct reset){.fd = accept->value};
    io_op_init(&reset->recv.op, on_done_release);
    if (arming == ARMED_BEFORE) {
        io_recv(fixture.io, &reset->recv.op, reset->fd);
        turn_at_once(fixture.io);
    }
    cr_assert(eq(i64, write(peer, data, size), (int64_t)size));
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(peer);
    if (arming == ARMED_AFTER)
        io_recv(fixture.io, &reset->recv.op, reset->fd);
}

Test(io_uring_only, ends_a_hundred_receives_whose_bytes_and_reset_came_together)
{
    enum { COUNT = 100 };
    static const size_t sizes[] = {1, 30, 5000};
    static struct reset resets[COUNT];
    static struct seen accept;
    struct sockaddr_storage address;
    int listener = reset_listener(&accept, &address);

    for (size_t s = 0; s < ARRAY_COUNT(sizes); s++) {
        for (int i = 0; i < COUNT; i++)
            reset_begin(&resets[i], &accept, &address, sizes[s],
                        i % 2 == 0 ? ARMED_BEFORE : ARMED_AFTER);
        for (int i = 0; i < COUNT; i++) {
            drive(fixture.io, !io_op_is_armed(&resets[i].recv.op));
            cr_expect(eq(i32, resets[i].recv.value, -ECONNRESET));
            cr_expect(eq(u64, resets[i].recv.received_count, sizes[s]));
            cr_expect(eq(u32, resets[i].recv.end_count, 1));
            io_close_now(fixture.io, resets[i].fd);
        }
    }
    io_cancel(fixture.io, &accept.op);
    drive(fixture.io, fixture.io->armed_count == 0);
    io_close_now(fixture.io, listener);
}

Test(io_uring_only, ends_more_receives_together_than_one_look_asks_about)
{
    enum { COUNT = IO_URING_WATCH_COUNT_MAX + 100 };
    static struct reset pairs[COUNT];
    struct rlimit limit;
    int fds[2];

    cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &limit), 0));
    if (limit.rlim_max < 2 * COUNT)
        cr_skip("this needs many descriptors");
    limit.rlim_cur = limit.rlim_max;
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &limit), 0));
    for (int i = 0; i < COUNT; i++) {
        cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0));
        cr_assert(eq(i64, write(fds[1], "bytes", 5), 5));
        close(fds[1]);
        pairs[i].fd = fds[0];
        io_op_init(&pairs[i].recv.op, on_done_release);
        io_recv(fixture.io, &pairs[i].recv.op, fds[0]);
    }
    for (int i = 0; i < COUNT; i++) {
        drive(fixture.io, !io_op_is_armed(&pairs[i].recv.op));
        cr_expect(eq(i32, pairs[i].recv.value, 0));
        cr_expect(eq(u64, pairs[i].recv.received_count, 5));
        cr_expect(eq(u32, pairs[i].recv.end_count, 1));
        io_close_now(fixture.io, pairs[i].fd);
    }
}

/* Between 0 and this many half turns after the bytes, the backend looks again and is done. */
enum { PHASE_COUNT = 12 };

static void run_half_turns(int count)
{
    for (int i = 0; i < count; i++) {
        if (i % 2 == 0)
            cr_assert(eq(int, io_wait(fixture.io, TURN_NS), 0));
        else
            io_reap(fixture.io, 64);
    }
}

Test(io_uring_only, ends_a_receive_once_when_its_owner_cancels_at_any_time_of_the_second_look)
{
    static struct reset resets[PHASE_COUNT];
    static struct seen accept;
    struct sockaddr_storage address;
    int listener = reset_listener(&accept, &address);

    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        struct reset *reset = &resets[phase];

        reset_begin(reset, &accept, &address, 5, ARMED_AFTER);
        run_half_turns(phase);
        io_cancel(fixture.io, &reset->recv.op);
        drive(fixture.io, !io_op_is_armed(&reset->recv.op));
        cr_expect(lt(i32, reset->recv.value, 0));
        for (int i = 0; i < 4; i++)
            turn_at_once(fixture.io);
        cr_expect(eq(u32, reset->recv.end_count, 1));
        io_close_now(fixture.io, reset->fd);
    }
    io_cancel(fixture.io, &accept.op);
    drive(fixture.io, fixture.io->armed_count == 0);
    cr_expect(eq(u64, fixture.io->stats.stale_count, 0));
    io_close_now(fixture.io, listener);
}

Test(io_uring_only, survives_a_slot_that_is_used_anew_at_any_time_of_the_second_look)
{
    static struct reset resets[PHASE_COUNT];
    static struct seen accept;
    struct sockaddr_storage address;
    int listener = reset_listener(&accept, &address);

    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        struct reset *reset = &resets[phase];

        reset_begin(reset, &accept, &address, 5, ARMED_AFTER);
        run_half_turns(phase);
        io_op_init(&reset->recv.op, on_done_release);
        reset->recv.end_count = 0;
        io_recv(fixture.io, &reset->recv.op, reset->fd);
        drive(fixture.io, !io_op_is_armed(&reset->recv.op));
        cr_expect(le(i32, reset->recv.value, 0));
        cr_expect(eq(u32, reset->recv.end_count, 1));
    }
    close(listener);
}

Test(io_uring_only, keeps_delivering_to_a_receive_whose_peer_shut_down_one_way_after_each_look)
{
    static struct reset resets[1];
    static struct seen accept;
    struct sockaddr_storage address;
    int listener = reset_listener(&accept, &address);
    struct seen *recv = &resets[0].recv;
    int peer = peer_connect(&address);

    drive(fixture.io, accept.count == 1);
    resets[0].fd = accept.value;
    io_op_init(&recv->op, on_done_release);
    io_recv(fixture.io, &recv->op, resets[0].fd);
    cr_assert(eq(i64, write(peer, "first", 5), 5));
    drive(fixture.io, recv->received_count == 5);
    for (int i = 0; i < 3; i++) /* a look that finds nothing */
        turn(fixture.io);
    cr_assert(io_op_is_armed(&recv->op));
    cr_assert(eq(i64, write(peer, "last", 4), 4));
    shutdown(peer, SHUT_WR);
    drive(fixture.io, !io_op_is_armed(&recv->op));
    cr_expect(eq(u64, recv->received_count, 9));
    cr_expect(eq(i32, recv->value, 0));

    /* The half-closed socket goes on saying so; nobody asks any more. */
    for (int i = 0; i < 3; i++)
        turn(fixture.io);
    cr_expect(eq(u32, recv->end_count, 1));
    cr_expect(not(io_op_is_armed(&recv->op)));
    close(peer);
    io_close_now(fixture.io, resets[0].fd);
    io_cancel(fixture.io, &accept.op);
    drive(fixture.io, fixture.io->armed_count == 0);
    io_close_now(fixture.io, listener);
}

Test(io_uring_only, closes_what_an_earlier_accept_brings)
{
    static struct seen accept;
    struct sockaddr_storage address;
    int listener = listen_on(fixture.io, &address);
    char unused;
    int peer;

    io_op_init(&accept.op, on_done);
    io_accept(fixture.io, &accept.op, listener);
    turn(fixture.io);
    io_op_init(&accept.op, on_done);
    peer = peer_connect(&address);
    drive(fixture.io, fixture.io->armed_count == 0);
    cr_expect(ge(u64, fixture.io->stats.stale_count, 1));
    cr_expect(eq(u32, accept.count, 0));
    cr_expect(eq(i64, read(peer, &unused, 1), 0));
    close(peer);
    close(listener);
}

Test(io_uring_only, serves_the_next_starved_receive_when_the_first_has_nothing_to_read)
{
    enum { CONNECTION_COUNT = 3, HOARDER = 0, IDLER = 1, WAITER = 2, BUFFER_COUNT = 4 };
    static struct seen accept, recvs[CONNECTION_COUNT];
    struct sockaddr_storage address;
    int listener = listen_on(fixture.io, &address);
    int peers[CONNECTION_COUNT], fds[CONNECTION_COUNT];
    uint32_t hoarded[BUFFER_COUNT];
    char stolen[8];

    io_op_init(&accept.op, on_done);
    io_accept(fixture.io, &accept.op, listener);
    for (uint32_t i = 0; i < CONNECTION_COUNT; i++) {
        peers[i] = peer_connect(&address);
        drive(fixture.io, accept.count == i + 1);
        fds[i] = accept.value;
        io_op_init(&recvs[i].op, on_done);
        io_recv(fixture.io, &recvs[i].op, fds[i]);
    }
    for (uint32_t i = 0; i < BUFFER_COUNT; i++) {
        cr_assert(eq(i64, write(peers[HOARDER], "x", 1), 1));
        drive(fixture.io, recvs[HOARDER].count == i + 1);
        hoarded[i] = recvs[HOARDER].buffer_index;
    }
    for (uint64_t i = IDLER; i <= WAITER; i++) {
        cr_assert(eq(i64, write(peers[i], "data", 4), 4));
        drive(fixture.io, fixture.io->stats.starved_count == i);
    }
    cr_assert(eq(i64, recv(fds[IDLER], stolen, sizeof(stolen), MSG_DONTWAIT), 4));

    /*
     * One buffer for two in line, and the first in line has no use for it any more.
     * Waits without end, so that blocking beside a free buffer fails the test.
     */
    io_buffer_release(fixture.io, hoarded[0]);
    while (recvs[WAITER].count == 0) {
        cr_assert(eq(int, io_wait(fixture.io, UINT64_MAX), 0));
        io_reap(fixture.io, 64);
    }
    cr_expect(eq(i32, recvs[WAITER].value, 4));
    cr_expect(eq(u32, recvs[IDLER].count, 0));
    cr_expect(io_op_is_armed(&recvs[IDLER].op));
    for (int i = 0; i < CONNECTION_COUNT; i++)
        close(peers[i]);
}

Test(io_uring_only, ends_an_accept_without_descriptors_and_accepts_again_later)
{
    enum { PEER_COUNT = 4 };
    static struct seen accept;
    struct sockaddr_storage address;
    struct rlimit limit, low;
    int listener = listen_on(fixture.io, &address);
    int peers[PEER_COUNT];
    uint32_t before;

    cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &limit), 0));
    for (int i = 0; i < PEER_COUNT; i++)
        peers[i] = peer_connect(&address);
    low = limit;
    low.rlim_cur = (rlim_t)peers[PEER_COUNT - 1] + 2; /* one free descriptor */
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &low), 0));
    io_op_init(&accept.op, on_done);
    io_accept(fixture.io, &accept.op, listener);
    drive(fixture.io, !io_op_is_armed(&accept.op));
    cr_expect(eq(i32, accept.value, -EMFILE));
    cr_expect(not(accept.more));
    cr_expect(eq(u32, accept.count, 2));

    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &limit), 0));
    before = accept.count;
    io_accept(fixture.io, &accept.op, listener);
    drive(fixture.io, accept.count == before + (uint32_t)PEER_COUNT - 1);
    cr_expect(ge(i32, accept.value, 0));
    cr_expect(io_op_is_armed(&accept.op));
}

Test(io_uring_only, reports_each_change_of_a_polled_descriptor)
{
    static struct seen poll;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    eventfd_t value;

    io_op_init(&poll.op, on_done);
    io_poll(fixture.io, &poll.op, fd, POLLIN);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(eq(int, eventfd_write(fd, 1), 0));
        drive(fixture.io, poll.count == i + 1);
        cr_expect(eq(i32, poll.value & POLLIN, POLLIN));
        cr_expect(poll.more);
        cr_assert(eq(int, eventfd_read(fd, &value), 0));
    }
    io_cancel(fixture.io, &poll.op);
    drive(fixture.io, !io_op_is_armed(&poll.op));
    cr_expect(eq(i32, poll.value, -ECANCELED));
    close(fd);
}

Test(io_uring_only, writes_and_reads_streams_that_have_no_offset)
{
    struct seen write = {0}, read = {0};
    char data[8] = "";
    int fds[2];

    cr_assert(eq(int, pipe2(fds, O_CLOEXEC), 0));
    io_op_init(&write.op, on_done);
    io_op_init(&read.op, on_done);
    io_read(fixture.io, &read.op, fds[0], data, 4, IO_OFFSET_STREAM);
    io_write(fixture.io, &write.op, fds[1], "line", 4, IO_OFFSET_STREAM, 0);
    drive(fixture.io, fixture.io->armed_count == 0);
    cr_expect(eq(i32, write.value, 4));
    cr_expect(eq(i32, read.value, 4));
    cr_expect(eq(str, data, "line"));
    close(fds[0]);
    close(fds[1]);
}

Test(io_uring_only, reports_a_broken_pipe_without_a_signal)
{
    static char data[65536];
    struct seen accept = {0}, send = {0};
    struct sockaddr_storage address;
    int listener = listen_on(fixture.io, &address);
    struct linger linger = {.l_onoff = 1};
    int peer;

    io_op_init(&accept.op, on_done);
    io_op_init(&send.op, on_done);
    io_accept(fixture.io, &accept.op, listener);
    peer = peer_connect(&address);
    drive(fixture.io, accept.count == 1);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(peer); /* a reset */
    for (int i = 0; i < 3; i++) {
        io_send(fixture.io, &send.op, accept.value, data, sizeof(data));
        drive(fixture.io, !io_op_is_armed(&send.op));
    }
    cr_expect(eq(i32, send.value, -EPIPE));
    io_cancel(fixture.io, &accept.op);
    drive(fixture.io, fixture.io->armed_count == 0);
}

Test(io_uring_only, listens_on_ipv6_alone_and_sets_its_options)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = io_listen(fixture.io, (const struct sockaddr *)&address, sizeof(address), 16);
    int value = 0;
    socklen_t size = sizeof(value);

    if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)
        cr_skip("this machine has no IPv6");
    cr_assert(ge(int, fd, 0));
    cr_expect(eq(int, getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &size), 0));
    cr_expect(eq(int, value, 1));
    cr_expect(eq(int, getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &size), 0));
    cr_expect(eq(int, value, 1));
    cr_expect(eq(int, getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0));
    cr_expect(eq(int, value, 1));
    close(fd);
}

Test(io_uring_only, refuses_an_address_that_is_not_ours)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};

    cr_expect(eq(int, io_listen(fixture.io, (const struct sockaddr *)&address, sizeof(address), 16),
                 -EADDRNOTAVAIL));
}

Test(io_uring_only, ends_armed_operations_without_a_completion_when_freed)
{
    static struct seen accept, read;
    static char data[4];
    struct sockaddr_storage address;
    int listener = listen_on(fixture.io, &address);
    struct io *io = NULL;
    int fds[2];

    cr_assert(eq(int, io_uring_new(&small, &io), 0));
    cr_assert(eq(int, io_enable(io), 0));
    cr_assert(eq(int, pipe2(fds, O_CLOEXEC), 0));
    io_op_init(&accept.op, on_done);
    io_op_init(&read.op, on_done);
    io_accept(io, &accept.op, listener);
    io_read(io, &read.op, fds[0], data, sizeof(data), IO_OFFSET_STREAM);
    cr_assert(eq(int, io_wait(io, 0), 0));
    io_free(&io);
    cr_expect(eq(ptr, io, NULL));
    cr_expect(eq(u32, accept.count + read.count, 0));
    /* The kernel has let go of data. */
    cr_assert(eq(i64, write(fds[1], "late", 4), 4));
    cr_expect(eq(chr, data[0], 0));
    io_free(&io);
    close(listener);
}

static void *arm_from_elsewhere(void *io)
{
    static struct seen poll;

    io_op_init(&poll.op, on_done);
    io_poll(io, &poll.op, 0, POLLIN);
    return NULL;
}

Test(io_uring_only, aborts_when_another_thread_arms, .signal = SIGABRT)
{
    pthread_t thread;

    pthread_create(&thread, NULL, arm_from_elsewhere, fixture.io);
    pthread_join(thread, NULL);
}

Test(io_uring_only, aborts_when_a_buffer_is_released_that_nobody_has, .signal = SIGABRT)
{
    io_buffer_release(fixture.io, 0);
}

Test(io_uring_only, aborts_when_a_descriptor_is_closed_at_once_under_an_accept, .signal = SIGABRT)
{
    static struct seen accept;
    struct sockaddr_storage address;
    int listener = listen_on(fixture.io, &address);

    io_op_init(&accept.op, on_done);
    io_accept(fixture.io, &accept.op, listener);
    io_close_now(fixture.io, listener);
}

/* --- Locked memory ---------------------------------------------------------------------- */

/* Leaves root, whose rings are not charged; skips the test when it cannot. */
static void become_nobody_with(uint64_t memlock_limit)
{
    struct rlimit limit = {.rlim_cur = memlock_limit, .rlim_max = memlock_limit};

    cr_assert(eq(int, setrlimit(RLIMIT_MEMLOCK, &limit), 0));
    if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
        cr_skip("only root can become somebody else");
    prctl(PR_SET_DUMPABLE, 1); /* the leak checker wants to look at us */
}

TestSuite(io_uring_memlock, .timeout = 60);

Test(io_uring_memlock, needs_no_more_than_it_says)
{
    struct io_uring_config config = {0};
    uint64_t need = io_uring_memlock_need(&config);
    struct io *io = NULL;

    become_nobody_with(need);
    cr_expect(eq(u64, io_uring_memlock_limit(), need));
    cr_assert(eq(int, io_uring_new(&config, &io), 0));
    io_free(&io);
}

Test(io_uring_memlock, survives_fifty_starts_although_memory_comes_back_late)
{
    struct io_uring_config config = {.recv_buffer_count = 64};
    struct io *io = NULL;

    become_nobody_with(2 * io_uring_memlock_need(&config));
    for (int i = 0; i < 50; i++) {
        cr_assert(eq(int, io_uring_new(&config, &io), 0));
        cr_assert(eq(int, io_enable(io), 0));
        cr_assert(eq(int, io_wait(io, 0), 0));
        io_free(&io);
    }
}

Test(io_uring_memlock, is_unlimited_for_whoever_may_lock_freely)
{
    if (geteuid() != 0)
        cr_skip("this is about root");
    cr_expect(eq(u64, io_uring_memlock_limit(), UINT64_MAX));
}
