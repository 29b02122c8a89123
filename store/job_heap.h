/*
 * Job heap: which job is due next, for job_*.c.
 *
 * A job has up to two entries: one for its state (the end of its delay, its retry or its
 * lease: job.when_ms) and one of its own (its deadline; when it has ended, the end of its
 * unique window: job_extra.timer_ms). An entry is job index * 2 + which. Equal times come
 * in the order of creation. O(log n).
 */
#pragma once

#include "runtime/base.h"

struct job_table;

enum { JOB_HEAP_STATE = 0, JOB_HEAP_TIMER = 1 };

/* The entry of a job. */
static inline uint32_t job_heap_entry(uint32_t index, uint32_t which)
{
    return index * 2 + which;
}

/* Adds the entry, which must not be there. */
void job_heap_add(struct job_table *table, uint32_t entry);

/* Takes the entry out. */
void job_heap_remove(struct job_table *table, uint32_t entry);

/* Its time has changed. */
void job_heap_update(struct job_table *table, uint32_t entry);

/* The first entry; 0: the heap is empty. */
uint32_t job_heap_first(const struct job_table *table);

/* True when entry a is due before entry b; neither need be in the heap. */
bool job_heap_is_before(const struct job_table *table, uint32_t a, uint32_t b);

/* When the entry is due. */
uint64_t job_heap_time(const struct job_table *table, uint32_t entry);

/* True when the entry is where the job says it is. */
bool job_heap_has(const struct job_table *table, uint32_t entry);
