#include "tools/sim/sim_run.h"

#include "runtime/sim_disk.h"
#include "runtime/sim_point.h"
#include "tools/sim/sim_damage.h"
#include "tools/sim/sim_exit.h"
#include "tools/sim/sim_job_check.h"
#include "tools/sim/sim_plan.h"

/*
 * Everything that lasts for a run is in one static struct, because it is large and
 * because a process runs one seed at a time.
 *
 * The process of the server may end at every SOMETIMES point (weather.edge_ppm): these
 * are the edges of the journal's states, and no other place says more about what a crash
 * may find.
 */
enum {
    STEP_COUNT_DEFAULT = 20000000,
    LIFE_COUNT_MAX = 6,
    LIFE_MS_MAX = 120000,
    START_COUNT_MAX = 20,
    STOP_MS_MAX = 120000,
    HEAL_MS_MAX = 600000,
    LEAK_MS = 70000, /* after which nothing of an abandoned request is left */
    HEAL_ODDS = 3,   /* one life in so many has the faults cease while it lasts */
    FINISH_MS_MAX = 1800000,
    POINTS_TOLD_MAX = 3, /* how often the story tells of the same point */
    REPEAT_ODDS = 6,     /* one end in so many has recovery run twice */
    /* A job waits for its time, and a wall clock that was set back makes that long. */
    SETTLE_MS_MAX = 3 * 3600000,
    SETTLE_SLACK_MS = 1800000,
    SETTLE_JOB_MS = 5000,      /* of each job, when one of a project may run at a time */
    CALL_LIFE_MS_MAX = 900000, /* of a life in which there is nothing but calls */
    CALL_GOAL_MAX = 3000,
    CALL_SLACK_MS = 2000, /* of a call under way, when nothing is delayed */
    CALL_DELAY_MS_MAX = 120000,
    STRIKE_CALL_COUNT_MAX = 16, /* of the disk, until the process dies in one of them */
    STRIKE_MS_MAX = 2000,
};

struct run {
    struct sim_run_options options;
    struct sim_point_hook hook;
    struct sim_world *world;
    struct sim_driver driver;
    struct sim_server server;
    struct sim_model model;
    struct sim_check check;
    struct sim_workload workload;
    struct sim_job_model jobs;
    struct sim_job_crew crew;
    struct sim_call_model calls;
    struct sim_callers callers;
    struct sim_weather weather;
    struct sim_story *story;
    struct sim_run_result result;
    struct sim_plan plan;
    uint32_t listener_failure_count; /* of this life, by a failpoint */
    struct sim_goal goal;
    uint64_t goal_count; /* of progress() */
    uint64_t end_ns;     /* of the time in which the goal is to be reached */
    bool waits_for_quiet;
    bool is_finishing; /* the faults have ceased */
};

static struct run run;

static uint32_t draw(uint64_t below)
{
    return (uint32_t)rng_below(&run.world->rng, below);
}

static uint64_t draw_small(uint64_t max)
{
    return sim_world_draw_small(run.world, max);
}

/* --- points --------------------------------------------------------------- */

static bool on_point(struct sim_point_hook *hook, struct sim_point *point)
{
    struct sim_host *host = run.server.host;

    assert(hook == &run.hook);
    switch (point->kind) {
    case SIM_POINT_SOMETIMES:
        point->hit_count++;
        if (point->hit_count <= POINTS_TOLD_MAX)
            sim_story_tell(run.story, SIM_NO_NUMBER, 0, "here: %s", point->name);
        run.check.lone_incident_count +=
            strcmp(point->name, "an incident opens without its job") == 0;
        if (run.weather.edge_ppm == 0 || !sim_host_is_up(host) ||
            draw(SIM_PPM) >= run.weather.edge_ppm)
            return false;
        sim_story_tell(run.story, SIM_NO_NUMBER, 0, "the process ends when %s", point->name);
        sim_host_die(host);
        return false;
    case SIM_POINT_FAILPOINT:
        if (run.weather.failpoint_ppm == 0 || draw(SIM_PPM) >= run.weather.failpoint_ppm)
            return false;
        point->hit_count++;
        run.listener_failure_count += strcmp(point->name, SIM_EXIT_LISTENER_FAILS) == 0;
        sim_story_tell(run.story, SIM_NO_NUMBER, 0, "fails: %s", point->name);
        return true;
    case SIM_POINT_MUTANT:
        if (run.options.mutant == NULL || strcmp(run.options.mutant, point->name) != 0)
            return false;
        point->hit_count++;
        return true;
    }
    return false;
}

