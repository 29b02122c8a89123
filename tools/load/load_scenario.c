/*
 * With a rate, a story only says what stands in the request that the schedule starts, or
 * that nothing does: an arrival that the story leaves out is passed over, so that those
 * that stay keep their times. The own rhythms are written as they are in the table.
 */
#include "tools/load/load_scenario.h"

static const uint64_t SECOND_NS = 1000000000;
static const uint64_t MS_NS = 1000000;

enum {
    SPIKE_DELAY_S = 2, /* from the deploy to the spike */
    SPIKE_COUNT = 50,
    DEPLOY_SPIKE_COUNT = 40,
    BURST_COUNT = 35,
    BURST_GAP_MS_MIN = 50,
    BURST_GAP_MS_MAX = 150,
    SIGNUPS_PER_SECOND = 3,
    DROP_SHARE = 30, /* 3 a second against 10 % a second */
};

static const char *const NAMES[] = {
    [LOAD_SCENARIO_REQUEST] = "request",
    [LOAD_SCENARIO_NORMAL] = "normal",
    [LOAD_SCENARIO_SPIKE_ERRORS] = "spike_errors",
    [LOAD_SCENARIO_DROP_SIGNUPS] = "drop_signups",
    [LOAD_SCENARIO_DEPLOY_THEN_SPIKE] = "deploy_then_spike",
    [LOAD_SCENARIO_BURST] = "burst",
};

bool load_scenario_parse(const char *name, enum load_scenario_kind *ret_kind)
{
    for (uint32_t i = LOAD_SCENARIO_NORMAL; i < ARRAY_COUNT(NAMES); i++)
        if (strcmp(NAMES[i], name) == 0) {
            *ret_kind = (enum load_scenario_kind)i;
            return true;
        }
    return false;
}

const char *load_scenario_name(enum load_scenario_kind kind)
{
    assert((size_t)kind < ARRAY_COUNT(NAMES));
    return NAMES[kind];
}

/* How many errors a spike has that goes by its own rhythm. */
static uint32_t spike_count(const struct load_scenario_config *config)
{
    if (config->event_count > 0)
        return config->event_count;
    if (config->kind == LOAD_SCENARIO_SPIKE_ERRORS)
        return SPIKE_COUNT;
    return config->kind == LOAD_SCENARIO_BURST ? BURST_COUNT : DEPLOY_SPIKE_COUNT;
}

void load_scenario_init(struct load_scenario *scenario, const struct load_scenario_config *config)
{
    assert(config->batch_count >= 1);
    assert(config->batch_count <= LOAD_BATCH_COUNT_MAX);
    assert(config->has_rate || config->kind != LOAD_SCENARIO_REQUEST);
    *scenario = (struct load_scenario){.config = *config, .left = spike_count(config)};
    /* A stream of its own, so that what is sent does not change when it is sent. */
    rng_init_seed(&scenario->rng, config->seed ^ 0x5ca1ab1e);
    if (config->has_rate)
        load_schedule_init(&scenario->schedule, &config->profile, config->arrivals, config->seed);
}

static bool give(struct load_arrival *ret_arrival, uint64_t due_ns, enum load_mix mix,
                 uint32_t event_count)
{
    *ret_arrival = (struct load_arrival){
        .due_ns = due_ns, .mix = (uint16_t)mix, .event_count = (uint16_t)event_count};
    return true;
}

/* --- with a rate ---------------------------------------------------------- */

/* What is sent at that time. False: nothing is. */
static bool tell(struct load_scenario *scenario, uint64_t due_ns, bool may_pass,
                 struct load_arrival *ret_arrival)
{
    const struct load_scenario_config *config = &scenario->config;
    uint32_t count = config->batch_count;
    bool is_first = scenario->index++ == 0;

