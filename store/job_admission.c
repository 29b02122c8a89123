/*
 * Admission, and reading JOBs into entries.
 *
 * A JOB about a job that is known is one of two things. Written by this process to carry
 * the job forward, it says nothing new: only where things are. Read back by recovery, or
 * with a debounced job's new payload, it replaces all there was, but never makes a job
 * live again that has ended.
 *
 * Who comes after whom and who owns a unique key is settled when a job is admitted, not
 * when it is written: two at the same time must see each other.
 */
#include <errno.h>

#include "runtime/sim_point.h"
#include "store/job_flow.h"
#include "store/job_keys.h"
#include "store/job_table_internals.h"
#include "store/job_unique.h"

static const uint64_t ORDER_MASK = ((uint64_t)1 << 56) - 1;

/* --- enqueueing ---------------------------------------------------------------------- */

static uint32_t depth_of(const struct job_queue *queue)
{
    return queue->counts[JOB_PENDING] + queue->counts[JOB_SCHEDULED] + queue->counts[JOB_WAITING] +
           queue->counts[JOB_QUEUED] + queue->counts[JOB_LEASED];
}

/* Is there room for one that comes after so many? What has ended makes room. */
static bool has_room(struct job_table *table, uint32_t after_count)
{
    if (!job_flow_has_room(table, after_count))
        return false;
    for (uint32_t i = 0; i < JOB_WORK_MAX; i++) {
        struct job_list *list = table->finished.count > 0 ? &table->finished : &table->failed_read;
        uint32_t index = list->first;

        if (table->jobs.count < table->config.job_count_max)
            return true;
        if (index == 0 || job_has(job_at(table, index), JOB_BIT_COMMITTING))
            return false;
        SOMETIMES("a finished job makes room for a new one");
        job_list_remove(table, list, index);
        job_clear(job_at(table, index), JOB_BIT_LINKED);
        job_retire(table, index);
    }
    return table->jobs.count < table->config.job_count_max;
}

enum job_admission job_table_admit(struct job_table *table, struct job_queue *queue,
                                   const struct job_image *image, uint64_t now_ms,
                                   struct job_ref *ret_ref)
{
    const struct job_image_header *header = &image->header;
    uint32_t index = 0;
    enum job_admission admission;
    int r;

    job_table_enter(table, now_ms);
    assert(!table->is_recovering);
    assert(job_lookup(table, header->id_low) == 0);
    admission = job_unique_judge(table, queue->index, header, table->now_ms, &index);
    if (index != 0)
        *ret_ref = (struct job_ref){index};
    if (admission == JOB_REPLACES) {
        SOMETIMES("a debounced job is replaced");
        job_set(job_at(table, index), JOB_BIT_COMMITTING);
        job_extra_make(table, index)->claimed_kind = JOB_CLAIMED_BY_JOB;
    }
    if (admission != JOB_ADMITTED)
        return admission;
    if ((queue->settings.flags & JOB_QUEUE_DRAINING) != 0)
        return JOB_QUEUE_CLOSED;
    if (queue->settings.depth_max != 0 && depth_of(queue) >= queue->settings.depth_max)
        return JOB_QUEUE_FULL;
    if (!has_room(table, image->after_count)) {
        SOMETIMES("the job table is full");
        return JOB_TABLE_FULL;
    }
    index = job_make(table, header->id_low, queue->index);
    job_set(job_at(table, index), JOB_BIT_COMMITTING);
    job_unique_take(table, index, header);
    r = job_flow_attach(table, index, image);
    assert(r == 0); /* there is room, and it does not come after itself */
    *ret_ref = (struct job_ref){index};
    return JOB_ADMITTED;
}

void job_table_withdraw(struct job_table *table, struct job_ref ref)
{
    job_table_enter(table, table->now_ms);
    assert(job_has(job_at(table, ref.index), JOB_BIT_COMMITTING));
    if (job_at(table, ref.index)->state == JOB_PENDING) {
        job_clear(job_at(table, ref.index), JOB_BIT_COMMITTING);
        job_forget(table, ref.index);
    } else {
        job_table_unclaim(table, ref);
    }
}

