/*
 * What reads jobs back: leases, and looks at one job.
 *
 *     lease --job there--> bodies gathered, one after the other --> decided
 *        \--none, may wait--> WAITING --a job, or the time is over, or nobody is there--^
 *
 * A body comes from the cache or, when the job has rested for long, from the log. The
 * answer is built up in the buffer that home has sent along; when the next body does not
 * fit, the lease ends with what it has, and a first one that does not fit sends the
 * request home for a larger buffer. What was taken and is not delivered goes back to the
 * front of its queue, without an attempt.
 */
#include "actors/job_desk.h"

#include "actors/app.h"
#include "runtime/sim_point.h"

enum { READ_SIZE_DEFAULT = 4 * SEGMENT_BLOCK_SIZE };

/* --- reading ----------------------------------------------------------------------- */

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view);

/* Reads the record at location into a buffer of this size or more. False: no buffer. */
MUST_USE static bool read_record(struct job_desk *desk, struct job_request *request,
                                 struct journal_location location, uint32_t size)
{
    struct journal_read *read = &request->read;

    if (request->read_buffer == NULL || request->read_buffer->capacity < size) {
        buffer_unref(&request->read_buffer);
        if (buffer_acquire(desk->home->buffers, size, &request->read_buffer) < 0)
            return false;
    }
    memset(read, 0, sizeof(*read));
    read->on_done = on_read;
    read->location = location;
    read->buffer = request->read_buffer->data;
    read->buffer_size = request->read_buffer->capacity;
    journal_read_start(desk->home->keeper.reader, read);
    return true;
}

/* Copies text into the answer. False when it does not fit. */
MUST_USE static bool add_text(struct job_request *request, struct slice text,
                              struct slice *ret_copy)
{
    struct buffer *answer = request->answer;

    if (text.size > answer->capacity - answer->size)
        return false;
    if (text.size > 0)
        memcpy(answer->data + answer->size, text.data, text.size);
    *ret_copy = (struct slice){answer->data + answer->size, text.size};
    answer->size += (uint32_t)text.size;
    return true;
}

/* --- leases ---------------------------------------------------------------------------- */

static struct job_item *next_item(struct job_request *request)
{
    return &request->items[request->finish_count + request->leased_count];
}

static void fill_lease(struct job_desk *desk, struct job_item *item)
{
    struct job_view view;

    job_table_view(desk->table, item->ref, &view);
    item->status = JOB_ITEM_DONE;
    item->id = (struct job_id){view.created_ms, view.id_low, view.queue->partition};
    item->epoch = view.epoch;
    item->state = JOB_LEASED;
    item->attempt = (uint8_t)min_u64((uint64_t)view.attempt + 1, JOB_ATTEMPTS_MAX);
    item->max_attempts = view.max_attempts;
    item->priority = view.priority;
    item->after_failed_count = view.after_failed_count;
    item->when_ms = view.when_ms;
    job_desk_note_lease(desk, &view);
}

/* True when the job's parts are in the answer; false: no room, nothing was added. */
MUST_USE static bool add_body(struct job_request *request, struct job_item *item,
                              const struct job_image *image)
{
    uint32_t size_before = request->answer->size;

    if (add_text(request, image->sections[JOB_SECTION_PAYLOAD], &item->payload) &&
        add_text(request, image->sections[JOB_SECTION_KEY], &item->key) &&
        add_text(request, image->sections[JOB_SECTION_CORRELATION], &item->correlation))
        return true;
    request->answer->size = size_before;
    return false;
}

static uint32_t body_size(const struct job_image *image)
{
    return (uint32_t)(image->sections[JOB_SECTION_PAYLOAD].size +
                      image->sections[JOB_SECTION_KEY].size +
                      image->sections[JOB_SECTION_CORRELATION].size);
}

static void give_back(struct job_desk *desk, struct job_item *item, uint64_t due_ms)
{
    job_table_return(desk->table, item->ref, job_desk_now(desk), due_ms);
    item->status = JOB_ITEM_NONE;
}

enum delivery {
    DELIVERED,
    DELIVERY_READS, /* on_read goes on */
    DELIVERY_ENDS,  /* with what there is */
};

static enum delivery deliver_image(struct job_desk *desk, struct job_request *request,
                                   struct slice record)
{
    struct job_item *item = next_item(request);
    struct job_image image;

