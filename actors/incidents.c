#include "actors/incidents.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "contracts/envelope.h"
#include "contracts/json_string.h"
#include "contracts/utf8.h"
#include "runtime/sim_point.h"
#include "store/slot_index.h"

/*
 * Changes go into the log in the order in which they were decided, but for one thing: a new
 * incident's texts have to be read first, and incidents that are known do not wait for that.
 * Changes of one and the same incident never overtake each other. What waits for a change
 * waits until it and all before it are durable.
 *
 *     change --texts are known----------------------> WRITING --applied--> done
 *        \---new---> READING its newest event --------/   \
 *                        \--cannot be read, ever--> given up: forgotten, counted
 *
 * The job of an incident that opens stands in its group. When its queue does not want it, or
 * the server has no room for it, the incident stands alone, and that is counted and logged.
 *
 * Stopping. Records on their way end with the journal, which stops after this actor: it stays
 * until the last of them has ended, so that nobody finds it gone.
 */

static const struct slice SUMMARY_KIND = SLICE_INITIALIZER("incident.summarize");

static struct incidents *incidents_of(struct actor *self)
{
    return ACTOR_CAST(self, struct incidents, INCIDENTS_MAGIC);
}

static struct app *app_of(const struct incidents *incidents)
{
    return incidents->home->app;
}

static const struct incident_metrics *series_of(const struct incidents *incidents)
{
    return &app_of(incidents)->metrics.incidents;
}

static void count(struct incidents *incidents, struct metric metric, uint64_t n)
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
static void carry_on(struct incidents *incidents);

/* --- steps ------------------------------------------------------------------------- */

static struct incident_step *begin_step(struct incidents *incidents)
{
    struct incident_step *it =
        FAILPOINT("no incident step is free") ? NULL : pool_acquire(&incidents->steps);

    if (it == NULL)
        return NULL;
    memset(it, 0, offsetof(struct incident_step, bytes));
    it->owner = incidents;
    list_init(&it->link);
    return it;
}

static void free_step(struct incident_step *it)
{
    struct incidents *incidents = it->owner;
    void *slot = it;

    assert(it->job.desk == NULL);
    assert(!it->is_reading);
    list_remove(&it->link);
    buffer_unref(&it->buffer);
    pool_release(&incidents->steps, &slot);
}

/* Steps that have ended go, in order; what they were is settled. */
static void settle(struct incidents *incidents)
{
    struct list_node *node;

    while ((node = incidents->steps_in_order.next) != &incidents->steps_in_order) {
        struct incident_step *it = container_of(node, struct incident_step, link);

        if (!it->is_done)
            return;
        incidents->settled = it->change.sequence;
        free_step(it);
    }
}

static void fill_record(struct incident_step *it, const struct incident_image *image,
                        uint32_t partition)
{
    it->part = (struct slice){it->bytes, incident_image_encode(image, it->bytes)};
    it->records[0] = (struct journal_record){.partition = partition,
                                             .type = RECORD_INCIDENT,
                                             .version = INCIDENT_RECORD_VERSION,
                                             .parts = &it->part,
                                             .part_count = 1};
}

/* The journal takes nothing more: the process is ending, and the next start decides again. */
static void give_up_writing(struct incident_step *it)
{
    SOMETIMES("an incident finds the journal stopped");
    if (it->job.desk != NULL)
        job_internal_withdraw(&it->job);
    it->owner->is_dead = true;
    it->is_done = true;
}

/* --- writing changes ------------------------------------------------------------------ */

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct incident_step *it = container_of(step, struct incident_step, step);
    struct incidents *incidents = it->owner;

    job_internal_done(&it->job, outcome);
    it->is_done = true;
    if (outcome == DURABLE_UNKNOWN)
        incidents->is_dead = true;
    else
        count(incidents, series_of(incidents)->changes[it->change.header.cause], 1);
    incidents_go_on(incidents);
}

/* True when the change is one that work follows from. */
static bool wants_summary(const struct incident_image_header *header)
{
    return (header->flags & INCIDENT_FLAG_NOTIFY) != 0 &&
           (header->cause == INCIDENT_CAUSE_OPENED || header->cause == INCIDENT_CAUSE_REOPENED) &&
           !MUTANT("incident_without_job");
}

