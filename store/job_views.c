/*
 * What the table shows of its jobs: copies, made from an entry and its extra.
 *
 * job_table_describe() is the other half of reading a JOB: what it says must make the
 * same job again after a restart, but for the lease, which dies with the process.
 */
#include "runtime/sim_point.h"
#include "store/job_table_internals.h"

bool job_table_find(const struct job_table *table, uint64_t id_low, struct job_ref *ret_ref)
{
    uint32_t index = job_lookup(table, id_low);

    if (index == 0)
        return false;
    *ret_ref = (struct job_ref){index};
    return true;
}

static uint8_t max_attempts_of(const struct job_table *table, const struct job *job)
{
    const struct job_queue_retry *retry = &job_queue_of(table, job)->settings.retry;

    if (job->max_attempts != 0)
        return (uint8_t)job->max_attempts;
    return retry->is_set && retry->max_attempts != 0 ? retry->max_attempts
                                                     : table->config.retry.max_attempts;
}

/* Where a text is: in a record of its own, in the JOB, or nowhere. */
static struct journal_location text_location(const struct job *job, const struct job_extra *extra,
                                             enum job_text text)
{
    if (extra->texts[text].bits == 0 && (extra->job_texts >> text & 1) != 0)
        return job->location;
    return extra->texts[text];
}

static void view_extra(const struct job *job, const struct job_extra *extra, struct job_view *view)
{
    view->crash_count = extra->crash_count;
    view->reason = (enum job_dead_reason)extra->reason;
    view->leased_ms = extra->leased_ms;
    view->ready_ms = extra->ready_ms;
    view->first_failed_ms = extra->first_failed_ms;
    view->deadline_ms = extra->deadline_ms;
    view->link = extra->link;
    view->last_epoch = extra->last_epoch;
    view->after_failed_count = extra->after_failed;
    view->first_error = text_location(job, extra, JOB_TEXT_FIRST_ERROR);
    view->last_error = text_location(job, extra, JOB_TEXT_LAST_ERROR);
    view->result = text_location(job, extra, JOB_TEXT_RESULT);
    view->progress = text_location(job, extra, JOB_TEXT_PROGRESS);
}

void job_table_view(const struct job_table *table, struct job_ref ref, struct job_view *ret_view)
{
    const struct job *job = job_at(table, ref.index);
    const struct job_extra *extra = job_extra_of(table, job);

    assert(job->state != JOB_FREE);
    *ret_view = (struct job_view){
        .ref = ref,
        .id_low = job->id_low,
        .queue = job_queue_of(table, job),
        .state = (enum job_state)job->state,
        .is_committing = job_has(job, JOB_BIT_COMMITTING),
        .is_replayed = job_has(job, JOB_BIT_REPLAYED),
        .is_replay = job_has(job, JOB_BIT_IS_REPLAY),
        .priority = job->priority,
        .attempt = job->attempt,
        .max_attempts = max_attempts_of(table, job),
        .created_ms = job->created_ms,
        .when_ms = job->when_ms,
        .location = job->location,
    };
    if (job->state == JOB_LEASED) {
        ret_view->delivery = job->delivery;
        ret_view->epoch = (uint64_t)table->config.boot_generation << 32 | job->delivery;
    }
    if (extra != NULL)
        view_extra(job, extra, ret_view);
}

struct job_ref job_table_next(const struct job_table *table, struct job_ref ref, uint32_t step_max,
                              bool *ret_is_job)
{
    uint64_t end = min_u64(table->jobs.used, (uint64_t)ref.index + step_max);

    for (uint32_t index = ref.index + 1; index <= end; index++)
        if (job_at(table, index)->state != JOB_FREE) {
            *ret_is_job = true;
            return (struct job_ref){index};
        }
    *ret_is_job = false;
    return end == table->jobs.used ? JOB_REF_NONE : (struct job_ref){(uint32_t)end};
}

static void describe_extra(const struct job_extra *extra, struct job_image_header *header)
{
    header->deadline_ms = extra->deadline_ms;
    header->link = extra->link;
    header->first_failed_ms = extra->first_failed_ms;
    header->timeout_ms = extra->timeout_ms;
    header->crash_count = extra->crash_count;
    header->reason = extra->reason;
    header->on_failure = extra->on_failure;
    header->after_failed_count = extra->after_failed;
    memcpy(header->order, &extra->order, sizeof(header->order));
    /* A key that another job owns by now must not come back with this one. */
    if (!extra->is_unique_owner)
        return;
    memcpy(header->unique_key, extra->unique_key, sizeof(header->unique_key));
    header->unique_until_ms = extra->unique_until_ms;
    header->unique_wait_ms = extra->unique_wait_ms;
    header->body_hash = extra->body_hash;
    header->unique = extra->unique;
}

void job_table_describe(const struct job_table *table, struct job_ref ref,
                        struct job_image_header *ret_header)
{
    const struct job *job = job_at(table, ref.index);
    const struct job_extra *extra = job_extra_of(table, job);

