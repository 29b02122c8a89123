#include "actors/incident_summary.h"

#include <errno.h>
#include <stdio.h>

#include "actors/app.h"
#include "contracts/json_string.h"
#include "contracts/local_summary.h"
#include "contracts/utf8.h"
#include "runtime/sim_point.h"

/*
 *     start --> input --> on_input --+--> make_local ------------------> complete
 *                                    \--> call_model --> on_answer --+-> complete
 *                                            ^--- repair ------------+-> fail
 *
 * What an attempt came to is noted in `attempt` as it goes; attach() makes the record of it
 * when the fact about the job is about to be written, for only then is it known whether a
 * failure is the last one.
 */

static_assert(offsetof(struct incident_summary, call) == 0, "as job_call_acquire() has it");

#define ORG "weir"
#define PROJECT "ai"

static const struct breaker_policy MODEL_BREAKER = {
    .consecutive_failures = 5,
    .open_ms = 30000,
    .probe_count = 1,
    .probe_successes = 1,
};

static struct incident_summaries *summaries_of(struct job_handler *handler)
{
    return container_of(handler, struct incident_summaries, calls.handler);
}

static struct incident_summary *summary_of(struct job_run *run)
{
    return container_of(run, struct incident_summary, call.run);
}

static uint64_t unix_ms(const struct incident_summary *it)
{
    return it->owner->calls.home->shard->clock.unix_ms;
}

static const struct ai_metrics *series_of(const struct incident_summary *it)
{
    return &it->owner->calls.home->app->metrics.ai;
}

static struct metrics *metrics_of(struct incident_summary *it)
{
    return &it->owner->calls.home->shard->metrics;
}

/* --- the end of an attempt ----------------------------------------------------------------- */

static void end_attempt(struct incident_summary *it, enum ai_run_error error)
{
    job_call_end(&it->call, BREAKERS_NOTHING); /* unless it was told before */
    it->attempt.ended_ms = unix_ms(it);
    it->attempt.error = (uint8_t)error;
}

/* text is static, or of this process's making: never what a server said. */
static void fail(struct incident_summary *it, enum ai_run_error error, struct slice text,
                 bool is_retryable, uint64_t retry_after_ms)
{
    end_attempt(it, error);
    job_run_fail(&it->call.run, text, is_retryable, retry_after_ms);
}

static void write_result(struct incident_summary *it, struct json_writer *writer)
{
    struct job_id id = {it->call.run.created_ms, it->call.run.id_low, it->call.run.partition};
    char text[UUID_TEXT_SIZE];

    job_id_format(id, text);
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("run_id"));
    json_writer_string(writer, (struct slice){text, sizeof(text)});
    json_writer_key(writer, SLICE_LITERAL("incident_id"));
    json_writer_string(writer, (struct slice){it->incident_id, it->incident_id_size});
    json_writer_key(writer, SLICE_LITERAL("model"));
    json_writer_string(writer, it->owner->model->name);
    json_writer_key(writer, SLICE_LITERAL("prompt"));
    json_writer_string(writer, summary_prompt_name());
    json_writer_key(writer, SLICE_LITERAL("confidence"));
    if (it->has_confidence)
        json_writer_double(writer, it->confidence);
    else
        json_writer_null(writer);
    json_writer_end_object(writer);
}

/* The summary is in the scratch of the owner, and valid. */
static void complete(struct incident_summary *it)
{
    const struct summary_output *output = &it->owner->output;
    struct json_writer writer;
    struct slice text = {NULL, 0};
    size_t capacity;
    char *result = job_run_text(&it->call.run, &capacity);
    bool fits;

    json_writer_init(&writer, it->output->data, it->output->capacity);
    summary_output_write(output, &writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits);
    it->output->size = (uint32_t)text.size;
    it->has_confidence = output->has_confidence;
    it->confidence = output->confidence;
    it->attempt.validation = AI_RUN_VALID;
    it->problems_size = 0;
    end_attempt(it, AI_RUN_ERROR_NONE);
    json_writer_init(&writer, result, capacity);
    write_result(it, &writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits);
    job_run_complete(&it->call.run, text.size);
}

