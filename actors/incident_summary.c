#include "actors/incident_summary.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/summary_verdict.h"
#include "contracts/job_kinds.h"
#include "contracts/json_string.h"
#include "contracts/summary_prompt.h"
#include "runtime/sim_point.h"

/*
 *     start --> input --> on_input --+--> make_local ------------------------> complete
 *                                    \--> call_model --> on_answer: verdict -+-> complete
 *                                            ^--- repair --------------------+-> fail
 *
 * What each step is made of has a home of its own: what is said to the model in
 * actors/model_chat.h, what its answer means in actors/summary_verdict.h, what is recorded of
 * it in actors/ai_run_draft.h, and what such jobs have in common in actors/job_call.h.
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

static struct app_shard *home_of(const struct incident_summary *it)
{
    return it->owner->calls.home;
}

static uint64_t unix_ms(const struct incident_summary *it)
{
    return home_of(it)->shard->clock.unix_ms;
}

static const struct ai_metrics *series_of(const struct incident_summary *it)
{
    return &home_of(it)->app->metrics.ai;
}

static struct metrics *metrics_of(struct incident_summary *it)
{
    return &home_of(it)->shard->metrics;
}

static struct job_id id_of(const struct incident_summary *it)
{
    const struct job_run *run = &it->call.run;

    return (struct job_id){run->created_ms, run->id_low, run->partition};
}

/* --- the end of an attempt ----------------------------------------------------------------- */

/* text is static, or of this process's making: never what a server said. */
static void fail(struct incident_summary *it, enum ai_run_error error, struct slice text,
                 bool is_retryable, uint64_t retry_after_ms)
{
    job_call_end(&it->call, BREAKERS_NOTHING); /* unless it was told before */
    ai_run_draft_end(&it->draft, error, unix_ms(it));
    job_run_fail(&it->call.run, text, is_retryable, retry_after_ms);
}

static void write_result(struct incident_summary *it, struct json_writer *writer)
{
    char text[UUID_TEXT_SIZE];

    job_id_format(id_of(it), text);
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("run_id"));
    json_writer_string(writer, (struct slice){text, sizeof(text)});
    json_writer_key(writer, SLICE_LITERAL("incident_id"));
    json_writer_string(writer, (struct slice){it->draft.incident_id, it->draft.incident_id_size});
    json_writer_key(writer, SLICE_LITERAL("model"));
    json_writer_string(writer, it->owner->model->name);
    json_writer_key(writer, SLICE_LITERAL("prompt"));
    json_writer_string(writer, summary_prompt_name());
    json_writer_key(writer, SLICE_LITERAL("confidence"));
    if (it->draft.has_confidence)
        json_writer_double(writer, it->draft.confidence);
    else
        json_writer_null(writer);
    json_writer_end_object(writer);
}

/* The summary is in the scratch of the owner, and valid. */
static void complete(struct incident_summary *it)
{
    struct json_writer writer;
    struct slice text;
    size_t capacity;
    char *result = job_run_text(&it->call.run, &capacity);
    bool fits;

    job_call_end(&it->call, BREAKERS_SUCCESS);
    ai_run_draft_set_output(&it->draft, &it->owner->output);
    ai_run_draft_end(&it->draft, AI_RUN_ERROR_NONE, unix_ms(it));
    json_writer_init(&writer, result, capacity);
    write_result(it, &writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits);
    job_run_complete(&it->call.run, text.size);
}

static bool attach(struct job_handler *handler, struct job_run *run,
                   const struct job_fact_header *header, struct slice text,
                   struct journal_record *ret_record)
{
    struct incident_summary *it = summary_of(run);
    uint32_t revision = ai_runs_revision(&summaries_of(handler)->calls.home->ai_runs, run->id_low);

    if (!ai_run_draft_write(&it->draft, run, header, text, revision, ret_record))
        return false;
    ai_metrics_count_attempt(series_of(it), metrics_of(it), &it->draft.attempt,
                             (enum ai_run_state)it->draft.image.header.state);
    return true;
}

/* --- the model ------------------------------------------------------------------------------- */

static void on_answer(struct http_client_call *http);

