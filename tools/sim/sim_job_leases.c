#include "tools/sim/sim_job_leases.h"

/*
 * Epochs of one job grow, so they tell the order of leases better than the order of
 * answers does: when a completion under one epoch is acknowledged, no greater one can
 * ever have been given out, whenever its answer comes.
 */

/* So long a job waits until it counts as more urgent by one. */
#define AGEING_NS ((uint64_t)30000000000)

static struct sim_job_lease *lease_at(struct sim_job_model *model, uint32_t lease)
{
    assert(lease < model->lease_count);
    return &model->leases[lease];
}

static struct sim_job *root_at(struct sim_job_model *model, uint32_t job)
{
    return &model->jobs[model->jobs[job].root];
}

bool sim_job_is_in_force(const struct sim_job_model *model, uint32_t lease)
{
    const struct sim_job_lease *it = &model->leases[lease];
    const struct sim_job *job = &model->jobs[it->job];

    /* In its last ms an attempt may be judged late; a deadline ends a lease, too. */
    return it->ask.life == model->life && model->now_ns < it->until_ns && it->ending_tick == 0 &&
           job->cancel_tick == 0 && !sim_job_may_be_late(model, job);
}

/* --- leasing ----------------------------------------------------------------------- */

/* What was sent must be what is run, once, for its own queue. */
static const char *judge_identity(struct sim_job_model *model, const struct sim_job_leased *leased,
                                  uint32_t *ret_root)
{
    struct sim_job *job;
    const char *why = NULL;

    if (leased->job >= model->job_count || model->jobs[leased->job].sent_tick == 0)
        return "a job is run that nobody sent";
    job = &model->jobs[leased->job];
    if (job->spec.queue != leased->queue)
        return "a job is run from another queue than its own";
    if (job->is_another)
        return "a job is run that was called a duplicate of another";
    if (sim_job_is_refused(job))
        return "a job is run that was refused";
    *ret_root = sim_job_identify(model, leased->job, leased->id, &why);
    return why;
}

/* The last of the debounced wins: what was surely replaced is not run. */
static const char *judge_debounced(struct sim_job_model *model, uint32_t job,
                                   const struct sim_job_ask *ask)
{
    const struct sim_job *it = &model->jobs[job];

    if (it->spec.unique != SIM_JOB_UNIQUE_DEBOUNCE || it->told_tick == 0)
        return NULL;
    for (uint32_t i = 0; i < model->job_count; i++) {
        const struct sim_job *other = &model->jobs[i];

        if (other->root == it->root && i != job && other->sent_tick > it->told_tick &&
            other->told_tick != 0 && other->told_tick < ask->tick)
            return "a debounced job is run with a payload that was replaced";
    }
    return NULL;
}

static const char *judge_end(const struct sim_job *root, uint64_t epoch,
                             const struct sim_job_ask *ask)
{
    if (root->end == SIM_JOB_LIVE)
        return NULL;
    if (root->end_tick < ask->tick || (root->end_epoch != 0 && epoch > root->end_epoch))
        return root->end == SIM_JOB_COMPLETED ? "a completed job is run again"
                                              : "a dead or cancelled job is run again";
    return NULL;
}

static const char *judge_attempt(const struct sim_job_model *model, const struct sim_job *root,
                                 const struct sim_job_leased *leased, const struct sim_job_ask *ask)
{
    if (leased->max_attempts != root->spec.max_attempts)
        return "a job is run with another number of attempts than was asked for";
    if (leased->attempt > leased->max_attempts)
        return "a job is run more often than was asked for";
    if (leased->attempt < sim_job_attempts_min(model, root, ask->tick) + 1)
        return "a job is run, and an attempt that was made is not counted";
    if (leased->attempt > sim_job_attempts_max(model, root) + 1)
        return "a job is run, and more attempts are counted than can have been made";
    return NULL;
}

