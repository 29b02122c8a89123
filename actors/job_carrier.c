#include "actors/job_carrier.h"

#include <errno.h>

#include "actors/app.h"
#include "runtime/sim_point.h"

/*
 *     walk: rests on them? -> slot -> read its records -> append one JOB -> slot free
 *       \-- all slots busy: go on when all are free         (applied: the table points there)
 *       \-- end of the table, something left: once more, from the start
 *       \-- end of the table, nothing left: durable_carried()
 *
 * What is written goes into later segments, so one round is enough for all that could be
 * carried in it. Of a job that has ended only its texts are read: all else that its answer
 * needs is in the table.
 *
 * Slots are filled, read and then written all together. One by one each record would come
 * to stand in a block of its own, and a log of small jobs would be the larger the more often
 * it is reclaimed: for ever.
 *
 * What finds no room in the journal stays read and is written as soon as there is room, before
 * any event is: no segment goes meanwhile, and it is a log that is filled fast that has none.
 *
 * The image is put together after the reads and described in the moment of the append, so
 * that no fact lies between what it says and its place in the log.
 */

enum { READ_SIZE_DEFAULT = 4 * SEGMENT_BLOCK_SIZE };

static void work(struct job_carrier *carrier, struct job_desk *desk);
static void write_when_all_are_read(struct job_desk *desk);

void job_carrier_init(struct job_carrier *carrier, struct job_desk *desk)
{
    memset(carrier, 0, sizeof(*carrier));
    for (uint32_t i = 0; i < JOB_CARRIER_SLOT_COUNT; i++)
        carrier->slots[i].desk = desk;
}

void job_carrier_start(struct job_carrier *carrier, struct job_desk *desk)
{
    actor_timer_init(&desk->actor, &carrier->timer);
    carrier->is_stopping = false;
}

/* One that is not busy; there must be one. It is now. */
static struct job_carrier_slot *free_slot(struct job_carrier *carrier)
{
    struct job_carrier_slot *slot = carrier->slots;

    assert(carrier->busy_count < JOB_CARRIER_SLOT_COUNT);
    while (slot->is_busy)
        slot++;
    slot->is_busy = true;
    slot->is_read = false;
    slot->is_written = false;
    slot->part = JOB_CARRIER_BODY;
    memset(slot->payloads, 0, sizeof(slot->payloads));
    carrier->busy_count++;
    return slot;
}

static void release_slot(struct job_carrier_slot *slot)
{
    assert(slot->is_busy);
    for (uint32_t i = 0; i < JOB_CARRIER_PART_COUNT; i++)
        buffer_unref(&slot->records[i]);
    buffer_unref(&slot->image);
    slot->is_busy = false;
    slot->desk->carrier.busy_count--;
    if (slot->desk->carrier.busy_count == 0)
        slot->desk->carrier.is_writing = false;
}

/* The job is not carried in this round. */
static void give_up(struct job_carrier_slot *slot, uint64_t again_ms)
{
    struct job_desk *desk = slot->desk;

    desk->carrier.left_any = true;
    release_slot(slot);
    actor_timer_start(&desk->actor, &desk->carrier.timer, again_ms);
    write_when_all_are_read(desk);
}

/* --- one job: putting it together ------------------------------------------------------- */

/* The text of a part: a section when it stands in a JOB, or the text of a JOB_FACT. */
static struct slice text_of(const struct job_carrier_slot *slot, enum job_carrier_part part,
                            enum job_section section)
{
    struct job_image image;
    struct job_fact fact;

    if (slot->records[part] == NULL)
        return (struct slice){NULL, 0};
    if (slot->types[part] == RECORD_JOB && job_image_decode(slot->payloads[part], &image) == 0)
        return image.sections[section];
    if (slot->types[part] == RECORD_JOB_FACT && job_fact_decode(slot->payloads[part], &fact) == 0)
        return fact.text;
    return (struct slice){NULL, 0};
}

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_carrier_slot *slot = container_of(step, struct job_carrier_slot, step);
    struct job_desk *desk = slot->desk;

    release_slot(slot);
    if (outcome == DURABLE_UNKNOWN)
        return; /* the process is ending */
    metrics_add(&desk->home->shard->metrics, desk->home->app->metrics.jobs.carried, 1);
    work(&desk->carrier, desk);
}

