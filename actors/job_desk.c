#include "actors/job_desk.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * Time. The table runs on a steady clock: the wall clock of the moment at which the shard
 * was made, moved on by the monotonic one, so that a wall clock that jumps neither fires
 * a million timers nor holds them back. One timer of the wheel stands for all that is due.
 *
 * Waking. Everything that may give a lease something to take ends in job_desk_wake():
 * queues that got work serve those who wait or are noted for their handler, jobs that must
 * fail with another are written dead, and the timer is set for what comes next. Serving makes
 * nothing ready by itself, so the loop ends; what is offered to handlers is bounded per turn.
 */

static struct job_desk *desk_of(struct actor *self)
{
    return ACTOR_CAST(self, struct job_desk, JOB_DESK_MAGIC);
}

static struct app *app_of(const struct job_desk *desk)
{
    return desk->home->app;
}

uint64_t job_desk_now(const struct job_desk *desk)
{
    uint64_t mono_ns = desk->home->shard->clock.mono_ns;

    assert(mono_ns >= desk->anchor_mono_ns);
    return desk->anchor_unix_ms + (mono_ns - desk->anchor_mono_ns) / 1000000;
}

struct job_desk *job_desk_of_project(struct app_shard *home, struct slice org, struct slice project)
{
    struct app *app = home->app;
    uint32_t partition = job_partition(org, project, app->superblock.partition_count);

    return &app->shards[partition % app->shard_count].jobs;
}

/* What the table is told in recovery is of no matter: it goes by the log then. */
static uint64_t apply_time(const struct job_desk *desk, const struct durable_fact *fact)
{
    /* The boot thread must not read the shard's clock. */
    return fact->is_recovery ? desk->anchor_unix_ms : job_desk_now(desk);
}

/* --- facts --------------------------------------------------------------------- */

static void count_fact(struct job_desk *desk, const struct job_fact_header *header)
{
    const struct job_metrics *series = &app_of(desk)->metrics.jobs;
    struct metrics *metrics = &desk->home->shard->metrics;

    switch ((enum job_fact_kind)header->kind) {
    case JOB_FACT_COMPLETED:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_COMPLETED], 1);
        break;
    case JOB_FACT_RETRY:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_FAILED], 1);
        break;
    case JOB_FACT_DEAD:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_DEAD], 1);
        metrics_add(metrics, series->dead[header->reason], 1);
        metrics_add(metrics, series->letters[header->reason], 1);
        break;
    case JOB_FACT_CANCELLED:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_CANCELLED], 1);
        break;
    case JOB_FACT_REPLAYED:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_REPLAYED], 1);
        break;
    case JOB_FACT_PROGRESS:
    case JOB_FACT_DROPPED:
    case JOB_FACT_BLAMED:
    case JOB_FACT_KIND_COUNT:
        break;
    }
}

MUST_USE static int apply_job(struct job_desk *desk, const struct durable_fact *fact)
{
    struct job_image image;
    struct job_ref ref;
    int r = job_image_decode(fact->payload, &image);

    if (r < 0)
        return r;
    r = job_table_apply_job(desk->table, &image, fact->location, fact->size,
                            apply_time(desk, fact));
    if (r < 0 || fact->is_recovery)
        return r;
    if ((image.header.flags & JOB_FLAG_CARRIED) != 0)
        return 0;
    metrics_add(&desk->home->shard->metrics,
                app_of(desk)->metrics.jobs.outcome[JOB_OUTCOME_ENQUEUED], 1);
    if (job_table_find(desk->table, image.header.id_low, &ref))
        job_table_set_cache(desk->table, ref,
                            job_body_cache_put(&desk->bodies, image.header.id_low, fact->payload));
    return 0;
}

MUST_USE static int apply_fact(struct job_desk *desk, const struct durable_fact *fact)
{
    struct job_fact decoded;
    int r = job_fact_decode(fact->payload, &decoded);

    if (r < 0)
        return r;
    job_table_apply_fact(desk->table, &decoded, fact->location, apply_time(desk, fact));
    if (fact->is_recovery)
        return 0;
    count_fact(desk, &decoded.header);
    job_handlers_on_fact(&desk->handlers, decoded.header.id_low,
                         (enum job_fact_kind)decoded.header.kind);
    return 0;
}

