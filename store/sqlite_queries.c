#include "store/sqlite_queries.h"

#include <errno.h>

#include "contracts/uuid.h"
#include "store/sqlite_queries_internals.h"

/*
 * Pages are by keyset: a statement begins behind the place of the last row of the page
 * before, with an index that has the rows in that order, so the millionth page costs what the
 * first does, and rows that come or go meanwhile neither hide nor repeat another one. The
 * statement asks for one row more than the page has, to know whether there is a next one.
 */

enum read_result sqlite_query_result(int error)
{
    assert(error < 0);
    return error == -ETIME ? READ_TIMEOUT : READ_UNAVAILABLE;
}

int sqlite_query_prepare(struct sqlite_query *run, const char *sql, sqlite3_stmt **ret_statement)
{
    int r = sqlite_session_prepare(run->session, sql, ret_statement);

    if (r == 0)
        sqlite_bind_number(*ret_statement, 1, run->project);
    return r;
}

/* 0 with the project's number, or -1 for a project without rows; or a negative errno. */
MUST_USE static int find_project(struct sqlite_query *run)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(
        run->session, "SELECT id FROM projects WHERE org = ?1 AND project = ?2", &statement);

    if (r < 0)
        return r;
    sqlite_bind_slice(statement, 1, run->query->scope.org);
    sqlite_bind_slice(statement, 2, run->query->scope.project);
    r = sqlite_step(statement);
    if (r < 0)
        return r;
    run->project = r == 0 ? -1 : sqlite_number(statement, 0);
    sqlite_reset(statement);
    return 0;
}

/* --- pages ----------------------------------------------------------------------- */

int sqlite_query_rows(struct sqlite_query *run, sqlite3_stmt *row, const struct sqlite_rows *rows,
                      struct read_cursor *ret_next, bool *ret_has_more)
{
    struct read_answer *answer = &run->answer;
    bool has_more = false;
    int r;

    read_answer_begin_rows(answer, rows->name);
    while ((r = sqlite_step(row)) == 1) {
        has_more = true;
        if (answer->row_count == run->query->limit)
            break;
        rows->write(run, row);
        if (!read_answer_keep_row(answer))
            break;
        if (rows->place != NULL)
            rows->place(row, ret_next);
        has_more = false;
    }
    sqlite_reset(row);
    *ret_has_more = has_more && rows->place != NULL;
    return r < 0 ? r : 0;
}

enum read_result sqlite_query_page(struct sqlite_query *run, sqlite3_stmt *row,
                                   const struct sqlite_rows *rows)
{
    struct read_cursor next;
    bool has_more;
    int r;

    read_answer_begin(&run->answer, run->query);
    r = sqlite_query_rows(run, row, rows, &next, &has_more);
    if (r < 0)
        return sqlite_query_result(r);
    if (has_more && run->answer.row_count == 0)
        return READ_TOO_BIG; /* else the same page would come for ever */
    read_answer_end_rows(&run->answer, has_more ? &next : NULL);
    return read_answer_finish(&run->answer);
}

/* --- values ---------------------------------------------------------------------- */

void sqlite_bind_uuid(sqlite3_stmt *statement, int index, const uint64_t words[2],
                      char text[UUID_TEXT_SIZE])
{
    uint8_t bytes[UUID_SIZE];

    for (uint32_t i = 0; i < UUID_SIZE; i++)
        bytes[i] = (uint8_t)(words[i / 8] >> (56 - i % 8 * 8));
    uuid_format(bytes, text);
    sqlite_bind_slice(statement, index, (struct slice){text, UUID_TEXT_SIZE});
}

void sqlite_uuid_words(sqlite3_stmt *row, int column, uint64_t ret_words[2])
{
    uint8_t bytes[UUID_SIZE];
    bool is_uuid = uuid_parse(sqlite_slice(row, column), bytes);

    assert(is_uuid);
    ret_words[0] = ret_words[1] = 0;
    for (uint32_t i = 0; i < UUID_SIZE; i++)
        ret_words[i / 8] = ret_words[i / 8] << 8 | bytes[i];
}

void sqlite_write_text(struct json_writer *writer, const char *name, struct slice text)
{
    json_writer_key(writer, slice_of(name));
    json_writer_string(writer, text);
}

void sqlite_write_number(struct json_writer *writer, const char *name, int64_t number)
{
    json_writer_key(writer, slice_of(name));
    json_writer_i64(writer, number);
}

void sqlite_write_time(struct json_writer *writer, const char *name, sqlite3_stmt *row, int column)
{
    json_writer_key(writer, slice_of(name));
    if (sqlite_is_null(row, column))
        json_writer_null(writer);
    else
        json_writer_time(writer, sqlite_number(row, column));
}

/* --- events ---------------------------------------------------------------------- */

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

void sqlite_write_event_members(struct json_writer *writer, sqlite3_stmt *row)
{
    write_event_id(writer, sqlite_slice(row, 1), sqlite_slice(row, 2));
    sqlite_write_time(writer, "occurred_at", row, 3);
    sqlite_write_time(writer, "received_at", row, 4);
    sqlite_write_text(writer, "environment",
                      event_environment_name((enum event_environment)sqlite_number(row, 5)));
    sqlite_write_text(writer, "event_type",
                      event_type_name((enum event_type)sqlite_number(row, 6)));
    sqlite_write_text(writer, "severity",
                      event_severity_name((enum event_severity)sqlite_number(row, 7)));
    sqlite_write_text(writer, "message", sqlite_slice(row, 8));
    json_writer_key(writer, SLICE_LITERAL("attributes"));
    json_writer_raw(writer, sqlite_slice(row, 9));
}

enum read_result sqlite_query_run(struct sqlite_session *session, struct read_query *query)
{
    struct sqlite_query run = {.session = session, .query = query};
    int r = find_project(&run);

    if (r < 0)
        return sqlite_query_result(r);
    switch (query->type) {
    case READ_SEARCH:
        return sqlite_run_search(&run);
    case READ_INCIDENTS:
        return sqlite_run_incidents(&run);
    case READ_INCIDENT:
        return sqlite_run_incident(&run);
    case READ_INCIDENT_EVENTS:
        return sqlite_run_incident_events(&run);
    case READ_INCIDENT_BRIEF:
        return sqlite_run_incident_brief(&run);
    case READ_OVERVIEW:
        return sqlite_run_overview(&run);
    case READ_TRENDS:
        return sqlite_run_trends(&run);
    case READ_AI_RUNS:
        return sqlite_run_ai_runs(&run);
    case READ_AI_RUN:
        return sqlite_run_ai_run(&run);
    case READ_AI_STATS:
        return sqlite_run_ai_stats(&run);
    case READ_AI_ACTIVITY:
        return sqlite_run_ai_activity(&run);
    case READ_AI_JOBS:
        return sqlite_run_ai_jobs(&run);
    case READ_QUERY_TYPE_COUNT:
        break;
    }
    assert(false);
    return READ_UNAVAILABLE;
}
