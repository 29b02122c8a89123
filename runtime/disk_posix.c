#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/disk.h"

/*
 * The real file system, by plain system calls. A call that a signal interrupted
 * is repeated, except close(2), which has closed the descriptor by then, and
 * fsync(2), whose failure must never be papered over by a second try.
 */

static int posix_open(struct disk *disk, const char *path, int flags, uint32_t mode)
{
    int fd;

    (void)disk;
    do
        fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

static void posix_close(struct disk *disk, int fd)
{
    int r;

    (void)disk;
    r = close(fd);
    /* Closing what is not open means that somebody else's file is in danger. */
    assert(r == 0 || errno != EBADF);
}

/* One transfer may be short for many reasons; only the end of the file or an error ends the loop.
 */
static int64_t posix_read(struct disk *disk, int fd, void *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    (void)disk;
    while (done < size) {
        ssize_t n = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return done > 0 ? (int64_t)done : -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

/* By a thread of the C library, which makes it when it is needed and ends it soon after. */
static int posix_ahead_begin(struct disk *disk, struct disk_ahead *ahead)
{
    (void)disk;
    ahead->control = (struct aiocb){
        .aio_fildes = ahead->fd,
        .aio_buf = ahead->data,
        .aio_nbytes = ahead->size,
        .aio_offset = (off_t)ahead->offset,
        .aio_sigevent = {.sigev_notify = SIGEV_NONE},
    };
    return aio_read(&ahead->control) < 0 ? -errno : 0;
}

static int64_t posix_ahead_end(struct disk *disk, struct disk_ahead *ahead)
{
    const struct aiocb *controls[] = {&ahead->control};
    ssize_t done;
    int error;
    int64_t r;

    while ((error = aio_error(&ahead->control)) == EINPROGRESS)
        (void)aio_suspend(controls, ARRAY_COUNT(controls), NULL); /* or a signal: look again */
    done = aio_return(&ahead->control);
    if (error != 0)
        return -error;
    if ((size_t)done == ahead->size)
        return done;
    /* It is short for one of many reasons. */
    r = posix_read(disk, ahead->fd, ahead->data + done, ahead->size - (size_t)done,
                   ahead->offset + (uint64_t)done);
    return r < 0 ? r : done + r;
}

static int64_t posix_write(struct disk *disk, int fd, const void *data, size_t size,
                           uint64_t offset)
{
    size_t done = 0;

    (void)disk;
    while (done < size) {
        ssize_t n = pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return done > 0 ? (int64_t)done : -errno;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int posix_sync(struct disk *disk, int fd)
{
    (void)disk;
    return fsync(fd) < 0 ? -errno : 0;
}

static int posix_sync_directory(struct disk *disk, const char *path)
{
    int fd, r;

    fd = posix_open(disk, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    r = posix_sync(disk, fd);
    posix_close(disk, fd);
    return r;
}

static int posix_size(struct disk *disk, int fd, uint64_t *ret_size)
{
    struct stat status;

    (void)disk;
    if (fstat(fd, &status) < 0)
        return -errno;
    assert(status.st_size >= 0);
    *ret_size = (uint64_t)status.st_size;
    return 0;
}

static int posix_truncate(struct disk *disk, int fd, uint64_t size)
{
    int r;

    (void)disk;
    do
        r = ftruncate(fd, (off_t)size);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static int posix_rename(struct disk *disk, const char *path, const char *new_path)
{
    (void)disk;
    return rename(path, new_path) < 0 ? -errno : 0;
}

static int posix_unlink(struct disk *disk, const char *path)
{
    (void)disk;
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_make_directory(struct disk *disk, const char *path, uint32_t mode)
{
    (void)disk;
    return mkdir(path, (mode_t)mode) < 0 ? -errno : 0;
}

static int posix_list(struct disk *disk, const char *path, struct disk_visitor *visitor)
{
    struct dirent *entry;
    DIR *directory;
    int r = 0;

    (void)disk;
    directory = opendir(path);
    if (directory == NULL)
        return -errno;
    while (r >= 0) {
        errno = 0;
        entry = readdir(directory);
        if (entry == NULL) {
            r = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        r = visitor->visit(visitor, entry->d_name);
    }
    closedir(directory);
    return r < 0 ? r : 0;
}

static int posix_lock(struct disk *disk, int fd)
{
    (void)disk;
    return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static int posix_space(struct disk *disk, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs status;

    (void)disk;
    if (statvfs(path, &status) < 0)
        return -errno;
    *ret_free = (uint64_t)status.f_bavail * status.f_frsize;
    *ret_total = (uint64_t)status.f_blocks * status.f_frsize;
    return 0;
}

static bool posix_is_volatile(struct disk *disk, const char *path)
{
    struct statfs status;

    (void)disk;
    return statfs(path, &status) == 0 &&
           (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

/* Room is taken now: a page without room would end the process when it is written to. */
static int posix_map(struct disk *disk, const char *path, size_t size, char **ret_memory)
{
    int fd = posix_open(disk, path, O_RDWR | O_CREAT, 0600);
    void *memory;
    int r;

    if (fd < 0)
        return fd;
    do
        r = posix_fallocate(fd, 0, (off_t)size);
    while (r == EINTR);
    memory = r != 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (r == 0 && memory == MAP_FAILED)
        r = errno;
    posix_close(disk, fd);
    if (r != 0)
        return -r;
    *ret_memory = memory;
    return 0;
}

static void posix_unmap(struct disk *disk, char *memory, size_t size)
{
    int r;

    (void)disk;
    r = munmap(memory, size);
    assert(r == 0);
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* The kernel's own: a UUID as text. */
static int posix_boot_id(struct disk *disk, uint8_t ret_id[DISK_BOOT_ID_SIZE])
{
    int fd = posix_open(disk, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    char text[36], digits[2 * DISK_BOOT_ID_SIZE];
    size_t count = 0;
    int64_t size;

    if (fd < 0)
        return fd;
    size = posix_read(disk, fd, text, sizeof(text), 0);
    posix_close(disk, fd);
    for (int64_t i = 0; i < size && count < sizeof(digits); i++)
        if (text[i] != '-')
            digits[count++] = text[i];
    if (count < sizeof(digits))
        return -EBADMSG;
    for (size_t i = 0; i < DISK_BOOT_ID_SIZE; i++)
        ret_id[i] = (uint8_t)(nibble(digits[2 * i]) << 4 | nibble(digits[2 * i + 1]));
    return 0;
}

static const struct disk_vtable DISK_POSIX_VTABLE = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .sync_directory = posix_sync_directory,
    .size = posix_size,
    .truncate = posix_truncate,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .make_directory = posix_make_directory,
    .list = posix_list,
    .lock = posix_lock,
    .space = posix_space,
    .is_volatile = posix_is_volatile,
    .map = posix_map,
    .unmap = posix_unmap,
    .boot_id = posix_boot_id,
    .ahead_begin = posix_ahead_begin,
    .ahead_end = posix_ahead_end,
};

struct disk *disk_posix(void)
{
    static struct disk disk = {.vtable = &DISK_POSIX_VTABLE};

    return &disk;
}
