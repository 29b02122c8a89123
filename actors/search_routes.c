#include "actors/search_routes.h"

#include "actors/reader.h"
#include "contracts/raw_event.h"

/*
 * A table of what may be asked, and one call that hands it on. Only what concerns two
 * parameters, or the words of one, is checked here.
 */

enum {
    SEARCH_TEXT = READER_PAGE_PARAMETER_COUNT,
    SEARCH_ENVIRONMENT,
    SEARCH_TYPE,
    SEARCH_SEVERITY,
    SEARCH_FROM,
    SEARCH_TO,
    SEARCH_SORT,
    SEARCH_FACETS,
    SEARCH_HIGHLIGHT,
    SEARCH_PROJECT,
    SEARCH_COUNT,
};

#define OPTION(name, text) SLICE_INITIALIZER(text),
static const struct slice ENVIRONMENTS[] = {EVENT_ENVIRONMENTS(OPTION)};
static const struct slice TYPES[] = {EVENT_TYPES(OPTION)};
static const struct slice SEVERITIES[] = {EVENT_SEVERITIES(OPTION)};
#undef OPTION

static const struct slice SORTS[] = {[READ_NEWEST_FIRST] = SLICE_INITIALIZER("newest"),
                                     [READ_BEST_FIRST] = SLICE_INITIALIZER("relevance")};

static const struct parameter PARAMETERS[] = {
    READER_PAGE_PARAMETERS,
    [SEARCH_TEXT] = {PARAMETER_NAME("q"), PARAMETER_TEXT, .min = 0, .max = SEARCH_TEXT_SIZE_MAX,
                     .rule = "must be at most 512 bytes of text"},
    [SEARCH_ENVIRONMENT] = {PARAMETER_NAME("environment"), PARAMETER_SET, ENVIRONMENTS,
                            ARRAY_COUNT(ENVIRONMENTS), .rule = "must be of prod, staging and dev"},
    [SEARCH_TYPE] = {PARAMETER_NAME("event_type"), PARAMETER_SET, TYPES, ARRAY_COUNT(TYPES),
                     .rule = "must be of error, http_request, signup, deploy, feedback and custom"},
    [SEARCH_SEVERITY] = {PARAMETER_NAME("severity"), PARAMETER_SET, SEVERITIES,
                         ARRAY_COUNT(SEVERITIES),
                         .rule = "must be of debug, info, warn, error and critical"},
    [SEARCH_FROM] = {PARAMETER_NAME("from"), PARAMETER_TIME, .rule = "must be a date-time"},
    [SEARCH_TO] = {PARAMETER_NAME("to"), PARAMETER_TIME, .rule = "must be a date-time"},
    [SEARCH_SORT] = {PARAMETER_NAME("sort"), PARAMETER_CHOICE, SORTS, ARRAY_COUNT(SORTS),
                     .rule = "must be newest or relevance"},
    [SEARCH_FACETS] = {PARAMETER_NAME("facets"), PARAMETER_FLAG, .rule = "must be true or false"},
    [SEARCH_HIGHLIGHT] = {PARAMETER_NAME("highlight"), PARAMETER_FLAG,
                          .rule = "must be true or false"},
    [SEARCH_PROJECT] = READER_PROJECT_PARAMETER,
};

static const struct reader_parameters SEARCH_PARAMETERS = {PARAMETERS, SEARCH_COUNT,
                                                           .has_page = true};

static_assert(ARRAY_COUNT(PARAMETERS) == SEARCH_COUNT, "one for each");
static_assert(SEARCH_TEXT_SIZE_MAX == 512 && SEARCH_TERM_COUNT_MAX == 32, "the rules say so");

int search_events_on_request(struct exchange *x)
{
    struct search_term terms[SEARCH_TERM_COUNT_MAX];
    struct parameter_value values[SEARCH_COUNT];
    struct reader_request *request;
    int r = reader_begin(x, READ_SEARCH, &SEARCH_PARAMETERS, values, &request);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (search_text_read(values[SEARCH_TEXT].text, terms) > SEARCH_TERM_COUNT_MAX)
        return reader_refuse(x, &PARAMETERS[SEARCH_TEXT], "must be at most 32 words");
    if (values[SEARCH_FROM].is_given && values[SEARCH_TO].is_given &&
        values[SEARCH_FROM].number >= values[SEARCH_TO].number)
        return reader_refuse(x, &PARAMETERS[SEARCH_TO], "must be after from");
    request->query.search = (struct read_search){
        .text = values[SEARCH_TEXT].text,
        .environments = (uint32_t)values[SEARCH_ENVIRONMENT].number,
        .event_types = (uint32_t)values[SEARCH_TYPE].number,
        .severities = (uint32_t)values[SEARCH_SEVERITY].number,
        .from_ms = values[SEARCH_FROM].number,
        .to_ms = values[SEARCH_TO].number,
        .order = (enum read_order)values[SEARCH_SORT].number,
        .wants_facets = values[SEARCH_FACETS].number != 0,
        .wants_highlights = values[SEARCH_HIGHLIGHT].number != 0,
    };
    reader_restrict(request, &values[SEARCH_PROJECT]);
    return reader_submit(x);
}
