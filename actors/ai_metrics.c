#include "actors/ai_metrics.h"

/*
 * Bounds are those that the conventions for clients of models have, so that dashboards made
 * for others fit.
 */

static const char *const TOKEN_TYPES[] = {"input", "output", "cached", "reasoning"};

static const enum ai_run_state STATES[] = {AI_RUN_QUEUED, AI_RUN_SUCCEEDED, AI_RUN_FAILED};

static const uint64_t TOKEN_BOUNDS[] = {1,     4,     16,     64,      256,     1024,     4096,
                                        16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
static const uint64_t DURATION_BOUNDS[] = {
    10000000,   20000000,   40000000,   80000000,    160000000,   320000000,   640000000,
    1280000000, 2560000000, 5120000000, 10240000000, 20480000000, 40960000000, 81920000000};

static_assert(ARRAY_COUNT(TOKEN_TYPES) == AI_METRICS_TOKEN_TYPE_COUNT, "a name for each");

static void add_tokens(struct metrics_registry *registry, struct ai_metrics *series)
{
    for (uint32_t i = 0; i < AI_METRICS_TOKEN_TYPE_COUNT; i++)
        series->tokens[i] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_ai_tokens_total",
            metrics_text(registry, "type=\"%s\"", TOKEN_TYPES[i]),
            "Tokens that models have used; cached ones are input, reasoning ones output, too.");
    for (uint32_t i = 0; i < AI_METRICS_USAGE_TYPE_COUNT; i++)
        series->token_usage[i] = metrics_add_histogram(
            registry, METRIC_UNIT_NONE, "weir_ai_call_tokens",
            metrics_text(registry, "type=\"%s\"", TOKEN_TYPES[i]), "Tokens of one call to a model.",
            TOKEN_BOUNDS, ARRAY_COUNT(TOKEN_BOUNDS));
}

void ai_metrics_add(struct metrics_registry *registry, struct ai_metrics *ret_series)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(STATES); i++)
        ret_series->runs[STATES[i]] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_ai_runs_total",
            metrics_text(registry, "state=\"%s\"", ai_run_state_name(STATES[i]).data),
            "Attempts of AI runs by what the run is after them.");
    for (uint32_t i = AI_RUN_ERROR_INPUT; i < AI_RUN_ERROR_COUNT; i++)
        ret_series->errors[i] =
            metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_ai_errors_total",
                               metrics_text(registry, "error=\"%s\"", ai_run_error_name(i).data),
                               "Attempts of AI runs that failed, by why.");
    add_tokens(registry, ret_series);
    ret_series->cost = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_ai_cost_micro_usd_total", "",
        "What models have cost by the prices set, in millionths of a USD.");
    ret_series->repairs =
        metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_ai_repairs_total", "",
                           "Answers of models that had to be corrected.");
    ret_series->call_duration = metrics_add_histogram(
        registry, METRIC_UNIT_SECONDS, "weir_ai_call_duration_seconds", "", "One call to a model.",
        DURATION_BOUNDS, ARRAY_COUNT(DURATION_BOUNDS));
    ret_series->run_duration =
        metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "weir_ai_attempt_duration_seconds", "",
                              "One attempt at a summary, with its input and all its calls.",
                              DURATION_BOUNDS, ARRAY_COUNT(DURATION_BOUNDS));
}

void ai_metrics_count_call(const struct ai_metrics *series, struct metrics *metrics,
                           uint64_t duration_ns)
{
    metrics_observe(metrics, series->call_duration, duration_ns);
}

void ai_metrics_count_usage(const struct ai_metrics *series, struct metrics *metrics,
                            const struct chat_response *response, uint64_t cost_micro_usd)
{
    const uint32_t tokens[AI_METRICS_TOKEN_TYPE_COUNT] = {
        response->input_tokens, response->output_tokens, response->cached_tokens,
        response->reasoning_tokens};

    for (uint32_t i = 0; i < AI_METRICS_TOKEN_TYPE_COUNT; i++) {
        if (tokens[i] == CHAT_TOKENS_UNKNOWN)
            continue;
        metrics_add(metrics, series->tokens[i], tokens[i]);
        if (i < AI_METRICS_USAGE_TYPE_COUNT)
            metrics_observe(metrics, series->token_usage[i], tokens[i]);
    }
    if (cost_micro_usd != TOKEN_COST_UNKNOWN)
        metrics_add(metrics, series->cost, cost_micro_usd);
}

void ai_metrics_count_repair(const struct ai_metrics *series, struct metrics *metrics)
{
    metrics_add(metrics, series->repairs, 1);
}

void ai_metrics_count_attempt(const struct ai_metrics *series, struct metrics *metrics,
                              const struct ai_run_attempt *attempt, enum ai_run_state state)
{
    uint64_t took_ms = attempt->ended_ms - min_u64(attempt->started_ms, attempt->ended_ms);

    assert(state == AI_RUN_QUEUED || state == AI_RUN_SUCCEEDED || state == AI_RUN_FAILED);
    metrics_add(metrics, series->runs[state], 1);
    if (attempt->error != AI_RUN_ERROR_NONE)
        metrics_add(metrics, series->errors[attempt->error], 1);
    metrics_observe(metrics, series->run_duration, took_ms * 1000000);
}
