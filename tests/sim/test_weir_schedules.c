#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>

#include "tests/sim/weir_calls.h"
#include "tests/sim/weir_load.h"

/*
 * Cron schedules in the real server: they run when the wall clock of their zone says so,
 * once, however the process ends and whatever the machine's clock does. The world begins
 * at 2025-01-01T00:00:00Z; time zones are files that the test puts on the simulated disk.
 */
enum {
    SEED_COUNT = 8,
    HOUR_MS = 3600000,
    LEASE_ROUND_MAX = 64,
};

static struct weir weir;
static struct weir_load load;
static struct weir_client client;
static char secret[TENANT_SECRET_SIZE_MAX]; /* of the demo's project, with all scopes */

TestSuite(weir_schedules, .timeout = 110);

/* --- the machine ------------------------------------------------------------------ */

static void put_u32(char **at, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *(*at)++ = (char)(value >> shift);
}

/* One block of a TZif file: its head, one type, no transitions. */
static void put_block(char **at)
{
    memcpy(*at, "TZif2", 5);
    memset(*at + 5, 0, 15);
    *at += 20;
    for (uint32_t i = 0; i < 4; i++)
        put_u32(at, 0);
    put_u32(at, 1); /* types */
    put_u32(at, 4); /* characters */
    put_u32(at, 3600);
    *(*at)++ = 0;
    *(*at)++ = 0;
    memcpy(*at, "CET", 4);
    *at += 4;
}

/* Central European time, as a rule without a table. */
static void write_zone(const char *path)
{
    static const char rule[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
    struct disk *disk = sim_host_disk(weir.server);
    char bytes[256], *at = bytes;
    int fd;

    put_block(&at);
    put_block(&at);
    memcpy(at, rule, sizeof(rule) - 1);
    at += sizeof(rule) - 1;
    fd = disk_open(disk, path, O_CREAT | O_RDWR, 0644);
    cr_assert(ge(int, fd, 0));
    cr_assert(eq(i64, disk_write(disk, fd, bytes, (size_t)(at - bytes), 0), at - bytes));
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    disk_close(disk, fd);
}

static void make_directory(const char *path)
{
    cr_assert(eq(int, disk_make_directory(sim_host_disk(weir.server), path, 0755), 0));
}

/* A server with the zone Europe/Berlin, its clock set off by jump_ms. */
static void begin_at(uint64_t seed, uint32_t shard_count, int64_t jump_ms)
{
    weir_begin(&weir, seed, shard_count);
    sim_world_jump_unix(weir.world, jump_ms);
    make_directory("/zones");
    make_directory("/zones/Europe");
    write_zone("/zones/Europe/Berlin");
    cr_assert(eq(int, disk_sync_directory(sim_host_disk(weir.server), "/zones/Europe"), 0));
    cr_assert(eq(int, disk_sync_directory(sim_host_disk(weir.server), "/zones"), 0));
    cr_assert(eq(int, disk_sync_directory(sim_host_disk(weir.server), "/"), 0));
    weir.process.settings.zoneinfo = "/zones";
    weir_start_ready(&weir);
    weir_client_init(&client, &weir, 0, NULL);
    weir_make_key(&client, "org_demo", "proj_demo", "\"ingest\",\"read\",\"admin\"", secret);
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    begin_at(seed, shard_count, 0);
}

static void run_for(uint64_t ms)
{
    weir_let_pass(&weir, ms);
}

static uint64_t unix_ms(void)
{
    uint64_t mono_ns, ms;

    weir.world->clock_source.read(&weir.world->clock_source, &mono_ns, &ms);
    return ms;
}

/* Lets time pass until so long after the world's beginning. */
static void run_to(uint64_t ms)
{
    cr_assert(lt(u64, unix_ms(), SIM_START_UNIX_MS + ms), "seed %lu", weir.seed);
    run_for(SIM_START_UNIX_MS + ms - unix_ms());
}

static void start_again(void)
{
    sim_http_client_drop(&client.http);
    weir_start_ready(&weir);
}

/* --- asking ----------------------------------------------------------------------- */

static uint32_t ask(const char *method, const char *path, const char *body)
{
    struct weir_call call = {.method = method, .path = path, .key = secret};

    return weir_ask(&client, &call, body);
}

static void put(const char *name, const char *body)
{
    char path[128];
    uint32_t status;

    snprintf(path, sizeof(path), "/v1/schedules/%s", name);
    status = ask("PUT", path, body);
    cr_assert(status == 200 || status == 201, "seed %lu: %u %s", weir.seed, status, client.answer);
}

/* The schedule's own words, in client.answer. */
static void get(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "/v1/schedules/%s", name);
    cr_assert(eq(u32, ask("GET", path, ""), 200), "seed %lu: %s", weir.seed, client.answer);
}

