#include "actors/job_handler.h"

#include "actors/app.h"
#include "contracts/utf8.h"
#include "runtime/sim_point.h"

/*
 * A run belongs to its handler (memory), stands in the list of all runs and is found by
 * its job's id. It ends in end_run(), whatever ended it. One timer looks after all leases
 * and deadlines while there are runs; there is none when there are none.
 *
 * Whoever starts runs is job_desk_wake(), which does not nest: a run that ends inside of
 * start() leaves the row as it is, and the loop that called goes on.
 */

enum { READ_SIZE_DEFAULT = 4 * SEGMENT_BLOCK_SIZE };

static void run_check(const struct job_run *run)
{
    assert(run->magic == JOB_RUN_MAGIC);
    assert(run->desk->handlers.run_count > 0);
    assert(run->handler->run_count > 0);
}

static struct breadcrumbs *crumbs_of(const struct job_desk *desk)
{
    return &desk->home->app->breadcrumbs;
}

static uint32_t shard_of(const struct job_desk *desk)
{
    return desk->home->shard->index;
}

/* --- registration --------------------------------------------------------------------- */

void job_handlers_init(struct job_handlers *handlers)
{
    memset(handlers, 0, sizeof(*handlers));
    list_init(&handlers->runs);
    list_init(&handlers->rated);
    for (uint32_t i = 0; i < JOB_RUN_BUCKET_COUNT; i++)
        list_init(&handlers->by_id[i]);
    for (uint32_t i = 0; i < JOB_RUN_COUNT_MAX; i++)
        handlers->slots[i] = (uint16_t)(JOB_RUN_COUNT_MAX - 1 - i);
}

void job_handlers_start(struct job_handlers *handlers, struct job_desk *desk)
{
    actor_timer_init(&desk->actor, &handlers->tick);
    actor_timer_init(&desk->actor, &handlers->go_on);
    for (uint32_t i = 0; i < handlers->handler_count; i++) {
        handlers->handlers[i]->desk = desk;
        actor_timer_init(&desk->actor, &handlers->handlers[i]->wake);
    }
}

void job_handlers_add(struct job_handlers *handlers, struct job_handler *handler)
{
    assert(handlers->handler_count < JOB_HANDLER_COUNT_MAX);
    assert(handler->concurrency > 0);
    handler->run_count = 0;
    list_init(&handler->ready);
    handlers->handlers[handlers->handler_count++] = handler;
}

struct job_handler *job_handlers_find(const struct job_handlers *handlers, struct slice kind)
{
    for (uint32_t i = 0; i < handlers->handler_count; i++)
        if (slice_equal(handlers->handlers[i]->type->kind, kind))
            return handlers->handlers[i];
    return NULL;
}

/* --- the life of a run ---------------------------------------------------------------- */

static struct list_node *bucket_of(struct job_handlers *handlers, uint64_t id_low)
{
    return &handlers->by_id[id_low % JOB_RUN_BUCKET_COUNT];
}

static struct job_run *find_run(struct job_handlers *handlers, uint64_t id_low)
{
    struct list_node *head = bucket_of(handlers, id_low);

    for (struct list_node *node = head->next; node != head; node = node->next) {
        struct job_run *run = container_of(node, struct job_run, id_link);

        if (run->id_low == id_low)
            return run;
    }
    return NULL;
}

/* A leased job gets a run, which is READING; NULL when there is no room. */
static struct job_run *begin_run(struct job_desk *desk, struct job_handler *handler,
                                 const struct job_view *view)
{
    struct job_handlers *handlers = &desk->handlers;
    uint64_t now_ms = job_desk_now(desk);
    struct job_run *run;

    if (handlers->run_count == JOB_RUN_COUNT_MAX || FAILPOINT("no job run is free"))
        return NULL;
    run = handler->type->acquire(handler);
    if (run == NULL)
        return NULL;
    memset(run, 0, sizeof(*run));
    run->magic = JOB_RUN_MAGIC;
    run->desk = desk;
    run->handler = handler;
    run->queue = view->queue;
    run->ref = view->ref;
    run->id_low = view->id_low;
    run->created_ms = view->created_ms;
    run->partition = view->queue->partition;
    run->location = view->location;
    run->attempt = (uint8_t)min_u64((uint64_t)view->attempt + 1, JOB_ATTEMPTS_MAX);
    run->max_attempts = view->max_attempts;
    run->epoch = view->epoch;
    run->phase = JOB_RUN_READING;
    run->is_suspect = view->crash_count > 0;
    run->renew_ms = now_ms + handler->type->lease_ms / 3;
    run->deadline_ms = now_ms + handler->type->deadline_ms;
    list_init(&run->link);
    list_init(&run->id_link);
    list_push_back(&handlers->runs, &run->link);
    list_push_back(bucket_of(handlers, run->id_low), &run->id_link);
    if (handlers->run_count++ == 0)
        actor_timer_start(&desk->actor, &handlers->tick, JOB_HANDLER_TICK_MS);
    run->slot = handlers->slots[JOB_RUN_COUNT_MAX - handlers->run_count];
    handler->run_count++;
    handlers->suspect_count += run->is_suspect;
    return run;
}

