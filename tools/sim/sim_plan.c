#include "tools/sim/sim_plan.h"

/*
 * The order of the draws is part of what a seed means: what is new is drawn where it does the
 * least harm to the seeds that tests and notes name, and never under a condition that the
 * machine decides.
 */
enum {
    ANSWER_SLACK_MS = 1000,
    CONNECTIONS_ENOUGH = 128,
    EVENT_SIZE_MAX = 320, /* of an event without payload */
    CLAIM_WINDOW_MS_MIN = 6 * 3600000,
    JOB_SIZE_MAX = SIM_JOB_TEXT_SIZE_MAX, /* in a body, without its filler */
    LOOK_REST_NS = 10000000,              /* of who brings nothing forward */
    SEGMENT_BYTES_SMALL = 128 << 10,
    HURRY_ODDS = 3,            /* one run in so many has clients that hardly rest */
    HURRY_NS_MAX = 5000000,    /* so long, at most */
    BATCH_BLOCK_COUNT_MIN = 2, /* of one write to a log, where there is little memory for it */
    BATCH_BLOCK_COUNT_MAX = 12,
    BATCH_BLOCK_COUNT_JOBS = 16, /* so much more with jobs, and so little in each */
    FILLER_SIZE_SMALL = 2000,
};

/* What may delay an answer or a call on its way. */
static const uint32_t DELAYS = 1U << SIM_FAULT_PAUSE | 1U << SIM_FAULT_NET | 1U << SIM_FAULT_MEMORY;

static uint32_t draw(const struct sim_plan *plan, uint64_t below)
{
    return (uint32_t)rng_below(&plan->server->world->rng, below);
}

static uint64_t draw_small(const struct sim_plan *plan, uint64_t max)
{
    return sim_world_draw_small(plan->server->world, max);
}

static bool coin(const struct sim_plan *plan)
{
    return sim_world_coin(plan->server->world);
}

/*
 * How long somebody rests between two requests. Most of the time there is one of them at a
 * time; where all are in a hurry they meet in the server: they wait for room, for the disk and
 * for each other, and whatever ends the process finds many of them half done.
 */
static struct sim_range draw_rest(const struct sim_plan *plan, uint64_t max_ns)
{
    if (plan->is_hurried)
        return (struct sim_range){10000, 50000 + draw_small(plan, HURRY_NS_MAX)};
    return (struct sim_range){100000, 1000000 + draw_small(plan, draw_small(plan, max_ns))};
}

static void draw_settings(struct sim_plan *plan)
{
    struct settings *s = &plan->server->settings;

    s->segment_bytes = (uint64_t)(128 << draw(plan, 4)) << 10;
    s->reserve_bytes = s->segment_bytes * (1 + draw(plan, 3));
    s->writes_in_flight = 1 + draw(plan, 4);
    s->queue_delay_ms = 20 + draw(plan, 500);
    s->dedup_entries = 16384;
    s->event_index_entries = 131072; /* for all logs together */
    s->incident_series = 4096;       /* these two are cleared at each start */
    s->incident_count = 1024;
    s->connections = 17 + (int64_t)draw_small(plan, 64);
    s->requests_in_flight = 4 + draw(plan, 256);
    s->answer_timeout_ms = 500 + draw(plan, 10000);
    s->body_timeout_ms = 500 + draw(plan, 5000);
    s->header_timeout_ms = 500 + draw(plan, 5000);
    s->idle_timeout_ms = 500 + draw(plan, 10000);
    s->drain_timeout_ms = coin(plan) ? 15000 : 200 + draw(plan, 2000);
    if (draw(plan, 8) == 0)
        s->events_per_second = 20 + draw(plan, 2000);
    if (draw(plan, 8) == 0)
        plan->server->host->fd_count_max = 40 + draw(plan, 60);
    /* One run in four has a server that forgets, each in another way. */
    if (draw(plan, 4) != 0)
        return;
    plan->forgets_events = true;
    switch (draw(plan, 5)) {
    case 0:
        s->dedup_window_ms = 60000 + draw(plan, 60000);
        plan->faults &= ~(1U << SIM_FAULT_CLOCK);
        plan->window_ns = s->dedup_window_ms * 1000000;
        break;
    case 1:
        s->dedup_entries = 512 << draw(plan, 3);
        s->dedup_strict = coin(plan);
        s->dedup_window_ms =
            60000 + draw(plan, 120000); /* or a strict table stays full for a day */
        break;
    case 2:
    case 3:
        s->segment_bytes = 128 << 10;
        s->reserve_bytes = 128 << 10;
        s->retain_bytes = (uint64_t)(512 + draw(plan, 1024)) << 10;
        s->retain_hours = coin(plan) ? 1 : s->retain_hours;
        plan->may_lack_old = true;
        break;
    default:
        s->event_index_entries = 4096;
        plan->may_lack_old = true;
        break;
    }
}

