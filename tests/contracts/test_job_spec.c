#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/job_spec.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct issue_list issues;
static struct json_reader reader;
static struct job_spec spec;
static struct job_spec specs[JOB_SPEC_COUNT_MAX];
static uint32_t spec_count;
static char buffer[1 << 17];

static void setup(void)
{
    guarded_text_init(&guarded);
}

static enum job_spec_result read_text(struct slice text)
{
    issue_list_init(&issues);
    return job_spec_read(guarded_text_put(&guarded, text), JSON_DEPTH_DEFAULT, &issues, &reader,
                         &spec);
}

static enum job_spec_result read_job(const char *text)
{
    return read_text(slice_of(text));
}

static enum job_spec_result read_list(struct slice text, bool in_flow)
{
    issue_list_init(&issues);
    return job_spec_read_list(guarded_text_put(&guarded, text), JSON_DEPTH_DEFAULT, in_flow,
                              &issues, &reader, specs, &spec_count);
}

/* The list as it would be sent, terminated. */
static const char *written_issues(void)
{
    struct json_writer writer;
    struct slice text;
    bool is_whole;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    issue_list_write(&issues, job_spec_array_key(), 0, &writer);
    is_whole = json_writer_finish(&writer, &text);
    assert(is_whole);
    buffer[text.size] = '\0';
    return buffer;
}

static bool has_pointer(const char *pointer)
{
    char wanted[256];

    snprintf(wanted, sizeof(wanted), "\"pointer\":\"%s\"}", pointer);
    return strstr(written_issues(), wanted) != NULL;
}

static struct slice kind_of(const struct job_spec *it)
{
    return (struct slice){it->kind, it->kind_size};
}

static const char FULL[] =
    "{\"kind\":\"mail.send\",\"payload\": {\"to\" : [1, 2.50]},\"key\":\"customer-7\","
    "\"delay_seconds\":1.5,\"priority\":7,\"max_attempts\":255,\"timeout_seconds\":60,"
    "\"deadline_seconds\":3600,\"unique\":{\"key\":\"k\",\"mode\":\"throttle\",\"seconds\":10}}";

TestSuite(job_spec, .init = setup, .timeout = 20);

Test(job_spec, needs_no_more_than_a_kind)
{
    cr_assert(eq(int, read_job(" {\"kind\":\"a\"} "), JOB_SPEC_OK));
    cr_expect(slice_equal(kind_of(&spec), SLICE_LITERAL("a")));
    cr_expect(slice_equal(spec.payload, SLICE_LITERAL("null")));
    cr_expect(eq(int, spec.priority, JOB_SPEC_PRIORITY_DEFAULT));
    cr_expect(eq(int, spec.max_attempts, 0));
    cr_expect(eq(u32, spec.timeout_ms, 0));
    cr_expect(eq(u64, spec.delay_ms, 0));
    cr_expect(eq(u64, spec.run_at_ms, 0));
    cr_expect(eq(int, spec.unique, JOB_SPEC_UNIQUE_NONE));
    cr_expect(eq(int, spec.key.type, JSON_ABSENT));
    cr_expect(eq(int, spec.on_failure, JOB_SPEC_ON_FAILURE_NONE));
}

Test(job_spec, keeps_all_that_was_sent)
{
    cr_assert(eq(int, read_job(FULL), JOB_SPEC_OK));
    cr_expect(slice_equal(kind_of(&spec), SLICE_LITERAL("mail.send")));
    cr_expect(slice_equal(spec.payload, SLICE_LITERAL("{\"to\" : [1, 2.50]}")));
    cr_expect(json_string_equal(&spec.key, SLICE_LITERAL("customer-7")));
    cr_expect(eq(u64, spec.delay_ms, 1500));
    cr_expect(eq(int, spec.priority, 7));
    cr_expect(eq(int, spec.max_attempts, 255));
    cr_expect(eq(u32, spec.timeout_ms, 60000));
    cr_expect(eq(u64, spec.deadline_ms, 3600000));
    cr_expect(eq(int, spec.unique, JOB_SPEC_UNIQUE_THROTTLE));
    cr_expect(json_string_equal(&spec.unique_key, SLICE_LITERAL("k")));
    cr_expect(eq(u64, spec.unique_ms, 10000));
}

Test(job_spec, takes_null_for_left_out_but_as_a_payload_for_null)
{
    cr_assert(eq(int,
                 read_job("{\"kind\":\"a\",\"payload\":null,\"key\":null,\"run_at\":null,"
                          "\"priority\":null,\"unique\":null,\"max_attempts\":null}"),
                 JOB_SPEC_OK));
    cr_expect(slice_equal(spec.payload, SLICE_LITERAL("null")));
    cr_expect(eq(int, spec.key.type, JSON_ABSENT));
    cr_expect(eq(int, spec.priority, JOB_SPEC_PRIORITY_DEFAULT));
}

