#include "actors/incident_change_routes.h"

#include "actors/app.h"
#include "actors/job_routes_internals.h"
#include "actors/message_types.h"
#include "contracts/incident_spec.h"

/*
 * Who may come in and what a body looks like is decided as for jobs (job_routes.c); the rest is
 * a request to the shard that keeps the project's incidents, which writes the answer's JSON.
 */

enum { INCIDENT_BODY_SIZE_MAX = 4096 };

/* What these routes keep in an exchange. */
struct incident_note {
    struct job_note job; /* auth, for job_check_head() */
    struct incident_request *request;
};

static_assert(offsetof(struct incident_note, job) == 0, "job_routes.c finds its own there");

static struct incident_note *note_of(struct exchange *x)
{
    return EXCHANGE_NOTE(x, struct incident_note);
}

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

/* A request of the caller's project, in the note. EXCHANGE_READ_BODY, or what was answered. */
static int begin(struct exchange *x, enum incident_operation operation)
{
    struct incident_note *note = note_of(x);
    const struct record_key *key = note->job.auth.key;
    struct slice org = key_org(key), project = key_project(key);
    struct incident_request *request = incident_request_acquire(&app_shard_of(x)->incidents, x);

    if (request == NULL)
        return job_refuse_overloaded(x);
    note->request = request;
    request->operation = (uint8_t)operation;
    request->org_size = (uint8_t)org.size;
    request->project_size = (uint8_t)project.size;
    request->actor_size = sizeof(key->id);
    memcpy(request->org, org.data, org.size);
    memcpy(request->project, project.data, project.size);
    memcpy(request->actor, key->id, sizeof(key->id));
    return EXCHANGE_READ_BODY;
}

static int submit(struct exchange *x)
{
    incident_request_submit(note_of(x)->request);
    return EXCHANGE_PENDING;
}

static int change(struct exchange *x, struct job_id id, enum incident_status status)
{
    int r = begin(x, INCIDENT_MOVE);

    if (r != EXCHANGE_READ_BODY)
        return r;
    note_of(x)->request->id = id;
    note_of(x)->request->status = (uint8_t)status;
    return submit(x);
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
    int r = begin(x, INCIDENT_GET_RULES);

    return r == EXCHANGE_READ_BODY ? submit(x) : r;
}

int incident_rules_put_on_request(struct exchange *x)
{
    struct incident_rules_spec spec;
    struct issue_list issues;
    struct exchange_problem_options options = {.issues = &issues};
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
    r = begin(x, INCIDENT_PUT_RULES);
    if (r != EXCHANGE_READ_BODY)
        return r;
    note_of(x)->request->spec = spec;
    return submit(x);
}

static int answer_refusal(struct exchange *x, const struct incident_request *request)
{
    struct exchange_problem_options options = {0};
    enum problem_code code = (enum problem_code)request->code;

    if (problem_status(code) == 503)
        options.retry_after_s = INTAKE_RETRY_AFTER_S;
    if (code == PROBLEM_UNPROCESSABLE)
        options.detail = SLICE_LITERAL("the percentages are out of order: those of an error must "
                                       "lie between the first and the critical ones");
    if (code == PROBLEM_QUOTA_EXCEEDED)
        options.detail = SLICE_LITERAL("the server has rules for all the projects it can");
    return exchange_problem(x, code, &options);
}

int incident_change_on_reply(struct exchange *x, const struct message *msg)
{
    struct incident_note *note = note_of(x);
    struct incident_request *request = note->request;
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    int r;

    if (msg->type != MSG_INCIDENT_ANSWER || request == NULL)
        return EXCHANGE_PENDING;
    if (request->code != PROBLEM_NONE) {
        r = answer_refusal(x, request);
    } else {
        response.body = request->answer;
        r = exchange_respond(x, &response);
    }
    incident_request_release(&note->request);
    return r;
}

void incident_change_on_abandon(struct exchange *x)
{
    struct incident_note *note = note_of(x);

    if (note->request != NULL)
        incident_request_release(&note->request);
}
