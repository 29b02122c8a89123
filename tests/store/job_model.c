/*
 * Everything is found by looking at all jobs that are not forgotten yet. Where the table
 * has lists, a job has a position, and the first is the one with the lowest: new ones go
 * behind all others, those that are given back in front of them.
 */
#include "job_model.h"

enum { POSITION_STEP = 1 << 20 };

struct model_job *model_job(struct job_model *model, uint64_t id)
{
    assert(id > 0 && id <= model->count);
    return &model->jobs[id - 1];
}

static bool is_terminal(const struct model_job *job)
{
    return job->state >= JOB_COMPLETED;
}

static bool has_failed(const struct model_job *job)
{
    return job->state == JOB_DEAD || job->state == JOB_CANCELLED;
}

#define EACH(job)                                                                                  \
    (struct model_job *job = &model->jobs[model->first]; job < &model->jobs[model->count]; job++)

uint32_t model_count(const struct job_model *model, uint32_t queue, enum job_state state)
{
    uint32_t count = 0;

    for
        EACH(job)
    count += job->queue == queue && job->state == state && !job->is_replayed ? 1 : 0;
    return count;
}

/* Behind all positions given out so far, and in front of them; there is room in between. */
static int64_t back(struct job_model *model)
{
    return model->next_position += POSITION_STEP;
}

static int64_t front(struct job_model *model)
{
    return model->front_position -= POSITION_STEP;
}

/* --- forgetting ----------------------------------------------------------------- */

static bool is_needed(const struct job_model *model, const struct model_job *earlier)
{
    for
        EACH(job)
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        if (job->state != JOB_FREE && job->after[i] == earlier->id)
            return true;
    return false;
}

static bool outlives(const struct job_model *model, const struct model_job *job)
{
    return (job->unique == JOB_UNIQUE_THROTTLE || job->unique == JOB_UNIQUE_IDEMPOTENCY) &&
           model->now_ms < job->unique_until_ms;
}

static void forget(struct job_model *model, struct model_job *job)
{
    job->state = JOB_FREE;
    while (model->first < model->count && model->jobs[model->first].state == JOB_FREE)
        model->first++;
}

static void retire(struct job_model *model, struct model_job *job)
{
    job->is_linked = false;
    if (is_needed(model, job))
        job->is_held = true;
    else if (outlives(model, job))
        job->timer_ms = job->unique_until_ms;
    else
        forget(model, job);
}

static void remember(struct job_model *model, struct model_job *job)
{
    job->is_linked = true;
    job->position = back(model);
}

/* The job comes no longer after this one. */
static void end_edge(struct job_model *model, struct model_job *job, uint32_t n)
{
    struct model_job *earlier;

    if (job->after[n] == 0)
        return;
    earlier = model_job(model, job->after[n]);
    job->after[n] = 0;
    if (earlier->is_held && !is_needed(model, earlier)) {
        earlier->is_held = false;
        retire(model, earlier);
    }
}

/* False when the one that was remembered first may stay: not so many, and not so old. */
static bool retire_oldest(struct job_model *model, uint32_t count_max)
{
    struct model_job *oldest = NULL;
    uint32_t count = 0;

    for
        EACH(job)
        {
            if (!is_terminal(job) || !job->is_linked ||
                (job->state == JOB_DEAD && !job->is_replayed))
                continue;
            count++;
            if (oldest == NULL || job->position < oldest->position)
                oldest = job;
        }
    if (oldest == NULL ||
        (count <= count_max && model->now_ms < oldest->when_ms + model->config.finished_ms))
        return false;
    retire(model, oldest);
    return true;
}

void model_tidy(struct job_model *model)
{
    while (retire_oldest(model, model->config.finished_count_max))
        continue;
}

void model_retire_crowd(struct job_model *model)
{
    for (int i = 0; i < 2; i++)
        retire_oldest(model, model->config.finished_count_max + 1024);
}

/* --- keys and FIFOs ----------------------------------------------------------------- */

