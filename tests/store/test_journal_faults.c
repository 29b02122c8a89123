#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "journal_fixture.h"
#include "store/log_position.h"

#include <errno.h>

/*
 * Two ways to make writes fail: a backend whose completions the test writes itself,
 * for exact results, and the simulated disk's faults, for the whole way.
 */

static struct fixture fixture;

/* ---- a backend under the test's control ---- */

enum { FAKE_OPS_MAX = 16 };

struct fake_io {
    struct io io;
    struct io_op *writes[FAKE_OPS_MAX]; /* durable ones, in order of submission */
    uint32_t write_count;
};

static struct fake_io fake;

static void fake_submit(struct io *io, struct io_op *op)
{
    /* The pool's operations never end: only the journal's writes matter here. */
    (void)io;
    if (op->type == IO_WRITE && (op->flags & IO_WRITE_DURABLE) != 0) {
        cr_assert(lt(u32, fake.write_count, FAKE_OPS_MAX));
        fake.writes[fake.write_count++] = op;
    }
}

static const struct io_vtable fake_vtable = {.name = "fake", .submit = fake_submit};

/* Ends the oldest write with value. */
static void complete(int32_t value)
{
    struct io_op *op = fake.writes[0];

    cr_assert(lt(u32, 0, fake.write_count));
    fake.write_count--;
    memmove(fake.writes, fake.writes + 1, fake.write_count * sizeof(fake.writes[0]));
    io_op_complete(&fake.io, op, &(struct io_result){.value = value});
}

static struct journal *fake_journal;

/* Opens a journal on the simulated disk whose operations go to the fake. */
static void open_fake(uint32_t writes_in_flight)
{
    fixture_init(&fixture, 21);
    fixture.exact = true;
    cr_assert(eq(int, fixture_recover(&fixture), 0));
    memset(&fake, 0, sizeof(fake));
    fake.io.vtable = &fake_vtable;
    clock_init(&fixture.clock, &fixture.world->clock_source);
    fixture.config.io = &fake.io;
    fixture.config.disk = fixture.disk;
    fixture.config.clock = &fixture.clock;
    fixture.config.owner = &fixture.owner;
    fixture.config.data_path = "data";
    fixture.config.boot_generation = 1;
    fixture.config.uuid = fixture.superblock.uuid;
    fixture.config.writes_in_flight = writes_in_flight;
    cr_assert(
        eq(int, journal_open(&fixture.config, &fixture.recovered->logs[0], &fixture.journal), 0));
    fake_journal = fixture.journal;
}

static void teardown(void)
{
    fixture_deinit(&fixture);
}

TestSuite(journal_writes, .fini = teardown, .timeout = 60);

Test(journal_writes, repeats_a_short_write_whole_before_any_acknowledgement)
{
    open_fake(1);
    for (int32_t size = 0; size < 3 * SEGMENT_BLOCK_SIZE; size += 512) {
        uint32_t index = fixture.group_count;
        uint64_t offset;

        cr_assert(eq(int, fixture_append(&fixture, 1, 9000, 0), JOURNAL_OK));
        journal_flush(fake_journal);
        cr_assert(eq(u32, fake.write_count, 1));
        offset = fake.writes[0]->as.rw.offset;
        cr_assert(lt(u32, (uint32_t)size, fake.writes[0]->as.rw.size));
        complete(size);
        cr_assert(not(fixture.groups[index]->acked), "after %d bytes", size);
        cr_assert(eq(u32, fake.write_count, 1));
        cr_assert(eq(u64, fake.writes[0]->as.rw.offset, offset));
        complete((int32_t)fake.writes[0]->as.rw.size);
        cr_assert(fixture.groups[index]->acked);
        if (journal_needs_flush(fake_journal))
            journal_flush(fake_journal);
        if (offset > 40 * SEGMENT_BLOCK_SIZE)
            break;
    }
}