static bool says(const char *text)
{
    return strstr(client.answer, text) != NULL;
}

static uint64_t number_of(const char *name)
{
    char wanted[64];
    const char *at;

    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    at = strstr(client.answer, wanted);
    cr_assert(at != NULL, "seed %lu: %s", weir.seed, client.answer);
    return strtoul(at + strlen(wanted), NULL, 10);
}

/* How many were missed, by the schedule in client.answer; "missed" is its policy's name too. */
static uint64_t missed(void)
{
    const char *at = strstr(client.answer, "\"runs\"");

    cr_assert(at != NULL, "seed %lu: %s", weir.seed, client.answer);
    at = strstr(at, "\"missed\":");
    return strtoul(at + strlen("\"missed\":"), NULL, 10);
}

static uint64_t fired(const char *name)
{
    get(name);
    return number_of("fired");
}

/* Leases all jobs of the kind there are; each must hold text. Returns how many. */
static uint64_t lease_all(const char *kind, const char *text)
{
    char path[128];
    uint64_t count = 0;

    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", kind);
    for (uint32_t round = 0; round < LEASE_ROUND_MAX; round++) {
        uint64_t before = count;

        cr_assert(eq(u32, ask("POST", path, "{\"limit\":20,\"lease_seconds\":3600}"), 200));
        for (const char *at = client.answer; (at = strstr(at, "\"epoch\"")) != NULL; at++)
            count++;
        for (const char *at = client.answer; (at = strstr(at, text)) != NULL; at++)
            before++;
        cr_assert(eq(u64, before, count), "seed %lu: %s", weir.seed, client.answer);
        if (strstr(client.answer, "\"epoch\"") == NULL)
            return count;
    }
    cr_assert(false, "seed %lu: there is no end of jobs", weir.seed);
    return count;
}

/* --- time ------------------------------------------------------------------------- */

Test(weir_schedules, run_when_they_are_due_and_bring_their_payload)
{
    begin(1, 2);
    put("often", "{\"cron\":\"*/5 * * * *\",\"kind\":\"report\",\"payload\":{\"of\":\"often\"},"
                 "\"key\":\"k\",\"max_attempts\":2}");
    cr_assert(says("\"next_at\":\"2025-01-01T00:05:00.000Z\""), "%s", client.answer);
    cr_assert(says("\"last_at\":null"));
    run_to(5 * MINUTE_MS - 1000);
    cr_assert(eq(u64, fired("often"), 0));
    run_to(15 * MINUTE_MS + 1000);
    cr_assert(eq(u64, fired("often"), 3));
    cr_assert(says("\"last_at\":\"2025-01-01T00:15:00.000Z\""), "%s", client.answer);
    cr_assert(says("\"next_at\":\"2025-01-01T00:20:00.000Z\""));
    cr_assert(says("\"payload\":{\"of\":\"often\"}"));
    /* One key: one at a time. */
    cr_assert(eq(u64, lease_all("report", "\"payload\":{\"of\":\"often\"}"), 1));
    cr_assert(eq(u64, weir_metric(&weir, weir.process.app.metrics.schedules.fired), 3));
    cr_assert(eq(u64, weir_metric(&weir, weir.process.app.metrics.schedules.count), 1));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_schedules, run_a_time_that_the_clock_jumps_over_once)
{
    begin_at(2, 1, INT64_C(1743285600000) - (int64_t)SIM_START_UNIX_MS); /* 29 March, 22:00Z */
    put("nightly", "{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\",\"kind\":\"a\"}");
    cr_assert(says("\"next_at\":\"2025-03-30T01:00:00.000Z\""), "%s", client.answer);
    run_for(4 * HOUR_MS);
    get("nightly");
    cr_assert(says("\"last_at\":\"2025-03-30T01:00:00.000Z\""), "%s", client.answer);
    cr_assert(says("\"next_at\":\"2025-03-31T00:30:00.000Z\""), "%s", client.answer);
    cr_assert(eq(u64, number_of("fired"), 1));
    weir_end(&weir);
}

