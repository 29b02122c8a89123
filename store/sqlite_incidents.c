/*
 * Incidents: a page of them, and one with its events, its timeline and what a model said.
 *
 * The events of an incident are those of its series from five minutes before it opened, which
 * is the window that the rule looked at, until it was resolved: a matter of time, and so no
 * rows that tie the two together, which could be missing or too many.
 *
 * The index by which they are found begins with the segment that the event is in, so that new
 * events of any number of series go side by side into few pages. Each such run is looked into: a
 * few microseconds for each segment of 64 MiB.
 */
#include <errno.h>

#include "contracts/json_reader.h"
#include "contracts/uuid.h"
#include "store/ai_run_record.h"
#include "store/incident_record.h"
#include "store/sqlite_queries_internals.h"

enum {
    CHANGES_MAX = 200, /* of a timeline: the newest */
    SUMMARY_DEPTH = 32,
};

static const int64_t WINDOW_MS = INT64_C(5) * 60000;

/* What a model has called it, else what the rule did. */
#define INCIDENT_TITLE                                                                             \
    "coalesce((SELECT output ->> 'title' FROM ai_runs WHERE incident_id = incidents.id"            \
    " AND ai_runs.project_id = incidents.project_id AND state = 3"                                 \
    " ORDER BY created_ms DESC LIMIT 1), title)"

#define INCIDENT_COLUMNS                                                                           \
    "id, environment, rule, fingerprint, status, severity, " INCIDENT_TITLE ", opened_ms,"         \
    " last_seen_ms, resolved_ms, reopened_ms, reopen_count, is_flapping, updated_ms,"              \
    " window_count, baseline_milli, revision, series, title"

enum {
    COLUMN_ID,
    COLUMN_OPENED = 7,
    COLUMN_RESOLVED = 9,
    COLUMN_SERIES = 17,
    COLUMN_RULE_TITLE = 18,
};

/* An incident, as far as its events are found by it. */
struct found {
    char id[UUID_TEXT_SIZE];
    char series[16];
    int64_t from_ms;
    int64_t to_ms;
};

static void write_incident_members(struct sqlite_query *run, sqlite3_stmt *row)
{
    struct json_writer *writer = &run->answer.writer;

    sqlite_write_text(writer, "id", sqlite_slice(row, COLUMN_ID));
    sqlite_write_text(writer, "org_id", run->query->scope.org);
    sqlite_write_text(writer, "project_id", run->query->scope.project);
    sqlite_write_text(writer, "environment",
                      event_environment_name((enum event_environment)sqlite_number(row, 1)));
    sqlite_write_text(writer, "rule", incident_rule_name((uint32_t)sqlite_number(row, 2)));
    sqlite_write_text(writer, "fingerprint", sqlite_slice(row, 3));
    sqlite_write_text(writer, "status", incident_status_name((uint32_t)sqlite_number(row, 4)));
    sqlite_write_text(writer, "severity", incident_severity_name((uint32_t)sqlite_number(row, 5)));
    static_assert(AI_RUN_SUCCEEDED == 3, "the number in the SQL");
    sqlite_write_text(writer, "title", sqlite_slice(row, 6));
    sqlite_write_text(writer, "rule_title", sqlite_slice(row, COLUMN_RULE_TITLE));
    sqlite_write_time(writer, "opened_at", row, COLUMN_OPENED);
    sqlite_write_time(writer, "last_seen_at", row, 8);
    sqlite_write_time(writer, "resolved_at", row, COLUMN_RESOLVED);
    sqlite_write_time(writer, "reopened_at", row, 10);
    sqlite_write_number(writer, "reopen_count", sqlite_number(row, 11));
    json_writer_key(writer, SLICE_LITERAL("flapping"));
    json_writer_boolean(writer, sqlite_number(row, 12) != 0);
    sqlite_write_time(writer, "updated_at", row, 13);
    sqlite_write_number(writer, "window_count", sqlite_number(row, 14));
    json_writer_key(writer, SLICE_LITERAL("baseline"));
    json_writer_double(writer, (double)sqlite_number(row, 15) / 1000);
    sqlite_write_number(writer, "revision", sqlite_number(row, 16));
}