/* --- the record --------------------------------------------------------------------------------
 */

static enum ai_run_state state_after(enum job_fact_kind kind)
{
    if (kind == JOB_FACT_COMPLETED)
        return AI_RUN_SUCCEEDED;
    return kind == JOB_FACT_RETRY ? AI_RUN_QUEUED : AI_RUN_FAILED;
}

static uint32_t confidence_ppm(const struct incident_summary *it)
{
    if (!it->has_confidence)
        return AI_RUN_CONFIDENCE_UNKNOWN;
    return (uint32_t)(it->confidence * 1000000 + 0.5);
}

static void fill_header(struct incident_summary *it, const struct job_fact_header *fact)
{
    const struct ai_model *model = it->owner->model;
    struct ai_run_header *header = &it->image.header;
    bool is_done = fact->kind == JOB_FACT_COMPLETED;

    header->id_low = it->call.run.id_low;
    header->created_ms = it->call.run.created_ms;
    header->written_ms = fact->at_ms;
    /* What there was before may not have been read, when the attempt ended early. */
    header->revision =
        1 + (uint32_t)max_u64(header->revision, ai_runs_revision(&it->owner->calls.home->ai_runs,
                                                                 it->call.run.id_low));
    header->max_tokens = model->max_tokens;
    header->temperature_milli = model->temperature_milli;
    header->confidence_ppm = is_done ? confidence_ppm(it) : AI_RUN_CONFIDENCE_UNKNOWN;
    header->state = (uint8_t)state_after((enum job_fact_kind)fact->kind);
    memcpy(header->prompt_sha256, it->owner->prompt_sha256, SHA256_SIZE);
    ai_run_add_attempt(&it->image, &it->attempt);
}

static void fill_sections(struct incident_summary *it, struct slice error)
{
    const struct ai_model *model = it->owner->model;
    const struct job_queue *queue = it->call.run.queue;
    struct slice *sections = it->image.sections;
    bool is_done = it->image.header.state == AI_RUN_SUCCEEDED;

    sections[AI_RUN_SECTION_ORG] = (struct slice){queue->org, queue->org_size};
    sections[AI_RUN_SECTION_PROJECT] = (struct slice){queue->project, queue->project_size};
    sections[AI_RUN_SECTION_KIND] = (struct slice){queue->kind, queue->kind_size};
    sections[AI_RUN_SECTION_INCIDENT] = (struct slice){it->incident_id, it->incident_id_size};
    sections[AI_RUN_SECTION_PROVIDER] = model->origin;
    sections[AI_RUN_SECTION_MODEL] = model->name;
    sections[AI_RUN_SECTION_ANSWERED] = (struct slice){it->answered, it->answered_size};
    sections[AI_RUN_SECTION_PROMPT] = summary_prompt_name();
    sections[AI_RUN_SECTION_SCHEMA] = SLICE_LITERAL(SUMMARY_SCHEMA_NAME);
    sections[AI_RUN_SECTION_PRICES] = model->price_table;
    sections[AI_RUN_SECTION_CORRELATION] = it->call.run.image.sections[JOB_SECTION_CORRELATION];
    sections[AI_RUN_SECTION_ERROR] = is_done ? (struct slice){NULL, 0} : error;
    sections[AI_RUN_SECTION_PROBLEMS] = (struct slice){it->problems, it->problems_size};
    sections[AI_RUN_SECTION_OUTPUT] =
        is_done ? (struct slice){it->output->data, it->output->size} : (struct slice){NULL, 0};
}

static bool attach(struct job_handler *handler, struct job_run *run,
                   const struct job_fact_header *header, struct slice text,
                   struct journal_record *ret_record)
{
    struct incident_summary *it = summary_of(run);