/* Of the leases of one job there is one in force, and epochs and attempts grow. */
static const char *judge_order(const struct sim_job_model *model, const struct sim_job *root,
                               const struct sim_job_leased *leased, const struct sim_job_ask *ask)
{
    const struct sim_job_lease *latest;

    if (root->latest_lease == SIM_JOB_NONE)
        return NULL;
    latest = &model->leases[root->latest_lease];
    if (leased->epoch == latest->epoch)
        return "two workers are given the same epoch";
    if (leased->epoch < latest->epoch)
        return latest->told_tick < ask->tick ? "a job is run under an epoch that was over" : NULL;
    if (leased->attempt < latest->attempt)
        return "a job is run with a smaller attempt than before";
    if (sim_job_is_in_force(model, root->latest_lease))
        return "a job is run while the lease of another worker is in force";
    if (latest->is_failed && latest->retry_after_ms > 0 && !model->clock_jumps &&
        model->now_ns + SIM_JOB_SLACK_NS <
            latest->failed_ns + (uint64_t)latest->retry_after_ms * 1000000)
        return "a job is run again before its time";
    return NULL;
}

static const char *judge_time(const struct sim_job_model *model, const struct sim_job *job)
{
    uint64_t wait_ms =
        job->spec.unique == SIM_JOB_UNIQUE_DEBOUNCE ? job->spec.unique_ms : job->spec.delay_ms;

    if (model->clock_jumps || wait_ms == 0)
        return NULL;
    return model->now_ns + SIM_JOB_SLACK_NS < job->sent_ns + wait_ms * 1000000
               ? "a delayed job is run before its time"
               : NULL;
}

/* Those it comes after have ended, and as it wants them to. */
static const char *judge_after(struct sim_job_model *model, const struct sim_job *job,
                               const struct sim_job_leased *leased)
{
    uint32_t failed_min = 0, failed_max = 0;

    for (uint32_t i = 0; i < job->spec.after_count; i++) {
        const struct sim_job *earlier = root_at(model, job->spec.after[i]);
        bool has_failed = earlier->end == SIM_JOB_DEAD || earlier->end == SIM_JOB_CANCELLED;

        model->other = job->spec.after[i];
        if (!sim_job_may_have_ended(model, job->spec.after[i]))
            return "a job is run before one that it comes after has ended";
        if (has_failed && job->spec.on_failure == SIM_JOB_ON_FAILURE_FAIL)
            return "a job is run though one that it comes after has failed";
        failed_min += has_failed;
        failed_max += sim_job_may_have_failed(model, job->spec.after[i]);
    }
    if (leased->failed_dependencies < failed_min || leased->failed_dependencies > failed_max)
        return "a job is told that another number of those it comes after have failed";
    return NULL;
}

/* True when both are of the same key, and a was there before b was sent. */
static bool is_before(const struct sim_job_model *model, const struct sim_job *a,
                      const struct sim_job *b)
{
    /* After a start under a clock that was set back the later one may look older. */
    if (model->clock_jumps && (a->sent_life != b->sent_life || a->told_life != b->sent_life ||
                               b->told_tick == 0 || b->told_life != b->sent_life))
        return false;
    if (a->spec.key == 0 || a->spec.key != b->spec.key || a->spec.queue != b->spec.queue ||
        a->spec.after_count > 0 || a->spec.delay_ms > 0 || a->is_another || !a->was_new)
        return false;
    return a->told_tick < b->sent_tick ||
           (a->spec.request == b->spec.request && !a->spec.is_in_flow && a < b);
}

/* True when it was in force all the time since the request went out. */
static bool was_in_force(const struct sim_job_model *model, uint32_t lease,
                         const struct sim_job_ask *ask)
{
    return (model->leases[lease].told_tick < ask->tick ||
            model->leases[lease].ask.tick == ask->tick) &&
           sim_job_is_in_force(model, lease);
}

static const char *judge_key(struct sim_job_model *model, uint32_t job,
                             const struct sim_job_ask *ask)
{
    const struct sim_job *it = &model->jobs[job];

    if (it->spec.key == 0)
        return NULL;
    for (uint32_t i = 0; i < model->job_count; i++) {
        const struct sim_job *other = &model->jobs[i];

        if (i == job || other->spec.key != it->spec.key || other->spec.queue != it->spec.queue)
            continue;
        model->other = i;
        if (other->latest_lease != SIM_JOB_NONE && was_in_force(model, other->latest_lease, ask))
            return "two jobs of a serial key run at the same time";
        if (it->spec.after_count == 0 && it->spec.delay_ms == 0 && is_before(model, other, it) &&
            !sim_job_may_have_ended(model, i))
            return "a job is run before an earlier one of its serial key has ended";
    }
    return NULL;
}

