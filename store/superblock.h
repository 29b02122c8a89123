/*
 * Superblock: what a data directory is, and how often it was started.
 *
 * <data>/superblock holds four copies in four sectors; the highest version that is
 * valid in at least two copies counts. A change writes two copies, syncs, writes
 * the other two, syncs. <data>/lock is held by the process that has it open.
 * All calls block: start-up and tools only.
 */
#pragma once

#include "runtime/disk.h"
#include "runtime/rng.h"
#include "store/segment.h"

enum {
    SUPERBLOCK_COPY_COUNT = 4,
    SUPERBLOCK_COPY_SIZE = 4096,
    SUPERBLOCK_PARTITION_COUNT_DEFAULT = 64,
    SUPERBLOCK_PATH_SIZE_MAX = 3072, /* of the data directory, terminated */
    SUPERBLOCK_TEXT_SIZE = 512,
};

/* The contents. Read-only for everybody else. */
struct superblock {
    uint64_t version; /* counts writes */
    uint8_t uuid[SEGMENT_UUID_SIZE];
    uint32_t partition_count; /* fixed when the directory is made */
    uint32_t log_count;       /* directories log-00 ... that exist or may exist */
    uint32_t boot_generation; /* counts starts, from 1 */
    int lock_fd;              /* -1 after superblock_read() */
};

/* How to open a data directory. */
struct superblock_config {
    struct disk *disk;
    struct rng *rng;          /* for the uuid of a new directory */
    const char *data_path;    /* made when missing */
    uint32_t partition_count; /* for a new directory; 0: the default */
    uint32_t log_count;       /* shards of this start; raises the stored number when larger */
};

/*
 * Locks the directory, reads or makes the superblock, and makes the incremented
 * boot generation durable. 0; -EWOULDBLOCK when another process holds it (exit 73);
 * -EBADMSG when fewer than two copies agree, or the superblock is missing beside
 * logs (exit 74); or another -errno. text (SUPERBLOCK_TEXT_SIZE bytes) says why.
 */
MUST_USE int superblock_open(const struct superblock_config *config,
                             struct superblock *ret_superblock, char *text);

/* Drops the lock. */
void superblock_close(struct superblock *superblock, struct disk *disk);

/* Reads without locking or changing anything. 0, -ENOENT, -EBADMSG or another -errno. */
MUST_USE int superblock_read(struct disk *disk, const char *data_path,
                             struct superblock *ret_superblock);