/* A dead letter may be replayed: what was asked for and the table has let go stays written. */
static void keep_asked(const struct job_image_header *body, struct job_image_header *header)
{
    header->deadline_ms = body->deadline_ms;
    header->timeout_ms = body->timeout_ms;
    if (header->unique != JOB_UNIQUE_NONE || body->unique == JOB_UNIQUE_NONE)
        return;
    header->unique = body->unique;
    memcpy(header->unique_key, body->unique_key, sizeof(header->unique_key));
    header->unique_until_ms = body->unique_until_ms;
    header->unique_wait_ms = body->unique_wait_ms;
    header->body_hash = body->body_hash;
    header->flags |= JOB_FLAG_LAPSED;
}

/* Nobody will be given its payload again. */
static bool is_over(const struct job_view *view)
{
    return view->state == JOB_COMPLETED || view->state == JOB_CANCELLED;
}

/* NONE: the job needs no such part. */
static struct journal_location location_of(const struct job_view *view, uint32_t part)
{
    switch ((enum job_carrier_part)part) {
    case JOB_CARRIER_BODY:
        return is_over(view) ? JOURNAL_LOCATION_NONE : view->location;
    case JOB_CARRIER_FIRST_ERROR:
        return view->first_error;
    case JOB_CARRIER_LAST_ERROR:
        return view->last_error;
    case JOB_CARRIER_RESULT:
        return view->result;
    case JOB_CARRIER_PROGRESS:
        return view->progress;
    case JOB_CARRIER_PART_COUNT:
        break;
    }
    return JOURNAL_LOCATION_NONE;
}

/* True when every record that was read, and no other one, is still what the job needs. */
static bool is_up_to_date(const struct job_carrier_slot *slot, const struct job_view *view)
{
    for (uint32_t i = 0; i < JOB_CARRIER_PART_COUNT; i++)
        if (location_of(view, i).bits != slot->locations[i].bits)
            return false;
    return true;
}

/* What the job's JOB said; of one that is over no more than whose it was. */
MUST_USE static bool get_body(const struct job_carrier_slot *slot, const struct job_view *view,
                              struct job_image *ret_body)
{
    const struct job_queue *queue = view->queue;

    if (!is_over(view))
        return job_image_decode(slot->payloads[JOB_CARRIER_BODY], ret_body) == 0;
    *ret_body = (struct job_image){.after = NULL};
    ret_body->sections[JOB_SECTION_ORG] = (struct slice){queue->org, queue->org_size};
    ret_body->sections[JOB_SECTION_PROJECT] = (struct slice){queue->project, queue->project_size};
    ret_body->sections[JOB_SECTION_KIND] = (struct slice){queue->kind, queue->kind_size};
    return true;
}

/*
 * Fills the image from what was read and what the table knows. False: the job is gone or
 * busy, or something happened to it meanwhile that has not been read.
 */
MUST_USE static bool compose(struct job_carrier_slot *slot, struct job_image *ret_image,
                             uint64_t ret_after[JOB_AFTER_COUNT_MAX])
{
    struct job_desk *desk = slot->desk;
    struct job_image body;
    struct job_view view;
    struct job_ref ref;

    if (!job_table_find(desk->table, slot->id_low, &ref))
        return false;
    job_table_view(desk->table, ref, &view);
    if ((view.is_committing && !MUTANT("job_carry_while_committing")) ||
        (!is_up_to_date(slot, &view) && !MUTANT("job_carry_out_of_date")) ||
        !get_body(slot, &view, &body))
        return false;
    *ret_image = body;
    job_table_describe(desk->table, ref, &ret_image->header);
    ret_image->header.flags |= JOB_FLAG_CARRIED;
    ret_image->after_count = job_table_after(desk->table, ref, ret_after);
    ret_image->header.after_count = (uint16_t)ret_image->after_count;
    ret_image->after = ret_after;
    ret_image->sections[JOB_SECTION_FIRST_ERROR] =
        text_of(slot, JOB_CARRIER_FIRST_ERROR, JOB_SECTION_FIRST_ERROR);
    ret_image->sections[JOB_SECTION_LAST_ERROR] =
        text_of(slot, JOB_CARRIER_LAST_ERROR, JOB_SECTION_LAST_ERROR);
    ret_image->sections[JOB_SECTION_RESULT] = text_of(slot, JOB_CARRIER_RESULT, JOB_SECTION_RESULT);
    ret_image->sections[JOB_SECTION_PROGRESS] =
        text_of(slot, JOB_CARRIER_PROGRESS, JOB_SECTION_PROGRESS);
    if (view.state == JOB_DEAD)
        keep_asked(&body.header, &ret_image->header);
    slot->ref = ref;
    return true;
}