/* The class in which a job counts that has been ready for so long: one more each 30 s. */
static uint64_t class_of(const struct sim_job *job, uint64_t waited_ns)
{
    return job->spec.priority + waited_ns / AGEING_NS;
}

/* True when it has surely been ready to run, and nothing else, since before the request. */
static bool is_surely_ready(struct sim_job_model *model, uint32_t job,
                            const struct sim_job_ask *ask)
{
    const struct sim_job *it = &model->jobs[job];
    const struct sim_job_queue *queue = &model->queues[it->spec.queue];

    return it->was_new && it->told_tick < ask->tick && it->told_tick != 0 && it->spec.key == 0 &&
           it->spec.after_count == 0 && it->spec.delay_ms == 0 &&
           it->spec.unique != SIM_JOB_UNIQUE_DEBOUNCE && it->latest_lease == SIM_JOB_NONE &&
           (queue->lost_count == 0 || queue->lost_life < it->sent_life) && queue->open_count == 0 &&
           !sim_job_may_have_ended(model, job);
}

/* What is more urgent goes first, and what has waited becomes more urgent. */
static const char *judge_priority(struct sim_job_model *model, uint32_t job,
                                  const struct sim_job_ask *ask)
{
    const struct sim_job *it = &model->jobs[job];
    uint64_t class_max = class_of(it, model->now_ns - it->sent_ns + SIM_JOB_SLACK_NS);

    if (model->clock_jumps || model->reads_fail)
        return NULL;
    for (uint32_t i = 0; i < model->job_count; i++) {
        const struct sim_job *other = &model->jobs[i];

        if (i == job || other->spec.queue != it->spec.queue || !is_surely_ready(model, i, ask) ||
            ask->ns < other->told_ns + SIM_JOB_SLACK_NS ||
            class_of(other, ask->ns - other->told_ns - SIM_JOB_SLACK_NS) <= class_max)
            continue;
        model->other = i;
        return "a job is run before a more urgent one";
    }
    return NULL;
}

/* Leases that have been in force since before the request, and are, are as many as may be. */
static const char *judge_limits(const struct sim_job_model *model, uint32_t queue,
                                const struct sim_job_ask *ask)
{
    uint32_t tenant_count = 0, queue_count = 0;
    uint32_t concurrency = sim_job_queue_concurrency(&model->queues[queue], ask->tick);

    if (sim_job_queue_is_paused(&model->queues[queue], ask->tick))
        return "a job is run from a queue that is paused";
    if (concurrency == UINT32_MAX && model->tenant_concurrency == 0)
        return NULL;
    for (uint32_t i = model->lease_count; i-- > 0 && model->leases[i].ask.life == model->life;) {
        uint32_t its_queue = model->jobs[model->leases[i].job].spec.queue;

        if (its_queue / SIM_JOB_KIND_COUNT != queue / SIM_JOB_KIND_COUNT ||
            !was_in_force(model, i, ask))
            continue;
        tenant_count++;
        queue_count += its_queue == queue;
    }
    if (queue_count >= concurrency)
        return "more jobs of a queue run at the same time than it allows";
    if (model->tenant_concurrency != 0 && tenant_count >= model->tenant_concurrency)
        return "more jobs of a project run at the same time than it may";
    return NULL;
}

static uint32_t add_lease(struct sim_job_model *model, uint32_t root,
                          const struct sim_job_leased *leased, const struct sim_job_ask *ask)
{
    struct sim_job *job = &model->jobs[root];
    uint32_t index = model->lease_count++;
    uint32_t *link = &job->latest_lease;

    assert(index < SIM_JOB_LEASE_COUNT_MAX);
    model->leases[index] = (struct sim_job_lease){
        .job = root,
        .epoch = leased->epoch,
        .attempt = (uint8_t)leased->attempt,
        .ask = *ask,
        .lease_ms = leased->lease_ms,
        .told_tick = sim_job_model_tick(model),
        .told_ns = model->now_ns,
        .until_ns = ask->ns + (uint64_t)leased->lease_ms * 1000000 - SIM_JOB_SLACK_NS,
    };
    while (*link != SIM_JOB_NONE && model->leases[*link].epoch > leased->epoch)
        link = &model->leases[*link].previous;
    model->leases[index].previous = *link;
    *link = index;
    return index;
}

static void note_boot(struct sim_job_model *model, uint64_t epoch)
{
    if (epoch >> 32 <= model->boot_max)
        return;
    model->boot_max = epoch >> 32;
    model->boot_tick = sim_job_model_tick(model);
}

