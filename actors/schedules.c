#include "actors/schedules.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * Time. Schedules go by the wall clock, which may jump; timers by the monotonic one, which
 * does not. So the one timer is set for the earliest schedule but never for longer than
 * SCHEDULE_TICK_MS, and when it fires the wall clock is asked what is due.
 *
 * A look runs whatever is due and has no record on its way; each record that becomes durable
 * leads to the next look. So a backlog of one schedule runs one after the other, in order,
 * and many schedules that are due at once go through SCHEDULE_STEP_COUNT_MAX steps.
 *
 * Stopping. Records on their way end with the journal, which stops after this actor: it
 * stays until the last of them has ended, so that nobody finds it gone.
 */

static struct schedules *schedules_of(struct actor *self)
{
    return ACTOR_CAST(self, struct schedules, SCHEDULES_MAGIC);
}

static struct app *app_of(const struct schedules *schedules)
{
    return schedules->home->app;
}

static void count_runs(struct schedules *schedules, struct metric metric, uint64_t count)
{
    metrics_add(&schedules->home->shard->metrics, metric, count);
}

uint64_t schedules_now(const struct schedules *schedules)
{
    return schedules->home->shard->clock.unix_ms;
}

struct schedules *schedules_of_project(struct app_shard *home, struct slice org,
                                       struct slice project)
{
    struct app *app = home->app;
    uint32_t partition = job_partition(org, project, app->superblock.partition_count);

    return &app->shards[partition % app->shard_count].schedules;
}

bool schedules_is_idle(const struct schedules *schedules)
{
    return errands_is_idle(&schedules->errands);
}

static void look(struct schedules *schedules);
static void carry_on(struct schedules *schedules);

void schedules_settle(struct schedules *schedules, const struct schedule *schedule)
{
    const struct schedule_image_header *header = &schedule->image.header;
    const struct zone *zone = schedule->zone;
    uint64_t next_ms = SCHEDULE_NEVER_MS;

    assert(schedule->state == SCHEDULE_LIVE);
    if (zone != NULL && zone->state == ZONE_READY && (header->flags & SCHEDULE_FLAG_PAUSED) == 0)
        next_ms = schedule_next_ms(&schedule->cron, &zone->rules, header->settled_ms);
    schedule_table_set_next(schedules->table, schedule, next_ms);
}

void schedules_go_on(struct schedules *schedules)
{
    struct list_node ready, *node;

    /* Those that still have to wait go back to the list. */
    list_init(&ready);
    while ((node = list_pop_front(&schedules->waiting)) != NULL)
        list_push_back(&ready, node);
    while ((node = list_pop_front(&ready)) != NULL)
        schedules_do(schedules, container_of(node, struct schedule_request, errand.link));
    carry_on(schedules);
    look(schedules);
}

/* --- steps ------------------------------------------------------------------------- */

/* A step with a copy of the schedule's record, whose name it claims; NULL: no room for one. */
static struct schedule_step *begin_step(struct schedules *schedules, struct schedule *schedule)
{
    struct schedule_step *it =
        FAILPOINT("no schedule step is free") ? NULL : pool_acquire(&schedules->steps);
    struct schedule *claimed;
    void *slot = it;

    if (it == NULL)
        return NULL;
    memset(it, 0, sizeof(*it));
    if (buffer_acquire(schedules->home->buffers, schedule->record_size, &it->image) < 0) {
        SOMETIMES("a run finds no buffer");
        pool_release(&schedules->steps, &slot);
        return NULL;
    }
    claimed = schedule_table_claim(schedules->table, schedule_text(schedule, SCHEDULE_SECTION_ORG),
                                   schedule_text(schedule, SCHEDULE_SECTION_PROJECT),
                                   schedule_text(schedule, SCHEDULE_SECTION_NAME));
    assert(claimed == schedule);
    it->owner = schedules;
    it->schedule = schedule;
    memcpy(it->image->data, schedule->record, schedule->record_size);
    it->part = (struct slice){it->image->data, schedule->record_size};
    it->records[0] = (struct journal_record){
        .partition = job_partition(schedule_text(schedule, SCHEDULE_SECTION_ORG),
                                   schedule_text(schedule, SCHEDULE_SECTION_PROJECT),
                                   app_of(schedules)->superblock.partition_count),
        .type = RECORD_SCHEDULE,
        .version = SCHEDULE_RECORD_VERSION,
        .parts = &it->part,
        .part_count = 1,
    };
    return it;
}

