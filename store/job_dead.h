/*
 * Job dead: the order in which the dead letters of the job table stand. Included by
 * store/job_*.c only.
 *
 * By the time of death, then by age, then, of those with a serial key, by their place
 * behind it: so that letters of one key are replayed in the order in which they ran, and
 * a page of them goes on where the last one ended whatever has come or gone meanwhile.
 */
#pragma once

#include "store/job_table_internals.h"

/* A death may come this many places before the end; see job_dead_add(). */
enum { JOB_DEAD_STEP_MAX = 65536 };

/*
 * The job, which is DEAD and in no list, is a dead letter. While the log is read they stand
 * in its order. When the clock has been set back so far that more than JOB_DEAD_STEP_MAX
 * seem to die later, it stands where looking for its place ended.
 */
void job_dead_add(struct job_table *table, uint32_t index);

/* Everything has been read: puts them in order. */
void job_dead_sort(struct job_table *table);
