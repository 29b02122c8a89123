/*
 * Each job is read in one pass (members.h), then its members are checked one by one, then
 * those that do not go together. What a kind asks of its payload is job_kinds.c's.
 */
#include "contracts/job_spec.h"

#include "contracts/job_kinds.h"
#include "contracts/json_string.h"
#include "contracts/members.h"
#include "contracts/timestamp.h"

enum job_member {
    JOB_KIND,
    JOB_PAYLOAD,
    JOB_KEY,
    JOB_DELAY,
    JOB_RUN_AT,
    JOB_PRIORITY,
    JOB_MAX_ATTEMPTS,
    JOB_TIMEOUT,
    JOB_DEADLINE,
    JOB_UNIQUE,
    JOB_MEMBER_COUNT, /* the rest is for flows */
    JOB_NAME = JOB_MEMBER_COUNT,
    JOB_AFTER,
    JOB_ON_FAILURE,
    JOB_FLOW_MEMBER_COUNT,
};

static const struct slice JOB_NAMES[] = {
    [JOB_KIND] = MEMBER_NAME("kind"),
    [JOB_PAYLOAD] = MEMBER_NAME("payload"),
    [JOB_KEY] = MEMBER_NAME("key"),
    [JOB_DELAY] = MEMBER_NAME("delay_seconds"),
    [JOB_RUN_AT] = MEMBER_NAME("run_at"),
    [JOB_PRIORITY] = MEMBER_NAME("priority"),
    [JOB_MAX_ATTEMPTS] = MEMBER_NAME("max_attempts"),
    [JOB_TIMEOUT] = MEMBER_NAME("timeout_seconds"),
    [JOB_DEADLINE] = MEMBER_NAME("deadline_seconds"),
    [JOB_UNIQUE] = MEMBER_NAME("unique"),
    [JOB_NAME] = MEMBER_NAME("name"),
    [JOB_AFTER] = MEMBER_NAME("after"),
    [JOB_ON_FAILURE] = MEMBER_NAME("on_failure"),
};

static_assert(ARRAY_COUNT(JOB_NAMES) <= MEMBER_COUNT_MAX, "members");

enum unique_member { UNIQUE_KEY, UNIQUE_MODE, UNIQUE_SECONDS, UNIQUE_MAX_WAIT };

static const struct slice UNIQUE_NAMES[] = {
    [UNIQUE_KEY] = MEMBER_NAME("key"),
    [UNIQUE_MODE] = MEMBER_NAME("mode"),
    [UNIQUE_SECONDS] = MEMBER_NAME("seconds"),
    [UNIQUE_MAX_WAIT] = MEMBER_NAME("max_wait_seconds"),
};

static const struct slice UNIQUE_MODES[] = {
    [JOB_SPEC_UNIQUE_SINGLETON] = SLICE_INITIALIZER("singleton"),
    [JOB_SPEC_UNIQUE_THROTTLE] = SLICE_INITIALIZER("throttle"),
    [JOB_SPEC_UNIQUE_DEBOUNCE] = SLICE_INITIALIZER("debounce"),
};

static const struct slice ON_FAILURE_NAMES[] = {
    [JOB_SPEC_ON_FAILURE_FAIL] = SLICE_INITIALIZER("fail"),
    [JOB_SPEC_ON_FAILURE_CONTINUE] = SLICE_INITIALIZER("continue"),
    [JOB_SPEC_ON_FAILURE_IGNORE] = SLICE_INITIALIZER("ignore"),
};

static const struct slice LIST_NAMES[] = {MEMBER_NAME("jobs")};

static const char KIND_RULE[] =
    "must be 1 to 64 characters of a-z, 0-9, '.', '_' and '-' and not begin with 'weir.'";
static const char KEY_RULE[] = "must be a string of 1 to 255 bytes";

