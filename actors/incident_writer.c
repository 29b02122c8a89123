#include "actors/incident_writer.h"

#include "actors/app.h"
#include "actors/incident_texts.h"
#include "contracts/job_kinds.h"
#include "runtime/sim_point.h"
#include "store/slot_index.h"

/*
 * A step stays in writer.steps until all before it have ended, whatever became of it: settled
 * is the sequence of the last that has left, or of the last change taken when none is left. After
 * the journal has ended (is_dead) nothing is durable any more: the process is ending, and the next
 * start decides again.
 */

static struct incidents *owner_of(struct incident_writer *writer)
{
    return container_of(writer, struct incidents, writer);
}

void incident_writer_init(struct incident_writer *writer)
{
    list_init(&writer->steps);
}

void incident_writer_settle(struct incident_writer *writer)
{
    struct list_node *node;

    while ((node = writer->steps.next) != &writer->steps) {
        struct incident_step *it = container_of(node, struct incident_step, link);

        if (!it->is_done)
            return;
        assert(it->change.sequence > writer->settled);
        writer->settled = it->change.sequence;
        incident_step_free(it);
    }
    writer->settled = writer->taken;
}

/* --- writing --------------------------------------------------------------------------- */

static void give_up_writing(struct incident_step *it)
{
    SOMETIMES("an incident finds the journal stopped");
    if (it->job.desk != NULL)
        job_internal_withdraw(&it->job);
    it->owner->writer.is_dead = true;
    it->is_done = true;
}

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct incident_step *it = container_of(step, struct incident_step, step);
    struct incidents *incidents = it->owner;

    job_internal_done(&it->job, outcome);
    it->is_done = true;
    if (outcome == DURABLE_UNKNOWN)
        incidents->writer.is_dead = true;
    else
        incidents_count(incidents, incidents_series(incidents)->changes[it->change.header.cause],
                        1);
    incidents_go_on(incidents);
}

/* True when the change is one that work follows from. */
static bool wants_summary(const struct incident_writer *writer,
                          const struct incident_image_header *header)
{
    return writer->has_summaries && (header->flags & INCIDENT_FLAG_NOTIFY) != 0 &&
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
                            .kind = SLICE_LITERAL(JOB_KIND_SUMMARIZE),
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
    SOMETIMES("an incident opens without its job"); /* sim_run.c counts it */
    incidents_count(it->owner, incidents_series(it->owner)->jobs_skipped, 1);
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
    incident_step_fill(it, &image, partition);
    if (wants_summary(&incidents->writer, &image.header))
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

/* --- reading the texts of a new incident ------------------------------------------------- */

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view);

static void start_read(struct incident_step *it)
{
    it->is_reading = true;
    it->again_ns = 0;
    it->read.on_done = on_read;
    it->read.location = incident_table_source(it->owner->table, it->slot);
    it->read.buffer = it->buffer->data;
    it->read.buffer_size = it->buffer->capacity;
    journal_read_start(it->owner->home->keeper.reader, &it->read);
}

/* Takes the incident's texts from the record. False when it is not that of an event. */
MUST_USE static bool take_texts(struct incident_step *it, const struct journal_record_view *view)
{
    struct incident_texts texts;

    if (!incident_texts_read(view, (enum incident_rule)it->change.header.rule, &texts))
        return false;
    incident_table_set_texts(it->owner->table, it->slot, texts.sections);
    return true;
}

/* Nobody knows what the incident is about, until its series or the next start finds it again. */
static void give_up_incident(struct incident_step *it)
{
    SOMETIMES("an incident's events cannot be read");
    log_event(&it->owner->home->shard->log, LOG_ERROR, "incidents",
              "an incident is not opened: its events cannot be read");
    incidents_count(it->owner, incidents_series(it->owner)->refused, 1);
    incident_table_give_up(it->owner->table, it->slot);
    it->is_reading = false;
    it->is_done = true;
}

/* The disk may be well again later. False: that has been hoped for often enough. */
MUST_USE static bool read_again_later(struct incident_step *it)
{
    const struct incidents *incidents = it->owner;

    if (++it->try_count >= INCIDENT_READ_TRY_MAX)
        return false;
    SOMETIMES("an incident's event is read again");
    if (it->try_count == 1)
        log_event(&incidents->home->shard->log, LOG_WARN, "incidents",
                  "an incident waits: its event cannot be read now",
                  LOG_NUMBER("error", it->read.error));
    it->again_ns = incidents->home->shard->clock.mono_ns + INCIDENT_RETRY_MS * (uint64_t)1000000;
    it->owner->writer.unread_count++;
    return true;
}