static void prepare_job(struct incident_step *it, const struct incident_image *image,
                        uint32_t partition)
{
    char id[UUID_TEXT_SIZE], payload[UUID_TEXT_SIZE + 32];
    int size;
    struct job_wish wish = {.org = image->sections[INCIDENT_SECTION_ORG],
                            .project = image->sections[INCIDENT_SECTION_PROJECT],
                            .kind = SUMMARY_KIND,
                            .key = {id, sizeof(id)},
                            .correlation = {id, sizeof(id)}};
    enum job_admission admission;

    job_id_format(incident_image_id(&image->header, partition), id);
    size = snprintf(payload, sizeof(payload), "{\"incident_id\":\"%.*s\"}", (int)sizeof(id), id);
    assert(size > 0 && (size_t)size < sizeof(payload));
    wish.payload = (struct slice){payload, (size_t)size};
    admission = job_internal_prepare(&it->job, &it->owner->home->jobs, &wish, &it->records[1]);
    if (admission == JOB_ADMITTED)
        return;
    SOMETIMES("an incident opens without its job");
    count(it->owner, series_of(it->owner)->jobs_skipped, 1);
    log_event(&it->owner->home->shard->log, LOG_WARN, "incidents",
              "an incident gets no summary: its queue takes no job now",
              LOG_TEXT("incident", ((struct slice){id, sizeof(id)})));
}

static void write_change(struct incident_step *it)
{
    struct incidents *incidents = it->owner;
    uint32_t partition = incident_table_partition(incidents->table, it->slot);
    struct incident_image image;

    incident_table_image(incidents->table, &it->change, &image);
    fill_record(it, &image, partition);
    if (wants_summary(&image.header))
        prepare_job(it, &image, partition);
    it->step = (struct durable_step){
        .on_done = on_written,
        .records = it->records,
        .record_count = it->job.desk != NULL ? 2 : 1,
        .flags = JOURNAL_IMPORTANT,
    };
    if (!durable_commit_later(&incidents->home->keeper.durables, &it->step))
        give_up_writing(it);
}

/* --- the texts of a new incident -------------------------------------------------------- */

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view);

static void start_read(struct incident_step *it)
{
    it->is_reading = true;
    it->read.on_done = on_read;
    it->read.location = incident_table_source(it->owner->table, it->slot);
    it->read.buffer = it->buffer->data;
    it->read.buffer_size = it->buffer->capacity;
    journal_read_start(it->owner->home->keeper.reader, &it->read);
}

/* A part of a title: what the client wrote, cut, without what would break a line. */
static struct slice part_of(char *whole, size_t size, size_t size_max, struct slice otherwise)
{
    size = utf8_cut((struct slice){whole, size}, size_max);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)whole[i] < ' ')
            whole[i] = ' ';
    return size == 0 ? otherwise : (struct slice){whole, size};
}

static size_t write_title(enum incident_rule rule, const struct raw_event *event,
                          char title[INCIDENT_TITLE_SIZE_MAX])
{
    enum { PART_MAX = 110 };
    char code_text[FINGERPRINT_PART_SIZE_MAX], route_text[FINGERPRINT_PART_SIZE_MAX];
    struct slice environment = event_environment_name(event->environment);
    struct slice code = SLICE_LITERAL("Unknown"), route = SLICE_LITERAL("unknown");
    int size = 0;

    if (event->error_code.type != JSON_ABSENT && event->error_code.type != JSON_NULL)
        code = part_of(code_text, fingerprint_part_write(&event->error_code, code_text), PART_MAX,
                       code);
    route = part_of(route_text, series_route_write(event, route_text), PART_MAX, route);

    switch (rule) {
    case INCIDENT_RULE_ERROR_SPIKE:
    case INCIDENT_RULE_NEW_ERROR:
        size = snprintf(title, INCIDENT_TITLE_SIZE_MAX, "Error spike: %.*s on %.*s", (int)code.size,
                        code.data, (int)route.size, route.data);
        break;
    case INCIDENT_RULE_SIGNUP_DROP:
        size = snprintf(title, INCIDENT_TITLE_SIZE_MAX, "Signup drop detected in %.*s",
                        (int)environment.size, environment.data);
        break;
    case INCIDENT_RULE_OVERFLOW:
    case INCIDENT_RULE_COUNT:
        size = snprintf(title, INCIDENT_TITLE_SIZE_MAX,
                        "Too many different errors in %.*s: the rest are counted together",
                        (int)environment.size, environment.data);
        break;
    }
    assert(size > 0 && size < INCIDENT_TITLE_SIZE_MAX);
    return (size_t)size;
}

