#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "query_fixture.h"

/* Pages of incidents and one of them, numbers over time, and whose rows they are. */

static const int64_t NOON_MS = INT64_C(1736942400000); /* 2025-01-15T12:00:00Z */
static const int64_t MINUTE_MS = 60000;

static struct query_fixture fixture;

static void setup(void)
{
    query_fixture_init(&fixture);
}

static void teardown(void)
{
    query_fixture_deinit(&fixture);
}

TestSuite(sqlite_queries, .init = setup, .fini = teardown, .timeout = 60);

static void put(int64_t occurred_ms, enum event_type type, enum event_environment environment)
{
    struct read_event_row row = query_fixture_event(&fixture, occurred_ms, "m");

    row.type = type;
    row.environment = environment;
    query_fixture_put(&fixture, &row);
}

static void put_of_series(int64_t occurred_ms)
{
    struct read_event_row row = query_fixture_event(&fixture, occurred_ms, "m");

    row.series[0] = 1;
    row.series[1] = 2;
    query_fixture_put(&fixture, &row);
}

static enum read_result ask(const struct read_query *query)
{
    return query_fixture_ask(&fixture, query);
}

static bool is(const char *path, const char *raw)
{
    return query_fixture_is(&fixture, path, raw);
}

/* --- incidents --------------------------------------------------------------------- */

Test(sqlite_queries, gives_incidents_the_newest_first_page_by_page)
{
    struct read_query query = query_fixture_query(READ_INCIDENTS);
    uint32_t seen = 0;

    /* Three of each instant, so that the id decides among them. */
    for (uint64_t i = 0; i < 25; i++) {
        struct incident_image image =
            query_fixture_incident(i, NOON_MS + (int64_t)(i / 3) * MINUTE_MS);

        query_fixture_put_incident(&fixture, &image);
    }
    query.limit = 4;
    do {
        cr_assert(eq(int, ask(&query), READ_OK));
        seen += query_fixture_count(&fixture, "incidents");
        cr_assert(le(u32, seen, 25));
    } while (query_fixture_next(&fixture, &query));
    cr_expect(eq(u32, seen, 25));
    cr_expect(is("incidents/0/opened_at", "\"2025-01-15T12:00:00.000Z\""));
}

Test(sqlite_queries, shows_each_incident_once_while_others_come)
{
    struct read_query query = query_fixture_query(READ_INCIDENTS);
    uint32_t seen[40] = {0};
    uint64_t next = 20;

    for (uint64_t i = 0; i < 20; i++) {
        struct incident_image image = query_fixture_incident(i, NOON_MS + (int64_t)i);

        query_fixture_put_incident(&fixture, &image);
    }
    query.limit = 3;
    do {
        struct incident_image older = query_fixture_incident(next, NOON_MS - (int64_t)next);

        cr_assert(eq(int, ask(&query), READ_OK));
        for (uint32_t i = 0; i < query_fixture_count(&fixture, "incidents"); i++) {
            char path[64];

            snprintf(path, sizeof(path), "incidents/%u/opened_at", i);
            for (uint32_t n = 0; n < 20; n++) {
                char text[64];

                snprintf(text, sizeof(text), "\"2025-01-15T12:00:00.%03uZ\"", n);
                seen[n] += is(path, text);
            }
        }
        query_fixture_put_incident(&fixture, &older);
        next++;
        older = query_fixture_incident(next++, NOON_MS + 5);
        query_fixture_put_incident(&fixture, &older);
    } while (query_fixture_next(&fixture, &query) && next < 200);
    for (uint32_t n = 0; n < 20; n++)
        cr_expect(ge(u32, seen[n], 1), "%u", n);
    for (uint32_t n = 0; n < 20; n++)
        if (n != 5) /* where others came */
            cr_expect(eq(u32, seen[n], 1), "%u", n);
}

