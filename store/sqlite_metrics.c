/*
 * Metrics: a project's numbers over time, from the counts per minute.
 *
 * A rate is what happened divided by the time in which it could have happened: the last 24
 * hours, or less when the project's first event is younger. So it is the same however many
 * fingerprints the errors have, and a quiet hour counts as one. A trend has a value for each
 * step of its period, 0 where there was nothing; the last step is the one that has begun.
 */
#include "store/incident_record.h"
#include "store/sqlite_queries_internals.h"

static const int64_t MINUTE_MS = 60000;
static const int64_t HOUR_MS = INT64_C(60) * 60000;
static const int64_t DAY_MS = INT64_C(24) * 60 * 60000;

enum { STEPS_MAX = 1440 };

/* Runs a statement of one row and up to three numbers. 0 or a negative errno. */
MUST_USE static int read_numbers(struct sqlite_query *run, const char *sql, int64_t parameter,
                                 int64_t *ret_numbers, int count)
{
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run, sql, &row);

    if (r < 0)
        return r;
    if (sqlite3_bind_parameter_count(row) >= 2)
        sqlite_bind_number(row, 2, parameter);
    r = sqlite_step(row);
    if (r < 0)
        return r;
    assert(r == 1);
    for (int i = 0; i < count; i++)
        ret_numbers[i] = sqlite_number(row, i);
    sqlite_reset(row);
    return 0;
}

/* How much of the last day the project has been there for. 0 or a negative errno. */
MUST_USE static int find_span(struct sqlite_query *run, int64_t now_ms, int64_t *ret_ms)
{
    int64_t first_ms = INT64_MAX;
    int r = 0;

    for (uint32_t type = 0; r == 0 && type < EVENT_TYPE_COUNT; type++) {
        int64_t found_ms[2];

        r = read_numbers(run,
                         "SELECT count(*), min(minute_ms) FROM (SELECT minute_ms FROM"
                         " metric_minutes WHERE project_id = ?1 AND event_type = ?2"
                         " ORDER BY minute_ms LIMIT 1)",
                         type, found_ms, 2);
        if (r == 0 && found_ms[0] > 0 && found_ms[1] < first_ms)
            first_ms = found_ms[1];
    }
    *ret_ms = first_ms > now_ms - DAY_MS && first_ms <= now_ms ? now_ms - first_ms : DAY_MS;
    return r;
}

/* Events of a type in the last day, from minute_ms on. 0 or a negative errno. */
MUST_USE static int count_day(struct sqlite_query *run, enum event_type type, int64_t now_ms,
                              int64_t *ret_count)
{
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run,
                                 "SELECT coalesce(sum(value), 0) FROM metric_minutes"
                                 " WHERE project_id = ?1 AND event_type = ?2"
                                 " AND minute_ms > ?3 AND minute_ms <= ?4",
                                 &row);

    if (r < 0)
        return r;
    sqlite_bind_number(row, 2, type);
    sqlite_bind_number(row, 3, now_ms - DAY_MS);
    sqlite_bind_number(row, 4, now_ms);
    r = sqlite_step(row);
    if (r < 0)
        return r;
    *ret_count = sqlite_number(row, 0);
    sqlite_reset(row);
    return 0;
}

/* With two decimals: what is shown should not pretend to more. */
static void write_rate(struct json_writer *writer, const char *name, int64_t count, int64_t span_ms,
                       int64_t unit_ms)
{
    double rate =
        (double)count * (double)unit_ms / (double)max_u64((uint64_t)span_ms, (uint64_t)unit_ms);

    json_writer_key(writer, slice_of(name));
    json_writer_double(writer, (double)(int64_t)(rate * 100 + 0.5) / 100);
}

/* A group of the overview: how many in the last day, and how fast. */
MUST_USE static int write_day(struct sqlite_query *run, const char *name, enum event_type type,
                              int64_t span_ms, const char *rate_name, int64_t unit_ms)
{
    struct json_writer *writer = &run->answer.writer;
    int64_t count = 0;
    int r = count_day(run, type, (int64_t)run->query->now_ms, &count);

    if (r < 0)
        return r;
    json_writer_key(writer, slice_of(name));
    json_writer_begin_object(writer);
    sqlite_write_number(writer, "total_last_24h", count);
    write_rate(writer, rate_name, count, span_ms, unit_ms);
    json_writer_end_object(writer);
    return 0;
}

