#include "runtime/policy_presets.h"

enum {
    S = 1000,
    MIN = 60 * S,
    H = 60 * MIN,
    LEASE_MS = 30 * S,    /* where the original has none */
    DEADLINE_MS = 60 * S, /* the same */
};

/*
 * Numbers of jobs at a time and times that an original states stand here too; what it
 * does not state is weir's own. lease_ms is a lease without a sign of life, so for the
 * systems that renewed nothing it is their whole lease.
 */
static const struct policy_preset PRESETS[] = {
    {
        .name = "default",
        .retry = {.max_attempts = 8,
                  .base_ms = 1 * S,
                  .cap_ms = 300 * S,
                  .factor = 2,
                  .jitter = RETRY_JITTER_FULL},
        .breaker = {.consecutive_failures = 5,
                    .failure_percent = 50,
                    .window_calls = 20,
                    .window_calls_min = 20,
                    .open_ms = 30 * S,
                    .probe_count = 1,
                    .probe_successes = 1},
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "ai-job",
        .retry = {.max_attempts = 3, .base_ms = 5 * S, .cap_ms = 120 * S, .factor = 2},
        .concurrency = 1,
        .lease_ms = 120 * S,
        .deadline_ms = 90 * S,
    },
    {
        .name = "order-integration",
        .retry = {.max_attempts = 3, .base_ms = 1 * S, .cap_ms = RETRY_NO_CAP, .factor = 2},
        .breaker = {.consecutive_failures = 5,
                    .interval_ms = 30 * S,
                    .open_ms = 60 * S,
                    .probe_count = 3,
                    .probe_successes = 3},
        .concurrency = 1,
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "pg-boss",
        .retry = {.max_attempts = 3},
        .concurrency = 1,
        .lease_ms = 15 * MIN,
        .deadline_ms = 15 * MIN,
    },
    {
        .name = "bullmq",
        .retry = {.max_attempts = 1},
        .concurrency = 1,
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "helpdesk-sla-monitor",
        .retry = {.max_attempts = 2, .base_ms = 60 * S, .cap_ms = 60 * S, .factor = 1},
        .concurrency = 1,
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "helpdesk-escalation",
        .retry = {.max_attempts = 3, .base_ms = 5 * S, .cap_ms = RETRY_NO_CAP, .factor = 2},
        .concurrency = 5,
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "helpdesk-assignment",
        .retry = {.max_attempts = 3, .base_ms = 5 * S, .cap_ms = RETRY_NO_CAP, .factor = 2},
        .concurrency = 5,
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "helpdesk-notification",
        .retry = {.max_attempts = 5, .base_ms = 5 * S, .cap_ms = RETRY_NO_CAP, .factor = 2},
        .concurrency = 10,
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "opsdesk-webhook",
        .retry = {.max_attempts = 3,
                  .schedule_count = 4,
                  .schedule_ms = {5 * MIN, 30 * MIN, 120 * MIN, 360 * MIN}},
        .lease_ms = LEASE_MS,
        .deadline_ms = DEADLINE_MS,
    },
    {
        .name = "webhook",
        .retry = {.max_attempts = 10,
                  .jitter = RETRY_JITTER_PROPORTIONAL,
                  .jitter_percent = 20,
                  .retry_after_cap_ms = 24 * H,
                  .schedule_count = 9,
                  .schedule_ms = {5 * S, 5 * MIN, 30 * MIN, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H,
                                  24 * H}},
        .breaker = {.consecutive_failures = 5,
                    .failure_percent = 50,
                    .window_calls = 20,
                    .window_calls_min = 20,
                    .open_ms = 30 * S,
                    .open_ms_cap = 900 * S,
                    .open_factor = 2,
                    .open_jitter_percent = 20,
                    .probe_count = 1,
                    .probe_successes = 3},
        .concurrency = 8,
        .lease_ms = LEASE_MS,
        .deadline_ms = 15 * S,
    },
};

const struct policy_preset *policy_presets_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(PRESETS); i++)
        if (slice_equal(slice_of(PRESETS[i].name), name))
            return &PRESETS[i];
    return NULL;
}

const struct policy_preset *policy_presets_default(void)
{
    return &PRESETS[0];
}

const struct policy_preset *policy_presets_all(uint32_t *ret_count)
{
    *ret_count = ARRAY_COUNT(PRESETS);
    return PRESETS;
}