    (void)handler;
    if (it->record == NULL || it->incident_id_size == 0)
        return false; /* there was no telling what it was about */
    fill_header(it, header);
    fill_sections(it, text);
    assert(ai_run_size(&it->image) <= it->record->capacity);
    it->part = (struct slice){it->record->data, ai_run_encode(&it->image, it->record->data)};
    *ret_record = (struct journal_record){
        .partition = run->partition,
        .type = RECORD_AI_RUN,
        .version = AI_RUN_RECORD_VERSION,
        .parts = &it->part,
        .part_count = 1,
    };
    ai_metrics_count_attempt(series_of(it), metrics_of(it), &it->attempt,
                             (enum ai_run_state)it->image.header.state);
    return true;
}

/* --- calling the model -----------------------------------------------------------------------
 */

static void on_answer(struct http_client_call *http);

/* The conversation so far, as one request body. False: no buffer. */
MUST_USE static bool write_request(struct incident_summary *it)
{
    const struct ai_model *model = it->owner->model;
    struct chat_message messages[4] = {
        {CHAT_SYSTEM, summary_prompt_system()},
        {CHAT_USER, {it->prompt->data, it->prompt->size}},
    };
    struct chat_request request = {
        .model = model->name,
        .messages = messages,
        .message_count = 2,
        .max_tokens = model->max_tokens,
        .temperature_milli = model->temperature_milli,
    };
    size_t size = model->name.size + messages[0].text.size + messages[1].text.size;
    struct json_writer writer;
    struct slice body;
    bool fits;

    if (it->repair_count > 0) {
        messages[2] = (struct chat_message){CHAT_ASSISTANT, {it->answer->data, it->answer->size}};
        messages[3] = (struct chat_message){CHAT_USER, {it->repair->data, it->repair->size}};
        request.message_count = 4;
        size += messages[2].text.size + messages[3].text.size;
    }
    buffer_unref(&it->request);
    if (buffer_acquire(it->owner->calls.home->buffers, chat_request_size_max(size), &it->request) <
        0)
        return false;
    json_writer_init(&writer, it->request->data, it->request->capacity);
    chat_request_write(&request, &writer);
    fits = json_writer_finish(&writer, &body);
    assert(fits);
    it->request->size = (uint32_t)body.size;
    return true;
}

/* A key of its own for each call, so that a server that knows of such tells a repetition. */
static uint32_t fill_headers(struct incident_summary *it)
{
    const struct ai_model *model = it->owner->model;
    struct job_id id = {it->call.run.created_ms, it->call.run.id_low, it->call.run.partition};
    char text[UUID_TEXT_SIZE];
    int size;

    job_id_format(id, text);
    size = snprintf(it->idempotency_key, sizeof(it->idempotency_key), "%.*s-%u-%u", UUID_TEXT_SIZE,
                    text, it->call.run.attempt, it->attempt.call_count + 1u);
    assert(size > 0);
    assert((size_t)size < sizeof(it->idempotency_key));
    memcpy(it->headers, model->headers, model->header_count * sizeof(it->headers[0]));
    it->headers[model->header_count] =
        (struct header){SLICE_LITERAL("Idempotency-Key"), {it->idempotency_key, (size_t)size}};
    return model->header_count + 1;
}

static void fill_call(struct incident_summary *it)
{
    const struct settings *settings = it->owner->calls.home->app->settings;
    uint64_t now_ms = job_desk_now(it->call.run.desk);

    it->call.http.method = HTTP_METHOD_POST;
    it->call.http.url = it->owner->model->url;
    it->call.http.headers = it->headers;
    it->call.http.header_count = fill_headers(it);
    it->call.http.body = (struct slice){it->request->data, it->request->size};
    it->call.http.timeout_ms =
        min_u64(settings->ai_call_timeout_ms, it->ends_ms > now_ms ? it->ends_ms - now_ms : 1);
    it->call.http.body_size_max = CHAT_RESPONSE_SIZE_MAX;
    it->call.http.is_repeatable = true;
    it->call.http.policy = &it->owner->calls.addresses;
    it->call.http.on_done = on_answer;
}

