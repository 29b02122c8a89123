/*
 * What is remembered of jobs that have ended, and for how long.
 *
 *     COMPLETED, CANCELLED, replayed  finished: FIFO, bounded by count and age
 *     DEAD                            dead letters: FIFO; leave by REPLAYED or DROPPED only
 *
 * A dead letter keeps its payload, for its replay. The others are carried without it, and
 * what it takes in the log does not count as alive: else whoever sends an Idempotency-Key with
 * each job would keep a day of payloads on the disk.
 *
 * One at the end of its time is not forgotten yet
 *
 *     while its records are in two logs    the number of shards was changed, and if the log
 *                                          with its end went first, the other one would
 *                                          bring it back to life: it waits in a list of its
 *                                          own for job_table_old_logs_gone()
 *     while jobs that come after it live   they must know how it ended: the last of them
 *                                          takes it along. While the log is read they may
 *                                          still be to come, so nothing that was cancelled
 *                                          or dropped is forgotten then
 *     while its unique key is in force     the due heap wakes it at the end of the window
 */
#include "runtime/sim_point.h"
#include "store/job_flow.h"
#include "store/job_heap.h"
#include "store/job_table_internals.h"
#include "store/job_unique.h"

static bool is_kept_for_logs(const struct job_table *table, const struct job *job)
{
    return job_has(job, JOB_BIT_FOREIGN) && !table->old_logs_gone;
}

void job_remember(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    assert(!job_has(job, JOB_BIT_LINKED));
    if (is_kept_for_logs(table, job)) {
        SOMETIMES("a job with records in two logs is remembered");
        job_list_push_back(table, &table->foreign, index);
    } else if (table->is_recovering && job->state == JOB_CANCELLED) {
        job_list_push_back(table, &table->failed_read, index);
    } else {
        job_list_push_back(table, &table->finished, index);
    }
    job_set(job, JOB_BIT_LINKED);
}

void job_mark_replayed(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_queue *queue = job_queue_of(table, job);

    assert(job->state == JOB_DEAD);
    assert(!job_has(job, JOB_BIT_REPLAYED));
    job_leave(table, index);
    queue->counts[JOB_DEAD]--;
    queue->dropped_count++;
    table->counts[JOB_DEAD]--;
    table->dropped_count++;
    job_set(job, JOB_BIT_REPLAYED);
    job_remember(table, index);
}

void job_retire(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_of(table, job);

    assert(job_is_terminal(job));
    assert(!job_has(job, JOB_BIT_LINKED));
    if (is_kept_for_logs(table, job)) {
        job_remember(table, index);
        return;
    }
    if (job_flow_is_needed(table, index)) {
        SOMETIMES("a finished job is kept for those that come after it");
        extra->is_held = true;
        return;
    }
    if (extra != NULL && job_unique_outlives(extra, table->now_ms)) {
        SOMETIMES("a finished job is kept for its unique key");
        job_set_timer(table, index, extra->unique_until_ms);
        return;
    }
    job_forget(table, index);
}

/*
 * More than spare beyond the bound are remembered, or this one has been for long enough, or a
 * start has found more jobs than are admitted.
 */
static bool is_past(const struct job_table *table, const struct job *job, uint32_t spare)
{
    return table->finished.count > (uint64_t)table->config.finished_count_max + spare ||
           table->jobs.count > table->config.job_count_max ||
           (table->config.finished_ms != 0 &&
            table->now_ms >= job->when_ms + table->config.finished_ms);
}

/* What forgetting the next two will touch: most ended long ago, and are far away in memory. */
static void expect_next(const struct job_table *table)
{
    const struct job *job;

    if (table->finished.first == 0)
        return;
    job = job_at(table, table->finished.first);
    job_table_expect(table, job->id_low, false);
    if (job->next != 0)
        __builtin_prefetch(job_at(table, job->next));
}

