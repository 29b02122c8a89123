#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/batch.h"
#include "tests/support/guarded_text.h"

#define EVENT                                                                                      \
    "{\"event_type\":\"signup\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\"}"

static const struct batch_limits LIMITS = {.event_count_max = 3, .depth_max = JSON_DEPTH_DEFAULT};

static struct guarded_text guarded;
static struct issue_list issues;
static struct batch batch;
static uint32_t good_count;
static uint32_t bad_line_count;
static char buffer[1 << 14];

static void setup(void)
{
    guarded_text_init(&guarded);
}

TestSuite(batch, .init = setup, .timeout = 20);

/* Reads the whole body as intake does and gives the last result. */
static enum batch_result read_body(enum batch_format format, struct slice body)
{
    struct raw_event event;
    enum batch_result result;

    issue_list_init(&issues);
    good_count = bad_line_count = 0;
    batch_init(&batch, guarded_text_put(&guarded, body), format, LIMITS);
    while ((result = batch_next(&batch, &issues)) == BATCH_EVENT) {
        enum raw_event_result verdict = batch_read_event(&batch, &issues, &event);

        good_count += verdict == RAW_EVENT_OK;
        bad_line_count += format == BATCH_LINES &&
                          (verdict == RAW_EVENT_BAD_JSON || verdict == RAW_EVENT_TRUNCATED);
    }
    return result;
}

static const char *written_issues(void)
{
    struct json_writer writer;
    struct slice text;
    bool is_whole;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    issue_list_write(&issues, batch_array_key(&batch), 0, &writer);
    is_whole = json_writer_finish(&writer, &text);
    assert(is_whole);
    buffer[text.size] = '\0';
    return buffer;
}

Test(batch, gives_each_event_of_an_object_with_its_place)
{
    struct slice body =
        SLICE_LITERAL(" {\"x\":[1],\"events\" : [" EVENT " , " EVENT "," EVENT "],\"y\":{}} ");
    struct raw_event event;

    issue_list_init(&issues);
    batch_init(&batch, body, BATCH_OBJECT, LIMITS);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(eq(int, batch_next(&batch, &issues), BATCH_EVENT));
        cr_expect(eq(u32, batch_index(&batch), i));
        cr_assert(eq(int, batch_read_event(&batch, &issues, &event), RAW_EVENT_OK));
        cr_expect(eq(int, event.type, EVENT_TYPE_SIGNUP));
    }
    cr_expect(eq(int, batch_next(&batch, &issues), BATCH_END));
}

Test(batch, gives_each_event_of_an_array)
{
    cr_expect(eq(int, read_body(BATCH_ARRAY, SLICE_LITERAL("[" EVENT "," EVENT "]")), BATCH_END));
    cr_expect(eq(u32, good_count, 2));
}

Test(batch, gives_each_event_of_a_line_and_skips_blank_lines)
{
    cr_expect(eq(int,
                 read_body(BATCH_LINES,
                           SLICE_LITERAL("\n\r\n" EVENT "\r\n \t\r\n" EVENT "\n\n  " EVENT "  ")),
                 BATCH_END));
    cr_expect(eq(u32, good_count, 3));
    cr_expect(eq(u32, bad_line_count, 0));
}