static void write_incident(struct sqlite_query *run, sqlite3_stmt *row)
{
    json_writer_begin_object(&run->answer.writer);
    write_incident_members(run, row);
    json_writer_end_object(&run->answer.writer);
}

static void incident_place(sqlite3_stmt *row, struct read_cursor *ret_place)
{
    ret_place->words[0] = (uint64_t)sqlite_number(row, COLUMN_OPENED);
    sqlite_uuid_words(row, COLUMN_ID, &ret_place->words[1]);
}

/* --- the list ----------------------------------------------------------------------- */

enum read_result sqlite_run_incidents(struct sqlite_query *run)
{
    static const struct sqlite_rows rows = {SLICE_INITIALIZER("incidents"), write_incident,
                                            incident_place};
    const struct read_incidents *asked = &run->query->incidents;
    struct read_cursor place = {{INT64_MAX}};
    char id[UUID_TEXT_SIZE];
    sqlite3_stmt *row;
    int r;

    /* The place is the one upper bound: beside another one SQLite might begin at that. */
    if (asked->until_ms != 0)
        place.words[0] = asked->until_ms;
    if (read_cursor_read(run->query, &place) == READ_CURSOR_BAD)
        return READ_BAD_CURSOR;
    r = sqlite_query_prepare(run,
                             "SELECT " INCIDENT_COLUMNS " FROM incidents"
                             " INDEXED BY incidents_by_opened"
                             " WHERE project_id = ?1 AND (opened_ms, id) < (?2, ?3)"
                             " AND opened_ms >= ?4"
                             " AND (?5 = 0 OR (?5 >> status) & 1)"
                             " AND (?6 = 0 OR (?6 >> severity) & 1)"
                             " AND (?7 = 0 OR (?7 >> environment) & 1)"
                             " AND (?8 = '' OR fingerprint = ?8)"
                             " ORDER BY opened_ms DESC, id DESC LIMIT ?9",
                             &row);
    if (r < 0)
        return sqlite_query_result(r);
    sqlite_bind_number(row, 2, (int64_t)place.words[0]);
    sqlite_bind_uuid(row, 3, &place.words[1], id);
    sqlite_bind_number(row, 4, (int64_t)asked->since_ms);
    sqlite_bind_number(row, 5, asked->statuses);
    sqlite_bind_number(row, 6, asked->severities);
    sqlite_bind_number(row, 7, asked->environments);
    sqlite_bind_slice(row, 8, asked->fingerprint);
    sqlite_bind_number(row, 9, (int64_t)run->query->limit + 1);
    return sqlite_query_page(run, row, &rows);
}

/* --- one ----------------------------------------------------------------------------- */

/*
 * Finds the incident that the query means. 1 with *ret_row at its row, to be reset; 0 when it
 * is not there; or a negative errno.
 */
MUST_USE static int find_incident(struct sqlite_query *run, sqlite3_stmt **ret_row,
                                  struct found *ret_found)
{
    uint8_t bytes[UUID_SIZE];
    sqlite3_stmt *row;
    int r;

    if (!uuid_parse(run->query->incident.id, bytes))
        return 0;
    uuid_format(bytes, ret_found->id);
    r = sqlite_query_prepare(
        run, "SELECT " INCIDENT_COLUMNS " FROM incidents WHERE project_id = ?1 AND id = ?2", &row);
    if (r < 0)
        return r;
    sqlite_bind_slice(row, 2, (struct slice){ret_found->id, UUID_TEXT_SIZE});
    r = sqlite_step(row);
    if (r != 1)
        return r;
    assert(sqlite_slice(row, COLUMN_SERIES).size == sizeof(ret_found->series));
    memcpy(ret_found->series, sqlite_slice(row, COLUMN_SERIES).data, sizeof(ret_found->series));
    ret_found->from_ms = sqlite_number(row, COLUMN_OPENED) - WINDOW_MS;
    ret_found->to_ms =
        sqlite_is_null(row, COLUMN_RESOLVED) ? INT64_MAX : sqlite_number(row, COLUMN_RESOLVED);
    *ret_row = row;
    return 1;
}