Test(job_spec, reads_a_time_and_lets_one_long_ago_be_at_once)
{
    cr_assert(
        eq(int, read_job("{\"kind\":\"a\",\"run_at\":\"2025-01-15T11:59:00Z\"}"), JOB_SPEC_OK));
    cr_expect(eq(u64, spec.run_at_ms, 1736942340000));
    cr_assert(
        eq(int, read_job("{\"kind\":\"a\",\"run_at\":\"1969-01-15T11:59:00Z\"}"), JOB_SPEC_OK));
    cr_expect(eq(u64, spec.run_at_ms, 1));
}

Test(job_spec, reads_unique_as_text_or_as_an_object)
{
    cr_assert(eq(int, read_job("{\"kind\":\"a\",\"unique\":\"x\"}"), JOB_SPEC_OK));
    cr_expect(eq(int, spec.unique, JOB_SPEC_UNIQUE_SINGLETON));
    cr_expect(json_string_equal(&spec.unique_key, SLICE_LITERAL("x")));
    cr_assert(eq(int, read_job("{\"kind\":\"a\",\"unique\":{\"key\":\"\\u0078\"}}"), JOB_SPEC_OK));
    cr_expect(eq(int, spec.unique, JOB_SPEC_UNIQUE_SINGLETON));
    cr_expect(json_string_equal(&spec.unique_key, SLICE_LITERAL("x")));
    cr_assert(eq(int,
                 read_job("{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"mode\":\"debounce\","
                          "\"seconds\":2,\"max_wait_seconds\":9.25}}"),
                 JOB_SPEC_OK));
    cr_expect(eq(int, spec.unique, JOB_SPEC_UNIQUE_DEBOUNCE));
    cr_expect(eq(u64, spec.unique_ms, 2000));
    cr_expect(eq(u64, spec.unique_wait_max_ms, 9250));
}

Test(job_spec, knows_names_in_any_spelling)
{
    cr_assert(eq(int, read_job("{\"k\\u0069nd\":\"\\u0061.b\"}"), JOB_SPEC_OK));
    cr_expect(slice_equal(kind_of(&spec), SLICE_LITERAL("a.b")));
}

static const struct {
    const char *text;
    const char *pointer;
} INVALID[] = {
    {"7", ""},
    {"[]", ""},
    {"{}", "/kind"},
    {"{\"kind\":null}", "/kind"},
    {"{\"kind\":7}", "/kind"},
    {"{\"kind\":\"\"}", "/kind"},
    {"{\"kind\":\"A\"}", "/kind"},
    {"{\"kind\":\"a b\"}", "/kind"},
    {"{\"kind\":\"a/b\"}", "/kind"},
    {"{\"kind\":\"weir.timer\"}", "/kind"},
    {"{\"kind\":\"a\",\"kind\":\"a\"}", "/kind"},
    {"{\"kind\":\"a\",\"max_attemps\":3}", "/max_attemps"},
    {"{\"kind\":\"a\",\"name\":\"n\"}", "/name"},
    {"{\"kind\":\"a\",\"key\":\"\"}", "/key"},
    {"{\"kind\":\"a\",\"key\":7}", "/key"},
    {"{\"kind\":\"a\",\"delay_seconds\":-1}", "/delay_seconds"},
    {"{\"kind\":\"a\",\"delay_seconds\":\"1\"}", "/delay_seconds"},
    {"{\"kind\":\"a\",\"delay_seconds\":31622401}", "/delay_seconds"},
    {"{\"kind\":\"a\",\"delay_seconds\":1e400}", "/delay_seconds"},
    {"{\"kind\":\"a\",\"run_at\":\"tomorrow\"}", "/run_at"},
    {"{\"kind\":\"a\",\"run_at\":1736942340}", "/run_at"},
    {"{\"kind\":\"a\",\"run_at\":\"2025-01-15T11:59:00Z\",\"delay_seconds\":1}", "/run_at"},
    {"{\"kind\":\"a\",\"priority\":8}", "/priority"},
    {"{\"kind\":\"a\",\"priority\":-1}", "/priority"},
    {"{\"kind\":\"a\",\"priority\":1.5}", "/priority"},
    {"{\"kind\":\"a\",\"max_attempts\":0}", "/max_attempts"},
    {"{\"kind\":\"a\",\"max_attempts\":256}", "/max_attempts"},
    {"{\"kind\":\"a\",\"timeout_seconds\":0.5}", "/timeout_seconds"},
    {"{\"kind\":\"a\",\"timeout_seconds\":86401}", "/timeout_seconds"},
    {"{\"kind\":\"a\",\"deadline_seconds\":0}", "/deadline_seconds"},
    {"{\"kind\":\"a\",\"unique\":\"\"}", "/unique"},
    {"{\"kind\":\"a\",\"unique\":true}", "/unique"},
    {"{\"kind\":\"a\",\"unique\":{}}", "/unique/key"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"mode\":\"once\"}}", "/unique/mode"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"seconds\":1}}", "/unique/seconds"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"mode\":\"throttle\"}}", "/unique/seconds"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"mode\":\"throttle\",\"seconds\":0}}",
     "/unique/seconds"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"mode\":\"throttle\",\"seconds\":1,"
     "\"max_wait_seconds\":1}}",
     "/unique/max_wait_seconds"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"mode\":\"debounce\",\"seconds\":4294968}}",
     "/unique/seconds"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"mode\":\"debounce\",\"seconds\":9,"
     "\"max_wait_seconds\":8}}",
     "/unique/max_wait_seconds"},
    {"{\"kind\":\"a\",\"unique\":{\"key\":\"x\",\"k~/\":1}}", "/unique/k~0~1"},
    {"{\"kind\":\"a\",\"delay_seconds\":1,\"unique\":{\"key\":\"x\",\"mode\":\"debounce\","
     "\"seconds\":1}}",
     "/unique"},
};

