#include "runtime/sim_faults.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>

#include "runtime/disk.h"
#include "runtime/io_sim.h"
#include "runtime/sim_disk.h"

/*
 * Faults of the rings, of operations under way and of whole machines: what
 * io_uring, signals and power cuts do to a program that did nothing wrong.
 */
enum {
    OP_COUNT = 10,
    SEED_COUNT = 300,
    BLOCK = SIM_BLOCK_SIZE,
    STEP_COUNT_MAX = 1000000,
};

struct probe {
    struct io_op op;
    struct io *io;
    uint32_t count;
    int32_t value;
    uint32_t order; /* of its latest completion among all */
};

static struct sim_world *world;
static struct sim_host *host;
static struct sim_host *laptop;
static struct io *server_io;
static struct io *client_io;
static struct probe probes[OP_COUNT];
static uint32_t done_count;
static _Alignas(512) char blocks[OP_COUNT][BLOCK];

static void on_done(struct io_op *op, const struct io_result *result)
{
    struct probe *probe = container_of(op, struct probe, op);

    probe->count++;
    probe->value = result->value;
    probe->order = done_count++;
    if (op->type == IO_RECV && result->value > 0)
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
    for (uint32_t i = 0; i < OP_COUNT; i++) {
        probe_init(&probes[i], server_io);
        memset(blocks[i], 'a' + (int)i, BLOCK);
    }
    done_count = 0;
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

TestSuite(sim_faults, .init = setup, .fini = unmake, .timeout = 60);

/* One pass of a loop that never calls io_wait(); false when nothing will ever happen again. */
static bool turn(void)
{
    uint64_t next_ns = sim_world_step(world);
    uint32_t count = io_reap(server_io, 64) + io_reap(client_io, 64);

    if (count > 0 || io_sim_ready_count(server_io) + io_sim_ready_count(client_io) > 0)
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

/* Reaps nothing. */
static void run_until_ready(uint32_t count)
{
    uint64_t next_ns = sim_world_step(world);

    while (io_sim_ready_count(server_io) < count) {
        sim_world_advance_to(world, next_ns);
        next_ns = sim_world_step(world);
    }
}

/* Lets time pass, and delivers and reaps what is due at its end. */
static void pass(uint64_t duration_ns)
{
    sim_world_advance_to(world, world->mono_ns + duration_ns);
    (void)sim_world_step(world);
    (void)io_reap(server_io, 64);
    (void)io_reap(client_io, 64);
}

static int open_log(void)
{
    int fd = disk_open(sim_host_disk(host), "log", O_RDWR | O_CREAT | O_DIRECT, 0600);

    cr_assert(ge(int, fd, 0));
    return fd;
}

static void arm_writes(int fd)
{
    for (uint32_t i = 0; i < OP_COUNT; i++)
        io_write(server_io, &probes[i].op, fd, blocks[i], BLOCK, (uint64_t)i * BLOCK,
                 IO_WRITE_DURABLE);
}

static int connect_once(struct probe *accepting, struct probe *connecting)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(3000)};
    int listener;
    int fd = io_socket(client_io, AF_INET);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = io_listen(server_io, (struct sockaddr *)&address, sizeof(address), 4);
    probe_init(accepting, server_io);
    probe_init(connecting, client_io);
    io_accept(server_io, &accepting->op, listener);
    io_connect(client_io, &connecting->op, fd, (struct sockaddr *)&address, sizeof(address));
    run_until_quiet();
    cr_assert(eq(i32, connecting->value, 0));
    cr_assert(ge(i32, accepting->value, 0));
    return fd;
}

/* --- Interruptions ------------------------------------------------------------------------ */