Test(journal_writes, repeats_after_interruptions_and_gives_up_after_too_many)
{
    static const int32_t passing[] = {-EINTR, -EAGAIN, -ECANCELED};

    open_fake(2);
    cr_assert(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
    journal_flush(fake_journal);
    for (int i = 0; i < JOURNAL_REWRITE_MAX; i++) {
        complete(passing[i % 3]);
        cr_assert(eq(u32, fake.write_count, 1));
        cr_assert(not(fixture.groups[0]->acked));
    }
    complete(-EINTR);
    cr_expect(fixture.failed);
    cr_expect(fixture.groups[0]->unknown);
    cr_expect(not(fixture.groups[0]->acked));
}

Test(journal_writes, acknowledges_only_the_contiguous_prefix)
{
    struct io_op *first;

    open_fake(2);
    cr_assert(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
    journal_flush(fake_journal);
    cr_assert(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
    journal_flush(fake_journal);
    cr_assert(eq(u32, fake.write_count, 2));
    first = fake.writes[0];
    fake.writes[0] = fake.writes[1];
    fake.writes[1] = first;
    complete((int32_t)fake.writes[0]->as.rw.size);
    cr_expect(not(fixture.groups[0]->acked));
    cr_expect(not(fixture.groups[1]->acked));
    cr_expect(eq(u64, journal_durable_lsn(fake_journal), 0));
    complete((int32_t)fake.writes[0]->as.rw.size);
    cr_expect(fixture.groups[0]->acked);
    cr_expect(fixture.groups[1]->acked);
}

Test(journal_writes, gathers_what_comes_while_a_write_runs_into_one_batch)
{
    open_fake(1);
    for (int i = 0; i < 20; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
        journal_flush(fake_journal);
    }
    cr_expect(eq(u32, fake.write_count, 1));
    complete((int32_t)fake.writes[0]->as.rw.size);
    cr_assert(eq(u32, fake.write_count, 1), "the next write starts by itself");
    complete((int32_t)fake.writes[0]->as.rw.size);
    cr_expect(fixture.groups[19]->acked);
}

Test(journal_writes, never_acknowledges_again_after_an_error)
{
    open_fake(2);
    cr_assert(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
    journal_flush(fake_journal);
    cr_assert(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
    journal_flush(fake_journal);
    complete(-EIO);
    cr_expect(fixture.failed);
    cr_expect(eq(int, fixture.failure, -EIO));
    cr_expect(fixture.groups[0]->unknown);
    cr_expect(fixture.groups[1]->unknown);
    complete((int32_t)fake.writes[0]->as.rw.size);
    cr_expect(not(fixture.groups[1]->acked));
    cr_expect(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_STOPPED));
}

Test(journal_writes, answers_full_when_staging_is_and_tells_when_there_is_room)
{
    int r;

    open_fake(1);
    while ((r = fixture_append(&fixture, 1, 4000, 0)) == JOURNAL_OK)
        journal_flush(fake_journal);
    cr_assert(eq(int, r, JOURNAL_FULL));
    cr_expect(lt(u32, 20, fixture.group_count));
    cr_expect(eq(u32, fixture.room_count, 0));
    complete((int32_t)fake.writes[0]->as.rw.size);
    cr_expect(eq(u32, fixture.room_count, 1));
    cr_expect(eq(int, fixture_append(&fixture, 1, 4000, 0), JOURNAL_OK));
}

Test(journal_writes, refuses_a_group_that_no_segment_holds)
{
    open_fake(1);
    cr_expect(eq(int, fixture_append(&fixture, 1, 62 * SEGMENT_PAYLOAD_SIZE - 31, 0), -EMSGSIZE));
    cr_expect(eq(int, fixture_append(&fixture, 1, 62 * SEGMENT_PAYLOAD_SIZE - 32, 0), JOURNAL_OK));
}

Test(journal_writes, waits_and_repeats_when_a_write_finds_the_disk_full)
{
    open_fake(1);
    cr_assert(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
    journal_flush(fake_journal);
    complete(-ENOSPC);
    cr_expect(not(fixture.failed));
    cr_expect(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_NO_SPACE));
    cr_expect(eq(int, fixture_append(&fixture, 1, 100, JOURNAL_IMPORTANT), JOURNAL_OK));
    cr_expect(eq(u32, fake.write_count, 0));
    sim_world_advance_to(fixture.world, fixture.world->mono_ns + 1000000000);
    clock_update(&fixture.clock);
    (void)journal_tick(fake_journal);
    cr_assert(eq(u32, fake.write_count, 1));
    complete((int32_t)fake.writes[0]->as.rw.size);
    cr_expect(fixture.groups[0]->acked);
    cr_expect(eq(int, fixture_append(&fixture, 1, 100, 0), JOURNAL_OK));
}

/* ---- the simulated disk ---- */

static void setup_sim(void)
{
    fixture_init(&fixture, 31);
    fixture.exact = true;
}

TestSuite(journal_faults, .init = setup_sim, .fini = teardown, .timeout = 100);

Test(journal_faults, survives_an_io_error_on_any_write)
{
    uint32_t acked_count = 0;

    for (uint32_t skip = 0; skip < 80; skip++) {
        cr_assert(eq(int, fixture_open(&fixture), 0), "skip %u: %s", skip, fixture.text);
        cr_assert(eq(u32, fixture.lost_count, 0), "skip %u", skip);
        cr_assert(eq(u32, fixture.mismatch_count, 0), "skip %u", skip);
        fixture.host->faults.write_error.skip_count = skip;
        fixture.host->faults.write_error.once_count = 1;
        for (int i = 0; i < 100 && !fixture.failed; i++) {
            (void)fixture_append(&fixture, 2, 600, 0);
            fixture_run(&fixture, 3);
        }
        cr_assert(fixture_settle(&fixture));
        cr_expect(fixture.failed);
        for (uint32_t i = 0; i < fixture.group_count; i++)
            acked_count += fixture.groups[i]->acked;
        cr_expect(eq(int, fixture_append(&fixture, 1, 10, 0), JOURNAL_STOPPED));
        fixture.host->faults.write_error.once_count = 0;
        fixture_crash(&fixture, skip % 2 == 0);
    }
    cr_expect(lt(u32, 80, acked_count)); /* else nothing was at stake */
}

Test(journal_faults, gets_through_short_writes)
{
    fixture.host->faults.write_short.chance_ppm = 200000;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 300; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 2, 2000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
        if (fixture.failed)
            break;
    }
    fixture.host->faults.write_short.chance_ppm = 0;
    fixture_crash(&fixture, false);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.lost_count, 0));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
}

static struct journal_stats stats_now(void)
{
    struct journal_stats stats;

    journal_stats(fixture.journal, &stats);
    return stats;
}

Test(journal_faults, leaves_the_reserve_to_important_appends_and_resumes_when_space_returns)
{
    uint32_t important_count = 0;
    int r = JOURNAL_OK;

    cr_assert(eq(int, fixture_open(&fixture), 0));
    fixture_run(&fixture, 500);
    cr_assert(eq(u32, stats_now().spare_count, 3));
    sim_disk_set_capacity(fixture.host->disk, fixture.host->disk->used);
    for (int i = 0; i < 2000 && r == JOURNAL_OK; i++) {
        r = fixture_append(&fixture, 1, 3000, 0);
        cr_assert(fixture_settle(&fixture));
    }
    cr_assert(eq(int, r, JOURNAL_NO_SPACE));
    cr_expect(eq(u32, stats_now().spare_count, 1), "the reserve is untouched");
    while ((r = fixture_append(&fixture, 1, 3000, JOURNAL_IMPORTANT)) == JOURNAL_OK) {
        cr_assert(fixture_settle(&fixture));
        if (++important_count == 50)
            break;
    }
    cr_expect(eq(u32, important_count, 50));
    cr_expect(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_NO_SPACE));
    cr_expect(not(fixture.failed));
    fixture.room_count = 0;
    sim_disk_set_capacity(fixture.host->disk, (uint64_t)1 << 40);
    fixture_run(&fixture, 3000);
    cr_expect(lt(u32, 0, fixture.room_count));
    cr_expect(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    cr_expect(eq(u32, stats_now().spare_count, 3));
    fixture_stop(&fixture);
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_expect(eq(u32, fixture.lost_count, 0));
}

Test(journal_faults, resumes_with_one_segment_beside_the_reserve)
{
    uint64_t used;
    int r = JOURNAL_OK;

    cr_assert(eq(int, fixture_open(&fixture), 0));
    fixture_run(&fixture, 500);
    used = fixture.host->disk->used;
    sim_disk_set_capacity(fixture.host->disk, used);
    for (int i = 0; i < 2000 && r == JOURNAL_OK; i++) {
        r = fixture_append(&fixture, 1, 3000, 0);
        cr_assert(fixture_settle(&fixture));
    }
    cr_assert(eq(int, r, JOURNAL_NO_SPACE));
    cr_expect(journal_is_low(fixture.journal));
    fixture.room_count = 0;
    /* Room for one, not for the three that it would like. */
    sim_disk_set_capacity(fixture.host->disk, used + fixture.config.segment_bytes * 3 / 2);
    fixture_run(&fixture, 3000);
    cr_expect(lt(u32, 0, fixture.room_count));
    cr_expect(not(journal_is_low(fixture.journal)));
    cr_expect(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
    cr_expect(eq(u32, stats_now().spare_count, 2));
    fixture_stop(&fixture);
}

Test(journal_faults, can_stop_on_a_full_disk)
{
    cr_assert(eq(int, fixture_open(&fixture), 0));
    fixture_run(&fixture, 500);
    sim_disk_set_capacity(fixture.host->disk, fixture.host->disk->used);
    while (fixture_append(&fixture, 1, 3000, 0) == JOURNAL_OK)
        cr_assert(fixture_settle(&fixture));
    fixture_stop(&fixture);
    cr_expect(fixture.stopped);
}

Test(journal_faults, stops_waking_for_a_spare_when_recycled_segments_fill_the_pool)
{
    fixture.config.retain_ms = 1000;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    fixture_run(&fixture, 500);
    cr_assert(eq(u32, stats_now().spare_count, 3));
    sim_disk_set_capacity(fixture.host->disk, fixture.host->disk->used);
    while (stats_now().segment_count < 3) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    cr_assert(lt(u32, stats_now().spare_count, 3), "there is no room for another spare");
    /* The old segments become spares. */
    for (int i = 0; i < 5; i++) {
        sim_world_advance_to(fixture.world, fixture.world->mono_ns + 61000000000);
        fixture_run(&fixture, 50);
    }
    cr_assert(eq(u32, stats_now().spare_count, 3));
    cr_expect(lt(u64, fixture.clock.mono_ns, journal_tick(fixture.journal)));
    cr_expect(lt(u64, fixture.clock.mono_ns, journal_tick(fixture.journal)));
    fixture_stop(&fixture);
}

Test(journal_faults, keeps_the_disk_within_the_bytes_it_may_retain)
{
    fixture.config.retain_bytes = 4 * 64 * SEGMENT_BLOCK_SIZE;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 1500; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
        cr_assert(le(u64, fixture.host->disk->used, (uint64_t)13 * 64 * SEGMENT_BLOCK_SIZE));
    }
    cr_expect(lt(u32, 10, fixture.retired_count));
    cr_expect(lt(u64, 10, journal_oldest_seq(fixture.journal)));
    fixture_stop(&fixture);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.mismatch_count, 0));
    cr_expect(lt(u32, 0, fixture.skipped_count));
}

