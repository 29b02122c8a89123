#include "actors/queue_routes.h"

#include "actors/job_routes_internals.h"
#include "actors/message_types.h"

/*
 * A change is two requests to the owner: the settings as they are, then the settings as
 * they shall be, for only together are they a record. Two changes of different members at
 * the same instant may therefore meet: the later one wins as a whole.
 *
 *     PUT --QUEUE_GET--> as they are, or none yet --QUEUE_SET--> as they have become
 */

enum { QUEUE_BODY_SIZE_MAX = 4096, QUEUE_TEXT_SIZE_MAX = 2048 };

static_assert((int)QUEUE_SPEC_ATTEMPTS_MAX == (int)JOB_ATTEMPTS_MAX, "attempts");

int queue_get_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_READ, JOB_NEEDS_NOTHING, 0, 0);
}

int queue_set_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_ADMIN, JOB_NEEDS_RESERVE, QUEUE_BODY_SIZE_MAX,
                          QUEUE_BODY_SIZE_MAX);
}

/* Asks for the settings as they are; spec, or NULL for just looking, waits in the note. */
static int look(struct exchange *x, const struct queue_spec *spec)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    int r = job_begin(x, JOB_QUEUE_GET, 0);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (!job_take_kind(x, note->request)) {
        job_request_release(&note->request);
        return job_refuse(x, SLICE_LITERAL("the path names no kind of job"));
    }
    note->queue = spec != NULL ? *spec : (struct queue_spec){0};
    return job_submit(x);
}

int queue_get_on_request(struct exchange *x)
{
    return look(x, NULL);
}

int queue_put_on_request(struct exchange *x)
{
    struct queue_spec spec;
    struct issue_list issues;
    struct json_reader reader;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (queue_spec_read(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, &spec)) {
    case QUEUE_SPEC_OK:
        break;
    case QUEUE_SPEC_INVALID:
        return job_refuse_issues(x, &issues);
    case QUEUE_SPEC_BAD_JSON:
        return job_refuse_json(x, &reader);
    }
    return look(x, &spec);
}

int queue_pause_on_request(struct exchange *x)
{
    return look(x, &(struct queue_spec){.given = QUEUE_GIVES_PAUSED, .paused = true});
}

int queue_resume_on_request(struct exchange *x)
{
    return look(x, &(struct queue_spec){.given = QUEUE_GIVES_PAUSED | QUEUE_GIVES_DRAINING});
}

int queue_drain_on_request(struct exchange *x)
{
    return look(x, &(struct queue_spec){.given = QUEUE_GIVES_DRAINING, .draining = true});
}

static void set_flag(uint32_t *flags, uint32_t flag, bool is_set)
{
    *flags = is_set ? *flags | flag : *flags & ~flag;
}

/* The settings with the changes. */
static void apply(const struct queue_spec *spec, struct job_queue_settings *settings)
{
    uint32_t given = spec->given;

    if ((given & QUEUE_GIVES_CONCURRENCY) != 0)
        settings->concurrency = spec->concurrency;
    if ((given & QUEUE_GIVES_KEY_CONCURRENCY) != 0)
        settings->key_concurrency = spec->key_concurrency;
    if ((given & QUEUE_GIVES_RATE) != 0)
        settings->rate_per_s = spec->rate_per_s;
    if ((given & QUEUE_GIVES_BURST) != 0)
        settings->burst = spec->burst;
    if ((given & QUEUE_GIVES_TIMEOUT) != 0)
        settings->timeout_ms = spec->timeout_ms;
    if ((given & QUEUE_GIVES_DEPTH) != 0)
        settings->depth_max = spec->depth_max;
    if ((given & QUEUE_GIVES_PAUSED) != 0)
        set_flag(&settings->flags, JOB_QUEUE_PAUSED, spec->paused);
    if ((given & QUEUE_GIVES_DRAINING) != 0)
        set_flag(&settings->flags, JOB_QUEUE_DRAINING, spec->draining);
    if ((given & QUEUE_GIVES_RETRY) != 0)
        settings->retry = (struct job_queue_retry){
            .base_ms = spec->retry_base_ms,
            .cap_ms = spec->retry_cap_ms,
            .factor = spec->retry_factor,
            .jitter = spec->retry_jitter,
            .max_attempts = spec->retry_max_attempts,
            .is_set = 1,
        };
}

/* --- answers --------------------------------------------------------------------------- */

static void write_number(struct json_writer *writer, struct slice name, uint64_t value)
{
    json_writer_key(writer, name);
    json_writer_u64(writer, value);
}

static void write_flag(struct json_writer *writer, struct slice name, bool value)
{
    json_writer_key(writer, name);
    json_writer_boolean(writer, value);
}