/* The run is over and its memory the handler's again. */
static void end_run(struct job_run *run)
{
    struct job_handlers *handlers = &run->desk->handlers;
    struct job_handler *handler = run->handler;

    run_check(run);
    breadcrumbs_pick_up(crumbs_of(run->desk), shard_of(run->desk), run->slot);
    handlers->slots[JOB_RUN_COUNT_MAX - handlers->run_count] = (uint16_t)run->slot;
    handlers->run_count--;
    handler->run_count--;
    handlers->suspect_count -= run->is_suspect;
    list_remove(&run->link);
    list_remove(&run->id_link);
    buffer_unref(&run->record);
    buffer_unref(&run->fact);
    run->magic = 0;
    handler->type->release(handler, run);
}

/* Its lease, unless that has ended or what ends it is being written. */
static bool has_lease(const struct job_run *run)
{
    struct job_table *table = run->desk->table;
    struct job_view view;
    struct job_ref ref;

    if (!job_table_find(table, run->id_low, &ref))
        return false;
    job_table_view(table, ref, &view);
    return view.state == JOB_LEASED && view.epoch == run->epoch && !view.is_committing;
}

/* Gives the lease back as if it had never been, if it is still ours, and ends the run. */
static void give_back(struct job_run *run, uint64_t due_ms)
{
    if (has_lease(run))
        job_table_return(run->desk->table, run->ref, job_desk_now(run->desk), due_ms);
    end_run(run);
}

/* --- the outcome ---------------------------------------------------------------------- */

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_run *run = container_of(step, struct job_run, step);
    struct job_desk *desk = run->desk;

    assert(run->phase == JOB_RUN_WRITING);
    end_run(run);
    if (outcome == DURABLE_DONE)
        job_desk_wake(desk);
}

static void fill_header(const struct job_run *run, const struct job_view *view,
                        struct job_fact_header *ret_header)
{
    struct job_desk *desk = run->desk;

    if (run->is_failure) {
        job_command_judge_failure(desk, view, run->is_retryable, run->retry_after_ms,
                                  JOB_DEAD_ATTEMPTS, ret_header);
        return;
    }
    *ret_header = (struct job_fact_header){
        .id_low = run->id_low,
        .at_ms = job_desk_now(desk),
        .link = run->epoch,
        .kind = JOB_FACT_COMPLETED,
        .attempt = run->attempt,
        .crash_count = view->crash_count,
    };
}

static enum job_claim claim(struct job_run *run, struct job_fact_header *header)
{
    struct job_desk *desk = run->desk;
    enum job_claim result = job_table_claim(desk->table, run->id_low, true, run->epoch,
                                            (enum job_fact_kind)header->kind, &run->ref);

    if (result != JOB_CLAIM_DLQ_FULL)
        return result;
    job_command_judge_postponed(desk, header);
    return job_table_claim(desk->table, run->id_low, true, run->epoch, JOB_FACT_RETRY, &run->ref);
}

/* The claimed outcome goes into the log; the text stands behind the header's place already. */
static void write_outcome(struct job_run *run, struct job_fact_header *header)
{
    const struct job_handler_type *type = run->handler->type;
    struct slice text = {run->fact->data + sizeof(*header), run->text_size};
    struct job_desk *desk = run->desk;
    uint32_t count = 1;

    header->text_size = run->text_size;
    memcpy(run->fact->data, header, sizeof(*header));
    run->part = (struct slice){run->fact->data, sizeof(*header) + run->text_size};
    job_desk_fill_record(desk, run->ref, RECORD_JOB_FACT, &run->part, &run->records[0]);
    if (type->attach != NULL && type->attach(run->handler, run, header, text, &run->records[1]))
        count = 2;
    run->step = (struct durable_step){
        .on_done = on_written,
        .records = run->records,
        .record_count = count,
        .flags = JOURNAL_IMPORTANT,
    };
    run->phase = JOB_RUN_WRITING;
    if (durable_commit_later(&desk->home->keeper.durables, &run->step))
        return;
    job_table_unclaim(desk->table, run->ref); /* the journal has stopped, the process ends */
    end_run(run);
}