/* Appends the slot's record. False when there is no room for it. */
MUST_USE static bool commit(struct job_carrier_slot *slot)
{
    slot->is_read = true;
    slot->step = (struct durable_step){
        .on_done = on_written,
        .records = &slot->record,
        .record_count = 1,
        .flags = JOURNAL_IMPORTANT,
    };
    slot->is_written =
        durable_commit(&slot->desk->home->keeper.durables, &slot->step) == JOURNAL_OK;
    if (!slot->is_written)
        SOMETIMES("a job carried forward waits for room");
    return slot->is_written;
}

/* The slot stays as it is until there is room; the timer is for room that nobody tells of. */
static void wait_for_room(struct job_carrier_slot *slot)
{
    struct job_desk *desk = slot->desk;

    assert(slot->is_read && !slot->is_written);
    buffer_unref(&slot->image);
    desk->carrier.wants_room = true;
    actor_timer_start(&desk->actor, &desk->carrier.timer, JOB_CARRIER_ROOM_MS);
}

/* False when it waits for room. */
MUST_USE static bool write_job(struct job_carrier_slot *slot)
{
    struct job_desk *desk = slot->desk;
    uint64_t after[JOB_AFTER_COUNT_MAX];
    struct job_image image;

    if (!compose(slot, &image, after)) {
        SOMETIMES("a job changes while it is carried forward");
        give_up(slot, JOB_CARRIER_AGAIN_MS);
        return true;
    }
    if (buffer_acquire(desk->home->buffers, job_image_size(&image), &slot->image) < 0) {
        give_up(slot, JOB_CARRIER_ROOM_MS);
        return true;
    }
    slot->record_part =
        (struct slice){slot->image->data, job_image_encode(&image, slot->image->data)};
    job_desk_fill_record(desk, slot->ref, RECORD_JOB, &slot->record_part, &slot->record);
    if (commit(slot))
        return true;
    wait_for_room(slot);
    return false;
}

/* Those that have been read, until one finds no room. */
static void write_jobs(struct job_carrier *carrier)
{
    assert(carrier->is_writing);
    assert(!carrier->is_walking);
    for (uint32_t i = 0; i < JOB_CARRIER_SLOT_COUNT; i++) {
        struct job_carrier_slot *slot = &carrier->slots[i];

        if (slot->is_busy && !slot->is_written && !write_job(slot))
            return;
    }
}

static void write_when_all_are_read(struct job_desk *desk)
{
    struct job_carrier *carrier = &desk->carrier;

    if (carrier->is_walking || carrier->is_writing || carrier->is_stopping)
        return;
    for (uint32_t i = 0; i < JOB_CARRIER_SLOT_COUNT; i++)
        if (carrier->slots[i].is_busy && !carrier->slots[i].is_read)
            return;
    if (carrier->busy_count == 0)
        return;
    carrier->is_writing = true;
    write_jobs(carrier);
}

/* --- one job: reading ---------------------------------------------------------------------- */

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view);

static void read_next(struct job_carrier_slot *slot, uint32_t size)
{
    struct job_desk *desk = slot->desk;
    struct job_view view;
    struct job_ref ref;

    if (!job_table_find(desk->table, slot->id_low, &ref)) {
        give_up(slot, JOB_CARRIER_AGAIN_MS);
        return;
    }
    job_table_view(desk->table, ref, &view);
    while (slot->part < JOB_CARRIER_PART_COUNT && location_of(&view, slot->part).bits == 0)
        slot->locations[slot->part++] = JOURNAL_LOCATION_NONE;
    if (slot->part == JOB_CARRIER_PART_COUNT) {
        slot->is_read = true;
        write_when_all_are_read(desk);
        return;
    }
    buffer_unref(&slot->records[slot->part]);
    if (buffer_acquire(desk->home->buffers, size, &slot->records[slot->part]) < 0) {
        give_up(slot, JOB_CARRIER_ROOM_MS);
        return;
    }
    memset(&slot->read, 0, sizeof(slot->read));
    slot->read.on_done = on_read;
    slot->locations[slot->part] = location_of(&view, slot->part);
    slot->read.location = slot->locations[slot->part];
    slot->read.buffer = slot->records[slot->part]->data;
    slot->read.buffer_size = slot->records[slot->part]->capacity;
    journal_read_start(desk->home->keeper.reader, &slot->read);
}

