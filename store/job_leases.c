/*
 * From taking a job to what became of it.
 *
 * The fence is the epoch, boot generation and delivery number: a new one for each lease, so
 * whoever was given the job before can neither complete it nor prolong anything, however late
 * the message. What
 * decides is not the clock but whether the next fact has been claimed: a worker that is a
 * little late is still the only one while nobody has written that its lease is over.
 *
 * A claim reserves the job for one fact. From then until apply or unclaim there is no
 * other, nothing is handed out, and what falls due waits.
 */
#include "runtime/sim_point.h"
#include "store/job_flow.h"
#include "store/job_heap.h"
#include "store/job_keys.h"
#include "store/job_table_internals.h"

static const uint64_t NS_PER_MS = 1000000;

/* --- taking -------------------------------------------------------------------- */

/* The class in which a job counts that has been ready for so long. */
static uint64_t class_of(const struct job_table *table, const struct job *job)
{
    uint64_t waited_ms = table->now_ms > job->when_ms ? table->now_ms - job->when_ms : 0;

    if (waited_ms >= JOB_AGEING_MS)
        SOMETIMES("a job counts more for having waited");
    if (MUTANT("job_ageing_never"))
        waited_ms = 0;
    return job->priority + waited_ms / JOB_AGEING_MS;
}

/* The first of the 8 heads; 0: none. */
static uint32_t choose(const struct job_table *table, const struct job_queue *queue)
{
    uint64_t best_class = 0;
    uint32_t best = 0;

    for (uint32_t i = JOB_PRIORITY_COUNT; i-- > 0;) {
        const struct job *job;
        uint64_t class;

        if (queue->first[i] == 0)
            continue;
        job = job_at(table, queue->first[i]);
        class = class_of(table, job);
        if (best == 0 || class > best_class ||
            (class == best_class && job->when_ms < job_at(table, best)->when_ms)) {
            best = queue->first[i];
            best_class = class;
        }
    }
    return best;
}

/* The job that would be next but for the rate; 0: none. */
static uint32_t find_next(struct job_table *table, struct job_queue *queue)
{
    if ((queue->settings.flags & JOB_QUEUE_PAUSED) != 0 || queue->ready_count == 0)
        return 0;
    if (!job_queue_has_permit(table, queue))
        return 0;
    /* Those that their key takes back rest from then on: this ends. */
    for (;;) {
        uint32_t index = choose(table, queue);

        if (index == 0 || job_keys_may_lease(table, index))
            return index;
    }
}

static uint32_t burst_of(const struct job_queue_settings *settings)
{
    uint32_t burst = settings->burst != 0 ? settings->burst : settings->rate_per_s;

    return (uint32_t)min_u64(burst, TOKEN_BUCKET_BURST_MAX);
}

static uint64_t rate_of(const struct job_queue_settings *settings)
{
    return min_u64(settings->rate_per_s, TOKEN_BUCKET_RATE_MAX);
}

static uint64_t rate_time_ns(const struct job_table *table)
{
    return (table->now_ms - table->resume_ms) * NS_PER_MS;
}

static uint64_t timeout_of(const struct job_table *table, const struct job *job)
{
    const struct job_extra *extra = job_extra_of(table, job);
    uint64_t timeout_ms = extra != NULL ? extra->timeout_ms : 0;

    if (timeout_ms == 0)
        timeout_ms = job_queue_of(table, job)->settings.timeout_ms;
    return timeout_ms == 0 ? JOB_LEASE_MS_MAX : timeout_ms;
}

static void lease(struct job_table *table, uint32_t index, uint32_t lease_ms)
{
    struct job *job = job_at(table, index);
    uint64_t until_ms = table->now_ms + min_u64(lease_ms, timeout_of(table, job));
    struct job_extra *extra = job_extra_make(table, index);

    extra->leased_ms = table->now_ms;
    extra->ready_ms = job->when_ms;
    job_leave(table, index);
    job_set_state(table, index, JOB_LEASED);
    job_set_when(job, until_ms);
    if (table->delivery == 0 || !MUTANT("job_epoch_twice"))
        table->delivery++;
    if (table->delivery == 0)
        table->delivery = 1;
    job->delivery = table->delivery;
    job_heap_add(table, job_heap_entry(index, JOB_HEAP_STATE));
    job_keys_begin_lease(table, index);
    job_queue_take_permit(table, job_queue_of(table, job));
}

