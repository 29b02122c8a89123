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

void job_desk_old_logs_gone(struct job_desk *desk)
{
    job_table_old_logs_gone(desk->table);
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
    job_step_do_failed(desk);
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
    job_step_drop_dead(desk);
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
        job_step_do_due(desk);
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
    desk->durable.type = &job_durable_type;
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
