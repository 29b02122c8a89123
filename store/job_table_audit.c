/*
 * The auditor: a slow look at everything, a few entries at a time.
 *
 * What one entry can show is checked at once: its place in the heap, its neighbours in its
 * list, its locations. Sums are compared at the end of a round in which nothing changed,
 * which is any round that one call completes.
 */
#include "runtime/sim_point.h"
#include "store/job_flow.h"
#include "store/job_heap.h"
#include "store/job_keys.h"
#include "store/job_table_internals.h"

/* --- one entry --------------------------------------------------------------------- */

/* A SCHEDULED or LEASED job must be in the heap: or it would never be heard of again. */
static uint32_t check_heap(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    if (job->state != JOB_SCHEDULED && job->state != JOB_LEASED)
        return 0;
    if (job_heap_has(table, job_heap_entry(index, JOB_HEAP_STATE)))
        return 0;
    if (table->is_recovering)
        return 0;
    job->heap_index = 0;
    job_heap_add(table, job_heap_entry(index, JOB_HEAP_STATE));
    return 1;
}

static uint32_t check_timer(struct job_table *table, uint32_t index)
{
    const struct job_extra *extra = job_extra_of(table, job_at(table, index));
    uint32_t entry = job_heap_entry(index, JOB_HEAP_TIMER);

    if (extra == NULL || table->is_recovering)
        return 0;
    if (extra->timer_ms == 0)
        return extra->timer_index == 0 && extra->deadline_ms == 0 ? 0 : 1;
    return job_heap_has(table, entry) ? 0 : 1;
}

/* Its neighbours know it. */
static uint32_t check_links(const struct job_table *table, uint32_t index, uint32_t first,
                            uint32_t last)
{
    const struct job *job = job_at(table, index);
    uint32_t found = job->previous == 0 ? first : job_at(table, job->previous)->next;
    uint32_t back = job->next == 0 ? last : job_at(table, job->next)->previous;

    return found == index && back == index ? 0 : 1;
}

static uint32_t check_lists(const struct job_table *table, uint32_t index)
{
    const struct job *job = job_at(table, index);
    const struct job_queue *queue = job_queue_of(table, job);
    bool is_linked = job_has(job, JOB_BIT_LINKED);

    if (table->is_recovering)
        return 0;
    if (job->state == JOB_QUEUED && is_linked)
        return check_links(table, index, queue->first[job->priority], queue->last[job->priority]);
    /* One that is in no list waits for what is being written about it. */
    if (job->state == JOB_QUEUED)
        return job_has(job, JOB_BIT_RESTING | JOB_BIT_COMMITTING) ? 0 : 1;
    if (job->state == JOB_DEAD && is_linked && !job_has(job, JOB_BIT_REPLAYED))
        return check_links(table, index, table->dead.first, table->dead.last);
    return 0;
}

static uint32_t check_location(const struct job_table *table, struct journal_location location,
                               const uint64_t oldest_seq[SEGMENT_LOG_MAX + 1])
{
    (void)table;
    if (location.bits == 0)
        return 0;
    return journal_location_seq(location) >= oldest_seq[journal_location_log(location)] ? 0 : 1;
}

static uint32_t check_locations(const struct job_table *table, uint32_t index,
                                const uint64_t oldest_seq[SEGMENT_LOG_MAX + 1])
{
    const struct job *job = job_at(table, index);
    const struct job_extra *extra = job_extra_of(table, job);
    uint32_t count = check_location(table, job->location, oldest_seq);

    for (uint32_t i = 0; extra != NULL && i < JOB_TEXT_COUNT; i++)
        count += check_location(table, extra->texts[i], oldest_seq);
    return count;
}

/* Nothing waits for what has come. */
static uint32_t check_waiting(const struct job_table *table, uint32_t index)
{
    const struct job *job = job_at(table, index);
    const struct job_extra *extra = job_extra_of(table, job);

    if (job->state != JOB_WAITING || table->is_recovering)
        return 0;
    if (job_has(job, JOB_BIT_FAILED))
        return 0;
    return extra != NULL && extra->first_after != 0 && extra->after_pending > 0 ? 0 : 1;
}

/* Counts what one check has found, and passes it on. */
static uint32_t note(struct job_table *table, enum job_check check, uint32_t mismatch_count)
{
    table->tally.mismatch_counts[check] += mismatch_count;
    return mismatch_count;
}