/* Takes the incident's texts from the event. False when it is none. */
MUST_USE static bool take_texts(struct incident_step *it, const struct journal_record_view *view)
{
    char org[JOB_NAME_SIZE_MAX], project[JOB_NAME_SIZE_MAX], title[INCIDENT_TITLE_SIZE_MAX];
    char fingerprint[FINGERPRINT_SIZE_MAX];
    struct slice texts[INCIDENT_SECTION_COUNT], bytes;
    enum incident_rule rule = (enum incident_rule)it->change.header.rule;
    struct record_event header;
    struct envelope envelope;

    if (view->type != RECORD_EVENT ||
        !event_record_decode(view->version, view->payload, &header, &bytes) ||
        !envelope_read(bytes, &envelope))
        return false;
    if (!json_string_text(&envelope.org_id, org, sizeof(org), &texts[INCIDENT_SECTION_ORG]) ||
        !json_string_text(&envelope.project_id, project, sizeof(project),
                          &texts[INCIDENT_SECTION_PROJECT]))
        return false;
    texts[INCIDENT_SECTION_FINGERPRINT] =
        rule == INCIDENT_RULE_OVERFLOW
            ? slice_of(SERIES_OVERFLOW_TEXT)
            : (struct slice){fingerprint, series_text_write(&envelope.event, fingerprint)};
    texts[INCIDENT_SECTION_TITLE] =
        (struct slice){title, write_title(rule, &envelope.event, title)};
    texts[INCIDENT_SECTION_ACTOR] = (struct slice){NULL, 0};
    incident_table_set_texts(it->owner->table, it->slot, texts);
    return true;
}

/* Nobody will ever know what the incident is about. */
static void give_up_incident(struct incident_step *it)
{
    SOMETIMES("an incident's events cannot be read");
    log_event(&it->owner->home->shard->log, LOG_ERROR, "incidents",
              "an incident is not opened: its events cannot be read");
    count(it->owner, series_of(it->owner)->refused, 1);
    incident_table_give_up(it->owner->table, it->slot);
    it->is_done = true;
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct incident_step *it = container_of(read, struct incident_step, read);
    struct incidents *incidents = it->owner;

    assert(it->is_reading);
    it->is_reading = false;
    if (result == JOURNAL_READ_TOO_BIG && buffer_grow(&it->buffer, read->size_needed) == 0) {
        SOMETIMES("an incident's event is larger than its buffer");
        start_read(it);
        return;
    }
    if (result == JOURNAL_READ_OK && take_texts(it, view)) {
        buffer_unref(&it->buffer);
        write_change(it);
    } else if (result != JOURNAL_READ_OK && ++it->try_count < INCIDENT_READ_TRY_MAX &&
               !incidents->is_stopping) {
        start_read(it); /* of the newest event, which may be another one by now */
        return;
    } else {
        give_up_incident(it);
    }
    incidents_go_on(incidents);
}

/* --- from changes to steps ------------------------------------------------------------- */

/* True while the incident's texts are being read: what else happens to it must wait. */
static bool is_being_read(const struct incidents *incidents, uint32_t slot)
{
    const struct list_node *head = &incidents->steps_in_order;

    for (const struct list_node *node = head->next; node != head; node = node->next) {
        const struct incident_step *it =
            container_of((struct list_node *)node, struct incident_step, link);

        if (it->slot == slot && it->is_reading)
            return true;
    }
    return false;
}

/* Takes the oldest change. False when it has to wait. */
MUST_USE static bool take_change(struct incidents *incidents, const struct incident_change *change)
{
    bool has_texts = incident_table_has_texts(incidents->table, change->slot);
    struct incident_step *it;

    if (!has_texts && is_being_read(incidents, change->slot))
        return false;
    it = begin_step(incidents);
    if (it == NULL)
        return false;
    if (!has_texts &&
        buffer_acquire(incidents->home->buffers, JOURNAL_READ_BUFFER_SIZE_MIN, &it->buffer) < 0) {
        SOMETIMES("an incident finds no buffer");
        free_step(it);
        return false;
    }
    it->change = *change;
    it->slot = change->slot;
    list_push_back(&incidents->steps_in_order, &it->link);
    incident_table_take_change(incidents->table);
    if (has_texts)
        write_change(it);
    else
        start_read(it);
    return true;
}