static void call_model(struct incident_summary *it)
{
    int r;

    if (!write_request(it)) {
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        return;
    }
    fill_call(it);
    r = http_client_start(&it->owner->calls.home->client, &it->call.http);
    if (r == 0) {
        it->attempt.call_count++;
        return;
    }
    if (r == -EINVAL || r == -EMSGSIZE) {
        fail(it, AI_RUN_ERROR_REFUSED, SLICE_LITERAL("the request cannot be sent"), false, 0);
        return;
    }
    SOMETIMES("the client takes no call to a model");
    job_call_rest(&it->call, JOB_CALL_BUSY_MS);
}

static uint32_t add_tokens(uint32_t sum, uint32_t tokens)
{
    if (sum == CHAT_TOKENS_UNKNOWN || tokens == CHAT_TOKENS_UNKNOWN)
        return CHAT_TOKENS_UNKNOWN;
    return (uint32_t)min_u64((uint64_t)sum + tokens, CHAT_TOKENS_UNKNOWN - 1);
}

static void note_answered(struct incident_summary *it, const struct json_value *model)
{
    size_t written = 0;

    it->answered_size = 0;
    if (model->type != JSON_STRING)
        return;
    (void)!json_string_decode(model, it->answered, sizeof(it->answered), &written);
    if (!ai_model_is_told(it->owner->model, (struct slice){it->answered, written}))
        it->answered_size = (uint32_t)written;
}

/* What the call has used, whether its answer is any good or not. */
static void note_usage(struct incident_summary *it, const struct chat_response *response)
{
    struct ai_run_attempt *attempt = &it->attempt;
    uint64_t cost = token_price_cost(&it->owner->model->price, response->input_tokens,
                                     response->cached_tokens, response->output_tokens);

    attempt->input_tokens = add_tokens(attempt->input_tokens, response->input_tokens);
    attempt->output_tokens = add_tokens(attempt->output_tokens, response->output_tokens);
    attempt->cached_tokens = add_tokens(attempt->cached_tokens, response->cached_tokens);
    attempt->reasoning_tokens = add_tokens(attempt->reasoning_tokens, response->reasoning_tokens);
    if (cost == TOKEN_COST_UNKNOWN || attempt->cost_micro_usd == TOKEN_COST_UNKNOWN)
        attempt->cost_micro_usd = TOKEN_COST_UNKNOWN;
    else
        attempt->cost_micro_usd += cost;
    ai_metrics_count_usage(series_of(it), metrics_of(it), response, cost);
    attempt->finish = (uint8_t)response->finish;
    note_answered(it, &response->model);
}

static uint32_t milliseconds_since(uint64_t end_ns, uint64_t begin_ns)
{
    return (uint32_t)(end_ns > begin_ns ? (end_ns - begin_ns) / 1000000 : 0);
}

static void note_result(struct incident_summary *it, const struct http_client_result *result)
{
    ai_metrics_count_call(series_of(it), metrics_of(it), result->done_ns - result->started_ns);
    it->attempt.http_status = (uint16_t)result->status;
    if (it->attempt.first_byte_ms == 0 && result->first_byte_ns != 0)
        it->attempt.first_byte_ms =
            unix_ms(it) - milliseconds_since(result->done_ns, result->first_byte_ns);
}

/* --- judging the answer ---------------------------------------------------------------------- */

