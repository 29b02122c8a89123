/*
 * Dead letters of this shard become jobs, a batch at a time.
 *
 *     next letter -> claimed -> its JOB read -> new JOB admitted -> group appended
 *          ^                                         \--no room: the batch ends here,
 *          |                                             and begins with this letter again
 *          +---- one is read at a time, several wait to be durable ----+
 *
 * One is read at a time so that they are appended in the order in which they stand: letters
 * of one serial key run again in the order in which they ran. The claim keeps others from
 * dropping or replaying a letter meanwhile; the group holds the new job and the fact that
 * the letter has become it, so there is neither one without the other.
 *
 * The new job asks for what the old one asked for: kind, key, payload, priority, attempts,
 * timeout, unique key. It starts at once, whatever the old one had to wait for; a deadline
 * is as far away as it was from the old one's beginning. A debounced one takes no part in
 * debouncing any more, as it did not when it ran.
 */
#include "actors/app.h"
#include "actors/dead_letters.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

enum { READ_SIZE_DEFAULT = 4 * SEGMENT_BLOCK_SIZE };

void dead_replayer_init(struct dead_letters *letters)
{
    struct dead_replayer *replayer = &letters->replayer;

    list_init(&replayer->waiting);
    for (uint32_t i = 0; i < DEAD_SLOT_COUNT; i++)
        replayer->slots[i].letters = letters;
}

static struct job_table *table_of(const struct dead_letters *letters)
{
    return letters->home->jobs.table;
}

static struct dead_slot *take_slot(struct dead_replayer *replayer)
{
    struct dead_slot *slot = replayer->slots;

    assert(replayer->busy_count < DEAD_SLOT_COUNT);
    while (slot->is_busy)
        slot++;
    slot->is_busy = true;
    replayer->busy_count++;
    return slot;
}

static void release_slot(struct dead_slot *slot)
{
    struct dead_replayer *replayer = &slot->letters->replayer;

    assert(slot->is_busy);
    buffer_unref(&slot->body);
    buffer_unref(&slot->image);
    slot->is_busy = false;
    replayer->busy_count--;
}

/* This letter stays one, and the batch goes on with the next. */
static void fail(struct dead_slot *slot)
{
    struct dead_letters *letters = slot->letters;

    job_table_unclaim(table_of(letters), slot->ref);
    letters->replayer.current->failed_count++;
    release_slot(slot);
}

/* There is no room: the next batch begins with this letter. */
static void step_back(struct dead_slot *slot)
{
    struct dead_letters *letters = slot->letters;
    struct dead_request *batch = letters->replayer.current;

    SOMETIMES("a dead letter finds no room to become a job");
    job_table_unclaim(table_of(letters), slot->ref);
    batch->walk.from = slot->from;
    batch->id_next = slot->id_next;
    batch->must_wait = true;
    release_slot(slot);
}

/* --- the new job ------------------------------------------------------------------------ */

/* Head and sections of the job that takes the letter's place. */
static void compose(struct dead_slot *slot, const struct job_image *old, struct job_id id,
                    struct job_image *ret_image)
{
    const struct job_image_header *was = &old->header;
    uint64_t span_ms = was->deadline_ms > was->created_ms ? was->deadline_ms - was->created_ms : 1;

    *ret_image =
        (struct job_image){.header = {
                               .id_low = id.id_low,
                               .created_ms = id.created_ms,
                               .deadline_ms = was->deadline_ms != 0 ? id.created_ms + span_ms : 0,
                               .link = slot->id_low,
                               .timeout_ms = was->timeout_ms,
                               .state = JOB_QUEUED,
                               .priority = was->priority,
                               .max_attempts = was->max_attempts,
                               .flags = JOB_FLAG_IS_REPLAY,
                           }};
    for (uint32_t i = JOB_SECTION_ORG; i <= JOB_SECTION_PAYLOAD; i++)
        ret_image->sections[i] = old->sections[i];
    if (was->unique == JOB_UNIQUE_NONE || was->unique == JOB_UNIQUE_DEBOUNCE)
        return;
    ret_image->header.unique = was->unique;
    memcpy(ret_image->header.unique_key, was->unique_key, sizeof(was->unique_key));
    ret_image->header.unique_until_ms = was->unique_until_ms;
    ret_image->header.body_hash = was->body_hash;
}

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct dead_slot *slot = container_of(step, struct dead_slot, step);
    struct dead_letters *letters = slot->letters;

    release_slot(slot);
    if (outcome == DURABLE_DONE) {
        SOMETIMES("a dead letter becomes a job");
        letters->replayer.current->done_count++;
        job_desk_wake(&letters->home->jobs);
        dead_replayer_work(letters);
    }
    dead_letters_end_flight(letters);
}

