#include "actors/http_request.h"

#include <errno.h>

#include "actors/app.h"
#include "contracts/json_number.h"
#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "contracts/utf8.h"
#include "runtime/policy_presets.h"
#include "runtime/sim_point.h"

/*
 *     start: read payload -> admitted? --no--> parked
 *                               \--yes--> client --on_done--> breaker told -> outcome
 */

static_assert(offsetof(struct http_request_call, call) == 0, "as job_call_acquire() has it");

static const struct slice KEPT_FIELDS[] = {
    SLICE_INITIALIZER("content-type"),
    SLICE_INITIALIZER("location"),
    SLICE_INITIALIZER("etag"),
    SLICE_INITIALIZER("x-request-id"),
    SLICE_INITIALIZER("x-correlation-id"),
};

static struct http_request_call *call_of(struct job_run *run)
{
    return container_of(run, struct http_request_call, call.run);
}

/* --- reading the payload --------------------------------------------------------------------- */

/* A member of the payload; false when it is not there, or null. */
static bool member(const struct http_request_call *it, struct slice name,
                   struct json_value *ret_value)
{
    return json_find_member(it->call.run.image.sections[JOB_SECTION_PAYLOAD], name, ret_value) &&
           ret_value->type != JSON_NULL;
}

/* The text of a string, decoded into the rest of the work buffer if it has escapes. */
MUST_USE static bool text_of(struct http_request_call *it, const struct json_value *value,
                             struct slice *ret_text)
{
    struct buffer *work = it->work;

    if (value->type != JSON_STRING)
        return false;
    if (!value->has_escapes) {
        *ret_text = json_string_body(value);
        return true;
    }
    assert(work != NULL);
    if (!json_string_text(value, work->data + work->size, work->capacity - work->size, ret_text))
        return false;
    work->size += (uint32_t)ret_text->size;
    return true;
}

MUST_USE static bool read_method(struct http_request_call *it)
{
    struct json_value value;

    it->call.http.method = HTTP_METHOD_POST;
    if (!member(it, SLICE_LITERAL("method"), &value))
        return true;
    for (uint32_t i = HTTP_METHOD_GET; i < HTTP_METHOD_COUNT; i++)
        if (value.type == JSON_STRING &&
            json_string_equal(&value, http_method_name((enum http_method)i))) {
            it->call.http.method = (enum http_method)i;
            return true;
        }
    return false;
}

static bool has_field(const struct http_request_call *it, struct slice lower_name)
{
    for (uint32_t i = 0; i < it->header_count; i++)
        if (header_text_equal(it->headers[i].name, lower_name))
            return true;
    return false;
}

static void add_field(struct http_request_call *it, struct slice name, struct slice value)
{
    assert(it->header_count < HTTP_REQUEST_HEADER_COUNT_MAX);
    it->headers[it->header_count++] = (struct header){name, value};
}

MUST_USE static bool read_fields(struct http_request_call *it)
{
    struct json_value fields, key, value;
    struct json_reader reader;
    struct header field;

    if (!member(it, SLICE_LITERAL("headers"), &fields))
        return true;
    json_reader_init(&reader, fields.raw, JSON_DEPTH_MAX);
    if (fields.type != JSON_OBJECT || json_reader_enter_object(&reader) != JSON_OK)
        return false;
    while (json_reader_next_member(&reader, &key) == JSON_OK) {
        if (json_reader_read(&reader, &value) != JSON_OK || !text_of(it, &key, &field.name) ||
            !text_of(it, &value, &field.value) ||
            it->header_count == HTTP_REQUEST_HEADER_COUNT_MAX - 2)
            return false;
        add_field(it, field.name, field.value);
    }
    return true;
}

