#include "runtime/io_sim.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>

#include "io_conformance.h"
#include "runtime/disk.h"
#include "runtime/sim_disk.h"

/*
 * The simulated backend: the shared conformance cases, then what only a simulator
 * does: crashes, faults, resets, and the same trace for the same seed.
 */
enum {
    CRASH_SEED_COUNT = 2000,
    WRITE_COUNT = 6,
    BLOCK = SIM_BLOCK_SIZE,
    PUMP_BYTES = 300000,
    STEP_COUNT_MAX = 1000000,
};

static struct sim_world *world;
static struct sim_host *host;
static bool cramped; /* rings that are too small, and buffers that are not there */

/* --- Conformance ------------------------------------------------------------------------ */

void io_fixture_open(struct io_fixture *fixture, uint32_t buffer_count)
{
    world = sim_world_new(7);
    host = sim_host_new(world, "machine");
    host->receive_buffer_count = buffer_count;
    host->wait_drives_world = true;
    host->sends_may_overlap = true;
    if (cramped) {
        host->ring_size = 3;
        host->faults.ring_full.chance_ppm = SIM_PPM / 5;
        host->faults.completions_held.chance_ppm = SIM_PPM / 3;
        host->faults.recv_starved.chance_ppm = SIM_PPM / 3;
    }
    cr_assert(eq(int, io_sim_new(host, &fixture->io), 0));
    cr_assert(eq(int, disk_make_directory(sim_host_disk(host), "files", 0755), 0));
    fixture->directory = "files";
    fixture->buffer_size = host->receive_buffer_size;
}

void io_fixture_close(struct io_fixture *fixture)
{
    io_free(&fixture->io);
    sim_world_free(&world);
}

#define AS_TEST(name, buffer_count)                                                                \
    Test(io_sim, name, .timeout = 60)                                                              \
    {                                                                                              \
        io_conformance_run(name, buffer_count);                                                    \
    }
IO_CONFORMANCE_CASES(AS_TEST)

#define AS_ABORT_TEST(name, buffer_count)                                                          \
    Test(io_sim, name, .timeout = 60, .signal = SIGABRT)                                           \
    {                                                                                              \
        io_conformance_run(name, buffer_count);                                                    \
    }
IO_CONFORMANCE_ABORT_CASES(AS_ABORT_TEST)

#define AS_CRAMPED_TEST(name, buffer_count)                                                        \
    Test(io_sim_cramped, name, .timeout = 60)                                                      \
    {                                                                                              \
        cramped = true;                                                                            \
        io_conformance_run(name, buffer_count);                                                    \
    }
IO_CONFORMANCE_CASES(AS_CRAMPED_TEST)

/* --- A world with a server and a client ------------------------------------------------- */

static struct sim_host *laptop;
static struct io *server_io;
static struct io *client_io;

struct probe {
    struct io_op op;
    struct io *io;
    uint32_t count;
    int32_t value;
    bool more;
    bool hold;
    uint32_t buffer_index;
    uint64_t received_count;
    uint64_t data_sum;
};

static void on_done(struct io_op *op, const struct io_result *result)
{
    struct probe *probe = container_of(op, struct probe, op);

    probe->count++;
    probe->value = result->value;
    probe->more = result->more;
    if (op->type != IO_RECV || result->value <= 0)
        return;
    probe->received_count += (uint64_t)result->value;
    for (int32_t i = 0; i < result->value; i++)
        probe->data_sum = probe->data_sum * 31 + (uint8_t)result->data[i];
    probe->buffer_index = result->buffer_index;
    if (!probe->hold)
        io_buffer_release(probe->io, result->buffer_index);
}

static void probe_init(struct probe *probe, struct io *io)
{
    *probe = (struct probe){.io = io};
    io_op_init(&probe->op, on_done);
}

static void make(uint64_t seed)
{
    world = sim_world_new(seed);
    host = sim_host_new(world, "server");
    laptop = sim_host_new(world, "laptop");
    cr_assert(eq(int, io_sim_new(host, &server_io), 0));
    cr_assert(eq(int, io_sim_new(laptop, &client_io), 0));
}

static void unmake(void)
{
    io_free(&server_io);
    io_free(&client_io);
    sim_world_free(&world);
}

static void setup(void)
{
    make(1);
}

TestSuite(sim_world, .init = setup, .fini = unmake, .timeout = 100);

