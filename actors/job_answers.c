#include "actors/job_routes.h"

#include <errno.h>

#include "actors/job_routes_internals.h"
#include "actors/message_types.h"
#include "contracts/json_member.h"

/*
 * What the owner has decided, as JSON. A refusal of the whole request comes first; else each
 * operation has its own shape. A lease whose answer cannot be written is given back, so that
 * another worker gets its jobs at once.
 */

enum {
    ITEM_SIZE_MAX = 512,   /* of one job in an answer, without texts */
    ANSWER_SIZE_MAX = 256, /* of an answer without its jobs */
    ESCAPED_SIZE_MAX = 6,  /* bytes that one byte of text may become */
    LOCATION_SIZE_MAX = 64,
};

#define KEY(writer, literal) json_writer_key(writer, SLICE_LITERAL(literal))

static void write_id(struct json_writer *writer, struct job_id id)
{
    char text[UUID_TEXT_SIZE];

    job_id_format(id, text);
    KEY(writer, "id");
    json_writer_string(writer, (struct slice){text, sizeof(text)});
}

static void write_state(struct json_writer *writer, const struct job_item *item)
{
    json_member_string(writer, SLICE_LITERAL("state"),
                       slice_of(job_state_name((enum job_state)item->state)));
}

/* When what the state waits for comes, or when it was entered for good. */
static void write_when(struct json_writer *writer, const struct job_item *item)
{
    if (item->when_ms == 0)
        return;
    if (item->state == JOB_SCHEDULED)
        KEY(writer, "run_at");
    else if (item->state == JOB_LEASED)
        KEY(writer, "leased_until");
    else if (job_state_is_terminal((enum job_state)item->state))
        KEY(writer, "ended_at");
    else
        return;
    json_writer_time(writer, (int64_t)item->when_ms);
}

static int respond(struct exchange *x, const struct json_writer *writer, uint32_t status)
{
    struct response response = {.status = status,
                                .content_type = SLICE_LITERAL("application/json")};
    bool fits = json_writer_finish(writer, &response.body);

    assert(fits);
    return exchange_respond(x, &response);
}

/* --- refusals -------------------------------------------------------------------------- */

static int answer_refusal(struct exchange *x, const struct job_request *request)
{
    struct exchange_problem_options options = {.retry_after_s = request->retry_after_s};
    enum problem_code code = request->code;
    uint16_t status = problem_status(code);

    if (options.retry_after_s == 0 && (status == 503 || status == 429 || code == PROBLEM_IN_FLIGHT))
        options.retry_after_s = INTAKE_RETRY_AFTER_S;
    return exchange_problem(x, code, &options);
}

/* What a status is to a request about this one job; PROBLEM_NONE: it went well. */
static enum problem_code problem_of_status(const struct job_request *request)
{
    switch ((enum job_item_status)request->items[0].status) {
    case JOB_ITEM_DONE:
    case JOB_ITEM_DUPLICATE:
        return PROBLEM_NONE;
    case JOB_ITEM_UNKNOWN:
        return PROBLEM_NOT_FOUND;
    case JOB_ITEM_BUSY:
        return PROBLEM_JOB_BUSY;
    case JOB_ITEM_TERMINAL:
        return request->operation == JOB_CANCEL ? PROBLEM_JOB_ENDED : PROBLEM_STALE_EPOCH;
    case JOB_ITEM_STALE:
        return PROBLEM_STALE_EPOCH;
    case JOB_ITEM_NONE:
        break;
    }
    return PROBLEM_INTERNAL_ERROR;
}

/* --- jobs that were made ----------------------------------------------------------------- */

static void write_enqueued(struct json_writer *writer, const struct job_item *item)
{
    write_id(writer, item->id);
    write_state(writer, item);
    KEY(writer, "duplicate");
    json_writer_boolean(writer, item->status == JOB_ITEM_DUPLICATE);
}

