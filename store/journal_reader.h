/*
 * Journal reader: reads single records back by location, from any log.
 *
 * One per shard. Asynchronous through io.h, with O_DIRECT into the caller's aligned
 * buffer; segments are opened read-only and kept in a small cache of descriptors.
 * Only durable records can be read: not what still waits in a staging batch.
 */
#pragma once

#include "runtime/disk.h"
#include "runtime/io.h"
#include "store/segment.h"

enum {
    JOURNAL_READER_FILES_MAX = 32,
    JOURNAL_READ_BUFFER_SIZE_MIN = 2 * SEGMENT_BLOCK_SIZE,
    JOURNAL_READ_TRY_MAX = 8, /* short or interrupted reads in a row that bring nothing */
};

struct journal_reader;
struct journal_read;

enum journal_read_result {
    JOURNAL_READ_OK,
    JOURNAL_READ_GONE,    /* the segment was retired, or the location was never valid */
    JOURNAL_READ_CORRUPT, /* block or record CRC is wrong */
    JOURNAL_READ_TOO_BIG, /* the buffer must hold journal_read.size_needed bytes */
    JOURNAL_READ_ERROR,   /* I/O error: journal_read.error holds the negative errno */
};

/*
 * One read in flight; the caller's memory until on_done. Set the first group of
 * fields; the rest is private to journal_reader.c, or a result.
 */
struct journal_read {
    /* view is set for JOURNAL_READ_OK; its payload lies in buffer. */
    void (*on_done)(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view);
    struct journal_location location;
    char *buffer;         /* aligned to SEGMENT_BLOCK_SIZE */
    uint32_t buffer_size; /* a multiple of it, at least JOURNAL_READ_BUFFER_SIZE_MIN */

    uint32_t size_needed; /* result: buffer size for JOURNAL_READ_TOO_BIG */
    int error;            /* result: for JOURNAL_READ_ERROR */

    struct journal_reader *reader;
    struct list_node link;
    struct io_op op;
    uint32_t file_index;
    uint32_t read_size;   /* wanted */
    uint32_t filled_size; /* there so far, in whole blocks */
    uint32_t try_count;   /* reads that brought nothing */
};

/* A reader for <data_path>; both strings and backends are borrowed. 0 or -errno. Start-up only. */
MUST_USE int journal_reader_new(struct io *io, struct disk *disk, const char *data_path,
                                bool unsafe_storage, struct journal_reader **ret_reader);

/* Starts a read; on_done is called later, never from inside this call. */
void journal_read_start(struct journal_reader *reader, struct journal_read *read);

/* Closes cached descriptors of segments of log before oldest_seq, so that their space comes back.
 */
void journal_reader_drop_segments(struct journal_reader *reader, uint32_t log, uint64_t oldest_seq);

/* Gives one cached descriptor back, where others need it: that of the file not used longest. */
void journal_reader_yield(struct journal_reader *reader);

/* No read may be started any more; those in flight still complete. */
void journal_reader_stop(struct journal_reader *reader);

/* True when nothing is in flight any more. */
bool journal_reader_is_idle(const struct journal_reader *reader);

/* Frees an idle reader and nulls the pointer. NULL is accepted. */
void journal_reader_free(struct journal_reader **reader);

/*
 * Blocking variant for tools and start-up: reads the record into buffer (aligned as above). 0;
 * -ENOENT gone, -EBADMSG corrupt, -EMSGSIZE buffer too small, or another -errno.
 */
MUST_USE int journal_read_blocking(struct disk *disk, const char *data_path,
                                   struct journal_location location, char *buffer,
                                   uint32_t buffer_size, struct journal_record_view *ret_view);
