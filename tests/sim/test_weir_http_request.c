#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "runtime/io_sim.h"
#include "tests/sim/weir_fixture.h"
#include "tools/sim/peer.h"

/*
 * Jobs of the kind http.request, from the POST that makes them to what the peer sees and what
 * GET says in the end; breakers, fairness and blame with them. The peer is on a machine of its
 * own, at a public address of the simulated network.
 */
#define HOST "93.184.216.34"
#define URL "http://" HOST

enum {
    ID_SIZE = 36,
    OUTAGE_JOBS = 20000,
    OUTAGE_JOBS_LONG = 100000, /* tools/check --long */
    BATCH = 100,
    NOISY_JOBS = 2000,
};

enum manner {
    ANSWERS, /* with `answer` */
    HANGS,   /* reads and says nothing */
    CLOSES,  /* without an answer */
    CRAWLS,  /* answers, over 100 ms */
};

static struct weir weir;
static struct weir_client client, other;
static struct sim_host *away;
static struct io *away_io;
static struct peer *peer;
static enum manner manner;
static const char *answer;
static uint32_t failures_left; /* so many are answered 500 first */
static uint32_t wanted_count;  /* see has_requests() */
static uint64_t request_ns[64];
static char last_request[8192];

static void on_request(struct peer_connection *c, struct slice head, struct slice body)
{
    size_t size = min_u64(head.size + body.size, sizeof(last_request) - 1);

    memcpy(last_request, head.data, size);
    last_request[size] = '\0';
    request_ns[peer->request_count % ARRAY_COUNT(request_ns)] = weir.world->mono_ns;
    if (failures_left > 0) {
        failures_left--;
        peer_send(c, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    switch (manner) {
    case HANGS:
        return;
    case CLOSES:
        peer_close(c);
        return;
    case CRAWLS:
        peer_drip(c, 1, 2500000);
        peer_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        return;
    case ANSWERS:
        peer_send(c, answer);
    }
}

static void begin(uint64_t seed)
{
    weir_begin(&weir, seed, 1);
    away = sim_host_new(weir.world, "away");
    cr_assert(eq(int, io_sim_new(away, &away_io), 0));
    sim_driver_add_io(&weir.driver, away_io);
    peer = peer_new(weir.world, away_io, HOST, 80);
    peer->on_request = on_request;
    manner = ANSWERS;
    answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    failures_left = 0;
    weir_client_init(&client, &weir, 0, NULL);
    weir_client_init(&other, &weir, 1, NULL);
    weir_start(&weir);
    weir_run_until_ready(&weir);
}

static void end(void)
{
    if (weir.process.is_running)
        weir_kill(&weir);
    sim_driver_remove_io(&weir.driver, away_io);
    io_free(&away_io);
    peer_free(&peer);
    weir_end(&weir);
}

/* A job with these members besides kind and payload; its payload with these besides the URL. */
static void enqueue(const char *job, const char *payload, char id[ID_SIZE + 1])
{
    struct weir_call call = {.path = "/v1/jobs"};
    uint32_t offset = 0;
    char body[2048];

    snprintf(body, sizeof(body), "{\"kind\":\"http.request\"%s,\"payload\":{\"url\":\"%s/a\"%s}}",
             job, URL, payload);
    cr_assert(eq(u32, weir_ask(&client, &call, body), 202), "%.*s", (int)client.request.body_size,
              client.request.body);
    cr_assert(weir_answer_string(&client.request, "id", &offset, id, ID_SIZE + 1));
}

/* What GET says of the job stays in client.request. */
static void look(const char *id)
{
    struct weir_call call = {.method = "GET"};
    char path[64];

    snprintf(path, sizeof(path), "/v1/jobs/%s", id);
    call.path = path;
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 200));
}

static void expect_job(const char *id, const char *text)
{
    look(id);
    cr_assert(weir_answer_has(&client.request, text), "%s is not in %.*s", text,
              (int)client.request.body_size, client.request.body);
}

static void run_for(uint64_t ms)
{
    cr_assert(eq(int, weir_run_for(&weir, ms), SIM_REACHED), "%s", weir.process.text);
}

static bool has_requests(void)
{
    return peer->request_count >= wanted_count;
}

static void run_until_requests(uint32_t count)
{
    wanted_count = count;
    cr_assert(eq(int, weir_run_until(&weir, has_requests), SIM_REACHED), "%s", weir.process.text);
}

