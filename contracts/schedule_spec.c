/*
 * One pass over the members (members.h), then each is checked by itself. A cron text that is
 * refused says which field is wrong and at which byte; that sentence is put together in
 * the spec, where the issue borrows it until the answer is written.
 */
#include "contracts/schedule_spec.h"

#include <stdio.h>

#include "contracts/job_kinds.h"
#include "contracts/json_string.h"
#include "contracts/members.h"

enum schedule_member {
    SCHEDULE_CRON,
    SCHEDULE_TIMEZONE,
    SCHEDULE_KIND,
    SCHEDULE_PAYLOAD,
    SCHEDULE_KEY,
    SCHEDULE_PRIORITY,
    SCHEDULE_MAX_ATTEMPTS,
    SCHEDULE_TIMEOUT,
    SCHEDULE_MISSED,
    SCHEDULE_PAUSED,
    SCHEDULE_MEMBER_COUNT,
};

static const struct slice NAMES[SCHEDULE_MEMBER_COUNT] = {
    [SCHEDULE_CRON] = MEMBER_NAME("cron"),
    [SCHEDULE_TIMEZONE] = MEMBER_NAME("timezone"),
    [SCHEDULE_KIND] = MEMBER_NAME("kind"),
    [SCHEDULE_PAYLOAD] = MEMBER_NAME("payload"),
    [SCHEDULE_KEY] = MEMBER_NAME("key"),
    [SCHEDULE_PRIORITY] = MEMBER_NAME("priority"),
    [SCHEDULE_MAX_ATTEMPTS] = MEMBER_NAME("max_attempts"),
    [SCHEDULE_TIMEOUT] = MEMBER_NAME("timeout_seconds"),
    [SCHEDULE_MISSED] = MEMBER_NAME("missed"),
    [SCHEDULE_PAUSED] = MEMBER_NAME("paused"),
};

static_assert((int)SCHEDULE_MEMBER_COUNT <= (int)MEMBER_COUNT_MAX, "members");

static const struct slice MISSED_NAMES[SCHEDULE_MISSED_COUNT] = {
    [SCHEDULE_FIRE_ONCE] = SLICE_INITIALIZER("fire_once"),
    [SCHEDULE_FIRE_ALL] = SLICE_INITIALIZER("fire_all"),
    [SCHEDULE_SKIP] = SLICE_INITIALIZER("skip"),
};

static const char KIND_RULE[] =
    "must be 1 to 64 characters of a-z, 0-9, '.', '_' and '-' and not begin with 'weir.'";
static const char ZONE_RULE[] = "must be the name of a time zone, such as Europe/Berlin";

bool schedule_name_is_valid(struct slice name)
{
    bool is_all_dots = true;

    if (name.size == 0 || name.size > SCHEDULE_SPEC_NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '.' && c != '_' && c != '-')
            return false;
        is_all_dots = is_all_dots && c == '.';
    }
    return !is_all_dots || name.size > 2;
}

struct slice schedule_missed_name(enum schedule_missed missed)
{
    assert(missed < SCHEDULE_MISSED_COUNT);
    return MISSED_NAMES[missed];
}

/* The issue that the text is no cron schedule, and why. */
static void refuse_cron(struct members *members, const struct cron_error *error,
                        struct schedule_spec *spec)
{
    struct slice field = cron_field_name(error->field);
    struct slice text = cron_result_text(error->result);
    struct issue issue = {
        .kind = ISSUE_RULE,
        .index = ISSUE_NO_INDEX,
        .key = {.type = JSON_STRING, .raw = NAMES[SCHEDULE_CRON]},
        .value = members->values[SCHEDULE_CRON],
    };
    int size = snprintf(spec->rule, sizeof(spec->rule), "%.*s %.*s, at byte %u", (int)field.size,
                        field.data, (int)text.size, text.data, error->offset);

    assert(size > 0);
    assert((size_t)size < sizeof(spec->rule));
    issue.rule = (struct slice){spec->rule, (size_t)size};
    issue_list_add(members->issues, &issue);
    members->is_valid = false;
}

static void check_cron(struct members *members, struct schedule_spec *spec)
{
    struct cron_error error;
    struct slice text;

    if (!members_require(members, SCHEDULE_CRON, "string") ||
        !members_text(members, SCHEDULE_CRON, spec->cron_text, sizeof(spec->cron_text),
                      "must be a string of 1 to 256 bytes", &text))
        return;
    if (cron_parse(text, &spec->cron, &error) != CRON_OK) {
        refuse_cron(members, &error, spec);
        return;
    }
    memmove(spec->cron_text, text.data, text.size);
    spec->cron_size = (uint16_t)text.size;
}

