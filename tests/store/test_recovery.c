#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "journal_fixture.h"

#include <errno.h>
#include <fcntl.h>

/* One test for each row of the decision table in store/recovery.c, by number. */

#define SEG(n) "log-00/000000000000000" #n ".seg"
#define SPARE(n) "log-00/000000000000000" #n ".spare"

static struct fixture fixture;
static char block[SEGMENT_BLOCK_SIZE];

static void setup(void)
{
    fixture_init(&fixture, 11);
    fixture.exact = true;
    cr_assert(eq(int, fixture_open(&fixture), 0));
}

static void teardown(void)
{
    fixture_deinit(&fixture);
}

TestSuite(recovery, .init = setup, .fini = teardown, .timeout = 60);

/* Appends a group of one record and waits until it is durable. */
static const struct fixture_group *add(uint32_t size)
{
    cr_assert(eq(int, fixture_append(&fixture, 1, size, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    return fixture.groups[fixture.group_count - 1];
}

/* Appends two groups whose writes run at the same time, so that neither vouches for the other. */
static void add_two_at_once(uint32_t size, uint32_t second_size)
{
    cr_assert(eq(int, fixture_append(&fixture, 1, size, 0), JOURNAL_OK));
    journal_flush(fixture.journal);
    cr_assert(eq(int, fixture_append(&fixture, 1, second_size, 0), JOURNAL_OK));
    journal_flush(fixture.journal);
    cr_assert(fixture_settle(&fixture));
}

/* Long enough for the watermark and the spares. */
static void idle(void)
{
    fixture_run(&fixture, 400);
}

static uint64_t block_of(const struct fixture_group *group)
{
    return journal_location_offset(group->append.location) / SEGMENT_BLOCK_SIZE;
}

/* Fills segment 1 up to its last few blocks. */
static void fill_segment(void)
{
    while (add(3000), block_of(fixture.groups[fixture.group_count - 1]) < 58)
        continue;
}

static void zero_blocks(const char *name, uint64_t first, uint64_t count)
{
    memset(block, 0, sizeof(block));
    for (uint64_t i = first; i < first + count; i++)
        fixture_write(&fixture, name, i * SEGMENT_BLOCK_SIZE, block, sizeof(block));
}

static void expect_refused(const char *text)
{
    cr_assert(eq(int, fixture_recover(&fixture), -EBADMSG));
    cr_expect(strstr(fixture.text, text) != NULL, "%s", fixture.text);
}

/* The log opens with exactly the first count groups, and stays usable and the same. */
static void expect_groups(uint32_t count)
{
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_assert(eq(u32, fixture.recovered_count, count));
    cr_assert(eq(u32, fixture.mismatch_count, 0));
    add(100);
    fixture_crash(&fixture, false);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, count + 1));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
}

Test(recovery, row_1_no_directory_is_an_empty_log)
{
    fixture_deinit(&fixture);
    fixture_init(&fixture, 12);
    cr_assert(eq(int, fixture_recover(&fixture), 0));
    cr_expect(eq(u32, fixture.recovered_count, 0));
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn, 1));
}

Test(recovery, row_2_a_file_never_begun_is_an_empty_log)
{
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_recover(&fixture), 0));
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn, 1));
    cr_expect(lt(u64, 1, fixture.recovered->logs[0].next_seq));
    cr_expect(fixture_exists(&fixture, SPARE(1)));
    cr_expect(not(fixture_exists(&fixture, SEG(1))));
}

Test(recovery, row_3_the_torn_header_of_the_only_file_is_an_empty_log)
{
    add(100);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 9, 1);
    cr_assert(eq(int, fixture_recover(&fixture), 0));
    cr_expect(eq(u32, fixture.recovered_count, 0));
    cr_expect(fixture_exists(&fixture, "log-00/0000000000000001-0000000000000000.torn"));
}

