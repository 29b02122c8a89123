#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_string.h"
#include "contracts/raw_event.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct issue_list issues;
static struct json_reader reader;
static struct raw_event event;
static char buffer[1 << 17];

static void setup(void)
{
    guarded_text_init(&guarded);
}

static enum raw_event_result read_text(struct slice text)
{
    issue_list_init(&issues);
    return raw_event_read_document(guarded_text_put(&guarded, text), JSON_DEPTH_DEFAULT, &issues,
                                   &reader, &event);
}

static enum raw_event_result read_event(const char *text)
{
    return read_text(slice_of(text));
}

/* The list as it would be sent, terminated. */
static const char *written_issues(void)
{
    struct json_writer writer;
    struct slice text;
    bool is_whole;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    issue_list_write(&issues, SLICE_LITERAL("events"), 0, &writer);
    is_whole = json_writer_finish(&writer, &text);
    assert(is_whole);
    buffer[text.size] = '\0';
    return buffer;
}

#define MINIMAL                                                                                    \
    "\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\""

static const char FULL[] =
    "{\"event_id\":\"550E8400-e29b-41d4-a716-446655440000\",\"event_type\":\"error\","
    "\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"Connection \\\"timeout\\\"\","
    "\"environment\":\"prod\",\"severity\":\"critical\",\"org_id\":\"evil\","
    "\"project_id\":\"evil\",\"unknown\":{\"deep\":[1,2,{\"x\":null}]},"
    "\"attributes\": {\"error_code\":\"TIMEOUT\",\"n\":1e400,\"route\":\"/api/checkout\"},"
    "\"payload\":{\"user_id\" : \"user_123\"}}";

TestSuite(raw_event, .init = setup, .timeout = 20);

Test(raw_event, fills_in_the_defaults)
{
    cr_assert(eq(int, read_event("{" MINIMAL "}"), RAW_EVENT_OK));
    cr_expect(eq(int, event.type, EVENT_TYPE_ERROR));
    cr_expect(eq(int, event.environment, EVENT_ENVIRONMENT_DEV));
    cr_expect(eq(int, event.severity, EVENT_SEVERITY_INFO));
    cr_expect(not(event.has_event_id));
    cr_expect(slice_equal(event.attributes, SLICE_LITERAL("{}")));
    cr_expect(slice_equal(event.payload, SLICE_LITERAL("{}")));
    cr_expect(eq(i64, event.occurred_ms, 1736942340000));
    cr_expect(eq(int, event.error_code.type, JSON_ABSENT));
    cr_expect(eq(int, event.route.type, JSON_ABSENT));
    cr_expect(eq(u32, issues.count, 0));
}

Test(raw_event, keeps_all_that_was_sent)
{
    cr_assert(eq(int, read_event(FULL), RAW_EVENT_OK));
    cr_expect(event.has_event_id);
    cr_expect(slice_equal((struct slice){event.event_id, UUID_TEXT_SIZE},
                          SLICE_LITERAL("550E8400-e29b-41d4-a716-446655440000")));
    cr_expect(eq(int, event.environment, EVENT_ENVIRONMENT_PROD));
    cr_expect(eq(int, event.severity, EVENT_SEVERITY_CRITICAL));
    cr_expect(slice_equal(event.message, SLICE_LITERAL("\"Connection \\\"timeout\\\"\"")));
    cr_expect(slice_equal(event.occurred_at, SLICE_LITERAL("\"2025-01-15T11:59:00Z\"")));
    cr_expect(slice_equal(
        event.attributes,
        SLICE_LITERAL("{\"error_code\":\"TIMEOUT\",\"n\":1e400,\"route\":\"/api/checkout\"}")));
    cr_expect(slice_equal(event.payload, SLICE_LITERAL("{\"user_id\" : \"user_123\"}")));
    cr_expect(slice_equal(event.error_code.raw, SLICE_LITERAL("\"TIMEOUT\"")));
    cr_expect(slice_equal(event.route.raw, SLICE_LITERAL("\"/api/checkout\"")));
    cr_expect(eq(sz, event.raw.size, sizeof(FULL) - 1));
}