/* A string is sent as what it says, anything else as the JSON that it is. */
MUST_USE static bool read_body(struct http_request_call *it)
{
    struct json_value value;

    if (!member(it, SLICE_LITERAL("body"), &value))
        return true;
    if (value.type == JSON_STRING)
        return text_of(it, &value, &it->call.http.body);
    it->call.http.body = value.raw;
    if (!has_field(it, SLICE_LITERAL("content-type")))
        add_field(it, SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json"));
    return true;
}

MUST_USE static bool read_expect(struct http_request_call *it)
{
    struct json_value value, element;
    struct json_reader reader;
    int64_t status;

    if (!member(it, SLICE_LITERAL("expect"), &value))
        return true;
    json_reader_init(&reader, value.raw, JSON_DEPTH_MAX);
    if (value.type != JSON_ARRAY || json_reader_enter_array(&reader) != JSON_OK)
        return false;
    while (json_reader_next_element(&reader) == JSON_OK) {
        if (json_reader_read(&reader, &element) != JSON_OK || element.type != JSON_NUMBER ||
            !json_number_to_i64(element.raw, &status) || status < 100 || status > 599 ||
            it->expect_count == HTTP_REQUEST_EXPECT_COUNT_MAX)
            return false;
        it->expect[it->expect_count++] = (uint16_t)status;
    }
    return true;
}

MUST_USE static bool read_timeout(struct http_request_call *it)
{
    struct json_value value;
    int64_t timeout_ms;

    it->call.http.timeout_ms = HTTP_REQUEST_TIMEOUT_MS;
    if (!member(it, SLICE_LITERAL("timeout_ms"), &value))
        return true;
    if (value.type != JSON_NUMBER || !json_number_to_i64(value.raw, &timeout_ms) ||
        timeout_ms <= 0 || timeout_ms > JOB_RUN_PARK_MS_MAX)
        return false;
    it->call.http.timeout_ms = (uint64_t)timeout_ms;
    return true;
}

/* All that the payload says. It was checked when it came: false is for one of another version. */
MUST_USE static bool read_payload(struct http_request_call *it)
{
    struct slice payload = it->call.run.image.sections[JOB_SECTION_PAYLOAD];
    struct json_reader reader;
    struct json_value value;

    if (json_read_document(payload, JSON_DEPTH_MAX, &reader, &value) != JSON_OK ||
        value.type != JSON_OBJECT || !member(it, SLICE_LITERAL("url"), &value))
        return false;
    return text_of(it, &value, &it->call.http.url) && read_method(it) && read_fields(it) &&
           read_body(it) && read_expect(it) && read_timeout(it);
}

/* --- the result ---------------------------------------------------------------------------------
 */

/* The beginning of the body that is kept; *ret_is_text when it is UTF-8. */
static struct slice kept_body(struct slice body, bool *ret_is_text)
{
    struct slice kept = {body.data, min_u64(body.size, HTTP_REQUEST_BODY_KEPT_MAX)};
    size_t at = 0;

    *ret_is_text = true;
    while (at < kept.size) {
        int length = utf8_sequence(kept.data + at, kept.size - at);

        if (length == UTF8_TRUNCATED && kept.size < body.size) {
            kept.size = at; /* cut in the middle of a character */
            break;
        }
        if (length <= 0) {
            *ret_is_text = false;
            break;
        }
        at += (size_t)length;
    }
    return kept;
}

static void write_base64(struct json_writer *writer, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    json_writer_begin_string(writer);
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t bits = (uint32_t)(uint8_t)bytes.data[i] << 16;
        char text[4];

        if (left > 1)
            bits |= (uint32_t)(uint8_t)bytes.data[i + 1] << 8;
        if (left > 2)
            bits |= (uint8_t)bytes.data[i + 2];
        text[0] = digits[bits >> 18];
        text[1] = digits[bits >> 12 & 63];
        text[2] = left > 1 ? digits[bits >> 6 & 63] : '=';
        text[3] = left > 2 ? digits[bits & 63] : '=';
        json_writer_string_piece(writer, (struct slice){text, sizeof(text)});
    }
    json_writer_end_string(writer);
}

