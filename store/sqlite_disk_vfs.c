#include "store/sqlite_disk_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>

#include "runtime/memory.h"
#include "runtime/rng.h"
#include "runtime/sim_point.h"

/*
 * The least that SQLite asks of a file system. Locks always succeed: whoever opens a
 * connection here has said that there is no other. A file that was made has its name
 * synced together with its first content.
 */
enum { FILE_PATH_SIZE_MAX = 4096, READ_TRY_MAX = 8, SECTOR_SIZE = 4096 };
static const int64_t JULIAN_MS_OF_1970 = INT64_C(210866760000000);

struct sqlite_disk_vfs {
    sqlite3_vfs base;
    struct disk *disk;
    const struct clock_source *clock_source;
    struct rng rng;
    char name[32];
};

/* An open file, in memory of SQLite's. */
struct disk_file {
    sqlite3_file base;
    struct sqlite_disk_vfs *vfs;
    int fd;
    bool name_is_new; /* not known to be durable */
    char path[FILE_PATH_SIZE_MAX];
};

static struct disk_file *file_of(sqlite3_file *file)
{
    return container_of(file, struct disk_file, base);
}

static struct sqlite_disk_vfs *vfs_of(sqlite3_vfs *vfs)
{
    return container_of(vfs, struct sqlite_disk_vfs, base);
}

static int on_close(sqlite3_file *base)
{
    struct disk_file *file = file_of(base);

    disk_close(file->vfs->disk, file->fd);
    return SQLITE_OK;
}

static int on_read(sqlite3_file *base, void *data, int size, sqlite3_int64 offset)
{
    struct disk_file *file = file_of(base);
    uint32_t tries = 0;
    int done = 0;

    while (done < size) {
        uint64_t file_size;
        int64_t count = disk_read(file->vfs->disk, file->fd, (char *)data + done,
                                  (size_t)(size - done), (uint64_t)(offset + done));

        if (count < 0)
            return SQLITE_IOERR_READ;
        done += (int)count;
        if (count > 0)
            continue;
        if (disk_size(file->vfs->disk, file->fd, &file_size) < 0 || ++tries > READ_TRY_MAX)
            return SQLITE_IOERR_READ;
        if ((uint64_t)(offset + done) >= file_size)
            break;
    }
    memset((char *)data + done, 0, (size_t)(size - done));
    return done == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 offset)
{
    struct disk_file *file = file_of(base);
    uint32_t tries = 0;
    int done = 0;

    while (done < size) {
        int64_t count = disk_write(file->vfs->disk, file->fd, (const char *)data + done,
                                   (size_t)(size - done), (uint64_t)(offset + done));

        if (count == -ENOSPC)
            return SQLITE_FULL;
        if (count < 0 || (count == 0 && ++tries > READ_TRY_MAX))
            return SQLITE_IOERR_WRITE;
        done += (int)count;
    }
    return SQLITE_OK;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct disk_file *file = file_of(base);

    return disk_truncate(file->vfs->disk, file->fd, (uint64_t)size) < 0 ? SQLITE_IOERR_TRUNCATE
                                                                        : SQLITE_OK;
}

MUST_USE static int sync_directory(struct sqlite_disk_vfs *vfs, const char *path)
{
    char directory[FILE_PATH_SIZE_MAX];
    const char *slash = strrchr(path, '/');

    assert(slash != NULL);
    snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
    return disk_sync_directory(vfs->disk, directory);
}

static int on_sync(sqlite3_file *base, int flags)
{
    struct disk_file *file = file_of(base);

    (void)flags;
    if (disk_sync(file->vfs->disk, file->fd) < 0)
        return SQLITE_IOERR_FSYNC;
    if (file->name_is_new && sync_directory(file->vfs, file->path) < 0)
        return SQLITE_IOERR_DIR_FSYNC;
    file->name_is_new = false;
    return SQLITE_OK;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    struct disk_file *file = file_of(base);
    uint64_t size;

    if (disk_size(file->vfs->disk, file->fd, &size) < 0)
        return SQLITE_IOERR_FSTAT;
    *ret_size = (sqlite3_int64)size;
    return SQLITE_OK;
}

static int on_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int on_check_lock(sqlite3_file *base, int *ret_is_locked)
{
    (void)base;
    *ret_is_locked = 0;
    return SQLITE_OK;
}

static int on_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int on_sector_size(sqlite3_file *base)
{
    (void)base;
    return SECTOR_SIZE;
}

/* Promises nothing: a write may tear, and what is beside it with it. */
static int on_characteristics(sqlite3_file *base)
{
    (void)base;
    return 0;
}

static const sqlite3_io_methods FILE_METHODS = {
    .iVersion = 1,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_lock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
};

