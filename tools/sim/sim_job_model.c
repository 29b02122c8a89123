#include "tools/sim/sim_job_model.h"

/*
 * As in sim_model.c nothing is clever: each rule stands next to the sentence it enforces.
 *
 * The server decides at some moment between request and answer, so a rule may only use
 * what was so during all of that time: what was told before the request went out, and is
 * not contradicted by anything that has been sent until the answer came.
 */

void sim_job_model_init(struct sim_job_model *model)
{
    memset(model, 0, offsetof(struct sim_job_model, jobs));
    memset(model->by_id, 0, sizeof(model->by_id));
    model->tick = 1;
    model->request_count = 1;
    model->other = SIM_JOB_NONE;
}

uint64_t sim_job_model_tick(struct sim_job_model *model)
{
    return ++model->tick;
}

struct sim_job_ask sim_job_model_ask(struct sim_job_model *model)
{
    return (struct sim_job_ask){
        .tick = sim_job_model_tick(model), .ns = model->now_ns, .life = model->life};
}

static struct sim_job *job_at(struct sim_job_model *model, uint32_t job)
{
    assert(job < model->job_count);
    return &model->jobs[job];
}

static struct sim_job *root_of(struct sim_job_model *model, uint32_t job)
{
    return job_at(model, job_at(model, job)->root);
}

uint32_t sim_job_model_add(struct sim_job_model *model, const struct sim_job_spec *spec)
{
    assert(model->job_count < SIM_JOB_COUNT_MAX);
    assert(spec->queue < SIM_JOB_QUEUE_COUNT);
    assert(spec->max_attempts > 0);
    model->jobs[model->job_count] =
        (struct sim_job){.spec = *spec, .root = model->job_count, .latest_lease = SIM_JOB_NONE};
    return model->job_count++;
}

/* --- ids ---------------------------------------------------------------------- */

static uint32_t slot_of(struct slice id)
{
    uint32_t hash = 2166136261;

    for (size_t i = 0; i < id.size; i++)
        hash = (hash ^ (uint8_t)id.data[i]) * 16777619;
    return hash % SIM_JOB_ID_SLOT_COUNT;
}

uint32_t sim_job_find(const struct sim_job_model *model, struct slice id)
{
    if (id.size != SIM_JOB_ID_SIZE)
        return SIM_JOB_NONE;
    for (uint32_t slot = slot_of(id);; slot = (slot + 1) % SIM_JOB_ID_SLOT_COUNT) {
        uint32_t job = model->by_id[slot];

        if (job == 0)
            return SIM_JOB_NONE;
        if (memcmp(model->jobs[job - 1].id, id.data, SIM_JOB_ID_SIZE) == 0)
            return job - 1;
    }
}

static void set_id(struct sim_job_model *model, uint32_t job, struct slice id)
{
    uint32_t slot = slot_of(id);

    while (model->by_id[slot] != 0)
        slot = (slot + 1) % SIM_JOB_ID_SLOT_COUNT;
    model->by_id[slot] = job + 1;
    memcpy(job_at(model, job)->id, id.data, SIM_JOB_ID_SIZE);
}

/* An Idempotency-Key is the project's, all other keys are the queue's. */
static bool has_same_unique_key(const struct sim_job *a, const struct sim_job *b)
{
    uint32_t width = a->spec.unique == SIM_JOB_UNIQUE_IDEMPOTENCY ? SIM_JOB_KIND_COUNT : 1;

    return a->spec.unique == b->spec.unique && a->spec.unique_key == b->spec.unique_key &&
           a->spec.queue / width == b->spec.queue / width;
}

uint32_t sim_job_identify(struct sim_job_model *model, uint32_t job, struct slice id,
                          const char **ret_why)
{
    struct sim_job *it = job_at(model, job);
    uint32_t known = sim_job_find(model, id);

    if (id.size != SIM_JOB_ID_SIZE) {
        *ret_why = "a job without an id";
        return job;
    }
    if (known == SIM_JOB_NONE) {
        if (it->root != job || it->id[0] != '\0') {
            *ret_why = "a job is there twice: it has another id now";
            return job;
        }
        set_id(model, job, id);
        it->there_tick = sim_job_model_tick(model);
        return job;
    }
    if (known == it->root)
        return known;
    if (it->spec.unique != SIM_JOB_UNIQUE_DEBOUNCE || it->root != job || it->id[0] != '\0' ||
        !has_same_unique_key(it, job_at(model, known))) {
        *ret_why = "a job has the id of another one";
        return job;
    }
    it->root = known;
    return known;
}

/* --- what may be ---------------------------------------------------------------- */

bool sim_job_is_refused(const struct sim_job *job)
{
    return job->send_count > 0 && job->refused_count == job->send_count;
}

