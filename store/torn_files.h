/*
 * Torn files: copies of what recovery cuts off a log, for people to look at.
 *
 * <seq>-<block>.torn holds the blocks of segment seq from that block on, up to
 * TORN_FILE_SIZE_MAX bytes. Nothing reads them again. The newest
 * TORN_FILE_COUNT_MAX of a log are kept. Blocking; for recovery.
 */
#pragma once

#include "store/log_files.h"
#include "store/segment_scan.h"

enum {
    TORN_FILE_SIZE_MAX = 16 << 20,
    TORN_FILE_COUNT_MAX = 8, /* of one log */
};

/*
 * Copies the blocks [block, block_end) of the open file that is segment seq of the log, and makes
 * the copy and its name durable. An older copy of the same place is replaced. Uses the scan's
 * buffer: the scan must have ended. 0 or -errno.
 */
MUST_USE int torn_file_write(struct segment_scan *scan, const struct log_files *files, int fd,
                             uint64_t seq, uint64_t block, uint64_t block_end);

/*
 * Removes all but the newest TORN_FILE_COUNT_MAX of the log, and makes that durable. May be
 * interrupted and repeated. 0 or -errno.
 */
MUST_USE int torn_files_trim(const struct log_files *files);
