/*
 * SQLite session: one connection, its prepared statements, and SQLite's answers as ours.
 *
 * Belongs to one thread. A statement is prepared when it is first asked for and kept, by
 * its text. Every call answers 0 or a positive number, or one of
 *
 *     -ETIME    the time limit was over      -ENOSPC  the disk is full
 *     -EBADMSG  the file is damaged, or may be after a failed flush
 *     -EIO      the disk failed
 *     -EBUSY    another connection is in the way
 *     -ENOMEM   no memory                    -EPROTO  wrong SQL: our bug
 */
#pragma once

#include <sqlite3.h>

#include "runtime/clock.h"
#include "store/read_model.h"
#include "store/sqlite_stemmer.h"

enum {
    SQLITE_STATEMENTS_MAX = 128,
    SQLITE_SQL_SIZE_MAX = 4096, /* of a statement that is put together */
    SQLITE_PROGRESS_STEPS = 10000,
};

/* A statement that was prepared before. */
struct sqlite_statement {
    sqlite3_stmt *handle;
    uint64_t used; /* when, in calls */
};

/* Private to sqlite_session.c; embedded by value, zeroed. */
struct sqlite_session {
    sqlite3 *db; /* NULL: not open */
    struct sqlite_statement statements[SQLITE_STATEMENTS_MAX];
    uint32_t statement_count;
    uint64_t use_count;
    const struct clock_source *clock_source;
    struct sqlite_stemmer stemmer;
    uint64_t deadline_ns; /* of what runs now; UINT64_MAX: none */
};

/* How to open one. Borrowed for the call; clock_source for the session's life. */
struct sqlite_session_config {
    const char *path;
    const char *vfs; /* NULL: the operating system's files */
    bool read_only;
    bool exclusive; /* the only connection there will ever be */
    const struct clock_source *clock_source;
};

/* Opens, and makes the file when it is not there and may be written. 0 or as above. */
MUST_USE int sqlite_session_open(struct sqlite_session *session,
                                 const struct sqlite_session_config *config);

/* Closes an open session, or does nothing. */
void sqlite_session_close(struct sqlite_session *session);

/* Runs statements that give no rows. 0 or as above. */
MUST_USE int sqlite_session_run(struct sqlite_session *session, const char *sql);

/* Runs a statement without parameters whose first column is a number. 0 or as above. */
MUST_USE int sqlite_session_number(struct sqlite_session *session, const char *sql,
                                   int64_t *ret_number);

/* Everything from here on ends with -ETIME at deadline_ns (monotonic); UINT64_MAX: never. */
void sqlite_session_limit(struct sqlite_session *session, uint64_t deadline_ns);

/*
 * The statement with this text, ready to be bound and stepped. It is the session's: step it to
 * its end or call sqlite_reset(), and do not keep it.
 */
MUST_USE int sqlite_session_prepare(struct sqlite_session *session, const char *sql,
                                    sqlite3_stmt **ret_statement);

/* Binds parameter index (from 1). Text and bytes are borrowed until the statement is reset. */
void sqlite_bind_number(sqlite3_stmt *statement, int index, int64_t value);
void sqlite_bind_slice(sqlite3_stmt *statement, int index, struct slice text);
void sqlite_bind_bytes(sqlite3_stmt *statement, int index, const void *data, size_t size);

/* The next row: 1; 0 when there is none, and the statement is reset; or as above, likewise. */
MUST_USE int sqlite_step(sqlite3_stmt *statement);

/* Runs a statement to its end. 0 or as above. */
MUST_USE int sqlite_finish(sqlite3_stmt *statement);

/* Leaves a statement before its last row. */
void sqlite_reset(sqlite3_stmt *statement);

/* Column index (from 0) of the row, borrowed until the next step. NULL is 0 and "". */
int64_t sqlite_number(sqlite3_stmt *statement, int index);
struct slice sqlite_slice(sqlite3_stmt *statement, int index);
bool sqlite_is_null(sqlite3_stmt *statement, int index);

/* From SQLite's result code to ours: 0, or a negative errno as above. */
int sqlite_error(int code);
