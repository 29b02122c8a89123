#include "store/incident_table_internals.h"

#include "runtime/sim_point.h"

/*
 * A series is dead when its stream's clock has passed all its minutes and no incident holds
 * it. Dead ones are found in passing: each new series looks at the next few slots, so that
 * under a flood of fingerprints the memory of yesterday's is there for today's. Only when a
 * limit is reached is everything looked at, once per minute of the stream.
 *
 * Slots are never moved, so pointers to series and projects stay valid while they live.
 */

enum { SWEEP_STEP = 8 };

struct incident_project *incident_find_project(const struct incident_table *table, uint64_t hash)
{
    uint32_t slot = table->last_project;

    if (table->projects[slot].is_used && table->projects[slot].hash == hash)
        return &table->projects[slot];
    slot = slot_index_find(&table->project_index, hash);
    return slot == SLOT_NONE ? NULL : &table->projects[slot];
}

static bool project_is_idle(const struct incident_project *project)
{
    return project->series_count == 0 && project->rules.location.bits == 0;
}

/* Room for more than are admitted: the index grows; the rest is there, and not touched yet. */
MUST_USE static bool make_project_room(struct incident_table *table)
{
    uint32_t room =
        (uint32_t)min_u64(2 * (uint64_t)table->project_room, INCIDENT_PROJECT_COUNT_MAX);

    if (table->projects_end < table->project_room)
        return true;
    SOMETIMES("a start finds more projects with rules than a shard takes");
    if (room == table->project_room || slot_index_grow(&table->project_index, room) < 0)
        return false;
    table->project_room = room;
    return true;
}

static uint32_t find_project_slot(struct incident_table *table, bool is_old)
{
    if (table->projects_end < table->config.projects_max)
        return table->projects_end++;
    if (is_old)
        return make_project_room(table) ? table->projects_end++ : SLOT_NONE;
    /* Full: one that has nothing left goes. Its clock goes with it; nothing depends on that. */
    for (uint32_t i = 0; i < table->projects_end; i++)
        if (project_is_idle(&table->projects[i])) {
            slot_index_remove(&table->project_index, table->projects[i].hash);
            table->stats.projects--;
            return i;
        }
    return SLOT_NONE;
}

static struct incident_project *get_project(struct incident_table *table, uint64_t hash,
                                            uint32_t partition, bool is_old)
{
    struct incident_project *project = incident_find_project(table, hash);
    uint32_t slot;

    if (project != NULL) {
        table->last_project = (uint32_t)(project - table->projects);
        return project;
    }
    slot = find_project_slot(table, is_old);
    if (slot == SLOT_NONE) {
        SOMETIMES("there are too many projects for the incidents");
        return NULL;
    }
    project = &table->projects[slot];
    memset(project, 0, sizeof(*project));
    project->hash = hash;
    project->partition = partition;
    project->is_used = true;
    project->rules.record.rules = INCIDENT_RULES_DEFAULT;
    for (uint32_t i = 0; i < EVENT_ENVIRONMENT_COUNT; i++) {
        project->streams[i].due_ms = INT64_MAX;
        list_init(&project->streams[i].watched);
        list_init(&project->streams[i].link);
    }
    slot_index_add(&table->project_index, hash, slot);
    table->stats.projects++;
    return project;
}

struct incident_project *incident_get_project(struct incident_table *table, uint64_t hash,
                                              uint32_t partition)
{
    return get_project(table, hash, partition, false);
}

struct incident_project *incident_get_old_project(struct incident_table *table, uint64_t hash,
                                                  uint32_t partition)
{
    return get_project(table, hash, partition, true);
}

const struct incident_rules *incident_rules_of(const struct incident_project *project)
{
    return &project->rules.record.rules;
}

/* --- series --------------------------------------------------------------------- */

struct incident_series *incident_find_series(const struct incident_table *table,
                                             const uint64_t key[2])
{
    uint32_t slot = slot_index_find(&table->series_index, key[0]);

    if (slot == SLOT_NONE || table->series[slot].key[1] != key[1])
        return NULL;
    assert(table->series[slot].is_used);
    return &table->series[slot];
}

struct incident_stream *incident_stream_of(const struct incident_table *table,
                                           const struct incident_series *series)
{
    assert(series->environment < EVENT_ENVIRONMENT_COUNT);
    return &table->projects[series->project].streams[series->environment];
}

int64_t incident_stream_clock(const struct incident_stream *stream, uint64_t now_ms)
{
    int64_t clock_ms = stream->newest_ms;

    if (now_ms > stream->anchor_ms + INCIDENT_CLOCK_GRACE_MS)
        clock_ms += (int64_t)(now_ms - stream->anchor_ms - INCIDENT_CLOCK_GRACE_MS);
    return clock_ms > stream->clock_ms ? clock_ms : stream->clock_ms;
}

void incident_watch(struct incident_table *table, struct incident_series *series)
{
    struct incident_stream *stream = incident_stream_of(table, series);

    if (!list_is_empty(&series->watch))
        return;
    list_push_back(&stream->watched, &series->watch);
    if (list_is_empty(&stream->link))
        list_push_back(&table->streams, &stream->link);
    series->ticked_minute = minute_of(stream->clock_ms);
    incident_touch(table, series);
}