bool sim_job_may_be_late(const struct sim_job_model *model, const struct sim_job *job)
{
    if (job->spec.deadline_ms == 0)
        return false;
    return model->clock_jumps || model->now_ns + SIM_JOB_SLACK_NS >=
                                     job->sent_ns + (uint64_t)job->spec.deadline_ms * 1000000;
}

uint32_t sim_job_attempts_max(const struct sim_job_model *model, const struct sim_job *job)
{
    const struct sim_job_queue *queue = &model->queues[job->spec.queue];
    uint32_t count = queue->lost_count + queue->open_count; /* may have been given to them */

    for (uint32_t i = job->latest_lease; i != SIM_JOB_NONE; i = model->leases[i].previous) {
        const struct sim_job_lease *lease = &model->leases[i];

        count += lease->fail_count > 0 || model->now_ns >= lease->until_ns;
    }
    return count;
}

uint32_t sim_job_attempts_min(const struct sim_job_model *model, const struct sim_job *job,
                              uint64_t tick)
{
    uint32_t count = 0;

    for (uint32_t i = job->latest_lease; i != SIM_JOB_NONE; i = model->leases[i].previous)
        count += model->leases[i].is_failed && model->leases[i].failed_tick < tick;
    if (model->dead_limit)
        count = 0; /* the last one does not count while there is no room for a dead letter */
    return job->attempt_tick < tick && job->attempt_told > count ? job->attempt_told : count;
}

/*
 * True when it was run before tick, and that is known to the server. After a start under a clock
 * that was set back it may wait again; and a run whose failure found no room for a dead letter
 * does not count.
 */
static bool has_begun(const struct sim_job_model *model, const struct sim_job *job, uint64_t tick)
{
    const struct sim_job_lease *latest;

    if (model->clock_jumps || job->latest_lease == SIM_JOB_NONE)
        return false;
    latest = &model->leases[job->latest_lease];
    if (model->dead_limit && (latest->fail_count > 0 || model->now_ns >= latest->until_ns))
        return false;
    return latest->told_tick < tick;
}

static bool may_have_failed(struct sim_job_model *model, uint32_t job)
{
    struct sim_job *it = root_of(model, job);
    bool may_have = it->cancel_tick != 0 || it->fatal_sent || sim_job_may_be_late(model, it) ||
                    sim_job_attempts_max(model, it) >= it->spec.max_attempts;

    if (it->end != SIM_JOB_LIVE)
        return it->end != SIM_JOB_COMPLETED;
    if (it->mark == model->mark)
        return it->mark_failing;
    for (uint32_t i = 0;
         !may_have && it->spec.on_failure == SIM_JOB_ON_FAILURE_FAIL && i < it->spec.after_count;
         i++)
        may_have = may_have_failed(model, it->spec.after[i]);
    it->mark = model->mark;
    it->mark_failing = may_have;
    return may_have;
}

bool sim_job_may_have_failed(struct sim_job_model *model, uint32_t job)
{
    model->mark++;
    return may_have_failed(model, job);
}

bool sim_job_may_have_ended(struct sim_job_model *model, uint32_t job)
{
    const struct sim_job *it = root_of(model, job);

    return it->end != SIM_JOB_LIVE || it->complete_sent || sim_job_may_have_failed(model, job);
}

/* --- enqueueing -------------------------------------------------------------------- */

void sim_job_send(struct sim_job_model *model, uint32_t job)
{
    struct sim_job *it = job_at(model, job);

    it->latest_sent_tick = sim_job_model_tick(model);
    if (it->sent_tick == 0) {
        it->sent_tick = it->latest_sent_tick;
        it->sent_ns = model->now_ns;
        it->sent_life = model->life;
    }
    it->open_count++;
    it->send_count++;
}

void sim_job_refused(struct sim_job_model *model, uint32_t job)
{
    struct sim_job *it = job_at(model, job);

    assert(it->open_count > 0);
    it->open_count--;
    it->refused_count++;
}

void sim_job_unknown(struct sim_job_model *model, uint32_t job)
{
    struct sim_job *it = job_at(model, job);

    assert(it->open_count > 0);
    it->open_count--;
    it->unknown_count++;
}

/* A singleton that surely lives, or a throttling one whose window is surely not over. */
static bool stands_in_the_way(struct sim_job_model *model, uint32_t job,
                              const struct sim_job_ask *ask)
{
    const struct sim_job *it = job_at(model, job);

    if (it->is_another || it->there_tick == 0 || it->there_tick > ask->tick)
        return false;
    if (it->spec.unique == SIM_JOB_UNIQUE_IDEMPOTENCY)
        return true; /* the window is longer than any run */
    if (it->spec.unique == SIM_JOB_UNIQUE_SINGLETON)
        return !sim_job_may_have_ended(model, job);
    return it->spec.unique == SIM_JOB_UNIQUE_THROTTLE && it->was_new && !model->clock_jumps &&
           model->now_ns + SIM_JOB_SLACK_NS < it->sent_ns + (uint64_t)it->spec.unique_ms * 1000000;
}