Test(sim_faults, interrupts_reads_writes_and_syncs_with_little_or_no_effect)
{
    uint32_t counts[3] = {0};
    uint32_t partial_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char *seen = blocks[9];
        int fd;

        make(seed);
        fd = open_log();
        host->faults.op_interrupted.once_count = 3;
        io_write(server_io, &probes[0].op, fd, blocks[0], BLOCK, 0, IO_WRITE_DURABLE);
        io_read(server_io, &probes[1].op, fd, blocks[1], BLOCK, 0);
        io_fsync(server_io, &probes[2].op, fd, 0);
        run_until_quiet();
        for (uint32_t i = 0; i < 3; i++) {
            int32_t value = probes[i].value;

            cr_assert(eq(u32, probes[i].count, 1));
            cr_assert(value == -EINTR || value == -EAGAIN || value == -ECANCELED);
            counts[value == -EINTR ? 0 : value == -EAGAIN ? 1 : 2]++;
        }
        memset(seen, '-', BLOCK);
        cr_assert(ge(i64, disk_read(sim_host_disk(host), fd, seen, BLOCK, 0), 0));
        partial_count += memchr(seen, 'a', BLOCK) != NULL;
        cr_assert(lt(i64, sim_disk_read_medium(host->disk, "log", seen, BLOCK, 0), 1));

        io_write(server_io, &probes[0].op, fd, blocks[0], BLOCK, 0, IO_WRITE_DURABLE);
        run_until_quiet();
        cr_assert(eq(i32, probes[0].value, BLOCK), "the repetition succeeds");
        unmake();
    }
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(lt(u32, SEED_COUNT / 2, counts[i]));
    cr_assert(lt(u32, SEED_COUNT / 8, partial_count));
    cr_assert(lt(u32, partial_count, SEED_COUNT / 2));
    make(1);
}

Test(sim_faults, does_not_interrupt_blocking_calls_nor_operations_on_names)
{
    int fd = open_log();

    host->faults.op_interrupted.always = true;
    cr_assert(eq(i64, disk_write(sim_host_disk(host), fd, blocks[0], BLOCK, 0), BLOCK));
    cr_assert(eq(int, disk_sync(sim_host_disk(host), fd), 0));
    io_rename(server_io, &probes[0].op, "log", "new");
    run_until_quiet();
    cr_assert(eq(i32, probes[0].value, 0));
}

/* --- Receives ----------------------------------------------------------------------------- */

Test(sim_faults, starves_a_receive_for_a_while_although_buffers_are_free)
{
    struct probe accepting;
    struct probe connecting;
    struct probe receiving;
    uint64_t start_ns;
    int fd = connect_once(&accepting, &connecting);

    probe_init(&receiving, server_io);
    host->faults.recv_starved.once_count = 1;
    host->faults.starve_ns = (struct sim_range){5000000000, 5000000000};
    io_recv(server_io, &receiving.op, accepting.value);
    io_send(client_io, &connecting.op, fd, "x", 1);
    start_ns = world->mono_ns;
    run_until_quiet();
    cr_assert(eq(u32, receiving.count, 1));
    cr_assert(eq(i32, receiving.value, 1));
    cr_assert(ge(u64, world->mono_ns, start_ns + 5000000000));
    cr_assert(eq(u64, server_io->stats.starved_count, 1));
}

Test(sim_faults, ends_a_receive_that_is_cancelled_while_it_starves)
{
    struct probe accepting;
    struct probe connecting;
    struct probe receiving;
    int fd = connect_once(&accepting, &connecting);

    probe_init(&receiving, server_io);
    host->faults.recv_starved.always = true;
    io_recv(server_io, &receiving.op, accepting.value);
    io_send(client_io, &connecting.op, fd, "x", 1);
    pass(90000);
    pass(90000);
    pass(90000);
    cr_assert(eq(u32, receiving.count, 0));
    cr_assert(ge(u64, server_io->stats.starved_count, 1));
    io_cancel(server_io, &receiving.op);
    cr_assert(eq(u32, receiving.count, 0));
    run_until_quiet();
    cr_assert(eq(u32, receiving.count, 1));
    cr_assert(eq(i32, receiving.value, -ECANCELED));
}

/* --- Rings -------------------------------------------------------------------------------- */

Test(sim_faults, hands_over_what_the_ring_has_room_for_in_order)
{
    int fd = open_log();

    host->ring_size = 4;
    host->faults.disk_latency_ns = (struct sim_range){1000, 1000};
    host->faults.completion_latency_ns = (struct sim_range){1000000, 1000000};
    arm_writes(fd);
    for (uint32_t round = 1; round <= 3; round++) {
        uint32_t expected = round < 3 ? 4 * round : OP_COUNT;

        pass(1000);
        for (uint32_t i = 0; i < OP_COUNT; i++)
            cr_assert(eq(u32, probes[i].count, i < expected), "round %u, %u", round, i);
        cr_assert(eq(int, io_wait(server_io, 0), 0));
    }
    run_until_quiet();
    cr_assert(eq(u32, done_count, OP_COUNT));
}

