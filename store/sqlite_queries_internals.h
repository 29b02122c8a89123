/*
 * SQLite queries, inside: what the files of the queries share.
 *
 *     sqlite_queries.c    which query is meant, pages, events
 *     sqlite_search.c     events by their words and columns
 *     sqlite_incidents.c  incidents, their events and their timeline
 *     sqlite_metrics.c    numbers over time
 *     sqlite_ai.c         runs of models, and the jobs that made them
 *
 * Every statement names the project: the number that its scope has, or -1, which no row has,
 * when nothing of it was ever projected.
 */
#pragma once

#include "contracts/search_text.h"
#include "store/read_answer.h"
#include "store/sqlite_session.h"

/* One query that runs. */
struct sqlite_query {
    struct sqlite_session *session;
    struct read_query *query;
    int64_t project;
    struct read_answer answer;
};

/* How the rows of a page become JSON. */
struct sqlite_rows {
    struct slice name; /* of the array */
    /* Writes one row as a value. */
    void (*write)(struct sqlite_query *run, sqlite3_stmt *row);
    /* Where the row stands. NULL: there are no further pages. */
    void (*place)(sqlite3_stmt *row, struct read_cursor *ret_place);
};

/* What an error of the session means for the asker. */
enum read_result sqlite_query_result(int error);

/* As sqlite_session_prepare(), with the project bound to ?1. */
MUST_USE int sqlite_query_prepare(struct sqlite_query *run, const char *sql,
                                  sqlite3_stmt **ret_statement);

/*
 * Writes what the statement gives, up to the query's limit, as an array; the statement must
 * give one row more when there is one. Gives where to go on; *ret_has_more is false at the
 * end. Resets the statement. 0 or a negative errno of the session.
 */
MUST_USE int sqlite_query_rows(struct sqlite_query *run, sqlite3_stmt *row,
                               const struct sqlite_rows *rows, struct read_cursor *ret_next,
                               bool *ret_has_more);

/* A whole answer that is one page: begins it, writes the rows, next_cursor, and ends it. */
MUST_USE enum read_result sqlite_query_page(struct sqlite_query *run, sqlite3_stmt *row,
                                            const struct sqlite_rows *rows);

/* Binds words of a place to ?2, ?3 ...; a text's words are its UUID. */
void sqlite_bind_uuid(sqlite3_stmt *statement, int index, const uint64_t words[2],
                      char text[UUID_TEXT_SIZE]);

/* The words of an id that is a UUID as text; its order is that of the text. */
void sqlite_uuid_words(sqlite3_stmt *row, int column, uint64_t ret_words[2]);

/* Members of the object that is being written. */
void sqlite_write_text(struct json_writer *writer, const char *name, struct slice text);
void sqlite_write_number(struct json_writer *writer, const char *name, int64_t number);
/* An instant; null when the column is. */
void sqlite_write_time(struct json_writer *writer, const char *name, sqlite3_stmt *row, int column);

/* The columns of an event, for sqlite_write_event(); EVENT_COLUMN_COUNT of them. */
#define EVENT_COLUMNS                                                                              \
    "events.id, event_id, spelled_id, occurred_ms, received_ms, environment, event_type, "         \
    "severity, events.message, attributes"

enum { EVENT_COLUMN_ID, EVENT_COLUMN_EVENT_ID, EVENT_COLUMN_OCCURRED = 3, EVENT_COLUMN_COUNT = 10 };

/* The members of an event, without the braces. */
void sqlite_write_event_members(struct json_writer *writer, sqlite3_stmt *row);

/* Of an expression for the text index: twice what was typed, and what stands between. */
enum { SQLITE_MATCH_SIZE_MAX = 64 + 2 * SEARCH_TEXT_SIZE_MAX + 16 * SEARCH_TERM_COUNT_MAX };

/*
 * Writes what the text index is asked for events of a project that have all the terms, which
 * are 1 to SEARCH_TERM_COUNT_MAX of at most SEARCH_TEXT_SIZE_MAX bytes together. Returns its
 * size. Whatever the terms hold, it is a correct expression.
 */
size_t sqlite_search_match(int64_t project, const struct search_term *terms, uint32_t count,
                           char text[SQLITE_MATCH_SIZE_MAX]);

/* The queries, one by one. */
MUST_USE enum read_result sqlite_run_search(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_incidents(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_incident(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_incident_events(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_incident_brief(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_overview(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_trends(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_ai_runs(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_ai_run(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_ai_stats(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_ai_activity(struct sqlite_query *run);
MUST_USE enum read_result sqlite_run_ai_jobs(struct sqlite_query *run);

/* What both the overview and the statistics of models say: see sqlite_ai.c. */
struct sqlite_ai_counts {
    int64_t succeeded;
    int64_t failed;
    int64_t pending;
    int64_t succeeded_last_24h;
};

/* Counts the runs of the project. 0 or a negative errno. */
MUST_USE int sqlite_count_ai_runs(struct sqlite_query *run, struct sqlite_ai_counts *ret_counts);

/* Percent of those that have ended, with one decimal; null when none has. */
void sqlite_write_success_rate(struct json_writer *writer, const struct sqlite_ai_counts *counts);