bool job_kind_is_valid(struct slice kind)
{
    static const struct slice reserved = SLICE_INITIALIZER("weir.");

    if (kind.size == 0 || kind.size > JOB_SPEC_KIND_SIZE_MAX)
        return false;
    for (size_t i = 0; i < kind.size; i++) {
        char c = kind.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return kind.size < reserved.size || memcmp(kind.data, reserved.data, reserved.size) != 0;
}

struct slice job_spec_array_key(void)
{
    return SLICE_LITERAL("jobs");
}

/* A string of 1 to size_max bytes that is kept as it was written. */
static void keep_string(struct members *members, uint32_t n, size_t size_max, const char *rule,
                        struct json_value *ret_value)
{
    char scratch[JOB_SPEC_KEY_SIZE_MAX];
    struct slice text;

    assert(size_max <= sizeof(scratch));
    if (members_text(members, n, scratch, size_max, rule, &text))
        *ret_value = members->values[n];
}

static void check_kind(struct members *members, struct job_spec *spec)
{
    char scratch[JOB_SPEC_KIND_SIZE_MAX];
    struct slice kind;

    if (!members_require(members, JOB_KIND, "string") ||
        !members_text(members, JOB_KIND, scratch, sizeof(scratch), KIND_RULE, &kind))
        return;
    if (!job_kind_is_valid(kind)) {
        members_refuse(members, JOB_KIND, KIND_RULE);
        return;
    }
    memcpy(spec->kind, kind.data, kind.size);
    spec->kind_size = (uint8_t)kind.size;
}

static void check_times(struct members *members, struct job_spec *spec)
{
    char scratch[64];
    struct slice text;
    int64_t run_at_ms;
    uint64_t timeout_ms = 0;

    members_seconds(members, JOB_DELAY, 0, JOB_SPEC_DELAY_MS_MAX,
                    "must be a number of seconds from 0 to 31622400", &spec->delay_ms);
    if (members_text(members, JOB_RUN_AT, scratch, sizeof(scratch), "must be a date-time", &text)) {
        if (!timestamp_parse(text, &run_at_ms))
            members_refuse(members, JOB_RUN_AT, "must be a date-time");
        else
            spec->run_at_ms = run_at_ms > 0 ? (uint64_t)run_at_ms : 1; /* long ago: at once */
    }
    if (members_has(members, JOB_RUN_AT) && members_has(members, JOB_DELAY))
        members_refuse(members, JOB_RUN_AT, "goes without delay_seconds");
    members_seconds(members, JOB_TIMEOUT, 1000, JOB_SPEC_TIMEOUT_MS_MAX,
                    "must be a number of seconds from 1 to 86400", &timeout_ms);
    spec->timeout_ms = (uint32_t)timeout_ms;
    members_seconds(members, JOB_DEADLINE, 1, JOB_SPEC_DELAY_MS_MAX,
                    "must be a number of seconds above 0, to 31622400", &spec->deadline_ms);
}

static void check_numbers(struct members *members, struct job_spec *spec)
{
    uint64_t priority = JOB_SPEC_PRIORITY_DEFAULT;
    uint64_t max_attempts = 0;

    members_integer(members, JOB_PRIORITY, 0, JOB_SPEC_PRIORITY_MAX,
                    "must be a whole number from 0 to 7", &priority);
    members_integer(members, JOB_MAX_ATTEMPTS, 1, JOB_SPEC_ATTEMPTS_MAX,
                    "must be a whole number from 1 to 255", &max_attempts);
    spec->priority = (uint8_t)priority;
    spec->max_attempts = (uint8_t)max_attempts;
}

/* What the mode needs and what it cannot use. */
static void check_unique_mode(struct members *unique, struct job_spec *spec)
{
    static const char rule[] = "must be a number of seconds above 0, to 31622400";

    members_seconds(unique, UNIQUE_SECONDS, 1, JOB_SPEC_DELAY_MS_MAX, rule, &spec->unique_ms);
    members_seconds(unique, UNIQUE_MAX_WAIT, 1, JOB_SPEC_DELAY_MS_MAX, rule,
                    &spec->unique_wait_max_ms);
    if (spec->unique != JOB_SPEC_UNIQUE_SINGLETON)
        members_require(unique, UNIQUE_SECONDS, "number");
    else if (members_has(unique, UNIQUE_SECONDS))
        members_refuse(unique, UNIQUE_SECONDS, "is for the modes throttle and debounce");
    if (spec->unique != JOB_SPEC_UNIQUE_DEBOUNCE && members_has(unique, UNIQUE_MAX_WAIT))
        members_refuse(unique, UNIQUE_MAX_WAIT, "is for the mode debounce");
    if (spec->unique == JOB_SPEC_UNIQUE_DEBOUNCE && spec->unique_ms > UINT32_MAX)
        members_refuse(unique, UNIQUE_SECONDS, "must be below 4294967 to debounce");
    if (spec->unique_wait_max_ms > 0 && spec->unique_wait_max_ms < spec->unique_ms)
        members_refuse(unique, UNIQUE_MAX_WAIT, "must not be below seconds");
}

static void check_unique(struct members *members, struct job_spec *spec)
{
    const struct json_value *value = &members->values[JOB_UNIQUE];
    uint32_t mode = JOB_SPEC_UNIQUE_SINGLETON;
    struct members unique;

    if (!members_has(members, JOB_UNIQUE))
        return;
    spec->unique = JOB_SPEC_UNIQUE_SINGLETON;
    if (value->type == JSON_STRING) {
        keep_string(members, JOB_UNIQUE, JOB_SPEC_KEY_SIZE_MAX, KEY_RULE, &spec->unique_key);
        return;
    }
    if (value->type != JSON_OBJECT) {
        members_refuse(members, JOB_UNIQUE, "must be a string or an object");
        return;
    }
    members_init(&unique, UNIQUE_NAMES, ARRAY_COUNT(UNIQUE_NAMES), members->issues, members->index);
    members_read_value(&unique, SLICE_LITERAL("unique"), value);
    if (members_require(&unique, UNIQUE_KEY, "string"))
        keep_string(&unique, UNIQUE_KEY, JOB_SPEC_KEY_SIZE_MAX, KEY_RULE, &spec->unique_key);
    members_option(&unique, UNIQUE_MODE, UNIQUE_MODES, ARRAY_COUNT(UNIQUE_MODES), &mode);
    spec->unique = (uint8_t)mode;
    check_unique_mode(&unique, spec);
    members->is_valid = members->is_valid && unique.is_valid;
    if (spec->unique == JOB_SPEC_UNIQUE_DEBOUNCE &&
        (members_has(members, JOB_DELAY) || members_has(members, JOB_RUN_AT)))
        members_refuse(members, JOB_UNIQUE, "to debounce goes without delay_seconds and run_at");
}

/* The array's strings are looked at by flow_spec.c, which knows what names there are. */
static void check_after(struct members *members, struct job_spec *spec)
{
    const struct json_value *value = &members->values[JOB_AFTER];
    struct json_reader reader;
    struct json_value element;
    enum json_result r;

    if (!members_has(members, JOB_AFTER))
        return;
    if (value->type != JSON_ARRAY) {
        members_refuse(members, JOB_AFTER, "must be an array of names");
        return;
    }
    json_reader_init(&reader, value->raw, JSON_DEPTH_MAX);
    r = json_reader_enter_array(&reader);
    for (spec->after_count = 0; r == JSON_OK; spec->after_count++) {
        r = json_reader_next_element(&reader);
        if (r != JSON_OK)
            break;
        r = json_reader_read(&reader, &element);
        if (element.type != JSON_STRING || spec->after_count == JOB_SPEC_AFTER_COUNT_MAX) {
            members_refuse(members, JOB_AFTER, "must be an array of at most 64 names");
            return;
        }
    }
    spec->after = value->raw;
}

static void check_flow(struct members *members, struct job_spec *spec)
{
    uint32_t on_failure = JOB_SPEC_ON_FAILURE_NONE;

    if (members_require(members, JOB_NAME, "string"))
        keep_string(members, JOB_NAME, JOB_SPEC_NAME_SIZE_MAX, "must be a string of 1 to 64 bytes",
                    &spec->name);
    check_after(members, spec);
    if (spec->after_count > 0)
        members_require(members, JOB_ON_FAILURE, "'fail' | 'continue' | 'ignore'");
    members_option(members, JOB_ON_FAILURE, ON_FAILURE_NAMES, ARRAY_COUNT(ON_FAILURE_NAMES),
                   &on_failure);
    spec->on_failure =
        (uint8_t)(spec->after_count > 0 ? on_failure : (uint32_t)JOB_SPEC_ON_FAILURE_NONE);
    if (members_has(members, JOB_UNIQUE))
        members_refuse(members, JOB_UNIQUE, "is not for the jobs of a flow");
    if (spec->after_count > 0 && members_has(members, JOB_DELAY))
        members_refuse(members, JOB_DELAY, "is not for a job that comes after others");
    if (spec->after_count > 0 && members_has(members, JOB_RUN_AT))
        members_refuse(members, JOB_RUN_AT, "is not for a job that comes after others");
}

/* Reads and checks the job that reader is at. */
static enum job_spec_result read_job(struct json_reader *reader, int32_t index, bool in_flow,
                                     struct issue_list *issues, struct job_spec *spec)
{
    struct members members;
    enum json_result r;

    memset(spec, 0, sizeof(*spec));
    spec->unique = JOB_SPEC_UNIQUE_NONE;
    spec->on_failure = JOB_SPEC_ON_FAILURE_NONE;
    spec->payload = SLICE_LITERAL("null");
    issue_list_begin_event(issues);
    members_init(&members, JOB_NAMES, in_flow ? JOB_FLOW_MEMBER_COUNT : JOB_MEMBER_COUNT, issues,
                 index);
    r = members_read(&members, reader);
    if (r != JSON_OK)
        return r == JSON_TRUNCATED ? JOB_SPEC_TRUNCATED : JOB_SPEC_BAD_JSON;
    check_kind(&members, spec);
    if (members.values[JOB_PAYLOAD].type != JSON_ABSENT)
        spec->payload = members.values[JOB_PAYLOAD].raw;
    if (spec->kind_size > 0 &&
        !job_kind_check((struct slice){spec->kind, spec->kind_size}, spec->payload, index, issues))
        members.is_valid = false;
    keep_string(&members, JOB_KEY, JOB_SPEC_KEY_SIZE_MAX, KEY_RULE, &spec->key);
    check_times(&members, spec);
    check_numbers(&members, spec);
    check_unique(&members, spec);
    if (in_flow)
        check_flow(&members, spec);
    return members.is_valid ? JOB_SPEC_OK : JOB_SPEC_INVALID;
}

static enum job_spec_result result_of_json(enum json_result r, bool is_valid)
{
    if (r == JSON_TRUNCATED)
        return JOB_SPEC_TRUNCATED;
    if (r == JSON_BAD)
        return JOB_SPEC_BAD_JSON;
    return is_valid ? JOB_SPEC_OK : JOB_SPEC_INVALID;
}

enum job_spec_result job_spec_read(struct slice body, uint32_t depth_max, struct issue_list *issues,
                                   struct json_reader *ret_reader, struct job_spec *ret_spec)
{
    enum job_spec_result result;

    json_reader_init(ret_reader, body, depth_max);
    result = read_job(ret_reader, ISSUE_NO_INDEX, false, issues, ret_spec);
    if (result == JOB_SPEC_TRUNCATED || result == JOB_SPEC_BAD_JSON)
        return result;
    return result_of_json(json_reader_finish(ret_reader), result == JOB_SPEC_OK);
}

/* The elements of the array that was just entered. JOB_SPEC_OK when all are good. */
static enum job_spec_result read_jobs(struct json_reader *reader, bool in_flow,
                                      struct issue_list *issues, struct job_spec *specs,
                                      uint32_t *ret_count)
{
    struct json_value name = {.type = JSON_STRING, .raw = LIST_NAMES[0]};
    enum json_result r;
    bool is_valid = true;
    uint32_t count = 0;

    while ((r = json_reader_next_element(reader)) == JSON_OK) {
        struct json_value ignored;

        if (count < JOB_SPEC_COUNT_MAX) {
            enum job_spec_result result =
                read_job(reader, (int32_t)count, in_flow, issues, &specs[count]);

            if (result == JOB_SPEC_TRUNCATED || result == JOB_SPEC_BAD_JSON)
                return result;
            is_valid = is_valid && result == JOB_SPEC_OK;
        } else {
            r = json_reader_read(reader, &ignored);
            if (r != JSON_OK)
                return result_of_json(r, false);
        }
        count++;
    }
    if (r != JSON_END)
        return result_of_json(r, false);
    issue_list_begin_event(issues);
    *ret_count = count;
    if (count > 0 && count <= JOB_SPEC_COUNT_MAX)
        return is_valid ? JOB_SPEC_OK : JOB_SPEC_INVALID;
    issue_list_add(issues,
                   &(struct issue){.kind = count == 0 ? ISSUE_ARRAY_EMPTY : ISSUE_ARRAY_TOO_BIG,
                                   .index = ISSUE_NO_INDEX,
                                   .key = name,
                                   .limit = JOB_SPEC_COUNT_MAX});
    return JOB_SPEC_INVALID;
}

enum job_spec_result job_spec_read_list(struct slice body, uint32_t depth_max, bool in_flow,
                                        struct issue_list *issues, struct json_reader *ret_reader,
                                        struct job_spec ret_specs[JOB_SPEC_COUNT_MAX],
                                        uint32_t *ret_count)
{
    struct members members;
    struct json_reader reader;
    enum job_spec_result result;
    enum json_result r;

    *ret_count = 0;
    members_init(&members, LIST_NAMES, ARRAY_COUNT(LIST_NAMES), issues, ISSUE_NO_INDEX);
    r = members_read_document(&members, body, depth_max, ret_reader);
    if (r != JSON_OK)
        return result_of_json(r, false);
    if (!members.is_valid || !members_require(&members, 0, "array"))
        return JOB_SPEC_INVALID;
    if (members.values[0].type != JSON_ARRAY) {
        members_refuse(&members, 0, "must be an array of jobs");
        return JOB_SPEC_INVALID;
    }
    json_reader_init(&reader, members.values[0].raw, depth_max);
    r = json_reader_enter_array(&reader);
    assert(r == JSON_OK);
    result = read_jobs(&reader, in_flow, issues, ret_specs, ret_count);
    assert(result == JOB_SPEC_OK || result == JOB_SPEC_INVALID); /* it was validated above */
    return result;
}
