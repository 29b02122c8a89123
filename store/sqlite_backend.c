#include "store/sqlite_internals.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/sqlite_queries.h"

/*
 * What makes it fast: statements prepared once, one transaction for as many records as are
 * there, numbers of projects and counts per minute kept in memory until the commit.
 *
 * Durability: synchronous = NORMAL, so a commit costs no flush. A power cut may take the last
 * commits back, whole and in order, rows and places together: the logs still have what is
 * missing, and it is read again. What must not happen is that the database holds more than
 * the logs, and it cannot: only durable records are projected.
 */
enum {
    RETAIN_ROWS = 500,
    RETAIN_OTHERS_ROUNDS = 60, /* what takes a scan is looked for once in so many rounds */
    WAL_PAGES_MIN = 500,       /* a checkpoint is tried when the WAL has so many pages: few, for
                                  the logs wait for the disk while it is flushed */
    WAL_PAGES_MAX = 64000,     /* and forced, against readers, from here on */
};

/* ---- places and transactions ---- */

static int load_places(struct read_backend *backend, struct read_place *ret_places,
                       uint32_t log_count)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    sqlite3_stmt *row;
    int r = sqlite_session_prepare(
        &self->writer, "SELECT log, seq, place, next_lsn, location FROM positions", &row);

    if (r < 0)
        return r;
    for (uint32_t log = 0; log < log_count; log++)
        ret_places[log] = (struct read_place){.log = log};
    while ((r = sqlite_step(row)) == 1) {
        uint64_t log = (uint64_t)sqlite_number(row, 0);

        if (log >= log_count)
            continue;
        ret_places[log] = (struct read_place){
            .log = (uint32_t)log,
            .seq = (uint64_t)sqlite_number(row, 1),
            .offset = (uint64_t)sqlite_number(row, 2),
            .next_lsn = (uint64_t)sqlite_number(row, 3),
            .last = {(uint64_t)sqlite_number(row, 4)},
        };
    }
    return r;
}

static int put_place(struct read_backend *backend, const struct read_place *place)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(&self->writer,
                                   "INSERT OR REPLACE INTO positions (log, seq, place, next_lsn,"
                                   " location) VALUES (?1, ?2, ?3, ?4, ?5)",
                                   &statement);

    if (r < 0)
        return r;
    sqlite_bind_number(statement, 1, place->log);
    sqlite_bind_number(statement, 2, (int64_t)place->seq);
    sqlite_bind_number(statement, 3, (int64_t)place->offset);
    sqlite_bind_number(statement, 4, (int64_t)place->next_lsn);
    sqlite_bind_number(statement, 5, (int64_t)place->last.bits);
    return sqlite_finish(statement);
}

/*
 * Brings what the WAL holds into the file. SQLite would do it by itself, but not say that it
 * failed. Readers that are in the way are waited for only when the WAL has become long.
 */
MUST_USE static int checkpoint(struct sqlite_backend *self)
{
    int mode =
        self->wal_pages < WAL_PAGES_MAX ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
    int r;

    if (self->wal_pages < WAL_PAGES_MIN)
        return 0;
    r = sqlite_error(sqlite3_wal_checkpoint_v2(self->writer.db, NULL, mode, NULL, NULL));
    if (r == -EBUSY) {
        SOMETIMES("a reader is in the way of a checkpoint");
        return 0;
    }
    return r;
}

static int begin(struct read_backend *backend)
{
    return sqlite_session_run(&sqlite_backend_of(backend)->writer, "BEGIN IMMEDIATE");
}

static int commit(struct read_backend *backend)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    int r = sqlite_write_minutes(self);

    if (r == 0)
        r = sqlite_session_run(&self->writer, "COMMIT");
    if (r == 0)
        r = checkpoint(self);
    return r;
}

static void roll_back(struct read_backend *backend)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);

    /* Some errors have rolled back already; then there is nothing left to do. */
    if (sqlite3_get_autocommit(self->writer.db) == 0 &&
        sqlite_session_run(&self->writer, "ROLLBACK") < 0)
        SOMETIMES("a transaction of the read model cannot be rolled back");
    sqlite_forget(self);
}

/* ---- retention ---- */

/* The newest of the oldest rows that may go; INT64_MIN when there is none. Or -errno. */
MUST_USE static int find_old(struct sqlite_backend *self, uint64_t before_ms, int64_t log,
                             int64_t *ret_last, uint32_t *ret_count)
{
    int64_t first = (int64_t)((uint64_t)log << 56);
    sqlite3_stmt *row;
    int r = sqlite_session_prepare(
        &self->writer,
        "SELECT id, received_ms FROM events WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3", &row);

    if (r < 0)
        return r;
    *ret_last = INT64_MIN;
    *ret_count = 0;
    sqlite_bind_number(row, 1, first);
    sqlite_bind_number(row, 2, first + ((INT64_C(1) << 56) - 1));
    sqlite_bind_number(row, 3, RETAIN_ROWS);
    while ((r = sqlite_step(row)) == 1) {
        if ((uint64_t)sqlite_number(row, 1) >= before_ms)
            break;
        *ret_last = sqlite_number(row, 0);
        ++*ret_count;
    }
    sqlite_reset(row);
    return r < 0 ? r : 0;
}

