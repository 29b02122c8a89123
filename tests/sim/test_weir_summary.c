#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "tests/sim/weir_away.h"
#include "tests/sim/weir_calls.h"

/*
 * Jobs of the kind incident.summarize, from the POST that makes them to what the model's
 * server sees and what the log remembers. The server is on a machine of its own.
 */
#define HOST WEIR_AWAY_HOST

enum { SCRIPT_SIZE_MAX = 8 };

/* One answer of the model's server, in the order of its requests; the last one stays. */
struct turn {
    unsigned status;
    const char *fields;  /* more header fields */
    const char *content; /* of the message, as JSON string body; NULL: the body is `body` */
    const char *finish;
    const char *body;
    bool hangs;
};

#define GOOD                                                                                       \
    "{\\\"title\\\":\\\"Checkout fails\\\",\\\"impact\\\":\\\"All payments\\\","                   \
    "\\\"likely_causes\\\":[\\\"c\\\"],\\\"evidence\\\":[],\\\"next_steps\\\":[],"                 \
    "\\\"confidence\\\":0.75}"

static struct weir weir;
static struct weir_client client;
static struct weir_away away;
static struct turn script[SCRIPT_SIZE_MAX];
static uint32_t turn_count;
static struct read_query *late_query; /* not answered yet */
static struct ai_run_image image;
static char record[AI_RUNS_READ_SIZE] __attribute__((aligned(4096)));

static void say(struct peer_connection *c, const struct turn *turn)
{
    static char body[16384], head[1024];

    if (turn->content != NULL)
        snprintf(body, sizeof(body),
                 "{\"id\":\"chat-1\",\"model\":\"model-b\",\"choices\":[{\"message\":{\"role\":"
                 "\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"%s\"}],\"usage\":{"
                 "\"prompt_tokens\":1000,\"completion_tokens\":100,\"prompt_tokens_details\":{"
                 "\"cached_tokens\":400}}}",
                 turn->content, turn->finish != NULL ? turn->finish : "stop");
    else
        snprintf(body, sizeof(body), "%s", turn->body != NULL ? turn->body : "");
    snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\n%sContent-Length: %zu\r\n\r\n", turn->status,
             turn->fields != NULL ? turn->fields : "", strlen(body));
    peer_send(c, head);
    peer_send(c, body);
}

static void on_request(struct peer_connection *c, struct slice head, struct slice body)
{
    const struct turn *turn = &script[min_u64(away.peer->request_count - 1, turn_count - 1)];

    weir_away_note(&away, head, body);
    if (!turn->hangs)
        say(c, turn);
}

/* What stands for the read model; the incident's id says how it answers. */
static enum read_result answer_query(struct read_port *port, struct read_query *query)
{
    static const char brief[] =
        "{\"incident\":{\"id\":\"i1\",\"title\":\"Error spike: X on /y\",\"status\":\"open\","
        "\"severity\":\"error\",\"environment\":\"prod\",\"rule\":\"error_spike\"},"
        "\"events\":[{\"occurred_at\":\"2026-11-21T10:00:00.000Z\",\"event_type\":\"error\","
        "\"severity\":\"error\",\"error_code\":\"X\",\"route\":\"/y\",\"status_code\":500}],"
        "\"event_count\":35}";

    (void)port;
    cr_assert(eq(int, query->type, READ_INCIDENT_BRIEF));
    cr_assert(slice_equal(query->scope.org, SLICE_LITERAL("org_demo")));
    cr_assert(slice_equal(query->scope.project, SLICE_LITERAL("proj_demo")));
    cr_assert(ne(u64, query->after.bits, 0));
    if (slice_equal(query->incident.id, SLICE_LITERAL("away")))
        return READ_BUSY;
    if (slice_equal(query->incident.id, SLICE_LITERAL("large")) && query->limit > 10) {
        query->on_done(query, READ_TOO_BIG);
        return READ_OK;
    }
    if (slice_equal(query->incident.id, SLICE_LITERAL("missing"))) {
        query->on_done(query, READ_NOT_FOUND);
        return READ_OK;
    }
    if (slice_equal(query->incident.id, SLICE_LITERAL("late"))) {
        late_query = query;
        return READ_OK;
    }
    memcpy(query->answer, brief, sizeof(brief) - 1);
    query->answer_size = sizeof(brief) - 1;
    query->on_done(query, READ_OK);
    return READ_OK;
}

