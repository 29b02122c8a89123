/*
 * One group per key of a queue for as long as a live job has it, found by a keyed hash.
 *
 * After a restart the order of a key must be what it was. Jobs become ready in the order
 * of (ready since, created, order), where order is the place in the log of a job's first
 * JOB; carrying a job forward writes its JOB again further back, so the JOB then says the
 * order in so many words. Those that had an attempt before held their key: they hold it
 * again before anybody else is looked at.
 */
#include "store/job_keys.h"

#include "contracts/siphash.h"
#include "runtime/sim_point.h"
#include "store/job_table_internals.h"

struct key_group {
    uint32_t hash_next;
    uint32_t queue;
    uint64_t hash;
    uint32_t job_count; /* live jobs that have this key */
    uint32_t holder_count;
    uint32_t leased_count;
    struct job_list resting;
};

int job_keys_init(struct job_table *table, uint32_t job_count_max)
{
    int r = job_pool_init(&table->keys, sizeof(struct key_group), job_count_max);

    return r != 0 ? r : job_buckets_init(&table->by_key, job_count_max);
}

int job_keys_extend(struct job_table *table, uint32_t job_count_max)
{
    int r = job_pool_grow(&table->keys, job_count_max);

    return r != 0 ? r : job_buckets_extend(&table->by_key, job_count_max);
}

static struct key_group *group_at(const struct job_table *table, uint32_t group)
{
    return job_pool_at(&table->keys, group);
}

/* NULL when the job has no serial key. */
static struct key_group *group_of(const struct job_table *table, const struct job *job)
{
    const struct job_extra *extra = job_extra_of(table, job);

    return extra == NULL || extra->key == 0 ? NULL : group_at(table, extra->key);
}

static uint32_t concurrency_of(const struct job_table *table, const struct key_group *group)
{
    uint32_t concurrency = table->queues[group->queue].settings.key_concurrency;

    return concurrency == 0 ? 1 : concurrency;
}

/* --- the table of groups ------------------------------------------------------ */

static uint32_t find_group(const struct job_table *table, uint64_t hash, uint32_t queue)
{
    uint32_t at = *job_buckets_head(&table->by_key, hash);

    while (at != 0 && (group_at(table, at)->hash != hash || group_at(table, at)->queue != queue))
        at = group_at(table, at)->hash_next;
    return at;
}

static void push(struct job_table *table, uint32_t *head, uint32_t at)
{
    group_at(table, at)->hash_next = *head;
    *head = at;
}

static void split(struct job_table *table, uint32_t *old)
{
    uint32_t at = *old;

    *old = 0;
    while (at != 0) {
        uint32_t next = group_at(table, at)->hash_next;

        push(table, job_buckets_head(&table->by_key, group_at(table, at)->hash), at);
        at = next;
    }
}

static uint32_t make_group(struct job_table *table, uint64_t hash, uint32_t queue)
{
    uint32_t at = job_pool_acquire(&table->keys);
    uint32_t *old;

    assert(at != 0); /* there are as many as jobs */
    group_at(table, at)->hash = hash;
    group_at(table, at)->queue = queue;
    push(table, job_buckets_head(&table->by_key, hash), at);
    old = job_buckets_grow(&table->by_key);
    if (old != NULL)
        split(table, old);
    return at;
}

static void free_group(struct job_table *table, uint32_t group)
{
    uint32_t *at = job_buckets_head(&table->by_key, group_at(table, group)->hash);

    assert(group_at(table, group)->holder_count == 0);
    assert(group_at(table, group)->leased_count == 0);
    assert(group_at(table, group)->resting.count == 0);
    while (*at != group)
        at = &group_at(table, *at)->hash_next;
    *at = group_at(table, group)->hash_next;
    job_buckets_shrink(&table->by_key);
    job_pool_release(&table->keys, group);
}

/* --- holding ------------------------------------------------------------------ */

void job_keys_attach(struct job_table *table, uint32_t index, struct slice key, uint64_t order)
{
    struct job_extra *extra = job_extra_make(table, index);
    uint32_t queue = job_at(table, index)->queue;
    uint64_t hash = siphash_64(table->config.hash_key, key);

    assert(key.size > 0);
    assert(extra->key == 0);
    extra->order = order;
    extra->key = find_group(table, hash, queue);
    if (extra->key == 0)
        extra->key = make_group(table, hash, queue);
    group_at(table, extra->key)->job_count++;
}

static bool was_enqueued_before(const struct job_table *table, uint32_t a, uint32_t b)
{
    const struct job *left = job_at(table, a), *right = job_at(table, b);

    if (left->created_ms != right->created_ms)
        return left->created_ms < right->created_ms;
    return job_extra_of(table, left)->order < job_extra_of(table, right)->order;
}

