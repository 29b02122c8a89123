#include "actors/health_routes.h"

#include "actors/app.h"
#include "contracts/json_member.h"
#include "http/content_decoder.h"

/*
 * Each shard speaks from its own state: a probe reaches any of them. What another
 * shard knows and a probe must hear (a full disk) has been told to all by its
 * keeper. Answers are small and written on the stack.
 */

enum { HEALTH_TEXT_SIZE_MAX = 2048 };

int health_on_head(struct exchange *x)
{
    (void)x;
    return EXCHANGE_READ_BODY;
}

static int respond(struct exchange *x, uint32_t status, const struct json_writer *writer)
{
    struct response response = {.status = status,
                                .content_type = SLICE_LITERAL("application/json")};
    bool fits = json_writer_finish(writer, &response.body);

    assert(fits);
    if (status == 503)
        response.fields[response.field_count++] =
            (struct header){SLICE_LITERAL("retry-after"), SLICE_LITERAL("1")};
    return exchange_respond(x, &response);
}

static void write_member(struct json_writer *writer, struct slice name, struct slice value)
{
    json_writer_key(writer, name);
    json_writer_string(writer, value);
}

int health_live_on_request(struct exchange *x)
{
    char text[HEALTH_TEXT_SIZE_MAX];
    struct json_writer writer;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    write_member(&writer, SLICE_LITERAL("status"), SLICE_LITERAL("alive"));
    json_writer_end_object(&writer);
    return respond(x, 200, &writer);
}

int health_on_request(struct exchange *x)
{
    struct app_shard *home = app_shard_of(x);
    bool is_connected = !home->keeper.has_failed;
    char text[HEALTH_TEXT_SIZE_MAX];
    struct json_writer writer;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    write_member(&writer, SLICE_LITERAL("status"),
                 is_connected ? SLICE_LITERAL("healthy") : SLICE_LITERAL("unhealthy"));
    write_member(&writer, SLICE_LITERAL("database"),
                 is_connected ? SLICE_LITERAL("connected") : SLICE_LITERAL("disconnected"));
    json_writer_key(&writer, SLICE_LITERAL("timestamp"));
    json_writer_time(&writer, (int64_t)home->shard->clock.unix_ms);
    write_member(&writer, SLICE_LITERAL("io_backend"), slice_of(home->shard->io->vtable->name));
    json_writer_end_object(&writer);
    return respond(x, 200, &writer);
}

/* Writes each reason why a request would be refused; returns how many. */
static uint32_t write_reasons(const struct app_shard *home, struct json_writer *writer)
{
    const struct {
        bool applies;
        struct slice name;
    } reasons[] = {
        {keeper_is_recovering(&home->keeper), SLICE_LITERAL("recovering")},
        {home->phase == APP_DRAINING, SLICE_LITERAL("draining")},
        {home->keeper.has_failed, SLICE_LITERAL("journal_failed")},
        {keeper_disk_is_low(&home->keeper), SLICE_LITERAL("disk_low")},
        {home->intake.is_shedding, SLICE_LITERAL("queue")},
    };
    uint32_t count = 0;

    for (uint32_t i = 0; i < ARRAY_COUNT(reasons); i++) {
        if (!reasons[i].applies)
            continue;
        json_writer_string(writer, reasons[i].name);
        count++;
    }
    return count;
}

static uint64_t window_in_force(const struct app_shard *home)
{
    return dedup_window_ms_effective(home->intake.dedup, home->shard->clock.unix_ms);
}

/* How far behind the logs lists and searches are; a probe does not fail for that. */
static void write_read_model(const struct read_model_info *info, struct json_writer *writer)
{
    static const char *const STATES[] = {"off", "starting", "running", "refused", "failing"};

    json_writer_key(writer, SLICE_LITERAL("read_model"));
    json_writer_begin_object(writer);
    write_member(writer, SLICE_LITERAL("state"), slice_of(STATES[info->state]));
    json_member_u64(writer, SLICE_LITERAL("lag_records"), info->lag_records);
    json_writer_key(writer, SLICE_LITERAL("lag_seconds"));
    json_writer_double(writer, (double)info->lag_ms / 1000);
    if (info->text[0] != 0)
        write_member(writer, SLICE_LITERAL("detail"), slice_of(info->text));
    json_writer_end_object(writer);
}

int health_ready_on_request(struct exchange *x)
{
    struct app_shard *home = app_shard_of(x);
    struct read_model_info read_model;
    char text[HEALTH_TEXT_SIZE_MAX];
    struct json_writer writer;
    uint32_t reason_count;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("reasons"));
    json_writer_begin_array(&writer);
    reason_count = write_reasons(home, &writer);
    json_writer_end_array(&writer);
    json_writer_key(&writer, SLICE_LITERAL("warnings"));
    json_writer_begin_array(&writer);
    if (window_in_force(home) < home->app->settings->dedup_window_ms)
        json_writer_string(&writer, SLICE_LITERAL("dedup_window_shortened"));
    read_model_info(home->app->read_model, &read_model);
    if (read_model.state == READ_MODEL_REFUSED)
        json_writer_string(&writer, SLICE_LITERAL("read_model_refused"));
    if (read_model.state == READ_MODEL_FAILED)
        json_writer_string(&writer, SLICE_LITERAL("read_model_failing"));
    json_writer_end_array(&writer);
    write_read_model(&read_model, &writer);
    json_writer_key(&writer, SLICE_LITERAL("ready"));
    json_writer_boolean(&writer, reason_count == 0);
    json_writer_end_object(&writer);
    return respond(x, reason_count == 0 ? 200 : 503, &writer);
}

