/*
 * Job flow: which job comes after which, for job_*.c.
 *
 * An edge leads from a job to one that comes after it. When a job ends, its edges are
 * followed, a bounded number at a time (job_flow_work()): the other one then waits for
 * one less, and one more has failed when it ended dead or cancelled. An edge from a
 * failed job stays until the later job has ended too: its JOB in the log names the
 * failed one, which must be remembered for as long as that matters.
 *
 * Recovery may read a job before those that it comes after, which were carried forward:
 * for these an entry is made in state PENDING that is nobody's yet. If only the end of
 * such a job is still in the log, the entry learns that too (JOB_BIT_FAILED).
 */
#pragma once

#include "store/job_table.h"

/* Reserves the edges. 0 or -ENOMEM. */
MUST_USE int job_flow_init(struct job_table *table, uint32_t job_count_max);

/* Reserves what job_count_max jobs may have, no fewer than before. 0 or -ENOMEM. Start-up only. */
MUST_USE int job_flow_extend(struct job_table *table, uint32_t job_count_max);

/* True when there are places for one that comes after count others, admitted or not. */
bool job_flow_has_places(const struct job_table *table, uint32_t count);

/* True when a job that comes after count others may be admitted. */
bool job_flow_has_room(const struct job_table *table, uint32_t count);

/*
 * The job comes after those that its JOB names; those that are not known have completed.
 * 0, -ENOSPC when there are no places, or -EBADMSG when it comes after itself.
 */
MUST_USE int job_flow_attach(struct job_table *table, uint32_t index,
                             const struct job_image *image);

/* The job has ended: those that come after it will be told. */
void job_flow_tell(struct job_table *table, uint32_t index);

/* Follows up to step_max edges of jobs that have ended. */
void job_flow_work(struct job_table *table, uint32_t step_max);

/* True when job_flow_work() has something to do. */
bool job_flow_has_work(const struct job_table *table);

/* A WAITING job: lets it go, or has it failed, when there is nothing to wait for. */
void job_flow_settle(struct job_table *table, uint32_t index);

/* The job has ended or is replaced: it comes after nothing any more. */
void job_flow_end_waiting(struct job_table *table, uint32_t index);

/* True while other jobs come after it. */
bool job_flow_is_needed(const struct job_table *table, uint32_t index);

/* The job is forgotten: nothing comes after it any more. */
void job_flow_forget(struct job_table *table, uint32_t index);
