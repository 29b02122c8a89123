#include "actors/event_routes.h"

#include "actors/app.h"
#include "actors/auth.h"
#include "actors/message_types.h"
#include "contracts/batch.h"
#include "contracts/envelope.h"
#include "contracts/series.h"
#include "contracts/siphash.h"
#include "http/media_type.h"
#include "http/url.h"
#include "runtime/sim_point.h"

/*
 * Nothing of a refused request is stored: validation comes first, for all events,
 * and only then does intake_request_submit() see the request. With ?partial=true the
 * invalid events are left out and named in the answer.
 *
 * What makes two sendings of one event_id "the same body" is the hash of what the
 * client decided: times, enums, message, attributes, payload. The id's spelling and
 * the server's own fields do not count. An Idempotency-Key stands for path, query
 * and decoded body.
 */

enum {
    BATCH_LINE_SIZE_MAX = 160, /* of one event in an answer */
    ANSWER_SIZE_MAX = 512,     /* of an answer without its events */
    EVENT_DEPTH_MAX = JSON_DEPTH_DEFAULT,
    QUERY_VALUE_SIZE_MAX = 64,
};

/* What these routes keep in an exchange. */
struct event_note {
    struct intake_request *request;
    struct auth auth;
    bool is_lines;
};

static const uint8_t BODY_HASH_KEY[SIPHASH_KEY_SIZE]; /* fixed: the hash is stored */

static int refuse_overloaded(struct exchange *x, enum problem_code code, const char *detail)
{
    struct app_shard *home = app_shard_of(x);
    struct exchange_problem_options options = {
        .detail = slice_of(detail),
        .retry_after_s = INTAKE_RETRY_AFTER_S + (uint32_t)rng_below(&home->shard->rng, 2),
    };

    metrics_add(&home->shard->metrics, home->app->metrics.intake.outcome[EVENT_RETRY], 1);
    return exchange_problem(x, code, &options);
}

static const char *admission_text(enum problem_code code)
{
    if (code == PROBLEM_RECOVERING)
        return "the journal is being read back";
    if (code == PROBLEM_STORAGE_FULL)
        return "the disk is full; intake resumes by itself when there is room";
    if (code == PROBLEM_OVERLOADED)
        return "the queue in front of the journal is too slow";
    return "";
}

/* EXCHANGE_READ_BODY when the content type is one of the route's. */
static int check_media_type(struct exchange *x, bool is_batch)
{
    static const struct slice essences[] = {SLICE_INITIALIZER("application/json"),
                                            SLICE_INITIALIZER("application/x-ndjson")};
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);
    struct exchange_problem_options options = {
        .field = {SLICE_LITERAL("accept"),
                  is_batch ? SLICE_LITERAL("application/json, application/x-ndjson")
                           : SLICE_LITERAL("application/json")}};
    struct media_type type;
    int match;

    if (x->request->content_type.data == NULL)
        return EXCHANGE_READ_BODY; /* curl -d without a header is somebody's first try */
    switch (media_type_parse(x->request->content_type, &type)) {
    case MEDIA_TYPE_OK:
        break;
    case MEDIA_TYPE_UNSUPPORTED_CHARSET:
        return exchange_problem(x, PROBLEM_UNSUPPORTED_CHARSET, &options);
    case MEDIA_TYPE_BAD:
        return exchange_problem(x, PROBLEM_UNSUPPORTED_MEDIA_TYPE, &options);
    }
    match = media_type_match(&type, essences, is_batch ? 2 : 1);
    if (match == MEDIA_TYPE_NO_MATCH)
        return exchange_problem(x, PROBLEM_UNSUPPORTED_MEDIA_TYPE, &options);
    note->is_lines = match == 1;
    return EXCHANGE_READ_BODY;
}

static int check_head(struct exchange *x, bool is_batch)
{
    struct app_shard *home = app_shard_of(x);
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);
    enum problem_code code;
    int r = auth_check(x, KEY_SCOPE_INGEST, &note->auth);

    if (r != EXCHANGE_READ_BODY)
        return r;
    code = intake_admit(&home->intake);
    if (code != PROBLEM_NONE)
        return refuse_overloaded(x, code, admission_text(code));
    r = check_media_type(x, is_batch);
    if (r != EXCHANGE_READ_BODY)
        return r;
    if (x->request->idempotency_key.data != NULL &&
        (x->request->idempotency_key.size == 0 ||
         x->request->idempotency_key.size > IDEMPOTENCY_KEY_SIZE_MAX))
        return exchange_problem(x, PROBLEM_INVALID_IDEMPOTENCY_KEY, NULL);
    return EXCHANGE_READ_BODY;
}