static void start(void)
{
    weir_start(&weir);
    weir.process.app.shards[0].incident_summaries.inputs.ask = answer_query;
    weir_run_until_ready(&weir);
}

static void begin(uint64_t seed, bool is_local)
{
    weir_begin(&weir, seed, 1);
    weir_away_begin(&away, &weir, on_request);
    memset(script, 0, sizeof(script));
    script[0] = (struct turn){.status = 200, .content = GOOD};
    turn_count = 1;
    if (!is_local) {
        weir.process.settings.ai_base_url = "http://" HOST "/v1/";
        weir.process.settings.ai_model = "model-a";
        weir.process.settings.ai_price_table = "test-1";
        weir.process.settings.ai_price_input = 1000000;
        weir.process.settings.ai_price_cached = 500000;
        weir.process.settings.ai_price_output = 2000000;
    }
    late_query = NULL;
    weir_client_init(&client, &weir, 0, NULL);
    start();
}

static void end(void)
{
    weir_away_end(&away);
    weir_end(&weir);
}

static void enqueue(const char *incident, char id[WEIR_ID_SIZE + 1])
{
    char body[512];

    snprintf(body, sizeof(body),
             "{\"kind\":\"incident.summarize\",\"payload\":{\"incident_id\":\"%s\"}}", incident);
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

static struct ai_runs *runs(void)
{
    return &weir.process.app.shards[0].ai_runs;
}

static uint64_t low_of(const char *id)
{
    struct job_id parsed;

    cr_assert(job_id_parse(slice_of(id), &parsed));
    return parsed.id_low;
}

/* The latest image of the job's run, from the log. */
static void read_run(const char *id)
{
    struct journal_location location = ai_runs_find(runs(), low_of(id));
    struct journal_record_view view;

    cr_assert(ne(u64, location.bits, 0), "there is no run");
    cr_assert(eq(int,
                 journal_read_blocking(weir.process.app.disk, weir.process.app.settings->data,
                                       location, record, sizeof(record), &view),
                 0));
    cr_assert(eq(int, view.type, RECORD_AI_RUN));
    cr_assert(eq(int, ai_run_decode(view.payload, &image), 0));
}

static bool section_is(enum ai_run_section section, const char *text)
{
    return slice_equal(image.sections[section], slice_of(text));
}

TestSuite(weir_summary, .timeout = 350);

Test(weir_summary, asks_the_model_and_remembers_what_it_said_and_cost)
{
    char id[WEIR_ID_SIZE + 1];

    begin(1, false);
    enqueue("i1", id);
    run_until_requests(1);
    run_for(100);
    cr_assert(eq(int, strncmp(away.last_request, "POST /v1/chat/completions HTTP/1.1\r\n", 36), 0),
              "%s", away.last_request);
    cr_assert(strstr(away.last_request,
                     "{\"model\":\"model-a\",\"messages\":[{\"role\":\"system\"") != NULL);
    cr_assert(strstr(away.last_request, "- Title: Error spike: X on /y\\n") != NULL, "%s",
              away.last_request);
    cr_assert(strstr(away.last_request, "\"max_tokens\":1024,\"temperature\":0.7}") != NULL);
    expect_job(id, "\"state\":\"completed\",\"attempt\":1");
    expect_job(id, "\"incident_id\":\"i1\",\"model\":\"model-a\",\"prompt\":\"incident-summary-1\","
                   "\"confidence\":0.75}");
    read_run(id);
    cr_assert(eq(int, image.header.state, AI_RUN_SUCCEEDED));
    cr_assert(eq(u32, image.header.revision, 1));
    cr_assert(eq(u64, image.header.input_tokens, 1000));
    cr_assert(eq(u64, image.header.output_tokens, 100));
    cr_assert(eq(u64, image.header.cached_tokens, 400));
    cr_assert(eq(u64, image.header.cost_micro_usd, 600 + 200 + 200));
    cr_assert(eq(u32, image.header.confidence_ppm, 750000));
    cr_assert(eq(u32, image.header.max_tokens, 1024));
    cr_assert(eq(u32, image.header.temperature_milli, 700));
    cr_assert(eq(int, image.header.attempt_count, 1));
    cr_assert(eq(int, image.attempts[0].http_status, 200));
    cr_assert(eq(int, image.attempts[0].call_count, 1));
    cr_assert(eq(u32, image.attempts[0].reasoning_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(le(u64, image.attempts[0].started_ms, image.attempts[0].first_byte_ms));
    cr_assert(le(u64, image.attempts[0].first_byte_ms, image.attempts[0].ended_ms));
    cr_assert(section_is(AI_RUN_SECTION_INCIDENT, "i1"));
    cr_assert(section_is(AI_RUN_SECTION_PROVIDER, "http://" HOST ":80"));
    cr_assert(section_is(AI_RUN_SECTION_MODEL, "model-a"));
    cr_assert(section_is(AI_RUN_SECTION_ANSWERED, "model-b"));
    cr_assert(section_is(AI_RUN_SECTION_PRICES, "test-1"));
    cr_assert(section_is(AI_RUN_SECTION_OUTPUT,
                         "{\"title\":\"Checkout fails\",\"impact\":\"All payments\","
                         "\"likely_causes\":[\"c\"],\"evidence\":[],\"next_steps\":[],"
                         "\"confidence\":0.75}"));
    cr_assert(eq(u32, away.peer->request_count, 1));
    weir_stop(&weir);
    end();
}

Test(weir_summary, is_made_without_a_model_when_there_is_none)
{
    char id[WEIR_ID_SIZE + 1];

    begin(2, true);
    enqueue("i1", id);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\"");
    expect_job(id, "\"model\":\"weir-local-summary-1\"");
    expect_job(id, "\"confidence\":null");
    read_run(id);
    cr_assert(section_is(AI_RUN_SECTION_MODEL, "weir-local-summary-1"));
    cr_assert(section_is(AI_RUN_SECTION_PROVIDER, "local"));
    cr_assert(eq(u32, image.header.confidence_ppm, AI_RUN_CONFIDENCE_UNKNOWN));
    cr_assert(eq(u64, image.header.cost_micro_usd, 0));
    cr_assert(zero(u32, away.peer->request_count));
    weir_stop(&weir);
    end();
}

Test(weir_summary, tells_the_model_what_is_wrong_and_takes_the_second_answer)
{
    char id[WEIR_ID_SIZE + 1];

    begin(3, false);
    script[0] = (struct turn){.status = 200, .content = "Sure! {\\\"title\\\":1}"};
    script[1] = (struct turn){.status = 200, .content = GOOD};
    turn_count = 2;
    enqueue("i1", id);
    run_until_requests(2);
    run_for(100);
    cr_assert(strstr(away.last_request,
                     "{\"role\":\"assistant\",\"content\":\"Sure! {\\\"title\\\":1}\"}") != NULL);
    cr_assert(strstr(away.last_request,
                     "Your answer was not accepted:\\n- the answer is not JSON: a "
                     "value was expected, at byte 0\\n") != NULL,
              "%s", away.last_request);
    expect_job(id, "\"state\":\"completed\",\"attempt\":1");
    read_run(id);
    cr_assert(eq(int, image.header.state, AI_RUN_SUCCEEDED));
    cr_assert(eq(int, image.header.repair_count, 1));
    cr_assert(eq(u64, image.header.input_tokens, 2000));
    cr_assert(eq(u64, image.header.cost_micro_usd, 2000));
    cr_assert(eq(int, image.attempts[0].call_count, 2));
    cr_assert(eq(int, image.header.validation, AI_RUN_VALID));
    weir_stop(&weir);
    end();
}

Test(weir_summary, ends_failed_with_a_dead_letter_after_three_attempts_of_three_answers_each)
{
    char id[WEIR_ID_SIZE + 1];

    begin(4, false);
    script[0] = (struct turn){.status = 200, .content = "{}"};
    enqueue("i1", id);
    run_until_requests(9);
    run_for(1000);
    expect_job(id, "\"state\":\"dead\",\"attempt\":3");
    expect_job(id, "\"dead_reason\":\"attempts_exhausted\"");
    expect_job(id, "not of the shape");
    read_run(id);
    cr_assert(eq(int, image.header.state, AI_RUN_FAILED));
    cr_assert(eq(int, image.header.error, AI_RUN_ERROR_INVALID));
    cr_assert(eq(int, image.header.validation, AI_RUN_INVALID));
    cr_assert(eq(u32, image.header.revision, 3));
    cr_assert(eq(int, image.header.attempt_count, 3));
    cr_assert(eq(int, image.header.repair_count, 6));
    cr_assert(eq(u64, image.header.input_tokens, 9000));
    cr_assert(eq(u64, image.header.cost_micro_usd, 9000));
    cr_assert(strstr(image.sections[AI_RUN_SECTION_PROBLEMS].data, "- /title: is required\n") !=
              NULL);
    run_for(600000);
    cr_assert(eq(u32, away.peer->request_count, 9));
    weir_stop(&weir);
    end();
}

Test(weir_summary, backs_off_when_the_server_fails_and_succeeds_when_it_heals)
{
    char id[WEIR_ID_SIZE + 1];

    begin(5, false);
    script[0] = (struct turn){.status = 500};
    script[1] = (struct turn){.status = 503, .fields = "Retry-After: 90\r\n"};
    script[2] = (struct turn){.status = 200, .content = GOOD};
    turn_count = 3;
    enqueue("i1", id);
    run_until_requests(1);
    run_for(10);
    read_run(id);
    cr_assert(eq(int, image.header.state, AI_RUN_QUEUED));
    cr_assert(eq(int, image.header.error, AI_RUN_ERROR_SERVER));
    cr_assert(section_is(AI_RUN_SECTION_ERROR, "the model's server answered 500"));
    run_until_requests(3);
    cr_assert(le(u64, away.request_ns[1] - away.request_ns[0], 5500000000));
    cr_assert(ge(u64, away.request_ns[2] - away.request_ns[1], 90000000000));
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":3");
    read_run(id);
    cr_assert(eq(int, image.header.attempt_count, 3));
    cr_assert(eq(int, image.attempts[0].http_status, 500));
    cr_assert(eq(int, image.attempts[1].http_status, 503));
    cr_assert(eq(int, image.attempts[2].number, 3));
    weir_stop(&weir);
    end();
}

Test(weir_summary, never_asks_again_with_the_same_bound_after_an_answer_was_cut_off)
{
    char id[WEIR_ID_SIZE + 1];

    begin(6, false);
    script[0] =
        (struct turn){.status = 200, .content = "{\\\"title\\\":\\\"Che", .finish = "length"};
    enqueue("i1", id);
    run_until_requests(1);
    run_for(600000);
    cr_assert(eq(u32, away.peer->request_count, 1));
    expect_job(id, "\"dead_reason\":\"not_retryable\"");
    expect_job(id, "max_tokens");
    read_run(id);
    cr_assert(eq(int, image.header.error, AI_RUN_ERROR_CUT_OFF));
    cr_assert(eq(int, image.header.finish, CHAT_FINISH_LENGTH));
    end();
}

Test(weir_summary, gives_up_what_cannot_heal)
{
    static const struct turn turns[] = {
        {.status = 401},
        {.status = 404},
        {.status = 200, .content = "", .finish = "content_filter"},
    };
    static const enum ai_run_error errors[] = {AI_RUN_ERROR_REFUSED, AI_RUN_ERROR_REFUSED,
                                               AI_RUN_ERROR_FILTERED};
    char id[WEIR_ID_SIZE + 1];

    begin(7, false);
    for (uint32_t i = 0; i < ARRAY_COUNT(turns); i++) {
        script[i] = turns[i];
        turn_count = i + 1;
        enqueue("i1", id);
        run_until_requests(i + 1);
        run_for(1000);
        expect_job(id, "\"dead_reason\":\"not_retryable\"");
        read_run(id);
        cr_assert(eq(int, image.header.state, AI_RUN_FAILED));
        cr_assert(eq(int, image.header.error, errors[i]));
    }
    enqueue("missing", id);
    run_for(1000);
    expect_job(id, "there is no such incident");
    read_run(id);
    cr_assert(eq(int, image.header.error, AI_RUN_ERROR_INPUT));
    cr_assert(eq(u32, away.peer->request_count, ARRAY_COUNT(turns)));
    end();
}

Test(weir_summary, takes_an_answer_that_is_no_chat_completion_for_a_failure_of_the_server)
{
    char id[WEIR_ID_SIZE + 1];

    begin(8, false);
    script[0] = (struct turn){.status = 200, .body = "<html>login</html>"};
    script[1] = (struct turn){.status = 200, .content = GOOD};
    turn_count = 2;
    enqueue("i1", id);
    run_until_requests(2);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":2");
    read_run(id);
    cr_assert(eq(int, image.attempts[0].error, AI_RUN_ERROR_BAD_ANSWER));
    end();
}

