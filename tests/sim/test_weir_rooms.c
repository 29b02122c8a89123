#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_calls.h"

/*
 * Bounds are divided by the shards, but projects are not: with another number of shards one of
 * them may find more of its own than its part of a bound. What has been acknowledged is there
 * after each start; the bounds decide about what is new.
 */
enum {
    PROJECT_COUNT = 12,
    BATCH_COUNT = 100,
    BODY_SIZE = 32768,
};

struct project {
    char name[16];
    char key[TENANT_SECRET_SIZE_MAX];
};

static struct weir weir;
static struct weir_client client;
static struct project projects[PROJECT_COUNT];
static char body[BODY_SIZE];

/* --- asking ----------------------------------------------------------------------- */

static uint32_t ask(const char *key, const char *method, const char *path, const char *data)
{
    struct weir_call call = {.method = method, .path = path, .key = key};

    return weir_ask(&client, &call, data);
}

static void make_project(struct project *project, uint32_t number)
{
    snprintf(project->name, sizeof(project->name), "project%u", number);
    weir_make_key(&client, "org", project->name, "\"ingest\",\"read\",\"admin\"", project->key);
}

/* Where what is its own is with so many shards. */
static uint32_t shard_of(const struct project *project, uint32_t shard_count)
{
    return job_partition(slice_of("org"), slice_of(project->name),
                         weir.process.app.superblock.partition_count) %
           shard_count;
}

/* --- the world ---------------------------------------------------------------------- */

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir_client_init(&client, &weir, 0, NULL);
}

static void start(void)
{
    weir_start(&weir);
    weir_run_until_ready(&weir);
}

/* The machine loses its power, and the server comes back with so many shards. */
static void restart(uint32_t shard_count)
{
    static const struct weir_call call = {.method = "GET", .path = "/livez"};

    weir_crash(&weir);
    weir.process.shard_count = shard_count;
    start();
    /* The client finds out that its connection has gone. */
    client.is_answered = false;
    weir_client_call(&client, &call, "");
    for (uint32_t ms = 0; ms < 10000 && !client.is_answered; ms++)
        cr_assert(eq(int, weir_run_for(&weir, 1), SIM_REACHED));
    cr_assert(client.is_answered);
}

static void end(void)
{
    weir_stop(&weir);
    weir_end(&weir);
}

/* --- jobs --------------------------------------------------------------------------- */

/* Enqueues count jobs of one kind, or of as many kinds from first_kind on. */
static uint32_t enqueue(const struct project *project, uint32_t count, uint32_t first_kind,
                        bool has_kinds)
{
    size_t size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");

    for (uint32_t i = 0; i < count; i++)
        size += (size_t)snprintf(body + size, sizeof(body) - size, "%s{\"kind\":\"kind%u\"}",
                                 i > 0 ? "," : "", first_kind + (has_kinds ? i : 0));
    snprintf(body + size, sizeof(body) - size, "]}");
    return ask(project->key, "POST", "/v1/jobs/batch", body);
}

/* Leases all jobs of the kind and completes them; gives how many there were. */
static uint32_t complete_all(const struct project *project, const char *kind)
{
    char path[64];
    uint32_t sum = 0, count;

    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", kind);
    do {
        size_t size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");
        char id[WEIR_ID_SIZE + 1], epoch[32];
        uint32_t offset = 0;

        cr_assert(eq(int, ask(project->key, "POST", path, "{\"limit\":100}"), 200));
        for (count = 0; weir_answer_string(&client.request, "id", &offset, id, sizeof(id));
             count++) {
            cr_assert(weir_answer_string(&client.request, "epoch", &offset, epoch, sizeof(epoch)));
            size += (size_t)snprintf(body + size, sizeof(body) - size,
                                     "%s{\"id\":\"%s\",\"epoch\":\"%s\"}", count > 0 ? "," : "", id,
                                     epoch);
        }
        snprintf(body + size, sizeof(body) - size, "]}");
        if (count > 0)
            cr_assert(eq(int, ask(project->key, "POST", "/v1/jobs/complete", body), 200));
        sum += count;
    } while (count > 0);
    return sum;
}

Test(weir_rooms, a_start_with_more_shards_goes_on_with_all_jobs_of_a_project)
{
    enum { LIMIT = 1024, COUNT = 10 * BATCH_COUNT };

    begin(20, 1);
    weir.process.settings.job_count = LIMIT;
    start();
    make_project(&projects[0], 0);
    for (uint32_t i = 0; i < COUNT; i += BATCH_COUNT)
        cr_assert(eq(int, enqueue(&projects[0], BATCH_COUNT, 0, false), 202));
    restart(3);
    cr_expect(eq(int, enqueue(&projects[0], 1, 0, false), 503), "its shard has more than enough");
    for (uint32_t i = 1; i < PROJECT_COUNT; i++) {
        make_project(&projects[i], i);
        if (shard_of(&projects[i], 3) == shard_of(&projects[0], 3))
            continue;
        cr_assert(eq(int, enqueue(&projects[i], BATCH_COUNT, 0, false), 202));
        cr_expect(eq(u32, complete_all(&projects[i], "kind0"), BATCH_COUNT));
        break;
    }
    restart(2);
    cr_expect(eq(u32, complete_all(&projects[0], "kind0"), COUNT));
    weir_let_pass(&weir, 2000);
    cr_expect(eq(int, enqueue(&projects[0], 1, 0, false), 202));
    end();
}