static void free_step(struct schedule_step *it)
{
    struct schedules *schedules = it->owner;
    void *slot = it;

    assert(it->job.desk == NULL);
    buffer_unref(&it->image);
    pool_release(&schedules->steps, &slot);
}

/* Nothing is written: as if the step had not begun. */
static void withdraw_step(struct schedule_step *it)
{
    schedule_table_withdraw(it->owner->table, it->schedule);
    free_step(it);
}

/* --- runs --------------------------------------------------------------------------- */

static void on_ran(struct durable_step *step, enum durable_outcome outcome)
{
    struct schedule_step *it = container_of(step, struct schedule_step, step);
    struct schedules *schedules = it->owner;
    const struct schedule_metrics *series = &app_of(schedules)->metrics.schedules;

    if (outcome == DURABLE_UNKNOWN) {
        job_internal_done(&it->job, outcome);
        free_step(it);
        return;
    }
    count_runs(schedules, series->fired, it->job.desk != NULL);
    count_runs(schedules, series->skipped, it->is_skipped);
    count_runs(schedules, series->missed, it->missed_count);
    schedules_settle(schedules, it->schedule);
    job_internal_done(&it->job, outcome);
    free_step(it);
    schedules_go_on(schedules);
}

/* The job of a run, to be enqueued with it. */
MUST_USE static enum job_admission prepare_job(struct schedule_step *it)
{
    const struct schedule *schedule = it->schedule;
    const struct schedule_image_header *header = &schedule->image.header;
    struct job_wish wish = {
        .org = schedule_text(schedule, SCHEDULE_SECTION_ORG),
        .project = schedule_text(schedule, SCHEDULE_SECTION_PROJECT),
        .kind = schedule_text(schedule, SCHEDULE_SECTION_KIND),
        .payload = schedule_text(schedule, SCHEDULE_SECTION_PAYLOAD),
        .key = schedule_text(schedule, SCHEDULE_SECTION_KEY),
        .correlation = schedule_text(schedule, SCHEDULE_SECTION_NAME),
        .timeout_ms = header->timeout_ms,
        .priority = header->priority,
        .max_attempts = header->max_attempts,
    };

    return job_internal_prepare(&it->job, &it->owner->home->jobs, &wish, &it->records[1]);
}

static void log_skipped(const struct schedule_step *it, enum job_admission admission)
{
    log_event(&it->owner->home->shard->log, LOG_WARN, "schedules",
              admission == JOB_QUEUE_CLOSED ? "a run is skipped: its queue is draining"
                                            : "a run is skipped: its queue is full",
              LOG_TEXT("schedule", schedule_text(it->schedule, SCHEDULE_SECTION_NAME)),
              LOG_TEXT("project", schedule_text(it->schedule, SCHEDULE_SECTION_PROJECT)));
}

/* Puts what is due into the head of the record. False when there is no room for its job now. */
MUST_USE static bool fill_run(struct schedule_step *it, const struct schedule_due *due)
{
    struct schedule_image_header header = it->schedule->image.header;
    enum job_admission admission;

    header.revision = schedule_table_next_revision(it->owner->table);
    header.settled_ms = due->settled_ms;
    header.catch_up_left = due->catch_up_left;
    header.missed_count += due->missed_count;
    it->missed_count = due->missed_count;
    if (due->fires) {
        admission = prepare_job(it);
        if (admission == JOB_TABLE_FULL) {
            SOMETIMES("a run finds no room for its job");
            return false;
        }
        it->is_skipped = admission != JOB_ADMITTED;
        if (it->is_skipped) {
            SOMETIMES("a run is skipped");
            log_skipped(it, admission);
            header.skipped_count++;
        } else {
            header.fired_count++;
            header.last_ms = due->settled_ms;
            header.last_job_ms = it->job.id.created_ms;
            header.last_job_low = it->job.id.id_low;
        }
    }
    memcpy(it->image->data, &header, sizeof(header));
    return true;
}

