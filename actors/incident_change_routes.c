#include "actors/incident_change_routes.h"

#include "actors/app.h"
#include "actors/errand_routes.h"

/*
 * A change is an errand to the shard that keeps the project's incidents, which writes the
 * answer's JSON.
 */

enum { INCIDENT_BODY_SIZE_MAX = 4096 };

int incident_change_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_INGEST, JOB_NEEDS_RESERVE, INCIDENT_BODY_SIZE_MAX,
                          INCIDENT_BODY_SIZE_MAX);
}

int incident_rules_get_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_READ, JOB_NEEDS_NOTHING, 0, 0);
}

int incident_rules_put_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_ADMIN, JOB_NEEDS_RESERVE, INCIDENT_BODY_SIZE_MAX,
                          INCIDENT_BODY_SIZE_MAX);
}

/* A request of the caller's project. EXCHANGE_READ_BODY, or what was answered. */
static int begin(struct exchange *x, enum incident_operation operation,
                 struct incident_request **ret_request)
{
    struct incident_request *request = incident_request_acquire(&app_shard_of(x)->incidents, x);
    const struct record_key *key = errand_note_of(x)->job.auth.key;
    int r = errand_take(x, request != NULL ? &request->errand : NULL);

    if (r != EXCHANGE_READ_BODY)
        return r;
    request->operation = (uint8_t)operation;
    request->actor_size = sizeof(key->id);
    memcpy(request->actor, key->id, sizeof(key->id));
    *ret_request = request;
    return r;
}

static int submit(struct incident_request *request)
{
    incident_request_submit(request);
    return EXCHANGE_PENDING;
}

static int change(struct exchange *x, struct job_id id, enum incident_status status)
{
    struct incident_request *request;
    int r = begin(x, INCIDENT_MOVE, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    request->id = id;
    request->status = (uint8_t)status;
    return submit(request);
}

int incident_change_on_request(struct exchange *x)
{
    struct slice names[INCIDENT_STATUS_COUNT];
    struct issue_list issues;
    struct json_reader reader;
    struct job_id id;
    uint32_t status = 0;

    for (uint32_t i = 0; i < INCIDENT_STATUS_COUNT; i++)
        names[i] = incident_status_name(i);
    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (
        incident_spec_read_status(x->body, names, ARRAY_COUNT(names), &issues, &reader, &status)) {
    case INCIDENT_SPEC_OK:
        break;
    case INCIDENT_SPEC_INVALID: {
        struct exchange_problem_options options = {.issues = &issues};

        return exchange_problem(x, PROBLEM_UNPROCESSABLE, &options);
    }
    case INCIDENT_SPEC_BAD_JSON:
        return job_refuse_json(x, &reader);
    }
    /* An id that is none, or of another kind, is simply not there. */
    if (!job_id_parse(x->params[0], &id))
        return exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
    return change(x, id, (enum incident_status)status);
}

int incident_rules_get_on_request(struct exchange *x)
{
    struct incident_request *request;
    int r = begin(x, INCIDENT_GET_RULES, &request);

    return r == EXCHANGE_READ_BODY ? submit(request) : r;
}

int incident_rules_put_on_request(struct exchange *x)
{
    struct incident_rules_spec spec;
    struct issue_list issues;
    struct exchange_problem_options options = {.issues = &issues};
    struct incident_request *request;
    struct json_reader reader;
    int r;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (incident_spec_read_rules(x->body, &issues, &reader, &spec)) {
    case INCIDENT_SPEC_OK:
        break;
    case INCIDENT_SPEC_INVALID:
        return exchange_problem(x, PROBLEM_UNPROCESSABLE, &options);
    case INCIDENT_SPEC_BAD_JSON:
        return job_refuse_json(x, &reader);
    }
    r = begin(x, INCIDENT_PUT_RULES, &request);
    if (r != EXCHANGE_READ_BODY)
        return r;
    request->spec = spec;
    return submit(request);
}

/* What a problem's own words do not say; may be empty. */
static struct slice detail_of(enum problem_code code)
{
    if (code == PROBLEM_UNPROCESSABLE)
        return SLICE_LITERAL("the percentages are out of order: those of an error must "
                             "lie between the first and the critical ones");
    if (code == PROBLEM_QUOTA_EXCEEDED)
        return SLICE_LITERAL("the server has rules for all the projects it can");
    return (struct slice){NULL, 0};
}

int incident_change_on_reply(struct exchange *x, const struct message *msg)
{
    const struct errand *errand = errand_of_answer(x, msg);

    if (errand == NULL)
        return EXCHANGE_PENDING;
    if (errand->code == PROBLEM_NONE)
        return errand_answer(x, 200);
    return errand_answer_problem(x, detail_of((enum problem_code)errand->code));
}