Test(weir_summary, ends_a_call_at_its_deadline_and_closes_the_connection)
{
    char id[WEIR_ID_SIZE + 1];

    begin(9, false);
    script[0] = (struct turn){.hangs = true};
    script[1] = (struct turn){.status = 200, .content = GOOD};
    turn_count = 2;
    enqueue("i1", id);
    run_until_requests(1);
    run_for(59000);
    expect_job(id, "\"state\":\"leased\"");
    cr_assert(not(away.peer->connections[0]->saw_end));
    run_for(1500);
    cr_assert(away.peer->connections[0]->saw_end);
    run_until_requests(2);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":2");
    expect_job(id, "timed_out");
    read_run(id);
    cr_assert(eq(int, image.attempts[0].error, AI_RUN_ERROR_TIMEOUT));
    cr_assert(eq(int, image.attempts[0].http_status, 0));
    end();
}

Test(weir_summary, ends_an_attempt_at_its_deadline_whatever_its_calls_may_take)
{
    char id[WEIR_ID_SIZE + 1];

    begin(10, false);
    weir_stop(&weir);
    weir.process.settings.ai_deadline_ms = 70000;
    start();
    script[0] = (struct turn){.hangs = true};
    enqueue("i1", id);
    run_until_requests(1);
    run_for(59000);
    say(away.peer->connections[0], &(struct turn){.status = 200, .content = "{}"});
    run_until_requests(2); /* the repair, which hangs, too */
    run_for(12000);
    cr_assert(away.peer->connections[away.peer->connection_count - 1]->saw_end);
    read_run(id);
    cr_assert(eq(int, image.header.error, AI_RUN_ERROR_TIMEOUT));
    cr_assert(eq(int, image.attempts[0].call_count, 2));
    cr_assert(eq(u64, image.header.input_tokens, 1000));
    end();
}

