#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_calls.h"
#include "tests/sim/weir_model.h"

/*
 * Jobs of the kind incident.summarize, from the POST that makes them to what the model's server
 * sees and what the AI run says of it: repairs, attempts and how they fail, deadlines, leases. What
 * becomes of the run in the log afterwards is in test_weir_ai_runs.c.
 */
static struct weir_model model;
static struct read_query *late_query; /* not answered yet */

/* The incident's id says how the read model answers. */
static enum read_result answer_query(struct read_query *query)
{
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
    return weir_model_answer_query(query);
}

static void begin(uint64_t seed)
{
    weir_model_begin(&model, seed);
    model.answer_query = answer_query;
    late_query = NULL;
    weir_model_start(&model);
}

static void enqueue(const char *incident, char id[WEIR_ID_SIZE + 1])
{
    weir_model_enqueue(&model, incident, id);
}

static void expect_job(const char *id, const char *text)
{
    weir_expect_job(&model.client, id, text);
}

static void run_for(uint64_t ms)
{
    weir_let_pass(&model.weir, ms);
}

static void run_until_requests(uint32_t count)
{
    weir_away_run_until(&model.away, count);
}

static void read_run(const char *id)
{
    weir_model_read_run(&model, id);
}

TestSuite(weir_summary, .timeout = 350);

