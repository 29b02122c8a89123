/*
 * Log position: a segment without records, one block long, that carries a log's position on.
 *
 * A log that is not written any more must keep its last segment, or a later start that
 * writes it again would begin with numbers that were used before. With a position behind
 * that segment it may go like any other. Blocking; at start only.
 */
#pragma once

#include "runtime/disk.h"
#include "store/segment.h"

enum { LOG_POSITION_SIZE = SEGMENT_BLOCK_SIZE };

/*
 * Makes the file of segment header->seq in directory, durable under its name before it
 * returns: a crash leaves it whole, or a .tmp that the next start removes. durable_lsn is
 * the last one before it. 0 or -errno.
 */
MUST_USE int log_position_write(struct disk *disk, const char *directory,
                                const struct segment_header *header, uint64_t durable_lsn,
                                bool unsafe_storage);