Test(recovery, row_4_the_bad_header_of_the_only_file_is_refused_when_vouched)
{
    add(100);
    idle();
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 9, 1);
    expect_refused("log-00/0000000000000001.seg: offset 0: the log breaks off after LSN 0");
}

Test(recovery, row_5_the_bad_header_of_the_oldest_file_is_refused)
{
    fill_segment();
    add(30000);
    idle();
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 9, 1);
    expect_refused("0000000000000001.seg: offset 0");
}

Test(recovery, row_6_the_log_ends_at_zeros)
{
    add(100);
    fixture_crash(&fixture, true);
    expect_groups(1);
}

Test(recovery, row_7_the_log_ends_at_blocks_of_an_earlier_use)
{
    char name[64];
    static const char zeros[SEGMENT_BLOCK_SIZE];

    fixture.config.retain_bytes = 3 * 64 * SEGMENT_BLOCK_SIZE;
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 900; i++)
        add(3000);
    while (block_of(add(3000)) > 20)
        continue;
    snprintf(name, sizeof(name), "log-00/%016lx.seg",
             journal_location_seq(fixture.groups[fixture.group_count - 1]->append.location));
    fixture_stop(&fixture);
    fixture_read(&fixture, name, 40 * SEGMENT_BLOCK_SIZE, block, sizeof(block));
    cr_assert(memcmp(block, zeros, sizeof(block)) != 0,
              "the file was not recycled, %u retired, dropped", fixture.retired_count);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.mismatch_count, 0));
    cr_expect(eq(u32, fixture.lost_count, 0));
    cr_expect(eq(u64, fixture.recovered->logs[0].torn_block_count, 0));
}

Test(recovery, row_8_a_file_cut_by_an_earlier_start_reads_the_same)
{
    add(100);
    add(5000);
    fixture_crash(&fixture, true);
    for (int i = 0; i < 3; i++) {
        cr_assert(eq(int, fixture_recover(&fixture), 0));
        cr_expect(eq(u32, fixture.recovered_count, 2));
        cr_expect(eq(u32, fixture.mismatch_count, 0));
        fixture_crash(&fixture, false);
    }
}

Test(recovery, row_9_a_bad_block_at_the_end_is_cut_and_kept_aside)
{
    const struct fixture_group *last;

    add(100);
    last = add(100);
    cr_assert(eq(u64, block_of(last), 2));
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 2 * SEGMENT_BLOCK_SIZE + 1000, 128);
    expect_groups(1);
    cr_expect(fixture_exists(&fixture, "log-00/0000000000000001-0000000000000002.torn"));
    cr_expect(eq(u64, fixture_size(&fixture, SEG(1)), 2 * SEGMENT_BLOCK_SIZE));
}

Test(recovery, row_10_what_lies_beyond_a_tear_never_comes_back)
{
    add(100);
    add_two_at_once(100, 200);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 2 * SEGMENT_BLOCK_SIZE + 5, 1);
    expect_groups(1);
    /* Once more: a crash right after, and the discarded block is still gone. */
    fixture_crash(&fixture, false);
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_expect(eq(u32, fixture.recovered_count, 2));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
}

/* The cut itself may get lost with a bad disk: the successor's header is the second guard. */
Test(recovery, ignores_a_discarded_tail_that_is_there_again)
{
    static char zombie[64 * SEGMENT_BLOCK_SIZE];

    add(100);
    add_two_at_once(100, 200);
    fixture_crash(&fixture, true);
    fixture_read(&fixture, SEG(1), 0, zombie, sizeof(zombie));
    zero_blocks(SEG(1), 2, 1);
    expect_groups(1);
    fixture_crash(&fixture, true);
    fixture_write(&fixture, SEG(1), 0, zombie, sizeof(zombie));
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, 2));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
}

