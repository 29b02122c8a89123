#include "actors/job_handler.h"

#include "actors/app.h"
#include "runtime/sim_point.h"

/*
 * Whoever starts runs is job_desk_wake(), which does not nest: a run that ends inside of
 * start() leaves the row as it is, and the loop that called goes on. One timer looks after all
 * leases and deadlines while there are runs; there is none when there are none.
 */

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
    job_runs_init(&handlers->runs);
    list_init(&handlers->rated);
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

/* --- offering ------------------------------------------------------------------------------ */

/* Takes the queue's next job and runs it. False when the queue has nothing for now. */
static bool run_next(struct job_desk *desk, struct job_handler *handler, struct job_queue *queue)
{
    struct job_handlers *handlers = &desk->handlers;
    uint64_t now_ms = job_desk_now(desk), retry_ms;
    struct job_view view;
    struct job_run *run;
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
    if (view.crash_count > 0 && handlers->runs.suspect_count > 0) {
        SOMETIMES("a job that was blamed waits for another one");
        job_table_return(desk->table, ref, now_ms, now_ms + JOB_SUSPECT_WAIT_MS);
        return true;
    }
    run = job_run_begin(desk, handler, &view);
    if (run == NULL) {
        job_table_return(desk->table, ref, now_ms, now_ms + JOB_HANDLER_BUSY_MS);
        return false;
    }
    if (handlers->runs.count == 1)
        actor_timer_start(&desk->actor, &handlers->tick, JOB_HANDLER_TICK_MS);
    job_desk_note_lease(desk, &view);
    return job_run_start(run);
}

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

void job_handlers_on_fact(struct job_handlers *handlers, uint64_t id_low, enum job_fact_kind kind)
{
    struct job_run *run;

    if (handlers->runs.count == 0 || kind == JOB_FACT_PROGRESS || kind == JOB_FACT_BLAMED)
        return;
    run = job_runs_find(&handlers->runs, id_low);
    if (run != NULL)
        job_run_on_end(run);
}

static void on_tick(struct job_handlers *handlers, struct job_desk *desk)
{
    uint64_t now_ms = job_desk_now(desk);
    struct list_node *node = handlers->runs.all.next;

    while (node != &handlers->runs.all) {
        struct job_run *run = container_of(node, struct job_run, link);

        node = node->next; /* this run may end, and no other does */
        job_run_look_after(run, now_ms);
    }
    if (handlers->runs.count > 0)
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
    struct list_node *node = handlers->runs.all.next;
    bool is_over;

    job_handlers_drain(handlers, desk);
    is_over = desk->home->shard->clock.mono_ns >= handlers->stop_ns;
    while (node != &handlers->runs.all) {
        struct job_run *run = container_of(node, struct job_run, link);

        node = node->next;
        job_run_stop(run, is_over);
    }
    return handlers->runs.count == 0;
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
        job_step_write_blame(desk, ref, header,
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
