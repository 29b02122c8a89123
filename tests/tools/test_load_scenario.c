#include "tools/load/load_scenario.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const uint64_t MS = 1000000, SECOND = 1000000000;

static struct load_scenario scenario;
static struct load_arrival arrivals[4096];

static struct load_scenario_config config_of(enum load_scenario_kind kind, uint64_t seconds)
{
    return (struct load_scenario_config){
        .kind = kind, .profile = {.duration_ns = seconds * SECOND}, .batch_count = 1, .seed = 3};
}

static size_t collect(const struct load_scenario_config *config)
{
    size_t count = 0;

    load_scenario_init(&scenario, config);
    while (count < ARRAY_COUNT(arrivals) && load_scenario_next(&scenario, &arrivals[count])) {
        if (count > 0)
            cr_assert(ge(u64, arrivals[count].due_ns, arrivals[count - 1].due_ns));
        count++;
    }
    return count;
}

Test(load_scenario, sends_a_second_of_everyday_life_each_second)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_NORMAL, 60);

    cr_assert(eq(sz, collect(&config), 60));
    for (uint64_t i = 0; i < 60; i++) {
        cr_assert(eq(u64, arrivals[i].due_ns, i * SECOND));
        cr_assert(eq(u16, arrivals[i].mix, LOAD_MIX_NORMAL_SECOND));
    }
}

Test(load_scenario, sends_a_spike_at_once_in_the_largest_batches)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_SPIKE_ERRORS, 10);

    cr_assert(eq(sz, collect(&config), 1));
    cr_assert(eq(u16, arrivals[0].event_count, 50));
    config.event_count = 250;
    cr_assert(eq(sz, collect(&config), 3));
    cr_assert(eq(u64, arrivals[2].due_ns, 0));
    cr_assert(eq(u16, arrivals[0].event_count, 100));
    cr_assert(eq(u16, arrivals[2].event_count, 50));
    cr_assert(eq(u16, arrivals[2].mix, LOAD_MIX_PAYMENT_ERROR));
}

Test(load_scenario, drops_signups_after_a_third_of_the_time)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_DROP_SIGNUPS, 600);
    size_t count = collect(&config);

    /* 200 seconds of three, then 400 with a chance of 10 %. */
    cr_assert(ge(sz, count, 200 + 15));
    cr_assert(le(sz, count, 200 + 70));
    cr_assert(eq(u16, arrivals[199].event_count, 3));
    cr_assert(eq(u16, arrivals[200].event_count, 1));
    cr_assert(ge(u64, arrivals[200].due_ns, 200 * SECOND));
}

Test(load_scenario, deploys_and_spikes_two_seconds_later)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_DEPLOY_THEN_SPIKE, 10);

    cr_assert(eq(sz, collect(&config), 2));
    cr_assert(eq(u16, arrivals[0].mix, LOAD_MIX_DEPLOY));
    cr_assert(eq(u64, arrivals[1].due_ns, 2 * SECOND));
    cr_assert(eq(u16, arrivals[1].event_count, 40));
}

Test(load_scenario, spreads_a_burst_over_50_to_150_ms_gaps)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_BURST, 10);

    cr_assert(eq(sz, collect(&config), 35));
    for (size_t i = 1; i < 35; i++) {
        cr_assert(ge(u64, arrivals[i].due_ns - arrivals[i - 1].due_ns, 50 * MS));
        cr_assert(le(u64, arrivals[i].due_ns - arrivals[i - 1].due_ns, 150 * MS));
    }
}

Test(load_scenario, follows_a_rate_when_there_is_one)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_NORMAL, 2);

    config.has_rate = true;
    config.profile.rate_first = config.profile.rate_last = 100;
    config.batch_count = 7;
    cr_assert(eq(sz, collect(&config), 200));
    cr_assert(eq(u64, arrivals[199].due_ns, 1990 * MS));
    cr_assert(eq(u16, arrivals[199].event_count, 7));
}

Test(load_scenario, waits_two_seconds_after_the_deploy_with_a_rate_too)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_DEPLOY_THEN_SPIKE, 3);

    config.has_rate = true;
    config.profile.rate_first = config.profile.rate_last = 100;
    cr_assert(eq(sz, collect(&config), 101));
    cr_assert(eq(u16, arrivals[0].mix, LOAD_MIX_DEPLOY));
    cr_assert(eq(u64, arrivals[1].due_ns, 2 * SECOND));
    cr_assert(eq(u16, arrivals[1].mix, LOAD_MIX_PAYMENT_ERROR));
}

Test(load_scenario, leaves_one_signup_of_thirty_with_a_rate)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_DROP_SIGNUPS, 30);
    size_t count;

    config.has_rate = true;
    config.profile.rate_first = config.profile.rate_last = 100;
    count = collect(&config);
    cr_assert(ge(sz, count, 1000 + 30));
    cr_assert(le(sz, count, 1000 + 110));
}

Test(load_scenario, passes_nothing_over_in_closed_loop)
{
    struct load_scenario_config config = config_of(LOAD_SCENARIO_DROP_SIGNUPS, 3);
    struct load_arrival arrival;

    config.has_rate = true;
    config.profile.rate_first = config.profile.rate_last = 1;
    load_scenario_init(&scenario, &config);
    for (uint64_t i = 0; i < 300; i++) {
        arrival = load_scenario_at(&scenario, i * 10 * MS);
        cr_assert(eq(u16, arrival.mix, LOAD_MIX_SIGNUP));
        cr_assert(eq(u64, arrival.due_ns, i * 10 * MS));
    }
}

Test(load_scenario, has_names_that_read_back)
{
    enum load_scenario_kind kind = LOAD_SCENARIO_REQUEST;

    for (int i = LOAD_SCENARIO_NORMAL; i <= LOAD_SCENARIO_BURST; i++) {
        cr_assert(load_scenario_parse(load_scenario_name((enum load_scenario_kind)i), &kind));
        cr_assert(eq(int, (int)kind, i));
    }
    cr_assert(not(load_scenario_parse("request", &kind)));
    cr_assert(not(load_scenario_parse("", &kind)));
}