static void write_event(struct sqlite_query *run, sqlite3_stmt *row)
{
    json_writer_begin_object(&run->answer.writer);
    sqlite_write_event_members(&run->answer.writer, row);
    json_writer_end_object(&run->answer.writer);
}

/* (occurred_ms, id) */
static void place_event(sqlite3_stmt *row, struct read_cursor *ret_place)
{
    ret_place->words[0] = (uint64_t)sqlite_number(row, EVENT_COLUMN_OCCURRED);
    ret_place->words[1] = (uint64_t)sqlite_number(row, EVENT_COLUMN_ID);
}

static const struct sqlite_rows EVENT_ROWS = {SLICE_INITIALIZER("events"), write_event,
                                              place_event};

/* The place before all of its events. */
static struct read_cursor newest_of(const struct found *found)
{
    return (struct read_cursor){{(uint64_t)found->to_ms, INT64_MAX}};
}

/*
 * The runs of the index of series, one for each segment that has events (a location without the
 * offset), newest first. The next is found by one look at the key, whatever lies between.
 */
#define RUNS                                                                                       \
    "WITH RECURSIVE newest(id) AS (SELECT max(id) FROM events UNION ALL"                           \
    " SELECT (SELECT max(id) FROM events WHERE id < newest.id >> 23 << 23) FROM newest"            \
    " WHERE newest.id IS NOT NULL),"                                                               \
    " runs(run) AS (SELECT id >> 23 FROM newest WHERE id IS NOT NULL) "

/* Of each run no more than the page can have; then the page by id, then its rows. */
static const char SQL_EVENTS[] =
    RUNS "SELECT " EVENT_COLUMNS " FROM (SELECT events.id AS hit FROM runs CROSS JOIN events"
         " WHERE events.id IN (SELECT one.id FROM events AS one INDEXED BY events_by_series"
         " WHERE one.id >> 23 = run AND one.series = ?2 AND one.project_id = ?1"
         " AND one.occurred_ms >= ?3 AND (one.occurred_ms, one.id) < (?4, ?5)"
         " ORDER BY one.occurred_ms DESC, one.id DESC LIMIT ?6)"
         " ORDER BY occurred_ms DESC, events.id DESC LIMIT ?6)"
         " CROSS JOIN events ON events.id = hit ORDER BY occurred_ms DESC, events.id DESC";
static const char SQL_COUNT_EVENTS[] =
    RUNS "SELECT count(*) FROM runs CROSS JOIN events INDEXED BY events_by_series"
         " WHERE events.id >> 23 = run AND series = ?2 AND project_id = ?1"
         " AND occurred_ms BETWEEN ?3 AND ?4";

/* The incident's events, behind place. 0 or a negative errno. */
MUST_USE static int prepare_events(struct sqlite_query *run, const struct found *found,
                                   const struct read_cursor *place, sqlite3_stmt **ret_row)
{
    int r = sqlite_query_prepare(run, SQL_EVENTS, ret_row);

    if (r < 0)
        return r;
    sqlite_bind_bytes(*ret_row, 2, found->series, sizeof(found->series));
    sqlite_bind_number(*ret_row, 3, found->from_ms);
    sqlite_bind_number(*ret_row, 4, (int64_t)place->words[0]);
    sqlite_bind_number(*ret_row, 5, (int64_t)place->words[1]);
    sqlite_bind_number(*ret_row, 6, (int64_t)run->query->limit + 1);
    return 0;
}

enum read_result sqlite_run_incident_events(struct sqlite_query *run)
{
    struct read_cursor place;
    struct found found;
    sqlite3_stmt *row;
    int r = find_incident(run, &row, &found);