static struct metric quota_metric(struct exchange *x)
{
    return app_shard_of(x)->app->metrics.intake.outcome[EVENT_QUOTA];
}

int event_on_head(struct exchange *x)
{
    const struct settings *settings = app_shard_of(x)->app->settings;
    int r = check_head(x, false);

    if (r != EXCHANGE_READ_BODY)
        return r;
    r = auth_take_quota(x, &EXCHANGE_NOTE(x, struct event_note)->auth, 1, quota_metric(x));
    if (r != EXCHANGE_READ_BODY)
        return r;
    x->body_size_max = settings->event_bytes;
    x->decoded_size_max = settings->event_bytes;
    return EXCHANGE_READ_BODY;
}

int batch_on_head(struct exchange *x)
{
    const struct settings *settings = app_shard_of(x)->app->settings;
    int r = check_head(x, true);

    if (r != EXCHANGE_READ_BODY)
        return r;
    x->body_size_max = settings->batch_bytes;
    x->decoded_size_max = settings->batch_decoded_bytes;
    return EXCHANGE_READ_BODY;
}

static void count_invalid(struct exchange *x, uint32_t count)
{
    struct app_shard *home = app_shard_of(x);

    metrics_add(&home->shard->metrics, home->app->metrics.intake.outcome[EVENT_INVALID], count);
}

/* 400 for a body that is not JSON. */
static int refuse_json(struct exchange *x, const struct json_reader *reader)
{
    char detail[192];
    struct slice text = json_error_text(json_reader_error(reader));
    int size = snprintf(detail, sizeof(detail), "%.*s, at byte %zu", (int)text.size, text.data,
                        json_reader_offset(reader));
    struct exchange_problem_options options = {.detail = {detail, (size_t)size}};

    count_invalid(x, 1);
    return exchange_problem(x, problem_of_json_error(json_reader_error(reader)), &options);
}

/* --- from raw events to entries ------------------------------------------- */

static uint64_t hash_body(const struct raw_event *event)
{
    uint64_t parts[6];

    parts[0] =
        (uint64_t)event->type << 16 | (uint64_t)event->environment << 8 | (uint64_t)event->severity;
    parts[1] = siphash_64(BODY_HASH_KEY, event->occurred_at);
    parts[2] = siphash_64(BODY_HASH_KEY, event->message);
    parts[3] = siphash_64(BODY_HASH_KEY, event->attributes);
    parts[4] = siphash_64(BODY_HASH_KEY, event->payload);
    parts[5] = 0;
    return siphash_64(BODY_HASH_KEY, (struct slice){(const char *)parts, sizeof(parts)});
}

static uint32_t choose_partition(const struct app *app, const struct raw_event *event,
                                 const struct record_key *key)
{
    char text[2 * TENANT_NAME_SIZE_MAX + FINGERPRINT_SIZE_MAX];
    size_t size = partition_key_write(event, key_org(key), key_project(key), text, sizeof(text));

    assert(size > 0);
    return partition_of((struct slice){text, size}, app->superblock.partition_count);
}

static void identify(struct intake *intake, const struct raw_event *event,
                     const struct record_key *key, struct intake_entry *entry)
{
    if (event->has_event_id) {
        memcpy(entry->event_id, event->event_id, UUID_TEXT_SIZE);
        entry->is_claim = true;
        entry->body_hash = hash_body(event);
    } else {
        uint8_t random_bytes[UUID_SIZE];

        rng_fill(&intake->actor.shard->rng, random_bytes, sizeof(random_bytes));
        uuid_format_v4(random_bytes, entry->event_id);
    }
    intake_request_identify(intake, entry, key, (struct slice){entry->event_id, UUID_TEXT_SIZE},
                            true);
}

