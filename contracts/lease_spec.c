#include "contracts/lease_spec.h"

#include "contracts/json_string.h"
#include "contracts/members.h"

/*
 * An outcome comes in three shapes, one per place where it may stand: one of many names its
 * job, a single one has it in its path, which also says whether it is a failure. What they
 * have in common is checked once, by where the member is in the shape.
 *
 * Nothing here asks whether a lease is still good: only the owner of the jobs knows. An
 * epoch is merely a number, and a wrong one is answered as a stale one.
 */
enum finish_member {
    FINISH_ID,
    FINISH_EPOCH,
    FINISH_RESULT,
    FINISH_ERROR,
    FINISH_RETRYABLE,
    FINISH_RETRY_AFTER,
};

static const struct slice FINISH_NAMES[] = {
    [FINISH_ID] = MEMBER_NAME("id"),
    [FINISH_EPOCH] = MEMBER_NAME("epoch"),
    [FINISH_RESULT] = MEMBER_NAME("result"),
    [FINISH_ERROR] = MEMBER_NAME("error"),
    [FINISH_RETRYABLE] = MEMBER_NAME("retryable"),
    [FINISH_RETRY_AFTER] = MEMBER_NAME("retry_after_seconds"),
};

static const struct slice COMPLETE_NAMES[] = {MEMBER_NAME("epoch"), MEMBER_NAME("result")};
static const struct slice FAIL_NAMES[] = {MEMBER_NAME("epoch"), MEMBER_NAME("error"),
                                          MEMBER_NAME("retryable"),
                                          MEMBER_NAME("retry_after_seconds")};

enum lease_member { LEASE_LIMIT, LEASE_WAIT, LEASE_SECONDS, LEASE_COMPLETE };

static const struct slice LEASE_NAMES[] = {
    [LEASE_LIMIT] = MEMBER_NAME("limit"),
    [LEASE_WAIT] = MEMBER_NAME("wait_seconds"),
    [LEASE_SECONDS] = MEMBER_NAME("lease_seconds"),
    [LEASE_COMPLETE] = MEMBER_NAME("complete"),
};

enum extend_member { EXTEND_EPOCH, EXTEND_SECONDS, EXTEND_PROGRESS };

static const struct slice EXTEND_NAMES[] = {
    [EXTEND_EPOCH] = MEMBER_NAME("epoch"),
    [EXTEND_SECONDS] = MEMBER_NAME("lease_seconds"),
    [EXTEND_PROGRESS] = MEMBER_NAME("progress"),
};

static const struct slice LIST_NAMES[] = {MEMBER_NAME("jobs")};

static const char LEASE_SECONDS_RULE[] = "must be a number of seconds from 5 to 3600";

/* Where the members of an outcome stand in its shape; NONE: it has no such member. */
struct finish_shape {
    const struct slice *names;
    uint32_t count;
    uint32_t id, epoch, result, error, retryable, retry_after;
};

enum { NONE = MEMBER_COUNT_MAX };

static const struct finish_shape ONE_OF_MANY = {
    FINISH_NAMES, ARRAY_COUNT(FINISH_NAMES), FINISH_ID,          FINISH_EPOCH, FINISH_RESULT,
    FINISH_ERROR, FINISH_RETRYABLE,          FINISH_RETRY_AFTER,
};
static const struct finish_shape COMPLETION = {
    COMPLETE_NAMES, ARRAY_COUNT(COMPLETE_NAMES), NONE, 0, 1, NONE, NONE, NONE,
};
static const struct finish_shape FAILURE = {
    FAIL_NAMES, ARRAY_COUNT(FAIL_NAMES), NONE, 0, NONE, 1, 2, 3,
};

/* Exactly: an epoch is above what a double holds, so it is never read as one. */
static bool parse_digits(struct slice text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    *ret_value = value;
    return true;
}

static void check_epoch(struct members *members, uint32_t n, uint64_t *ret_epoch)
{
    const struct json_value *value = &members->values[n];
    struct slice digits = value->raw;

    if (!members_require(members, n, "string"))
        return;
    if (value->type == JSON_STRING)
        digits = json_string_body(value);
    if ((value->type != JSON_STRING && value->type != JSON_NUMBER) ||
        !parse_digits(digits, ret_epoch))
        members_refuse(members, n, "must be the epoch that came with the lease");
}

static void check_lease_ms(struct members *members, uint32_t n, uint32_t *ret_ms)
{
    uint64_t ms = LEASE_SPEC_LEASE_MS_DEFAULT;

    members_seconds(members, n, LEASE_SPEC_LEASE_MS_MIN, LEASE_SPEC_LEASE_MS_MAX,
                    LEASE_SECONDS_RULE, &ms);
    *ret_ms = (uint32_t)ms;
}

