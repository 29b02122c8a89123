#include "tests/crash/crash_disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Two levels of sharing, both counted: a disk points to files, a file to blocks. Who
 * writes takes a file for himself (own_file), then a block (own_block). A block of
 * zeros is no block at all, which keeps segments that were only made ready free of
 * charge. Single-threaded; running out of memory aborts.
 */
enum { DIRECTORY_MODE = 0700, FILE_MODE = 0600, TARGET_PATH_SIZE = 1024 };

struct crash_block {
    uint32_t user_count;
    char data[CRASH_BLOCK_SIZE];
};

struct crash_file {
    uint32_t user_count;
    bool is_directory;
    uint64_t size;
    struct crash_block **blocks; /* NULL: zeros */
    uint32_t block_count;
};

static const char ZEROS[CRASH_BLOCK_SIZE];

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        abort();
    return memory;
}

static struct crash_disk *disk_of(struct disk *disk)
{
    return container_of(disk, struct crash_disk, disk);
}

static void block_let_go(struct crash_block **block)
{
    if (*block != NULL && --(*block)->user_count == 0)
        free(*block);
    *block = NULL;
}

static void file_let_go(struct crash_file **file)
{
    struct crash_file *self = *file;

    *file = NULL;
    if (self == NULL || --self->user_count > 0)
        return;
    for (uint32_t i = 0; i < self->block_count; i++)
        block_let_go(&self->blocks[i]);
    free(self->blocks);
    free(self);
}

static struct crash_file *own_file(struct crash_disk *cd, uint32_t number)
{
    struct crash_file *file, *copy;

    assert(number < CRASH_FILE_COUNT_MAX);
    file = cd->files[number];
    assert(file != NULL);
    if (file->user_count == 1)
        return file;
    copy = allocate(sizeof(*copy));
    *copy = *file;
    copy->user_count = 1;
    copy->blocks = allocate((file->block_count + 1) * sizeof(struct crash_block *));
    for (uint32_t i = 0; i < file->block_count; i++) {
        copy->blocks[i] = file->blocks[i];
        if (copy->blocks[i] != NULL)
            copy->blocks[i]->user_count++;
    }
    file->user_count--;
    cd->files[number] = copy;
    return copy;
}

static struct crash_block *own_block(struct crash_file *file, uint32_t index)
{
    struct crash_block *block = file->blocks[index];
    struct crash_block *copy;

    if (block != NULL && block->user_count == 1)
        return block;
    copy = allocate(sizeof(*copy));
    copy->user_count = 1;
    if (block != NULL) {
        memcpy(copy->data, block->data, sizeof(copy->data));
        block->user_count--;
    }
    file->blocks[index] = copy;
    return copy;
}

static void file_set_size(struct crash_file *file, uint64_t size)
{
    uint32_t count = (uint32_t)((size + CRASH_BLOCK_SIZE - 1) / CRASH_BLOCK_SIZE);

    for (uint32_t i = count; i < file->block_count; i++)
        block_let_go(&file->blocks[i]);
    if (count != file->block_count) {
        file->blocks = realloc(file->blocks, (count + 1) * sizeof(struct crash_block *));
        if (file->blocks == NULL)
            abort();
    }
    for (uint32_t i = file->block_count; i < count; i++)
        file->blocks[i] = NULL;
    file->block_count = count;
    /* What lies beyond the end reads as zeros if the file grows again. */
    if (size < file->size && size % CRASH_BLOCK_SIZE != 0 && file->blocks[count - 1] != NULL)
        memset(own_block(file, count - 1)->data + size % CRASH_BLOCK_SIZE, 0,
               CRASH_BLOCK_SIZE - size % CRASH_BLOCK_SIZE);
    file->size = size;
}

void crash_disk_put(struct crash_disk *cd, uint32_t number, const char *data, uint64_t size,
                    uint64_t offset)
{
    struct crash_file *file = own_file(cd, number);

    assert(!file->is_directory);
    if (offset + size > file->size)
        file_set_size(file, offset + size);
    for (uint64_t done = 0; data != NULL && done < size;) {
        uint32_t index = (uint32_t)((offset + done) / CRASH_BLOCK_SIZE);
        uint64_t begin = (offset + done) % CRASH_BLOCK_SIZE;
        uint64_t part = min_u64(size - done, CRASH_BLOCK_SIZE - begin);

        if (part == CRASH_BLOCK_SIZE && memcmp(data + done, ZEROS, part) == 0)
            block_let_go(&file->blocks[index]);
        else
            memcpy(own_block(file, index)->data + begin, data + done, part);
        done += part;
    }
}

void crash_disk_resize(struct crash_disk *cd, uint32_t number, uint64_t size)
{
    file_set_size(own_file(cd, number), size);
}

void crash_disk_add_file(struct crash_disk *cd, uint32_t number, bool is_directory)
{
    assert(number < CRASH_FILE_COUNT_MAX);
    assert(cd->files[number] == NULL);
    cd->files[number] = allocate(sizeof(struct crash_file));
    cd->files[number]->user_count = 1;
    cd->files[number]->is_directory = is_directory;
    cd->file_count = cd->file_count > number ? cd->file_count : number + 1;
}