static void clear_points(void)
{
    size_t count;
    struct sim_point *const *points = sim_point_all(&count);

    for (size_t i = 0; i < count; i++)
        points[i]->hit_count = 0;
}

/* --- the beginning and the end of a run ------------------------------------ */

/* What the models have to know of the world. */
static void tell_models(void)
{
    uint64_t slack_ms = run.plan.are_calls_exact ? CALL_SLACK_MS : CALL_DELAY_MS_MAX;

    run.model.is_forgetful = run.plan.forgets_events;
    run.model.window_ns = run.plan.window_ns;
    run.check.may_lack_old = run.plan.may_lack_old;
    run.jobs.tenant_concurrency = (uint32_t)run.server.settings.job_tenant_concurrency;
    run.jobs.forgets = run.plan.forgets_jobs;
    run.jobs.dead_limit = run.plan.limits_dead_letters;
    run.jobs.clock_jumps = sim_weather_has(&run.weather, SIM_FAULT_CLOCK);
    /* Without a descriptor left a segment cannot be opened. */
    run.jobs.reads_fail =
        sim_weather_fails_reads(&run.weather) || run.server.host->fd_count_max < SIM_FD_COUNT_MANY;
    run.check.reads_fail = run.jobs.reads_fail;
    run.calls.is_exact = run.plan.are_calls_exact;
    run.calls.slack_ns = slack_ms * 1000000;
    run.calls.forgets = run.jobs.forgets;
    run.calls.dead_limit = run.jobs.dead_limit;
    run.calls.clock_jumps = run.jobs.clock_jumps;
}

static void begin(const struct sim_run_options *options, struct sim_story *story,
                  struct sim_story_judge *judge)
{
    memset(&run, 0, sizeof(run));
    clear_points();
    run.options = *options;
    run.story = story;
    if (run.options.step_count_max == 0)
        run.options.step_count_max = STEP_COUNT_DEFAULT;
    run.world = sim_world_new(options->seed);
    sim_story_begin(story, options->seed, run.world, judge, options->trace);
    if (options->trace_io)
        sim_world_trace_to(run.world, options->trace);
    sim_driver_init(&run.driver, run.world);
    sim_server_init(&run.server, &run.driver, sim_host_new(run.world, "server"));
    sim_check_init(&run.check, &run.server, &run.model, story);
    sim_plan_draw(&run.plan, options->faults, options->no_jobs, &run.server);
    run.options.faults = run.plan.faults;
    sim_job_model_init(&run.jobs);
    sim_call_model_init(&run.calls);
    sim_workload_init(&run.workload, &run.plan.events, &run.driver, story, &run.model, &run.check);
    sim_job_crew_init(&run.crew, &run.plan.crew, &run.driver, story, &run.jobs, &run.check,
                      &run.workload.keys);
    sim_callers_init(&run.callers, &run.plan.callers, &run.driver, story, &run.calls,
                     &run.workload.keys);
    sim_weather_init(&run.weather, run.plan.faults, &run.server, &run.workload, &run.crew, story);
    run.workload.reads_may_fail =
        (options->faults &
         (1U << SIM_FAULT_DISK | 1U << SIM_FAULT_MEMORY | 1U << SIM_FAULT_DAMAGE)) != 0;
    tell_models();
    if (run.plan.callers.caller_count > 0) {
        run.weather.others[0] = run.callers.host;
        run.weather.others[1] = run.callers.peer.host;
    }
    run.hook.on_hit = on_point;
    sim_point_install(&run.hook);
}