/* The text is not of the shape: tells the model so, unless it has been told often enough. */
static void repair(struct incident_summary *it, struct slice content)
{
    struct slice shown = {content.data, utf8_cut(content, INCIDENT_SUMMARY_SHOWN_SIZE_MAX)};
    struct buffer_pool *buffers = it->owner->calls.home->buffers;
    struct json_writer writer;
    struct slice text;
    bool fits;

    if (it->repair_count == INCIDENT_SUMMARY_REPAIR_COUNT_MAX) {
        SOMETIMES("an answer is not of the shape after all repairs");
        job_call_end(&it->call, BREAKERS_SUCCESS);
        fail(it, AI_RUN_ERROR_INVALID,
             SLICE_LITERAL("the model's answer is not of the shape that was asked for"), true, 0);
        return;
    }
    it->repair_count++;
    ai_metrics_count_repair(series_of(it), metrics_of(it));
    buffer_unref(&it->answer);
    if ((it->repair == NULL && buffer_acquire(buffers, SUMMARY_REPAIR_SIZE_MAX, &it->repair) < 0) ||
        buffer_acquire(buffers, INCIDENT_SUMMARY_SHOWN_SIZE_MAX, &it->answer) < 0) {
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        return;
    }
    memcpy(it->answer->data, shown.data, shown.size);
    it->answer->size = (uint32_t)shown.size;
    json_writer_init(&writer, it->repair->data, it->repair->capacity);
    summary_prompt_write_repair(&it->owner->output, &writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits);
    it->repair->size = (uint32_t)text.size;
    call_model(it);
}

/* The text of the model as it is, in a buffer that the caller gives back. False: none is free. */
MUST_USE static bool decode_content(struct incident_summary *it, const struct json_value *content,
                                    struct buffer **ret_buffer, struct slice *ret_text)
{
    struct slice body = {"", 0};

    *ret_buffer = NULL;
    *ret_text = body;
    if (content->type == JSON_ABSENT)
        return true;
    body = json_string_body(content);
    if (!content->has_escapes) {
        *ret_text = body;
        return true;
    }
    return buffer_acquire(it->owner->calls.home->buffers, body.size, ret_buffer) == 0 &&
           json_string_text(content, (*ret_buffer)->data, (*ret_buffer)->capacity, ret_text);
}

static void judge_content(struct incident_summary *it, const struct chat_response *response)
{
    struct buffer *buffer;
    struct slice text;

    if (response->has_refusal || response->finish == CHAT_FINISH_FILTER) {
        job_call_end(&it->call, BREAKERS_SUCCESS);
        fail(it, AI_RUN_ERROR_FILTERED, SLICE_LITERAL("the model refused to answer"), false, 0);
        return;
    }
    if (!decode_content(it, &response->content, &buffer, &text)) {
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        return;
    }
    if (ai_model_is_told(it->owner->model, text))
        text = (struct slice){"", 0};
    if (summary_output_read(text, &it->owner->output)) {
        job_call_end(&it->call, BREAKERS_SUCCESS);
        complete(it);
        buffer_unref(&buffer);
        return;
    }
    it->attempt.validation = AI_RUN_INVALID;
    it->problems_size = (uint32_t)summary_output_explain(&it->owner->output, it->problems);
    if (response->finish == CHAT_FINISH_LENGTH) {
        SOMETIMES("an answer is cut off");
        job_call_end(&it->call, BREAKERS_SUCCESS);
        fail(it, AI_RUN_ERROR_CUT_OFF,
             SLICE_LITERAL("the model's answer was cut off: [ai] max_tokens is too low for it"),
             false, 0);
    } else {
        repair(it, text);
    }
    buffer_unref(&buffer);
}

/* An answer of status 200. */
static void judge_answer(struct incident_summary *it, const struct http_client_result *result)
{
    struct chat_response response;

    if (ai_model_is_told(it->owner->model, result->body) ||
        !chat_response_read(result->body, &response)) {
        job_call_end(&it->call, BREAKERS_FAILURE);
        fail(it, AI_RUN_ERROR_BAD_ANSWER,
             SLICE_LITERAL("the model's server answered 200, but with no chat completion"), true,
             0);
        return;
    }
    note_usage(it, &response);
    judge_content(it, &response);
}

static void judge_status(struct incident_summary *it, const struct http_client_result *result)
{
    unsigned status = result->status;
    bool is_limited = status == 429;
    bool is_ill = status >= 500 || status == 408 || status == 425;
    char text[64];
    int size = snprintf(text, sizeof(text), "the model's server answered %u", status);

    assert(size > 0);
    job_call_end(&it->call, status >= 500 ? BREAKERS_FAILURE : BREAKERS_SUCCESS);
    fail(it,
         is_limited ? AI_RUN_ERROR_RATE_LIMITED
         : is_ill   ? AI_RUN_ERROR_SERVER
                    : AI_RUN_ERROR_REFUSED,
         (struct slice){text, (size_t)size}, is_limited || is_ill,
         result->has_retry_after ? result->retry_after_ms : 0);
}