static void fill_limits(struct incident_summary *it)
{
    const struct settings *settings = home_of(it)->app->settings;
    struct http_client_call *http = &it->call.http;
    uint64_t now_ms = job_desk_now(it->call.run.desk);

    http->timeout_ms =
        min_u64(settings->ai_call_timeout_ms, it->ends_ms > now_ms ? it->ends_ms - now_ms : 1);
    http->body_size_max = CHAT_RESPONSE_SIZE_MAX;
    http->is_repeatable = true;
    http->policy = &it->owner->calls.addresses;
    http->on_done = on_answer;
}

static void call_model(struct incident_summary *it)
{
    int r;

    if (!model_chat_fill_call(&it->chat, id_of(it), it->call.run.attempt,
                              it->draft.attempt.call_count + 1u, &it->call.http)) {
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        return;
    }
    fill_limits(it);
    r = http_client_start(&home_of(it)->client, &it->call.http);
    if (r == 0) {
        it->draft.attempt.call_count++;
        return;
    }
    if (r == -EINVAL || r == -EMSGSIZE) {
        fail(it, AI_RUN_ERROR_REFUSED, SLICE_LITERAL("the request cannot be sent"), false, 0);
        return;
    }
    SOMETIMES("the client takes no call to a model");
    job_call_rest(&it->call, JOB_CALL_BUSY_MS);
}

/* The text is not of the shape: tells the model so, unless it has been told often enough. */
static void repair(struct incident_summary *it, struct slice content)
{
    if (!model_chat_may_repair(&it->chat)) {
        SOMETIMES("an answer is not of the shape after all repairs");
        job_call_end(&it->call, BREAKERS_SUCCESS);
        fail(it, AI_RUN_ERROR_INVALID,
             SLICE_LITERAL("the model's answer is not of the shape that was asked for"), true, 0);
        return;
    }
    ai_metrics_count_repair(series_of(it), metrics_of(it));
    if (model_chat_repair(&it->chat, content, &it->owner->output))
        call_model(it);
    else
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
}

static void fail_by(struct incident_summary *it, const struct summary_verdict *verdict)
{
    job_call_end(&it->call, verdict->breaker);
    if (verdict->is_silence && it->call.is_probe) {
        SOMETIMES("a probe of a model without an answer uses no attempt");
        job_call_park(&it->call);
        return;
    }
    fail(it, verdict->error, verdict->text, verdict->is_retryable, verdict->retry_after_ms);
}

static void note_usage(struct incident_summary *it, const struct chat_response *response)
{
    uint64_t cost = token_price_cost(&it->owner->model->price, response->input_tokens,
                                     response->cached_tokens, response->output_tokens);

    ai_run_draft_note_usage(&it->draft, response, cost);
    ai_metrics_count_usage(series_of(it), metrics_of(it), response, cost);
}

static void on_answer(struct http_client_call *http)
{
    struct incident_summary *it = container_of(http, struct incident_summary, call.http);
    const struct http_client_result *result = &http->result;
    struct job_desk *desk = it->call.run.desk;
    struct summary_verdict verdict;

    ai_metrics_count_call(series_of(it), metrics_of(it), result->done_ns - result->started_ns);
    ai_run_draft_note_call(&it->draft, result, unix_ms(it));
    summary_verdict_init(&verdict, result, it->owner->model, home_of(it)->buffers,
                         &it->owner->output);
    if (verdict.has_response)
        note_usage(it, &verdict.response);
    if (verdict.has_problems)
        ai_run_draft_note_problems(&it->draft, &it->owner->output);
    switch (verdict.kind) {
    case SUMMARY_VALID:
        complete(it);
        break;
    case SUMMARY_INVALID:
        repair(it, verdict.content);
        break;
    case SUMMARY_FAILED:
        fail_by(it, &verdict);
        break;
    case SUMMARY_UNHEARD:
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        break;
    }
    summary_verdict_deinit(&verdict);
    job_desk_wake(desk);
}