static uint64_t completed_count(void)
{
    return weir_metric(&weir, weir.process.app.metrics.jobs.outcome[1]);
}

static uint64_t dead_count(void)
{
    return weir_metric(&weir, weir.process.app.metrics.jobs.outcome[3]);
}

/* The state of the one breaker there is. */
static uint32_t breaker_now(void)
{
    static struct breakers_samples samples;

    breakers_sample(&weir.process.app.shards[0].breakers, &samples);
    cr_assert(eq(u32, samples.count, 1));
    cr_assert(eq(int, strcmp(samples.samples[0].name, "proj_demo/http://" HOST ":80"), 0));
    return samples.samples[0].state;
}

static void make_key(const char *project, char *key, size_t key_size)
{
    struct weir_call call = {.path = "/v1/admin/keys", .key = WEIR_ADMIN_TOKEN_TEXT};
    uint32_t offset = 0;
    char body[256];

    snprintf(body, sizeof(body),
             "{\"org_id\":\"org_demo\",\"project_id\":\"%s\",\"scopes\":[\"ingest\",\"read\","
             "\"admin\"]}",
             project);
    cr_assert(eq(u32, weir_ask(&client, &call, body), 201));
    cr_assert(weir_answer_string(&client.request, "key", &offset, key, key_size));
}

TestSuite(weir_http_request, .timeout = 350);

Test(weir_http_request, sends_what_the_payload_says_and_keeps_the_answer)
{
    char id[ID_SIZE + 1], wanted[128];

    begin(1);
    enqueue("", ",\"method\":\"PUT\",\"headers\":{\"X-A\":\"\\u0062c\"},\"body\":{\"n\": 1}", id);
    run_until_requests(1);
    run_for(100);
    cr_assert(eq(int, strncmp(last_request, "PUT /a HTTP/1.1\r\nHost: " HOST "\r\n", 35), 0), "%s",
              last_request);
    cr_assert(strstr(last_request, "\r\nUser-Agent: weir/test\r\n") != NULL, "%s", last_request);
    cr_assert(strstr(last_request, "\r\nX-A: bc\r\n") != NULL, "%s", last_request);
    cr_assert(strstr(last_request, "\r\nContent-Type: application/json\r\n") != NULL);
    cr_assert(strstr(last_request, "\r\n\r\n{\"n\": 1}") != NULL, "%s", last_request);
    snprintf(wanted, sizeof(wanted), "\r\nIdempotency-Key: %s\r\n", id);
    cr_assert(strstr(last_request, wanted) != NULL, "%s", last_request);
    expect_job(id, "\"state\":\"completed\"");
    expect_job(id, "\"result\":{\"status\":200,\"headers\":{\"content-type\":\"text/plain\"},"
                   "\"body\":\"hello\"}");
    cr_assert(eq(u32, peer->request_count, 1));
    weir_stop(&weir);
    end();
}

Test(weir_http_request, tries_again_what_may_heal_and_obeys_retry_after)
{
    char id[ID_SIZE + 1];

    begin(2);
    failures_left = 1;
    enqueue("", "", id);
    run_until_requests(2);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":2");
    answer = "HTTP/1.1 429 Slow\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
    enqueue("", "", id);
    run_until_requests(3);
    run_for(1000);
    expect_job(id, "\"last_error\":\"the server answered 429\"");
    answer = "HTTP/1.1 204 OK\r\n\r\n";
    run_until_requests(4);
    cr_assert(ge(u64, request_ns[4], request_ns[3] + 120000000000));
    run_for(1000);
    expect_job(id, "\"state\":\"completed\"");
    end();
}

Test(weir_http_request, gives_up_what_cannot_heal)
{
    struct weir_call call = {.path = "/v1/jobs"};
    uint32_t offset = 0;
    char id[ID_SIZE + 1];

    begin(3);
    answer = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    enqueue("", "", id);
    run_until_requests(1);
    run_for(100);
    expect_job(id, "\"state\":\"dead\"");
    expect_job(id, "\"dead_reason\":\"not_retryable\"");
    enqueue("", ",\"expect\":[404]", id);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\"");
    enqueue("", ",\"headers\":{\"Host\":\"elsewhere\"}", id);
    run_for(1000);
    expect_job(id, "\"dead_reason\":\"not_retryable\"");
    /* Itself: an address that only we can reach. */
    cr_assert(
        eq(u32,
           weir_ask(&client, &call,
                    "{\"kind\":\"http.request\",\"payload\":{\"url\":\"http://127.0.0.1:3000/\"}}"),
           202));
    cr_assert(weir_answer_string(&client.request, "id", &offset, id, sizeof(id)));
    run_for(1000);
    expect_job(id, "\"dead_reason\":\"not_retryable\"");
    expect_job(id, "address_refused");
    cr_assert(eq(u32, peer->request_count, 2));
    end();
}