MUST_USE static int write_incidents(struct sqlite_query *run)
{
    static const char *const names[] = {"total", "open", "investigating"};
    struct json_writer *writer = &run->answer.writer;
    int64_t counts[3] = {0}, resolved = 0;
    int r = read_numbers(run,
                         "SELECT count(*), coalesce(sum(status = 0), 0),"
                         " coalesce(sum(status = 1), 0) FROM incidents WHERE project_id = ?1",
                         0, counts, ARRAY_COUNT(counts));

    static_assert(INCIDENT_OPEN == 0 && INCIDENT_INVESTIGATING == 1, "the numbers in the SQL");
    if (r == 0)
        r = read_numbers(run,
                         "SELECT count(*) FROM incidents WHERE project_id = ?1"
                         " AND resolved_ms > ?2",
                         (int64_t)run->query->now_ms - DAY_MS, &resolved, 1);
    if (r < 0)
        return r;
    json_writer_key(writer, SLICE_LITERAL("incidents"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < ARRAY_COUNT(names); i++)
        sqlite_write_number(writer, names[i], counts[i]);
    sqlite_write_number(writer, "resolved_last_24h", resolved);
    json_writer_end_object(writer);
    return 0;
}

MUST_USE static int write_ai(struct sqlite_query *run)
{
    struct json_writer *writer = &run->answer.writer;
    struct sqlite_ai_counts counts;
    int r = sqlite_count_ai_runs(run, &counts);

    if (r < 0)
        return r;
    json_writer_key(writer, SLICE_LITERAL("ai"));
    json_writer_begin_object(writer);
    sqlite_write_number(writer, "total_summaries", counts.succeeded);
    sqlite_write_success_rate(writer, &counts);
    sqlite_write_number(writer, "pending_jobs", counts.pending);
    json_writer_end_object(writer);
    return 0;
}

enum read_result sqlite_run_overview(struct sqlite_query *run)
{
    int64_t span_ms = DAY_MS;
    int r = find_span(run, (int64_t)run->query->now_ms, &span_ms);

    read_answer_begin(&run->answer, run->query);
    if (r == 0)
        r = write_incidents(run);
    if (r == 0)
        r = write_day(run, "errors", EVENT_TYPE_ERROR, span_ms, "rate_per_minute", MINUTE_MS);
    if (r == 0)
        r = write_day(run, "signups", EVENT_TYPE_SIGNUP, span_ms, "rate_per_hour", HOUR_MS);
    if (r == 0)
        r = write_ai(run);
    return r < 0 ? sqlite_query_result(r) : read_answer_finish(&run->answer);
}

/* --- trends --------------------------------------------------------------------------- */

/* Values of the steps, of which the caller has cleared step_count. 0 or a negative errno. */
MUST_USE static int read_steps(struct sqlite_query *run, uint32_t step_count, int64_t *values)
{
    const struct read_trends *asked = &run->query->trends;
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run,
                                 "SELECT (minute_ms - ?3) / ?5, sum(value) FROM metric_minutes"
                                 " WHERE project_id = ?1 AND event_type = ?2"
                                 " AND minute_ms >= ?3 AND minute_ms < ?4"
                                 " AND (?6 = 0 OR (?6 >> environment) & 1) GROUP BY 1",
                                 &row);

    if (r < 0)
        return r;
    sqlite_bind_number(row, 2, asked->event_type);
    sqlite_bind_number(row, 3, (int64_t)asked->from_ms);
    sqlite_bind_number(row, 4, (int64_t)asked->to_ms);
    sqlite_bind_number(row, 5, (int64_t)asked->step_ms);
    sqlite_bind_number(row, 6, asked->environments);
    while ((r = sqlite_step(row)) == 1) {
        assert(sqlite_number(row, 0) >= 0 && sqlite_number(row, 0) < (int64_t)step_count);
        values[sqlite_number(row, 0)] = sqlite_number(row, 1);
    }
    return r;
}

static void write_summary(struct json_writer *writer, const int64_t *values, uint32_t count)
{
    int64_t total = 0, lowest = values[0], highest = values[0];

    for (uint32_t i = 0; i < count; i++) {
        total += values[i];
        lowest = values[i] < lowest ? values[i] : lowest;
        highest = values[i] > highest ? values[i] : highest;
    }
    json_writer_key(writer, SLICE_LITERAL("summary"));
    json_writer_begin_object(writer);
    sqlite_write_number(writer, "total", total);
    json_writer_key(writer, SLICE_LITERAL("average"));
    json_writer_double(writer, (double)(int64_t)((double)total / count * 100 + 0.5) / 100);
    sqlite_write_number(writer, "max", highest);
    sqlite_write_number(writer, "min", lowest);
    json_writer_end_object(writer);
}

enum read_result sqlite_run_trends(struct sqlite_query *run)
{
    const struct read_trends *asked = &run->query->trends;
    struct json_writer *writer = &run->answer.writer;
    int64_t values[STEPS_MAX] = {0};
    uint64_t step_count = (asked->to_ms - asked->from_ms) / asked->step_ms;
    int r;

    assert(asked->step_ms > 0 && asked->from_ms < asked->to_ms);
    assert(step_count > 0 && step_count <= STEPS_MAX);
    assert(asked->from_ms + step_count * asked->step_ms == asked->to_ms);
    r = read_steps(run, (uint32_t)step_count, values);
    if (r < 0)
        return sqlite_query_result(r);
    read_answer_begin(&run->answer, run->query);
    sqlite_write_text(writer, "metric", asked->metric);
    sqlite_write_text(writer, "period", asked->period);
    json_writer_key(writer, SLICE_LITERAL("data"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < step_count; i++) {
        json_writer_begin_object(writer);
        json_writer_key(writer, SLICE_LITERAL("timestamp"));
        json_writer_time(writer, (int64_t)(asked->from_ms + i * asked->step_ms));
        sqlite_write_number(writer, "value", values[i]);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
    write_summary(writer, values, (uint32_t)step_count);
    return read_answer_finish(&run->answer);
}