static void run(struct schedules *schedules, struct schedule *schedule)
{
    struct schedule_step *it;
    struct schedule_due due;

    schedule_due_at(&schedule->image.header, &schedule->cron, &schedule->zone->rules,
                    schedules_now(schedules), &due);
    assert(due.is_due);
    if (due.missed_count > 0)
        SOMETIMES("runs of a schedule were missed");
    it = begin_step(schedules, schedule);
    if (it == NULL) {
        schedules->is_short = true;
        return;
    }
    if (!fill_run(it, &due)) {
        schedules->is_short = true;
        withdraw_step(it);
        return;
    }
    it->step = (struct durable_step){
        .on_done = on_ran,
        .records = it->records,
        .record_count = it->job.desk != NULL ? 2 : 1,
        .flags = JOURNAL_IMPORTANT,
    };
    if (durable_commit_later(&schedules->home->keeper.durables, &it->step))
        return;
    /* The journal has stopped: the next start runs it. */
    if (it->job.desk != NULL)
        job_internal_withdraw(&it->job);
    withdraw_step(it);
    schedules->is_short = true;
}

static void arm(struct schedules *schedules)
{
    uint64_t now_ms = schedules_now(schedules);
    uint64_t earliest_ms = schedule_table_earliest(schedules->table);
    uint64_t delay_ms = SCHEDULE_TICK_MS;

    if (!actor_is_running(&schedules->actor) || schedules->is_stopping)
        return;
    /* What is due already waits for its record, which leads here again, or was short. */
    if (earliest_ms > now_ms)
        delay_ms = min_u64(delay_ms, earliest_ms - now_ms);
    if (schedules->is_short)
        delay_ms = min_u64(delay_ms, SCHEDULE_RETRY_MS);
    actor_timer_start(&schedules->actor, &schedules->timer, delay_ms);
}

/* Runs all that is due and can run now; sets the timer for the rest. */
static void look(struct schedules *schedules)
{
    uint64_t now_ms = schedules_now(schedules);
    struct schedule *schedule;
    uint32_t i = 0;

    if (!schedules->is_resumed || schedules->is_stopping)
        return;
    schedules->is_short = false;
    while (!schedules->is_short &&
           (schedule = schedule_table_due(schedules->table, i, now_ms)) != NULL) {
        run(schedules, schedule);
        i = schedule->index + 1;
    }
    arm(schedules);
}

/* --- facts --------------------------------------------------------------------------- */

static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct schedules *schedules = container_of(self, struct schedules, durable);
    struct schedule *schedule;
    int r;

    assert(fact->type == RECORD_SCHEDULE);
    r = schedule_table_apply(schedules->table, fact->payload, fact->location, fact->size,
                             &schedule);
    if (r < 0 || fact->is_recovery)
        return r;
    assert(schedule != NULL); /* nothing newer can be there */
    if (schedule->state == SCHEDULE_GONE) {
        zone_cache_put(&schedules->zones, &schedule->zone);
        schedule_table_forget(schedules->table, schedule);
    }
    metrics_set(&schedules->home->shard->metrics, app_of(schedules)->metrics.schedules.count,
                schedule_table_count(schedules->table));
    return 0;
}

/* Zones for those that have none: after a start, or when there were too many. */
static void find_zones(struct schedules *schedules)
{
    for (uint32_t i = 0; i < schedule_table_end(schedules->table); i++) {
        struct schedule *schedule = schedule_table_at(schedules->table, i);

        if (schedule->state != SCHEDULE_LIVE || schedule->zone != NULL)
            continue;
        schedule->zone =
            zone_cache_get(&schedules->zones, schedule_text(schedule, SCHEDULE_SECTION_ZONE));
        if (schedule->zone == NULL)
            log_event(&schedules->home->shard->log, LOG_ERROR, "schedules",
                      "a schedule does not run: too many time zones are in use",
                      LOG_TEXT("schedule", schedule_text(schedule, SCHEDULE_SECTION_NAME)));
        schedules_settle(schedules, schedule);
    }
}

static void resume(struct durable *self)
{
    struct schedules *schedules = container_of(self, struct schedules, durable);
    uint32_t count;

    schedule_table_resume(schedules->table);
    schedules->is_resumed = true;
    find_zones(schedules);
    count = schedule_table_count(schedules->table);
    metrics_set(&schedules->home->shard->metrics, app_of(schedules)->metrics.schedules.count,
                count);
    if (count > 0)
        log_event(&schedules->home->shard->log, LOG_INFO, "schedules", "schedules go on",
                  LOG_NUMBER("count", count), LOG_NUMBER("shard", schedules->home->shard->index));
    look(schedules);
}

static uint64_t live_bytes(struct durable *self)
{
    return schedule_table_live_bytes(container_of(self, struct schedules, durable)->table);
}