/* What must be known of the event without reading its envelope, see store/event_record.h. */
static void describe(struct intake_request *request, const struct raw_event *event,
                     const struct record_key *key, struct intake_entry *entry)
{
    const struct app *app = request->home->home->app;
    struct record_event *header = &entry->header;
    struct series_scope scope;

    if (request->project == 0) {
        request->project = series_project(app->hash_key, key_org(key), key_project(key));
        request->project_partition =
            job_partition(key_org(key), key_project(key), app->superblock.partition_count);
    }
    scope = (struct series_scope){app->hash_key, request->project};
    header->event_type = (uint8_t)event->type;
    header->environment = (uint8_t)event->environment;
    header->severity = (uint8_t)event->severity;
    header->occurred_ms = event->occurred_ms;
    header->project = request->project;
    header->partition = request->project_partition;
    header->received_ms = request->received_ms;
    if (!series_key(&scope, event, header->series))
        return;
    request->has_series = true;
    /* Only what is this far behind the server's clock can be behind its stream's, see incidents. */
    if (event->occurred_ms + (int64_t)app->settings->incident_lateness_ms <
        (int64_t)request->received_ms + INCIDENT_FUTURE_MS_MAX) {
        entry->is_old = true;
        request->has_old = true;
    }
}

/* Makes an entry of a valid event: id, partition, envelope. 0, or -ENOBUFS, -EMSGSIZE. */
static int add_event(struct intake_request *request, const struct raw_event *event,
                     const struct record_key *key, struct intake_entry *entry)
{
    struct app_shard *home = request->home->home;
    struct buffer *out = request->envelopes;
    struct envelope_stamp stamp = {key_org(key), key_project(key), entry->event_id,
                                   (int64_t)request->received_ms};
    struct json_writer writer;
    struct slice text;
    size_t size_max;
    bool fits;
    int r;

    identify(request->home, event, key, entry);
    describe(request, event, key, entry);
    entry->partition = choose_partition(home->app, event, key);
    entry->received_ms = request->received_ms;
    size_max = envelope_size_max(event, &stamp);
    if (out == NULL)
        r = buffer_acquire(home->buffers, size_max, &request->envelopes);
    else if (out->size + size_max > out->capacity)
        r = buffer_grow(&request->envelopes, (size_t)out->capacity * 2 + size_max);
    else
        r = 0;
    if (r < 0)
        return r;
    out = request->envelopes;
    json_writer_init(&writer, out->data + out->size, out->capacity - out->size);
    envelope_write(event, &stamp, &writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits);
    entry->envelope_offset = out->size;
    entry->envelope_size = (uint32_t)text.size;
    out->size += (uint32_t)text.size;
    return 0;
}

/* The Idempotency-Key of the request, if it has one. */
static void add_claim(struct exchange *x, struct intake_request *request)
{
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);
    struct slice name = x->request->idempotency_key;
    struct slice project = key_project(note->auth.key);
    uint64_t parts[2];

    if (name.data == NULL)
        return;
    request->has_claim = true;
    request->claim.is_claim = true;
    memcpy(request->idempotency, name.data, name.size);
    request->idempotency_size = (uint8_t)name.size;
    parts[0] = siphash_64(BODY_HASH_KEY, x->request->target);
    parts[1] = siphash_64(BODY_HASH_KEY, x->body);
    request->claim.body_hash =
        siphash_64(BODY_HASH_KEY, (struct slice){(const char *)parts, sizeof(parts)});
    memcpy(request->claim_header.project, project.data, project.size);
    request->claim_header.project_size = (uint8_t)project.size;
    intake_request_identify(request->home, &request->claim, note->auth.key, name, false);
}

static struct intake_request *acquire(struct exchange *x)
{
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);

    note->request = intake_request_acquire(&app_shard_of(x)->intake, x);
    return note->request;
}

/* After submit: the answer, at once or later. */
static int submit(struct exchange *x, struct intake_request *request)
{
    add_claim(x, request);
    intake_request_submit(request);
    return EXCHANGE_PENDING;
}

static int give_up(struct exchange *x)
{
    SOMETIMES("no buffer is left for a request");
    intake_request_release(&EXCHANGE_NOTE(x, struct event_note)->request);
    return refuse_overloaded(x, PROBLEM_OVERLOADED, "no buffer is free for the request");
}

