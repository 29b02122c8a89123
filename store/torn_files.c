/*
 * Every unclean end may leave a copy, and a machine that loses power often must not
 * fill its disk with them, so their number has a bound. A later start cuts in a later
 * segment: the order of the names is the order of age.
 *
 * Trimming lists the directory, removes after the listing has ended, and lists again
 * while there was more than one pass remembers. It never touches the newest ones, so
 * an interrupted trim leaves what the next start would leave, or more.
 */
#include "store/torn_files.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/sim_point.h"

enum {
    FILE_MODE = 0600,
    NUMBER_SIZE = 16, /* hexadecimal digits */
    NAME_SIZE = 2 * NUMBER_SIZE + 6,
    REMOVED_MAX = 64, /* by one pass */
};

struct torn_name {
    uint64_t seq;
    uint64_t block;
};

/* The newest names seen so far, ascending, and older ones to remove. */
struct torn_lister {
    struct disk_visitor visitor;
    struct torn_name newest[TORN_FILE_COUNT_MAX];
    uint32_t newest_count;
    struct torn_name old[REMOVED_MAX];
    uint32_t old_count;
};

static void make_path(const struct log_files *files, struct torn_name name, char *path)
{
    int size = snprintf(path, SEGMENT_POOL_PATH_SIZE, "%s/%016llx-%016llx.torn", files->directory,
                        (unsigned long long)name.seq, (unsigned long long)name.block);

    assert(size > 0);
    assert(size < SEGMENT_POOL_PATH_SIZE);
}

static bool parse_name(const char *text, struct torn_name *ret_name)
{
    char first[NUMBER_SIZE + sizeof(".torn")];
    struct torn_name name;

    if (strlen(text) != NAME_SIZE || text[NUMBER_SIZE] != '-')
        return false;
    memcpy(first, text, NUMBER_SIZE);
    memcpy(first + NUMBER_SIZE, ".torn", sizeof(".torn"));
    if (!segment_name_parse(first, "torn", &name.seq) ||
        !segment_name_parse(text + NUMBER_SIZE + 1, "torn", &name.block))
        return false;
    *ret_name = name;
    return true;
}

static bool is_older(struct torn_name a, struct torn_name b)
{
    return a.seq < b.seq || (a.seq == b.seq && a.block < b.block);
}

static int visit_name(struct disk_visitor *visitor, const char *text)
{
    struct torn_lister *lister = container_of(visitor, struct torn_lister, visitor);
    struct torn_name name;
    struct torn_name oldest;
    uint32_t at = lister->newest_count;

    if (!parse_name(text, &name))
        return 0;
    while (at > 0 && is_older(name, lister->newest[at - 1]))
        at--;
    if (lister->newest_count < TORN_FILE_COUNT_MAX) {
        memmove(&lister->newest[at + 1], &lister->newest[at],
                (lister->newest_count - at) * sizeof(name));
        lister->newest[at] = name;
        lister->newest_count++;
        return 0;
    }
    /* It pushes the oldest out, unless it is older still. */
    oldest = at > 0 ? lister->newest[0] : name;
    if (at > 0) {
        memmove(&lister->newest[0], &lister->newest[1], (at - 1) * sizeof(name));
        lister->newest[at - 1] = name;
    }
    if (lister->old_count < REMOVED_MAX)
        lister->old[lister->old_count++] = oldest;
    return 0;
}

int torn_file_write(struct segment_scan *scan, const struct log_files *files, int fd, uint64_t seq,
                    uint64_t block, uint64_t block_end)
{
    struct disk *disk = files->disk;
    char path[SEGMENT_POOL_PATH_SIZE];
    uint64_t start = block * SEGMENT_BLOCK_SIZE;
    uint64_t end = min_u64(block_end * SEGMENT_BLOCK_SIZE, start + TORN_FILE_SIZE_MAX);
    int64_t count = 0;
    int torn_fd;
    int r;

    assert(block < block_end);
    make_path(files, (struct torn_name){seq, block}, path);
    torn_fd = disk_open(disk, path, O_RDWR | O_CREAT | O_TRUNC, FILE_MODE);
    if (torn_fd < 0)
        return torn_fd;
    for (uint64_t offset = start; offset < end && count >= 0; offset += SEGMENT_BLOCK_SIZE) {
        count = segment_scan_read(disk, fd, scan->chunk, SEGMENT_BLOCK_SIZE, offset);
        if (count == SEGMENT_BLOCK_SIZE)
            count = disk_write(disk, torn_fd, scan->chunk, SEGMENT_BLOCK_SIZE, offset - start);
    }
    r = count < 0 ? (int)count : disk_sync(disk, torn_fd);
    disk_close(disk, torn_fd);
    if (r == 0)
        r = disk_sync_directory(disk, files->directory);
    if (r == 0)
        SOMETIMES("what is cut off is kept as a copy");
    return r;
}

int torn_files_trim(const struct log_files *files)
{
    struct torn_lister lister;
    char path[SEGMENT_POOL_PATH_SIZE];
    int r;

    do {
        lister = (struct torn_lister){.visitor = {.visit = visit_name}};
        r = disk_list(files->disk, files->directory, &lister.visitor);
        for (uint32_t i = 0; r == 0 && i < lister.old_count; i++) {
            make_path(files, lister.old[i], path);
            r = disk_unlink(files->disk, path);
            SOMETIMES("an old copy of what was cut off is removed");
        }
    } while (r == 0 && lister.old_count == REMOVED_MAX);
    if (r == -ENOENT)
        return 0; /* no directory: an empty log */
    if (r == 0 && lister.old_count > 0)
        r = disk_sync_directory(files->disk, files->directory);
    return r;
}