Test(weir_summary, is_recorded_once_when_the_process_dies_while_the_model_answers)
{
    char id[WEIR_ID_SIZE + 1];

    begin(11, false);
    script[0] = (struct turn){.hangs = true};
    script[1] = (struct turn){.status = 200, .content = GOOD};
    turn_count = 2;
    enqueue("i1", id);
    run_until_requests(1);
    run_for(50);
    weir_kill(&weir);
    start();
    run_until_requests(2);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\"");
    read_run(id);
    cr_assert(eq(u32, image.header.revision, 1));
    cr_assert(eq(int, image.header.attempt_count, 1));
    cr_assert(eq(u32, ai_run_table_count(&runs()->table), 1));
    weir_stop(&weir);
    start();
    cr_assert(eq(u32, ai_run_table_count(&runs()->table), 1));
    run_for(60000);
    cr_assert(eq(u32, away.peer->request_count, 2));
    end();
}

Test(weir_summary, waits_behind_an_open_breaker_without_using_attempts)
{
    char ids[8][WEIR_ID_SIZE + 1];

    begin(12, false);
    script[0] = (struct turn){.status = 500};
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        enqueue("i1", ids[i]);
    run_until_requests(5);
    run_for(1000);
    cr_assert(eq(u32, away.peer->request_count, 5));
    run_for(20000);
    cr_assert(eq(u32, away.peer->request_count, 5), "%u", away.peer->request_count);
    script[0] = (struct turn){.status = 200, .content = GOOD};
    run_for(120000);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        expect_job(ids[i], "\"state\":\"completed\"");
    end();
}

