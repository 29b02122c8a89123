#include "store/sqlite_internals.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/migrations.h"

/*
 * Whose file it is, in this order: a read model at all (application_id), of a version that is
 * known (user_version), of this data directory (table owner). Each migration runs in one
 * transaction with the version that it leads to.
 */
enum { APPLICATION_ID = 0x77656972 }; /* "weir", in the file's header */

void sqlite_backend_path(const char *data_path, const char *file_name, char *path)
{
    int size = snprintf(path, SQLITE_PATH_SIZE_MAX, "%s/read-model/%s", data_path,
                        file_name == NULL ? "read-model.db" : file_name);

    assert(size > 0 && size < SQLITE_PATH_SIZE_MAX);
}

MUST_USE static int make_directory(struct disk *disk, const char *data_path)
{
    char path[SQLITE_PATH_SIZE_MAX];
    int size = snprintf(path, sizeof(path), "%s/read-model", data_path);
    int r;

    assert(size > 0 && size < SQLITE_PATH_SIZE_MAX);
    r = disk_make_directory(disk, path, 0700);
    if (r < 0 && r != -EEXIST)
        return r;
    return r == 0 ? disk_sync_directory(disk, data_path) : 0;
}

/* Says why, and what to do. Answers error. */
static int refuse(char *text, int error, const char *path, const char *why)
{
    snprintf(text, READ_MODEL_TEXT_SIZE,
             "%.200s %s stop weir and run `weir migrate --rebuild` to make it anew from the logs",
             path, why);
    return error;
}

/* Whose file it is: -1 not a read model, else its version. Or an error in *ret_version's stead. */
MUST_USE static int read_version(struct sqlite_session *session, int64_t *ret_version)
{
    int64_t application_id = 0;
    int64_t table_count = 0;
    int64_t version = 0;
    int r = sqlite_session_number(session, "PRAGMA application_id", &application_id);

    if (r == 0)
        r = sqlite_session_number(session, "PRAGMA user_version", &version);
    if (r == 0)
        r = sqlite_session_number(session, "SELECT count(*) FROM sqlite_schema", &table_count);
    if (r == 0)
        *ret_version =
            application_id == APPLICATION_ID || (version == 0 && table_count == 0) ? version : -1;
    return r;
}

MUST_USE static int run_migration(struct sqlite_session *session, uint32_t number)
{
    char sql[64];
    int r = sqlite_session_run(session, "BEGIN IMMEDIATE");

    if (r == 0)
        r = sqlite_session_run(session, MIGRATIONS[number].sql);
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", number + 1);
    if (r == 0)
        r = sqlite_session_run(session, sql);
    snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
    if (r == 0)
        r = sqlite_session_run(session, sql);
    if (r == 0)
        r = sqlite_session_run(session, "COMMIT");
    if (r < 0 && sqlite3_get_autocommit(session->db) == 0 &&
        sqlite_session_run(session, "ROLLBACK") < 0)
        SOMETIMES("a migration cannot be rolled back");
    return r;
}

/* The directory whose logs the rows come from: written once, compared ever after. */
MUST_USE static int check_owner(struct sqlite_session *session, const uint8_t *uuid, bool is_new)
{
    struct slice owner = {(const char *)uuid, SEGMENT_UUID_SIZE};
    sqlite3_stmt *row;
    int r;

    r = sqlite_session_prepare(
        session, is_new ? "INSERT INTO owner (uuid) VALUES (?1)" : "SELECT uuid = ?1 FROM owner",
        &row);
    if (r < 0)
        return r;
    sqlite_bind_bytes(row, 1, owner.data, owner.size);
    r = sqlite_step(row);
    if (r <= 0)
        return r < 0 || is_new ? r : -EPROTO;
    r = sqlite_number(row, 0) == 1 ? 0 : -EPROTO;
    sqlite_reset(row);
    return r;
}

MUST_USE static int migrate(struct sqlite_backend *self, const struct sqlite_backend_config *config,
                            const char *path, uint32_t *ret_migrated, char *text)
{
    uint32_t migrated = 0;
    int64_t version = 0;
    int r = read_version(&self->writer, &version);

    if (r < 0)
        return r;
    if (version < 0)
        return refuse(text, -EPROTO, path, "is not a read model:");
    if (version > MIGRATION_COUNT)
        return refuse(text, -EPROTO, path,
                      "was made by a later version of weir: use that version, or");
    if (version < MIGRATION_COUNT && !config->may_migrate)
        return refuse(text, -EPROTO, path, "is of an earlier version of weir:");
    for (uint32_t n = (uint32_t)version; r == 0 && n < MIGRATION_COUNT; n++, migrated++)
        r = run_migration(&self->writer, n);
    if (r == 0)
        r = check_owner(&self->writer, config->uuid, version == 0);
    if (r == -EPROTO)
        return refuse(text, r, path, "belongs to another data directory:");
    if (r == 0)
        *ret_migrated = migrated;
    return r;
}