static void take_changes(struct incidents *incidents)
{
    const struct incident_change *change;

    while ((change = incident_table_change(incidents->table)) != NULL)
        if (!take_change(incidents, change)) {
            SOMETIMES("decisions about incidents wait");
            return;
        }
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
    if (request->fold_sequence <= incidents->settled || incidents->is_dead)
        return true;
    SOMETIMES("a request waits for the incident that it has led to");
    list_push_back(&incidents->settling, &request->fold_link);
    return false;
}

bool incidents_fold(struct incidents *incidents, struct intake_request *request)
{
    bool is_done;

    if (incidents->is_dead)
        return true;
    if (!incidents->is_resumed || incidents->is_behind || !list_is_empty(&incidents->folding)) {
        list_push_back(&incidents->folding, &request->fold_link);
        return false;
    }
    is_done = fold(incidents, request);
    if (!is_done) {
        /* Not further: whoever lends the request must learn first that it is kept. */
        take_changes(incidents);
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

        if (request->fold_sequence > incidents->settled && !incidents->is_dead)
            return;
        list_remove(node);
        intake_request_folded(&incidents->home->intake, request);
    }
}

static void fold_waiting(struct incidents *incidents)
{
    struct list_node *node;

    while (!incidents->is_behind &&
           (incident_table_has_room(incidents->table) || incidents->is_dead)) {
        struct intake_request *request;

        node = list_pop_front(&incidents->folding);
        if (node == NULL)
            return;
        request = container_of(node, struct intake_request, fold_link);
        if (incidents->is_dead || fold(incidents, request))
            intake_request_folded(&incidents->home->intake, request);
        take_changes(incidents);
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

        if (request->sequence > incidents->settled && !incidents->is_dead)
            return;
        list_remove(node);
        incidents_answer(incidents, request,
                         request->sequence <= incidents->settled && !incidents->is_dead);
    }
}

bool incidents_retitle(struct incidents *incidents, struct job_id id, struct slice title)
{
    enum incident_moved moved;

    if (!incidents->is_resumed)
        return false;
    moved = incident_table_retitle(incidents->table, id.id_low, title, incidents_now(incidents));
    incidents_go_on(incidents);
    return moved == INCIDENT_MOVED || moved == INCIDENT_UNMOVED;
}

/* --- going on ------------------------------------------------------------------------------ */

/* After a restart: what is left to decide of what has been. */
static void catch_up(struct incidents *incidents)
{
    while (incidents->is_behind && incident_table_has_room(incidents->table)) {
        incidents->is_behind = !incident_table_resume(incidents->table, incidents_now(incidents));
        take_changes(incidents);
    }
}

void incidents_go_on(struct incidents *incidents)
{
    /* What is called here may lead here: one round after the other, not one inside another. */
    if (incidents->is_working || !incidents->is_resumed)
        return;
    incidents->is_working = true;
    settle(incidents);
    take_changes(incidents);
    settle(incidents); /* what could not even begin */
    catch_up(incidents);
    fold_waiting(incidents);
    release_settled(incidents);
    answer_settled(incidents);
    incidents->is_working = false;
    carry_on(incidents);
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
    /* Something was short: steps, buffers, room for changes, or a journal. */
    if (incident_table_change(incidents->table) != NULL || !list_is_empty(&incidents->folding) ||
        incidents->is_dead)
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
    assert(slot != SLOT_NONE); /* what is being written is not forgotten */
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
}

static uint64_t live_bytes(struct durable *self)
{
    return incident_table_live_bytes(container_of(self, struct incidents, durable)->table);
}

/* --- carrying forward --------------------------------------------------------------------------
 */

static void on_carried(struct durable_step *step, enum durable_outcome outcome)
{
    struct incident_step *it = container_of(step, struct incident_step, step);
    struct incidents *incidents = it->owner;

    free_step(it);
    if (outcome == DURABLE_DONE)
        incidents_go_on(incidents);
}

