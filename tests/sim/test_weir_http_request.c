#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "tests/sim/weir_away.h"
#include "tests/sim/weir_calls.h"

/*
 * Jobs of the kind http.request, from the POST that makes them to what the peer sees and what
 * GET says in the end; breakers, fairness and blame with them. The peer is on a machine of its
 * own, at a public address of the simulated network.
 */
#define HOST WEIR_AWAY_HOST
#define URL "http://" HOST
#define SCOPES "\"ingest\",\"read\",\"admin\""

enum {
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
static struct weir_away away;
static enum manner manner;
static const char *answer;
static uint32_t failures_left; /* so many are answered 500 first */
static uint32_t wanted_count;  /* see has_completed() */

static void on_request(struct peer_connection *c, struct slice head, struct slice body)
{
    weir_away_note(&away, head, body);
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
    weir_away_begin(&away, &weir, on_request);
    manner = ANSWERS;
    answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    failures_left = 0;
    weir_client_init(&client, &weir, 0, NULL);
    weir_client_init(&other, &weir, 1, NULL);
    weir_start_ready(&weir);
}

static void end(void)
{
    weir_away_end(&away);
    weir_end(&weir);
}

/* A job with these members besides kind and payload; its payload with these besides the URL. */
static void enqueue(const char *job, const char *payload, char id[WEIR_ID_SIZE + 1])
{
    char body[2048];

    snprintf(body, sizeof(body), "{\"kind\":\"http.request\"%s,\"payload\":{\"url\":\"%s/a\"%s}}",
             job, URL, payload);
    weir_enqueue(&client, NULL, body, id);
}

static void expect_job(const char *id, const char *text)
{
    weir_expect_job(&client, id, text);
}

static void run_for(uint64_t ms)
{
    weir_let_pass(&weir, ms);
}

static void run_until_requests(uint32_t count)
{
    weir_away_run_until(&away, count);
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

TestSuite(weir_http_request, .timeout = 350);

Test(weir_http_request, sends_what_the_payload_says_and_keeps_the_answer)
{
    char id[WEIR_ID_SIZE + 1], wanted[128];

    begin(1);
    enqueue("", ",\"method\":\"PUT\",\"headers\":{\"X-A\":\"\\u0062c\"},\"body\":{\"n\": 1}", id);
    run_until_requests(1);
    run_for(100);
    cr_assert(eq(int, strncmp(away.last_request, "PUT /a HTTP/1.1\r\nHost: " HOST "\r\n", 35), 0),
              "%s", away.last_request);
    cr_assert(strstr(away.last_request, "\r\nUser-Agent: weir/test\r\n") != NULL, "%s",
              away.last_request);
    cr_assert(strstr(away.last_request, "\r\nX-A: bc\r\n") != NULL, "%s", away.last_request);
    cr_assert(strstr(away.last_request, "\r\nContent-Type: application/json\r\n") != NULL);
    cr_assert(strstr(away.last_request, "\r\n\r\n{\"n\": 1}") != NULL, "%s", away.last_request);
    snprintf(wanted, sizeof(wanted), "\r\nIdempotency-Key: %s\r\n", id);
    cr_assert(strstr(away.last_request, wanted) != NULL, "%s", away.last_request);
    expect_job(id, "\"state\":\"completed\"");
    expect_job(id, "\"result\":{\"status\":200,\"headers\":{\"content-type\":\"text/plain\"},"
                   "\"body\":\"hello\"}");
    cr_assert(eq(u32, away.peer->request_count, 1));
    weir_stop(&weir);
    end();
}

Test(weir_http_request, tries_again_what_may_heal_and_obeys_retry_after)
{
    char id[WEIR_ID_SIZE + 1];

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
    cr_assert(ge(u64, away.request_ns[3], away.request_ns[2] + 120000000000));
    run_for(1000);
    expect_job(id, "\"state\":\"completed\"");
    end();
}

Test(weir_http_request, gives_up_what_cannot_heal)
{
    char id[WEIR_ID_SIZE + 1];

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
    weir_enqueue(&client, NULL,
                 "{\"kind\":\"http.request\",\"payload\":{\"url\":\"http://127.0.0.1:3000/\"}}",
                 id);
    run_for(1000);
    expect_job(id, "\"dead_reason\":\"not_retryable\"");
    expect_job(id, "address_refused");
    cr_assert(eq(u32, away.peer->request_count, 2));
    end();
}

Test(weir_http_request, ends_an_attempt_that_takes_too_long)
{
    char id[WEIR_ID_SIZE + 1];

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
    char id[WEIR_ID_SIZE + 1];

    begin(5);
    manner = HANGS;
    enqueue(",\"max_attempts\":1", ",\"timeout_ms\":100000", id);
    run_until_requests(1);
    run_for(95000);
    expect_job(id, "\"state\":\"leased\"");
    cr_assert(eq(u32, away.peer->request_count, 1));
    run_for(6000);
    expect_job(id, "timed_out");
    end();
}

Test(weir_http_request, ends_a_call_whose_job_is_cancelled)
{
    char id[WEIR_ID_SIZE + 1];

    begin(6);
    manner = HANGS;
    enqueue("", "", id);
    run_until_requests(1);
    weir_cancel_job(&client, id);
    run_for(1000);
    cr_assert(away.peer->connections[0]->saw_end);
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
    char id[WEIR_ID_SIZE + 1];

    begin(8);
    manner = HANGS;
    enqueue("", ",\"timeout_ms\":100000", id);
    run_until_requests(1);
    cr_assert(eq(int, weir_try_stop(&weir), 0), "%s", weir.process.text);
    manner = ANSWERS;
    weir_start_ready(&weir);
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
    before = away.peer->request_count;
    cr_assert(lt(u32, before, 48)); /* what was out when it opened, and a probe or two */
    run_for(3540000);
    cr_assert(zero(u64, dead_count()));
    /* One probe each 30 s, a millisecond more at a time. */
    cr_assert(lt(u32, 100, away.peer->request_count - before));
    cr_assert(le(u32, away.peer->request_count - before, 118));
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

    for (uint32_t i = 0; i < away.peer->connection_count; i++)
        count += away.peer->connections[i]->is_open;
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
    before = away.peer->request_count;
    opened_ns = away.request_ns[(before - 1) % WEIR_AWAY_TIME_COUNT];
    cr_assert(le(u32, 5, before));
    weir_kill(&weir);
    weir_start_ready(&weir);
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
    char key[TENANT_SECRET_SIZE_MAX];
    uint32_t before;

    begin(16);
    weir_make_key(&client, "org_demo", "proj_demo", SCOPES, key);
    call.key = key;
    cr_assert(
        eq(u32, weir_ask(&client, &call, "{\"retry\":{\"preset\":\"order-integration\"}}"), 200));
    cr_assert(weir_answer_has(&client.request, "\"preset\":\"order-integration\""));
    manner = CLOSES;
    enqueue_many(100);
    run_for(15000);
    before = away.peer->request_count;
    cr_assert(le(u32, 5, before));
    run_for(40000); /* the default would have sent a probe */
    cr_assert(eq(u32, away.peer->request_count, before));
    run_for(10000);
    cr_assert(lt(u32, before, away.peer->request_count));
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
    char id[WEIR_ID_SIZE + 1];

    begin(12);
    well = peer_new(weir.world, away.io, "93.184.216.35", 80);
    well->on_request = on_other_request;
    manner = CLOSES;
    enqueue_many(1000);
    run_for(3000);
    weir_enqueue(&client, NULL,
                 "{\"kind\":\"http.request\",\"payload\":{\"url\":\"http://93.184.216.35/\"}}", id);
    run_for(500);
    expect_job(id, "\"state\":\"completed\"");
    weir_away_end(&away);
    peer_free(&well);
    weir_end(&weir);
}

/* --- fairness ---------------------------------------------------------------------------- */

static uint64_t answered_ns(const char *key)
{
    uint64_t begin_ns = weir.world->mono_ns;
    uint64_t completed = 0;
    char id[WEIR_ID_SIZE + 1];

    weir_enqueue(&other, key, "{\"kind\":\"http.request\",\"payload\":{\"url\":\"" URL "/quiet\"}}",
                 id);
    while (completed == 0) {
        run_for(5);
        weir_look_at_job(&other, key, id);
        if (weir_answer_has(&other.request, "\"state\":\"completed\""))
            completed = weir.world->mono_ns;
    }
    return completed - begin_ns;
}

Test(weir_http_request, is_fair_to_a_project_beside_one_that_has_a_hundred_times_more_to_do)
{
    uint64_t alone_ns = 0, beside_ns = 0;
    char key[TENANT_SECRET_SIZE_MAX];

    begin(13);
    weir_stop(&weir);
    weir.process.settings.job_http_concurrency = 8;
    weir_start_ready(&weir);
    manner = CRAWLS;
    weir_make_key(&client, "org_demo", "quiet", SCOPES, key);
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

static char hanging_id[WEIR_ID_SIZE + 1];

/* A job whose request hangs, anew in each of these lives of the process, which end_life ends. */
static void live_with_a_hanging_job(uint64_t seed, uint32_t life_count,
                                    void (*end_life)(uint32_t life))
{
    begin(seed);
    manner = HANGS;
    enqueue("", ",\"timeout_ms\":100000", hanging_id);
    for (uint32_t life = 1; life <= life_count; life++) {
        run_until_requests(life);
        end_life(life);
        weir_start_ready(&weir);
    }
}

static void crash_process(uint32_t life)
{
    (void)life;
    expect_job(hanging_id, "\"state\":\"leased\"");
    weir_kill(&weir);
}

static void cut_power_or_stop(uint32_t life)
{
    if (life % 3 == 0)
        weir_stop(&weir);
    else
        weir_crash(&weir);
}

Test(weir_http_request, buries_a_job_that_crashes_the_process_three_times)
{
    live_with_a_hanging_job(14, 3, crash_process);
    run_for(1000);
    expect_job(hanging_id, "\"state\":\"dead\",\"attempt\":0");
    expect_job(hanging_id, "\"dead_reason\":\"poison\"");
    cr_assert(eq(u32, away.peer->request_count, 3));
    weir_kill(&weir); /* and nobody is blamed any more */
    weir_start_ready(&weir);
    expect_job(hanging_id, "\"dead_reason\":\"poison\"");
    end();
}

Test(weir_http_request, blames_no_job_for_power_cuts_or_for_stops)
{
    live_with_a_hanging_job(15, 6, cut_power_or_stop);
    manner = ANSWERS;
    run_until_requests(7);
    run_for(120000); /* what the power cuts left hanging on the peer's side is no matter */
    expect_job(hanging_id, "\"state\":\"completed\"");
    end();
}