    if (job_image_decode(record, &image) < 0) {
        SOMETIMES("a job's body makes no sense");
        give_back(desk, item, job_desk_now(desk) + JOB_UNREADABLE_RETRY_MS);
        return DELIVERY_ENDS;
    }
    if (!add_body(request, item, &image)) {
        if (request->leased_count == 0)
            request->answer_size_needed = body_size(&image);
        give_back(desk, item, 0);
        return DELIVERY_ENDS;
    }
    fill_lease(desk, item);
    request->leased_count++;
    return DELIVERED;
}

/* Takes the next job and puts it into the answer. */
static enum delivery deliver_next(struct job_desk *desk, struct job_request *request,
                                  struct job_queue *queue)
{
    struct job_item *item = next_item(request);
    struct slice record;
    struct job_view view;

    item->ref = job_table_take(desk->table, queue, job_desk_now(desk), request->lease_ms,
                               &request->rate_retry_ms);
    if (item->ref.index == JOB_REF_NONE.index)
        return DELIVERY_ENDS;
    job_table_view(desk->table, item->ref, &view);
    item->id.id_low = view.id_low;
    item->epoch = view.epoch;
    if (job_body_cache_get(&desk->bodies, job_table_cache(desk->table, item->ref), view.id_low,
                           &record))
        return deliver_image(desk, request, record);
    SOMETIMES("a job's body is read from the log");
    metrics_add(&desk->home->shard->metrics, desk->home->app->metrics.jobs.cold_reads, 1);
    if (read_record(desk, request, view.location, READ_SIZE_DEFAULT))
        return DELIVERY_READS;
    give_back(desk, item, 0);
    return DELIVERY_ENDS;
}

static struct job_queue *queue_of(struct job_desk *desk, const struct job_request *request,
                                  bool make)
{
    return job_table_queue(desk->table, (struct slice){request->org, request->org_size},
                           (struct slice){request->project, request->project_size},
                           (struct slice){request->kind, request->kind_size}, make);
}

/* Until there is a job, until a rate allows the next lease, or until its own time is over. */
static void start_waiting(struct job_desk *desk, struct job_request *request,
                          struct job_queue *queue)
{
    uint64_t now_ns = desk->home->shard->clock.mono_ns;
    uint64_t now_ms = job_desk_now(desk);
    uint64_t left_ms, rate_ms = UINT64_MAX;

    if (request->wait_until_ns == 0)
        request->wait_until_ns = now_ns + (uint64_t)request->wait_ms * 1000000;
    left_ms = request->wait_until_ns > now_ns ? (request->wait_until_ns - now_ns) / 1000000 + 1 : 0;
    if (request->rate_retry_ms != UINT64_MAX)
        rate_ms = request->rate_retry_ms > now_ms ? request->rate_retry_ms - now_ms : 1;
    request->is_waiting = true;
    /* One that was served in vain keeps its place. */
    if (request->has_waited)
        list_push_front(&queue->waiters, &request->link);
    else
        list_push_back(&queue->waiters, &request->link);
    request->has_waited = true;
    list_push_back(&desk->waiting, &request->desk_link);
    desk->waiting_count++;
    actor_timer_init(&desk->actor, &request->wait_timer);
    actor_timer_start(&desk->actor, &request->wait_timer, min_u64(left_ms, rate_ms));
}

static void end_waiting(struct job_desk *desk, struct job_request *request)
{
    assert(request->is_waiting);
    request->is_waiting = false;
    list_remove(&request->link);
    list_remove(&request->desk_link);
    desk->waiting_count--;
    actor_timer_stop(&desk->actor, &request->wait_timer);
}

void job_delivery_stop_waiting(struct job_desk *desk, struct job_request *request)
{
    request->wait_ms = 0;
    if (!request->is_waiting)
        return; /* decided already, or its bodies are being read */
    SOMETIMES("a lease waits in vain");
    end_waiting(desk, request);
    job_desk_decide(desk, request);
}

/* Nothing more to give just now: decided, or it waits. */
static void end_lease(struct job_desk *desk, struct job_request *request, struct job_queue *queue)
{
    if (request->leased_count == 0 && request->answer_size_needed == 0 && request->wait_ms > 0 &&
        desk->home->phase != APP_DRAINING)
        start_waiting(desk, request, queue);
    else
        job_desk_decide(desk, request);
}

static void lease_more(struct job_desk *desk, struct job_request *request, struct job_queue *queue)
{
    while (request->leased_count < request->limit) {
        switch (deliver_next(desk, request, queue)) {
        case DELIVERED:
            break;
        case DELIVERY_READS:
            return;
        case DELIVERY_ENDS:
            end_lease(desk, request, queue);
            return;
        }
    }
    end_lease(desk, request, queue);
}

