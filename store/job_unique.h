/*
 * Job unique: who owns a unique key, for job_*.c.
 *
 * The owner of a key is the last job that was admitted under it: in its queue, or, for
 * IDEMPOTENCY, in its project. SINGLETON and DEBOUNCE own it while they live, THROTTLE and
 * IDEMPOTENCY until their window is over, whatever became of the job. O(1).
 */
#pragma once

#include "store/job_table.h"

struct job_extra;

/* Reserves the table of keys. 0 or -ENOMEM. */
MUST_USE int job_unique_init(struct job_table *table, uint32_t job_count_max);

/*
 * What becomes of a job with this head: JOB_ADMITTED when nothing is in its way, else
 * JOB_DUPLICATE, JOB_REPLACES, JOB_CONFLICT or JOB_IN_FLIGHT with the job that is.
 */
MUST_USE enum job_admission job_unique_judge(const struct job_table *table, uint32_t queue,
                                             const struct job_image_header *header, uint64_t now_ms,
                                             uint32_t *ret_index);

/* The job owns the key that its JOB names, if it names one. */
void job_unique_take(struct job_table *table, uint32_t index,
                     const struct job_image_header *header);

/* The job owns its key no longer. It may be that it did not. */
void job_unique_drop(struct job_table *table, uint32_t index);

/* True when the job will own its key also when it has ended. */
bool job_unique_outlives(const struct job_extra *extra, uint64_t now_ms);