/* It was accepted as a new job: nobody may have stood in its way all the time. */
static const char *judge_new(struct sim_job_model *model, uint32_t job,
                             const struct sim_job_ask *ask)
{
    struct sim_job *it = job_at(model, job);

    if (it->was_new)
        return "a job is accepted as new twice";
    it->was_new = true;
    if (it->spec.unique == SIM_JOB_UNIQUE_NONE || it->spec.unique == SIM_JOB_UNIQUE_DEBOUNCE)
        return NULL;
    for (uint32_t i = 0; i < model->job_count; i++) {
        if (i == job || !has_same_unique_key(it, job_at(model, i)) ||
            !stands_in_the_way(model, i, ask))
            continue;
        model->other = i;
        return "a job is accepted as new though one with its unique key stands in the way";
    }
    return NULL;
}

/* It was called a duplicate of the job known: that one must have been able to stand there. */
static const char *judge_duplicate(struct sim_job_model *model, uint32_t job, uint32_t known,
                                   const struct sim_job_ask *ask)
{
    const struct sim_job *it = job_at(model, job), *other;

    if (it->spec.unique == SIM_JOB_UNIQUE_NONE)
        return "a job that is not unique is called a duplicate";
    if (it->spec.unique == SIM_JOB_UNIQUE_IDEMPOTENCY)
        return it->send_count > 1 ? NULL : "a duplicate of what was never sent";
    if (known == SIM_JOB_NONE)
        return NULL; /* of one whose answer was lost, or is on its way */
    other = job_at(model, known);
    if (!has_same_unique_key(it, other))
        return "a duplicate of a job with another unique key";
    if (it->spec.unique == SIM_JOB_UNIQUE_SINGLETON && other->end != SIM_JOB_LIVE &&
        other->end_tick < ask->tick)
        return "a duplicate of a job that had ended";
    if (it->spec.unique == SIM_JOB_UNIQUE_THROTTLE && !model->clock_jumps &&
        other->told_tick != 0 &&
        ask->ns > SIM_JOB_SLACK_NS + other->told_ns + (uint64_t)other->spec.unique_ms * 1000000)
        return "a duplicate though the window is over";
    return NULL;
}

const char *sim_job_accepted(struct sim_job_model *model, uint32_t job, struct slice id,
                             bool is_duplicate, const struct sim_job_ask *ask)
{
    struct sim_job *it = job_at(model, job);
    uint32_t known = sim_job_find(model, id);
    const char *why = NULL;

    assert(it->open_count > 0);
    it->open_count--;
    if (is_duplicate)
        why = judge_duplicate(model, job, known, ask);
    else
        why = judge_new(model, job, ask);
    if (why != NULL)
        return why;
    if (is_duplicate && it->spec.unique != SIM_JOB_UNIQUE_IDEMPOTENCY) {
        if (it->there_tick != 0)
            return "a job is called a duplicate, and was leased itself";
        it->is_another = true;
        return NULL;
    }
    /* Whose place a debounced job took must not have been run before. */
    if (known != SIM_JOB_NONE && known != job && has_begun(model, job_at(model, known), ask->tick))
        return "a debounced job is replaced after it was leased";
    (void)sim_job_identify(model, job, id, &why);
    if (it->told_tick == 0) {
        it->told_tick = sim_job_model_tick(model);
        it->told_ns = model->now_ns;
        it->told_life = model->life;
    }
    if (it->there_tick == 0)
        it->there_tick = it->told_tick;
    return why;
}

bool sim_job_may_conflict(const struct sim_job_model *model, uint32_t job)
{
    const struct sim_job *it = &model->jobs[job];

    for (uint32_t i = 0; i < model->job_count; i++)
        if (i != job && has_same_unique_key(it, &model->jobs[i]) && model->jobs[i].sent_tick != 0)
            return it->spec.unique == SIM_JOB_UNIQUE_IDEMPOTENCY;
    return false;
}

bool sim_job_may_be_in_flight(const struct sim_job_model *model, uint32_t job)
{
    const struct sim_job *it = &model->jobs[job];

    if (it->spec.unique == SIM_JOB_UNIQUE_NONE)
        return false;
    for (uint32_t i = 0; i < model->job_count; i++) {
        const struct sim_job *other = &model->jobs[i];

        if (has_same_unique_key(it, other) && (i != job || other->send_count > 1) &&
            other->sent_tick != 0)
            return true;
    }
    return false;
}

/* --- ends ------------------------------------------------------------------------- */