/*
 * A record that is gone or damaged will hardly come back. A disk may be well again soon, and who
 * has no descriptor has every shard close one: meanwhile no segment goes and the log grows.
 */
static void give_up_unread(struct job_carrier_slot *slot, enum journal_read_result result)
{
    struct app_shard *home = slot->desk->home;

    SOMETIMES("a job to be carried forward cannot be read");
    if (slot->desk->carrier.unread_count++ == 0)
        log_event(&home->shard->log, LOG_ERROR, "jobs",
                  "a job to be carried forward cannot be read: it is tried again",
                  LOG_NUMBER("result", (uint64_t)result),
                  LOG_NUMBER("errno", result == JOURNAL_READ_ERROR ? -slot->read.error : 0));
    if (result != JOURNAL_READ_ERROR) {
        give_up(slot, JOB_CARRIER_DAMAGED_MS);
        return;
    }
    if (slot->read.error == -EMFILE || slot->read.error == -ENFILE)
        keeper_yield_descriptors(&home->keeper);
    give_up(slot, slot->desk->carrier.disk_ms);
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct job_carrier_slot *slot = container_of(read, struct job_carrier_slot, read);

    if (slot->desk->carrier.is_stopping) {
        release_slot(slot);
        return;
    }
    if (result == JOURNAL_READ_TOO_BIG) {
        read_next(slot, read->size_needed);
        return;
    }
    if (result != JOURNAL_READ_OK) {
        give_up_unread(slot, result);
        return;
    }
    slot->payloads[slot->part] = view->payload;
    slot->types[slot->part] = view->type;
    slot->part++;
    read_next(slot, READ_SIZE_DEFAULT);
}

static void start_slot(struct job_carrier *carrier, struct job_ref ref)
{
    struct job_carrier_slot *slot = free_slot(carrier);
    struct job_view view;

    job_table_view(slot->desk->table, ref, &view);
    slot->id_low = view.id_low;
    read_next(slot, READ_SIZE_DEFAULT);
}

/* --- settings of queues ------------------------------------------------------------------------
 */

static bool queue_rests_on(const struct job_carrier *carrier, const struct job_queue *queue)
{
    struct journal_location location = queue->settings_location;

    return location.bits != 0 && journal_location_log(location) == carrier->log &&
           journal_location_seq(location) <= carrier->seq;
}

/* Memory has all there is to say of a queue: written at once. False when there is no room. */
MUST_USE static bool write_queue(struct job_carrier *carrier, struct job_desk *desk,
                                 const struct job_queue *queue)
{
    struct job_carrier_slot *slot = free_slot(carrier);

    if (buffer_acquire(desk->home->buffers, JOB_QUEUE_RECORD_SIZE_MAX, &slot->image) < 0) {
        give_up(slot, JOB_CARRIER_ROOM_MS);
        return true;
    }
    slot->record_part = (struct slice){
        slot->image->data, job_command_encode_queue(queue, &queue->settings, slot->image->data)};
    slot->record = (struct journal_record){
        .partition = queue->partition,
        .type = RECORD_JOB_QUEUE,
        .version = JOB_RECORD_VERSION,
        .parts = &slot->record_part,
        .part_count = 1,
    };
    if (commit(slot))
        return true;
    carrier->wants_room = true;
    give_up(slot, JOB_CARRIER_ROOM_MS); /* it may have other settings by then */
    return false;
}

/*
 * Looks at queues until all are seen or all slots are busy. While new settings are on their
 * way into the log none are carried: the old ones must not come behind them.
 */
static void walk_queues(struct job_carrier *carrier, struct job_desk *desk)
{
    uint32_t count = job_table_queue_count(desk->table);

    for (; carrier->queue_cursor < count && carrier->busy_count < JOB_CARRIER_SLOT_COUNT;
         carrier->queue_cursor++) {
        const struct job_queue *queue = job_table_queue_at(desk->table, carrier->queue_cursor);

        if (!queue_rests_on(carrier, queue))
            continue;
        if (desk->queue_change_count > 0)
            carrier->left_any = true;
        else if (!write_queue(carrier, desk, queue))
            return; /* it is the next one when there is room */
    }
}

