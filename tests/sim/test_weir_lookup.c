#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_load.h"

/*
 * GET /v1/events/{id} for everything that was acknowledged: after power cuts, with
 * another number of shards, over connections to each of them, and never for another
 * tenant. And retention: what GET no longer finds is forgotten everywhere, what is
 * still on disk is found, and the disk does not grow.
 */
enum {
    CLIENT_COUNT = 6,
    READER_COUNT = 4, /* connections, so that every shard is asked */
};

static struct weir weir;
static struct weir_load load;
static struct weir_census census;
static struct weir_client readers[READER_COUNT];
static struct weir_client admin;
static uint32_t goal_count;
static char other_key[TENANT_SECRET_SIZE_MAX];

static bool is_reached(void)
{
    return load.acknowledged_count >= goal_count &&
           (goal_count < load.event_count || weir_load_is_quiet(&load));
}

static void run_until(uint32_t acknowledged_count)
{
    goal_count = (uint32_t)min_u64(acknowledged_count, load.event_count);
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED), "seed %lu: %s", weir.seed,
              weir.process.text);
}

static void begin(uint64_t seed, uint32_t event_count)
{
    weir_begin(&weir, seed, 1 + (uint32_t)(seed % 3));
    for (uint32_t i = 0; i < READER_COUNT; i++)
        weir_client_init(&readers[i], &weir, i, NULL);
    weir_client_init(&admin, &weir, 0, NULL);
    weir_load_init(&load, &weir, CLIENT_COUNT, event_count);
}

static void restart(bool orderly)
{
    if (orderly)
        weir_stop(&weir);
    else
        weir_crash(&weir);
    weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    /* New connections, some to each shard. */
    for (uint32_t i = 0; i < READER_COUNT; i++)
        sim_http_client_drop(&readers[i].http);
    sim_http_client_drop(&admin.http);
    cr_assert(eq(int, weir_run_for(&weir, 100), SIM_REACHED));
}

/* Status of a GET; NULL is the demo key. */
static uint32_t get(uint32_t number, const char *key)
{
    struct weir_client *reader = &readers[number % READER_COUNT];
    struct weir_call call = {.method = "GET", .key = key};
    char id[WEIR_ID_SIZE + 1], path[64], message[32];
    uint32_t status;

    weir_write_id(id, number);
    snprintf(path, sizeof(path), "/v1/events/%s", id);
    call.path = path;
    status = weir_ask(reader, &call, "");
    snprintf(message, sizeof(message), "\"number %u.\"", number);
    if (status == 200) {
        cr_assert(weir_answer_has(&reader->request, message), "seed %lu: %s", weir.seed, message);
        cr_assert(weir_answer_has(&reader->request, id), "seed %lu: %s", weir.seed, id);
    }
    return status;
}

/* Sends the event by itself again. True when the server knew it. */
static bool send_again(uint32_t number)
{
    struct weir_client *reader = &readers[number % READER_COUNT];
    struct weir_call call = {.path = "/v1/events"};
    char id[WEIR_ID_SIZE + 1], body[512];

    weir_write_id(id, number);
    weir_write_event(body, sizeof(body), number, id);
    cr_assert(eq(u32, weir_ask(reader, &call, body), 202), "seed %lu: %.*s", weir.seed,
              (int)reader->request.body_size, reader->request.body);
    return weir_answer_has(&reader->request, "\"duplicate\":true");
}

static void make_other_tenant(void)
{
    struct weir_call call = {.path = "/v1/admin/keys", .key = WEIR_ADMIN_TOKEN_TEXT};
    uint32_t offset = 0;

    cr_assert(eq(u32, weir_ask(&admin, &call, "{\"org_id\":\"org_demo\",\"project_id\":\"other\"}"),
                 201));
    cr_assert(weir_answer_string(&admin.request, "key", &offset, other_key, sizeof(other_key)));
}

TestSuite(weir_lookup, .timeout = 110);

Test(weir_lookup, finds_every_acknowledged_event_after_a_restart)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        begin(seed, 240);
        load.batch_max = 10;
        load.payload_size = seed % 3 == 0 ? 5000 : 50; /* also those that span blocks */
        weir_start(&weir);
        weir_run_until_ready(&weir);
        make_other_tenant();
        weir_load_start(&load);
        for (uint32_t i = 0; i < 2; i++) {
            run_until(load.acknowledged_count + 1 +
                      (uint32_t)rng_below(&weir.world->rng, load.event_count / 3));
            restart(false);
        }
        run_until(load.event_count);
        restart(seed % 2 == 0);
        for (uint32_t number = 0; number < load.event_count; number++) {
            cr_assert(eq(u32, get(number, NULL), 200), "seed %lu: event %u", seed, number);
            cr_assert(eq(u32, get(number, other_key), 404), "seed %lu: event %u", seed, number);
        }
        cr_assert(eq(u32, get(load.event_count, NULL), 404), "seed %lu", seed);
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_lookup, finds_an_event_as_soon_as_it_is_acknowledged)
{
    begin(5, 600);
    load.batch_max = 10;
    weir_start(&weir);
    weir_load_start(&load);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t number;

        run_until(load.acknowledged_count + 1);
        for (number = 0; number < load.event_count - 1; number++)
            if (load.acknowledged[number] && !load.acknowledged[number + 1])
                cr_assert(eq(u32, get(number, NULL), 200), "event %u", number);
        if (load.acknowledged_count > load.event_count - 20)
            break;
    }
    weir_end(&weir);
}