/* Appends {JOB, FACT}. False: refused for good. */
MUST_USE static bool append(struct dead_slot *slot, struct job_ref made,
                            const struct job_image *image)
{
    struct dead_letters *letters = slot->letters;
    struct job_desk *desk = &letters->home->jobs;
    struct job_fact fact = {.header = {.id_low = slot->id_low,
                                       .at_ms = image->header.created_ms,
                                       .link = image->header.id_low,
                                       .kind = JOB_FACT_REPLAYED}};

    slot->parts[0] = (struct slice){slot->image->data, job_image_encode(image, slot->image->data)};
    slot->parts[1] = (struct slice){slot->fact, job_fact_encode(&fact, slot->fact)};
    job_desk_fill_record(desk, made, RECORD_JOB, &slot->parts[0], &slot->records[0]);
    job_desk_fill_record(desk, slot->ref, RECORD_JOB_FACT, &slot->parts[1], &slot->records[1]);
    slot->step =
        (struct durable_step){.on_done = on_written, .records = slot->records, .record_count = 2};
    dead_letters_begin_flight(letters);
    if (durable_commit_later(&letters->home->keeper.durables, &slot->step))
        return true;
    dead_letters_end_flight(letters);
    return false;
}

/* Admits the new job and appends it; the letter fails, or has to wait, when that may not be. */
static void write_job(struct dead_slot *slot, const struct job_image *old)
{
    struct dead_letters *letters = slot->letters;
    struct job_desk *desk = &letters->home->jobs;
    struct job_queue *queue =
        job_table_queue(desk->table, old->sections[JOB_SECTION_ORG],
                        old->sections[JOB_SECTION_PROJECT], old->sections[JOB_SECTION_KIND], false);
    struct job_image image;
    struct job_ref made;

    assert(queue != NULL); /* the letter is in it */
    compose(slot, old,
            job_id_make(job_desk_now(desk), queue->partition, rng_next(&letters->home->shard->rng)),
            &image);
    if (buffer_acquire(letters->home->buffers, job_image_size(&image), &slot->image) < 0) {
        step_back(slot);
        return;
    }
    switch (job_table_admit(desk->table, queue, &image, job_desk_now(desk), &made)) {
    case JOB_ADMITTED:
        if (append(slot, made, &image))
            return;
        job_table_withdraw(desk->table, made);
        fail(slot);
        return;
    case JOB_TABLE_FULL:
    case JOB_QUEUE_FULL:
        step_back(slot);
        return;
    case JOB_DUPLICATE:
    case JOB_CONFLICT:
    case JOB_IN_FLIGHT:
        SOMETIMES("a dead letter meets another job with its unique key");
        fail(slot);
        return;
    case JOB_QUEUE_CLOSED:
        SOMETIMES("a dead letter finds its queue draining");
        fail(slot);
        return;
    case JOB_REPLACES:
        assert(false); /* none is debounced */
    }
}

/* --- reading ------------------------------------------------------------------------------ */

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view);

/* False: no buffer. */
MUST_USE static bool start_read(struct dead_slot *slot, uint32_t size)
{
    struct dead_letters *letters = slot->letters;
    struct job_view view;

    buffer_unref(&slot->body);
    if (buffer_acquire(letters->home->buffers, size, &slot->body) < 0)
        return false;
    job_table_view(table_of(letters), slot->ref, &view);
    memset(&slot->read, 0, sizeof(slot->read));
    slot->read.on_done = on_read;
    slot->read.location = view.location;
    slot->read.buffer = slot->body->data;
    slot->read.buffer_size = slot->body->capacity;
    letters->replayer.is_reading = true;
    dead_letters_begin_flight(letters);
    journal_read_start(letters->home->keeper.reader, &slot->read);
    return true;
}

static void finish_read(struct dead_slot *slot, enum journal_read_result result,
                        const struct journal_record_view *view)
{
    struct dead_letters *letters = slot->letters;
    struct job_image image;

    if (result == JOURNAL_READ_TOO_BIG) {
        if (!start_read(slot, slot->read.size_needed))
            step_back(slot);
        return;
    }
    if (result == JOURNAL_READ_OK && view->type == RECORD_JOB &&
        job_image_decode(view->payload, &image) == 0) {
        write_job(slot, &image);
        return;
    }
    SOMETIMES("a dead letter to be replayed cannot be read");
    log_event(&letters->home->shard->log, LOG_ERROR, "dead_letters",
              "a dead letter cannot be read: it stays one", LOG_NUMBER("result", (uint64_t)result));
    fail(slot);
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct dead_slot *slot = container_of(read, struct dead_slot, read);
    struct dead_letters *letters = slot->letters;

    letters->replayer.is_reading = false;
    if (letters->is_stopping || !actor_is_running(&letters->actor))
        release_slot(slot); /* the claim dies with the process */
    else
        finish_read(slot, result, view);
    dead_replayer_work(letters);
    dead_letters_end_flight(letters);
}

