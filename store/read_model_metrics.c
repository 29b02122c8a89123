#include "store/read_model.h"

/* Gauges are set by one shard, so that the sum over the shards is the value. */
void read_model_metrics_add(struct metrics_registry *registry,
                            struct read_model_metrics *ret_series)
{
    static const char *const RESULTS[] = {
        [READ_OK] = "result=\"ok\"",
        [READ_NOT_FOUND] = "result=\"not_found\"",
        [READ_BAD_CURSOR] = "result=\"bad_cursor\"",
        [READ_TOO_BIG] = "result=\"too_big\"",
        [READ_TIMEOUT] = "result=\"timeout\"",
        [READ_BUSY] = "result=\"busy\"",
        [READ_UNAVAILABLE] = "result=\"unavailable\"",
    };
    struct read_model_metrics series;

    series.lag_records =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_projection_lag_records",
                           "", "Durable records that the read model does not reflect yet.");
    series.lag_seconds = metrics_add_series(
        registry, METRIC_GAUGE, METRIC_UNIT_SECONDS, "weir_projection_lag_seconds", "",
        "For how long the read model has not been up to date; 0: it is.");
    series.records = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                        "weir_projection_records_total", "",
                                        "Records that the read model has taken over.");
    series.skipped_records = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_projection_skipped_records_total", "",
        "Records that retention dropped before the read model had them.");
    for (uint32_t i = 0; i < ARRAY_COUNT(RESULTS); i++)
        series.queries[i] =
            metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                               "weir_read_queries_total", RESULTS[i], "Queries of the read model.");
    series.query_duration =
        metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "weir_read_query_duration_seconds", "",
                              "Time from asking the read model to having its answer.",
                              METRICS_REQUEST_NS, METRICS_REQUEST_BOUNDS);
    series.file_bytes = metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                                           "weir_read_model_bytes", "", "Size of the read model.");
    series.state =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_read_model_state", "",
                           "0 off, 1 starting, 2 running, 3 refused, 4 failing and tried again.");
    *ret_series = series;
}

void read_model_export(struct read_model *read_model, const struct read_model_metrics *series,
                       struct metrics *metrics)
{
    struct read_model_info info;

    read_model_info(read_model, &info);
    metrics_set(metrics, series->lag_records, info.lag_records);
    metrics_set(metrics, series->lag_seconds, info.lag_ms * 1000000);
    metrics_set(metrics, series->records, info.projected_records);
    metrics_set(metrics, series->skipped_records, info.skipped_records);
    metrics_set(metrics, series->file_bytes, info.file_bytes);
    metrics_set(metrics, series->state, info.state);
}
