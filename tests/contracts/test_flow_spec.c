#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/flow_spec.h"
#include "contracts/json_writer.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct issue_list issues;
static struct json_reader reader;
static struct flow_spec flow;
static char buffer[1 << 16];
static char text[1 << 17];

static void setup(void)
{
    guarded_text_init(&guarded);
}

static enum job_spec_result read_flow(const char *body)
{
    issue_list_init(&issues);
    return flow_spec_read(guarded_text_put(&guarded, slice_of(body)), JSON_DEPTH_DEFAULT, &issues,
                          &reader, &flow);
}

static bool has_issue(const char *part)
{
    struct json_writer writer;
    struct slice written;
    bool is_whole;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    issue_list_write(&issues, job_spec_array_key(), 0, &writer);
    is_whole = json_writer_finish(&writer, &written);
    assert(is_whole);
    buffer[written.size] = '\0';
    return strstr(buffer, part) != NULL;
}

static struct slice cycle(void)
{
    return (struct slice){flow.cycle, flow.cycle_size};
}

#define JOB(name, after)                                                                           \
    "{\"kind\":\"k\",\"name\":\"" name "\",\"after\":[" after "],\"on_failure\":\"fail\"}"

TestSuite(flow_spec, .init = setup, .timeout = 20);

Test(flow_spec, puts_each_job_behind_those_it_comes_after)
{
    cr_assert(eq(int,
                 read_flow("{\"jobs\":[" JOB("d", "\"b\",\"c\"") "," JOB("b", "\"a\"") "," JOB(
                     "c", "\"a\"") "," JOB("a", "") "]}"),
                 JOB_SPEC_OK));
    cr_assert(eq(u32, flow.count, 4));
    for (uint32_t i = 0; i < flow.count; i++) {
        cr_expect(eq(int, flow.order[flow.place[i]], (int)i));
        for (uint32_t n = 0; n < flow.specs[i].after_count; n++)
            cr_expect(lt(int, flow.place[flow.after[i][n]], flow.place[i]));
    }
    cr_expect(eq(int, flow.order[0], 3));
    cr_expect(eq(int, flow.order[3], 0));
    cr_expect(eq(int, flow.after[0][0], 1));
    cr_expect(eq(int, flow.after[0][1], 2));
    cr_expect(eq(int, flow.specs[0].on_failure, JOB_SPEC_ON_FAILURE_FAIL));
    cr_expect(eq(int, flow.specs[3].on_failure, JOB_SPEC_ON_FAILURE_NONE));
    cr_expect(eq(u32, flow.cycle_size, 0));
}

Test(flow_spec, names_the_jobs_of_a_cycle)
{
    cr_assert(eq(int,
                 read_flow("{\"jobs\":[" JOB("x", "\"a\"") "," JOB("a", "\"b\"") "," JOB(
                     "b", "\"c\",\"a\"") "," JOB("c", "") "]}"),
                 JOB_SPEC_INVALID));
    cr_expect(eq(u32, issues.count, 0));
    cr_expect(slice_equal(cycle(), SLICE_LITERAL("a -> b -> a")));
    cr_assert(eq(int, read_flow("{\"jobs\":[" JOB("\\u0061", "\"a\"") "]}"), JOB_SPEC_INVALID));
    cr_expect(slice_equal(cycle(), SLICE_LITERAL("a -> a")));
}

/* A chain of count jobs, each after the next; the last after the first when closed. */
static const char *chain(uint32_t count, bool closed)
{
    size_t size = (size_t)snprintf(text, sizeof(text), "{\"jobs\":[");

    for (uint32_t i = 0; i < count; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "%s{\"kind\":\"k\",\"name\":\"%064u\",\"on_failure\":\"ignore\"",
                                 i > 0 ? "," : "", i);
        if (i + 1 < count || closed)
            size += (size_t)snprintf(text + size, sizeof(text) - size, ",\"after\":[\"%064u\"]",
                                     (i + 1) % count);
        size += (size_t)snprintf(text + size, sizeof(text) - size, "}");
    }
    snprintf(text + size, sizeof(text) - size, "]}");
    return text;
}

Test(flow_spec, turns_the_longest_chain_round)
{
    cr_assert(eq(int, read_flow(chain(JOB_SPEC_COUNT_MAX, false)), JOB_SPEC_OK));
    for (int i = 0; i < JOB_SPEC_COUNT_MAX; i++)
        cr_expect(eq(int, flow.order[i], JOB_SPEC_COUNT_MAX - 1 - i));
    cr_expect(eq(int, read_flow(chain(JOB_SPEC_COUNT_MAX + 1, false)), JOB_SPEC_INVALID));
    cr_expect(has_issue("\"pointer\":\"/jobs\""));
}