static void write_job_limits(const struct settings *settings, struct json_writer *writer)
{
    json_writer_key(writer, SLICE_LITERAL("jobs"));
    json_writer_begin_object(writer);
    json_member_u64(writer, SLICE_LITERAL("payload_bytes"), settings->job_payload_bytes);
    json_member_u64(writer, SLICE_LITERAL("result_bytes"), JOB_RESULT_SIZE_MAX);
    json_member_u64(writer, SLICE_LITERAL("progress_bytes"), JOB_PROGRESS_SIZE_MAX);
    json_member_u64(writer, SLICE_LITERAL("error_bytes"), JOB_TEXT_SIZE_MAX);
    json_member_u64(writer, SLICE_LITERAL("kind_bytes"), JOB_NAME_SIZE_MAX);
    json_member_u64(writer, SLICE_LITERAL("key_bytes"), JOB_KEY_SIZE_MAX);
    json_member_u64(writer, SLICE_LITERAL("batch_jobs"), JOB_BATCH_MAX);
    json_member_u64(writer, SLICE_LITERAL("flow_jobs"), JOB_FLOW_JOBS_MAX);
    json_member_u64(writer, SLICE_LITERAL("flow_after"), JOB_AFTER_COUNT_MAX);
    json_member_u64(writer, SLICE_LITERAL("attempts"), JOB_ATTEMPTS_MAX);
    json_member_u64(writer, SLICE_LITERAL("priority_max"), JOB_PRIORITY_COUNT - 1);
    json_member_u64(writer, SLICE_LITERAL("priority_default"), JOB_PRIORITY_DEFAULT);
    json_member_u64(writer, SLICE_LITERAL("lease_limit"), JOB_LEASE_LIMIT_MAX);
    json_member_u64(writer, SLICE_LITERAL("lease_wait_seconds_max"), JOB_LEASE_WAIT_MS_MAX / 1000);
    json_member_u64(writer, SLICE_LITERAL("lease_seconds_min"), JOB_LEASE_MS_MIN / 1000);
    json_member_u64(writer, SLICE_LITERAL("lease_seconds_max"), JOB_LEASE_MS_MAX / 1000);
    json_member_u64(writer, SLICE_LITERAL("lease_seconds_default"), JOB_LEASE_MS_DEFAULT / 1000);
    json_writer_end_object(writer);
}

int health_capabilities_on_request(struct exchange *x)
{
    struct app_shard *home = app_shard_of(x);
    const struct settings *settings = home->app->settings;
    char text[HEALTH_TEXT_SIZE_MAX];
    struct json_writer writer;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    write_member(&writer, SLICE_LITERAL("version"), slice_of(home->app->version));
    json_writer_key(&writer, SLICE_LITERAL("limits"));
    json_writer_begin_object(&writer);
    json_member_u64(&writer, SLICE_LITERAL("event_bytes"), settings->event_bytes);
    json_member_u64(&writer, SLICE_LITERAL("batch_bytes"), settings->batch_bytes);
    json_member_u64(&writer, SLICE_LITERAL("batch_decoded_bytes"), settings->batch_decoded_bytes);
    json_member_u64(&writer, SLICE_LITERAL("batch_events"), (uint64_t)settings->batch_events);
    json_member_u64(&writer, SLICE_LITERAL("head_bytes"), settings->head_bytes);
    json_member_u64(&writer, SLICE_LITERAL("json_depth"), JSON_DEPTH_DEFAULT);
    json_writer_end_object(&writer);
    write_job_limits(settings, &writer);
    json_writer_key(&writer, SLICE_LITERAL("content_encodings"));
    json_writer_raw(&writer, SLICE_LITERAL("[\"identity\",\"gzip\",\"deflate\",\"zstd\"]"));
    json_writer_key(&writer, SLICE_LITERAL("content_types"));
    json_writer_raw(&writer, SLICE_LITERAL("[\"application/json\",\"application/x-ndjson\"]"));
    json_writer_key(&writer, SLICE_LITERAL("dedup"));
    json_writer_begin_object(&writer);
    json_member_u64(&writer, SLICE_LITERAL("window_seconds"), settings->dedup_window_ms / 1000);
    json_member_u64(&writer, SLICE_LITERAL("window_seconds_in_force"),
                    window_in_force(home) / 1000);
    json_writer_key(&writer, SLICE_LITERAL("strict"));
    json_writer_boolean(&writer, settings->dedup_strict);
    json_writer_end_object(&writer);
    json_writer_end_object(&writer);
    return respond(x, 200, &writer);
}
