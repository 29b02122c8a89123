#include "store/sqlite_session.h"

#include <errno.h>

/*
 * The connection runs without SQLite's own locks (SQLITE_OPEN_NOMUTEX): one thread has it.
 * Statements are found by their text, which SQLite keeps anyway; when there are too many
 * the one that was not used for the longest time goes.
 */

int sqlite_error(int code)
{
    /* What is on the disk after a failed flush is unknown, and no later one can tell. */
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
        return -EBADMSG;
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_INTERRUPT:
        return -ETIME;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return -EIO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

/* SQLite calls it every SQLITE_PROGRESS_STEPS steps; not 0 ends the statement. */
static int on_progress(void *argument)
{
    const struct sqlite_session *session = argument;
    uint64_t mono_ns;
    uint64_t unix_ms;

    if (session->deadline_ns == UINT64_MAX)
        return 0;
    session->clock_source->read(session->clock_source, &mono_ns, &unix_ms);
    return mono_ns >= session->deadline_ns;
}

/*
 * Without the sum of all its memory, which nobody asks for, SQLite allocates under no lock. Once
 * it runs this answers that it is too late.
 */
static void forgo_statistics(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int sqlite_session_open(struct sqlite_session *session, const struct sqlite_session_config *config)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int r;

    assert(session->db == NULL);
    flags |= config->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    session->clock_source = config->clock_source;
    session->deadline_ns = UINT64_MAX;
    forgo_statistics();
    r = sqlite_error(sqlite3_open_v2(config->path, &session->db, flags, config->vfs));
    if (r == 0)
        r = sqlite_error(sqlite3_busy_timeout(session->db, config->exclusive ? 0 : READ_SLOW_MS));
    if (r == 0)
        r = sqlite_error(sqlite_stemmer_install(&session->stemmer, session->db));
    if (r == 0 && config->exclusive)
        r = sqlite_session_run(session, "PRAGMA locking_mode = EXCLUSIVE");
    if (r == 0)
        sqlite3_progress_handler(session->db, SQLITE_PROGRESS_STEPS, on_progress, session);
    if (r < 0)
        sqlite_session_close(session);
    return r;
}

void sqlite_session_close(struct sqlite_session *session)
{
    int code;

    for (uint32_t i = 0; i < session->statement_count; i++)
        sqlite3_finalize(session->statements[i].handle);
    session->statement_count = 0;
    code = sqlite3_close(session->db);
    assert(code == SQLITE_OK); /* all its statements are gone */
    session->db = NULL;
}

int sqlite_session_run(struct sqlite_session *session, const char *sql)
{
    return sqlite_error(sqlite3_exec(session->db, sql, NULL, NULL, NULL));
}

int sqlite_session_number(struct sqlite_session *session, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(session, sql, &statement);

    if (r < 0)
        return r;
    r = sqlite_step(statement);
    if (r < 0)
        return r;
    assert(r == 1);
    *ret_number = sqlite_number(statement, 0);
    sqlite_reset(statement);
    return 0;
}

void sqlite_session_limit(struct sqlite_session *session, uint64_t deadline_ns)
{
    session->deadline_ns = deadline_ns;
}

static struct sqlite_statement *find_statement(struct sqlite_session *session, const char *sql)
{
    for (uint32_t i = 0; i < session->statement_count; i++)
        if (strcmp(sqlite3_sql(session->statements[i].handle), sql) == 0)
            return &session->statements[i];
    return NULL;
}

/* A place for one more; the one that was not used for the longest time makes room. */
static struct sqlite_statement *free_statement(struct sqlite_session *session)
{
    struct sqlite_statement *oldest = &session->statements[0];

    if (session->statement_count < SQLITE_STATEMENTS_MAX)
        return &session->statements[session->statement_count++];
    for (uint32_t i = 1; i < session->statement_count; i++)
        if (session->statements[i].used < oldest->used)
            oldest = &session->statements[i];
    sqlite3_finalize(oldest->handle);
    return oldest;
}

int sqlite_session_prepare(struct sqlite_session *session, const char *sql,
                           sqlite3_stmt **ret_statement)
{
    struct sqlite_statement *entry = find_statement(session, sql);
    sqlite3_stmt *handle;
    int r;

    assert(session->db != NULL);
    if (entry == NULL) {
        r = sqlite_error(
            sqlite3_prepare_v3(session->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL));
        if (r < 0)
            return r;
        assert(handle != NULL);
        entry = free_statement(session);
        entry->handle = handle;
    }
    assert(!sqlite3_stmt_busy(entry->handle));
    entry->used = ++session->use_count;
    sqlite3_clear_bindings(entry->handle);
    *ret_statement = entry->handle;
    return 0;
}

/* Binding fails only when the index is wrong, or for a text beyond SQLite's bound of 1 GB. */
static void check_bound(int code)
{
    assert(code == SQLITE_OK);
}

void sqlite_bind_number(sqlite3_stmt *statement, int index, int64_t value)
{
    check_bound(sqlite3_bind_int64(statement, index, value));
}

void sqlite_bind_slice(sqlite3_stmt *statement, int index, struct slice text)
{
    const char *data = text.size == 0 ? "" : text.data;

    check_bound(sqlite3_bind_text(statement, index, data, (int)text.size, SQLITE_STATIC));
}

void sqlite_bind_bytes(sqlite3_stmt *statement, int index, const void *data, size_t size)
{
    check_bound(sqlite3_bind_blob(statement, index, data, (int)size, SQLITE_STATIC));
}

int sqlite_step(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    if (code == SQLITE_ROW)
        return 1;
    sqlite3_reset(statement);
    return sqlite_error(code);
}

int sqlite_finish(sqlite3_stmt *statement)
{
    int r;

    do {
        r = sqlite_step(statement);
    } while (r == 1);
    return r;
}

void sqlite_reset(sqlite3_stmt *statement)
{
    /* Repeats what the last step answered, which its caller has heard. */
    (void)sqlite3_reset(statement);
}

int64_t sqlite_number(sqlite3_stmt *statement, int index)
{
    return sqlite3_column_int64(statement, index);
}

struct slice sqlite_slice(sqlite3_stmt *statement, int index)
{
    const void *data = sqlite3_column_blob(statement, index);
    int size = sqlite3_column_bytes(statement, index);

    return data == NULL ? SLICE_LITERAL("") : (struct slice){data, (size_t)size};
}

bool sqlite_is_null(sqlite3_stmt *statement, int index)
{
    return sqlite3_column_type(statement, index) == SQLITE_NULL;
}
