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
    struct slice text = record->payload;

    if (text.size < sizeof(struct record_event))
        return false;
    text.data += sizeof(struct record_event);
    text.size -= sizeof(struct record_event);
    if (!envelope_read(text, envelope))
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
    return backend->vtable->put_event(backend, &row);
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
    case RECORD_JOB:
        return apply_job(projection, record);
    case RECORD_JOB_FACT:
        return apply_job_fact(projection, record);
    default:
        return 0;
    }
}
