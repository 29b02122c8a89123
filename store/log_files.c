#include "store/log_files.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/segment_scan.h"

/*
 * A listing is made of names first, then each file is opened for its header, so a
 * file that vanishes in between (a live directory) is an error of the tool, not of
 * the log. What is neither a segment nor a spare is not ours and is left alone.
 */
enum { CAPACITY_MIN = 64 };

struct file_lister {
    struct disk_visitor visitor;
    struct log_files *files;
    uint32_t capacity;
};

static int visit_name(struct disk_visitor *visitor, const char *name)
{
    struct file_lister *lister = container_of(visitor, struct file_lister, visitor);
    struct log_files *files = lister->files;
    uint64_t number = 0;
    bool is_segment = segment_name_parse(name, "seg", &number);

    if (!is_segment && !segment_name_parse(name, "spare", &number) &&
        !segment_name_parse(name, "tmp", &number))
        return 0;
    files->number_max = max_u64(files->number_max, number);
    if (!is_segment || number == 0)
        return 0;
    if (files->count == lister->capacity) {
        uint32_t capacity = lister->capacity == 0 ? CAPACITY_MIN : lister->capacity * 2;
        struct log_file *grown = realloc(files->files, capacity * sizeof(*grown));

        if (grown == NULL)
            return -ENOMEM;
        files->files = grown;
        lister->capacity = capacity;
    }
    files->files[files->count++] = (struct log_file){.seq = number};
    return 0;
}

static int compare_seq(const void *a, const void *b)
{
    const struct log_file *left = a;
    const struct log_file *right = b;

    return left->seq < right->seq ? -1 : left->seq > right->seq;
}

void log_files_path(const struct log_files *files, char *path, uint64_t number, const char *suffix)
{
    char name[SEGMENT_NAME_SIZE];
    int size;

    segment_name_format(name, number, suffix);
    size = snprintf(path, SEGMENT_POOL_PATH_SIZE, "%s/%s", files->directory, name);
    assert(size > 0);
    assert(size < SEGMENT_POOL_PATH_SIZE);
}

int log_files_open(const struct log_files *files, uint64_t seq)
{
    char path[SEGMENT_POOL_PATH_SIZE];

    log_files_path(files, path, seq, "seg");
    return disk_open(files->disk, path, O_RDONLY | (files->unsafe_storage ? 0 : O_DIRECT), 0);
}

/* 0, -EBADMSG when there is no intact header, or another -errno. */
MUST_USE static int read_header(const struct log_files *files, struct log_file *file,
                                const uint8_t *uuid, int fd, char *block)
{
    int64_t size = segment_scan_read(files->disk, fd, block, SEGMENT_BLOCK_SIZE, 0);

    if (size < 0)
        return (int)size;
    if (size != SEGMENT_BLOCK_SIZE)
        return -EBADMSG;
    return segment_header_parse(block, files->log, file->seq, uuid, &file->header);
}

/* Reads size and header of one file. */
MUST_USE static int load_file(const struct log_files *files, struct log_file *file,
                              const uint8_t *uuid, bool sync, char *block)
{
    struct disk *disk = files->disk;
    int fd = log_files_open(files, file->seq);
    int r = 0;

    if (fd < 0)
        return fd;
    if (sync)
        r = disk_sync(disk, fd);
    if (r == 0)
        r = disk_size(disk, fd, &file->size);
    if (r == 0) {
        r = read_header(files, file, uuid, fd, block);
        /* A file may be lost by this: only two reads that agree are believed. */
        if (r == -EBADMSG) {
            r = read_header(files, file, uuid, fd, block);
            if (r == 0)
                SOMETIMES("a second look at a header finds it sound");
        }
    }
    disk_close(disk, fd);
    file->begun = r == 0;
    return r == -EBADMSG ? 0 : r;
}

MUST_USE static int load_all(struct log_files *files, const uint8_t *uuid, bool sync, char *text)
{
    char *block = NULL;
    int r = memory_map(SEGMENT_BLOCK_SIZE, &block);

    for (uint32_t i = 0; r == 0 && i < files->count; i++) {
        r = load_file(files, &files->files[i], uuid, sync, block);
        if (r == -EPROTO)
            SOMETIMES("damage: a file of another log or directory is refused");
        if (r < 0)
            snprintf(text, LOG_FILES_TEXT_SIZE,
                     r == -EPROTO ? "%.300s/%016llx.seg: of another format version, data "
                                    "directory or log (error %d)"
                                  : "%.300s/%016llx.seg: cannot read: error %d",
                     files->directory, (unsigned long long)files->files[i].seq, -r);
    }
    memory_unmap(&block, SEGMENT_BLOCK_SIZE);
    return r;
}

int log_files_load(struct disk *disk, const char *data_path, uint32_t log, const uint8_t *uuid,
                   bool sync, bool unsafe_storage, struct log_files *ret_files, char *text)
{
    struct log_files files = {.disk = disk, .log = log, .unsafe_storage = unsafe_storage};
    struct file_lister lister = {.visitor = {.visit = visit_name}, .files = &files};
    int r;

    segment_log_path(files.directory, sizeof(files.directory), data_path, log);
    r = disk_list(disk, files.directory, &lister.visitor);
    if (r == -ENOENT) {
        *ret_files = files;
        return 0;
    }
    if (r == 0 && sync)
        r = disk_sync_directory(disk, files.directory);
    if (r < 0)
        snprintf(text, LOG_FILES_TEXT_SIZE, "%.300s: cannot list: error %d", files.directory, -r);
    if (r == 0 && files.count > 0) {
        qsort(files.files, files.count, sizeof(files.files[0]), compare_seq);
        r = load_all(&files, uuid, sync, text);
    }
    if (r < 0) {
        free(files.files);
        return r;
    }
    *ret_files = files;
    return 0;
}

void log_files_free(struct log_files *files)
{
    free(files->files);
    files->files = NULL;
    files->count = 0;
}

uint32_t log_files_first(const struct log_files *files)
{
    for (uint32_t i = 0; i < files->count; i++) {
        if (files->files[i].begun)
            return i;
    }
    return LOG_FILES_NONE;
}

uint32_t log_files_after(const struct log_files *files, uint32_t index)
{
    uint32_t best = LOG_FILES_NONE;

    assert(index < files->count);
    for (uint32_t i = index + 1; i < files->count; i++) {
        const struct log_file *file = &files->files[i];

        if (!file->begun || file->header.previous_seq != files->files[index].seq)
            continue;
        if (best != LOG_FILES_NONE)
            SOMETIMES("damage: two segments continue the same one");
        if (best == LOG_FILES_NONE ||
            file->header.boot_generation >= files->files[best].header.boot_generation)
            best = i;
    }
    return best;
}
