/*
 * Queue spec: changes to a queue's settings, validated.
 *
 *     {"concurrency"?, "key_concurrency"?, "rate_per_second"?, "burst"?, "timeout_seconds"?,
 *      "max_depth"?, "paused"?, "draining"?,
 *      "retry"?: {"base_ms", "cap_ms", "factor"?, "jitter"?: "none|proportional|full",
 *                 "max_attempts"} | {"preset": name of runtime/policy_presets.h}}
 *
 * What is left out, or null, stays as it is; 0 sets the server's default again. Members of
 * other names are refused.
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "runtime/retry.h"

enum {
    QUEUE_SPEC_CONCURRENCY_MAX = 1000000,
    QUEUE_SPEC_DEPTH_MAX = 1 << 30,
    QUEUE_SPEC_TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000,
    QUEUE_SPEC_DELAY_MS_MAX = 24 * 60 * 60 * 1000,
    QUEUE_SPEC_FACTOR_MAX = 10,
    QUEUE_SPEC_ATTEMPTS_MAX = 255,
};

/* Bits of queue_spec.given. */
enum {
    QUEUE_GIVES_CONCURRENCY = 1 << 0,
    QUEUE_GIVES_KEY_CONCURRENCY = 1 << 1,
    QUEUE_GIVES_RATE = 1 << 2,
    QUEUE_GIVES_BURST = 1 << 3,
    QUEUE_GIVES_TIMEOUT = 1 << 4,
    QUEUE_GIVES_DEPTH = 1 << 5,
    QUEUE_GIVES_PAUSED = 1 << 6,
    QUEUE_GIVES_DRAINING = 1 << 7,
    QUEUE_GIVES_RETRY = 1 << 8,
};

/* Small enough to wait beside a request. Only what given names is meaningful. */
struct queue_spec {
    uint16_t given;
    bool paused;
    bool draining;
    uint32_t concurrency;
    uint32_t key_concurrency;
    uint32_t rate_per_s;
    uint32_t burst;
    uint32_t timeout_ms;
    uint32_t depth_max;
    uint32_t retry_base_ms;
    uint32_t retry_cap_ms;
    uint8_t retry_factor;
    uint8_t retry_jitter; /* enum retry_jitter */
    uint8_t retry_max_attempts;
    uint8_t retry_preset; /* number of the preset that it was copied from + 1; 0: its own */
};

enum queue_spec_result {
    QUEUE_SPEC_OK,
    QUEUE_SPEC_INVALID,  /* well-formed JSON, but issues were added */
    QUEUE_SPEC_BAD_JSON, /* the reader says why */
};

/* Reads a whole body. Nothing of *ret_spec is meaningful unless QUEUE_SPEC_OK. */
MUST_USE enum queue_spec_result queue_spec_read(struct slice body, uint32_t depth_max,
                                                struct issue_list *issues,
                                                struct json_reader *ret_reader,
                                                struct queue_spec *ret_spec);

/* The word for a jitter. */
struct slice queue_spec_jitter_name(enum retry_jitter jitter);