void crash_disk_copy(struct crash_disk *copy, const struct crash_disk *cd)
{
    *copy = *cd;
    memset(copy->fds, 0, sizeof(copy->fds));
    for (uint32_t i = 0; i < cd->file_count; i++)
        if (cd->files[i] != NULL)
            cd->files[i]->user_count++;
}

void crash_disk_deinit(struct crash_disk *cd)
{
    for (uint32_t i = 0; i < cd->file_count; i++)
        file_let_go(&cd->files[i]);
    cd->file_count = 0;
}

/* --- as a struct disk ----------------------------------------------------- */

static bool is_directory(const struct crash_disk *cd, const char *path)
{
    uint32_t file = crash_names_find(&cd->names, path);

    return strcmp(path, "/") == 0 || (file != CRASH_FILE_NONE && cd->files[file]->is_directory);
}

static bool has_parent(const struct crash_disk *cd, const char *path)
{
    char parent[CRASH_PATH_SIZE_MAX];

    crash_names_parent(path, parent);
    return is_directory(cd, parent);
}

static struct crash_file *file_at(const struct crash_disk *cd, int fd)
{
    assert(fd >= 0);
    assert(fd < CRASH_FD_COUNT_MAX);
    assert(cd->fds[fd] != 0);
    return cd->files[cd->fds[fd] - 1];
}

static uint32_t new_file(struct crash_disk *cd, const char *path, bool directory)
{
    uint32_t file = cd->file_count;

    crash_disk_add_file(cd, file, directory);
    crash_names_set(&cd->names, path, file);
    return file;
}

static int on_open(struct disk *disk, const char *path, int flags, uint32_t mode)
{
    struct crash_disk *cd = disk_of(disk);
    uint32_t file = crash_names_find(&cd->names, path);

    (void)mode;
    if (file == CRASH_FILE_NONE && ((flags & O_CREAT) == 0 || !has_parent(cd, path)))
        return -ENOENT;
    if (file == CRASH_FILE_NONE)
        file = new_file(cd, path, false);
    else if ((flags & O_TRUNC) != 0)
        crash_disk_resize(cd, file, 0);
    for (int fd = 0; fd < CRASH_FD_COUNT_MAX; fd++) {
        if (cd->fds[fd] == 0) {
            cd->fds[fd] = file + 1;
            return fd;
        }
    }
    return -EMFILE;
}

static void on_close(struct disk *disk, int fd)
{
    (void)file_at(disk_of(disk), fd);
    disk_of(disk)->fds[fd] = 0;
}

static int64_t on_read(struct disk *disk, int fd, void *data, size_t size, uint64_t offset)
{
    const struct crash_file *file = file_at(disk_of(disk), fd);
    char *target = data;

    if (offset >= file->size)
        return 0;
    size = min_u64(size, file->size - offset);
    for (size_t done = 0; done < size;) {
        const struct crash_block *block = file->blocks[(offset + done) / CRASH_BLOCK_SIZE];
        size_t begin = (offset + done) % CRASH_BLOCK_SIZE;
        size_t part = min_u64(size - done, CRASH_BLOCK_SIZE - begin);

        memcpy(target + done, (block == NULL ? ZEROS : block->data) + begin, part);
        done += part;
    }
    return (int64_t)size;
}

static int64_t on_write(struct disk *disk, int fd, const void *data, size_t size, uint64_t offset)
{
    struct crash_disk *cd = disk_of(disk);

    (void)file_at(cd, fd);
    crash_disk_put(cd, cd->fds[fd] - 1, data, size, offset);
    return (int64_t)size;
}

static int on_sync(struct disk *disk, int fd)
{
    (void)file_at(disk_of(disk), fd);
    return 0;
}

static int on_sync_directory(struct disk *disk, const char *path)
{
    return is_directory(disk_of(disk), path) ? 0 : -ENOENT;
}

static int on_size(struct disk *disk, int fd, uint64_t *ret_size)
{
    *ret_size = file_at(disk_of(disk), fd)->size;
    return 0;
}

static int on_truncate(struct disk *disk, int fd, uint64_t size)
{
    struct crash_disk *cd = disk_of(disk);

    (void)file_at(cd, fd);
    crash_disk_resize(cd, cd->fds[fd] - 1, size);
    return 0;
}

static int on_rename(struct disk *disk, const char *path, const char *new_path)
{
    struct crash_disk *cd = disk_of(disk);
    uint32_t file = crash_names_find(&cd->names, path);

    if (file == CRASH_FILE_NONE || !has_parent(cd, new_path))
        return -ENOENT;
    crash_names_remove(&cd->names, path);
    crash_names_set(&cd->names, new_path, file);
    return 0;
}

static int on_unlink(struct disk *disk, const char *path)
{
    struct crash_disk *cd = disk_of(disk);

    if (crash_names_find(&cd->names, path) == CRASH_FILE_NONE)
        return -ENOENT;
    crash_names_remove(&cd->names, path);
    return 0;
}

