/*
 * Lease spec: what a worker asks for and reports, validated.
 *
 *     lease     {"limit"?: 1..100 (1), "wait_seconds"?: 0..30 (0), "lease_seconds"?: 5..3600 (30),
 *                "complete"?: [ ... up to 100 as below]}
 *     outcomes  {"jobs": [1..100 of {"id", "epoch", "result"?}
 *                             or of {"id", "epoch", "error", "retryable"?,
 *                                    "retry_after_seconds"?}]}
 *     complete  {"epoch", "result"?}
 *     fail      {"epoch", "error", "retryable"?: true, "retry_after_seconds"?}
 *     extend    {"epoch", "lease_seconds"?: 5..3600 (30), "progress"?: JSON of up to 1 KiB}
 *
 * An epoch is read as a string of digits, which is how it is written, and as a whole
 * number. An error is a string of any size; what is kept of it is the caller's choice.
 * Members of other names are refused; null stands for left out.
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "runtime/base.h"

enum {
    LEASE_SPEC_LIMIT_MAX = 100,
    LEASE_SPEC_FINISH_COUNT_MAX = 100,
    LEASE_SPEC_WAIT_MS_MAX = 30000,
    LEASE_SPEC_LEASE_MS_MIN = 5000,
    LEASE_SPEC_LEASE_MS_MAX = 3600000,
    LEASE_SPEC_LEASE_MS_DEFAULT = 30000,
    LEASE_SPEC_RESULT_SIZE_MAX = 1 << 16,
    LEASE_SPEC_PROGRESS_SIZE_MAX = 1024,
    LEASE_SPEC_RETRY_AFTER_MS_MAX = 24 * 60 * 60 * 1000,
};

/* One outcome. Borrows from the text. */
struct finish_spec {
    struct slice id; /* as text; empty for what cannot be an id. Not of single outcomes */
    uint64_t epoch;
    bool is_failure;
    bool is_retryable;
    uint64_t retry_after_ms; /* 0: by policy; as soon as possible is 1 */
    struct json_value error; /* a string, when is_failure */
    struct slice result;     /* raw JSON; empty: none */
};

struct lease_spec {
    uint32_t limit;
    uint32_t wait_ms;
    uint32_t lease_ms;
    uint32_t finish_count;
};

struct extend_spec {
    uint64_t epoch;
    uint32_t lease_ms;
    struct slice progress; /* raw JSON; empty: none */
};

enum lease_spec_result {
    LEASE_SPEC_OK,
    LEASE_SPEC_INVALID,  /* well-formed JSON, but issues were added */
    LEASE_SPEC_BAD_JSON, /* the reader says why */
};

/* All read a whole body; nothing of their results is meaningful unless LEASE_SPEC_OK. */

/* An empty body is a lease with all defaults. */
MUST_USE enum lease_spec_result
lease_spec_read(struct slice body, uint32_t depth_max, struct issue_list *issues,
                struct json_reader *ret_reader, struct lease_spec *ret_lease,
                struct finish_spec ret_finishes[LEASE_SPEC_FINISH_COUNT_MAX]);

/* Outcomes of many jobs. */
MUST_USE enum lease_spec_result
finish_spec_read_list(struct slice body, uint32_t depth_max, struct issue_list *issues,
                      struct json_reader *ret_reader,
                      struct finish_spec ret_finishes[LEASE_SPEC_FINISH_COUNT_MAX],
                      uint32_t *ret_count);

/* The outcome of one job: a failure when is_failure, else a completion. */
MUST_USE enum lease_spec_result finish_spec_read(struct slice body, uint32_t depth_max,
                                                 bool is_failure, struct issue_list *issues,
                                                 struct json_reader *ret_reader,
                                                 struct finish_spec *ret_finish);

/* A longer lease. */
MUST_USE enum lease_spec_result extend_spec_read(struct slice body, uint32_t depth_max,
                                                 struct issue_list *issues,
                                                 struct json_reader *ret_reader,
                                                 struct extend_spec *ret_extend);