/* Commits what the step's record says. False when there is no room now. */
MUST_USE static bool commit_carry(struct incident_step *it)
{
    struct incidents *incidents = it->owner;

    it->step = (struct durable_step){.on_done = on_carried,
                                     .records = it->records,
                                     .record_count = 1,
                                     .flags = JOURNAL_IMPORTANT};
    if (durable_commit(&incidents->home->keeper.durables, &it->step) != JOURNAL_OK) {
        SOMETIMES("an incident carried forward waits for room");
        free_step(it);
        return false;
    }
    list_push_back(&incidents->carried, &it->link);
    return true;
}

MUST_USE static bool carry_incident(struct incidents *incidents, uint32_t slot)
{
    struct incident_step *it = begin_step(incidents);
    struct incident_image image;

    if (it == NULL)
        return false;
    it->is_carry = true;
    it->slot = slot;
    incident_table_current(incidents->table, slot, &image);
    fill_record(it, &image, incident_table_partition(incidents->table, slot));
    return commit_carry(it);
}

MUST_USE static bool carry_rules(struct incidents *incidents,
                                 const struct incident_project_rules *rules)
{
    struct incident_step *it = begin_step(incidents);
    const struct incident_rules_record *record = &rules->record;

    static_assert(sizeof(*record) <= INCIDENT_RECORD_SIZE_MAX, "fits into a step");
    if (it == NULL)
        return false;
    it->is_carry = true;
    it->slot = SLOT_NONE;
    memcpy(it->bytes, record, sizeof(*record));
    it->part = (struct slice){it->bytes, sizeof(*record)};
    it->records[0] = (struct journal_record){
        .partition = job_partition((struct slice){record->org, record->org_size},
                                   (struct slice){record->project_name, record->project_size},
                                   app_of(incidents)->superblock.partition_count),
        .type = RECORD_INCIDENT_RULES,
        .version = INCIDENT_RULES_RECORD_VERSION,
        .parts = &it->part,
        .part_count = 1};
    return commit_carry(it);
}

static bool is_being_carried(const struct incidents *incidents, uint32_t slot)
{
    const struct list_node *head = &incidents->carried;

    for (const struct list_node *node = head->next; node != head; node = node->next)
        if (container_of((struct list_node *)node, struct incident_step, link)->slot == slot)
            return true;
    return false;
}

/*
 * Writes again what has its record in the segments; *ret_count is how much there still is. One
 * that is changing will have its record elsewhere in a moment, and the end of that leads here
 * again. False when there is no room now.
 */
MUST_USE static bool carry_incidents(struct incidents *incidents, uint32_t *ret_count)
{
    const struct incident_carry *carry = &incidents->carry;
    struct incident_table *table = incidents->table;
    uint32_t found = 0;

    for (uint32_t slot = incident_table_up_to(table, 0, carry->log, carry->seq); slot != SLOT_NONE;
         slot = incident_table_up_to(table, slot + 1, carry->log, carry->seq)) {
        found++;
        if (!incident_table_is_changing(table, slot) && !is_being_carried(incidents, slot) &&
            !carry_incident(incidents, slot))
            return false;
    }
    *ret_count = found;
    return true;
}

/* The same for rules, which are few: one project's after the other. */
MUST_USE static bool carry_all_rules(struct incidents *incidents, uint32_t *ret_count)
{
    const struct incident_carry *carry = &incidents->rules_carry;
    uint32_t position = 0;
    const struct incident_project_rules *rules =
        incident_table_rules_up_to(incidents->table, &position, carry->log, carry->seq);

    *ret_count = rules != NULL;
    return rules == NULL || is_being_carried(incidents, SLOT_NONE) || carry_rules(incidents, rules);
}

static void carry_on(struct incidents *incidents)
{
    uint32_t found = 1, rules_found = 1;
    bool has_room = true;

    if (incidents->is_dead)
        return;
    if (incidents->carry.seq != 0)
        has_room = carry_incidents(incidents, &found);
    if (has_room && incidents->rules_carry.seq != 0)
        has_room = carry_all_rules(incidents, &rules_found);
    if (!has_room) {
        if (actor_is_running(&incidents->actor) && !incidents->is_stopping)
            actor_timer_start(&incidents->actor, &incidents->carry_timer, INCIDENT_RETRY_MS);
        return;
    }
    if (found == 0) {
        SOMETIMES("incidents are carried out of a segment");
        incidents->carry.seq = 0;
        durable_carried(&incidents->durable);
    }
    if (rules_found == 0) {
        incidents->rules_carry.seq = 0;
        durable_carried(&incidents->rules_durable);
    }
}