Test(sqlite_queries, filters_incidents_by_what_is_asked)
{
    struct read_query query = query_fixture_query(READ_INCIDENTS);
    struct incident_image image = query_fixture_incident(1, NOON_MS);

    query_fixture_put_incident(&fixture, &image);
    image = query_fixture_incident(2, NOON_MS + 1);
    image.header.status = INCIDENT_RESOLVED;
    image.header.resolved_ms = NOON_MS + 9;
    image.header.severity = INCIDENT_SEVERITY_CRITICAL;
    image.header.environment = EVENT_ENVIRONMENT_DEV;
    image.sections[INCIDENT_SECTION_FINGERPRINT] = SLICE_LITERAL("F|/y|dev");
    query_fixture_put_incident(&fixture, &image);

    query.incidents.statuses = 1u << INCIDENT_RESOLVED;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "incidents"), 1));
    cr_expect(is("incidents/0/status", "\"resolved\""));
    cr_expect(is("incidents/0/resolved_at", "\"2025-01-15T12:00:00.009Z\""));

    query.incidents = (struct read_incidents){.severities = 1u << INCIDENT_SEVERITY_ERROR};
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("incidents/0/severity", "\"error\""));
    cr_expect(is("incidents/0/resolved_at", "null"));

    query.incidents = (struct read_incidents){.environments = 1u << EVENT_ENVIRONMENT_DEV};
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "incidents"), 1));

    query.incidents = (struct read_incidents){.fingerprint = SLICE_LITERAL("F|/y|dev")};
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("incidents/0/environment", "\"dev\""));

    query.incidents = (struct read_incidents){.since_ms = (uint64_t)NOON_MS + 1,
                                              .until_ms = (uint64_t)NOON_MS + 2};
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "incidents"), 1));
    query.incidents.until_ms = (uint64_t)NOON_MS + 1;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "incidents"), 0));
}

/* The id of query_fixture_incident(number, opened_ms) as text. */
static struct slice id_of(uint64_t number, int64_t opened_ms, char text[UUID_TEXT_SIZE])
{
    struct incident_image image = query_fixture_incident(number, opened_ms);

    job_id_format(incident_image_id(&image.header, 3), text);
    return (struct slice){text, UUID_TEXT_SIZE};
}

Test(sqlite_queries, gives_an_incident_with_its_events_and_its_timeline)
{
    struct read_query query = query_fixture_query(READ_INCIDENT);
    struct incident_image image = query_fixture_incident(1, NOON_MS);
    char id[UUID_TEXT_SIZE];

    put_of_series(NOON_MS - 5 * MINUTE_MS - 1); /* before its window */
    put_of_series(NOON_MS - 5 * MINUTE_MS);
    put_of_series(NOON_MS);
    put(NOON_MS, EVENT_TYPE_ERROR, EVENT_ENVIRONMENT_PROD); /* of another series */
    query_fixture_put_incident(&fixture, &image);
    image.header.revision = 2;
    image.header.status = INCIDENT_RESOLVED;
    image.header.resolved_ms = NOON_MS + MINUTE_MS;
    image.header.changed_ms = NOON_MS + MINUTE_MS;
    image.header.cause = INCIDENT_CAUSE_CHANGED;
    image.sections[INCIDENT_SECTION_ACTOR] = SLICE_LITERAL("key-7");
    query_fixture_put_incident(&fixture, &image);
    put_of_series(NOON_MS + MINUTE_MS);
    put_of_series(NOON_MS + MINUTE_MS + 1); /* after it was resolved */

    query.incident.id = id_of(1, NOON_MS, id);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("status", "\"resolved\""));
    cr_expect(is("incident/status", "\"resolved\""));
    cr_expect(is("baseline", "1.5"));
    cr_expect(is("ai_summary", "null"));
    cr_expect(eq(u32, query_fixture_count(&fixture, "events"), 3));
    cr_expect(is("events/0/occurred_at", "\"2025-01-15T12:01:00.000Z\""));
    cr_expect(is("events/0/attributes/error_code", "\"E\""));
    cr_expect(is("events_next_cursor", "null"));
    cr_expect(eq(u32, query_fixture_count(&fixture, "timeline"), 2));
    cr_expect(is("timeline/0/event", "\"opened\""));
    cr_expect(is("timeline/0/actor", "null"));
    cr_expect(is("timeline/1/event", "\"status_changed\""));
    cr_expect(is("timeline/1/actor", "\"key-7\""));
}