    if (r <= 0)
        return r == 0 ? READ_NOT_FOUND : sqlite_query_result(r);
    sqlite_reset(row);
    place = newest_of(&found);
    if (read_cursor_read(run->query, &place) == READ_CURSOR_BAD)
        return READ_BAD_CURSOR;
    /* It may have been resolved since the page before. */
    if ((int64_t)place.words[0] > found.to_ms)
        place = newest_of(&found);
    r = prepare_events(run, &found, &place, &row);
    return r < 0 ? sqlite_query_result(r) : sqlite_query_page(run, row, &EVENT_ROWS);
}

/* --- timeline ------------------------------------------------------------------------ */

static void write_change(struct json_writer *writer, sqlite3_stmt *row)
{
    struct slice actor = sqlite_slice(row, 3);

    json_writer_begin_object(writer);
    sqlite_write_time(writer, "at", row, 0);
    sqlite_write_time(writer, "recorded_at", row, 1);
    sqlite_write_text(writer, "event", incident_cause_name((uint32_t)sqlite_number(row, 2)));
    sqlite_write_text(writer, "status", incident_status_name((uint32_t)sqlite_number(row, 4)));
    sqlite_write_text(writer, "severity", incident_severity_name((uint32_t)sqlite_number(row, 5)));
    json_writer_key(writer, SLICE_LITERAL("actor"));
    if (actor.size > 0)
        json_writer_string(writer, actor);
    else
        json_writer_null(writer);
    json_writer_end_object(writer);
}

/* The newest changes, the oldest of them first. 0 or a negative errno. */
MUST_USE static int write_timeline(struct sqlite_query *run, const struct found *found)
{
    struct json_writer *writer = &run->answer.writer;
    sqlite3_stmt *row;
    int r = sqlite_session_prepare(
        run->session,
        "SELECT at_ms, written_ms, cause, actor, status, severity FROM (SELECT * FROM"
        " incident_changes WHERE incident_id = ?1 ORDER BY revision DESC LIMIT ?2)"
        " ORDER BY revision",
        &row);

    if (r < 0)
        return r;
    sqlite_bind_slice(row, 1, (struct slice){found->id, UUID_TEXT_SIZE});
    sqlite_bind_number(row, 2, CHANGES_MAX);
    json_writer_key(writer, SLICE_LITERAL("timeline"));
    json_writer_begin_array(writer);
    while ((r = sqlite_step(row)) == 1)
        write_change(writer, row);
    json_writer_end_array(writer);
    return r;
}

/* --- what a model said --------------------------------------------------------------- */

/* The members of an object that was validated when it was stored, one by one. */
static void write_members(struct json_writer *writer, struct slice object)
{
    struct json_reader reader;
    struct json_value key, value;

    json_reader_init(&reader, object, SUMMARY_DEPTH);
    if (json_reader_enter_object(&reader) != JSON_OK)
        return;
    while (json_reader_next_member(&reader, &key) == JSON_OK &&
           json_reader_read(&reader, &value) == JSON_OK) {
        assert(!key.has_escapes);
        json_writer_key(writer, (struct slice){key.raw.data + 1, key.raw.size - 2});
        json_writer_raw(writer, value.raw);
    }
}

/* ai_summary: of the latest run that succeeded; null when none has. 0 or a negative errno. */
MUST_USE static int write_summary(struct sqlite_query *run, const struct found *found)
{
    struct json_writer *writer = &run->answer.writer;
    struct slice answered;
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run,
                                 "SELECT id, model, model_answered, prompt, updated_ms, output"
                                 " FROM ai_runs INDEXED BY ai_runs_by_incident"
                                 " WHERE incident_id = ?2 AND project_id = ?1"
                                 " AND output IS NOT NULL"
                                 " ORDER BY created_ms DESC LIMIT 1",
                                 &row);

    if (r < 0)
        return r;
    sqlite_bind_slice(row, 2, (struct slice){found->id, UUID_TEXT_SIZE});
    json_writer_key(writer, SLICE_LITERAL("ai_summary"));
    r = sqlite_step(row);
    if (r <= 0) {
        json_writer_null(writer);
        return r;
    }
    answered = sqlite_slice(row, 2);
    json_writer_begin_object(writer);
    sqlite_write_text(writer, "run_id", sqlite_slice(row, 0));
    sqlite_write_text(writer, "model", answered.size > 0 ? answered : sqlite_slice(row, 1));
    sqlite_write_text(writer, "prompt_version", sqlite_slice(row, 3));
    sqlite_write_time(writer, "generated_at", row, 4);
    write_members(writer, sqlite_slice(row, 5));
    json_writer_end_object(writer);
    sqlite_reset(row);
    return 0;
}

