#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "journal_fixture.h"

#include <errno.h>

static struct fixture fixture;

static void setup(void)
{
    fixture_init(&fixture, 1);
}

static void teardown(void)
{
    fixture_deinit(&fixture);
}

TestSuite(journal, .init = setup, .fini = teardown, .timeout = 60);

Test(journal, acknowledges_a_group_once_it_is_durable_and_gives_it_back)
{
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_assert(eq(int, fixture_append(&fixture, 3, 500, 0), JOURNAL_OK));
    cr_expect(not(fixture.groups[0]->acked));
    cr_assert(fixture_settle(&fixture));
    cr_expect(fixture.groups[0]->acked);
    fixture_crash(&fixture, false);
    cr_assert(eq(int, fixture_open(&fixture), 0));
    cr_expect(eq(u32, fixture.recovered_count, 1));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
}

Test(journal, goes_on_after_a_clean_stop_with_the_next_lsn)
{
    cr_assert(eq(int, fixture_open(&fixture), 0));
    for (int i = 0; i < 200; i++) {
        cr_assert(eq(int, fixture_append(&fixture, 1 + (uint32_t)i % 3, 900, 0), JOURNAL_OK));
        cr_assert(fixture_settle(&fixture));
    }
    fixture_stop(&fixture);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, 200));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
    cr_expect(eq(u64, fixture.recovered->logs[0].torn_block_count, 0));
    cr_expect(eq(u64, fixture.recovered->logs[0].next_lsn,
                 fixture.groups[199]->lsn_first + fixture.groups[199]->count));
    cr_assert(eq(int, fixture_append(&fixture, 1, 900, 0), JOURNAL_OK));
    cr_assert(fixture_settle(&fixture));
}

/* A batch can hold the end of a record only, and that may be whole blocks: it is written, too. */
Test(journal, acknowledges_a_record_whose_end_fills_the_last_block_of_another_batch)
{
    uint32_t block_count_max;

    fixture.exact = true;
    cr_assert(eq(int, fixture_open(&fixture), 0));
    block_count_max = (uint32_t)(journal_group_copy_max(fixture.journal) / SEGMENT_PAYLOAD_SIZE);
    cr_assert(lt(u64, fixture.config.batch_bytes / SEGMENT_BLOCK_SIZE, block_count_max));
    for (uint32_t blocks = 1; blocks <= block_count_max; blocks++) {
        uint32_t payload_size = blocks * SEGMENT_PAYLOAD_SIZE - SEGMENT_RECORD_HEADER_SIZE;

        for (uint32_t less = 0; less <= 16; less += SEGMENT_RECORD_ALIGNMENT) {
            cr_assert(eq(int, fixture_append(&fixture, 1, payload_size - less, 0), JOURNAL_OK));
            cr_assert(fixture_settle(&fixture), "%u blocks less %u bytes", blocks, less);
        }
    }
    fixture_crash(&fixture, false);
    cr_assert(eq(int, fixture_open(&fixture), 0), "%s", fixture.text);
    cr_expect(eq(u32, fixture.recovered_count, 3 * block_count_max));
    cr_expect(eq(u32, fixture.mismatch_count, 0));
}

/* One life after another from one seed, each ended by a crash somewhere. */
static void live_and_die(uint64_t seed)
{
    fixture_init(&fixture, seed);
    fixture.config.writes_in_flight = 1 + (uint32_t)(seed % 4);
    if (seed % 5 == 0)
        fixture.config.retain_bytes = 6 * 64 * SEGMENT_BLOCK_SIZE;
    for (uint32_t life = 0; life < 5; life++) {
        uint32_t tries = 0;
        int r;

        if (rng_chance(&fixture.rng, 3, 10))
            sim_host_crash_after(fixture.host, 1 + rng_below(&fixture.rng, 40));
        while ((r = fixture_open(&fixture)) < 0) {
            cr_assert(not(sim_host_is_up(fixture.host)), "seed %lu life %u: %d %s", seed, life, r,
                      fixture.text);
            fixture_crash(&fixture, rng_chance(&fixture.rng, 1, 3));
            if (++tries < 3)
                sim_host_crash_after(fixture.host, 1 + rng_below(&fixture.rng, 40));
        }
        if (sim_host_is_up(fixture.host))
            sim_host_crash_after(fixture.host, 0);
        cr_assert(eq(u32, fixture.mismatch_count, 0), "seed %lu life %u", seed, life);
        if (fixture.config.retain_bytes == 0)
            cr_assert(eq(u32, fixture.skipped_count, 0), "seed %lu life %u", seed, life);
        cr_assert(eq(u32, fixture.lost_count, 0), "seed %lu life %u", seed, life);
        if (sim_host_is_up(fixture.host) && rng_chance(&fixture.rng, 1, 2))
            sim_host_crash_after(fixture.host, 1 + rng_below(&fixture.rng, 400));
        for (uint32_t i = 0; i < 150 && sim_host_is_up(fixture.host); i++) {
            uint32_t size_max = rng_chance(&fixture.rng, 1, 20) ? 40000 : 1500;

            (void)fixture_append(&fixture, 1 + (uint32_t)rng_below(&fixture.rng, 4), size_max, 0);
            fixture_run(&fixture, (uint32_t)rng_below(&fixture.rng, 4));
        }
        if (sim_host_is_up(fixture.host) && rng_chance(&fixture.rng, 1, 4)) {
            fixture_stop(&fixture);
            continue;
        }
        fixture_crash(&fixture, rng_chance(&fixture.rng, 1, 4));
    }
    fixture_deinit(&fixture);
}

TestSuite(journal_crash, .timeout = 110);

Test(journal_crash, keeps_every_acknowledged_group_whole_and_in_order)
{
    for (uint64_t seed = 1; seed <= 300; seed++)
        live_and_die(seed);
}