Test(weir_summary, asks_the_model_and_remembers_what_it_said_and_cost)
{
    char id[WEIR_ID_SIZE + 1];

    begin(1);
    enqueue("i1", id);
    run_until_requests(1);
    run_for(100);
    cr_assert(
        eq(int, strncmp(model.away.last_request, "POST /v1/chat/completions HTTP/1.1\r\n", 36), 0),
        "%s", model.away.last_request);
    cr_assert(strstr(model.away.last_request,
                     "{\"model\":\"model-a\",\"messages\":[{\"role\":\"system\"") != NULL);
    cr_assert(strstr(model.away.last_request, "- Title: Error spike: X on /y\\n") != NULL, "%s",
              model.away.last_request);
    cr_assert(strstr(model.away.last_request, "\"max_tokens\":1024,\"temperature\":0.7}") != NULL);
    expect_job(id, "\"state\":\"completed\",\"attempt\":1");
    expect_job(id, "\"incident_id\":\"i1\",\"model\":\"model-a\",\"prompt\":\"incident-summary-1\","
                   "\"confidence\":0.75}");
    read_run(id);
    cr_assert(eq(int, model.image.header.state, AI_RUN_SUCCEEDED));
    cr_assert(eq(u32, model.image.header.revision, 1));
    cr_assert(eq(u64, model.image.header.input_tokens, 1000));
    cr_assert(eq(u64, model.image.header.output_tokens, 100));
    cr_assert(eq(u64, model.image.header.cached_tokens, 400));
    cr_assert(eq(u64, model.image.header.cost_micro_usd, 600 + 200 + 200));
    cr_assert(eq(u32, model.image.header.confidence_ppm, 750000));
    cr_assert(eq(u32, model.image.header.max_tokens, 1024));
    cr_assert(eq(u32, model.image.header.temperature_milli, 700));
    cr_assert(eq(int, model.image.header.attempt_count, 1));
    cr_assert(eq(int, model.image.attempts[0].http_status, 200));
    cr_assert(eq(int, model.image.attempts[0].call_count, 1));
    cr_assert(eq(u32, model.image.attempts[0].reasoning_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(le(u64, model.image.attempts[0].started_ms, model.image.attempts[0].first_byte_ms));
    cr_assert(le(u64, model.image.attempts[0].first_byte_ms, model.image.attempts[0].ended_ms));
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_INCIDENT, "i1"));
    cr_assert(
        weir_model_section_is(&model, AI_RUN_SECTION_PROVIDER, "http://" WEIR_AWAY_HOST ":80"));
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_MODEL, "model-a"));
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_ANSWERED, "model-b"));
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_PRICES, "test-1"));
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_OUTPUT,
                                    "{\"title\":\"Checkout fails\",\"impact\":\"All payments\","
                                    "\"likely_causes\":[\"c\"],\"evidence\":[],\"next_steps\":[],"
                                    "\"confidence\":0.75}"));
    cr_assert(eq(u32, model.away.peer->request_count, 1));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, is_made_without_a_model_when_there_is_none)
{
    char id[WEIR_ID_SIZE + 1];

    weir_model_begin(&model, 2);
    model.weir.process.settings.ai_base_url = "";
    weir_model_start(&model);
    enqueue("i1", id);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\"");
    expect_job(id, "\"model\":\"weir-local-summary-1\"");
    expect_job(id, "\"confidence\":null");
    read_run(id);
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_MODEL, "weir-local-summary-1"));
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_PROVIDER, "local"));
    cr_assert(eq(u32, model.image.header.confidence_ppm, AI_RUN_CONFIDENCE_UNKNOWN));
    cr_assert(eq(u64, model.image.header.cost_micro_usd, 0));
    cr_assert(zero(u32, model.away.peer->request_count));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, tells_the_model_what_is_wrong_and_takes_the_second_answer)
{
    char id[WEIR_ID_SIZE + 1];

    begin(3);
    model.script[0] = (struct weir_model_turn){.status = 200, .content = "Sure! {\\\"title\\\":1}"};
    model.script[1] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    model.turn_count = 2;
    enqueue("i1", id);
    run_until_requests(2);
    run_for(100);
    cr_assert(strstr(model.away.last_request,
                     "{\"role\":\"assistant\",\"content\":\"Sure! {\\\"title\\\":1}\"}") != NULL);
    cr_assert(strstr(model.away.last_request,
                     "Your answer was not accepted:\\n- the answer is not JSON: a "
                     "value was expected, at byte 0\\n") != NULL,
              "%s", model.away.last_request);
    expect_job(id, "\"state\":\"completed\",\"attempt\":1");
    read_run(id);
    cr_assert(eq(int, model.image.header.state, AI_RUN_SUCCEEDED));
    cr_assert(eq(int, model.image.header.repair_count, 1));
    cr_assert(eq(u64, model.image.header.input_tokens, 2000));
    cr_assert(eq(u64, model.image.header.cost_micro_usd, 2000));
    cr_assert(eq(int, model.image.attempts[0].call_count, 2));
    cr_assert(eq(int, model.image.header.validation, AI_RUN_VALID));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, ends_failed_with_a_dead_letter_after_three_attempts_of_three_answers_each)
{
    char id[WEIR_ID_SIZE + 1];

    begin(4);
    model.script[0] = (struct weir_model_turn){.status = 200, .content = "{}"};
    enqueue("i1", id);
    run_until_requests(9);
    run_for(1000);
    expect_job(id, "\"state\":\"dead\",\"attempt\":3");
    expect_job(id, "\"dead_reason\":\"attempts_exhausted\"");
    expect_job(id, "not of the shape");
    read_run(id);
    cr_assert(eq(int, model.image.header.state, AI_RUN_FAILED));
    cr_assert(eq(int, model.image.header.error, AI_RUN_ERROR_INVALID));
    cr_assert(eq(int, model.image.header.validation, AI_RUN_INVALID));
    cr_assert(eq(u32, model.image.header.revision, 3));
    cr_assert(eq(int, model.image.header.attempt_count, 3));
    cr_assert(eq(int, model.image.header.repair_count, 6));
    cr_assert(eq(u64, model.image.header.input_tokens, 9000));
    cr_assert(eq(u64, model.image.header.cost_micro_usd, 9000));
    cr_assert(strstr(model.image.sections[AI_RUN_SECTION_PROBLEMS].data,
                     "- /title: is required\n") != NULL);
    run_for(600000);
    cr_assert(eq(u32, model.away.peer->request_count, 9));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, backs_off_when_the_server_fails_and_succeeds_when_it_heals)
{
    char id[WEIR_ID_SIZE + 1];

    begin(5);
    model.script[0] = (struct weir_model_turn){.status = 500};
    model.script[1] = (struct weir_model_turn){.status = 503, .fields = "Retry-After: 90\r\n"};
    model.script[2] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    model.turn_count = 3;
    enqueue("i1", id);
    run_until_requests(1);
    run_for(10);
    read_run(id);
    cr_assert(eq(int, model.image.header.state, AI_RUN_QUEUED));
    cr_assert(eq(int, model.image.header.error, AI_RUN_ERROR_SERVER));
    cr_assert(
        weir_model_section_is(&model, AI_RUN_SECTION_ERROR, "the model's server answered 500"));
    run_until_requests(3);
    cr_assert(le(u64, model.away.request_ns[1] - model.away.request_ns[0], 5500000000));
    cr_assert(ge(u64, model.away.request_ns[2] - model.away.request_ns[1], 90000000000));
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":3");
    read_run(id);
    cr_assert(eq(int, model.image.header.attempt_count, 3));
    cr_assert(eq(int, model.image.attempts[0].http_status, 500));
    cr_assert(eq(int, model.image.attempts[1].http_status, 503));
    cr_assert(eq(int, model.image.attempts[2].number, 3));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, never_asks_again_with_the_same_bound_after_an_answer_was_cut_off)
{
    char id[WEIR_ID_SIZE + 1];

    begin(6);
    model.script[0] = (struct weir_model_turn){
        .status = 200, .content = "{\\\"title\\\":\\\"Che", .finish = "length"};
    enqueue("i1", id);
    run_until_requests(1);
    run_for(600000);
    cr_assert(eq(u32, model.away.peer->request_count, 1));
    expect_job(id, "\"dead_reason\":\"not_retryable\"");
    expect_job(id, "max_tokens");
    read_run(id);
    cr_assert(eq(int, model.image.header.error, AI_RUN_ERROR_CUT_OFF));
    cr_assert(eq(int, model.image.header.finish, CHAT_FINISH_LENGTH));
    weir_model_end(&model);
}

