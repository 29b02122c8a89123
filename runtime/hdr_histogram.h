/*
 * Hdr histogram: counts of values from 1 to 3,600,000,000 to three significant digits.
 *
 * For latencies in microseconds: 1 us to 1 h in 184 KiB, each value at most 0.1 % off,
 * recording is an addition at a computed index. It counts what HdrHistogram
 * (hdrhistogram.github.io) counts, set up as hdr_init(1, 3600000000, 3): the same
 * buckets, and percentiles in the text form that its plotters read. A larger value is
 * counted as the largest; clamped_count tells. No allocation, no I/O.
 */
#pragma once

#include "runtime/base.h"

enum {
    HDR_HISTOGRAM_SUB_BUCKET_BITS = 11, /* 2048 values, the least power of two above 2 * 10^3 */
    HDR_HISTOGRAM_BUCKET_COUNT = 22,
    HDR_HISTOGRAM_SLOT_COUNT = (HDR_HISTOGRAM_BUCKET_COUNT + 1) << 10,
    HDR_HISTOGRAM_TICKS = 5,             /* rows per halving of the distance to 100 % */
    HDR_HISTOGRAM_TEXT_SIZE = 64 * 1024, /* is enough for hdr_histogram_render() */
};

static const uint64_t HDR_HISTOGRAM_VALUE_MAX = 3600000000;

/* Public and read-only; embedded by value, or allocated by whoever needs it at start. */
struct hdr_histogram {
    uint64_t total_count;
    uint64_t clamped_count; /* values above HDR_HISTOGRAM_VALUE_MAX */
    uint64_t min;           /* exact; UINT64_MAX while empty */
    uint64_t max;           /* exact */
    uint64_t counts[HDR_HISTOGRAM_SLOT_COUNT];
};

/* Walks the rows of the percentile form. Private to hdr_histogram.c. */
struct hdr_percentiles {
    const struct hdr_histogram *histogram;
    uint32_t slot;
    uint64_t count_to_slot; /* of values up to and with the one at slot */
    double level;           /* the percentile that the next row is for */
    bool is_over;
};

/* One row: count values, the share percentile of all (0 to 100), are at most value. */
struct hdr_percentiles_row {
    uint64_t value;
    uint64_t count;
    double percentile;
};

/* Makes it empty. */
void hdr_histogram_init(struct hdr_histogram *histogram);

/* Counts value once. */
void hdr_histogram_record(struct hdr_histogram *histogram, uint64_t value);

/* Adds all counts of source. */
void hdr_histogram_add(struct hdr_histogram *histogram, const struct hdr_histogram *source);

/* The value that percentile (0 to 100) of all values do not exceed; 0 when empty. */
uint64_t hdr_histogram_percentile(const struct hdr_histogram *histogram, double percentile);

/* 0 when empty. */
double hdr_histogram_mean(const struct hdr_histogram *histogram);
double hdr_histogram_deviation(const struct hdr_histogram *histogram);

/* How many values are counted with value: those that three digits do not tell from it. */
uint64_t hdr_histogram_count_at(const struct hdr_histogram *histogram, uint64_t value);

/* The least, the middle and the greatest of the values that count as value. */
uint64_t hdr_histogram_lowest_equivalent(uint64_t value);
uint64_t hdr_histogram_median_equivalent(uint64_t value);
uint64_t hdr_histogram_highest_equivalent(uint64_t value);

/* Begins at the first row; borrows histogram, which must not change meanwhile. */
void hdr_percentiles_init(struct hdr_percentiles *percentiles,
                          const struct hdr_histogram *histogram);

/* The next row, or false after the one of 100 %. */
MUST_USE bool hdr_percentiles_next(struct hdr_percentiles *percentiles,
                                   struct hdr_percentiles_row *ret_row);

/*
 * Writes the text form, values divided by scale (1000: microseconds as milliseconds).
 * Its size, or -EMSGSIZE when text[0..size) is too small.
 */
MUST_USE int hdr_histogram_render(const struct hdr_histogram *histogram, double scale, char *text,
                                  size_t size);
