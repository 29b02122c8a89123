#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_fixture.h"

/*
 * GET /v1/admin/runtime and /v1/admin/doctor in the whole server: that a sound server is
 * called sound however much goes on, and that what is broken in memory is named.
 */
enum {
    BATCH_COUNT = 60, /* of 100 jobs: more than one part of an examination */
    BATCH_SIZE = 16384,
};

static struct weir weir;
static struct weir_client worker, admin, second, third;
static char batch[BATCH_SIZE];

static uint32_t ask(struct weir_client *client, const char *method, const char *path,
                    const char *key, const char *body)
{
    const struct weir_call call = {.method = method, .path = path, .key = key};

    return weir_ask(client, &call, body);
}

static bool says(const char *text)
{
    return weir_answer_has(&admin.request, text);
}

static uint32_t examine(void)
{
    return ask(&admin, "GET", "/v1/admin/doctor", WEIR_ADMIN_TOKEN_TEXT, "");
}

static void enqueue(uint32_t batch_count)
{
    size_t size = (size_t)snprintf(batch, sizeof(batch), "{\"jobs\":[");

    for (uint32_t i = 0; i < 100; i++)
        size += (size_t)snprintf(batch + size, sizeof(batch) - size, "%s{\"kind\":\"kind-%u\"}",
                                 i > 0 ? "," : "", i % 7);
    snprintf(batch + size, sizeof(batch) - size, "]}");
    for (uint32_t i = 0; i < batch_count; i++)
        cr_assert(eq(u32, ask(&worker, "POST", "/v1/jobs/batch", NULL, batch), 202));
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir_client_init(&worker, &weir, 0, NULL);
    weir_client_init(&admin, &weir, 1, NULL);
    weir_client_init(&second, &weir, 2, NULL);
    weir_client_init(&third, &weir, 3, NULL);
    weir_start(&weir);
    weir_run_until_ready(&weir);
}

static void end(void)
{
    weir_end(&weir);
}

/* The table of the shard that has the demo project's jobs. */
static struct job_table *find_table(void)
{
    struct app *app = &weir.process.app;

    for (uint32_t i = 0; i < app->shard_count; i++)
        if (job_table_queue_count(app->shards[i].jobs.table) > 0)
            return app->shards[i].jobs.table;
    cr_assert(false, "no shard has a queue");
    return NULL;
}

TestSuite(weir_inspection, .fini = end, .timeout = 120);

Test(weir_inspection, finds_nothing_wrong_with_a_sound_server)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin(seed, (uint32_t)seed);
        enqueue(5);
        cr_assert(
            eq(u32, ask(&worker, "POST", "/v1/jobs/kind-1/lease", NULL, "{\"limit\":9}"), 200));
        cr_assert(eq(u32, examine(), 200));
        cr_expect(says("\"status\":\"ok\",\"shards\":"), "seed %lu: %.*s", seed,
                  (int)admin.request.body_size, admin.answer);
        cr_expect(says("{\"leases\":9,\"of_queues\":9,\"of_projects\":9}"));
        cr_expect(says("{\"accepted\":500,\"in_state\":500,\"dropped\":0}"));
        cr_expect(eq(int, says("\"fail\""), false));
        weir_kill(&weir);
        weir_start(&weir);
        weir_run_until_ready(&weir);
        sim_http_client_drop(&admin.http);
        cr_assert(eq(u32, examine(), 200));
        cr_expect(eq(int, says("\"fail\""), false));
        cr_expect(says("{\"accepted\":500,\"in_state\":500,\"dropped\":0}"));
        weir_stop(&weir);
        weir_end(&weir);
    }
    begin(1, 1);
}

