#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "journal_fixture.h"

#include "store/journal_tool.h"

#include <errno.h>

#define SEG(n) "log-00/000000000000000" #n ".seg"

/* A day after all worlds begin. */
static const uint64_t SALVAGED_MS = 1735776000000;

static struct fixture fixture;
static struct journal_tool_visitor visitor;
static struct journal_tool_summary summary;
static char text[JOURNAL_TOOL_TEXT_SIZE];
static uint32_t segment_count;
static uint64_t record_count;
static uint64_t lost_count;
static uint64_t first_lost;
static uint64_t last_lost;
static uint64_t created_ms[32]; /* of the segments, as they were visited */
static struct journal_tool_segment last_segment;

static int on_segment(struct journal_tool_visitor *self, const struct journal_tool_segment *segment)
{
    (void)self;
    cr_assert(lt(u32, segment_count, ARRAY_COUNT(created_ms)));
    created_ms[segment_count++] = segment->created_unix_ms;
    last_segment = *segment;
    return 0;
}

static int on_record(struct journal_tool_visitor *self, uint32_t boot_generation,
                     const struct journal_record_view *record)
{
    (void)self;
    cr_assert(lt(u32, 0, boot_generation));
    cr_assert(lt(u64, 0, record->lsn));
    record_count++;
    return 0;
}

static void on_loss(struct journal_tool_visitor *self, const struct journal_tool_loss *loss)
{
    (void)self;
    cr_assert(le(u64, loss->lsn_first, loss->lsn_last));
    lost_count += loss->lsn_last - loss->lsn_first + 1;
    if (first_lost == 0)
        first_lost = loss->lsn_first;
    last_lost = loss->lsn_last;
}

static void setup(void)
{
    fixture_init(&fixture, 41);
    fixture.exact = true;
    visitor = (struct journal_tool_visitor){
        .on_segment = on_segment, .on_record = on_record, .on_loss = on_loss};
    cr_assert(eq(int, fixture_open(&fixture), 0));
}

static void teardown(void)
{
    fixture_deinit(&fixture);
}

TestSuite(journal_tool, .init = setup, .fini = teardown, .timeout = 60);

static void add_many(int count, uint32_t size)
{
    for (int i = 0; i < count; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 2, size, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
}

static int verify(void)
{
    return journal_tool_verify(fixture.disk, "data", &summary, text);
}

static uint32_t salvage(void)
{
    uint32_t count = 99;
    struct rng rng;

    rng_init_seed(&rng, 1);
    cr_assert(
        eq(int,
           journal_tool_salvage(fixture.disk, &rng, "data", SALVAGED_MS, &visitor, &count, text),
           0),
        "%s", text);
    return count;
}

Test(journal_tool, inspects_dumps_and_verifies_a_directory_in_use)
{
    uint64_t hash;

    add_many(50, 3000);
    fixture_run(&fixture, 300);
    hash = sim_disk_hash(fixture.host->disk);
    cr_assert(eq(int, journal_tool_inspect(fixture.disk, "data", &visitor, text), 0), "%s", text);
    cr_expect(ge(u32, segment_count, 3));
    cr_expect(not(last_segment.begun), "the next one waits");
    cr_assert(eq(int, journal_tool_dump(fixture.disk, "data", &visitor, text), 0), "%s", text);
    cr_expect(eq(u64, record_count, 100));
    cr_assert(eq(int, verify(), 0), "%s", text);
    cr_expect(eq(u64, summary.record_count, 100));
    cr_expect(eq(u64, summary.group_count, 50));
    cr_expect(eq(u64, summary.torn_block_count, 0));
    cr_expect(eq(u64, sim_disk_hash(fixture.host->disk), hash), "nothing was changed");
}

Test(journal_tool, says_that_there_is_no_superblock)
{
    cr_expect(eq(int, journal_tool_verify(fixture.disk, "elsewhere", &summary, text), -ENOENT));
    cr_expect(strstr(text, "superblock") != NULL);
}

Test(journal_tool, does_not_salvage_what_is_held)
{
    uint32_t count;
    struct rng rng;

    rng_init_seed(&rng, 1);
    cr_expect(eq(
        int, journal_tool_salvage(fixture.disk, &rng, "data", SALVAGED_MS, &visitor, &count, text),
        -EWOULDBLOCK));
}

Test(journal_tool, salvages_nothing_from_a_good_log)
{
    add_many(5, 100);
    fixture_crash(&fixture, true);
    cr_expect(eq(u32, salvage(), 0));
}

Test(journal_tool, salvages_all_but_the_damaged_groups)
{
    uint64_t offset;

    add_many(60, 3000);
    fixture_crash(&fixture, true);
    offset = journal_location_offset(fixture.groups[10]->append.location);
    fixture_flip(&fixture, SEG(1), offset + 100, 1);
    cr_assert(eq(int, verify(), -EBADMSG));
    cr_expect(strstr(text, "0000000000000001.seg: offset") != NULL, "%s", text);
    cr_expect(eq(u32, salvage(), 1));
    cr_expect(eq(u64, lost_count, 2));
    cr_expect(eq(u64, first_lost, 21));
    cr_expect(eq(u64, last_lost, 22));
    cr_assert(eq(int, verify(), 0), "%s", text);
    cr_expect(eq(u64, summary.record_count, 118));
    cr_expect(fixture_exists(&fixture, "log-00/0000000000000001.broken"));
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_recover(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, 59));
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn, 121));
}