Test(weir_http_request, ends_an_attempt_that_takes_too_long)
{
    char id[ID_SIZE + 1];

    begin(4);
    manner = HANGS;
    enqueue(",\"max_attempts\":1", ",\"timeout_ms\":1000", id);
    run_until_requests(1);
    run_for(900);
    expect_job(id, "\"state\":\"leased\"");
    run_for(300);
    expect_job(id, "\"dead_reason\":\"attempts_exhausted\"");
    expect_job(id, "timed_out");
    manner = CLOSES;
    enqueue("", "", id);
    run_until_requests(2);
    manner = ANSWERS;
    run_for(10000);
    expect_job(id, "\"state\":\"completed\"");
    end();
}

/* The lease is 30 s: one that may take longer is renewed while the call is open. */
Test(weir_http_request, keeps_its_lease_while_it_waits_for_the_answer)
{
    char id[ID_SIZE + 1];

    begin(5);
    manner = HANGS;
    enqueue(",\"max_attempts\":1", ",\"timeout_ms\":100000", id);
    run_until_requests(1);
    run_for(95000);
    expect_job(id, "\"state\":\"leased\"");
    cr_assert(eq(u32, peer->request_count, 1));
    run_for(6000);
    expect_job(id, "timed_out");
    end();
}

Test(weir_http_request, ends_a_call_whose_job_is_cancelled)
{
    struct weir_call call = {0};
    char id[ID_SIZE + 1], path[80];

    begin(6);
    manner = HANGS;
    enqueue("", "", id);
    run_until_requests(1);
    snprintf(path, sizeof(path), "/v1/jobs/%s/cancel", id);
    call.path = path;
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 200));
    run_for(1000);
    cr_assert(peer->connections[0]->saw_end);
    cr_assert(zero(u32, weir.process.app.shards[0].jobs.handlers.runs.count));
    expect_job(id, "\"state\":\"cancelled\"");
    weir_stop(&weir);
    end();
}

Test(weir_http_request, leaves_no_lease_to_a_worker)
{
    struct weir_call call = {.path = "/v1/jobs/http.request/lease"};

    begin(7);
    cr_assert(eq(u32, weir_ask(&client, &call, "{}"), 409));
    cr_assert(weir_answer_has(&client.request, "internal_kind"));
    end();
}

Test(weir_http_request, gives_back_what_runs_for_too_long_at_a_stop)
{
    char id[ID_SIZE + 1];

    begin(8);
    manner = HANGS;
    enqueue("", ",\"timeout_ms\":100000", id);
    run_until_requests(1);
    cr_assert(eq(int, weir_try_stop(&weir), 0), "%s", weir.process.text);
    manner = ANSWERS;
    weir_start(&weir);
    weir_run_until_ready(&weir);
    run_for(5000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":1");
    end();
}

/* --- breakers -------------------------------------------------------------------------- */

static void enqueue_many(uint32_t count)
{
    static const char job[] =
        "{\"kind\":\"http.request\",\"payload\":{\"url\":\"" URL "/a\",\"timeout_ms\":1000}}";
    struct weir_call call = {.path = "/v1/jobs/batch"};
    static char body[WEIR_REQUEST_SIZE_MAX / 2];

    for (uint32_t done = 0; done < count; done += BATCH) {
        size_t size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");

        for (uint32_t i = 0; i < BATCH; i++)
            size +=
                (size_t)snprintf(body + size, sizeof(body) - size, "%s%s", i > 0 ? "," : "", job);
        snprintf(body + size, sizeof(body) - size, "]}");
        cr_assert(eq(u32, weir_ask(&client, &call, body), 202));
    }
}

static bool has_completed(void)
{
    return completed_count() >= wanted_count;
}