Test(sqlite_queries, goes_on_with_the_events_of_an_incident_where_its_detail_ends)
{
    struct read_query query = query_fixture_query(READ_INCIDENT);
    struct incident_image image = query_fixture_incident(1, NOON_MS);
    struct slice cursor;
    char id[UUID_TEXT_SIZE];

    for (int i = 0; i < 7; i++)
        put_of_series(NOON_MS + i);
    query_fixture_put_incident(&fixture, &image);
    query.incident.id = id_of(1, NOON_MS, id);
    query.limit = 4;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "events"), 4));
    cursor = query_fixture_at(&fixture, "events_next_cursor");
    memcpy(fixture.cursor, cursor.data + 1, cursor.size - 2);
    query.cursor = (struct slice){fixture.cursor, cursor.size - 2};
    query.type = READ_INCIDENT_EVENTS;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "events"), 3));
    cr_expect(is("events/2/occurred_at", "\"2025-01-15T12:00:00.000Z\""));
    cr_expect(is("next_cursor", "null"));
}

Test(sqlite_queries, gives_a_brief_of_an_incident_with_the_count_of_all_its_events)
{
    struct read_query query = query_fixture_query(READ_INCIDENT_BRIEF);
    struct incident_image image = query_fixture_incident(1, NOON_MS);
    char id[UUID_TEXT_SIZE];

    for (int i = 0; i < 7; i++)
        put_of_series(NOON_MS + i);
    query_fixture_put_incident(&fixture, &image);
    query.incident.id = id_of(1, NOON_MS, id);
    query.limit = 2;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("event_count", "7"));
    cr_expect(eq(u32, query_fixture_count(&fixture, "events"), 2));
    cr_expect(is("incident/title", "\"Error spike: E on /x\""));
}

/* In the order of time number 0 is the first; in that of the logs they are all over the place. */
static void put_in_segment(uint32_t number)
{
    struct read_event_row row = query_fixture_event(&fixture, NOON_MS + number, "boom");
    uint32_t log = number % 2 == 0 ? 200 : 1; /* ids of the upper half are below 0 */
    uint64_t seq = 1 + (uint64_t)number * 7 % 5;

    row.location = journal_location_make(log, seq, 4096 + 8 * (uint64_t)number);
    row.series[0] = 1;
    row.series[1] = 2;
    query_fixture_put(&fixture, &row);
}

Test(sqlite_queries, finds_the_events_of_an_incident_in_all_segments_of_all_logs)
{
    struct read_query query = query_fixture_query(READ_INCIDENT_EVENTS);
    struct incident_image image = query_fixture_incident(1, NOON_MS);
    uint32_t seen = 0;
    char id[UUID_TEXT_SIZE];

    for (uint32_t i = 0; i < 40; i++)
        put_in_segment(i);
    query_fixture_put_incident(&fixture, &image);
    query.incident.id = id_of(1, NOON_MS, id);
    query.limit = 7;
    do {
        uint32_t count;

        cr_assert(eq(int, ask(&query), READ_OK));
        count = query_fixture_count(&fixture, "events");
        for (uint32_t i = 0; i < count; i++) {
            char path[64], wanted[64];

            snprintf(path, sizeof(path), "events/%u/occurred_at", i);
            snprintf(wanted, sizeof(wanted), "\"2025-01-15T12:00:00.%03uZ\"", 39 - seen++);
            cr_assert(is(path, wanted), "%s: %s", path, wanted);
        }
    } while (query_fixture_next(&fixture, &query) && seen < 100);
    cr_assert(eq(u32, seen, 40));
    query.type = READ_INCIDENT_BRIEF;
    query.cursor = (struct slice){NULL, 0};
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_assert(is("event_count", "40"));
}