MUST_USE static int apply_queue(struct job_desk *desk, const struct durable_fact *fact)
{
    struct job_queue_record record;
    struct job_queue *queue;
    int r = job_queue_record_decode(fact->payload, &record);

    if (r < 0)
        return r;
    queue = job_table_queue(desk->table, record.org, record.project, record.kind, true);
    if (queue == NULL)
        return -ENOSPC;
    if (fact->is_recovery && MUTANT("job_settings_lost_on_recovery"))
        return 0;
    job_table_apply_queue(desk->table, queue, &record.settings, fact->location);
    return 0;
}

static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    switch (fact->type) {
    case RECORD_JOB:
        return apply_job(desk, fact);
    case RECORD_JOB_FACT:
        return apply_fact(desk, fact);
    case RECORD_JOB_QUEUE:
        return apply_queue(desk, fact);
    default:
        return -EPROTO;
    }
}

/* Both kinds of record begin with the id. */
static void expect(struct durable *self, const struct journal_record_view *record, bool is_near)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);
    uint64_t id_low;

    static_assert(offsetof(struct job_image_header, id_low) == 0, "its first word");
    static_assert(offsetof(struct job_fact_header, id_low) == 0, "its first word");
    if (record->type == RECORD_JOB_QUEUE || record->payload.size < sizeof(id_low))
        return;
    memcpy(&id_low, record->payload.data, sizeof(id_low));
    job_table_expect(desk->table, id_low, is_near);
}

/*
 * A million jobs take their places: too long for a turn of the shard. Its clock is not this
 * thread's to read; what became due since the process began is found by the first look.
 */
static void settle(struct durable *self)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    desk->live_count = job_table_resume(desk->table, desk->anchor_unix_ms);
}

static void resume(struct durable *self)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    desk->is_resumed = true;
    if (desk->live_count > 0)
        log_event(&desk->home->shard->log, LOG_INFO, "jobs", "jobs go on",
                  LOG_NUMBER("live", desk->live_count),
                  LOG_NUMBER("shard", desk->home->shard->index));
    actor_timer_start(&desk->actor, &desk->tidy_timer, JOB_TIDY_MS);
    job_handlers_blame(desk);
    job_desk_wake(desk);
}

static void carry(struct durable *self, uint32_t log, uint64_t seq)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    job_carrier_carry(&desk->carrier, desk, log, seq);
}

static void on_room(struct durable *self)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    job_carrier_on_room(&desk->carrier, desk);
}

static uint64_t live_bytes(struct durable *self)
{
    struct job_table_stats stats;

    job_table_stats(container_of(self, struct job_desk, durable)->table, &stats);
    return stats.live_bytes;
}

static const struct durable_type durable_job_type = {
    .name = "jobs",
    .record_first = RECORD_JOB,
    .record_last = RECORD_JOB_QUEUE,
    .version_max = JOB_RECORD_VERSION,
    .apply = apply,
    .expect = expect,
    .settle = settle,
    .resume = resume,
    .carry_up_to = carry,
    .live_bytes = live_bytes,
    .on_room = on_room,
};

void job_desk_old_logs_gone(struct job_desk *desk)
{
    job_table_old_logs_gone(desk->table);
}

/* --- what nobody asks for -------------------------------------------------------- */

static void on_step_done(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_step *it = container_of(step, struct job_step, step);
    struct job_desk *desk = it->desk;
    void *slot = it;

    if (outcome == DURABLE_DONE && it->crumb != 0)
        breadcrumbs_pick_up_blamed(&app_of(desk)->breadcrumbs, desk->home->shard->index,
                                   it->crumb - 1);
    pool_release(&desk->steps, &slot);
    if (outcome == DURABLE_DONE)
        job_desk_wake(desk);
}

/* Writes a fact about a job that has been claimed for it; gives the claim back if it cannot. */
static void write_step(struct job_desk *desk, struct job_ref ref, struct job_fact_header header,
                       struct slice text, uint32_t crumb)
{
    struct job_step *it = FAILPOINT("no job step is free") ? NULL : pool_acquire(&desk->steps);
    struct job_fact fact = {.header = header, .text = text};

