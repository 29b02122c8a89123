#include "actors/intake.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * The actor around the requests: it carries the steps between shards, wakes those that
 * were parked, sheds when the journal is slow, and ends last, because other shards'
 * requests may still need this shard's ids. What happens to one request is in
 * intake_request.c.
 */

static struct intake *intake_of(struct actor *self)
{
    return ACTOR_CAST(self, struct intake, INTAKE_MAGIC);
}

static struct app *app_of(const struct intake *intake)
{
    return intake->home->app;
}

void intake_metrics_add(struct metrics_registry *registry, struct intake_metrics *ret_metrics)
{
    static const char *const labels[] = {
        [EVENT_ACCEPTED] = "outcome=\"accepted\"", [EVENT_DUPLICATE] = "outcome=\"duplicate\"",
        [EVENT_INVALID] = "outcome=\"invalid\"",   [EVENT_QUOTA] = "outcome=\"quota\"",
        [EVENT_RETRY] = "outcome=\"shed\"",
    };

    for (uint32_t i = 0; i < ARRAY_COUNT(labels); i++)
        ret_metrics->outcome[i] =
            metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_events_total",
                               labels[i], "Events received, by what became of them.");
    ret_metrics->in_flight = metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                                                "weir_intake_requests_in_flight", "",
                                                "Intake requests that wait for their answer.");
    ret_metrics->queue_delay = metrics_add_histogram(
        registry, METRIC_UNIT_SECONDS, "weir_intake_queue_delay_seconds", "",
        "From the append of a request to its durability.", METRICS_FLUSH_NS, METRICS_FLUSH_BOUNDS);
    ret_metrics->dedup_entries =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_dedup_entries", "",
                           "Ids remembered for deduplication.");
    ret_metrics->dedup_evicted = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_dedup_evicted_early_total", "",
        "Ids forgotten before their window was over, because the table was full.");
    ret_metrics->dedup_window =
        metrics_add_series(registry, METRIC_GAUGE_MAX, METRIC_UNIT_SECONDS,
                           "weir_dedup_window_seconds", "", "The deduplication window in force.");
}

void intake_observe_delay(struct intake *intake, uint64_t delay_ns)
{
    const struct app *app = app_of(intake);
    uint64_t now_ns = intake->actor.shard->clock.mono_ns;

    metrics_observe(&intake->actor.shard->metrics, app->metrics.intake.queue_delay, delay_ns);
    if (delay_ns < app->settings->queue_delay_ms * 1000000) {
        if (intake->is_shedding)
            SOMETIMES("intake sheds no longer");
        intake->slow_since_ns = 0;
        intake->is_shedding = false;
    } else if (intake->slow_since_ns == 0) {
        intake->slow_since_ns = now_ns;
    } else if (now_ns - intake->slow_since_ns > (uint64_t)INTAKE_DELAY_INTERVAL_MS * 1000000) {
        SOMETIMES("intake sheds: the journal is slow");
        intake->is_shedding = true;
    }
}

void intake_on_room(struct intake *intake)
{
    struct list_node waiting;
    struct list_node *node;
    bool has_room = true;

    list_init(&waiting);
    while ((node = list_pop_front(&intake->parked)) != NULL)
        list_push_back(&waiting, node);
    if (!list_is_empty(&waiting))
        SOMETIMES("a sender waits for room and is resumed");
    while (has_room && (node = list_pop_front(&waiting)) != NULL)
        has_room = intake_request_append(container_of(node, struct intake_request, queue_link));
    if (!list_is_empty(&waiting))
        SOMETIMES("there is room for some of those who wait for it");
    while ((node = list_pop_front(&waiting)) != NULL)
        if (!MUTANT("parked_request_forgotten"))
            list_push_back(&intake->parked, node);
}

enum problem_code intake_admit(struct intake *intake)
{
    enum problem_code code = keeper_admit(&intake->home->keeper);

    if (code != PROBLEM_NONE)
        return code;
    if (intake->appending_count == 0)
        return PROBLEM_NONE;
    if (intake->is_shedding || intake->actor.shard->clock.mono_ns - intake->progress_ns >
                                   app_of(intake)->settings->queue_delay_ms * 1000000) {
        SOMETIMES("a request is shed");
        return PROBLEM_OVERLOADED;
    }
    return PROBLEM_NONE;
}

void intake_recover_claim(struct intake *intake, struct dedup_key key, uint64_t body_hash,
                          struct journal_location location, uint64_t received_ms)
{
    dedup_insert_recovered(intake->dedup, key, (uint32_t)body_hash, location, received_ms);
}

/* --- the actor ------------------------------------------------------------ */

static int start(struct actor *self)
{
    struct intake *intake = intake_of(self);

    outbox_init(&intake->outbox, self);
    actor_timer_init(self, &intake->retry_timer);
    intake->is_stopping = false;
    return 0;
}

static void retry_answers(struct intake *intake)
{
    struct list_node pending;
    struct list_node *node;

    list_init(&pending);
    while ((node = list_pop_front(&intake->unanswered)) != NULL)
        list_push_back(&pending, node);
    while ((node = list_pop_front(&pending)) != NULL)
        intake_request_tell(container_of(node, struct intake_request, queue_link));
}

