#include "runtime/hdr_histogram.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * The vectors are those of HdrHistogram's own tests for 3 digits up to 3,600,000,000: its
 * HistogramTest for equivalent values, its HistogramDataAccessTest for a second that
 * stalls for 100 of 200, raw and corrected.
 */

static struct hdr_histogram raw, corrected;
static char text[HDR_HISTOGRAM_TEXT_SIZE];

static void record(struct hdr_histogram *histogram, uint64_t value, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        hdr_histogram_record(histogram, value);
}

/* 10,000 answers in 1 ms each, one in 100 s: in microseconds. */
static void setup(void)
{
    hdr_histogram_init(&raw);
    record(&raw, 1000, 10000);
    record(&raw, 100000000, 1);
    hdr_histogram_init(&corrected);
    record(&corrected, 1000, 10000);
    for (uint64_t value = 100000000; value >= 10000; value -= 10000)
        record(&corrected, value, 1);
}

TestSuite(hdr_histogram, .init = setup);

static bool is_near(uint64_t value, double expected)
{
    return (double)value >= expected * 0.999 && (double)value <= expected * 1.001;
}

Test(hdr_histogram, tells_values_apart_by_three_digits)
{
    cr_assert(eq(u64, hdr_histogram_lowest_equivalent(10007), 10000));
    cr_assert(eq(u64, hdr_histogram_lowest_equivalent(10009), 10008));
    cr_assert(eq(u64, hdr_histogram_highest_equivalent(8180), 8183));
    cr_assert(eq(u64, hdr_histogram_highest_equivalent(8191), 8191));
    cr_assert(eq(u64, hdr_histogram_highest_equivalent(8193), 8199));
    cr_assert(eq(u64, hdr_histogram_highest_equivalent(9995), 9999));
    cr_assert(eq(u64, hdr_histogram_highest_equivalent(10007), 10007));
    cr_assert(eq(u64, hdr_histogram_highest_equivalent(10008), 10015));
    cr_assert(eq(u64, hdr_histogram_median_equivalent(4), 4));
    cr_assert(eq(u64, hdr_histogram_median_equivalent(5), 5));
    cr_assert(eq(u64, hdr_histogram_median_equivalent(4000), 4001));
    cr_assert(eq(u64, hdr_histogram_median_equivalent(8000), 8002));
    cr_assert(eq(u64, hdr_histogram_median_equivalent(10007), 10004));
}

Test(hdr_histogram, keeps_every_value_within_a_thousandth)
{
    for (uint64_t value = 1; value <= HDR_HISTOGRAM_VALUE_MAX; value += value / 977 + 1) {
        uint64_t low = hdr_histogram_lowest_equivalent(value);
        uint64_t high = hdr_histogram_highest_equivalent(value);

        cr_assert(le(u64, low, value));
        cr_assert(ge(u64, high, value));
        cr_assert(le(u64, (high - low) * 1000, value));
        cr_assert(eq(u64, hdr_histogram_lowest_equivalent(high), low));
        cr_assert(eq(u64, hdr_histogram_lowest_equivalent(high + 1), high + 1));
    }
}

Test(hdr_histogram, gives_the_reference_percentiles_of_the_raw_data)
{
    cr_assert(is_near(hdr_histogram_percentile(&raw, 30), 1000));
    cr_assert(is_near(hdr_histogram_percentile(&raw, 99), 1000));
    cr_assert(is_near(hdr_histogram_percentile(&raw, 99.99), 1000));
    cr_assert(is_near(hdr_histogram_percentile(&raw, 99.999), 100000000));
    cr_assert(eq(u64, hdr_histogram_percentile(&raw, 100), 100000000));
    cr_assert(eq(u64, raw.total_count, 10001));
    cr_assert(is_near((uint64_t)hdr_histogram_mean(&raw), (10000.0 * 1000 + 100000000) / 10001));
}

Test(hdr_histogram, gives_the_reference_percentiles_of_the_corrected_data)
{
    cr_assert(eq(u64, corrected.total_count, 20000));
    cr_assert(is_near(hdr_histogram_percentile(&corrected, 30), 1000));
    cr_assert(is_near(hdr_histogram_percentile(&corrected, 50), 1000));
    cr_assert(is_near(hdr_histogram_percentile(&corrected, 75), 50000000));
    cr_assert(is_near(hdr_histogram_percentile(&corrected, 90), 80000000));
    cr_assert(is_near(hdr_histogram_percentile(&corrected, 99), 98000000));
    cr_assert(is_near(hdr_histogram_percentile(&corrected, 99.999), 100000000));
    cr_assert(is_near((uint64_t)hdr_histogram_mean(&corrected), (1000 + 50000000) / 2.0));
}

Test(hdr_histogram, counts_values_that_are_too_large_as_the_largest)
{
    hdr_histogram_record(&raw, HDR_HISTOGRAM_VALUE_MAX + 1);
    hdr_histogram_record(&raw, UINT64_MAX);
    cr_assert(eq(u64, raw.clamped_count, 2));
    cr_assert(eq(u64, raw.max, HDR_HISTOGRAM_VALUE_MAX));
    cr_assert(eq(u64, hdr_histogram_count_at(&raw, UINT64_MAX), 2));
}

