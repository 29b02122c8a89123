/*
 * Record dump: reads the payloads that actors/record.h lays out. The journal has
 * checked the bytes; a payload that is too short for its type, or JSON that is none,
 * is treated as one of a version that is not known here, never trusted.
 */
#include "tools/record_dump.h"

#include "actors/record.h"
#include "contracts/json_reader.h"

enum {
    FIXED_SIZE_MAX = 4096, /* of an object without the parts that grow with the payload */
    GROWTH_MAX = 6,        /* bytes that one of the payload becomes at most */
};

size_t record_dump_size_max(size_t payload_size)
{
    return FIXED_SIZE_MAX + payload_size * GROWTH_MAX;
}

struct slice record_dump_type(const struct journal_record_view *record)
{
    switch (record->type) {
    case RECORD_EVENT:
        return SLICE_LITERAL("event");
    case RECORD_CLAIM:
        return SLICE_LITERAL("claim");
    case RECORD_KEY:
        return SLICE_LITERAL("key");
    default:
        return SLICE_LITERAL("unknown");
    }
}

static void write_text(struct json_writer *writer, struct slice name, struct slice text)
{
    json_writer_key(writer, name);
    json_writer_string(writer, text);
}

static void write_number(struct json_writer *writer, struct slice name, uint64_t number)
{
    json_writer_key(writer, name);
    json_writer_u64(writer, number);
}

static void write_time(struct json_writer *writer, struct slice name, uint64_t unix_ms)
{
    json_writer_key(writer, name);
    json_writer_time(writer, (int64_t)unix_ms);
}

/* False when the payload is none of this version. */
static bool write_event(struct slice payload, struct json_writer *writer)
{
    struct record_event event;
    struct json_reader reader;
    struct json_value document;
    struct slice envelope;

    if (payload.size <= sizeof(event))
        return false;
    memcpy(&event, payload.data, sizeof(event));
    envelope = (struct slice){payload.data + sizeof(event), payload.size - sizeof(event)};
    if (json_read_document(envelope, JSON_DEPTH_MAX, &reader, &document) != JSON_OK)
        return false;
    write_time(writer, SLICE_LITERAL("received_at"), event.received_ms);
    json_writer_key(writer, SLICE_LITERAL("client_id"));
    json_writer_boolean(writer, (event.flags & RECORD_EVENT_CLIENT_ID) != 0);
    json_writer_key(writer, SLICE_LITERAL("event"));
    json_writer_raw(writer, document.raw);
    return true;
}

static void write_claim_event(const struct record_claim_event *event, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    /* An event that was refused before it got an id has none. */
    if (event->event_id[0] != '\0')
        write_text(writer, SLICE_LITERAL("event_id"),
                   (struct slice){event->event_id, UUID_TEXT_SIZE});
    write_text(writer, SLICE_LITERAL("status"), record_status_name(event->status));
    if (event->code != 0)
        write_text(writer, SLICE_LITERAL("code"),
                   problem_code_name(record_claim_problem(event->code)));
    json_writer_end_object(writer);
}

/* False when the payload is none of this version. */
static bool write_claim(struct slice payload, struct json_writer *writer)
{
    struct record_claim claim;
    const char *cursor;

    if (payload.size < sizeof(claim))
        return false;
    memcpy(&claim, payload.data, sizeof(claim));
    if (claim.project_size > sizeof(claim.project) || claim.event_count > payload.size ||
        sizeof(claim) + claim.key_size + claim.event_count * sizeof(struct record_claim_event) !=
            payload.size)
        return false;
    cursor = payload.data + sizeof(claim);
    write_time(writer, SLICE_LITERAL("received_at"), claim.received_ms);
    write_text(writer, SLICE_LITERAL("key"), (struct slice){cursor, claim.key_size});
    write_text(writer, SLICE_LITERAL("project_id"),
               (struct slice){claim.project, claim.project_size});
    json_writer_key(writer, SLICE_LITERAL("batch"));
    json_writer_boolean(writer, claim.is_batch != 0);
    json_writer_key(writer, SLICE_LITERAL("events"));
    json_writer_begin_array(writer);
    cursor += claim.key_size;
    for (uint32_t i = 0; i < claim.event_count; i++) {
        struct record_claim_event event;

        memcpy(&event, cursor + i * sizeof(event), sizeof(event));
        write_claim_event(&event, writer);
    }
    json_writer_end_array(writer);
    return true;
}

static void write_scopes(uint32_t scopes, struct json_writer *writer)
{
    json_writer_key(writer, SLICE_LITERAL("scopes"));
    json_writer_begin_array(writer);
    if ((scopes & KEY_SCOPE_INGEST) != 0)
        json_writer_string(writer, SLICE_LITERAL("ingest"));
    if ((scopes & KEY_SCOPE_READ) != 0)
        json_writer_string(writer, SLICE_LITERAL("read"));
    if ((scopes & KEY_SCOPE_ADMIN) != 0)
        json_writer_string(writer, SLICE_LITERAL("admin"));
    json_writer_end_array(writer);
}

/* False when the payload is none of this version. */
static bool write_api_key(struct slice payload, struct json_writer *writer)
{
    struct record_key key;

    if (payload.size != sizeof(key))
        return false;
    memcpy(&key, payload.data, sizeof(key));
    if (key.org_size > sizeof(key.org) || key.project_size > sizeof(key.project) ||
        key.prefix_size > sizeof(key.prefix))
        return false;
    write_time(writer, SLICE_LITERAL("received_at"),
               key.revoked_ms > 0 ? key.revoked_ms : key.created_ms);
    write_text(writer, SLICE_LITERAL("id"), (struct slice){key.id, UUID_TEXT_SIZE});
    write_text(writer, SLICE_LITERAL("prefix"), (struct slice){key.prefix, key.prefix_size});
    write_text(writer, SLICE_LITERAL("org_id"), (struct slice){key.org, key.org_size});
    write_text(writer, SLICE_LITERAL("project_id"), (struct slice){key.project, key.project_size});
    write_scopes(key.scopes, writer);
    write_number(writer, SLICE_LITERAL("rate_per_second"), key.rate_per_s);
    write_number(writer, SLICE_LITERAL("burst"), key.burst);
    write_time(writer, SLICE_LITERAL("created_at"), key.created_ms);
    if (key.revoked_ms > 0)
        write_time(writer, SLICE_LITERAL("revoked_at"), key.revoked_ms);
    return true;
}

void record_dump_write(const struct journal_record_view *record, struct json_writer *writer)
{
    bool is_known = false;

    json_writer_begin_object(writer);
    write_number(writer, SLICE_LITERAL("log"), journal_location_log(record->location));
    write_number(writer, SLICE_LITERAL("lsn"), record->lsn);
    write_number(writer, SLICE_LITERAL("partition"), record->partition);
    write_text(writer, SLICE_LITERAL("type"), record_dump_type(record));
    if (record->version == RECORD_VERSION && record->type == RECORD_EVENT)
        is_known = write_event(record->payload, writer);
    else if (record->version == RECORD_VERSION && record->type == RECORD_CLAIM)
        is_known = write_claim(record->payload, writer);
    else if (record->version == RECORD_VERSION && record->type == RECORD_KEY)
        is_known = write_api_key(record->payload, writer);
    if (!is_known) {
        write_number(writer, SLICE_LITERAL("type_number"), record->type);
        write_number(writer, SLICE_LITERAL("version"), record->version);
        write_number(writer, SLICE_LITERAL("size"), record->payload.size);
    }
    json_writer_end_object(writer);
}
