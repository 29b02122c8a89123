#include "actors/errand_routes.h"

/*
 * The answer is in memory of the errand, so it is given back behind exchange_respond(), which
 * copies.
 */

static_assert(offsetof(struct errand_note, job) == 0, "job_routes.c finds its own there");

int errand_take(struct exchange *x, struct errand *errand)
{
    struct errand_note *note = errand_note_of(x);
    struct slice org = key_org(note->job.auth.key), project = key_project(note->job.auth.key);

    assert(note->errand == NULL);
    if (errand == NULL)
        return job_refuse_overloaded(x);
    note->errand = errand;
    errand->org_size = (uint8_t)org.size;
    errand->project_size = (uint8_t)project.size;
    memcpy(errand->org, org.data, org.size);
    memcpy(errand->project, project.data, project.size);
    return EXCHANGE_READ_BODY;
}

int errand_refuse_overloaded(struct exchange *x)
{
    errand_release(&errand_note_of(x)->errand);
    return job_refuse_overloaded(x);
}

struct errand *errand_of_answer(struct exchange *x, const struct message *msg)
{
    struct errand *errand = errand_note_of(x)->errand;

    if (errand == NULL || msg->type != errand->home->type->message_answer)
        return NULL;
    assert(errand->phase == ERRAND_DECIDED);
    return errand;
}

int errand_answer(struct exchange *x, uint32_t status)
{
    struct errand_note *note = errand_note_of(x);
    struct response response = {.status = status,
                                .content_type = SLICE_LITERAL("application/json"),
                                .body = note->errand->answer};
    int r;

    assert(note->errand->code == PROBLEM_NONE);
    r = exchange_respond(x, &response);
    errand_release(&note->errand);
    return r;
}

int errand_answer_problem(struct exchange *x, struct slice detail)
{
    struct errand_note *note = errand_note_of(x);
    enum problem_code code = (enum problem_code)note->errand->code;
    struct exchange_problem_options options = {.detail = detail};

    assert(code != PROBLEM_NONE);
    if (problem_status(code) == 503)
        options.retry_after_s = INTAKE_RETRY_AFTER_S;
    errand_release(&note->errand);
    return exchange_problem(x, code, &options);
}

void errand_on_abandon(struct exchange *x)
{
    struct errand_note *note = errand_note_of(x);

    if (note->errand != NULL)
        errand_release(&note->errand);
}