Test(weir_http_request, sits_an_outage_out_and_loses_no_job_to_it)
{
    const char *is_long = getenv("CHECK_LONG");
    uint32_t job_count = is_long != NULL && is_long[0] == '1' ? OUTAGE_JOBS_LONG : OUTAGE_JOBS;
    uint64_t healed_ns;
    uint32_t before;

    begin(9);
    manner = CLOSES;
    enqueue_many(job_count);
    run_for(60000);
    cr_assert(eq(u32, breaker_now(), BREAKER_OPEN));
    before = peer->request_count;
    cr_assert(lt(u32, before, 48)); /* what was out when it opened, and a probe or two */
    run_for(3540000);
    cr_assert(zero(u64, dead_count()));
    /* One probe each 30 s, a millisecond more at a time. */
    cr_assert(lt(u32, 100, peer->request_count - before));
    cr_assert(le(u32, peer->request_count - before, 118));
    manner = ANSWERS;
    healed_ns = weir.world->mono_ns;
    wanted_count = job_count;
    cr_assert(eq(int, weir_run_until(&weir, has_completed), SIM_REACHED));
    cr_assert(lt(u64, weir.world->mono_ns - healed_ns, 330000000000)); /* the slowest: a retry */
    cr_assert(zero(u64, dead_count()));
    cr_assert(eq(u32, breaker_now(), BREAKER_CLOSED));
    weir_stop(&weir);
    end();
}

static uint32_t open_connections(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < peer->connection_count; i++)
        count += peer->connections[i]->is_open;
    return count;
}

Test(weir_http_request, lets_one_probe_out_at_a_time)
{
    begin(10);
    manner = HANGS;
    enqueue_many(400);
    run_for(20000); /* all that was out has timed out */
    cr_assert(zero(u32, open_connections()));
    for (uint32_t i = 0; i < 1200; i++) {
        run_for(100);
        cr_assert(le(u32, open_connections(), 1));
    }
    cr_assert(zero(u64, dead_count()));
    end();
}

Test(weir_http_request, remembers_an_open_breaker_when_it_is_killed)
{
    uint64_t opened_ns;
    uint32_t before;

    begin(11);
    manner = CLOSES;
    enqueue_many(100);
    run_for(5000);
    before = peer->request_count;
    opened_ns = request_ns[before % ARRAY_COUNT(request_ns)];
    cr_assert(le(u32, 5, before));
    weir_kill(&weir);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    cr_assert(eq(u32, breaker_now(), BREAKER_OPEN));
    run_until_requests(before + 1);
    cr_assert(ge(u64, weir.world->mono_ns - opened_ns, 29000000000));
    manner = ANSWERS;
    wanted_count = 100;
    cr_assert(eq(int, weir_run_until(&weir, has_completed), SIM_REACHED));
    cr_assert(zero(u64, dead_count()));
    end();
}

Test(weir_http_request, takes_the_breaker_of_the_preset_that_the_queue_names)
{
    struct weir_call call = {.method = "PUT", .path = "/v1/queues/http.request"};
    char key[128];
    uint32_t before;

    begin(16);
    make_key("proj_demo", key, sizeof(key));
    call.key = key;
    cr_assert(
        eq(u32, weir_ask(&client, &call, "{\"retry\":{\"preset\":\"order-integration\"}}"), 200));
    cr_assert(weir_answer_has(&client.request, "\"preset\":\"order-integration\""));
    manner = CLOSES;
    enqueue_many(100);
    run_for(15000);
    before = peer->request_count;
    cr_assert(le(u32, 5, before));
    run_for(40000); /* the default would have sent a probe */
    cr_assert(eq(u32, peer->request_count, before));
    run_for(10000);
    cr_assert(lt(u32, before, peer->request_count));
    end();
}