static bool is_held;
static uint64_t held_seq;

static void on_retire_held(struct journal_owner *owner, const struct journal_segment *segment,
                           uint64_t run_last_seq)
{
    (void)owner;
    (void)run_last_seq;
    held_seq = segment->seq;
    if (!is_held)
        journal_retire_done(fixture.journal, segment->seq);
}

/* As fast as segments get their names, until the log is written in segment seq. */
static void fill_up_to(uint64_t seq)
{
    while (stats_now().active_seq < seq)
        if (fixture_append(&fixture, 1, 200000, 0) != JOURNAL_OK)
            fixture_run(&fixture, 1);
}

/* One write fills a segment, and two operations name the next. */
Test(journal_faults, gives_up_what_piled_up_while_the_log_is_written_as_fast_as_it_can_be)
{
    is_held = true;
    fixture.config.retain_bytes = 4 * 64 * SEGMENT_BLOCK_SIZE;
    fixture.config.batch_bytes = 64 * SEGMENT_BLOCK_SIZE;
    fixture.host->faults.disk_latency_ns = (struct sim_range){1000000, 1000000};
    cr_assert(eq(int, fixture_open(&fixture), 0));
    fixture.owner.on_retire = on_retire_held;
    fill_up_to(20);
    cr_assert(le(u64, 18, stats_now().segment_count));
    is_held = false;
    journal_retire_done(fixture.journal, held_seq);
    fill_up_to(60);
    cr_expect(le(u64, stats_now().segment_count, 8));
    fill_up_to(80);
    cr_expect(le(u64, stats_now().segment_count, 8));
    fixture_stop(&fixture);
}

