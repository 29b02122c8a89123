#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "read_fixture.h"

static struct read_fixture fixture;
static struct log_follower follower;
static struct read_place start;
static uint64_t next_lsn; /* of the record that must come next */

static void setup(void)
{
    read_fixture_begin(&fixture, 11);
    start = (struct read_place){.log = 0};
    next_lsn = 1;
}

static void teardown(void)
{
    log_follower_deinit(&follower);
    read_fixture_end(&fixture);
}

TestSuite(log_follower, .init = setup, .fini = teardown, .timeout = 60);

static void open_follower(void)
{
    int r;

    log_follower_deinit(&follower);
    r = log_follower_init(&follower, fixture.log.disk, "data", fixture.log.superblock.uuid, false,
                          &start, 1);
    cr_assert(eq(int, r, 0));
}

/* Reads up to count groups, or to the end; each must be the next one. Returns how many. */
static uint32_t read_groups(uint32_t count)
{
    struct log_follower_group group;
    uint32_t read_count = 0;
    int r = 1;

    while (read_count < count && (r = log_follower_next(&follower, 0, &group)) == 1) {
        for (uint32_t i = 0; i < group.count; i++) {
            char expected[2048];
            size_t size = read_fixture_event((uint32_t)next_lsn - 1, expected, sizeof(expected));

            cr_assert(eq(u64, group.records[i].lsn, next_lsn));
            cr_assert(eq(sz, group.records[i].payload.size, size));
            cr_assert(eq(int, memcmp(group.records[i].payload.data, expected, size), 0));
            next_lsn++;
        }
        cr_assert(eq(u64, group.place.next_lsn, next_lsn));
        start = group.place;
        read_count++;
    }
    cr_assert(ge(int, r, 0), "%s", follower.text);
    return read_count;
}

Test(log_follower, gives_out_each_record_once_and_in_order_as_the_log_grows)
{
    open_follower();
    for (uint32_t i = 1; i <= 30; i++) {
        read_fixture_add(&fixture, i * 7 % 90 + 1);
        log_follower_advance(&follower, 0, journal_durable_lsn(fixture.log.journal));
        cr_assert(eq(u64, log_follower_lag(&follower), fixture.event_count + 1 - next_lsn));
        read_groups(UINT32_MAX);
        cr_assert(eq(u64, next_lsn, fixture.event_count + 1));
        cr_assert(eq(u64, log_follower_lag(&follower), 0));
    }
    cr_assert(eq(u64, follower.skipped_count, 0));
}

/* The fixture's disk, with its reads counted: what a follower asks of it, and no more. */
static uint32_t disk_read_count;

static int counting_open(struct disk *disk, const char *path, int flags, uint32_t mode)
{
    (void)disk;
    return disk_open(fixture.log.disk, path, flags, mode);
}

static void counting_close(struct disk *disk, int fd)
{
    (void)disk;
    disk_close(fixture.log.disk, fd);
}

static int64_t counting_read(struct disk *disk, int fd, void *data, size_t size, uint64_t offset)
{
    (void)disk;
    disk_read_count++;
    return disk_read(fixture.log.disk, fd, data, size, offset);
}

static int counting_size(struct disk *disk, int fd, uint64_t *ret_size)
{
    (void)disk;
    return disk_size(fixture.log.disk, fd, ret_size);
}

static int counting_list(struct disk *disk, const char *path, struct disk_visitor *visitor)
{
    (void)disk;
    return disk_list(fixture.log.disk, path, visitor);
}

static const struct disk_vtable COUNTING_VTABLE = {
    .open = counting_open,
    .close = counting_close,
    .read = counting_read,
    .size = counting_size,
    .list = counting_list,
};