int event_on_request(struct exchange *x)
{
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);
    struct intake_request *request;
    struct issue_list issues;
    struct exchange_problem_options options = {.issues = &issues};
    struct json_reader reader;
    struct raw_event event;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (raw_event_read_document(x->body, EVENT_DEPTH_MAX, &issues, &reader, &event)) {
    case RAW_EVENT_OK:
        break;
    case RAW_EVENT_INVALID:
        count_invalid(x, 1);
        return exchange_problem(x, PROBLEM_INVALID_EVENT, &options);
    case RAW_EVENT_TRUNCATED:
    case RAW_EVENT_BAD_JSON:
        return refuse_json(x, &reader);
    }
    request = acquire(x);
    if (request == NULL)
        return refuse_overloaded(x, PROBLEM_OVERLOADED, "too many requests are in flight");
    if (add_event(request, &event, note->auth.key, &request->inline_entry) < 0)
        return give_up(x);
    return submit(x, request);
}

/* --- batches -------------------------------------------------------------- */

/* False with an answer given when the query is not understood. */
static bool read_partial(struct exchange *x, bool *ret_partial, int *ret_answer)
{
    struct exchange_problem_options options = {
        .detail = SLICE_LITERAL("the parameter partial is true or false")};
    char text[QUERY_VALUE_SIZE_MAX];
    struct slice value;
    bool is_readable =
        url_query_text(x->request->query, SLICE_LITERAL("partial"), text, sizeof(text), &value);

    *ret_partial = is_readable && slice_equal(value, SLICE_LITERAL("true"));
    if (is_readable &&
        (value.data == NULL || *ret_partial || slice_equal(value, SLICE_LITERAL("false"))))
        return true;
    *ret_answer = exchange_problem(x, PROBLEM_INVALID_PARAMETER, &options);
    return false;
}

/* Reads all events into entries. How that ended is *ret_end; 0, or -ENOBUFS, -EMSGSIZE. */
static int read_events(struct exchange *x, struct intake_request *request, struct batch *batch,
                       struct issue_list *issues, enum batch_result *ret_end)
{
    const struct record_key *key = EXCHANGE_NOTE(x, struct event_note)->auth.key;
    struct raw_event event;
    enum batch_result result;
    int r;

    request->entry_count = 0;
    while ((result = batch_next(batch, issues)) == BATCH_EVENT) {
        struct intake_entry *entry = &request->entries[batch_index(batch)];

        request->entry_count = batch_index(batch) + 1;
        issue_list_begin_event(issues);
        switch (batch_read_event(batch, issues, &event)) {
        case RAW_EVENT_OK:
            if (event.raw.size > app_shard_of(x)->app->settings->event_bytes) {
                entry->status = EVENT_INVALID;
                entry->code = PROBLEM_EVENT_TOO_LARGE;
                break;
            }
            r = add_event(request, &event, key, entry);
            if (r < 0)
                return r;
            break;
        case RAW_EVENT_INVALID:
            entry->status = EVENT_INVALID;
            entry->code = PROBLEM_INVALID_EVENT;
            break;
        case RAW_EVENT_TRUNCATED:
        case RAW_EVENT_BAD_JSON:
            if (batch->format != BATCH_LINES || !request->is_partial) {
                *ret_end = BATCH_BAD_JSON;
                return 0;
            }
            entry->status = EVENT_INVALID;
            entry->code = (uint8_t)problem_of_json_error(json_reader_error(&batch->reader));
            break;
        }
    }
    *ret_end = result;
    return 0;
}

static uint32_t count_status(const struct intake_request *request, enum event_status status)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < request->entry_count; i++)
        count += request->entries[i].status == status;
    return count;
}

static bool has_too_large(const struct intake_request *request)
{
    for (uint32_t i = 0; i < request->entry_count; i++)
        if (request->entries[i].status == EVENT_INVALID &&
            request->entries[i].code == PROBLEM_EVENT_TOO_LARGE)
            return true;
    return false;
}

/* The refusal of a batch that is not taken, after the request was given back. */
static int refuse_batch(struct exchange *x, const struct batch *batch, struct issue_list *issues,
                        enum batch_result end, bool too_large)
{
    struct exchange_problem_options options = {
        .issues = issues,
        .array_key = batch_array_key(batch),
    };
    uint32_t limit = (uint32_t)app_shard_of(x)->app->settings->batch_events;
    enum problem_code code = PROBLEM_INVALID_BATCH;