Test(job_spec, points_at_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_COUNT(INVALID); i++) {
        cr_expect(eq(int, read_job(INVALID[i].text), JOB_SPEC_INVALID), "%s", INVALID[i].text);
        cr_expect(has_pointer(INVALID[i].pointer), "%s: %s", INVALID[i].text, written_issues());
    }
}

Test(job_spec, says_what_would_be_right)
{
    cr_assert(eq(int, read_job("{\"kind\":\"a b\",\"priority\":9}"), JOB_SPEC_INVALID));
    cr_expect(eq(str, (char *)written_issues(),
                 "[{\"code\":\"custom\",\"path\":[\"kind\"],\"message\":\"must be 1 to 64 "
                 "characters of a-z, 0-9, '.', '_' and '-' and not begin with 'weir.', received "
                 "'a b'\",\"pointer\":\"/kind\"},{\"code\":\"custom\",\"path\":[\"priority\"],"
                 "\"message\":\"must be a whole number from 0 to 7\",\"pointer\":\"/priority\"}]"));
}

Test(job_spec, bounds_keys_and_kinds_by_bytes)
{
    char text[512], name[300];

    memset(name, 'k', sizeof(name));
    snprintf(text, sizeof(text), "{\"kind\":\"%.64s\",\"key\":\"%.255s\"}", name, name);
    cr_expect(eq(int, read_job(text), JOB_SPEC_OK));
    snprintf(text, sizeof(text), "{\"kind\":\"%.65s\"}", name);
    cr_expect(eq(int, read_job(text), JOB_SPEC_INVALID));
    snprintf(text, sizeof(text), "{\"kind\":\"a\",\"key\":\"%.256s\"}", name);
    cr_expect(eq(int, read_job(text), JOB_SPEC_INVALID));
    snprintf(text, sizeof(text), "{\"kind\":\"a\",\"key\":\"\\u006b%.255s\"}", name);
    cr_expect(eq(int, read_job(text), JOB_SPEC_INVALID));
    snprintf(text, sizeof(text), "{\"kind\":\"a\",\"key\":\"\\u006b%.254s\"}", name);
    cr_expect(eq(int, read_job(text), JOB_SPEC_OK));
}

Test(job_spec, checks_the_payload_of_a_known_kind)
{
    cr_expect(eq(int, read_job("{\"kind\":\"triage.ticket\",\"payload\":{\"ticket_id\":\"t\"}}"),
                 JOB_SPEC_OK));
    cr_expect(eq(int, read_job("{\"kind\":\"triage.ticket\"}"), JOB_SPEC_INVALID));
    cr_expect(has_pointer("/payload"));
}

Test(job_spec, tells_broken_off_from_broken)
{
    for (size_t cut = 0; cut < sizeof(FULL) - 1; cut++)
        cr_expect(eq(int, read_text((struct slice){FULL, cut}), JOB_SPEC_TRUNCATED), "%zu", cut);
    cr_expect(eq(int, read_job("{\"kind\":\"a\"}x"), JOB_SPEC_BAD_JSON));
    cr_expect(eq(int, read_job("{\"kind\":\"a\",}"), JOB_SPEC_BAD_JSON));
}

