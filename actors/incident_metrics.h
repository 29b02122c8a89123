/*
 * Incident metrics: what /metrics says of incidents.
 *
 * Levels and totals are the table's: the totals are copied as what has been added since they
 * were last looked at. The rest is counted where it happens.
 */
#pragma once

#include "runtime/metrics.h"
#include "store/incident_table.h"

/* Series; registered once, read-only after boot. */
struct incident_metrics {
    struct metric folded;
    struct metric overflowed;
    struct metric unfolded;
    struct metric late;
    struct metric series;
    struct metric open;
    struct metric changes[INCIDENT_CAUSE_COUNT];
    struct metric jobs_skipped;
    struct metric refused;
};

/* Registers the series. Boot only. */
void incident_metrics_add(struct metrics_registry *registry, struct incident_metrics *ret_metrics);

/* Brings metrics to what the table's stats are; exported is what they were the last time. */
void incident_metrics_export(const struct incident_metrics *series,
                             const struct incident_table_stats *stats,
                             struct incident_table_stats *exported, struct metrics *metrics);