Test(weir_summary, ends_its_call_when_the_job_is_cancelled)
{
    struct weir_call call = {0};
    char id[WEIR_ID_SIZE + 1], path[80];

    begin(13, false);
    script[0] = (struct turn){.hangs = true};
    enqueue("i1", id);
    run_until_requests(1);
    snprintf(path, sizeof(path), "/v1/jobs/%s/cancel", id);
    call.path = path;
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 200));
    run_for(1000);
    cr_assert(away.peer->connections[0]->saw_end);
    cr_assert(zero(u32, weir.process.app.shards[0].jobs.handlers.runs.count));
    expect_job(id, "\"state\":\"cancelled\"");
    weir_stop(&weir);
    end();
}

Test(weir_summary, waits_for_the_read_model_without_using_attempts)
{
    char id[WEIR_ID_SIZE + 1];

    begin(14, false);
    enqueue("away", id);
    run_for(60000);
    expect_job(id, "\"state\":\"scheduled\",\"attempt\":0");
    cr_assert(zero(u32, away.peer->request_count));
    weir_stop(&weir);
    end();
}

Test(weir_summary, looks_at_fewer_events_when_all_are_too_large)
{
    char id[WEIR_ID_SIZE + 1];

    begin(15, false);
    enqueue("large", id);
    run_until_requests(1);
    run_for(100);
    expect_job(id, "\"state\":\"completed\"");
    end();
}