/* One run in four forgets jobs that have ended, or has hardly room for dead letters. */
static void draw_job_settings(struct sim_plan *plan)
{
    struct settings *s = &plan->server->settings;

    s->job_cache_bytes = (uint64_t)(coin(plan) ? 8 : 1024) << 10;
    s->job_finished = 100000;
    s->job_finished_ms = (uint64_t)7 * 24 * 3600 * 1000;
    if (draw(plan, 6) == 0)
        s->job_tenant_concurrency = 1 + (int64_t)draw_small(plan, 12);
    if (draw(plan, 4) != 0)
        return;
    plan->forgets_jobs = true;
    switch (draw(plan, 3)) {
    case 0:
        s->job_finished = 1 + (int64_t)draw_small(plan, 40);
        break;
    case 1:
        s->job_finished_ms = 1000 + draw_small(plan, 60000);
        break;
    default:
        plan->limits_dead_letters = true;
        s->job_dead = 1 + (int64_t)draw_small(plan, 6);
        s->job_dead_ms = 5000 + draw_small(plan, 60000);
        break;
    }
}

/*
 * Half of the runs have little memory for what waits to be written. Jobs are carried forward
 * many at a time, and what has no room for them writes each into blocks of its own: then the
 * log of small jobs never becomes smaller, however often it is reclaimed.
 */
static void draw_staging(struct sim_plan *plan)
{
    uint32_t count =
        BATCH_BLOCK_COUNT_MIN + draw(plan, BATCH_BLOCK_COUNT_MAX - BATCH_BLOCK_COUNT_MIN + 1);

    if (coin(plan))
        return;
    if (plan->crew.client_count + plan->callers.caller_count > 0)
        count += BATCH_BLOCK_COUNT_JOBS;
    plan->server->journal_batch_bytes = (uint64_t)SEGMENT_BLOCK_SIZE * count;
    plan->crew.filler_size = (uint32_t)min_u64(plan->crew.filler_size, FILLER_SIZE_SMALL);
}

/* There are no events; somebody makes keys, and has time. */
static void have_keys_only(struct sim_plan *plan)
{
    struct sim_workload_spec *events = &plan->events;

    events->client_count = 1;
    events->keys_only = true;
    events->shared_count = 0;
    events->rest_ns.min = max_u64(events->rest_ns.min, LOOK_REST_NS);
    events->rest_ns.max = max_u64(events->rest_ns.max, 2 * LOOK_REST_NS);
}

/* Some runs have no jobs, some have nothing but jobs. */
static void draw_crew(struct sim_plan *plan)
{
    const struct sim_workload_spec *events = &plan->events;
    struct sim_job_crew_spec *spec = &plan->crew;
    uint32_t kind = draw(plan, 4);

    if (kind == 0 || plan->no_jobs)
        return;
    if (kind == 1)
        have_keys_only(plan);
    *spec = (struct sim_job_crew_spec){
        .client_count = plan->is_hurried ? SIM_JOB_CLIENT_COUNT_MAX / 2 +
                                               draw(plan, SIM_JOB_CLIENT_COUNT_MAX / 2 + 1)
                                         : 2 + draw(plan, SIM_JOB_CLIENT_COUNT_MAX - 1),
        .job_count_max = 100 + (uint32_t)draw_small(plan, SIM_JOB_COUNT_MAX / 2),
        .kind_count = 1 + draw(plan, SIM_JOB_KIND_COUNT),
        .batch_count_max = coin(plan) ? 1 : 1 + draw(plan, SIM_JOB_BATCH_COUNT_MAX),
        .flow_count_max = coin(plan) ? 1 : 2 + draw(plan, SIM_JOB_FLOW_COUNT_MAX - 1),
        .key_count = coin(plan) ? 0 : 1 + draw(plan, 8),
        .unique_count = coin(plan) ? 0 : 1 + draw(plan, 6),
        .filler_size = (uint32_t)draw_small(plan, coin(plan) ? 100 : 4000),
        .delay_ms_max = coin(plan) ? 0 : 1 + (uint32_t)draw_small(plan, 60000),
        .deadline_odds = coin(plan) ? 0 : 4 + draw(plan, 20),
        .lease_limit_max = 1 + draw(plan, SIM_JOB_LEASE_LIMIT_MAX),
        .lease_s_max = 1 + (uint32_t)draw_small(plan, 60),
        .wait_s_max = (uint32_t)draw_small(plan, 30),
        .fail_percent = coin(plan) ? 5 : draw(plan, 60),
        .sloth_percent = (uint32_t)draw_small(plan, 30),
        .cancel_percent = (uint32_t)draw_small(plan, 60),
        .has_limits = coin(plan),
        .has_claims = plan->server->settings.dedup_window_ms >= CLAIM_WINDOW_MS_MIN,
        .split_ppm_max = events->split_ppm_max,
        .drop_odds = events->drop_odds,
        .pause_ns_max = events->pause_ns_max,
        .rest_ns = draw_rest(plan, 10000000000),
    };
    spec->producer_count = (uint32_t)draw_small(plan, spec->client_count - 1);
    spec->batch_count_max =
        (uint32_t)min_u64(spec->batch_count_max,
                          SIM_JOB_CLIENT_BODY_SIZE_MAX / (spec->filler_size + JOB_SIZE_MAX) - 1);
    spec->flow_count_max =
        (uint32_t)min_u64(spec->flow_count_max,
                          SIM_JOB_CLIENT_BODY_SIZE_MAX / (spec->filler_size + JOB_SIZE_MAX) - 1);
}