Test(raw_event, knows_names_and_values_in_any_spelling)
{
    cr_assert(eq(int,
                 read_event("{\"\\u0065vent_type\":\"\\u0065rror\",\"message\":\"\\u0000\","
                            "\"occurred\\u005fat\":\"2025\\u002d01-15T11:59:00.\\u0030Z\","
                            "\"event_id\":\"\\u00350000000-0000-0000-0000-00000000000\\u0030\","
                            "\"attributes\":{\"r\\u006fute\":1,\"\\u0065rror_code\":2}}"),
                 RAW_EVENT_OK));
    cr_expect(eq(i64, event.occurred_ms, 1736942340000));
    cr_expect(slice_equal((struct slice){event.event_id, UUID_TEXT_SIZE},
                          SLICE_LITERAL("50000000-0000-0000-0000-000000000000")));
    cr_expect(slice_equal(event.route.raw, SLICE_LITERAL("1")));
    cr_expect(slice_equal(event.error_code.raw, SLICE_LITERAL("2")));
}

Test(raw_event, takes_the_last_of_repeated_attributes)
{
    cr_assert(eq(int, read_event("{" MINIMAL ",\"attributes\":{\"route\":1,\"route\":2}}"),
                 RAW_EVENT_OK));
    cr_expect(slice_equal(event.route.raw, SLICE_LITERAL("2")));
}

Test(raw_event, accepts_every_option_of_the_three_lists)
{
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        enum event_type found;
        struct slice name = event_type_name((enum event_type)type);
        char text[256];

        snprintf(
            text, sizeof(text),
            "{\"event_type\":\"%.*s\",\"occurred_at\":\"2025-01-15T11:59Z\",\"message\":\"m\"}",
            (int)name.size, name.data);
        cr_expect(eq(int, read_event(text), RAW_EVENT_OK), "%s", text);
        cr_expect(eq(int, event.type, type));
        cr_expect(event_type_from_name(name, &found));
        cr_expect(eq(int, found, type));
    }
    for (int environment = 0; environment < EVENT_ENVIRONMENT_COUNT; environment++) {
        enum event_environment found;

        cr_expect(event_environment_from_name(
            event_environment_name((enum event_environment)environment), &found));
        cr_expect(eq(int, found, environment));
    }
    for (int severity = 0; severity < EVENT_SEVERITY_COUNT; severity++) {
        enum event_severity found;

        cr_expect(
            event_severity_from_name(event_severity_name((enum event_severity)severity), &found));
        cr_expect(eq(int, found, severity));
    }
}