Test(sqlite_queries, does_not_know_an_incident_that_is_not_there)
{
    struct read_query query = query_fixture_query(READ_INCIDENT);
    char id[UUID_TEXT_SIZE];

    query.incident.id = id_of(1, NOON_MS, id);
    cr_expect(eq(int, ask(&query), READ_NOT_FOUND));
    query.incident.id = SLICE_LITERAL("22P02");
    cr_expect(eq(int, ask(&query), READ_NOT_FOUND));
    query.incident.id = SLICE_LITERAL("");
    cr_expect(eq(int, ask(&query), READ_NOT_FOUND));
}

/* --- cursors ----------------------------------------------------------------------- */

Test(sqlite_queries, refuses_a_cursor_that_is_not_of_this_question)
{
    struct read_query query = query_fixture_query(READ_INCIDENTS);

    for (uint64_t i = 0; i < 3; i++) {
        struct incident_image image = query_fixture_incident(i, NOON_MS);

        query_fixture_put_incident(&fixture, &image);
    }
    query.limit = 1;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_assert(query_fixture_next(&fixture, &query));
    cr_assert(eq(int, ask(&query), READ_OK));
    query.seal.filter++;
    cr_expect(eq(int, ask(&query), READ_BAD_CURSOR));
    query.seal.filter--;
    query.type = READ_AI_JOBS;
    cr_expect(eq(int, ask(&query), READ_BAD_CURSOR));
    query.type = READ_SEARCH;
    cr_expect(eq(int, ask(&query), READ_BAD_CURSOR));
    query.cursor = SLICE_LITERAL("x");
    cr_expect(eq(int, ask(&query), READ_BAD_CURSOR));
}

Test(sqlite_queries, cuts_a_page_that_does_not_fit_and_goes_on_behind_it)
{
    struct read_query query = query_fixture_query(READ_INCIDENTS);
    uint32_t seen = 0;

    for (uint64_t i = 0; i < 10; i++) {
        struct incident_image image = query_fixture_incident(i, NOON_MS);

        query_fixture_put_incident(&fixture, &image);
    }
    query.answer_max = 2500;
    do {
        cr_assert(eq(int, ask(&query), READ_OK));
        cr_expect(lt(u32, query_fixture_count(&fixture, "incidents"), 10));
        seen += query_fixture_count(&fixture, "incidents");
    } while (query_fixture_next(&fixture, &query) && seen < 100);
    cr_expect(eq(u32, seen, 10));
    query.cursor = (struct slice){NULL, 0};
    query.answer_max = 600;
    cr_expect(eq(int, ask(&query), READ_TOO_BIG));
}

/* --- tenants ----------------------------------------------------------------------- */

Test(sqlite_queries, shows_nothing_of_another_project)
{
    struct read_query query = query_fixture_query(READ_INCIDENT);
    struct incident_image image = query_fixture_incident(1, NOON_MS);
    struct read_event_row row = query_fixture_event(&fixture, NOON_MS, "canary");
    char id[UUID_TEXT_SIZE];

    image.sections[INCIDENT_SECTION_PROJECT] = SLICE_LITERAL("other");
    image.sections[INCIDENT_SECTION_TITLE] = SLICE_LITERAL("canary");
    query_fixture_put_incident(&fixture, &image);
    row.project = SLICE_LITERAL("other");
    row.series[0] = 1; /* as if two projects could have the same */
    row.series[1] = 2;
    query_fixture_put(&fixture, &row);
    image = query_fixture_incident(2, NOON_MS);
    query_fixture_put_incident(&fixture, &image);

    query.incident.id = id_of(1, NOON_MS, id);
    cr_expect(eq(int, ask(&query), READ_NOT_FOUND));
    query.type = READ_INCIDENT_EVENTS;
    cr_expect(eq(int, ask(&query), READ_NOT_FOUND));
    query.type = READ_INCIDENT_BRIEF;
    cr_expect(eq(int, ask(&query), READ_NOT_FOUND));
    for (enum read_query_type type = 0; type < READ_QUERY_TYPE_COUNT; type++) {
        query = query_fixture_query(type);
        if (type == READ_TRENDS)
            query.trends = (struct read_trends){.from_ms = 0, .to_ms = 60000, .step_ms = 60000};
        else if (type == READ_INCIDENT)
            query.incident.id = id_of(2, NOON_MS, id);
        query.now_ms = (uint64_t)NOON_MS + 1;
        if (ask(&query) == READ_OK)
            cr_expect(strstr(fixture.answer, "canary") == NULL, "%s", fixture.answer);
    }
    query = query_fixture_query(READ_SEARCH);
    query.search.text = SLICE_LITERAL("canary");
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("total", "0"));
    query.scope.project = SLICE_LITERAL("other");
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("total", "1"));
    query.scope.org = SLICE_LITERAL("p");
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("total", "0"));
}