/* Runs sql with two parameters. */
MUST_USE static int run_range(struct sqlite_backend *self, const char *sql, int64_t first,
                              int64_t last)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(&self->writer, sql, &statement);

    if (r < 0)
        return r;
    sqlite_bind_number(statement, 1, first);
    sqlite_bind_number(statement, 2, last);
    return sqlite_finish(statement);
}

/* The text index must be told what it is to forget while the row is still there. */
MUST_USE static int remove_events(struct sqlite_backend *self, int64_t log, int64_t last)
{
    int64_t first = (int64_t)((uint64_t)log << 56);
    int r = run_range(self,
                      "INSERT INTO event_search (event_search, rowid, scope, message)"
                      " SELECT 'delete', id, scope, message FROM event_texts"
                      " WHERE id BETWEEN ?1 AND ?2",
                      first, last);

    if (r == 0)
        r = run_range(self, "DELETE FROM events WHERE id BETWEEN ?1 AND ?2", first, last);
    return r;
}

MUST_USE static int retain_events(struct sqlite_backend *self, uint64_t before_ms, bool *ret_more)
{
    int r = 0;

    for (int64_t log = 0; r == 0 && log <= SEGMENT_LOG_MAX; log++) {
        int64_t last;
        uint32_t count;

        r = find_old(self, before_ms, log, &last, &count);
        if (r == 0 && count > 0)
            r = remove_events(self, log, last);
        if (r == 0 && count == RETAIN_ROWS)
            *ret_more = true;
    }
    return r;
}

/* Small tables without an index by age. */
static const char *const RETAIN_OTHERS[] = {
    "DELETE FROM metric_minutes WHERE received_ms < ?1 - ?2",
    ("DELETE FROM incident_changes WHERE incident_id IN"
     " (SELECT id FROM incidents WHERE resolved_ms < ?1 - ?2)"),
    "DELETE FROM incidents WHERE resolved_ms < ?1 - ?2",
    "DELETE FROM ai_runs WHERE updated_ms < ?1 - ?2",
    "DELETE FROM jobs WHERE ended_ms < ?1 - ?2",
};

MUST_USE static int retain_others(struct sqlite_backend *self, uint64_t before_ms)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < ARRAY_COUNT(RETAIN_OTHERS); i++)
        r = run_range(self, RETAIN_OTHERS[i], (int64_t)before_ms, 0);
    return r;
}

static int retain(struct read_backend *backend, uint64_t before_ms, bool *ret_more)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    bool more = false;
    int r = begin(backend);

    if (r == 0)
        r = retain_events(self, before_ms, &more);
    if (r == 0 && !more && self->retain_count++ % RETAIN_OTHERS_ROUNDS == 0)
        r = retain_others(self, before_ms);
    if (r == 0)
        r = commit(backend);
    if (r < 0) {
        roll_back(backend);
        return r;
    }
    *ret_more = more;
    return 0;
}

/* ---- queries, size, the end ---- */

static enum read_result query(struct read_backend *backend, struct read_query *query,
                              uint64_t deadline_ns)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    struct sqlite_session *session = self->is_shared ? &self->writer : &self->reader;
    enum read_result result;

    sqlite_session_limit(session, deadline_ns);
    if (sqlite_session_run(session, "BEGIN") < 0)
        return READ_UNAVAILABLE;
    result = sqlite_query_run(session, query);
    sqlite_session_limit(session, UINT64_MAX);
    if (sqlite_session_run(session, "COMMIT") < 0 && sqlite3_get_autocommit(session->db) == 0 &&
        sqlite_session_run(session, "ROLLBACK") < 0)
        result = READ_UNAVAILABLE;
    return result;
}

static uint64_t size(struct read_backend *backend)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    int64_t pages = 0;
    int64_t page_size = 0;

    if (sqlite_session_number(&self->writer, "PRAGMA page_count", &pages) < 0 ||
        sqlite_session_number(&self->writer, "PRAGMA page_size", &page_size) < 0)
        return 0;
    return (uint64_t)pages * (uint64_t)page_size;
}

void sqlite_backend_close(struct read_backend **backend)
{
    struct sqlite_backend *self = sqlite_backend_of(*backend);
    char *memory = (char *)self;

    sqlite_session_close(&self->reader);
    sqlite_session_close(&self->writer);
    memory_unmap(&memory, sizeof(*self));
    *backend = NULL;
}

const struct read_backend_vtable SQLITE_BACKEND_VTABLE = {
    .name = "sqlite",
    .load_places = load_places,
    .begin = begin,
    .put_event = sqlite_put_event,
    .put_incident = sqlite_put_incident,
    .put_run = sqlite_put_run,
    .put_job = sqlite_put_job,
    .put_job_fact = sqlite_put_job_fact,
    .put_place = put_place,
    .commit = commit,
    .roll_back = roll_back,
    .retain = retain,
    .query = query,
    .size = size,
    .close = sqlite_backend_close,
};