static void write_fields(struct json_writer *writer, const struct headers *headers)
{
    json_writer_key(writer, SLICE_LITERAL("headers"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < ARRAY_COUNT(KEPT_FIELDS) && headers != NULL; i++) {
        struct slice value = headers_value(headers, KEPT_FIELDS[i]);

        if (value.data == NULL)
            continue;
        value.size = min_u64(value.size, HTTP_REQUEST_FIELD_KEPT_MAX);
        json_writer_key(writer, KEPT_FIELDS[i]);
        json_writer_string(writer, value);
    }
    json_writer_end_object(writer);
}

/* False when it does not fit. */
MUST_USE static bool write_result(const struct http_client_result *result, bool as_text, char *text,
                                  size_t capacity, size_t *ret_size)
{
    struct json_writer writer;
    struct slice kept, written;
    bool is_text;

    kept = kept_body(result->body, &is_text);
    json_writer_init(&writer, text, capacity);
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("status"));
    json_writer_u64(&writer, result->status);
    write_fields(&writer, result->headers);
    if (is_text && as_text) {
        json_writer_key(&writer, SLICE_LITERAL("body"));
        json_writer_string(&writer, kept);
    } else {
        json_writer_key(&writer, SLICE_LITERAL("body_base64"));
        write_base64(&writer, kept);
    }
    if (kept.size < result->body.size || result->outcome == HTTP_CLIENT_TOO_LARGE) {
        json_writer_key(&writer, SLICE_LITERAL("body_truncated"));
        json_writer_boolean(&writer, true);
    }
    json_writer_end_object(&writer);
    if (!json_writer_finish(&writer, &written))
        return false;
    *ret_size = written.size;
    return true;
}

static void complete(struct http_request_call *it)
{
    const struct http_client_result *result = &it->call.http.result;
    size_t capacity, size = 0;
    char *text = job_run_text(&it->call.run, &capacity);
    bool fits = write_result(result, true, text, capacity, &size) ||
                write_result(result, false, text, capacity, &size);

    assert(fits); /* HTTP_REQUEST_RESULT_SIZE_MAX is for the worst */
    job_run_complete(&it->call.run, size);
}

/* --- what came of it
 * ------------------------------------------------------------------------------- */

enum verdict {
    VERDICT_COMPLETED,
    VERDICT_RETRY,
    VERDICT_DEAD,
    VERDICT_NOT_SENT, /* for our sake: no attempt */
};

static bool is_expected(const struct http_request_call *it, unsigned status)
{
    if (it->expect_count == 0)
        return status >= 200 && status < 300;
    for (uint32_t i = 0; i < it->expect_count; i++)
        if (it->expect[i] == status)
            return true;
    return false;
}

static enum verdict judge_status(const struct http_request_call *it, unsigned status)
{
    if (is_expected(it, status))
        return VERDICT_COMPLETED;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return VERDICT_RETRY;
    return VERDICT_DEAD;
}

static enum verdict judge(const struct http_request_call *it,
                          const struct http_client_result *result)
{
    switch (result->outcome) {
    case HTTP_CLIENT_RESPONSE:
    case HTTP_CLIENT_TOO_LARGE:
        return judge_status(it, result->status);
    case HTTP_CLIENT_ADDRESS_REFUSED:
        return VERDICT_DEAD;
    case HTTP_CLIENT_NO_CAPACITY:
    case HTTP_CLIENT_CANCELLED:
        return VERDICT_NOT_SENT;
    case HTTP_CLIENT_TIMED_OUT:
    case HTTP_CLIENT_CONNECT_FAILED:
    case HTTP_CLIENT_RESOLVE_FAILED:
    case HTTP_CLIENT_TLS_FAILED:
    case HTTP_CLIENT_BAD_RESPONSE:
    case HTTP_CLIENT_CLOSED_EARLY:
        return VERDICT_RETRY;
    case HTTP_CLIENT_OUTCOME_COUNT:
        break;
    }
    assert(false);
    return VERDICT_DEAD;
}