static void on_other_request(struct peer_connection *c, struct slice head, struct slice body)
{
    (void)head, (void)body;
    peer_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

Test(weir_http_request, goes_on_with_other_destinations_while_a_breaker_is_open)
{
    struct peer *well;
    char id[ID_SIZE + 1];

    begin(12);
    well = peer_new(weir.world, away_io, "93.184.216.35", 80);
    well->on_request = on_other_request;
    manner = CLOSES;
    enqueue_many(1000);
    run_for(3000);
    {
        struct weir_call call = {.path = "/v1/jobs"};
        uint32_t offset = 0;

        cr_assert(eq(u32,
                     weir_ask(&client, &call,
                              "{\"kind\":\"http.request\",\"payload\":{\"url\":"
                              "\"http://93.184.216.35/\"}}"),
                     202));
        cr_assert(weir_answer_string(&client.request, "id", &offset, id, sizeof(id)));
    }
    run_for(500);
    expect_job(id, "\"state\":\"completed\"");
    weir_kill(&weir);
    sim_driver_remove_io(&weir.driver, away_io);
    io_free(&away_io);
    peer_free(&well);
    peer_free(&peer);
    weir_end(&weir);
}

/* --- fairness ---------------------------------------------------------------------------- */

static uint64_t answered_ns(const char *key)
{
    struct weir_call call = {.path = "/v1/jobs", .key = key};
    uint64_t begin_ns = weir.world->mono_ns;
    uint64_t completed = 0;
    uint32_t offset = 0;
    char id[ID_SIZE + 1], path[64];

    cr_assert(eq(u32,
                 weir_ask(&other, &call,
                          "{\"kind\":\"http.request\",\"payload\":{\"url\":\"" URL "/quiet\"}}"),
                 202));
    cr_assert(weir_answer_string(&other.request, "id", &offset, id, sizeof(id)));
    snprintf(path, sizeof(path), "/v1/jobs/%s", id);
    while (completed == 0) {
        struct weir_call get = {.method = "GET", .path = path, .key = key};

        run_for(5);
        cr_assert(eq(u32, weir_ask(&other, &get, ""), 200));
        if (weir_answer_has(&other.request, "\"state\":\"completed\""))
            completed = weir.world->mono_ns;
    }
    return completed - begin_ns;
}

Test(weir_http_request, is_fair_to_a_project_beside_one_that_has_a_hundred_times_more_to_do)
{
    uint64_t alone_ns = 0, beside_ns = 0;
    char key[128];

    begin(13);
    weir_stop(&weir);
    weir.process.settings.job_http_concurrency = 8;
    weir_start(&weir);
    weir_run_until_ready(&weir);
    manner = CRAWLS;
    make_key("quiet", key, sizeof(key));
    for (uint32_t i = 0; i < 10; i++)
        alone_ns = max_u64(alone_ns, answered_ns(key));
    enqueue_many(NOISY_JOBS);
    for (uint32_t i = 0; i < 10; i++)
        beside_ns = max_u64(beside_ns, answered_ns(key));
    cr_assert(lt(u64, completed_count(), NOISY_JOBS)); /* it was there all the time */
    cr_assert(lt(u64, beside_ns, 2 * alone_ns), "%lu ms beside, %lu ms alone", beside_ns / 1000000,
              alone_ns / 1000000);
    end();
}

/* --- blame --------------------------------------------------------------------------------- */

Test(weir_http_request, buries_a_job_that_crashes_the_process_three_times)
{
    char id[ID_SIZE + 1];

    begin(14);
    manner = HANGS;
    enqueue("", ",\"timeout_ms\":100000", id);
    for (uint32_t i = 1; i <= 3; i++) {
        run_until_requests(i);
        expect_job(id, "\"state\":\"leased\"");
        weir_kill(&weir);
        weir_start(&weir);
        weir_run_until_ready(&weir);
    }
    run_for(1000);
    expect_job(id, "\"state\":\"dead\",\"attempt\":0");
    expect_job(id, "\"dead_reason\":\"poison\"");
    cr_assert(eq(u32, peer->request_count, 3));
    weir_kill(&weir); /* and nobody is blamed any more */
    weir_start(&weir);
    weir_run_until_ready(&weir);
    expect_job(id, "\"dead_reason\":\"poison\"");
    end();
}

Test(weir_http_request, blames_no_job_for_power_cuts_or_for_stops)
{
    char id[ID_SIZE + 1];

    begin(15);
    manner = HANGS;
    enqueue("", ",\"timeout_ms\":100000", id);
    for (uint32_t i = 1; i <= 6; i++) {
        run_until_requests(i);
        if (i % 3 == 0)
            weir_stop(&weir);
        else
            weir_crash(&weir);
        weir_start(&weir);
        weir_run_until_ready(&weir);
    }
    manner = ANSWERS;
    run_until_requests(7);
    run_for(120000); /* what the power cuts left hanging on the peer's side is no matter */
    expect_job(id, "\"state\":\"completed\"");
    end();
}