Test(weir_summary, gives_up_what_cannot_heal)
{
    static const struct weir_model_turn turns[] = {
        {.status = 401},
        {.status = 404},
        {.status = 200, .content = "", .finish = "content_filter"},
    };
    static const enum ai_run_error errors[] = {AI_RUN_ERROR_REFUSED, AI_RUN_ERROR_REFUSED,
                                               AI_RUN_ERROR_FILTERED};
    char id[WEIR_ID_SIZE + 1];

    begin(7);
    for (uint32_t i = 0; i < ARRAY_COUNT(turns); i++) {
        model.script[i] = turns[i];
        model.turn_count = i + 1;
        enqueue("i1", id);
        run_until_requests(i + 1);
        run_for(1000);
        expect_job(id, "\"dead_reason\":\"not_retryable\"");
        read_run(id);
        cr_assert(eq(int, model.image.header.state, AI_RUN_FAILED));
        cr_assert(eq(int, model.image.header.error, errors[i]));
    }
    enqueue("missing", id);
    run_for(1000);
    expect_job(id, "there is no such incident");
    read_run(id);
    cr_assert(eq(int, model.image.header.error, AI_RUN_ERROR_INPUT));
    cr_assert(eq(u32, model.away.peer->request_count, ARRAY_COUNT(turns)));
    weir_model_end(&model);
}

Test(weir_summary, takes_an_answer_that_is_no_chat_completion_for_a_failure_of_the_server)
{
    char id[WEIR_ID_SIZE + 1];

    begin(8);
    model.script[0] = (struct weir_model_turn){.status = 200, .body = "<html>login</html>"};
    model.script[1] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    model.turn_count = 2;
    enqueue("i1", id);
    run_until_requests(2);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":2");
    read_run(id);
    cr_assert(eq(int, model.image.attempts[0].error, AI_RUN_ERROR_BAD_ANSWER));
    weir_model_end(&model);
}

Test(weir_summary, ends_a_call_at_its_deadline_and_closes_the_connection)
{
    char id[WEIR_ID_SIZE + 1];

    begin(9);
    model.script[0] = (struct weir_model_turn){.hangs = true};
    model.script[1] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    model.turn_count = 2;
    enqueue("i1", id);
    run_until_requests(1);
    run_for(59000);
    expect_job(id, "\"state\":\"leased\"");
    cr_assert(not(model.away.peer->connections[0]->saw_end));
    run_for(1500);
    cr_assert(model.away.peer->connections[0]->saw_end);
    run_until_requests(2);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":2");
    expect_job(id, "timed_out");
    read_run(id);
    cr_assert(eq(int, model.image.attempts[0].error, AI_RUN_ERROR_TIMEOUT));
    cr_assert(eq(int, model.image.attempts[0].http_status, 0));
    weir_model_end(&model);
}