Test(weir_summary, lets_go_of_an_input_that_comes_when_nobody_wants_it_any_more)
{
    struct weir_call call = {0};
    char id[WEIR_ID_SIZE + 1], path[80];

    begin(16, false);
    enqueue("late", id);
    run_for(1000);
    cr_assert(ne(ptr, late_query, NULL));
    snprintf(path, sizeof(path), "/v1/jobs/%s/cancel", id);
    call.path = path;
    cr_assert(eq(u32, weir_ask(&client, &call, ""), 200));
    run_for(1000);
    cr_assert(zero(u32, weir.process.app.shards[0].jobs.handlers.runs.count));
    cr_assert(
        eq(u32, pool_used_count(&weir.process.app.shards[0].incident_summaries.inputs.pool), 1));
    late_query->on_done(late_query, READ_OK);
    run_for(1000);
    cr_assert(
        zero(u32, pool_used_count(&weir.process.app.shards[0].incident_summaries.inputs.pool)));
    weir_stop(&weir);
    end();
}

Test(weir_summary, says_that_there_is_nothing_to_read_when_the_read_model_is_off)
{
    char id[WEIR_ID_SIZE + 1];

    begin(17, false);
    weir.process.app.shards[0].incident_summaries.inputs.ask = read_query_start;
    enqueue("i1", id);
    run_for(1000);
    expect_job(id, "read_model is off");
    read_run(id);
    cr_assert(eq(int, image.header.state, AI_RUN_FAILED));
    weir_stop(&weir);
    end();
}

/* Jobs of a worker's, large enough that few of them fill a segment; completed at once. */
static void fill_log(uint32_t job_count)
{
    static char body[60000];
    int size = snprintf(body, sizeof(body), "{\"kind\":\"filler\",\"payload\":\"");

    memset(body + size, 'x', sizeof(body) - 100 - (size_t)size);
    snprintf(body + sizeof(body) - 100, 100, "\"}");
    for (uint32_t i = 0; i < job_count; i++) {
        struct weir_call cancel = {0};
        char id[WEIR_ID_SIZE + 1], path[80];

        weir_enqueue(&client, NULL, body, id);
        snprintf(path, sizeof(path), "/v1/jobs/%s/cancel", id);
        cancel.path = path;
        cr_assert(eq(u32, weir_ask(&client, &cancel, ""), 200));
    }
}

