/*
 * Runtime metrics: the series that the actor runtime keeps about itself.
 *
 * On the hot path the loop counts in plain fields of shard_internals, one row per
 * type of actor. Every 100 ms, and whenever a scrape asks, what was counted since is
 * added to the shard's metrics block. Series with an actor label are made at the
 * freeze, when all types are known; series of one name must stand together.
 */
#include "runtime/internals.h"

static const uint64_t LATENESS_NS_BOUNDS[] = {
    100000, 500000, 1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000, 1000000000,
};

static const uint64_t TURN_NS_BOUNDS[] = {
    1000, 5000, 10000, 50000, 100000, 500000, 1000000, 2000000, 5000000, 10000000, 100000000,
};

static uint32_t type_row(const struct runtime *runtime, const struct actor_type *type)
{
    for (uint32_t i = 1; i < runtime->type_count; i++) {
        if (runtime->types[i] == type)
            return i;
    }
    return RUNTIME_TYPE_OTHER;
}

void runtime_register_type(struct runtime *runtime, const struct actor_type *type)
{
    assert(type->name != NULL);
    assert(!runtime->frozen);
    if (type_row(runtime, type) != RUNTIME_TYPE_OTHER)
        return;
    assert(runtime->type_count < RUNTIME_TYPES_MAX);
    runtime->types[runtime->type_count++] = type;
}

uint16_t runtime_type_index(struct runtime *runtime, const struct actor_type *type)
{
    if (!runtime->frozen)
        runtime_register_type(runtime, type);
    return (uint16_t)type_row(runtime, type);
}

static struct metric add_counter(struct runtime *runtime, const char *name, const char *help)
{
    return metrics_add_series(runtime->config.registry, METRIC_COUNTER, METRIC_UNIT_NONE, name, "",
                              help);
}

static struct metric add_gauge(struct runtime *runtime, const char *name, const char *help)
{
    return metrics_add_series(runtime->config.registry, METRIC_GAUGE, METRIC_UNIT_NONE, name, "",
                              help);
}

void runtime_add_series(struct runtime *runtime)
{
    struct runtime_series *series = &runtime->series;

    runtime->type_count = 1; /* row 0: other */
    series->escalations = add_counter(runtime, "weir_supervisor_escalations_total",
                                      "Supervisors that gave up: too many restarts.");
    series->stalls = add_counter(runtime, "weir_actor_stalls_total",
                                 "Handlers seen running for 100 ms or more.");
    series->stale_completions = add_counter(runtime, "weir_stale_completions_total",
                                            "Completions for an actor that no longer waits.");
    series->actors = add_gauge(runtime, "weir_actors", "Actors that exist.");
    series->messages_used = add_gauge(runtime, "weir_messages_in_use", "Messages now in use.");
    series->timers_armed = add_gauge(runtime, "weir_timers_armed", "Timers now armed.");
    series->timer_lateness = metrics_add_histogram(
        runtime->config.registry, METRIC_UNIT_SECONDS, "weir_timer_lateness_seconds", "",
        "How long after its deadline a timer fired.", LATENESS_NS_BOUNDS,
        ARRAY_COUNT(LATENESS_NS_BOUNDS));
    series->turns = add_counter(runtime, "weir_loop_turns_total", "Passes of the shards' loops.");
    series->turn_time = metrics_add_histogram(runtime->config.registry, METRIC_UNIT_SECONDS,
                                              "weir_loop_turn_seconds", "",
                                              "How long a pass of the loop took, waiting aside.",
                                              TURN_NS_BOUNDS, ARRAY_COUNT(TURN_NS_BOUNDS));
    series->parks = add_counter(runtime, "weir_loop_parks_total", "Times a shard went to sleep.");
    series->wakes =
        add_counter(runtime, "weir_loop_wakes_total", "Times a shard woke another one.");
    series->io_enters =
        add_counter(runtime, "weir_io_enters_total", "System calls made to submit or wait.");
    series->io_completions =
        add_counter(runtime, "weir_io_completions_total", "I/O operations completed.");
    series->io_overflows = add_counter(runtime, "weir_io_overflows_total",
                                       "Overflows of the completion queue; none is lost.");
    series->io_starved =
        add_counter(runtime, "weir_io_starved_total", "Receives parked for want of a buffer.");
    for (uint32_t i = 0; i < DEAD_LETTER_REASON_COUNT; i++)
        series->dead_letters[i] = metrics_add_series(
            runtime->config.registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_dead_letters_total",
            metrics_text(runtime->config.registry, "origin=\"actor\",reason=\"%s\"",
                         dead_letter_reason_name((enum dead_letter_reason)i)),
            "Messages that nobody handled, jobs that failed for good.");
}

static void add_type_series(struct runtime *runtime, struct metric *rows, enum metric_kind kind,
                            const char *name, const char *more_labels, const char *help)
{
    for (uint32_t i = 0; i < runtime->type_count; i++) {
        const char *actor = i == RUNTIME_TYPE_OTHER ? "other" : runtime->types[i]->name;
        const char *labels =
            metrics_text(runtime->config.registry, "actor=\"%s\"%s", actor, more_labels);

        rows[i] = metrics_add_series(runtime->config.registry, kind, METRIC_UNIT_NONE, name, labels,
                                     help);
    }
}

