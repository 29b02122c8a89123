#include "runtime/sim_disk_private.h"

/*
 * The blocking calls of struct disk: they act at once, take no time, and leave a
 * line in the trace.
 */

static struct sim_disk *disk_of(struct disk *disk)
{
    struct sim_disk *sd = container_of(disk, struct sim_disk, disk);

    sim_disk_check(sd);
    return sd;
}

static int64_t traced(const struct sim_disk *sd, const char *what, int fd, int64_t value,
                      uint64_t detail)
{
    sim_host_trace(sd->host, what, fd, value, detail);
    return value;
}

static int on_open(struct disk *disk, const char *path, int flags, uint32_t mode)
{
    struct sim_disk *sd = disk_of(disk);

    (void)mode; /* one user, who may do everything */
    return (int)traced(sd, "d.open", -1, sim_disk_open(sd, path, flags),
                       sim_hash(path, strlen(path)));
}

static void on_close(struct disk *disk, int fd)
{
    struct sim_disk *sd = disk_of(disk);

    /* A process that dies in a call still runs its clean-up. */
    if (sim_host_fd(sd->host, fd, SIM_FD_FILE) != NULL)
        sim_host_fd_close(sd->host, fd);
    else
        assert(sd->host->state != SIM_HOST_UP);
}

static int64_t on_read(struct disk *disk, int fd, void *data, size_t size, uint64_t offset)
{
    struct sim_disk *sd = disk_of(disk);

    return traced(sd, "d.read", fd, sim_disk_read(sd, fd, data, size, offset), offset);
}

static int64_t on_write(struct disk *disk, int fd, const void *data, size_t size, uint64_t offset)
{
    struct sim_disk *sd = disk_of(disk);

    return traced(sd, "d.write", fd, sim_disk_write(sd, fd, data, size, offset, false),
                  offset ^ sim_hash(data, size));
}

static int on_sync(struct disk *disk, int fd)
{
    struct sim_disk *sd = disk_of(disk);

    return (int)traced(sd, "d.sync", fd, sim_disk_sync(sd, fd, UINT64_MAX), 0);
}

static int on_sync_directory(struct disk *disk, const char *path)
{
    struct sim_disk *sd = disk_of(disk);

    return (int)traced(sd, "d.syncdir", -1, sim_disk_sync_directory(sd, path), 0);
}

static int on_size(struct disk *disk, int fd, uint64_t *ret_size)
{
    return sim_disk_size(disk_of(disk), fd, ret_size);
}

static int on_truncate(struct disk *disk, int fd, uint64_t size)
{
    struct sim_disk *sd = disk_of(disk);

    return (int)traced(sd, "d.truncate", fd, sim_disk_truncate(sd, fd, size), size);
}

static int on_rename(struct disk *disk, const char *path, const char *new_path)
{
    struct sim_disk *sd = disk_of(disk);

    return (int)traced(sd, "d.rename", -1, sim_disk_rename(sd, path, new_path),
                       sim_hash(new_path, strlen(new_path)));
}

static int on_unlink(struct disk *disk, const char *path)
{
    struct sim_disk *sd = disk_of(disk);

    return (int)traced(sd, "d.unlink", -1, sim_disk_unlink(sd, path), sim_hash(path, strlen(path)));
}

static int on_make_directory(struct disk *disk, const char *path, uint32_t mode)
{
    struct sim_disk *sd = disk_of(disk);

    (void)mode;
    return (int)traced(sd, "d.mkdir", -1, sim_disk_make_directory(sd, path),
                       sim_hash(path, strlen(path)));
}

static int on_list(struct disk *disk, const char *path, struct disk_visitor *visitor)
{
    return sim_disk_list(disk_of(disk), path, visitor);
}

static int on_lock(struct disk *disk, int fd)
{
    return sim_disk_lock(disk_of(disk), fd);
}

static int on_space(struct disk *disk, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    (void)path; /* a host has one file system */
    return sim_disk_space(disk_of(disk), ret_free, ret_total);
}

/* Neither traced nor counted: the kernel does it, in the process there is no call. */
static int on_map(struct disk *disk, const char *path, size_t size, char **ret_memory)
{
    struct sim_disk *sd = disk_of(disk);

    (void)path;
    if (sd->mapped == NULL) {
        sd->mapped = sim_alloc(size);
        sd->mapped_size = size;
    }
    assert(sd->mapped_size == size);
    *ret_memory = sd->mapped;
    return 0;
}

static void on_unmap(struct disk *disk, char *memory, size_t size)
{
    assert(memory == disk_of(disk)->mapped);
    assert(size == disk_of(disk)->mapped_size);
}

static int on_boot_id(struct disk *disk, uint8_t ret_id[DISK_BOOT_ID_SIZE])
{
    struct sim_disk *sd = disk_of(disk);

    memset(ret_id, 1, DISK_BOOT_ID_SIZE);
    memcpy(ret_id, &sd->crash_count, sizeof(sd->crash_count));
    return 0;
}

const struct disk_vtable sim_disk_vtable = {
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
    .map = on_map,
    .unmap = on_unmap,
    .boot_id = on_boot_id,
};
