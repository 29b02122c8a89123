#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "contracts/lease_spec.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct issue_list issues;
static struct json_reader reader;
static struct lease_spec lease;
static struct extend_spec extend;
static struct finish_spec finish;
static struct finish_spec finishes[LEASE_SPEC_FINISH_COUNT_MAX];
static uint32_t finish_count;
static char buffer[1 << 16];
static char text[1 << 17];

static void setup(void)
{
    guarded_text_init(&guarded);
}

static struct slice put(const char *body)
{
    issue_list_init(&issues);
    return guarded_text_put(&guarded, slice_of(body));
}

static enum lease_spec_result read_lease(const char *body)
{
    return lease_spec_read(put(body), JSON_DEPTH_DEFAULT, &issues, &reader, &lease, finishes);
}

static enum lease_spec_result read_finishes(const char *body)
{
    return finish_spec_read_list(put(body), JSON_DEPTH_DEFAULT, &issues, &reader, finishes,
                                 &finish_count);
}

static enum lease_spec_result read_finish(const char *body, bool is_failure)
{
    return finish_spec_read(put(body), JSON_DEPTH_DEFAULT, is_failure, &issues, &reader, &finish);
}

static enum lease_spec_result read_extend(const char *body)
{
    return extend_spec_read(put(body), JSON_DEPTH_DEFAULT, &issues, &reader, &extend);
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

TestSuite(lease_spec, .init = setup, .timeout = 20);

Test(lease_spec, takes_an_empty_body_for_all_defaults)
{
    static const char *const bodies[] = {"", "{}", "{\"limit\":null,\"complete\":null}"};

    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        cr_assert(eq(int, read_lease(bodies[i]), LEASE_SPEC_OK), "%s", bodies[i]);
        cr_expect(eq(u32, lease.limit, 1));
        cr_expect(eq(u32, lease.wait_ms, 0));
        cr_expect(eq(u32, lease.lease_ms, 30000));
        cr_expect(eq(u32, lease.finish_count, 0));
    }
}

Test(lease_spec, takes_outcomes_along)
{
    cr_assert(eq(int,
                 read_lease("{\"limit\":100,\"wait_seconds\":29.5,\"lease_seconds\":3600,"
                            "\"complete\":[{\"id\":\"a\",\"epoch\":\"18446744073709551615\"},"
                            "{\"id\":\"b\",\"epoch\":7,\"error\":\"\",\"retryable\":false}]}"),
                 LEASE_SPEC_OK));
    cr_expect(eq(u32, lease.limit, 100));
    cr_expect(eq(u32, lease.wait_ms, 29500));
    cr_expect(eq(u32, lease.lease_ms, 3600000));
    cr_assert(eq(u32, lease.finish_count, 2));
    cr_expect(slice_equal(finishes[0].id, SLICE_LITERAL("a")));
    cr_expect(eq(u64, finishes[0].epoch, UINT64_MAX));
    cr_expect(not(finishes[0].is_failure));
    cr_expect(eq(sz, finishes[0].result.size, 0));
    cr_expect(eq(u64, finishes[1].epoch, 7));
    cr_expect(finishes[1].is_failure);
    cr_expect(not(finishes[1].is_retryable));
}

Test(lease_spec, keeps_a_result_byte_for_byte)
{
    cr_assert(
        eq(int, read_finish("{\"epoch\":\"1\",\"result\":{ \"a\" : 1.0}}", false), LEASE_SPEC_OK));
    cr_expect(slice_equal(finish.result, SLICE_LITERAL("{ \"a\" : 1.0}")));
}

Test(lease_spec, may_fail_again_unless_told_otherwise)
{
    cr_assert(eq(int, read_finish("{\"epoch\":\"1\",\"error\":\"a\\nb\"}", true), LEASE_SPEC_OK));
    cr_expect(finish.is_retryable);
    cr_expect(eq(u64, finish.retry_after_ms, 0));
    cr_expect(json_string_equal(&finish.error, SLICE_LITERAL("a\nb")));
    cr_assert(eq(int,
                 read_finish("{\"epoch\":\"1\",\"error\":\"\",\"retry_after_seconds\":2.5}", true),
                 LEASE_SPEC_OK));
    cr_expect(eq(u64, finish.retry_after_ms, 2500));
}

Test(lease_spec, tells_at_once_from_not_asked_for)
{
    cr_assert(eq(int,
                 read_finish("{\"epoch\":\"1\",\"error\":\"\",\"retry_after_seconds\":0}", true),
                 LEASE_SPEC_OK));
    cr_expect(eq(u64, finish.retry_after_ms, 1));
}

Test(lease_spec, reads_progress)
{
    cr_assert(eq(int, read_extend("{\"epoch\":\"1\",\"lease_seconds\":5,\"progress\":[1]}"),
                 LEASE_SPEC_OK));
    cr_expect(eq(u32, extend.lease_ms, 5000));
    cr_expect(slice_equal(extend.progress, SLICE_LITERAL("[1]")));
    cr_assert(eq(int, read_extend("{\"epoch\":3}"), LEASE_SPEC_OK));
    cr_expect(eq(u32, extend.lease_ms, 30000));
    cr_expect(eq(u64, extend.epoch, 3));
    cr_expect(eq(sz, extend.progress.size, 0));
}

