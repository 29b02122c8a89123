/*
 * Metrics: counters, gauges and histograms, one plain block of numbers per shard.
 *
 * Series are registered at boot, in one registry for the process, and frozen
 * before the shards start. Afterwards a shard adds to its own block without
 * atomics. A scrape copies each shard's block by message (the block is lent), sums
 * them and renders the Prometheus text format. Durations are recorded in
 * nanoseconds and rendered in seconds.
 */
#pragma once

#include "runtime/base.h"

enum {
    METRICS_SERIES_MAX = 4096,
    METRICS_VALUES_MAX = 8192, /* 64-bit words of one block, all series together */
    METRICS_BUCKETS_MAX = 24,
    METRICS_TEXT_SIZE_MAX = 256 * 1024, /* label text built at boot */
};

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,     /* summed over the shards */
    METRIC_GAUGE_MAX, /* the largest of the shards; rendered as a gauge */
    METRIC_HISTOGRAM,
};

enum metric_unit {
    METRIC_UNIT_NONE,    /* rendered as it is */
    METRIC_UNIT_SECONDS, /* recorded in nanoseconds */
};

/* Names a series: where its values begin in a block. Obtained at boot, kept in a struct. */
struct metric {
    uint32_t series; /* private to metrics.c */
};

/*
 * Upper bounds for histograms, so that like things compare: 100 us to 2.5 s for
 * requests, 50 us to 1 s for flushes, 1 to 4096 for counts of records.
 */
enum { METRICS_REQUEST_BOUNDS = 14, METRICS_FLUSH_BOUNDS = 14, METRICS_COUNT_BOUNDS = 13 };
extern const uint64_t METRICS_REQUEST_NS[METRICS_REQUEST_BOUNDS];
extern const uint64_t METRICS_FLUSH_NS[METRICS_FLUSH_BOUNDS];
extern const uint64_t METRICS_COUNTS[METRICS_COUNT_BOUNDS];

struct metrics_registry;

/* One shard's numbers; owned by the shard's thread. */
struct metrics {
    const struct metrics_registry *registry; /* borrowed */
    uint64_t values[METRICS_VALUES_MAX];
};

/* An empty registry. 0 or -ENOMEM. Start-up only. */
MUST_USE int metrics_registry_new(struct metrics_registry **ret_registry);

/* Frees it and nulls the pointer. NULL is accepted. */
void metrics_registry_free(struct metrics_registry **registry);

/*
 * Adds a series before the freeze. name without the weir_ prefix is a bug: names
 * are given whole. labels is "" or `a="x",b="y"`, already escaped. name, help and
 * labels are borrowed and must be static or live as long as the registry; see
 * metrics_text() for built labels. Series of one name must be added one after the
 * other. Aborts when a bound is hit: the number of series is ours to plan.
 */
struct metric metrics_add_series(struct metrics_registry *registry, enum metric_kind kind,
                                 enum metric_unit unit, const char *name, const char *labels,
                                 const char *help);

/* A histogram with these upper bounds (ascending, in recorded units; +Inf is implied). */
struct metric metrics_add_histogram(struct metrics_registry *registry, enum metric_unit unit,
                                    const char *name, const char *labels, const char *help,
                                    const uint64_t *bounds, uint32_t bound_count);

/* Copies formatted label text into the registry, for series made in loops. Boot only. */
PRINTF_LIKE(2, 3)
const char *metrics_text(struct metrics_registry *registry, const char *format, ...);

/* No more series after this. */
void metrics_freeze(struct metrics_registry *registry);

/* A zero block. Borrows the registry. */
void metrics_init(struct metrics *metrics, const struct metrics_registry *registry);

/*
 * Adds to a counter or gauge. A gauge goes down by adding a negative amount: it is
 * rendered as a signed number, and only the sum over the shards has to make sense.
 */
void metrics_add(struct metrics *metrics, struct metric metric, uint64_t amount);

/* Sets a gauge, or a counter that is kept elsewhere and only grows. */
void metrics_set(struct metrics *metrics, struct metric metric, uint64_t value);

/* Records one observation in a histogram. */
void metrics_observe(struct metrics *metrics, struct metric metric, uint64_t value);

/* The present value of a counter or gauge, or the count of a histogram, in this block. */
uint64_t metrics_value(const struct metrics *metrics, struct metric metric);

/*
 * Renders block_count blocks summed up into text as Prometheus text format.
 * Returns the size written, or -EMSGSIZE when text_size is too small. Counters
 * that are 0 in every block and carry labels are left out.
 */
MUST_USE int64_t metrics_render(const struct metrics_registry *registry,
                                const struct metrics *const *blocks, uint32_t block_count,
                                char *text, size_t text_size);
