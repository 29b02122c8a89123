/*
 * Salvage, cut off by a power failure after each thing that it asks of the disk: whatever the disk
 * then holds, either a start takes it or the next salvage comes to the same end, and no record that
 * was intact is lost or there twice.
 *
 * The damaged directories are made on the simulated disk of the journal's tests and copied to a
 * crash disk; salvage is recorded there, and each crash state of the record is salvaged again.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/journal_tool.h"
#include "tests/crash/crash_cursor.h"
#include "tests/crash/disk_recorder.h"
#include "tests/store/journal_fixture.h"

#include <errno.h>
#include <fcntl.h>

#define SEG(n) "log-00/000000000000000" #n ".seg"

enum {
    GROUP_COUNT = 200,
    PAYLOAD_SIZE = 3000,
    STATE_COUNT_MAX = 16, /* untorn ones of a moment; more are sampled */
    TORN_COUNT = 6,
    FILE_SIZE_MAX = 1 << 20,
};

static const char DATA_PATH[] = "/data";
static const char LOG_PATH[] = "/data/log-00";
static const uint64_t SALVAGED_MS = 1735776000000;

/* What a start would find. */
struct content {
    struct journal_tool_visitor visitor;
    uint64_t record_count;
    uint64_t lsn_last;
    uint64_t lsn_sum;
};

static struct fixture fixture;
static struct crash_disk damaged;
static struct write_log record;
static struct crash_cursor cursor;
static char text[JOURNAL_TOOL_TEXT_SIZE];
static uint64_t lost_count; /* records, by what the salvages say */
static uint32_t state_count;

/* --- the damaged directory ----------------------------------------------------------------- */

static void copy_file(const char *source, const char *target)
{
    static char data[FILE_SIZE_MAX];
    int from = disk_open(fixture.disk, source, O_RDONLY, 0);
    int to = disk_open(&damaged.disk, target, O_RDWR | O_CREAT, 0600);
    int64_t size;

    cr_assert(ge(int, from, 0), "%s", source);
    cr_assert(ge(int, to, 0), "%s", target);
    size = disk_read(fixture.disk, from, data, sizeof(data), 0);
    cr_assert(ge(i64, size, 0));
    cr_assert(lt(i64, size, FILE_SIZE_MAX));
    cr_assert(eq(i64, disk_write(&damaged.disk, to, data, (size_t)size, 0), size));
    disk_close(fixture.disk, from);
    disk_close(&damaged.disk, to);
}

static int copy_from_log(struct disk_visitor *visitor, const char *name)
{
    char source[128], target[128];

    (void)visitor;
    snprintf(source, sizeof(source), "data/log-00/%s", name);
    snprintf(target, sizeof(target), "%s/%s", LOG_PATH, name);
    copy_file(source, target);
    return 0;
}

/* A log of several segments, as a power cut leaves it. */
static void begin(void)
{
    fixture_init(&fixture, 41);
    fixture.exact = true;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < GROUP_COUNT; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 2, PAYLOAD_SIZE, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    fixture_run(&fixture, 300); /* the watermark */
    fixture_crash(&fixture, true);
}

/* Flips a bit of a group's payload. */
static void damage_group(uint32_t group)
{
    struct journal_location location = fixture.groups[group]->append.location;
    char name[64];

    snprintf(name, sizeof(name), "log-00/%016llx.seg",
             (unsigned long long)journal_location_seq(location));
    fixture_flip(&fixture, name, journal_location_offset(location) + 100, 1);
}

static void copy_damaged(void)
{
    struct disk_visitor visitor = {.visit = copy_from_log};

    crash_disk_init(&damaged);
    cr_assert(eq(int, disk_make_directory(&damaged.disk, DATA_PATH, 0700), 0));
    cr_assert(eq(int, disk_make_directory(&damaged.disk, LOG_PATH, 0700), 0));
    copy_file("data/superblock", "/data/superblock");
    cr_assert(eq(int, disk_list(fixture.disk, "data/log-00", &visitor), 0));
}

/* --- what there is ------------------------------------------------------------------------- */

static int on_record(struct journal_tool_visitor *visitor, uint32_t boot_generation,
                     const struct journal_record_view *view)
{
    struct content *content = container_of(visitor, struct content, visitor);

    (void)boot_generation;
    cr_assert(lt(u64, content->lsn_last, view->lsn), "in order, and none twice");
    content->lsn_last = view->lsn;
    content->lsn_sum += view->lsn;
    content->record_count++;
    return 0;
}

