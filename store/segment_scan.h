/*
 * Segment scan: reads one segment from its beginning, group by group, verifying
 * every block and record. Blocking; for recovery and tools. One scan is reused for
 * one segment after another; its memory is reserved once.
 */
#pragma once

#include "runtime/disk.h"
#include "store/segment.h"

/* No scan takes more memory: the largest group, a few chunks, and what describes them. */
enum { SEGMENT_SCAN_BYTES_MAX = JOURNAL_GROUP_SIZE_MAX + (10 << 20) };

/* What segment_scan_next() answers. */
enum segment_scan_result {
    SEGMENT_SCAN_GROUP,
    SEGMENT_SCAN_END, /* see why, block and lsn_next */
};

/* Why a scan ended. */
enum segment_scan_why {
    SEGMENT_SCAN_BOUND,      /* the next group belongs to a later segment (lsn_end) */
    SEGMENT_SCAN_FILE_END,   /* the file is over */
    SEGMENT_SCAN_UNWRITTEN,  /* a block that is zero or from an earlier use of the file */
    SEGMENT_SCAN_BAD_BLOCK,  /* a block that is torn or corrupt */
    SEGMENT_SCAN_BAD_RECORD, /* intact blocks with a record that makes no sense */
};

/* Fields of the first group may be read; all are written by segment_scan.c only. */
struct segment_scan {
    enum segment_scan_why why;
    uint64_t block;       /* first block that is not part of the log, once ended */
    uint64_t lsn_next;    /* of the next group wanted: all before it were given out */
    uint64_t bad_offset;  /* file offset of the record, for SEGMENT_SCAN_BAD_RECORD */
    bool group_cut;       /* the stream ends inside a group */
    uint64_t durable_lsn; /* the highest that an intact block stated */
    uint64_t read_bytes;

    struct disk *disk;
    int fd;
    uint64_t file_size;
    struct segment_header header;
    uint64_t lsn_end;
    char *chunk;
    char *chunk_ahead; /* what follows it, while it is being read */
    struct disk_ahead ahead;
    bool reads_ahead;
    uint64_t chunk_want;  /* bytes to read next */
    uint64_t chunk_start; /* file offset */
    uint64_t chunk_size;
    uint64_t chunk_lsn_end; /* lsn_end when it was read */
    char *stream;           /* window of the record stream that is not given out yet */
    uint64_t stream_start;  /* stream position of stream[0] */
    uint64_t stream_end;
    uint64_t position;    /* stream position of the next group */
    uint64_t *block_ends; /* stream position after each block */
    uint64_t cursor;      /* the block that the last located record begins in, or one before */
    struct journal_record_view *views;
    uint32_t view_count;
    bool stopped;
};

/* Reserves memory. 0 or -ENOMEM. Start-up and tools only. */
MUST_USE int segment_scan_init(struct segment_scan *scan, struct disk *disk);

/* Gives it back. */
void segment_scan_deinit(struct segment_scan *scan);

/*
 * Begins with an open file whose header was read. Groups before lsn_first are an
 * error; none from lsn_end on is given out (UINT64_MAX: no bound). Borrows fd until
 * segment_scan_next() has given no group, or segment_scan_end().
 */
void segment_scan_begin(struct segment_scan *scan, int fd, uint64_t file_size,
                        const struct segment_header *header, uint64_t lsn_end);

/*
 * As segment_scan_begin(), but goes on where segment_scan_place() said that the group with
 * lsn_first begins; a place of 0 is the beginning of the file, where lsn_first is the header's.
 * Little is read at first, and nothing ahead, for there may be only little.
 */
void segment_scan_begin_at(struct segment_scan *scan, int fd, uint64_t file_size,
                           const struct segment_header *header, uint64_t lsn_end, uint64_t place,
                           uint64_t lsn_first);

/* Ends it before it has come to its end: nothing is read from its file any more. */
void segment_scan_end(struct segment_scan *scan);

/* Where in the file the group after the last one that was given out begins. Only after one was. */
uint64_t segment_scan_place(const struct segment_scan *scan);

/*
 * The next whole group: its records, valid until the next call. SEGMENT_SCAN_END when there is
 * none, or a negative errno when the disk fails.
 */
MUST_USE int segment_scan_next(struct segment_scan *scan,
                               const struct journal_record_view **ret_records, uint32_t *ret_count);

/* What lies in a file after the end of the log. */
struct segment_remains {
    uint64_t durable_lsn;   /* the highest that an intact block states; 0: none */
    uint64_t durable_block; /* which one */
    uint64_t used_end;      /* one past the last block that is neither zero nor of an earlier use */
    uint64_t used_count;    /* how many such blocks there are */
};

/*
 * Looks at the blocks [block, file end) of a file that should hold segment seq of log. 0 or
 * -errno.
 */
MUST_USE int segment_scan_remains(struct segment_scan *scan, int fd, uint64_t file_size,
                                  uint32_t log, uint64_t seq, uint64_t block,
                                  struct segment_remains *ret_remains);

/* Reads up to size bytes at offset with whole blocks; fewer only at the end. Count or -errno. */
MUST_USE int64_t segment_scan_read(struct disk *disk, int fd, char *data, uint64_t size,
                                   uint64_t offset);