static const struct {
    const char *text;
    const char *details;
} INVALID[] = {
    {"{\"event_type\":\"invalid_type\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\"}",
     "[{\"received\":\"invalid_type\",\"code\":\"invalid_enum_value\",\"options\":[\"error\","
     "\"http_request\",\"signup\",\"deploy\",\"feedback\",\"custom\"],\"path\":[\"event_type\"],"
     "\"message\":\"Invalid enum value. Expected 'error' | 'http_request' | 'signup' | 'deploy' "
     "| 'feedback' | 'custom', received 'invalid_type'\",\"pointer\":\"/event_type\"}]"},
    {"{\"event_type\":\"error\"}",
     "[{\"code\":\"invalid_type\",\"expected\":\"string\",\"received\":\"undefined\","
     "\"path\":[\"occurred_at\"],\"message\":\"Required\",\"pointer\":\"/occurred_at\"},"
     "{\"code\":\"invalid_type\",\"expected\":\"string\",\"received\":\"undefined\","
     "\"path\":[\"message\"],\"message\":\"Required\",\"pointer\":\"/message\"}]"},
    {"{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":12}",
     "[{\"code\":\"invalid_type\",\"expected\":\"string\",\"received\":\"number\","
     "\"path\":[\"message\"],\"message\":\"Expected string, received number\","
     "\"pointer\":\"/message\"}]"},
    {"{\"event_type\":\"error\",\"occurred_at\":\"not-a-timestamp\",\"message\":\"m\"}",
     "[{\"code\":\"invalid_string\",\"validation\":\"datetime\",\"message\":\"Invalid datetime\","
     "\"path\":[\"occurred_at\"],\"pointer\":\"/occurred_at\"}]"},
    {"{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T12:00:00+99:99\",\"message\":\"m\"}",
     "[{\"code\":\"invalid_string\",\"validation\":\"datetime\",\"message\":\"Invalid datetime\","
     "\"path\":[\"occurred_at\"],\"pointer\":\"/occurred_at\"}]"},
    {"{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"\"}",
     "[{\"code\":\"too_small\",\"minimum\":1,\"type\":\"string\",\"inclusive\":true,"
     "\"exact\":false,\"message\":\"String must contain at least 1 character(s)\","
     "\"path\":[\"message\"],\"pointer\":\"/message\"}]"},
    {"{" MINIMAL ",\"event_id\":\"nope\"}",
     "[{\"validation\":\"uuid\",\"code\":\"invalid_string\",\"message\":\"Invalid uuid\","
     "\"path\":[\"event_id\"],\"pointer\":\"/event_id\"}]"},
    {"{" MINIMAL ",\"event_id\":null}",
     "[{\"code\":\"invalid_type\",\"expected\":\"string\",\"received\":\"null\","
     "\"path\":[\"event_id\"],\"message\":\"Expected string, received null\","
     "\"pointer\":\"/event_id\"}]"},
    {"{" MINIMAL ",\"environment\":null}",
     "[{\"expected\":\"'prod' | 'staging' | 'dev'\",\"received\":\"null\","
     "\"code\":\"invalid_type\",\"path\":[\"environment\"],"
     "\"message\":\"Expected 'prod' | 'staging' | 'dev', received null\","
     "\"pointer\":\"/environment\"}]"},
    {"{" MINIMAL ",\"environment\":\"PROD\"}",
     "[{\"received\":\"PROD\",\"code\":\"invalid_enum_value\",\"options\":[\"prod\",\"staging\","
     "\"dev\"],\"path\":[\"environment\"],\"message\":\"Invalid enum value. Expected 'prod' | "
     "'staging' | 'dev', received 'PROD'\",\"pointer\":\"/environment\"}]"},
    {"{" MINIMAL ",\"severity\":\"fa\\\"tal\"}",
     "[{\"received\":\"fa\\\"tal\",\"code\":\"invalid_enum_value\",\"options\":[\"debug\",\"info\","
     "\"warn\",\"error\",\"critical\"],\"path\":[\"severity\"],\"message\":\"Invalid enum value. "
     "Expected 'debug' | 'info' | 'warn' | 'error' | 'critical', received 'fa\\\"tal'\","
     "\"pointer\":\"/severity\"}]"},
    {"{\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\"}",
     "[{\"expected\":\"'error' | 'http_request' | 'signup' | 'deploy' | 'feedback' | 'custom'\","
     "\"received\":\"undefined\",\"code\":\"invalid_type\",\"path\":[\"event_type\"],"
     "\"message\":\"Required\",\"pointer\":\"/event_type\"}]"},
    {"{" MINIMAL ",\"attributes\":[]}",
     "[{\"code\":\"invalid_type\",\"expected\":\"object\",\"received\":\"array\","
     "\"path\":[\"attributes\"],\"message\":\"Expected object, received array\","
     "\"pointer\":\"/attributes\"}]"},
    {"{" MINIMAL ",\"payload\":\"x\",\"attributes\":null}",
     "[{\"code\":\"invalid_type\",\"expected\":\"object\",\"received\":\"null\","
     "\"path\":[\"attributes\"],\"message\":\"Expected object, received null\","
     "\"pointer\":\"/attributes\"},{\"code\":\"invalid_type\",\"expected\":\"object\","
     "\"received\":\"string\",\"path\":[\"payload\"],\"message\":\"Expected object, received "
     "string\",\"pointer\":\"/payload\"}]"},
    {"{" MINIMAL ",\"org_id\":1,\"project_id\":false}",
     "[{\"code\":\"invalid_type\",\"expected\":\"string\",\"received\":\"number\","
     "\"path\":[\"org_id\"],\"message\":\"Expected string, received number\","
     "\"pointer\":\"/org_id\"},{\"code\":\"invalid_type\",\"expected\":\"string\","
     "\"received\":\"boolean\",\"path\":[\"project_id\"],\"message\":\"Expected string, received "
     "boolean\",\"pointer\":\"/project_id\"}]"},
    {"[]", "[{\"code\":\"invalid_type\",\"expected\":\"object\",\"received\":\"array\",\"path\":[],"
           "\"message\":\"Expected object, received array\",\"pointer\":\"\"}]"},
    {"\"text\"",
     "[{\"code\":\"invalid_type\",\"expected\":\"object\",\"received\":\"string\",\"path\":[],"
     "\"message\":\"Expected object, received string\",\"pointer\":\"\"}]"},
    {"null",
     "[{\"code\":\"invalid_type\",\"expected\":\"object\",\"received\":\"null\",\"path\":[],"
     "\"message\":\"Expected object, received null\",\"pointer\":\"\"}]"},
    {"{" MINIMAL ",\"message\":\"again\"}",
     "[{\"code\":\"duplicate_key\",\"path\":[\"message\"],\"message\":\"Duplicate key\","
     "\"pointer\":\"/message\"}]"},
    {"{" MINIMAL ",\"a/~b\":1,\"\\u0061\\/~b\":2}",
     "[{\"code\":\"duplicate_key\",\"path\":[\"\\u0061\\/~b\"],\"message\":\"Duplicate key\","
     "\"pointer\":\"/a~1~0b\"}]"},
};

