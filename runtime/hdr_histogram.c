/*
 * Values below 2048 have a slot each. From there on each doubling of the value has 1024
 * slots, each twice as wide as before:
 *
 *     bucket   values                  slots           width of a slot
 *     0        0 .. 2047               0 .. 2047       1
 *     1        2048 .. 4095            2048 .. 3071    2
 *     2        4096 .. 8191            3072 .. 4095    4
 *     ...
 *     21       2^31 .. 2^32 - 1        22528 .. 23551  2^21
 *
 * so the slot of a value v in bucket b is b * 1024 + (v >> b). The text form is that of
 * HdrHistogram's outputPercentileDistribution(): a row for each percentile level, levels
 * half as far apart after each halving of the distance to 100 %, the value printed being
 * the greatest of its slot.
 */
#include "runtime/hdr_histogram.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    SUB_BUCKET_COUNT = 1 << HDR_HISTOGRAM_SUB_BUCKET_BITS,
    SUB_BUCKET_HALF = SUB_BUCKET_COUNT / 2,
};

static_assert(HDR_HISTOGRAM_SLOT_COUNT == (HDR_HISTOGRAM_BUCKET_COUNT + 1) * SUB_BUCKET_HALF,
              "one half for each bucket, and the lower half of the first");

static uint32_t bucket_of(uint64_t value)
{
    return (uint32_t)(64 - __builtin_clzll(value | (SUB_BUCKET_COUNT - 1)) -
                      HDR_HISTOGRAM_SUB_BUCKET_BITS);
}

static uint32_t slot_of(uint64_t value)
{
    uint32_t bucket = bucket_of(value);
    uint32_t slot = bucket * SUB_BUCKET_HALF + (uint32_t)(value >> bucket);

    assert(slot < HDR_HISTOGRAM_SLOT_COUNT);
    return slot;
}

/* The least value of a slot. */
static uint64_t value_of(uint32_t slot)
{
    uint32_t bucket = slot < SUB_BUCKET_COUNT ? 0 : slot / SUB_BUCKET_HALF - 1;

    return (uint64_t)(slot - bucket * SUB_BUCKET_HALF) << bucket;
}

void hdr_histogram_init(struct hdr_histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
    histogram->min = UINT64_MAX;
}

void hdr_histogram_record(struct hdr_histogram *histogram, uint64_t value)
{
    if (unlikely(value > HDR_HISTOGRAM_VALUE_MAX)) {
        histogram->clamped_count++;
        value = HDR_HISTOGRAM_VALUE_MAX;
    }
    histogram->counts[slot_of(value)]++;
    histogram->total_count++;
    histogram->min = min_u64(histogram->min, value);
    histogram->max = max_u64(histogram->max, value);
}

void hdr_histogram_add(struct hdr_histogram *histogram, const struct hdr_histogram *source)
{
    assert(histogram != source);
    for (uint32_t slot = 0; slot < HDR_HISTOGRAM_SLOT_COUNT; slot++)
        histogram->counts[slot] += source->counts[slot];
    histogram->total_count += source->total_count;
    histogram->clamped_count += source->clamped_count;
    histogram->min = min_u64(histogram->min, source->min);
    histogram->max = max_u64(histogram->max, source->max);
}

uint64_t hdr_histogram_lowest_equivalent(uint64_t value)
{
    uint32_t bucket = bucket_of(value);

    return value >> bucket << bucket;
}

uint64_t hdr_histogram_highest_equivalent(uint64_t value)
{
    return hdr_histogram_lowest_equivalent(value) + ((uint64_t)1 << bucket_of(value)) - 1;
}

uint64_t hdr_histogram_median_equivalent(uint64_t value)
{
    return hdr_histogram_lowest_equivalent(value) + ((uint64_t)1 << bucket_of(value)) / 2;
}

uint64_t hdr_histogram_count_at(const struct hdr_histogram *histogram, uint64_t value)
{
    return histogram->counts[slot_of(min_u64(value, HDR_HISTOGRAM_VALUE_MAX))];
}

uint64_t hdr_histogram_percentile(const struct hdr_histogram *histogram, double percentile)
{
    uint64_t wanted, count = 0;

    assert(percentile >= 0);
    assert(percentile <= 100);
    if (histogram->total_count == 0)
        return 0;
    wanted = (uint64_t)ceil(percentile / 100 * (double)histogram->total_count);
    wanted = min_u64(max_u64(wanted, 1), histogram->total_count);
    for (uint32_t slot = 0; slot < HDR_HISTOGRAM_SLOT_COUNT; slot++) {
        count += histogram->counts[slot];
        if (count >= wanted)
            return min_u64(hdr_histogram_highest_equivalent(value_of(slot)), histogram->max);
    }
    assert(false); /* total_count is the sum of all counts */
    return histogram->max;
}