Test(sim_faults, hands_over_later_by_itself_for_who_never_waits)
{
    int fd = open_log();

    host->ring_size = 3;
    arm_writes(fd);
    run_until_quiet();
    cr_assert(eq(u32, done_count, OP_COUNT));
    for (uint32_t i = 0; i < OP_COUNT; i++)
        cr_assert(eq(i32, probes[i].value, BLOCK));
}

Test(sim_faults, finds_the_ring_full_by_chance_and_keeps_the_order)
{
    int fd = open_log();

    host->faults.ring_full.skip_count = 2;
    host->faults.ring_full.once_count = 1;
    host->faults.disk_latency_ns = (struct sim_range){1000, 1000};
    host->faults.completion_latency_ns = (struct sim_range){1000000, 1000000};
    arm_writes(fd);
    pass(1000);
    cr_assert(eq(u32, done_count, 2), "what came after the third waits behind it");
    cr_assert(eq(int, io_wait(server_io, 0), 0));
    pass(1000);
    cr_assert(eq(u32, done_count, OP_COUNT));
}

Test(sim_faults, cancels_what_was_not_handed_over)
{
    int fd = open_log();

    host->ring_size = 1;
    arm_writes(fd);
    io_cancel(server_io, &probes[5].op);
    cr_assert(eq(u32, done_count, 0), "never from inside the call");
    cr_assert(eq(u32, io_reap(server_io, 64), 1));
    cr_assert(eq(i32, probes[5].value, -ECANCELED));
    run_until_quiet();
    cr_assert(eq(u32, done_count, OP_COUNT));
    for (uint32_t i = 0; i < OP_COUNT; i++)
        cr_assert(eq(i32, probes[i].value, i == 5 ? -ECANCELED : BLOCK));
}

Test(sim_faults, forgets_at_a_crash_what_was_not_handed_over)
{
    char data[BLOCK];
    int fd = open_log();

    cr_assert(eq(int, disk_sync_directory(sim_host_disk(host), "."), 0));
    host->ring_size = 1;
    arm_writes(fd);
    sim_host_crash(host);
    memset(probes, 0xff, sizeof(probes));
    sim_host_start(host);
    fd = open_log();
    cr_assert(le(i64, disk_read(sim_host_disk(host), fd, blocks[0], BLOCK, BLOCK), 0));
    cr_assert(le(i64, sim_disk_read_medium(host->disk, "log", data, BLOCK, BLOCK), 0));
    run_until_quiet();
    memset(probes, 0, sizeof(probes));
}

Test(sim_faults, aborts_on_closing_under_an_operation_not_handed_over, .signal = SIGABRT)
{
    int fd = open_log();

    host->faults.ring_full.always = true;
    io_write(server_io, &probes[0].op, fd, blocks[0], BLOCK, 0, 0);
    io_close(server_io, &probes[1].op, fd);
}

Test(sim_faults, catches_bytes_that_change_before_they_are_handed_over, .signal = SIGABRT)
{
    int fd = open_log();

    host->faults.ring_full.always = true;
    io_write(server_io, &probes[0].op, fd, blocks[0], BLOCK, 0, 0);
    blocks[0][7]++;
    run_until_quiet();
}

Test(sim_faults, holds_completions_back_until_the_next_reap)
{
    uint32_t first;
    int fd = open_log();

    arm_writes(fd);
    run_until_ready(OP_COUNT);
    host->faults.completions_held.always = true;
    first = io_reap(server_io, 64);
    cr_assert(lt(u32, first, OP_COUNT));
    cr_assert(eq(u32, io_reap(server_io, 64), OP_COUNT - first));
    cr_assert(eq(u64, server_io->stats.overflow_count, 1));
}

/* --- Machines ----------------------------------------------------------------------------- */

