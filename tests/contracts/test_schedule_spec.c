#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "contracts/schedule_spec.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct issue_list issues;
static struct json_reader reader;
static struct schedule_spec spec;
static char buffer[1 << 16];
static char large[SCHEDULE_SPEC_PAYLOAD_SIZE_MAX + 256];

static void setup(void)
{
    guarded_text_init(&guarded);
}

TestSuite(schedule_spec, .init = setup);

static enum job_spec_result read_spec(const char *text)
{
    issue_list_init(&issues);
    return schedule_spec_read(guarded_text_put(&guarded, slice_of(text)), JSON_DEPTH_DEFAULT,
                              &issues, &reader, &spec);
}

/* The issues as they would be sent. */
static const char *written_issues(void)
{
    struct json_writer writer;
    struct slice text;
    bool is_whole;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    issue_list_write(&issues, (struct slice){NULL, 0}, 0, &writer);
    is_whole = json_writer_finish(&writer, &text);
    assert(is_whole);
    buffer[text.size] = '\0';
    return buffer;
}

/* True when the body is refused and the issue says this. */
static bool is_refused_for(const char *body, const char *pointer, const char *words)
{
    char wanted[64];

    snprintf(wanted, sizeof(wanted), "\"pointer\":\"%s\"", pointer);
    return read_spec(body) == JOB_SPEC_INVALID && strstr(written_issues(), wanted) != NULL &&
           strstr(written_issues(), words) != NULL;
}

Test(schedule_spec, fills_in_what_is_left_out)
{
    cr_assert(eq(int, read_spec("{\"cron\":\"30 2 * * *\",\"kind\":\"report\"}"), JOB_SPEC_OK));
    cr_assert(slice_equal((struct slice){spec.zone, spec.zone_size}, SLICE_LITERAL("UTC")));
    cr_assert(slice_equal((struct slice){spec.kind, spec.kind_size}, SLICE_LITERAL("report")));
    cr_assert(
        slice_equal((struct slice){spec.cron_text, spec.cron_size}, SLICE_LITERAL("30 2 * * *")));
    cr_assert(slice_equal(spec.payload, SLICE_LITERAL("null")));
    cr_assert(eq(int, spec.missed, SCHEDULE_FIRE_ONCE));
    cr_assert(eq(int, spec.priority, JOB_SPEC_PRIORITY_DEFAULT));
    cr_assert(eq(int, spec.key.type, JSON_ABSENT));
    cr_assert(not(spec.is_paused));
}

Test(schedule_spec, takes_all_that_it_knows)
{
    cr_assert(eq(int,
                 read_spec("{\"cron\":\"\\u0040daily\",\"timezone\":\"Europe/Berlin\",\"kind\":"
                           "\"report\",\"payload\": {\"a\" : 1.50},\"key\":\"k\\u0031\","
                           "\"priority\":7,\"max_attempts\":3,\"timeout_seconds\":60,"
                           "\"missed\":\"fire_all\",\"paused\":true}"),
                 JOB_SPEC_OK));
    cr_assert(
        slice_equal((struct slice){spec.zone, spec.zone_size}, SLICE_LITERAL("Europe/Berlin")));
    cr_assert(slice_equal((struct slice){spec.cron_text, spec.cron_size}, SLICE_LITERAL("@daily")));
    cr_assert(slice_equal(spec.payload, SLICE_LITERAL("{\"a\" : 1.50}")));
    cr_assert(json_string_equal(&spec.key, SLICE_LITERAL("k1")));
    cr_assert(eq(int, spec.missed, SCHEDULE_FIRE_ALL));
    cr_assert(eq(int, spec.priority, 7));
    cr_assert(eq(int, spec.max_attempts, 3));
    cr_assert(eq(u32, spec.timeout_ms, 60000));
    cr_assert(spec.is_paused);
}