Test(weir_inspection, names_what_is_broken)
{
    struct job_queue *queue;

    begin(4, 2);
    enqueue(2);
    queue = job_table_queue_at(find_table(), 0);
    queue->permit_count++;
    queue->accepted_count++;
    weir.process.app.shards[1].breakers.live_bytes++;
    weir.process.app.shards[1].jobs.handlers.runs.count++;
    cr_assert(eq(u32, examine(), 200));
    cr_expect(says("{\"status\":\"fail\",\"shards\":2"));
    cr_expect(says("{\"name\":\"permits\",\"status\":\"fail\""));
    cr_expect(says("{\"name\":\"queues\",\"status\":\"fail\""));
    cr_expect(says("{\"name\":\"counters\",\"status\":\"fail\""));
    cr_expect(says("{\"name\":\"breakers\",\"status\":\"fail\""));
    cr_expect(says("{\"name\":\"runs\",\"status\":\"fail\""));
    cr_expect(says("{\"name\":\"accounting\",\"status\":\"ok\""));
    cr_expect(says("{\"name\":\"due\",\"status\":\"ok\""));
    queue->permit_count--;
    queue->accepted_count--;
    weir.process.app.shards[1].breakers.live_bytes--;
    weir.process.app.shards[1].jobs.handlers.runs.count--;
    /* What was found stays known, though all is well now. */
    cr_assert(eq(u32, examine(), 200));
    cr_expect(says("{\"name\":\"permits\",\"status\":\"ok\""));
    cr_expect(says("{\"name\":\"breakers\",\"status\":\"ok\""));
    cr_expect(says("{\"name\":\"runs\",\"status\":\"ok\""));
    cr_expect(says("{\"name\":\"audit\",\"status\":\"fail\""));
    weir_stop(&weir);
}

Test(weir_inspection, compares_a_table_that_takes_many_turns_while_jobs_come)
{
    begin(5, 2);
    enqueue(BATCH_COUNT);
    weir_client_call(&second, &(struct weir_call){.path = "/v1/jobs/batch"}, batch);
    cr_assert(eq(u32, examine(), 200));
    cr_expect(eq(int, says("\"fail\""), false), "%.*s", (int)admin.request.body_size, admin.answer);
    cr_expect(says("{\"name\":\"counters\",\"status\":\"ok\""));
    weir_stop(&weir);
}

Test(weir_inspection, refuses_a_third_at_the_same_time_and_forgets_those_who_leave)
{
    const struct weir_call doctor = {
        .method = "GET", .path = "/v1/admin/doctor", .key = WEIR_ADMIN_TOKEN_TEXT};

    begin(6, 1);
    enqueue(BATCH_COUNT);
    weir_client_call(&second, &doctor, "");
    weir_client_call(&third, &doctor, "");
    cr_assert(eq(u32, examine(), 503));
    cr_expect(says("\"overloaded\""));
    sim_http_client_drop(&second.http);
    sim_http_client_drop(&third.http);
    cr_assert(eq(int, weir_run_for(&weir, 1000), SIM_REACHED));
    cr_expect(eq(u32, examine(), 200));
    weir_client_call(&second, &doctor, "");
    weir_stop(&weir);
}

Test(weir_inspection, shows_the_tree_of_every_shard_and_the_deepest_queues)
{
    begin(7, 3);
    enqueue(1);
    cr_assert(eq(u32, ask(&admin, "GET", "/v1/admin/runtime", WEIR_ADMIN_TOKEN_TEXT, ""), 200));
    cr_expect(says("\"index\":0,"));
    cr_expect(says("\"index\":2,"));
    cr_expect(says("{\"name\":\"keeper\",\"type\":\"keeper\",\"depth\":1,\"state\":\"running\","
                   "\"count\":1,"));
    cr_expect(says("{\"name\":\"connection\",\"type\":\"connection\",\"depth\":2,"));
    cr_expect(says("\"kind\":\"kind-0\",\"counts\":{\"scheduled\":0,\"waiting\":0,\"queued\":15,"));
    cr_expect(eq(u32, ask(&admin, "GET", "/v1/admin/runtime", NULL, ""), 403));
    cr_expect(eq(u32, ask(&admin, "GET", "/v1/admin/doctor", NULL, ""), 403));
    weir_stop(&weir);
}