    switch (config->kind) {
    case LOAD_SCENARIO_REQUEST:
        return give(ret_arrival, due_ns, LOAD_MIX_REQUEST, 0);
    case LOAD_SCENARIO_NORMAL:
        return give(ret_arrival, due_ns, LOAD_MIX_NORMAL, count);
    case LOAD_SCENARIO_SPIKE_ERRORS:
        return give(ret_arrival, due_ns, LOAD_MIX_PAYMENT_ERROR, count);
    case LOAD_SCENARIO_DROP_SIGNUPS:
        if (may_pass && due_ns >= config->profile.duration_ns / 3 &&
            !rng_chance(&scenario->rng, 1, DROP_SHARE))
            return false;
        return give(ret_arrival, due_ns, LOAD_MIX_SIGNUP, count);
    case LOAD_SCENARIO_DEPLOY_THEN_SPIKE:
        if (is_first)
            return give(ret_arrival, due_ns, LOAD_MIX_DEPLOY, 1);
        if (may_pass && due_ns < SPIKE_DELAY_S * SECOND_NS)
            return false;
        return give(ret_arrival, due_ns, LOAD_MIX_PAYMENT_ERROR, count);
    case LOAD_SCENARIO_BURST:
        return give(ret_arrival, due_ns, LOAD_MIX_BURST_ERROR, count);
    }
    assert(false);
    return false;
}

/* --- by its own rhythm ---------------------------------------------------- */

/* Each second of the duration, something. */
static bool next_second(struct load_scenario *scenario, struct load_arrival *ret_arrival)
{
    const struct load_scenario_config *config = &scenario->config;

    while (scenario->clock_ns < config->profile.duration_ns) {
        uint64_t now_ns = scenario->clock_ns;

        scenario->clock_ns += SECOND_NS;
        if (config->kind == LOAD_SCENARIO_NORMAL)
            return give(ret_arrival, now_ns, LOAD_MIX_NORMAL_SECOND, 0);
        if (now_ns < config->profile.duration_ns / 3)
            return give(ret_arrival, now_ns, LOAD_MIX_SIGNUP, SIGNUPS_PER_SECOND);
        if (rng_chance(&scenario->rng, 1, 10))
            return give(ret_arrival, now_ns, LOAD_MIX_SIGNUP, 1);
    }
    return false;
}

/* What is left of a spike, in batches as large as they may be. */
static bool next_of_spike(struct load_scenario *scenario, uint64_t due_ns,
                          struct load_arrival *ret_arrival)
{
    uint32_t count = (uint32_t)min_u64(scenario->left, LOAD_BATCH_COUNT_MAX);

    scenario->left -= count;
    return count > 0 && give(ret_arrival, due_ns, LOAD_MIX_PAYMENT_ERROR, count);
}

static bool next_of_burst(struct load_scenario *scenario, struct load_arrival *ret_arrival)
{
    uint64_t now_ns = scenario->clock_ns;

    if (scenario->left == 0)
        return false;
    scenario->left--;
    scenario->clock_ns +=
        (BURST_GAP_MS_MIN + rng_below(&scenario->rng, BURST_GAP_MS_MAX - BURST_GAP_MS_MIN + 1)) *
        MS_NS;
    return give(ret_arrival, now_ns, LOAD_MIX_BURST_ERROR, 1);
}

static bool next_of_own(struct load_scenario *scenario, struct load_arrival *ret_arrival)
{
    switch (scenario->config.kind) {
    case LOAD_SCENARIO_NORMAL:
    case LOAD_SCENARIO_DROP_SIGNUPS:
        return next_second(scenario, ret_arrival);
    case LOAD_SCENARIO_SPIKE_ERRORS:
        return next_of_spike(scenario, 0, ret_arrival);
    case LOAD_SCENARIO_DEPLOY_THEN_SPIKE:
        if (scenario->index++ == 0)
            return give(ret_arrival, 0, LOAD_MIX_DEPLOY, 1);
        return next_of_spike(scenario, SPIKE_DELAY_S * SECOND_NS, ret_arrival);
    case LOAD_SCENARIO_BURST:
        return next_of_burst(scenario, ret_arrival);
    case LOAD_SCENARIO_REQUEST:
        break;
    }
    assert(false);
    return false;
}

bool load_scenario_next(struct load_scenario *scenario, struct load_arrival *ret_arrival)
{
    uint64_t due_ns;

    if (!scenario->config.has_rate)
        return next_of_own(scenario, ret_arrival);
    while (load_schedule_next(&scenario->schedule, &due_ns))
        if (tell(scenario, due_ns, true, ret_arrival))
            return true;
    return false;
}

struct load_arrival load_scenario_at(struct load_scenario *scenario, uint64_t now_ns)
{
    struct load_arrival arrival;
    bool is_told = tell(scenario, now_ns, false, &arrival);

    assert(is_told);
    return arrival;
}