static void end(struct sim_run_result *ret_result)
{
    run.result.hash = run.world->trace.hash ^ sim_disk_hash(run.server.host->disk);
    run.result.simulated_ns = run.world->mono_ns - SIM_START_MONO_NS;
    run.result.step_count = run.driver.step_count;
    run.result.request_count =
        run.workload.request_count + run.crew.request_count + run.callers.request_count;
    run.result.acknowledged_count = run.workload.acknowledged_count;
    run.result.unknown_count =
        run.workload.unknown_count + run.crew.unknown_count + run.callers.unknown_count;
    run.result.job_count = run.crew.accepted_count + run.callers.accepted_count;
    run.result.call_count = run.callers.peer.call_count;
    run.result.replay_count = run.callers.replay_total;
    run.result.lease_count = run.crew.leased_count;
    run.result.stored_count = run.check.census.found_count;
    run.result.check_count = run.check.check_count;
    sim_point_install(NULL);
    sim_server_deinit(&run.server);
    sim_callers_deinit(&run.callers);
    sim_job_crew_deinit(&run.crew);
    sim_workload_deinit(&run.workload);
    sim_world_free(&run.world);
    run.story->world = NULL;
    *ret_result = run.result;
}

/* --- driving -------------------------------------------------------------- */

static uint64_t steps_left(void)
{
    if (run.driver.step_count >= run.options.step_count_max)
        sim_story_fail(run.story, SIM_NO_NUMBER, "still not finished after %llu steps",
                       (unsigned long long)run.driver.step_count);
    return run.options.step_count_max - run.driver.step_count;
}

/* Grows with what was brought to a good end. */
static uint64_t progress(void)
{
    return run.workload.acknowledged_unit_count + run.crew.accepted_count + run.crew.ended_count +
           run.callers.accepted_count + run.callers.peer.call_count;
}

static bool is_quiet(void)
{
    return sim_workload_is_quiet(&run.workload) && sim_job_crew_is_quiet(&run.crew) &&
           sim_callers_are_quiet(&run.callers);
}

static bool is_reached(struct sim_goal *goal)
{
    assert(goal == &run.goal);
    run.jobs.now_ns = run.world->mono_ns;
    run.calls.now_ns = run.world->mono_ns;
    if (run.world->mono_ns >= run.end_ns || is_quiet())
        return true; /* as was waited for, or because there is nothing new to send */
    if (run.waits_for_quiet)
        return false;
    if (run.workload.spec.keys_only && !run.plan.has_calls_only && sim_job_crew_is_full(&run.crew))
        return true; /* there will be no more progress */
    return progress() >= run.goal_count;
}

/* Drives until the goal is reached, limit_ms are over, or the process has ended. */
static enum sim_outcome drive(uint64_t limit_ms)
{
    enum sim_outcome outcome;

    run.end_ns = run.world->mono_ns + limit_ms * 1000000;
    run.goal.reached = is_reached;
    outcome = sim_driver_run(&run.driver, &run.goal, steps_left());
    if (outcome == SIM_STEPS_OVER)
        (void)steps_left(); /* says so */
    return outcome;
}

/* What the server had to say about its trouble. */
static const char *server_text(void)
{
    return run.server.text[0] != '\0' ? run.server.text : "it logged no error";
}

/* --- ends and checks ------------------------------------------------------ */

static void check_disk(bool was_orderly)
{
    if (!sim_check_log(&run.check))
        return;
    sim_check_accounting(&run.check, was_orderly);
    sim_check_incidents(&run.check, was_orderly);
    sim_check_disk_bound(&run.check);
    if (draw(REPEAT_ODDS) == 0)
        sim_check_recovery_repeats(&run.check);
}

