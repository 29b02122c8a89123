#include "store/read_rebuild.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/memory.h"
#include "store/recovery.h"
#include "store/sqlite_backend.h"

/*
 * Rebuilding reads the logs twice: first as the next start will, changing nothing, to know where
 * they end; then as the writer of a running server does. The new file has a name of its own
 * until it is whole, closed and synced, so that no other file of SQLite's stands beside it; until
 * then it is a draft, which costs no syncs and is removed by the next one. Then the old one
 * goes with what belongs to it, and the new one takes its name. When that is cut short there
 * is no read model, and the next start makes one.
 */
static const char NEW_NAME[] = "rebuild.db";

static int ignore_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    (void)visitor;
    (void)group;
    return 0;
}

/* Tells the writer where each log ends. 0 or -errno with text. */
MUST_USE static int find_ends(const struct read_rebuild_config *config, struct read_writer *writer,
                              uint64_t *ret_total, char *text)
{
    struct recovery_visitor visitor = {.on_group = ignore_group};
    struct recovery_config recovery = {
        .disk = config->disk,
        .data_path = config->data_path,
        .superblock = config->superblock,
        .visitor = &visitor,
        .unsafe_storage = config->unsafe_storage,
        .read_only = true,
    };
    struct recovered *recovered = NULL;
    int r;

    static_assert((int)RECOVERY_TEXT_SIZE == (int)READ_MODEL_TEXT_SIZE, "one text");
    r = recovery_run(&recovery, &recovered, text);
    if (r < 0)
        return r;
    for (uint32_t log = 0; log < recovered->log_count; log++)
        read_writer_advance(writer, log, recovered->logs[log].next_lsn - 1);
    *ret_total = log_follower_lag(&writer->follower);
    recovered_free(&recovered);
    return 0;
}

MUST_USE static int follow_to_end(const struct read_rebuild_config *config,
                                  struct read_writer *writer, char *text)
{
    uint64_t total = 0;
    enum read_step step;
    int r = find_ends(config, writer, &total, text);

    if (r < 0)
        return r;
    do {
        step = read_writer_step(writer);
        if (config->visitor != NULL)
            config->visitor->on_progress(config->visitor, writer->record_count,
                                         max_u64(total, writer->record_count));
    } while (step == READ_STEP_MORE);
    if (step == READ_STEP_IDLE)
        return 0;
    snprintf(text, READ_MODEL_TEXT_SIZE, "%s", writer->text);
    return step == READ_STEP_ENDED ? -EBADMSG : -EIO;
}

static void fill_config(const struct read_rebuild_config *config, const char *file_name,
                        struct sqlite_backend_config *ret_config)
{
    *ret_config = (struct sqlite_backend_config){
        .disk = config->disk,
        .data_path = config->data_path,
        .file_name = file_name,
        .uuid = config->superblock->uuid,
        .clock_source = config->clock_source,
        .vfs = config->vfs,
        .may_migrate = true,
    };
}

int read_migrate(const struct read_rebuild_config *config, struct read_rebuild_result *ret_result,
                 char *text)
{
    struct read_rebuild_result result = {.migrated = 0};
    struct sqlite_backend_config sqlite;
    struct read_backend *backend = NULL;
    int r;

    fill_config(config, NULL, &sqlite);
    r = sqlite_backend_open(&sqlite, &backend, &result.migrated, text);
    if (r < 0)
        return r;
    result.file_bytes = backend->vtable->size(backend);
    backend->vtable->close(&backend);
    *ret_result = result;
    return 0;
}

/* Removes a file of that name and what SQLite keeps beside it. 0 or -errno. */
MUST_USE static int remove_files(const struct read_rebuild_config *config, const char *name)
{
    static const char *const SUFFIXES[] = {"", "-wal", "-shm"};
    char path[SQLITE_PATH_SIZE_MAX];
    char suffixed[SQLITE_PATH_SIZE_MAX + 8];

    sqlite_backend_path(config->data_path, name, path);
    for (uint32_t i = 0; i < ARRAY_COUNT(SUFFIXES); i++) {
        int r;

        snprintf(suffixed, sizeof(suffixed), "%s%s", path, SUFFIXES[i]);
        r = disk_unlink(config->disk, suffixed);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

/* Makes durable what is in the file. 0 or -errno. */
MUST_USE static int sync_file(struct disk *disk, const char *path)
{
    int fd = disk_open(disk, path, O_RDWR, 0);
    int r;

    if (fd < 0)
        return fd;
    r = disk_sync(disk, fd);
    disk_close(disk, fd);
    return r;
}

/* Gives the new file its name. 0 or -errno. */
MUST_USE static int take_place(const struct read_rebuild_config *config)
{
    char new_path[SQLITE_PATH_SIZE_MAX];
    char path[SQLITE_PATH_SIZE_MAX];
    char directory[SQLITE_PATH_SIZE_MAX];
    int r;

    sqlite_backend_path(config->data_path, NEW_NAME, new_path);
    sqlite_backend_path(config->data_path, NULL, path);
    snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path), path);
    r = sync_file(config->disk, new_path);
    if (r == 0)
        r = remove_files(config, NULL);
    if (r == 0)
        r = disk_rename(config->disk, new_path, path);
    if (r == 0)
        r = disk_sync_directory(config->disk, directory);
    return r;
}

/* Fills the new file and closes it. 0 or -errno with text. */
MUST_USE static int fill_new(const struct read_rebuild_config *config,
                             struct read_rebuild_result *ret_result, char *text)
{
    struct read_writer_config writer_config = {
        .disk = config->disk,
        .data_path = config->data_path,
        .uuid = config->superblock->uuid,
        .log_count = config->superblock->log_count,
        .unsafe_storage = config->unsafe_storage,
        .clock_source = config->clock_source,
    };
    struct sqlite_backend_config sqlite;
    struct read_writer *writer;
    char *memory = NULL;
    int r;

    fill_config(config, NEW_NAME, &sqlite);
    sqlite.is_draft = true;
    r = sqlite_backend_open(&sqlite, &writer_config.backend, &ret_result->migrated, text);
    if (r < 0)
        return r;
    r = memory_map(sizeof(*writer), &memory);
    writer = (struct read_writer *)(void *)memory;
    if (r == 0)
        r = read_writer_init(writer, &writer_config, text);
    if (r == 0) {
        r = follow_to_end(config, writer, text);
        ret_result->record_count = writer->record_count;
        ret_result->unreadable_count = writer->projection.unreadable_count;
        ret_result->file_bytes = writer_config.backend->vtable->size(writer_config.backend);
        read_writer_deinit(writer);
    }
    memory_unmap(&memory, sizeof(*writer));
    writer_config.backend->vtable->close(&writer_config.backend);
    return r;
}

int read_rebuild(const struct read_rebuild_config *config, struct read_rebuild_result *ret_result,
                 char *text)
{
    struct read_rebuild_result result = {.migrated = 0};
    int r = remove_files(config, NEW_NAME); /* of one that was cut short */

    text[0] = 0;
    if (r == 0)
        r = fill_new(config, &result, text);
    if (r == 0)
        r = take_place(config);
    if (r < 0 && text[0] == 0)
        snprintf(text, READ_MODEL_TEXT_SIZE, "%.300s/read-model: %s", config->data_path,
                 strerrordesc_np(-r));
    if (r == 0)
        *ret_result = result;
    return r;
}
