/*
 * SQLite backend: the read model in a file of the data directory.
 *
 * <data>/read-model/read-model.db in WAL mode, with -wal and -shm beside it. Two connections, one
 * per thread; only one, which also answers, when the disk is not the operating system's.
 */
#pragma once

#include "store/read_backend.h"

enum { SQLITE_PATH_SIZE_MAX = 4096 };

/* How to open one. Borrowed for the call; disk and clock_source for the backend's life. */
struct sqlite_backend_config {
    struct disk *disk;
    const char *data_path;
    const char *file_name; /* NULL: read-model.db */
    const uint8_t *uuid;   /* of the data directory */
    const struct clock_source *clock_source;
    const char *vfs; /* NULL: the operating system's files */
    bool may_migrate;
    bool is_draft; /* is made anew when anything goes wrong: nothing is synced */
};

/*
 * Opens, and makes or migrates. 0; -EPROTO when the file is of a later version, or of another
 * data directory; -EBADMSG when it is damaged; or another -errno. text (READ_MODEL_TEXT_SIZE) says
 * why and what to do. *ret_migrated: how many migrations were run.
 */
MUST_USE int sqlite_backend_open(const struct sqlite_backend_config *config,
                                 struct read_backend **ret_backend, uint32_t *ret_migrated,
                                 char *text);

/* The file's path into path[SQLITE_PATH_SIZE_MAX]. */
void sqlite_backend_path(const char *data_path, const char *file_name, char *path);
