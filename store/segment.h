/*
 * Segment: the format of the log's files. Pure functions on memory, no I/O.
 *
 * segment.c opens with the layout, byte by byte. In short: a log is a sequence
 * of segment files; a segment is a sequence of 4 KiB blocks; block 0 is the
 * segment's header; every block ends in a trailer with a CRC; the payload areas
 * of the blocks, put one after the other, are a stream of records; consecutive
 * records up to one marked GROUP_END are a group, which is there as a whole or
 * not at all.
 */
#pragma once

#include "runtime/base.h"

enum {
    SEGMENT_BLOCK_SIZE = 4096,
    SEGMENT_TRAILER_SIZE = 40,
    SEGMENT_PAYLOAD_SIZE = SEGMENT_BLOCK_SIZE - SEGMENT_TRAILER_SIZE, /* a multiple of 8 */
    SEGMENT_SIZE_MIN = 16 * SEGMENT_BLOCK_SIZE,
    SEGMENT_SIZE_MAX = 64 << 20, /* what a location can address */
    SEGMENT_BLOCK_COUNT_MAX = SEGMENT_SIZE_MAX / SEGMENT_BLOCK_SIZE,
    SEGMENT_RECORD_HEADER_SIZE = 32,
    SEGMENT_RECORD_ALIGNMENT = 8,
    SEGMENT_NAME_SIZE = 32, /* "0123456789abcdef.seg" and its kin, terminated */
    SEGMENT_UUID_SIZE = 16,
    SEGMENT_FORMAT_VERSION = 1,
    SEGMENT_LOG_MAX = 255,
    JOURNAL_PARTITION_MAX = 65535,
    JOURNAL_GROUP_SIZE_MAX = 32 << 20, /* headers, payloads and padding of one group */
    JOURNAL_GROUP_RECORDS_MAX = 16384,
};

/* The highest number a segment can have: what a location can hold. */
static const uint64_t SEGMENT_SEQ_MAX = ((uint64_t)1 << 33) - 1;

/*
 * Where a record is: log:8 | segment seq:33 | offset / 8:23, from the top bit.
 * Offsets are file offsets of the record's header. 0 is nowhere (seq starts at 1).
 */
struct journal_location {
    uint64_t bits;
};

#define JOURNAL_LOCATION_NONE ((struct journal_location){0})

/* Packs; offset must be a multiple of 8 below SEGMENT_SIZE_MAX. */
struct journal_location journal_location_make(uint32_t log, uint64_t seq, uint64_t offset);

/* Unpack. */
static inline uint32_t journal_location_log(struct journal_location location)
{
    return (uint32_t)(location.bits >> 56);
}

/* The sequence number of the segment. */
static inline uint64_t journal_location_seq(struct journal_location location)
{
    return location.bits >> 23 & (((uint64_t)1 << 33) - 1);
}

/* The file offset of the record's header. */
static inline uint64_t journal_location_offset(struct journal_location location)
{
    return (location.bits & (((uint64_t)1 << 23) - 1)) * 8;
}

/* Flags of a record. */
enum {
    SEGMENT_RECORD_GROUP_FIRST = 1,
    SEGMENT_RECORD_GROUP_END = 2,
};

/* Flags of a block. */
enum {
    SEGMENT_BLOCK_HEADER = 1,      /* block 0: holds a struct segment_header, no records */
    SEGMENT_BLOCK_FLUSH_FIRST = 2, /* first block of one write */
    SEGMENT_BLOCK_WATERMARK = 4,   /* no records, written when idle to state durable_lsn */
};

/* On disk: the head of one record; the payload follows, padded with zeros to 8 bytes. */
struct segment_record_header {
    uint32_t payload_size;
    uint8_t type;
    uint8_t version;
    uint16_t flags;
    uint64_t lsn;
    uint64_t mailbox;     /* partition:16 | mailbox within the partition:48 */
    uint32_t payload_crc; /* over bytes 0..23 of this header, then the payload */
    uint32_t header_crc;  /* over bytes 0..27 */
};

static_assert(sizeof(struct segment_record_header) == SEGMENT_RECORD_HEADER_SIZE, "on disk");
static_assert(offsetof(struct segment_record_header, lsn) == 8, "on disk");
static_assert(offsetof(struct segment_record_header, mailbox) == 16, "on disk");
static_assert(offsetof(struct segment_record_header, payload_crc) == 24, "on disk");