/* --- retention ------------------------------------------------------------ */

static uint64_t dropped_count(enum journal_drop_reason reason)
{
    return weir_metric(&weir, weir.process.app.metrics.journal.dropped[reason]);
}

Test(weir_lookup, forgets_old_events_everywhere_and_keeps_the_disk_bounded)
{
    enum { SEGMENT = 128 << 10 };

    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint32_t gone_count = 0, there_count = 0;
        bool stored[4200];

        begin(seed, 4200);
        weir.process.settings.segment_bytes = SEGMENT;
        weir.process.settings.reserve_bytes = SEGMENT;
        weir.process.settings.retain_bytes = 8 * SEGMENT;
        load.batch_max = 20;
        load.payload_size = 700;
        weir_start(&weir);
        weir_load_start(&load);
        for (uint32_t i = 0; i < 3; i++) {
            run_until(load.event_count / 4 * (i + 1));
            cr_assert(lt(u64, 0, dropped_count(JOURNAL_DROP_BYTES)), "seed %lu", seed);
            restart(i == 1);
        }
        run_until(load.event_count);
        cr_assert(eq(int, weir_run_for(&weir, 2000), SIM_REACHED));
        /* Retained, spare, reserve, active and being dropped, of up to three logs. */
        cr_assert(le(u64, weir_disk_used(&weir), (8 + 3 * 7) * SEGMENT), "seed %lu: %lu", seed,
                  weir_disk_used(&weir) / SEGMENT);
        for (uint32_t number = 0; number < load.event_count; number++) {
            uint32_t status = get(number, NULL);

            cr_assert(status == 200 || status == 404, "seed %lu: %u", seed, status);
            stored[number] = status == 200;
            there_count += status == 200;
            gone_count += status == 404;
        }
        cr_assert(lt(u32, 100, gone_count), "seed %lu", seed);
        cr_assert(lt(u32, 100, there_count), "seed %lu", seed);
        weir_stop(&weir);
        weir_census(&weir, &census);
        for (uint32_t number = 0; number < load.event_count; number++)
            cr_assert(eq(u32, census.events[number].count, stored[number]),
                      "seed %lu: event %u is %u times on disk", seed, number,
                      census.events[number].count);
        weir_start(&weir); /* the demo key has been copied forward */
        weir_run_until_ready(&weir);
        for (uint32_t number = 0; number < load.event_count; number += 500)
            if (!stored[number])
                cr_assert(not(send_again(number)), "seed %lu: event %u", seed, number);
        weir_stop(&weir);
        weir_end(&weir);
    }
}

/* Segments that stay open for reads to come, and nothing else that could be closed. */
Test(weir_lookup, gives_its_descriptors_to_a_connection_that_finds_none)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        begin(seed, 2000);
        weir.process.settings.segment_bytes = 128 << 10;
        load.batch_max = 20;
        load.payload_size = 700;
        weir_start(&weir);
        weir_load_start(&load);
        run_until(load.event_count);
        for (uint32_t number = 0; number < load.event_count; number += 10)
            cr_assert(eq(u32, get(number, NULL), 200), "seed %lu: event %u", seed, number);
        for (uint32_t i = 0; i < CLIENT_COUNT; i++)
            sim_http_client_drop(&load.senders[i].client.http);
        for (uint32_t i = 0; i < READER_COUNT; i++)
            sim_http_client_drop(&readers[i].http);
        cr_assert(eq(int, weir_run_for(&weir, 1000), SIM_REACHED));
        weir.server->fd_count_max = weir.server->fd_count;
        cr_assert(eq(u32, get(0, NULL), 200), "seed %lu", seed);
        weir.server->fd_count_max = 4096;
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_lookup, drops_segments_by_age)
{
    begin(3, 300);
    weir.process.settings.segment_bytes = 128 << 10;
    weir.process.settings.reserve_bytes = 128 << 10;
    weir.process.settings.retain_hours = 1;
    load.payload_size = 700;
    weir_start(&weir);
    weir_load_start(&load);
    run_until(load.event_count);
    cr_assert(eq(u32, get(0, NULL), 200));
    cr_assert(eq(u64, dropped_count(JOURNAL_DROP_AGE), 0));
    for (uint32_t minute = 0; minute < 70; minute++)
        cr_assert(eq(int, weir_run_for(&weir, 60000), SIM_REACHED));
    cr_assert(lt(u64, 0, dropped_count(JOURNAL_DROP_AGE)));
    cr_assert(eq(u32, get(0, NULL), 404));
    cr_assert(not(send_again(0)));
    weir_stop(&weir);
    weir_end(&weir);
}