Test(weir_schedules, run_a_time_that_the_clock_shows_twice_once)
{
    begin_at(3, 1, INT64_C(1761429600000) - (int64_t)SIM_START_UNIX_MS); /* 25 Oct, 22:00Z */
    put("nightly", "{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\",\"kind\":\"a\"}");
    cr_assert(says("\"next_at\":\"2025-10-26T00:30:00.000Z\""), "%s", client.answer);
    run_for(5 * HOUR_MS);
    get("nightly");
    cr_assert(says("\"last_at\":\"2025-10-26T00:30:00.000Z\""), "%s", client.answer);
    cr_assert(says("\"next_at\":\"2025-10-27T01:30:00.000Z\""), "%s", client.answer);
    cr_assert(eq(u64, number_of("fired"), 1));
    weir_end(&weir);
}

Test(weir_schedules, make_up_for_a_clock_that_jumps_ahead_and_repeat_nothing_when_it_goes_back)
{
    begin(4, 1);
    put("all", "{\"cron\":\"*/10 * * * *\",\"kind\":\"all\",\"missed\":\"fire_all\"}");
    put("once", "{\"cron\":\"*/10 * * * *\",\"kind\":\"once\"}");
    run_to(10 * MINUTE_MS + 1000);
    cr_assert(eq(u64, fired("all"), 1));
    sim_world_jump_unix(weir.world, HOUR_MS);
    run_for(SCHEDULE_TICK_MS + 1000);
    cr_assert(eq(u64, fired("all"), 7));
    cr_assert(eq(u64, fired("once"), 2));
    cr_assert(eq(u64, missed(), 5));
    sim_world_jump_unix(weir.world, -HOUR_MS);
    run_to(HOUR_MS + 19 * MINUTE_MS);
    cr_assert(eq(u64, fired("all"), 7));
    cr_assert(eq(u64, fired("once"), 2));
    run_to(HOUR_MS + 20 * MINUTE_MS + 1000);
    cr_assert(eq(u64, fired("all"), 8));
    cr_assert(eq(u64, fired("once"), 3));
    cr_assert(eq(u64, lease_all("all", "\"kind\":\"all\""), 8));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_schedules, that_were_missed_while_the_server_was_down_go_by_their_policy)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        begin(seed, 1 + (uint32_t)(seed % 3));
        put("all", "{\"cron\":\"0 * * * *\",\"kind\":\"all\",\"missed\":\"fire_all\"}");
        put("once", "{\"cron\":\"0 * * * *\",\"kind\":\"once\",\"missed\":\"fire_once\"}");
        put("none", "{\"cron\":\"0 * * * *\",\"kind\":\"none\",\"missed\":\"skip\"}");
        put("idle", "{\"cron\":\"0 * * * *\",\"kind\":\"idle\",\"paused\":true}");
        run_for(1000);
        if (seed % 2 == 0)
            weir_kill(&weir);
        else
            weir_crash(&weir);
        sim_world_jump_unix(weir.world, 5 * (int64_t)HOUR_MS + 10 * MINUTE_MS);
        weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
        start_again();
        run_for(2000);
        cr_assert(eq(u64, fired("all"), 5), "seed %lu: %s", seed, client.answer);
        cr_assert(eq(u64, missed(), 0));
        cr_assert(eq(u64, fired("once"), 1), "seed %lu: %s", seed, client.answer);
        cr_assert(eq(u64, missed(), 4));
        cr_assert(says("\"last_at\":\"2025-01-01T05:00:00.000Z\""), "%s", client.answer);
        cr_assert(eq(u64, fired("none"), 0), "seed %lu: %s", seed, client.answer);
        cr_assert(eq(u64, missed(), 5));
        cr_assert(eq(u64, fired("idle"), 0));
        cr_assert(says("\"next_at\":null"));
        cr_assert(eq(u64, lease_all("all", "\"kind\":\"all\""), 5));
        cr_assert(eq(u64, lease_all("once", "\"kind\":\"once\""), 1));
        cr_assert(eq(u64, lease_all("none", "\"kind\":\"none\""), 0));
        put("idle", "{\"cron\":\"0 * * * *\",\"kind\":\"idle\",\"missed\":\"fire_all\"}");
        run_for(1000);
        cr_assert(eq(u64, fired("idle"), 0)); /* what was due while it was paused is not made up */
        weir_end(&weir);
    }
}

