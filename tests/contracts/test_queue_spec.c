#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_writer.h"
#include "contracts/queue_spec.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct issue_list issues;
static struct json_reader reader;
static struct queue_spec spec;
static char buffer[1 << 14];

static void setup(void)
{
    guarded_text_init(&guarded);
}

static enum queue_spec_result read_queue(const char *body)
{
    issue_list_init(&issues);
    return queue_spec_read(guarded_text_put(&guarded, slice_of(body)), JSON_DEPTH_DEFAULT, &issues,
                           &reader, &spec);
}

static bool has_pointer(const char *pointer)
{
    struct json_writer writer;
    struct slice written;
    char wanted[128];
    bool is_whole;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    issue_list_write(&issues, SLICE_LITERAL("jobs"), 0, &writer);
    is_whole = json_writer_finish(&writer, &written);
    assert(is_whole);
    buffer[written.size] = '\0';
    snprintf(wanted, sizeof(wanted), "\"pointer\":\"%s\"}", pointer);
    return strstr(buffer, wanted) != NULL;
}

TestSuite(queue_spec, .init = setup, .timeout = 20);

Test(queue_spec, gives_only_what_was_sent)
{
    cr_assert(eq(int, read_queue("{}"), QUEUE_SPEC_OK));
    cr_expect(eq(int, spec.given, 0));
    cr_assert(
        eq(int, read_queue("{\"paused\":false,\"concurrency\":0,\"burst\":null}"), QUEUE_SPEC_OK));
    cr_expect(eq(int, spec.given, QUEUE_GIVES_PAUSED | QUEUE_GIVES_CONCURRENCY));
    cr_expect(not(spec.paused));
    cr_expect(eq(u32, spec.concurrency, 0));
}

Test(queue_spec, reads_every_setting)
{
    cr_assert(eq(int,
                 read_queue("{\"concurrency\":1,\"key_concurrency\":2,\"rate_per_second\":3,"
                            "\"burst\":4,\"timeout_seconds\":5.5,\"max_depth\":6,\"paused\":true,"
                            "\"draining\":true,\"retry\":{\"base_ms\":100,\"cap_ms\":2000,"
                            "\"factor\":3,\"jitter\":\"proportional\",\"max_attempts\":9}}"),
                 QUEUE_SPEC_OK));
    cr_expect(eq(int, spec.given, 0x1ff));
    cr_expect(eq(u32, spec.concurrency, 1));
    cr_expect(eq(u32, spec.key_concurrency, 2));
    cr_expect(eq(u32, spec.rate_per_s, 3));
    cr_expect(eq(u32, spec.burst, 4));
    cr_expect(eq(u32, spec.timeout_ms, 5500));
    cr_expect(eq(u32, spec.depth_max, 6));
    cr_expect(spec.paused);
    cr_expect(spec.draining);
    cr_expect(eq(u32, spec.retry_base_ms, 100));
    cr_expect(eq(u32, spec.retry_cap_ms, 2000));
    cr_expect(eq(int, spec.retry_factor, 3));
    cr_expect(eq(int, spec.retry_jitter, RETRY_JITTER_PROPORTIONAL));
    cr_expect(eq(int, spec.retry_max_attempts, 9));
}

Test(queue_spec, copies_a_preset)
{
    cr_assert(eq(int, read_queue("{\"retry\":{\"preset\":\"ai-job\"}}"), QUEUE_SPEC_OK));
    cr_expect(eq(int, spec.given, QUEUE_GIVES_RETRY));
    cr_expect(eq(u32, spec.retry_base_ms, 5000));
    cr_expect(eq(u32, spec.retry_cap_ms, 120000));
    cr_expect(eq(int, spec.retry_factor, 2));
    cr_expect(eq(int, spec.retry_max_attempts, 3));
}

static const struct {
    const char *body;
    const char *pointer;
} INVALID[] = {
    {"[]", ""},
    {"{\"concurency\":1}", "/concurency"},
    {"{\"concurrency\":-1}", "/concurrency"},
    {"{\"concurrency\":1000001}", "/concurrency"},
    {"{\"rate_per_second\":\"9\"}", "/rate_per_second"},
    {"{\"timeout_seconds\":0.5}", "/timeout_seconds"},
    {"{\"timeout_seconds\":86401}", "/timeout_seconds"},
    {"{\"max_depth\":1073741825}", "/max_depth"},
    {"{\"paused\":1}", "/paused"},
    {"{\"retry\":7}", "/retry"},
    {"{\"retry\":{}}", "/retry/base_ms"},
    {"{\"retry\":{\"base_ms\":2,\"cap_ms\":1,\"max_attempts\":1}}", "/retry/cap_ms"},
    {"{\"retry\":{\"base_ms\":2,\"cap_ms\":2,\"max_attempts\":0}}", "/retry/max_attempts"},
    {"{\"retry\":{\"base_ms\":2,\"cap_ms\":2,\"max_attempts\":1,\"factor\":0}}", "/retry/factor"},
    {"{\"retry\":{\"base_ms\":2,\"cap_ms\":2,\"max_attempts\":1,\"jitter\":\"some\"}}",
     "/retry/jitter"},
    {"{\"retry\":{\"preset\":\"none such\"}}", "/retry/preset"},
    {"{\"retry\":{\"preset\":\"webhook\"}}", "/retry/preset"},
    {"{\"retry\":{\"preset\":\"ai-job\",\"cap_ms\":1}}", "/retry/cap_ms"},
};

Test(queue_spec, points_at_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_COUNT(INVALID); i++) {
        cr_expect(eq(int, read_queue(INVALID[i].body), QUEUE_SPEC_INVALID), "%s", INVALID[i].body);
        cr_expect(has_pointer(INVALID[i].pointer), "%s: %s", INVALID[i].body, buffer);
    }
}

Test(queue_spec, refuses_what_is_no_json)
{
    cr_expect(eq(int, read_queue("{\"paused\":"), QUEUE_SPEC_BAD_JSON));
    cr_expect(eq(int, read_queue("{}{}"), QUEUE_SPEC_BAD_JSON));
}
