#include "actors/incident_routes.h"

#include "actors/reader.h"
#include "store/incident_record.h"

/*
 * Reading only: what changes an incident is in incident_change_routes.h. An id is handed on as
 * it is; one that cannot be an id is not found, like any other that nobody has.
 */

enum {
    LIST_STATUS = READER_PAGE_PARAMETER_COUNT,
    LIST_SEVERITY,
    LIST_ENVIRONMENT,
    LIST_FROM,
    LIST_TO,
    LIST_FINGERPRINT,
    LIST_PROJECT,
    LIST_COUNT,
};

#define OPTION(name, text) SLICE_INITIALIZER(text),
static const struct slice STATUSES[] = {INCIDENT_STATUSES(OPTION)};
static const struct slice SEVERITIES[] = {INCIDENT_SEVERITIES(OPTION)};
static const struct slice ENVIRONMENTS[] = {EVENT_ENVIRONMENTS(OPTION)};
#undef OPTION

static const struct parameter LIST[] = {
    READER_PAGE_PARAMETERS,
    [LIST_STATUS] = {PARAMETER_NAME("status"), PARAMETER_SET, STATUSES, ARRAY_COUNT(STATUSES),
                     .rule = "must be of open, investigating and resolved"},
    [LIST_SEVERITY] = {PARAMETER_NAME("severity"), PARAMETER_SET, SEVERITIES,
                       ARRAY_COUNT(SEVERITIES), .rule = "must be of warn, error and critical"},
    [LIST_ENVIRONMENT] = {PARAMETER_NAME("environment"), PARAMETER_SET, ENVIRONMENTS,
                          ARRAY_COUNT(ENVIRONMENTS), .rule = "must be of prod, staging and dev"},
    [LIST_FROM] = {PARAMETER_NAME("from"), PARAMETER_TIME, .rule = "must be a date-time"},
    [LIST_TO] = {PARAMETER_NAME("to"), PARAMETER_TIME, .rule = "must be a date-time"},
    [LIST_FINGERPRINT] = {PARAMETER_NAME("fingerprint"), PARAMETER_TEXT, .min = 1,
                          .max = FINGERPRINT_SIZE_MAX, .rule = "must be 1 to 512 bytes of text"},
    [LIST_PROJECT] = READER_PROJECT_PARAMETER,
};

static const struct reader_parameters LIST_PARAMETERS = {LIST, LIST_COUNT, .has_page = true};
static const struct reader_parameters GET_PARAMETERS = {NULL, 0, .has_page = false};
static const struct reader_parameters EVENTS_PARAMETERS = {LIST, READER_PAGE_PARAMETER_COUNT,
                                                           .has_page = true};

static_assert(ARRAY_COUNT(LIST) == LIST_COUNT, "one for each");

int incident_list_on_request(struct exchange *x)
{
    struct parameter_value values[LIST_COUNT];
    struct reader_request *request;
    int r = reader_begin(x, READ_INCIDENTS, &LIST_PARAMETERS, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (values[LIST_FROM].is_given && values[LIST_TO].is_given &&
        values[LIST_FROM].number >= values[LIST_TO].number)
        return reader_refuse(x, &LIST[LIST_TO], "must be after from");
    request->query.incidents = (struct read_incidents){
        .statuses = (uint32_t)values[LIST_STATUS].number,
        .severities = (uint32_t)values[LIST_SEVERITY].number,
        .environments = (uint32_t)values[LIST_ENVIRONMENT].number,
        .since_ms = values[LIST_FROM].number,
        .until_ms = values[LIST_TO].number,
        .fingerprint = values[LIST_FINGERPRINT].text,
    };
    reader_restrict(request, &values[LIST_PROJECT]);
    return reader_submit(x);
}

/* Asks about the incident that the path names. */
static int ask_one(struct exchange *x, enum read_query_type type,
                   const struct reader_parameters *parameters)
{
    struct parameter_value values[READER_PAGE_PARAMETER_COUNT];
    struct reader_request *request;
    int r = reader_begin(x, type, parameters, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (!parameters->has_page)
        request->query.limit = READ_INCIDENT_EVENTS_MAX;
    request->query.incident.id = reader_keep_id(request, x->params[0]);
    return reader_submit(x);
}

int incident_get_on_request(struct exchange *x)
{
    return ask_one(x, READ_INCIDENT, &GET_PARAMETERS);
}

int incident_events_on_request(struct exchange *x)
{
    return ask_one(x, READ_INCIDENT_EVENTS, &EVENTS_PARAMETERS);
}