void runtime_freeze_metrics(struct runtime *runtime)
{
    static const char MESSAGES[] = "weir_messages_total";
    static const char MESSAGES_HELP[] = "Messages by receiving actor and what became of them.";
    struct runtime_series *series = &runtime->series;

    if (runtime->frozen)
        return;
    add_type_series(runtime, series->handled, METRIC_COUNTER, MESSAGES, ",outcome=\"handled\"",
                    MESSAGES_HELP);
    add_type_series(runtime, series->unhandled, METRIC_COUNTER, MESSAGES, ",outcome=\"unhandled\"",
                    MESSAGES_HELP);
    add_type_series(runtime, series->full, METRIC_COUNTER, MESSAGES, ",outcome=\"full\"",
                    MESSAGES_HELP);
    add_type_series(runtime, series->dead, METRIC_COUNTER, MESSAGES, ",outcome=\"dead\"",
                    MESSAGES_HELP);
    add_type_series(runtime, series->restarts, METRIC_COUNTER, "weir_actor_restarts_total", "",
                    "Actors started again by their supervisor.");
    add_type_series(runtime, series->slow, METRIC_COUNTER, "weir_actor_slow_total", "",
                    "Handlers that ran for 1 ms or more; other: not known which of several.");
    add_type_series(runtime, series->depth, METRIC_GAUGE, "weir_mailbox_depth", "",
                    "Messages waiting in mailboxes.");
    metrics_freeze(runtime->config.registry);
    runtime->frozen = true;
}

/* Adds what was counted since and starts counting anew. */
static void move_count(struct metrics *metrics, struct metric metric, uint64_t *count)
{
    if (*count == 0)
        return;
    metrics_add(metrics, metric, *count);
    *count = 0;
}

static void update_types(struct shard *shard)
{
    const struct runtime_series *series = &shard->runtime->series;

    for (uint32_t i = 0; i < shard->runtime->type_count; i++) {
        struct type_counters *counters = &shard->internals->types[i];

        move_count(&shard->metrics, series->handled[i], &counters->handled);
        move_count(&shard->metrics, series->unhandled[i], &counters->unhandled);
        move_count(&shard->metrics, series->full[i], &counters->full);
        move_count(&shard->metrics, series->dead[i], &counters->dead);
        move_count(&shard->metrics, series->restarts[i], &counters->restarts);
        move_count(&shard->metrics, series->slow[i], &counters->slow);
        metrics_set(&shard->metrics, series->depth[i], counters->depth);
    }
}

static void update_io(struct shard *shard)
{
    const struct runtime_series *series = &shard->runtime->series;
    struct io_stats *seen = &shard->internals->io_stats_seen;
    const struct io_stats *now = &shard->io->stats;

    metrics_add(&shard->metrics, series->io_enters, now->enter_count - seen->enter_count);
    metrics_add(&shard->metrics, series->io_completions,
                now->completion_count - seen->completion_count);
    metrics_add(&shard->metrics, series->io_overflows, now->overflow_count - seen->overflow_count);
    metrics_add(&shard->metrics, series->io_starved, now->starved_count - seen->starved_count);
    metrics_add(&shard->metrics, series->stale_completions, now->stale_count - seen->stale_count);
    *seen = *now;
}

void shard_update_metrics(struct shard *shard)
{
    const struct runtime_series *series = &shard->runtime->series;
    struct shard_internals *internals = shard->internals;
    struct shard_counters *counters = &internals->counters;
    uint64_t stalls = heartbeat_stall_count(&internals->heartbeat);

    internals->metrics_updated_ns = shard->clock.mono_ns;
    if (!shard->runtime->frozen)
        return;
    update_types(shard);
    update_io(shard);
    for (uint32_t i = 0; i < DEAD_LETTER_REASON_COUNT; i++)
        move_count(&shard->metrics, series->dead_letters[i], &counters->dead_letters[i]);
    move_count(&shard->metrics, series->turns, &counters->turns);
    move_count(&shard->metrics, series->parks, &counters->parks);
    move_count(&shard->metrics, series->wakes, &counters->wakes);
    move_count(&shard->metrics, series->escalations, &counters->escalations);
    move_count(&shard->metrics, series->stale_completions, &counters->stale_completions);
    metrics_add(&shard->metrics, series->stalls, stalls - internals->stalls_seen);
    internals->stalls_seen = stalls;
    metrics_set(&shard->metrics, series->actors, internals->actors.used_count);
    metrics_set(&shard->metrics, series->messages_used, pool_used_count(&internals->messages));
    metrics_set(&shard->metrics, series->timers_armed, shard->timers.armed_count);
}

void shard_count_timer(struct shard *shard, const struct timer *timer)
{
    uint64_t deadline_ns = timer->deadline_tick * 1000000;
    uint64_t now_ns = shard->clock.mono_ns;

    if (shard->runtime->frozen)
        metrics_observe(&shard->metrics, shard->runtime->series.timer_lateness,
                        now_ns > deadline_ns ? now_ns - deadline_ns : 0);
}