/* One pass of the loop that a driver runs; false when nothing will ever happen again. */
static bool turn(void)
{
    uint64_t next_ns = sim_world_step(world);
    uint32_t count = io_reap(server_io, 64) + io_reap(client_io, 64);

    if (count > 0)
        return true;
    if (next_ns == UINT64_MAX)
        return false;
    sim_world_advance_to(world, next_ns);
    return true;
}

static void run_until_quiet(void)
{
    uint32_t step_count = 0;

    while (turn())
        cr_assert(lt(u32, step_count++, STEP_COUNT_MAX));
}

static struct sockaddr_in address = {.sin_family = AF_INET};

static int listen_there(void)
{
    address.sin_port = htons(3000);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return io_listen(server_io, (struct sockaddr *)&address, sizeof(address), 4);
}

/* One connection from the laptop to the server; both ends' descriptors. */
static void connect_once(int *ret_client, int *ret_server)
{
    static struct probe accepting;
    static struct probe connecting;
    int listener = listen_there();
    int fd = io_socket(client_io, AF_INET);

    probe_init(&accepting, server_io);
    probe_init(&connecting, client_io);
    io_accept(server_io, &accepting.op, listener);
    io_connect(client_io, &connecting.op, fd, (struct sockaddr *)&address, sizeof(address));
    run_until_quiet();
    cr_assert(eq(i32, connecting.value, 0));
    cr_assert(ge(i32, accepting.value, 0));
    *ret_server = accepting.value;
    *ret_client = fd;
}

/* --- Crashes ---------------------------------------------------------------------------- */

static _Alignas(512) char blocks[WRITE_COUNT][BLOCK];

/* Six durable writes, then a crash in the middle: every completed one must be there. */
static void crash_during_writes(uint64_t seed, uint32_t *partial_count)
{
    static _Alignas(512) char data[BLOCK];
    static struct probe probes[WRITE_COUNT];
    struct disk *disk = sim_host_disk(host);
    bool done[WRITE_COUNT];
    uint64_t stop_ns;
    int fd;

    fd = disk_open(disk, "log", O_RDWR | O_CREAT | O_DIRECT, 0600);
    cr_assert(ge(int, fd, 0));
    memset(data, 0, sizeof(data));
    for (uint32_t i = 0; i < WRITE_COUNT; i++)
        cr_assert(eq(i64, disk_write(disk, fd, data, BLOCK, (uint64_t)i * BLOCK), BLOCK));
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    cr_assert(eq(int, disk_sync_directory(disk, "."), 0));

    for (uint32_t i = 0; i < WRITE_COUNT; i++) {
        probe_init(&probes[i], server_io);
        memset(blocks[i], (int)('a' + i), BLOCK);
        io_write(server_io, &probes[i].op, fd, blocks[i], BLOCK, (uint64_t)i * BLOCK,
                 IO_WRITE_DURABLE);
    }
    stop_ns = world->mono_ns + seed % 500000;
    while (sim_world_step(world) < stop_ns) {
        sim_world_advance_to(world, sim_world_next_ns(world));
        io_reap(server_io, 64);
    }
    for (uint32_t i = 0; i < WRITE_COUNT; i++)
        done[i] = probes[i].count == 1 && probes[i].value == BLOCK;

    sim_host_crash(host);
    memset(probes, 0xff, sizeof(probes));
    cr_assert(eq(u32, io_reap(server_io, 64), 0));
    sim_host_start(host);

    fd = disk_open(disk, "log", O_RDONLY | O_DIRECT, 0);
    cr_assert(ge(int, fd, 0));
    for (uint32_t i = 0; i < WRITE_COUNT; i++) {
        bool whole;

        cr_assert(eq(i64, disk_read(disk, fd, data, BLOCK, (uint64_t)i * BLOCK), BLOCK));
        whole = memcmp(data, blocks[i], BLOCK) == 0;
        cr_assert(whole || !done[i], "seed %lu lost a durable write", seed);
        *partial_count += !whole && memchr(data, (int)('a' + i), BLOCK) != NULL;
    }
    memset(probes, 0, sizeof(probes));
}

Test(sim_world, keeps_every_completed_durable_write_through_a_crash)
{
    uint32_t partial_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= CRASH_SEED_COUNT; seed++) {
        make(seed * 7919);
        crash_during_writes(seed * 7919, &partial_count);
        unmake();
    }
    cr_assert(lt(u32, 100, partial_count), "writes in flight are torn");
    make(1);
}

