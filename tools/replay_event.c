/*
 * Replay event: the members of the object are walked once to find event_id and
 * occurred_at; if both may stay, the text is sent as it stands in the file. Else it
 * is written again, member by member: the two members that change are left out where
 * they stand and put first, the others are copied raw.
 *
 * Ids are version 4 UUIDs made of SipHash-128 over the line with its number as key:
 * the same file gives the same ids, two equal lines of one file give two. The key of
 * new ids also holds the seed. A shifted event is another event than the one recorded,
 * so the shift goes into an id that has to be made up, but never into a given one.
 */
#include "tools/replay_event.h"

#include "contracts/envelope.h"
#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "contracts/siphash.h"
#include "contracts/timestamp.h"

enum {
    TIME_SIZE_MAX = RAW_EVENT_TIME_TEXT_MAX,
    DEPTH_MAX = 2 * JSON_DEPTH_DEFAULT, /* room for what a dump puts around an event */
};

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if (strchr(" \t\r", line.data[i]) == NULL || line.data[i] == '\0')
            return false;
    return true;
}

/* NULL when line is a JSON object; else why not. */
static const char *read_object(struct slice line, struct slice *ret_object)
{
    struct json_reader reader;
    struct json_value value;

    if (json_read_document(line, DEPTH_MAX, &reader, &value) != JSON_OK)
        return json_error_text(json_reader_error(&reader)).data;
    if (value.type != JSON_OBJECT)
        return "it is not a JSON object";
    *ret_object = value.raw;
    return NULL;
}

/* The envelope in a record of `weir journal dump`; a line of another kind is itself. */
static enum replay_event_result unwrap(struct slice *object)
{
    struct json_value place, type, event;

    if (!json_find_member(*object, SLICE_LITERAL("log"), &place) ||
        !json_find_member(*object, SLICE_LITERAL("lsn"), &place) ||
        !json_find_member(*object, SLICE_LITERAL("type"), &type))
        return REPLAY_EVENT_OK;
    if (type.type != JSON_STRING || !json_string_equal(&type, SLICE_LITERAL("event")))
        return REPLAY_EVENT_SKIP;
    if (!json_find_member(*object, SLICE_LITERAL("event"), &event) || event.type != JSON_OBJECT)
        return REPLAY_EVENT_BAD;
    *object = event.raw;
    return REPLAY_EVENT_OK;
}

/* Makes an id out of the line, its number, and salt. */
static void make_id(struct slice line, uint64_t line_number, uint64_t salt,
                    char ret_id[UUID_TEXT_SIZE])
{
    uint8_t key[SIPHASH_KEY_SIZE], hash[SIPHASH_128_SIZE];

    static_assert((int)SIPHASH_128_SIZE == (int)UUID_SIZE, "a hash makes an id");
    memcpy(key, &line_number, 8);
    memcpy(key + 8, &salt, 8);
    siphash_128(key, line, hash);
    uuid_format_v4(hash, ret_id);
}

/* The recorded id when it is there and text; false when a new one has to be made up. */
static bool keep_id(struct slice object, struct replay_event *event)
{
    struct json_value value;
    struct slice text;
    char buffer[UUID_TEXT_SIZE];

    if (!json_find_member(object, SLICE_LITERAL("event_id"), &value))
        return false;
    /* An id that is none is sent as it is, for the server to refuse; it is called zero here. */
    memset(event->event_id, '0', UUID_TEXT_SIZE);
    if (value.type == JSON_STRING && json_string_text(&value, buffer, sizeof(buffer), &text) &&
        text.size == UUID_TEXT_SIZE)
        memcpy(event->event_id, text.data, UUID_TEXT_SIZE);
    return true;
}

static bool read_time(struct slice object, struct slice name, int64_t *ret_unix_ms)
{
    struct json_value value;
    struct slice text;
    char buffer[TIME_SIZE_MAX];

    return json_find_member(object, name, &value) && value.type == JSON_STRING &&
           json_string_text(&value, buffer, sizeof(buffer), &text) &&
           timestamp_parse(text, ret_unix_ms);
}

/* Copies the members of object but those that were written anew. */
static void copy_members(struct slice object, bool but_id, bool but_time,
                         struct json_writer *writer)
{
    struct json_reader reader;
    struct json_value key, value;
    enum json_result r;

