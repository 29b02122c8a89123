#include "runtime/disk.h"

#include <errno.h>

/*
 * The front of the two disks: checks what the caller can get wrong and passes on.
 * Both disks may then trust their arguments.
 */

int disk_open(struct disk *disk, const char *path, int flags, uint32_t mode)
{
    assert(path != NULL);
    assert((mode & ~0777U) == 0);
    return disk->vtable->open(disk, path, flags, mode);
}

void disk_close(struct disk *disk, int fd)
{
    assert(fd >= 0);
    disk->vtable->close(disk, fd);
}

int64_t disk_read(struct disk *disk, int fd, void *data, size_t size, uint64_t offset)
{
    assert(fd >= 0);
    assert(data != NULL);
    assert(offset <= INT64_MAX);
    return disk->vtable->read(disk, fd, data, size, offset);
}

void disk_ahead_begin(struct disk_ahead *ahead, struct disk *disk, int fd, char *data, size_t size,
                      uint64_t offset)
{
    assert(ahead->disk == NULL);
    assert(fd >= 0);
    assert(data != NULL);
    assert(offset <= INT64_MAX);
    *ahead =
        (struct disk_ahead){.disk = disk, .data = data, .size = size, .offset = offset, .fd = fd};
    if (disk->vtable->ahead_begin != NULL)
        ahead->is_begun = disk->vtable->ahead_begin(disk, ahead) == 0;
}

int64_t disk_ahead_end(struct disk_ahead *ahead)
{
    struct disk *disk = ahead->disk;

    assert(disk != NULL);
    ahead->disk = NULL;
    if (ahead->is_begun)
        return disk->vtable->ahead_end(disk, ahead);
    return disk->vtable->read(disk, ahead->fd, ahead->data, ahead->size, ahead->offset);
}

void disk_ahead_drop(struct disk_ahead *ahead)
{
    if (ahead->disk != NULL && ahead->is_begun)
        (void)ahead->disk->vtable->ahead_end(ahead->disk, ahead);
    ahead->disk = NULL;
}

int64_t disk_write(struct disk *disk, int fd, const void *data, size_t size, uint64_t offset)
{
    assert(fd >= 0);
    assert(data != NULL);
    assert(offset <= INT64_MAX);
    return disk->vtable->write(disk, fd, data, size, offset);
}

int disk_sync(struct disk *disk, int fd)
{
    assert(fd >= 0);
    return disk->vtable->sync(disk, fd);
}

int disk_sync_directory(struct disk *disk, const char *path)
{
    assert(path != NULL);
    return disk->vtable->sync_directory(disk, path);
}

int disk_size(struct disk *disk, int fd, uint64_t *ret_size)
{
    assert(fd >= 0);
    assert(ret_size != NULL);
    return disk->vtable->size(disk, fd, ret_size);
}

int disk_truncate(struct disk *disk, int fd, uint64_t size)
{
    assert(fd >= 0);
    assert(size <= INT64_MAX);
    return disk->vtable->truncate(disk, fd, size);
}

int disk_rename(struct disk *disk, const char *path, const char *new_path)
{
    assert(path != NULL);
    assert(new_path != NULL);
    return disk->vtable->rename(disk, path, new_path);
}

int disk_unlink(struct disk *disk, const char *path)
{
    assert(path != NULL);
    return disk->vtable->unlink(disk, path);
}

int disk_make_directory(struct disk *disk, const char *path, uint32_t mode)
{
    assert(path != NULL);
    assert((mode & ~0777U) == 0);
    return disk->vtable->make_directory(disk, path, mode);
}

int disk_list(struct disk *disk, const char *path, struct disk_visitor *visitor)
{
    assert(path != NULL);
    assert(visitor->visit != NULL);
    return disk->vtable->list(disk, path, visitor);
}

int disk_lock(struct disk *disk, int fd)
{
    assert(fd >= 0);
    return disk->vtable->lock(disk, fd);
}

int disk_space(struct disk *disk, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    assert(ret_free != NULL);
    assert(ret_total != NULL);
    return disk->vtable->space(disk, path, ret_free, ret_total);
}

bool disk_is_volatile(struct disk *disk, const char *path)
{
    return disk->vtable->is_volatile != NULL && disk->vtable->is_volatile(disk, path);
}

int disk_map(struct disk *disk, const char *path, size_t size, char **ret_memory)
{
    assert(path != NULL);
    assert(size > 0);
    if (disk->vtable->map == NULL)
        return -ENOSYS;
    return disk->vtable->map(disk, path, size, ret_memory);
}

void disk_unmap(struct disk *disk, char **memory, size_t size)
{
    if (*memory == NULL)
        return;
    assert(disk->vtable->unmap != NULL);
    disk->vtable->unmap(disk, *memory, size);
    *memory = NULL;
}

int disk_boot_id(struct disk *disk, uint8_t ret_id[DISK_BOOT_ID_SIZE])
{
    assert(ret_id != NULL);
    return disk->vtable->boot_id == NULL ? -ENOSYS : disk->vtable->boot_id(disk, ret_id);
}
