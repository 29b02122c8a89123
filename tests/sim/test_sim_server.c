#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netinet/in.h>

#include "runtime/io_sim.h"
#include "runtime/sim_disk.h"
#include "tests/sim/ledger.h"
#include "tools/sim/sim_driver.h"
#include "tools/sim/sim_http_client.h"

/*
 * A whole server (N shards), its clients and the crash of its machine in one
 * process and on one thread. The server is the small one of ledger.h; what is
 * tested is the simulator: that it keeps what it must, loses what it may, catches
 * a server that answers too early, and does the same again for the same seed.
 */
enum {
    SHARD_COUNT = 3,
    CLIENT_COUNT = 6,
    REQUEST_COUNT = 60, /* per client */
    STEP_COUNT_MAX = 2000000,
};

struct visitor {
    struct sim_http_client client;
    struct sim_http_request request;
    struct run *run;
    uint32_t number;
    uint32_t left_count;
    char data[LEDGER_REQUEST_SIZE];
};

/* One simulated run and all that is in it. */
struct run {
    struct sim_world *world;
    struct sim_host *server;
    struct sim_host *laptop;
    struct io *laptop_io;
    struct sim_driver driver;
    struct runtime *runtime;
    struct metrics_registry *registry;
    struct ledger *ledgers;
    bool answer_early;
    struct visitor visitors[CLIENT_COUNT];
    struct sim_goal goal;
    uint32_t finished_count;
    uint32_t goal_count;
    uint32_t lost_count;
    uint32_t refused_count;
    uint32_t acknowledged_count;
    uint32_t acknowledged[CLIENT_COUNT * REQUEST_COUNT];
};

static struct run run;
static struct sockaddr_in address;

static void start_server(void)
{
    struct runtime_config config = {
        .shard_count = SHARD_COUNT,
        .actor_count_max = 16,
        .message_count_max = 256,
        .inbox_capacity = 16,
        .clock_source = &run.world->clock_source,
        .simulated = true,
        .seed = rng_next(&run.world->rng),
        .io_new = sim_driver_io_new,
    };

    cr_assert(eq(int, metrics_registry_new(&run.registry), 0));
    config.registry = run.registry;
    sim_driver_name_host(run.server);
    cr_assert(eq(int, runtime_new(&config, &run.runtime), 0));
    run.ledgers = aligned_alloc(4096, round_up_u64(SHARD_COUNT * sizeof(struct ledger), 4096));
    memset(run.ledgers, 0, SHARD_COUNT * sizeof(struct ledger));
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        cr_assert(eq(int,
                     ledger_spawn(&run.ledgers[i], runtime_shard(run.runtime, i),
                                  sim_host_disk(run.server), run.answer_early),
                     0));
    runtime_freeze_metrics(run.runtime);
    sim_driver_add_runtime(&run.driver, run.server, run.runtime);
}

/* After a crash or a kill: everything that was the process goes. */
static void bury_server(void)
{
    sim_driver_remove_runtime(&run.driver, run.runtime);
    runtime_free(&run.runtime);
    metrics_registry_free(&run.registry);
    free(run.ledgers);
}

static void ask_next(struct visitor *visitor)
{
    if (visitor->left_count == 0)
        return;
    visitor->left_count--;
    ledger_format_request(++visitor->number, visitor->data);
    visitor->request.data = visitor->data;
    visitor->request.size = LEDGER_REQUEST_SIZE;
    sim_http_client_submit(&visitor->client, &visitor->request);
}

static void on_answer(struct sim_http_request *request)
{
    struct visitor *visitor = container_of(request, struct visitor, request);
    struct run *r = visitor->run;

    r->finished_count++;
    if (request->lost) {
        r->lost_count++;
    } else if (request->status != 202) {
        r->refused_count++;
    } else {
        cr_assert(eq(u32, request->body_size, LEDGER_NUMBER_SIZE));
        cr_assert(eq(int, memcmp(request->body, request->data + 38, LEDGER_NUMBER_SIZE), 0));
        r->acknowledged[r->acknowledged_count++] = visitor->number;
    }
    ask_next(visitor);
}

static bool is_finished(struct sim_goal *goal)
{
    const struct run *r = container_of(goal, struct run, goal);

    return r->finished_count >= r->goal_count;
}

static enum sim_outcome run_until(uint32_t finished_count)
{
    run.goal_count = finished_count;
    return sim_driver_run(&run.driver, &run.goal, STEP_COUNT_MAX);
}

static void begin(uint64_t seed, bool answer_early)
{
    memset(&run, 0, sizeof(run));
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(3000)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    run.world = sim_world_new(seed);
    run.server = sim_host_new(run.world, "server");
    run.laptop = sim_host_new(run.world, "laptop");
    run.answer_early = answer_early;
    run.goal.reached = is_finished;
    sim_driver_init(&run.driver, run.world);
    cr_assert(eq(int, io_sim_new(run.laptop, &run.laptop_io), 0));
    sim_driver_add_io(&run.driver, run.laptop_io);
    start_server();
    for (uint32_t i = 0; i < CLIENT_COUNT; i++) {
        struct visitor *visitor = &run.visitors[i];

        sim_http_client_init(&visitor->client, run.world, run.laptop_io,
                             (struct sockaddr *)&address, sizeof(address));
        visitor->run = &run;
        visitor->number = i * 10000;
        visitor->left_count = REQUEST_COUNT;
        visitor->request.on_done = on_answer;
        ask_next(visitor);
    }
}

