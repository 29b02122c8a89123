#include "actors/queue_routes.h"

#include "actors/job_routes_internals.h"
#include "actors/message_types.h"
#include "contracts/job_spec.h"
#include "contracts/json_member.h"
#include "contracts/queue_spec.h"
#include "http/url.h"
#include "runtime/policy_presets.h"

/*
 * A change says which settings it gives; the owner puts them into what the settings are when
 * the change's turn has come. So two changes at the same instant lose nothing of each other.
 *
 * A list is in the order of kinds; its cursor is the last kind of the page before. A queue
 * never goes away, so a page neither skips nor repeats one.
 */

enum {
    QUEUE_BODY_SIZE_MAX = 4096,
    QUEUE_TEXT_SIZE_MAX = 1024, /* of one queue in an answer */
    QUEUE_LIST_LIMIT_DEFAULT = 20,
    QUEUE_QUERY_SIZE_MAX = 128,
};

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

/* A request about the queue in the path, in the note. Results as job_begin(). */
MUST_USE static int begin(struct exchange *x, enum job_operation operation)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    int r = job_begin(x, operation, 0);

    if (r != EXCHANGE_READ_BODY || job_take_kind(x, note->request))
        return r;
    job_request_release(&note->request);
    return job_refuse(x, SLICE_LITERAL("the path names no kind of job"));
}

int queue_get_on_request(struct exchange *x)
{
    int r = begin(x, JOB_QUEUE_GET);

    return r == EXCHANGE_READ_BODY ? job_submit(x) : r;
}

/* The values; which of them count is said beside them. */
static struct job_queue_settings settings_of(const struct queue_spec *spec)
{
    struct job_queue_settings settings = {
        .concurrency = spec->concurrency,
        .key_concurrency = spec->key_concurrency,
        .rate_per_s = spec->rate_per_s,
        .burst = spec->burst,
        .timeout_ms = spec->timeout_ms,
        .depth_max = spec->depth_max,
        .flags =
            (spec->paused ? JOB_QUEUE_PAUSED : 0u) | (spec->draining ? JOB_QUEUE_DRAINING : 0u),
    };

    if ((spec->given & QUEUE_GIVES_RETRY) != 0)
        settings.retry = (struct job_queue_retry){
            .base_ms = spec->retry_base_ms,
            .cap_ms = spec->retry_cap_ms,
            .factor = spec->retry_factor,
            .jitter = spec->retry_jitter,
            .max_attempts = spec->retry_max_attempts,
            .is_set = (uint8_t)(1 + spec->retry_preset),
        };
    return settings;
}

/* Changes what spec gives; nothing given is just a look. */
static int change(struct exchange *x, const struct queue_spec *spec)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    int r = begin(x, spec->given != 0 ? JOB_QUEUE_SET : JOB_QUEUE_GET);

    if (r != EXCHANGE_READ_BODY)
        return r;
    note->request->given = spec->given;
    note->request->settings = settings_of(spec);
    return job_submit(x);
}

int queue_put_on_request(struct exchange *x)
{
    struct queue_spec spec = {0};
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
    return change(x, &spec);
}

int queue_pause_on_request(struct exchange *x)
{
    return change(x, &(struct queue_spec){.given = QUEUE_GIVES_PAUSED, .paused = true});
}

int queue_resume_on_request(struct exchange *x)
{
    return change(x, &(struct queue_spec){.given = QUEUE_GIVES_PAUSED | QUEUE_GIVES_DRAINING});
}

int queue_drain_on_request(struct exchange *x)
{
    return change(x, &(struct queue_spec){.given = QUEUE_GIVES_DRAINING, .draining = true});
}

/* --- lists ----------------------------------------------------------------------------- */

int queue_list_on_request(struct exchange *x)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    char text[QUEUE_QUERY_SIZE_MAX];
    uint64_t limit = QUEUE_LIST_LIMIT_DEFAULT;
    struct slice cursor;
    int r;

    if (!url_query_number(x->request->query, SLICE_LITERAL("limit"), 1, JOB_QUEUE_LIST_MAX, &limit))
        return exchange_problem(x, PROBLEM_INVALID_PARAMETER, NULL);
    if (!url_query_text(x->request->query, SLICE_LITERAL("cursor"), text, sizeof(text), &cursor) ||
        (cursor.data != NULL && !job_kind_is_valid(cursor)))
        return exchange_problem(x, PROBLEM_INVALID_CURSOR, NULL);
    r = job_begin(x, JOB_QUEUE_LIST, 0);
    if (r != EXCHANGE_READ_BODY)
        return r;
    note->request->limit = (uint16_t)limit;
    note->request->kind_size = (uint8_t)cursor.size;
    if (cursor.size > 0)
        memcpy(note->request->kind, cursor.data, cursor.size);
    return job_submit(x);
}

/* --- answers --------------------------------------------------------------------------- */

