#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_fixture.h"

/*
 * The traffic that a demo sends to itself, hours of it, on the simulated machine: how much
 * there is, and that neither refusals nor any end of the process is a problem. weir_stop()
 * asserts that nothing is left in any pool.
 */
static struct weir weir;
static struct weir_client client;

static struct demo_traffic *traffic(void)
{
    return &weir.process.app.shards[0].demo_traffic;
}

static uint64_t accepted_count(void)
{
    return weir_metric(&weir, weir.process.app.metrics.intake.outcome[EVENT_ACCEPTED]);
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir.process.settings.demo_traffic = true;
}

static void run_for(uint64_t ms)
{
    weir_let_pass(&weir, ms);
}

static bool is_in_burst(void)
{
    return traffic()->burst_sent == 10;
}

TestSuite(weir_demo, .timeout = 350);

Test(weir_demo, has_a_burst_of_errors_within_15_seconds)
{
    begin(1, 2);
    weir_start_ready(&weir);
    run_for(15000);
    cr_assert(eq(u32, traffic()->burst, 1));
    cr_assert(ge(u64, traffic()->sent_count, DEMO_TRAFFIC_BURST_SIZE + 2));
    cr_assert(le(u64, traffic()->sent_count, DEMO_TRAFFIC_BURST_SIZE + 4));
    cr_assert(eq(u64, accepted_count(), traffic()->sent_count));
    cr_assert(zero(u64, traffic()->refused_count));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_demo, opens_an_incident)
{
    begin(2, 1);
    weir_start_ready(&weir);
    run_for(15000);
    cr_assert(eq(
        u64, weir_metric(&weir, weir.process.app.metrics.incidents.changes[INCIDENT_CAUSE_OPENED]),
        1));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_demo, goes_on_at_its_pace_for_hours)
{
    const uint64_t seconds = 2 * 3600;

    begin(3, 1);
    weir_start_ready(&weir);
    run_for(seconds * 1000);
    cr_assert(ge(u32, traffic()->burst, 6));
    cr_assert(le(u32, traffic()->burst, 9));
    cr_assert(ge(u64, traffic()->sent_count, seconds / 8 + 6 * DEMO_TRAFFIC_BURST_SIZE));
    cr_assert(le(u64, traffic()->sent_count, seconds / 5 + 9 * DEMO_TRAFFIC_BURST_SIZE + 25));
    cr_assert(eq(u64, accepted_count(), traffic()->sent_count));
    cr_assert(le(u32, weir.process.app.shards[0].client.call_count, 1));
    cr_assert(le(u32, weir.process.app.shards[0].client.connection_count, 1));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_demo, is_not_there_when_it_is_switched_off)
{
    begin(4, 1);
    weir.process.settings.demo_traffic = false;
    weir_start_ready(&weir);
    run_for(60000);
    cr_assert(zero(u64, accepted_count()));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_demo, ends_with_the_process_in_the_middle_of_a_burst)
{
    begin(5, 2);
    weir_start_ready(&weir);
    cr_assert(eq(int, weir_run_until(&weir, is_in_burst), SIM_REACHED));
    weir_stop(&weir);
    weir_start_ready(&weir);
    cr_assert(eq(int, weir_run_until(&weir, is_in_burst), SIM_REACHED));
    weir_kill(&weir);
    weir_start_ready(&weir);
    run_for(15000);
    cr_assert(ge(u64, traffic()->sent_count, DEMO_TRAFFIC_BURST_SIZE));
    weir_stop(&weir);
    weir_end(&weir);
}

/* One event a second is less than a burst has. */
Test(weir_demo, survives_refusals_and_waits_after_ten_in_a_row)
{
    begin(6, 1);
    weir.process.settings.events_per_second = 1;
    weir.process.settings.events_burst = 1;
    weir_start_ready(&weir);
    run_for(30 * 60000);
    cr_assert(ge(u64, traffic()->refused_count, DEMO_TRAFFIC_FAILURE_COUNT_MAX));
    cr_assert(ge(u64, traffic()->sent_count, 200));
    cr_assert(eq(u64, accepted_count(), traffic()->sent_count));
    weir_stop(&weir);
    weir_end(&weir);
}

/* Its key is revoked: nothing is accepted any more, and little is tried. */
Test(weir_demo, tries_once_a_minute_while_everything_is_refused)
{
    struct weir_call list = {
        .method = "GET", .path = "/v1/admin/keys", .key = WEIR_ADMIN_TOKEN_TEXT};
    struct weir_call revoke = {.method = "DELETE", .key = WEIR_ADMIN_TOKEN_TEXT};
    char id[WEIR_ID_SIZE + 1], path[64];
    uint32_t offset = 0;

    begin(7, 1);
    weir_start_ready(&weir);
    weir_client_init(&client, &weir, 0, NULL);
    cr_assert(eq(u32, weir_ask(&client, &list, ""), 200));
    cr_assert(weir_answer_string(&client.request, "id", &offset, id, sizeof(id)));
    snprintf(path, sizeof(path), "/v1/admin/keys/%s", id);
    revoke.path = path;
    cr_assert(lt(u32, weir_ask(&client, &revoke, ""), 300));
    run_for(3600000);
    cr_assert(le(u64, traffic()->sent_count, 1));
    cr_assert(ge(u64, traffic()->refused_count, 60));
    cr_assert(le(u64, traffic()->refused_count, 60 + DEMO_TRAFFIC_FAILURE_COUNT_MAX));
    weir_stop(&weir);
    weir_end(&weir);
}
