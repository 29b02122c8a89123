#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_disk.h"
#include "tests/sim/weir_load.h"

/*
 * The orderly end of the whole server, and clients that do not behave. app_free()
 * asserts that every pool is empty, so each of these tests is a search for leaks:
 * requests whose client has gone, answers that nobody reads, half of a head.
 */
enum {
    CLIENT_COUNT = 8,
    EVENT_TOTAL = 2000,
    SEED_COUNT = 30,
    ROGUE_COUNT = 6,
};

static struct weir weir;
static struct weir_load load;
static struct weir_census census;
static uint32_t goal_count;

static bool is_reached(void)
{
    return load.acknowledged_count >= goal_count;
}

static bool is_quiet(void)
{
    return load.acknowledged_count >= goal_count && weir_load_is_quiet(&load);
}

static void begin(uint64_t seed, uint32_t batch_max)
{
    weir_begin(&weir, seed, 1 + (uint32_t)(seed % 3));
    weir_start(&weir);
    weir_load_init(&load, &weir, CLIENT_COUNT, EVENT_TOTAL);
    load.batch_max = batch_max;
    weir_load_start(&load);
}

/* Runs on to a drawn number of acknowledgements. */
static void run_a_while(void)
{
    goal_count =
        load.acknowledged_count + 1 + (uint32_t)rng_below(&weir.world->rng, EVENT_TOTAL / 3);
    if (goal_count > EVENT_TOTAL)
        goal_count = EVENT_TOTAL;
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED), "seed %lu", weir.seed);
}

static void check_journal(void)
{
    weir_census(&weir, &census);
    weir_load_check(&load, &census);
}

/* --- a client that does what it should not -------------------------------- */

/*
 * Sends whole and half requests, walks away at drawn moments, comes back. What it
 * sends are events without an id, batches, lookups, changes of keys and scrapes, so
 * that every kind of pending request is abandoned at some time.
 */
struct rogue {
    struct weir_client client;
    struct sim_event drop_due;
    uint32_t number;
    bool is_done;
};

static struct rogue rogues[ROGUE_COUNT];
static bool rogues_must_end;

static void rogue_send(struct rogue *rogue)
{
    static const char *const paths[] = {"/v1/events",  "/v1/events", "/v1/events/batch",
                                        "/v1/events/", "/metrics",   "/v1/admin/keys"};
    struct rng *rng = &weir.world->rng;
    uint32_t kind = (uint32_t)rng_below(rng, ARRAY_COUNT(paths));
    struct weir_call call = {.path = paths[kind]};
    char path[64], id[WEIR_ID_SIZE + 1], event[512], body[1280] = "";

    rogue->number++;
    weir_write_event(event, sizeof(event), WEIR_EVENT_COUNT_MAX - 1, NULL);
    switch (kind) {
    case 0:
    case 1:
        snprintf(body, sizeof(body), "%s", event);
        call.idempotency_key = kind == 1 ? "one of many" : NULL;
        break;
    case 2:
        snprintf(body, sizeof(body), "{\"events\":[%s,%s]}", event, event);
        break;
    case 3:
        weir_write_id(id, (uint32_t)rng_below(rng, EVENT_TOTAL));
        snprintf(path, sizeof(path), "/v1/events/%s", id);
        call.path = path;
        call.method = "GET";
        break;
    case 4:
        call.method = "GET";
        break;
    default:
        call.key = WEIR_ADMIN_TOKEN_TEXT;
        snprintf(body, sizeof(body), "{\"org_id\":\"o\",\"project_id\":\"p%u\"}", rogue->number);
        break;
    }
    call.expects_continue = rng_below(rng, 8) == 0;
    weir_client_call(&rogue->client, &call, body);
    if (rng_below(rng, 3) != 0 && !sim_event_is_pending(&rogue->drop_due))
        sim_world_schedule(weir.world, &rogue->drop_due, rng_below(rng, 3000000));
}

static void on_drop_due(struct sim_event *event)
{
    sim_http_client_drop(&container_of(event, struct rogue, drop_due)->client.http);
}

static void on_rogue_answer(struct weir_client *client)
{
    struct rogue *rogue = container_of(client, struct rogue, client);

    if (rogues_must_end)
        rogue->is_done = true;
    else
        rogue_send(rogue);
}

