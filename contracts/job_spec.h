/*
 * Job spec: a job as a client asks for it, validated.
 *
 *     {"kind", "payload"?, "key"?, "delay_seconds"? | "run_at"?, "priority"?, "max_attempts"?,
 *      "timeout_seconds"?, "deadline_seconds"?, "unique"?: "text" | {"key", "mode"?, "seconds"?,
 *      "max_wait_seconds"?}}
 *
 * and in a flow also "name", "after"? and "on_failure"? (flow_spec.h). Members of other names
 * are refused. payload is any JSON, kept byte for byte; null, or left out, is null; for all
 * others null stands for left out. Seconds may have a fraction.
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "runtime/base.h"

enum {
    JOB_SPEC_COUNT_MAX = 100, /* jobs of a batch or flow */
    JOB_SPEC_KIND_SIZE_MAX = 64,
    JOB_SPEC_NAME_SIZE_MAX = 64, /* of a flow's job */
    JOB_SPEC_KEY_SIZE_MAX = 255, /* serial key, unique key: bytes after decoding */
    JOB_SPEC_PRIORITY_MAX = 7,
    JOB_SPEC_PRIORITY_DEFAULT = 3,
    JOB_SPEC_ATTEMPTS_MAX = 255,
    JOB_SPEC_AFTER_COUNT_MAX = 64,
    JOB_SPEC_TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000,
};

/* The longest delay, deadline or unique window: 366 days. */
static const uint64_t JOB_SPEC_DELAY_MS_MAX = UINT64_C(366) * 24 * 60 * 60 * 1000;

enum job_spec_unique {
    JOB_SPEC_UNIQUE_SINGLETON, /* while one with this key lives, the next is a duplicate */
    JOB_SPEC_UNIQUE_THROTTLE,  /* for so many seconds the first is the only one */
    JOB_SPEC_UNIQUE_DEBOUNCE,  /* the last one runs, so many seconds after it came */
    JOB_SPEC_UNIQUE_NONE,
};

enum job_spec_on_failure {
    JOB_SPEC_ON_FAILURE_FAIL,
    JOB_SPEC_ON_FAILURE_CONTINUE,
    JOB_SPEC_ON_FAILURE_IGNORE,
    JOB_SPEC_ON_FAILURE_NONE, /* it comes after nothing */
};

/* Borrows from the text it was read from. Times in milliseconds; 0: not asked for. */
struct job_spec {
    uint8_t kind_size;
    char kind[JOB_SPEC_KIND_SIZE_MAX];
    uint8_t priority;
    uint8_t max_attempts; /* 0: the queue's */
    uint8_t unique;       /* enum job_spec_unique */
    uint8_t on_failure;   /* enum job_spec_on_failure */
    uint16_t after_count;
    uint32_t timeout_ms;          /* 0: the queue's */
    struct slice payload;         /* raw */
    struct json_value key;        /* a string of 1 to JOB_SPEC_KEY_SIZE_MAX bytes, or JSON_ABSENT */
    struct json_value unique_key; /* the same */
    struct json_value name;       /* a string of 1 to JOB_SPEC_NAME_SIZE_MAX bytes; flows only */
    struct slice after;           /* raw array of after_count strings */
    uint64_t delay_ms;
    uint64_t run_at_ms; /* unix */
    uint64_t deadline_ms;
    uint64_t unique_ms;          /* THROTTLE: the window. DEBOUNCE: the wait */
    uint64_t unique_wait_max_ms; /* DEBOUNCE: run then though more keep coming */
};

enum job_spec_result {
    JOB_SPEC_OK,
    JOB_SPEC_INVALID,   /* well-formed JSON, but issues were added */
    JOB_SPEC_TRUNCATED, /* the reader's JSON_TRUNCATED */
    JOB_SPEC_BAD_JSON,  /* the reader's JSON_BAD */
};

/* True for 1 to JOB_SPEC_KIND_SIZE_MAX of a-z 0-9 . _ - that do not begin with "weir.". */
MUST_USE bool job_kind_is_valid(struct slice kind);

/* The member that holds the jobs of a batch or flow: for problem.array_key. */
struct slice job_spec_array_key(void);

/*
 * Reads a body that is one job. *ret_reader tells where and why it is not JSON. Nothing of
 * *ret_spec is meaningful unless JOB_SPEC_OK.
 */
MUST_USE enum job_spec_result job_spec_read(struct slice body, uint32_t depth_max,
                                            struct issue_list *issues,
                                            struct json_reader *ret_reader,
                                            struct job_spec *ret_spec);

/*
 * Reads {"jobs":[...]} of 1 to JOB_SPEC_COUNT_MAX jobs, with the members of a flow's jobs when
 * in_flow. As job_spec_read() otherwise; *ret_count of ret_specs[] were filled in.
 */
MUST_USE enum job_spec_result job_spec_read_list(struct slice body, uint32_t depth_max,
                                                 bool in_flow, struct issue_list *issues,
                                                 struct json_reader *ret_reader,
                                                 struct job_spec ret_specs[JOB_SPEC_COUNT_MAX],
                                                 uint32_t *ret_count);