/* --- crashes ------------------------------------------------------------------------ */

/* Ends the process at a point of the seed's choice; some of them within a disk call. */
static void end_somewhere(void)
{
    struct rng *rng = &weir.world->rng;

    if (rng_below(rng, 2) == 0) {
        run_for(1 + rng_below(rng, 2500));
    } else {
        sim_host_crash_after(weir.server, 1 + rng_below(rng, 12));
        for (uint32_t i = 0; i < 8000 && sim_host_is_up(weir.server); i++)
            if (weir_run_for(&weir, 1) != SIM_REACHED)
                break;
        if (sim_host_is_up(weir.server))
            sim_host_crash_after(weir.server, 0);
    }
    if (rng_below(rng, 2) == 0)
        weir_kill(&weir);
    else
        weir_crash(&weir);
}

Test(weir_schedules, run_each_time_once_however_the_process_ends)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint64_t first_ms, count;
        char last_at[TIMESTAMP_TEXT_SIZE + 1];
        uint32_t offset = 0;
        int64_t last_ms;

        begin(seed, 1 + (uint32_t)(seed % 3));
        put("ticks", "{\"cron\":\"* * * * * *\",\"kind\":\"tick\",\"missed\":\"fire_all\","
                     "\"payload\":\"tick\"}");
        first_ms = (unix_ms() / 1000 + 1) * 1000;
        for (uint32_t i = 0; i < 12; i++) {
            end_somewhere();
            weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
            start_again();
        }
        run_for(2500);
        count = fired("ticks");
        cr_assert(
            weir_answer_string(&client.request, "last_at", &offset, last_at, sizeof(last_at)));
        cr_assert(timestamp_parse(slice_of(last_at), &last_ms));
        cr_assert(eq(u64, count, ((uint64_t)last_ms - first_ms) / 1000 + 1), "seed %lu: %s", seed,
                  client.answer);
        cr_assert(le(u64, unix_ms() - (uint64_t)last_ms, 2000), "seed %lu: %s", seed,
                  client.answer);
        cr_assert(eq(u64, missed(), 0));
        /* Nothing new while they are counted. */
        put("ticks", "{\"cron\":\"* * * * * *\",\"kind\":\"tick\",\"paused\":true}");
        count = number_of("fired");
        cr_assert(eq(u64, lease_all("tick", "\"payload\":\"tick\""), count), "seed %lu", seed);
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_schedules, stay_as_they_were_answered_through_crashes_and_changes_of_shards)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, 1 + (uint32_t)(seed % 3));
        put("kept", "{\"cron\":\"@daily\",\"kind\":\"a\",\"payload\":1}");
        put("gone", "{\"cron\":\"@daily\",\"kind\":\"a\",\"payload\":1}");
        for (uint32_t i = 2; i < 10; i++) {
            char body[128];

            snprintf(body, sizeof(body), "{\"cron\":\"@daily\",\"kind\":\"a\",\"payload\":%u}", i);
            put("kept", body);
            if (i == 5)
                cr_assert(eq(u32, ask("DELETE", "/v1/schedules/gone", ""), 200));
            end_somewhere();
            weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 4);
            start_again();
            get("kept");
            cr_assert(eq(u64, number_of("payload"), i), "seed %lu: %s", seed, client.answer);
            cr_assert(eq(u32, ask("GET", "/v1/schedules/gone", ""), i < 5 ? 200 : 404),
                      "seed %lu: %s", seed, client.answer);
        }
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_schedules, are_carried_out_of_segments_that_go)
{
    char name[16];

    begin(5, 2);
    weir.process.settings.segment_bytes = 128 << 10;
    weir.process.settings.reserve_bytes = 128 << 10;
    weir.process.settings.retain_bytes = 512 << 10;
    weir_stop(&weir);
    start_again();
    for (uint32_t i = 0; i < 80; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        put(name, "{\"cron\":\"@yearly\",\"kind\":\"a\",\"payload\":[1,2]}");
    }
    weir_load_init(&load, &weir, 6, 12000);
    load.batch_max = 30;
    load.payload_size = 1000;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t enough = load.acknowledged_count + 1500;

        weir_load_start(&load);
        while (load.acknowledged_count < enough)
            run_for(1);
        load.is_paused = true;
        run_for(3000);
        for (uint32_t k = 0; k < 80; k++) {
            snprintf(name, sizeof(name), "s%u", k);
            get(name);
            cr_assert(says("\"payload\":[1,2]"), "%s", client.answer);
        }
        cr_assert(
            lt(u64, 4,
               weir_metric(&weir, weir.process.app.metrics.journal.dropped[JOURNAL_DROP_BYTES])));
        weir_crash(&weir);
        start_again();
        load.is_paused = false;
    }
    weir_end(&weir);
}

