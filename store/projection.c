#include "store/projection.h"

#include <errno.h>

#include "contracts/envelope.h"
#include "contracts/json_string.h"
#include "store/job_record.h"

/*
 * A record that cannot be read is left out and counted: the journal has proved that its
 * bytes are what was written, so it is of a version that this one does not know, and a
 * server that cannot do without it does not start.
 */
static const struct slice INCIDENT_KINDS = SLICE_INITIALIZER("incident.");

/* ---- events ---- */

/* The decoded text of a string, as much as fits whole. */
static struct slice text_of(const struct json_value *string, char *buffer, size_t capacity)
{
    size_t written = 0;
    size_t size;

    if (!string->has_escapes && string->raw.size - 2 <= capacity)
        return json_string_body(string);
    size = json_string_decode(string, buffer, capacity, &written);
    assert(written <= size);
    return (struct slice){buffer, written};
}

/* A message is a raw slice in the envelope: its quotes say where, a backslash that it is escaped.
 */
static struct slice message_of(struct projection *projection, const struct envelope *envelope)
{
    struct slice raw = envelope->event.message;
    struct json_value value = {
        .raw = raw,
        .type = JSON_STRING,
        .has_escapes = memchr(raw.data, '\\', raw.size) != NULL,
    };

    return text_of(&value, projection->message, sizeof(projection->message));
}

/* True when text is what uuid_format() makes of its bytes. */
static bool is_usual_spelling(const char *text)
{
    for (uint32_t i = 0; i < UUID_TEXT_SIZE; i++)
        if (text[i] >= 'A' && text[i] <= 'F')
            return false;
    return true;
}

/* False when payload is no event. The row borrows from payload, envelope and projection. */
MUST_USE static bool read_event(struct projection *projection,
                                const struct journal_record_view *record, struct envelope *envelope,
                                struct read_event_row *ret_row)
{
    const struct raw_event *event = &envelope->event;
    struct record_event head;
    struct slice text;

    if (!event_record_decode(record->version, record->payload, &head, &text) ||
        !envelope_read(text, envelope))
        return false;
    *ret_row = (struct read_event_row){
        .location = record->location,
        .org = text_of(&envelope->org_id, projection->org, sizeof(projection->org)),
        .project = text_of(&envelope->project_id, projection->project, sizeof(projection->project)),
        .occurred_ms = event->occurred_ms,
        .received_ms = (uint64_t)envelope->received_ms,
        .environment = event->environment,
        .type = event->type,
        .severity = event->severity,
        .series = {head.series[0], head.series[1]},
        .message = message_of(projection, envelope),
        .attributes = event->attributes.size <= READ_MODEL_ATTRIBUTES_MAX ? event->attributes
                                                                          : SLICE_LITERAL("{}"),
    };
    if (!uuid_parse((struct slice){event->event_id, UUID_TEXT_SIZE}, ret_row->event_id))
        return false;
    if (!is_usual_spelling(event->event_id))
        ret_row->spelled_id = (struct slice){event->event_id, UUID_TEXT_SIZE};
    return true;
}

MUST_USE static int apply_event(struct projection *projection,
                                const struct journal_record_view *record)
{
    struct read_backend *backend = projection->backend;
    struct envelope envelope;
    struct read_event_row row;

    if (!read_event(projection, record, &envelope, &row)) {
        projection->unreadable_count++;
        return 0;
    }
    if (row.received_ms < projection->before_ms)
        return 0;
    projection->row_count++;
    return backend->vtable->put_event(backend, &row);
}

/* ---- incidents and AI runs ---- */

MUST_USE static int apply_incident(struct projection *projection,
                                   const struct journal_record_view *record)
{
    struct read_backend *backend = projection->backend;
    struct incident_image image;

    if (incident_image_decode(record->payload, &image) < 0) {
        projection->unreadable_count++;
        return 0;
    }
    projection->row_count++;
    return backend->vtable->put_incident(backend, record->partition, &image);
}

static void write_instant(struct json_writer *writer, struct slice name, uint64_t unix_ms)
{
    json_writer_key(writer, name);
    if (unix_ms == 0)
        json_writer_null(writer);
    else
        json_writer_time(writer, (int64_t)unix_ms);
}

/* A number of tokens, or null when nobody knows. */
static void write_tokens(struct json_writer *writer, struct slice name, uint32_t tokens)
{
    json_writer_key(writer, name);
    if (tokens == CHAT_TOKENS_UNKNOWN)
        json_writer_null(writer);
    else
        json_writer_u64(writer, tokens);
}

