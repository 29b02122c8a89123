#include "tools/load/load_schedule.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

static const uint64_t SECOND = 1000000000;

static struct load_schedule schedule;

static void begin(double first, double last, uint32_t step_count, uint64_t seconds,
                  enum load_arrivals arrivals)
{
    struct load_profile profile = {.rate_first = first,
                                   .rate_last = last,
                                   .step_count = step_count,
                                   .duration_ns = seconds * SECOND};

    load_schedule_init(&schedule, &profile, arrivals, 7);
}

/* Counts the arrivals of each second. */
static uint64_t count_seconds(uint64_t *counts, uint32_t seconds)
{
    uint64_t due = 0, previous = 0, total = 0;

    memset(counts, 0, seconds * sizeof(*counts));
    while (load_schedule_next(&schedule, &due)) {
        cr_assert(ge(u64, due, previous));
        cr_assert(lt(u64, due / SECOND, seconds));
        counts[due / SECOND]++;
        previous = due;
        total++;
    }
    return total;
}

Test(load_schedule, starts_number_i_at_exactly_i_over_the_rate)
{
    uint64_t due;

    begin(2000, 2000, 0, 30, LOAD_ARRIVALS_CONSTANT);
    for (uint64_t i = 0; i < 60000; i++) {
        cr_assert(load_schedule_next(&schedule, &due));
        cr_assert(eq(u64, due, i * 500000));
    }
    cr_assert(not(load_schedule_next(&schedule, &due)));
}

Test(load_schedule, does_not_drift_with_a_rate_that_divides_badly)
{
    uint64_t due = 0, count = 0;

    begin(3, 3, 0, 3600, LOAD_ARRIVALS_CONSTANT);
    while (load_schedule_next(&schedule, &due))
        cr_assert(eq(u64, due, count++ * SECOND / 3));
    cr_assert(eq(u64, count, 10800));
}

Test(load_schedule, ramps_from_one_rate_to_the_other)
{
    uint64_t counts[10];
    uint64_t total;

    begin(100, 1100, 0, 10, LOAD_ARRIVALS_CONSTANT);
    total = count_seconds(counts, 10);
    cr_assert(le(u64, total, 6001));
    cr_assert(ge(u64, total, 5999));
    for (uint64_t i = 0; i < 10; i++) {
        /* The integral over second i of 100 + 100 t. */
        cr_assert(ge(u64, counts[i], 150 + 100 * i - 1));
        cr_assert(le(u64, counts[i], 150 + 100 * i + 1));
    }
}

Test(load_schedule, ramps_down_as_well)
{
    uint64_t counts[10];
    uint64_t total;

    begin(1100, 100, 0, 10, LOAD_ARRIVALS_CONSTANT);
    total = count_seconds(counts, 10);
    cr_assert(le(u64, total, 6001));
    cr_assert(ge(u64, total, 5999));
    cr_assert(ge(u64, counts[0], 1049));
    cr_assert(le(u64, counts[9], 151));
}

Test(load_schedule, holds_each_step_for_its_share_of_the_time)
{
    uint64_t counts[10];

    begin(100, 500, 5, 10, LOAD_ARRIVALS_CONSTANT);
    cr_assert(eq(u64, count_seconds(counts, 10), 2 * (100 + 200 + 300 + 400 + 500)));
    for (uint64_t i = 0; i < 10; i++)
        cr_assert(eq(u64, counts[i], 100 * (i / 2 + 1)));
}

Test(load_schedule, gives_exponential_gaps_in_a_poisson_process)
{
    uint64_t due = 0, previous = 0, count = 0, short_count = 0;
    double sum = 0, squares = 0, mean;

    begin(1000, 1000, 0, 100, LOAD_ARRIVALS_POISSON);
    while (load_schedule_next(&schedule, &due)) {
        double gap = (double)(due - previous) / 1e6;

        sum += gap;
        squares += gap * gap;
        short_count += gap < 1;
        previous = due;
        count++;
    }
    mean = sum / (double)count;
    /* Of 100,000 gaps: mean and deviation are both 1 ms, 63.2 % are below the mean. */
    cr_assert(lt(dbl, fabs((double)count - 100000), 1500));
    cr_assert(lt(dbl, fabs(mean - 1), 0.02));
    cr_assert(lt(dbl, fabs(sqrt(squares / (double)count - mean * mean) - 1), 0.03));
    cr_assert(lt(dbl, fabs((double)short_count / (double)count - 0.632), 0.01));
}

Test(load_schedule, follows_a_ramp_in_a_poisson_process_too)
{
    uint64_t counts[10];

    begin(1000, 11000, 0, 10, LOAD_ARRIVALS_POISSON);
    count_seconds(counts, 10);
    for (uint64_t i = 0; i < 10; i++) {
        double expected = 1500 + 1000 * (double)i;

        cr_assert(lt(dbl, fabs((double)counts[i] - expected), 5 * sqrt(expected)));
    }
}

Test(load_schedule, is_decided_by_its_seed)
{
    struct load_schedule other;
    uint64_t a = 0, b = 0, c = 0;

    begin(10, 10, 0, 10, LOAD_ARRIVALS_POISSON);
    other = schedule;
    load_schedule_init(&schedule, &other.profile, LOAD_ARRIVALS_POISSON, 8);
    cr_assert(load_schedule_next(&schedule, &c));
    cr_assert(load_schedule_next(&other, &a));
    load_schedule_init(&other, &other.profile, LOAD_ARRIVALS_POISSON, 7);
    cr_assert(load_schedule_next(&other, &b));
    cr_assert(eq(u64, a, b));
    cr_assert(ne(u64, a, c));
}

Test(load_schedule, reads_rates_and_ramps)
{
    double first = 0, last = 0;

    cr_assert(load_rate_parse("2000", &first, &last));
    cr_assert(ieee_ulp_eq(dbl, first, 2000, 0));
    cr_assert(ieee_ulp_eq(dbl, last, 2000, 0));
    cr_assert(load_rate_parse("0.5..5000", &first, &last));
    cr_assert(ieee_ulp_eq(dbl, first, 0.5, 0));
    cr_assert(ieee_ulp_eq(dbl, last, 5000, 0));
}

Test(load_schedule, refuses_what_is_no_rate)
{
    static const char *const TEXTS[] = {"",        "0",   "-1",   "1e9",   "x",
                                        "1..",     "..1", "1..0", "1...2", "10/s",
                                        "1..2..3", "nan", "0x10", " 5",    "99999999999"};
    double first, last;

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++)
        cr_assert(not(load_rate_parse(TEXTS[i], &first, &last)), "%s", TEXTS[i]);
}