Test(log_follower, does_not_read_a_growing_log_block_by_block)
{
    static struct disk counting = {&COUNTING_VTABLE};
    int r = log_follower_init(&follower, &counting, "data", fixture.log.superblock.uuid, false,
                              &start, 1);

    cr_assert(eq(int, r, 0));
    for (uint32_t i = 0; i < 4; i++) {
        read_fixture_add(&fixture, 1000);
        log_follower_advance(&follower, 0, journal_durable_lsn(fixture.log.journal));
        disk_read_count = 0;
        read_groups(UINT32_MAX);
        cr_assert(eq(u64, log_follower_lag(&follower), 0));
        cr_assert(lt(u32, 0, disk_read_count));
        cr_assert(le(u32, disk_read_count, 24)); /* of more than a hundred blocks */
    }
}

Test(log_follower, never_goes_beyond_what_is_durable)
{
    read_fixture_add(&fixture, 300);
    open_follower();
    for (uint64_t lsn = 1; lsn <= 300; lsn += 13) {
        log_follower_advance(&follower, 0, lsn);
        read_groups(UINT32_MAX);
        cr_assert(eq(u64, next_lsn, lsn + 1));
    }
}

Test(log_follower, goes_on_at_any_place)
{
    read_fixture_add(&fixture, 600);
    for (uint32_t i = 0; i < 200; i++) {
        open_follower();
        log_follower_advance(&follower, 0, 600);
        cr_assert(eq(u32, read_groups(3), 3));
    }
    cr_assert(eq(u64, next_lsn, 601));
}

Test(log_follower, goes_on_behind_a_restart)
{
    open_follower();
    for (uint32_t i = 0; i < 6; i++) {
        read_fixture_add(&fixture, 40);
        log_follower_advance(&follower, 0, journal_durable_lsn(fixture.log.journal));
        read_groups(i % 2 == 0 ? UINT32_MAX : 17);
        log_follower_deinit(&follower);
        read_fixture_crash(&fixture, i % 3 == 0);
        open_follower();
    }
    log_follower_advance(&follower, 0, journal_durable_lsn(fixture.log.journal));
    read_groups(UINT32_MAX);
    cr_assert(eq(u64, next_lsn, fixture.event_count + 1));
}

Test(log_follower, says_where_a_durable_record_cannot_be_read)
{
    struct log_follower_group group;
    int r = 1;

    read_fixture_add(&fixture, 400);
    fixture_flip(&fixture.log, "log-00/0000000000000001.seg", 20 * SEGMENT_BLOCK_SIZE + 100, 1);
    open_follower();
    log_follower_advance(&follower, 0, 400);
    while (r == 1)
        r = log_follower_next(&follower, 0, &group);
    cr_assert(eq(int, r, -EBADMSG));
    cr_assert(ne(ptr, strstr(follower.text, "log-00/0000000000000001.seg: block 20"), NULL), "%s",
              follower.text);
    fixture_flip(&fixture.log, "log-00/0000000000000001.seg", 20 * SEGMENT_BLOCK_SIZE + 100, 1);
    cr_assert(eq(int, log_follower_next(&follower, 0, &group), 1), "%s", follower.text);
}

Test(log_follower, repeats_what_was_given_out_since_it_was_sent_back)
{
    struct read_place before;

    read_fixture_add(&fixture, 100);
    open_follower();
    log_follower_advance(&follower, 0, 100);
    read_groups(30);
    before = start;
    read_groups(UINT32_MAX);
    log_follower_return(&follower, &before);
    next_lsn = before.next_lsn;
    read_groups(UINT32_MAX);
    cr_assert(eq(u64, next_lsn, 101));
}

Test(log_follower, is_patient_with_a_disk_that_fails)
{
    struct log_follower_group group;
    uint32_t error_count = 0;

    read_fixture_add(&fixture, 500);
    open_follower();
    log_follower_advance(&follower, 0, 500);
    fixture.log.host->faults.read_error.chance_ppm = 300000;
    fixture.log.host->faults.name_error.chance_ppm = 300000;
    fixture.log.host->faults.read_short.chance_ppm = 300000;
    while (next_lsn <= 500) {
        int r = log_follower_next(&follower, 0, &group);

        error_count += r < 0;
        if (r == 1) {
            cr_assert(eq(u64, group.records[0].lsn, next_lsn));
            next_lsn += group.count;
        }
        cr_assert(lt(u32, error_count, 10000));
    }
    cr_assert(error_count > 0);
}