static void carry_up_to(struct durable *self, uint32_t log, uint64_t seq)
{
    struct incidents *incidents = container_of(self, struct incidents, durable);

    assert(incidents->carry.seq == 0);
    incidents->carry = (struct incident_carry){log, seq};
    carry_on(incidents);
}

static void carry_rules_up_to(struct durable *self, uint32_t log, uint64_t seq)
{
    struct incidents *incidents = container_of(self, struct incidents, rules_durable);

    assert(incidents->rules_carry.seq == 0);
    incidents->rules_carry = (struct incident_carry){log, seq};
    carry_on(incidents);
}

static void on_room(struct durable *self)
{
    carry_on(container_of(self, struct incidents, durable));
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

/* --- the actor ---------------------------------------------------------------------------------
 */

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
    if (errands_on_timer(&incidents->errands, timer))
        return ACTOR_OK;
    if (timer == &incidents->carry_timer) {
        carry_on(incidents);
        return ACTOR_OK;
    }
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
    actor_timer_init(self, &incidents->carry_timer);
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

/* --- start-up ------------------------------------------------------------------------------------
 */

static void add_changes(struct metrics_registry *registry, struct incident_metrics *metrics)
{
    for (uint32_t cause = 0; cause < INCIDENT_CAUSE_COUNT; cause++) {
        struct slice name = incident_cause_name(cause);

        metrics->changes[cause] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incident_changes_total",
            metrics_text(registry, "change=\"%.*s\"", (int)name.size, name.data),
            "What has happened to incidents.");
    }
}

void incident_metrics_add(struct metrics_registry *registry, struct incident_metrics *ret_metrics)
{
    static const char events[] = "weir_incident_events_total";
    static const char help[] = "Errors and signups: counted in a series of their own, with all "
                               "that found none, or nowhere.";

    ret_metrics->folded = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, events,
                                             "outcome=\"counted\"", help);
    ret_metrics->overflowed = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, events,
                                                 "outcome=\"overflow\"", help);
    ret_metrics->unfolded = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, events,
                                               "outcome=\"unplaced\"", help);
    ret_metrics->late = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incident_late_events_total", "",
        "Events too far behind the newest of their environment to count for incidents; stored.");
    ret_metrics->series =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_incident_series", "",
                           "Series of errors and signups in memory.");
    ret_metrics->open =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_incidents_open", "",
                           "Incidents that are open or being investigated.");
    add_changes(registry, ret_metrics);
    ret_metrics->jobs_skipped = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incident_jobs_skipped_total", "",
        "Incidents that opened without a job to summarise them: its queue took none.");
    ret_metrics->refused = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_incidents_refused_total", "",
        "Incidents that could not be opened: too many, or their events could not be read.");
}

/* Counters of the table, as what has been added since they were last copied. */
static void copy_total(struct incidents *incidents, struct metric metric, uint64_t total,
                       uint64_t *copied)
{
    count(incidents, metric, total - *copied);
    *copied = total;
}

void incidents_export(struct incidents *incidents)
{
    const struct incident_metrics *series = series_of(incidents);
    struct metrics *metrics = &incidents->home->shard->metrics;
    struct incident_table_stats *copied = &incidents->exported, stats;

    incident_table_stats(incidents->table, &stats);
    metrics_set(metrics, series->series, stats.series);
    metrics_set(metrics, series->open, stats.open);
    copy_total(incidents, series->folded, stats.folded - stats.overflowed, &copied->folded);
    copy_total(incidents, series->overflowed, stats.overflowed, &copied->overflowed);
    copy_total(incidents, series->unfolded, stats.unfolded, &copied->unfolded);
    copy_total(incidents, series->late, stats.late, &copied->late);
    copy_total(incidents, series->refused, stats.refused, &copied->refused);
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
    list_init(&incidents->steps_in_order);
    list_init(&incidents->carried);
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