struct job_ref job_table_take(struct job_table *table, struct job_queue *queue, uint64_t now_ms,
                              uint32_t lease_ms, uint64_t *ret_retry_ms)
{
    const struct job_queue_settings *settings = &queue->settings;
    uint64_t wait_ns;
    uint32_t index;

    job_table_enter(table, now_ms);
    assert(!table->is_recovering);
    assert(lease_ms > 0);
    *ret_retry_ms = UINT64_MAX;
    index = find_next(table, queue);
    if (index == 0)
        return JOB_REF_NONE;
    if (settings->rate_per_s != 0 &&
        !token_bucket_take(&queue->rate, rate_time_ns(table), 1, rate_of(settings),
                           burst_of(settings), &wait_ns)) {
        SOMETIMES("a queue is at its rate");
        *ret_retry_ms = table->now_ms + (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
        return JOB_REF_NONE;
    }
    lease(table, index, lease_ms);
    return (struct job_ref){index};
}

bool job_table_is_ready(struct job_table *table, struct job_queue *queue, uint64_t now_ms)
{
    const struct job_queue_settings *settings = &queue->settings;

    job_table_enter(table, now_ms);
    if (find_next(table, queue) == 0)
        return false;
    return settings->rate_per_s == 0 ||
           token_bucket_left(&queue->rate, rate_time_ns(table), rate_of(settings),
                             burst_of(settings)) > 0;
}

/* --- while it is leased ---------------------------------------------------------- */

static bool is_leased_as(const struct job_table *table, const struct job *job, uint64_t epoch)
{
    bool is_of_this_boot = epoch >> 32 == table->config.boot_generation;

    if (!is_of_this_boot)
        SOMETIMES("an epoch of an earlier start is shown");
    return job->state == JOB_LEASED && (MUTANT("job_stale_epoch_accepted") ||
                                        ((is_of_this_boot || MUTANT("job_boot_epoch_ignored")) &&
                                         job->delivery == (uint32_t)epoch));
}

static enum job_claim refuse_stale(struct job_table *table)
{
    SOMETIMES("a stale completion is refused");
    table->stale_count++;
    return JOB_CLAIM_STALE;
}

enum job_claim job_table_extend(struct job_table *table, uint64_t id_low, uint64_t epoch,
                                uint64_t now_ms, uint32_t lease_ms, uint64_t *ret_until_ms)
{
    uint32_t index = job_lookup(table, id_low);
    struct job_extra *extra;
    struct job *job;
    uint64_t until_ms;

    job_table_enter(table, now_ms);
    if (index == 0)
        return JOB_CLAIM_UNKNOWN;
    job = job_at(table, index);
    if (!is_leased_as(table, job, epoch))
        return refuse_stale(table);
    extra = job_extra_of(table, job);
    /* What ends the lease is being written: nothing can be promised any more. */
    if (job_has(job, JOB_BIT_COMMITTING) && extra->claimed_kind != JOB_FACT_PROGRESS)
        return refuse_stale(table);
    until_ms = min_u64(table->now_ms + lease_ms, extra->leased_ms + timeout_of(table, job));
    if (until_ms > job->when_ms) {
        job_clear(job, JOB_BIT_OVERDUE);
        job_set_when(job, until_ms);
        job_heap_update(table, job_heap_entry(index, JOB_HEAP_STATE));
    }
    *ret_until_ms = job->when_ms;
    return JOB_CLAIMED;
}

void job_table_return(struct job_table *table, struct job_ref ref, uint64_t now_ms, uint64_t due_ms)
{
    struct job *job = job_at(table, ref.index);
    uint64_t ready_ms;

    job_table_enter(table, now_ms);
    assert(job->state == JOB_LEASED);
    ready_ms = job_extra_of(table, job)->ready_ms;
    job_leave(table, ref.index);
    if (due_ms > table->now_ms) {
        SOMETIMES("a lease is given back until later");
        job_enter_scheduled(table, ref.index, due_ms);
    } else {
        SOMETIMES("a lease is given back");
        job_enter_queued(table, ref.index, ready_ms, true);
    }
    job_extra_trim(table, ref.index);
}

/* --- claims ------------------------------------------------------------------------ */

static enum job_claim judge_dead(const struct job *job, enum job_fact_kind kind)
{
    if (job->state != JOB_DEAD)
        return JOB_CLAIM_UNKNOWN;
    if (job_has(job, JOB_BIT_REPLAYED))
        return kind == JOB_FACT_REPLAYED ? JOB_CLAIM_REPEATED : JOB_CLAIM_UNKNOWN;
    return JOB_CLAIMED;
}

/* A command that names the lease it speaks for. */
static enum job_claim judge_leased(struct job_table *table, const struct job *job, uint64_t epoch,
                                   enum job_fact_kind kind)
{
    if (is_leased_as(table, job, epoch))
        return JOB_CLAIMED;
    if (kind == JOB_FACT_COMPLETED && job->state == JOB_COMPLETED && epoch != 0 &&
        job->cache == job_epoch_mark(epoch)) {
        SOMETIMES("a completion is repeated");
        if (epoch >> 32 != table->config.boot_generation)
            SOMETIMES("a completion is repeated after a restart");
        return JOB_CLAIM_REPEATED;
    }
    return refuse_stale(table);
}

static enum job_claim judge(struct job_table *table, const struct job *job, bool has_epoch,
                            uint64_t epoch, enum job_fact_kind kind)
{
    if (kind == JOB_FACT_REPLAYED || kind == JOB_FACT_DROPPED)
        return judge_dead(job, kind);
    if (has_epoch)
        return judge_leased(table, job, epoch, kind);
    if (job_is_terminal(job))
        return JOB_CLAIM_TERMINAL;
    if ((kind == JOB_FACT_COMPLETED || kind == JOB_FACT_RETRY || kind == JOB_FACT_PROGRESS) &&
        job->state != JOB_LEASED)
        return refuse_stale(table);
    return JOB_CLAIMED;
}

/* One that has to be written DEAD and cannot be now is named again later. */
static void name_again(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    if (job->state != JOB_WAITING || !job_has(job, JOB_BIT_FAILED) || job_has(job, JOB_BIT_LINKED))
        return;
    if (table->failed_later.count == 0)
        table->failed_later_ms = table->now_ms + JOB_AGAIN_MS;
    job_extra_of(table, job)->is_failed_later = true;
    job_list_push_back(table, &table->failed_later, index);
    job_set(job, JOB_BIT_LINKED);
}

static void begin_claim(struct job_table *table, uint32_t index, enum job_fact_kind kind)
{
    struct job *job = job_at(table, index);

    job_set(job, JOB_BIT_COMMITTING);
    if (job->state == JOB_QUEUED && job_has(job, JOB_BIT_LINKED))
        job_unlink_ready(table, index);
    if (job->state == JOB_LEASED || kind == JOB_FACT_DEAD)
        job_extra_make(table, index)->claimed_kind = (uint8_t)kind;
    if (kind == JOB_FACT_DEAD)
        table->dead_claimed_count++;
}

enum job_claim job_table_claim(struct job_table *table, uint64_t id_low, bool has_epoch,
                               uint64_t epoch, enum job_fact_kind kind, struct job_ref *ret_ref)
{
    uint32_t index = job_lookup(table, id_low);
    enum job_claim claim;
    struct job *job;

    job_table_enter(table, table->now_ms);
    if (index == 0)
        return JOB_CLAIM_UNKNOWN;
    job = job_at(table, index);
    claim = job->state == JOB_PENDING ? JOB_CLAIM_BUSY : judge(table, job, has_epoch, epoch, kind);
    if (claim == JOB_CLAIMED && job_has(job, JOB_BIT_COMMITTING)) {
        SOMETIMES("a command meets a fact being written");
        claim = JOB_CLAIM_BUSY;
    }
    if (claim == JOB_CLAIMED && kind == JOB_FACT_DEAD &&
        table->dead.count + table->dead_claimed_count >= table->config.dead_count_max) {
        SOMETIMES("there is no room for a dead letter");
        name_again(table, index);
        claim = JOB_CLAIM_DLQ_FULL;
    }
    if (claim != JOB_CLAIMED)
        return claim;
    begin_claim(table, index, kind);
    *ret_ref = (struct job_ref){index};
    return JOB_CLAIMED;
}

void job_end_claim(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_of(table, job);

    if (!job_has(job, JOB_BIT_COMMITTING))
        return;
    job_clear(job, JOB_BIT_COMMITTING);
    if (extra == NULL)
        return;
    if (extra->claimed_kind == JOB_FACT_DEAD) {
        assert(table->dead_claimed_count > 0);
        table->dead_claimed_count--;
    }
    extra->claimed_kind = 0;
}

/* The job goes on as it is: makes up for what had to wait for the claim. */
static void go_on(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    if (job->state == JOB_QUEUED && !job_has(job, JOB_BIT_LINKED | JOB_BIT_RESTING) &&
        !table->is_recovering)
        job_link_ready(table, index, true);
    if (job_has(job, JOB_BIT_OVERDUE)) {
        SOMETIMES("a lease ended while a fact was being written");
        job_clear(job, JOB_BIT_OVERDUE);
        job_set_when(job, job->when_ms - JOB_AGAIN_MS);
        job_heap_update(table, job_heap_entry(index, JOB_HEAP_STATE));
    }
    name_again(table, index);
    job_extra_trim(table, index);
}

void job_table_unclaim(struct job_table *table, struct job_ref ref)
{
    job_table_enter(table, table->now_ms);
    assert(job_has(job_at(table, ref.index), JOB_BIT_COMMITTING));
    job_end_claim(table, ref.index);
    go_on(table, ref.index);
}

/* --- facts --------------------------------------------------------------------------- */

static void note_failure(struct job_table *table, uint32_t index, const struct job_fact *fact,
                         struct journal_location location)
{
    uint64_t size = job_fact_size(fact);
    struct job_extra *extra = job_extra_make(table, index);

    if (extra->first_failed_ms == 0)
        extra->first_failed_ms = fact->header.at_ms;
    if (fact->header.link != 0)
        extra->last_epoch = fact->header.link;
    if (fact->text.size == 0)
        return;
    if ((extra->job_texts >> JOB_TEXT_FIRST_ERROR & 1) == 0 &&
        extra->texts[JOB_TEXT_FIRST_ERROR].bits == 0)
        job_note_text(table, index, JOB_TEXT_FIRST_ERROR, location, size);
    job_note_text(table, index, JOB_TEXT_LAST_ERROR, location, size);
}

static void apply_retry(struct job_table *table, uint32_t index, const struct job_fact *fact)
{
    struct job *job = job_at(table, index);

    if (!MUTANT("job_attempt_not_counted"))
        job->attempt = fact->header.attempt;
    job_leave(table, index);
    job_enter_scheduled(table, index,
                        MUTANT("job_retry_without_due") ? table->now_ms : fact->header.due_ms);
}

static void apply_completed(struct job_table *table, uint32_t index, const struct job_fact *fact,
                            struct journal_location location)
{
    struct job *job = job_at(table, index);

    job->attempt = fact->header.attempt;
    if (fact->text.size > 0)
        job_note_text(table, index, JOB_TEXT_RESULT, location, job_fact_size(fact));
    job_leave(table, index);
    if (!table->is_recovering && MUTANT("job_completed_runs_again")) {
        job_enter_queued(table, index, fact->header.at_ms, false);
        return;
    }
    job_enter_terminal(table, index, JOB_COMPLETED, fact->header.at_ms);
    job->cache = job_epoch_mark(fact->header.link);
}

static void apply_dead(struct job_table *table, uint32_t index, const struct job_fact *fact)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_make(table, index);

    job->attempt = fact->header.attempt;
    extra->reason = fact->header.reason;
    job_leave(table, index);
    job_enter_terminal(table, index, JOB_DEAD, fact->header.at_ms);
}