static void cut_power(void)
{
    sim_story_tell(run.story, SIM_NO_NUMBER, 0, "power cut");
    run.result.crash_count++;
    sim_server_crash(&run.server);
}

static void kill_process(void)
{
    sim_story_tell(run.story, SIM_NO_NUMBER, 0, "kill -9");
    run.result.kill_count++;
    sim_server_kill(&run.server);
}

static void end_by_force(void)
{
    bool may_crash = sim_weather_has(&run.weather, SIM_FAULT_CRASH);

    if (may_crash && (!sim_weather_has(&run.weather, SIM_FAULT_KILL) || sim_world_coin(run.world)))
        cut_power();
    else
        kill_process();
    sim_host_crash_after(run.server.host, 0);
}

/* The process has ended by itself, which only a fault explains. */
static void bury(void)
{
    int exit_code = sim_server_bury(&run.server);

    sim_story_tell(run.story, SIM_NO_NUMBER, 0, "the process ends with exit code %d: %s", exit_code,
                   server_text());
    run.result.exit_count++;
    if (!sim_exit_is_explained(exit_code, run.options.faults, run.listener_failure_count))
        sim_story_fail(run.story, SIM_NO_NUMBER,
                       "the process ended by itself, with exit code %d: %s", exit_code,
                       server_text());
}

/* An orderly stop, without faults; true when it went well. */
static bool stop(void)
{
    int exit_code = 0;

    sim_story_tell(run.story, SIM_NO_NUMBER, 0, "SIGTERM");
    switch (sim_server_try_stop(&run.server, STOP_MS_MAX, &exit_code)) {
    case SIM_SERVER_STOPPED:
        return true;
    case SIM_SERVER_FAILED:
        sim_story_tell(run.story, SIM_NO_NUMBER, 0, "the stop ends with exit code %d", exit_code);
        /* A fault from before may come to light only now; a hanging write may take too long. */
        if (!run.is_finishing && run.options.faults != 0 &&
            (exit_code == 74 ||
             sim_exit_is_explained(exit_code, run.options.faults, run.listener_failure_count)))
            return false;
        break;
    case SIM_SERVER_HANGS:
    case SIM_SERVER_HOST_DIED:
        break;
    }
    sim_story_fail(run.story, SIM_NO_NUMBER, "the server does not stop: exit code %d: %s",
                   exit_code, server_text());
}

/* --- lives ---------------------------------------------------------------- */

/* Starts until a start does not fail; the faults of a start are as many as it may meet. */
static void start(void)
{
    int exit_code = 0;

    run.server.shard_count = 1 + draw(4);
    if (run.server.settings.retain_bytes == 0 && draw(4) == 0)
        run.server.settings.segment_bytes = (uint64_t)(128 << draw(4)) << 10;
    for (uint32_t i = 0; i < START_COUNT_MAX; i++) {
        if (!run.is_finishing && sim_weather_has(&run.weather, SIM_FAULT_RECOVERY) && draw(3) == 0)
            sim_host_crash_after(run.server.host, 1 + draw_small(200));
        sim_story_tell(run.story, SIM_NO_NUMBER, 0, "start with %u shards", run.server.shard_count);
        run.listener_failure_count = 0;
        if (sim_server_try_start(&run.server, &exit_code)) {
            run.result.life_count++;
            run.workload.life++;
            run.jobs.life++;
            run.calls.life++;
            run.calls.life_ns = run.world->mono_ns;
            return;
        }
        sim_host_crash_after(run.server.host, 0);
        run.result.failed_start_count++;
        sim_story_tell(run.story, SIM_NO_NUMBER, 0, "the start fails with exit code %d: %s",
                       exit_code, server_text());
        if (i % 4 == 3)
            sim_weather_calm(&run.weather);
    }
    sim_story_fail(run.story, SIM_NO_NUMBER, "the server does not start: exit code %d: %s",
                   exit_code, server_text());
}

/*
 * The faults cease in the midst of a life: what was begun comes to its end, and nothing is
 * left over. What ended the process before was a fault from before.
 */