static void judge_silence(struct incident_summary *it, const struct http_client_result *result)
{
    struct slice outcome = http_client_outcome_name(result->outcome);
    struct slice stage = http_client_stage_name(result->stage);
    char text[AI_RUN_ERROR_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "no answer of the model's server: %.*s while %.*s",
                        (int)outcome.size, outcome.data, (int)stage.size, stage.data);

    assert(size > 0);
    job_call_end(&it->call, BREAKERS_FAILURE);
    if (it->call.is_probe) {
        SOMETIMES("a probe of a model without an answer uses no attempt");
        job_call_park(&it->call);
        return;
    }
    fail(it,
         result->outcome == HTTP_CLIENT_TIMED_OUT ? AI_RUN_ERROR_TIMEOUT : AI_RUN_ERROR_NO_ANSWER,
         (struct slice){text, min_u64((uint64_t)size, sizeof(text) - 1)}, true, 0);
}

static void on_answer(struct http_client_call *http)
{
    struct incident_summary *it = container_of(http, struct incident_summary, call.http);
    const struct http_client_result *result = &http->result;
    struct job_desk *desk = it->call.run.desk;

    note_result(it, result);
    switch (result->outcome) {
    case HTTP_CLIENT_RESPONSE:
        if (result->status == 200)
            judge_answer(it, result);
        else
            judge_status(it, result);
        break;
    case HTTP_CLIENT_TOO_LARGE:
        job_call_end(&it->call, BREAKERS_SUCCESS);
        fail(it, AI_RUN_ERROR_BAD_ANSWER,
             SLICE_LITERAL("the answer of the model's server is larger than 1 MiB"), true, 0);
        break;
    case HTTP_CLIENT_NO_CAPACITY:
    case HTTP_CLIENT_CANCELLED:
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        break;
    case HTTP_CLIENT_ADDRESS_REFUSED:
    case HTTP_CLIENT_TIMED_OUT:
    case HTTP_CLIENT_CONNECT_FAILED:
    case HTTP_CLIENT_RESOLVE_FAILED:
    case HTTP_CLIENT_TLS_FAILED:
    case HTTP_CLIENT_BAD_RESPONSE:
    case HTTP_CLIENT_CLOSED_EARLY:
        judge_silence(it, result);
        break;
    case HTTP_CLIENT_OUTCOME_COUNT:
        assert(false);
        break;
    }
    job_desk_wake(desk);
}

/* --- input -------------------------------------------------------------------------------------
 */

/* What was recorded of this run before: its sums and attempts go on. */
static void take_previous(struct incident_summary *it, struct slice payload)
{
    memset(&it->image, 0, sizeof(it->image));
    if (payload.size > 0 && ai_run_decode(payload, &it->image) < 0)
        memset(&it->image, 0, sizeof(it->image));
    memset(it->image.sections, 0, sizeof(it->image.sections));
}

/* The brief borrows from the input, which nobody needs behind this. */
static void make_prompt(struct incident_summary *it)
{
    struct json_writer writer;
    struct slice text = {NULL, 0};
    bool fits;

    json_writer_init(&writer, it->prompt->data, it->prompt->capacity);
    summary_prompt_write(&it->owner->brief, &writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits);
    it->prompt->size = (uint32_t)text.size;
    sha256(text, it->image.header.input_sha256);
}