/* --- JOBs ------------------------------------------------------------------------------ */

/* Which texts the JOB holds. */
static uint8_t texts_of(const struct job_image *image)
{
    static const enum job_section sections[] = {
        [JOB_TEXT_FIRST_ERROR] = JOB_SECTION_FIRST_ERROR,
        [JOB_TEXT_LAST_ERROR] = JOB_SECTION_LAST_ERROR,
        [JOB_TEXT_RESULT] = JOB_SECTION_RESULT,
        [JOB_TEXT_PROGRESS] = JOB_SECTION_PROGRESS,
    };
    uint8_t texts = 0;

    static_assert(ARRAY_COUNT(sections) == JOB_TEXT_COUNT, "one for each");
    for (uint32_t i = 0; i < JOB_TEXT_COUNT; i++)
        if (image->sections[sections[i]].size > 0)
            texts |= (uint8_t)(1U << i);
    return texts;
}

/* Its JOB is there now, with all texts in it. */
static void note_location(struct job_table *table, uint32_t index, const struct job_image *image,
                          struct journal_location location, uint32_t size)
{
    struct job *job = job_at(table, index);
    uint64_t units = ((uint64_t)size + JOB_SIZE_UNIT - 1) / JOB_SIZE_UNIT;

    if (job->location.bits != 0 &&
        journal_location_log(job->location) != journal_location_log(location))
        job_set_foreign(table, index);
    job_note_no_texts(table, index);
    if (job->extra != 0)
        job_extra_of(table, job)->is_split = false;
    if (texts_of(image) != 0)
        job_extra_make(table, index)->job_texts = texts_of(image);
    table->live_bytes -= job->units * (uint64_t)JOB_SIZE_UNIT;
    job->units = (uint16_t)min_u64(units, UINT16_MAX);
    job->location = location;
    table->live_bytes += job->units * (uint64_t)JOB_SIZE_UNIT;
    if (job_is_terminal(job) && job->state != JOB_DEAD)
        job_note_no_payload(table, index);
}

/* Counts the entry in another queue: the first that came after it was in another one. */
static void move_pending(struct job_table *table, struct job *job, const struct job_queue *queue)
{
    assert(job->state == JOB_PENDING);
    job_queue_of(table, job)->counts[JOB_PENDING]--;
    job_set_queue(job, queue->index);
    job_queue_of(table, job)->counts[JOB_PENDING]++;
}

/* Undoes what the entry is, so that a JOB can be read into it. */
static void clear_job(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_queue *queue = job_queue_of(table, job);

    job_leave(table, index);
    if (job_has(job, JOB_BIT_REPLAYED)) {
        job_clear(job, JOB_BIT_REPLAYED);
        table->counts[JOB_DEAD]++;
        queue->counts[JOB_DEAD]++;
        table->dropped_count--;
        queue->dropped_count--;
    }
    job_end_claim(table, index);
    job_set_timer(table, index, 0);
    job_unique_drop(table, index);
    job_keys_end(table, index);
    job_flow_end_waiting(table, index);
    job_clear(job, JOB_BIT_IS_REPLAY);
    job->cache = 0;
    job_set_when(job, 0);
    if (job->extra != 0)
        job_extra_of(table, job)->is_held = false;
}

static uint64_t order_of(const struct job_image_header *header, struct journal_location location)
{
    uint64_t order = 0;

    memcpy(&order, header->order, sizeof(header->order));
    return order != 0 ? order : location.bits & ORDER_MASK;
}

/* True when its link is another job, and not the epoch of the lease that ended last. */
static bool has_other(const struct job_image_header *header)
{
    return (header->flags & (JOB_FLAG_IS_REPLAY | JOB_FLAG_REPLAYED)) != 0;
}

