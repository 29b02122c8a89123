/*
 * The ways into and out of each state. Every change goes through job_leave() and one
 * job_enter_...(), so that what a state holds (a place in a list or in the due heap, a
 * permit, a serial key) is given back on every way out of it, whatever the reason.
 *
 *     SCHEDULED   in the due heap
 *     WAITING     in the failed lists, when it will have to be written DEAD
 *     QUEUED      in the FIFO of its priority, or behind its serial key, or in neither
 *                 while a fact about it is being written
 *     LEASED      in the due heap; a permit of its queue and its project
 *     COMPLETED, CANCELLED, DEAD   see job_finished.c
 *
 * A serial key is held across states: from the first time that the job may run until it
 * has ended. While recovery reads the log jobs have states only; job_table_resume() puts
 * them into their places.
 */
#include "runtime/sim_point.h"
#include "store/job_dead.h"
#include "store/job_flow.h"
#include "store/job_heap.h"
#include "store/job_keys.h"
#include "store/job_table_internals.h"
#include "store/job_unique.h"

/* --- lists ------------------------------------------------------------------- */

/* Between two neighbours; 0 is the end of the list on that side. */
static void link_between(struct job_table *table, struct job_list *list, uint32_t previous,
                         uint32_t index, uint32_t next)
{
    struct job *job = job_at(table, index);

    job->previous = previous;
    job->next = next;
    if (previous == 0)
        list->first = index;
    else
        job_at(table, previous)->next = index;
    if (next == 0)
        list->last = index;
    else
        job_at(table, next)->previous = index;
    list->count++;
}

void job_list_push_back(struct job_table *table, struct job_list *list, uint32_t index)
{
    assert(list->last == 0 || job_at(table, list->last)->next == 0);
    link_between(table, list, list->last, index, 0);
}

void job_list_push_front(struct job_table *table, struct job_list *list, uint32_t index)
{
    assert(list->first == 0 || job_at(table, list->first)->previous == 0);
    link_between(table, list, 0, index, list->first);
}

void job_list_insert_after(struct job_table *table, struct job_list *list, uint32_t previous,
                           uint32_t index)
{
    uint32_t next = previous == 0 ? list->first : job_at(table, previous)->next;

    link_between(table, list, previous, index, next);
}

void job_list_remove(struct job_table *table, struct job_list *list, uint32_t index)
{
    struct job *job = job_at(table, index);

    assert(list->count > 0);
    assert(job->previous != 0 || list->first == index);
    if (job->previous == 0)
        list->first = job->next;
    else
        job_at(table, job->previous)->next = job->next;
    if (job->next == 0)
        list->last = job->previous;
    else
        job_at(table, job->next)->previous = job->previous;
    job->previous = 0;
    job->next = 0;
    list->count--;
}

/* Both runs in one, through next alone. */
static uint32_t merge_runs(struct job_table *table, uint32_t a, uint32_t b,
                           bool (*is_before)(const struct job_table *, uint32_t, uint32_t))
{
    uint32_t first = 0, last = 0;

    while (a != 0 && b != 0) {
        uint32_t *least = is_before(table, b, a) ? &b : &a;
        uint32_t taken = *least;

        *least = job_at(table, taken)->next;
        if (last == 0)
            first = taken;
        else
            job_at(table, last)->next = taken;
        last = taken;
    }
    if (last == 0)
        return a != 0 ? a : b;
    job_at(table, last)->next = a != 0 ? a : b;
    return first;
}

/* Takes the jobs off the list that are in order already; gives what is left of it. */
static uint32_t cut_run(struct job_table *table, uint32_t first,
                        bool (*is_before)(const struct job_table *, uint32_t, uint32_t))
{
    uint32_t last = first, next = job_at(table, first)->next;

    while (next != 0 && !is_before(table, next, last)) {
        last = next;
        next = job_at(table, last)->next;
    }
    job_at(table, last)->next = 0;
    return next;
}