Test(schedule_spec, names_the_field_and_the_byte_of_a_bad_cron)
{
    cr_assert(is_refused_for("{\"cron\":\"0 25 * * *\",\"kind\":\"a\"}", "/cron",
                             "hour is out of range, at byte 2"));
    cr_assert(is_refused_for("{\"cron\":\"0 0 * *\",\"kind\":\"a\"}", "/cron",
                             "day of week is missing, at byte 7"));
    cr_assert(is_refused_for("{\"cron\":\"@never\",\"kind\":\"a\"}", "/cron", "at byte"));
    cr_assert(is_refused_for("{\"kind\":\"a\"}", "/cron", "Required"));
}

Test(schedule_spec, refuses_what_is_wrong_elsewhere)
{
    cr_assert(is_refused_for("{\"cron\":\"@daily\",\"kind\":\"weir.x\"}", "/kind", "weir."));
    cr_assert(is_refused_for("{\"cron\":\"@daily\"}", "/kind", "Required"));
    cr_assert(is_refused_for("{\"cron\":\"@daily\",\"kind\":\"a\",\"timezone\":\"../x\"}",
                             "/timezone", "time zone"));
    cr_assert(is_refused_for("{\"cron\":\"@daily\",\"kind\":\"a\",\"missed\":\"all\"}", "/missed",
                             "fire_all"));
    cr_assert(is_refused_for("{\"cron\":\"@daily\",\"kind\":\"a\",\"priority\":8}", "/priority",
                             "0 to 7"));
    cr_assert(is_refused_for("{\"cron\":\"@daily\",\"kind\":\"a\",\"key\":\"\"}", "/key", "1 to"));
    cr_assert(
        is_refused_for("{\"cron\":\"@daily\",\"kind\":\"a\",\"paused\":1}", "/paused", "boolean"));
    cr_assert(
        is_refused_for("{\"cron\":\"@daily\",\"kind\":\"a\",\"run_at\":\"x\"}", "/run_at", ""));
    cr_assert(is_refused_for("{\"cron\":\"@daily\",\"kind\":\"http.request\"}", "/payload", ""));
}

Test(schedule_spec, bounds_the_payload)
{
    int size = snprintf(large, sizeof(large), "{\"cron\":\"@daily\",\"kind\":\"a\",\"payload\":\"");

    memset(large + size, 'x', SCHEDULE_SPEC_PAYLOAD_SIZE_MAX - 2);
    memcpy(large + size + SCHEDULE_SPEC_PAYLOAD_SIZE_MAX - 2, "\"}", 3);
    cr_assert(eq(int, read_spec(large), JOB_SPEC_OK));
    memcpy(large + size + SCHEDULE_SPEC_PAYLOAD_SIZE_MAX - 2, "x\"}", 4);
    cr_assert(is_refused_for(large, "/payload", "16384"));
}

Test(schedule_spec, tells_a_cut_body_from_a_bad_one)
{
    static const char whole[] = "{\"cron\":\"30 2 * * *\",\"kind\":\"report\",\"missed\":\"skip\"}";
    char text[sizeof(whole)];

    for (size_t i = 0; i < sizeof(whole) - 1; i++) {
        memcpy(text, whole, i);
        text[i] = '\0';
        cr_assert(eq(int, read_spec(text), JOB_SPEC_TRUNCATED));
    }
    cr_assert(eq(int, read_spec("{\"cron\":}"), JOB_SPEC_BAD_JSON));
    cr_assert(eq(int, read_spec("[]"), JOB_SPEC_INVALID));
}

Test(schedule_spec, knows_which_names_a_schedule_may_have)
{
    static const char *const good[] = {"a", "Nightly.report_2-x", "...", "0"};
    static const char *const bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa4"};
    char longest[SCHEDULE_SPEC_NAME_SIZE_MAX + 1];

    for (uint32_t i = 0; i < ARRAY_COUNT(good); i++)
        cr_assert(schedule_name_is_valid(slice_of(good[i])), "%s", good[i]);
    for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++)
        cr_assert(not(schedule_name_is_valid(slice_of(bad[i]))), "%s", bad[i]);
    memset(longest, 'x', sizeof(longest));
    cr_assert(schedule_name_is_valid((struct slice){longest, sizeof(longest) - 1}));
    cr_assert(not(schedule_name_is_valid((struct slice){longest, sizeof(longest)})));
}
