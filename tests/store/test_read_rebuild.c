#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "read_fixture.h"
#include "store/read_rebuild.h"

static struct read_fixture fixture;
static struct read_rebuild_result result;

static void setup(void)
{
    read_fixture_begin(&fixture, 3);
}

static void teardown(void)
{
    read_fixture_end(&fixture);
}

TestSuite(read_rebuild, .init = setup, .fini = teardown, .timeout = 60);

/* Rebuilds while the read model is closed. */
static int rebuild(void)
{
    struct read_rebuild_config config = {
        .disk = fixture.log.disk,
        .data_path = "data",
        .superblock = &fixture.log.superblock,
        .clock_source = &fixture.log.world->clock_source,
    };
    int r = sqlite_disk_vfs_new(fixture.log.disk, config.clock_source, 1, &fixture.vfs);

    cr_assert(eq(int, r, 0));
    config.vfs = sqlite_disk_vfs_name(fixture.vfs);
    r = read_rebuild(&config, &result, fixture.text);
    sqlite_disk_vfs_free(&fixture.vfs);
    return r;
}

Test(read_rebuild, makes_what_was_there_before)
{
    char *before;
    char *after;

    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    for (uint32_t i = 0; i < 4; i++) {
        read_fixture_add(&fixture, 300);
        cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    }
    before = read_fixture_dump(&fixture);
    read_fixture_close(&fixture);
    cr_assert(eq(int, rebuild(), 0), "%s", fixture.text);
    cr_assert(eq(u64, result.record_count, 1200));
    cr_assert(eq(u64, result.unreadable_count, 0));
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    after = read_fixture_dump(&fixture);
    cr_assert(eq(str, after, before));
    free(before);
    free(after);
}

Test(read_rebuild, takes_the_place_of_a_damaged_file)
{
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    read_fixture_add(&fixture, 100);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    read_fixture_close(&fixture);
    fixture_flip(&fixture.log, "read-model/read-model.db", 3, 0xff);
    cr_assert(eq(int, read_fixture_open(&fixture), -EBADMSG));
    cr_assert(ne(ptr, strstr(fixture.text, "weir migrate --rebuild"), NULL), "%s", fixture.text);
    cr_assert(eq(int, rebuild(), 0), "%s", fixture.text);
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM events"), 100));
}

/* Whatever call it dies in, there is either the old read model or the new one, or none. */
Test(read_rebuild, may_be_cut_short_anywhere)
{
    uint64_t calls;

    read_fixture_add(&fixture, 50);
    calls = fixture.log.host->disk_call_count;
    cr_assert(eq(int, rebuild(), 0), "%s", fixture.text);
    calls = fixture.log.host->disk_call_count - calls;
    cr_assert(calls > 20);
    for (uint64_t call = 1; call <= calls; call += 1 + call / 30) {
        sim_host_crash_after(fixture.log.host, call);
        cr_assert(lt(int, rebuild(), 0), "call %lu", call);
        read_fixture_crash(&fixture, false);
        cr_assert(eq(int, read_fixture_open(&fixture), 0), "call %lu: %s", call, fixture.text);
        cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE), "call %lu", call);
        cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM events"), 50),
                  "call %lu", call);
        read_fixture_close(&fixture);
    }
}

Test(read_rebuild, refuses_logs_that_a_start_would_refuse)
{
    read_fixture_add(&fixture, 400);
    read_fixture_crash(&fixture, true);
    read_fixture_add(&fixture, 1);
    fixture_flip(&fixture.log, "log-00/0000000000000001.seg", 2 * SEGMENT_BLOCK_SIZE + 100, 1);
    cr_assert(eq(int, rebuild(), -EBADMSG));
    cr_assert(ne(ptr, strstr(fixture.text, "log-00"), NULL), "%s", fixture.text);
}