/* --- numbers ----------------------------------------------------------------------- */

Test(sqlite_queries, counts_rates_by_the_time_that_has_passed)
{
    struct read_query query = query_fixture_query(READ_OVERVIEW);
    struct incident_image image = query_fixture_incident(1, NOON_MS);

    /* 60 errors in ten minutes, 3 signups; the project is ten minutes old. */
    for (int i = 0; i < 60; i++)
        put(NOON_MS + i * 10000, EVENT_TYPE_ERROR, (enum event_environment)(i % 3));
    for (int i = 0; i < 3; i++)
        put(NOON_MS + i, EVENT_TYPE_SIGNUP, EVENT_ENVIRONMENT_PROD);
    query_fixture_put_incident(&fixture, &image);
    query.now_ms = (uint64_t)(NOON_MS + 10 * MINUTE_MS);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("errors/total_last_24h", "60"));
    cr_expect(is("errors/rate_per_minute", "6"));
    cr_expect(is("signups/total_last_24h", "3"));
    cr_expect(is("signups/rate_per_hour", "3"));
    cr_expect(is("incidents/total", "1"));
    cr_expect(is("incidents/open", "1"));
    cr_expect(is("incidents/resolved_last_24h", "0"));
    cr_expect(is("ai/success_rate", "null"));

    /* Half a day on, the same errors are fewer in a minute; a day and a half on, none. */
    query.now_ms = (uint64_t)(NOON_MS + 12 * 60 * MINUTE_MS);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("errors/rate_per_minute", "0.08"));
    cr_expect(is("signups/rate_per_hour", "0.25"));
    query.now_ms = (uint64_t)(NOON_MS + 36 * 60 * MINUTE_MS);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("errors/total_last_24h", "0"));
    cr_expect(is("errors/rate_per_minute", "0"));
}

static struct read_query trends(int64_t from_ms, int64_t to_ms, int64_t step_ms)
{
    struct read_query query = query_fixture_query(READ_TRENDS);

    query.trends = (struct read_trends){
        .event_type = EVENT_TYPE_ERROR,
        .from_ms = (uint64_t)from_ms,
        .to_ms = (uint64_t)to_ms,
        .step_ms = (uint64_t)step_ms,
        .metric = SLICE_LITERAL("errors"),
        .period = SLICE_LITERAL("1h"),
    };
    return query;
}

Test(sqlite_queries, gives_a_trend_a_value_for_every_step)
{
    struct read_query query = trends(NOON_MS, NOON_MS + 60 * MINUTE_MS, MINUTE_MS);

    put(NOON_MS - 1, EVENT_TYPE_ERROR, EVENT_ENVIRONMENT_PROD); /* before */
    put(NOON_MS, EVENT_TYPE_ERROR, EVENT_ENVIRONMENT_PROD);
    put(NOON_MS + MINUTE_MS - 1, EVENT_TYPE_ERROR, EVENT_ENVIRONMENT_DEV);
    put(NOON_MS + 59 * MINUTE_MS, EVENT_TYPE_ERROR, EVENT_ENVIRONMENT_PROD);
    put(NOON_MS + 60 * MINUTE_MS, EVENT_TYPE_ERROR, EVENT_ENVIRONMENT_PROD); /* behind */
    put(NOON_MS, EVENT_TYPE_SIGNUP, EVENT_ENVIRONMENT_PROD);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("metric", "\"errors\""));
    cr_expect(eq(u32, query_fixture_count(&fixture, "data"), 60));
    cr_expect(is("data/0/timestamp", "\"2025-01-15T12:00:00.000Z\""));
    cr_expect(is("data/0/value", "2"));
    cr_expect(is("data/1/value", "0"));
    cr_expect(is("data/59/value", "1"));
    cr_expect(is("summary/total", "3"));
    cr_expect(is("summary/average", "0.05"));
    cr_expect(is("summary/max", "2"));
    cr_expect(is("summary/min", "0"));
    query.trends.environments = 1u << EVENT_ENVIRONMENT_DEV;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("summary/total", "1"));
}