    json_reader_init(&reader, object, DEPTH_MAX);
    r = json_reader_enter_object(&reader);
    while (r == JSON_OK && (r = json_reader_next_member(&reader, &key)) == JSON_OK) {
        r = json_reader_read(&reader, &value);
        if (r != JSON_OK || (but_id && json_string_equal(&key, SLICE_LITERAL("event_id"))) ||
            (but_time && json_string_equal(&key, SLICE_LITERAL("occurred_at"))))
            continue;
        /* A name is copied as it is spelled, so the writer's own call for keys will not do. */
        json_writer_raw(writer, key.raw);
        json_writer_verbatim(writer, SLICE_LITERAL(":"));
        json_writer_verbatim(writer, value.raw);
    }
    assert(r == JSON_END);
}

static bool rewrite_text(struct slice object, const struct replay_rewrite *rewrite, bool with_id,
                         char *buffer, struct replay_event *event)
{
    bool with_time = rewrite->shift && event->has_time;
    struct json_writer writer;

    json_writer_init(&writer, buffer, REPLAY_EVENT_SIZE_MAX);
    json_writer_begin_object(&writer);
    if (with_id) {
        json_writer_key(&writer, SLICE_LITERAL("event_id"));
        json_writer_string(&writer, (struct slice){event->event_id, UUID_TEXT_SIZE});
    }
    if (with_time) {
        json_writer_key(&writer, SLICE_LITERAL("occurred_at"));
        json_writer_time(&writer, event->occurred_ms + rewrite->shift_ms);
    }
    copy_members(object, with_id, with_time, &writer);
    json_writer_end_object(&writer);
    return json_writer_finish(&writer, &event->text);
}

enum replay_event_result replay_event_read(struct slice line, uint64_t line_number,
                                           const struct replay_rewrite *rewrite, char *buffer,
                                           struct replay_event *ret_event)
{
    struct replay_event event = {0};
    enum replay_event_result result;
    struct slice object = {NULL, 0};
    bool with_id;

    assert(line_number > 0);
    if (is_blank(line))
        return REPLAY_EVENT_SKIP;
    event.reason = read_object(line, &object);
    result = event.reason != NULL ? REPLAY_EVENT_BAD : unwrap(&object);
    if (result != REPLAY_EVENT_OK) {
        ret_event->reason = event.reason != NULL ? event.reason : "its event is not an object";
        return result;
    }
    event.has_time = read_time(object, SLICE_LITERAL("occurred_at"), &event.occurred_ms);
    event.has_arrival = read_time(object, SLICE_LITERAL("received_at"), &event.arrival_ms);
    event.text = object;
    with_id = rewrite->new_ids || !keep_id(object, &event);
    if (rewrite->new_ids)
        make_id(line, line_number, ~rewrite->seed, event.event_id);
    else if (with_id)
        make_id(line, line_number, rewrite->shift ? (uint64_t)rewrite->shift_ms : 0,
                event.event_id);
    if ((with_id || (rewrite->shift && event.has_time)) &&
        !rewrite_text(object, rewrite, with_id, buffer, &event)) {
        ret_event->reason = "it is too long";
        return REPLAY_EVENT_BAD;
    }
    *ret_event = event;
    return REPLAY_EVENT_OK;
}

const char *replay_event_compare(struct slice text, struct slice envelope_text)
{
    struct issue_list issues;
    struct json_reader reader;
    struct raw_event sent;
    struct envelope envelope;

    issue_list_init(&issues);
    if (raw_event_read_document(text, DEPTH_MAX, &issues, &reader, &sent) != RAW_EVENT_OK)
        return "event";
    if (!envelope_read(envelope_text, &envelope))
        return "envelope";
    if (!sent.has_event_id || memcmp(sent.event_id, envelope.event.event_id, UUID_TEXT_SIZE) != 0)
        return "event_id";
    if (sent.type != envelope.event.type)
        return "event_type";
    if (sent.environment != envelope.event.environment)
        return "environment";
    if (sent.severity != envelope.event.severity)
        return "severity";
    if (!slice_equal(sent.occurred_at, envelope.event.occurred_at))
        return "occurred_at";
    if (!slice_equal(sent.message, envelope.event.message))
        return "message";
    if (!slice_equal(sent.attributes, envelope.event.attributes))
        return "attributes";
    return slice_equal(sent.payload, envelope.event.payload) ? NULL : "payload";
}
