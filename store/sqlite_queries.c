#include "store/sqlite_queries.h"

#include <errno.h>

#include "store/read_answer.h"

/*
 * Every statement starts from the scope: the number of the project, or -1, which no row
 * has, when nothing of the project was ever projected.
 */

/* What an error of the session means for the asker. */
static enum read_result result_of(int error)
{
    assert(error < 0);
    return error == -ETIME ? READ_TIMEOUT : READ_UNAVAILABLE;
}

/* 0 with the project's number, or -1 for a project without rows; or a negative errno. */
MUST_USE static int find_project(struct sqlite_session *session, const struct read_query *query,
                                 int64_t *ret_project)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(
        session, "SELECT id FROM projects WHERE org = ?1 AND project = ?2", &statement);

    if (r < 0)
        return r;
    sqlite_bind_slice(statement, 1, query->scope.org);
    sqlite_bind_slice(statement, 2, query->scope.project);
    r = sqlite_step(statement);
    if (r < 0)
        return r;
    *ret_project = r == 0 ? -1 : sqlite_number(statement, 0);
    sqlite_reset(statement);
    return 0;
}

/* The columns of a row that write_event() reads. */
#define EVENT_COLUMNS                                                                              \
    "event_id, spelled_id, occurred_ms, received_ms, environment, event_type, severity, message,"  \
    " attributes"

/* An event's id as its sender wrote it. */
static void write_event_id(struct json_writer *writer, struct slice bytes, struct slice spelled)
{
    char text[UUID_TEXT_SIZE];

    json_writer_key(writer, SLICE_LITERAL("event_id"));
    if (spelled.size != 0) {
        json_writer_string(writer, spelled);
        return;
    }
    assert(bytes.size == UUID_SIZE);
    uuid_format((const uint8_t *)bytes.data, text);
    json_writer_string(writer, (struct slice){text, sizeof(text)});
}

/* One event as an object, from a row of EVENT_COLUMNS. */
static void write_event(struct json_writer *writer, sqlite3_stmt *row)
{
    json_writer_begin_object(writer);
    write_event_id(writer, sqlite_slice(row, 0), sqlite_slice(row, 1));
    json_writer_key(writer, SLICE_LITERAL("occurred_at"));
    json_writer_time(writer, sqlite_number(row, 2));
    json_writer_key(writer, SLICE_LITERAL("received_at"));
    json_writer_time(writer, sqlite_number(row, 3));
    json_writer_key(writer, SLICE_LITERAL("environment"));
    json_writer_string(writer,
                       event_environment_name((enum event_environment)sqlite_number(row, 4)));
    json_writer_key(writer, SLICE_LITERAL("event_type"));
    json_writer_string(writer, event_type_name((enum event_type)sqlite_number(row, 5)));
    json_writer_key(writer, SLICE_LITERAL("severity"));
    json_writer_string(writer, event_severity_name((enum event_severity)sqlite_number(row, 6)));
    json_writer_key(writer, SLICE_LITERAL("message"));
    json_writer_string(writer, sqlite_slice(row, 7));
    json_writer_key(writer, SLICE_LITERAL("attributes"));
    json_writer_raw(writer, sqlite_slice(row, 8));
    json_writer_end_object(writer);
}

static enum read_result run_event(struct sqlite_session *session, struct read_query *query,
                                  int64_t project)
{
    struct read_answer answer;
    uint8_t id[UUID_SIZE];
    sqlite3_stmt *row;
    int r;

    if (!uuid_parse(query->event.id, id))
        return READ_NOT_FOUND;
    r = sqlite_session_prepare(session,
                               "SELECT " EVENT_COLUMNS " FROM events"
                               " WHERE project_id = ?1 AND event_id = ?2",
                               &row);
    if (r < 0)
        return result_of(r);
    sqlite_bind_number(row, 1, project);
    sqlite_bind_bytes(row, 2, id, sizeof(id));
    r = sqlite_step(row);
    if (r <= 0)
        return r == 0 ? READ_NOT_FOUND : result_of(r);
    read_answer_begin(&answer, query);
    json_writer_key(&answer.writer, SLICE_LITERAL("event"));
    write_event(&answer.writer, row);
    sqlite_reset(row);
    return read_answer_finish(&answer);
}

/* The newest events without any text: a page of READ_SEARCH. */
static enum read_result run_search(struct sqlite_session *session, struct read_query *query,
                                   int64_t project)
{
    const struct read_search *search = &query->search;
    struct read_cursor place = {{INT64_MAX, INT64_MAX, 0}};
    struct read_cursor next = place;
    struct read_answer answer;
    bool has_more = false;
    sqlite3_stmt *row;
    int r;

    if (read_cursor_read(query, &place) == READ_CURSOR_BAD)
        return READ_BAD_CURSOR;
    r = sqlite_session_prepare(session,
                               "SELECT " EVENT_COLUMNS ", id FROM events"
                               " WHERE project_id = ?1 AND (occurred_ms, id) < (?2, ?3)"
                               " AND occurred_ms >= ?4 AND (?5 = 0 OR (?5 >> environment) & 1)"
                               " AND (?6 = 0 OR (?6 >> event_type) & 1)"
                               " AND (?7 = 0 OR (?7 >> severity) & 1)"
                               " ORDER BY occurred_ms DESC, id DESC LIMIT ?8",
                               &row);
    if (r < 0)
        return result_of(r);
    if (search->to_ms != 0 && place.words[0] >= search->to_ms)
        place = (struct read_cursor){{search->to_ms, 0, 0}};
    sqlite_bind_number(row, 1, project);
    sqlite_bind_number(row, 2, (int64_t)place.words[0]);
    sqlite_bind_number(row, 3, (int64_t)place.words[1]);
    sqlite_bind_number(row, 4, (int64_t)search->from_ms);
    sqlite_bind_number(row, 5, search->environments);
    sqlite_bind_number(row, 6, search->event_types);
    sqlite_bind_number(row, 7, search->severities);
    sqlite_bind_number(row, 8, (int64_t)query->limit + 1);
    read_answer_begin(&answer, query);
    read_answer_begin_rows(&answer, SLICE_LITERAL("events"));
    while ((r = sqlite_step(row)) == 1) {
        has_more = answer.row_count == query->limit;
        if (has_more)
            break;
        write_event(&answer.writer, row);
        has_more = !read_answer_keep_row(&answer);
        if (has_more)
            break;
        next.words[0] = (uint64_t)sqlite_number(row, 2);
        next.words[1] = (uint64_t)sqlite_number(row, 9);
    }
    sqlite_reset(row);
    if (r < 0)
        return result_of(r);
    read_answer_end_rows(&answer, has_more ? &next : NULL);
    return read_answer_finish(&answer);
}

enum read_result sqlite_query_run(struct sqlite_session *session, struct read_query *query)
{
    int64_t project;
    int r = find_project(session, query, &project);

    if (r < 0)
        return result_of(r);
    switch (query->type) {
    case READ_EVENT:
        return run_event(session, query, project);
    case READ_SEARCH:
        return run_search(session, query, project);
    case READ_INCIDENTS:
    case READ_INCIDENT:
    case READ_INCIDENT_EVENTS:
    case READ_INCIDENT_BRIEF:
    case READ_OVERVIEW:
    case READ_TRENDS:
    case READ_AI_RUNS:
    case READ_AI_RUN:
    case READ_AI_STATS:
    case READ_AI_ACTIVITY:
    case READ_AI_JOBS:
    case READ_QUERY_TYPE_COUNT:
        break;
    }
    return READ_UNAVAILABLE;
}