static bool is_answer(const struct http_client_result *result)
{
    return result->outcome == HTTP_CLIENT_RESPONSE || result->outcome == HTTP_CLIENT_TOO_LARGE;
}

/* A peer that answers is there, whatever it says; 5xx says that it is not well. */
static enum breakers_result breaker_result(enum verdict verdict,
                                           const struct http_client_result *result)
{
    if (verdict == VERDICT_COMPLETED)
        return BREAKERS_SUCCESS;
    if (verdict == VERDICT_NOT_SENT || result->outcome == HTTP_CLIENT_ADDRESS_REFUSED)
        return BREAKERS_NOTHING;
    return is_answer(result) && result->status < 500 ? BREAKERS_SUCCESS : BREAKERS_FAILURE;
}

static void fail(struct http_request_call *it, bool is_retryable)
{
    const struct http_client_result *result = &it->call.http.result;
    struct slice outcome = http_client_outcome_name(result->outcome);
    struct slice stage = http_client_stage_name(result->stage);
    char text[JOB_RUN_ERROR_SIZE_MAX];
    int size;

    if (is_answer(result))
        size = snprintf(text, sizeof(text), "the server answered %u", result->status);
    else
        size = snprintf(text, sizeof(text), "no answer: %.*s while %.*s%s%s", (int)outcome.size,
                        outcome.data, (int)stage.size, stage.data, result->error != 0 ? ": " : "",
                        result->error != 0 ? strerror(-result->error) : "");
    assert(size > 0);
    job_run_fail(&it->call.run, (struct slice){text, min_u64((uint64_t)size, sizeof(text) - 1)},
                 is_retryable, result->has_retry_after ? result->retry_after_ms : 0);
}

static void on_done(struct http_client_call *http)
{
    struct http_request_call *it = container_of(http, struct http_request_call, call.http);
    struct job_desk *desk = it->call.run.desk;
    enum verdict verdict = judge(it, &http->result);

    job_call_end(&it->call, breaker_result(verdict, &http->result));
    switch (verdict) {
    case VERDICT_COMPLETED:
        complete(it);
        break;
    case VERDICT_RETRY:
        if (it->call.is_probe && !is_answer(&http->result)) {
            SOMETIMES("a probe without an answer uses no attempt");
            job_call_park(&it->call);
        } else {
            fail(it, true);
        }
        break;
    case VERDICT_DEAD:
        fail(it, false);
        break;
    case VERDICT_NOT_SENT:
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        break;
    }
    job_desk_wake(desk);
}

/* --- the handler
 * ------------------------------------------------------------------------------------ */

static void release(struct job_handler *handler, struct job_run *run)
{
    struct http_request_call *it = call_of(run);

    (void)handler;
    buffer_unref(&it->work);
    job_call_release(&it->call);
}

/* Says what the job leaves open. */
static void complete_call(struct http_request_call *it)
{
    struct job_id id = {it->call.run.created_ms, it->call.run.id_low, it->call.run.partition};

    if (!has_field(it, SLICE_LITERAL("idempotency-key"))) {
        job_id_format(id, it->id);
        add_field(it, SLICE_LITERAL("Idempotency-Key"), (struct slice){it->id, sizeof(it->id)});
    }
    it->call.http.headers = it->headers;
    it->call.http.header_count = it->header_count;
    it->call.http.body_size_max = HTTP_REQUEST_BODY_SIZE_MAX;
    it->call.http.is_repeatable = true;
    it->call.http.policy = &it->call.calls->addresses;
    it->call.http.on_done = on_done;
}

/* The destination lets it: sends. */
static void call_now(struct http_request_call *it)
{
    static const struct slice invalid =
        SLICE_INITIALIZER("the request cannot be sent: its URL or a header is not allowed");
    static const struct slice large = SLICE_INITIALIZER("the request is too large to be sent");
    int r = http_client_start(&it->call.calls->home->client, &it->call.http);

    if (r == 0) {
        job_run_allow(&it->call.run, it->call.http.timeout_ms + 2 * JOB_HANDLER_TICK_MS);
        return;
    }
    if (r == -EINVAL || r == -EMSGSIZE) {
        job_call_end(&it->call, BREAKERS_NOTHING);
        job_run_fail(&it->call.run, r == -EINVAL ? invalid : large, false, 0);
    } else {
        SOMETIMES("the client takes no call");
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
    }
}