Test(journal_tool, salvages_a_log_whose_oldest_header_is_damaged)
{
    add_many(60, 3000);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 8, 1);
    cr_assert(eq(int, verify(), -EBADMSG));
    cr_expect(eq(u32, salvage(), 1));
    cr_assert(eq(int, verify(), 0), "%s", text);
    cr_expect(eq(u64, summary.record_count, 120), "only the header was lost");
}

static void inspect(void)
{
    segment_count = 0;
    cr_assert(eq(int, journal_tool_inspect(fixture.disk, "data", &visitor, text), 0), "%s", text);
}

/* Retention goes by the age of the segment after the oldest one: a new one without any is 1970's.
 */
Test(journal_tool, leaves_what_it_salvages_as_old_as_it_was)
{
    uint64_t began_ms;

    add_many(60, 3000);
    inspect();
    began_ms = created_ms[0];
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1),
                 journal_location_offset(fixture.groups[10]->append.location) + 100, 1);
    cr_assert(eq(u32, salvage(), 1));
    inspect();
    cr_assert(eq(u64, created_ms[1], began_ms));
    fixture_crash(&fixture, true);
    fixture.config.retain_ms = (uint64_t)7 * 24 * 3600000;
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    for (int i = 0; i < 5; i++) {
        sim_world_advance_to(fixture.world, fixture.world->mono_ns + 61000000000);
        fixture_run(&fixture, 50);
    }
    cr_expect(eq(u32, fixture.retired_count, 0));
    cr_expect(fixture_exists(&fixture, SEG(1)));
}

Test(journal_tool, takes_what_it_salvages_for_new_when_nothing_says_how_old_it_is)
{
    add_many(60, 3000);
    fixture_crash(&fixture, true);
    fixture_flip(&fixture, SEG(1), 8, 1);
    cr_assert(eq(u32, salvage(), 1));
    inspect();
    cr_expect(eq(u64, created_ms[0], SALVAGED_MS));
}

Test(journal_tool, salvages_a_log_with_a_missing_segment)
{
    uint64_t before;

    add_many(200, 3000);
    fixture_crash(&fixture, true);
    before = fixture.group_count * 2;
    fixture_remove(&fixture, SEG(2));
    cr_assert(eq(int, verify(), -EBADMSG));
    cr_expect(eq(u32, salvage(), 1));
    cr_assert(eq(int, verify(), 0), "%s", text);
    cr_expect(lt(u64, 50, lost_count));
    cr_expect(eq(u64, summary.record_count + lost_count, before));
}

Test(journal_tool, does_not_give_lost_numbers_out_again)
{
    uint64_t offset;

    add_many(20, 100);
    fixture_run(&fixture, 300); /* the watermark */
    fixture_crash(&fixture, true);
    offset = journal_location_offset(fixture.groups[19]->append.location);
    fixture_flip(&fixture, SEG(1), offset + 40, 1);
    cr_assert(eq(int, verify(), -EBADMSG));
    cr_expect(eq(u32, salvage(), 1));
    cr_expect(eq(u64, last_lost, 40));
    fixture_crash(&fixture, true);
    cr_assert(eq(int, fixture_recover(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, 19));
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn, 41));
}

Test(journal_tool, salvages_a_damaged_record_in_an_intact_block)
{
    static char block[SEGMENT_BLOCK_SIZE];
    struct segment_trailer trailer;

    /* Many small groups in one block: those before the damaged one stay. */
    for (int i = 0; i < 30; i++)
        cr_assert(eq(int, fixture_append(&fixture, 1, 60, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    fixture_crash(&fixture, true);
    fixture_read(&fixture, SEG(1), SEGMENT_BLOCK_SIZE, block, sizeof(block));
    block[96 * 10 + 33] ^= 1;
    memcpy(&trailer, block + SEGMENT_PAYLOAD_SIZE, sizeof(trailer));
    segment_block_seal(block, &trailer);
    fixture_write(&fixture, SEG(1), SEGMENT_BLOCK_SIZE, block, sizeof(block));
    cr_assert(eq(int, verify(), -EBADMSG));
    cr_expect(eq(u32, salvage(), 1));
    cr_assert(eq(int, verify(), 0), "%s", text);
    cr_expect(ge(u64, summary.record_count, 10));
}