    if (end == BATCH_TRUNCATED || end == BATCH_BAD_JSON)
        return refuse_json(x, &batch->reader);
    if (too_large) {
        options.has_limit = true;
        options.limit = app_shard_of(x)->app->settings->event_bytes;
        return exchange_problem(x, PROBLEM_EVENT_TOO_LARGE, &options);
    }
    for (uint32_t i = 0; i < issues->count; i++)
        if (issues->items[i].kind == ISSUE_ARRAY_TOO_BIG) {
            code = PROBLEM_TOO_MANY_EVENTS;
            options.has_limit = true;
            options.limit = limit;
        }
    return exchange_problem(x, code, &options);
}

int batch_on_request(struct exchange *x)
{
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);
    const struct settings *settings = app_shard_of(x)->app->settings;
    struct batch_limits limits = {(uint32_t)settings->batch_events, EVENT_DEPTH_MAX};
    struct intake_request *request;
    struct issue_list issues;
    enum batch_result end = BATCH_INVALID;
    struct batch batch;
    uint32_t invalid_count;
    bool is_partial, too_large;
    int r;

    if (!read_partial(x, &is_partial, &r))
        return r;
    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    request = acquire(x);
    if (request == NULL)
        return refuse_overloaded(x, PROBLEM_OVERLOADED, "too many requests are in flight");
    request->is_batch = true;
    request->is_partial = is_partial;
    issue_list_init(&issues);
    batch_init(&batch, x->body, note->is_lines ? BATCH_LINES : BATCH_OBJECT, limits);
    r = intake_request_make_room(request, limits.event_count_max);
    if (r == 0)
        r = read_events(x, request, &batch, &issues, &end);
    if (r < 0)
        return give_up(x);
    invalid_count = count_status(request, EVENT_INVALID);
    if (invalid_count > 0 && is_partial)
        SOMETIMES("a batch leaves its invalid events out");
    if (end != BATCH_END || (invalid_count > 0 && !is_partial)) {
        SOMETIMES("a batch is refused as a whole");
        too_large = has_too_large(request);
        count_invalid(x, request->entry_count > 0 ? request->entry_count : 1);
        intake_request_release(&note->request);
        return refuse_batch(x, &batch, &issues, end, too_large);
    }
    r = auth_take_quota(x, &note->auth, request->entry_count, quota_metric(x));
    if (r != EXCHANGE_READ_BODY) {
        intake_request_release(&note->request);
        return r;
    }
    return submit(x, request);
}

/* --- answers -------------------------------------------------------------- */

/* One line of the answer: from the entries, or from the stored first answer. */
struct answer_line {
    struct slice event_id;
    enum event_status status;
    enum problem_code code;
};

static struct answer_line line_at(const struct intake_request *request, uint32_t index)
{
    if (request->is_replay) {
        const struct record_claim_event *lines =
            (const struct record_claim_event *)(const void *)request->claim_lines->data;

        return (struct answer_line){{lines[index].event_id, UUID_TEXT_SIZE},
                                    lines[index].status,
                                    record_claim_problem(lines[index].code)};
    }
    return (struct answer_line){{request->entries[index].event_id, UUID_TEXT_SIZE},
                                request->entries[index].status,
                                request->entries[index].code};
}

static bool line_was_stored(struct answer_line line)
{
    return line.status == EVENT_ACCEPTED || line.status == EVENT_DUPLICATE;
}

static void write_single(const struct intake_request *request, struct json_writer *writer)
{
    struct answer_line line = line_at(request, 0);
    uint64_t received_ms =
        request->is_replay ? request->received_ms : request->entries[0].received_ms;

    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("accepted"));
    json_writer_boolean(writer, true);
    json_writer_key(writer, SLICE_LITERAL("event_id"));
    json_writer_string(writer, line.event_id);
    json_writer_key(writer, SLICE_LITERAL("received_at"));
    json_writer_time(writer, (int64_t)received_ms);
    json_writer_key(writer, SLICE_LITERAL("duplicate"));
    json_writer_boolean(writer, request->is_replay || line.status == EVENT_DUPLICATE);
    json_writer_end_object(writer);
}