static enum sim_outcome heal(void)
{
    enum sim_outcome outcome;

    sim_story_tell(run.story, SIM_NO_NUMBER, 0, "the faults cease for now");
    sim_weather_calm(&run.weather);
    sim_host_crash_after(run.server.host, 0);
    run.workload.is_paused = true;
    run.crew.is_paused = true;
    run.callers.is_paused = true;
    run.workload.gives_up_never = true;
    run.crew.gives_up_never = true;
    run.waits_for_quiet = true;
    outcome = drive(HEAL_MS_MAX);
    run.waits_for_quiet = false;
    run.workload.gives_up_never = false;
    run.crew.gives_up_never = false;
    if (outcome != SIM_REACHED)
        return outcome;
    if (!is_quiet())
        sim_story_fail(run.story, SIM_NO_NUMBER,
                       "without faults what was begun does not come to its end: %s", server_text());
    outcome = sim_driver_run_for(&run.driver, (uint64_t)LEAK_MS * 1000000);
    /* Calls go on, whether somebody asks or not. */
    if (outcome == SIM_REACHED && run.callers.spec.caller_count == 0) {
        sim_check_leaks(&run.check);
        sim_check_disk_at_rest(&run.check);
        sim_job_check_leaks(&run.crew);
    }
    return outcome;
}

/*
 * An answer is the moment in which least is under way, and it was an answer that was waited
 * for: most of what goes wrong when a process ends is in the midst of something on its disk.
 */
static enum sim_outcome go_on_until_struck(void)
{
    sim_host_crash_after(run.server.host, 1 + draw_small(STRIKE_CALL_COUNT_MAX));
    run.goal_count = UINT64_MAX;
    return drive(STRIKE_MS_MAX);
}

static void start_clients(void)
{
    sim_workload_start(&run.workload);
    sim_job_crew_start(&run.crew);
    sim_callers_start(&run.callers);
}

/* How much progress is enough for a life, at most. */
static uint32_t goal_max(void)
{
    if (run.plan.has_calls_only)
        return CALL_GOAL_MAX;
    return run.crew.spec.client_count > 0 ? 800 : 400;
}

/* One life of the process under faults; it does not run any more afterwards. */
static void live(void)
{
    enum sim_outcome outcome;
    bool was_orderly = false;
    bool may_be_forced = sim_weather_has(&run.weather, SIM_FAULT_CRASH) ||
                         sim_weather_has(&run.weather, SIM_FAULT_KILL);

    sim_weather_rise(&run.weather);
    start();
    start_clients();
    run.goal_count = progress() + 1 + draw_small(goal_max());
    outcome = drive(draw_small(run.plan.has_calls_only ? CALL_LIFE_MS_MAX : LIFE_MS_MAX));
    if (outcome == SIM_REACHED && draw(HEAL_ODDS) == 0)
        outcome = heal();
    else if (outcome == SIM_REACHED && may_be_forced && sim_world_coin(run.world))
        outcome = go_on_until_struck();
    switch (outcome) {
    case SIM_ENDED:
        bury();
        break;
    case SIM_HOST_DIED:
        end_by_force();
        break;
    case SIM_REACHED:
        if (may_be_forced && draw(8) != 0) {
            end_by_force();
            break;
        }
        sim_host_crash_after(run.server.host, 0);
        sim_weather_calm(&run.weather);
        was_orderly = stop();
        break;
    case SIM_STEPS_OVER:
    case SIM_QUIET:
        sim_story_fail(run.story, SIM_NO_NUMBER, "the world stands still");
    }
    sim_host_crash_after(run.server.host, 0);
    sim_weather_calm(&run.weather);
    check_disk(was_orderly);
}

/* How long it may take to bring everything to its end. */
static uint64_t settle_ms(void)
{
    uint64_t limit_ms = run.jobs.clock_jumps ? SETTLE_MS_MAX : SETTLE_SLACK_MS;

    if (run.jobs.tenant_concurrency != 0)
        limit_ms += (uint64_t)run.jobs.job_count * SETTLE_JOB_MS;
    return limit_ms;
}