uint32_t job_list_sort(struct job_table *table, uint32_t first,
                       bool (*is_before)(const struct job_table *, uint32_t, uint32_t))
{
    uint32_t runs[32] = {0}; /* number n is of 2^n of the runs that were found, or of none */
    uint32_t n;

    while (first != 0) {
        uint32_t run = first;

        first = cut_run(table, run, is_before);
        for (n = 0; runs[n] != 0; n++) {
            run = merge_runs(table, runs[n], run, is_before);
            runs[n] = 0;
        }
        runs[n] = run;
    }
    for (n = 0; n < ARRAY_COUNT(runs); n++)
        first = merge_runs(table, runs[n], first, is_before);
    return first;
}

/* --- the FIFOs ---------------------------------------------------------------- */

void job_link_ready(struct job_table *table, uint32_t index, bool in_front)
{
    struct job *job = job_at(table, index);
    struct job_queue *queue = job_queue_of(table, job);
    struct job_list list = {.first = queue->first[job->priority],
                            .last = queue->last[job->priority]};

    assert(job->state == JOB_QUEUED);
    assert(!job_has(job, JOB_BIT_LINKED | JOB_BIT_RESTING));
    if (in_front)
        job_list_push_front(table, &list, index);
    else
        job_list_push_back(table, &list, index);
    queue->first[job->priority] = list.first;
    queue->last[job->priority] = list.last;
    queue->ready_count++;
    job_set(job, JOB_BIT_LINKED);
    job_queue_wake(table, queue);
}

void job_unlink_ready(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_queue *queue = job_queue_of(table, job);
    struct job_list list = {.first = queue->first[job->priority],
                            .last = queue->last[job->priority],
                            .count = queue->ready_count};

    assert(job->state == JOB_QUEUED);
    assert(job_has(job, JOB_BIT_LINKED));
    job_list_remove(table, &list, index);
    queue->first[job->priority] = list.first;
    queue->last[job->priority] = list.last;
    queue->ready_count = list.count;
    job_clear(job, JOB_BIT_LINKED);
}

/* --- states ------------------------------------------------------------------ */

void job_set_state(struct job_table *table, uint32_t index, enum job_state state)
{
    struct job *job = job_at(table, index);
    struct job_queue *queue = job_queue_of(table, job);

    assert(!job_has(job, JOB_BIT_REPLAYED));
    assert(table->counts[job->state] > 0);
    assert(queue->counts[job->state] > 0);
    table->counts[job->state]--;
    queue->counts[job->state]--;
    job->state = (uint64_t)state & 0xf;
    table->counts[state]++;
    queue->counts[state]++;
}

void job_set_timer(struct job_table *table, uint32_t index, uint64_t timer_ms)
{
    struct job_extra *extra = job_extra_of(table, job_at(table, index));
    uint32_t entry = job_heap_entry(index, JOB_HEAP_TIMER);

    if (timer_ms == 0) {
        if (extra != NULL && extra->timer_index != 0)
            job_heap_remove(table, entry);
        if (extra != NULL)
            extra->timer_ms = 0;
        return;
    }
    if (extra == NULL)
        extra = job_extra_make(table, index);
    extra->timer_ms = timer_ms;
    if (extra->timer_index == 0)
        job_heap_add(table, entry);
    else
        job_heap_update(table, entry);
}

static void leave_leased(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_of(table, job);

    job_heap_remove(table, job_heap_entry(index, JOB_HEAP_STATE));
    job->delivery = 0;
    extra->leased_ms = 0;
    extra->ready_ms = 0;
    job_keys_end_lease(table, index);
    job_queue_give_permit(table, job_queue_of(table, job));
}

/* The list in which a linked job of this state stands. */
static struct job_list *list_of(struct job_table *table, const struct job *job)
{
    const struct job_extra *extra = job_extra_of(table, job);

    if (job->state == JOB_WAITING)
        return extra->is_failed_later ? &table->failed_later : &table->failed;
    if (job->state == JOB_DEAD && !job_has(job, JOB_BIT_REPLAYED))
        return &table->dead;
    if (job_has(job, JOB_BIT_FOREIGN) && !table->old_logs_gone)
        return &table->foreign;
    return table->is_recovering && job->state == JOB_CANCELLED ? &table->failed_read
                                                               : &table->finished;
}