static void end(void)
{
    if (run.server->state != SIM_HOST_DOWN)
        sim_host_kill(run.server);
    bury_server();
    io_free(&run.laptop_io);
    for (uint32_t i = 0; i < CLIENT_COUNT; i++)
        sim_http_client_deinit(&run.visitors[i].client);
    sim_world_free(&run.world);
}

static uint32_t count_missing(void)
{
    uint32_t missing_count = 0;

    for (uint32_t i = 0; i < run.acknowledged_count; i++)
        missing_count += !ledger_holds(sim_host_disk(run.server), SHARD_COUNT, run.acknowledged[i]);
    return missing_count;
}

/* Crashes the machine after some answers, starts it again, finishes; what was lost. */
static uint32_t crash_in_the_middle(uint64_t seed, bool answer_early)
{
    uint32_t missing_count;

    begin(seed, answer_early);
    cr_assert(eq(int, run_until(20 + seed % 200), SIM_REACHED));
    sim_host_crash(run.server);
    bury_server();
    sim_host_start(run.server);
    missing_count = count_missing();
    start_server();
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_REACHED));
    missing_count += count_missing();
    end();
    return missing_count;
}

TestSuite(sim_server, .timeout = 100);

Test(sim_server, answers_every_request_when_nothing_goes_wrong)
{
    begin(1, false);
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_REACHED));
    cr_assert(eq(u32, run.acknowledged_count, CLIENT_COUNT * REQUEST_COUNT));
    cr_assert(eq(u32, run.lost_count, 0));
    cr_assert(eq(u32, count_missing(), 0));
    end();
}

Test(sim_server, keeps_every_acknowledged_number_through_a_crash)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        cr_assert(eq(u32, crash_in_the_middle(seed, false), 0), "seed %lu", seed);
}

Test(sim_server, catches_a_server_that_answers_before_the_write_is_durable)
{
    uint32_t caught_count = 0;

    for (uint64_t seed = 1; seed <= 60; seed++)
        caught_count += crash_in_the_middle(seed, true) > 0;
    cr_assert(lt(u32, 5, caught_count));
}

Test(sim_server, loses_answers_with_the_connections_but_never_hangs)
{
    begin(5, false);
    run.laptop->faults.reset.chance_ppm = 20000;
    run.server->faults.reset.chance_ppm = 20000;
    run.server->faults.accept_error.chance_ppm = 100000;
    run.server->faults.write_error.chance_ppm = 50000;
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_REACHED));
    cr_assert(lt(u32, 3, run.lost_count));
    cr_assert(lt(u32, 3, run.refused_count));
    cr_assert(lt(u32, 200, run.acknowledged_count));
    cr_assert(eq(u32, count_missing(), 0));
    end();
}

Test(sim_server, says_that_the_host_died_inside_a_disk_call)
{
    begin(6, false);
    sim_host_crash_after(run.server, 40);
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_HOST_DIED));
    sim_host_crash(run.server);
    cr_assert(lt(u32, run.acknowledged_count, 40));
    bury_server();
    sim_host_start(run.server);
    cr_assert(eq(u32, count_missing(), 0));
    start_server();
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_REACHED));
    end();
}

Test(sim_server, says_that_the_host_died_though_the_goal_is_reached_without_a_step)
{
    begin(6, false);
    sim_host_die(run.server);
    cr_assert(eq(int, run_until(0), SIM_HOST_DIED));
    cr_assert(eq(int, sim_driver_run_for(&run.driver, 0), SIM_HOST_DIED));
    end();
}

Test(sim_server, does_not_hang_when_the_client_walks_away)
{
    begin(7, false);
    for (uint32_t i = 1; i < 30; i++) {
        cr_assert(eq(int, run_until(i * 10), SIM_REACHED));
        sim_http_client_drop(&run.visitors[i % CLIENT_COUNT].client);
    }
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_REACHED));
    cr_assert(lt(u32, 5, run.lost_count));
    cr_assert(eq(u32, count_missing(), 0));
    end();
}

static uint64_t hash_of_run(uint64_t seed)
{
    uint64_t hash;

    begin(seed, false);
    sim_faults_draw(&run.server->faults, &run.world->rng, 10000);
    run.server->faults.disk_stuck.chance_ppm = 0;
    run.server->faults.name_error.chance_ppm = 0;
    cr_assert(eq(int, run_until(100), SIM_REACHED));
    sim_host_crash(run.server);
    bury_server();
    sim_host_start(run.server);
    sim_faults_init(&run.server->faults);
    start_server();
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_REACHED));
    hash = run.world->trace.hash ^ sim_disk_hash(run.server->disk);
    end();
    return hash;
}

Test(sim_server, does_the_same_again_for_the_same_seed)
{
    uint64_t first = hash_of_run(99);

    cr_assert(eq(u64, hash_of_run(99), first));
    cr_assert(eq(u64, hash_of_run(99), first));
    cr_assert(ne(u64, hash_of_run(100), first));
}

Test(sim_server, passes_time_when_nothing_happens)
{
    uint64_t before_ns;

    begin(8, false);
    cr_assert(eq(int, run_until(CLIENT_COUNT * REQUEST_COUNT), SIM_REACHED));
    before_ns = run.world->mono_ns;
    cr_assert(eq(int, sim_driver_run_for(&run.driver, 3600000000000), SIM_REACHED));
    cr_assert(ge(u64, run.world->mono_ns, before_ns + 3600000000000));
    cr_assert(eq(int, sim_driver_run(&run.driver, NULL, STEP_COUNT_MAX), SIM_QUIET));
    end();
}