static uint32_t key_limit(const struct job_model *model, const struct model_job *job)
{
    uint32_t limit = model->queues[job->queue].key_concurrency;

    return limit == 0 ? 1 : limit;
}

static bool same_key(const struct model_job *a, const struct model_job *b)
{
    return a->key != 0 && a->key == b->key && a->queue == b->queue && a->state != JOB_FREE &&
           !is_terminal(a) && a->state != JOB_PENDING;
}

static uint32_t holders(const struct job_model *model, const struct model_job *like)
{
    uint32_t count = 0;

    for
        EACH(job)
    count += same_key(job, like) && job->holds_key ? 1 : 0;
    return count;
}

static struct model_job *first_resting(const struct job_model *model, const struct model_job *like)
{
    struct model_job *first = NULL;

    for
        EACH(job)
    if (same_key(job, like) && job->is_resting &&
        (first == NULL || job->position < first->position))
        first = job;
    return first;
}

static void link_ready(struct job_model *model, struct model_job *job, bool in_front)
{
    job->is_linked = true;
    job->position = in_front ? front(model) : back(model);
}

static void end_key(struct job_model *model, struct model_job *job)
{
    bool held = job->holds_key;

    job->holds_key = false;
    if (job->key == 0 || !held)
        return;
    while (holders(model, job) < key_limit(model, job)) {
        struct model_job *next = first_resting(model, job);

        if (next == NULL)
            return;
        next->is_resting = false;
        next->holds_key = true;
        if (!next->is_committing)
            link_ready(model, next, false);
    }
}

static void leave(struct model_job *job)
{
    job->is_linked = false;
    job->is_resting = false;
    job->is_overdue = false;
    job->is_failed = false;
}

static void enter_queued(struct job_model *model, struct model_job *job, uint64_t ready_ms,
                         bool in_front)
{
    bool may_hold =
        job->holds_key || job->key == 0 ||
        (holders(model, job) < key_limit(model, job) && first_resting(model, job) == NULL);

    leave(job);
    job->state = JOB_QUEUED;
    job->when_ms = ready_ms;
    if (!may_hold) {
        job->is_resting = true;
        job->position = back(model);
        return;
    }
    job->holds_key = job->key != 0;
    if (!job->is_committing)
        link_ready(model, job, in_front);
}

static void enter_scheduled(struct model_job *job, uint64_t when_ms)
{
    leave(job);
    job->state = JOB_SCHEDULED;
    job->when_ms = when_ms;
}

/* --- flows ----------------------------------------------------------------------- */

static void settle(struct job_model *model, struct model_job *job)
{
    if (job->state != JOB_WAITING || job->is_failed)
        return;
    if (job->on_failure == JOB_ON_FAILURE_FAIL && job->after_failed > 0) {
        job->is_failed = true;
        job->is_named = false;
        job->named_again_ms = 0;
        return;
    }
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        if (job->after[i] != 0 && !job->after_told[i])
            return;
    job->logged_due_ms = job->when_ms;
    if (job->when_ms > model->now_ms)
        enter_scheduled(job, job->when_ms);
    else
        enter_queued(model, job, job->when_ms, false);
}

/* One that it comes after has ended. */
static void tell(struct job_model *model, struct model_job *job, uint32_t n)
{
    struct model_job *earlier = model_job(model, job->after[n]);

    job->after_told[n] = true;
    if ((job->state == JOB_WAITING || job->state == JOB_PENDING) && earlier->when_ms > job->when_ms)
        job->when_ms = earlier->when_ms;
    if (has_failed(earlier))
        job->after_failed++;
    else
        end_edge(model, job, n);
    settle(model, job);
}

static void tell_all(struct job_model *model, const struct model_job *earlier)
{
    for
        EACH(job)
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        if (job->state != JOB_FREE && job->after[i] == earlier->id && !job->after_told[i])
            tell(model, job, i);
}

/* --- endings ---------------------------------------------------------------------- */

