#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/job_kinds.h"
#include "contracts/json_writer.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct issue_list issues;
static char buffer[1 << 16];

static void setup(void)
{
    guarded_text_init(&guarded);
}

static bool check(struct slice kind, const char *payload)
{
    issue_list_init(&issues);
    return job_kind_check(kind, guarded_text_put(&guarded, slice_of(payload)), ISSUE_NO_INDEX,
                          &issues);
}

static bool has_pointer(const char *pointer)
{
    struct json_writer writer;
    struct slice text;
    char wanted[256];
    bool is_whole;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    issue_list_write(&issues, SLICE_LITERAL("jobs"), 0, &writer);
    is_whole = json_writer_finish(&writer, &text);
    assert(is_whole);
    buffer[text.size] = '\0';
    snprintf(wanted, sizeof(wanted), "\"pointer\":\"%s\"}", pointer);
    return strstr(buffer, wanted) != NULL;
}

TestSuite(job_kinds, .init = setup, .timeout = 20);

Test(job_kinds, knows_the_nine_of_the_desk)
{
    static const char *const names[] = {
        "triage.ticket",    "response.template_select", "extract.document",
        "knowledge.ingest", "retrieve.context",         "agent.evaluate",
        "suggest.followup", "webhook.deliver",          "audit.event.project",
    };

    cr_assert(eq(u32, job_kind_count(), ARRAY_COUNT(names) + 1));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const struct job_kind *kind = job_kind_find(slice_of(names[i]));

        cr_assert(ne(ptr, (void *)kind, NULL), "%s", names[i]);
        cr_expect(eq(int, kind->max_attempts, 3));
        cr_expect(eq(u32, kind->timeout_ms, 900000));
        cr_expect(lt(u32, 0, kind->field_count));
    }
    cr_expect(eq(ptr, (void *)job_kind_find(SLICE_LITERAL("mail.send")), NULL));
}

Test(job_kinds, knows_how_summaries_of_incidents_are_tried_again)
{
    const struct job_kind *kind = job_kind_find(SLICE_LITERAL("incident.summarize"));

    cr_assert(ne(ptr, (void *)kind, NULL));
    cr_expect(eq(int, kind->max_attempts, 3));
    cr_expect(eq(u32, kind->base_ms, 5000));
    cr_expect(eq(u32, kind->cap_ms, 120000));
    cr_expect(eq(int, kind->factor, 2));
    cr_expect(kind->has_jitter);
    cr_expect(check(kind->name, "{\"incident_id\":\"i\"}"));
    cr_expect(not(check(kind->name, "{\"incident_id\":\"\"}")));
    cr_expect(has_pointer("/payload/incident_id"));
    cr_expect(not(check(kind->name, "{}")));
    cr_expect(not(check(kind->name, "[]")));
}

Test(job_kinds, asks_each_of_the_nine_for_its_ids)
{
    for (uint32_t i = 0; i < job_kind_count(); i++) {
        const struct job_kind *kind = job_kind_at(i);
        char payload[512] = "{", pointer[64];
        size_t size = 1;

        for (uint32_t n = 0; n < kind->field_count; n++)
            size += (size_t)snprintf(payload + size, sizeof(payload) - size, "%.*s:\"x-1\",",
                                     (int)kind->fields[n].size, kind->fields[n].data);
        snprintf(payload + size, sizeof(payload) - size, "\"more\":[1]}");
        cr_expect(check(kind->name, payload), "%s", payload);
        cr_expect(not(check(kind->name, "{}")));
        cr_expect(eq(u32, issues.count, kind->field_count));
        snprintf(pointer, sizeof(pointer), "/payload/%.*s", (int)kind->fields[0].size - 2,
                 kind->fields[0].data + 1);
        cr_expect(has_pointer(pointer), "%s", buffer);
    }
}

Test(job_kinds, refuses_what_is_not_an_id)
{
    static const char *const bad[] = {
        "null",
        "7",
        "[]",
        "\"t\"",
        "{\"ticket_id\":null}",
        "{\"ticket_id\":7}",
        "{\"ticket_id\":\"\"}",
        "{\"ticket_id\":\"a\",\"ticket_id\":\"b\"}",
    };
    char text[256], id[130];

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        cr_expect(not(check(SLICE_LITERAL("triage.ticket"), bad[i])), "%s", bad[i]);
    memset(id, 'i', sizeof(id));
    snprintf(text, sizeof(text), "{\"ticket_id\":\"%.128s\"}", id);
    cr_expect(check(SLICE_LITERAL("triage.ticket"), text));
    snprintf(text, sizeof(text), "{\"ticket_id\":\"%.129s\"}", id);
    cr_expect(not(check(SLICE_LITERAL("triage.ticket"), text)));
    cr_expect(has_pointer("/payload/ticket_id"));
}