/* --- carrying forward ------------------------------------------------------------------ */

static void on_carried(struct durable_step *step, enum durable_outcome outcome)
{
    struct schedule_step *it = container_of(step, struct schedule_step, step);
    struct schedules *schedules = it->owner;

    /* One that is gone, but remembered, has no next time. */
    if (outcome == DURABLE_DONE && it->schedule->state == SCHEDULE_LIVE)
        schedules_settle(schedules, it->schedule);
    free_step(it);
    if (outcome == DURABLE_DONE)
        schedules_go_on(schedules);
}

/* Writes the schedule's record again. False when there is no room now. */
MUST_USE static bool carry_one(struct schedules *schedules, struct schedule *schedule)
{
    struct schedule_step *it = begin_step(schedules, schedule);

    if (it == NULL)
        return false;
    it->step = (struct durable_step){
        .on_done = on_carried,
        .records = it->records,
        .record_count = 1,
        .flags = JOURNAL_IMPORTANT,
    };
    if (durable_commit(&schedules->home->keeper.durables, &it->step) == JOURNAL_OK)
        return true;
    SOMETIMES("a schedule carried forward waits for room");
    withdraw_step(it);
    return false;
}

/*
 * Writes again what has its record in the segments. One that is being written anyway will
 * have it elsewhere in a moment, and the end of that leads here again.
 */
static void carry_on(struct schedules *schedules)
{
    struct schedule_table *table = schedules->table;
    uint32_t log = schedules->carry_log, count = 0;
    uint64_t seq = schedules->carry_seq;

    if (seq == 0)
        return;
    for (uint32_t i = schedule_table_find_up_to(table, 0, log, seq); i < SCHEDULE_SLOT_COUNT_MAX;
         i = schedule_table_find_up_to(table, i + 1, log, seq)) {
        struct schedule *schedule = schedule_table_at(table, i);

        count++;
        if (!schedule->is_committing && !carry_one(schedules, schedule)) {
            if (actor_is_running(&schedules->actor) && !schedules->is_stopping)
                actor_timer_start(&schedules->actor, &schedules->carry_timer, SCHEDULE_RETRY_MS);
            return;
        }
    }
    if (count > 0)
        return;
    SOMETIMES("schedules are carried out of a segment");
    schedules->carry_seq = 0;
    durable_carried(&schedules->durable);
}

static void carry(struct durable *self, uint32_t log, uint64_t seq)
{
    struct schedules *schedules = container_of(self, struct schedules, durable);

    assert(schedules->carry_seq == 0);
    schedules->carry_log = log;
    schedules->carry_seq = seq;
    carry_on(schedules);
}

static void on_room(struct durable *self)
{
    carry_on(container_of(self, struct schedules, durable));
}

static const struct durable_type durable_schedule_type = {
    .name = "schedules",
    .record_first = RECORD_SCHEDULE,
    .record_last = RECORD_SCHEDULE,
    .version_max = SCHEDULE_RECORD_VERSION,
    .apply = apply,
    .resume = resume,
    .carry_up_to = carry,
    .live_bytes = live_bytes,
    .on_room = on_room,
};

/* --- the actor --------------------------------------------------------------------------- */

static bool has_work(const struct schedules *schedules)
{
    return pool_used_count(&schedules->steps) > 0 || schedules->commit_count > 0 ||
           zone_cache_is_busy(&schedules->zones);
}

/* A zone has been read, or not: those who use it learn when they are due. */
static void on_zone(struct schedules *schedules, const struct zone *zone)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < schedule_table_end(schedules->table); i++) {
        const struct schedule *schedule = schedule_table_at(schedules->table, i);

        if (schedule->state != SCHEDULE_LIVE || schedule->zone != zone)
            continue;
        schedules_settle(schedules, schedule);
        count++;
    }
    if (zone->state == ZONE_MISSING && count > 0)
        log_event(&schedules->home->shard->log, LOG_ERROR, "schedules",
                  "schedules do not run: their time zone cannot be read; it is tried again",
                  LOG_TEXT("zone", ((struct slice){zone->name, zone->name_size})),
                  LOG_NUMBER("errno", -zone->error), LOG_NUMBER("schedules", count));
    schedules_go_on(schedules);
}

