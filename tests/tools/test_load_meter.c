#include "tools/load/load_meter.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const uint64_t SECOND = 1000000000, MS = 1000000;

static struct load_meter meter;
static struct load_tally tally;

static void read_at(uint64_t now_ns, uint64_t cpu_ns, uint64_t spun_ns)
{
    load_meter_read(&meter, &(struct load_reading){now_ns, cpu_ns, spun_ns});
}

static void settle_at(uint64_t now_ns, uint64_t cpu_ns, uint64_t spun_ns)
{
    load_meter_settle(&meter, &(struct load_reading){now_ns, cpu_ns, spun_ns}, &tally);
}

Test(load_meter, counts_neither_the_warm_up_nor_the_wait_for_the_last_answers)
{
    load_meter_init(&meter, SECOND, 3 * SECOND);
    cr_assert(not(load_meter_is_due(&meter, 999 * MS)));
    cr_assert(load_meter_is_due(&meter, SECOND));
    read_at(SECOND, 700 * MS, 0);
    cr_assert(not(load_meter_is_due(&meter, 2999 * MS)));
    read_at(2 * SECOND, 900 * MS, 0);
    cr_assert(load_meter_is_due(&meter, 3 * SECOND));
    read_at(3 * SECOND, 2500 * MS, 0);
    cr_assert(not(load_meter_is_due(&meter, 4 * SECOND)));
    settle_at(13 * SECOND, 2510 * MS, 0); /* ten seconds for a time-out */
    cr_assert(eq(u64, tally.wall_ns, 2 * SECOND));
    cr_assert(eq(u64, tally.cpu_ns, 1800 * MS));
    cr_assert(ieee_ulp_eq(dbl, load_tally_cpu_percent(&tally), 90, 4));
}

Test(load_meter, takes_its_last_reading_when_the_run_ends_early)
{
    load_meter_init(&meter, 0, UINT64_MAX);
    read_at(0, 100 * MS, 0);
    settle_at(SECOND, 400 * MS, 0);
    cr_assert(eq(u64, tally.wall_ns, SECOND));
    cr_assert(eq(u64, tally.cpu_ns, 300 * MS));
}

Test(load_meter, keeps_waiting_awake_apart_from_work)
{
    load_meter_init(&meter, 0, SECOND);
    read_at(0, 0, 50 * MS);
    read_at(SECOND, 600 * MS, 450 * MS);
    settle_at(SECOND, 600 * MS, 450 * MS);
    cr_assert(eq(u64, tally.spin_ns, 400 * MS));
    cr_assert(eq(u64, tally.cpu_ns, 200 * MS));

    /* While it waited awake, others had the core: no more was spent than there was. */
    load_meter_init(&meter, 0, SECOND);
    read_at(0, 0, 0);
    settle_at(SECOND, 300 * MS, 900 * MS);
    cr_assert(eq(u64, tally.spin_ns, 300 * MS));
    cr_assert(eq(u64, tally.cpu_ns, 0));
}

Test(load_meter, says_nothing_of_a_run_that_ended_in_its_warm_up)
{
    load_meter_init(&meter, SECOND, 2 * SECOND);
    read_at(500 * MS, 100 * MS, 0);
    settle_at(600 * MS, 200 * MS, 0);
    cr_assert(eq(u64, tally.wall_ns, 0));
    cr_assert(eq(u64, tally.cpu_ns, 0));
}