Test(weir_schedules, that_are_due_together_all_run)
{
    enum { COUNT = 150 }; /* more than SCHEDULE_STEP_COUNT_MAX */
    char name[16];

    begin(11, 1);
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        put(name, "{\"cron\":\"*/10 * * * *\",\"kind\":\"report\"}");
    }
    run_to(10 * MINUTE_MS + 1000);
    cr_assert(
        eq(u64, weir_metric(&weir, weir.process.app.metrics.schedules.fired), (uint64_t)COUNT));
    cr_assert(eq(u64, lease_all("report", "\"kind\":\"report\""), (uint64_t)COUNT));
    weir_stop(&weir);
    weir_end(&weir);
}

/* --- the interface ------------------------------------------------------------------- */

Test(weir_schedules, are_skipped_when_their_queue_is_draining)
{
    begin(6, 1);
    put("often", "{\"cron\":\"* * * * *\",\"kind\":\"report\"}");
    cr_assert(eq(u32, ask("POST", "/v1/queues/report/drain", ""), 200), "%s", client.answer);
    run_to(3 * MINUTE_MS + 1000);
    cr_assert(eq(u64, fired("often"), 0));
    cr_assert(eq(u64, number_of("skipped"), 3));
    cr_assert(says("\"last_at\":null"));
    cr_assert(eq(u32, ask("POST", "/v1/queues/report/resume", ""), 200), "%s", client.answer);
    cr_assert(eq(u64, weir_metric(&weir, weir.process.app.metrics.schedules.skipped), 3));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_schedules, are_refused_with_the_reason)
{
    begin(7, 2);
    cr_assert(
        eq(u32, ask("PUT", "/v1/schedules/a", "{\"cron\":\"0 25 * * *\",\"kind\":\"a\"}"), 422));
    cr_assert(says("hour is out of range, at byte 2"), "%s", client.answer);
    cr_assert(says("\"pointer\":\"/cron\""));
    cr_assert(eq(u32,
                 ask("PUT", "/v1/schedules/a",
                     "{\"cron\":\"@daily\",\"timezone\":\"Mars/Base\",\"kind\":\"a\"}"),
                 422));
    cr_assert(says("\"pointer\":\"/timezone\""), "%s", client.answer);
    /* A directory, and a name that is one of a file only. */
    cr_assert(eq(u32,
                 ask("PUT", "/v1/schedules/a",
                     "{\"cron\":\"@daily\",\"timezone\":\"Europe\",\"kind\":\"a\"}"),
                 422));
    cr_assert(
        eq(u32, ask("PUT", "/v1/schedules/a", "{\"cron\":\"0 0 30 2 *\",\"kind\":\"a\"}"), 422));
    cr_assert(says("never due"), "%s", client.answer);
    cr_assert(eq(u32, ask("PUT", "/v1/schedules/a%20b", "{}"), 422));
    cr_assert(eq(u32, ask("PUT", "/v1/schedules/a", "{"), 400));
    cr_assert(eq(u32, ask("PUT", "/v1/schedules/a", ""), 400));
    cr_assert(eq(u32, ask("GET", "/v1/schedules/a", ""), 404));
    cr_assert(eq(u32, ask("DELETE", "/v1/schedules/a", ""), 404));
    cr_assert(eq(u32, ask("GET", "/v1/schedules?limit=0", ""), 400));
    cr_assert(eq(u32, ask("GET", "/v1/schedules?cursor=x", ""), 400));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_schedules, are_their_projects_own_and_for_admins_to_change)
{
    static const char body[] = "{\"cron\":\"@daily\",\"kind\":\"a\"}";
    char admin[TENANT_SECRET_SIZE_MAX], reader[TENANT_SECRET_SIZE_MAX];
    struct weir_call call = {.path = "/v1/schedules/mine", .method = "GET", .key = admin};

    begin(8, 3);
    weir_make_key(&client, "org_demo", "other", "\"admin\",\"read\"", admin);
    weir_make_key(&client, "org_demo", "other", "\"ingest\",\"read\"", reader);
    put("mine", body);
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 404));
    call.method = "DELETE";
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 404));
    call.method = "PUT";
    cr_assert(eq(u32, weir_ask(&client, &call, body), 201)); /* another one of that name */
    cr_assert(eq(u32, weir_ask(&client, &call, body), 200));
    call.key = reader;
    cr_assert(eq(u32, weir_ask(&client, &call, body), 403));
    call.method = "DELETE";
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 403));
    call.method = "GET";
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 200));
    call.key = WEIR_ADMIN_TOKEN_TEXT;
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 403)); /* of no project */
    cr_assert(eq(u32, ask("DELETE", "/v1/schedules/mine", ""), 200));
    cr_assert(says("\"deleted\":true"));
    call.key = reader;
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 200));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_schedules, are_listed_page_by_page)
{
    char name[16], path[64], cursor[16] = "0";
    uint32_t count = 0;

    begin(9, 2);
    for (uint32_t i = 0; i < 45; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        put(name, "{\"cron\":\"@daily\",\"timezone\":\"Europe/Berlin\",\"kind\":\"a\"}");
    }
    for (uint32_t page = 0; page < 3; page++) {
        uint32_t offset = 0;

        snprintf(path, sizeof(path), "/v1/schedules?limit=20&cursor=%s", cursor);
        cr_assert(eq(u32, ask("GET", path, ""), 200));
        for (const char *at = client.answer; (at = strstr(at, "\"name\"")) != NULL; at++)
            count++;
        cr_assert(
            eq(int,
               weir_answer_string(&client.request, "next_cursor", &offset, cursor, sizeof(cursor)),
               page < 2));
    }
    cr_assert(eq(u32, count, 45));
    cr_assert(says("\"next_cursor\":null"));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_schedules, use_so_many_time_zones_and_no_more)
{
    char path[32], body[96];

    begin(12, 1);
    for (uint32_t i = 0; i <= ZONE_COUNT_MAX; i++) {
        snprintf(path, sizeof(path), "/zones/Z%u", i);
        write_zone(path);
        snprintf(path, sizeof(path), "/v1/schedules/s%u", i);
        snprintf(body, sizeof(body), "{\"cron\":\"@daily\",\"timezone\":\"Z%u\",\"kind\":\"a\"}",
                 i);
        cr_assert(eq(u32, ask("PUT", path, body), i < ZONE_COUNT_MAX ? 201 : 429), "%s",
                  client.answer);
    }
    /* One that nobody uses any more makes room. */
    cr_assert(eq(u32, ask("DELETE", "/v1/schedules/s3", ""), 200));
    cr_assert(eq(u32, ask("PUT", path, body), 201), "%s", client.answer);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_schedules, wait_for_a_time_zone_that_is_missing_after_a_start)
{
    struct disk *disk;

    begin(10, 1);
    disk = sim_host_disk(weir.server);
    put("hourly", "{\"cron\":\"0 * * * *\",\"timezone\":\"Europe/Berlin\",\"kind\":\"a\"}");
    weir_stop(&weir);
    cr_assert(eq(int, disk_unlink(disk, "/zones/Europe/Berlin"), 0));
    start_again();
    run_for(1000);
    get("hourly");
    cr_assert(says("\"error\":"), "%s", client.answer);
    cr_assert(says("\"next_at\":null"));
    write_zone("/zones/Europe/Berlin");
    run_for(SCHEDULE_TICK_MS + 1000);
    get("hourly");
    cr_assert(not(says("\"error\":")), "%s", client.answer);
    cr_assert(says("\"next_at\":\"2025-01-01T01:00:00.000Z\""));
    run_for(HOUR_MS);
    cr_assert(eq(u64, fired("hourly"), 1));
    weir_stop(&weir);
    weir_end(&weir);
}