Test(hdr_histogram, keeps_zero_apart_from_one)
{
    hdr_histogram_init(&raw);
    cr_assert(eq(u64, hdr_histogram_percentile(&raw, 99), 0));
    record(&raw, 0, 3);
    record(&raw, 1, 1);
    cr_assert(eq(u64, hdr_histogram_percentile(&raw, 75), 0));
    cr_assert(eq(u64, hdr_histogram_percentile(&raw, 76), 1));
    cr_assert(eq(u64, raw.min, 0));
}

Test(hdr_histogram, adds_up_as_if_all_had_been_recorded_in_one)
{
    hdr_histogram_add(&raw, &corrected);
    cr_assert(eq(u64, raw.total_count, 30001));
    cr_assert(eq(u64, hdr_histogram_count_at(&raw, 1000), 20000));
    /* 65,536 values count as one there: 100,000,000 and five of those 10,000 apart. */
    cr_assert(eq(u64, hdr_histogram_count_at(&raw, 100000000), 1 + 6));
}

Test(hdr_histogram, never_gives_a_percentile_above_the_largest_value)
{
    hdr_histogram_init(&raw);
    record(&raw, 5001, 1);
    cr_assert(eq(u64, hdr_histogram_percentile(&raw, 0), 5001));
    cr_assert(eq(u64, hdr_histogram_percentile(&raw, 100), 5001));
}

Test(hdr_histogram, walks_percentiles_in_fifths_of_what_is_left)
{
    static const double LEVELS[] = {0, 10, 20, 30, 40, 50, 55, 60, 65, 70, 75, 77.5};
    struct hdr_percentiles percentiles;
    struct hdr_percentiles_row row = {0};
    uint64_t previous = 0;

    hdr_percentiles_init(&percentiles, &corrected);
    for (size_t i = 0; i < ARRAY_COUNT(LEVELS); i++) {
        cr_assert(hdr_percentiles_next(&percentiles, &row));
        cr_assert(ieee_ulp_eq(dbl, row.percentile, LEVELS[i], 4));
        cr_assert(ge(u64, row.value, previous));
        previous = row.value;
    }
    while (hdr_percentiles_next(&percentiles, &row))
        cr_assert(ge(u64, row.count * 1000, (uint64_t)(row.percentile * 1000) * 200));
    cr_assert(ieee_ulp_eq(dbl, row.percentile, 100, 0));
    cr_assert(eq(u64, row.count, 20000));
}

Test(hdr_histogram, renders_what_the_plotters_read)
{
    static const char EXPECTED[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n"
                                   "\n"
                                   "       1.000 0.000000000000          6           1.00\n"
                                   "       1.000 0.100000000000          6           1.11\n"
                                   "       1.000 0.200000000000          6           1.25\n"
                                   "       1.000 0.300000000000          6           1.43\n"
                                   "       1.000 0.400000000000          6           1.67\n"
                                   "       1.000 0.500000000000          6           2.00\n"
                                   "       1.000 0.550000000000          6           2.22\n"
                                   "       1.000 0.600000000000          6           2.50\n"
                                   "       2.001 0.650000000000          9           2.86\n"
                                   "       2.001 0.700000000000          9           3.33\n"
                                   "       2.001 0.750000000000          9           4.00\n"
                                   "       2.001 0.775000000000          9           4.44\n"
                                   "       2.001 0.800000000000          9           5.00\n"
                                   "       2.001 0.825000000000          9           5.71\n"
                                   "       2.001 0.850000000000          9           6.67\n"
                                   "       2.001 0.875000000000          9           8.00\n"
                                   "       2.001 0.887500000000          9           8.89\n"
                                   "       2.001 0.900000000000          9          10.00\n"
                                   "      10.007 0.912500000000         10          11.43\n"
                                   "      10.007 1.000000000000         10\n"
                                   "#[Mean    =        2.201, StdDeviation   =        2.639]\n"
                                   "#[Max     =       10.007, Total count    =           10]\n"
                                   "#[Buckets =           22, SubBuckets     =         2048]\n";
    int size;

    hdr_histogram_init(&raw);
    record(&raw, 1000, 6);
    record(&raw, 2001, 3);
    record(&raw, 10003, 1);
    size = hdr_histogram_render(&raw, 1000, text, sizeof(text));
    cr_assert(ge(int, size, 1));
    cr_assert(eq(str, text, (char *)EXPECTED));
}

Test(hdr_histogram, renders_into_what_is_large_enough_only)
{
    int size = hdr_histogram_render(&corrected, 1000, text, sizeof(text));
    char *exact = malloc((size_t)size + 1);

    cr_assert(eq(int, hdr_histogram_render(&corrected, 1000, exact, (size_t)size + 1), size));
    cr_assert(lt(int, hdr_histogram_render(&corrected, 1000, exact, (size_t)size), 0));
    free(exact);
    hdr_histogram_init(&raw);
    cr_assert(lt(int, 0, hdr_histogram_render(&raw, 1000, text, sizeof(text))));
}