Test(weir_summary, is_still_on_record_when_the_segment_it_was_written_to_has_gone)
{
    struct journal_location before;
    char id[WEIR_ID_SIZE + 1];

    begin(18, false);
    enqueue("i1", id);
    run_until_requests(1);
    run_for(100);
    before = ai_runs_find(runs(), low_of(id));
    for (uint32_t i = 0; i < 20 && ai_runs_find(runs(), low_of(id)).bits == before.bits; i++) {
        fill_log(20);
        run_for(5000);
    }
    cr_assert(ne(u64, ai_runs_find(runs(), low_of(id)).bits, before.bits));
    read_run(id);
    cr_assert(eq(u32, image.header.revision, 1));
    cr_assert(eq(int, image.header.state, AI_RUN_SUCCEEDED));
    weir_stop(&weir);
    start();
    cr_assert(eq(u32, ai_run_table_count(&runs()->table), 1));
    read_run(id);
    cr_assert(section_is(AI_RUN_SECTION_INCIDENT, "i1"));
    end();
}

/* No segment goes before the run that it has could be read, or all hope for that is gone. */
Test(weir_summary, is_still_on_record_when_the_disk_fails_while_it_is_carried)
{
    struct journal_location before;
    char id[WEIR_ID_SIZE + 1];

    begin(25, false);
    enqueue("i1", id);
    run_until_requests(1);
    run_for(100);
    before = ai_runs_find(runs(), low_of(id));
    weir.server->faults.read_error.always = true;
    for (uint32_t i = 0; i < 10; i++) {
        fill_log(20);
        run_for(1000);
    }
    cr_assert(lt(u32, 2, runs()->try_count));
    cr_assert(eq(u64, ai_runs_find(runs(), low_of(id)).bits, before.bits));
    sim_faults_init(&weir.server->faults);
    run_for(5000);
    cr_assert(lt(u64, journal_location_seq(before),
                 journal_location_seq(ai_runs_find(runs(), low_of(id)))));
    cr_assert(eq(u32, runs()->try_count, 0));
    read_run(id);
    end();
}

/* The log grows meanwhile, however little the disk failed. */
Test(weir_summary, is_carried_soon_after_the_disk_could_not_read_it)
{
    struct journal_location before;
    char id[WEIR_ID_SIZE + 1];

    begin(87528, false);
    enqueue("i1", id);
    run_until_requests(1);
    run_for(100);
    before = ai_runs_find(runs(), low_of(id));
    weir.server->faults.read_error.always = true;
    for (uint32_t i = 0; i < 200 && !runs()->has_unread; i++)
        fill_log(1);
    cr_assert(runs()->has_unread);
    sim_faults_init(&weir.server->faults);
    run_for(20 * AI_RUNS_DISK_MS);
    cr_assert(lt(u64, journal_location_seq(before),
                 journal_location_seq(ai_runs_find(runs(), low_of(id)))));
    end();
}

/* As after damage: a log that was cut and written to again has another record there. */
Test(weir_summary, is_not_taken_from_the_record_of_another)
{
    char id[WEIR_ID_SIZE + 1], other[WEIR_ID_SIZE + 1];
    struct journal_location before;

    begin(83939, false);
    enqueue("i1", id);
    enqueue("i1", other);
    run_until_requests(2);
    run_for(1000);
    before = ai_runs_find(runs(), low_of(other));
    ai_run_table_find(&runs()->table, low_of(id))->location = before;
    for (uint32_t i = 0; i < 20 && ai_runs_find(runs(), low_of(other)).bits == before.bits; i++) {
        fill_log(20);
        run_for(5000);
    }
    cr_assert(lt(u64, journal_location_seq(before),
                 journal_location_seq(ai_runs_find(runs(), low_of(other)))));
    cr_assert(eq(u64, ai_runs_find(runs(), low_of(id)).bits, JOURNAL_LOCATION_NONE.bits));
    end();
}

