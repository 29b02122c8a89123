#include "store/incident_table.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/incident_table_internals.h"

/*
 * The fold of one event: time first, then the event. What is due up to its instant is decided
 * from what was there before it, then it is counted, then the minutes that it touches are
 * judged. Series do not depend on each other, so of those that are due only the event's own
 * must be up to date; the others are stepped as far as there is room for their changes.
 */

enum { OLDEST_MS = 2 * INCIDENT_JUMP_MINUTES_MAX * MINUTE_MS }; /* minutes before 1970 are none */

static const size_t PROJECTS_SIZE =
    (size_t)INCIDENT_PROJECT_COUNT_MAX * sizeof(struct incident_project);
static const size_t INCIDENTS_SIZE = (size_t)INCIDENT_SLOT_COUNT_MAX * sizeof(struct incident);

static uint32_t slots_for(const struct incident_table_config *config)
{
    return config->series_max + INCIDENT_RESERVE_MAX + config->incidents_max;
}

uint64_t incident_table_bytes(const struct incident_table_config *config)
{
    return sizeof(struct incident_table) +
           slots_for(config) * (uint64_t)sizeof(struct incident_series) +
           config->projects_max * (uint64_t)sizeof(struct incident_project) +
           config->incidents_max * (uint64_t)sizeof(struct incident) +
           INCIDENT_CHANGES_MAX * sizeof(struct incident_change) +
           slot_index_bytes(slots_for(config)) + slot_index_bytes(config->projects_max) +
           slot_index_bytes(config->incidents_max);
}

/* Of the series when every incident that can be read back has one. */
static size_t series_size(const struct incident_table_config *config)
{
    return ((size_t)config->series_max + INCIDENT_RESERVE_MAX + INCIDENT_SLOT_COUNT_MAX) *
           sizeof(struct incident_series);
}

/* What a start may read back; what is beyond the limits is not touched without need. */
MUST_USE static int reserve_all(struct incident_table *table)
{
    int r = memory_map_objects(series_size(&table->config), &table->series);

    if (r == 0)
        r = memory_map_objects(PROJECTS_SIZE, &table->projects);
    if (r == 0)
        r = memory_map_objects(INCIDENTS_SIZE, &table->incidents);
    return r;
}

int incident_table_new(const struct incident_table_config *config,
                       struct incident_table **ret_table)
{
    struct incident_table *table = calloc(1, sizeof(*table));
    int r;

    assert(config->series_max >= INCIDENT_SERIES_MIN);
    assert(config->incidents_max > 0 && config->incidents_max <= INCIDENT_SLOT_COUNT_MAX);
    assert(config->projects_max > 0 && config->projects_max <= INCIDENT_PROJECT_COUNT_MAX);
    if (table == NULL)
        return -ENOMEM;
    table->config = *config;
    table->series_slots = slots_for(config);
    rng_init_seed(&table->rng, config->seed);
    list_init(&table->free_series);
    list_init(&table->streams);
    table->incident_room = config->incidents_max;
    table->project_room = config->projects_max;
    table->changes = calloc(INCIDENT_CHANGES_MAX, sizeof(*table->changes));
    r = table->changes == NULL ? -ENOMEM : reserve_all(table);
    if (r == 0)
        r = slot_index_init(&table->series_index, table->series_slots);
    if (r == 0)
        r = slot_index_init(&table->project_index, config->projects_max);
    if (r == 0)
        r = slot_index_init(&table->incident_index, config->incidents_max);
    if (r < 0) {
        incident_table_free(&table);
        return r;
    }
    *ret_table = table;
    return 0;
}

void incident_table_free(struct incident_table **table)
{
    struct incident_table *it = *table;

    if (it == NULL)
        return;
    slot_index_deinit(&it->series_index);
    slot_index_deinit(&it->project_index);
    slot_index_deinit(&it->incident_index);
    memory_unmap_objects(it->series, series_size(&it->config));
    memory_unmap_objects(it->projects, PROJECTS_SIZE);
    memory_unmap_objects(it->incidents, INCIDENTS_SIZE);
    free(it->changes);
    free(it);
    *table = NULL;
}

/* --- the fold ---------------------------------------------------------------------- */

/* When it happened, as far as that can be: nothing comes from the future. */
static int64_t instant_of(const struct record_event *event)
{
    int64_t latest_ms = (int64_t)event->received_ms + INCIDENT_FUTURE_MS_MAX;

    return event->occurred_ms < latest_ms ? event->occurred_ms : latest_ms;
}

