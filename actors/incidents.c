#include "actors/incidents.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"
#include "store/slot_index.h"

/*
 * Whatever ends, or comes, leads to incidents_go_on(): one round in which all that can go on
 * does. Requests wait in three lists: `folding` for room to decide, `settling` and `asking` for
 * what has been decided to be durable, which comes in order.
 *
 * Stopping. Records on their way end with the journal, which stops after this actor: it stays
 * until the last of them has ended, so that nobody finds it gone.
 */

static struct incidents *incidents_of(struct actor *self)
{
    return ACTOR_CAST(self, struct incidents, INCIDENTS_MAGIC);
}

static struct app *app_of(const struct incidents *incidents)
{
    return incidents->home->app;
}

const struct incident_metrics *incidents_series(const struct incidents *incidents)
{
    return &app_of(incidents)->metrics.incidents;
}

void incidents_count(struct incidents *incidents, struct metric metric, uint64_t n)
{
    metrics_add(&incidents->home->shard->metrics, metric, n);
}

uint64_t incidents_now(const struct incidents *incidents)
{
    return incidents->home->shard->clock.unix_ms;
}

struct incidents *incidents_of_partition(struct app_shard *home, uint32_t partition)
{
    return &home->app->shards[partition % home->app->shard_count].incidents;
}

bool incidents_is_idle(const struct incidents *incidents)
{
    return errands_is_idle(&incidents->errands);
}

static void arm(struct incidents *incidents);

/* True when the change is durable, or never will be: who has waited for it goes on. */
static bool has_ended(const struct incidents *incidents, uint64_t sequence)
{
    return incident_writer_has_settled(&incidents->writer, sequence) || incidents->writer.is_dead;
}

/* --- folding ----------------------------------------------------------------------------- */

void incidents_recover(struct incidents *incidents, const struct record_event *event,
                       struct journal_location location)
{
    incident_table_recover(incidents->table, event, location);
}

bool incidents_is_late(const struct incidents *incidents, const struct record_event *event)
{
    return incident_table_is_late(incidents->table, event);
}

/* Counts as many of the request's events as there is room for. True: all of them. */
MUST_USE static bool fold_some(struct incidents *incidents, struct intake_request *request)
{
    uint64_t now_ms = incidents_now(incidents);

    for (; request->fold_index < request->entry_count; request->fold_index++) {
        const struct intake_entry *entry = &request->entries[request->fold_index];

        if (entry->status != EVENT_ACCEPTED || !event_record_has_series(&entry->header))
            continue;
        if (!incident_table_has_room(incidents->table))
            return false;
        (void)incident_table_fold(incidents->table, &entry->header, entry->location, now_ms);
    }
    return true;
}

/* Folds, and sees to what follows. False when the request has to wait for that. */
MUST_USE static bool fold(struct incidents *incidents, struct intake_request *request)
{
    uint64_t before = incident_table_sequence(incidents->table);
    bool is_done = fold_some(incidents, request);

    if (incident_table_sequence(incidents->table) != before)
        request->fold_sequence = incident_table_sequence(incidents->table);
    if (!is_done) {
        SOMETIMES("a request's events wait to be counted");
        list_push_front(&incidents->folding, &request->fold_link);
        return false;
    }
    if (has_ended(incidents, request->fold_sequence))
        return true;
    SOMETIMES("a request waits for the incident that it has led to");
    list_push_back(&incidents->settling, &request->fold_link);
    return false;
}

bool incidents_fold(struct incidents *incidents, struct intake_request *request)
{
    bool is_done;

    if (incidents->writer.is_dead)
        return true;
    if (!incidents->is_resumed || incidents->is_behind || !list_is_empty(&incidents->folding)) {
        list_push_back(&incidents->folding, &request->fold_link);
        return false;
    }
    is_done = fold(incidents, request);
    if (!is_done) {
        /* Not further: whoever lends the request must learn first that it is kept. */
        incident_writer_take_changes(&incidents->writer);
        arm(incidents);
    } else if (!incidents->is_watching && incident_table_is_watching(incidents->table)) {
        arm(incidents);
    }
    return is_done;
}

