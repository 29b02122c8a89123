#include "actors/job_run.h"

#include "actors/app.h"
#include "contracts/utf8.h"
#include "runtime/sim_point.h"

/*
 * A run belongs to its handler (memory), stands in the list of all runs and is found by
 * its job's id. It ends in end_run(), whatever ended it: an outcome that is in the log, a
 * lease that was given back, or a job that somebody else has ended. Whoever reports an
 * outcome must not touch the run after that.
 */

enum { READ_SIZE_DEFAULT = 4 * SEGMENT_BLOCK_SIZE };

static void run_check(const struct job_run *run)
{
    assert(run->magic == JOB_RUN_MAGIC);
    assert(run->desk->handlers.runs.count > 0);
    assert(run->handler->run_count > 0);
}

static void lay_crumb(const struct job_run *run)
{
    struct app_shard *home = run->desk->home;

    breadcrumbs_lay(&home->app->breadcrumbs, home->shard->index, run->slot, run->id_low,
                    run->partition);
}

static void pick_up_crumb(const struct job_run *run)
{
    struct app_shard *home = run->desk->home;

    breadcrumbs_pick_up(&home->app->breadcrumbs, home->shard->index, run->slot);
}

/* --- all of them ------------------------------------------------------------------------ */

void job_runs_init(struct job_runs *runs)
{
    runs->count = 0;
    runs->suspect_count = 0;
    list_init(&runs->all);
    for (uint32_t i = 0; i < JOB_RUN_BUCKET_COUNT; i++)
        list_init(&runs->by_id[i]);
    for (uint32_t i = 0; i < JOB_RUN_COUNT_MAX; i++)
        runs->slots[i] = (uint16_t)(JOB_RUN_COUNT_MAX - 1 - i);
}

static struct list_node *bucket_of(struct job_runs *runs, uint64_t id_low)
{
    return &runs->by_id[id_low % JOB_RUN_BUCKET_COUNT];
}

struct job_run *job_runs_find(struct job_runs *runs, uint64_t id_low)
{
    struct list_node *head = bucket_of(runs, id_low);

    for (struct list_node *node = head->next; node != head; node = node->next) {
        struct job_run *run = container_of(node, struct job_run, id_link);

        if (run->id_low == id_low)
            return run;
    }
    return NULL;
}

/* --- beginning and end -------------------------------------------------------------------- */

struct job_run *job_run_begin(struct job_desk *desk, struct job_handler *handler,
                              const struct job_view *view)
{
    struct job_runs *runs = &desk->handlers.runs;
    uint64_t now_ms = job_desk_now(desk);
    struct job_run *run;

    if (runs->count == JOB_RUN_COUNT_MAX || FAILPOINT("no job run is free"))
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
    list_push_back(&runs->all, &run->link);
    list_push_back(bucket_of(runs, run->id_low), &run->id_link);
    runs->count++;
    runs->suspect_count += run->is_suspect;
    handler->run_count++;
    run->slot = runs->slots[JOB_RUN_COUNT_MAX - runs->count];
    return run;
}

/* The run is over and its memory the handler's again. */
static void end_run(struct job_run *run)
{
    struct job_runs *runs = &run->desk->handlers.runs;
    struct job_handler *handler = run->handler;

    run_check(run);
    pick_up_crumb(run);
    runs->slots[JOB_RUN_COUNT_MAX - runs->count] = (uint16_t)run->slot;
    runs->count--;
    runs->suspect_count -= run->is_suspect;
    handler->run_count--;
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
static bool start_with(struct job_run *run, struct slice record)
{
    struct job_desk *desk = run->desk;

    if (!prepare(run, record)) {
        SOMETIMES("there is no buffer for a run");
        give_back(run, job_desk_now(desk) + JOB_RUN_BUSY_MS);
        return false;
    }
    run->phase = JOB_RUN_STARTED;
    lay_crumb(run);
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
            give_back(run, job_desk_now(desk) + JOB_RUN_BUSY_MS);
    } else if (result == JOURNAL_READ_OK) {
        start_with(run, view->payload);
    } else {
        log_event(&desk->home->shard->log, LOG_ERROR, "jobs", "a job's body cannot be read",
                  LOG_NUMBER("result", (uint64_t)result));
        give_back(run, job_desk_now(desk) + JOB_UNREADABLE_RETRY_MS);
    }
    job_desk_wake(desk);
}

bool job_run_start(struct job_run *run)
{
    struct job_desk *desk = run->desk;
    struct slice record;

    run_check(run);
    assert(run->phase == JOB_RUN_READING);
    if (job_body_cache_get(&desk->bodies, job_table_cache(desk->table, run->ref), run->id_low,
                           &record))
        return start_with(run, record);
    metrics_add(&desk->home->shard->metrics, desk->home->app->metrics.jobs.cold_reads, 1);
    if (read_record(run, run->location, READ_SIZE_DEFAULT))
        return true;
    give_back(run, job_desk_now(desk) + JOB_RUN_BUSY_MS);
    return false;
}

/* --- while it runs ------------------------------------------------------------------------- */

static void cancel(struct job_run *run)
{
    assert(run->phase == JOB_RUN_STARTED);
    run->handler->type->cancel(run->handler, run);
}

void job_run_look_after(struct job_run *run, uint64_t now_ms)
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

void job_run_on_end(struct job_run *run)
{
    run_check(run);
    if (run->phase == JOB_RUN_WRITING)
        return; /* the fact is its own */
    SOMETIMES("a job ends otherwise than by its run");
    if (run->phase == JOB_RUN_READING) {
        run->is_dropped = true;
        return;
    }
    if (run->phase == JOB_RUN_STARTED)
        cancel(run);
    end_run(run);
}

void job_run_stop(struct job_run *run, bool is_over)
{
    run_check(run);
    if (run->phase == JOB_RUN_ENDING) {
        try_outcome(run); /* may end it */
        return;
    }
    if (run->phase != JOB_RUN_STARTED || !is_over)
        return;
    SOMETIMES("a run is given up at a stop");
    cancel(run);
    give_back(run, 0);
}