Test(weir_rooms, a_start_with_a_smaller_bound_goes_on_with_all_jobs)
{
    enum { COUNT = 12 * BATCH_COUNT };

    begin(21, 1);
    weir.process.settings.job_count = 2 * COUNT;
    start();
    make_project(&projects[0], 0);
    for (uint32_t i = 0; i < COUNT; i += BATCH_COUNT)
        cr_assert(eq(int, enqueue(&projects[0], BATCH_COUNT, 0, false), 202));
    weir.process.settings.job_count = 1024;
    restart(1);
    cr_expect(eq(int, enqueue(&projects[0], 1, 0, false), 503));
    cr_expect(eq(u32, complete_all(&projects[0], "kind0"), COUNT));
    restart(1);
    cr_expect(eq(int, enqueue(&projects[0], 1, 0, false), 202), "what has ended makes room");
    end();
}

Test(weir_rooms, a_start_with_fewer_shards_goes_on_with_the_queues_of_all_of_them)
{
    enum { SHARD_COUNT = 3, KIND_COUNT = 15 * BATCH_COUNT };
    struct project project = {.key = ""};
    uint32_t number = 0;

    static_assert((int)SHARD_COUNT * (int)KIND_COUNT > (int)JOB_QUEUE_COUNT_MAX, "more than fit");
    begin(24, SHARD_COUNT);
    start();
    for (uint32_t shard = 0; shard < SHARD_COUNT; shard++) {
        do
            snprintf(project.name, sizeof(project.name), "project%u", ++number);
        while (shard_of(&project, SHARD_COUNT) != shard);
        make_project(&project, number);
        for (uint32_t i = 0; i < KIND_COUNT; i += BATCH_COUNT)
            cr_assert(eq(int, enqueue(&project, BATCH_COUNT, i, true), 202));
    }
    restart(1);
    cr_expect(eq(u32, job_table_queue_count(weir.process.app.shards[0].jobs.table),
                 SHARD_COUNT * KIND_COUNT));
    cr_expect(eq(u32, complete_all(&project, "kind0"), 1));
    cr_expect(eq(u32, complete_all(&project, "kind1499"), 1));
    cr_expect(eq(int, enqueue(&project, 1, 1, true), 202));
    cr_expect(eq(int, enqueue(&project, 1, KIND_COUNT, true), 429), "%s", client.answer);
    end();
}

/* --- incidents ---------------------------------------------------------------------- */

/* A burst of errors of one kind, that opens an incident. */
static void send_burst(const struct project *project, uint32_t number)
{
    enum { BURST_COUNT = 40 };
    size_t size = (size_t)snprintf(body, sizeof(body), "{\"events\":[");
    char time[TIMESTAMP_TEXT_SIZE];

    timestamp_format((int64_t)SIM_START_UNIX_MS, time);
    for (uint32_t i = 0; i < BURST_COUNT; i++)
        size += (size_t)snprintf(body + size, sizeof(body) - size,
                                 "%s{\"event_type\":\"error\",\"message\":\"m\","
                                 "\"occurred_at\":\"%.*s\","
                                 "\"environment\":\"prod\","
                                 "\"attributes\":{\"error_code\":\"E%u\",\"route\":\"/a\"}}",
                                 i > 0 ? "," : "", (int)sizeof(time), time, number);
    snprintf(body + size, sizeof(body) - size, "]}");
    cr_assert(eq(int, ask(project->key, "POST", "/v1/events/batch", body), 202), "%s",
              client.answer);
}

static struct incident_table_stats incidents_of(const struct project *project)
{
    struct incident_table_stats stats;
    uint32_t shard = shard_of(project, weir.process.shard_count);

    incident_table_stats(weir.process.app.shards[shard].incidents.table, &stats);
    return stats;
}

Test(weir_rooms, a_start_with_more_shards_goes_on_with_all_open_incidents)
{
    enum { LIMIT = 64, COUNT = 60 };

    begin(22, 1);
    weir.process.settings.incident_count = LIMIT;
    start();
    make_project(&projects[0], 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        send_burst(&projects[0], i);
        weir_let_pass(&weir, 100);
    }
    cr_assert(eq(u32, incidents_of(&projects[0]).open, COUNT));
    restart(3);
    cr_expect(eq(u32, incidents_of(&projects[0]).open, COUNT));
    restart(2);
    cr_expect(eq(u32, incidents_of(&projects[0]).open, COUNT));
    end();
}

Test(weir_rooms, a_start_with_more_shards_goes_on_with_the_rules_of_all_projects)
{
    enum { SHARD_COUNT = 16, ROOM = INCIDENT_PROJECTS_MAX / SHARD_COUNT, COUNT = ROOM + 6 };
    static const char rules[] = "{\"error_spike\":{\"count\":77}}";
    struct project project = {.key = ""};
    uint32_t count = 0;

    begin(23, 1);
    start();
    for (uint32_t number = 0; count < COUNT; number++) {
        snprintf(project.name, sizeof(project.name), "project%u", number);
        if (shard_of(&project, SHARD_COUNT) != 1)
            continue;
        make_project(&project, number);
        cr_assert(eq(int, ask(project.key, "PUT", "/v1/incident-rules", rules), 200));
        count++;
    }
    restart(SHARD_COUNT);
    cr_expect(eq(int, ask(project.key, "GET", "/v1/incident-rules", ""), 200));
    cr_expect(weir_answer_has(&client.request, "77"));
    end();
}