void job_leave(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    switch ((enum job_state)job->state) {
    case JOB_SCHEDULED:
        if (job->heap_index != 0)
            job_heap_remove(table, job_heap_entry(index, JOB_HEAP_STATE));
        break;
    case JOB_QUEUED:
        if (job_has(job, JOB_BIT_LINKED))
            job_unlink_ready(table, index);
        if (job_has(job, JOB_BIT_RESTING))
            job_keys_leave(table, index);
        break;
    case JOB_LEASED:
        leave_leased(table, index);
        break;
    case JOB_WAITING:
    case JOB_COMPLETED:
    case JOB_DEAD:
    case JOB_CANCELLED:
        if (job_has(job, JOB_BIT_LINKED))
            job_list_remove(table, list_of(table, job), index);
        if (job->extra != 0)
            job_extra_of(table, job)->is_failed_later = false;
        job_clear(job, JOB_BIT_LINKED | JOB_BIT_FAILED);
        break;
    case JOB_PENDING:
        job_clear(job, JOB_BIT_FAILED);
        break;
    case JOB_FREE:
    case JOB_STATE_COUNT:
        assert(false);
    }
    job_clear(job, JOB_BIT_OVERDUE);
    job->next = 0;
    job->previous = 0;
}

void job_set_foreign(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    bool moves =
        job_is_terminal(job) && job_has(job, JOB_BIT_LINKED) && list_of(table, job) != &table->dead;

    if (job_has(job, JOB_BIT_FOREIGN))
        return;
    if (moves) {
        job_list_remove(table, list_of(table, job), index);
        job_clear(job, JOB_BIT_LINKED);
    }
    job_set(job, JOB_BIT_FOREIGN);
    if (moves)
        job_remember(table, index);
}

void job_enter_scheduled(struct job_table *table, uint32_t index, uint64_t when_ms)
{
    struct job *job = job_at(table, index);

    job_set_state(table, index, JOB_SCHEDULED);
    job_set_when(job, when_ms);
    /* What is due already gets its place from resume, with all the others. */
    if (!table->is_recovering && !(table->is_resuming && when_ms <= table->now_ms))
        job_heap_add(table, job_heap_entry(index, JOB_HEAP_STATE));
}

void job_enter_queued(struct job_table *table, uint32_t index, uint64_t ready_ms, bool in_front)
{
    struct job *job = job_at(table, index);

    if (table->is_resuming) {
        /* All of them enter again from the due heap, in the order in which they became ready. */
        job_enter_scheduled(table, index, ready_ms);
        return;
    }
    job_set_state(table, index, JOB_QUEUED);
    job_set_when(job, ready_ms);
    if (table->is_recovering || !job_keys_enter(table, index))
        return;
    /* What is being cancelled is not handed out meanwhile. */
    if (!job_has(job, JOB_BIT_COMMITTING))
        job_link_ready(table, index, in_front);
}

void job_enter_terminal(struct job_table *table, uint32_t index, enum job_state state,
                        uint64_t ended_ms)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra;

    assert(state >= JOB_COMPLETED);
    job_set_state(table, index, state);
    job_set_when(job, ended_ms);
    job->cache = 0;
    job_set_timer(table, index, 0);
    job_keys_end(table, index);
    job_flow_end_waiting(table, index);
    extra = job_extra_of(table, job);
    if (extra != NULL) {
        extra->deadline_ms = 0;
        extra->timeout_ms = 0;
        if (!job_unique_outlives(extra, table->now_ms))
            job_unique_drop(table, index);
        else
            SOMETIMES("a unique key outlives its job");
    }
    if (state == JOB_DEAD) {
        job_dead_add(table, index);
    } else {
        job_note_no_payload(table, index);
        job_remember(table, index);
    }
    job_flow_tell(table, index);
    job_extra_trim(table, index);
}
