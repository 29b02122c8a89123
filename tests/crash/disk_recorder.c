#include "tests/crash/disk_recorder.h"

/*
 * Each call that changes something is noted before it is made and again when it has
 * returned. Calls that only read leave no trace.
 */
static struct disk_recorder *recorder_of(struct disk *disk)
{
    return container_of(disk, struct disk_recorder, disk);
}

static int on_open(struct disk *disk, const char *path, int flags, uint32_t mode)
{
    struct disk_recorder *recorder = recorder_of(disk);
    struct write_log_open call = write_log_open_begin(recorder->log, path, flags);
    int fd = disk_open(recorder->inner, path, flags, mode);

    write_log_open_end(recorder->log, &call, fd);
    return fd;
}

static void on_close(struct disk *disk, int fd)
{
    write_log_close(recorder_of(disk)->log, fd);
    disk_close(recorder_of(disk)->inner, fd);
}

static int64_t on_read(struct disk *disk, int fd, void *data, size_t size, uint64_t offset)
{
    return disk_read(recorder_of(disk)->inner, fd, data, size, offset);
}

static int64_t on_write(struct disk *disk, int fd, const void *data, size_t size, uint64_t offset)
{
    struct disk_recorder *recorder = recorder_of(disk);
    uint32_t op = write_log_write(recorder->log, fd, data, size, offset, false);
    int64_t result = disk_write(recorder->inner, fd, data, size, offset);

    write_log_complete(recorder->log, op, result);
    return result;
}

static int on_sync(struct disk *disk, int fd)
{
    struct disk_recorder *recorder = recorder_of(disk);
    uint32_t op = write_log_sync(recorder->log, fd);
    int r = disk_sync(recorder->inner, fd);

    write_log_complete(recorder->log, op, r);
    return r;
}

static int on_sync_directory(struct disk *disk, const char *path)
{
    struct disk_recorder *recorder = recorder_of(disk);
    uint32_t op = write_log_sync_directory(recorder->log, path);
    int r = disk_sync_directory(recorder->inner, path);

    write_log_complete(recorder->log, op, r);
    return r;
}

static int on_size(struct disk *disk, int fd, uint64_t *ret_size)
{
    return disk_size(recorder_of(disk)->inner, fd, ret_size);
}

static int on_truncate(struct disk *disk, int fd, uint64_t size)
{
    struct disk_recorder *recorder = recorder_of(disk);
    uint32_t op = write_log_resize(recorder->log, fd, size);
    int r = disk_truncate(recorder->inner, fd, size);

    write_log_complete(recorder->log, op, r);
    return r;
}

static int on_rename(struct disk *disk, const char *path, const char *new_path)
{
    struct disk_recorder *recorder = recorder_of(disk);
    uint32_t op = write_log_rename(recorder->log, path, new_path);
    int r = disk_rename(recorder->inner, path, new_path);

    write_log_complete(recorder->log, op, r);
    return r;
}

static int on_unlink(struct disk *disk, const char *path)
{
    struct disk_recorder *recorder = recorder_of(disk);
    uint32_t op = write_log_unlink(recorder->log, path);
    int r = disk_unlink(recorder->inner, path);

    write_log_complete(recorder->log, op, r);
    return r;
}

static int on_make_directory(struct disk *disk, const char *path, uint32_t mode)
{
    struct disk_recorder *recorder = recorder_of(disk);
    uint32_t op = write_log_make_directory(recorder->log, path);
    int r = disk_make_directory(recorder->inner, path, mode);

    write_log_complete(recorder->log, op, r);
    return r;
}

static int on_list(struct disk *disk, const char *path, struct disk_visitor *visitor)
{
    return disk_list(recorder_of(disk)->inner, path, visitor);
}

static int on_lock(struct disk *disk, int fd)
{
    return disk_lock(recorder_of(disk)->inner, fd);
}

static int on_space(struct disk *disk, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    return disk_space(recorder_of(disk)->inner, path, ret_free, ret_total);
}

static bool on_is_volatile(struct disk *disk, const char *path)
{
    return disk_is_volatile(recorder_of(disk)->inner, path);
}

static const struct disk_vtable DISK_RECORDER_VTABLE = {
    .open = on_open,
    .close = on_close,
    .read = on_read,
    .write = on_write,
    .sync = on_sync,
    .sync_directory = on_sync_directory,
    .size = on_size,
    .truncate = on_truncate,
    .rename = on_rename,
    .unlink = on_unlink,
    .make_directory = on_make_directory,
    .list = on_list,
    .lock = on_lock,
    .space = on_space,
    .is_volatile = on_is_volatile,
};

void disk_recorder_init(struct disk_recorder *recorder, struct disk *inner, struct write_log *log)
{
    *recorder = (struct disk_recorder){{&DISK_RECORDER_VTABLE}, inner, log};
}