Test(sim_world, resets_the_peers_of_a_machine_that_crashed)
{
    struct probe receiving;
    int client;
    int server;

    connect_once(&client, &server);
    probe_init(&receiving, client_io);
    io_recv(client_io, &receiving.op, client);
    run_until_quiet();
    cr_assert(eq(u32, receiving.count, 0));
    sim_host_crash(host);
    run_until_quiet();
    cr_assert(eq(i32, receiving.value, -ECONNRESET));
    cr_assert(not(receiving.more));
    sim_host_start(host);
}

Test(sim_world, closes_the_connections_of_a_process_that_was_killed)
{
    struct probe receiving;
    int client;
    int server;

    connect_once(&client, &server);
    probe_init(&receiving, client_io);
    io_recv(client_io, &receiving.op, client);
    sim_host_kill(host);
    run_until_quiet();
    cr_assert(eq(u32, receiving.count, 1));
    cr_assert(eq(i32, receiving.value, 0));
    sim_host_start(host);
    io_free(&server_io);
    cr_assert(eq(int, io_sim_new(host, &server_io), 0));
    cr_assert(ge(int, listen_there(), 0), "the port is free again");
}

Test(sim_world, completes_nothing_after_the_host_died_in_a_disk_call)
{
    static char data[BLOCK];
    struct probe first;
    struct probe second;
    int fd = disk_open(sim_host_disk(host), "a", O_RDWR | O_CREAT, 0600);

    probe_init(&first, server_io);
    probe_init(&second, server_io);
    sim_host_crash_after(host, 1);
    io_write(server_io, &first.op, fd, data, BLOCK, 0, 0);
    io_write(server_io, &second.op, fd, data, BLOCK, BLOCK, 0);
    run_until_quiet();
    cr_assert(eq(u32, first.count + second.count, 0));
    cr_assert(not(sim_host_is_up(host)));
    sim_host_crash(host);
    sim_host_start(host);
}

/* --- Network ---------------------------------------------------------------------------- */

Test(sim_world, moves_bytes_in_order_whatever_the_cuts)
{
    static char data[PUMP_BYTES];
    struct probe sending;
    struct probe receiving;
    uint64_t sum = 0;
    int client;
    int server;

    for (uint32_t i = 0; i < PUMP_BYTES; i++) {
        data[i] = (char)(i * 7 + i / 256);
        sum = sum * 31 + (uint8_t)data[i];
    }
    connect_once(&client, &server);
    probe_init(&sending, client_io);
    probe_init(&receiving, server_io);
    laptop->faults.split.chance_ppm = SIM_PPM;
    io_send(client_io, &sending.op, client, data, PUMP_BYTES);
    io_recv(server_io, &receiving.op, server);
    run_until_quiet();
    cr_assert(eq(i32, sending.value, PUMP_BYTES));
    cr_assert(eq(u64, receiving.received_count, PUMP_BYTES));
    cr_assert(eq(u64, receiving.data_sum, sum));
}

Test(sim_world, holds_a_sender_back_until_its_peer_receives)
{
    static char data[PUMP_BYTES];
    struct probe sending;
    struct probe receiving;
    int client;
    int server;

    host->socket_buffer_size = 1000;
    connect_once(&client, &server);
    probe_init(&sending, client_io);
    probe_init(&receiving, server_io);
    io_send(client_io, &sending.op, client, data, PUMP_BYTES);
    run_until_quiet();
    cr_assert(eq(u32, sending.count, 0));
    io_recv(server_io, &receiving.op, server);
    run_until_quiet();
    cr_assert(eq(i32, sending.value, PUMP_BYTES));
}

Test(sim_world, resets_a_connection_that_is_closed_with_unread_bytes)
{
    struct probe sending;
    struct probe closing;
    struct probe receiving;
    int client;
    int server;

    connect_once(&client, &server);
    probe_init(&sending, client_io);
    probe_init(&closing, server_io);
    probe_init(&receiving, client_io);
    io_send(client_io, &sending.op, client, "hello", 5);
    run_until_quiet();
    cr_assert(eq(i32, sending.value, 5));
    io_close(server_io, &closing.op, server);
    io_recv(client_io, &receiving.op, client);
    run_until_quiet();
    cr_assert(eq(i32, receiving.value, -ECONNRESET));
    io_send(client_io, &sending.op, client, "again", 5);
    run_until_quiet();
    cr_assert(eq(i32, sending.value, -EPIPE));
}

