#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <signal.h>

#include "store/segment.h"

static char block[SEGMENT_BLOCK_SIZE];
static const struct segment_block_place place = {
    .seq = 5, .block_lsn = 77, .boot_generation = 3, .log = 2};
static struct segment_trailer trailer;

static void seal(void)
{
    memset(block, 'x', sizeof(block));
    trailer = (struct segment_trailer){.segment_seq = 5,
                                       .block_lsn = 77,
                                       .durable_lsn = 1000,
                                       .boot_generation = 3,
                                       .payload_size = 400,
                                       .first_record = 0,
                                       .log = 2};
    segment_block_seal(block, &trailer);
}

TestSuite(segment, .init = seal, .timeout = 30);

Test(segment, tells_good_stale_zero_and_bad_blocks_apart)
{
    struct segment_trailer found;
    struct segment_block_place other = place;

    cr_expect(eq(int, segment_block_check(block, &place, &found), SEGMENT_BLOCK_GOOD));
    cr_expect(eq(u64, found.durable_lsn, 1000));
    other.seq = 6;
    cr_expect(eq(int, segment_block_check(block, &other, &found), SEGMENT_BLOCK_STALE));
    other.seq = 4;
    cr_expect(eq(int, segment_block_check(block, &other, &found), SEGMENT_BLOCK_BAD));
    other = place;
    other.log = 1;
    cr_expect(eq(int, segment_block_check(block, &other, &found), SEGMENT_BLOCK_BAD));
    other = place;
    other.block_lsn++;
    cr_expect(eq(int, segment_block_check(block, &other, &found), SEGMENT_BLOCK_BAD));
    other = place;
    other.boot_generation++;
    cr_expect(eq(int, segment_block_check(block, &other, &found), SEGMENT_BLOCK_BAD));
    memset(block, 0, sizeof(block));
    cr_expect(eq(int, segment_block_check(block, &place, &found), SEGMENT_BLOCK_ZERO));
}

Test(segment, sees_every_single_flipped_bit_of_a_block)
{
    for (uint32_t bit = 0; bit < SEGMENT_BLOCK_SIZE * 8; bit++) {
        struct segment_trailer found;

        block[bit / 8] ^= (char)(1 << bit % 8);
        cr_assert(eq(int, segment_block_check(block, &place, &found), SEGMENT_BLOCK_BAD));
        block[bit / 8] ^= (char)(1 << bit % 8);
    }
}

Test(segment, sees_a_tear_at_every_sector)
{
    for (uint32_t size = 512; size < SEGMENT_BLOCK_SIZE; size += 512) {
        struct segment_trailer found;

        seal();
        memset(block + size, 0, SEGMENT_BLOCK_SIZE - size);
        cr_assert(eq(int, segment_block_check(block, &place, &found), SEGMENT_BLOCK_BAD));
        seal();
        memset(block, 0, size);
        cr_assert(eq(int, segment_block_check(block, &place, &found), SEGMENT_BLOCK_BAD));
    }
}

static struct segment_header header(void)
{
    return (struct segment_header){.boot_generation = 3,
                                   .uuid = {1, 2, 3},
                                   .seq = 5,
                                   .previous_seq = 4,
                                   .first_lsn = 10,
                                   .first_block_lsn = 70,
                                   .created_unix_ms = 1735689600000,
                                   .size = 64 * SEGMENT_BLOCK_SIZE,
                                   .log = 2};
}

