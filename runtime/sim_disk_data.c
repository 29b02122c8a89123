#include "runtime/sim_disk_private.h"

#include <fcntl.h>

/*
 * Bytes: reading, writing, syncing, and the space they take. The same functions
 * serve blocking calls and asynchronous operations; which blocks a crash may take
 * is sim_file.c's business, which faults strike is decided here.
 *
 * A failed write leaves any part of its bytes behind, as a real one does; a full
 * disk takes whole blocks as long as they fit and then says so.
 */

/* Direct I/O that is not aligned fails on a real disk; here it is found at once. */
static void check_aligned(const struct sim_fd *record, const char *data, uint64_t size,
                          uint64_t offset)
{
    if ((record->open_flags & O_DIRECT) == 0)
        return;
    assert((uintptr_t)data % SIM_SECTOR_SIZE == 0);
    assert(size % SIM_SECTOR_SIZE == 0);
    assert(offset % SIM_SECTOR_SIZE == 0);
}

/* A smaller size, in sectors; the whole one when it is a single sector. */
static uint64_t shorten(struct sim_disk *sd, uint64_t size)
{
    uint64_t sectors = size / SIM_SECTOR_SIZE;

    if (sectors < 2)
        return size;
    return (1 + rng_below(&sd->host->world->rng, sectors - 1)) * SIM_SECTOR_SIZE;
}

/* The open file behind fd, 0 or why it cannot be read or written. */
static int file_of(const struct sim_disk *sd, int fd, int refused_mode, struct sim_file **ret_file)
{
    const struct sim_fd *record = sim_host_fd(sd->host, fd, SIM_FD_FILE);

    if (record == NULL)
        return -EBADF;
    if ((record->open_flags & O_ACCMODE) == refused_mode)
        return -EBADF;
    if (record->file->directory_path != NULL)
        return -EISDIR;
    *ret_file = record->file;
    return 0;
}

int64_t sim_disk_read(struct sim_disk *sd, int fd, char *data, uint64_t size, uint64_t offset)
{
    enum fate fate = sim_disk_begin(sd);
    struct sim_file *file;
    uint64_t count;
    int r;

    if (fate != FATE_GO_ON || sim_disk_strikes(sd, &sd->host->faults.read_error))
        return -EIO;
    r = file_of(sd, fd, O_WRONLY, &file);
    if (r < 0)
        return r;
    check_aligned(&sd->host->fds[fd], data, size, offset);
    if (sim_disk_strikes(sd, &sd->host->faults.read_short))
        size = shorten(sd, size);
    count = sim_file_read(file, data, size, offset);
    sim_damage_read(sd, fd, file, data, count, offset);
    return (int64_t)count;
}

/* How much of a write fits on the medium: size, less in whole blocks, or 0. */
static uint64_t fitting(const struct sim_disk *sd, const struct sim_file *file, uint64_t size,
                        uint64_t offset)
{
    uint64_t end = sim_disk_space_of(max_u64(offset + size, file->size));
    uint64_t free_size = sd->capacity > sd->used ? sd->capacity - sd->used : 0;
    uint64_t reach = sim_disk_space_of(file->size) + free_size / SIM_BLOCK_SIZE * SIM_BLOCK_SIZE;

    if (end <= reach)
        return size;
    return offset < reach ? min_u64(size, reach - offset) : 0;
}

void sim_disk_resize(struct sim_disk *sd, struct sim_file *file, uint64_t size)
{
    assert(file->in_use_count > 0);
    assert(sd->used >= sim_disk_space_of(file->size));
    sd->used += sim_disk_space_of(size);
    sd->used -= sim_disk_space_of(file->size);
    sim_file_truncate(file, size, ++sd->write_sequence);
}

static void write_and_account(struct sim_disk *sd, const struct sim_write *write)
{
    uint64_t before = sim_disk_space_of(write->file->size);

    sim_damage_write(sd, write);
    sd->used += sim_disk_space_of(write->file->size) - before;
}

static void write_torn(struct sim_disk *sd, struct sim_file *file, const char *data, uint64_t size,
                       uint64_t offset)
{
    uint64_t before = sim_disk_space_of(file->size);

    sim_file_write_torn(file, &sd->host->world->rng, data, size, offset, ++sd->write_sequence);
    sd->used += sim_disk_space_of(file->size) - before;
}