/* --- the batch ------------------------------------------------------------------------------ */

/* The letter is taken, when nobody else is at it. */
static void take_letter(struct dead_letters *letters, struct dead_request *batch,
                        struct job_ref ref, const struct job_dead_place *from, uint16_t id_next)
{
    struct job_view view;
    struct dead_slot *slot;

    job_table_view(table_of(letters), ref, &view);
    if (job_table_claim(table_of(letters), view.id_low, false, 0, JOB_FACT_REPLAYED, &ref) !=
        JOB_CLAIMED) {
        SOMETIMES("a dead letter to be replayed is being replayed or dropped already");
        return;
    }
    batch->taken_count++;
    slot = take_slot(&letters->replayer);
    slot->ref = ref;
    slot->id_low = view.id_low;
    slot->from = *from;
    slot->id_next = id_next;
    if (!start_read(slot, READ_SIZE_DEFAULT))
        step_back(slot);
}

/* As dead_walk_next(), through the ids that were given. */
static enum dead_step next_named(struct dead_letters *letters, struct dead_request *batch,
                                 struct job_ref *ret_ref)
{
    const struct dead_selection *selection = &batch->selection;
    uint32_t here = letters->home->shard->index;

    while (batch->id_next < selection->id_count) {
        struct job_id id = selection->ids[batch->id_next++];

        if (dead_letters_shard_of(letters, id.partition) == here &&
            dead_letters_find(letters, &selection->filter, id, ret_ref))
            return DEAD_STEP_LETTER;
    }
    return DEAD_STEP_END;
}

static void work_later(struct dead_letters *letters)
{
    if (letters->replayer.will_work)
        return;
    letters->replayer.will_work = true;
    outbox_send(&letters->outbox, &letters->actor, letters->actor.id, MSG_DEAD_WORK, 0, NULL);
}

/* Takes the next letter of the batch. False: the rest comes in another turn. */
MUST_USE static bool take_next(struct dead_letters *letters, struct dead_request *batch,
                               uint32_t *steps_left)
{
    struct job_dead_place from = batch->walk.from;
    uint16_t id_next = batch->id_next;
    struct job_ref ref;
    enum dead_step step;

    if (keeper_admit(&letters->home->keeper) != PROBLEM_NONE) {
        batch->must_wait = true;
        return true;
    }
    step = batch->selection.id_count > 0
               ? next_named(letters, batch, &ref)
               : dead_walk_next(&batch->walk, table_of(letters), &batch->selection.filter,
                                steps_left, &ref);
    switch (step) {
    case DEAD_STEP_LETTER:
        take_letter(letters, batch, ref, &from, id_next);
        return true;
    case DEAD_STEP_END:
        batch->at_end = true;
        return true;
    case DEAD_STEP_PAUSE:
        break;
    }
    work_later(letters);
    return false;
}

static bool is_complete(const struct dead_request *batch)
{
    return batch->at_end || batch->must_wait || batch->taken_count >= batch->limit;
}

void dead_replayer_work(struct dead_letters *letters)
{
    struct dead_replayer *replayer = &letters->replayer;
    uint32_t steps_left = DEAD_STEP_MAX;

    while (actor_is_running(&letters->actor) && !letters->is_stopping) {
        struct dead_request *batch = replayer->current;

        if (batch == NULL) {
            struct list_node *node = list_pop_front(&replayer->waiting);

            if (node == NULL)
                return;
            replayer->current = container_of(node, struct dead_request, link);
            continue;
        }
        if (replayer->is_reading)
            return; /* its end goes on */
        if (is_complete(batch)) {
            if (replayer->busy_count > 0)
                return; /* the last one's end goes on */
            replayer->current = NULL;
            dead_request_come_home(batch);
            continue;
        }
        if (replayer->busy_count == DEAD_SLOT_COUNT || !take_next(letters, batch, &steps_left))
            return;
    }
}

void dead_replayer_take(struct dead_letters *letters, struct dead_request *request)
{
    assert(request->limit > 0);
    list_push_back(&letters->replayer.waiting, &request->link);
    dead_replayer_work(letters);
}