Test(raw_event, reports_each_fault_in_the_shape_clients_know)
{
    for (size_t i = 0; i < ARRAY_COUNT(INVALID); i++) {
        cr_expect(eq(int, read_event(INVALID[i].text), RAW_EVENT_INVALID), "%s", INVALID[i].text);
        cr_expect(eq(str, (char *)written_issues(), (char *)INVALID[i].details));
    }
}

Test(raw_event, puts_the_place_in_the_batch_into_the_path)
{
    struct slice text = SLICE_LITERAL("{" MINIMAL ",\"event_id\":\"x\"}");

    issue_list_init(&issues);
    json_reader_init(&reader, text, JSON_DEPTH_DEFAULT);
    cr_assert(eq(int, raw_event_read(&reader, 7, &issues, &event), RAW_EVENT_INVALID));
    cr_expect(
        eq(str, (char *)written_issues(),
           "[{\"validation\":\"uuid\",\"code\":\"invalid_string\",\"message\":\"Invalid "
           "uuid\",\"path\":[\"events\",7,\"event_id\"],\"pointer\":\"/events/7/event_id\"}]"));
}

Test(raw_event, tells_broken_off_from_broken)
{
    size_t size = sizeof(FULL) - 1;

    for (size_t cut = 0; cut < size; cut++)
        cr_expect(eq(int, read_text((struct slice){FULL, cut}), RAW_EVENT_TRUNCATED), "%zu", cut);
    cr_expect(eq(int, read_event("{" MINIMAL "}x"), RAW_EVENT_BAD_JSON));
    cr_expect(eq(int, json_reader_error(&reader), JSON_ERROR_TRAILING));
    cr_expect(eq(int, read_event("{" MINIMAL ",}"), RAW_EVENT_BAD_JSON));
    cr_expect(eq(int, read_event("{" MINIMAL ",\"x\":[nope]}"), RAW_EVENT_BAD_JSON));
    cr_expect(eq(int, read_event("{\"message\":\"\xff\"}"), RAW_EVENT_BAD_JSON));
    cr_expect(eq(int, json_reader_error(&reader), JSON_ERROR_UTF8));
}