/* On disk: the last 40 bytes of every block. */
struct segment_trailer {
    uint64_t segment_seq;
    uint64_t block_lsn;   /* number of the block in the log */
    uint64_t durable_lsn; /* all records up to this one were durable when the block was built */
    uint32_t boot_generation;
    uint16_t payload_size; /* bytes of the payload area that belong to the record stream */
    uint16_t first_record; /* offset of the first record header that starts here, or 0xffff */
    uint16_t log;
    uint16_t flags;
    uint32_t crc; /* over the whole block before it */
};

static_assert(sizeof(struct segment_trailer) == SEGMENT_TRAILER_SIZE, "on disk");
static_assert(offsetof(struct segment_trailer, boot_generation) == 24, "on disk");
static_assert(offsetof(struct segment_trailer, crc) == 36, "on disk");

/* Flags of a segment. */
enum {
    SEGMENT_HEADER_GAP =
        1, /* salvaged: records between the previous segment and first_lsn are lost */
};

/* On disk: the payload of block 0. */
struct segment_header {
    uint64_t magic;
    uint32_t format_version;
    uint32_t boot_generation;
    uint8_t uuid[SEGMENT_UUID_SIZE]; /* of the data directory */
    uint64_t seq;
    uint64_t previous_seq;    /* the segment whose records these continue; 0: the log starts here */
    uint64_t first_lsn;       /* of the first record here; all before it are in earlier segments */
    uint64_t first_block_lsn; /* of block 0 */
    uint64_t created_unix_ms;
    uint64_t size; /* of the file, when it was made */
    uint32_t log;
    uint32_t flags; /* SEGMENT_HEADER_* */
};

static_assert(sizeof(struct segment_header) == 88, "on disk");

/* What a block turned out to be. */
enum segment_block_kind {
    SEGMENT_BLOCK_GOOD,  /* intact, of this log and segment, at its place */
    SEGMENT_BLOCK_ZERO,  /* never written */
    SEGMENT_BLOCK_STALE, /* intact, but of an earlier use of a recycled file */
    SEGMENT_BLOCK_BAD,   /* torn or corrupt */
};

/* What is known of a block's place before it is looked at. */
struct segment_block_place {
    uint64_t seq;
    uint64_t block_lsn;
    uint32_t boot_generation;
    uint32_t log;
};

/* The part of one record that readers use. payload is borrowed. */
struct journal_record_view {
    uint64_t lsn;
    uint64_t mailbox; /* within the partition, 48 bits */
    uint32_t partition;
    uint8_t type;
    uint8_t version;
    uint16_t flags; /* SEGMENT_RECORD_* */
    struct journal_location location;
    struct slice payload;
};

/* Bytes that a record with this payload takes in the stream. */
static inline uint64_t segment_record_size(uint64_t payload_size)
{
    return SEGMENT_RECORD_HEADER_SIZE + round_up_u64(payload_size, SEGMENT_RECORD_ALIGNMENT);
}

/* Joins partition and mailbox (below 2^48) into the header's word. */
static inline uint64_t segment_mailbox_pack(uint32_t partition, uint64_t mailbox)
{
    return (uint64_t)partition << 48 | mailbox;
}

/* Fills in the trailer (all fields but crc from *trailer) and the CRC. block is one whole block. */
void segment_block_seal(char *block, const struct segment_trailer *trailer);

/* Judges one block of a file; *ret_trailer is written for GOOD and STALE. */
enum segment_block_kind segment_block_check(const char *block,
                                            const struct segment_block_place *place,
                                            struct segment_trailer *ret_trailer);

/* Writes header into the payload area of block and seals it as block 0. */
void segment_header_seal(char *block, const struct segment_header *header, uint64_t durable_lsn);

/*
 * Reads block 0 of a file named seq in this log and data directory. 0; or -EBADMSG when it is
 * torn, corrupt, stale or never written; -EPROTO when it is intact and of another format version,
 * directory or log.
 */
MUST_USE int segment_header_parse(const char *block, uint32_t log, uint64_t seq,
                                  const uint8_t *uuid, struct segment_header *ret_header);

/* True when header's own CRC is right and its size is possible. */
bool segment_record_header_check(const struct segment_record_header *header);

/* The CRC state of a record after the first 24 header bytes, to be continued over the payload. */
uint32_t segment_record_crc_begin(const struct segment_record_header *header);

/* "<16 hex digits>.<suffix>" into name[SEGMENT_NAME_SIZE]; suffix "seg", "spare", "tmp". */
void segment_name_format(char *name, uint64_t seq, const char *suffix);

/* True, with the number, when name is what segment_name_format() makes with suffix, and in range.
 */
bool segment_name_parse(const char *name, const char *suffix, uint64_t *ret_seq);