/* 0, or -EBADMSG when a start would refuse it. */
static int read_content(struct disk *disk, struct content *ret_content)
{
    *ret_content = (struct content){.visitor = {.on_record = on_record}};
    return journal_tool_dump(disk, DATA_PATH, &ret_content->visitor, text);
}

static void on_loss(struct journal_tool_visitor *visitor, const struct journal_tool_loss *loss)
{
    (void)visitor;
    lost_count += loss->lsn_last - loss->lsn_first + 1;
}

static void salvage(struct disk *disk)
{
    struct journal_tool_visitor visitor = {.on_loss = on_loss};
    uint32_t count = 0;
    struct rng rng;

    rng_init_seed(&rng, 1);
    cr_assert(eq(int,
                 journal_tool_salvage(disk, &rng, DATA_PATH, SALVAGED_MS, &visitor, &count, text),
                 0),
              "%s", text);
}

/* --- every crash --------------------------------------------------------------------------- */

static void check_state(const struct crash_choice *choice, struct rng *rng,
                        const struct content *expected)
{
    struct crash_disk state;
    struct content content;

    crash_cursor_build(&cursor, choice, rng, &state);
    if (read_content(&state.disk, &content) != 0) {
        salvage(&state.disk);
        cr_assert(eq(int, read_content(&state.disk, &content), 0), "%s", text);
    }
    cr_assert(eq(u64, content.record_count, expected->record_count), "after entry %u",
              cursor.position);
    cr_assert(eq(u64, content.lsn_sum, expected->lsn_sum));
    crash_disk_deinit(&state);
    state_count++;
}

static void check_moment(struct rng *rng, const struct content *expected)
{
    uint64_t count = crash_cursor_state_count(&cursor);
    uint64_t untorn = min_u64(count, STATE_COUNT_MAX);
    uint64_t torn = crash_cursor_has_torn(&cursor) ? TORN_COUNT : 0;
    struct crash_choice choice;

    for (uint64_t i = 0; i < untorn + torn; i++) {
        if (i >= untorn)
            crash_choice_random(&cursor, rng, &choice);
        else
            crash_choice_number(&cursor, count <= untorn ? i : rng_below(rng, count), &choice);
        check_state(&choice, rng, expected);
    }
}

/* Ends what begin() began. How many records the damage took. */
static uint64_t check_every_crash(void)
{
    struct crash_disk disk;
    struct disk_recorder recorder;
    struct content expected;
    uint64_t damage_count;
    struct rng rng;

    copy_damaged();
    cr_assert(eq(int, read_content(&damaged.disk, &expected), -EBADMSG));
    write_log_init(&record, "", &damaged);
    crash_disk_copy(&disk, &damaged);
    disk_recorder_init(&recorder, &disk.disk, &record);
    lost_count = 0;
    salvage(&recorder.disk);
    damage_count = lost_count;
    cr_assert(eq(int, read_content(&disk.disk, &expected), 0), "%s", text);
    cr_assert(eq(u64, expected.record_count + damage_count, 2 * GROUP_COUNT));
    rng_init_seed(&rng, 7);
    crash_cursor_init(&cursor, &record, 0);
    while (crash_cursor_next(&cursor))
        check_moment(&rng, &expected);
    crash_cursor_deinit(&cursor);
    cr_assert(lt(u32, record.entry_count, state_count), "each moment has a state");
    write_log_deinit(&record);
    crash_disk_deinit(&disk);
    crash_disk_deinit(&damaged);
    fixture_deinit(&fixture);
    return damage_count;
}

TestSuite(crash_salvage, .timeout = 300);

Test(crash_salvage, loses_nothing_more_where_a_record_is_damaged)
{
    begin();
    damage_group(10);
    cr_expect(eq(u64, check_every_crash(), 2));
}

Test(crash_salvage, loses_nothing_where_the_oldest_header_is_damaged)
{
    begin();
    fixture_flip(&fixture, SEG(1), 8, 1);
    cr_expect(eq(u64, check_every_crash(), 0));
}

Test(crash_salvage, loses_nothing_more_where_a_segment_is_missing)
{
    begin();
    fixture_remove(&fixture, SEG(2));
    cr_expect(lt(u64, 50, check_every_crash()));
}

Test(crash_salvage, loses_nothing_more_where_the_end_is_damaged)
{
    begin();
    damage_group(GROUP_COUNT - 1);
    cr_expect(eq(u64, check_every_crash(), 2));
}
