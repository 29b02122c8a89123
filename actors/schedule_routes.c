#include "actors/schedule_routes.h"

#include "actors/app.h"
#include "actors/errand_routes.h"
#include "contracts/json_string.h"
#include "http/url.h"

/*
 * What is asked for is an errand to the shard that keeps the project's schedules, which writes
 * the answer's JSON.
 */

enum {
    SCHEDULE_BODY_SIZE_MAX = SCHEDULE_SPEC_PAYLOAD_SIZE_MAX + 16384,
    SCHEDULE_LIMIT_DEFAULT = 20,
    SCHEDULE_LIMIT_MAX = 100,
};

int schedule_put_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_ADMIN, JOB_NEEDS_ROOM, SCHEDULE_BODY_SIZE_MAX,
                          SCHEDULE_BODY_SIZE_MAX);
}

int schedule_delete_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_ADMIN, JOB_NEEDS_RESERVE, 0, 0);
}

int schedule_look_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_READ, JOB_NEEDS_NOTHING, 0, 0);
}

/* A request of the caller's project. EXCHANGE_READ_BODY, or what was answered. */
static int begin(struct exchange *x, enum schedule_operation operation, struct slice name,
                 struct schedule_request **ret_request)
{
    struct schedule_request *request = schedule_request_acquire(&app_shard_of(x)->schedules, x);
    int r = errand_take(x, request != NULL ? &request->errand : NULL);

    if (r != EXCHANGE_READ_BODY)
        return r;
    request->operation = (uint8_t)operation;
    request->name_size = (uint8_t)name.size;
    if (name.size > 0)
        memcpy(request->name, name.data, name.size);
    *ret_request = request;
    return r;
}

static int submit(struct exchange *x, struct schedule_request *request)
{
    return schedule_request_submit(request) == 0 ? EXCHANGE_PENDING : errand_refuse_overloaded(x);
}

/* An operation on the schedule in the path. */
static int begin_named(struct exchange *x, enum schedule_operation operation)
{
    struct schedule_request *request;
    int r;

    if (!schedule_name_is_valid(x->params[0]))
        return exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
    r = begin(x, operation, x->params[0], &request);
    return r == EXCHANGE_READ_BODY ? submit(x, request) : r;
}

/* --- requests ----------------------------------------------------------------------- */

static int refuse_issues(struct exchange *x, const struct issue_list *issues)
{
    struct exchange_problem_options options = {.issues = issues};

    return exchange_problem(x, PROBLEM_INVALID_SCHEDULE, &options);
}

static int put(struct exchange *x, const struct schedule_spec *spec)
{
    struct slice key = {NULL, 0};
    struct schedule_request *request;
    char decoded[JOB_KEY_SIZE_MAX];
    bool fits;
    int r;

    if (spec->key.type != JSON_ABSENT) {
        fits = json_string_text(&spec->key, decoded, sizeof(decoded), &key);
        assert(fits);
    }
    r = begin(x, SCHEDULE_PUT, x->params[0], &request);
    if (r != EXCHANGE_READ_BODY)
        return r;
    if (schedule_request_take_spec(request, spec, key) < 0)
        return errand_refuse_overloaded(x);
    return submit(x, request);
}

int schedule_put_on_request(struct exchange *x)
{
    struct schedule_spec spec;
    struct issue_list issues;
    struct json_reader reader;

    if (!schedule_name_is_valid(x->params[0]))
        return job_refuse(x, SLICE_LITERAL("the name of a schedule is 1 to 64 characters of a-z, "
                                           "A-Z, 0-9, '.', '_' and '-'"));
    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (schedule_spec_read(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, &spec)) {
    case JOB_SPEC_OK:
        return put(x, &spec);
    case JOB_SPEC_INVALID:
        return refuse_issues(x, &issues);
    case JOB_SPEC_TRUNCATED:
    case JOB_SPEC_BAD_JSON:
        break;
    }
    return job_refuse_json(x, &reader);
}

int schedule_delete_on_request(struct exchange *x)
{
    return begin_named(x, SCHEDULE_DELETE);
}

int schedule_get_on_request(struct exchange *x)
{
    return begin_named(x, SCHEDULE_GET);
}

int schedule_list_on_request(struct exchange *x)
{
    uint64_t limit = SCHEDULE_LIMIT_DEFAULT, cursor = 0;
    struct schedule_request *request;
    int r;

    if (!url_query_number(x->request->query, SLICE_LITERAL("limit"), 1, SCHEDULE_LIMIT_MAX, &limit))
        return exchange_problem(x, PROBLEM_INVALID_PARAMETER, NULL);
    if (!url_query_number(x->request->query, SLICE_LITERAL("cursor"), 0, SCHEDULE_SLOT_COUNT_MAX,
                          &cursor))
        return exchange_problem(x, PROBLEM_INVALID_CURSOR, NULL);
    r = begin(x, SCHEDULE_LIST, (struct slice){NULL, 0}, &request);
    if (r != EXCHANGE_READ_BODY)
        return r;
    request->limit = (uint32_t)limit;
    request->cursor = (uint32_t)cursor;
    return submit(x, request);
}

/* --- answers ----------------------------------------------------------------------------- */

/* What only the owner could find wrong, in the shape of what is found on reading. */
static int answer_fault(struct exchange *x, enum schedule_fault fault)
{
    static const struct issue issues_of[] = {
        [SCHEDULE_FAULT_ZONE] = {.kind = ISSUE_RULE,
                                 .index = ISSUE_NO_INDEX,
                                 .key = {.type = JSON_STRING,
                                         .raw = SLICE_INITIALIZER("\"timezone\"")},
                                 .rule = SLICE_INITIALIZER("is no time zone that the server has")},
        [SCHEDULE_FAULT_NEVER] = {.kind = ISSUE_RULE,
                                  .index = ISSUE_NO_INDEX,
                                  .key = {.type = JSON_STRING,
                                          .raw = SLICE_INITIALIZER("\"cron\"")},
                                  .rule = SLICE_INITIALIZER("schedule is never due")},
    };
    struct issue_list issues;

    assert(fault == SCHEDULE_FAULT_ZONE || fault == SCHEDULE_FAULT_NEVER);
    issue_list_init(&issues);
    issue_list_add(&issues, &issues_of[fault]);
    return refuse_issues(x, &issues);
}

int schedule_on_reply(struct exchange *x, const struct message *msg)
{
    struct errand *errand = errand_of_answer(x, msg);
    const struct schedule_request *request;
    struct slice detail = {NULL, 0};
    enum schedule_fault fault;

    if (errand == NULL)
        return EXCHANGE_PENDING;
    request = schedule_request_of(errand);
    fault = (enum schedule_fault)request->fault;
    if (errand->code == PROBLEM_NONE)
        return errand_answer(x, request->is_new ? 201 : 200);
    if (errand->code == PROBLEM_INVALID_SCHEDULE) {
        errand_release(&errand_note_of(x)->errand);
        return answer_fault(x, fault);
    }
    if (errand->code == PROBLEM_QUOTA_EXCEEDED)
        detail = SLICE_LITERAL("the server has all the schedules or time zones it can");
    return errand_answer_problem(x, detail);
}