static bool nothing_is_kept;

static bool is_spent(struct journal_owner *owner, const struct journal_segment *oldest)
{
    (void)owner;
    (void)oldest;
    return nothing_is_kept;
}

Test(journal_faults, names_all_spent_segments_that_will_have_to_go)
{
    uint64_t count;

    nothing_is_kept = false;
    fixture.owner.is_spent = is_spent;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    while (stats_now().segment_count < 12) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    cr_assert(zero(u32, fixture.retired_count));
    nothing_is_kept = true;
    (void)journal_tick(fixture.journal);
    fixture_run(&fixture, 500);
    count = stats_now().segment_count;
    cr_expect(le(u64, count, JOURNAL_SPENT_SEGMENTS + 1));
    cr_expect(eq(u32, fixture.retired_count, 12 - count));
    cr_expect(ge(u64, fixture.run_max, 12 - count - 1));
    cr_expect(le(u64, fixture.run_last_seq, 12 - count), "no more are named than go");
    fixture_stop(&fixture);
}

Test(journal_faults, drops_by_age_but_never_the_last_position)
{
    fixture.config.retain_ms = 1000;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 100; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    cr_assert(eq(u64, stats_now().segment_count, 2));
    for (int i = 0; i < 10; i++) {
        sim_world_advance_to(fixture.world, fixture.world->mono_ns + 61000000000);
        fixture_run(&fixture, 50);
    }
    cr_expect(eq(u64, stats_now().segment_count, 1));
    cr_expect(eq(u64, stats_now().dropped_count, 1));
}