/* --- the walk --------------------------------------------------------------------------------- */

static void end_carry(struct job_carrier *carrier, struct job_desk *desk)
{
    SOMETIMES("jobs are carried out of a segment");
    carrier->seq = 0;
    durable_carried(&desk->durable);
}

/* A disk that goes on failing is asked less and less often. */
static void begin_round(struct job_carrier *carrier)
{
    carrier->disk_ms = carrier->unread_count == 0
                           ? JOB_CARRIER_ROOM_MS
                           : min_u64(2 * carrier->disk_ms, JOB_CARRIER_DISK_MS);
    carrier->cursor = JOB_REF_NONE;
    carrier->queue_cursor = 0;
    carrier->at_end = false;
    carrier->left_any = false;
    carrier->unread_count = 0;
}

/* Looks at some entries; starts slots for those that rest on what is about to go. */
static void walk(struct job_carrier *carrier, struct job_desk *desk)
{
    uint32_t left = JOB_CARRIER_STEP_MAX;

    while (left > 0 && carrier->busy_count < JOB_CARRIER_SLOT_COUNT) {
        struct job_view view;
        bool is_job;

        carrier->cursor = job_table_next(desk->table, carrier->cursor, 64, &is_job);
        left = left > 64 ? left - 64 : 0;
        if (carrier->cursor.index == JOB_REF_NONE.index) {
            carrier->at_end = true;
            return;
        }
        if (!is_job ||
            !job_table_rests_on(desk->table, carrier->cursor, carrier->log, carrier->seq))
            continue;
        job_table_view(desk->table, carrier->cursor, &view);
        if (!view.is_committing)
            start_slot(carrier, carrier->cursor);
        else
            carrier->left_any = true;
    }
}

static void work(struct job_carrier *carrier, struct job_desk *desk)
{
    if (carrier->seq == 0 || carrier->is_stopping || carrier->busy_count > 0)
        return; /* the last of those that are busy brings us back */
    carrier->is_walking = true;
    walk_queues(carrier, desk);
    if (!carrier->at_end)
        walk(carrier, desk);
    carrier->is_walking = false;
    write_when_all_are_read(desk);
    if (!carrier->at_end) {
        if (carrier->busy_count == 0)
            actor_timer_start(&desk->actor, &carrier->timer, JOB_CARRIER_AGAIN_MS);
        return;
    }
    if (carrier->busy_count > 0)
        return; /* its end brings us back */
    if (!carrier->left_any) {
        end_carry(carrier, desk);
        return;
    }
    begin_round(carrier);
    actor_timer_start(&desk->actor, &carrier->timer, JOB_CARRIER_AGAIN_MS);
}

static void go_on(struct job_carrier *carrier, struct job_desk *desk)
{
    carrier->wants_room = false;
    if (carrier->is_writing)
        write_jobs(carrier);
    else
        work(carrier, desk);
}

void job_carrier_on_room(struct job_carrier *carrier, struct job_desk *desk)
{
    if (!carrier->wants_room || carrier->is_stopping)
        return;
    SOMETIMES("there is room for jobs that wait to be carried forward");
    go_on(carrier, desk);
}

void job_carrier_carry(struct job_carrier *carrier, struct job_desk *desk, uint32_t log,
                       uint64_t seq)
{
    assert(carrier->seq == 0);
    assert(seq != 0);
    carrier->log = log;
    carrier->seq = seq;
    carrier->unread_count = 0;
    begin_round(carrier);
    work(carrier, desk);
}

bool job_carrier_stop(struct job_carrier *carrier)
{
    carrier->is_stopping = true;
    for (uint32_t i = 0; i < JOB_CARRIER_SLOT_COUNT; i++)
        if (carrier->slots[i].is_busy && carrier->slots[i].is_read && !carrier->slots[i].is_written)
            release_slot(&carrier->slots[i]);
    return carrier->busy_count == 0;
}

bool job_carrier_on_timer(struct job_carrier *carrier, struct job_desk *desk,
                          const struct timer *timer)
{
    if (timer != &carrier->timer)
        return false;
    go_on(carrier, desk);
    return true;
}