Test(sim_world, leaves_a_connection_in_the_backlog_when_no_descriptor_is_free)
{
    struct probe accepting;
    struct probe connecting;
    int listener = listen_there();
    int fd = io_socket(client_io, AF_INET);

    probe_init(&accepting, server_io);
    probe_init(&connecting, client_io);
    host->fd_count_max = host->fd_count;
    io_accept(server_io, &accepting.op, listener);
    io_connect(client_io, &connecting.op, fd, (struct sockaddr *)&address, sizeof(address));
    run_until_quiet();
    cr_assert(eq(i32, connecting.value, 0));
    cr_assert(eq(i32, accepting.value, -EMFILE));
    cr_assert(not(accepting.more));
    host->fd_count_max = 100;
    io_accept(server_io, &accepting.op, listener);
    run_until_quiet();
    cr_assert(ge(i32, accepting.value, 0));
}

Test(sim_world, spreads_connections_over_listeners_on_one_address)
{
    struct probe accepting[2];
    struct probe connecting[40];
    int first = listen_there();
    int second = listen_there();

    probe_init(&accepting[0], server_io);
    probe_init(&accepting[1], server_io);
    io_accept(server_io, &accepting[0].op, first);
    io_accept(server_io, &accepting[1].op, second);
    for (uint32_t i = 0; i < 40; i++) {
        probe_init(&connecting[i], client_io);
        io_connect(client_io, &connecting[i].op, io_socket(client_io, AF_INET),
                   (struct sockaddr *)&address, sizeof(address));
    }
    run_until_quiet();
    cr_assert(eq(u32, accepting[0].count + accepting[1].count, 40));
    cr_assert(lt(u32, 5, accepting[0].count));
    cr_assert(lt(u32, 5, accepting[1].count));
}

Test(sim_world, strikes_connections_when_told)
{
    struct probe connecting;
    struct probe sending;
    struct probe receiving;
    int client;
    int server;

    connect_once(&client, &server);
    probe_init(&connecting, client_io);
    laptop->faults.connect_refused.once_count = 1;
    io_connect(client_io, &connecting.op, io_socket(client_io, AF_INET),
               (struct sockaddr *)&address, sizeof(address));
    run_until_quiet();
    cr_assert(eq(i32, connecting.value, -ECONNREFUSED));

    probe_init(&sending, client_io);
    probe_init(&receiving, server_io);
    laptop->faults.reset.once_count = 1;
    io_recv(server_io, &receiving.op, server);
    io_send(client_io, &sending.op, client, "hello", 5);
    run_until_quiet();
    cr_assert(eq(i32, sending.value, -ECONNRESET));
    cr_assert(eq(i32, receiving.value, -ECONNRESET));
}

Test(sim_world, reports_readiness_to_a_poll)
{
    struct probe polling;
    struct probe sending;
    int client;
    int server;

    connect_once(&client, &server);
    probe_init(&polling, server_io);
    probe_init(&sending, client_io);
    io_poll(server_io, &polling.op, server, POLLIN);
    run_until_quiet();
    cr_assert(eq(u32, polling.count, 0));
    io_send(client_io, &sending.op, client, "x", 1);
    run_until_quiet();
    cr_assert(eq(u32, polling.count, 1));
    cr_assert(eq(i32, polling.value, POLLIN));
    io_cancel(server_io, &polling.op);
    run_until_quiet();
    cr_assert(not(polling.more));
}

Test(sim_world, tells_nobody_of_a_completion_whose_operation_is_gone)
{
    struct probe receiving;
    struct probe sending;
    int client;
    int server;

    connect_once(&client, &server);
    probe_init(&receiving, server_io);
    probe_init(&sending, client_io);
    io_recv(server_io, &receiving.op, server);
    io_send(client_io, &sending.op, client, "x", 1);
    run_until_quiet();
    cr_assert(eq(u32, receiving.count, 1));
    io_op_init(&receiving.op, on_done); /* as if its memory served somebody else */
    io_send(client_io, &sending.op, client, "y", 1);
    run_until_quiet();
    cr_assert(eq(u32, receiving.count, 1));
    cr_assert(eq(u64, server_io->stats.stale_count, 2), "the bytes, and the end by cancel");
    cr_assert(eq(u32, server_io->armed_count, 1), "the accept");
    io_recv(server_io, &receiving.op, server);
    io_send(client_io, &sending.op, client, "z", 1);
    run_until_quiet();
    cr_assert(eq(u32, receiving.count, 2));
}