/* An empty error is one too: not every exception brings a text. */
static void check_failure(struct members *members, const struct finish_shape *shape,
                          struct finish_spec *finish)
{
    if (members->values[shape->error].type != JSON_STRING)
        members_refuse(members, shape->error, "must be a string");
    finish->is_failure = true;
    finish->error = members->values[shape->error];
    members_boolean(members, shape->retryable, &finish->is_retryable);
    if (members_seconds(members, shape->retry_after, 0, LEASE_SPEC_RETRY_AFTER_MS_MAX,
                        "must be a number of seconds from 0 to 86400", &finish->retry_after_ms) &&
        finish->retry_after_ms == 0)
        finish->retry_after_ms = 1;
}

/* What a completion has no use for. */
static void check_no_failure(struct members *members, const struct finish_shape *shape)
{
    if (members_has(members, shape->retryable))
        members_refuse(members, shape->retryable, "goes with error");
    if (members_has(members, shape->retry_after))
        members_refuse(members, shape->retry_after, "goes with error");
}

static void check_result(struct members *members, const struct finish_shape *shape,
                         struct finish_spec *finish)
{
    if (shape->result == NONE || !members_has(members, shape->result))
        return;
    finish->result = members->values[shape->result].raw;
    if (finish->result.size > LEASE_SPEC_RESULT_SIZE_MAX)
        members_refuse(members, shape->result, "must be JSON of at most 65536 bytes");
    if (finish->is_failure)
        members_refuse(members, shape->result, "goes without error");
}

/* Reads the outcome that reader is at. */
static enum json_result read_finish(struct json_reader *reader, const struct finish_shape *shape,
                                    int32_t index, struct issue_list *issues,
                                    struct finish_spec *finish, bool *ret_valid)
{
    struct members members;
    enum json_result r;

    memset(finish, 0, sizeof(*finish));
    finish->is_retryable = true;
    issue_list_begin_event(issues);
    members_init(&members, shape->names, shape->count, issues, index);
    r = members_read(&members, reader);
    if (r != JSON_OK)
        return r;
    if (shape->id != NONE && members_require(&members, shape->id, "string") &&
        members.values[shape->id].type == JSON_STRING)
        finish->id = json_string_body(&members.values[shape->id]);
    check_epoch(&members, shape->epoch, &finish->epoch);
    if (shape == &FAILURE)
        members_require(&members, shape->error, "string");
    if (shape->error != NONE && members_has(&members, shape->error))
        check_failure(&members, shape, finish);
    else if (shape == &ONE_OF_MANY)
        check_no_failure(&members, shape);
    check_result(&members, shape, finish);
    *ret_valid = members.is_valid;
    return JSON_OK;
}

/* The outcomes in an array that was validated already. False when issues were added. */
static bool read_finishes(const struct json_value *array, struct slice quoted_name,
                          struct issue_list *issues, struct finish_spec *finishes,
                          uint32_t *ret_count)
{
    struct issue issue = {.kind = ISSUE_ARRAY_TOO_BIG,
                          .index = ISSUE_NO_INDEX,
                          .key = {.type = JSON_STRING, .raw = quoted_name},
                          .limit = LEASE_SPEC_FINISH_COUNT_MAX};
    struct json_reader reader;
    bool all_valid = true;
    uint32_t count = 0;
    enum json_result r;

    json_reader_init(&reader, array->raw, JSON_DEPTH_MAX);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && (r = json_reader_next_element(&reader)) == JSON_OK) {
        bool is_valid = false;

        if (count == LEASE_SPEC_FINISH_COUNT_MAX) {
            issue_list_begin_event(issues);
            issue_list_add(issues, &issue);
            return false;
        }
        r = read_finish(&reader, &ONE_OF_MANY, (int32_t)count, issues, &finishes[count], &is_valid);
        all_valid = all_valid && is_valid;
        count++;
    }
    assert(r == JSON_END);
    *ret_count = count;
    return all_valid;
}

static enum lease_spec_result result_of(bool is_valid)
{
    return is_valid ? LEASE_SPEC_OK : LEASE_SPEC_INVALID;
}

enum lease_spec_result lease_spec_read(struct slice body, uint32_t depth_max,
                                       struct issue_list *issues, struct json_reader *ret_reader,
                                       struct lease_spec *ret_lease,
                                       struct finish_spec ret_finishes[LEASE_SPEC_FINISH_COUNT_MAX])
{
    uint64_t limit = 1, wait_ms = 0;
    struct members members;
    bool is_valid = true;

