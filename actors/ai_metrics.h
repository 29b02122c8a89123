/*
 * AI metrics: the series of the work of models, and what is counted in them.
 *
 * Registered once; read-only after boot. Each shard counts in metrics of its own.
 */
#pragma once

#include "contracts/chat_completion.h"
#include "runtime/metrics.h"
#include "store/ai_run_record.h"

enum {
    AI_METRICS_TOKEN_TYPE_COUNT = 4, /* input, output, cached, reasoning */
    AI_METRICS_USAGE_TYPE_COUNT = 2, /* those of them that add up to what a call has used */
};

struct ai_metrics {
    struct metric runs[AI_RUN_CANCELLED + 1]; /* by enum ai_run_state; those on disk */
    struct metric errors[AI_RUN_ERROR_COUNT];
    struct metric tokens[AI_METRICS_TOKEN_TYPE_COUNT];
    struct metric token_usage[AI_METRICS_USAGE_TYPE_COUNT];
    struct metric cost;
    struct metric repairs;
    struct metric call_duration;
    struct metric run_duration;
};

/* Registers the series. Boot only. */
void ai_metrics_add(struct metrics_registry *registry, struct ai_metrics *ret_series);

/* A call has ended, whatever came of it. */
void ai_metrics_count_call(const struct ai_metrics *series, struct metrics *metrics,
                           uint64_t duration_ns);

/* What a call has used, as its answer says; a cost of TOKEN_COST_UNKNOWN counts as 0. */
void ai_metrics_count_usage(const struct ai_metrics *series, struct metrics *metrics,
                            const struct chat_response *response, uint64_t cost_micro_usd);

/* A model is told what is wrong with its answer. */
void ai_metrics_count_repair(const struct ai_metrics *series, struct metrics *metrics);

/* An attempt has ended, and its run is in this state now: QUEUED, SUCCEEDED or FAILED. */
void ai_metrics_count_attempt(const struct ai_metrics *series, struct metrics *metrics,
                              const struct ai_run_attempt *attempt, enum ai_run_state state);
