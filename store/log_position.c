/*
 * The same steps as for a spare (segment_pool.c): the contents are durable before the file
 * has its name, the name before anybody relies on it. Recovery knows nothing of it: a
 * segment that was begun and then holds nothing is the end of many a log.
 */
#include "store/log_position.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/segment_pool.h"

enum { FILE_MODE = 0600 };

static void file_path(char path[SEGMENT_POOL_PATH_SIZE], const char *directory, uint64_t seq,
                      const char *suffix)
{
    char name[SEGMENT_NAME_SIZE];
    int size;

    segment_name_format(name, seq, suffix);
    size = snprintf(path, SEGMENT_POOL_PATH_SIZE, "%s/%s", directory, name);
    assert(size > 0);
    assert(size < SEGMENT_POOL_PATH_SIZE);
}

MUST_USE static int write_block(struct disk *disk, const char *path, const char *block,
                                bool unsafe_storage)
{
    int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | (unsafe_storage ? 0 : O_DIRECT);
    int fd = disk_open(disk, path, flags, FILE_MODE);
    int64_t size;
    int r = 0;

    if (fd < 0)
        return fd;
    size = disk_write(disk, fd, block, LOG_POSITION_SIZE, 0);
    if (size != LOG_POSITION_SIZE)
        r = size < 0 ? (int)size : -EIO;
    if (r == 0)
        r = disk_sync(disk, fd);
    disk_close(disk, fd);
    return r;
}

int log_position_write(struct disk *disk, const char *directory,
                       const struct segment_header *header, uint64_t durable_lsn,
                       bool unsafe_storage)
{
    char path[SEGMENT_POOL_PATH_SIZE], new_path[SEGMENT_POOL_PATH_SIZE];
    char *block = NULL;
    int r = memory_map(LOG_POSITION_SIZE, &block); /* aligned, as O_DIRECT asks */

    assert(header->first_lsn == durable_lsn + 1);
    assert(header->previous_seq < header->seq);
    if (r < 0)
        return r;
    file_path(path, directory, header->seq, "tmp");
    file_path(new_path, directory, header->seq, "seg");
    segment_header_seal(block, header, durable_lsn);
    r = write_block(disk, path, block, unsafe_storage);
    if (r == 0)
        r = disk_rename(disk, path, new_path);
    if (r == 0) {
        SOMETIMES("a position has its name, not yet durable");
        r = disk_sync_directory(disk, directory);
    }
    memory_unmap(&block, LOG_POSITION_SIZE);
    return r;
}