Test(recovery, row_11_a_bad_block_vouched_for_in_the_same_file_is_refused)
{
    add(100);
    add(100);
    add(100);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 2 * SEGMENT_BLOCK_SIZE + 5, 1);
    expect_refused("log-00/0000000000000001.seg: offset 8192: the log breaks off after LSN 1, "
                   "but block 3 of 0000000000000001.seg states that LSN 2 was durable");
}

Test(recovery, row_12_a_bad_block_vouched_for_in_a_later_file_is_refused)
{
    uint64_t last;

    fill_segment();
    last = block_of(fixture.groups[fixture.group_count - 1]);
    add(30000);
    cr_assert(fixture_exists(&fixture, SEG(2)));
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), last * SEGMENT_BLOCK_SIZE + 5, 1);
    expect_refused("block 0 of 0000000000000002.seg states");
}

Test(recovery, row_13_a_lost_write_is_refused_when_vouched)
{
    add(100);
    add(100);
    add(100);
    fixture_crash(&fixture, true);
    zero_blocks(SEG(1), 2, 1);
    expect_refused("breaks off after LSN 1");
}

Test(recovery, row_14_zeros_in_the_middle_are_cut_when_not_vouched)
{
    add(100);
    add_two_at_once(100, 200);
    fixture_crash(&fixture, true);
    zero_blocks(SEG(1), 2, 1);
    expect_groups(1);
}

Test(recovery, rows_15_and_16_a_group_without_an_end_is_discarded)
{
    const struct fixture_group *big;

    add(100);
    big = add(150000);
    fixture_crash(&fixture, true);
    zero_blocks(SEG(1), block_of(big) + 30, 64 - block_of(big) - 30);
    expect_groups(1);
}

Test(recovery, row_17_a_next_file_never_begun_becomes_a_spare)
{
    add(100);
    idle();
    cr_assert(fixture_exists(&fixture, SEG(2)));
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_recover(&fixture), 0));
    cr_expect(eq(u32, fixture.recovered_count, 1));
    cr_expect(fixture_exists(&fixture, SPARE(2)));
    cr_expect(not(fixture_exists(&fixture, SEG(2))));
}

Test(recovery, row_18_the_torn_header_of_the_next_file_ends_the_log)
{
    uint32_t count;

    fill_segment();
    count = fixture.group_count;
    add(30000);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(2), 9, 1);
    zero_blocks(SEG(2), 1, 63);
    expect_groups(count);
    cr_expect(fixture_exists(&fixture, "log-00/0000000000000002-0000000000000000.torn"));
}

Test(recovery, row_19_a_missing_segment_is_refused)
{
    while (!fixture_exists(&fixture, SEG(4)))
        add(5000);
    idle();
    fixture_crash(&fixture, true);
    fixture_remove(&fixture, SEG(2));
    expect_refused("log-00/0000000000000001.seg");
}

Test(recovery, row_20_a_successor_of_a_cut_segment_is_discarded_when_not_vouched)
{
    uint32_t count;

    fill_segment();
    count = fixture.group_count;
    add_two_at_once(100, 20000);
    cr_assert(eq(u64, journal_location_seq(fixture.groups[count]->append.location), 1));
    cr_assert(eq(u64, journal_location_seq(fixture.groups[count + 1]->append.location), 2));
    fixture_crash(&fixture, true);
    zero_blocks(SEG(1), block_of(fixture.groups[count]), 1);
    expect_groups(count);
}

Test(recovery, row_21_a_cut_segment_is_refused_when_its_successor_vouches)
{
    uint64_t last;

    fill_segment();
    last = block_of(fixture.groups[fixture.group_count - 1]);
    add(30000);
    fixture_crash(&fixture, true);
    zero_blocks(SEG(1), last, 64 - last);
    expect_refused("of 0000000000000002.seg states");
}