static void make_local(struct incident_summary *it)
{
    struct slice text = model_chat_answer_locally(&it->chat, &it->owner->brief);
    bool is_valid = summary_output_read(text, &it->owner->output);

    assert(is_valid);
    summary_input_leave(&it->input);
    ai_run_draft_note_local(&it->draft);
    complete(it);
}

/* --- input -------------------------------------------------------------------------------------
 */

/* The brief borrows from the input, which nobody needs once its text has been written. */
static void use_input(struct incident_summary *it)
{
    struct slice prompt;

    if (!incident_brief_read(it->input->answer, &it->owner->brief)) {
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("the incident cannot be read"), true, 0);
        return;
    }
    prompt = model_chat_ask(&it->chat, &it->owner->brief);
    sha256(prompt, it->draft.image.header.input_sha256);
    if (it->owner->model->is_local) {
        make_local(it);
        return;
    }
    summary_input_leave(&it->input);
    call_model(it);
}

static void on_input(struct summary_input *input)
{
    struct incident_summary *it = input->owner;

    assert(&it->owner->inputs == input->inputs);
    assert(it->input == input);
    ai_run_draft_continue(&it->draft, input->previous);
    switch (input->result) {
    case READ_OK:
        use_input(it);
        break;
    case READ_NOT_FOUND:
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("there is no such incident"), false, 0);
        break;
    case READ_BAD_CURSOR:
    case READ_TOO_BIG:
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("the incident is too large to be read"), false,
             0);
        break;
    case READ_UNAVAILABLE:
        if (home_of(it)->app->settings->read_model == SETTINGS_READ_MODEL_OFF) {
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
    model_chat_end(&it->chat);
    ai_run_draft_release(&it->draft);
    job_call_release(&it->call);
}

/* False: the payload names no incident. */
MUST_USE static bool read_payload(struct incident_summary *it)
{
    struct slice payload = it->call.run.image.sections[JOB_SECTION_PAYLOAD], text;
    struct ai_run_draft *draft = &it->draft;
    struct json_reader reader;
    struct json_value value;

    if (json_read_document(payload, JSON_DEPTH_MAX, &reader, &value) != JSON_OK ||
        value.type != JSON_OBJECT ||
        !json_find_member(payload, SLICE_LITERAL("incident_id"), &value) ||
        value.type != JSON_STRING ||
        !json_string_text(&value, draft->incident_id, sizeof(draft->incident_id), &text) ||
        text.size == 0 || text.size > sizeof(draft->incident_id))
        return false;
    memmove(draft->incident_id, text.data, text.size);
    draft->incident_id_size = (uint32_t)text.size;
    return true;
}

static void begin_attempt(struct incident_summary *it)
{
    const struct settings *settings = home_of(it)->app->settings;
    struct job_run *run = &it->call.run;

    it->ends_ms = job_desk_now(run->desk) + settings->ai_deadline_ms;
    job_run_allow(run, settings->ai_deadline_ms);
    ai_run_draft_begin(&it->draft, it->owner->model, it->owner->prompt_sha256, run->attempt,
                       unix_ms(it));
}

static void start(struct job_handler *handler, struct job_run *run)
{
    struct incident_summaries *summaries = summaries_of(handler);
    struct app_shard *home = summaries->calls.home;
    struct incident_summary *it = summary_of(run);
    struct summary_wish wish = {
        .org = {run->queue->org, run->queue->org_size},
        .project = {run->queue->project, run->queue->project_size},
        .after = run->location,
        .previous = ai_runs_find(&home->ai_runs, run->id_low),
    };

    it->owner = summaries;
    begin_attempt(it);
    if (!read_payload(it)) {
        fail(it, AI_RUN_ERROR_INPUT, SLICE_LITERAL("the payload names no incident"), false, 0);
        return;
    }
    wish.incident_id = (struct slice){it->draft.incident_id, it->draft.incident_id_size};
    if (!model_chat_begin(&it->chat, summaries->model, home->buffers) ||
        !ai_run_draft_reserve(&it->draft, home->buffers)) {
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
    ai_run_draft_end(&it->draft, AI_RUN_ERROR_TIMEOUT, unix_ms(it));
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
    .kind = SLICE_INITIALIZER(JOB_KIND_SUMMARIZE),
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