/* The record is gone or damaged: its series may have a newer event by now. */
MUST_USE static bool read_newer(struct incident_step *it)
{
    if (incident_table_source(it->owner->table, it->slot).bits == it->read.location.bits ||
        ++it->try_count >= INCIDENT_READ_TRY_MAX)
        return false;
    SOMETIMES("an incident's event is gone, and a newer one is there");
    start_read(it);
    return true;
}

/* What has been read is not the event. False: it never will be. */
MUST_USE static bool try_again(struct incident_step *it, enum journal_read_result result)
{
    switch (result) {
    case JOURNAL_READ_OK:
        return false; /* not the record of an event */
    case JOURNAL_READ_TOO_BIG:
        if (buffer_grow(&it->buffer, it->read.size_needed) < 0)
            return read_again_later(it);
        SOMETIMES("an incident's event is larger than its buffer");
        start_read(it);
        return true;
    case JOURNAL_READ_ERROR:
        return read_again_later(it);
    case JOURNAL_READ_GONE:
    case JOURNAL_READ_CORRUPT:
        return read_newer(it);
    }
    return false;
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct incident_step *it = container_of(read, struct incident_step, read);
    struct incidents *incidents = it->owner;

    assert(it->is_reading && it->again_ns == 0);
    if (result == JOURNAL_READ_OK && take_texts(it, view)) {
        it->is_reading = false;
        buffer_unref(&it->buffer);
        write_change(it);
    } else if (!try_again(it, result)) {
        give_up_incident(it);
    }
    incidents_go_on(incidents);
}

void incident_writer_read_again(struct incident_writer *writer)
{
    const struct incidents *incidents = owner_of(writer);
    struct list_node *node = writer->steps.next;

    while (writer->unread_count > 0 && node != &writer->steps) {
        struct incident_step *it = container_of(node, struct incident_step, link);

        node = node->next;
        if (it->again_ns == 0)
            continue;
        if (incidents->is_stopping || writer->is_dead) {
            writer->unread_count--;
            give_up_incident(it);
        } else if (it->again_ns <= incidents->home->shard->clock.mono_ns) {
            writer->unread_count--;
            start_read(it); /* of the newest event, which may be another one by now */
        }
    }
}

/* --- from changes to steps ------------------------------------------------------------- */

/* True while the incident's texts are being read: what else happens to it must wait. */
static bool is_being_read(const struct incident_writer *writer, uint32_t slot)
{
    const struct list_node *head = &writer->steps;

    for (const struct list_node *node = head->next; node != head; node = node->next) {
        const struct incident_step *it =
            container_of((struct list_node *)node, struct incident_step, link);

        if (it->slot == slot && it->is_reading)
            return true;
    }
    return false;
}

/* The oldest change leaves the table. */
static void take(struct incident_writer *writer, const struct incident_change *change)
{
    writer->taken = change->sequence;
    incident_table_take_change(owner_of(writer)->table);
}

/* Begins with the oldest change. False when it has to wait. */
MUST_USE static bool begin_change(struct incident_writer *writer,
                                  const struct incident_change *change)
{
    struct incidents *incidents = owner_of(writer);
    bool has_texts = incident_table_has_texts(incidents->table, change->slot);
    struct incident_step *it;

    if (!has_texts && is_being_read(writer, change->slot))
        return false;
    it = incident_step_begin(incidents);
    if (it == NULL)
        return false;
    if (!has_texts &&
        buffer_acquire(incidents->home->buffers, JOURNAL_READ_BUFFER_SIZE_MIN, &it->buffer) < 0) {
        SOMETIMES("an incident finds no buffer");
        incident_step_free(it);
        return false;
    }
    it->change = *change;
    it->slot = change->slot;
    list_push_back(&writer->steps, &it->link);
    take(writer, change);
    if (has_texts)
        write_change(it);
    else
        start_read(it);
    return true;
}

void incident_writer_take_changes(struct incident_writer *writer)
{
    struct incidents *incidents = owner_of(writer);
    const struct incident_change *change;

    while ((change = incident_table_change(incidents->table)) != NULL) {
        if (change->slot == SLOT_NONE) {
            take(writer, change);
        } else if (!begin_change(writer, change)) {
            SOMETIMES("decisions about incidents wait");
            return;
        }
    }
}