/* True when its link stands for the epoch that completed it. */
static bool is_link_mark(const struct job_image_header *header)
{
    return header->state == JOB_COMPLETED && !has_other(header);
}

static void read_extras(struct job_table *table, uint32_t index, const struct job_image *image)
{
    const struct job_image_header *header = &image->header;
    uint64_t link = is_link_mark(header) ? 0 : header->link;
    bool is_needed = header->deadline_ms != 0 || link != 0 || header->timeout_ms != 0 ||
                     header->first_failed_ms != 0 || header->reason != 0 ||
                     header->crash_count != 0;
    struct job_extra *extra;

    if (!is_needed && job_at(table, index)->extra == 0)
        return;
    extra = job_extra_make(table, index);
    extra->deadline_ms = header->deadline_ms;
    extra->link = has_other(header) ? link : 0;
    extra->last_epoch = has_other(header) ? 0 : link;
    extra->timeout_ms = header->timeout_ms;
    extra->first_failed_ms = header->first_failed_ms;
    extra->reason = header->reason;
    extra->crash_count = header->crash_count;
}

static void read_fields(struct job_table *table, uint32_t index, const struct job_image *image,
                        struct journal_location location, uint32_t size)
{
    const struct job_image_header *header = &image->header;
    struct job *job = job_at(table, index);

    note_location(table, index, image, location, size);
    job->created_ms = min_u64(header->created_ms, JOB_CREATED_MS_MAX) & JOB_CREATED_MS_MAX;
    job->priority = (uint64_t)header->priority & 7;
    job->attempt = header->attempt;
    job->max_attempts = header->max_attempts;
    if ((header->flags & JOB_FLAG_IS_REPLAY) != 0)
        job_set(job, JOB_BIT_IS_REPLAY);
    read_extras(table, index, image);
    if (image->sections[JOB_SECTION_KEY].size > 0)
        job_keys_attach(table, index, image->sections[JOB_SECTION_KEY], order_of(header, location));
}

static void enter_waiting(struct job_table *table, uint32_t index, uint64_t ready_ms)
{
    struct job *job = job_at(table, index);

    job_set_state(table, index, JOB_WAITING);
    job_set_when(job, max_u64(job->when_ms, ready_ms));
    job_flow_work(table, JOB_WORK_MAX);
    if (job->state == JOB_WAITING)
        job_flow_settle(table, index);
}

/* 0, or -EBADMSG for a state that is never written. */
MUST_USE static int enter_state(struct job_table *table, uint32_t index,
                                const struct job_image_header *header)
{
    uint64_t ready_ms = header->due_ms != 0 ? header->due_ms : header->created_ms;

    switch ((enum job_state)header->state) {
    case JOB_SCHEDULED:
        job_enter_scheduled(table, index, ready_ms);
        return 0;
    case JOB_WAITING:
        enter_waiting(table, index, ready_ms);
        return 0;
    case JOB_QUEUED:
        job_enter_queued(table, index, ready_ms, false);
        return 0;
    case JOB_COMPLETED:
    case JOB_DEAD:
    case JOB_CANCELLED:
        job_enter_terminal(table, index, (enum job_state)header->state, header->ended_ms);
        if (is_link_mark(header))
            job_at(table, index)->cache = job_epoch_mark(header->link);
        if ((header->flags & JOB_FLAG_REPLAYED) != 0)
            job_mark_replayed(table, index);
        return 0;
    case JOB_FREE:
    case JOB_PENDING:
    case JOB_LEASED:
    case JOB_STATE_COUNT:
        break;
    }
    return -EBADMSG;
}

/* Those that are read back get theirs when all have been. */
static void set_deadline(struct job_table *table, uint32_t index)
{
    const struct job *job = job_at(table, index);

    if (!table->is_recovering && !job_is_terminal(job) && job->extra != 0)
        job_set_timer(table, index, job_extra_of(table, job)->deadline_ms);
}