static void retire_some(struct job_table *table, uint32_t step_max, uint32_t spare)
{
    for (uint32_t i = 0; i < step_max && table->finished.first != 0; i++) {
        uint32_t index = table->finished.first;
        struct job *job = job_at(table, index);

        /* While a fact about it is being written it is named by a claim. */
        if (!is_past(table, job, spare) || job_has(job, JOB_BIT_COMMITTING))
            return;
        job_list_remove(table, &table->finished, index);
        job_clear(job, JOB_BIT_LINKED);
        expect_next(table);
        job_retire(table, index);
    }
}

void job_retire_some(struct job_table *table, uint32_t step_max)
{
    retire_some(table, step_max, 0);
}

void job_retire_crowd(struct job_table *table)
{
    assert(!table->is_recovering);
    retire_some(table, 2, JOB_SPARE_FINISHED);
}

/*
 * Reading back must not hold more than ever was there at a time. But how long something
 * was kept depended on when there was time to tidy: what is far too much goes, and the
 * rest when all is read.
 */
void job_retire_read(struct job_table *table)
{
    if (table->finished.count > 2 * (uint64_t)table->config.finished_count_max + JOB_SPARE_FINISHED)
        job_retire_some(table, 2);
}

/* The list that is left when the older of both firsts is taken out again and again. */
static void merge(struct job_table *table, struct job_list *into, struct job_list *from)
{
    struct job_list merged = {.first = 0};

    while (into->count + from->count > 0) {
        bool takes = into->first == 0 ||
                     (from->first != 0 &&
                      job_at(table, from->first)->when_ms < job_at(table, into->first)->when_ms);
        struct job_list *list = takes ? from : into;
        uint32_t index = list->first;

        job_list_remove(table, list, index);
        job_list_push_back(table, &merged, index);
    }
    *into = merged;
}

void job_remember_read(struct job_table *table)
{
    uint32_t next;

    assert(!table->is_recovering);
    for (uint32_t index = table->failed_read.first; index != 0; index = next) {
        struct job *job = job_at(table, index);

        next = job->next;
        if (!job_has(job, JOB_BIT_FAILED))
            continue;
        job_list_remove(table, &table->failed_read, index);
        job_clear(job, JOB_BIT_FAILED | JOB_BIT_LINKED);
        job_retire(table, index);
    }
    merge(table, &table->finished, &table->failed_read);
}

void job_table_tidy(struct job_table *table, uint64_t now_ms)
{
    job_table_enter(table, now_ms);
    job_flow_work(table, JOB_WORK_MAX);
    job_retire_some(table, JOB_SPARE_FINISHED);
}

void job_table_old_logs_gone(struct job_table *table)
{
    struct job_list *finished = &table->finished, *foreign = &table->foreign;

    job_table_enter(table, table->now_ms);
    if (table->old_logs_gone)
        return;
    table->old_logs_gone = true;
    if (foreign->count == 0)
        return;
    /* In front of the others: most of them are older. */
    job_at(table, foreign->last)->next = finished->first;
    if (finished->first != 0)
        job_at(table, finished->first)->previous = foreign->last;
    else
        finished->last = foreign->last;
    finished->first = foreign->first;
    finished->count += foreign->count;
    *foreign = (struct job_list){.first = 0};
}

struct job_ref job_table_expired_dead(struct job_table *table, uint64_t now_ms)
{
    uint32_t index = table->dead.first;

    job_table_enter(table, now_ms);
    if (table->config.dead_ms == 0)
        return JOB_REF_NONE;
    for (uint32_t i = 0; i < JOB_WORK_MAX && index != 0; i++) {
        const struct job *job = job_at(table, index);

        if (now_ms < job->when_ms + table->config.dead_ms)
            break;
        if (!job_has(job, JOB_BIT_COMMITTING))
            return (struct job_ref){index};
        index = job->next;
    }
    return JOB_REF_NONE;
}

struct job_ref job_table_next_dead(const struct job_table *table, struct job_ref ref)
{
    const struct job *job;

    if (ref.index == 0)
        return (struct job_ref){table->dead.first};
    job = job_at(table, ref.index);
    if (job->state != JOB_DEAD || job_has(job, JOB_BIT_REPLAYED))
        return JOB_REF_NONE;
    return (struct job_ref){job->next};
}