const char *sim_job_lease(struct sim_job_model *model, const struct sim_job_leased *leased,
                          const struct sim_job_ask *ask, uint32_t *ret_lease)
{
    uint32_t root = 0;
    const char *why = judge_identity(model, leased, &root);

    model->other = SIM_JOB_NONE;
    if (why == NULL)
        why = judge_end(&model->jobs[root], leased->epoch, ask);
    if (why == NULL)
        why = judge_order(model, &model->jobs[root], leased, ask);
    if (why == NULL)
        why = judge_attempt(model, &model->jobs[root], leased, ask);
    if (why == NULL)
        why = judge_debounced(model, leased->job, ask);
    if (why == NULL)
        why = judge_time(model, &model->jobs[leased->job]);
    if (why == NULL)
        why = judge_after(model, &model->jobs[root], leased);
    if (why == NULL)
        why = judge_key(model, root, ask);
    if (why == NULL)
        why = judge_priority(model, leased->job, ask);
    if (why == NULL)
        model->other = SIM_JOB_NONE;
    if (why == NULL)
        why = judge_limits(model, leased->queue, ask);
    if (why != NULL)
        return why;
    if (leased->epoch >> 32 < model->boot_max && model->boot_tick < ask->tick)
        return "a job is run under an epoch of an earlier start";
    note_boot(model, leased->epoch);
    *ret_lease = add_lease(model, root, leased, ask);
    return NULL;
}

void sim_job_lease_ask(struct sim_job_model *model, uint32_t queue)
{
    model->queues[queue].open_count++;
}

void sim_job_lease_answered(struct sim_job_model *model, uint32_t queue)
{
    assert(model->queues[queue].open_count > 0);
    model->queues[queue].open_count--;
}

void sim_job_lease_lost(struct sim_job_model *model, uint32_t queue)
{
    assert(queue < SIM_JOB_QUEUE_COUNT);
    model->queues[queue].lost_count++;
    model->queues[queue].lost_life = model->life;
}

/* --- outcomes ------------------------------------------------------------------------- */

void sim_job_finish(struct sim_job_model *model, const struct sim_job_finish *finish)
{
    struct sim_job_lease *lease = lease_at(model, finish->lease);
    struct sim_job *job = &model->jobs[lease->job];

    if (lease->ending_tick == 0)
        lease->ending_tick = sim_job_model_tick(model);
    if (finish->is_failure) {
        lease->fail_count++;
        job->fatal_sent |= !finish->is_retryable || lease->attempt >= job->spec.max_attempts;
        return;
    }
    lease->complete_count++;
    lease->complete_open++;
    job->complete_sent = true;
}

/* Its epoch was the one in force: no greater one is known from before, and no later start. */
static const char *judge_epoch(const struct sim_job_model *model, const struct sim_job_lease *lease,
                               const struct sim_job_ask *ask)
{
    const struct sim_job *job = &model->jobs[lease->job];
    const struct sim_job_lease *latest = &model->leases[job->latest_lease];

    if (lease->epoch >> 32 < model->boot_max && model->boot_tick < ask->tick)
        return "an epoch of an earlier start is accepted";
    if (latest->epoch > lease->epoch && latest->told_tick < ask->tick)
        return "an epoch is accepted though the job was given to another worker since";
    return NULL;
}

static const char *on_completed(struct sim_job_model *model, struct sim_job_lease *lease,
                                const struct sim_job_ask *ask)
{
    const struct sim_job *job = &model->jobs[lease->job];
    const char *why = judge_epoch(model, lease, ask);

    if (why != NULL)
        return why;
    if (lease->is_completed)
        return "a completion is accepted twice";
    if (lease->is_failed)
        return "an attempt is accepted as failed and as completed";
    if (model->leases[job->latest_lease].epoch > lease->epoch)
        return "a job was given to another worker after its completion";
    if (job->end == SIM_JOB_CANCELLED || job->end == SIM_JOB_DEAD)
        return "a completion is accepted after the job's end";
    lease->is_completed = true;
    return sim_job_note_end(model, lease->job, SIM_JOB_COMPLETED, lease->epoch);
}