static void make_local(struct incident_summary *it)
{
    struct slice name = it->owner->model->name, text = {NULL, 0};
    struct json_writer writer;
    bool is_valid;

    json_writer_init(&writer, it->prompt->data, it->prompt->capacity);
    local_summary_write(&it->owner->brief, &writer);
    is_valid = json_writer_finish(&writer, &text) && summary_output_read(text, &it->owner->output);
    assert(is_valid);
    assert(name.size <= sizeof(it->answered));
    memcpy(it->answered, name.data, name.size);
    it->answered_size = (uint32_t)name.size;
    it->attempt.finish = CHAT_FINISH_STOP;
    summary_input_leave(&it->input);
    complete(it);
}

static void use_input(struct incident_summary *it)
{
    take_previous(it, it->input->previous);
    if (!incident_brief_read(it->input->answer, &it->owner->brief)) {
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("the incident cannot be read"), true, 0);
        return;
    }
    make_prompt(it);
    if (it->owner->model->is_local) {
        make_local(it);
        return;
    }
    summary_input_leave(&it->input);
    call_model(it);
}

static void on_input(struct summary_input *input)
{
    struct incident_summaries *summaries =
        container_of(input->inputs, struct incident_summaries, inputs);
    struct incident_summary *it = input->owner;

    assert(it->owner == summaries);
    assert(it->input == input);
    switch (input->result) {
    case READ_OK:
        use_input(it);
        break;
    case READ_NOT_FOUND:
        take_previous(it, input->previous);
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("there is no such incident"), false, 0);
        break;
    case READ_BAD_CURSOR:
    case READ_TOO_BIG:
        take_previous(it, input->previous);
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("the incident is too large to be read"), false,
             0);
        break;
    case READ_UNAVAILABLE:
        if (it->owner->calls.home->app->settings->read_model == SETTINGS_READ_MODEL_OFF) {
            take_previous(it, input->previous);
            fail(it, AI_RUN_ERROR_INPUT,
                 SLICE_LITERAL("there are no incidents to be read: [store] read_model is off"),
                 false, 0);
            break;
        }
        job_call_rest(&it->call, SUMMARY_INPUT_WAIT_MS);
        break;
    case READ_TIMEOUT:
    case READ_BUSY:
        SOMETIMES("a summary waits for the read model");
        job_call_rest(&it->call, SUMMARY_INPUT_WAIT_MS);
        break;
    }
}

/* --- the handler ---------------------------------------------------------------------------------
 */

static void release(struct job_handler *handler, struct job_run *run)
{
    struct incident_summary *it = summary_of(run);

    (void)handler;
    summary_input_leave(&it->input);
    buffer_unref(&it->prompt);
    buffer_unref(&it->answer);
    buffer_unref(&it->repair);
    buffer_unref(&it->request);
    buffer_unref(&it->output);
    buffer_unref(&it->record);
    job_call_release(&it->call);
}

/* False: the payload names no incident. */
MUST_USE static bool read_payload(struct incident_summary *it)
{
    struct slice payload = it->call.run.image.sections[JOB_SECTION_PAYLOAD], text;
    struct json_reader reader;
    struct json_value value;

    if (json_read_document(payload, JSON_DEPTH_MAX, &reader, &value) != JSON_OK ||
        value.type != JSON_OBJECT ||
        !json_find_member(payload, SLICE_LITERAL("incident_id"), &value) ||
        value.type != JSON_STRING ||
        !json_string_text(&value, it->incident_id, sizeof(it->incident_id), &text) ||
        text.size == 0 || text.size > sizeof(it->incident_id))
        return false;
    memmove(it->incident_id, text.data, text.size);
    it->incident_id_size = (uint32_t)text.size;
    return true;
}

MUST_USE static bool acquire_buffers(struct incident_summary *it)
{
    struct buffer_pool *buffers = it->owner->calls.home->buffers;

    return buffer_acquire(buffers, SUMMARY_PROMPT_SIZE_MAX, &it->prompt) == 0 &&
           buffer_acquire(buffers, SUMMARY_WRITTEN_SIZE_MAX, &it->output) == 0 &&
           buffer_acquire(buffers, AI_RUN_RECORD_SIZE_MAX, &it->record) == 0;
}

