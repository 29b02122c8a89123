/*
 * What time brings, and what has to be done now.
 *
 * Nothing here acts by itself: the owner asks job_table_next_due_ms() when to ask again.
 * What the owner cannot do now (the log has no room, there are too many dead letters) is
 * named again after JOB_AGAIN_MS. Jobs about which a fact is being written are left
 * alone; their time is remembered in case the fact is refused.
 */
#include "runtime/sim_point.h"
#include "store/job_dead.h"
#include "store/job_flow.h"
#include "store/job_heap.h"
#include "store/job_keys.h"
#include "store/job_table_internals.h"

/* --- due ------------------------------------------------------------------------ */

static void postpone(struct job_table *table, uint32_t index)
{
    job_set_when(job_at(table, index), table->now_ms + JOB_AGAIN_MS);
    job_heap_update(table, job_heap_entry(index, JOB_HEAP_STATE));
}

/* The time of its state is over. */
static enum job_due end_of_state(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    uint64_t when_ms = job->when_ms;

    if (job_has(job, JOB_BIT_COMMITTING)) {
        job_set(job, JOB_BIT_OVERDUE);
        postpone(table, index);
        return JOB_DUE_NONE;
    }
    if (job->state == JOB_LEASED) {
        postpone(table, index);
        return MUTANT("job_expiry_forgotten") ? JOB_DUE_NONE : JOB_DUE_EXPIRED;
    }
    assert(job->state == JOB_SCHEDULED);
    job_leave(table, index);
    job_enter_queued(table, index, when_ms, false);
    return JOB_DUE_READY;
}

/* Its deadline has passed, or, when it has ended, its unique window is over. */
static enum job_due end_of_timer(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    if (job_is_terminal(job)) {
        job_set_timer(table, index, 0);
        job_retire(table, index);
        return JOB_DUE_NONE;
    }
    job_set_timer(table, index, table->now_ms + JOB_AGAIN_MS);
    if (job_has(job, JOB_BIT_COMMITTING))
        return JOB_DUE_NONE;
    SOMETIMES("a deadline passes");
    return JOB_DUE_DEADLINE;
}

static void name_failed_again(struct job_table *table)
{
    for (uint32_t i = 0; i < JOB_WORK_MAX && table->failed_later.first != 0; i++) {
        uint32_t index = table->failed_later.first;

        job_list_remove(table, &table->failed_later, index);
        job_extra_of(table, job_at(table, index))->is_failed_later = false;
        job_list_push_back(table, &table->failed, index);
    }
}

enum job_due job_table_due(struct job_table *table, uint64_t now_ms, struct job_ref *ret_ref)
{
    job_table_enter(table, now_ms);
    assert(!table->is_recovering);
    job_flow_work(table, JOB_WORK_MAX);
    if (table->failed_later.count > 0 && table->now_ms >= table->failed_later_ms)
        name_failed_again(table);
    for (uint32_t i = 0; i < JOB_WORK_MAX; i++) {
        uint32_t entry = job_heap_first(table), index = entry / 2;
        enum job_due due;

        if (entry == 0 || job_heap_time(table, entry) > table->now_ms)
            return JOB_DUE_NONE;
        due = entry % 2 == JOB_HEAP_STATE ? end_of_state(table, index) : end_of_timer(table, index);
        if (due != JOB_DUE_NONE) {
            *ret_ref = (struct job_ref){index};
            return due;
        }
    }
    return JOB_DUE_NONE;
}

void job_table_reschedule(struct job_table *table, struct job_ref ref, uint64_t now_ms,
                          uint64_t due_ms)
{
    struct job *job = job_at(table, ref.index);

    job_table_enter(table, now_ms);
    assert(job->state == JOB_SCHEDULED);
    if (job_has(job, JOB_BIT_COMMITTING))
        return;
    job_leave(table, ref.index);
    if (due_ms > table->now_ms)
        job_enter_scheduled(table, ref.index, due_ms);
    else
        job_enter_queued(table, ref.index, table->now_ms, false);
    job_extra_trim(table, ref.index);
}

uint64_t job_table_next_due_ms(const struct job_table *table)
{
    uint64_t due_ms = UINT64_MAX;

    if (job_flow_has_work(table))
        return table->now_ms;
    if (table->heap_count > 0)
        due_ms = job_heap_time(table, job_heap_first(table));
    if (table->failed_later.count > 0)
        due_ms = min_u64(due_ms, table->failed_later_ms);
    return due_ms;
}

struct job_ref job_table_next_failed(struct job_table *table)
{
    job_table_enter(table, table->now_ms);
    job_flow_work(table, JOB_WORK_MAX);
    while (table->failed.first != 0) {
        uint32_t index = table->failed.first;
        struct job *job = job_at(table, index);

        job_list_remove(table, &table->failed, index);
        job_clear(job, JOB_BIT_LINKED);
        /* If what is being written is refused, it comes again. */
        if (!job_has(job, JOB_BIT_COMMITTING))
            return (struct job_ref){index};
    }
    return JOB_REF_NONE;
}