/* Gives a block that was changed its right CRC again. */
static void reseal(const char *name, uint64_t index)
{
    struct segment_trailer trailer;

    memcpy(&trailer, block + SEGMENT_PAYLOAD_SIZE, sizeof(trailer));
    segment_block_seal(block, &trailer);
    fixture_write(&fixture, name, index * SEGMENT_BLOCK_SIZE, block, sizeof(block));
}

Test(recovery, row_22_an_intact_block_with_a_damaged_record_is_refused)
{
    add(100);
    fixture_crash(&fixture, true);
    fixture_read(&fixture, SEG(1), SEGMENT_BLOCK_SIZE, block, sizeof(block));
    block[40] ^= 1;
    reseal(SEG(1), 1);
    expect_refused("offset 4096: an intact block holds a damaged record after LSN 0");
}

Test(recovery, row_23_a_misdirected_block_is_a_bad_block)
{
    for (int i = 0; i < 4; i++)
        add(100);
    fixture_crash(&fixture, true);
    fixture_read(&fixture, SEG(1), 3 * SEGMENT_BLOCK_SIZE, block, sizeof(block));
    fixture_write(&fixture, SEG(1), 2 * SEGMENT_BLOCK_SIZE, block, sizeof(block));
    expect_refused("breaks off after LSN 1");
}

Test(recovery, row_24_a_file_of_another_directory_is_refused)
{
    add(100);
    fixture_crash(&fixture, true);
    fixture_read(&fixture, SEG(1), 0, block, sizeof(block));
    block[17] ^= 1; /* the uuid */
    reseal(SEG(1), 0);
    cr_assert(eq(int, fixture_recover(&fixture), -EPROTO));
    cr_expect(strstr(fixture.text, "0000000000000001.seg") != NULL);
}

Test(recovery, row_25_of_two_files_that_continue_one_the_later_start_counts)
{
    static char zombie[64 * SEGMENT_BLOCK_SIZE];
    uint32_t count;

    fill_segment();
    count = fixture.group_count;
    add_two_at_once(100, 20000);
    fixture_crash(&fixture, true);
    zero_blocks(SEG(1), block_of(fixture.groups[count]), 1);
    fixture_read(&fixture, SEG(2), 0, zombie, sizeof(zombie));
    expect_groups(count);
    fixture_crash(&fixture, true);
    fixture_write(&fixture, SEG(2), 0, zombie, sizeof(zombie));
    cr_assert(eq(int, fixture_recover(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, count + 1));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
    cr_expect(not(fixture_exists(&fixture, SEG(2))));
}

Test(recovery, row_26_a_disk_that_cannot_read_is_refused)
{
    add(100);
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_recover(&fixture), 0));
    fixture_crash(&fixture, true);
    fixture.host->faults.read_error.skip_count = 1; /* the superblock's */
    fixture.host->faults.read_error.once_count = 1;
    cr_expect(eq(int, fixture_recover(&fixture), -EIO));
    cr_expect(fixture.text[0] != 0);
}

/* ---- beyond the table ---- */

Test(recovery, detects_every_flipped_bit_before_the_watermark)
{
    struct rng rng;
    uint32_t refused_count = 0;
    uint64_t used;

    for (int i = 0; i < 12; i++)
        add(700);
    idle();
    used = block_of(fixture.groups[fixture.group_count - 1]) + 1;
    fixture_crash(&fixture, true);
    rng_init_seed(&rng, 1);
    /* Every bit of a record with its header and of a trailer, and a sample of all others. */
    for (uint64_t bit = 0; bit < used * SEGMENT_BLOCK_SIZE * 8;) {
        uint64_t offset = bit / 8;
        bool dense = offset >= 4096 && offset < 4096 + 64;

        dense = dense || (offset % 4096 >= 4056 && offset / 4096 == 2);
        fixture_flip(&fixture, SEG(1), offset, (uint8_t)(1 << bit % 8));
        cr_assert(lt(int, fixture_recover(&fixture), 0), "bit %lu was not seen", bit);
        cr_assert(eq(u32, fixture.mismatch_count, 0), "bit %lu gave a wrong record", bit);
        refused_count++;
        fixture_crash(&fixture, true);
        fixture_flip(&fixture, SEG(1), offset, (uint8_t)(1 << bit % 8));
        bit += dense ? 1 : 1 + rng_below(&rng, 1200);
    }
    cr_expect(lt(u32, 700, refused_count));
    cr_assert(eq(int, fixture_recover(&fixture), 0));
}