/* SQLite calls it after each commit. */
static int on_wal(void *argument, sqlite3 *db, const char *name, int page_count)
{
    struct sqlite_backend *self = argument;

    (void)db;
    (void)name;
    self->wal_pages = page_count;
    return SQLITE_OK;
}

/* Settings of the connection that writes, before it migrates. */
static const char *const WRITER_SETTINGS[] = {
    "PRAGMA page_size = 8192",
    "PRAGMA cache_size = -65536",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA trusted_schema = OFF",
};

static const char *const LASTING_SETTINGS[] = {
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA journal_size_limit = 33554432",
};

/* A draft can be rolled back, but not after a crash; so no page is written twice. */
static const char *const DRAFT_SETTINGS[] = {
    "PRAGMA journal_mode = MEMORY",
    "PRAGMA synchronous = OFF",
};

static const char *const READER_SETTINGS[] = {
    "PRAGMA cache_size = -16384",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA query_only = ON",
};

MUST_USE static int run_all(struct sqlite_session *session, const char *const *settings,
                            uint32_t count)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = sqlite_session_run(session, settings[i]);
    return r;
}

MUST_USE static int open_sessions(struct sqlite_backend *self,
                                  const struct sqlite_backend_config *config, const char *path,
                                  uint32_t *ret_migrated, char *text)
{
    struct sqlite_session_config session = {
        .path = path,
        .vfs = config->vfs,
        .exclusive = config->vfs != NULL,
        .clock_source = config->clock_source,
    };
    int r = sqlite_session_open(&self->writer, &session);

    if (r < 0)
        return r;
    r = run_all(&self->writer, WRITER_SETTINGS, ARRAY_COUNT(WRITER_SETTINGS));
    if (r == 0 && config->is_draft)
        r = run_all(&self->writer, DRAFT_SETTINGS, ARRAY_COUNT(DRAFT_SETTINGS));
    else if (r == 0)
        r = run_all(&self->writer, LASTING_SETTINGS, ARRAY_COUNT(LASTING_SETTINGS));
    /* Only now: one of the settings takes any hook away. */
    sqlite3_wal_hook(self->writer.db, on_wal, self);
    if (r == 0)
        r = migrate(self, config, path, ret_migrated, text);
    /* Only now: a migration may sort more than there is memory for. */
    if (r == 0)
        r = sqlite_session_run(&self->writer, "PRAGMA temp_store = MEMORY");
    self->is_shared = session.exclusive || config->is_draft;
    if (r < 0 || self->is_shared)
        return r;
    r = sqlite_session_open(&self->reader, &session);
    if (r == 0)
        r = run_all(&self->reader, READER_SETTINGS, ARRAY_COUNT(READER_SETTINGS));
    return r;
}

int sqlite_backend_open(const struct sqlite_backend_config *config,
                        struct read_backend **ret_backend, uint32_t *ret_migrated, char *text)
{
    char path[SQLITE_PATH_SIZE_MAX];
    struct sqlite_backend *self;
    struct read_backend *backend;
    char *memory = NULL;
    int r;

    text[0] = 0;
    sqlite_backend_path(config->data_path, config->file_name, path);
    r = make_directory(config->disk, config->data_path);
    if (r == 0)
        r = memory_map(sizeof(*self), &memory);
    if (r < 0)
        return r;
    self = (struct sqlite_backend *)(void *)memory;
    self->backend.vtable = &SQLITE_BACKEND_VTABLE;
    r = open_sessions(self, config, path, ret_migrated, text);
    if (r == 0) {
        *ret_backend = &self->backend;
        return 0;
    }
    if (r == -EBADMSG)
        (void)refuse(text, r, path, "is damaged:");
    else if (text[0] == 0)
        snprintf(text, READ_MODEL_TEXT_SIZE, "%.300s cannot be opened: %s", path,
                 sqlite3_errstr(self->writer.db == NULL ? SQLITE_CANTOPEN
                                                        : sqlite3_errcode(self->writer.db)));
    backend = &self->backend;
    sqlite_backend_close(&backend);
    return r;
}