    assert(job->state != JOB_FREE);
    *ret_header = (struct job_image_header){
        .id_low = job->id_low,
        .created_ms = job->created_ms,
        .state = job->state == JOB_LEASED ? JOB_QUEUED : (uint8_t)job->state,
        .priority = job->priority,
        .attempt = job->attempt,
        .max_attempts = job->max_attempts,
        .flags = JOB_FLAG_CARRIED,
    };
    if (job_has(job, JOB_BIT_REPLAYED))
        ret_header->flags |= JOB_FLAG_REPLAYED;
    if (job_has(job, JOB_BIT_IS_REPLAY))
        ret_header->flags |= JOB_FLAG_IS_REPLAY;
    if (extra != NULL)
        describe_extra(extra, ret_header);
    if (job->state == JOB_COMPLETED && !job_has(job, JOB_BIT_IS_REPLAY))
        ret_header->link = job->cache;
    else if (extra != NULL && !job_has(job, JOB_BIT_IS_REPLAY | JOB_BIT_REPLAYED))
        ret_header->link = extra->last_epoch;
    if (job_is_terminal(job)) {
        ret_header->ended_ms = job->when_ms;
    } else if (job_has(job, JOB_BIT_HOLDS_KEY) && job->attempt == 0) {
        /* It was given back until later. Those behind its key must not pass it by a restart. */
        ret_header->state = JOB_QUEUED;
        ret_header->due_ms = job->created_ms;
    } else {
        ret_header->due_ms = job->state == JOB_LEASED ? extra->ready_ms : job->when_ms;
        /* What a clock that was set back has made look older stays in its place. */
        if (job->state != JOB_SCHEDULED)
            ret_header->due_ms = max_u64(ret_header->due_ms, job->created_ms);
    }
}

static bool is_up_to(struct journal_location location, uint32_t log, uint64_t seq)
{
    return location.bits != 0 && journal_location_log(location) == log &&
           journal_location_seq(location) <= seq;
}

bool job_table_rests_on(const struct job_table *table, struct job_ref ref, uint32_t log,
                        uint64_t seq)
{
    const struct job *job = job_at(table, ref.index);
    const struct job_extra *extra = job_extra_of(table, job);

    if (job->location.bits == 0 || MUTANT("job_carry_skipped"))
        return false;
    if (is_up_to(job->location, log, seq))
        return true;
    if (extra == NULL)
        return false;
    for (uint32_t i = 0; i < JOB_TEXT_COUNT; i++)
        if (is_up_to(extra->texts[i], log, seq))
            return true;
    /* What its state rests on may be in any segment of that other log. */
    return extra->is_split && journal_location_log(job->location) != log;
}

void job_table_set_cache(struct job_table *table, struct job_ref ref, uint32_t cache)
{
    struct job *job = job_at(table, ref.index);

    assert(table->magic == JOB_TABLE_MAGIC);
    if (!job_is_terminal(job))
        job->cache = cache;
}

uint32_t job_table_cache(const struct job_table *table, struct job_ref ref)
{
    const struct job *job = job_at(table, ref.index);

    return job_is_terminal(job) ? 0 : job->cache;
}

void job_table_stats(const struct job_table *table, struct job_table_stats *ret_stats)
{
    *ret_stats = (struct job_table_stats){
        .accepted_count = table->accepted_count,
        .dropped_count = table->dropped_count,
        .stale_count = table->stale_count,
        .live_bytes = table->live_bytes,
        .timer_count = table->heap_count,
        .extra_count = table->extras.count,
        .memory_bytes =
            job_pool_touched_bytes(&table->jobs) + job_pool_touched_bytes(&table->extras) +
            job_pool_touched_bytes(&table->keys) + job_pool_touched_bytes(&table->edges) +
            ((uint64_t)table->by_id.bucket_count + table->by_unique.bucket_count +
             table->by_key.bucket_count + table->heap_count_seen) *
                sizeof(uint32_t),
    };
    memcpy(ret_stats->counts, table->counts, sizeof(ret_stats->counts));
    ret_stats->job_count_max = table->config.job_count_max;
    ret_stats->dead_count_max = table->config.dead_count_max;
}

static uint64_t sum_of_states(const uint32_t counts[JOB_STATE_COUNT])
{
    uint64_t sum = 0;

    for (uint32_t i = JOB_SCHEDULED; i < JOB_STATE_COUNT; i++)
        sum += counts[i];
    return sum;
}

void job_table_sums(const struct job_table *table, struct job_table_sums *ret_sums)
{
    *ret_sums = (struct job_table_sums){
        .accepted_count = table->accepted_count,
        .state_count = sum_of_states(table->counts),
        .dropped_count = table->dropped_count,
        .leased_count = table->counts[JOB_LEASED],
    };
    for (uint32_t i = 0; i < table->queue_count; i++) {
        const struct job_queue *queue = &table->queues[i];

        ret_sums->queue_accepted_count += queue->accepted_count;
        ret_sums->queue_state_count += sum_of_states(queue->counts);
        ret_sums->queue_dropped_count += queue->dropped_count;
        ret_sums->queue_permit_count += queue->permit_count;
    }
    for (uint32_t i = 0; i < table->tenant_count; i++)
        ret_sums->project_permit_count += table->tenants[i].permit_count;
}