Test(recovery, is_the_same_after_being_interrupted_at_every_disk_call)
{
    uint64_t call = 1;
    uint32_t refused_count = 0;

    fill_segment();
    add_two_at_once(100, 20000);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 61 * SEGMENT_BLOCK_SIZE, 1);
    for (;; call++) {
        int r;

        sim_host_crash_after(fixture.host, call);
        r = fixture_recover(&fixture);
        refused_count += r < 0;
        if (sim_host_is_up(fixture.host))
            break;
        fixture_crash(&fixture, false);
    }
    cr_expect(lt(u64, 20, call));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
    cr_expect(lt(u32, 0, refused_count));
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.mismatch_count, 0));
    cr_expect(ge(u32, fixture.recovered_count, fixture.committed_count));
}

/* What a process that died had only in the page cache must not be taken for durable. */
Test(recovery, makes_what_it_read_durable)
{
    add(100);
    add(100);
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_recover(&fixture), 0)); /* cuts the file to its three blocks */
    fixture_crash(&fixture, true);
    fixture_read(&fixture, SEG(1), 2 * SEGMENT_BLOCK_SIZE, block, sizeof(block));
    for (int i = 0; i < 8; i++) {
        static const char zeros[SEGMENT_BLOCK_SIZE];
        int fd;

        fixture_write(&fixture, SEG(1), 2 * SEGMENT_BLOCK_SIZE, zeros, sizeof(zeros));
        fd = disk_open(fixture.disk, "data/" SEG(1), O_RDWR, 0);
        cr_assert(
            eq(int, (int)disk_write(fixture.disk, fd, block, sizeof(block), 2 * SEGMENT_BLOCK_SIZE),
               SEGMENT_BLOCK_SIZE));
        disk_close(fixture.disk, fd);
        cr_assert(eq(int, fixture_recover(&fixture), 0));
        cr_assert(eq(u32, fixture.recovered_count, 2));
        fixture_crash(&fixture, false);
        cr_assert(eq(int, fixture_recover(&fixture), 0));
        cr_assert(eq(u32, fixture.recovered_count, 2), "crash %d", i);
        fixture_crash(&fixture, true);
    }
}

static uint64_t progress_done;
static uint64_t progress_total;
static uint32_t log_end_count;

static void on_progress(struct recovery_visitor *visitor, uint64_t done, uint64_t total)
{
    (void)visitor;
    cr_assert(le(u64, done, total));
    progress_done = done;
    progress_total = total;
}

static void on_log_end(struct recovery_visitor *visitor, const struct recovered_log *log)
{
    (void)visitor;
    cr_assert(eq(u32, log->log, 0));
    log_end_count++;
}

Test(recovery, believes_no_single_read_that_would_end_a_log)
{
    struct sim_fault *flip = &fixture.host->faults.read_flipped;
    uint32_t struck_count = 0;

    fill_segment();
    add(30000); /* the next segment; nothing vouches for this group */
    fixture_crash(&fixture, false);
    for (uint32_t skip = 0; skip < 40; skip++) {
        *flip = (struct sim_fault){.skip_count = skip, .once_count = 1};
        cr_assert(eq(int, fixture_recover(&fixture), 0), "read %u: %s", skip, fixture.text);
        struck_count += flip->once_count == 0;
        *flip = (struct sim_fault){0};
        cr_assert(eq(u32, fixture.recovered_count, fixture.group_count), "read %u", skip);
        cr_assert(eq(u32, fixture.mismatch_count, 0), "read %u", skip);
        cr_assert(eq(u64, fixture.recovered->logs[0].torn_block_count, 0), "read %u", skip);
        fixture_crash(&fixture, true);
    }
    cr_expect(lt(u32, 4, struck_count));
    expect_groups(fixture.group_count);
}