/* The dead letter goes; what must not be forgotten of it yet is kept as cancelled. */
static void apply_dropped(struct job_table *table, uint32_t index, const struct job_fact *fact)
{
    struct job *job = job_at(table, index);

    job_leave(table, index);
    job_set_state(table, index, JOB_CANCELLED);
    job_extra_make(table, index)->reason = JOB_DEAD_NONE;
    job_extra_of(table, job)->order = 0;
    job_set_when(job, fact->header.at_ms);
    job_note_no_payload(table, index);
    if (table->is_recovering) {
        job_set(job, JOB_BIT_FAILED);
        job_remember(table, index);
    } else {
        job_retire(table, index);
    }
}

/* What has ended stays as it is: only a dead letter may still go. */
static bool is_possible(const struct job *job, enum job_fact_kind kind)
{
    if (kind == JOB_FACT_REPLAYED || kind == JOB_FACT_DROPPED)
        return job->state == JOB_DEAD && !job_has(job, JOB_BIT_REPLAYED);
    return !job_is_terminal(job);
}

static void apply(struct job_table *table, uint32_t index, const struct job_fact *fact,
                  struct journal_location location)
{
    switch ((enum job_fact_kind)fact->header.kind) {
    case JOB_FACT_RETRY:
        note_failure(table, index, fact, location);
        apply_retry(table, index, fact);
        return;
    case JOB_FACT_COMPLETED:
        apply_completed(table, index, fact, location);
        return;
    case JOB_FACT_DEAD:
        note_failure(table, index, fact, location);
        apply_dead(table, index, fact);
        return;
    case JOB_FACT_CANCELLED:
        job_leave(table, index);
        job_enter_terminal(table, index, JOB_CANCELLED, fact->header.at_ms);
        return;
    case JOB_FACT_PROGRESS:
        job_note_text(table, index, JOB_TEXT_PROGRESS, location, job_fact_size(fact));
        go_on(table, index);
        return;
    case JOB_FACT_REPLAYED:
        job_extra_make(table, index)->link = fact->header.link;
        job_mark_replayed(table, index);
        return;
    case JOB_FACT_DROPPED:
        apply_dropped(table, index, fact);
        return;
    case JOB_FACT_BLAMED:
        job_extra_make(table, index)->crash_count = fact->header.crash_count;
        go_on(table, index);
        return;
    case JOB_FACT_KIND_COUNT:
        assert(false);
    }
}