    *ret_lease = (struct lease_spec){.limit = 1, .lease_ms = LEASE_SPEC_LEASE_MS_DEFAULT};
    if (body.size == 0)
        return LEASE_SPEC_OK;
    members_init(&members, LEASE_NAMES, ARRAY_COUNT(LEASE_NAMES), issues, ISSUE_NO_INDEX);
    if (members_read_document(&members, body, depth_max, ret_reader) != JSON_OK)
        return LEASE_SPEC_BAD_JSON;
    members_integer(&members, LEASE_LIMIT, 1, LEASE_SPEC_LIMIT_MAX,
                    "must be a whole number from 1 to 100", &limit);
    members_seconds(&members, LEASE_WAIT, 0, LEASE_SPEC_WAIT_MS_MAX,
                    "must be a number of seconds from 0 to 30", &wait_ms);
    check_lease_ms(&members, LEASE_SECONDS, &ret_lease->lease_ms);
    ret_lease->limit = (uint32_t)limit;
    ret_lease->wait_ms = (uint32_t)wait_ms;
    if (members_has(&members, LEASE_COMPLETE)) {
        if (members.values[LEASE_COMPLETE].type != JSON_ARRAY)
            members_refuse(&members, LEASE_COMPLETE, "must be an array of outcomes");
        else
            is_valid = read_finishes(&members.values[LEASE_COMPLETE], LEASE_NAMES[LEASE_COMPLETE],
                                     issues, ret_finishes, &ret_lease->finish_count);
    }
    return result_of(is_valid && members.is_valid);
}

enum lease_spec_result
finish_spec_read_list(struct slice body, uint32_t depth_max, struct issue_list *issues,
                      struct json_reader *ret_reader,
                      struct finish_spec ret_finishes[LEASE_SPEC_FINISH_COUNT_MAX],
                      uint32_t *ret_count)
{
    struct members members;
    bool is_valid;

    members_init(&members, LIST_NAMES, ARRAY_COUNT(LIST_NAMES), issues, ISSUE_NO_INDEX);
    if (members_read_document(&members, body, depth_max, ret_reader) != JSON_OK)
        return LEASE_SPEC_BAD_JSON;
    if (!members.is_valid || !members_require(&members, 0, "array"))
        return LEASE_SPEC_INVALID;
    if (members.values[0].type != JSON_ARRAY) {
        members_refuse(&members, 0, "must be an array of outcomes");
        return LEASE_SPEC_INVALID;
    }
    is_valid = read_finishes(&members.values[0], LIST_NAMES[0], issues, ret_finishes, ret_count);
    if (is_valid && *ret_count == 0) {
        members_refuse(&members, 0, "must have at least one outcome");
        return LEASE_SPEC_INVALID;
    }
    return result_of(is_valid);
}

enum lease_spec_result finish_spec_read(struct slice body, uint32_t depth_max, bool is_failure,
                                        struct issue_list *issues, struct json_reader *ret_reader,
                                        struct finish_spec *ret_finish)
{
    bool is_valid = false;
    enum json_result r;

    json_reader_init(ret_reader, body, depth_max);
    r = read_finish(ret_reader, is_failure ? &FAILURE : &COMPLETION, ISSUE_NO_INDEX, issues,
                    ret_finish, &is_valid);
    if (r == JSON_OK)
        r = json_reader_finish(ret_reader);
    return r == JSON_OK ? result_of(is_valid) : LEASE_SPEC_BAD_JSON;
}

enum lease_spec_result extend_spec_read(struct slice body, uint32_t depth_max,
                                        struct issue_list *issues, struct json_reader *ret_reader,
                                        struct extend_spec *ret_extend)
{
    struct members members;

    *ret_extend = (struct extend_spec){0};
    members_init(&members, EXTEND_NAMES, ARRAY_COUNT(EXTEND_NAMES), issues, ISSUE_NO_INDEX);
    if (members_read_document(&members, body, depth_max, ret_reader) != JSON_OK)
        return LEASE_SPEC_BAD_JSON;
    check_epoch(&members, EXTEND_EPOCH, &ret_extend->epoch);
    check_lease_ms(&members, EXTEND_SECONDS, &ret_extend->lease_ms);
    if (members_has(&members, EXTEND_PROGRESS)) {
        ret_extend->progress = members.values[EXTEND_PROGRESS].raw;
        if (ret_extend->progress.size > LEASE_SPEC_PROGRESS_SIZE_MAX)
            members_refuse(&members, EXTEND_PROGRESS, "must be JSON of at most 1024 bytes");
    }
    return result_of(members.is_valid);
}
