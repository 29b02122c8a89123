/*
 * Job metrics: what /metrics says of jobs. Counted where it happens; levels are the desk's.
 */
#pragma once

#include "runtime/metrics.h"
#include "store/job_table.h"

/* What happens to jobs, as weir_jobs_total counts it. */
enum job_outcome {
    JOB_OUTCOME_ENQUEUED,
    JOB_OUTCOME_COMPLETED,
    JOB_OUTCOME_FAILED,
    JOB_OUTCOME_DEAD,
    JOB_OUTCOME_CANCELLED,
    JOB_OUTCOME_REPLAYED,
    JOB_OUTCOME_QUOTA, /* refused: the key's rate is used up */
    JOB_OUTCOME_COUNT,
};

/* Series; registered once. */
struct job_metrics {
    struct metric outcome[JOB_OUTCOME_COUNT];
    struct metric states[JOB_STATE_COUNT];
    struct metric stale;
    struct metric dead[JOB_DEAD_REASON_COUNT];
    struct metric letters[JOB_DEAD_REASON_COUNT]; /* the same, among all dead letters */
    struct metric dlq_size;
    struct metric timers;
    struct metric start_delay; /* from ready to leased */
    struct metric cold_reads;
    struct metric carried;
    struct metric audit_mismatches;
    struct metric live_bytes;
    struct metric oldest_ready;
    struct metric waiting_workers;
};

/* Registers the series. Boot only. */
void job_metrics_add(struct metrics_registry *registry, struct job_metrics *ret_metrics);

/* The same for weir_dead_letters_total: right after runtime_new(), see runtime_freeze_metrics(). */
void job_metrics_add_letters(struct metrics_registry *registry, struct job_metrics *ret_metrics);