void job_delivery_lease(struct job_desk *desk, struct job_request *request)
{
    struct job_queue *queue = queue_of(desk, request, true);

    if (queue == NULL) {
        request->code = PROBLEM_QUOTA_EXCEEDED;
        job_desk_decide(desk, request);
        return;
    }
    lease_more(desk, request, queue);
}

void job_delivery_serve(struct job_desk *desk, struct job_queue *queue)
{
    while (!list_is_empty(&queue->waiters)) {
        struct job_request *request = container_of(queue->waiters.next, struct job_request, link);
        uint32_t waiting_before = desk->waiting_count;

        end_waiting(desk, request);
        lease_more(desk, request, queue); /* may free it */
        if (desk->waiting_count == waiting_before)
            return; /* it waits again: there is nothing more */
    }
}

void job_delivery_on_wait_timer(struct job_desk *desk, struct job_request *request)
{
    struct job_queue *queue = queue_of(desk, request, true);

    if (desk->home->shard->clock.mono_ns >= request->wait_until_ns) {
        job_delivery_stop_waiting(desk, request);
        return;
    }
    SOMETIMES("a rate lets a waiting lease try again");
    end_waiting(desk, request);
    lease_more(desk, request, queue);
}

void job_delivery_return(struct job_desk *desk, struct job_request *request)
{
    for (uint32_t i = request->leased_count; i > 0; i--) {
        struct job_item *item = &request->items[request->finish_count + i - 1];
        struct job_view view;

        /* The lease may have ended meanwhile. */
        if (!job_table_find(desk->table, item->id.id_low, &item->ref))
            continue;
        job_table_view(desk->table, item->ref, &view);
        if (view.state == JOB_LEASED && view.epoch == item->epoch && !view.is_committing)
            give_back(desk, item, 0);
    }
    request->leased_count = 0;
    job_desk_decide(desk, request);
    job_desk_wake(desk);
}

/* Between taking a job and having its body it may be cancelled, or its lease run out. */
MUST_USE static bool is_still_taken(struct job_desk *desk, struct job_item *item)
{
    struct job_view view;

    if (!job_table_find(desk->table, item->id.id_low, &item->ref))
        return false;
    job_table_view(desk->table, item->ref, &view);
    return view.state == JOB_LEASED && view.epoch == item->epoch;
}

static void on_body_read(struct job_desk *desk, struct job_request *request,
                         enum journal_read_result result, const struct journal_record_view *view)
{
    struct job_queue *queue = queue_of(desk, request, true);
    struct job_item *item = next_item(request);

    if (!is_still_taken(desk, item)) {
        SOMETIMES("a lease is over before its body is read");
        lease_more(desk, request, queue);
        job_desk_wake(desk);
        return;
    }
    if (result == JOURNAL_READ_OK && deliver_image(desk, request, view->payload) == DELIVERED) {
        lease_more(desk, request, queue);
        job_desk_wake(desk);
        return;
    }
    if (result != JOURNAL_READ_OK) {
        SOMETIMES("a job's body cannot be read");
        log_event(&desk->home->shard->log, LOG_ERROR, "jobs", "a job's body cannot be read",
                  LOG_NUMBER("result", (uint64_t)result));
        give_back(desk, item, job_desk_now(desk) + JOB_UNREADABLE_RETRY_MS);
    }
    end_lease(desk, request, queue);
    job_desk_wake(desk);
}

/* --- looking at one job ------------------------------------------------------------------ */

/* The texts of a job, in the order in which they are read. */
enum { GET_RESULT, GET_LAST_ERROR, GET_PROGRESS, GET_DONE };

static struct journal_location location_of(const struct job_view *view, uint32_t stage)
{
    switch (stage) {
    case GET_RESULT:
        return view->result;
    case GET_LAST_ERROR:
        return view->last_error;
    default:
        return view->progress;
    }
}

/* Reads the next text there is; decides when there is none left. */
static void get_more(struct job_desk *desk, struct job_request *request)
{
    struct job_view view;

    job_table_view(desk->table, request->items[0].ref, &view);
    for (; request->stage < GET_DONE; request->stage++) {
        struct journal_location location = location_of(&view, request->stage);

        if (location.bits == 0)
            continue;
        if (read_record(desk, request, location, READ_SIZE_DEFAULT))
            return;
        request->code = PROBLEM_OVERLOADED;
        break;
    }
    job_desk_decide(desk, request);
}

