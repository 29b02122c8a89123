/*
 * Query fixture: a real database in a directory of its own, filled row by row as the
 * projection does it, and questions to it.
 */
#pragma once

#include "runtime/clock.h"
#include "store/sqlite_backend.h"

enum {
    QUERY_FIXTURE_ANSWER_SIZE = 1 << 20,
    QUERY_FIXTURE_PATH_SIZE = 128,
};

struct query_fixture {
    struct clock_source clock_source; /* the system's, but who reads it is counted */
    uint64_t clock_read_count;
    char path[QUERY_FIXTURE_PATH_SIZE];
    struct read_backend *backend;
    struct read_query query; /* the last one, with its answer */
    char *answer;            /* as text, with a terminator */
    char cursor[READ_CURSOR_SIZE_MAX];
    uint64_t event_count;
};

/* Makes the database. Tests fail here when that cannot be done. */
void query_fixture_init(struct query_fixture *fixture);

/* Removes it. */
void query_fixture_deinit(struct query_fixture *fixture);

/* An event of org "o" and project "p" with an id of its own, ready to be changed and put. */
struct read_event_row query_fixture_event(struct query_fixture *fixture, int64_t occurred_ms,
                                          const char *message);

/* Puts it, in a transaction of its own. */
void query_fixture_put(struct query_fixture *fixture, const struct read_event_row *row);

/* An incident of the same project that opened then; series {1, 2}. */
struct incident_image query_fixture_incident(uint64_t number, int64_t opened_ms);

/* Puts it, in a transaction of its own. */
void query_fixture_put_incident(struct query_fixture *fixture, const struct incident_image *image);

/* A question of the same project, ready to be changed. */
struct read_query query_fixture_query(enum read_query_type type);

/* Asks; the answer is in the fixture. */
enum read_result query_fixture_ask(struct query_fixture *fixture, const struct read_query *query);

/* Steps of the database that the last question took, to some SQLITE_PROGRESS_STEPS. */
uint64_t query_fixture_steps(const struct query_fixture *fixture);

/* Raw text of what stands at a path such as "events/0/message"; empty: it is not there. */
struct slice query_fixture_at(const struct query_fixture *fixture, const char *path);

/* True when raw text stands there. */
bool query_fixture_is(const struct query_fixture *fixture, const char *path, const char *raw);

/* How many elements the array there has. */
uint32_t query_fixture_count(const struct query_fixture *fixture, const char *path);

/* Makes the query go on behind the last answer. False: that was the last page. */
bool query_fixture_next(struct query_fixture *fixture, struct read_query *query);