static int on_make_directory(struct disk *disk, const char *path, uint32_t mode)
{
    struct crash_disk *cd = disk_of(disk);

    (void)mode;
    if (is_directory(cd, path))
        return -EEXIST;
    if (!has_parent(cd, path))
        return -ENOENT;
    (void)new_file(cd, path, true);
    return 0;
}

static int on_list(struct disk *disk, const char *path, struct disk_visitor *visitor)
{
    struct crash_disk *cd = disk_of(disk);
    struct crash_names names = cd->names; /* the visitor may change them */
    char parent[CRASH_PATH_SIZE_MAX];
    int r = 0;

    if (!is_directory(cd, path))
        return -ENOENT;
    for (uint32_t i = 0; i < names.count && r >= 0; i++) {
        crash_names_parent(names.entries[i].path, parent);
        if (strcmp(parent, path) == 0)
            r = visitor->visit(visitor, strrchr(names.entries[i].path, '/') + 1);
    }
    return r < 0 ? r : 0;
}

static int on_lock(struct disk *disk, int fd)
{
    (void)file_at(disk_of(disk), fd);
    return 0;
}

static int on_space(struct disk *disk, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    (void)disk;
    (void)path;
    *ret_free = *ret_total = (uint64_t)1 << 40;
    return 0;
}

static const struct disk_vtable CRASH_DISK_VTABLE = {
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
};

void crash_disk_init(struct crash_disk *cd)
{
    memset(cd, 0, sizeof(*cd));
    cd->disk.vtable = &CRASH_DISK_VTABLE;
}

/* --- two disks ------------------------------------------------------------ */

static bool same_bytes(const struct crash_file *a, const struct crash_file *b)
{
    if (a->is_directory != b->is_directory || a->size != b->size)
        return false;
    for (uint32_t i = 0; i < a->block_count; i++) {
        const struct crash_block *left = a->blocks[i];
        const struct crash_block *right = b->blocks[i];

        if (left != right && memcmp(left == NULL ? ZEROS : left->data,
                                    right == NULL ? ZEROS : right->data, CRASH_BLOCK_SIZE) != 0)
            return false;
    }
    return true;
}

bool crash_disk_equals(const struct crash_disk *cd, const struct crash_disk *other,
                       char *difference)
{
    enum { DIFFERENCE_SIZE = 256 };

    for (uint32_t i = 0; i < other->names.count; i++) {
        const struct crash_name *name = &other->names.entries[i];

        if (crash_names_find(&cd->names, name->path) == CRASH_FILE_NONE) {
            snprintf(difference, DIFFERENCE_SIZE, "%s is on one disk only", name->path);
            return false;
        }
    }
    for (uint32_t i = 0; i < cd->names.count; i++) {
        const struct crash_name *name = &cd->names.entries[i];
        uint32_t file = crash_names_find(&other->names, name->path);

        if (file == CRASH_FILE_NONE) {
            snprintf(difference, DIFFERENCE_SIZE, "%s is on one disk only", name->path);
            return false;
        }
        if (cd->files[name->file] != other->files[file] &&
            !same_bytes(cd->files[name->file], other->files[file])) {
            snprintf(difference, DIFFERENCE_SIZE, "%s has other bytes (%llu and %llu long)",
                     name->path, (unsigned long long)cd->files[name->file]->size,
                     (unsigned long long)other->files[file]->size);
            return false;
        }
    }
    return true;
}

MUST_USE static int export_file(const struct crash_file *file, struct disk *target,
                                const char *path)
{
    int fd = disk_open(target, path, O_RDWR | O_CREAT | O_TRUNC, FILE_MODE);
    int r = 0;

    if (fd < 0)
        return fd;
    for (uint32_t i = 0; r == 0 && i < file->block_count; i++) {
        uint64_t offset = (uint64_t)i * CRASH_BLOCK_SIZE;
        uint64_t size = min_u64(CRASH_BLOCK_SIZE, file->size - offset);
        const char *data = file->blocks[i] == NULL ? ZEROS : file->blocks[i]->data;

        if (disk_write(target, fd, data, size, offset) != (int64_t)size)
            r = -EIO;
    }
    disk_close(target, fd);
    return r;
}

int crash_disk_export(const struct crash_disk *cd, struct disk *target, const char *root)
{
    char path[TARGET_PATH_SIZE];
    int r = 0;

    /* Shorter paths first: a directory comes before what it holds. */
    for (size_t size = 1; size < CRASH_PATH_SIZE_MAX; size++) {
        for (uint32_t i = 0; r == 0 && i < cd->names.count; i++) {
            const struct crash_name *name = &cd->names.entries[i];
            const struct crash_file *file = cd->files[name->file];

            if (strlen(name->path) != size)
                continue;
            snprintf(path, sizeof(path), "%.900s%s", root, name->path);
            r = file->is_directory ? disk_make_directory(target, path, DIRECTORY_MODE)
                                   : export_file(file, target, path);
        }
    }
    return r;
}
