#include "actors/metrics_routes.h"

#include "actors/reader.h"

enum { TRENDS_METRIC, TRENDS_PERIOD, TRENDS_ENVIRONMENT, TRENDS_PROJECT, TRENDS_COUNT };

static const struct slice METRICS[] = {SLICE_INITIALIZER("errors"), SLICE_INITIALIZER("signups")};
static const enum event_type METRIC_TYPES[] = {EVENT_TYPE_ERROR, EVENT_TYPE_SIGNUP};
static const struct slice PERIODS[] = {SLICE_INITIALIZER("1h"), SLICE_INITIALIZER("24h"),
                                       SLICE_INITIALIZER("7d")};

enum { PERIOD_DEFAULT = 1 };

static const struct {
    uint64_t step_ms;
    uint32_t step_count;
} STEPS[] = {{60000, 60}, {3600000, 24}, {3600000, 168}};

static_assert(ARRAY_COUNT(STEPS) == ARRAY_COUNT(PERIODS), "one for each");
static_assert(ARRAY_COUNT(METRIC_TYPES) == ARRAY_COUNT(METRICS), "one for each");

#define OPTION(name, text) SLICE_INITIALIZER(text),
static const struct slice ENVIRONMENTS[] = {EVENT_ENVIRONMENTS(OPTION)};
#undef OPTION

static const struct parameter TRENDS[] = {
    [TRENDS_METRIC] = {PARAMETER_NAME("metric"), PARAMETER_CHOICE, METRICS, ARRAY_COUNT(METRICS),
                       .rule = "must be errors or signups"},
    [TRENDS_PERIOD] = {PARAMETER_NAME("period"), PARAMETER_CHOICE, PERIODS, ARRAY_COUNT(PERIODS),
                       .rule = "must be 1h, 24h or 7d"},
    [TRENDS_ENVIRONMENT] = {PARAMETER_NAME("environment"), PARAMETER_SET, ENVIRONMENTS,
                            ARRAY_COUNT(ENVIRONMENTS), .rule = "must be of prod, staging and dev"},
    [TRENDS_PROJECT] = READER_PROJECT_PARAMETER,
};

static const struct parameter OVERVIEW[] = {READER_PROJECT_PARAMETER};

static const struct reader_parameters TRENDS_PARAMETERS = {TRENDS, TRENDS_COUNT, .has_page = false};
static const struct reader_parameters OVERVIEW_PARAMETERS = {OVERVIEW, ARRAY_COUNT(OVERVIEW),
                                                             .has_page = false};

int metrics_overview_on_request(struct exchange *x)
{
    struct parameter_value values[ARRAY_COUNT(OVERVIEW)];
    struct reader_request *request;
    int r = reader_begin(x, READ_OVERVIEW, &OVERVIEW_PARAMETERS, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    reader_restrict(request, &values[0]);
    return reader_submit(x);
}

int metrics_trends_on_request(struct exchange *x)
{
    struct parameter_value values[TRENDS_COUNT];
    struct reader_request *request;
    uint64_t metric, period, step_ms, to_ms;
    int r = reader_begin(x, READ_TRENDS, &TRENDS_PARAMETERS, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    metric = values[TRENDS_METRIC].number;
    period = values[TRENDS_PERIOD].is_given ? values[TRENDS_PERIOD].number : PERIOD_DEFAULT;
    step_ms = STEPS[period].step_ms;
    to_ms = (request->query.now_ms / step_ms + 1) * step_ms;
    assert(to_ms > STEPS[period].step_count * step_ms);
    request->query.trends = (struct read_trends){
        .event_type = METRIC_TYPES[metric],
        .from_ms = to_ms - STEPS[period].step_count * step_ms,
        .to_ms = to_ms,
        .step_ms = step_ms,
        .environments = (uint32_t)values[TRENDS_ENVIRONMENT].number,
        .metric = METRICS[metric],
        .period = PERIODS[period],
    };
    reader_restrict(request, &values[TRENDS_PROJECT]);
    return reader_submit(x);
}