/*
 * Some runs have the server itself do jobs. Then most of them have little else, so that there
 * is time for breakers to open and to close; and half of these no delays, so that breakers can
 * be judged from outside.
 */
static void draw_callers(struct sim_plan *plan)
{
    struct sim_callers_spec *spec = &plan->callers;

    if (plan->no_jobs || draw(plan, 4) != 0)
        return;
    *spec = (struct sim_callers_spec){
        .caller_count = 1 + draw(plan, SIM_CALLER_COUNT_MAX),
        .order_count_max = 20 + draw(plan, SIM_CALL_ORDER_COUNT_MAX - 20 - SIM_CALLER_COUNT_MAX),
        .schedule_count_max = coin(plan) ? 0 : 1 + draw(plan, 3),
        .timeout_ms_max = 1 + (uint32_t)draw_small(plan, 20000),
        .cancel_percent = coin(plan) ? 0 : draw(plan, 30),
        .replay_percent = coin(plan) ? 3 : draw(plan, 25),
        .drop_odds = plan->events.drop_odds,
        .rest_ns = {1000000, 10000000 + draw_small(plan, 3000000000)},
    };
    if (draw(plan, 3) == 0)
        return;
    plan->has_calls_only = true;
    have_keys_only(plan);
    memset(&plan->crew, 0, sizeof(plan->crew));
    if (coin(plan))
        return;
    plan->faults &= ~DELAYS;
    plan->are_calls_exact = true;
    /* Calls that hang, and others that come meanwhile, all the time. */
    spec->timeout_ms_max = 5000 + draw(plan, 30000);
    spec->order_count_max = SIM_CALL_ORDER_COUNT_MAX - SIM_CALLER_COUNT_MAX;
    spec->rest_ns.max = 2000000000 + rng_below(&plan->server->world->rng, 5000000000);
}

static void draw_events(struct sim_plan *plan)
{
    struct sim_workload_spec *spec = &plan->events;

    *spec = (struct sim_workload_spec){
        .client_count = plan->is_hurried
                            ? SIM_CLIENT_COUNT_MAX / 2 + draw(plan, SIM_CLIENT_COUNT_MAX / 2 + 1)
                            : 1 + draw(plan, SIM_CLIENT_COUNT_MAX),
        .batch_count_max = coin(plan) ? 1 : 1 + draw(plan, SIM_BATCH_COUNT_MAX),
        .drop_odds = 1 + (uint32_t)draw_small(plan, 32),
        .payload_size = (uint32_t)draw_small(plan, coin(plan) ? 400 : 12000),
        .shared_count = draw(plan, 6),
        .rest_ns = draw_rest(plan, 60000000000),
        .split_ppm_max = draw(plan, SIM_PPM),
        .pause_ns_max = draw_small(plan, 20000000),
    };
    spec->batch_count_max =
        (uint32_t)min_u64(spec->batch_count_max,
                          SIM_CLIENT_BODY_SIZE_MAX / (spec->payload_size + EVENT_SIZE_MAX) - 1);
    /* Nothing else than a slow disk may delay an answer: then it must come in time. */
    if (plan->server->host->fd_count_max < SIM_FD_COUNT_MANY)
        return; /* connections wait to be accepted */
    if ((plan->faults & DELAYS) == 0 || draw(plan, 3) == 0) {
        plan->faults &= ~DELAYS;
        spec->answer_ms_max = plan->server->settings.answer_timeout_ms + ANSWER_SLACK_MS;
        spec->split_ppm_max = 0;
        plan->server->settings.connections = CONNECTIONS_ENOUGH; /* or some wait to be accepted */
    }
}

void sim_plan_draw(struct sim_plan *plan, uint32_t faults, bool no_jobs, struct sim_server *server)
{
    struct settings *s = &server->settings;

    *plan = (struct sim_plan){.server = server, .faults = faults, .no_jobs = no_jobs};
    draw_settings(plan);
    plan->is_hurried = draw(plan, HURRY_ODDS) == 0;
    /* Small segments are soon full: what is alive in them is carried on while it changes. */
    if (plan->is_hurried && s->retain_bytes == 0 && coin(plan))
        s->segment_bytes = SEGMENT_BYTES_SMALL;
    draw_events(plan);
    draw_crew(plan);
    draw_callers(plan);
    draw_job_settings(plan);
    draw_staging(plan);
    /* With the clock set back, a strict table stays full for as long. */
    if (s->dedup_strict)
        plan->faults &= ~(1U << SIM_FAULT_CLOCK);
}
