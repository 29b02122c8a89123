#include "actors/ai_routes.h"

#include "actors/reader.h"
#include "store/ai_run_record.h"
#include "store/job_record.h"

/*
 * Both systems' words for what becomes of a job are the same five for a run; which states of
 * ours they mean differs, and is in two tables.
 */

enum {
    LIST_INCIDENT = READER_PAGE_PARAMETER_COUNT,
    LIST_PROJECT,
    LIST_STATUS, /* last: the activity has none */
    LIST_COUNT,
};

static const struct slice RUN_STATUSES[] = {
    SLICE_INITIALIZER("queued"), SLICE_INITIALIZER("running"), SLICE_INITIALIZER("succeeded"),
    SLICE_INITIALIZER("failed"), SLICE_INITIALIZER("cancelled")};

/* The same words mean states of runs and of jobs. */
static const uint32_t RUN_STATES[] = {1u << AI_RUN_QUEUED, 1u << AI_RUN_RUNNING,
                                      1u << AI_RUN_SUCCEEDED, 1u << AI_RUN_FAILED,
                                      1u << AI_RUN_CANCELLED};
static const uint32_t JOB_STATES[] = {1u << JOB_SCHEDULED | 1u << JOB_WAITING | 1u << JOB_QUEUED,
                                      1u << JOB_LEASED, 1u << JOB_COMPLETED, 1u << JOB_DEAD,
                                      1u << JOB_CANCELLED};

static_assert(ARRAY_COUNT(RUN_STATES) == ARRAY_COUNT(RUN_STATUSES), "one for each");
static_assert(ARRAY_COUNT(JOB_STATES) == ARRAY_COUNT(RUN_STATUSES), "one for each");

static const struct parameter LIST[] = {
    READER_PAGE_PARAMETERS,
    [LIST_INCIDENT] = {PARAMETER_NAME("incident_id"), PARAMETER_TEXT, .min = UUID_TEXT_SIZE,
                       .max = UUID_TEXT_SIZE, .rule = "must be the id of an incident"},
    [LIST_PROJECT] = READER_PROJECT_PARAMETER,
    [LIST_STATUS] = {PARAMETER_NAME("status"), PARAMETER_SET, RUN_STATUSES,
                     ARRAY_COUNT(RUN_STATUSES),
                     .rule = "must be of queued, running, succeeded, failed and cancelled"},
};

static const struct parameter STATS[] = {READER_PROJECT_PARAMETER};

static const struct reader_parameters LIST_PARAMETERS = {LIST, LIST_COUNT, .has_page = true};
static const struct reader_parameters ACTIVITY_PARAMETERS = {LIST, LIST_STATUS, .has_page = true};
static const struct reader_parameters STATS_PARAMETERS = {STATS, ARRAY_COUNT(STATS),
                                                          .has_page = false};
static const struct reader_parameters RUN_PARAMETERS = {NULL, 0, .has_page = false};

/* The states that the words of mask mean. */
static uint32_t states_of(uint64_t mask, const uint32_t states[])
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < ARRAY_COUNT(RUN_STATUSES); i++)
        if ((mask >> i & 1) != 0)
            found |= states[i];
    return found;
}

static int ask_list(struct exchange *x, enum read_query_type type,
                    const struct reader_parameters *parameters, const uint32_t states[])
{
    struct parameter_value values[LIST_COUNT] = {{.is_given = false}};
    struct reader_request *request;
    uint8_t id[UUID_SIZE];
    int r = reader_begin(x, type, parameters, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (values[LIST_INCIDENT].is_given && !uuid_parse(values[LIST_INCIDENT].text, id))
        return reader_refuse(x, &LIST[LIST_INCIDENT], LIST[LIST_INCIDENT].rule);
    request->query.ai = (struct read_ai){
        .incident_id = values[LIST_INCIDENT].text,
        .states = states_of(values[LIST_STATUS].number, states),
    };
    reader_restrict(request, &values[LIST_PROJECT]);
    return reader_submit(x);
}

int ai_runs_on_request(struct exchange *x)
{
    return ask_list(x, READ_AI_RUNS, &LIST_PARAMETERS, RUN_STATES);
}

int ai_activity_on_request(struct exchange *x)
{
    return ask_list(x, READ_AI_ACTIVITY, &ACTIVITY_PARAMETERS, RUN_STATES);
}

int ai_jobs_on_request(struct exchange *x)
{
    return ask_list(x, READ_AI_JOBS, &LIST_PARAMETERS, JOB_STATES);
}

int ai_run_on_request(struct exchange *x)
{
    struct parameter_value values[1];
    struct reader_request *request;
    int r = reader_begin(x, READ_AI_RUN, &RUN_PARAMETERS, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    request->query.ai.id = reader_keep_id(request, x->params[0]);
    return reader_submit(x);
}

int ai_stats_on_request(struct exchange *x)
{
    struct parameter_value values[ARRAY_COUNT(STATS)];
    struct reader_request *request;
    int r = reader_begin(x, READ_AI_STATS, &STATS_PARAMETERS, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    reader_restrict(request, &values[0]);
    return reader_submit(x);
}