static int answer_enqueued(struct exchange *x, const struct job_item *item)
{
    struct response response = {
        .status = 202, .content_type = SLICE_LITERAL("application/json"), .field_count = 1};
    static const struct slice prefix = SLICE_INITIALIZER("/v1/jobs/");
    char text[ITEM_SIZE_MAX], location[LOCATION_SIZE_MAX];
    struct slice kind = {item->kind, strnlen(item->kind, sizeof(item->kind))};
    struct json_writer writer;
    bool fits;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    json_member_string(&writer, SLICE_LITERAL("kind"), kind);
    write_enqueued(&writer, item);
    json_writer_end_object(&writer);
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    static_assert(sizeof("/v1/jobs/") + UUID_TEXT_SIZE <= sizeof(location), "prefix and id");
    memcpy(location, prefix.data, prefix.size);
    job_id_format(item->id, location + prefix.size);
    response.fields[0] =
        (struct header){SLICE_LITERAL("location"), {location, prefix.size + UUID_TEXT_SIZE}};
    return exchange_respond(x, &response);
}

static void write_batch(const struct job_request *request, struct json_writer *writer)
{
    for (uint32_t i = 0; i < request->item_count; i++) {
        json_writer_begin_object(writer);
        write_enqueued(writer, &request->items[i]);
        json_writer_end_object(writer);
    }
}

/* In the order in which they were sent, with their names. */
static void write_flow(const struct job_request *request, const struct buffer *kept,
                       struct json_writer *writer)
{
    const struct job_names *names = (const struct job_names *)(const void *)kept->data;
    const char *at = kept->data + sizeof(*names);

    assert(names->count == request->item_count);
    for (uint32_t i = 0; i < names->count; i++) {
        uint16_t size;

        memcpy(&size, at, sizeof(size));
        json_writer_begin_object(writer);
        KEY(writer, "name");
        json_writer_raw(writer, (struct slice){at + sizeof(size), size});
        write_enqueued(writer, &request->items[names->places[i]]);
        json_writer_end_object(writer);
        at += sizeof(size) + size;
    }
}

static int answer_many_enqueued(struct exchange *x, const struct job_request *request,
                                const struct buffer *names)
{
    size_t size = ANSWER_SIZE_MAX + (size_t)request->item_count * ITEM_SIZE_MAX +
                  (names != NULL ? names->size : 0);
    struct buffer *body = NULL;
    struct json_writer writer;
    int r = buffer_acquire(app_shard_of(x)->buffers, size, &body);

    if (r < 0)
        return r;
    json_writer_init(&writer, body->data, body->capacity);
    json_writer_begin_object(&writer);
    KEY(&writer, "jobs");
    json_writer_begin_array(&writer);
    if (request->is_flow)
        write_flow(request, names, &writer);
    else
        write_batch(request, &writer);
    json_writer_end_array(&writer);
    json_writer_end_object(&writer);
    r = respond(x, &writer, 202);
    buffer_unref(&body);
    return r;
}

/* --- leases and outcomes --------------------------------------------------------------------- */

static struct slice status_name(const struct job_item *item)
{
    switch ((enum job_item_status)item->status) {
    case JOB_ITEM_DONE:
        return item->is_failure ? SLICE_LITERAL("failed") : SLICE_LITERAL("completed");
    case JOB_ITEM_DUPLICATE:
        return SLICE_LITERAL("duplicate");
    case JOB_ITEM_UNKNOWN:
        return SLICE_LITERAL("not_found");
    case JOB_ITEM_BUSY:
        return SLICE_LITERAL("busy");
    case JOB_ITEM_STALE:
    case JOB_ITEM_TERMINAL:
    case JOB_ITEM_NONE:
        break;
    }
    return SLICE_LITERAL("stale_epoch");
}

