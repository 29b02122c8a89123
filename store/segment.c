/*
 * The layout of a log on disk. All numbers are little-endian.
 *
 *     <data>/superblock                       see superblock.c
 *     <data>/lock
 *     <data>/log-00/0000000000000001.seg      segment 1 of log 0
 *                   0000000000000002.seg      the active segment
 *                   0000000000000003.seg      made ready for the next switch
 *                   0000000000000007.spare    zeroed or recycled, waiting
 *                   0000000000000008.tmp      being zeroed; removed at start
 *                   0000000000000001-000000000000002a.torn    discarded tail; 8 are kept
 *
 * A segment file is size / 4096 blocks. Block 0 is the header. Nothing is ever
 * written in place but a block that was not durable yet.
 *
 *     offset  size  block
 *          0  4056  payload area
 *       4056     8  segment seq: which use of this file the block belongs to
 *       4064     8  block LSN: number of the block in the log, +1 per block
 *       4072     8  durable LSN: known when the block was built
 *       4080     4  boot generation
 *       4084     2  payload size: bytes of the area that belong to the stream
 *       4086     2  first record: offset of the first record header that begins
 *                   in this block, 0xffff for none
 *       4088     2  log
 *       4090     2  flags: 1 header, 2 first block of a write, 4 watermark
 *       4092     4  CRC-32C of bytes 0..4091
 *
 *     offset  size  block 0, payload area
 *          0     8  magic "weirlog1"
 *          8     4  format version, 1
 *         12     4  boot generation
 *         16    16  uuid of the data directory
 *         32     8  seq
 *         40     8  previous seq: the segment whose records these continue
 *         48     8  first LSN: all records before it are in earlier segments
 *         56     8  block LSN of block 0
 *         64     8  time of creation, Unix milliseconds
 *         72     8  size of the file
 *         80     4  log
 *         84     4  flags: 1 the records before first LSN are lost (salvaged)
 *
 * The payload areas, each cut to its payload size, form the record stream. A
 * record may begin at any multiple of 8 and may run over any number of blocks.
 *
 *     offset  size  record
 *          0     4  payload size
 *          4     1  type
 *          5     1  version of the payload
 *          6     2  flags: 1 first of its group, 2 last of its group
 *          8     8  LSN: +1 per record of the log
 *         16     8  partition:16 | mailbox:48
 *         24     4  CRC-32C of bytes 0..23 and the payload
 *         28     4  CRC-32C of bytes 0..27
 *         32     n  payload, then zeros up to a multiple of 8
 *
 * Why both CRCs: the block's tells a torn or misplaced sector at once and lets a
 * tail be judged without understanding it; the record's seals a record together
 * with its LSN and place in the log, also after it has been copied out.
 *
 * A write (flush) starts on a new block, so a durable block is never written
 * again. Its blocks carry the durable LSN of the moment they were built: a valid
 * block further on proves that everything up to that LSN had been acknowledged,
 * which is how damage is told from a torn tail (recovery.c).
 *
 * A recycled file still holds blocks of its earlier use; their seq is smaller, so
 * they read as the end of the log.
 */
#include "store/segment.h"

#include <errno.h>

#include "runtime/sim_point.h"
#include "store/crc32c.h"

static const uint64_t SEGMENT_MAGIC = 0x31676f6c72696577; /* "weirlog1" */

static_assert(SEGMENT_PAYLOAD_SIZE % SEGMENT_RECORD_ALIGNMENT == 0, "records stay aligned");
static_assert(SEGMENT_PAYLOAD_SIZE <= UINT16_MAX, "payload_size is 16 bits");
static_assert(sizeof(struct segment_header) <= SEGMENT_PAYLOAD_SIZE, "fits in block 0");
static_assert(JOURNAL_GROUP_SIZE_MAX < SEGMENT_SIZE_MAX, "a group fits in a segment");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs are written as they are");

enum {
    CRC_OFFSET = SEGMENT_BLOCK_SIZE - 4,
    RECORD_CRC_PREFIX = 24,
    BLOCK_FLAGS_ALL = SEGMENT_BLOCK_HEADER | SEGMENT_BLOCK_FLUSH_FIRST | SEGMENT_BLOCK_WATERMARK,
    HEADER_FLAGS_ALL = SEGMENT_HEADER_GAP,
    RECORD_FLAGS_ALL = SEGMENT_RECORD_GROUP_FIRST | SEGMENT_RECORD_GROUP_END,
    SEQ_DIGITS = 16,
};

struct journal_location journal_location_make(uint32_t log, uint64_t seq, uint64_t offset)
{
    assert(log <= SEGMENT_LOG_MAX);
    assert(seq > 0 && seq <= SEGMENT_SEQ_MAX);
    assert(offset % 8 == 0 && offset < SEGMENT_SIZE_MAX);
    return (struct journal_location){(uint64_t)log << 56 | seq << 23 | offset / 8};
}

void segment_block_seal(char *block, const struct segment_trailer *trailer)
{
    uint32_t crc;

    assert(trailer->payload_size <= SEGMENT_PAYLOAD_SIZE);
    assert(trailer->segment_seq > 0);
    memcpy(block + SEGMENT_PAYLOAD_SIZE, trailer, sizeof(*trailer));
    crc = crc32c(0, block, CRC_OFFSET);
    memcpy(block + CRC_OFFSET, &crc, sizeof(crc));
}

static bool is_zero(const char *block)
{
    return block[0] == 0 && memcmp(block, block + 1, SEGMENT_BLOCK_SIZE - 1) == 0;
}

