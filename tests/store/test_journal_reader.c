#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "journal_fixture.h"

#include "runtime/memory.h"
#include "store/journal_reader.h"

#include <errno.h>

static struct fixture fixture;
static char *buffer;
static struct journal_read request;
static enum journal_read_result result;
static struct journal_record_view view;
static bool done;

enum { BUFFER_SIZE = 64 * SEGMENT_BLOCK_SIZE };

static void on_done(struct journal_read *read, enum journal_read_result read_result,
                    const struct journal_record_view *read_view)
{
    cr_assert(eq(ptr, read, &request));
    done = true;
    result = read_result;
    if (read_view != NULL)
        view = *read_view;
}

static void setup(void)
{
    fixture_init(&fixture, 3);
    cr_assert(eq(int, memory_map(BUFFER_SIZE, &buffer), 0));
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_assert(
        eq(int, journal_reader_new(fixture.io, fixture.disk, "data", false, &fixture.reader), 0));
}

static void teardown(void)
{
    fixture_deinit(&fixture);
    memory_unmap(&buffer, BUFFER_SIZE);
}

TestSuite(journal_reader, .init = setup, .fini = teardown, .timeout = 60);

static void read_at(struct journal_location location, uint32_t buffer_size)
{
    request = (struct journal_read){
        .on_done = on_done, .location = location, .buffer = buffer, .buffer_size = buffer_size};
    done = false;
    journal_read_start(fixture.reader, &request);
    for (int i = 0; i < 1000 && !done; i++)
        fixture_run(&fixture, 1);
    cr_assert(done);
}

static void expect_same(const struct fixture_group *group, uint32_t record, const char *payload)
{
    size_t size = group->parts[record][0].size + group->parts[record][1].size;

    cr_assert(eq(int, result, JOURNAL_READ_OK));
    cr_assert(eq(sz, view.payload.size, size));
    cr_assert(memcmp(view.payload.data, payload, size) == 0);
    cr_expect(eq(u64, view.lsn, group->lsn_first + record));
    cr_expect(eq(u32, view.partition, group->records[record].partition));
}