/* Requests whose decisions are durable go back to their intake. */
static void release_settled(struct incidents *incidents)
{
    struct list_node *node;

    while ((node = incidents->settling.next) != &incidents->settling) {
        struct intake_request *request = container_of(node, struct intake_request, fold_link);

        if (!has_ended(incidents, request->fold_sequence))
            return;
        list_remove(node);
        intake_request_folded(&incidents->home->intake, request);
    }
}

static void fold_waiting(struct incidents *incidents)
{
    struct list_node *node;

    while (!incidents->is_behind &&
           (incident_table_has_room(incidents->table) || incidents->writer.is_dead)) {
        struct intake_request *request;

        node = list_pop_front(&incidents->folding);
        if (node == NULL)
            return;
        request = container_of(node, struct intake_request, fold_link);
        if (incidents->writer.is_dead || fold(incidents, request))
            intake_request_folded(&incidents->home->intake, request);
        incident_writer_take_changes(&incidents->writer);
    }
}

/* --- requests ----------------------------------------------------------------------------- */

void incidents_wait(struct incidents *incidents, struct incident_request *request)
{
    request->sequence = incident_table_sequence(incidents->table);
    list_push_back(&incidents->asking, &request->errand.link);
}

static void answer_settled(struct incidents *incidents)
{
    struct list_node *node;

    while ((node = incidents->asking.next) != &incidents->asking) {
        struct incident_request *request = container_of(node, struct incident_request, errand.link);

        if (!has_ended(incidents, request->sequence))
            return;
        list_remove(node);
        incidents_answer(incidents, request, !incidents->writer.is_dead);
    }
}

/* --- going on ------------------------------------------------------------------------------ */

/* After a restart: what is left to decide of what has been. */
static void catch_up(struct incidents *incidents)
{
    while (incidents->is_behind && incident_table_has_room(incidents->table)) {
        incidents->is_behind = !incident_table_resume(incidents->table, incidents_now(incidents));
        incident_writer_take_changes(&incidents->writer);
    }
}

void incidents_go_on(struct incidents *incidents)
{
    /* What is called here may lead here: one round after the other, not one inside another. */
    if (incidents->is_working || !incidents->is_resumed)
        return;
    incidents->is_working = true;
    incident_writer_read_again(&incidents->writer);
    incident_writer_settle(&incidents->writer);
    incident_writer_take_changes(&incidents->writer);
    incident_writer_settle(&incidents->writer); /* what could not even begin */
    catch_up(incidents);
    fold_waiting(incidents);
    release_settled(incidents);
    answer_settled(incidents);
    incidents->is_working = false;
    incident_carrier_go_on(&incidents->carrier);
    arm(incidents);
}

/* Time has passed: does what is due. */
static void look(struct incidents *incidents)
{
    uint64_t now_ms = incidents_now(incidents);
    int64_t days = app_of(incidents)->settings->read_model_days;

    if (!incidents->is_resumed || incidents->is_stopping)
        return;
    if (!incidents->is_behind)
        (void)incident_table_advance(incidents->table, now_ms);
    if (days > 0 && now_ms - incidents->expired_ms >= INCIDENT_TICK_MS) {
        incidents->expired_ms = now_ms;
        incident_table_expire(incidents->table, now_ms - (uint64_t)days * 86400000);
    }
    incidents_go_on(incidents);
}

static void arm(struct incidents *incidents)
{
    uint64_t delay_ms = INCIDENT_TICK_MS;

    if (!actor_is_running(&incidents->actor) || incidents->is_stopping)
        return;
    incidents->is_watching = incident_table_is_watching(incidents->table);
    if (incidents->is_watching)
        delay_ms = INCIDENT_LOOK_MS;
    /* Something was short: steps, buffers, room for changes, a disk, or a journal. */
    if (incident_table_change(incidents->table) != NULL || !list_is_empty(&incidents->folding) ||
        incidents->writer.unread_count > 0 || incidents->writer.is_dead)
        delay_ms = min_u64(delay_ms, INCIDENT_RETRY_MS);
    actor_timer_start(&incidents->actor, &incidents->timer, delay_ms);
}

