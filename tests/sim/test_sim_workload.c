#include "tools/sim/sim_workload.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * The workload and its judgement on a server that does nothing wrong: whatever it asks and
 * is told, also after a loss that the model knows of, it must not call a failure.
 */
enum {
    SEED_COUNT = 10,
    LIFE_COUNT = 4,
    LIFE_UNIT_COUNT = 1000,
    STEP_COUNT_MAX = 4000000,
    STOP_MS = 60000,
};

/* One simulated run and all that is in it. */
static struct run {
    struct sim_driver driver;
    struct sim_server server;
    struct sim_model model;
    struct sim_check check;
    struct sim_workload workload;
    struct sim_goal goal;
    uint64_t goal_unit_count;
    bool waits_for_quiet;
} run;

static struct sim_world *world;
static struct sim_story story;
static struct sim_story_judge judge;

static void on_failed(struct sim_story_judge *self, struct sim_story *failed)
{
    cr_assert(eq(ptr, self, &judge));
    cr_fatal("%s", failed->failure);
    abort();
}

static bool is_reached(struct sim_goal *goal)
{
    cr_assert(eq(ptr, goal, &run.goal));
    if (run.waits_for_quiet)
        return sim_workload_is_quiet(&run.workload);
    return run.workload.acknowledged_unit_count >= run.goal_unit_count;
}

/* A server without faults that one client asks, so that nothing is in flight elsewhere. */
static void begin(uint64_t seed)
{
    struct sim_workload_spec spec = {
        .client_count = 1,
        .batch_count_max = 1,
        .drop_odds = UINT32_MAX,
        .rest_ns = {100000, 1000000},
    };

    memset(&run, 0, sizeof(run));
    world = sim_world_new(seed);
    judge.failed = on_failed;
    sim_story_prepare(&story, seed, "");
    sim_story_begin(&story, seed, world, &judge, NULL);
    sim_driver_init(&run.driver, world);
    sim_server_init(&run.server, &run.driver, sim_host_new(world, "server"));
    run.server.shard_count = 2;
    sim_check_init(&run.check, &run.server, &run.model, &story);
    sim_workload_init(&run.workload, &spec, &run.driver, &story, &run.model, &run.check);
    run.goal.reached = is_reached;
}

static void end(void)
{
    sim_server_deinit(&run.server);
    sim_workload_deinit(&run.workload);
    sim_world_free(&world);
    story.world = NULL;
}

/* From an orderly start to a check after an orderly stop, with so many units acknowledged. */
static void live(uint32_t unit_count)
{
    int exit_code = 0;

    cr_assert(sim_server_try_start(&run.server, &exit_code), "%s", run.server.text);
    run.workload.life++;
    run.workload.gives_up_never = true;
    run.waits_for_quiet = false;
    run.goal_unit_count = run.workload.acknowledged_unit_count + unit_count;
    sim_workload_start(&run.workload);
    cr_assert(eq(int, sim_driver_run(&run.driver, &run.goal, STEP_COUNT_MAX), SIM_REACHED));
    run.workload.is_paused = true;
    run.waits_for_quiet = true;
    cr_assert(eq(int, sim_driver_run(&run.driver, &run.goal, STEP_COUNT_MAX), SIM_REACHED));
    cr_assert(eq(int, sim_server_try_stop(&run.server, STOP_MS, &exit_code), SIM_SERVER_STOPPED));
    cr_assert(sim_check_log(&run.check));
}

/* The machine is lost, and with it each event and each API key; the model is told. */
static void lose_everything(void)
{
    run.server.host = sim_host_new(world, "server");
    run.check.may_lack_last = true;
    run.workload.sees_damage = true;
    cr_assert(sim_check_log(&run.check));
    cr_assert(eq(u32, run.check.census.found_count, 0));
    memset(&run.workload.keys, 0, sizeof(run.workload.keys));
}

/* Claims in the log of requests that misused a key and were sent again. */
static uint32_t count_keys_taken(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < run.model.unit_count; i++) {
        const struct sim_unit *unit = &run.model.units[i];
        const struct sim_found *found;

        if (unit->misuse == SIM_NONE)
            continue;
        found = &run.check.census.found[unit->key];
        if (found->count > 0 && found->variant == 1)
            count += run.model.items[unit->misuse].send_count > 1;
    }
    return count;
}

TestSuite(sim_workload, .timeout = 110);

/*
 * Seed 80790: damage took a key with its request, another request was accepted with it, and
 * the conflict of a third was called wrong.
 */
Test(sim_workload, knows_that_a_key_which_was_lost_belongs_to_whoever_sends_it_first)
{
    uint32_t taken_count = 0;

    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        begin(seed);
        for (uint32_t i = 0; i < LIFE_COUNT; i++) {
            live(LIFE_UNIT_COUNT);
            taken_count += count_keys_taken();
            lose_everything();
        }
        end();
    }
    cr_expect(lt(u32, 0, taken_count));
}