static void write_results(const struct intake_request *request, struct json_writer *writer)
{
    json_writer_key(writer, SLICE_LITERAL("results"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < request->entry_count; i++) {
        struct answer_line line = line_at(request, i);

        json_writer_begin_object(writer);
        json_writer_key(writer, SLICE_LITERAL("index"));
        json_writer_u64(writer, i);
        if (line.event_id.data[0] != '\0') {
            json_writer_key(writer, SLICE_LITERAL("event_id"));
            json_writer_string(writer, line.event_id);
        }
        json_writer_key(writer, SLICE_LITERAL("status"));
        json_writer_string(writer, record_status_name(line.status));
        if (!line_was_stored(line)) {
            json_writer_key(writer, SLICE_LITERAL("code"));
            json_writer_string(writer, problem_code_name(line.code));
        }
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

static void write_batch(const struct intake_request *request, uint32_t stored_count,
                        bool with_results, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("accepted"));
    json_writer_boolean(writer, stored_count > 0);
    json_writer_key(writer, SLICE_LITERAL("count"));
    json_writer_u64(writer, stored_count);
    json_writer_key(writer, SLICE_LITERAL("event_ids"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < request->entry_count; i++)
        if (line_was_stored(line_at(request, i)))
            json_writer_string(writer, line_at(request, i).event_id);
    json_writer_end_array(writer);
    json_writer_key(writer, SLICE_LITERAL("received_at"));
    json_writer_time(writer, (int64_t)request->received_ms);
    if (request->is_replay) {
        json_writer_key(writer, SLICE_LITERAL("duplicate"));
        json_writer_boolean(writer, true);
    }
    if (with_results)
        write_results(request, writer);
    json_writer_end_object(writer);
}

static int answer_batch(struct exchange *x, struct intake_request *request)
{
    struct response response = {.status = 202, .content_type = SLICE_LITERAL("application/json")};
    struct buffer *body = NULL;
    struct json_writer writer;
    uint32_t stored_count = 0;
    bool retry = false, with_results = request->is_partial;
    bool fits;
    int r;

    for (uint32_t i = 0; i < request->entry_count; i++) {
        stored_count += line_was_stored(line_at(request, i));
        retry |=
            line_at(request, i).status == EVENT_RETRY || line_at(request, i).status == EVENT_QUOTA;
        with_results |= !line_was_stored(line_at(request, i));
    }
    r = buffer_acquire(app_shard_of(x)->buffers,
                       ANSWER_SIZE_MAX + (size_t)request->entry_count * BATCH_LINE_SIZE_MAX, &body);
    if (r < 0) {
        SOMETIMES("no buffer is left for the answer to a batch");
        return r;
    }
    json_writer_init(&writer, body->data, body->capacity);
    write_batch(request, stored_count, with_results, &writer);
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    if (stored_count < request->entry_count)
        response.status = 200;
    if (retry)
        response.fields[response.field_count++] =
            (struct header){SLICE_LITERAL("retry-after"), SLICE_LITERAL("1")};
    r = exchange_respond(x, &response);
    buffer_unref(&body);
    return r;
}

static int answer_single(struct exchange *x, struct intake_request *request)
{
    struct response response = {.status = 202, .content_type = SLICE_LITERAL("application/json")};
    char text[ANSWER_SIZE_MAX];
    struct json_writer writer;
    bool fits;

    json_writer_init(&writer, text, sizeof(text));
    write_single(request, &writer);
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    return exchange_respond(x, &response);
}

static int answer_refusal(struct exchange *x, const struct intake_request *request)
{
    struct exchange_problem_options options = {0};
    enum problem_code code = request->code;

    if (code == PROBLEM_IN_FLIGHT || code == PROBLEM_DEDUP_FULL || problem_status(code) == 503)
        options.retry_after_s = INTAKE_RETRY_AFTER_S;
    return exchange_problem(x, code, &options);
}

int event_on_reply(struct exchange *x, const struct message *msg)
{
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);
    struct intake_request *request = note->request;
    int r;

    if (msg->type != MSG_INTAKE_ANSWER || request == NULL)
        return EXCHANGE_PENDING;
    assert(intake_request_is_decided(request));
    if (request->code != PROBLEM_NONE)
        r = answer_refusal(x, request);
    else if (request->is_batch)
        r = answer_batch(x, request);
    else
        r = answer_single(x, request);
    intake_request_release(&note->request);
    return r;
}

void event_on_abandon(struct exchange *x)
{
    struct event_note *note = EXCHANGE_NOTE(x, struct event_note);

    if (note->request != NULL)
        intake_request_abandon(&note->request);
}
