#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/envelope.h"
#include "contracts/json_string.h"

#define EVENT_ID "550e8400-e29b-41d4-a716-446655440000"

static const struct envelope_stamp STAMP = {
    .org_id = {"org_123", 7},
    .project_id = {"proj_456", 8},
    .event_id = EVENT_ID,
    .received_ms = 1736942400000,
};

static struct raw_event event;
static char buffer[4096];
static struct slice text;

static void read_event(const char *raw)
{
    struct issue_list issues;
    struct json_reader reader;
    enum raw_event_result result;

    issue_list_init(&issues);
    result = raw_event_read_document(slice_of(raw), JSON_DEPTH_DEFAULT, &issues, &reader, &event);
    assert(result == RAW_EVENT_OK);
}

/* False when the envelope does not fit the capacity. */
static bool write_envelope(const struct envelope_stamp *stamp, size_t capacity)
{
    struct json_writer writer;

    json_writer_init(&writer, buffer, capacity);
    envelope_write(&event, stamp, &writer);
    return json_writer_finish(&writer, &text);
}

TestSuite(envelope, .timeout = 10);

Test(envelope, writes_all_members_with_defaults_in_the_fixed_order)
{
    read_event("{\"message\":\"Connection timeout\",\"event_type\":\"error\","
               "\"occurred_at\":\"2025-01-15T11:59:00Z\"}");
    cr_assert(write_envelope(&STAMP, sizeof(buffer)));
    cr_expect(slice_equal(
        text, SLICE_LITERAL("{\"schema_version\":\"1.0\",\"event_id\":\"" EVENT_ID "\","
                            "\"occurred_at\":\"2025-01-15T11:59:00Z\","
                            "\"received_at\":\"2025-01-15T12:00:00.000Z\",\"org_id\":\"org_123\","
                            "\"project_id\":\"proj_456\",\"environment\":\"dev\","
                            "\"event_type\":\"error\",\"severity\":\"info\","
                            "\"message\":\"Connection timeout\",\"attributes\":{},"
                            "\"payload\":{}}")));
}

Test(envelope, keeps_all_that_was_sent_byte_for_byte)
{
    read_event("{\"event_id\":\"" EVENT_ID "\",\"event_type\":\"error\","
               "\"occurred_at\":\"2025-01-15T11:59:00+00:00\",\"message\":\"a\\u0062\\/\xc3\xa9\","
               "\"environment\":\"prod\",\"severity\":\"critical\",\"org_id\":\"evil\","
               "\"dropped\":1,\"attributes\":{ \"error_code\" : \"TIMEOUT\", "
               "\"route\":\"/api/checkout\"},\"payload\":{\"user_id\":\"user_123\",\"n\":1.0}}");
    cr_assert(write_envelope(&STAMP, sizeof(buffer)));
    cr_expect(slice_equal(
        text, SLICE_LITERAL("{\"schema_version\":\"1.0\",\"event_id\":\"" EVENT_ID "\","
                            "\"occurred_at\":\"2025-01-15T11:59:00+00:00\","
                            "\"received_at\":\"2025-01-15T12:00:00.000Z\",\"org_id\":\"org_123\","
                            "\"project_id\":\"proj_456\",\"environment\":\"prod\","
                            "\"event_type\":\"error\",\"severity\":\"critical\","
                            "\"message\":\"a\\u0062\\/\xc3\xa9\",\"attributes\":{ \"error_code\" : "
                            "\"TIMEOUT\", \"route\":\"/api/checkout\"},"
                            "\"payload\":{\"user_id\":\"user_123\",\"n\":1.0}}")));
}

Test(envelope, escapes_the_ids_of_the_tenant)
{
    struct envelope_stamp stamp = STAMP;
    struct envelope envelope;
    char decoded[32];
    struct slice org_id;

    stamp.org_id = SLICE_LITERAL("o\"\n\x01");
    read_event("{\"message\":\"m\",\"event_type\":\"deploy\","
               "\"occurred_at\":\"2025-01-15T11:59:00Z\"}");
    cr_assert(write_envelope(&stamp, sizeof(buffer)));
    cr_assert(envelope_read(text, &envelope));
    cr_assert(json_string_text(&envelope.org_id, decoded, sizeof(decoded), &org_id));
    cr_expect(slice_equal(org_id, stamp.org_id));
}

Test(envelope, reads_back_what_it_wrote)
{
    struct envelope envelope;

    read_event("{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T11:59:00Z\","
               "\"message\":\"m\",\"environment\":\"staging\",\"severity\":\"warn\","
               "\"attributes\":{\"error_code\":7},\"payload\":{\"a\":1}}");
    cr_assert(write_envelope(&STAMP, sizeof(buffer)));
    cr_assert(envelope_read(text, &envelope));
    cr_expect(slice_equal((struct slice){envelope.event.event_id, UUID_TEXT_SIZE},
                          SLICE_LITERAL(EVENT_ID)));
    cr_expect(json_string_equal(&envelope.org_id, STAMP.org_id));
    cr_expect(json_string_equal(&envelope.project_id, STAMP.project_id));
    cr_expect(slice_equal(envelope.received_at, SLICE_LITERAL("2025-01-15T12:00:00.000Z")));
    cr_expect(eq(i64, envelope.received_ms, STAMP.received_ms));
    cr_expect(eq(i64, envelope.event.occurred_ms, event.occurred_ms));
    cr_expect(eq(int, envelope.event.environment, EVENT_ENVIRONMENT_STAGING));
    cr_expect(eq(int, envelope.event.severity, EVENT_SEVERITY_WARN));
    cr_expect(slice_equal(envelope.event.error_code.raw, SLICE_LITERAL("7")));
    cr_expect(slice_equal(envelope.event.payload, SLICE_LITERAL("{\"a\":1}")));
}

Test(envelope, refuses_to_read_a_damaged_or_foreign_text)
{
    struct envelope envelope;

    read_event("{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T11:59:00Z\","
               "\"message\":\"m\"}");
    cr_expect(not(envelope_read(event.raw, &envelope)));
    cr_assert(write_envelope(&STAMP, sizeof(buffer)));
    for (size_t size = 0; size < text.size; size++)
        cr_expect(not(envelope_read((struct slice){text.data, size}, &envelope)), "%zu", size);
}

Test(envelope, never_exceeds_the_size_it_announces_and_overflows_cleanly)
{
    struct envelope_stamp stamp = STAMP;
    size_t size;

    stamp.org_id = SLICE_LITERAL("\x01\x02\x03\x04\x05\x06\x07\x0b");
    read_event("{\"event_type\":\"http_request\",\"occurred_at\":\"2025-01-15T11:59:00Z\","
               "\"message\":\"m\",\"environment\":\"staging\",\"severity\":\"critical\"}");
    cr_assert(write_envelope(&stamp, envelope_size_max(&event, &stamp)));
    size = text.size;
    for (size_t capacity = 0; capacity < size; capacity++)
        cr_expect(not(write_envelope(&stamp, capacity)), "%zu", capacity);
    cr_expect(write_envelope(&stamp, size));
}