void incident_touch(struct incident_table *table, struct incident_series *series)
{
    struct incident_stream *stream = incident_stream_of(table, series);

    series->due_ms = stream->clock_ms;
    stream->due_ms = stream->clock_ms;
}

void incident_unwatch(struct incident_table *table, struct incident_series *series)
{
    struct incident_stream *stream = incident_stream_of(table, series);

    list_remove(&series->watch);
    if (list_is_empty(&stream->watched)) {
        list_remove(&stream->link);
        stream->due_ms = INT64_MAX;
    }
}

static bool is_dead(const struct incident_table *table, const struct incident_series *series)
{
    const struct incident_stream *stream = incident_stream_of(table, series);
    int64_t clock_ms = incident_stream_clock(stream, table->now_ms);

    return series->incident == SLOT_NONE &&
           minute_of(clock_ms) >= series->ring.head + MINUTE_RING_COUNT;
}

static void forget_series(struct incident_table *table, struct incident_series *series)
{
    struct incident_project *project = &table->projects[series->project];

    assert(series->is_used);
    assert(project->series_count > 0);
    incident_unwatch(table, series);
    slot_index_remove(&table->series_index, series->key[0]);
    project->series_count--;
    if (series->what == SERIES_ERRORS)
        project->live_count--;
    series->is_used = false;
    list_push_back(&table->free_series, &series->watch);
    table->stats.series--;
}

void incident_sweep(struct incident_table *table, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < table->series_end; i++) {
        struct incident_series *series;

        table->hand = (table->hand + 1) % table->series_end;
        series = &table->series[table->hand];
        if (series->is_used && is_dead(table, series))
            forget_series(table, series);
    }
}

static struct incident_series *make_series(struct incident_table *table,
                                           struct incident_project *project, const uint64_t key[2],
                                           enum series_what what,
                                           enum event_environment environment, uint32_t limit)
{
    struct incident_series *series;
    struct list_node *node;

    if (table->stats.series >= limit || slot_index_find(&table->series_index, key[0]) != SLOT_NONE)
        return NULL;
    node = list_pop_front(&table->free_series);
    series = node != NULL ? container_of(node, struct incident_series, watch)
                          : &table->series[table->series_end++];
    assert(table->series_end <= table->series_slots);
    memset(series, 0, sizeof(*series));
    memcpy(series->key, key, sizeof(series->key));
    series->project = (uint32_t)(project - table->projects);
    series->incident = SLOT_NONE;
    series->what = (uint8_t)what;
    series->environment = (uint8_t)environment;
    series->is_used = true;
    series->due_ms = INT64_MAX;
    list_init(&series->watch);
    slot_index_add(&table->series_index, key[0], (uint32_t)(series - table->series));
    project->series_count++;
    project->live_count += what == SERIES_ERRORS;
    table->stats.series++;
    return series;
}

struct incident_series *incident_adopt_series(struct incident_table *table,
                                              struct incident_project *project,
                                              const uint64_t key[2], enum series_what what,
                                              enum event_environment environment)
{
    struct incident_series *series = incident_find_series(table, key);

    if (series != NULL)
        return series;
    return make_series(table, project, key, what, environment, table->series_slots);
}

/* True when the project may have one more series of errors now. */
static bool may_have_more(struct incident_table *table, struct incident_project *project,
                          uint32_t minute)
{
    const struct incident_table_config *config = &table->config;

    if ((project->live_count >= config->live_max || table->stats.series >= config->series_max) &&
        project->swept_minute != minute) {
        SOMETIMES("a limit of the series is reached");
        project->swept_minute = minute;
        incident_sweep(table, table->series_end);
    }
    if (project->live_count >= config->live_max || table->stats.series >= config->series_max)
        return false;
    if (!table->is_resumed)
        return true; /* the events of hours are read back in seconds */
    if (minute > project->new_minute) {
        project->new_minute = minute;
        project->new_count = 0;
    }
    return project->new_count++ < config->new_max;
}

struct incident_series *incident_get_series(struct incident_table *table,
                                            struct incident_project *project,
                                            const struct record_event *event, int64_t at_ms,
                                            bool *ret_overflows)
{
    enum event_environment environment = (enum event_environment)event->environment;
    struct incident_series *series = incident_find_series(table, event->series);
    struct series_scope scope = {table->config.hash_key, project->hash};
    uint64_t key[2];

    *ret_overflows = false;
    if (series != NULL)
        return series;
    incident_sweep(table, SWEEP_STEP);
    if (event->event_type == EVENT_TYPE_SIGNUP)
        return make_series(table, project, event->series, SERIES_SIGNUPS, environment,
                           table->series_slots);
    if (may_have_more(table, project, minute_of(at_ms)))
        series = make_series(table, project, event->series, SERIES_ERRORS, environment,
                             table->config.series_max);
    if (series != NULL)
        return series;
    SOMETIMES("an error is counted with all that have no place");
    *ret_overflows = true;
    series_overflow_key(&scope, environment, key);
    series = incident_find_series(table, key);
    if (series != NULL)
        return series;
    return make_series(table, project, key, SERIES_OVERFLOW, environment, table->series_slots);
}