/* Without faults from here on everything comes to its end. */
static void finish(void)
{
    enum sim_outcome outcome;

    sim_story_tell(run.story, SIM_NO_NUMBER, 0, "the faults cease");
    run.is_finishing = true;
    run.server.host->fd_count_max = SIM_FD_COUNT_MANY;
    start();
    run.workload.gives_up_never = true;
    run.crew.gives_up_never = true;
    start_clients();
    run.goal_count = progress() + 1 + draw(run.crew.spec.client_count > 0 ? 300 : 50);
    outcome = drive(FINISH_MS_MAX);
    run.workload.is_paused = true;
    run.waits_for_quiet = true;
    sim_job_crew_settle(&run.crew);
    sim_job_crew_start(&run.crew);
    sim_callers_settle(&run.callers);
    sim_callers_start(&run.callers);
    if (outcome == SIM_REACHED)
        outcome = drive(settle_ms());
    if (outcome != SIM_REACHED || !is_quiet() || run.crew.stage != SIM_JOB_CREW_SETTLED ||
        run.callers.stage != SIM_CALLERS_SETTLED) {
        sim_job_check_tell_live(&run.crew);
        sim_story_fail(run.story, SIM_NO_NUMBER,
                       "the faults are over, and what was begun does not come to its end: %s",
                       server_text());
    }
    sim_job_check_requests(&run.crew);
    outcome = sim_driver_run_for(&run.driver, (uint64_t)LEAK_MS * 1000000);
    if (outcome != SIM_REACHED)
        sim_story_fail(run.story, SIM_NO_NUMBER, "without faults the process ends: %s",
                       server_text());
    sim_check_leaks(&run.check);
    sim_check_disk_at_rest(&run.check);
    sim_job_check_leaks(&run.crew);
    if (!stop())
        sim_story_fail(run.story, SIM_NO_NUMBER, "without faults a stop ends with an error: %s",
                       server_text());
    check_disk(true);
}

/* --- damage --------------------------------------------------------------- */

/* Writes that are acknowledged and damaged: what is served is right, or the start is refused. */
static void live_with_damage(void)
{
    int exit_code = 0;

    run.check.may_lack_last = true;
    run.workload.sees_damage = true;
    run.callers.peer.sees_damage = true;
    run.workload.is_paused = false;
    run.waits_for_quiet = false;
    start();
    sim_weather_damage(&run.weather);
    sim_workload_start(&run.workload);
    run.goal_count = progress() + 50 + draw(200);
    if (drive(LIFE_MS_MAX) == SIM_ENDED)
        (void)sim_server_bury(&run.server);
    else
        end_by_force();
    sim_weather_calm(&run.weather);
    (void)sim_check_log(&run.check);
    if (sim_server_try_start(&run.server, &exit_code)) {
        kill_process();
        return;
    }
    sim_story_tell(run.story, SIM_NO_NUMBER, 0, "the damage is refused with exit code %d: %s",
                   exit_code, server_text());
    if (exit_code != 74)
        sim_story_fail(run.story, SIM_NO_NUMBER, "damage is refused with exit code %d: %s",
                       exit_code, server_text());
    run.result.damage_count++;
}

void sim_run(const struct sim_run_options *options, struct sim_story *story,
             struct sim_story_judge *judge, struct sim_run_result *ret_result)
{
    uint32_t life_count;

    begin(options, story, judge);
    life_count = draw(LIFE_COUNT_MAX);
    for (uint32_t i = 0; i < life_count; i++)
        live();
    finish();
    if (sim_weather_has(&run.weather, SIM_FAULT_DAMAGE)) {
        run.result.damage_count += sim_damage_at_rest(&run.server, &run.check, run.story);
        live_with_damage();
    }
    end(ret_result);
}