/* As after the start of a machine that has to be told the time. */
Test(journal_faults, does_not_drop_what_is_young_because_the_clock_was_behind_for_a_while)
{
    static const int64_t BEHIND_MS = (int64_t)50 * 365 * 24 * 3600000;

    fixture.config.retain_ms = (uint64_t)7 * 24 * 3600000;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    sim_world_jump_unix(fixture.world, -BEHIND_MS);
    while (stats_now().segment_count < 2) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    sim_world_jump_unix(fixture.world, BEHIND_MS);
    for (int i = 0; i < 10; i++) {
        sim_world_advance_to(fixture.world, fixture.world->mono_ns + 61000000000);
        fixture_run(&fixture, 50);
    }
    cr_expect(eq(u64, stats_now().segment_count, 2));
    cr_expect(eq(u64, stats_now().dropped_count, 0));
    fixture_stop(&fixture);
}

Test(journal_faults, keeps_an_old_segment_that_alone_holds_the_position)
{
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    fixture_stop(&fixture);
    fixture.config.retain_ms = 1000;
    for (int life = 0; life < 3; life++) {
        cr_assert(eq(int, fixture_open(&fixture), 0));
        sim_world_advance_to(fixture.world, fixture.world->mono_ns + 61000000000);
        fixture_run(&fixture, 200);
        cr_assert(eq(u64, fixture.recovered->logs[0].next_lsn, 2));
        fixture_stop(&fixture);
    }
}

Test(journal_faults, writes_nothing_of_an_earlier_batch_into_the_rest_of_a_block)
{
    static char block[SEGMENT_BLOCK_SIZE];
    uint64_t offset;

    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 8; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 6000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    cr_assert(eq(int, fixture_append(&fixture, 1, 16, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    offset = journal_location_offset(fixture.groups[8]->append.location);
    cr_assert(eq(u64, offset % SEGMENT_BLOCK_SIZE, 0));
    fixture_read(&fixture, "log-00/0000000000000001.seg", offset, block, sizeof(block));
    for (uint32_t i = 48; i < SEGMENT_PAYLOAD_SIZE; i++)
        cr_assert(eq(int, block[i], 0), "byte %u", i);
}

Test(journal_faults, serves_a_sealed_log_without_appending)
{
    fixture.config.retain_bytes = 2 * 64 * SEGMENT_BLOCK_SIZE;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 150; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    fixture_stop(&fixture);
    fixture.config.sealed = true;
    fixture.config.retain_bytes = 1;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_expect(eq(int, fixture_append(&fixture, 1, 10, 0), JOURNAL_STOPPED));
    fixture_run(&fixture, 100);
    cr_expect(eq(u64, stats_now().segment_count, 1), "the last one keeps the position");
    cr_expect(eq(u64, stats_now().segment_bytes, LOG_POSITION_SIZE));
    fixture_stop(&fixture);
    fixture.config.sealed = false;
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn, 151));
    cr_expect(eq(u64, fixture.recovered->logs[0].record_count, 0));
    cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    fixture_stop(&fixture);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn, 152));
}

Test(journal_faults, keeps_one_position_through_the_starts_of_a_sealed_log)
{
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    fixture_stop(&fixture);
    fixture.config.sealed = true;
    for (int life = 0; life < 3; life++) {
        cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
        cr_assert(eq(u64, fixture.recovered->logs[0].next_lsn, 2));
        cr_assert(eq(u64, stats_now().segment_count, 2));
        fixture_crash(&fixture, life == 1);
    }
    nothing_is_kept = true;
    fixture.owner.is_spent = is_spent;
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    fixture_run(&fixture, 200);
    cr_assert(eq(u64, stats_now().segment_count, 1));
    fixture_stop(&fixture);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn, 2));
    cr_expect(eq(u64, stats_now().segment_count, 1));
    fixture_stop(&fixture);
}

Test(journal_faults, opens_a_sealed_log_without_room_for_a_position)
{
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_assert(eq(int, fixture_append(&fixture, 1, 3000, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
    fixture_stop(&fixture);
    fixture.config.sealed = true;
    sim_disk_set_capacity(fixture.host->disk, 0);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u64, stats_now().segment_count, 1));
    fixture_stop(&fixture);
}