Test(job_kinds, leaves_the_payload_of_other_kinds_alone)
{
    cr_expect(check(SLICE_LITERAL("mail.send"), "null"));
    cr_expect(check(SLICE_LITERAL("triage"), "[1,2]"));
    cr_expect(check(SLICE_LITERAL("triage.tickets"), "7"));
}

Test(job_kinds, takes_http_requests)
{
    static const char *const good[] = {
        "{\"url\":\"http://a\"}",
        "{\"url\":\"https://example.com:8443/x?y=%20\",\"method\":\"PUT\",\"body\":{\"a\":1}}",
        "{\"url\":\"http:\\/\\/a\",\"headers\":{\"x-a\":\"b c\\t\",\"Y\":\"\"}}",
        "{\"url\":\"http://a\",\"method\":\"GET\",\"body\":null}",
        "{\"url\":\"http://a\",\"timeout_ms\":300000,\"expect\":[200,404]}",
    };

    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        cr_expect(check(SLICE_LITERAL("http.request"), good[i]), "%s", good[i]);
}

static const struct {
    const char *payload;
    const char *pointer;
} BAD_REQUESTS[] = {
    {"null", "/payload"},
    {"{}", "/payload/url"},
    {"{\"url\":\"ftp://a\"}", "/payload/url"},
    {"{\"url\":\"http://\"}", "/payload/url"},
    {"{\"url\":\"http:///x\"}", "/payload/url"},
    {"{\"url\":\"http://a b\"}", "/payload/url"},
    {"{\"url\":\"http://a\\r\\nx: y\"}", "/payload/url"},
    {"{\"url\":\"http://a\",\"method\":\"get\"}", "/payload/method"},
    {"{\"url\":\"http://a\",\"method\":\"GET\",\"body\":1}", "/payload/body"},
    {"{\"url\":\"http://a\",\"headers\":[]}", "/payload/headers"},
    {"{\"url\":\"http://a\",\"headers\":{}}", "/payload/headers"},
    {"{\"url\":\"http://a\",\"headers\":{\"a\":1}}", "/payload/headers"},
    {"{\"url\":\"http://a\",\"headers\":{\"\":\"b\"}}", "/payload/headers"},
    {"{\"url\":\"http://a\",\"headers\":{\"a b\":\"b\"}}", "/payload/headers"},
    {"{\"url\":\"http://a\",\"headers\":{\"a\\u0000\":\"b\"}}", "/payload/headers"},
    {"{\"url\":\"http://a\",\"headers\":{\"a\":\"b\\r\\nc: d\"}}", "/payload/headers"},
    {"{\"url\":\"http://a\",\"timeout_ms\":99}", "/payload/timeout_ms"},
    {"{\"url\":\"http://a\",\"timeout_ms\":300001}", "/payload/timeout_ms"},
    {"{\"url\":\"http://a\",\"expect\":200}", "/payload/expect"},
    {"{\"url\":\"http://a\",\"expect\":[]}", "/payload/expect"},
    {"{\"url\":\"http://a\",\"expect\":[\"200\"]}", "/payload/expect"},
    {"{\"url\":\"http://a\",\"expect\":[99]}", "/payload/expect"},
    {"{\"url\":\"http://a\",\"expect\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", "/payload/expect"},
    {"{\"url\":\"http://a\",\"verb\":\"GET\"}", "/payload/verb"},
};

Test(job_kinds, refuses_what_is_no_http_request)
{
    for (size_t i = 0; i < ARRAY_COUNT(BAD_REQUESTS); i++) {
        cr_expect(not(check(SLICE_LITERAL("http.request"), BAD_REQUESTS[i].payload)), "%s",
                  BAD_REQUESTS[i].payload);
        cr_expect(has_pointer(BAD_REQUESTS[i].pointer), "%s: %s", BAD_REQUESTS[i].payload, buffer);
    }
}
