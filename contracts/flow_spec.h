/*
 * Flow spec: jobs that come after one another, named by their sender.
 *
 *     {"jobs":[{"name":"a", ... a job (job_spec.h) ...},
 *              {"name":"b", ..., "after":["a"], "on_failure":"fail"}]}
 *
 * on_failure says what becomes of a job when one that it comes after ends dead or
 * cancelled: "fail" it too, "continue" and tell it, "ignore"; there is no default.
 * Names are resolved, and the jobs put in an order in which each comes after earlier ones
 * only. The jobs of a flow bring no "unique", and none with "after" a time of its own.
 */
#pragma once

#include "contracts/job_spec.h"

enum { FLOW_SPEC_CYCLE_SIZE_MAX = 512 };

/* About 40 KiB: not for the stack of a deep call. Borrows from the body. */
struct flow_spec {
    uint32_t count;
    uint32_t cycle_size;                       /* above 0: they wait for each other */
    struct job_spec specs[JOB_SPEC_COUNT_MAX]; /* as they were sent */
    uint8_t order[JOB_SPEC_COUNT_MAX];         /* the n-th to be made */
    uint8_t place[JOB_SPEC_COUNT_MAX];         /* its opposite */
    uint8_t after[JOB_SPEC_COUNT_MAX][JOB_SPEC_AFTER_COUNT_MAX]; /* indexes of specs */
    char cycle[FLOW_SPEC_CYCLE_SIZE_MAX]; /* "a -> b -> a": each comes after the next */
};

/*
 * Reads a body that is one flow. JOB_SPEC_INVALID with a cycle_size above 0 and no issue:
 * the jobs are in order one by one, but form a cycle. Otherwise as job_spec_read_list().
 */
MUST_USE enum job_spec_result flow_spec_read(struct slice body, uint32_t depth_max,
                                             struct issue_list *issues,
                                             struct json_reader *ret_reader,
                                             struct flow_spec *ret_flow);