int64_t sim_disk_write(struct sim_disk *sd, int fd, const char *data, uint64_t size,
                       uint64_t offset, bool durable)
{
    struct sim_faults *faults = &sd->host->faults;
    enum fate fate = sim_disk_begin(sd);
    struct sim_file *file;
    int open_flags;
    int r;

    if (fate == FATE_DEAD)
        return -EIO;
    r = file_of(sd, fd, O_RDONLY, &file);
    if (r < 0)
        return r;
    check_aligned(&sd->host->fds[fd], data, size, offset);
    open_flags = sd->host->fds[fd].open_flags;
    durable = durable || (open_flags & O_DSYNC) != 0;
    if (size == 0)
        return 0;
    if (sim_disk_strikes(sd, &faults->write_no_space))
        return -ENOSPC;
    size = fitting(sd, file, size, offset);
    if (size == 0)
        return -ENOSPC;
    if (sim_disk_strikes(sd, &faults->write_short))
        size = shorten(sd, size);
    if (fate != FATE_GO_ON || sim_disk_strikes(sd, &faults->write_error)) {
        write_torn(sd, file, data, size, offset);
        return -EIO;
    }
    write_and_account(sd, &(struct sim_write){.file = file,
                                              .data = data,
                                              .size = size,
                                              .offset = offset,
                                              .durable = durable,
                                              .direct = durable || (open_flags & O_DIRECT) != 0,
                                              .fd = fd});
    return (int64_t)size;
}

void sim_disk_abandon_write(struct sim_disk *sd, int fd, const char *data, uint64_t size,
                            uint64_t offset)
{
    struct sim_file *file;

    sim_disk_check(sd);
    if (file_of(sd, fd, O_RDONLY, &file) < 0)
        return;
    size = fitting(sd, file, size, offset);
    if (size > 0)
        write_torn(sd, file, data, size, offset);
}

int sim_disk_sync(struct sim_disk *sd, int fd, uint64_t sequence)
{
    struct rng *rng = &sd->host->world->rng;
    enum fate fate = sim_disk_begin(sd);
    const struct sim_fd *record = sim_host_fd(sd->host, fd, SIM_FD_FILE);

    if (!fate_has_effect(fate))
        return -EIO;
    if (record == NULL)
        return -EBADF;
    if (sim_disk_strikes(sd, &sd->host->faults.sync_error)) {
        sim_file_sync_fail(record->file, rng);
        return -EIO;
    }
    if (fate == FATE_GO_ON && sim_damage_sync(sd, fd, record->file))
        return 0;
    if (record->file->directory_path != NULL)
        sim_disk_sync_names(sd, record->file->directory_path);
    else
        sim_file_sync(record->file, sequence);
    return fate == FATE_GO_ON ? 0 : -EIO;
}

int sim_disk_truncate(struct sim_disk *sd, int fd, uint64_t size)
{
    enum fate fate = sim_disk_begin(sd);
    struct sim_file *file;
    int r;

    if (!fate_has_effect(fate) || sim_disk_strikes(sd, &sd->host->faults.write_error))
        return -EIO;
    r = file_of(sd, fd, O_RDONLY, &file);
    if (r < 0)
        return r;
    if (size > file->size && fitting(sd, file, size - file->size, file->size) < size - file->size)
        return -ENOSPC;
    sim_disk_resize(sd, file, size);
    return fate == FATE_GO_ON ? 0 : -EIO;
}

int sim_disk_size(struct sim_disk *sd, int fd, uint64_t *ret_size)
{
    const struct sim_fd *record = sim_host_fd(sd->host, fd, SIM_FD_FILE);

    if (sim_disk_begin(sd) != FATE_GO_ON)
        return -EIO;
    if (record == NULL)
        return -EBADF;
    *ret_size = record->file->size;
    return 0;
}

int sim_disk_lock(struct sim_disk *sd, int fd)
{
    const struct sim_fd *record = sim_host_fd(sd->host, fd, SIM_FD_FILE);

    if (sim_disk_begin(sd) != FATE_GO_ON)
        return -EIO;
    if (record == NULL)
        return -EBADF;
    if (record->file->lock_fd != -1 && record->file->lock_fd != fd)
        return -EWOULDBLOCK;
    record->file->lock_fd = fd;
    return 0;
}

int sim_disk_space(struct sim_disk *sd, uint64_t *ret_free, uint64_t *ret_total)
{
    if (sim_disk_begin(sd) != FATE_GO_ON)
        return -EIO;
    *ret_free = sd->capacity > sd->used ? sd->capacity - sd->used : 0;
    *ret_total = sd->capacity;
    return 0;
}