bool incident_table_is_late(const struct incident_table *table, const struct record_event *event)
{
    const struct incident_project *project;
    int64_t at_ms = instant_of(event);

    if (at_ms < OLDEST_MS)
        return true;
    project = incident_find_project(table, event->project);
    if (project == NULL)
        return false;
    assert(event->environment < EVENT_ENVIRONMENT_COUNT);
    return at_ms < project->streams[event->environment].newest_ms - table->config.lateness_ms;
}

/* Does what is due in the stream, as far as there is room. False: it was not enough. */
static bool step_stream(struct incident_table *table, struct incident_stream *stream)
{
    struct list_node *node = stream->watched.next, *next;
    int64_t due_ms = INT64_MAX;
    bool is_done = true;

    for (; node != &stream->watched; node = next) {
        struct incident_series *series = container_of(node, struct incident_series, watch);

        next = node->next; /* it may be watched no longer */
        if (series->due_ms <= stream->clock_ms)
            is_done &= incident_life_step(table, series, stream->clock_ms);
        if (!list_is_empty(&series->watch) && series->due_ms < due_ms)
            due_ms = series->due_ms;
    }
    stream->due_ms = due_ms;
    return is_done;
}

/* The event's instant is known to the stream. */
static void note_newest(struct incident_stream *stream, const struct record_event *event,
                        int64_t at_ms)
{
    if (at_ms < stream->newest_ms)
        return;
    stream->has_events = true;
    stream->newest_ms = at_ms;
    stream->anchor_ms = event->received_ms;
}

static void note_source(struct incident_series *series, const struct record_event *event,
                        int64_t at_ms, struct journal_location location)
{
    if (at_ms < series->last_ms)
        return;
    series->last_ms = at_ms;
    series->received_ms = event->received_ms;
    series->source = location;
}

/*
 * True when its minute has left the ring of any series already. After a restart the newest
 * events are taken all the same: a recording may leap, and what was due then be undecided.
 */
static bool is_past(const struct incident_table *table, const struct incident_stream *stream,
                    const struct record_event *event)
{
    if (minute_of(instant_of(event)) + MINUTE_RING_COUNT > minute_of(stream->clock_ms))
        return false;
    return table->is_resumed || event->received_ms + INCIDENT_RECENT_MS < table->now_ms;
}

/* What comes before its counting. INCIDENT_FOLDED, or why it does not count; NULL then. */
static enum incident_folded find_place(struct incident_table *table,
                                       const struct record_event *event,
                                       struct incident_series **ret_series)
{
    struct incident_project *project;
    bool overflows;

    *ret_series = NULL;
    if (!event_record_has_series(event))
        return INCIDENT_IGNORED;
    if (event->environment >= EVENT_ENVIRONMENT_COUNT || instant_of(event) < OLDEST_MS ||
        (event->flags & RECORD_EVENT_LATE) != 0)
        return INCIDENT_LATE;
    project = incident_get_project(table, event->project, event->partition);
    if (project == NULL)
        return INCIDENT_UNFOLDED;
    if (is_past(table, &project->streams[event->environment], event))
        return INCIDENT_LATE;
    *ret_series = incident_get_series(table, project, event, instant_of(event), &overflows);
    if (*ret_series == NULL)
        return INCIDENT_UNFOLDED;
    return overflows ? INCIDENT_OVERFLOWED : INCIDENT_FOLDED;
}

static void count_folded(struct incident_table *table, enum incident_folded folded)
{
    table->stats.folded += folded == INCIDENT_FOLDED || folded == INCIDENT_OVERFLOWED;
    table->stats.late += folded == INCIDENT_LATE;
    table->stats.overflowed += folded == INCIDENT_OVERFLOWED;
    table->stats.unfolded += folded == INCIDENT_UNFOLDED;
}

enum incident_folded incident_table_fold(struct incident_table *table,
                                         const struct record_event *event,
                                         struct journal_location location, uint64_t now_ms)
{
    struct incident_series *series;
    struct incident_stream *stream;
    enum incident_folded folded;
    int64_t at_ms;