static const struct {
    enum batch_format format;
    const char *body;
    const char *details;
} INVALID[] = {
    {BATCH_OBJECT, "{\"events\":[]}",
     "[{\"code\":\"too_small\",\"minimum\":1,\"type\":\"array\",\"inclusive\":true,\"exact\":false,"
     "\"message\":\"Array must contain at least 1 element(s)\",\"path\":[\"events\"],"
     "\"pointer\":\"/events\"}]"},
    {BATCH_OBJECT, "{\"events\":[" EVENT "," EVENT "," EVENT "," EVENT "," EVENT "]}",
     "[{\"code\":\"too_big\",\"maximum\":3,\"type\":\"array\",\"inclusive\":true,\"exact\":false,"
     "\"message\":\"Array must contain at most 3 element(s)\",\"path\":[\"events\"],"
     "\"pointer\":\"/events\"}]"},
    {BATCH_OBJECT, "{}",
     "[{\"code\":\"invalid_type\",\"expected\":\"array\",\"received\":\"undefined\","
     "\"path\":[\"events\"],\"message\":\"Required\",\"pointer\":\"/events\"}]"},
    {BATCH_OBJECT, "{\"events\":{\"a\":1}}",
     "[{\"code\":\"invalid_type\",\"expected\":\"array\",\"received\":\"object\","
     "\"path\":[\"events\"],\"message\":\"Expected array, received object\","
     "\"pointer\":\"/events\"}]"},
    {BATCH_OBJECT, "[" EVENT "]",
     "[{\"code\":\"invalid_type\",\"expected\":\"object\",\"received\":\"array\",\"path\":[],"
     "\"message\":\"Expected object, received array\",\"pointer\":\"\"}]"},
    {BATCH_OBJECT, "{\"events\":[" EVENT "],\"events\":[" EVENT "]}",
     "[{\"code\":\"duplicate_key\",\"path\":[\"events\"],\"message\":\"Duplicate key\","
     "\"pointer\":\"/events\"}]"},
    {BATCH_OBJECT, "{\"events\":[" EVENT ",{\"event_type\":\"x\"},7]}",
     "[{\"received\":\"x\",\"code\":\"invalid_enum_value\",\"options\":[\"error\",\"http_request\","
     "\"signup\",\"deploy\",\"feedback\",\"custom\"],\"path\":[\"events\",1,\"event_type\"],"
     "\"message\":\"Invalid enum value. Expected 'error' | 'http_request' | 'signup' | 'deploy' | "
     "'feedback' | 'custom', received 'x'\",\"pointer\":\"/events/1/event_type\"},"
     "{\"code\":\"invalid_type\",\"expected\":\"string\",\"received\":\"undefined\","
     "\"path\":[\"events\",1,\"occurred_at\"],\"message\":\"Required\","
     "\"pointer\":\"/events/1/occurred_at\"},{\"code\":\"invalid_type\",\"expected\":\"string\","
     "\"received\":\"undefined\",\"path\":[\"events\",1,\"message\"],\"message\":\"Required\","
     "\"pointer\":\"/events/1/message\"},{\"code\":\"invalid_type\",\"expected\":\"object\","
     "\"received\":\"number\",\"path\":[\"events\",2],\"message\":\"Expected object, received "
     "number\",\"pointer\":\"/events/2\"}]"},
    {BATCH_ARRAY, "{}",
     "[{\"code\":\"invalid_type\",\"expected\":\"array\",\"received\":\"object\",\"path\":[],"
     "\"message\":\"Expected array, received object\",\"pointer\":\"\"}]"},
    {BATCH_ARRAY, "[]",
     "[{\"code\":\"too_small\",\"minimum\":1,\"type\":\"array\",\"inclusive\":true,\"exact\":false,"
     "\"message\":\"Array must contain at least 1 element(s)\",\"path\":[],\"pointer\":\"\"}]"},
    {BATCH_LINES, "\n \r\n",
     "[{\"code\":\"too_small\",\"minimum\":1,\"type\":\"array\",\"inclusive\":true,\"exact\":false,"
     "\"message\":\"Array must contain at least 1 element(s)\",\"path\":[],\"pointer\":\"\"}]"},
    {BATCH_LINES, EVENT "\n" EVENT "\n" EVENT "\n" EVENT "\n",
     "[{\"code\":\"too_big\",\"maximum\":3,\"type\":\"array\",\"inclusive\":true,\"exact\":false,"
     "\"message\":\"Array must contain at most 3 element(s)\",\"path\":[],\"pointer\":\"\"}]"},
    {BATCH_LINES, EVENT "\n7\n",
     "[{\"code\":\"invalid_type\",\"expected\":\"object\",\"received\":\"number\",\"path\":[1],"
     "\"message\":\"Expected object, received number\",\"pointer\":\"/1\"}]"},
};

Test(batch, reports_each_fault_in_the_shape_clients_know)
{
    for (size_t i = 0; i < ARRAY_COUNT(INVALID); i++) {
        enum batch_result result = read_body(INVALID[i].format, slice_of(INVALID[i].body));

        cr_expect(eq(str, (char *)written_issues(), (char *)INVALID[i].details));
        cr_expect(eq(int, result == BATCH_INVALID || result == BATCH_END, 1), "%s",
                  INVALID[i].body);
    }
}

Test(batch, calls_a_body_that_is_no_batch_invalid)
{
    static const char *const BODIES[] = {"{}", "[]", "7", "{\"events\":[]}", "{\"events\":null}"};

    for (size_t i = 0; i < ARRAY_COUNT(BODIES); i++)
        cr_expect(eq(int, read_body(BATCH_OBJECT, slice_of(BODIES[i])), BATCH_INVALID), "%s",
                  BODIES[i]);
}

