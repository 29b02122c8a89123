#include "actors/job_metrics.h"

void job_metrics_add(struct metrics_registry *registry, struct job_metrics *ret_metrics)
{
    static const char *const outcomes[JOB_OUTCOME_COUNT] = {
        [JOB_OUTCOME_ENQUEUED] = "enqueued",   [JOB_OUTCOME_COMPLETED] = "completed",
        [JOB_OUTCOME_FAILED] = "failed",       [JOB_OUTCOME_DEAD] = "dead",
        [JOB_OUTCOME_CANCELLED] = "cancelled", [JOB_OUTCOME_REPLAYED] = "replayed",
        [JOB_OUTCOME_QUOTA] = "quota",
    };

    for (uint32_t i = 0; i < JOB_OUTCOME_COUNT; i++)
        ret_metrics->outcome[i] =
            metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_jobs_total",
                               metrics_text(registry, "outcome=\"%s\"", outcomes[i]),
                               "What happened to jobs: failed attempts that are tried again, jobs "
                               "that a rate refused.");
    for (uint32_t i = JOB_SCHEDULED; i < JOB_STATE_COUNT; i++)
        ret_metrics->states[i] = metrics_add_series(
            registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_jobs",
            metrics_text(registry, "state=\"%s\"", job_state_name((enum job_state)i)),
            "Jobs by state.");
    for (uint32_t i = JOB_DEAD_ATTEMPTS; i < JOB_DEAD_REASON_COUNT; i++)
        ret_metrics->dead[i] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_jobs_dead_total",
            metrics_text(registry, "reason=\"%s\"", job_dead_reason_name((enum job_dead_reason)i)),
            "Jobs that became dead letters.");
    ret_metrics->stale = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                            "weir_job_stale_completions_total", "",
                                            "Completions, failures and extensions refused because "
                                            "the lease had gone to somebody else.");
    ret_metrics->dlq_size = metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                                               "weir_dlq_size", "", "Dead letters kept.");
    ret_metrics->timers =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_job_timers", "",
                           "Jobs that wait for a time: delayed, between attempts, or leased.");
    ret_metrics->start_delay = metrics_add_histogram(
        registry, METRIC_UNIT_SECONDS, "weir_job_start_delay_seconds", "",
        "From ready to run to leased.", METRICS_REQUEST_NS, METRICS_REQUEST_BOUNDS);
    ret_metrics->cold_reads =
        metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_job_cold_reads_total",
                           "", "Jobs whose body had to be read from the log.");
    ret_metrics->carried =
        metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_jobs_carried_total",
                           "", "Jobs written again because their segment was about to go.");
    ret_metrics->audit_mismatches = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                                       "weir_job_audit_mismatches_total", "",
                                                       "Jobs that the auditor found out of place.");
    ret_metrics->live_bytes =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_job_live_bytes", "",
                           "Bytes of the log that jobs still need.");
    ret_metrics->oldest_ready = metrics_add_series(
        registry, METRIC_GAUGE_MAX, METRIC_UNIT_SECONDS, "weir_job_oldest_ready_seconds", "",
        "How long the oldest job that may run has waited, in the queue that is furthest behind.");
    ret_metrics->waiting_workers =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_job_waiting_workers", "",
                           "Leases that wait for a job.");
}

void job_metrics_add_letters(struct metrics_registry *registry, struct job_metrics *ret_metrics)
{
    for (uint32_t i = JOB_DEAD_ATTEMPTS; i < JOB_DEAD_REASON_COUNT; i++)
        ret_metrics->letters[i] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_dead_letters_total",
            metrics_text(registry, "origin=\"job\",reason=\"%s\"",
                         job_dead_reason_name((enum job_dead_reason)i)),
            "Messages that nobody handled, jobs that failed for good.");
}
