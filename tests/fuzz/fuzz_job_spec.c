/*
 * Fuzz: a body as a job, a batch and a flow.
 *
 * What is accepted keeps its bounds and its payload verbatim; an accepted flow is in
 * order; what is refused has issues that can be written as valid JSON, or a cycle.
 */
#include "contracts/flow_spec.h"
#include "contracts/job_kinds.h"
#include "contracts/json_string.h"
#include "contracts/problem.h"

static struct flow_spec flow;
static struct issue_list issues;
static char buffer[4 * PROBLEM_SIZE_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_refused(void)
{
    struct problem problem = {
        .code = PROBLEM_UNPROCESSABLE, .issues = &issues, .array_key = job_spec_array_key()};
    struct json_writer writer;
    struct json_reader reader;
    struct json_value value;
    struct slice text;

    json_writer_init(&writer, buffer, sizeof(buffer));
    problem_write(&problem, &writer);
    require(json_writer_finish(&writer, &text));
    require(json_read_document(text, 8, &reader, &value) == JSON_OK);
}

static void check_accepted(const struct job_spec *spec)
{
    struct slice kind = {spec->kind, spec->kind_size};
    struct json_reader reader;
    struct json_value value;
    char scratch[JOB_SPEC_KEY_SIZE_MAX];
    struct slice text;

    require(job_kind_is_valid(kind));
    require(spec->priority <= JOB_SPEC_PRIORITY_MAX);
    require(spec->timeout_ms <= JOB_SPEC_TIMEOUT_MS_MAX);
    require(spec->delay_ms <= JOB_SPEC_DELAY_MS_MAX);
    require(spec->delay_ms == 0 || spec->run_at_ms == 0);
    require(json_read_document(spec->payload, JSON_DEPTH_MAX, &reader, &value) == JSON_OK);
    require(value.raw.size == spec->payload.size);
    require(job_kind_check(kind, spec->payload, 0, &issues));
    if (spec->key.type != JSON_ABSENT)
        require(json_string_text(&spec->key, scratch, sizeof(scratch), &text) && text.size > 0 &&
                text.size <= JOB_SPEC_KEY_SIZE_MAX);
    require((spec->unique == JOB_SPEC_UNIQUE_NONE) == (spec->unique_key.type == JSON_ABSENT));
}

static void check_flow(struct slice body)
{
    struct json_reader reader;

    issue_list_init(&issues);
    switch (flow_spec_read(body, 16, &issues, &reader, &flow)) {
    case JOB_SPEC_OK:
        for (uint32_t i = 0; i < flow.count; i++) {
            check_accepted(&flow.specs[i]);
            require(flow.order[flow.place[i]] == i);
            for (uint32_t n = 0; n < flow.specs[i].after_count; n++)
                require(flow.place[flow.after[i][n]] < flow.place[i]);
        }
        return;
    case JOB_SPEC_INVALID:
        require(issues.count > 0 || flow.cycle_size > 0);
        require(flow.cycle_size <= FLOW_SPEC_CYCLE_SIZE_MAX);
        check_refused();
        return;
    case JOB_SPEC_TRUNCATED:
    case JOB_SPEC_BAD_JSON:
        require(json_reader_error(&reader) != JSON_ERROR_NONE);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = {(const char *)data, size};
    struct json_reader reader;
    uint32_t count;

    issue_list_init(&issues);
    switch (job_spec_read(body, 16, &issues, &reader, &flow.specs[0])) {
    case JOB_SPEC_OK:
        check_accepted(&flow.specs[0]);
        break;
    case JOB_SPEC_INVALID:
        require(issues.count > 0);
        check_refused();
        break;
    case JOB_SPEC_TRUNCATED:
    case JOB_SPEC_BAD_JSON:
        require(json_reader_error(&reader) != JSON_ERROR_NONE);
        break;
    }
    issue_list_init(&issues);
    if (job_spec_read_list(body, 16, false, &issues, &reader, flow.specs, &count) == JOB_SPEC_OK)
        for (uint32_t i = 0; i < count; i++)
            check_accepted(&flow.specs[i]);
    check_flow(body);
    return 0;
}
