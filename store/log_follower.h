/*
 * Log follower: reads all logs of a data directory as they grow, each record once.
 *
 * It reads the files, not the journal's memory, and only up to what the caller says is
 * durable; so it may run on any thread beside the shards, and costs them nothing. Records
 * of one partition come in the order in which they were appended, also when the number of
 * shards changed in between: what an earlier start wrote comes before what a later one did.
 *
 * Segments that were dropped before they were read are stepped over and counted.
 */
#pragma once

#include "store/log_files.h"
#include "store/read_backend.h"
#include "store/segment_scan.h"

/* What follows one log. */
struct log_follower_log {
    struct read_place place; /* what was given out ends here */
    uint64_t durable_lsn;
    struct log_files files; /* as last listed; empty: not listed since it mattered */
    uint32_t index;         /* in files, of the segment that place is in; LOG_FILES_NONE */
};

/* Private to log_follower.c, but that skipped_count and text may be read. */
struct log_follower {
    struct disk *disk;
    const char *data_path;
    uint8_t uuid[SEGMENT_UUID_SIZE];
    bool unsafe_storage;
    struct log_follower_log *logs;
    uint32_t log_count;
    struct segment_scan scan;
    struct log_follower_log *scanned; /* the log that scan is in; NULL: none */
    int fd;                           /* of the segment that scan is in, or -1 */
    uint64_t skipped_count;           /* records that were gone before they were read */
    char text[LOG_FILES_TEXT_SIZE];   /* why the last call failed */
};

/* One whole group. records are valid until the next call. */
struct log_follower_group {
    const struct journal_record_view *records;
    uint32_t count;
    struct read_place place; /* behind it */
};

/*
 * Goes on at places[0..log_count), nothing of which is durable yet. Borrows disk and data_path.
 * 0 or -ENOMEM.
 */
MUST_USE int log_follower_init(struct log_follower *follower, struct disk *disk,
                               const char *data_path, const uint8_t *uuid, bool unsafe_storage,
                               const struct read_place *places, uint32_t log_count);

/* Gives everything back. A zeroed one is accepted. */
void log_follower_deinit(struct log_follower *follower);

/* The log is durable up to lsn. */
void log_follower_advance(struct log_follower *follower, uint32_t log, uint64_t lsn);

/* Durable records that were not given out yet. */
uint64_t log_follower_lag(const struct log_follower *follower);

/* Goes back to these places: what was given out since is given out again. */
void log_follower_return(struct log_follower *follower, const struct read_place *places);

/* Where the log's next record is: behind all that was given out, and behind what is gone. */
const struct read_place *log_follower_place(const struct log_follower *follower, uint32_t log);

/*
 * The first log, counted from first and around, that has something to read now. 1; 0 when there
 * is none; or a negative errno as log_follower_next().
 */
MUST_USE int log_follower_pick(struct log_follower *follower, uint32_t first, uint32_t *ret_log);

/*
 * The next group of the log. 1; 0 when all that may be read now was; -EBADMSG when a durable
 * record cannot be found or read, -EPROTO when the log ends before the place, or another -errno;
 * text says where. It may be tried again.
 */
MUST_USE int log_follower_next(struct log_follower *follower, uint32_t log,
                               struct log_follower_group *ret_group);