/* --- facts ----------------------------------------------------------------------------------- */

static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct incidents *incidents = container_of(self, struct incidents, durable);
    struct incident_image image;
    uint32_t slot;
    int r = incident_image_decode(fact->payload, &image);

    if (r < 0)
        return r;
    if (fact->is_recovery)
        return incident_table_restore(incidents->table, &image, fact->partition, fact->location,
                                      fact->size);
    slot = incident_table_find(incidents->table, image.header.id_low);
    if (slot == SLOT_NONE) { /* what is decided is not forgotten, but what is carried may be */
        SOMETIMES("an incident is forgotten while it is carried forward");
        return 0;
    }
    incident_table_written(incidents->table, slot, image.header.revision, fact->location,
                           fact->size);
    return 0;
}

static int apply_rules(struct durable *self, const struct durable_fact *fact)
{
    struct incidents *incidents = container_of(self, struct incidents, rules_durable);
    struct incident_rules_record record;
    int r = incident_rules_decode(fact->payload, &record);

    if (r < 0)
        return r;
    r = incident_table_apply_rules(incidents->table, &record, fact->partition, fact->location,
                                   fact->size);
    assert(r == 0 || fact->is_recovery);
    return r;
}

static void resume(struct durable *self)
{
    struct incidents *incidents = container_of(self, struct incidents, durable);
    struct incident_table_stats stats;

    incidents->is_resumed = true;
    incidents->is_behind = true;
    incidents_go_on(incidents);
    incident_table_stats(incidents->table, &stats);
    if (stats.series > 0 || stats.open > 0)
        log_event(&incidents->home->shard->log, LOG_INFO, "incidents", "series go on",
                  LOG_NUMBER("series", stats.series), LOG_NUMBER("open", stats.open),
                  LOG_NUMBER("shard", incidents->home->shard->index));
    if (!incidents->writer.has_summaries && incidents->home->shard->index == 0)
        log_event(&incidents->home->shard->log, LOG_INFO, "incidents",
                  "incidents get no summaries: [store] read_model is off");
}

static uint64_t live_bytes(struct durable *self)
{
    return incident_table_live_bytes(container_of(self, struct incidents, durable)->table);
}

static void carry_up_to(struct durable *self, uint32_t log, uint64_t seq)
{
    incident_carrier_carry(&container_of(self, struct incidents, durable)->carrier, log, seq);
}

static void carry_rules_up_to(struct durable *self, uint32_t log, uint64_t seq)
{
    incident_carrier_carry_rules(&container_of(self, struct incidents, rules_durable)->carrier, log,
                                 seq);
}

static void on_room(struct durable *self)
{
    incident_carrier_go_on(&container_of(self, struct incidents, durable)->carrier);
}

/* Two, since the type between them is another's. */
static const struct durable_type incident_durable_type = {
    .name = "incidents",
    .record_first = RECORD_INCIDENT,
    .record_last = RECORD_INCIDENT,
    .version_max = INCIDENT_RECORD_VERSION,
    .apply = apply,
    .resume = resume,
    .carry_up_to = carry_up_to,
    .live_bytes = live_bytes,
    .on_room = on_room,
};

static const struct durable_type rules_durable_type = {
    .name = "incident rules",
    .record_first = RECORD_INCIDENT_RULES,
    .record_last = RECORD_INCIDENT_RULES,
    .version_max = INCIDENT_RULES_RECORD_VERSION,
    .apply = apply_rules,
    .carry_up_to = carry_rules_up_to,
};

/* --- the actor ----------------------------------------------------------------------- */

static bool has_work(const struct incidents *incidents)
{
    return pool_used_count(&incidents->steps) > 0 || incidents->commit_count > 0 ||
           !list_is_empty(&incidents->folding) || !list_is_empty(&incidents->settling);
}

static int poll_stop(struct incidents *incidents)
{
    incidents_go_on(incidents);
    if (!has_work(incidents))
        return ACTOR_STOP;
    actor_timer_start(&incidents->actor, &incidents->timer, INCIDENT_STOP_POLL_MS);
    return ACTOR_OK;
}