static void enter_terminal(struct job_model *model, struct model_job *job, enum job_state state)
{
    leave(job);
    job->state = state;
    job->when_ms = model->now_ms;
    job->timer_ms = 0;
    job->deadline_ms = 0;
    end_key(model, job);
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        end_edge(model, job, i);
    job->after_failed = 0;
    if (!outlives(model, job))
        job->unique = JOB_UNIQUE_NONE;
    if (state == JOB_DEAD)
        job->position = back(model);
    else
        remember(model, job);
    tell_all(model, job);
}

/* --- enqueueing --------------------------------------------------------------------- */

static bool stands(const struct job_model *model, const struct model_job *job)
{
    if (job->unique == JOB_UNIQUE_THROTTLE || job->unique == JOB_UNIQUE_IDEMPOTENCY)
        return model->now_ms < job->unique_until_ms;
    if (job->unique == JOB_UNIQUE_SINGLETON)
        return !is_terminal(job);
    return job->state == JOB_PENDING || job->state == JOB_WAITING ||
           (job->state == JOB_SCHEDULED && job->attempt == 0);
}

/* The keys of requests are those of the project, of which all queues are; others, of a queue. */
static bool shares_keys(const struct model_job *job, const struct model_job *ask)
{
    if ((job->unique == JOB_UNIQUE_IDEMPOTENCY) != (ask->unique == JOB_UNIQUE_IDEMPOTENCY))
        return false;
    return ask->unique == JOB_UNIQUE_IDEMPOTENCY || job->queue == ask->queue;
}

static struct model_job *owner_of(const struct job_model *model, const struct model_job *ask)
{
    for
        EACH(job)
    if (job->state != JOB_FREE && job->unique != JOB_UNIQUE_NONE && job != ask &&
        job->unique_key == ask->unique_key && shares_keys(job, ask))
        return job;
    return NULL;
}

static enum job_admission judge(const struct model_job *ask, const struct model_job *owner)
{
    if (ask->unique == JOB_UNIQUE_IDEMPOTENCY && ask->body_hash != owner->body_hash)
        return JOB_CONFLICT;
    if (owner->state == JOB_PENDING)
        return JOB_IN_FLIGHT;
    if (ask->unique != JOB_UNIQUE_DEBOUNCE || owner->unique != JOB_UNIQUE_DEBOUNCE ||
        owner->state != JOB_SCHEDULED)
        return JOB_DUPLICATE;
    return owner->is_committing ? JOB_IN_FLIGHT : JOB_REPLACES;
}

enum job_admission model_admit(struct job_model *model, const struct model_job *ask,
                               uint64_t *ret_id)
{
    struct model_job *owner = ask->unique == JOB_UNIQUE_NONE ? NULL : owner_of(model, ask), *job;
    uint32_t depth = 0;

    if (owner != NULL && stands(model, owner)) {
        enum job_admission admission = judge(ask, owner);

        *ret_id = owner->id;
        if (admission == JOB_REPLACES)
            owner->is_committing = true;
        return admission;
    }
    if ((model->queues[ask->queue].flags & JOB_QUEUE_DRAINING) != 0)
        return JOB_QUEUE_CLOSED;
    for (enum job_state state = JOB_PENDING; state <= JOB_LEASED; state++)
        depth += model_count(model, ask->queue, state);
    if (model->queues[ask->queue].depth_max != 0 && depth >= model->queues[ask->queue].depth_max)
        return JOB_QUEUE_FULL;
    assert(model->count < MODEL_JOBS_MAX);
    job = &model->jobs[model->count++];
    *job = *ask;
    job->id = model->count;
    job->state = JOB_PENDING;
    job->is_committing = true;
    if (owner != NULL)
        owner->unique = JOB_UNIQUE_NONE;
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++) {
        if (job->after[i] != 0 && model_job(model, job->after[i])->state == JOB_FREE)
            job->after[i] = 0;
        if (job->after[i] != 0 && is_terminal(model_job(model, job->after[i])))
            tell(model, job, i);
    }
    *ret_id = job->id;
    return JOB_ADMITTED;
}