Test(sqlite_queries, gives_a_trend_of_nothing_as_zeros)
{
    struct read_query query = trends(NOON_MS, NOON_MS + 24 * 60 * MINUTE_MS, 60 * MINUTE_MS);

    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "data"), 24));
    cr_expect(is("summary/total", "0"));
    cr_expect(is("summary/average", "0"));
}

/* --- models ------------------------------------------------------------------------ */

static void put_run(uint64_t number, enum ai_run_state state, uint64_t incident)
{
    static char incident_id[UUID_TEXT_SIZE];
    struct ai_run_image image = {
        .header = {.id_low = number + 1,
                   .created_ms = (uint64_t)NOON_MS + number,
                   .written_ms = (uint64_t)NOON_MS + number + 500,
                   .cost_micro_usd = 120,
                   .input_tokens = 1000,
                   .output_tokens = 50,
                   .revision = 1,
                   .confidence_ppm = AI_RUN_CONFIDENCE_UNKNOWN,
                   .state = (uint8_t)state,
                   .attempt_count = 1},
        .sections = {[AI_RUN_SECTION_ORG] = SLICE_LITERAL("o"),
                     [AI_RUN_SECTION_PROJECT] = SLICE_LITERAL("p"),
                     [AI_RUN_SECTION_KIND] = SLICE_LITERAL("incident.summarize"),
                     [AI_RUN_SECTION_INCIDENT] = id_of(incident, NOON_MS, incident_id),
                     [AI_RUN_SECTION_PROVIDER] = SLICE_LITERAL("local"),
                     [AI_RUN_SECTION_MODEL] = SLICE_LITERAL("m-1"),
                     [AI_RUN_SECTION_PROMPT] = SLICE_LITERAL("prompt-1"),
                     [AI_RUN_SECTION_SCHEMA] = SLICE_LITERAL("schema-1")},
    };
    struct read_run_row row = {&image, 3, SLICE_LITERAL("[{\"number\":1}]")};
    const struct read_backend_vtable *vtable = fixture.backend->vtable;

    if (state == AI_RUN_SUCCEEDED) {
        image.header.confidence_ppm = 800000;
        image.sections[AI_RUN_SECTION_OUTPUT] =
            SLICE_LITERAL("{\"title\":\"It broke\",\"impact\":\"all\",\"likely_causes\":[],"
                          "\"evidence\":[],\"next_steps\":[\"look\"],\"confidence\":0.8}");
    } else {
        image.header.error = AI_RUN_ERROR_SERVER;
        image.sections[AI_RUN_SECTION_ERROR] = SLICE_LITERAL("status 500");
    }
    cr_assert(eq(int, vtable->begin(fixture.backend), 0));
    cr_assert(eq(int, vtable->put_run(fixture.backend, &row), 0));
    cr_assert(eq(int, vtable->commit(fixture.backend), 0));
}