/* Says what came of the run, now or when another fact about the job is out of the way. */
static void try_outcome(struct job_run *run)
{
    struct job_fact_header header;
    struct job_view view;

    run_check(run);
    run->phase = JOB_RUN_ENDING;
    if (!job_table_find(run->desk->table, run->id_low, &run->ref)) {
        end_run(run);
        return;
    }
    job_table_view(run->desk->table, run->ref, &view);
    fill_header(run, &view, &header);
    switch (claim(run, &header)) {
    case JOB_CLAIMED:
        write_outcome(run, &header);
        return;
    case JOB_CLAIM_BUSY:
        SOMETIMES("a run ends while another fact about its job is being written");
        return; /* the tick tries again */
    case JOB_CLAIM_UNKNOWN:
    case JOB_CLAIM_STALE:
    case JOB_CLAIM_REPEATED:
    case JOB_CLAIM_TERMINAL:
    case JOB_CLAIM_DLQ_FULL:
        SOMETIMES("a run ends whose lease has ended before");
        end_run(run);
        return;
    }
}

char *job_run_text(struct job_run *run, size_t *ret_capacity)
{
    run_check(run);
    *ret_capacity = run->fact->capacity - sizeof(struct job_fact_header);
    return run->fact->data + sizeof(struct job_fact_header);
}

void job_run_allow(struct job_run *run, uint64_t duration_ms)
{
    run_check(run);
    run->deadline_ms = job_desk_now(run->desk) + duration_ms;
}

void job_run_complete(struct job_run *run, size_t size)
{
    run_check(run);
    assert(run->phase == JOB_RUN_STARTED);
    assert(size <= run->fact->capacity - sizeof(struct job_fact_header));
    run->text_size = (uint32_t)size;
    try_outcome(run);
}

void job_run_fail(struct job_run *run, struct slice error, bool is_retryable,
                  uint64_t retry_after_ms)
{
    size_t size = utf8_cut(error, JOB_RUN_ERROR_SIZE_MAX);

    run_check(run);
    assert(run->phase == JOB_RUN_STARTED);
    memcpy(run->fact->data + sizeof(struct job_fact_header), error.data, size);
    run->text_size = (uint32_t)size;
    run->is_failure = true;
    run->is_retryable = is_retryable;
    run->retry_after_ms = retry_after_ms;
    try_outcome(run);
}

void job_run_park(struct job_run *run, uint64_t until_ms)
{
    struct job_desk *desk = run->desk;
    uint64_t now_ms = job_desk_now(desk);

    run_check(run);
    assert(run->phase == JOB_RUN_STARTED);
    SOMETIMES("a run is parked");
    give_back(run, min_u64(max_u64(until_ms, now_ms + 1), now_ms + JOB_RUN_PARK_MS_MAX));
    job_desk_wake(desk);
}

/* --- starting ---------------------------------------------------------------------------- */

/* The record is there, in run->record or to be copied into it. False: no buffer, or damaged. */
MUST_USE static bool prepare(struct job_run *run, struct slice record)
{
    struct buffer_pool *buffers = run->desk->home->buffers;
    size_t fact_size = sizeof(struct job_fact_header) +
                       max_u64(run->handler->type->result_size_max, JOB_RUN_ERROR_SIZE_MAX);

    if (run->record == NULL) {
        if (buffer_acquire(buffers, record.size, &run->record) < 0)
            return false;
        memcpy(run->record->data, record.data, record.size);
        record.data = run->record->data;
    }
    if (buffer_acquire(buffers, fact_size, &run->fact) < 0)
        return false;
    return job_image_decode(record, &run->image) == 0;
}

/* False: it went back, and its queue should rest. */
static bool start_run(struct job_run *run, struct slice record)
{
    struct job_desk *desk = run->desk;

    if (!prepare(run, record)) {
        SOMETIMES("there is no buffer for a run");
        give_back(run, job_desk_now(desk) + JOB_HANDLER_BUSY_MS);
        return false;
    }
    run->phase = JOB_RUN_STARTED;
    breadcrumbs_lay(crumbs_of(desk), shard_of(desk), run->slot, run->id_low, run->partition);
    run->handler->type->start(run->handler, run);
    return true;
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view);