static const char *on_failed(struct sim_job_model *model, struct sim_job_lease *lease,
                             const struct sim_job_finish *finish, const struct sim_job_ask *ask)
{
    const struct sim_job *job = &model->jobs[lease->job];
    const char *why = judge_epoch(model, lease, ask);
    bool is_last = !finish->is_retryable || lease->attempt >= job->spec.max_attempts;

    if (why != NULL)
        return why;
    if (lease->is_failed)
        return "a failure is accepted twice";
    if (lease->is_completed)
        return "an attempt is accepted as completed and as failed";
    if (job->end != SIM_JOB_LIVE && job->end_tick < ask->tick)
        return "a failure is accepted after the job's end";
    lease->is_failed = true;
    /* There is none after the last; without room for a dead letter the server chooses when. */
    lease->retry_after_ms = is_last ? 0 : finish->retry_after_ms;
    lease->failed_ns = ask->ns;
    lease->failed_tick = sim_job_model_tick(model);
    if (!is_last || model->dead_limit)
        return NULL;
    if (model->leases[job->latest_lease].epoch > lease->epoch)
        return "a job was given to another worker after its last failure";
    return sim_job_note_end(model, lease->job, SIM_JOB_DEAD, lease->epoch);
}

/* Somebody must have said the same before, with an answer that nobody saw, or that was good. */
static const char *on_duplicate(struct sim_job_model *model, struct sim_job_lease *lease)
{
    if (!lease->is_completed && lease->complete_unknown == 0 && lease->complete_open == 0)
        return "a completion is called a repetition, and is the first";
    lease->is_completed = true;
    return sim_job_note_end(model, lease->job, SIM_JOB_COMPLETED, lease->epoch);
}

const char *sim_job_called_stale(struct sim_job_model *model, uint32_t lease, bool is_ending)
{
    struct sim_job_lease *it = lease_at(model, lease);
    uint64_t ending_tick = it->ending_tick;
    bool is_in_force;

    /* The one outcome that was ever sent says that it has not ended the lease. */
    if (is_ending && it->complete_count + it->fail_count == 1)
        it->ending_tick = 0;
    is_in_force = sim_job_is_in_force(model, lease);
    it->ending_tick = ending_tick;
    if (!is_in_force)
        return NULL;
    return "a lease that is in force is called stale";
}

const char *sim_job_finished(struct sim_job_model *model, const struct sim_job_finish *finish,
                             enum sim_job_outcome outcome, const struct sim_job_ask *ask)
{
    struct sim_job_lease *lease = lease_at(model, finish->lease);

    if (!finish->is_failure) {
        assert(lease->complete_open > 0);
        lease->complete_open--;
    }
    switch (outcome) {
    case SIM_JOB_OUTCOME_COMPLETED:
        return finish->is_failure ? "a failure is taken for a completion"
                                  : on_completed(model, lease, ask);
    case SIM_JOB_OUTCOME_FAILED:
        return finish->is_failure ? on_failed(model, lease, finish, ask)
                                  : "a completion is taken for a failure";
    case SIM_JOB_OUTCOME_DUPLICATE:
        return finish->is_failure ? "a failure is called a repetition" : on_duplicate(model, lease);
    case SIM_JOB_OUTCOME_STALE:
        return sim_job_called_stale(model, finish->lease, true);
    case SIM_JOB_OUTCOME_NOT_FOUND:
        return sim_job_called_unknown(model, lease->job);
    case SIM_JOB_OUTCOME_UNKNOWN:
        lease->complete_unknown += !finish->is_failure;
        return NULL;
    case SIM_JOB_OUTCOME_BUSY:
    case SIM_JOB_OUTCOME_REFUSED:
        return NULL;
    }
    return "an outcome that does not exist";
}

const char *sim_job_extended(struct sim_job_model *model, uint32_t lease, uint32_t lease_ms,
                             const struct sim_job_ask *ask)
{
    struct sim_job_lease *it = lease_at(model, lease);
    const struct sim_job *job = &model->jobs[it->job];
    const char *why = judge_epoch(model, it, ask);
    uint64_t until_ns = ask->ns + (uint64_t)lease_ms * 1000000 - SIM_JOB_SLACK_NS;

    if (why != NULL)
        return why;
    if (job->end != SIM_JOB_LIVE && job->end_tick < ask->tick)
        return "the lease of a job that had ended is made longer";
    it->until_ns = max_u64(it->until_ns, until_ns);
    return NULL;
}