void model_withdraw(struct job_model *model, uint64_t id)
{
    struct model_job *gone = model_job(model, id);

    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        end_edge(model, gone, i);
    for
        EACH(job)
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        if (job->state != JOB_FREE && job->after[i] == id) {
            job->after[i] = 0;
            settle(model, job);
        }
    forget(model, gone);
}

void model_apply_job(struct job_model *model, uint64_t id, const struct model_job *ask)
{
    struct model_job *job = model_job(model, id);
    uint64_t ready_ms = ask->when_ms != 0 ? ask->when_ms : ask->created_ms;

    job->is_committing = false;
    if (job->state != JOB_PENDING) {
        struct model_job old = *job;

        end_key(model, job);
        *job = *ask;
        job->id = id;
        job->state = old.state;
        job->holds_key = false;
    }
    job->timer_ms = job->deadline_ms;
    job->logged_due_ms = ready_ms;
    if (ask->state == JOB_SCHEDULED) {
        enter_scheduled(job, ready_ms);
    } else if (ask->state == JOB_QUEUED) {
        enter_queued(model, job, ready_ms, false);
    } else {
        job->state = JOB_WAITING;
        job->when_ms = max_u64(job->when_ms, ready_ms);
        settle(model, job);
    }
}

/* --- leases -------------------------------------------------------------------------- */

static struct model_job *choose(const struct job_model *model, uint32_t queue)
{
    struct model_job *heads[JOB_PRIORITY_COUNT] = {NULL}, *best = NULL;
    uint64_t best_class = 0;

    for
        EACH(job)
    if (job->state == JOB_QUEUED && job->is_linked && job->queue == queue &&
        (heads[job->priority] == NULL || job->position < heads[job->priority]->position))
        heads[job->priority] = job;
    for (uint32_t i = JOB_PRIORITY_COUNT; i-- > 0;) {
        uint64_t class;

        if (heads[i] == NULL)
            continue;
        class = i + (model->now_ms - heads[i]->when_ms) / JOB_AGEING_MS;
        if (best == NULL || class > best_class ||
            (class == best_class && heads[i]->when_ms < best->when_ms)) {
            best = heads[i];
            best_class = class;
        }
    }
    return best;
}

static uint32_t leased_of_key(const struct job_model *model, const struct model_job *like)
{
    uint32_t count = 0;

    for
        EACH(job)
    count += same_key(job, like) && job->state == JOB_LEASED ? 1 : 0;
    return count;
}

/* Takes the key back: in front of those that rest, but behind the older ones among the first. */
static void rest_again(struct job_model *model, struct model_job *job)
{
    int64_t previous = INT64_MIN, next;

    job->is_linked = false;
    job->holds_key = false;
    for (;;) {
        struct model_job *first = NULL;

        for
            EACH(other)
        if (same_key(other, job) && other->is_resting && other->position > previous &&
            (first == NULL || other->position < first->position))
            first = other;
        next = first == NULL ? back(model) : first->position;
        if (first == NULL || first->created_ms > job->created_ms ||
            (first->created_ms == job->created_ms && first->order > job->order))
            break;
        previous = first->position;
    }
    job->position = previous == INT64_MIN ? front(model) : previous + (next - previous) / 2;
    job->is_resting = true;
}

uint64_t model_next(struct job_model *model, uint32_t queue)
{
    const struct job_queue_settings *settings = &model->queues[queue];
    uint32_t leased = 0;

    if ((settings->flags & JOB_QUEUE_PAUSED) != 0 || choose(model, queue) == NULL)
        return 0;
    for (uint32_t i = 0; i < MODEL_QUEUES; i++)
        leased += model_count(model, i, JOB_LEASED);
    if (settings->concurrency != 0 &&
        model_count(model, queue, JOB_LEASED) >= settings->concurrency)
        return 0;
    if (model->config.tenant_concurrency != 0 && leased >= model->config.tenant_concurrency)
        return 0;
    for (;;) {
        struct model_job *job = choose(model, queue);

        if (job == NULL)
            return 0;
        if (job->key == 0 || leased_of_key(model, job) < key_limit(model, job))
            return job->id;
        rest_again(model, job);
    }
}