/* One by one in blocks of their own they would make the log the larger the more it is reclaimed. */
Test(weir_summary, stands_in_a_block_with_others_when_it_was_carried)
{
    enum { RUN_COUNT = 32 };

    static char ids[RUN_COUNT][WEIR_ID_SIZE + 1];
    uint64_t blocks[RUN_COUNT];
    struct journal_location before;
    uint32_t block_count = 0;

    begin(23, false);
    for (uint32_t i = 0; i < RUN_COUNT; i++)
        enqueue("i1", ids[i]);
    run_until_requests(RUN_COUNT);
    run_for(1000);
    before = ai_runs_find(runs(), low_of(ids[RUN_COUNT - 1]));
    for (uint32_t i = 0; i < 20; i++) {
        if (ai_runs_find(runs(), low_of(ids[RUN_COUNT - 1])).bits != before.bits)
            break;
        fill_log(20);
        run_for(5000);
    }
    for (uint32_t i = 0; i < RUN_COUNT; i++) {
        struct journal_location location = ai_runs_find(runs(), low_of(ids[i]));
        uint32_t known = 0;

        cr_assert(lt(u64, journal_location_seq(before), journal_location_seq(location)));
        blocks[block_count] = journal_location_offset(location) / SEGMENT_BLOCK_SIZE;
        while (blocks[known] != blocks[block_count])
            known++;
        block_count += known == block_count;
    }
    cr_assert(lt(u32, block_count, RUN_COUNT / 2));
    end();
}

Test(weir_summary, goes_from_the_log_when_it_is_older_than_what_is_kept)
{
    char id[WEIR_ID_SIZE + 1];

    begin(19, false);
    weir.process.settings.read_model_days = 1;
    enqueue("i1", id);
    run_until_requests(1);
    run_for(100);
    run_for(25 * 3600000);
    for (uint32_t i = 0; i < 20 && ai_run_table_count(&runs()->table) > 0; i++) {
        fill_log(20);
        run_for(5000);
    }
    cr_assert(zero(u32, ai_run_table_count(&runs()->table)));
    cr_assert(zero(u64, runs()->table.live_bytes));
    end();
}

/* The attempts of one job are not used up by others that are leased with it (one at a time). */
Test(weir_summary, uses_one_attempt_of_one_job_at_a_time)
{
    char ids[6][WEIR_ID_SIZE + 1];

    begin(20, false);
    weir_stop(&weir);
    weir.process.settings.ai_concurrency = 1;
    start();
    script[0] = (struct turn){.hangs = true};
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        enqueue("i1", ids[i]);
    run_until_requests(1);
    run_for(30000);
    cr_assert(eq(u32, away.peer->request_count, 1));
    cr_assert(eq(u32, weir.process.app.shards[0].jobs.handlers.runs.count, 1));
    script[0] = (struct turn){.status = 200, .content = GOOD};
    say(away.peer->connections[0], &script[0]);
    run_for(5000);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        expect_job(ids[i], "\"state\":\"completed\",\"attempt\":1");
    end();
}

/* A job whose process dies in each attempt ends, instead of running for ever. */
Test(weir_summary, of_a_job_that_brings_the_process_down_again_and_again_comes_to_an_end)
{
    char id[WEIR_ID_SIZE + 1];

    begin(21, false);
    script[0] = (struct turn){.hangs = true};
    enqueue("i1", id);
    for (uint32_t i = 0; i < 3; i++) {
        run_until_requests(i + 1);
        run_for(50);
        weir_kill(&weir);
        start();
    }
    run_for(600000);
    expect_job(id, "\"state\":\"dead\"");
    expect_job(id, "poison");
    cr_assert(eq(u32, away.peer->request_count, 3));
    end();
}

/* The lease is 120 s: an attempt that may take longer keeps it, and nobody else gets the job. */
Test(weir_summary, keeps_its_lease_while_it_waits_for_the_model)
{
    char id[WEIR_ID_SIZE + 1];

    begin(22, false);
    weir_stop(&weir);
    weir.process.settings.ai_deadline_ms = 500000;
    weir.process.settings.ai_call_timeout_ms = 400000;
    start();
    script[0] = (struct turn){.hangs = true};
    enqueue("i1", id);
    run_until_requests(1);
    run_for(300000);
    expect_job(id, "\"state\":\"leased\"");
    cr_assert(eq(u32, away.peer->request_count, 1));
    say(away.peer->connections[0], &(struct turn){.status = 200, .content = GOOD});
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":1");
    end();
}