static uint32_t check_entry(struct job_table *table, uint32_t index,
                            const uint64_t oldest_seq[SEGMENT_LOG_MAX + 1])
{
    bool keys_agree = job_keys_check(table, index) || table->is_recovering;

    return note(table, JOB_CHECK_DUE, check_heap(table, index) + check_timer(table, index)) +
           note(table, JOB_CHECK_LISTS, check_lists(table, index)) +
           note(table, JOB_CHECK_LOCATIONS, check_locations(table, index, oldest_seq)) +
           note(table, JOB_CHECK_FLOWS, check_waiting(table, index)) +
           note(table, JOB_CHECK_KEYS, keys_agree ? 0 : 1);
}

/* --- sums ---------------------------------------------------------------------------- */

static void add_up(struct job_table *table, uint32_t index)
{
    const struct job *job = job_at(table, index);
    const struct job_extra *extra = job_extra_of(table, job);
    struct job_audit *audit = &table->audit;

    if (job_has(job, JOB_BIT_REPLAYED))
        audit->replayed_count++;
    else
        audit->counts[job->state]++;
    if (job->state == JOB_QUEUED && job_has(job, JOB_BIT_LINKED))
        audit->linked_count++;
    audit->live_bytes += job->units * (uint64_t)JOB_SIZE_UNIT;
    if ((job->state == JOB_SCHEDULED || job->state == JOB_LEASED) && job->heap_index != 0)
        audit->timer_count++;
    if (extra == NULL)
        return;
    audit->timer_count += extra->timer_index != 0 ? 1 : 0;
    for (uint32_t i = 0; i < JOB_TEXT_COUNT; i++)
        audit->live_bytes += extra->text_units[i] * (uint64_t)JOB_SIZE_UNIT;
}

/* Permits are held by leases and by nothing else. */
static uint32_t check_permits(const struct job_table *table)
{
    uint32_t mismatch_count = 0;
    uint64_t ready_count = 0, of_queues = 0, of_tenants = 0;

    for (uint32_t i = 0; i < table->queue_count; i++) {
        const struct job_queue *queue = &table->queues[i];

        mismatch_count += queue->permit_count == queue->counts[JOB_LEASED] ? 0 : 1;
        ready_count += queue->ready_count;
        of_queues += queue->permit_count;
    }
    for (uint32_t i = 0; i < table->tenant_count; i++)
        of_tenants += table->tenants[i].permit_count;
    mismatch_count += of_queues == of_tenants ? 0 : 1;
    return mismatch_count + (ready_count == table->audit.linked_count ? 0 : 1);
}

static uint32_t check_sums(const struct job_table *table)
{
    const struct job_audit *audit = &table->audit;
    uint64_t job_count = audit->replayed_count, known_count = table->dropped_count;
    uint32_t mismatch_count = check_permits(table);

    for (uint32_t i = 0; i < JOB_STATE_COUNT; i++) {
        mismatch_count += audit->counts[i] == table->counts[i] ? 0 : 1;
        job_count += audit->counts[i];
        known_count += i == JOB_PENDING ? 0 : audit->counts[i];
    }
    mismatch_count += job_count == table->jobs.count ? 0 : 1;
    mismatch_count += known_count == table->accepted_count ? 0 : 1;
    mismatch_count += audit->counts[JOB_DEAD] == table->dead.count ? 0 : 1;
    mismatch_count += audit->live_bytes == table->live_bytes ? 0 : 1;
    if (!table->is_recovering)
        mismatch_count += audit->timer_count == table->heap_count ? 0 : 1;
    return mismatch_count;
}

uint32_t job_table_audit(struct job_table *table, uint32_t step_max,
                         const uint64_t oldest_seq[SEGMENT_LOG_MAX + 1], bool *ret_round_done)
{
    struct job_audit *audit = &table->audit;
    uint32_t mismatch_count = 0;
    uint64_t end;

    assert(table->magic == JOB_TABLE_MAGIC);
    if (audit->cursor == 0)
        *audit = (struct job_audit){.change_count = table->change_count};
    end = min_u64(table->jobs.used, (uint64_t)audit->cursor + step_max);
    while (audit->cursor < end) {
        uint32_t index = ++audit->cursor;

        if (job_at(table, index)->state == JOB_FREE)
            continue;
        mismatch_count += check_entry(table, index, oldest_seq);
        add_up(table, index);
    }
    *ret_round_done = audit->cursor >= table->jobs.used;
    if (!*ret_round_done)
        return mismatch_count;
    if (audit->change_count == table->change_count) {
        mismatch_count += note(table, JOB_CHECK_SUMS, check_sums(table));
        table->tally.compared_count++;
    }
    table->tally.round_count++;
    audit->cursor = 0;
    return mismatch_count;
}

void job_table_audit_tally(const struct job_table *table, struct job_audit_tally *ret_tally)
{
    *ret_tally = table->tally;
    ret_tally->is_between = table->audit.cursor == 0;
}