/* That of the preset that the queue's policy was copied from, or the default. */
static const struct breaker_policy *policy_of(const struct job_queue *queue)
{
    uint32_t count, number = queue->settings.retry.is_set;
    const struct policy_preset *presets = policy_presets_all(&count);

    if (number < 2 || number - 2 >= count)
        return &policy_presets_default()->breaker;
    return &presets[number - 2].breaker;
}

static void start(struct job_handler *handler, struct job_run *run)
{
    static const struct slice unreadable =
        SLICE_INITIALIZER("the payload is not that of an http.request");
    struct http_request_call *it = call_of(run);
    const struct job_queue *queue = run->queue;
    struct slice payload = run->image.sections[JOB_SECTION_PAYLOAD];
    char text[BREAKERS_ORIGIN_SIZE_MAX];
    struct slice origin;
    struct url url;

    (void)handler;
    if (payload.size > 0 && memchr(payload.data, '\\', payload.size) != NULL &&
        buffer_acquire(it->call.calls->home->buffers, payload.size, &it->work) < 0) {
        job_call_rest(&it->call, JOB_CALL_BUSY_MS);
        return;
    }
    if (it->work != NULL)
        it->work->size = 0;
    if (!read_payload(it) || url_parse(it->call.http.url, &url) != URL_OK ||
        !url_origin_write(&url, text, sizeof(text), &origin)) {
        job_run_fail(run, unreadable, false, 0);
        return;
    }
    if (!job_call_admit(&it->call, (struct slice){queue->org, queue->org_size},
                        (struct slice){queue->project, queue->project_size}, origin,
                        policy_of(queue)))
        return;
    complete_call(it);
    call_now(it);
}

static void cancel(struct job_handler *handler, struct job_run *run)
{
    struct http_request_call *it = call_of(run);

    (void)handler;
    http_client_cancel(&it->call.http);
    job_call_end(&it->call, BREAKERS_NOTHING);
}

/* The client's own time-out is what watches the call. */
static bool is_alive(const struct job_run *run)
{
    return http_client_is_open(&container_of(run, const struct job_call, run)->http);
}

static const struct job_handler_type http_request_type = {
    .kind = SLICE_INITIALIZER("http.request"),
    .lease_ms = 30000,
    .deadline_ms = 60000,
    .result_size_max = HTTP_REQUEST_RESULT_SIZE_MAX,
    .acquire = job_call_acquire,
    .release = release,
    .start = start,
    .cancel = cancel,
    .is_alive = is_alive,
};

/* --- start-up
 * --------------------------------------------------------------------------------------- */

uint32_t http_requests_concurrency(int64_t total, uint32_t shard_count)
{
    return (uint32_t)min_u64((uint64_t)total / shard_count + 1, JOB_RUN_COUNT_MAX);
}

int http_requests_init(struct http_requests *requests, struct app_shard *home)
{
    const struct settings *settings = home->app->settings;
    int r;

    memset(requests, 0, sizeof(*requests));
    requests->calls.addresses.allow_private = settings->job_http_allow_private;
    for (uint32_t i = 0; i < settings->job_http_allow.count; i++) {
        r = address_policy_allow(&requests->calls.addresses,
                                 slice_of(settings->job_http_allow.items[i]));
        if (r < 0)
            return r;
    }
    return job_calls_init(
        &requests->calls, home, &http_request_type, "HTTP requests",
        sizeof(struct http_request_call),
        http_requests_concurrency(settings->job_http_concurrency, home->app->shard_count));
}

void http_requests_deinit(struct http_requests *requests)
{
    job_calls_deinit(&requests->calls);
}