/* True when the CRC is right and the trailer makes sense whatever its place. */
static bool is_intact(const char *block, struct segment_trailer *ret_trailer)
{
    memcpy(ret_trailer, block + SEGMENT_PAYLOAD_SIZE, sizeof(*ret_trailer));
    if (ret_trailer->crc != crc32c(0, block, CRC_OFFSET) && !MUTANT("skip_block_crc") &&
        !MUTANT("skip_all_crcs"))
        return false;
    return ret_trailer->payload_size <= SEGMENT_PAYLOAD_SIZE &&
           ret_trailer->payload_size % SEGMENT_RECORD_ALIGNMENT == 0 &&
           (ret_trailer->flags & ~BLOCK_FLAGS_ALL) == 0 && ret_trailer->segment_seq != 0;
}

enum segment_block_kind segment_block_check(const char *block,
                                            const struct segment_block_place *place,
                                            struct segment_trailer *ret_trailer)
{
    struct segment_trailer trailer;

    assert(place->seq > 0);
    if (!is_intact(block, &trailer))
        return is_zero(block) ? SEGMENT_BLOCK_ZERO : SEGMENT_BLOCK_BAD;
    if (trailer.log != place->log || trailer.segment_seq > place->seq)
        return SEGMENT_BLOCK_BAD;
    if (trailer.segment_seq == place->seq && (trailer.block_lsn != place->block_lsn ||
                                              trailer.boot_generation != place->boot_generation))
        return SEGMENT_BLOCK_BAD;
    *ret_trailer = trailer;
    if (trailer.segment_seq != place->seq && !MUTANT("recycled_segment_accepted"))
        return SEGMENT_BLOCK_STALE;
    return SEGMENT_BLOCK_GOOD;
}

void segment_header_seal(char *block, const struct segment_header *header, uint64_t durable_lsn)
{
    struct segment_header copy = *header;
    struct segment_trailer trailer = {
        .segment_seq = header->seq,
        .block_lsn = header->first_block_lsn,
        .durable_lsn = durable_lsn,
        .boot_generation = header->boot_generation,
        .payload_size = 0,
        .first_record = UINT16_MAX,
        .log = (uint16_t)header->log,
        .flags = SEGMENT_BLOCK_HEADER | SEGMENT_BLOCK_FLUSH_FIRST,
    };

    assert(header->log <= SEGMENT_LOG_MAX);
    assert(header->previous_seq < header->seq);
    copy.magic = SEGMENT_MAGIC;
    copy.format_version = SEGMENT_FORMAT_VERSION;
    memset(block, 0, SEGMENT_BLOCK_SIZE);
    memcpy(block, &copy, sizeof(copy));
    segment_block_seal(block, &trailer);
}

/* The header's fields agree with each other and with the trailer. */
static bool is_consistent(const struct segment_header *header,
                          const struct segment_trailer *trailer, uint64_t seq)
{
    return header->seq == seq && header->previous_seq < seq && header->first_lsn > 0 &&
           header->first_block_lsn == trailer->block_lsn &&
           header->boot_generation == trailer->boot_generation && trailer->payload_size == 0 &&
           header->size >= SEGMENT_SIZE_MIN && header->size <= SEGMENT_SIZE_MAX &&
           header->size % SEGMENT_BLOCK_SIZE == 0 &&
           (header->flags & ~(uint32_t)HEADER_FLAGS_ALL) == 0;
}

int segment_header_parse(const char *block, uint32_t log, uint64_t seq, const uint8_t *uuid,
                         struct segment_header *ret_header)
{
    struct segment_trailer trailer;
    struct segment_header header;

    assert(log <= SEGMENT_LOG_MAX);
    assert(seq > 0);
    if (!is_intact(block, &trailer))
        return -EBADMSG;
    memcpy(&header, block, sizeof(header));
    if (trailer.segment_seq < seq && trailer.log == log)
        return -EBADMSG; /* a recycled file that was not begun */
    if ((trailer.flags & SEGMENT_BLOCK_HEADER) == 0 || header.magic != SEGMENT_MAGIC)
        return -EBADMSG;
    if (header.format_version != SEGMENT_FORMAT_VERSION || header.log != log ||
        trailer.log != log || memcmp(header.uuid, uuid, SEGMENT_UUID_SIZE) != 0)
        return -EPROTO;
    if (trailer.segment_seq != seq || !is_consistent(&header, &trailer, seq))
        return -EBADMSG;
    *ret_header = header;
    return 0;
}

bool segment_record_header_check(const struct segment_record_header *header)
{
    if (header->header_crc !=
            crc32c(0, header, offsetof(struct segment_record_header, header_crc)) &&
        !MUTANT("skip_all_crcs"))
        return false;
    return header->payload_size <= JOURNAL_GROUP_SIZE_MAX && header->type != 0 &&
           (header->flags & ~RECORD_FLAGS_ALL) == 0;
}

uint32_t segment_record_crc_begin(const struct segment_record_header *header)
{
    return crc32c(0, header, RECORD_CRC_PREFIX);
}

void segment_name_format(char *name, uint64_t seq, const char *suffix)
{
    int size = snprintf(name, SEGMENT_NAME_SIZE, "%016llx.%s", (unsigned long long)seq, suffix);

    assert(size > SEQ_DIGITS);
    assert(size < SEGMENT_NAME_SIZE);
}

bool segment_name_parse(const char *name, const char *suffix, uint64_t *ret_seq)
{
    uint64_t seq = 0;

    for (uint32_t i = 0; i < SEQ_DIGITS; i++) {
        char c = name[i];

        if (c >= '0' && c <= '9')
            seq = seq << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            seq = seq << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    if (seq > SEGMENT_SEQ_MAX || name[SEQ_DIGITS] != '.' ||
        strcmp(name + SEQ_DIGITS + 1, suffix) != 0)
        return false;
    *ret_seq = seq;
    return true;
}
