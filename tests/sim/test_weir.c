#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_disk.h"
#include "tests/sim/weir_load.h"

/*
 * The real server through power cuts. Clients send events and repeat what was lost
 * with the same id; the machine is cut off at a drawn moment, in the middle of
 * writes; after the restart every acknowledged event must be in the journal, and
 * none twice.
 */
enum {
    CLIENT_COUNT = 8,
    EVENT_TOTAL = 320,
};

static struct weir weir;
static struct weir_load load;
static struct weir_census census;
static uint32_t goal_count;

static bool is_reached(void)
{
    return load.acknowledged_count >= goal_count;
}

static enum sim_outcome run_until(uint32_t acknowledged_count)
{
    goal_count = acknowledged_count;
    return weir_run_until(&weir, is_reached);
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir_start(&weir);
    weir_load_init(&load, &weir, CLIENT_COUNT, EVENT_TOTAL);
}

static void check_journal(void)
{
    weir_census(&weir, &census);
    weir_load_check(&load, &census);
}

static uint64_t crash_in_the_middle(uint64_t seed, uint32_t batch_max, uint32_t event_count)
{
    uint32_t crash_count = 1 + (uint32_t)(seed % 3);
    uint64_t hash;

    weir_begin(&weir, seed, 1 + (uint32_t)(seed % 3));
    weir_start(&weir);
    weir_load_init(&load, &weir, CLIENT_COUNT, event_count);
    load.batch_max = batch_max;
    weir_load_start(&load);
    for (uint32_t i = 0; i < crash_count; i++) {
        uint32_t until = 1 + (uint32_t)rng_below(&weir.world->rng, event_count * 7 / 8);

        cr_assert(eq(int, run_until(until), SIM_REACHED), "seed %lu", seed);
        weir_crash(&weir);
        check_journal();
        weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3); /* may change */
        weir_start(&weir);
    }
    cr_assert(eq(int, run_until(load.event_count), SIM_REACHED), "seed %lu", seed);
    weir_crash(&weir);
    check_journal();
    hash = weir.world->trace.hash ^ sim_disk_hash(weir.server->disk);
    weir_end(&weir);
    return hash;
}

TestSuite(weir, .timeout = 110);

Test(weir, acknowledges_every_event_once)
{
    begin(1, 2);
    weir_load_start(&load);
    cr_assert(eq(int, run_until(EVENT_TOTAL), SIM_REACHED));
    cr_expect(eq(u32, load.lost_count, 0));
    weir_crash(&weir);
    check_journal();
    cr_expect(eq(u32, census.event_count, EVENT_TOTAL));
    weir_end(&weir);
}

Test(weir, keeps_every_acknowledged_event_through_crashes)
{
    uint32_t lost_count = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        crash_in_the_middle(seed, 1, EVENT_TOTAL);
        lost_count += load.lost_count;
    }
    cr_expect(lt(u32, 40, lost_count)); /* else the crashes did not interrupt anything */
}

Test(weir, keeps_batches_whole_and_in_order_through_crashes)
{
    uint32_t lost_count = 0;

    for (uint64_t seed = 100; seed < 130; seed++) {
        crash_in_the_middle(seed, WEIR_LOAD_BATCH_MAX, 2400);
        lost_count += load.lost_count;
    }
    cr_expect(lt(u32, 30, lost_count));
}

Test(weir, does_the_same_again_for_the_same_seed)
{
    uint64_t hash = crash_in_the_middle(77, 1, EVENT_TOTAL);

    cr_expect(eq(u64, crash_in_the_middle(77, 1, EVENT_TOTAL), hash));
    cr_expect(ne(u64, crash_in_the_middle(78, 1, EVENT_TOTAL), hash));
}