Test(flow_spec, names_only_the_beginning_of_a_long_cycle)
{
    struct slice ends = SLICE_LITERAL(" -> ... -> ");

    cr_assert(eq(int, read_flow(chain(JOB_SPEC_COUNT_MAX, true)), JOB_SPEC_INVALID));
    cr_assert(lt(u32, flow.cycle_size, FLOW_SPEC_CYCLE_SIZE_MAX));
    cr_expect(ne(ptr, memmem(flow.cycle, flow.cycle_size, ends.data, ends.size), NULL));
    cr_expect(eq(int, flow.cycle[flow.cycle_size - 1], '0'));
}

static const struct {
    const char *body;
    const char *issue;
} INVALID[] = {
    {"{\"jobs\":[{\"kind\":\"k\"}]}", "\"pointer\":\"/jobs/0/name\""},
    {"{\"jobs\":[{\"kind\":\"k\",\"name\":\"\"}]}", "\"pointer\":\"/jobs/0/name\""},
    {"{\"jobs\":[{\"kind\":\"k\",\"name\":\"a\"},{\"kind\":\"k\",\"name\":\"\\u0061\"}]}",
     "\"pointer\":\"/jobs/1/name\""},
    {"{\"jobs\":[" JOB("a", "\"z\"") "]}", "jobs of this flow, received 'z'"},
    {"{\"jobs\":[" JOB("a", "") "," JOB("b", "\"a\",\"a\"") "]}", "each job once, received 'a'"},
    {"{\"jobs\":[" JOB("a", "7") "]}", "\"pointer\":\"/jobs/0/after\""},
    {"{\"jobs\":[{\"kind\":\"k\",\"name\":\"a\",\"after\":\"a\"}]}",
     "\"pointer\":\"/jobs/0/after\""},
    {"{\"jobs\":[{\"kind\":\"k\",\"name\":\"a\",\"after\":[\"a\"]}]}",
     "\"pointer\":\"/jobs/0/on_failure\""},
    {"{\"jobs\":[{\"kind\":\"k\",\"name\":\"a\",\"on_failure\":\"retry\"}]}",
     "\"pointer\":\"/jobs/0/on_failure\""},
    {"{\"jobs\":[{\"kind\":\"k\",\"name\":\"a\",\"unique\":\"u\"}]}",
     "\"pointer\":\"/jobs/0/unique\""},
    {"{\"jobs\":[" JOB("a", "") ",{\"kind\":\"k\",\"name\":\"b\",\"after\":[\"a\"],"
                                "\"on_failure\":\"fail\",\"delay_seconds\":1}]}",
     "\"pointer\":\"/jobs/1/delay_seconds\""},
};

Test(flow_spec, points_at_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_COUNT(INVALID); i++) {
        cr_expect(eq(int, read_flow(INVALID[i].body), JOB_SPEC_INVALID), "%s", INVALID[i].body);
        cr_expect(has_issue(INVALID[i].issue), "%s: %s", INVALID[i].body, buffer);
        cr_expect(eq(u32, flow.cycle_size, 0));
    }
}

Test(flow_spec, bounds_what_one_job_comes_after)
{
    for (int count = JOB_SPEC_AFTER_COUNT_MAX; count <= JOB_SPEC_AFTER_COUNT_MAX + 1; count++) {
        size_t size = (size_t)snprintf(
            text, sizeof(text),
            "{\"jobs\":[{\"kind\":\"k\",\"name\":\"z\",\"on_failure\":\"fail\",\"after\":[");

        for (int i = 0; i < count; i++)
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s\"j%d\"",
                                     i > 0 ? "," : "", i);
        size += (size_t)snprintf(text + size, sizeof(text) - size, "]}");
        for (int i = 0; i < count; i++)
            size += (size_t)snprintf(text + size, sizeof(text) - size,
                                     ",{\"kind\":\"k\",\"name\":\"j%d\"}", i);
        snprintf(text + size, sizeof(text) - size, "]}");
        cr_expect(eq(int, read_flow(text),
                     count == JOB_SPEC_AFTER_COUNT_MAX ? JOB_SPEC_OK : JOB_SPEC_INVALID));
    }
    cr_expect(has_issue("at most 64 names"));
}

Test(flow_spec, tells_broken_off_from_broken)
{
    cr_expect(eq(int, read_flow("{\"jobs\":[" JOB("a", "") "]"), JOB_SPEC_TRUNCATED));
    cr_expect(eq(int, read_flow("{\"jobs\":[" JOB("a", "") "]]"), JOB_SPEC_BAD_JSON));
}
