/*
 * Fuzz schedule_spec: a body as a schedule.
 *
 * What is accepted keeps its bounds and its payload verbatim; what is refused has issues
 * that can be written as valid JSON.
 */
#include "contracts/job_kinds.h"
#include "contracts/problem.h"
#include "contracts/schedule_spec.h"

static struct issue_list issues;
static struct schedule_spec spec;
static char buffer[4 * PROBLEM_SIZE_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_refused(void)
{
    struct problem problem = {.code = PROBLEM_INVALID_SCHEDULE, .issues = &issues};
    struct json_writer writer;
    struct json_reader reader;
    struct json_value value;
    struct slice text;

    require(issues.count > 0);
    json_writer_init(&writer, buffer, sizeof(buffer));
    problem_write(&problem, &writer);
    require(json_writer_finish(&writer, &text));
    require(json_read_document(text, 8, &reader, &value) == JSON_OK);
}

static void check_accepted(void)
{
    struct slice kind = {spec.kind, spec.kind_size};
    struct json_reader reader;
    struct json_value value;
    struct cron_error error;
    struct cron cron;

    require(job_kind_is_valid(kind));
    require(job_kind_check(kind, spec.payload, ISSUE_NO_INDEX, &issues));
    require(time_zone_name_is_valid((struct slice){spec.zone, spec.zone_size}));
    require(cron_parse((struct slice){spec.cron_text, spec.cron_size}, &cron, &error) == CRON_OK);
    require(cron.minutes == spec.cron.minutes && cron.stars == spec.cron.stars);
    require(spec.priority <= JOB_SPEC_PRIORITY_MAX);
    require(spec.missed < SCHEDULE_MISSED_COUNT);
    require(spec.payload.size <= SCHEDULE_SPEC_PAYLOAD_SIZE_MAX);
    require(json_read_document(spec.payload, JSON_DEPTH_MAX, &reader, &value) == JSON_OK);
    require(value.raw.size == spec.payload.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = {(const char *)data, size};
    struct json_reader reader;

    issue_list_init(&issues);
    switch (schedule_spec_read(body, 16, &issues, &reader, &spec)) {
    case JOB_SPEC_OK:
        check_accepted();
        break;
    case JOB_SPEC_INVALID:
        check_refused();
        break;
    case JOB_SPEC_TRUNCATED:
    case JOB_SPEC_BAD_JSON:
        require(json_reader_error(&reader) != JSON_ERROR_NONE);
        break;
    }
    return 0;
}