Test(raw_event, survives_every_single_byte_being_replaced)
{
    size_t size = sizeof(FULL) - 1;
    char text[sizeof(FULL)];

    for (size_t at = 0; at < size; at++) {
        for (int byte = 0; byte < 256; byte++) {
            enum raw_event_result result;
            struct json_value value;
            bool is_json;

            memcpy(text, FULL, size);
            text[at] = (char)byte;
            result = read_text((struct slice){text, size});
            is_json = json_read_document((struct slice){text, size}, JSON_DEPTH_DEFAULT, &reader,
                                         &value) == JSON_OK;
            cr_assert(eq(int, result == RAW_EVENT_OK || result == RAW_EVENT_INVALID, is_json));
            cr_assert(eq(int, result == RAW_EVENT_INVALID, is_json && issues.count > 0));
        }
    }
}

Test(raw_event, bounds_the_issues_of_one_event)
{
    static char text[1 << 15];
    size_t size = (size_t)snprintf(text, sizeof(text), "{" MINIMAL);

    for (int i = 0; i < 40; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, ",\"k\":%d", i);
    text[size++] = '}';
    cr_assert(eq(int, read_text((struct slice){text, size}), RAW_EVENT_INVALID));
    cr_expect(eq(u32, issues.count, ISSUE_PER_EVENT_COUNT_MAX));
    cr_expect(eq(u32, issues.omitted_count, 39 - ISSUE_PER_EVENT_COUNT_MAX));
}

Test(raw_event, quotes_no_more_than_a_bounded_part_of_what_was_sent)
{
    static char text[1 << 16];
    static char expected[ISSUE_TEXT_SIZE_MAX + 64];
    struct slice prefix = SLICE_LITERAL("{" MINIMAL ",\"severity\":\"");

    memcpy(text, prefix.data, prefix.size);
    memset(text + prefix.size, 'x', sizeof(text) - prefix.size);
    memcpy(text + sizeof(text) - 2, "\"}", 2);
    cr_assert(eq(int, read_text((struct slice){text, sizeof(text)}), RAW_EVENT_INVALID));
    memset(expected, 'x', sizeof(expected));
    memcpy(expected, "[{\"received\":\"", 14);
    memcpy(expected + 14 + ISSUE_TEXT_SIZE_MAX, "\xe2\x80\xa6\"", 4);
    cr_expect(eq(int, strncmp(written_issues(), expected, 14 + ISSUE_TEXT_SIZE_MAX + 4), 0));
}

Test(raw_event, leaves_a_name_too_long_to_quote_out_of_the_path)
{
    static char text[1024];
    char name[200];

    memset(name, 'n', sizeof(name));
    snprintf(text, sizeof(text), "{" MINIMAL ",\"%.*s\":1,\"%.*s\":2}", (int)sizeof(name), name,
             (int)sizeof(name), name);
    cr_assert(eq(int, read_event(text), RAW_EVENT_INVALID));
    cr_expect(eq(str, (char *)written_issues(),
                 "[{\"code\":\"duplicate_key\",\"path\":[],\"message\":\"Duplicate key\","
                 "\"pointer\":\"\"}]"));
}

Test(raw_event, stops_writing_issues_where_the_buffer_ends_and_counts_the_rest)
{
    cr_assert(eq(int, read_event("{}"), RAW_EVENT_INVALID));
    cr_assert(eq(u32, issues.count, 3));
    for (size_t capacity = 40; capacity < 700; capacity++) {
        struct json_writer writer;
        struct json_value value;
        struct slice text;
        uint32_t omitted_count;

        json_writer_init(&writer, buffer, capacity);
        omitted_count = issue_list_write(&issues, SLICE_LITERAL("events"), 30, &writer);
        cr_assert(json_writer_finish(&writer, &text));
        cr_assert(eq(int, json_read_document(text, 8, &reader, &value), JSON_OK));
        cr_assert(le(u32, omitted_count, 3));
        cr_assert(le(sz, text.size, capacity - 29));
    }
}
