#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "journal_fixture.h"

#include "store/torn_files.h"

#include <errno.h>

/* How many copies of cut tails stay, and which. */

static struct fixture fixture;
static char block[SEGMENT_BLOCK_SIZE];
static char name[64];

static void setup(void)
{
    fixture_init(&fixture, 31);
    cr_assert(eq(int, fixture_open(&fixture), 0));
}

static void teardown(void)
{
    fixture_deinit(&fixture);
}

TestSuite(torn_files, .init = setup, .fini = teardown, .timeout = 60);

static const char *name_of(uint64_t seq, uint64_t number)
{
    snprintf(name, sizeof(name), "log-00/%016lx-%016lx.torn", seq, number);
    return name;
}

static void make(uint64_t seq, uint64_t number)
{
    fixture_write(&fixture, name_of(seq, number), 0, block, sizeof(block));
}

static const struct log_files *files(void)
{
    static struct log_files log_files;

    log_files = (struct log_files){.disk = fixture.disk};
    segment_log_path(log_files.directory, sizeof(log_files.directory), "data", 0);
    return &log_files;
}

/* Segment 1 with a torn tail: the next recovery makes a copy of it. */
static uint64_t tear(void)
{
    uint64_t offset;

    cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    offset = journal_location_offset(fixture.groups[0]->append.location);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, "log-00/0000000000000001.seg", offset + 5, 1);
    return offset / SEGMENT_BLOCK_SIZE;
}

Test(torn_files, keeps_the_newest_of_many)
{
    for (uint64_t i = 0; i < 150; i++)
        make(1 + i * 37 % 150 / 3, i * 37 % 150 % 3 * 7); /* 50 segments, in no order */
    cr_assert(eq(int, torn_files_trim(files()), 0));
    for (uint64_t i = 0; i < 150; i++)
        cr_expect(eq(int, fixture_exists(&fixture, name_of(1 + i / 3, i % 3 * 7)),
                     i >= 150 - TORN_FILE_COUNT_MAX),
                  "%lu", i);
    /* Again: there is nothing to do. */
    cr_assert(eq(int, torn_files_trim(files()), 0));
    cr_expect(fixture_exists(&fixture, name_of(50, 0)));
}

Test(torn_files, leaves_alone_what_is_no_copy)
{
    static const char *const others[] = {
        "log-00/0000000000000001-0000000000000002.torn.old",
        "log-00/0000000000000001-000000000000000x.torn",
        "log-00/0000000000000001_0000000000000002.torn",
        "log-00/0000000000000001.torn",
        "log-00/-.torn",
        "log-00/0000000000000009.broken",
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        fixture_write(&fixture, others[i], 0, block, sizeof(block));
    for (uint64_t i = 0; i < 20; i++)
        make(2, i);
    cr_assert(eq(int, torn_files_trim(files()), 0));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect(fixture_exists(&fixture, others[i]), "%s", others[i]);
    cr_expect(fixture_exists(&fixture, "log-00/0000000000000001.seg"));
    cr_expect(not(fixture_exists(&fixture, name_of(2, 11))));
    cr_expect(fixture_exists(&fixture, name_of(2, 12)));
}

Test(torn_files, gives_the_place_of_the_oldest_to_the_tail_that_is_cut_now)
{
    uint64_t torn_block = tear();

    for (uint64_t i = 0; i < TORN_FILE_COUNT_MAX; i++)
        make(0, 1 + i);
    cr_assert(eq(int, fixture_recover(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u64, fixture.recovered->logs[0].torn_block_count, 1));
    cr_expect(fixture_exists(&fixture, name_of(1, torn_block)));
    cr_expect(not(fixture_exists(&fixture, name_of(0, 1))));
    for (uint64_t i = 1; i < TORN_FILE_COUNT_MAX; i++)
        cr_expect(fixture_exists(&fixture, name_of(0, 1 + i)), "%lu", i);
}

Test(torn_files, are_the_same_after_a_power_cut_at_every_disk_call)
{
    uint64_t torn_block = tear();
    uint64_t call = 1;

    for (uint64_t i = 0; i < 12; i++)
        make(0, 1 + i);
    for (;; call++) {
        sim_host_crash_after(fixture.host, call);
        (void)!fixture_recover(&fixture);
        if (sim_host_is_up(fixture.host))
            break;
        fixture_crash(&fixture, false);
        /* The copy is there, or what it is a copy of. */
        cr_assert(fixture_exists(&fixture, name_of(1, torn_block)) ||
                      fixture_size(&fixture, "log-00/0000000000000001.seg") >
                          torn_block * SEGMENT_BLOCK_SIZE,
                  "call %lu", call);
    }
    cr_expect(lt(u64, 20, call));
    fixture_crash(&fixture, true);
    cr_expect(fixture_exists(&fixture, name_of(1, torn_block)));
    for (uint64_t i = 0; i < 12; i++)
        cr_expect(eq(int, fixture_exists(&fixture, name_of(0, 1 + i)),
                     i >= 12 - (TORN_FILE_COUNT_MAX - 1)),
                  "%lu", i);
}

Test(torn_files, are_not_touched_by_tools_that_only_read)
{
    struct recovered *recovered = NULL;
    struct recovery_config config = {
        .disk = fixture.disk,
        .data_path = "data",
        .superblock = &fixture.superblock,
        .visitor = &fixture.visitor,
        .read_only = true,
    };

    for (uint64_t i = 0; i < 12; i++)
        make(0, 1 + i);
    cr_assert(eq(int, recovery_run(&config, &recovered, fixture.text), 0), "%s", fixture.text);
    recovered_free(&recovered);
    cr_expect(fixture_exists(&fixture, name_of(0, 1)));
}