Test(recovery, refuses_what_is_damaged_however_often_it_looks)
{
    struct sim_fault *flip = &fixture.host->faults.read_flipped;
    const struct fixture_group *group = add(3000);

    add(3000);
    idle();
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), block_of(group) * SEGMENT_BLOCK_SIZE + 70, 1);
    for (uint32_t skip = 0; skip < 12; skip++) {
        *flip = (struct sim_fault){.skip_count = skip, .once_count = 1};
        expect_refused("that LSN 2 was durable");
        *flip = (struct sim_fault){0};
        fixture_crash(&fixture, true);
    }
}

Test(recovery, tells_its_progress_and_the_end_of_each_log)
{
    fill_segment();
    fixture_crash(&fixture, true);
    fixture.visitor.on_progress = on_progress;
    fixture.visitor.on_log_end = on_log_end;
    cr_assert(eq(int, fixture_recover(&fixture), 0));
    cr_expect(eq(u64, progress_done, progress_total));
    cr_expect(eq(u32, log_end_count, 1));
}

static int refuse_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    (void)visitor;
    return group->lsn_first == 2 ? -ENOTSUP : 0;
}

Test(recovery, ends_with_the_visitors_answer)
{
    add(10);
    add(10);
    add(10);
    fixture_crash(&fixture, true);
    fixture.visitor.on_group = refuse_group;
    cr_expect(eq(int, fixture_recover(&fixture), -ENOTSUP));
    cr_expect(strstr(fixture.text, "0000000000000001.seg") != NULL);
}

/* More than is read at a time; what follows is read ahead. */
static void add_chunks(void)
{
    fixture_deinit(&fixture);
    fixture_init(&fixture, 13);
    fixture.exact = true;
    fixture.config.segment_bytes = 16 << 20;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 30; i++)
        add(250000);
}

Test(recovery, reads_a_log_of_many_chunks)
{
    uint64_t call_count;

    add_chunks();
    fixture_crash(&fixture, true);
    call_count = fixture.host->disk_call_count;
    cr_assert(eq(int, fixture_recover(&fixture), 0), "%s", fixture.text);
    /* A chunk that is not what it should be is made up for block by block: 1,800 reads. */
    cr_expect(lt(u64, fixture.host->disk_call_count - call_count, 200));
    fixture_crash(&fixture, true);
    expect_groups(30);
}

Test(recovery, survives_reads_of_chunks_that_end_early)
{
    add_chunks();
    fixture_crash(&fixture, true);
    fixture.host->faults.read_short = (struct sim_fault){.chance_ppm = 300000};
    cr_assert(eq(int, fixture_recover(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, 30));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
}

/* Whichever of its reads fails: the error, or all of the log. */
Test(recovery, tells_of_an_error_in_any_chunk)
{
    bool has_struck = true;
    uint32_t failed_count = 0;

    add_chunks();
    fixture_crash(&fixture, true);
    for (uint32_t skip = 0; has_struck; skip++) {
        struct sim_fault *error = &fixture.host->faults.read_error;
        int r;

        *error = (struct sim_fault){.skip_count = skip, .once_count = 1};
        r = fixture_recover(&fixture);
        has_struck = error->once_count == 0;
        failed_count += r < 0;
        cr_expect(r == 0 || r == -EIO, "%d: %s", r, fixture.text);
        cr_expect(r < 0 || fixture.recovered_count == 30);
        *error = (struct sim_fault){0};
        fixture_crash(&fixture, true);
    }
    cr_expect(le(u32, 4, failed_count)); /* chunks, at least */
}