static void write_retry(const struct job_queue_retry *retry, struct json_writer *writer)
{
    uint32_t count;
    const struct policy_preset *presets = policy_presets_all(&count);

    json_writer_key(writer, SLICE_LITERAL("retry"));
    if (retry->is_set == 0) {
        json_writer_null(writer);
        return;
    }
    json_writer_begin_object(writer);
    if (retry->is_set > 1 && retry->is_set - 2u < count) {
        json_writer_key(writer, SLICE_LITERAL("preset"));
        json_writer_string(writer, slice_of(presets[retry->is_set - 2u].name));
    }
    json_member_u64(writer, SLICE_LITERAL("base_ms"), retry->base_ms);
    json_member_u64(writer, SLICE_LITERAL("cap_ms"), retry->cap_ms);
    json_member_u64(writer, SLICE_LITERAL("factor"), retry->factor);
    json_writer_key(writer, SLICE_LITERAL("jitter"));
    json_writer_string(writer, queue_spec_jitter_name((enum retry_jitter)retry->jitter));
    json_member_u64(writer, SLICE_LITERAL("max_attempts"), retry->max_attempts);
    json_writer_end_object(writer);
}

static void write_counts(const struct job_queue_view *view, struct json_writer *writer)
{
    static const enum job_state states[] = {JOB_SCHEDULED, JOB_WAITING, JOB_QUEUED,   JOB_LEASED,
                                            JOB_COMPLETED, JOB_DEAD,    JOB_CANCELLED};

    json_writer_key(writer, SLICE_LITERAL("counts"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < ARRAY_COUNT(states); i++)
        json_member_u64(writer, slice_of(job_state_name(states[i])), view->counts[states[i]]);
    json_writer_end_object(writer);
}

static void write_queue(struct slice kind, const struct job_queue_view *view,
                        struct json_writer *writer)
{
    const struct job_queue_settings *settings = &view->settings;

    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("kind"));
    json_writer_string(writer, kind);
    json_member_boolean(writer, SLICE_LITERAL("paused"), (settings->flags & JOB_QUEUE_PAUSED) != 0);
    json_member_boolean(writer, SLICE_LITERAL("draining"),
                        (settings->flags & JOB_QUEUE_DRAINING) != 0);
    json_member_u64(writer, SLICE_LITERAL("concurrency"), settings->concurrency);
    json_member_u64(writer, SLICE_LITERAL("key_concurrency"), settings->key_concurrency);
    json_member_u64(writer, SLICE_LITERAL("rate_per_second"), settings->rate_per_s);
    json_member_u64(writer, SLICE_LITERAL("burst"), settings->burst);
    json_writer_key(writer, SLICE_LITERAL("timeout_seconds"));
    json_writer_double(writer, (double)settings->timeout_ms / 1000);
    json_member_u64(writer, SLICE_LITERAL("max_depth"), settings->depth_max);
    write_retry(&settings->retry, writer);
    write_counts(view, writer);
    json_member_u64(writer, SLICE_LITERAL("accepted"), view->accepted_count);
    json_member_u64(writer, SLICE_LITERAL("waiting_workers"), view->waiter_count);
    json_writer_key(writer, SLICE_LITERAL("oldest_ready_seconds"));
    json_writer_double(writer, (double)view->oldest_ready_ms / 1000);
    json_writer_end_object(writer);
}

static void write_list(const struct job_request *request, struct json_writer *writer)
{
    const struct job_queue_line *lines = (const void *)request->answer->data;

    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("queues"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < request->line_count; i++)
        write_queue((struct slice){lines[i].kind, lines[i].kind_size}, &lines[i].view, writer);
    json_writer_end_array(writer);
    json_writer_key(writer, SLICE_LITERAL("next_cursor"));
    if (request->has_more) {
        const struct job_queue_line *last = &lines[request->line_count - 1];

        json_writer_string(writer, (struct slice){last->kind, last->kind_size});
    } else {
        json_writer_null(writer);
    }
    json_writer_end_object(writer);
}

static int answer(struct exchange *x, struct job_request *request)
{
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    struct exchange_problem_options options = {0};
    char text[QUEUE_TEXT_SIZE_MAX];
    struct buffer *body = NULL;
    struct json_writer writer;
    bool fits;
    int r = 0;

    if (request->code != PROBLEM_NONE) {
        if (problem_status(request->code) == 503)
            options.retry_after_s = request->retry_after_s > 0 ? request->retry_after_s : 1;
        return exchange_problem(x, request->code, &options);
    }
    /* A change that has been made must not be called refused for want of a buffer. */
    json_writer_init(&writer, text, sizeof(text));
    if (request->operation == JOB_QUEUE_LIST)
        r = buffer_acquire(app_shard_of(x)->buffers,
                           (request->line_count + 1u) * QUEUE_TEXT_SIZE_MAX, &body);
    if (r < 0) {
        options.retry_after_s = 1;
        return exchange_problem(x, PROBLEM_OVERLOADED, &options);
    }
    if (body != NULL) {
        json_writer_init(&writer, body->data, body->capacity);
        write_list(request, &writer);
    } else {
        write_queue((struct slice){request->kind, request->kind_size}, &request->queue_view,
                    &writer);
    }
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    r = exchange_respond(x, &response);
    buffer_unref(&body);
    return r;
}

int queue_on_reply(struct exchange *x, const struct message *msg)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    int r;

    if (msg->type != MSG_JOB_ANSWER || note->request == NULL)
        return EXCHANGE_PENDING;
    assert(job_request_is_decided(note->request));
    r = answer(x, note->request);
    job_request_release(&note->request);
    return r;
}