static int on_timer(struct schedules *schedules, const struct timer *timer)
{
    uint64_t mono_ns = schedules->home->shard->clock.mono_ns;

    if (errands_on_timer(&schedules->errands, timer))
        return ACTOR_OK;
    if (timer == &schedules->carry_timer) {
        carry_on(schedules);
        return ACTOR_OK;
    }
    assert(timer == &schedules->timer);
    if (schedules->is_stopping) {
        if (!has_work(schedules))
            return ACTOR_STOP;
        actor_timer_start(&schedules->actor, &schedules->timer, SCHEDULE_STOP_POLL_MS);
        return ACTOR_OK;
    }
    if (schedules->is_resumed &&
        mono_ns - schedules->zones_tried_ns >= (uint64_t)SCHEDULE_TICK_MS * 1000000) {
        schedules->zones_tried_ns = mono_ns;
        zone_cache_retry(&schedules->zones);
        find_zones(schedules);
    }
    look(schedules);
    return ACTOR_OK;
}

/* Nobody is left to hear an answer. */
static int on_stop(struct schedules *schedules)
{
    struct list_node *node;

    schedules->is_stopping = true;
    while ((node = list_pop_front(&schedules->waiting)) != NULL) {
        struct schedule_request *request = container_of(node, struct schedule_request, errand.link);

        request->errand.code = PROBLEM_OVERLOADED;
        schedules_decide(schedules, request);
    }
    if (!has_work(schedules))
        return ACTOR_STOP;
    SOMETIMES("a stop waits for the records of schedules");
    actor_timer_start(&schedules->actor, &schedules->timer, SCHEDULE_STOP_POLL_MS);
    return ACTOR_OK;
}

static int receive(struct actor *self, const struct message *msg)
{
    struct schedules *schedules = schedules_of(self);
    const struct zone *zone;

    switch (msg->type) {
    case MSG_SCHEDULE_DO:
    case MSG_SCHEDULE_DONE:
        errands_on_message(&schedules->errands, msg);
        return ACTOR_OK;
    case MSG_IO:
        zone = zone_cache_on_io(&schedules->zones, msg);
        if (zone != NULL)
            on_zone(schedules, zone);
        return ACTOR_OK;
    case MSG_TIMER:
        return on_timer(schedules, msg->as.timer.timer);
    case MSG_STOP:
        return on_stop(schedules);
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct schedules *schedules = schedules_of(self);

    schedules->is_stopping = false;
    errands_start(&schedules->errands);
    actor_timer_init(self, &schedules->timer);
    actor_timer_init(self, &schedules->carry_timer);
    zone_cache_start(&schedules->zones, self);
    if (schedules->is_resumed) /* a restart */
        actor_timer_start(self, &schedules->timer, 0);
    return 0;
}

const struct actor_type schedules_type = {
    .name = "schedules",
    .start = start,
    .receive = receive,
    .mailbox_max = 65536,
};

/* --- start-up ----------------------------------------------------------------------------- */

void schedule_metrics_add(struct metrics_registry *registry, struct schedule_metrics *ret_metrics)
{
    static const char name[] = "weir_schedule_runs_total";
    static const char help[] = "Runs of schedules: enqueued, passed while nobody was there, or "
                               "refused by the queue.";

    ret_metrics->count = metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                                            "weir_schedules", "", "Cron schedules of jobs.");
    ret_metrics->fired = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, name,
                                            "outcome=\"fired\"", help);
    ret_metrics->missed = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, name,
                                             "outcome=\"missed\"", help);
    ret_metrics->skipped = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, name,
                                              "outcome=\"skipped\"", help);
}

int schedules_init(struct schedules *schedules, struct app_shard *home)
{
    int r;

    memset(schedules, 0, sizeof(*schedules));
    schedules->home = home;
    schedules->durable.type = &durable_schedule_type;
    list_init(&schedules->waiting);
    r = schedule_table_new(&schedules->table);
    if (r == 0)
        r = zone_cache_init(&schedules->zones, home->app->settings->zoneinfo);
    if (r == 0)
        r = pool_init(&schedules->steps, "schedule steps", sizeof(struct schedule_step),
                      SCHEDULE_STEP_COUNT_MAX);
    if (r == 0)
        r = errands_init(&schedules->errands, &schedule_request_type, &schedules->actor);
    return r;
}

void schedules_deinit(struct schedules *schedules)
{
    schedule_table_free(&schedules->table);
    zone_cache_deinit(&schedules->zones);
    pool_abandon(&schedules->steps);
    errands_deinit(&schedules->errands);
}