/* One that held the key rests in front, but behind others of its kind that are older. */
static void rest_again(struct job_table *table, struct key_group *group, uint32_t index)
{
    uint32_t previous = 0, next = group->resting.first;

    for (uint32_t i = 0; i < JOB_WORK_MAX && next != 0; i++) {
        if (!was_enqueued_before(table, next, index))
            break;
        previous = next;
        next = job_at(table, next)->next;
    }
    job_set(job_at(table, index), JOB_BIT_RESTING);
    job_list_insert_after(table, &group->resting, previous, index);
}

bool job_keys_enter(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct key_group *group = group_of(table, job);

    if (group == NULL || job_has(job, JOB_BIT_HOLDS_KEY))
        return true;
    if (group->holder_count < concurrency_of(table, group) && group->resting.count == 0) {
        job_keys_hold(table, index);
        return true;
    }
    SOMETIMES("a key holds back its next job");
    job_set(job, JOB_BIT_RESTING);
    if (MUTANT("job_key_order_lost"))
        job_list_push_front(table, &group->resting, index);
    else
        job_list_push_back(table, &group->resting, index);
    return false;
}

void job_keys_hold(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct key_group *group = group_of(table, job);

    if (group == NULL || job_has(job, JOB_BIT_HOLDS_KEY))
        return;
    group->holder_count++;
    job_set(job, JOB_BIT_HOLDS_KEY);
}

void job_keys_leave(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    assert(job_has(job, JOB_BIT_RESTING));
    job_list_remove(table, &group_of(table, job)->resting, index);
    job_clear(job, JOB_BIT_RESTING);
}

/* Lets those that rest hold the key, while it allows. */
static void pass_on(struct job_table *table, struct key_group *group)
{
    uint32_t concurrency = concurrency_of(table, group);

    for (uint32_t i = 0; i < JOB_WORK_MAX; i++) {
        uint32_t next = group->resting.first;

        if (next == 0 || group->holder_count >= concurrency)
            return;
        job_keys_leave(table, next);
        job_keys_hold(table, next);
        /* One that is being cancelled is next all the same, until that is certain. */
        if (!job_has(job_at(table, next), JOB_BIT_COMMITTING))
            job_link_ready(table, next, false);
    }
}

void job_keys_end(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_of(table, job);
    struct key_group *group = group_of(table, job);
    uint32_t at;

    if (group == NULL)
        return;
    assert(!job_has(job, JOB_BIT_RESTING));
    at = extra->key;
    extra->key = 0;
    /* Dead letters of one key are replayed in their order. */
    if (job->state != JOB_DEAD)
        extra->order = 0;
    group->job_count--;
    if (job_has(job, JOB_BIT_HOLDS_KEY)) {
        group->holder_count--;
        job_clear(job, JOB_BIT_HOLDS_KEY);
        pass_on(table, group);
    }
    if (group->job_count == 0)
        free_group(table, at);
}

/* --- leases ------------------------------------------------------------------- */

bool job_keys_may_lease(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct key_group *group = group_of(table, job);

    if (group == NULL || group->leased_count < concurrency_of(table, group))
        return true;
    /* More held the key than may now: its concurrency was lowered. */
    SOMETIMES("a key takes back what it had allowed");
    job_unlink_ready(table, index);
    job_clear(job, JOB_BIT_HOLDS_KEY);
    group->holder_count--;
    rest_again(table, group, index);
    return false;
}

void job_keys_begin_lease(struct job_table *table, uint32_t index)
{
    struct key_group *group = group_of(table, job_at(table, index));

    if (group != NULL)
        group->leased_count++;
}

void job_keys_end_lease(struct job_table *table, uint32_t index)
{
    struct key_group *group = group_of(table, job_at(table, index));

    if (group == NULL)
        return;
    assert(group->leased_count > 0);
    group->leased_count--;
}

bool job_keys_check(const struct job_table *table, uint32_t index)
{
    const struct job *job = job_at(table, index);
    const struct key_group *group = group_of(table, job);

    if (group == NULL)
        return !job_has(job, JOB_BIT_RESTING | JOB_BIT_HOLDS_KEY);
    if (group->leased_count > group->holder_count || group->holder_count > group->job_count)
        return false;
    /* A key at which somebody rests is held, or it would be held for ever. */
    if (job_has(job, JOB_BIT_RESTING))
        return job->state == JOB_QUEUED && group->holder_count > 0 && group->resting.count > 0;
    return (job->state != JOB_QUEUED && job->state != JOB_LEASED) ||
           job_has(job, JOB_BIT_HOLDS_KEY);
}