Test(segment, reads_its_header_back_and_refuses_those_of_others)
{
    struct segment_header made = header();
    struct segment_header found;
    uint8_t other[SEGMENT_UUID_SIZE] = {9};

    segment_header_seal(block, &made, 9);
    cr_assert(eq(int, segment_header_parse(block, 2, 5, made.uuid, &found), 0));
    cr_expect(eq(u64, found.first_lsn, 10));
    cr_expect(eq(u64, found.previous_seq, 4));
    cr_expect(eq(int, segment_header_parse(block, 2, 5, other, &found), -EPROTO));
    cr_expect(eq(int, segment_header_parse(block, 1, 5, made.uuid, &found), -EPROTO));
    cr_expect(eq(int, segment_header_parse(block, 2, 6, made.uuid, &found), -EBADMSG));
    cr_expect(eq(int, segment_header_parse(block, 2, 4, made.uuid, &found), -EBADMSG));
    memset(block, 0, sizeof(block));
    cr_expect(eq(int, segment_header_parse(block, 2, 5, made.uuid, &found), -EBADMSG));
}

/* The bytes of the format, as the essay in segment.c gives them: a change here breaks old logs. */
Test(segment, has_the_layout_that_is_written_down)
{
    struct segment_header made = header();

    segment_header_seal(block, &made, 9);
    cr_expect(memcmp(block, "weirlog1", 8) == 0);
    cr_expect(eq(int, block[8], 1));
    cr_expect(eq(int, block[12], 3));
    cr_expect(eq(int, block[16], 1));
    cr_expect(eq(int, block[32], 5));
    cr_expect(eq(int, block[40], 4));
    cr_expect(eq(int, block[48], 10));
    cr_expect(eq(int, block[56], 70));
    cr_expect(eq(int, block[80], 2));
    cr_expect(eq(int, block[4056], 5));
    cr_expect(eq(int, block[4064], 70));
    cr_expect(eq(int, block[4072], 9));
    cr_expect(eq(int, block[4080], 3));
    cr_expect(eq(int, block[4088], 2));
    cr_expect(eq(int, block[4090], 3));
}

Test(segment, packs_locations_and_keeps_their_order)
{
    struct journal_location location = journal_location_make(255, SEGMENT_SEQ_MAX, 67108856);

    cr_expect(eq(u32, journal_location_log(location), 255));
    cr_expect(eq(u64, journal_location_seq(location), SEGMENT_SEQ_MAX));
    cr_expect(eq(u64, journal_location_offset(location), 67108856));
    cr_expect(
        lt(u64, journal_location_make(1, 5, 8192).bits, journal_location_make(1, 6, 4096).bits));
    cr_expect(ne(u64, journal_location_make(0, 1, 4096).bits, JOURNAL_LOCATION_NONE.bits));
}

Test(segment, aborts_on_an_unaligned_location, .signal = SIGABRT)
{
    (void)journal_location_make(0, 1, 4097);
}

Test(segment, names_files_by_number)
{
    char name[SEGMENT_NAME_SIZE];
    uint64_t seq = 0;

    segment_name_format(name, 0x1a2b, "seg");
    cr_expect(eq(str, name, "0000000000001a2b.seg"));
    cr_expect(segment_name_parse(name, "seg", &seq));
    cr_expect(eq(u64, seq, 0x1a2b));
    cr_expect(not(segment_name_parse(name, "spare", &seq)));
    cr_expect(not(segment_name_parse("0000000000001A2B.seg", "seg", &seq)));
    cr_expect(not(segment_name_parse("000000000001a2b.seg", "seg", &seq)));
    cr_expect(not(segment_name_parse("", "seg", &seq)));
    cr_expect(not(segment_name_parse("ffffffffffffffff.seg", "seg", &seq)));
    cr_expect(not(segment_name_parse("0000000000000001-0000000000000002.torn", "seg", &seq)));
}

Test(segment, checks_record_headers)
{
    struct segment_record_header record = {
        .payload_size = 10, .type = 1, .flags = SEGMENT_RECORD_GROUP_END, .lsn = 1};

    record.payload_crc = segment_record_crc_begin(&record);
    cr_expect(not(segment_record_header_check(&record)));
    cr_expect(eq(u64, segment_record_size(0), 32));
    cr_expect(eq(u64, segment_record_size(1), 40));
    cr_expect(eq(u64, segment_record_size(8), 40));
}