/* In the order in which they were sent; what was no id at all is null. */
static void write_outcomes(const struct job_request *request, uint32_t count,
                           struct json_writer *writer)
{
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < count; i++) {
        json_writer_begin_object(writer);
        if (request->items[i].id.id_low != 0) {
            write_id(writer, request->items[i].id);
        } else {
            KEY(writer, "id");
            json_writer_null(writer);
        }
        json_member_string(writer, SLICE_LITERAL("status"), status_name(&request->items[i]));
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

static void write_leased(const struct job_request *request, const struct job_item *item,
                         struct json_writer *writer)
{
    json_writer_begin_object(writer);
    write_id(writer, item->id);
    json_member_string(writer, SLICE_LITERAL("kind"),
                       (struct slice){request->kind, request->kind_size});
    KEY(writer, "payload");
    json_writer_raw(writer, item->payload);
    KEY(writer, "key");
    if (item->key.size > 0)
        json_writer_string(writer, item->key);
    else
        json_writer_null(writer);
    json_member_u64(writer, SLICE_LITERAL("attempt"), item->attempt);
    json_member_u64(writer, SLICE_LITERAL("max_attempts"), item->max_attempts);
    KEY(writer, "epoch");
    json_writer_u64_text(writer, item->epoch);
    KEY(writer, "leased_until");
    json_writer_time(writer, (int64_t)item->when_ms);
    if (item->correlation.size > 0)
        json_member_string(writer, SLICE_LITERAL("correlation_id"), item->correlation);
    if (item->after_failed_count > 0)
        json_member_u64(writer, SLICE_LITERAL("failed_dependencies"), item->after_failed_count);
    json_writer_end_object(writer);
}

static size_t lease_size(const struct job_request *request)
{
    const struct job_item *leased = request->items + request->finish_count;
    size_t size = ANSWER_SIZE_MAX + (size_t)request->finish_count * ITEM_SIZE_MAX;

    for (uint32_t i = 0; i < request->leased_count; i++)
        size += ITEM_SIZE_MAX + leased[i].payload.size + ESCAPED_SIZE_MAX * leased[i].key.size +
                ESCAPED_SIZE_MAX * leased[i].correlation.size;
    return size;
}

static int answer_lease(struct exchange *x, const struct job_request *request)
{
    struct buffer *body = NULL;
    struct json_writer writer;
    int r = buffer_acquire(app_shard_of(x)->buffers, lease_size(request), &body);

    if (r < 0)
        return r;
    json_writer_init(&writer, body->data, body->capacity);
    json_writer_begin_object(&writer);
    KEY(&writer, "jobs");
    json_writer_begin_array(&writer);
    for (uint32_t i = 0; i < request->leased_count; i++)
        write_leased(request, &request->items[request->finish_count + i], &writer);
    json_writer_end_array(&writer);
    if (request->finish_count > 0) {
        KEY(&writer, "completed");
        write_outcomes(request, request->finish_count, &writer);
    }
    json_writer_end_object(&writer);
    r = respond(x, &writer, 200);
    buffer_unref(&body);
    return r;
}

static int answer_outcomes(struct exchange *x, const struct job_request *request)
{
    struct buffer *body = NULL;
    struct json_writer writer;
    int r = buffer_acquire(app_shard_of(x)->buffers,
                           ANSWER_SIZE_MAX + (size_t)request->item_count * ITEM_SIZE_MAX, &body);

    if (r < 0)
        return r;
    json_writer_init(&writer, body->data, body->capacity);
    json_writer_begin_object(&writer);
    KEY(&writer, "jobs");
    write_outcomes(request, request->item_count, &writer);
    json_writer_end_object(&writer);
    r = respond(x, &writer, 200);
    buffer_unref(&body);
    return r;
}

/* --- one job -----------------------------------------------------------------------------------
 */

/* After an outcome, a longer lease or a cancellation: where the job stands now. */
static int answer_changed(struct exchange *x, const struct job_request *request)
{
    const struct job_item *item = &request->items[0];
    char text[ITEM_SIZE_MAX];
    struct json_writer writer;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    write_id(&writer, item->id);
    write_state(&writer, item);
    write_when(&writer, item);
    if (item->max_attempts > 0) {
        json_member_u64(&writer, SLICE_LITERAL("attempt"), item->attempt);
        json_member_u64(&writer, SLICE_LITERAL("max_attempts"), item->max_attempts);
    }
    if (request->operation == JOB_FINISH) {
        KEY(&writer, "duplicate");
        json_writer_boolean(&writer, item->status == JOB_ITEM_DUPLICATE);
    }
    json_writer_end_object(&writer);
    return respond(x, &writer, 200);
}

static void write_job(const struct job_request *request, struct json_writer *writer)
{
    const struct job_item *item = &request->items[0];

    json_writer_begin_object(writer);
    write_id(writer, item->id);
    json_member_string(writer, SLICE_LITERAL("kind"),
                       (struct slice){request->kind, request->kind_size});
    write_state(writer, item);
    json_member_u64(writer, SLICE_LITERAL("attempt"), item->attempt);
    json_member_u64(writer, SLICE_LITERAL("max_attempts"), item->max_attempts);
    json_member_u64(writer, SLICE_LITERAL("priority"), item->priority);
    KEY(writer, "created_at");
    json_writer_time(writer, (int64_t)item->id.created_ms);
    write_when(writer, item);
    if (item->result.size > 0) {
        KEY(writer, "result");
        json_writer_raw(writer, item->result);
    }
    if (item->last_error.size > 0)
        json_member_string(writer, SLICE_LITERAL("last_error"), item->last_error);
    if (item->progress.size > 0) {
        KEY(writer, "progress");
        json_writer_raw(writer, item->progress);
    }
    if (item->reason != JOB_DEAD_NONE)
        json_member_string(writer, SLICE_LITERAL("dead_reason"),
                           slice_of(job_dead_reason_name((enum job_dead_reason)item->reason)));
    if (item->after_failed_count > 0)
        json_member_u64(writer, SLICE_LITERAL("failed_dependencies"), item->after_failed_count);
    json_writer_end_object(writer);
}

static int answer_job(struct exchange *x, const struct job_request *request)
{
    const struct job_item *item = &request->items[0];
    size_t size = ANSWER_SIZE_MAX + ITEM_SIZE_MAX + item->result.size + item->progress.size +
                  ESCAPED_SIZE_MAX * item->last_error.size;
    struct buffer *body = NULL;
    struct json_writer writer;
    int r = buffer_acquire(app_shard_of(x)->buffers, size, &body);

    if (r < 0)
        return r;
    json_writer_init(&writer, body->data, body->capacity);
    write_job(request, &writer);
    r = respond(x, &writer, 200);
    buffer_unref(&body);
    return r;
}

/* The operations that are about one job. */
static int answer_one(struct exchange *x, const struct job_request *request)
{
    enum problem_code code = problem_of_status(request);
    struct exchange_problem_options options = {
        .retry_after_s = code == PROBLEM_JOB_BUSY ? INTAKE_RETRY_AFTER_S : 0};

    if (code != PROBLEM_NONE)
        return exchange_problem(x, code, &options);
    return request->operation == JOB_GET ? answer_job(x, request) : answer_changed(x, request);
}

static int answer(struct exchange *x, const struct job_request *request, const struct buffer *names)
{
    if (request->code != PROBLEM_NONE)
        return answer_refusal(x, request);
    switch ((enum job_operation)request->operation) {
    case JOB_ENQUEUE:
        return request->is_batch ? answer_many_enqueued(x, request, names)
                                 : answer_enqueued(x, &request->items[0]);
    case JOB_LEASE:
        return answer_lease(x, request);
    case JOB_FINISH:
        return request->is_batch ? answer_outcomes(x, request) : answer_one(x, request);
    case JOB_EXTEND:
    case JOB_CANCEL:
    case JOB_GET:
        return answer_one(x, request);
    case JOB_QUEUE_GET: /* queue_routes.c answers these */
    case JOB_QUEUE_SET:
    case JOB_QUEUE_LIST:
    case JOB_RETURN: /* nobody asks for it */
        break;
    }
    return -EPROTO;
}

/* True when the answer may be asked for again as if nothing had happened. */
static bool is_repeatable(const struct job_request *request)
{
    return request->operation == JOB_GET ||
           (request->operation == JOB_LEASE && request->finish_count == 0);
}

int job_on_reply(struct exchange *x, const struct message *msg)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct exchange_problem_options retry = {.retry_after_s = INTAKE_RETRY_AFTER_S};
    bool again;
    int r;

    if (msg->type != MSG_JOB_ANSWER || note->request == NULL)
        return EXCHANGE_PENDING;
    assert(job_request_is_decided(note->request));
    r = answer(x, note->request, note->names);
    again = r == -ENOBUFS && !x->answered && is_repeatable(note->request);
    if (r < 0)
        job_request_abandon(&note->request); /* gives back what was leased in vain */
    else
        job_request_release(&note->request);
    buffer_unref(&note->names);
    return again ? exchange_problem(x, PROBLEM_OVERLOADED, &retry) : r;
}