void model_lease(struct job_model *model, uint64_t id, uint32_t delivery, uint32_t lease_ms)
{
    struct model_job *job = model_job(model, id);

    leave(job);
    job->state = JOB_LEASED;
    job->ready_ms = job->when_ms;
    job->when_ms = model->now_ms + lease_ms;
    job->delivery = delivery;
}

void model_return(struct job_model *model, uint64_t id, uint64_t due_ms)
{
    struct model_job *job = model_job(model, id);

    if (due_ms > model->now_ms)
        enter_scheduled(job, due_ms);
    else
        enter_queued(model, job, job->ready_ms, true);
}

static enum job_claim judge_claim(const struct model_job *job, bool has_delivery, uint32_t delivery,
                                  enum job_fact_kind kind)
{
    if (job->state == JOB_PENDING)
        return JOB_CLAIM_BUSY;
    if (kind == JOB_FACT_REPLAYED || kind == JOB_FACT_DROPPED) {
        if (job->state != JOB_DEAD || (job->is_replayed && kind == JOB_FACT_DROPPED))
            return JOB_CLAIM_UNKNOWN;
        return job->is_replayed ? JOB_CLAIM_REPEATED : JOB_CLAIMED;
    }
    if (has_delivery && job->state == JOB_LEASED && job->delivery == delivery)
        return JOB_CLAIMED;
    if (has_delivery && kind == JOB_FACT_COMPLETED && job->state == JOB_COMPLETED &&
        job->delivery == delivery)
        return JOB_CLAIM_REPEATED;
    if (has_delivery)
        return JOB_CLAIM_STALE;
    if (is_terminal(job))
        return JOB_CLAIM_TERMINAL;
    if (kind != JOB_FACT_DEAD && kind != JOB_FACT_CANCELLED && kind != JOB_FACT_BLAMED &&
        job->state != JOB_LEASED)
        return JOB_CLAIM_STALE;
    return JOB_CLAIMED;
}

static uint32_t dead_count(const struct job_model *model)
{
    uint32_t count = model->dead_claimed;

    for (uint32_t i = 0; i < MODEL_QUEUES; i++)
        count += model_count(model, i, JOB_DEAD);
    return count;
}

/* It must be written DEAD and could not be. */
static void name_again(struct job_model *model, struct model_job *job)
{
    bool is_first = true;

    if (job->state != JOB_WAITING || !job->is_failed || !job->is_named || job->named_again_ms != 0)
        return;
    for
        EACH(other)
    if (other->state == JOB_WAITING && other->is_failed && other->named_again_ms != 0)
        is_first = false;
    if (is_first)
        model->failed_later_ms = model->now_ms + 1000;
    job->named_again_ms = 1;
}

enum job_claim model_claim(struct job_model *model, uint64_t id, bool has_delivery,
                           uint32_t delivery, enum job_fact_kind kind)
{
    struct model_job *job = model_job(model, id);
    enum job_claim claim = JOB_CLAIM_UNKNOWN;

    if (job->state != JOB_FREE)
        claim = judge_claim(job, has_delivery, delivery, kind);
    if (claim == JOB_CLAIMED && job->is_committing)
        claim = JOB_CLAIM_BUSY;
    if (claim == JOB_CLAIMED && kind == JOB_FACT_DEAD &&
        dead_count(model) >= model->config.dead_count_max) {
        name_again(model, job);
        claim = JOB_CLAIM_DLQ_FULL;
    }
    if (claim != JOB_CLAIMED)
        return claim;
    job->is_committing = true;
    if (job->state == JOB_QUEUED)
        job->is_linked = false;
    model->dead_claimed += kind == JOB_FACT_DEAD ? 1 : 0;
    return claim;
}

static void go_on(struct job_model *model, struct model_job *job)
{
    if (job->state == JOB_QUEUED && !job->is_linked && !job->is_resting)
        link_ready(model, job, true);
    if (job->is_overdue)
        job->when_ms -= 1000;
    job->is_overdue = false;
    name_again(model, job);
}

