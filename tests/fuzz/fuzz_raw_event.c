/*
 * Fuzz: everything between a body and what is stored of it.
 *
 * An accepted event must come back from its envelope the same, under the same
 * names; a refused one must have issues that can be written as valid JSON. The
 * bytes are also read as each kind of batch.
 */
#include "contracts/batch.h"
#include "contracts/envelope.h"
#include "contracts/fingerprint.h"
#include "contracts/problem.h"
#include "contracts/raw_event.h"

enum { TEXT_SIZE_MAX = 1 << 16 };

static const struct envelope_stamp STAMP = {
    .org_id = {"org \"1\"", 7},
    .project_id = {"proj_456", 8},
    .event_id = "550e8400-e29b-41d4-a716-446655440000",
    .received_ms = 1736942400000,
};

static char buffer[4 * TEXT_SIZE_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_names(const struct raw_event *event, const struct raw_event *stored)
{
    char first[FINGERPRINT_SIZE_MAX];
    char second[FINGERPRINT_SIZE_MAX];
    size_t size = fingerprint_write(event, first);

    require(size > 0 && size <= sizeof(first));
    require(fingerprint_write(stored, second) == size);
    require(memcmp(first, second, size) == 0);
    size = partition_key_write(event, STAMP.org_id, STAMP.project_id, buffer,
                               partition_key_size_max(STAMP.org_id, STAMP.project_id));
    require(size > 0);
    require(partition_of((struct slice){buffer, size}, 64) < 64);
}

static void check_accepted(const struct raw_event *event)
{
    struct json_writer writer;
    struct envelope envelope;
    struct slice text;

    json_writer_init(&writer, buffer, envelope_size_max(event, &STAMP));
    envelope_write(event, &STAMP, &writer);
    require(json_writer_finish(&writer, &text));
    require(envelope_read(text, &envelope));
    require(envelope.event.type == event->type);
    require(envelope.event.environment == event->environment);
    require(envelope.event.severity == event->severity);
    require(envelope.event.occurred_ms == event->occurred_ms);
    require(slice_equal(envelope.event.message, event->message));
    require(slice_equal(envelope.event.attributes, event->attributes));
    require(slice_equal(envelope.event.payload, event->payload));
    check_names(event, &envelope.event);
}

static void check_refused(const struct issue_list *issues, struct slice array_key)
{
    struct problem problem = {
        .code = PROBLEM_INVALID_EVENT, .issues = issues, .array_key = array_key};
    struct json_writer writer;
    struct json_reader reader;
    struct json_value value;
    struct slice text;

    require(issues->count > 0);
    json_writer_init(&writer, buffer, 4 * PROBLEM_SIZE_MAX);
    problem_write(&problem, &writer);
    require(json_writer_finish(&writer, &text));
    require(json_read_document(text, 8, &reader, &value) == JSON_OK);
}

static void check_batch(struct slice text, enum batch_format format)
{
    static const struct batch_limits LIMITS = {.event_count_max = 8, .depth_max = 16};
    struct issue_list issues;
    struct batch batch;
    struct raw_event event;
    enum batch_result result;

    issue_list_init(&issues);
    batch_init(&batch, text, format, LIMITS);
    while ((result = batch_next(&batch, &issues)) == BATCH_EVENT) {
        enum raw_event_result verdict = batch_read_event(&batch, &issues, &event);

        if (verdict == RAW_EVENT_OK)
            check_accepted(&event);
    }
    if (result == BATCH_INVALID)
        check_refused(&issues, batch_array_key(&batch));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct issue_list issues;
    struct json_reader reader;
    struct raw_event event;
    enum raw_event_result result;

    if (size > TEXT_SIZE_MAX)
        return 0;
    issue_list_init(&issues);
    result = raw_event_read_document(text, JSON_DEPTH_DEFAULT, &issues, &reader, &event);
    if (result == RAW_EVENT_OK)
        check_accepted(&event);
    else if (result == RAW_EVENT_INVALID)
        check_refused(&issues, SLICE_LITERAL("events"));
    check_batch(text, BATCH_OBJECT);
    check_batch(text, BATCH_ARRAY);
    check_batch(text, BATCH_LINES);
    return 0;
}