Test(weir_summary, ends_an_attempt_at_its_deadline_whatever_its_calls_may_take)
{
    char id[WEIR_ID_SIZE + 1];

    begin(10);
    weir_stop(&model.weir);
    model.weir.process.settings.ai_deadline_ms = 70000;
    weir_model_start(&model);
    model.script[0] = (struct weir_model_turn){.hangs = true};
    enqueue("i1", id);
    run_until_requests(1);
    run_for(59000);
    weir_model_say(model.away.peer->connections[0],
                   &(struct weir_model_turn){.status = 200, .content = "{}"});
    run_until_requests(2); /* the repair, which hangs, too */
    run_for(12000);
    cr_assert(model.away.peer->connections[model.away.peer->connection_count - 1]->saw_end);
    read_run(id);
    cr_assert(eq(int, model.image.header.error, AI_RUN_ERROR_TIMEOUT));
    cr_assert(eq(int, model.image.attempts[0].call_count, 2));
    cr_assert(eq(u64, model.image.header.input_tokens, 1000));
    weir_model_end(&model);
}

Test(weir_summary, is_recorded_once_when_the_process_dies_while_the_model_answers)
{
    char id[WEIR_ID_SIZE + 1];

    begin(11);
    model.script[0] = (struct weir_model_turn){.hangs = true};
    model.script[1] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    model.turn_count = 2;
    enqueue("i1", id);
    run_until_requests(1);
    run_for(50);
    weir_kill(&model.weir);
    weir_model_start(&model);
    run_until_requests(2);
    run_for(1000);
    expect_job(id, "\"state\":\"completed\"");
    read_run(id);
    cr_assert(eq(u32, model.image.header.revision, 1));
    cr_assert(eq(int, model.image.header.attempt_count, 1));
    cr_assert(eq(u32, ai_run_table_count(&weir_model_runs(&model)->table), 1));
    weir_stop(&model.weir);
    weir_model_start(&model);
    cr_assert(eq(u32, ai_run_table_count(&weir_model_runs(&model)->table), 1));
    run_for(60000);
    cr_assert(eq(u32, model.away.peer->request_count, 2));
    weir_model_end(&model);
}

Test(weir_summary, waits_behind_an_open_breaker_without_using_attempts)
{
    char ids[8][WEIR_ID_SIZE + 1];

    begin(12);
    model.script[0] = (struct weir_model_turn){.status = 500};
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        enqueue("i1", ids[i]);
    run_until_requests(5);
    run_for(1000);
    cr_assert(eq(u32, model.away.peer->request_count, 5));
    run_for(20000);
    cr_assert(eq(u32, model.away.peer->request_count, 5), "%u", model.away.peer->request_count);
    model.script[0] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    run_for(120000);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        expect_job(ids[i], "\"state\":\"completed\"");
    weir_model_end(&model);
}

Test(weir_summary, ends_its_call_when_the_job_is_cancelled)
{
    char id[WEIR_ID_SIZE + 1];

    begin(13);
    model.script[0] = (struct weir_model_turn){.hangs = true};
    enqueue("i1", id);
    run_until_requests(1);
    weir_cancel_job(&model.client, id);
    run_for(1000);
    cr_assert(model.away.peer->connections[0]->saw_end);
    cr_assert(zero(u32, model.weir.process.app.shards[0].jobs.handlers.runs.count));
    expect_job(id, "\"state\":\"cancelled\"");
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, waits_for_the_read_model_without_using_attempts)
{
    char id[WEIR_ID_SIZE + 1];

    begin(14);
    enqueue("away", id);
    run_for(60000);
    expect_job(id, "\"state\":\"scheduled\",\"attempt\":0");
    cr_assert(zero(u32, model.away.peer->request_count));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, looks_at_fewer_events_when_all_are_too_large)
{
    char id[WEIR_ID_SIZE + 1];

    begin(15);
    enqueue("large", id);
    run_until_requests(1);
    run_for(100);
    expect_job(id, "\"state\":\"completed\"");
    weir_model_end(&model);
}