void model_unclaim(struct job_model *model, uint64_t id, enum job_fact_kind kind)
{
    struct model_job *job = model_job(model, id);

    job->is_committing = false;
    model->dead_claimed -= kind == JOB_FACT_DEAD ? 1 : 0;
    go_on(model, job);
}

void model_apply(struct job_model *model, uint64_t id, const struct job_fact *fact)
{
    struct model_job *job = model_job(model, id);

    job->is_committing = false;
    switch ((enum job_fact_kind)fact->header.kind) {
    case JOB_FACT_RETRY:
        job->attempt = fact->header.attempt;
        job->logged_due_ms = fact->header.due_ms;
        enter_scheduled(job, fact->header.due_ms);
        return;
    case JOB_FACT_COMPLETED:
        job->attempt = fact->header.attempt;
        job->delivery = (uint32_t)fact->header.link;
        enter_terminal(model, job, JOB_COMPLETED);
        return;
    case JOB_FACT_DEAD:
        model->dead_claimed--;
        job->attempt = fact->header.attempt;
        enter_terminal(model, job, JOB_DEAD);
        return;
    case JOB_FACT_CANCELLED:
        enter_terminal(model, job, JOB_CANCELLED);
        return;
    case JOB_FACT_REPLAYED:
        job->is_replayed = true;
        remember(model, job);
        return;
    case JOB_FACT_DROPPED:
        job->state = JOB_CANCELLED;
        job->when_ms = model->now_ms;
        retire(model, job);
        return;
    case JOB_FACT_PROGRESS:
    case JOB_FACT_BLAMED:
    case JOB_FACT_KIND_COUNT:
        go_on(model, job);
        return;
    }
}

/* --- time ------------------------------------------------------------------------------- */

void model_pass_time(struct job_model *model)
{
    for
        EACH(job)
        {
            if (is_terminal(job) && job->timer_ms != 0 && job->timer_ms <= model->now_ms) {
                job->timer_ms = 0;
                retire(model, job);
                continue;
            }
            if (job->state == JOB_WAITING && job->named_again_ms != 0 &&
                model->failed_later_ms <= model->now_ms) {
                job->named_again_ms = 0;
                job->is_named = false;
            }
            if (is_terminal(job) || !job->is_committing || job->state == JOB_PENDING)
                continue;
            if ((job->state == JOB_SCHEDULED || job->state == JOB_LEASED) &&
                job->when_ms <= model->now_ms) {
                job->is_overdue = true;
                job->when_ms = model->now_ms + 1000;
            }
            if (job->timer_ms != 0 && job->timer_ms <= model->now_ms)
                job->timer_ms = model->now_ms + 1000;
        }
}

uint64_t model_due_ms(struct job_model *model)
{
    uint64_t due_ms = UINT64_MAX;

    for
        EACH(job)
        {
            if (job->is_committing || is_terminal(job) || job->state == JOB_FREE)
                continue;
            if (job->state == JOB_SCHEDULED || job->state == JOB_LEASED)
                due_ms = min_u64(due_ms, job->when_ms);
            if (job->timer_ms != 0)
                due_ms = min_u64(due_ms, job->timer_ms);
        }
    return due_ms <= model->now_ms ? due_ms : UINT64_MAX;
}

bool model_due(struct job_model *model, uint64_t id, enum job_due due)
{
    struct model_job *job = model_job(model, id);
    uint64_t due_ms = model_due_ms(model);

    if (job->is_committing)
        return false;
    if (due == JOB_DUE_DEADLINE) {
        bool is_right = !is_terminal(job) && job->timer_ms == due_ms;

        job->timer_ms = model->now_ms + 1000;
        return is_right;
    }
    if (job->when_ms != due_ms)
        return false;
    if (due == JOB_DUE_EXPIRED) {
        job->when_ms = model->now_ms + 1000;
        return job->state == JOB_LEASED;
    }
    if (job->state != JOB_SCHEDULED)
        return false;
    enter_queued(model, job, due_ms, false);
    return true;
}