    if (it == NULL) {
        job_table_unclaim(desk->table, ref); /* the table names it again */
        return;
    }
    assert(text.size <= JOB_STEP_TEXT_MAX);
    memset(it, 0, offsetof(struct job_step, bytes));
    it->desk = desk;
    it->ref = ref;
    it->crumb = crumb;
    it->part = (struct slice){it->bytes, job_fact_encode(&fact, it->bytes)};
    job_desk_fill_record(desk, ref, RECORD_JOB_FACT, &it->part, &it->record);
    it->step = (struct durable_step){
        .on_done = on_step_done,
        .records = &it->record,
        .record_count = 1,
        .flags = JOURNAL_IMPORTANT,
    };
    if (!durable_commit_later(&desk->home->keeper.durables, &it->step)) {
        void *slot = it;

        job_table_unclaim(desk->table, ref);
        pool_release(&desk->steps, &slot);
    }
}

static void write_fact(struct job_desk *desk, struct job_ref ref, struct job_fact_header header,
                       struct slice text)
{
    write_step(desk, ref, header, text, 0);
}

void job_desk_write_blame(struct job_desk *desk, struct job_ref ref, struct job_fact_header header,
                          struct slice text, uint32_t slot)
{
    write_step(desk, ref, header, text, slot + 1);
}

void job_desk_fill_record(struct job_desk *desk, struct job_ref ref, uint8_t type,
                          const struct slice *part, struct journal_record *ret_record)
{
    struct job_view view;

    job_table_view(desk->table, ref, &view);
    *ret_record = (struct journal_record){
        .partition = view.queue->partition,
        .type = type,
        .version = JOB_RECORD_VERSION,
        .parts = part,
        .part_count = 1,
    };
}

/* Its lease is over: nobody answered for it. */
static void expire(struct job_desk *desk, struct job_ref ref)
{
    static const struct slice text =
        SLICE_INITIALIZER("the lease expired: its worker did not answer");
    struct job_fact_header header;
    struct job_view view;

    job_table_view(desk->table, ref, &view);
    job_command_judge_failure(desk, &view, true, 0, JOB_DEAD_LEASE_EXPIRED, &header);
    if (job_table_claim(desk->table, view.id_low, true, view.epoch, (enum job_fact_kind)header.kind,
                        &ref) == JOB_CLAIMED)
        write_fact(desk, ref, header, text);
}

static void kill_job(struct job_desk *desk, struct job_ref ref, enum job_dead_reason reason,
                     struct slice text)
{
    struct job_fact_header header = {
        .at_ms = job_desk_now(desk), .kind = JOB_FACT_DEAD, .reason = (uint8_t)reason};
    struct job_view view;

    job_table_view(desk->table, ref, &view);
    header.id_low = view.id_low;
    header.link = view.epoch;
    header.attempt = view.attempt;
    header.crash_count = view.crash_count;
    if (job_table_claim(desk->table, view.id_low, false, 0, JOB_FACT_DEAD, &ref) == JOB_CLAIMED)
        write_fact(desk, ref, header, text);
}

static void do_due(struct job_desk *desk)
{
    static const struct slice text = SLICE_INITIALIZER("the deadline has passed");
    struct job_ref ref;

    for (uint32_t i = 0; i < JOB_DUE_MAX; i++) {
        switch (job_table_due(desk->table, job_desk_now(desk), &ref)) {
        case JOB_DUE_NONE:
            return;
        case JOB_DUE_READY:
            break;
        case JOB_DUE_EXPIRED:
            SOMETIMES("a lease expires");
            expire(desk, ref);
            break;
        case JOB_DUE_DEADLINE:
            SOMETIMES("a job's deadline passes");
            kill_job(desk, ref, JOB_DEAD_DEADLINE, text);
            break;
        }
    }
}

static void do_failed(struct job_desk *desk)
{
    static const struct slice text = SLICE_INITIALIZER("a job that it comes after has failed");
    struct job_ref ref;

    for (uint32_t i = 0; i < JOB_DUE_MAX; i++) {
        ref = job_table_next_failed(desk->table);
        if (ref.index == JOB_REF_NONE.index)
            return;
        SOMETIMES("a job fails with one that it comes after");
        kill_job(desk, ref, JOB_DEAD_DEPENDENCY, text);
    }
}

