#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/dlq_spec.h"
#include "tests/support/guarded_text.h"

#define ID "01941f29-7fed-703c-933f-c42f3a332066"
#define OTHER_ID "01941f29-7fed-7001-8000-000000000001"

static struct guarded_text guarded;
static struct issue_list issues;
static struct json_reader reader;
static struct dlq_spec spec;

static void setup(void)
{
    guarded_text_init(&guarded);
}

static enum dlq_spec_result read_spec(const char *text)
{
    issue_list_init(&issues);
    return dlq_spec_read(guarded_text_put(&guarded, slice_of(text)), JSON_DEPTH_DEFAULT, &issues,
                         &reader, &spec);
}

TestSuite(dlq_spec, .init = setup, .timeout = 20);

Test(dlq_spec, means_every_letter_with_an_empty_filter)
{
    static const struct dead_filter EMPTY;

    cr_assert(eq(int, read_spec("{\"filter\":{}}"), DLQ_SPEC_OK));
    cr_expect(memcmp(&spec.selection.filter, &EMPTY, sizeof(EMPTY)) == 0);
    cr_expect(eq(int, spec.selection.id_count, 0));
    cr_expect(eq(u32, spec.rate_per_s, DEAD_RATE_DEFAULT));
    cr_expect(not(spec.is_dry_run));
}

Test(dlq_spec, reads_every_condition)
{
    const struct dead_filter *filter = &spec.selection.filter;

    cr_assert(eq(int,
                 read_spec("{\"filter\":{\"org\":\"o\",\"project\":\"p\\u0071\",\"origin\":"
                           "\"job:mail\",\"reason\":\"poison\",\"since\":\"2025-01-01T00:00:00Z\","
                           "\"until\":\"2025-01-02T00:00:00Z\",\"id\":\"" ID "\"},"
                           "\"rate\":7,\"dry_run\":true}"),
                 DLQ_SPEC_OK));
    cr_expect(eq(int, filter->org_size, 1));
    cr_expect(eq(int, filter->project_size, 2));
    cr_expect(memcmp(filter->project, "pq", 2) == 0);
    cr_expect(eq(int, filter->kind_size, 4));
    cr_expect(memcmp(filter->kind, "mail", 4) == 0);
    cr_expect(eq(int, filter->reason, JOB_DEAD_POISON));
    cr_expect(eq(u64, filter->since_ms, 1735689600000));
    cr_expect(eq(u64, filter->until_ms, 1735776000000));
    cr_expect(eq(int, spec.selection.id_count, 1));
    cr_expect(eq(u32, spec.rate_per_s, 7));
    cr_expect(spec.is_dry_run);
}

Test(dlq_spec, takes_an_id_that_is_named_twice_once)
{
    cr_assert(
        eq(int, read_spec("{\"ids\":[\"" ID "\",\"" OTHER_ID "\",\"" ID "\"]}"), DLQ_SPEC_OK));
    cr_expect(eq(int, spec.selection.id_count, 2));
    cr_expect(eq(u32, spec.selection.ids[1].partition, 1));
    cr_expect(eq(u64, spec.selection.ids[1].id_low, 1));
}

Test(dlq_spec, refuses_more_ids_than_a_replay_names)
{
    static char text[REPLAY_ID_COUNT_MAX * 64];

    for (uint32_t count = REPLAY_ID_COUNT_MAX; count <= REPLAY_ID_COUNT_MAX + 1; count++) {
        size_t size = (size_t)snprintf(text, sizeof(text), "{\"ids\":[");

        for (uint32_t i = 0; i < count; i++)
            size +=
                (size_t)snprintf(text + size, sizeof(text) - size,
                                 "%s\"01941f29-7fed-7001-8000-%012x\"", i > 0 ? "," : "", i + 1);
        snprintf(text + size, sizeof(text) - size, "]}");
        cr_expect(
            eq(int, read_spec(text), count > REPLAY_ID_COUNT_MAX ? DLQ_SPEC_INVALID : DLQ_SPEC_OK));
    }
}

Test(dlq_spec, refuses_what_is_wrong)
{
    static const char *const BAD[] = {
        "{}",
        "[]",
        "{\"ids\":[]}",
        "{\"ids\":\"" ID "\"}",
        "{\"ids\":[1]}",
        "{\"ids\":[\"x\"]}",
        "{\"ids\":[\"" ID "\"],\"filter\":{}}",
        "{\"filter\":[]}",
        "{\"filter\":{\"kind\":\"a\"}}",
        "{\"filter\":{\"org\":1}}",
        "{\"filter\":{\"org\":\"\"}}",
        "{\"filter\":{\"origin\":\"mail\"}}",
        "{\"filter\":{\"since\":\"soon\"}}",
        "{\"filter\":{\"id\":\"x\"}}",
        "{\"filter\":{},\"rate\":0}",
        "{\"filter\":{},\"rate\":10001}",
        "{\"filter\":{},\"rate\":1.5}",
        "{\"filter\":{},\"dry_run\":\"yes\"}",
        "{\"filter\":{},\"dryrun\":true}",
    };

    for (uint32_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        cr_expect(eq(int, read_spec(BAD[i]), DLQ_SPEC_INVALID), "%s", BAD[i]);
        cr_expect(issues.count > 0, "%s", BAD[i]);
    }
    cr_expect(eq(int, read_spec("{\"filter\":"), DLQ_SPEC_BAD_JSON));
    cr_expect(eq(int, read_spec("{\"filter\":{}} x"), DLQ_SPEC_BAD_JSON));
}

static const char *read_query(const char *query, struct slice *ret_name)
{
    return dlq_spec_read_query(guarded_text_put(&guarded, slice_of(query)), &spec.selection,
                               ret_name);
}

Test(dlq_spec, reads_conditions_from_a_query)
{
    struct slice name;

    cr_assert(read_query("limit=5&origin=job%3Amail&since=2025-01-01T00%3A00%3A00%2B01:00&x=%zz",
                         &name) == NULL);
    cr_expect(eq(int, spec.selection.filter.kind_size, 4));
    cr_expect(eq(u64, spec.selection.filter.since_ms, 1735689600000 - 3600000));
    cr_assert(read_query("id=" ID, &name) == NULL);
    cr_expect(eq(int, spec.selection.id_count, 1));
    cr_assert(dlq_spec_read_query((struct slice){NULL, 0}, &spec.selection, &name) == NULL);
    cr_expect(eq(int, spec.selection.id_count, 0));
}

Test(dlq_spec, names_the_parameter_that_is_wrong)
{
    static const struct {
        const char *query;
        const char *name;
    } BAD[] = {
        {"org=", "org"},
        {"origin=mail", "origin"},
        {"reason=bad", "reason"},
        {"until=%zz", "until"},
        {"id=1", "id"},
        {"org=a&since=now", "since"},
        {"project=%00", "project"},
    };

    for (uint32_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        struct slice name = {NULL, 0};

        cr_expect(read_query(BAD[i].query, &name) != NULL, "%s", BAD[i].query);
        cr_expect(slice_equal(name, slice_of(BAD[i].name)), "%s", BAD[i].query);
    }
}