static void write_retry(const struct job_queue_retry *retry, struct json_writer *writer)
{
    json_writer_key(writer, SLICE_LITERAL("retry"));
    if (retry->is_set == 0) {
        json_writer_null(writer);
        return;
    }
    json_writer_begin_object(writer);
    write_number(writer, SLICE_LITERAL("base_ms"), retry->base_ms);
    write_number(writer, SLICE_LITERAL("cap_ms"), retry->cap_ms);
    write_number(writer, SLICE_LITERAL("factor"), retry->factor);
    json_writer_key(writer, SLICE_LITERAL("jitter"));
    json_writer_string(writer, queue_spec_jitter_name((enum retry_jitter)retry->jitter));
    write_number(writer, SLICE_LITERAL("max_attempts"), retry->max_attempts);
    json_writer_end_object(writer);
}

static void write_counts(const struct job_queue_view *view, struct json_writer *writer)
{
    static const enum job_state states[] = {JOB_SCHEDULED, JOB_WAITING, JOB_QUEUED,   JOB_LEASED,
                                            JOB_COMPLETED, JOB_DEAD,    JOB_CANCELLED};

    json_writer_key(writer, SLICE_LITERAL("counts"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < ARRAY_COUNT(states); i++)
        write_number(writer, slice_of(job_state_name(states[i])), view->counts[states[i]]);
    json_writer_end_object(writer);
}

static void write_queue(const struct job_request *request, struct json_writer *writer)
{
    const struct job_queue_view *view = &request->queue_view;
    const struct job_queue_settings *settings = &view->settings;

    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("kind"));
    json_writer_string(writer, (struct slice){request->kind, request->kind_size});
    write_flag(writer, SLICE_LITERAL("paused"), (settings->flags & JOB_QUEUE_PAUSED) != 0);
    write_flag(writer, SLICE_LITERAL("draining"), (settings->flags & JOB_QUEUE_DRAINING) != 0);
    write_number(writer, SLICE_LITERAL("concurrency"), settings->concurrency);
    write_number(writer, SLICE_LITERAL("key_concurrency"), settings->key_concurrency);
    write_number(writer, SLICE_LITERAL("rate_per_second"), settings->rate_per_s);
    write_number(writer, SLICE_LITERAL("burst"), settings->burst);
    json_writer_key(writer, SLICE_LITERAL("timeout_seconds"));
    json_writer_double(writer, (double)settings->timeout_ms / 1000);
    write_number(writer, SLICE_LITERAL("max_depth"), settings->depth_max);
    write_retry(&settings->retry, writer);
    write_counts(view, writer);
    write_number(writer, SLICE_LITERAL("accepted"), view->accepted_count);
    write_number(writer, SLICE_LITERAL("waiting_workers"), view->waiter_count);
    json_writer_key(writer, SLICE_LITERAL("oldest_ready_seconds"));
    json_writer_double(writer, (double)view->oldest_ready_ms / 1000);
    json_writer_end_object(writer);
}

static int answer(struct exchange *x, struct job_request *request)
{
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    struct exchange_problem_options options = {0};
    char text[QUEUE_TEXT_SIZE_MAX];
    struct json_writer writer;
    bool fits;

    if (request->code != PROBLEM_NONE) {
        if (problem_status(request->code) == 503)
            options.retry_after_s = request->retry_after_s > 0 ? request->retry_after_s : 1;
        return exchange_problem(x, request->code, &options);
    }
    json_writer_init(&writer, text, sizeof(text));
    write_queue(request, &writer);
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    return exchange_respond(x, &response);
}

/* Sends the settings with the changes back to the owner. */
static int change(struct exchange *x)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct job_request *known = note->request;
    struct job_request *request = job_request_acquire(&app_shard_of(x)->jobs, x);

    if (request == NULL)
        return job_refuse_overloaded(x);
    request->operation = JOB_QUEUE_SET;
    request->org_size = known->org_size;
    request->project_size = known->project_size;
    request->kind_size = known->kind_size;
    memcpy(request->org, known->org, known->org_size);
    memcpy(request->project, known->project, known->project_size);
    memcpy(request->kind, known->kind, known->kind_size);
    if (known->code == PROBLEM_NONE)
        request->settings = known->queue_view.settings;
    apply(&note->queue, &request->settings);
    note->queue.given = 0;
    job_request_release(&note->request);
    note->request = request;
    return job_submit(x);
}

int queue_on_reply(struct exchange *x, const struct message *msg)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct job_request *request = note->request;
    int r;

    if (msg->type != MSG_JOB_ANSWER || request == NULL)
        return EXCHANGE_PENDING;
    assert(job_request_is_decided(request));
    if (note->queue.given != 0 &&
        (request->code == PROBLEM_NONE || request->code == PROBLEM_NOT_FOUND))
        return change(x);
    r = answer(x, request);
    job_request_release(&note->request);
    return r;
}