static void begin_attempt(struct incident_summary *it)
{
    const struct settings *settings = it->owner->calls.home->app->settings;

    it->ends_ms = job_desk_now(it->call.run.desk) + settings->ai_deadline_ms;
    job_run_allow(&it->call.run, settings->ai_deadline_ms);
    it->attempt.started_ms = unix_ms(it);
    it->attempt.number = it->call.run.attempt;
}

static void start(struct job_handler *handler, struct job_run *run)
{
    struct incident_summaries *summaries = summaries_of(handler);
    struct incident_summary *it = summary_of(run);
    struct summary_wish wish = {
        .org = {run->queue->org, run->queue->org_size},
        .project = {run->queue->project, run->queue->project_size},
        .after = run->location,
        .previous = ai_runs_find(&summaries->calls.home->ai_runs, run->id_low),
    };

    it->owner = summaries;
    begin_attempt(it);
    if (!read_payload(it)) {
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("the payload names no incident"), false, 0);
        return;
    }
    wish.incident_id = (struct slice){it->incident_id, it->incident_id_size};
    if (!acquire_buffers(it)) {
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        return;
    }
    if (!summaries->model->is_local &&
        !job_call_admit(&it->call, SLICE_LITERAL(ORG), SLICE_LITERAL(PROJECT),
                        summaries->model->origin, &MODEL_BREAKER))
        return;
    it->input = summary_input_start(&summaries->inputs, &wish);
    if (it->input == NULL) {
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        return;
    }
    it->input->owner = it;
}

static void cancel(struct job_handler *handler, struct job_run *run)
{
    struct incident_summary *it = summary_of(run);

    (void)handler;
    if (http_client_is_open(&it->call.http)) {
        SOMETIMES("a call to a model is called off");
        http_client_cancel(&it->call.http);
    }
    summary_input_leave(&it->input);
    job_call_end(&it->call, BREAKERS_NOTHING);
    /* If an outcome follows, it is that the deadline is over. */
    end_attempt(it, AI_RUN_ERROR_TIMEOUT);
}

/* Its own deadlines are what watches it. */
static bool is_alive(const struct job_run *run)
{
    (void)run;
    return true;
}

static void on_wake(struct job_handler *handler)
{
    summary_inputs_on_wake(&summaries_of(handler)->inputs);
}

static const struct job_handler_type incident_summary_type = {
    .kind = SLICE_INITIALIZER("incident.summarize"),
    .lease_ms = INCIDENT_SUMMARY_LEASE_MS,
    .deadline_ms = INCIDENT_SUMMARY_LEASE_MS,
    .result_size_max = INCIDENT_SUMMARY_RESULT_SIZE_MAX,
    .acquire = job_call_acquire,
    .release = release,
    .start = start,
    .cancel = cancel,
    .is_alive = is_alive,
    .attach = attach,
    .on_wake = on_wake,
};

/* --- start-up ------------------------------------------------------------------------------------
 */

uint32_t incident_summaries_concurrency(int64_t total, uint32_t shard_count)
{
    return ((uint32_t)total + shard_count - 1) / shard_count;
}

int incident_summaries_init(struct incident_summaries *summaries, struct app_shard *home)
{
    uint32_t concurrency =
        incident_summaries_concurrency(home->app->settings->ai_concurrency, home->app->shard_count);
    int r;

    memset(summaries, 0, sizeof(*summaries));
    summaries->model = &home->app->ai_model;
    summary_prompt_sha256(summaries->prompt_sha256);
    summaries->inputs.on_done = on_input;
    /* An operator says where models are, so they may be anywhere. */
    summaries->calls.addresses.allow_private = true;
    r = job_calls_init(&summaries->calls, home, &incident_summary_type, "summaries",
                       sizeof(struct incident_summary), concurrency);
    if (r == 0)
        r = summary_inputs_init(&summaries->inputs, home, &summaries->calls.handler, concurrency);
    return r;
}

void incident_summaries_deinit(struct incident_summaries *summaries)
{
    job_calls_deinit(&summaries->calls);
    summary_inputs_deinit(&summaries->inputs);
}