/*
 * True while a request that came in on this shard is being worked on, wherever. The
 * connections are gone by now, but what they had asked for is not: it waits for the
 * disk or for another shard.
 */
static bool is_busy(const struct intake *intake)
{
    const struct app_shard *home = intake->home;

    return pool_used_count(&intake->requests) + pool_used_count(&home->lookup.requests) +
                   pool_used_count(&home->tenant.requests) +
                   pool_used_count(&home->dead_letters.requests) >
               0 ||
           !job_desk_is_idle(&home->jobs) || !schedules_is_idle(&home->schedules) ||
           !incidents_is_idle(&home->incidents);
}

/* Once nothing of this shard is in flight, its peers are told. Looks again until it is so. */
static void try_drained(struct intake *intake)
{
    struct app *app = app_of(intake);

    assert(intake->is_stopping);
    if (intake->is_drained)
        return;
    if (is_busy(intake) && !MUTANT("drain_loses_in_flight")) {
        SOMETIMES("a shard stops with requests in flight");
        actor_timer_start(&intake->actor, &intake->retry_timer, OUTBOX_RETRY_MS);
        return;
    }
    for (uint32_t i = 0; i < app->shard_count; i++)
        if (i != intake->home->shard->index)
            outbox_send(&intake->outbox, &intake->actor, app->shards[i].intake.actor.id,
                        MSG_INTAKE_PEER_DRAINED, 0, NULL);
    intake->is_drained = true;
    intake->drained_count++;
}

/* Other shards' requests may still need this shard's parts: wait for all of them. */
static int stop_if_all_drained(const struct intake *intake)
{
    return intake->is_drained && intake->drained_count == app_of(intake)->shard_count ? ACTOR_STOP
                                                                                      : ACTOR_OK;
}

static int receive(struct actor *self, const struct message *msg)
{
    struct intake *intake = intake_of(self);
    struct intake_request *request;

    switch (msg->type) {
    case MSG_INTAKE_DEDUP:
        request = outbox_lent(msg);
        if (intake_request_do_step(intake, request))
            outbox_send(&intake->outbox, self, msg->from, MSG_INTAKE_DEDUP_DONE, 0, request);
        return ACTOR_OK;
    case MSG_INTAKE_DEDUP_DONE:
        request = outbox_lent(msg);
        assert(request->home == intake);
        assert(request->waiting_count > 0);
        if (--request->waiting_count == 0)
            intake_request_advance(request);
        return ACTOR_OK;
    case MSG_INTAKE_PEER_DRAINED:
        if (!intake->is_drained)
            SOMETIMES("a peer is drained first");
        intake->drained_count++;
        return stop_if_all_drained(intake);
    case MSG_TIMER:
        if (outbox_on_timer(&intake->outbox, self, msg->as.timer.timer))
            return ACTOR_OK;
        retry_answers(intake);
        if (intake->is_stopping)
            try_drained(intake);
        return stop_if_all_drained(intake);
    case MSG_STOP:
        intake->is_stopping = true;
        try_drained(intake);
        return stop_if_all_drained(intake);
    default:
        return ACTOR_UNHANDLED;
    }
}

/* Killed at the end of its time: the process cannot wait for the disk any longer. */
static void release(struct actor *self)
{
    const struct intake *intake = intake_of(self);

    if (intake->is_stopping && !intake->is_drained) {
        SOMETIMES("the time to stop is over with requests in flight");
        runtime_fail(app_of(intake)->runtime, APP_EXIT_IO,
                     "requests still waited for the disk when the time to stop was over");
    }
}

const struct actor_type intake_type = {
    .name = "intake",
    .start = start,
    .receive = receive,
    .release = release,
    .mailbox_max = 65536,
};

/* A shard's part of the process's entries, a power of two. */
static uint32_t dedup_share(const struct settings *settings, uint32_t shard_count)
{
    uint32_t share = 1024;

    while ((uint64_t)share * 2 * shard_count <= (uint64_t)settings->dedup_entries)
        share *= 2;
    return share;
}

int intake_init(struct intake *intake, struct app_shard *home)
{
    const struct settings *settings = home->app->settings;
    struct dedup_config config = {
        .entry_count_max = dedup_share(settings, home->app->shard_count),
        .window_ms = settings->dedup_window_ms,
        .strict = settings->dedup_strict,
    };
    int r;

    memset(intake, 0, sizeof(*intake));
    intake->home = home;
    list_init(&intake->unanswered);
    list_init(&intake->parked);
    r = pool_init(&intake->requests, "intake requests", sizeof(struct intake_request),
                  (uint32_t)settings->requests_in_flight / home->app->shard_count + 1);
    if (r < 0)
        return r;
    return dedup_new(&config, &intake->dedup);
}

void intake_deinit(struct intake *intake)
{
    dedup_free(&intake->dedup);
    pool_abandon(&intake->requests);
}