/* All that is left of this job is how it ended: for those that come after it. */
static void learn_end(struct job *job, const struct job_fact *fact)
{
    if (fact->header.kind == JOB_FACT_DEAD || fact->header.kind == JOB_FACT_CANCELLED)
        job_set(job, JOB_BIT_FAILED);
    if (job_has(job, JOB_BIT_FAILED) || fact->header.kind == JOB_FACT_COMPLETED)
        job_set_when(job, fact->header.at_ms);
}

/* Planted: recovery passes over an end. */
static bool is_lost(const struct job_table *table, enum job_fact_kind kind)
{
    return table->is_recovering &&
           ((kind == JOB_FACT_COMPLETED && MUTANT("job_completed_lost_on_recovery")) ||
            (kind == JOB_FACT_DEAD && MUTANT("job_dead_lost_on_recovery")));
}

void job_table_apply_fact(struct job_table *table, const struct job_fact *fact,
                          struct journal_location location, uint64_t now_ms)
{
    enum job_fact_kind kind = (enum job_fact_kind)fact->header.kind;
    uint32_t index = job_lookup(table, fact->header.id_low);
    struct job *job;

    job_table_enter(table, table->is_recovering ? fact->header.at_ms : now_ms);
    if (index == 0) {
        SOMETIMES("a fact is about a job that is forgotten");
        return;
    }
    job = job_at(table, index);
    if (job->state == JOB_PENDING) {
        assert(table->is_recovering);
        learn_end(job, fact);
        return;
    }
    job_end_claim(table, index);
    if (!is_possible(job, kind) || is_lost(table, kind))
        return;
    if (journal_location_log(location) != journal_location_log(job->location)) {
        job_set_foreign(table, index);
        job_extra_make(table, index)->is_split = true;
    }
    apply(table, index, fact, location);
    job_flow_work(table, JOB_WORK_MAX);
    if (table->is_recovering)
        job_retire_read(table);
    else
        job_retire_crowd(table);
}