Test(sqlite_queries, has_one_success_rate_of_the_runs_that_have_ended)
{
    struct read_query query = query_fixture_query(READ_AI_STATS);

    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("success_rate", "null"));
    cr_expect(is("avg_confidence", "null"));
    put_run(1, AI_RUN_SUCCEEDED, 1);
    put_run(2, AI_RUN_SUCCEEDED, 1);
    put_run(3, AI_RUN_FAILED, 1);
    put_run(4, AI_RUN_QUEUED, 1);
    put_run(5, AI_RUN_CANCELLED, 1);
    query.now_ms = (uint64_t)NOON_MS + 1000;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("total_summaries", "2"));
    cr_expect(is("summaries_last_24h", "2"));
    cr_expect(is("success_rate", "66.7"));
    cr_expect(is("avg_confidence", "0.8"));
    cr_expect(is("cost_micro_usd", "600"));
    cr_expect(is("models_used/0/model", "\"m-1\""));
    cr_expect(is("models_used/0/count", "2"));
    query.type = READ_OVERVIEW;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("ai/success_rate", "66.7"));
    cr_expect(is("ai/total_summaries", "2"));
}

Test(sqlite_queries, gives_runs_page_by_page_and_one_of_them_as_a_whole)
{
    struct read_query query = query_fixture_query(READ_AI_RUNS);
    struct slice id;
    char text[UUID_TEXT_SIZE];

    for (uint64_t i = 0; i < 5; i++)
        put_run(i, i == 4 ? AI_RUN_FAILED : AI_RUN_SUCCEEDED, i);
    query.limit = 2;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "runs"), 2));
    cr_expect(is("runs/0/status", "\"failed\""));
    cr_expect(is("runs/0/error", "\"server_error\""));
    cr_expect(is("runs/1/confidence", "0.8"));
    cr_assert(query_fixture_next(&fixture, &query));
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_assert(query_fixture_next(&fixture, &query));
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "runs"), 1));
    cr_expect(not(query_fixture_next(&fixture, &query)));

    id = query_fixture_at(&fixture, "runs/0/id");
    memcpy(text, id.data + 1, sizeof(text));
    query = query_fixture_query(READ_AI_RUN);
    query.ai.id = (struct slice){text, sizeof(text)};
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("run/output/title", "\"It broke\""));
    cr_expect(is("run/attempts/0/number", "1"));
    query = query_fixture_query(READ_AI_RUNS);
    query.ai.states = 1u << AI_RUN_FAILED;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "runs"), 1));
    query = query_fixture_query(READ_AI_RUNS);
    query.ai.incident_id = id_of(3, NOON_MS, text);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "runs"), 1));
}

Test(sqlite_queries, shows_what_a_model_said_with_its_incident)
{
    struct read_query query = query_fixture_query(READ_INCIDENT);
    struct incident_image image = query_fixture_incident(1, NOON_MS);
    char id[UUID_TEXT_SIZE];

    query_fixture_put_incident(&fixture, &image);
    put_run(1, AI_RUN_SUCCEEDED, 1);
    put_run(2, AI_RUN_FAILED, 1);
    query.incident.id = id_of(1, NOON_MS, id);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("incident/title", "\"It broke\""));
    cr_expect(is("incident/rule_title", "\"Error spike: E on /x\""));
    cr_expect(is("ai_summary/title", "\"It broke\""));
    cr_expect(is("ai_summary/next_steps", "[\"look\"]"));
    cr_expect(is("ai_summary/confidence", "0.8"));
    cr_expect(is("ai_summary/model", "\"m-1\""));
    cr_expect(is("ai_summary/prompt_version", "\"prompt-1\""));
    query = query_fixture_query(READ_AI_ACTIVITY);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "activity"), 1));
    cr_expect(is("activity/0/title", "\"It broke\""));
    cr_expect(is("activity/0/incident_title", "\"Error spike: E on /x\""));
    cr_expect(is("activity/0/incident_severity", "\"error\""));
}

static void put_job(uint64_t number, enum job_state state, uint64_t incident)
{
    char incident_id[UUID_TEXT_SIZE];
    struct job_image image = {
        .header = {.id_low = number + 1,
                   .created_ms = (uint64_t)NOON_MS + number,
                   .state = (uint8_t)state,
                   .max_attempts = 3},
        .sections = {[JOB_SECTION_ORG] = SLICE_LITERAL("o"),
                     [JOB_SECTION_PROJECT] = SLICE_LITERAL("p"),
                     [JOB_SECTION_KIND] = SLICE_LITERAL("incident.summarize")},
    };
    struct read_job_row row = {&image, 3, id_of(incident, NOON_MS, incident_id)};
    const struct read_backend_vtable *vtable = fixture.backend->vtable;

    if (state == JOB_DEAD) {
        image.header.ended_ms = (uint64_t)NOON_MS + 900;
        image.sections[JOB_SECTION_LAST_ERROR] = SLICE_LITERAL("status 500");
    }
    cr_assert(eq(int, vtable->begin(fixture.backend), 0));
    cr_assert(eq(int, vtable->put_job(fixture.backend, &row), 0));
    cr_assert(eq(int, vtable->commit(fixture.backend), 0));
}