/* --- the whole ------------------------------------------------------------------------ */

/* The newest events as the member "events", with the place behind them. */
MUST_USE static int write_events(struct sqlite_query *run, const struct found *found,
                                 struct read_cursor *ret_next, bool *ret_has_more)
{
    struct read_cursor newest = newest_of(found);
    sqlite3_stmt *row;
    int r = prepare_events(run, found, &newest, &row);

    return r < 0 ? r : sqlite_query_rows(run, row, &EVENT_ROWS, ret_next, ret_has_more);
}

/*
 * The incident's own members stand beside the rest, and once more as "incident", for clients
 * of the system that went before.
 */
enum read_result sqlite_run_incident(struct sqlite_query *run)
{
    struct read_query more = *run->query;
    struct read_cursor next;
    struct found found;
    sqlite3_stmt *row;
    bool has_more = false;
    int r = find_incident(run, &row, &found);

    if (r <= 0)
        return r == 0 ? READ_NOT_FOUND : sqlite_query_result(r);
    read_answer_begin(&run->answer, run->query);
    write_incident_members(run, row);
    json_writer_key(&run->answer.writer, SLICE_LITERAL("incident"));
    write_incident(run, row);
    sqlite_reset(row);
    r = write_timeline(run, &found);
    if (r == 0)
        r = write_summary(run, &found);
    if (r == 0)
        r = write_events(run, &found, &next, &has_more);
    if (r < 0)
        return sqlite_query_result(r);
    read_answer_use_reserve(&run->answer);
    json_writer_end_array(&run->answer.writer);
    /* It is a cursor of the list of events, not of this answer. */
    more.type = READ_INCIDENT_EVENTS;
    run->answer.query = &more;
    read_answer_cursor(&run->answer, SLICE_LITERAL("events_next_cursor"), has_more ? &next : NULL);
    run->answer.query = run->query;
    return read_answer_finish(&run->answer);
}

/* How many events the incident has. 0 or a negative errno. */
MUST_USE static int count_events(struct sqlite_query *run, const struct found *found,
                                 int64_t *ret_count)
{
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run, SQL_COUNT_EVENTS, &row);

    if (r < 0)
        return r;
    sqlite_bind_bytes(row, 2, found->series, sizeof(found->series));
    sqlite_bind_number(row, 3, found->from_ms);
    sqlite_bind_number(row, 4, found->to_ms);
    r = sqlite_step(row);
    if (r < 0)
        return r;
    *ret_count = sqlite_number(row, 0);
    sqlite_reset(row);
    return 0;
}

enum read_result sqlite_run_incident_brief(struct sqlite_query *run)
{
    struct read_cursor next;
    struct found found;
    int64_t count = 0;
    sqlite3_stmt *row;
    bool has_more;
    int r = find_incident(run, &row, &found);

    if (r <= 0)
        return r == 0 ? READ_NOT_FOUND : sqlite_query_result(r);
    read_answer_begin(&run->answer, run->query);
    json_writer_key(&run->answer.writer, SLICE_LITERAL("incident"));
    write_incident(run, row);
    sqlite_reset(row);
    r = count_events(run, &found, &count);
    if (r < 0)
        return sqlite_query_result(r);
    sqlite_write_number(&run->answer.writer, "event_count", count);
    r = write_events(run, &found, &next, &has_more);
    if (r < 0)
        return sqlite_query_result(r);
    read_answer_use_reserve(&run->answer);
    json_writer_end_array(&run->answer.writer);
    return read_answer_finish(&run->answer);
}