static const struct {
    const char *body;
    const char *pointer;
} BAD_LEASES[] = {
    {"7", ""},
    {"{\"limit\":0}", "/limit"},
    {"{\"limit\":101}", "/limit"},
    {"{\"wait_seconds\":30.001}", "/wait_seconds"},
    {"{\"lease_seconds\":4.9}", "/lease_seconds"},
    {"{\"lease_seconds\":3601}", "/lease_seconds"},
    {"{\"wait\":1}", "/wait"},
    {"{\"complete\":{}}", "/complete"},
    {"{\"complete\":[{\"epoch\":1}]}", "/jobs/0/id"},
};

static const struct {
    const char *body;
    const char *pointer;
} BAD_FINISHES[] = {
    {"{}", "/jobs"},
    {"{\"jobs\":7}", "/jobs"},
    {"{\"jobs\":[]}", "/jobs"},
    {"{\"jobs\":[{\"id\":\"a\"}]}", "/jobs/0/epoch"},
    {"{\"jobs\":[{\"id\":7,\"epoch\":1,\"x\":1}]}", "/jobs/0/x"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":\"\"}]}", "/jobs/0/epoch"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":\"1e3\"}]}", "/jobs/0/epoch"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":-1}]}", "/jobs/0/epoch"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":1.0}]}", "/jobs/0/epoch"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":\"18446744073709551616\"}]}", "/jobs/0/epoch"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":1,\"error\":7}]}", "/jobs/0/error"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":1,\"error\":\"e\",\"result\":1}]}", "/jobs/0/result"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":1,\"retryable\":true}]}", "/jobs/0/retryable"},
    {"{\"jobs\":[{\"id\":\"a\",\"epoch\":1,\"error\":\"e\",\"retry_after_seconds\":86401}]}",
     "/jobs/0/retry_after_seconds"},
};

Test(lease_spec, points_at_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_COUNT(BAD_LEASES); i++) {
        cr_expect(eq(int, read_lease(BAD_LEASES[i].body), LEASE_SPEC_INVALID), "%s",
                  BAD_LEASES[i].body);
        cr_expect(has_pointer(BAD_LEASES[i].pointer), "%s: %s", BAD_LEASES[i].body, buffer);
    }
    for (size_t i = 0; i < ARRAY_COUNT(BAD_FINISHES); i++) {
        cr_expect(eq(int, read_finishes(BAD_FINISHES[i].body), LEASE_SPEC_INVALID), "%s",
                  BAD_FINISHES[i].body);
        cr_expect(has_pointer(BAD_FINISHES[i].pointer), "%s: %s", BAD_FINISHES[i].body, buffer);
    }
}

Test(lease_spec, knows_which_outcome_the_path_is_for)
{
    cr_expect(eq(int, read_finish("{\"epoch\":1,\"error\":\"e\"}", false), LEASE_SPEC_INVALID));
    cr_expect(has_pointer("/error"));
    cr_expect(eq(int, read_finish("{\"epoch\":1,\"result\":1}", true), LEASE_SPEC_INVALID));
    cr_expect(has_pointer("/error"));
    cr_expect(has_pointer("/result"));
    cr_expect(eq(int, read_finish("{\"epoch\":1,\"error\":null}", true), LEASE_SPEC_INVALID));
}

Test(lease_spec, bounds_results_progress_and_outcomes)
{
    size_t size = (size_t)snprintf(text, sizeof(text), "{\"epoch\":1,\"result\":\"");

    memset(text + size, 'r', LEASE_SPEC_RESULT_SIZE_MAX - 2);
    size += LEASE_SPEC_RESULT_SIZE_MAX - 2;
    memcpy(text + size, "\"}", 3);
    cr_expect(eq(int, read_finish(text, false), LEASE_SPEC_OK));
    memcpy(text + size, "r\"}", 4);
    cr_expect(eq(int, read_finish(text, false), LEASE_SPEC_INVALID));
    size = (size_t)snprintf(text, sizeof(text), "{\"epoch\":1,\"progress\":\"");
    memset(text + size, 'p', LEASE_SPEC_PROGRESS_SIZE_MAX - 2);
    size += LEASE_SPEC_PROGRESS_SIZE_MAX - 2;
    memcpy(text + size, "\"}", 3);
    cr_expect(eq(int, read_extend(text), LEASE_SPEC_OK));
    memcpy(text + size, "p\"}", 4);
    cr_expect(eq(int, read_extend(text), LEASE_SPEC_INVALID));
    for (uint32_t count = LEASE_SPEC_FINISH_COUNT_MAX; count <= LEASE_SPEC_FINISH_COUNT_MAX + 1;
         count++) {
        size = (size_t)snprintf(text, sizeof(text), "{\"jobs\":[");
        for (uint32_t i = 0; i < count; i++)
            size += (size_t)snprintf(text + size, sizeof(text) - size,
                                     "%s{\"id\":\"a\",\"epoch\":1}", i > 0 ? "," : "");
        snprintf(text + size, sizeof(text) - size, "]}");
        cr_expect(eq(int, read_finishes(text),
                     count == LEASE_SPEC_FINISH_COUNT_MAX ? LEASE_SPEC_OK : LEASE_SPEC_INVALID));
    }
    cr_expect(has_pointer("/jobs"));
}

Test(lease_spec, refuses_what_is_no_json)
{
    cr_expect(eq(int, read_lease("{\"limit\":"), LEASE_SPEC_BAD_JSON));
    cr_expect(eq(int, read_lease("{}x"), LEASE_SPEC_BAD_JSON));
    cr_expect(eq(int, read_finishes("{\"jobs\":[}"), LEASE_SPEC_BAD_JSON));
    cr_expect(eq(int, read_finish("{\"epoch\":1}}", false), LEASE_SPEC_BAD_JSON));
    cr_expect(eq(int, read_extend("nope"), LEASE_SPEC_BAD_JSON));
}