double hdr_histogram_mean(const struct hdr_histogram *histogram)
{
    double sum = 0;

    if (histogram->total_count == 0)
        return 0;
    for (uint32_t slot = 0; slot < HDR_HISTOGRAM_SLOT_COUNT; slot++)
        if (histogram->counts[slot] > 0)
            sum += (double)hdr_histogram_median_equivalent(value_of(slot)) *
                   (double)histogram->counts[slot];
    return sum / (double)histogram->total_count;
}

double hdr_histogram_deviation(const struct hdr_histogram *histogram)
{
    double mean = hdr_histogram_mean(histogram);
    double sum = 0;

    if (histogram->total_count == 0)
        return 0;
    for (uint32_t slot = 0; slot < HDR_HISTOGRAM_SLOT_COUNT; slot++) {
        double distance = (double)hdr_histogram_median_equivalent(value_of(slot)) - mean;

        sum += distance * distance * (double)histogram->counts[slot];
    }
    return sqrt(sum / (double)histogram->total_count);
}

/* --- Percentiles ---------------------------------------------------------------------------- */

void hdr_percentiles_init(struct hdr_percentiles *percentiles,
                          const struct hdr_histogram *histogram)
{
    *percentiles = (struct hdr_percentiles){.histogram = histogram,
                                            .count_to_slot = histogram->counts[0],
                                            .is_over = histogram->total_count == 0};
}

/* How far apart levels are from level on: a fifth of the half of what lies above. */
static double level_step(double level)
{
    double halvings = 1;

    while (100 / (100 - level) >= halvings * 2)
        halvings *= 2;
    return 100 / (HDR_HISTOGRAM_TICKS * halvings * 2);
}

bool hdr_percentiles_next(struct hdr_percentiles *percentiles, struct hdr_percentiles_row *ret_row)
{
    const struct hdr_histogram *histogram = percentiles->histogram;
    double total = (double)histogram->total_count;

    if (percentiles->is_over)
        return false;
    /* When all are counted there is one row more, for 100 %. */
    if (percentiles->count_to_slot == histogram->total_count && percentiles->level > 0) {
        percentiles->level = 100;
        percentiles->is_over = true;
    }
    while (histogram->counts[percentiles->slot] == 0 ||
           100 * (double)percentiles->count_to_slot / total < percentiles->level) {
        percentiles->slot++;
        assert(percentiles->slot < HDR_HISTOGRAM_SLOT_COUNT);
        percentiles->count_to_slot += histogram->counts[percentiles->slot];
    }
    *ret_row = (struct hdr_percentiles_row){
        .value = hdr_histogram_highest_equivalent(value_of(percentiles->slot)),
        .count = percentiles->count_to_slot,
        .percentile = percentiles->level,
    };
    if (!percentiles->is_over)
        percentiles->level += level_step(percentiles->level);
    return true;
}

/* Appends a line; false when it does not fit. */
PRINTF_LIKE(4, 5)
MUST_USE static bool put(char *text, size_t size, size_t *used, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text + *used, size - *used, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= size - *used)
        return false;
    *used += (size_t)length;
    return true;
}

int hdr_histogram_render(const struct hdr_histogram *histogram, double scale, char *text,
                         size_t size)
{
    uint64_t max =
        histogram->total_count == 0 ? 0 : hdr_histogram_highest_equivalent(histogram->max);
    struct hdr_percentiles percentiles;
    struct hdr_percentiles_row row;
    size_t used = 0;
    bool fits;

    assert(scale > 0);
    assert(size > 0);
    fits = put(text, size, &used, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
               "1/(1-Percentile)");
    hdr_percentiles_init(&percentiles, histogram);
    while (fits && hdr_percentiles_next(&percentiles, &row)) {
        fits = put(text, size, &used, "%12.3f %14.12f %10llu", (double)row.value / scale,
                   row.percentile / 100, (unsigned long long)row.count);
        if (fits && row.percentile < 100)
            fits = put(text, size, &used, " %14.2f", 1 / (1 - row.percentile / 100));
        fits = fits && put(text, size, &used, "\n");
    }
    fits = fits &&
           put(text, size, &used,
               "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n"
               "#[Max     = %12.3f, Total count    = %12llu]\n"
               "#[Buckets = %12d, SubBuckets     = %12d]\n",
               hdr_histogram_mean(histogram) / scale, hdr_histogram_deviation(histogram) / scale,
               (double)max / scale, (unsigned long long)histogram->total_count,
               HDR_HISTOGRAM_BUCKET_COUNT, SUB_BUCKET_COUNT);
    return fits ? (int)used : -EMSGSIZE;
}
