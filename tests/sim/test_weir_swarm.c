#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_disk.h"
#include "tests/sim/weir_load.h"

/*
 * A swarm: each seed draws its own world. How many shards, clients and crashes, how
 * large batches and segments are, which faults of network and disk strike and how
 * often, how slow everything is. The process may end by itself after a disk fault
 * (exit code 74), or it is killed, cut off or stopped; it always starts again. At the
 * end the faults cease, and everything must come to its end: a server that is only
 * safe is not enough.
 */
enum {
    EVENT_TOTAL_MAX = 1600,
    LIFE_COUNT = 4, /* of the process, before the faults cease */
    SEED_COUNT = 50,
};

static struct weir weir;
static struct weir_load load;
static struct weir_census census;
static uint32_t goal_count;
static uint32_t end_counts[2]; /* of lives: by themselves, by force */
static uint32_t failed_start_count;

static bool is_reached(void)
{
    return load.acknowledged_count >= goal_count;
}

static uint32_t draw(uint32_t below)
{
    return (uint32_t)rng_below(&weir.world->rng, below);
}

static uint64_t draw_small(uint64_t max)
{
    return sim_world_draw_small(weir.world, max);
}

static void draw_settings(void)
{
    struct settings *s = &weir.process.settings;

    s->segment_bytes = (uint64_t)(256 << draw(3)) << 10;
    s->reserve_bytes = s->segment_bytes * (1 + draw(3));
    s->writes_in_flight = 1 + draw(4);
    s->queue_delay_ms = 20 + draw(500);
    s->dedup_entries = 16384;
    s->connections = 24 + draw(64);
    s->requests_in_flight = 4 + draw(256);
    s->answer_timeout_ms = 500 + draw(10000);
    s->body_timeout_ms = 500 + draw(5000);
    s->header_timeout_ms = 500 + draw(5000);
    s->idle_timeout_ms = 500 + draw(10000);
}

static void draw_weather(struct sim_faults *faults)
{
    struct rng *rng = &weir.world->rng;

    sim_faults_draw(faults, rng, 3000);
    /* A fault of the disk ends the process: rarer, or no life would last. */
    faults->write_error.chance_ppm /= 3;
    faults->sync_error.chance_ppm /= 3;
    faults->name_error.chance_ppm /= 3;
    faults->read_error.chance_ppm /= 3;
    faults->disk_stuck.chance_ppm /= 10;
    faults->write_short.chance_ppm *= 5;
    faults->disk_latency_ns.max = faults->disk_latency_ns.min + draw_small(50000000);
    faults->net_latency_ns.max = faults->net_latency_ns.min + draw_small(50000000);
    faults->completion_latency_ns.max = draw_small(1000000);
    faults->stuck_ns = (struct sim_range){0, 1 + draw_small(20000000000)};
    faults->stall_ns = (struct sim_range){0, 1 + draw_small(10000000000)};
}

static void begin(uint64_t seed)
{
    weir_begin(&weir, seed, 1);
    draw_settings();
    weir_load_init(&load, &weir, 1 + draw(WEIR_LOAD_CLIENT_COUNT_MAX), 100 + draw(EVENT_TOTAL_MAX));
    load.batch_max = sim_world_coin(weir.world) ? 1 : 1 + draw(WEIR_LOAD_BATCH_MAX);
    load.payload_size = (uint32_t)draw_small(400);
    load.rest_ns.max = 20000000 + draw_small(500000000);
    for (uint32_t i = 0; i < load.sender_count; i++) {
        load.senders[i].client.http.split_ppm = draw(SIM_PPM);
        load.senders[i].client.http.pause_ns.max = draw_small(20000000);
    }
}

static void check_journal(void)
{
    struct sim_faults faults = weir.server->faults;

    sim_faults_init(&weir.server->faults);
    weir_census(&weir, &census);
    weir_load_check(&load, &census);
    weir.server->faults = faults;
}

static uint64_t draw_calls(void)
{
    return 1 + draw_small(200);
}

static void on_failed_start(void)
{
    failed_start_count++;
    check_journal();
}

/* One life of the process under faults; it does not run any more afterwards. */
static void live(void)
{
    enum sim_outcome outcome;
    int exit_code;

    draw_weather(&weir.server->faults);
    draw_weather(&weir.laptop->faults);
    weir.process.shard_count = 1 + draw(4);
    weir_start_in_weather(&weir, draw_calls, on_failed_start);
    weir_load_start(&load);
    goal_count = load.acknowledged_count + 1 + draw(load.event_count / 2);
    outcome = weir_run_for(&weir, draw_small(20000));
    if (outcome == SIM_ENDED) {
        exit_code = runtime_exit_code(weir.process.app.runtime);
        cr_assert(exit_code == 73 || exit_code == 74, "seed %lu: %d: %s", weir.seed, exit_code,
                  weir.process.text);
        end_counts[0]++;
    } else if (outcome == SIM_REACHED) {
        end_counts[1]++;
    }
    weir_end_life(&weir, outcome);
    check_journal();
}

static uint64_t run_swarm(uint64_t seed)
{
    uint64_t hash;

    begin(seed);
    for (uint32_t life = 0; life < LIFE_COUNT; life++)
        live();
    weir_calm(&weir);
    weir_start(&weir);
    weir_load_start(&load);
    goal_count = load.event_count;
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED),
              "seed %lu: %u of %u acknowledged: %s", seed, load.acknowledged_count,
              load.event_count, weir.process.text);
    weir_stop(&weir);
    check_journal();
    cr_assert(eq(u32, census.event_count, load.event_count), "seed %lu", seed);
    hash = weir.world->trace.hash ^ sim_disk_hash(weir.server->disk);
    weir_end(&weir);
    return hash;
}

TestSuite(weir_swarm, .timeout = 110);

Test(weir_swarm, is_safe_under_faults_and_lively_without)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++)
        run_swarm(seed);
    cr_expect(lt(u32, SEED_COUNT / 10, end_counts[0]), "%u", end_counts[0]);
    cr_expect(lt(u32, SEED_COUNT, end_counts[1]), "%u", end_counts[1]);
    cr_expect(lt(u32, SEED_COUNT / 4, failed_start_count), "%u", failed_start_count);
}

Test(weir_swarm, does_the_same_again_for_the_same_seed)
{
    for (uint64_t seed = 1000; seed < 1003; seed++) {
        uint64_t hash = run_swarm(seed);

        cr_assert(eq(u64, run_swarm(seed), hash), "seed %lu", seed);
        cr_assert(ne(u64, run_swarm(seed + 100), hash), "seed %lu", seed);
    }
}
