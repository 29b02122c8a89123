#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "tools/sim/sim_job_check.h"
#include "tools/sim/sim_weather.h"

/*
 * Random flows on the whole server, under faults, through kills and power cuts: when the
 * faults have ceased, none of them waits for jobs that have ended. What is wrong on the
 * way, the model says (sim_job_model.h); that all came to their end, the crew at last.
 *
 * One world has some hundred flows. A long check (CHECK_LONG=1) has 10,000 and more.
 */
enum {
    WORLD_COUNT = 3,
    WORLD_COUNT_LONG = 30,
    WORLD_FLOW_COUNT = 350,
    LIFE_COUNT = 4,
    LIFE_MS_MAX = 60000,
    SETTLE_MS_MAX = 3600000,
    STEP_COUNT_MAX = 20000000,
    START_COUNT_MAX = 20,
    FAULTS = 1 << SIM_FAULT_DISK | 1 << SIM_FAULT_SLOW | 1 << SIM_FAULT_NET | 1 << SIM_FAULT_CRASH |
             1 << SIM_FAULT_KILL | 1 << SIM_FAULT_MEMORY,
};

static struct run {
    struct sim_driver driver;
    struct sim_server server;
    struct sim_model model;
    struct sim_check check;
    struct sim_workload workload;
    struct sim_job_model jobs;
    struct sim_job_crew crew;
    struct sim_weather weather;
    struct sim_goal goal;
    uint32_t goal_flow_count;
    uint64_t end_ns;
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

static uint32_t count_flows(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < run.jobs.job_count; i++)
        count += run.jobs.jobs[i].there_tick != 0 &&
                 (i == 0 || run.jobs.jobs[i].spec.request != run.jobs.jobs[i - 1].spec.request);
    return count;
}

static bool is_reached(struct sim_goal *goal)
{
    cr_assert(eq(ptr, goal, &run.goal));
    run.jobs.now_ns = world->mono_ns;
    if (run.crew.stage != SIM_JOB_CREW_BUSY)
        return run.crew.stage == SIM_JOB_CREW_SETTLED && sim_job_crew_is_quiet(&run.crew);
    return world->mono_ns >= run.end_ns || count_flows() >= run.goal_flow_count;
}

static void begin(uint64_t seed)
{
    const struct sim_workload_spec nobody = {
        .client_count = 1, .keys_only = true, .batch_count_max = 1, .drop_odds = UINT32_MAX};
    const struct sim_job_crew_spec spec = {
        .client_count = 9,
        .producer_count = 3,
        .flows_only = true,
        .job_count_max = SIM_JOB_COUNT_MAX,
        .kind_count = 2,
        .batch_count_max = 1,
        .flow_count_max = SIM_JOB_FLOW_COUNT_MAX,
        .key_count = 3,
        .deadline_odds = 30,
        .lease_limit_max = SIM_JOB_LEASE_LIMIT_MAX,
        .lease_s_max = 5,
        .wait_s_max = 2,
        .fail_percent = 25,
        .sloth_percent = 3,
        .cancel_percent = 40,
        .has_claims = true,
        .drop_odds = 64,
        .rest_ns = {100000, 3000000},
    };

    memset(&run, 0, sizeof(run));
    world = sim_world_new(seed);
    judge.failed = on_failed;
    sim_story_prepare(&story, seed, "");
    sim_story_begin(&story, seed, world, &judge, NULL);
    sim_driver_init(&run.driver, world);
    sim_server_init(&run.server, &run.driver, sim_host_new(world, "server"));
    run.server.settings.job_finished = 100000;
    sim_check_init(&run.check, &run.server, &run.model, &story);
    sim_workload_init(&run.workload, &nobody, &run.driver, &story, &run.model, &run.check);
    sim_job_model_init(&run.jobs);
    sim_job_crew_init(&run.crew, &spec, &run.driver, &story, &run.jobs, &run.check,
                      &run.workload.keys);
    sim_weather_init(&run.weather, FAULTS, &run.server, &run.workload, &run.crew, &story);
    run.jobs.reads_fail = sim_weather_fails_reads(&run.weather);
    run.goal.reached = is_reached;
}

static void end(void)
{
    sim_server_deinit(&run.server);
    sim_job_crew_deinit(&run.crew);
    sim_workload_deinit(&run.workload);
    sim_world_free(&world);
    story.world = NULL;
}

static void start(void)
{
    int exit_code = 0;

    run.server.shard_count = 1 + (uint32_t)rng_below(&world->rng, 3);
    for (uint32_t i = 0; i < START_COUNT_MAX; i++) {
        if (sim_server_try_start(&run.server, &exit_code)) {
            run.jobs.life++;
            return;
        }
        sim_weather_calm(&run.weather);
    }
    cr_fatal("the server does not start: %s", run.server.text);
}

/* One process under faults, until it is killed or has ended by itself. */
static void live(void)
{
    sim_weather_rise(&run.weather);
    start();
    sim_job_crew_start(&run.crew);
    run.goal_flow_count = count_flows() + WORLD_FLOW_COUNT / LIFE_COUNT;
    run.end_ns = world->mono_ns + (uint64_t)LIFE_MS_MAX * 1000000;
    switch (sim_driver_run(&run.driver, &run.goal, STEP_COUNT_MAX)) {
    case SIM_ENDED:
        (void)sim_server_bury(&run.server);
        break;
    case SIM_REACHED:
    case SIM_HOST_DIED:
        if (sim_world_coin(world))
            sim_server_crash(&run.server);
        else
            sim_server_kill(&run.server);
        break;
    case SIM_STEPS_OVER:
    case SIM_QUIET:
        cr_fatal("the world stands still");
    }
    sim_host_crash_after(run.server.host, 0);
    sim_weather_calm(&run.weather);
}

/* The faults cease: everything comes to its end. */
static void settle(void)
{
    int exit_code = 0;

    start();
    run.crew.gives_up_never = true;
    sim_job_crew_start(&run.crew);
    run.goal_flow_count = WORLD_FLOW_COUNT;
    run.end_ns = world->mono_ns + (uint64_t)SETTLE_MS_MAX * 1000000;
    cr_assert(eq(int, sim_driver_run(&run.driver, &run.goal, STEP_COUNT_MAX), SIM_REACHED));
    sim_job_crew_settle(&run.crew);
    sim_job_crew_start(&run.crew);
    cr_assert(eq(int, sim_driver_run(&run.driver, &run.goal, STEP_COUNT_MAX), SIM_REACHED));
    cr_assert(lt(u64, world->mono_ns, run.end_ns));
    sim_job_check_tables(&run.crew);
    sim_job_check_requests(&run.crew);
    cr_assert(
        eq(int, sim_server_try_stop(&run.server, SETTLE_MS_MAX, &exit_code), SIM_SERVER_STOPPED));
}

TestSuite(sim_job_flows, .timeout = 600);

Test(sim_job_flows, none_waits_for_jobs_that_have_ended)
{
    const char *is_long = getenv("CHECK_LONG");
    uint32_t world_count =
        is_long != NULL && strcmp(is_long, "1") == 0 ? WORLD_COUNT_LONG : WORLD_COUNT;
    uint32_t flow_count = 0;

    for (uint32_t seed = 0; seed < world_count; seed++) {
        begin(seed);
        for (uint32_t i = 0; i < LIFE_COUNT; i++)
            live();
        settle();
        flow_count += count_flows();
        end();
    }
    cr_log_info("%u flows", flow_count);
    cr_assert(le(u32, world_count * WORLD_FLOW_COUNT, flow_count));
}