Test(sqlite_queries, gives_jobs_with_their_incidents_in_the_words_of_both_systems)
{
    struct read_query query = query_fixture_query(READ_AI_JOBS);
    struct incident_image image = query_fixture_incident(1, NOON_MS);

    query_fixture_put_incident(&fixture, &image);
    put_job(1, JOB_QUEUED, 1);
    put_job(2, JOB_DEAD, 1);
    put_job(3, JOB_QUEUED, 2);
    query.limit = 2;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("jobs/0/incident_title", "null"));
    cr_expect(is("jobs/1/incident_title", "\"Error spike: E on /x\""));
    cr_expect(is("jobs/1/status", "\"failed\""));
    cr_expect(is("jobs/1/state", "\"dead\""));
    cr_expect(is("jobs/1/last_error", "\"status 500\""));
    cr_assert(query_fixture_next(&fixture, &query));
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "jobs"), 1));
    query = query_fixture_query(READ_AI_JOBS);
    query.ai.states = 1u << JOB_DEAD;
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "jobs"), 1));
    query = query_fixture_query(READ_AI_STATS);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("jobs_by_status/queued", "2"));
    cr_expect(is("jobs_by_status/failed", "1"));
    cr_expect(is("pending_jobs", "2"));
}

static void put_fact(uint64_t number, enum job_fact_kind kind, enum job_dead_reason reason)
{
    const struct read_backend_vtable *vtable = fixture.backend->vtable;
    struct job_fact fact = {.header = {.id_low = number + 1,
                                       .at_ms = (uint64_t)NOON_MS + 2000,
                                       .kind = (uint8_t)kind,
                                       .attempt = 1,
                                       .reason = (uint8_t)reason}};

    if (kind == JOB_FACT_DEAD)
        fact.text = SLICE_LITERAL("it brought the process down");
    cr_assert(eq(int, vtable->begin(fixture.backend), 0));
    cr_assert(eq(int, vtable->put_job_fact(fixture.backend, 3, &fact), 0));
    cr_assert(eq(int, vtable->commit(fixture.backend), 0));
}

Test(sqlite_queries, ends_a_run_with_its_job_in_whichever_order_their_records_come)
{
    struct read_query query = query_fixture_query(READ_AI_RUNS);

    put_job(1, JOB_QUEUED, 1);
    put_run(1, AI_RUN_QUEUED, 1);
    put_fact(1, JOB_FACT_CANCELLED, JOB_DEAD_NONE);
    put_run(2, AI_RUN_QUEUED, 1);
    put_job(2, JOB_DEAD, 1);
    put_job(3, JOB_QUEUED, 1);
    put_fact(3, JOB_FACT_DEAD, JOB_DEAD_POISON);
    put_run(3, AI_RUN_QUEUED, 1);
    put_job(4, JOB_DEAD, 1); /* the one before succeeded: nothing ends twice */
    put_run(4, AI_RUN_SUCCEEDED, 1);
    put_job(5, JOB_QUEUED, 1);
    put_run(5, AI_RUN_QUEUED, 1);
    cr_assert(eq(int, ask(&query), READ_OK));
    cr_expect(is("runs/0/status", "\"queued\""));
    cr_expect(is("runs/1/status", "\"succeeded\""));
    cr_expect(is("runs/2/status", "\"failed\""));
    cr_expect(is("runs/3/status", "\"failed\""));
    cr_expect(is("runs/4/status", "\"cancelled\""));
}