/* Reads the job's record into a buffer of its own. False: no buffer. */
MUST_USE static bool read_record(struct job_run *run, struct journal_location location,
                                 uint32_t size)
{
    buffer_unref(&run->record);
    if (buffer_acquire(run->desk->home->buffers, size, &run->record) < 0)
        return false;
    memset(&run->read, 0, sizeof(run->read));
    run->read.on_done = on_read;
    run->read.location = location;
    run->read.buffer = run->record->data;
    run->read.buffer_size = run->record->capacity;
    journal_read_start(run->desk->home->keeper.reader, &run->read);
    return true;
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct job_run *run = container_of(read, struct job_run, read);
    struct job_desk *desk = run->desk;

    run_check(run);
    if (run->is_dropped || desk->is_stopping) {
        SOMETIMES("a job ends while it is read for a run");
        give_back(run, 0);
    } else if (result == JOURNAL_READ_TOO_BIG) {
        if (!read_record(run, read->location, read->size_needed))
            give_back(run, job_desk_now(desk) + JOB_HANDLER_BUSY_MS);
    } else if (result == JOURNAL_READ_OK) {
        start_run(run, view->payload);
    } else {
        log_event(&desk->home->shard->log, LOG_ERROR, "jobs", "a job's body cannot be read",
                  LOG_NUMBER("result", (uint64_t)result));
        give_back(run, job_desk_now(desk) + JOB_UNREADABLE_RETRY_MS);
    }
    job_desk_wake(desk);
}

/* Takes the queue's next job and runs it. False when the queue has nothing for now. */
static bool run_next(struct job_desk *desk, struct job_handler *handler, struct job_queue *queue)
{
    struct job_handlers *handlers = &desk->handlers;
    uint64_t now_ms = job_desk_now(desk), retry_ms;
    struct job_view view;
    struct job_run *run;
    struct slice record;
    struct job_ref ref =
        job_table_take(desk->table, queue, now_ms, handler->type->lease_ms, &retry_ms);

    if (ref.index == JOB_REF_NONE.index) {
        if (retry_ms == UINT64_MAX)
            return false;
        handlers->rated_ms =
            list_is_empty(&handlers->rated) ? retry_ms : min_u64(handlers->rated_ms, retry_ms);
        list_push_back(&handlers->rated, &queue->ready_link);
        return false;
    }
    job_table_view(desk->table, ref, &view);
    if (view.crash_count > 0 && handlers->suspect_count > 0) {
        SOMETIMES("a job that was blamed waits for another one");
        job_table_return(desk->table, ref, now_ms, now_ms + JOB_SUSPECT_WAIT_MS);
        return true;
    }
    run = begin_run(desk, handler, &view);
    if (run == NULL) {
        job_table_return(desk->table, ref, now_ms, now_ms + JOB_HANDLER_BUSY_MS);
        return false;
    }
    job_desk_note_lease(desk, &view);
    if (job_body_cache_get(&desk->bodies, job_table_cache(desk->table, ref), view.id_low, &record))
        return start_run(run, record);
    metrics_add(&desk->home->shard->metrics, desk->home->app->metrics.jobs.cold_reads, 1);
    if (read_record(run, view.location, READ_SIZE_DEFAULT))
        return true;
    give_back(run, now_ms + JOB_HANDLER_BUSY_MS);
    return false;
}

/* --- offering ------------------------------------------------------------------------------ */

void job_handlers_note_ready(struct job_handlers *handlers, struct job_handler *handler,
                             struct job_queue *queue)
{
    (void)handlers;
    if (list_is_empty(&queue->ready_link))
        list_push_back(&handler->ready, &queue->ready_link);
}

/* The next queue in the row that has not got its share; out of the row. NULL: none. */
static struct job_queue *next_queue(struct job_handler *handler)
{
    uint32_t share = JOB_HANDLER_SHARE * (handler->concurrency - handler->run_count);

    if (handler->run_count >= handler->concurrency)
        return NULL;
    for (struct list_node *node = handler->ready.next; node != &handler->ready; node = node->next) {
        struct job_queue *queue = container_of(node, struct job_queue, ready_link);

        if (queue->permit_count > 0 && queue->permit_count >= share) {
            SOMETIMES("a queue has its share of a handler");
            continue;
        }
        list_remove(node);
        return queue;
    }
    return NULL;
}

