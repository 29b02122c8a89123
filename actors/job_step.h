/*
 * Job step: one fact about a job that nobody asked for, on its way into the log.
 *
 * Leases that expire, deadlines that pass, jobs that fail with another, dead letters that are too
 * old, jobs blamed for a crash. Their number is bounded: who finds none leaves the job to the next
 * look. Part of the actor in job_desk.h, which it wakes when something may have become ready.
 */
#pragma once

#include "store/durable.h"
#include "store/job_table.h"

enum {
    JOB_STEP_COUNT_MAX = 1024, /* in flight */
    JOB_STEP_TEXT_MAX = 256,
    JOB_DUE_MAX = 256, /* looked at per turn */
};

struct job_desk;

/* One of them. Private to job_step.c. */
struct job_step {
    struct job_desk *desk;
    struct durable_step step;
    struct journal_record record;
    struct slice part;
    struct job_ref ref;
    uint32_t crumb; /* slot of the blamed crumb that it settles, plus 1; 0: none */
    char bytes[sizeof(struct job_fact_header) + JOB_STEP_TEXT_MAX];
};

/* Does what is due by the desk's clock, a bounded part of it. */
void job_step_do_due(struct job_desk *desk);

/* Jobs that come after one that has failed fail, too; a bounded part of them. */
void job_step_do_failed(struct job_desk *desk);

/* Dead letters that have reached their age go; a bounded part of them. */
void job_step_drop_dead(struct job_desk *desk);

/*
 * Writes BLAMED or DEAD about a job that was claimed for it; the blamed crumb in this slot is
 * picked up when it is durable.
 */
void job_step_write_blame(struct job_desk *desk, struct job_ref ref, struct job_fact_header header,
                          struct slice text, uint32_t slot);