Test(batch, says_broken_json_rather_than_invalid_batch)
{
    static const char *const BODIES[] = {
        "{\"events\":null",
        "[7",
        "{\"events\":[" EVENT "," EVENT "," EVENT "," EVENT "," EVENT,
        "{\"events\":[],",
    };

    for (size_t i = 0; i < ARRAY_COUNT(BODIES); i++)
        cr_expect(eq(int, read_body(BATCH_OBJECT, slice_of(BODIES[i])), BATCH_TRUNCATED), "%s",
                  BODIES[i]);
    cr_expect(eq(int, read_body(BATCH_OBJECT, SLICE_LITERAL("{\"events\":[" EVENT "]}x")),
                 BATCH_BAD_JSON));
    cr_expect(eq(int, read_body(BATCH_OBJECT, SLICE_LITERAL("{\"events\":[" EVENT ",]}")),
                 BATCH_BAD_JSON));
    cr_expect(eq(int, read_body(BATCH_OBJECT, SLICE_LITERAL("{\"events\":[]]}")), BATCH_BAD_JSON));
}

Test(batch, calls_every_cut_of_a_batch_truncated)
{
    struct slice body = SLICE_LITERAL("{\"a\":1,\"events\":[" EVENT "," EVENT "]}");

    for (size_t size = 0; size < body.size; size++)
        cr_expect(
            eq(int, read_body(BATCH_OBJECT, (struct slice){body.data, size}), BATCH_TRUNCATED),
            "%zu", size);
}

Test(batch, goes_on_with_the_line_behind_a_broken_one)
{
    cr_expect(eq(int,
                 read_body(BATCH_LINES, SLICE_LITERAL(EVENT " " EVENT "\n{\"a\":\n" EVENT "\n")),
                 BATCH_END));
    cr_expect(eq(u32, good_count, 1));
    cr_expect(eq(u32, bad_line_count, 2));
}

Test(batch, counts_error_offsets_of_a_line_from_the_start_of_the_body)
{
    struct raw_event event;

    issue_list_init(&issues);
    batch_init(&batch, SLICE_LITERAL(EVENT "\n" EVENT "x\n"), BATCH_LINES, LIMITS);
    cr_assert(eq(int, batch_next(&batch, &issues), BATCH_EVENT));
    cr_assert(eq(int, batch_read_event(&batch, &issues, &event), RAW_EVENT_OK));
    cr_assert(eq(int, batch_next(&batch, &issues), BATCH_EVENT));
    cr_assert(eq(int, batch_read_event(&batch, &issues, &event), RAW_EVENT_BAD_JSON));
    cr_expect(eq(sz, json_reader_offset(&batch.reader), 2 * sizeof(EVENT) - 1));
}

Test(batch, allows_an_event_the_same_depth_in_every_format)
{
    static const char NESTED[] =
        "{\"event_type\":\"custom\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\","
        "\"payload\":{\"a\":[[1]]}}";
    static const struct {
        enum batch_format format;
        const char *before;
        const char *after;
    } WRAPS[] = {
        {BATCH_OBJECT, "{\"events\":[", "]}"}, {BATCH_ARRAY, "[", "]"}, {BATCH_LINES, "", ""}};

    for (size_t i = 0; i < ARRAY_COUNT(WRAPS); i++) {
        for (uint32_t depth_max = 3; depth_max <= 4; depth_max++) {
            char body[256];
            struct raw_event event;
            int size =
                snprintf(body, sizeof(body), "%s%s%s", WRAPS[i].before, NESTED, WRAPS[i].after);

            issue_list_init(&issues);
            batch_init(&batch, (struct slice){body, (size_t)size}, WRAPS[i].format,
                       (struct batch_limits){.event_count_max = 1, .depth_max = depth_max});
            cr_assert(eq(int, batch_next(&batch, &issues), BATCH_EVENT));
            cr_expect(eq(int, batch_read_event(&batch, &issues, &event),
                         depth_max == 4 ? RAW_EVENT_OK : RAW_EVENT_BAD_JSON));
        }
    }
}

Test(batch, bounds_the_issues_of_a_whole_batch)
{
    static char body[1 << 12];
    size_t size = (size_t)snprintf(body, sizeof(body), "[{}");

    for (int i = 1; i < 50; i++)
        size += (size_t)snprintf(body + size, sizeof(body) - size, ",{}");
    body[size++] = ']';
    issue_list_init(&issues);
    batch_init(&batch, (struct slice){body, size}, BATCH_ARRAY,
               (struct batch_limits){.event_count_max = 50, .depth_max = 4});
    while (batch_next(&batch, &issues) == BATCH_EVENT) {
        struct raw_event event;

        cr_assert(eq(int, batch_read_event(&batch, &issues, &event), RAW_EVENT_INVALID));
    }
    cr_expect(eq(u32, issues.count, ISSUE_COUNT_MAX));
    cr_expect(eq(u32, issues.omitted_count, 150 - ISSUE_COUNT_MAX));
}