/* True when there may be more to do. */
static bool offer(struct job_desk *desk, struct job_handler *handler)
{
    for (uint32_t i = 0; i < JOB_HANDLER_OFFER_MAX; i++) {
        struct job_queue *queue = next_queue(handler);

        if (queue == NULL)
            return false;
        if (run_next(desk, handler, queue))
            job_handlers_note_ready(&desk->handlers, handler, queue);
    }
    return !list_is_empty(&handler->ready);
}

void job_handlers_offer(struct job_handlers *handlers, struct job_desk *desk)
{
    uint64_t now_ms = job_desk_now(desk);
    bool is_more = false;

    if (desk->home->phase == APP_DRAINING)
        return;
    for (uint32_t i = 0; i < handlers->handler_count; i++)
        is_more |= offer(desk, handlers->handlers[i]);
    if (is_more)
        actor_timer_start(&desk->actor, &handlers->go_on, 0);
    else if (!list_is_empty(&handlers->rated))
        actor_timer_start(&desk->actor, &handlers->go_on,
                          handlers->rated_ms > now_ms ? handlers->rated_ms - now_ms : 1);
}

/* Queues whose rate may let them go on take their place again. */
static void unrate(struct job_handlers *handlers)
{
    struct list_node *node;

    while ((node = list_pop_front(&handlers->rated)) != NULL) {
        struct job_queue *queue = container_of(node, struct job_queue, ready_link);
        struct job_handler *handler =
            job_handlers_find(handlers, (struct slice){queue->kind, queue->kind_size});

        assert(handler != NULL);
        job_handlers_note_ready(handlers, handler, queue);
    }
}

/* --- while it runs --------------------------------------------------------------------------- */

static void cancel(struct job_run *run)
{
    assert(run->phase == JOB_RUN_STARTED);
    run->handler->type->cancel(run->handler, run);
}

void job_handlers_on_fact(struct job_handlers *handlers, uint64_t id_low, enum job_fact_kind kind)
{
    struct job_run *run;

    if (handlers->run_count == 0 || kind == JOB_FACT_PROGRESS || kind == JOB_FACT_BLAMED)
        return;
    run = find_run(handlers, id_low);
    if (run == NULL || run->phase == JOB_RUN_WRITING)
        return; /* if it is the latter, the fact is its own */
    SOMETIMES("a job ends otherwise than by its run");
    if (run->phase == JOB_RUN_READING) {
        run->is_dropped = true;
        return;
    }
    if (run->phase == JOB_RUN_STARTED)
        cancel(run);
    end_run(run);
}

static void look_after(struct job_run *run, uint64_t now_ms)
{
    static const struct slice text = SLICE_INITIALIZER("the attempt took longer than it may");
    const struct job_handler_type *type = run->handler->type;
    uint64_t until_ms;

    if (run->phase == JOB_RUN_ENDING) {
        try_outcome(run);
        return;
    }
    if (run->phase == JOB_RUN_STARTED && now_ms >= run->deadline_ms) {
        SOMETIMES("a run is over its deadline");
        cancel(run);
        job_run_fail(run, text, true, 0);
        return;
    }
    if (now_ms < run->renew_ms || (run->phase == JOB_RUN_STARTED && !type->is_alive(run)))
        return;
    run->renew_ms = now_ms + type->lease_ms / 3;
    if (job_table_extend(run->desk->table, run->id_low, run->epoch, now_ms, type->lease_ms,
                         &until_ms) == JOB_CLAIMED)
        SOMETIMES("the lease of a run is renewed");
}

static void on_tick(struct job_handlers *handlers, struct job_desk *desk)
{
    uint64_t now_ms = job_desk_now(desk);
    struct list_node *node = handlers->runs.next;

    while (node != &handlers->runs) {
        struct job_run *run = container_of(node, struct job_run, link);

        node = node->next; /* this run may end, and no other does */
        look_after(run, now_ms);
    }
    if (handlers->run_count > 0)
        actor_timer_start(&desk->actor, &handlers->tick, JOB_HANDLER_TICK_MS);
}

/* True when timer was to wake a handler, after doing that. */
static bool on_wake(struct job_handlers *handlers, const struct timer *timer)
{
    for (uint32_t i = 0; i < handlers->handler_count; i++) {
        struct job_handler *handler = handlers->handlers[i];

        if (timer != &handler->wake)
            continue;
        handler->type->on_wake(handler);
        return true;
    }
    return false;
}

