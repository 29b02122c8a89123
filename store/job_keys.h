/*
 * Job keys: jobs with the same serial key, one after the other, for job_*.c.
 *
 * A job enters its key when it becomes ready for the first time, in the order of
 * becoming ready, and holds it until it has ended: while it stands in its FIFO, is
 * leased, or waits for its next attempt. No more than the queue's key_concurrency hold
 * a key; the others rest with it, in order. O(1).
 */
#pragma once

#include "runtime/base.h"

struct job_table;

/* The job belongs to this key of its queue; its place in the order is order. */
void job_keys_attach(struct job_table *table, uint32_t index, struct slice key, uint64_t order);

/* A QUEUED job: true when it holds its key or has none; else it rests with it now. */
bool job_keys_enter(struct job_table *table, uint32_t index);

/* It holds its key, however many do: it did before the process ended. */
void job_keys_hold(struct job_table *table, uint32_t index);

/* A resting job rests no longer. */
void job_keys_leave(struct job_table *table, uint32_t index);

/* The job has ended or is replaced: gives its key to the next and forgets it. */
void job_keys_end(struct job_table *table, uint32_t index);

/* False when as many of its key are leased as may be: then it rests again, as the first. */
bool job_keys_may_lease(struct job_table *table, uint32_t index);

/* A lease of the job has begun or ended. */
void job_keys_begin_lease(struct job_table *table, uint32_t index);
void job_keys_end_lease(struct job_table *table, uint32_t index);

/* True when the job is where its key says it should be: for the auditor. */
bool job_keys_check(const struct job_table *table, uint32_t index);

/* Reserves and frees what job_keys.c needs. 0 or -ENOMEM. */
MUST_USE int job_keys_init(struct job_table *table, uint32_t job_count_max);

/* The same for so many jobs instead, no fewer than before. 0 or -ENOMEM. Start-up only. */
MUST_USE int job_keys_extend(struct job_table *table, uint32_t job_count_max);