Test(weir_summary, lets_go_of_an_input_that_comes_when_nobody_wants_it_any_more)
{
    char id[WEIR_ID_SIZE + 1];

    begin(16);
    enqueue("late", id);
    run_for(1000);
    cr_assert(ne(ptr, late_query, NULL));
    weir_cancel_job(&model.client, id);
    run_for(1000);
    cr_assert(zero(u32, model.weir.process.app.shards[0].jobs.handlers.runs.count));
    cr_assert(eq(
        u32, pool_used_count(&model.weir.process.app.shards[0].incident_summaries.inputs.pool), 1));
    late_query->on_done(late_query, READ_OK);
    run_for(1000);
    cr_assert(zero(
        u32, pool_used_count(&model.weir.process.app.shards[0].incident_summaries.inputs.pool)));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

Test(weir_summary, says_that_there_is_nothing_to_read_when_the_read_model_is_off)
{
    char id[WEIR_ID_SIZE + 1];

    begin(17);
    model.weir.process.app.shards[0].incident_summaries.inputs.ask = read_query_start;
    enqueue("i1", id);
    run_for(1000);
    expect_job(id, "read_model is off");
    read_run(id);
    cr_assert(eq(int, model.image.header.state, AI_RUN_FAILED));
    weir_stop(&model.weir);
    weir_model_end(&model);
}

/* The attempts of one job are not used up by others that are leased with it (one at a time). */
Test(weir_summary, uses_one_attempt_of_one_job_at_a_time)
{
    char ids[6][WEIR_ID_SIZE + 1];

    begin(20);
    weir_stop(&model.weir);
    model.weir.process.settings.ai_concurrency = 1;
    weir_model_start(&model);
    model.script[0] = (struct weir_model_turn){.hangs = true};
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        enqueue("i1", ids[i]);
    run_until_requests(1);
    run_for(30000);
    cr_assert(eq(u32, model.away.peer->request_count, 1));
    cr_assert(eq(u32, model.weir.process.app.shards[0].jobs.handlers.runs.count, 1));
    model.script[0] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    weir_model_say(model.away.peer->connections[0], &model.script[0]);
    run_for(5000);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        expect_job(ids[i], "\"state\":\"completed\",\"attempt\":1");
    weir_model_end(&model);
}

/* A job whose process dies in each attempt ends, instead of running for ever. */
Test(weir_summary, of_a_job_that_brings_the_process_down_again_and_again_comes_to_an_end)
{
    char id[WEIR_ID_SIZE + 1];

    begin(21);
    model.script[0] = (struct weir_model_turn){.hangs = true};
    enqueue("i1", id);
    for (uint32_t i = 0; i < 3; i++) {
        run_until_requests(i + 1);
        run_for(50);
        weir_kill(&model.weir);
        weir_model_start(&model);
    }
    run_for(600000);
    expect_job(id, "\"state\":\"dead\"");
    expect_job(id, "poison");
    cr_assert(eq(u32, model.away.peer->request_count, 3));
    weir_model_end(&model);
}

/* The lease is 120 s: an attempt that may take longer keeps it, and nobody else gets the job. */
Test(weir_summary, keeps_its_lease_while_it_waits_for_the_model)
{
    char id[WEIR_ID_SIZE + 1];

    begin(22);
    weir_stop(&model.weir);
    model.weir.process.settings.ai_deadline_ms = 500000;
    model.weir.process.settings.ai_call_timeout_ms = 400000;
    weir_model_start(&model);
    model.script[0] = (struct weir_model_turn){.hangs = true};
    enqueue("i1", id);
    run_until_requests(1);
    run_for(300000);
    expect_job(id, "\"state\":\"leased\"");
    cr_assert(eq(u32, model.away.peer->request_count, 1));
    weir_model_say(model.away.peer->connections[0],
                   &(struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD});
    run_for(1000);
    expect_job(id, "\"state\":\"completed\",\"attempt\":1");
    weir_model_end(&model);
}
