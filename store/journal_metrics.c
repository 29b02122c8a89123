#include "store/journal_internals.h"

/* The registry is shared by all shards; each adds to its own block of numbers. */
void journal_metrics_add(struct metrics_registry *registry, struct journal_metrics *ret_series)
{
    static const char *const reasons[JOURNAL_DROP_REASON_COUNT] = {
        [JOURNAL_DROP_BYTES] = "reason=\"bytes\"",
        [JOURNAL_DROP_AGE] = "reason=\"age\"",
        [JOURNAL_DROP_ENTRIES] = "reason=\"entries\"",
        [JOURNAL_DROP_COUNT] = "reason=\"count\"",
        [JOURNAL_DROP_RECLAIMED] = "reason=\"reclaimed\"",
    };
    struct journal_metrics series;

    series.flush_duration =
        metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "weir_journal_flush_duration_seconds",
                              "", "Time from handing a write to the disk to its being durable.",
                              METRICS_FLUSH_NS, METRICS_FLUSH_BOUNDS);
    series.batch_records = metrics_add_histogram(
        registry, METRIC_UNIT_NONE, "weir_journal_batch_records", "",
        "Records made durable by one write.", METRICS_COUNTS, METRICS_COUNT_BOUNDS);
    series.bytes = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                      "weir_journal_bytes_total", "", "Bytes written to the log.");
    series.durable_lsn =
        metrics_add_series(registry, METRIC_GAUGE_MAX, METRIC_UNIT_NONE, "weir_journal_durable_lsn",
                           "", "Highest durable LSN of the log that is furthest.");
    series.flushes = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                        "weir_journal_flushes_total", "", "Writes made durable.");
    series.rewrites = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                         "weir_journal_rewrites_total", "",
                                         "Writes repeated because they were short or interrupted.");
    series.retained_segments =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                           "weir_journal_retained_segments", "", "Segments kept.");
    series.retained_bytes =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_journal_retained_bytes",
                           "", "Bytes of the segments kept.");
    series.no_space =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_journal_no_space", "",
                           "Logs that found the disk full but for the reserve.");
    for (uint32_t i = 0; i < JOURNAL_DROP_REASON_COUNT; i++)
        series.dropped[i] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_journal_segments_dropped_total",
            reasons[i], "Segments dropped, by reason; reclaimed: nothing in them was to be kept.");
    *ret_series = series;
}

void journal_export_gauges(struct journal *journal)
{
    const struct journal_metrics *series = journal->config.series;
    struct metrics *metrics = journal->config.metrics;

    if (series == NULL || metrics == NULL)
        return;
    metrics_set(metrics, series->durable_lsn, journal->durable_lsn);
    metrics_set(metrics, series->retained_segments, journal->segment_count);
    metrics_set(metrics, series->retained_bytes, journal->segment_bytes_total);
    metrics_set(metrics, series->no_space, journal->pool.no_space ? 1 : 0);
}