    assert(table->is_resumed);
    assert(incident_table_has_room(table));
    table->now_ms = now_ms;
    folded = find_place(table, event, &series);
    count_folded(table, folded);
    if (series == NULL)
        return folded;
    at_ms = instant_of(event);
    stream = incident_stream_of(table, series);
    note_newest(stream, event, at_ms);
    if (at_ms > stream->clock_ms)
        stream->clock_ms = at_ms;
    if (series->what == SERIES_SIGNUPS)
        incident_watch(table, series);
    if (stream->due_ms <= stream->clock_ms) {
        if (series->due_ms <= stream->clock_ms)
            (void)incident_life_step(table, series, stream->clock_ms);
        (void)step_stream(table, stream);
    }
    if (!minute_ring_add(&series->ring, at_ms))
        return folded;
    note_source(series, event, at_ms, location);
    incident_life_on_event(table, series, at_ms);
    return folded;
}

bool incident_table_advance(struct incident_table *table, uint64_t now_ms)
{
    struct list_node *node = table->streams.next, *next;
    bool is_done = true;

    if (now_ms > table->now_ms)
        table->now_ms = now_ms;
    for (; node != &table->streams; node = next) {
        struct incident_stream *stream = container_of(node, struct incident_stream, link);

        next = node->next;
        stream->clock_ms = incident_stream_clock(stream, table->now_ms);
        if (stream->due_ms <= stream->clock_ms)
            is_done &= step_stream(table, stream);
    }
    return is_done;
}

bool incident_table_is_watching(const struct incident_table *table)
{
    return !list_is_empty(&table->streams);
}

/* --- recovery ------------------------------------------------------------------------ */

void incident_table_recover(struct incident_table *table, const struct record_event *event,
                            struct journal_location location)
{
    struct incident_series *series;
    struct incident_stream *stream;
    int64_t at_ms;

    assert(!table->is_resumed);
    if (event->received_ms > table->now_ms)
        table->now_ms = event->received_ms;
    (void)find_place(table, event, &series);
    if (series == NULL)
        return;
    at_ms = instant_of(event);
    stream = incident_stream_of(table, series);
    note_newest(stream, event, at_ms);
    if (at_ms > stream->clock_ms)
        stream->clock_ms = at_ms;
    if (minute_ring_add(&series->ring, at_ms))
        note_source(series, event, at_ms, location);
}

/* No clock is behind what its incidents know; without events left they are all there is. */
static void find_clocks(struct incident_table *table)
{
    for (uint32_t i = 0; i < table->incidents_end; i++) {
        const struct incident *incident = &table->incidents[i];
        struct incident_project *project;
        struct incident_stream *stream;

        if (!incident->is_used)
            continue;
        project = incident_get_old_project(table, incident->header.project, incident->partition);
        if (project == NULL)
            continue;
        stream = &project->streams[incident->header.environment];
        if (stream->clock_ms < incident->header.changed_ms)
            stream->clock_ms = incident->header.changed_ms;
        if (stream->has_events || stream->newest_ms >= incident->header.changed_ms)
            continue;
        stream->newest_ms = incident->header.changed_ms;
        stream->anchor_ms = incident->header.written_ms;
    }
}

/* True when the incident is over for good, or its series has a later one. */
static bool is_over(const struct incident_table *table, const struct incident *incident)
{
    const struct incident_image_header *header = &incident->header, *other;
    const struct incident_project *project = incident_find_project(table, header->project);
    const struct incident_series *series = incident_find_series(table, header->series);
    int64_t from_ms;

    if (project == NULL)
        return true;
    if (header->status != INCIDENT_RESOLVED)
        return false;
    from_ms = project->streams[header->environment].clock_ms;
    if (series != NULL && incident_life_is_recent(table, series) && series->last_ms < from_ms)
        from_ms = series->last_ms;
    if (from_ms - header->resolved_ms > (int64_t)INCIDENT_REOPEN_MINUTES_MAX * MINUTE_MS)
        return true;
    if (series == NULL || series->incident == SLOT_NONE)
        return false;
    other = &table->incidents[series->incident].header;
    return other->status != INCIDENT_RESOLVED || other->resolved_ms > header->resolved_ms;
}

/* Ties incidents that are not over to their series. */
static void attach_incidents(struct incident_table *table)
{
    for (uint32_t i = 0; i < table->incidents_end; i++)
        if (table->incidents[i].is_used && !is_over(table, &table->incidents[i]) &&
            !incident_slot_attach(table, i))
            SOMETIMES("an incident finds no series after a restart");
}