/* Reads a JOB into an entry that is PENDING or that it replaces. */
MUST_USE static int read_job(struct job_table *table, uint32_t index, const struct job_image *image,
                             struct journal_location location, uint32_t size)
{
    struct job *job = job_at(table, index);
    bool is_admitted = job->state == JOB_PENDING && job_has(job, JOB_BIT_COMMITTING);
    bool is_first = job->state == JOB_PENDING;
    int r = 0;

    if (is_admitted)
        job_clear(job, JOB_BIT_COMMITTING);
    else
        clear_job(table, index);
    read_fields(table, index, image, location, size);
    if (!is_admitted) {
        job_unique_take(table, index, &image->header);
        r = job_flow_attach(table, index, image);
    }
    if (r == 0)
        r = enter_state(table, index, &image->header);
    if (r != 0)
        return r;
    set_deadline(table, index);
    if (is_first) {
        table->accepted_count++;
        job_queue_of(table, job)->accepted_count++;
    }
    return 0;
}

/*
 * What was acknowledged is read back however many there are: another number of shards shares
 * the projects out in another way, and the bounds may have been larger. index: its entry, or 0.
 */
MUST_USE static int make_room(struct job_table *table, uint32_t index, uint32_t after_count)
{
    if (!table->is_recovering)
        return 0;
    if (index == 0 && !has_room(table, 0))
        SOMETIMES("a start finds more jobs than a shard admits");
    return job_make_room(table, after_count);
}

/* Where the entry is for this JOB: 0, made when it is not there; -ENOSPC. */
MUST_USE static int find_entry(struct job_table *table, const struct job_image *image,
                               uint32_t *ret_index)
{
    uint32_t index = job_lookup(table, image->header.id_low);
    struct job_queue *queue;

    if (index != 0 && (job_at(table, index)->state != JOB_PENDING || !table->is_recovering)) {
        *ret_index = index;
        return 0;
    }
    queue = job_table_queue(table, image->sections[JOB_SECTION_ORG],
                            image->sections[JOB_SECTION_PROJECT], image->sections[JOB_SECTION_KIND],
                            true);
    if (queue == NULL)
        return -ENOSPC;
    if (index != 0)
        move_pending(table, job_at(table, index), queue);
    else
        index = job_make(table, image->header.id_low, queue->index);
    if (index == 0)
        return -ENOSPC;
    *ret_index = index;
    return 0;
}

/* True when the JOB says nothing that is not known but where it is. */
static bool is_known(const struct job_table *table, const struct job *job,
                     const struct job_image_header *header)
{
    bool is_terminal = header->state >= JOB_COMPLETED;

    if (job->state == JOB_PENDING)
        return false;
    if ((header->flags & JOB_FLAG_CARRIED) != 0 && !table->is_recovering)
        return true;
    return job_is_terminal(job) && !is_terminal;
}

int job_table_apply_job(struct job_table *table, const struct job_image *image,
                        struct journal_location location, uint32_t size, uint64_t now_ms)
{
    const struct job_image_header *header = &image->header;
    uint32_t index = job_lookup(table, header->id_low);
    int r;

    job_table_enter(table, table->is_recovering ? header->created_ms : now_ms);
    assert(location.bits != 0);
    if (index == 0 && !table->is_recovering && (header->flags & JOB_FLAG_CARRIED) != 0) {
        SOMETIMES("a job is forgotten while it is carried forward");
        return 0;
    }
    r = make_room(table, index, image->after_count);
    if (r == 0)
        r = find_entry(table, image, &index);
    if (r != 0)
        return r;
    if (!is_known(table, job_at(table, index), header)) {
        r = read_job(table, index, image, location, size);
        if (r != 0)
            return r;
    } else {
        note_location(table, index, image, location, size);
    }
    job_extra_trim(table, index);
    if (table->is_recovering)
        job_retire_read(table);
    else
        job_retire_crowd(table);
    return 0;
}