static void drop_dead(struct job_desk *desk)
{
    struct job_fact_header header = {.at_ms = job_desk_now(desk), .kind = JOB_FACT_DROPPED};
    struct job_view view;

    for (uint32_t i = 0; i < JOB_DUE_MAX; i++) {
        struct job_ref ref = job_table_expired_dead(desk->table, job_desk_now(desk));

        if (ref.index == JOB_REF_NONE.index)
            return;
        job_table_view(desk->table, ref, &view);
        header.id_low = view.id_low;
        if (job_table_claim(desk->table, view.id_low, false, 0, JOB_FACT_DROPPED, &ref) !=
            JOB_CLAIMED)
            return;
        SOMETIMES("a dead letter is dropped by age");
        write_fact(desk, ref, header, (struct slice){NULL, 0});
    }
}

/* --- time ---------------------------------------------------------------------- */

static void arm_due_timer(struct job_desk *desk)
{
    uint64_t now_ms = job_desk_now(desk);
    uint64_t due_ms = job_table_next_due_ms(desk->table);

    if (due_ms == desk->due_armed_ms)
        return;
    desk->due_armed_ms = due_ms;
    if (due_ms == UINT64_MAX)
        actor_timer_stop(&desk->actor, &desk->due_timer);
    else
        actor_timer_start(&desk->actor, &desk->due_timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

void job_desk_wake(struct job_desk *desk)
{
    struct job_queue *queue;

    if (!desk->is_resumed || desk->is_waking || desk->is_stopping)
        return;
    desk->is_waking = true;
    do_failed(desk);
    while ((queue = job_table_next_ready(desk->table)) != NULL) {
        struct job_handler *handler =
            job_handlers_find(&desk->handlers, (struct slice){queue->kind, queue->kind_size});

        if (handler != NULL)
            job_handlers_note_ready(&desk->handlers, handler, queue);
        else
            job_delivery_serve(desk, queue);
    }
    job_handlers_offer(&desk->handlers, desk);
    desk->is_waking = false;
    arm_due_timer(desk);
}

void job_desk_note_lease(struct job_desk *desk, const struct job_view *view)
{
    uint64_t delay_ms = view->leased_ms > view->ready_ms ? view->leased_ms - view->ready_ms : 0;

    assert(view->state == JOB_LEASED);
    metrics_observe(&desk->home->shard->metrics, app_of(desk)->metrics.jobs.start_delay,
                    delay_ms * 1000000);
}

uint64_t job_desk_oldest_ready_ms(const struct job_desk *desk)
{
    uint64_t now_ms = job_desk_now(desk), oldest_ms = 0;

    for (uint32_t i = 0; i < job_table_queue_count(desk->table); i++)
        oldest_ms = max_u64(
            oldest_ms,
            job_table_oldest_ready_ms(desk->table, job_table_queue_at(desk->table, i), now_ms));
    return oldest_ms;
}

static void export_numbers(struct job_desk *desk)
{
    const struct job_metrics *series = &app_of(desk)->metrics.jobs;
    struct metrics *metrics = &desk->home->shard->metrics;
    struct job_table_stats stats;

    job_table_stats(desk->table, &stats);
    for (uint32_t i = JOB_SCHEDULED; i < JOB_STATE_COUNT; i++)
        metrics_set(metrics, series->states[i], stats.counts[i]);
    metrics_set(metrics, series->stale, stats.stale_count);
    metrics_set(metrics, series->dlq_size, stats.counts[JOB_DEAD]);
    metrics_set(metrics, series->timers, stats.timer_count);
    metrics_set(metrics, series->live_bytes, stats.live_bytes);
    metrics_set(metrics, series->oldest_ready, job_desk_oldest_ready_ms(desk) * 1000000);
    metrics_set(metrics, series->waiting_workers, desk->waiting_count);
}

static uint64_t entry_count(const struct job_table_stats *stats)
{
    uint64_t count = 0;

    for (uint32_t i = JOB_PENDING; i < JOB_STATE_COUNT; i++)
        count += stats->counts[i];
    return count;
}

/* The oldest segment of each log that this shard has; 0 for the others, which it cannot know. */
static void fill_oldest_seqs(const struct job_desk *desk, uint64_t seqs[SEGMENT_LOG_MAX + 1])
{
    const struct keeper *keeper = &desk->home->keeper;

    memset(seqs, 0, sizeof(uint64_t) * (SEGMENT_LOG_MAX + 1));
    for (uint32_t i = 0; i < keeper->log_count; i++)
        if (keeper->logs[i].journal != NULL)
            seqs[keeper->logs[i].log] = journal_oldest_seq(keeper->logs[i].journal);
}

void job_desk_audit(struct job_desk *desk, uint32_t step_max)
{
    uint64_t oldest_seq[SEGMENT_LOG_MAX + 1];
    uint32_t mismatches;
    bool round_done;

    fill_oldest_seqs(desk, oldest_seq);
    mismatches = job_table_audit(desk->table, step_max, oldest_seq, &round_done);
    if (mismatches == 0)
        return;
    metrics_add(&desk->home->shard->metrics, app_of(desk)->metrics.jobs.audit_mismatches,
                mismatches);
    log_event(&desk->home->shard->log, LOG_ERROR, "jobs", "the audit found mismatches",
              LOG_NUMBER("count", mismatches));
}

/* The 60 s auditor, a part each second, and retention. */
static void tidy(struct job_desk *desk)
{
    struct job_table_stats stats;

    job_table_tidy(desk->table, job_desk_now(desk));
    drop_dead(desk);
    job_table_stats(desk->table, &stats);
    job_desk_audit(desk, (uint32_t)min_u64(entry_count(&stats) / 60 + 1024, JOB_AUDIT_STEP_MAX));
    export_numbers(desk);
    actor_timer_start(&desk->actor, &desk->tidy_timer, JOB_TIDY_MS);
    job_desk_wake(desk);
}

/* --- requests ------------------------------------------------------------------- */

void job_desk_do(struct job_desk *desk, struct job_request *request)
{
    assert(request->owner == desk);
    if (!desk->is_resumed) {
        request->code = PROBLEM_RECOVERING;
        job_desk_decide(desk, request);
        return;
    }
    switch ((enum job_operation)request->operation) {
    case JOB_ENQUEUE:
        job_command_enqueue(desk, request);
        return;
    case JOB_LEASE:
        if (job_handlers_find(&desk->handlers, (struct slice){request->kind, request->kind_size}) !=
            NULL) {
            request->code = PROBLEM_INTERNAL_KIND;
            job_desk_decide(desk, request);
            return;
        }
        if (request->finish_count > 0 && request->stage == 0)
            job_command_finish(desk, request, request->finish_count);
        else
            job_delivery_lease(desk, request);
        return;
    case JOB_FINISH:
        job_command_finish(desk, request, request->item_count);
        return;
    case JOB_EXTEND:
        job_command_extend(desk, request);
        return;
    case JOB_CANCEL:
        job_command_cancel(desk, request);
        return;
    case JOB_GET:
        job_delivery_get(desk, request);
        return;
    case JOB_QUEUE_GET:
        job_command_get_queue(desk, request);
        return;
    case JOB_QUEUE_SET:
        job_command_set_queue(desk, request);
        return;
    case JOB_QUEUE_LIST:
        job_command_list_queues(desk, request);
        return;
    case JOB_RETURN:
        job_delivery_return(desk, request);
        return;
    }
}

void job_desk_decide(struct job_desk *desk, struct job_request *request)
{
    assert(request->owner == desk);
    assert(!request->is_waiting);
    buffer_unref(&request->read_buffer);
    if (request->home == desk)
        job_request_came_back(request);
    else
        outbox_send(&desk->outbox, &desk->actor, request->home->actor.id, MSG_JOB_DONE, 0, request);
}

void job_desk_drain(struct job_desk *desk)
{
    struct list_node *node;

    job_handlers_drain(&desk->handlers, desk);
    while ((node = desk->waiting.next) != &desk->waiting)
        job_delivery_stop_waiting(desk, container_of(node, struct job_request, desk_link));
}

bool job_desk_is_idle(const struct job_desk *desk)
{
    return pool_used_count(&desk->requests) == 0;
}

/* --- the actor ------------------------------------------------------------------ */

/*
 * Requests have all been answered by now (intake waits for that), but handlers may be at work,
 * and facts that nobody asked for on their way to the disk. Looks again until all is done.
 */
static int stop_if_idle(struct job_desk *desk)
{
    bool carries = !job_carrier_stop(&desk->carrier);
    bool runs = !job_handlers_stop(&desk->handlers, desk);

    if (!carries && !runs && durable_is_idle(&desk->home->keeper.durables))
        return ACTOR_STOP;
    SOMETIMES("a desk stops with facts on their way to the disk");
    actor_timer_start(&desk->actor, &desk->tidy_timer, OUTBOX_RETRY_MS);
    return ACTOR_OK;
}

static int on_timer(struct job_desk *desk, struct timer *timer)
{
    if (outbox_on_timer(&desk->outbox, &desk->actor, timer))
        return ACTOR_OK;
    if (desk->is_stopping)
        return stop_if_idle(desk);
    if (job_carrier_on_timer(&desk->carrier, desk, timer) ||
        job_handlers_on_timer(&desk->handlers, desk, timer))
        return ACTOR_OK;
    if (timer == &desk->tidy_timer) {
        tidy(desk);
    } else if (timer == &desk->due_timer) {
        desk->due_armed_ms = 0; /* neither a time that is due nor never: arm again */
        do_due(desk);
        job_desk_wake(desk);
    } else {
        job_delivery_on_wait_timer(desk, container_of(timer, struct job_request, wait_timer));
    }
    return ACTOR_OK;
}

static int receive(struct actor *self, const struct message *msg)
{
    struct job_desk *desk = desk_of(self);
    struct job_request *request;

    switch (msg->type) {
    case MSG_JOB_DO:
        job_desk_do(desk, outbox_lent(msg));
        return ACTOR_OK;
    case MSG_JOB_DONE:
        job_request_came_back(outbox_lent(msg));
        return ACTOR_OK;
    case MSG_JOB_FORGET:
        request = outbox_lent(msg);
        job_delivery_stop_waiting(desk, request);
        outbox_send(&desk->outbox, self, msg->from, MSG_JOB_FORGOTTEN, 0, request);
        return ACTOR_OK;
    case MSG_JOB_FORGOTTEN:
        job_request_forgotten(outbox_lent(msg));
        return ACTOR_OK;
    case MSG_TIMER:
        return on_timer(desk, msg->as.timer.timer);
    case MSG_STOP:
        desk->is_stopping = true;
        return stop_if_idle(desk);
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct job_desk *desk = desk_of(self);

    desk->is_stopping = false;
    outbox_init(&desk->outbox, self);
    actor_timer_init(self, &desk->due_timer);
    actor_timer_init(self, &desk->tidy_timer);
    job_carrier_start(&desk->carrier, desk);
    job_handlers_start(&desk->handlers, desk);
    return 0;
}

const struct actor_type job_desk_type = {
    .name = "jobs",
    .start = start,
    .receive = receive,
    .mailbox_max = 65536,
};

/* --- start-up -------------------------------------------------------------------- */

void job_metrics_add(struct metrics_registry *registry, struct job_metrics *ret_metrics)
{
    static const char *const outcomes[JOB_OUTCOME_COUNT] = {
        [JOB_OUTCOME_ENQUEUED] = "enqueued",   [JOB_OUTCOME_COMPLETED] = "completed",
        [JOB_OUTCOME_FAILED] = "failed",       [JOB_OUTCOME_DEAD] = "dead",
        [JOB_OUTCOME_CANCELLED] = "cancelled", [JOB_OUTCOME_REPLAYED] = "replayed",
        [JOB_OUTCOME_QUOTA] = "quota",
    };

    for (uint32_t i = 0; i < JOB_OUTCOME_COUNT; i++)
        ret_metrics->outcome[i] =
            metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_jobs_total",
                               metrics_text(registry, "outcome=\"%s\"", outcomes[i]),
                               "What happened to jobs: failed attempts that are tried again, jobs "
                               "that a rate refused.");
    for (uint32_t i = JOB_SCHEDULED; i < JOB_STATE_COUNT; i++)
        ret_metrics->states[i] = metrics_add_series(
            registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_jobs",
            metrics_text(registry, "state=\"%s\"", job_state_name((enum job_state)i)),
            "Jobs by state.");
    for (uint32_t i = JOB_DEAD_ATTEMPTS; i < JOB_DEAD_REASON_COUNT; i++)
        ret_metrics->dead[i] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_jobs_dead_total",
            metrics_text(registry, "reason=\"%s\"", job_dead_reason_name((enum job_dead_reason)i)),
            "Jobs that became dead letters.");
    ret_metrics->stale = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                            "weir_job_stale_completions_total", "",
                                            "Completions, failures and extensions refused because "
                                            "the lease had gone to somebody else.");
    ret_metrics->dlq_size = metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                                               "weir_dlq_size", "", "Dead letters kept.");
    ret_metrics->timers =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_job_timers", "",
                           "Jobs that wait for a time: delayed, between attempts, or leased.");
    ret_metrics->start_delay = metrics_add_histogram(
        registry, METRIC_UNIT_SECONDS, "weir_job_start_delay_seconds", "",
        "From ready to run to leased.", METRICS_REQUEST_NS, METRICS_REQUEST_BOUNDS);
    ret_metrics->cold_reads =
        metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_job_cold_reads_total",
                           "", "Jobs whose body had to be read from the log.");
    ret_metrics->carried =
        metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_jobs_carried_total",
                           "", "Jobs written again because their segment was about to go.");
    ret_metrics->audit_mismatches = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                                       "weir_job_audit_mismatches_total", "",
                                                       "Jobs that the auditor found out of place.");
    ret_metrics->live_bytes =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_job_live_bytes", "",
                           "Bytes of the log that jobs still need.");
    ret_metrics->oldest_ready = metrics_add_series(
        registry, METRIC_GAUGE_MAX, METRIC_UNIT_SECONDS, "weir_job_oldest_ready_seconds", "",
        "How long the oldest job that may run has waited, in the queue that is furthest behind.");
    ret_metrics->waiting_workers =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_job_waiting_workers", "",
                           "Leases that wait for a job.");
}