Test(journal_reader, reads_every_record_back_over_many_segments)
{
    for (int i = 0; i < 150; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 3, i % 10 == 0 ? 20000 : 900, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    for (uint32_t i = 0; i < fixture.group_count; i++) {
        const struct fixture_group *group = fixture.groups[i];
        const char *payload = group->payload;

        for (uint32_t j = 0; j < group->count; j++) {
            read_at(group->records[j].location, BUFFER_SIZE);
            expect_same(group, j, payload);
            cr_assert(eq(int,
                         journal_read_blocking(fixture.disk, "data", group->records[j].location,
                                               buffer, BUFFER_SIZE, &view),
                         0));
            expect_same(group, j, payload);
            payload += group->parts[j][0].size + group->parts[j][1].size;
        }
    }
}

Test(journal_reader, says_how_big_the_buffer_must_be)
{
    while (fixture.group_count == 0 || fixture.groups[0]->parts[0][0].size < 9000) {
        fixture.group_count = 0;
        cr_assert(eq(int, fixture_append(&fixture, 1, 30000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    read_at(fixture.groups[0]->records[0].location, JOURNAL_READ_BUFFER_SIZE_MIN);
    cr_assert(eq(int, result, JOURNAL_READ_TOO_BIG));
    cr_expect(lt(u32, JOURNAL_READ_BUFFER_SIZE_MIN, request.size_needed));
    read_at(fixture.groups[0]->records[0].location, request.size_needed);
    expect_same(fixture.groups[0], 0, fixture.groups[0]->payload);
}

Test(journal_reader, tells_gone_from_corrupt)
{
    struct journal_location location;

    cr_assert(eq(int, fixture_append(&fixture, 1, 400, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    location = fixture.groups[0]->records[0].location;
    read_at(journal_location_make(0, 77, 4096), BUFFER_SIZE);
    cr_expect(eq(int, result, JOURNAL_READ_GONE));
    read_at(journal_location_make(3, 1, 4096), BUFFER_SIZE);
    cr_expect(eq(int, result, JOURNAL_READ_GONE));
    read_at(journal_location_make(0, 1, 40 * SEGMENT_BLOCK_SIZE), BUFFER_SIZE);
    cr_expect(eq(int, result, JOURNAL_READ_GONE));
    fixture_flip(&fixture, "log-00/0000000000000001.seg", journal_location_offset(location) + 33,
                 4);
    read_at(location, BUFFER_SIZE);
    cr_expect(eq(int, result, JOURNAL_READ_CORRUPT));
    fixture.host->faults.read_error.once_count = 1;
    read_at(location, BUFFER_SIZE);
    cr_expect(eq(int, result, JOURNAL_READ_ERROR));
    cr_expect(eq(int, request.error, -EIO));
}

Test(journal_reader, goes_on_after_short_and_interrupted_reads)
{
    struct sim_faults *faults = &fixture.host->faults;
    const struct fixture_group *group;

    do { /* one record of several blocks */
        cr_assert(eq(int, fixture_append(&fixture, 1, 60000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
        group = fixture.groups[fixture.group_count - 1];
    } while (group->parts[0][0].size + group->parts[0][1].size < 40000);
    fixture_run(&fixture, 400); /* nothing but reads from now on */
    for (uint32_t skip = 0; skip < 4; skip++) {
        for (uint32_t count = 1; count < JOURNAL_READ_TRY_MAX; count++) {
            faults->read_short = (struct sim_fault){.skip_count = skip, .once_count = count};
            read_at(group->records[0].location, BUFFER_SIZE);
            expect_same(group, 0, group->payload);
            faults->read_short = (struct sim_fault){0};
            faults->op_interrupted = (struct sim_fault){.skip_count = skip, .once_count = count};
            read_at(group->records[0].location, BUFFER_SIZE);
            expect_same(group, 0, group->payload);
            faults->op_interrupted = (struct sim_fault){0};
        }
    }
}

Test(journal_reader, says_that_it_failed_when_reads_stay_short_or_interrupted)
{
    struct sim_faults *faults = &fixture.host->faults;

    cr_assert(eq(int, fixture_append(&fixture, 1, 400, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    fixture_run(&fixture, 400);
    faults->op_interrupted.always = true;
    read_at(fixture.groups[0]->records[0].location, JOURNAL_READ_BUFFER_SIZE_MIN);
    cr_expect(eq(int, result, JOURNAL_READ_ERROR));
    faults->op_interrupted.always = false;
    /* Never "gone": the record is there. */
    faults->read_short.always = true;
    for (int i = 0; i < 50; i++) {
        read_at(fixture.groups[0]->records[0].location, JOURNAL_READ_BUFFER_SIZE_MIN);
        cr_assert(result == JOURNAL_READ_OK || result == JOURNAL_READ_ERROR, "%d", result);
    }
}

Test(journal_reader, gives_descriptors_back_one_by_one_where_others_need_them)
{
    struct journal_location location;

    cr_assert(eq(int, fixture_append(&fixture, 1, 400, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    fixture_run(&fixture, 300); /* the pool has made its spares */
    uint32_t open_count = fixture.host->fd_count;
    location = fixture.groups[0]->records[0].location;
    read_at(location, BUFFER_SIZE);
    cr_expect(eq(u32, fixture.host->fd_count, open_count + 1));
    for (int i = 0; i < 2; i++) {
        journal_reader_yield(fixture.reader);
        fixture_run(&fixture, 20);
        cr_expect(eq(u32, fixture.host->fd_count, open_count));
        cr_expect(journal_reader_is_idle(fixture.reader));
    }
    read_at(location, BUFFER_SIZE);
    expect_same(fixture.groups[0], 0, fixture.groups[0]->payload);
}

Test(journal_reader, opens_a_segment_in_place_of_another_where_no_descriptor_is_left)
{
    uint32_t n = 0;

    while (journal_active_seq(fixture.journal) < 4) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 30000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    fixture_run(&fixture, 300); /* the pool has made its spares */
    fixture.host->fd_count_max = fixture.host->fd_count;
    read_at(fixture.groups[0]->records[0].location, BUFFER_SIZE);
    cr_expect(eq(int, result, JOURNAL_READ_ERROR), "it has none to give");
    cr_expect(eq(int, request.error, -EMFILE));
    fixture.host->fd_count_max++;
    for (; n < fixture.group_count; n += 5) {
        read_at(fixture.groups[n]->records[0].location, BUFFER_SIZE);
        expect_same(fixture.groups[n], 0, fixture.groups[n]->payload);
    }
    cr_expect(lt(u32, 10, n));
    cr_expect(eq(u32, fixture.host->fd_count, fixture.host->fd_count_max));
    cr_expect(journal_reader_is_idle(fixture.reader));
}

static uint32_t read_count;

static void on_one_done(struct journal_read *read, enum journal_read_result read_result,
                        const struct journal_record_view *read_view)
{
    (void)read;
    (void)read_view;
    cr_expect(eq(int, read_result, JOURNAL_READ_OK));
    read_count++;
}

/* Who waits for the only descriptor waits for those that read with it. */
Test(journal_reader, reads_many_segments_at_a_time_with_one_descriptor)
{
    struct journal_read reads[8] = {{.on_done = NULL}};

    while (journal_active_seq(fixture.journal) < 8) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 30000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    fixture_run(&fixture, 300);
    read_at(fixture.groups[0]->records[0].location, BUFFER_SIZE);
    fixture.host->fd_count_max = fixture.host->fd_count;
    read_count = 0;
    for (uint32_t i = 0; i < ARRAY_COUNT(reads); i++) {
        reads[i] = (struct journal_read){
            .on_done = on_one_done,
            .location = fixture.groups[i * fixture.group_count / 8]->records[0].location,
            .buffer = buffer + (size_t)i * (BUFFER_SIZE / 8),
            .buffer_size = BUFFER_SIZE / 8};
        journal_read_start(fixture.reader, &reads[i]);
    }
    for (int i = 0; i < 1000 && read_count < ARRAY_COUNT(reads); i++)
        fixture_run(&fixture, 1);
    cr_expect(eq(u32, read_count, ARRAY_COUNT(reads)));
    fixture_run(&fixture, 20);
    cr_expect(journal_reader_is_idle(fixture.reader));
}

Test(journal_reader, closes_retired_segments)
{
    cr_assert(eq(int, fixture_append(&fixture, 1, 400, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    read_at(fixture.groups[0]->records[0].location, BUFFER_SIZE);
    fixture_run(&fixture, 300); /* the pool has made its spares */
    uint32_t open_count = fixture.host->fd_count;
    journal_reader_drop_segments(fixture.reader, 0, 2);
    fixture_run(&fixture, 20);
    cr_expect(eq(u32, fixture.host->fd_count, open_count - 1));
    cr_expect(journal_reader_is_idle(fixture.reader));
}