bool incident_table_resume(struct incident_table *table, uint64_t now_ms)
{
    if (!table->is_resumed) {
        table->recovered_ms = table->now_ms;
        table->now_ms = now_ms;
        table->is_resumed = true;
        find_clocks(table);
        for (uint32_t i = 0; i < table->projects_end; i++)
            for (uint32_t j = 0; j < EVENT_ENVIRONMENT_COUNT; j++)
                if (table->projects[i].streams[j].newest_ms > 0)
                    table->projects[i].streams[j].clock_ms =
                        incident_stream_clock(&table->projects[i].streams[j], now_ms);
        attach_incidents(table);
    }
    while (table->resume_series < table->series_end) {
        struct incident_series *series = &table->series[table->resume_series];

        if (!incident_table_has_room(table))
            return false;
        table->resume_series++;
        if (series->is_used)
            incident_life_catch_up(table, series);
    }
    return incident_table_advance(table, now_ms);
}

/* --- rules --------------------------------------------------------------------------- */

const struct incident_project_rules *incident_table_rules(const struct incident_table *table,
                                                          uint64_t project)
{
    const struct incident_project *found = incident_find_project(table, project);

    return found == NULL || found->rules.location.bits == 0 ? NULL : &found->rules;
}

bool incident_table_takes_rules(struct incident_table *table, uint64_t project, uint32_t partition)
{
    return incident_get_project(table, project, partition) != NULL;
}

int incident_table_apply_rules(struct incident_table *table,
                               const struct incident_rules_record *record, uint32_t partition,
                               struct journal_location location, uint32_t size)
{
    struct incident_project *project =
        table->is_resumed ? incident_get_project(table, record->project, partition)
                          : incident_get_old_project(table, record->project, partition);

    if (project == NULL)
        return -ENOSPC;
    if (record->revision < project->rules.record.revision)
        return 0;
    table->live_bytes += size;
    table->live_bytes -= project->rules.size;
    project->rules = (struct incident_project_rules){*record, location, size};
    return 0;
}

const struct incident_project_rules *incident_table_rules_up_to(const struct incident_table *table,
                                                                uint32_t *position, uint32_t log,
                                                                uint64_t seq)
{
    while (*position < table->projects_end) {
        const struct incident_project *project = &table->projects[(*position)++];

        if (project->is_used && project->rules.location.bits != 0 &&
            journal_location_log(project->rules.location) == log &&
            journal_location_seq(project->rules.location) <= seq)
            return &project->rules;
    }
    return NULL;
}

uint64_t incident_table_live_bytes(const struct incident_table *table)
{
    return table->live_bytes;
}

void incident_table_stats(const struct incident_table *table,
                          struct incident_table_stats *ret_stats)
{
    *ret_stats = table->stats;
}

/* --- invariants ------------------------------------------------------------------------ */

static void check_series(const struct incident_table *table, const struct incident_series *series,
                         uint32_t slot)
{
    const struct incident_project *project = &table->projects[series->project];

    assert(project->is_used);
    assert(slot_index_find(&table->series_index, series->key[0]) == slot);
    assert(series->environment < EVENT_ENVIRONMENT_COUNT);
    assert(series->what <= SERIES_OVERFLOW);
    if (series->incident == SLOT_NONE)
        return;
    assert(table->incidents[series->incident].is_used);
    assert(table->incidents[series->incident].series == slot);
    assert(!list_is_empty(&series->watch));
}

static uint32_t count_open(const struct incident_table *table)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->incidents_end; i++) {
        const struct incident *incident = &table->incidents[i];

        if (!incident->is_used)
            continue;
        count += incident->header.status != INCIDENT_RESOLVED;
        assert(slot_index_find(&table->incident_index, incident->header.id_low) == i);
        if (incident->series != SLOT_NONE)
            assert(table->series[incident->series].incident == i);
        assert(incident->durable_revision + incident->changes == incident->header.revision);
    }
    return count;
}

void incident_table_check(const struct incident_table *table)
{
    uint32_t used = 0, live = 0, counted = 0;

    for (uint32_t i = 0; i < table->series_end; i++)
        if (table->series[i].is_used) {
            used++;
            live += table->series[i].what == SERIES_ERRORS;
            check_series(table, &table->series[i], i);
        }
    for (uint32_t i = 0; i < table->projects_end; i++)
        counted += table->projects[i].is_used ? table->projects[i].live_count : 0;
    assert(used == table->stats.series);
    assert(used <= table->series_slots);
    assert(live == counted);
    assert(count_open(table) == table->stats.open);
    assert(table->incidents_end <= table->incident_room);
    assert(table->projects_end <= table->project_room);
    assert(table->change_end - table->change_begin <= INCIDENT_CHANGES_MAX);
}