Test(sim_world, catches_a_buffer_that_changes_under_a_write, .signal = SIGABRT)
{
    static char data[BLOCK];
    struct probe writing;
    int fd = disk_open(sim_host_disk(host), "a", O_RDWR | O_CREAT, 0600);

    probe_init(&writing, server_io);
    io_write(server_io, &writing.op, fd, data, BLOCK, 0, 0);
    data[7] = 1;
    run_until_quiet();
}

/* --- Determinism and speed -------------------------------------------------------------- */

struct pump {
    struct io_op recv_op;
    struct io_op send_op;
    struct io_op write_op;
    struct io *io;
    int fd;
    int file;
    uint64_t offset;
    char data[600];
    char block[512];
};

static void pump_on_send(struct io_op *op, const struct io_result *result)
{
    struct pump *pump = container_of(op, struct pump, send_op);

    if (result->value > 0)
        io_send(pump->io, op, pump->fd, pump->data, 1 + (uint32_t)result->value % 600);
}

static void pump_on_recv(struct io_op *op, const struct io_result *result)
{
    struct pump *pump = container_of(op, struct pump, recv_op);

    if (result->value <= 0)
        return;
    if (!io_op_is_armed(&pump->write_op)) {
        memcpy(pump->block, result->data, min_u64((uint64_t)result->value, sizeof(pump->block)));
        io_write(pump->io, &pump->write_op, pump->file, pump->block, 512, pump->offset, 0);
        pump->offset = (pump->offset + 512) % (1 << 20);
    }
    io_buffer_release(pump->io, result->buffer_index);
}

static void pump_on_write(struct io_op *op, const struct io_result *result)
{
    cr_assert(not(io_op_is_armed(op)));
    cr_assert(eq(i32, result->value, 512));
}

static void pump_start(struct pump *pump, struct io *io, int fd, struct sim_host *on)
{
    *pump = (struct pump){.io = io, .fd = fd};
    rng_fill(&world->rng, pump->data, sizeof(pump->data));
    pump->file = disk_open(sim_host_disk(on), "pump", O_RDWR | O_CREAT, 0600);
    cr_assert(ge(int, pump->file, 0));
    io_op_init(&pump->recv_op, pump_on_recv);
    io_op_init(&pump->send_op, pump_on_send);
    io_op_init(&pump->write_op, pump_on_write);
    io_recv(io, &pump->recv_op, fd);
    io_send(io, &pump->send_op, fd, pump->data, 100);
}

/* Sockets and files for so many events; the trace's hash. */
static uint64_t pump_run(uint64_t seed, uint64_t event_count)
{
    static struct pump pumps[2];
    int client;
    int server;
    uint64_t hash;

    make(seed);
    host->faults.stall.chance_ppm = 1000;
    connect_once(&client, &server);
    pump_start(&pumps[0], server_io, server, host);
    pump_start(&pumps[1], client_io, client, laptop);
    while (world->event_count < event_count)
        cr_assert(turn());
    sim_host_crash(host);
    hash = world->trace.hash ^ world->mono_ns;
    unmake();
    return hash;
}

Test(sim_world, does_the_same_again_for_the_same_seed)
{
    uint64_t first;

    unmake();
    first = pump_run(42, 20000);
    cr_assert(eq(u64, pump_run(42, 20000), first));
    cr_assert(ne(u64, pump_run(43, 20000), first));
    make(1);
}

Test(sim_world, writes_a_readable_trace)
{
    char text[256] = "";
    FILE *file = tmpfile();

    cr_assert(ne(ptr, file, NULL));
    sim_world_trace_to(world, file);
    cr_assert(ge(int, disk_open(sim_host_disk(host), "a", O_RDWR | O_CREAT, 0600), 0));
    rewind(file);
    cr_assert(ne(ptr, fgets(text, sizeof(text), file), NULL));
    cr_assert(ne(ptr, strstr(text, "1.000000000 server/0 d.open"), NULL), "%s", text);
    fclose(file);
}

Test(sim_world, tells_a_wall_clock_that_may_jump_beside_one_that_may_not)
{
    struct clock clock;

    clock_init(&clock, &world->clock_source);
    cr_assert(eq(u64, clock.mono_ns, SIM_START_MONO_NS));
    sim_world_advance_to(world, SIM_START_MONO_NS + 5000000);
    sim_world_jump_unix(world, -3600000);
    clock_update(&clock);
    cr_assert(eq(u64, clock.mono_ns, SIM_START_MONO_NS + 5000000));
    cr_assert(eq(u64, clock.unix_ms, SIM_START_UNIX_MS + 1005 - 3600000));
}