const char *sim_job_note_end(struct sim_job_model *model, uint32_t job, enum sim_job_end end,
                             uint64_t epoch)
{
    struct sim_job *it = root_of(model, job);

    assert(end != SIM_JOB_LIVE);
    if (it->end != SIM_JOB_LIVE && it->end != end)
        return "a job has two ends";
    if (it->end_epoch != 0 && epoch != 0 && it->end_epoch != epoch)
        return "a job has ended under two epochs";
    if (it->end == SIM_JOB_LIVE) {
        it->end = (uint8_t)end;
        it->end_tick = sim_job_model_tick(model);
    }
    if (it->end_epoch == 0)
        it->end_epoch = epoch;
    return NULL;
}

void sim_job_cancel(struct sim_job_model *model, uint32_t job)
{
    struct sim_job *it = root_of(model, job);

    it->cancel_count++;
    if (it->cancel_tick == 0)
        it->cancel_tick = sim_job_model_tick(model);
}

const char *sim_job_cancelled(struct sim_job_model *model, uint32_t job,
                              const struct sim_job_ask *ask)
{
    const struct sim_job *it = root_of(model, job);

    assert(it->cancel_tick != 0);
    if (it->end != SIM_JOB_LIVE && it->end_tick < ask->tick)
        return "a job that had ended is cancelled";
    return sim_job_note_end(model, job, SIM_JOB_CANCELLED, 0);
}

const char *sim_job_called_ended(struct sim_job_model *model, uint32_t job)
{
    struct sim_job *it = root_of(model, job);
    uint64_t cancel_tick = it->cancel_tick;
    bool may_have;

    /* The one cancel that was ever sent says that it was not the reason. */
    if (it->cancel_count == 1)
        it->cancel_tick = 0;
    may_have = sim_job_may_have_ended(model, job);
    it->cancel_tick = cancel_tick;
    return may_have ? NULL : "a job cannot have ended, and is said to have";
}

const char *sim_job_called_unknown(struct sim_job_model *model, uint32_t job)
{
    if (!model->forgets)
        return "a job that is there is not found";
    return sim_job_may_have_ended(model, job) ? NULL : "a job that cannot have ended is not found";
}

/* --- looks ------------------------------------------------------------------------- */

static const char *judge_result(struct sim_job_model *model, const struct sim_job *it, uint32_t job,
                                const struct sim_job_look *look)
{
    if (look->result_job != job)
        return "a job has the result of another one";
    if (it->end_epoch != 0 && it->end_epoch != look->result_epoch)
        return "a job has the result of an epoch whose completion was not acknowledged";
    for (uint32_t i = it->latest_lease; i != SIM_JOB_NONE; i = model->leases[i].previous)
        if (model->leases[i].epoch == look->result_epoch)
            return model->leases[i].complete_count > 0 ? NULL
                                                       : "a job has a result that nobody sent";
    return "a job has a result under an epoch that nobody was given";
}

const char *sim_job_looked(struct sim_job_model *model, uint32_t job,
                           const struct sim_job_look *look, const struct sim_job_ask *ask)
{
    struct sim_job *it = root_of(model, job);
    const char *why = NULL;
    /* A dead letter that was dropped, and is remembered for its unique key. */
    bool is_dropped = model->forgets && look->end == SIM_JOB_CANCELLED &&
                      (it->end == SIM_JOB_DEAD || it->cancel_tick == 0);

    if (it->end != SIM_JOB_LIVE && it->end_tick < ask->tick && look->end != it->end && !is_dropped)
        return "a job that had ended is in another state now";
    if (look->max_attempts != it->spec.max_attempts)
        return "a job has another number of attempts than was asked for";
    if (look->attempt < sim_job_attempts_min(model, it, ask->tick))
        return "an attempt that was made is not counted";
    if (look->attempt > sim_job_attempts_max(model, it) + (look->end == SIM_JOB_COMPLETED))
        return "more attempts than can have been made";
    if (look->attempt > it->attempt_told) {
        it->attempt_told = look->attempt;
        it->attempt_tick = sim_job_model_tick(model);
    }
    if (look->is_waiting && it->spec.after_count == 0)
        return "a job waits, and comes after nothing";
    if (look->end == SIM_JOB_LIVE)
        return NULL;
    if (look->end == SIM_JOB_COMPLETED && it->end == SIM_JOB_LIVE && !it->complete_sent)
        return "a job is completed, and nobody said so";
    if (look->end == SIM_JOB_DEAD && !sim_job_may_have_failed(model, job))
        return "a job is dead without a reason";
    if (look->end == SIM_JOB_CANCELLED && it->cancel_tick == 0 && !model->forgets)
        return "a job is cancelled, and nobody asked for it";
    if (look->has_result)
        why = judge_result(model, it, it->root, look);
    if (why != NULL || is_dropped)
        return why;
    return sim_job_note_end(model, job, look->end, look->has_result ? look->result_epoch : 0);
}
