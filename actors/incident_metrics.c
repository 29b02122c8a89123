#include "actors/incident_metrics.h"

/*
 * Events that a rule may be about are one metric with an outcome each, so that they add up:
 * counted in a series of their own, with all that found none, or nowhere. Late ones are not
 * among them: they are stored, and no rule sees them.
 */

static void add_changes(struct metrics_registry *registry, struct incident_metrics *metrics)
{
    for (uint32_t cause = 0; cause < INCIDENT_CAUSE_COUNT; cause++) {
        struct slice name = incident_cause_name(cause);

        metrics->changes[cause] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incident_changes_total",
            metrics_text(registry, "change=\"%.*s\"", (int)name.size, name.data),
            "What has happened to incidents.");
    }
}

void incident_metrics_add(struct metrics_registry *registry, struct incident_metrics *ret_metrics)
{
    static const char events[] = "weir_incident_events_total";
    static const char help[] = "Errors and signups: counted in a series of their own, with all "
                               "that found none, or nowhere.";

    ret_metrics->folded = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, events,
                                             "outcome=\"counted\"", help);
    ret_metrics->overflowed = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, events,
                                                 "outcome=\"overflow\"", help);
    ret_metrics->unfolded = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, events,
                                               "outcome=\"unplaced\"", help);
    ret_metrics->late = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incident_late_events_total", "",
        "Events too far behind the newest of their environment to count for incidents; stored.");
    ret_metrics->series =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_incident_series", "",
                           "Series of errors and signups in memory.");
    ret_metrics->open =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_incidents_open", "",
                           "Incidents that are open or being investigated.");
    add_changes(registry, ret_metrics);
    ret_metrics->jobs_skipped = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incident_jobs_skipped_total", "",
        "Incidents that opened without a job to summarise them: its queue took none.");
    ret_metrics->refused = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incidents_refused_total", "",
        "Incidents that could not be opened: too many, or their events could not be read.");
}

static void copy_total(struct metrics *metrics, struct metric metric, uint64_t total,
                       uint64_t copied)
{
    assert(total >= copied);
    metrics_add(metrics, metric, total - copied);
}

void incident_metrics_export(const struct incident_metrics *series,
                             const struct incident_table_stats *stats,
                             struct incident_table_stats *exported, struct metrics *metrics)
{
    metrics_set(metrics, series->series, stats->series);
    metrics_set(metrics, series->open, stats->open);
    copy_total(metrics, series->folded, stats->folded - stats->overflowed,
               exported->folded - exported->overflowed);
    copy_total(metrics, series->overflowed, stats->overflowed, exported->overflowed);
    copy_total(metrics, series->unfolded, stats->unfolded, exported->unfolded);
    copy_total(metrics, series->late, stats->late, exported->late);
    copy_total(metrics, series->refused, stats->refused, exported->refused);
    *exported = *stats;
}