static int on_timer(struct incidents *incidents, const struct timer *timer)
{
    if (errands_on_timer(&incidents->errands, timer) ||
        incident_carrier_on_timer(&incidents->carrier, timer))
        return ACTOR_OK;
    assert(timer == &incidents->timer);
    if (incidents->is_stopping)
        return poll_stop(incidents);
    look(incidents);
    return ACTOR_OK;
}

static int receive(struct actor *self, const struct message *msg)
{
    struct incidents *incidents = incidents_of(self);

    switch (msg->type) {
    case MSG_INCIDENT_DO:
    case MSG_INCIDENT_DONE:
        errands_on_message(&incidents->errands, msg);
        return ACTOR_OK;
    case MSG_TIMER:
        return on_timer(incidents, msg->as.timer.timer);
    case MSG_STOP:
        incidents->is_stopping = true;
        return poll_stop(incidents);
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct incidents *incidents = incidents_of(self);

    incidents->is_stopping = false;
    errands_start(&incidents->errands);
    actor_timer_init(self, &incidents->timer);
    incident_carrier_start(&incidents->carrier);
    if (incidents->is_resumed) /* a restart */
        actor_timer_start(self, &incidents->timer, 0);
    return 0;
}

const struct actor_type incidents_type = {
    .name = "incidents",
    .start = start,
    .receive = receive,
    .mailbox_max = 65536,
};

/* --- start-up ------------------------------------------------------------------------ */

void incidents_export(struct incidents *incidents)
{
    struct incident_table_stats stats;

    incident_table_stats(incidents->table, &stats);
    incident_metrics_export(incidents_series(incidents), &stats, &incidents->exported,
                            &incidents->home->shard->metrics);
}

static uint32_t share(int64_t total, uint32_t shard_count, uint32_t least)
{
    uint64_t part = ((uint64_t)total + shard_count - 1) / shard_count;

    return part < least ? least : (uint32_t)part;
}

void incidents_table_config(const struct settings *settings, uint32_t shard_count,
                            struct incident_table_config *ret_config)
{
    *ret_config = (struct incident_table_config){
        .series_max = share(settings->incident_series, shard_count, INCIDENT_SERIES_MIN),
        .incidents_max = share(settings->incident_count, shard_count, 16),
        .projects_max = share(INCIDENT_PROJECTS_MAX, shard_count, 16),
        .live_max = (uint32_t)settings->incident_project_series,
        .new_max = (uint32_t)settings->incident_new_series,
        .lateness_ms = (uint32_t)settings->incident_lateness_ms,
    };
}

int incidents_init(struct incidents *incidents, struct app_shard *home)
{
    struct incident_table_config config;
    int r;

    memset(incidents, 0, sizeof(*incidents));
    incidents->home = home;
    incidents->durable.type = &incident_durable_type;
    incidents->rules_durable.type = &rules_durable_type;
    list_init(&incidents->folding);
    list_init(&incidents->settling);
    list_init(&incidents->asking);
    incident_writer_init(&incidents->writer);
    /* They are made from what the read model says. */
    incidents->writer.has_summaries = home->app->settings->read_model != SETTINGS_READ_MODEL_OFF;
    incident_carrier_init(&incidents->carrier);
    incidents_table_config(home->app->settings, home->app->shard_count, &config);
    config.hash_key = home->app->hash_key;
    config.seed = rng_next(&home->shard->rng);
    r = incident_table_new(&config, &incidents->table);
    if (r == 0)
        r = pool_init(&incidents->steps, "incident steps", sizeof(struct incident_step),
                      INCIDENT_STEP_COUNT_MAX);
    if (r == 0)
        r = errands_init(&incidents->errands, &incident_request_type, &incidents->actor);
    return r;
}

void incidents_deinit(struct incidents *incidents)
{
    incident_table_free(&incidents->table);
    pool_abandon(&incidents->steps);
    errands_deinit(&incidents->errands);
}