void job_handler_wake(struct job_handler *handler)
{
    assert(handler->type->on_wake != NULL);
    if (handler->desk != NULL && actor_is_running(&handler->desk->actor))
        actor_timer_start(&handler->desk->actor, &handler->wake, 0);
}

bool job_handlers_on_timer(struct job_handlers *handlers, struct job_desk *desk,
                           const struct timer *timer)
{
    if (timer == &handlers->tick)
        on_tick(handlers, desk);
    else if (timer == &handlers->go_on)
        unrate(handlers);
    else if (!on_wake(handlers, timer))
        return false;
    job_desk_wake(desk);
    return true;
}

void job_handlers_drain(struct job_handlers *handlers, const struct job_desk *desk)
{
    if (handlers->stop_ns == 0)
        handlers->stop_ns = desk->home->shard->clock.mono_ns +
                            desk->home->app->settings->drain_timeout_ms * 1000000;
}

bool job_handlers_stop(struct job_handlers *handlers, struct job_desk *desk)
{
    uint64_t now_ns = desk->home->shard->clock.mono_ns;
    struct list_node *node = handlers->runs.next;

    job_handlers_drain(handlers, desk);
    while (node != &handlers->runs) {
        struct job_run *run = container_of(node, struct job_run, link);

        node = node->next;
        if (run->phase == JOB_RUN_ENDING) {
            try_outcome(run); /* may end it */
            continue;
        }
        if (run->phase != JOB_RUN_STARTED || now_ns < handlers->stop_ns)
            continue;
        SOMETIMES("a run is given up at a stop");
        cancel(run);
        give_back(run, 0);
    }
    return handlers->run_count == 0;
}

/* --- blame ---------------------------------------------------------------------------------------
 */

static void blame(struct job_desk *desk, uint32_t slot, uint64_t id_low)
{
    static const struct slice text = SLICE_INITIALIZER("the process crashed while it ran, again");
    struct job_fact_header header = {
        .id_low = id_low, .at_ms = job_desk_now(desk), .kind = JOB_FACT_BLAMED};
    struct job_view view;
    struct job_ref ref;

    if (!job_table_find(desk->table, id_low, &ref)) {
        breadcrumbs_pick_up_blamed(crumbs_of(desk), shard_of(desk), slot);
        return;
    }
    job_table_view(desk->table, ref, &view);
    header.attempt = view.attempt;
    header.crash_count = (uint8_t)min_u64((uint64_t)view.crash_count + 1, UINT8_MAX);
    if (header.crash_count >= JOB_CRASH_COUNT_MAX) {
        header.kind = JOB_FACT_DEAD;
        header.reason = JOB_DEAD_POISON;
    }
    switch (job_table_claim(desk->table, id_low, false, 0, (enum job_fact_kind)header.kind, &ref)) {
    case JOB_CLAIMED:
        if (header.kind == JOB_FACT_DEAD)
            SOMETIMES("a job is poison");
        else
            SOMETIMES("a job is blamed for a crash");
        job_desk_write_blame(desk, ref, header,
                             header.kind == JOB_FACT_DEAD ? text : (struct slice){NULL, 0}, slot);
        return;
    case JOB_CLAIM_BUSY:
    case JOB_CLAIM_DLQ_FULL:
        return; /* the crumb stays where it is: the next start blames it again */
    case JOB_CLAIM_UNKNOWN:
    case JOB_CLAIM_STALE:
    case JOB_CLAIM_REPEATED:
    case JOB_CLAIM_TERMINAL:
        breadcrumbs_pick_up_blamed(crumbs_of(desk), shard_of(desk), slot);
        return;
    }
}

void job_handlers_blame(struct job_desk *desk)
{
    if (crumbs_of(desk)->page == NULL && shard_of(desk) == 0)
        log_event(&desk->home->shard->log, LOG_WARN, "jobs",
                  "the file \"running\" of the data directory cannot be used: jobs that crash the "
                  "process will not be found out");
    for (uint32_t slot = 0; slot < BREADCRUMBS_PER_SHARD_MAX; slot++) {
        const struct breadcrumb *crumb = breadcrumbs_blamed(crumbs_of(desk), shard_of(desk), slot);

        if (crumb != NULL)
            blame(desk, slot, crumb->id);
    }
}