static void begin_rogues(void)
{
    rogues_must_end = false;
    memset(rogues, 0, sizeof(rogues));
    for (uint32_t i = 0; i < ROGUE_COUNT; i++) {
        weir_client_init(&rogues[i].client, &weir, i, on_rogue_answer);
        rogues[i].drop_due.on_due = on_drop_due;
        rogues[i].client.http.split_ppm = SIM_PPM / 2;
        rogues[i].client.http.rest_ns = (struct sim_range){10000, 3000000};
        rogue_send(&rogues[i]);
    }
}

/* --- tests ---------------------------------------------------------------- */

TestSuite(weir_stop, .timeout = 110);

Test(weir_stop, ends_clean_in_the_middle_of_the_load)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, WEIR_LOAD_BATCH_MAX);
        for (uint32_t stop = 0; stop < 2; stop++) {
            run_a_while();
            weir_stop(&weir);
            check_journal();
            weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
            weir_start(&weir);
        }
        goal_count = EVENT_TOTAL;
        cr_assert(eq(int, weir_run_until(&weir, is_quiet), SIM_REACHED), "seed %lu", seed);
        weir_stop(&weir);
        check_journal();
        cr_assert(eq(u32, census.event_count, EVENT_TOTAL), "seed %lu", seed);
        weir_end(&weir);
    }
}

/* Requests that the server has begun to work on. */
static uint32_t count_in_flight(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < weir.process.app.shard_count; i++)
        count += pool_used_count(&weir.process.app.shards[i].intake.requests);
    return count;
}

static uint32_t count_answers(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < ARRAY_COUNT(load.status_counts); i++)
        count += load.status_counts[i];
    return count;
}

Test(weir_stop, answers_what_is_in_flight)
{
    uint32_t total = 0;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint32_t in_flight, answered;

        begin(seed, 1);
        run_a_while();
        load.is_paused = true;
        in_flight = count_in_flight();
        answered = count_answers();
        total += in_flight;
        weir_stop(&weir);
        cr_assert(ge(u32, count_answers() - answered, in_flight), "seed %lu", seed);
        cr_assert(eq(u32, load.status_counts[202], load.acknowledged_count), "seed %lu", seed);
        check_journal();
        weir_end(&weir);
    }
    cr_expect(lt(u32, SEED_COUNT, total)); /* else there was nothing to finish */
}

Test(weir_stop, leaves_nothing_behind_of_clients_that_walk_away)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, 20);
        begin_rogues();
        run_a_while();
        run_a_while();
        weir_stop(&weir);
        check_journal();
        weir_end(&weir);
    }
}

Test(weir_stop, leaves_nothing_behind_of_resets_and_stalls)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, 20);
        weir.laptop->faults.reset.chance_ppm = 20000;
        weir.laptop->faults.stall.chance_ppm = 5000;
        weir.server->faults.reset.chance_ppm = 20000;
        weir.server->faults.accept_error.chance_ppm = 20000;
        begin_rogues();
        run_a_while();
        weir.server->faults.stall.chance_ppm = 20000;
        weir_stop(&weir);
        check_journal();
        weir_end(&weir);
    }
}

Test(weir_stop, ends_in_time_although_clients_are_slow)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        begin(seed, 20);
        /* A byte now, a byte in twenty seconds: longer than the drain time. */
        begin_rogues();
        for (uint32_t i = 0; i < ROGUE_COUNT; i++) {
            rogues[i].client.http.split_ppm = SIM_PPM;
            rogues[i].client.http.pause_ns = (struct sim_range){20000000000, 20000000000};
        }
        run_a_while();
        weir_stop(&weir);
        check_journal();
        weir_end(&weir);
    }
}

Test(weir_stop, ends_clean_at_any_moment_of_the_start)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, 20);
        run_a_while();
        weir_crash(&weir);
        weir_start(&weir);
        cr_assert(eq(int, sim_driver_run_for(&weir.driver, rng_below(&weir.world->rng, 3000000)),
                     SIM_REACHED));
        weir_stop(&weir);
        check_journal();
        weir_end(&weir);
    }
}

