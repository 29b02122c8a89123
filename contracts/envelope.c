/*
 * Writing is a template: literals that carry the separators, and between them
 * pieces that are JSON already or are known to need no escaping. Only the two
 * tenant ids, chosen by an operator, go through the escaping path.
 *
 * An envelope is also a valid raw event, so reading it back is reading a raw event
 * and then insisting on what the server had added.
 */
#include "contracts/envelope.h"

#include "contracts/json_string.h"
#include "contracts/timestamp.h"

#define PUT(writer, literal) json_writer_verbatim(writer, SLICE_LITERAL(literal))

enum {
    ESCAPED_BYTE_SIZE_MAX = 6, /* \u00XX */
    /* All literals, the id, the times and the longest names fit easily. */
    TEMPLATE_SIZE_MAX = 320,
};

size_t envelope_size_max(const struct raw_event *event, const struct envelope_stamp *stamp)
{
    return TEMPLATE_SIZE_MAX + event->occurred_at.size + event->message.size +
           event->attributes.size + event->payload.size +
           ESCAPED_BYTE_SIZE_MAX * (stamp->org_id.size + stamp->project_id.size);
}

void envelope_write(const struct raw_event *event, const struct envelope_stamp *stamp,
                    struct json_writer *writer)
{
    char received_at[TIMESTAMP_TEXT_SIZE];
    size_t begin = writer->size;

    assert(stamp->event_id != NULL);
    timestamp_format(stamp->received_ms, received_at);

    json_writer_raw(writer, SLICE_LITERAL("{\"schema_version\":\"1.0\",\"event_id\":\""));
    json_writer_verbatim(writer, (struct slice){stamp->event_id, UUID_TEXT_SIZE});
    PUT(writer, "\",\"occurred_at\":");
    json_writer_verbatim(writer, event->occurred_at);
    PUT(writer, ",\"received_at\":\"");
    json_writer_verbatim(writer, (struct slice){received_at, sizeof(received_at)});
    PUT(writer, "\",\"org_id\":\"");
    json_writer_string_piece(writer, stamp->org_id);
    PUT(writer, "\",\"project_id\":\"");
    json_writer_string_piece(writer, stamp->project_id);
    PUT(writer, "\",\"environment\":\"");
    json_writer_verbatim(writer, event_environment_name(event->environment));
    PUT(writer, "\",\"event_type\":\"");
    json_writer_verbatim(writer, event_type_name(event->type));
    PUT(writer, "\",\"severity\":\"");
    json_writer_verbatim(writer, event_severity_name(event->severity));
    PUT(writer, "\",\"message\":");
    json_writer_verbatim(writer, event->message);
    PUT(writer, ",\"attributes\":");
    json_writer_verbatim(writer, event->attributes);
    PUT(writer, ",\"payload\":");
    json_writer_verbatim(writer, event->payload);
    PUT(writer, "}");

    assert(writer->overflowed || writer->size - begin <= envelope_size_max(event, stamp));
}

bool envelope_read(struct slice text, struct envelope *ret_envelope)
{
    struct issue_list issues;
    struct json_reader reader;
    struct envelope envelope;
    const struct json_value *received_at = &envelope.event.received_at;

    issue_list_init(&issues);
    if (raw_event_read_document(text, JSON_DEPTH_MAX, &issues, &reader, &envelope.event) !=
        RAW_EVENT_OK)
        return false;
    envelope.org_id = envelope.event.org_id;
    envelope.project_id = envelope.event.project_id;
    if (!envelope.event.has_event_id || envelope.org_id.type != JSON_STRING ||
        envelope.project_id.type != JSON_STRING || received_at->type != JSON_STRING)
        return false;
    envelope.received_at = json_string_body(received_at);
    if (!timestamp_parse(envelope.received_at, &envelope.received_ms))
        return false;
    *ret_envelope = envelope;
    return true;
}