static int on_open(sqlite3_vfs *base, const char *name, sqlite3_file *out, int flags,
                   int *ret_flags)
{
    struct sqlite_disk_vfs *vfs = vfs_of(base);
    struct disk_file *file = file_of(out);
    bool writes = (flags & SQLITE_OPEN_READWRITE) != 0;
    int how = writes ? O_RDWR : O_RDONLY;
    int r;

    file->base.pMethods = NULL;
    if (name == NULL || strlen(name) >= sizeof(file->path))
        return SQLITE_CANTOPEN; /* a temporary file: those are in memory */
    if ((flags & SQLITE_OPEN_CREATE) != 0)
        how |= O_CREAT;
    r = disk_open(vfs->disk, name, how, 0600);
    if (r < 0)
        return r == -ENOSPC ? SQLITE_FULL : SQLITE_CANTOPEN;
    file->vfs = vfs;
    file->fd = r;
    file->name_is_new = writes;
    snprintf(file->path, sizeof(file->path), "%s", name);
    file->base.pMethods = &FILE_METHODS;
    if (ret_flags != NULL)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *base, const char *name, int sync)
{
    struct sqlite_disk_vfs *vfs = vfs_of(base);
    int r = disk_unlink(vfs->disk, name);

    if (r == -ENOENT)
        return SQLITE_IOERR_DELETE_NOENT;
    if (r < 0)
        return SQLITE_IOERR_DELETE;
    if (sync != 0 && sync_directory(vfs, name) < 0)
        return SQLITE_IOERR_DIR_FSYNC;
    return SQLITE_OK;
}

static int on_access(sqlite3_vfs *base, const char *name, int flags, int *ret_is_there)
{
    struct sqlite_disk_vfs *vfs = vfs_of(base);
    int r = disk_open(vfs->disk, name, O_RDONLY, 0);

    (void)flags;
    if (r < 0 && r != -ENOENT)
        return SQLITE_IOERR_ACCESS;
    if (r >= 0)
        disk_close(vfs->disk, r);
    *ret_is_there = r >= 0;
    return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *base, const char *name, int size, char *ret_path)
{
    (void)base;
    snprintf(ret_path, (size_t)size, "%s", name);
    return SQLITE_OK;
}

static int on_random(sqlite3_vfs *base, int size, char *ret_bytes)
{
    struct sqlite_disk_vfs *vfs = vfs_of(base);

    rng_fill(&vfs->rng, ret_bytes, (size_t)size);
    return size;
}

static int on_sleep(sqlite3_vfs *base, int microseconds)
{
    (void)base;
    return microseconds;
}

static int on_time(sqlite3_vfs *base, sqlite3_int64 *ret_julian_ms)
{
    struct sqlite_disk_vfs *vfs = vfs_of(base);
    uint64_t mono_ns;
    uint64_t unix_ms;

    vfs->clock_source->read(vfs->clock_source, &mono_ns, &unix_ms);
    *ret_julian_ms = JULIAN_MS_OF_1970 + (int64_t)unix_ms;
    return SQLITE_OK;
}

static int on_last_error(sqlite3_vfs *base, int size, char *text)
{
    (void)base;
    if (size > 0)
        text[0] = 0;
    return 0;
}

int sqlite_disk_vfs_new(struct disk *disk, const struct clock_source *clock_source, uint64_t seed,
                        struct sqlite_disk_vfs **ret_vfs)
{
    struct sqlite_disk_vfs *vfs;
    char *memory = NULL;
    int r = memory_map(sizeof(*vfs), &memory);

    if (r < 0)
        return r;
    vfs = (struct sqlite_disk_vfs *)(void *)memory;
    vfs->disk = disk;
    vfs->clock_source = clock_source;
    rng_init_seed(&vfs->rng, seed);
    snprintf(vfs->name, sizeof(vfs->name), "weir-%p", (void *)vfs);
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct disk_file),
        .mxPathname = FILE_PATH_SIZE_MAX - 1,
        .zName = vfs->name,
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_path,
        .xRandomness = on_random,
        .xSleep = on_sleep,
        .xGetLastError = on_last_error,
        .xCurrentTimeInt64 = on_time,
    };
    /* SQLite draws from the default one, and forgets what it had drawn before. */
    if (sqlite3_vfs_register(&vfs->base, 1) != SQLITE_OK) {
        memory_unmap(&memory, sizeof(*vfs));
        return -ENOMEM;
    }
    sqlite3_randomness(0, NULL);
    *ret_vfs = vfs;
    return 0;
}

const char *sqlite_disk_vfs_name(const struct sqlite_disk_vfs *vfs)
{
    return vfs->name;
}

void sqlite_disk_vfs_free(struct sqlite_disk_vfs **vfs)
{
    char *memory = (char *)*vfs;

    if (*vfs == NULL)
        return;
    sqlite3_vfs_unregister(&(*vfs)->base);
    memory_unmap(&memory, sizeof(**vfs));
    *vfs = NULL;
}