/* Reads and writes take up to max_ms longer while the server is told to stop. */
static void get_stuck_and_drain(uint64_t seed, uint64_t max_ms)
{
    begin(seed, 20);
    begin_rogues();
    run_a_while();
    weir.server->faults.stuck_ns = (struct sim_range){0, max_ms * 1000000};
    weir.server->faults.disk_stuck.once_count = 5;
    load.rest_ns = (struct sim_range){50000000, 1000000000};
    rogues_must_end = true; /* else they knock a thousand times a second */
    for (uint32_t i = 0; i < CLIENT_COUNT; i++)
        load.senders[i].client.http.rest_ns = (struct sim_range){50000000, 500000000};
    for (uint32_t i = 0; i < ROGUE_COUNT; i++)
        rogues[i].client.http.rest_ns = (struct sim_range){50000000, 500000000};
    cr_assert(eq(int, weir_run_for(&weir, rng_below(&weir.world->rng, 3)), SIM_REACHED));
}

Test(weir_stop, ends_clean_while_the_disk_is_stuck)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        get_stuck_and_drain(seed, 2800); /* five in a row are less than the requests get */
        weir_stop(&weir);
        check_journal();
        weir_end(&weir);
    }
}

Test(weir_stop, says_so_when_the_disk_holds_it_up_for_too_long)
{
    uint32_t late_count = 0;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        int exit_code;

        get_stuck_and_drain(seed, 15000);
        exit_code = weir_try_stop(&weir);
        cr_assert(exit_code == 0 || exit_code == 74, "seed %lu: exit code %d", seed, exit_code);
        late_count += exit_code != 0;
        check_journal();
        weir_end(&weir);
    }
    cr_expect(lt(u32, 0, late_count));
    cr_expect(lt(u32, late_count, SEED_COUNT));
}

static void on_late_answer(struct weir_client *client)
{
    (void)client;
}

/* Whoever asked for the read was killed with its buffer: that is no orderly end. */
Test(weir_stop, says_so_when_a_read_is_all_that_holds_it_up)
{
    static struct weir_client reader;
    struct weir_call call = {.method = "GET"};
    char path[64], id[WEIR_ID_SIZE + 1];

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint32_t n = 0;

        begin(seed, 1);
        run_a_while();
        load.is_paused = true;
        cr_assert(eq(int, weir_run_for(&weir, 3000), SIM_REACHED));
        while (!load.acknowledged[n])
            n++;
        weir_write_id(id, n);
        snprintf(path, sizeof(path), "/v1/events/%s", id);
        call.path = path;
        weir.server->faults.stuck_ns = (struct sim_range){120000000000, 120000000000};
        weir.server->faults.disk_stuck.once_count = 1;
        weir_client_init(&reader, &weir, 0, on_late_answer);
        weir_client_call(&reader, &call, "");
        cr_assert(eq(int, weir_run_for(&weir, 20), SIM_REACHED));
        cr_assert(eq(u32, weir.server->faults.disk_stuck.once_count, 0), "seed %lu", seed);
        cr_assert(eq(int, weir_try_stop(&weir), 74), "seed %lu", seed);
        check_journal();
        weir_end(&weir);
    }
}

static struct weir_client early;
static uint32_t early_status;
static bool early_is_done;

static void on_early_answer(struct weir_client *client)
{
    early_is_done = true;
    early_status = client->request.lost ? 0 : client->request.status;
}

/* A server that is told to stop before it was ready knows no keys, and must not call them bad. */
Test(weir_stop, calls_no_key_invalid_that_it_has_not_read_back)
{
    struct weir_call call = {.path = "/v1/events"};
    char body[256];
    uint32_t answered_count = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        weir_begin(&weir, seed, 2);
        weir.server->faults.disk_latency_ns = (struct sim_range){20000000, 20000000};
        weir_start(&weir);
        early_is_done = false;
        weir_client_init(&early, &weir, 0, on_early_answer);
        weir_write_event(body, sizeof(body), 1, NULL);
        weir_client_call(&early, &call, body);
        (void)!weir_run_for(&weir, seed % 4);
        app_drain(&weir.process.app);
        for (uint32_t i = 0; i < 100 && !early_is_done; i++)
            if (weir_run_for(&weir, 1) != SIM_REACHED)
                break;
        cr_assert(ne(u32, early_status, 401), "seed %lu", seed);
        answered_count += early_is_done && early_status != 0;
        weir_end(&weir);
    }
    cr_expect(lt(u32, 0, answered_count));
}
