#include "actors/inspection_routes.h"

#include "actors/app.h"
#include "actors/auth.h"
#include "actors/message_types.h"

/*
 * The blocks are the inspection's until it is released, so the answer is written straight
 * from them into a buffer that is sized for the most that they can hold.
 */

enum { ANSWER_SIZE = 1024 }; /* without what the shards say */

/* What these routes keep in an exchange. */
struct inspection_note {
    struct inspection *inspection;
    struct auth auth;
    uint64_t began_ns;
};

int inspection_on_head(struct exchange *x)
{
    struct exchange_problem_options retry = {.retry_after_s = 1};
    int r = auth_check(x, KEY_SCOPE_ADMIN, &EXCHANGE_NOTE(x, struct inspection_note)->auth);

    if (r == EXCHANGE_READ_BODY && app_shard_of(x)->phase == APP_RECOVERING)
        return exchange_problem(x, PROBLEM_RECOVERING, &retry);
    return r;
}

static void fill_filter(const struct record_key *key, struct shard_view_filter *filter)
{
    filter->org_size = key->org_size;
    filter->project_size = key->project_size;
    memcpy(filter->org, key->org, key->org_size);
    memcpy(filter->project, key->project, key->project_size);
}

static int inspect(struct exchange *x, enum inspection_kind kind)
{
    struct inspection_note *note = EXCHANGE_NOTE(x, struct inspection_note);
    struct exchange_problem_options retry = {.retry_after_s = 1};
    struct inspection *inspection = inspection_acquire(&app_shard_of(x)->inspector, x);

    if (inspection == NULL)
        return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    note->inspection = inspection;
    note->began_ns = app_shard_of(x)->shard->clock.mono_ns;
    inspection->kind = kind;
    if (note->auth.key != NULL)
        fill_filter(note->auth.key, &inspection->filter);
    inspection_submit(inspection);
    return EXCHANGE_PENDING;
}

int inspection_runtime_on_request(struct exchange *x)
{
    return inspect(x, INSPECTION_RUNTIME);
}

int inspection_doctor_on_request(struct exchange *x)
{
    x->wait_ms = INSPECTION_WAIT_MS_MAX;
    return inspect(x, INSPECTION_DOCTOR);
}

/* --- answers ------------------------------------------------------------------------- */

static void write_runtime(const struct app *app, const struct inspection *inspection,
                          struct json_writer *writer)
{
    const struct shard_view *views[SHARD_COUNT_MAX];

    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("shards"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < app->shard_count; i++) {
        views[i] = inspection_view(inspection, i);
        shard_view_write(views[i], writer);
    }
    json_writer_end_array(writer);
    json_writer_key(writer, SLICE_LITERAL("queues"));
    shard_view_write_queues(views, app->shard_count, writer);
    json_writer_key(writer, SLICE_LITERAL("breakers"));
    shard_view_write_breakers(views, app->shard_count, writer);
    json_writer_end_object(writer);
}

static void write_doctor(const struct app *app, const struct inspection *inspection,
                         uint64_t took_ns, struct json_writer *writer)
{
    const struct examination *examinations[SHARD_COUNT_MAX];

    for (uint32_t i = 0; i < app->shard_count; i++)
        examinations[i] = inspection_examination(inspection, i);
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("status"));
    json_writer_string(
        writer, examination_status_name(examination_status_of(examinations, app->shard_count)));
    json_writer_key(writer, SLICE_LITERAL("shards"));
    json_writer_u64(writer, app->shard_count);
    json_writer_key(writer, SLICE_LITERAL("took_seconds"));
    json_writer_double(writer, (double)(took_ns / 1000000) / 1000);
    json_writer_key(writer, SLICE_LITERAL("checks"));
    examination_write(examinations, app->shard_count, writer);
    json_writer_end_object(writer);
}

static size_t answer_size(const struct app *app, const struct inspection *inspection)
{
    if (inspection->kind == INSPECTION_DOCTOR)
        return ANSWER_SIZE + EXAMINATION_JSON_SIZE_MAX;
    return ANSWER_SIZE + (size_t)app->shard_count * SHARD_VIEW_JSON_SIZE_MAX +
           (size_t)SHARD_VIEW_QUEUE_COUNT_MAX * SHARD_VIEW_QUEUE_JSON_SIZE_MAX +
           (size_t)BREAKERS_VIEW_COUNT_MAX * BREAKERS_VIEW_JSON_SIZE_MAX;
}

static int answer(struct exchange *x, const struct inspection *inspection)
{
    struct app_shard *home = app_shard_of(x);
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    struct exchange_problem_options retry = {.retry_after_s = 1};
    uint64_t began_ns = EXCHANGE_NOTE(x, struct inspection_note)->began_ns;
    struct buffer *body = NULL;
    struct json_writer writer;
    bool fits;
    int r = buffer_acquire(home->buffers, answer_size(home->app, inspection), &body);

    if (r < 0)
        return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    json_writer_init(&writer, body->data, body->capacity);
    if (inspection->kind == INSPECTION_RUNTIME)
        write_runtime(home->app, inspection, &writer);
    else
        write_doctor(home->app, inspection, home->shard->clock.mono_ns - began_ns, &writer);
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    r = exchange_respond(x, &response);
    buffer_unref(&body);
    return r;
}

int inspection_on_reply(struct exchange *x, const struct message *msg)
{
    struct inspection_note *note = EXCHANGE_NOTE(x, struct inspection_note);
    int r;

    if (msg->type != MSG_INSPECT_ANSWER || note->inspection == NULL)
        return EXCHANGE_PENDING;
    r = answer(x, note->inspection);
    inspection_release(&note->inspection);
    return r;
}

void inspection_on_abandon(struct exchange *x)
{
    struct inspection_note *note = EXCHANGE_NOTE(x, struct inspection_note);

    if (note->inspection != NULL)
        inspection_abandon(&note->inspection);
}