static void write_attempt(struct json_writer *writer, const struct ai_run_attempt *attempt)
{
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("attempt"));
    json_writer_u64(writer, attempt->number);
    write_instant(writer, SLICE_LITERAL("started_at"), attempt->started_ms);
    write_instant(writer, SLICE_LITERAL("first_byte_at"), attempt->first_byte_ms);
    write_instant(writer, SLICE_LITERAL("ended_at"), attempt->ended_ms);
    json_writer_key(writer, SLICE_LITERAL("calls"));
    json_writer_u64(writer, attempt->call_count);
    json_writer_key(writer, SLICE_LITERAL("http_status"));
    if (attempt->http_status == 0)
        json_writer_null(writer);
    else
        json_writer_u64(writer, attempt->http_status);
    json_writer_key(writer, SLICE_LITERAL("cost_micro_usd"));
    if (attempt->cost_micro_usd == TOKEN_COST_UNKNOWN)
        json_writer_null(writer);
    else
        json_writer_u64(writer, attempt->cost_micro_usd);
    write_tokens(writer, SLICE_LITERAL("input_tokens"), attempt->input_tokens);
    write_tokens(writer, SLICE_LITERAL("output_tokens"), attempt->output_tokens);
    write_tokens(writer, SLICE_LITERAL("cached_tokens"), attempt->cached_tokens);
    write_tokens(writer, SLICE_LITERAL("reasoning_tokens"), attempt->reasoning_tokens);
    json_writer_key(writer, SLICE_LITERAL("finish_reason"));
    json_writer_string(writer, chat_finish_name(attempt->finish));
    json_writer_key(writer, SLICE_LITERAL("error"));
    if (attempt->error == AI_RUN_ERROR_NONE)
        json_writer_null(writer);
    else
        json_writer_string(writer, ai_run_error_name(attempt->error));
    json_writer_key(writer, SLICE_LITERAL("validation"));
    json_writer_string(writer, ai_run_validation_name(attempt->validation));
    json_writer_end_object(writer);
}

/* All attempts that the image has. */
static struct slice write_attempts(struct projection *projection, const struct ai_run_image *image)
{
    uint64_t count = min_u64(image->header.attempt_count, AI_RUN_ATTEMPT_COUNT_MAX);
    struct json_writer writer;
    struct slice text;
    bool fits;

    json_writer_init(&writer, projection->attempts, sizeof(projection->attempts));
    json_writer_begin_array(&writer);
    for (uint32_t i = 0; i < count; i++)
        write_attempt(&writer, &image->attempts[i]);
    json_writer_end_array(&writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits); /* the buffer is made for the most attempts */
    return text;
}

MUST_USE static int apply_run(struct projection *projection,
                              const struct journal_record_view *record)
{
    struct read_backend *backend = projection->backend;
    struct ai_run_image image;
    struct read_run_row row = {.image = &image, .partition = record->partition};

    if (ai_run_decode(record->payload, &image) < 0) {
        projection->unreadable_count++;
        return 0;
    }
    projection->row_count++;
    row.attempts = write_attempts(projection, &image);
    return backend->vtable->put_run(backend, &row);
}

/* ---- jobs ---- */

static bool is_incident_kind(struct slice kind)
{
    return kind.size > INCIDENT_KINDS.size &&
           memcmp(kind.data, INCIDENT_KINDS.data, INCIDENT_KINDS.size) == 0;
}

/* The member incident_id of a job's payload, or an empty slice. */
static struct slice incident_id_of(struct projection *projection, struct slice payload)
{
    struct slice id = {NULL, 0};
    struct json_reader reader;
    struct json_value key;
    struct json_value value;

    json_reader_init(&reader, payload, JSON_DEPTH_DEFAULT);
    if (json_reader_enter_object(&reader) != JSON_OK)
        return id;
    while (json_reader_next_member(&reader, &key) == JSON_OK &&
           json_reader_read(&reader, &value) == JSON_OK)
        if (json_string_equal(&key, SLICE_LITERAL("incident_id")) && value.type == JSON_STRING)
            id = text_of(&value, projection->incident_id, sizeof(projection->incident_id));
    return id;
}

MUST_USE static int apply_job(struct projection *projection,
                              const struct journal_record_view *record)
{
    struct read_backend *backend = projection->backend;
    struct job_image image;
    struct read_job_row row = {.image = &image, .partition = record->partition};

    if (job_image_decode(record->payload, &image) < 0) {
        projection->unreadable_count++;
        return 0;
    }
    if (!is_incident_kind(image.sections[JOB_SECTION_KIND]))
        return 0;
    projection->row_count++;
    row.incident_id = incident_id_of(projection, image.sections[JOB_SECTION_PAYLOAD]);
    return backend->vtable->put_job(backend, &row);
}

MUST_USE static int apply_job_fact(struct projection *projection,
                                   const struct journal_record_view *record)
{
    struct read_backend *backend = projection->backend;
    struct job_fact fact;

    if (job_fact_decode(record->payload, &fact) < 0) {
        projection->unreadable_count++;
        return 0;
    }
    return backend->vtable->put_job_fact(backend, record->partition, &fact);
}

int projection_apply(struct projection *projection, const struct journal_record_view *record)
{
    assert(projection->backend != NULL);
    switch (record->type) {
    case RECORD_EVENT:
        return apply_event(projection, record);
    case RECORD_INCIDENT:
        return apply_incident(projection, record);
    case RECORD_AI_RUN:
        return apply_run(projection, record);
    case RECORD_JOB:
        return apply_job(projection, record);
    case RECORD_JOB_FACT:
        return apply_job_fact(projection, record);
    default:
        return 0;
    }
}