void job_metrics_add_letters(struct metrics_registry *registry, struct job_metrics *ret_metrics)
{
    for (uint32_t i = JOB_DEAD_ATTEMPTS; i < JOB_DEAD_REASON_COUNT; i++)
        ret_metrics->letters[i] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_dead_letters_total",
            metrics_text(registry, "origin=\"job\",reason=\"%s\"",
                         job_dead_reason_name((enum job_dead_reason)i)),
            "Messages that nobody handled, jobs that failed for good.");
}

int job_desk_init(struct job_desk *desk, struct app_shard *home)
{
    const struct settings *settings = home->app->settings;
    uint32_t shards = home->app->shard_count;
    struct job_table_config config = {
        .job_count_max =
            (uint32_t)min_u64((uint64_t)settings->job_count / shards + 1, JOB_COUNT_MAX),
        .finished_count_max = (uint32_t)((uint64_t)settings->job_finished / shards + 1),
        .finished_ms = settings->job_finished_ms,
        .dead_count_max = (uint32_t)((uint64_t)settings->job_dead / shards + 1),
        .dead_ms = settings->job_dead_ms,
        .tenant_concurrency = (uint32_t)settings->job_tenant_concurrency,
        .retry = JOB_RETRY_DEFAULT,
        .boot_generation = home->app->superblock.boot_generation,
        .partition_count = home->app->superblock.partition_count,
    };
    int r;

    memset(desk, 0, sizeof(*desk));
    desk->home = home;
    desk->anchor_unix_ms = home->shard->clock.unix_ms;
    desk->anchor_mono_ns = home->shard->clock.mono_ns;
    desk->durable.type = &durable_job_type;
    desk->due_armed_ms = UINT64_MAX;
    list_init(&desk->waiting);
    list_init(&desk->queue_changes);
    job_carrier_init(&desk->carrier, desk);
    job_handlers_init(&desk->handlers);
    memcpy(config.hash_key, home->app->hash_key, sizeof(config.hash_key));
    r = job_table_new(&config, &desk->table);
    if (r == 0)
        r = job_body_cache_init(&desk->bodies, settings->job_cache_bytes / shards);
    if (r == 0)
        r = pool_init(&desk->steps, "job steps", sizeof(struct job_step), JOB_STEP_COUNT_MAX);
    if (r == 0)
        r = pool_init(&desk->requests, "job requests", sizeof(struct job_request),
                      (uint32_t)((uint64_t)settings->requests_in_flight / shards + 1));
    return r;
}

void job_desk_deinit(struct job_desk *desk)
{
    job_table_free(&desk->table);
    job_body_cache_deinit(&desk->bodies);
    pool_abandon(&desk->steps);
    pool_abandon(&desk->requests);
}