/* --- after recovery ---------------------------------------------------------------- */

/* Entries that were made for jobs of which nothing has come: they have ended. */
static void end_expected(struct job_table *table)
{
    for (uint32_t i = 1; i <= table->jobs.used; i++)
        if (job_at(table, i)->state == JOB_PENDING)
            job_flow_tell(table, i);
    job_flow_work(table, UINT32_MAX);
    for (uint32_t i = 1; i <= table->jobs.used; i++)
        if (job_at(table, i)->state == JOB_PENDING)
            job_forget(table, i);
}

/* A live job takes its place; QUEUED ones enter again, when all the others are there. */
static void place(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    uint64_t when_ms = job->when_ms;

    switch ((enum job_state)job->state) {
    case JOB_QUEUED:
        if (job->attempt > 0)
            job_keys_hold(table, index);
        job_leave(table, index);
        /* It was ready, by whatever clock: one that was set back must not hold it up. */
        job_enter_scheduled(table, index, min_u64(when_ms, table->now_ms));
        return;
    case JOB_SCHEDULED:
        if (job->attempt > 0 && !MUTANT("job_key_not_held_on_recovery"))
            job_keys_hold(table, index);
        if (when_ms > table->now_ms && MUTANT("job_due_dropped_on_recovery"))
            return;
        /* One that has just been let go may be there already; ready_all() finds what is due. */
        if (job->heap_index == 0 && when_ms > table->now_ms)
            job_heap_add(table, job_heap_entry(index, JOB_HEAP_STATE));
        return;
    case JOB_WAITING:
        job_set_when(job, min_u64(when_ms, table->now_ms));
        job_flow_settle(table, index);
        return;
    case JOB_FREE:
    case JOB_PENDING:
    case JOB_LEASED:
    case JOB_COMPLETED:
    case JOB_DEAD:
    case JOB_CANCELLED:
    case JOB_STATE_COUNT:
        return;
    }
}

static bool is_ready_before(const struct job_table *table, uint32_t a, uint32_t b)
{
    return job_heap_is_before(table, job_heap_entry(a, JOB_HEAP_STATE),
                              job_heap_entry(b, JOB_HEAP_STATE));
}

/* Links all that are due already and in no heap, through next: all but in order as they stand. */
static uint32_t link_due(struct job_table *table)
{
    uint32_t first = 0, last = 0;

    for (uint32_t i = 1; i <= table->jobs.used; i++) {
        struct job *job = job_at(table, i);

        if (job->state != JOB_SCHEDULED || job->heap_index != 0 || job->when_ms > table->now_ms)
            continue;
        if (last == 0)
            first = i;
        else
            job_at(table, last)->next = i;
        last = i;
    }
    return first;
}

/* Everything that is due enters its queue, in the order in which it became ready. */
static void ready_all(struct job_table *table)
{
    uint32_t index = job_list_sort(table, link_due(table), is_ready_before);

    while (index != 0) {
        uint32_t next = job_at(table, index)->next;

        job_at(table, index)->next = 0;
        (void)end_of_state(table, index);
        index = next;
    }
    for (;;) {
        uint32_t entry = job_heap_first(table);

        if (entry == 0 || job_heap_time(table, entry) > table->now_ms)
            return;
        if (entry % 2 == JOB_HEAP_STATE)
            (void)end_of_state(table, entry / 2);
        else
            (void)end_of_timer(table, entry / 2);
    }
}

uint32_t job_table_resume(struct job_table *table, uint64_t now_ms)
{
    job_table_enter(table, now_ms);
    assert(table->is_recovering);
    table->is_recovering = false;
    job_ids_settle(table);
    /* The log may have been written under a clock that ran ahead. */
    table->now_ms = now_ms;
    job_remember_read(table);
    table->resume_ms = table->now_ms;
    table->is_resuming = true;
    end_expected(table);
    job_dead_sort(table);
    for (uint32_t i = 1; i <= table->jobs.used; i++)
        place(table, i);
    job_flow_work(table, UINT32_MAX);
    table->is_resuming = false;
    ready_all(table);
    for (uint32_t i = 1; i <= table->jobs.used && !MUTANT("job_deadline_lost_on_recovery"); i++) {
        struct job *job = job_at(table, i);

        if (job->state != JOB_FREE && !job_is_terminal(job) && job->extra != 0)
            job_set_timer(table, i, job_extra_of(table, job)->deadline_ms);
    }
    if (table->jobs.count > table->config.job_count_max)
        job_retire_some(table, table->jobs.count - table->config.job_count_max);
    return table->counts[JOB_SCHEDULED] + table->counts[JOB_WAITING] + table->counts[JOB_QUEUED];
}