void job_delivery_get(struct job_desk *desk, struct job_request *request)
{
    struct job_item *item = &request->items[0];
    struct job_view view;

    if (!job_table_find(desk->table, item->id.id_low, &item->ref)) {
        item->status = JOB_ITEM_UNKNOWN;
        job_desk_decide(desk, request);
        return;
    }
    job_table_view(desk->table, item->ref, &view);
    if (!slice_equal((struct slice){view.queue->org, view.queue->org_size},
                     (struct slice){request->org, request->org_size}) ||
        !slice_equal((struct slice){view.queue->project, view.queue->project_size},
                     (struct slice){request->project, request->project_size})) {
        SOMETIMES("a job of another project is asked for");
        item->status = JOB_ITEM_UNKNOWN;
        job_desk_decide(desk, request);
        return;
    }
    item->status = JOB_ITEM_DONE;
    item->id = (struct job_id){view.created_ms, view.id_low, item->id.partition};
    item->state = (uint8_t)view.state;
    item->attempt = view.attempt;
    item->max_attempts = view.max_attempts;
    item->priority = view.priority;
    item->reason = (uint8_t)view.reason;
    item->after_failed_count = view.after_failed_count;
    item->when_ms = view.when_ms;
    request->kind_size = view.queue->kind_size;
    memcpy(request->kind, view.queue->kind, view.queue->kind_size);
    request->stage = GET_RESULT;
    get_more(desk, request);
}

/* A text is in a JOB as a section, or is the text of a JOB_FACT. False when it is neither. */
static bool text_of(const struct journal_record_view *view, uint32_t stage, struct slice *ret_text)
{
    static const enum job_section sections[] = {
        [GET_RESULT] = JOB_SECTION_RESULT,
        [GET_LAST_ERROR] = JOB_SECTION_LAST_ERROR,
        [GET_PROGRESS] = JOB_SECTION_PROGRESS,
    };
    struct job_image image;
    struct job_fact fact;

    if (view->type == RECORD_JOB && job_image_decode(view->payload, &image) == 0) {
        *ret_text = image.sections[sections[stage]];
        return true;
    }
    if (view->type == RECORD_JOB_FACT && job_fact_decode(view->payload, &fact) == 0) {
        *ret_text = fact.text;
        return true;
    }
    return false;
}

/* True when the text stands elsewhere by now. */
static bool has_moved(struct job_desk *desk, struct job_request *request)
{
    struct job_view view;

    if (!job_table_find(desk->table, request->items[0].id.id_low, &request->items[0].ref))
        return false;
    job_table_view(desk->table, request->items[0].ref, &view);
    return location_of(&view, request->stage).bits != request->read.location.bits;
}

static void on_text_read(struct job_desk *desk, struct job_request *request,
                         enum journal_read_result result, const struct journal_record_view *view)
{
    struct job_item *item = &request->items[0];
    struct slice *places[] = {&item->result, &item->last_error, &item->progress};
    struct slice text;

    if (result == JOURNAL_READ_ERROR || result == JOURNAL_READ_TOO_BIG) {
        SOMETIMES("a job's text cannot be read now"); /* or there is no buffer for it */
        request->code = PROBLEM_OVERLOADED;
        job_desk_decide(desk, request);
        return;
    }
    if (result == JOURNAL_READ_GONE && has_moved(desk, request)) {
        SOMETIMES("a job's text is carried forward while it is read");
        get_more(desk, request);
        return;
    }
    if (result != JOURNAL_READ_OK || !text_of(view, request->stage, &text)) {
        SOMETIMES("a job's text cannot be read");
        text = (struct slice){NULL, 0}; /* it went with its segment: the rest is still true */
    }
    if (!add_text(request, text, places[request->stage])) {
        request->answer_size_needed = JOB_ANSWER_BATCH_SIZE;
        job_desk_decide(desk, request);
        return;
    }
    request->stage++;
    /* The job may have been forgotten while its record was read. */
    if (!job_table_find(desk->table, item->id.id_low, &item->ref))
        job_desk_decide(desk, request);
    else
        get_more(desk, request);
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct job_request *request = container_of(read, struct job_request, read);
    struct job_desk *desk = request->owner;

    if (result == JOURNAL_READ_TOO_BIG) {
        SOMETIMES("a job's record is larger than its buffer");
        if (read_record(desk, request, read->location, read->size_needed))
            return;
    }
    if (request->operation == JOB_GET)
        on_text_read(desk, request, result, view);
    else
        on_body_read(desk, request, result, view);
}
