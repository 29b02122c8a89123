/*
 * A hash table of jobs by (queue, unique key), chained through struct job_extra; the key of
 * a request is looked up in all queues of its project. The key is a keyed hash of what the
 * client sent, so it needs no hash of its own. An owner whose claim is over stays until the
 * next comes: only looking decides.
 */
#include "store/job_unique.h"

#include "runtime/sim_point.h"
#include "store/job_table_internals.h"

int job_unique_init(struct job_table *table, uint32_t job_count_max)
{
    return job_buckets_init(&table->by_unique, job_count_max);
}

static struct job_extra *extra_at(const struct job_table *table, uint32_t extra)
{
    return job_pool_at(&table->extras, extra);
}

/* A key is one of its queue; that of a request is one of the project, whatever the kind. */
static bool is_in_scope(const struct job_table *table, const struct job_extra *extra,
                        uint32_t queue, uint8_t unique)
{
    uint32_t owner = job_at(table, extra->job)->queue;

    if ((unique == JOB_UNIQUE_IDEMPOTENCY) != (extra->unique == JOB_UNIQUE_IDEMPOTENCY))
        return false;
    if (unique != JOB_UNIQUE_IDEMPOTENCY)
        return owner == queue;
    return table->queues[owner].tenant == table->queues[queue].tenant;
}

/* The extra of the owner, 0 when there is none. */
static uint32_t find_owner(const struct job_table *table, uint32_t queue,
                           const struct job_image_header *header)
{
    const uint64_t *key = header->unique_key;
    uint32_t at = *job_buckets_head(&table->by_unique, key[0]);

    while (at != 0) {
        const struct job_extra *extra = extra_at(table, at);

        if (extra->unique_key[0] == key[0] && extra->unique_key[1] == key[1] &&
            is_in_scope(table, extra, queue, header->unique))
            break;
        at = extra->unique_next;
    }
    return at;
}

/* True when the owner still stands in the way of others. */
static bool owner_stands(const struct job *job, const struct job_extra *extra, uint64_t now_ms)
{
    if (extra->unique == JOB_UNIQUE_THROTTLE || extra->unique == JOB_UNIQUE_IDEMPOTENCY)
        return now_ms < extra->unique_until_ms;
    if (extra->unique == JOB_UNIQUE_SINGLETON)
        return !job_is_terminal(job);
    /* One that has started is no longer the one to be replaced. */
    return job->state == JOB_PENDING || job->state == JOB_WAITING ||
           (job->state == JOB_SCHEDULED && job->attempt == 0);
}

enum job_admission job_unique_judge(const struct job_table *table, uint32_t queue,
                                    const struct job_image_header *header, uint64_t now_ms,
                                    uint32_t *ret_index)
{
    const struct job_extra *extra;
    const struct job *job;
    uint32_t owner;

    if (header->unique == JOB_UNIQUE_NONE)
        return JOB_ADMITTED;
    owner = find_owner(table, queue, header);
    if (owner == 0)
        return JOB_ADMITTED;
    extra = extra_at(table, owner);
    job = job_at(table, extra->job);
    if (!owner_stands(job, extra, now_ms))
        return JOB_ADMITTED;
    /* A dead letter's key goes with it to the job that replays it. */
    if ((header->flags & JOB_FLAG_IS_REPLAY) != 0 && header->link == job->id_low)
        return JOB_ADMITTED;
    *ret_index = extra->job;
    if (header->unique == JOB_UNIQUE_IDEMPOTENCY && header->body_hash != extra->body_hash) {
        SOMETIMES("an idempotency key comes with another body");
        return JOB_CONFLICT;
    }
    if (job->state == JOB_PENDING)
        return JOB_IN_FLIGHT;
    if (header->unique != JOB_UNIQUE_DEBOUNCE || extra->unique != JOB_UNIQUE_DEBOUNCE ||
        job->state != JOB_SCHEDULED)
        return JOB_DUPLICATE;
    return job_has(job, JOB_BIT_COMMITTING) ? JOB_IN_FLIGHT : JOB_REPLACES;
}

static void push(struct job_table *table, uint32_t *head, uint32_t at)
{
    extra_at(table, at)->unique_next = *head;
    *head = at;
}

static void split(struct job_table *table, uint32_t *old)
{
    uint32_t at = *old;

    *old = 0;
    while (at != 0) {
        uint32_t next = extra_at(table, at)->unique_next;

        push(table, job_buckets_head(&table->by_unique, extra_at(table, at)->unique_key[0]), at);
        at = next;
    }
}

void job_unique_take(struct job_table *table, uint32_t index, const struct job_image_header *header)
{
    uint32_t queue = job_at(table, index)->queue, owner;
    uint32_t *old;
    struct job_extra *extra;

    if (header->unique == JOB_UNIQUE_NONE || (header->flags & JOB_FLAG_LAPSED) != 0)
        return;
    if (table->is_recovering && MUTANT("job_unique_lost_on_recovery"))
        return;
    job_unique_drop(table, index);
    owner = find_owner(table, queue, header);
    if (owner != 0) {
        SOMETIMES("a unique key gets a new owner");
        job_unique_drop(table, extra_at(table, owner)->job);
    }
    extra = job_extra_make(table, index);
    extra->unique = header->unique;
    memcpy(extra->unique_key, header->unique_key, sizeof(extra->unique_key));
    extra->unique_until_ms = header->unique_until_ms;
    extra->unique_wait_ms = header->unique_wait_ms;
    extra->body_hash = header->body_hash;
    extra->is_unique_owner = true;
    push(table, job_buckets_head(&table->by_unique, extra->unique_key[0]),
         job_at(table, index)->extra);
    old = job_buckets_grow(&table->by_unique);
    if (old != NULL)
        split(table, old);
}

void job_unique_drop(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_of(table, job);
    uint32_t *at;

    if (extra == NULL || !extra->is_unique_owner)
        return;
    at = job_buckets_head(&table->by_unique, extra->unique_key[0]);
    while (*at != job->extra)
        at = &extra_at(table, *at)->unique_next;
    *at = extra->unique_next;
    job_buckets_shrink(&table->by_unique);
    extra->unique = JOB_UNIQUE_NONE;
    memset(extra->unique_key, 0, sizeof(extra->unique_key));
    extra->unique_until_ms = 0;
    extra->unique_wait_ms = 0;
    extra->body_hash = 0;
    extra->unique_next = 0;
    extra->is_unique_owner = false;
}

bool job_unique_outlives(const struct job_extra *extra, uint64_t now_ms)
{
    if (MUTANT("job_unique_forgotten"))
        return false;
    return extra->is_unique_owner && now_ms < extra->unique_until_ms &&
           (extra->unique == JOB_UNIQUE_THROTTLE || extra->unique == JOB_UNIQUE_IDEMPOTENCY);
}