Test(job_spec, survives_every_single_byte_being_replaced)
{
    char text[sizeof(FULL)];

    for (size_t at = 0; at < sizeof(FULL) - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            struct json_reader whole;
            struct json_value value;
            enum job_spec_result result;
            bool is_json;

            memcpy(text, FULL, sizeof(FULL));
            text[at] = (char)byte;
            result = read_text((struct slice){text, sizeof(FULL) - 1});
            is_json = json_read_document((struct slice){text, sizeof(FULL) - 1}, JSON_DEPTH_DEFAULT,
                                         &whole, &value) == JSON_OK;
            cr_assert(eq(int, result == JOB_SPEC_OK || result == JOB_SPEC_INVALID, is_json));
            cr_assert(eq(int, result == JOB_SPEC_INVALID, is_json && issues.count > 0));
        }
    }
}

Test(job_spec, reads_a_batch_in_order)
{
    cr_assert(eq(int,
                 read_list(SLICE_LITERAL("{\"jobs\":[{\"kind\":\"a\"},{\"kind\":\"b\","
                                         "\"payload\":[ ]}]}"),
                           false),
                 JOB_SPEC_OK));
    cr_assert(eq(u32, spec_count, 2));
    cr_expect(slice_equal(kind_of(&specs[0]), SLICE_LITERAL("a")));
    cr_expect(slice_equal(kind_of(&specs[1]), SLICE_LITERAL("b")));
    cr_expect(slice_equal(specs[1].payload, SLICE_LITERAL("[ ]")));
}

static const struct {
    const char *text;
    const char *pointer;
} INVALID_LISTS[] = {
    {"[]", ""},
    {"{}", "/jobs"},
    {"{\"jobs\":null}", "/jobs"},
    {"{\"jobs\":{}}", "/jobs"},
    {"{\"jobs\":[]}", "/jobs"},
    {"{\"jobs\":[{\"kind\":\"a\"}],\"job\":1}", "/job"},
    {"{\"jobs\":[{\"kind\":\"a\"}],\"jobs\":[{\"kind\":\"a\"}]}", "/jobs"},
    {"{\"jobs\":[{\"kind\":\"a\"},{}]}", "/jobs/1/kind"},
    {"{\"jobs\":[{\"kind\":\"a\"},7]}", "/jobs/1"},
    {"{\"jobs\":[{\"kind\":\"a\",\"unique\":{}}]}", "/jobs/0/unique/key"},
};

Test(job_spec, points_into_a_batch)
{
    for (size_t i = 0; i < ARRAY_COUNT(INVALID_LISTS); i++) {
        cr_expect(eq(int, read_list(slice_of(INVALID_LISTS[i].text), false), JOB_SPEC_INVALID),
                  "%s", INVALID_LISTS[i].text);
        cr_expect(has_pointer(INVALID_LISTS[i].pointer), "%s: %s", INVALID_LISTS[i].text,
                  written_issues());
    }
}

Test(job_spec, takes_a_hundred_jobs_and_no_more)
{
    static char text[1 << 14];

    for (uint32_t count = JOB_SPEC_COUNT_MAX; count <= JOB_SPEC_COUNT_MAX + 5; count += 5) {
        size_t size = (size_t)snprintf(text, sizeof(text), "{\"jobs\":[");

        for (uint32_t i = 0; i < count; i++)
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s{\"kind\":\"a\"}",
                                     i > 0 ? "," : "");
        size += (size_t)snprintf(text + size, sizeof(text) - size, "]}");
        cr_expect(eq(int, read_list((struct slice){text, size}, false),
                     count == JOB_SPEC_COUNT_MAX ? JOB_SPEC_OK : JOB_SPEC_INVALID));
    }
    cr_expect(has_pointer("/jobs"));
    cr_expect(ne(ptr, strstr(written_issues(), "at most 100 element"), NULL));
}

Test(job_spec, has_room_for_the_issues_of_the_list_behind_those_of_its_jobs)
{
    static char text[1 << 14];
    size_t size = (size_t)snprintf(text, sizeof(text), "{\"jobs\":[");

    for (uint32_t i = 0; i <= JOB_SPEC_COUNT_MAX; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s{}", i > 0 ? "," : "");
    size += (size_t)snprintf(text + size, sizeof(text) - size, "]}");
    cr_expect(eq(int, read_list((struct slice){text, size}, false), JOB_SPEC_INVALID));
    cr_expect(eq(u32, issues.count, ISSUE_COUNT_MAX));
    cr_expect(eq(u32, issues.omitted_count, JOB_SPEC_COUNT_MAX + 1 - ISSUE_COUNT_MAX));
}