Test(sim_faults, leaves_a_connection_half_open_when_its_client_vanishes)
{
    struct probe accepting;
    struct probe connecting;
    struct probe receiving;
    struct probe sending;
    uint64_t start_ns;

    (void)connect_once(&accepting, &connecting);
    probe_init(&receiving, server_io);
    probe_init(&sending, server_io);
    laptop->faults.half_open.always = true;
    laptop->faults.half_open_ns = (struct sim_range){90000000000, 95000000000};
    io_recv(server_io, &receiving.op, accepting.value);
    run_until_quiet();
    sim_host_crash(laptop);
    start_ns = world->mono_ns;
    io_send(server_io, &sending.op, accepting.value, "hello", 5);
    for (uint32_t i = 0; i < 89; i++)
        pass(1000000000);
    cr_assert(eq(u32, receiving.count, 0), "no end, no reset");
    cr_assert(eq(u32, sending.count, 0), "no answer to what is sent");
    run_until_quiet();
    cr_assert(eq(i32, receiving.value, -ECONNRESET));
    cr_assert(lt(i32, sending.value, 0));
    cr_assert(ge(u64, world->mono_ns, start_ns + 90000000000));
    cr_assert(le(u64, world->mono_ns, start_ns + 96000000000));
}

Test(sim_faults, lets_the_owner_of_a_half_open_connection_give_up)
{
    struct probe accepting;
    struct probe connecting;
    struct probe receiving;

    (void)connect_once(&accepting, &connecting);
    probe_init(&receiving, server_io);
    laptop->faults.half_open.always = true;
    io_recv(server_io, &receiving.op, accepting.value);
    sim_host_crash(laptop);
    pass(1000000000);
    io_cancel(server_io, &receiving.op);
    pass(1000000);
    cr_assert(eq(i32, receiving.value, -ECANCELED));
    io_close(server_io, &receiving.op, accepting.value);
    run_until_quiet();
    cr_assert(eq(i32, receiving.value, 0));
}

Test(sim_faults, dies_at_this_very_place_when_told)
{
    struct disk *disk = sim_host_disk(host);
    int fd = open_log();
    int socket = io_socket(server_io, AF_INET);
    uint32_t fd_count = host->fd_count;
    uint64_t trace_count;

    arm_writes(fd);
    run_until_ready(3);
    trace_count = world->trace.count;
    sim_host_die(host);
    cr_assert(not(sim_host_is_up(host)));
    cr_assert(eq(u64, world->trace.count, trace_count + 1));
    sim_host_die(host);
    cr_assert(eq(u64, world->trace.count, trace_count + 1), "only once");

    cr_assert(eq(u32, io_reap(server_io, 64), 0));
    cr_assert(eq(i64, disk_write(disk, fd, blocks[0], BLOCK, 0), -EIO));
    cr_assert(lt(int, io_socket(server_io, AF_INET), 0));
    io_close_now(server_io, socket);
    cr_assert(eq(u32, host->fd_count, fd_count), "the dead close nothing");
    run_until_quiet();
    cr_assert(eq(u32, done_count, 0));
    sim_host_kill(host);
    sim_host_die(host);
    sim_host_start(host);
    cr_assert(sim_host_is_up(host));
    cr_assert(ge(int, disk_open(disk, "log", O_RDWR, 0), 0));
}

/* --- Determinism -------------------------------------------------------------------------- */

/* Everything at once, for a while; the trace's hash. */
static uint64_t storm(uint64_t seed)
{
    uint64_t hash;
    int fd;

    make(seed);
    fd = open_log();
    sim_faults_draw(&host->faults, &world->rng, SIM_PPM / 5);
    sim_faults_draw_damage(&host->faults, &world->rng, SIM_PPM / 5);
    host->ring_size = (uint32_t)rng_below(&world->rng, 4);
    for (uint32_t round = 0; round < 50; round++) {
        arm_writes(fd);
        run_until_quiet();
        cr_assert(eq(u32, done_count, OP_COUNT * (round + 1)));
    }
    sim_host_crash(host);
    hash = world->trace.hash ^ world->mono_ns ^ sim_disk_hash(host->disk);
    unmake();
    return hash;
}

Test(sim_faults, do_the_same_again_for_the_same_seed)
{
    unmake();
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t hash = storm(seed);

        cr_assert(eq(u64, storm(seed), hash), "seed %lu", seed);
        cr_assert(ne(u64, storm(seed + 1000), hash), "seed %lu", seed);
    }
    make(1);
}