static void check_zone(struct members *members, struct schedule_spec *spec)
{
    struct slice name = SLICE_LITERAL("UTC");

    if (members_has(members, SCHEDULE_TIMEZONE) &&
        !members_text(members, SCHEDULE_TIMEZONE, spec->zone, sizeof(spec->zone), ZONE_RULE, &name))
        return;
    if (!time_zone_name_is_valid(name)) {
        members_refuse(members, SCHEDULE_TIMEZONE, ZONE_RULE);
        return;
    }
    memmove(spec->zone, name.data, name.size);
    spec->zone_size = (uint8_t)name.size;
}

static void check_job(struct members *members, struct schedule_spec *spec)
{
    const struct json_value *payload = &members->values[SCHEDULE_PAYLOAD];
    char scratch[JOB_SPEC_KEY_SIZE_MAX];
    uint64_t priority = JOB_SPEC_PRIORITY_DEFAULT, max_attempts = 0, timeout_ms = 0;
    struct slice text;

    if (payload->type != JSON_ABSENT)
        spec->payload = payload->raw;
    if (spec->payload.size > SCHEDULE_SPEC_PAYLOAD_SIZE_MAX)
        members_refuse(members, SCHEDULE_PAYLOAD, "must not be longer than 16384 bytes");
    if (members_require(members, SCHEDULE_KIND, "string") &&
        members_text(members, SCHEDULE_KIND, spec->kind, sizeof(spec->kind), KIND_RULE, &text)) {
        memmove(spec->kind, text.data, text.size);
        spec->kind_size = (uint8_t)text.size;
        if (!job_kind_is_valid(text))
            members_refuse(members, SCHEDULE_KIND, KIND_RULE);
        else if (!job_kind_check(text, spec->payload, ISSUE_NO_INDEX, members->issues))
            members->is_valid = false;
    }
    if (members_text(members, SCHEDULE_KEY, scratch, sizeof(scratch),
                     "must be a string of 1 to 255 bytes", &text))
        spec->key = members->values[SCHEDULE_KEY];
    members_integer(members, SCHEDULE_PRIORITY, 0, JOB_SPEC_PRIORITY_MAX,
                    "must be a whole number from 0 to 7", &priority);
    members_integer(members, SCHEDULE_MAX_ATTEMPTS, 1, JOB_SPEC_ATTEMPTS_MAX,
                    "must be a whole number from 1 to 255", &max_attempts);
    members_seconds(members, SCHEDULE_TIMEOUT, 1000, JOB_SPEC_TIMEOUT_MS_MAX,
                    "must be a number of seconds from 1 to 86400", &timeout_ms);
    spec->priority = (uint8_t)priority;
    spec->max_attempts = (uint8_t)max_attempts;
    spec->timeout_ms = (uint32_t)timeout_ms;
}

enum job_spec_result schedule_spec_read(struct slice body, uint32_t depth_max,
                                        struct issue_list *issues, struct json_reader *ret_reader,
                                        struct schedule_spec *ret_spec)
{
    uint32_t missed = SCHEDULE_FIRE_ONCE;
    struct members members;

    memset(ret_spec, 0, sizeof(*ret_spec));
    ret_spec->payload = SLICE_LITERAL("null");
    members_init(&members, NAMES, SCHEDULE_MEMBER_COUNT, issues, ISSUE_NO_INDEX);
    switch (members_read_document(&members, body, depth_max, ret_reader)) {
    case JSON_OK:
        break;
    case JSON_TRUNCATED:
        return JOB_SPEC_TRUNCATED;
    case JSON_BAD:
    case JSON_END:
        return JOB_SPEC_BAD_JSON;
    }
    check_cron(&members, ret_spec);
    check_zone(&members, ret_spec);
    check_job(&members, ret_spec);
    members_option(&members, SCHEDULE_MISSED, MISSED_NAMES, SCHEDULE_MISSED_COUNT, &missed);
    members_boolean(&members, SCHEDULE_PAUSED, &ret_spec->is_paused);
    ret_spec->missed = (uint8_t)missed;
    return members.is_valid ? JOB_SPEC_OK : JOB_SPEC_INVALID;
}
