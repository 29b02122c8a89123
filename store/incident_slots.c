#include "store/incident_table_internals.h"

#include <errno.h>

#include "runtime/sim_point.h"

/*
 * An incident's header is as decided, at once; its record follows. Whoever asks for the
 * incident meanwhile is answered when the record is on stable storage, so nobody sees what a
 * crash could take back.
 *
 * Slots of resolved incidents are kept until they expire, or their place is needed; the one
 * that was resolved first goes first. Those that a series still holds, and those with changes
 * on their way, stay.
 */

static struct incident *incident_at(const struct incident_table *table, uint32_t slot)
{
    assert(slot < table->incidents_end);
    assert(table->incidents[slot].is_used);
    return &table->incidents[slot];
}

static void forget(struct incident_table *table, uint32_t slot)
{
    struct incident *incident = incident_at(table, slot);

    assert(incident->changes == 0);
    assert(incident->series == SLOT_NONE);
    slot_index_remove(&table->incident_index, incident->header.id_low);
    table->live_bytes -= incident->size;
    table->stats.incidents--;
    table->stats.open -= incident->header.status != INCIDENT_RESOLVED;
    incident->is_used = false;
    table->is_full = false;
}

static bool may_be_forgotten(const struct incident *incident)
{
    return incident->is_used && incident->series == SLOT_NONE && incident->changes == 0 &&
           incident->header.status == INCIDENT_RESOLVED;
}

/* The oldest resolved incident that may be forgotten, or else a slot that is free; SLOT_NONE. */
static uint32_t find_oldest(const struct incident_table *table)
{
    uint32_t oldest = SLOT_NONE;

    for (uint32_t i = 0; i < table->incidents_end; i++) {
        const struct incident *incident = &table->incidents[i];

        if (!incident->is_used && table->stats.incidents < table->config.incidents_max)
            return i;
        if (may_be_forgotten(incident) &&
            (oldest == SLOT_NONE ||
             incident->header.written_ms < table->incidents[oldest].header.written_ms))
            oldest = i;
    }
    return oldest;
}

/* A free slot, if need be that of the oldest resolved incident; SLOT_NONE: all are alive. */
static uint32_t find_slot(struct incident_table *table)
{
    uint32_t slot;

    if (table->incidents_end < table->config.incidents_max)
        return table->incidents_end++;
    if (table->is_full)
        return SLOT_NONE; /* nothing has changed since all of them were looked at */
    slot = find_oldest(table);
    table->is_full = slot == SLOT_NONE;
    if (slot != SLOT_NONE && table->incidents[slot].is_used) {
        SOMETIMES("an old incident makes room");
        forget(table, slot);
    }
    return slot;
}

/*
 * A slot for an incident that was read back: those that are not resolved have been promised an
 * end, and the start before may have had larger limits, or other projects on this shard. 0,
 * -ENOMEM, or -ENOSPC.
 */
MUST_USE static int make_slot(struct incident_table *table, uint32_t *ret_slot)
{
    uint32_t more = (uint32_t)min_u64(table->incident_room,
                                      (uint64_t)INCIDENT_SLOT_COUNT_MAX - table->incident_room);
    int r = 0;

    *ret_slot = find_slot(table);
    if (*ret_slot != SLOT_NONE)
        return 0;
    SOMETIMES("a start finds more incidents than a shard remembers");
    if (table->incidents_end == table->incident_room) {
        r = more == 0 ? -ENOSPC
                      : slot_index_grow(&table->incident_index, table->incident_room + more);
        if (r == 0)
            r = slot_index_grow(&table->series_index, table->series_slots + more);
        if (r != 0)
            return r;
        table->incident_room += more;
        table->series_slots += more;
    }
    *ret_slot = table->incidents_end++;
    return 0;
}

static struct incident *begin_slot(struct incident_table *table, uint32_t slot,
                                   const struct incident_image_header *header, uint32_t partition)
{
    struct incident *incident = &table->incidents[slot];

    memset(incident, 0, sizeof(*incident));
    incident->is_used = true;
    incident->header = *header;
    incident->partition = partition;
    incident->series = SLOT_NONE;
    slot_index_add(&table->incident_index, header->id_low, slot);
    table->stats.incidents++;
    return incident;
}

uint32_t incident_slot_acquire(struct incident_table *table, struct incident_series *series)
{
    const struct incident_project *project = &table->projects[series->project];
    uint32_t slot = find_slot(table);
    struct incident_image_header header = {
        .created_ms = table->now_ms,
        .series = {series->key[0], series->key[1]},
        .project = project->hash,
        .fingerprint_version = SERIES_VERSION,
        .environment = series->environment,
        .status = INCIDENT_OPEN,
    };

    if (slot == SLOT_NONE)
        return SLOT_NONE;
    do
        header.id_low = job_id_make(table->now_ms, 0, rng_next(&table->rng)).id_low;
    while (slot_index_find(&table->incident_index, header.id_low) != SLOT_NONE);
    begin_slot(table, slot, &header, project->partition)->series =
        (uint32_t)(series - table->series);
    return slot;
}

void incident_slot_detach(struct incident_table *table, uint32_t slot)
{
    struct incident *incident = incident_at(table, slot);

    assert(incident->header.status == INCIDENT_RESOLVED);
    /* It may be over before its texts have been read: a recording is played in one go. */
    incident->source = table->series[incident->series].source;
    incident->series = SLOT_NONE;
    table->is_full = false;
}

/* --- changes ---------------------------------------------------------------------- */

void incident_push_change(struct incident_table *table, uint32_t slot, enum incident_cause cause,
                          int64_t changed_ms, bool notify, struct slice actor)
{
    struct incident *incident = incident_at(table, slot);
    struct incident_image_header *header = &incident->header;
    struct incident_change *change = &table->changes[table->change_end % INCIDENT_CHANGES_MAX];

    assert(incident_change_room(table) > 0);
    assert(actor.size <= INCIDENT_ACTOR_SIZE_MAX);
    header->cause = (uint8_t)cause;
    header->changed_ms = changed_ms;
    header->written_ms = table->now_ms;
    header->revision++;
    header->flags &= (uint8_t)~INCIDENT_FLAG_NOTIFY;
    if (notify)
        header->flags |= INCIDENT_FLAG_NOTIFY;
    incident->changes++;
    table->change_end++;
    *change = (struct incident_change){.sequence = table->change_end,
                                       .slot = slot,
                                       .header = *header,
                                       .actor_size = (uint8_t)actor.size};
    if (actor.size > 0)
        memcpy(change->actor, actor.data, actor.size);
    incident->sizes[INCIDENT_SECTION_ACTOR] = (uint16_t)actor.size;
    memcpy(incident->actor, change->actor, sizeof(incident->actor));
}

const struct incident_change *incident_table_change(const struct incident_table *table)
{
    if (table->change_begin == table->change_end)
        return NULL;
    return &table->changes[table->change_begin % INCIDENT_CHANGES_MAX];
}

void incident_table_take_change(struct incident_table *table)
{
    assert(table->change_begin < table->change_end);
    table->change_begin++;
}

uint64_t incident_table_sequence(const struct incident_table *table)
{
    return table->change_end;
}

bool incident_table_has_room(const struct incident_table *table)
{
    return incident_change_room(table) >= INCIDENT_CHANGES_PER_FOLD;
}

struct journal_location incident_table_source(const struct incident_table *table, uint32_t slot)
{
    const struct incident *incident = incident_at(table, slot);

    if (incident->series == SLOT_NONE)
        return incident->source;
    return table->series[incident->series].source;
}

bool incident_table_has_texts(const struct incident_table *table, uint32_t slot)
{
    return incident_at(table, slot)->has_texts;
}

static char *text_of(struct incident *incident, uint32_t section, size_t *ret_capacity)
{
    switch ((enum incident_section)section) {
    case INCIDENT_SECTION_ORG:
        *ret_capacity = sizeof(incident->org);
        return incident->org;
    case INCIDENT_SECTION_PROJECT:
        *ret_capacity = sizeof(incident->project);
        return incident->project;
    case INCIDENT_SECTION_FINGERPRINT:
        *ret_capacity = sizeof(incident->fingerprint);
        return incident->fingerprint;
    case INCIDENT_SECTION_TITLE:
        *ret_capacity = sizeof(incident->title);
        return incident->title;
    case INCIDENT_SECTION_ACTOR:
    case INCIDENT_SECTION_COUNT:
        break;
    }
    *ret_capacity = sizeof(incident->actor);
    return incident->actor;
}

static void set_text(struct incident *incident, uint32_t section, struct slice text)
{
    size_t capacity;
    char *at = text_of(incident, section, &capacity);

    assert(text.size <= capacity);
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    incident->sizes[section] = (uint16_t)text.size;
}

void incident_table_set_texts(struct incident_table *table, uint32_t slot,
                              const struct slice texts[INCIDENT_SECTION_COUNT])
{
    struct incident *incident = incident_at(table, slot);

    assert(!incident->has_texts);
    for (uint32_t i = 0; i < INCIDENT_SECTION_ACTOR; i++) {
        assert(texts[i].size > 0);
        set_text(incident, i, texts[i]);
    }
    incident->has_texts = true;
}

static void fill_texts(const struct incident *incident, struct incident_image *image)
{
    assert(incident->has_texts);
    for (uint32_t i = 0; i < INCIDENT_SECTION_COUNT; i++) {
        size_t capacity;

        image->sections[i].data = text_of((struct incident *)incident, i, &capacity);
        image->sections[i].size = incident->sizes[i];
    }
}

void incident_table_image(const struct incident_table *table, const struct incident_change *change,
                          struct incident_image *ret_image)
{
    ret_image->header = change->header;
    fill_texts(incident_at(table, change->slot), ret_image);
    ret_image->sections[INCIDENT_SECTION_ACTOR] = (struct slice){change->actor, change->actor_size};
}

void incident_table_current(const struct incident_table *table, uint32_t slot,
                            struct incident_image *ret_image)
{
    const struct incident *incident = incident_at(table, slot);

    ret_image->header = incident->header;
    fill_texts(incident, ret_image);
}

uint32_t incident_table_find(const struct incident_table *table, uint64_t id_low)
{
    return slot_index_find(&table->incident_index, id_low);
}

uint32_t incident_table_partition(const struct incident_table *table, uint32_t slot)
{
    return incident_at(table, slot)->partition;
}

static void set_location(struct incident_table *table, struct incident *incident,
                         struct journal_location location, uint32_t size)
{
    table->live_bytes += size;
    table->live_bytes -= incident->size;
    incident->location = location;
    incident->size = size;
}

void incident_table_written(struct incident_table *table, uint32_t slot, uint64_t revision,
                            struct journal_location location, uint32_t size)
{
    struct incident *incident = incident_at(table, slot);

    /* One that is carried forward has the revision that was durable already. */
    assert(revision >= incident->durable_revision);
    if (revision > incident->durable_revision) {
        assert(incident->changes > 0);
        incident->changes--;
    }
    incident->durable_revision = revision;
    table->is_full = false;
    set_location(table, incident, location, size);
}

void incident_table_give_up(struct incident_table *table, uint32_t slot)
{
    struct incident *incident = incident_at(table, slot);
    struct incident_series *series;

    assert(incident->changes > 0 && !incident->has_texts);
    assert(incident->durable_revision == 0);
    incident->changes = 0;
    for (uint64_t i = table->change_begin; i < table->change_end; i++)
        if (table->changes[i % INCIDENT_CHANGES_MAX].slot == slot)
            table->changes[i % INCIDENT_CHANGES_MAX].slot = SLOT_NONE;
    if (incident->series != SLOT_NONE) {
        series = &table->series[incident->series];
        assert(series->incident == slot);
        series->incident = SLOT_NONE;
        if (series->what != SERIES_SIGNUPS)
            incident_unwatch(table, series);
        incident->series = SLOT_NONE;
    }
    forget(table, slot);
}

/* --- people ----------------------------------------------------------------------- */

static struct incident *find_incident(struct incident_table *table, uint64_t id_low,
                                      uint64_t project, uint32_t *ret_slot)
{
    uint32_t slot = slot_index_find(&table->incident_index, id_low);
    struct incident *incident;

    if (slot == SLOT_NONE)
        return NULL;
    incident = incident_at(table, slot);
    /* One without a record may be gone after a crash: nobody knows its id. */
    if (incident->durable_revision == 0 || (project != 0 && incident->header.project != project))
        return NULL;
    *ret_slot = slot;
    return incident;
}

bool incident_slot_attach(struct incident_table *table, uint32_t slot)
{
    struct incident *incident = incident_at(table, slot);
    const struct incident_image_header *header = &incident->header;
    struct incident_project *project =
        incident_get_project(table, header->project, incident->partition);
    enum series_what what = header->rule == INCIDENT_RULE_SIGNUP_DROP ? SERIES_SIGNUPS
                            : header->rule == INCIDENT_RULE_OVERFLOW  ? SERIES_OVERFLOW
                                                                      : SERIES_ERRORS;
    struct incident_series *series;

    if (project == NULL)
        return false;
    series = incident_adopt_series(table, project, header->series, what,
                                   (enum event_environment)header->environment);
    if (series == NULL)
        return false;
    if (series->incident != SLOT_NONE && series->incident != slot) {
        if (table->incidents[series->incident].header.status != INCIDENT_RESOLVED)
            return false;
        incident_slot_detach(table, series->incident);
    }
    series->incident = slot;
    incident->series = (uint32_t)(series - table->series);
    incident_watch(table, series);
    return true;
}

/* How far the time of the incident's events has come. */
static int64_t clock_of(const struct incident_table *table, const struct incident *incident)
{
    const struct incident_project *project = incident_find_project(table, incident->header.project);
    int64_t clock_ms = 0;

    if (project != NULL)
        clock_ms =
            incident_stream_clock(&project->streams[incident->header.environment], table->now_ms);
    /* Nothing of it happens before it was opened, whatever became of its stream. */
    if (clock_ms < incident->header.changed_ms)
        clock_ms = incident->header.changed_ms;
    return clock_ms < incident->header.reopened_ms ? incident->header.reopened_ms : clock_ms;
}

static bool is_legal(uint8_t from, enum incident_status to)
{
    return to == INCIDENT_OPEN || from != INCIDENT_RESOLVED;
}

enum incident_moved incident_table_move(struct incident_table *table, uint64_t id_low,
                                        uint64_t project, enum incident_status status,
                                        struct slice actor, uint64_t now_ms, uint32_t *ret_slot)
{
    uint32_t slot = SLOT_NONE;
    struct incident *incident = find_incident(table, id_low, project, &slot);
    struct incident_image_header *header;
    int64_t at_ms;

    table->now_ms = now_ms;
    if (incident == NULL)
        return INCIDENT_UNKNOWN;
    header = &incident->header;
    if (header->status == status) {
        *ret_slot = slot;
        return INCIDENT_UNMOVED;
    }
    if (!incident_table_has_room(table))
        return INCIDENT_CLOGGED;
    if (!is_legal(header->status, status))
        return INCIDENT_ILLEGAL;
    if (header->status == INCIDENT_RESOLVED && !incident_slot_attach(table, slot))
        return INCIDENT_ILLEGAL; /* its series has another one by now */
    at_ms = clock_of(table, incident);
    if (status == INCIDENT_RESOLVED) {
        header->resolved_ms = at_ms;
        header->flags &= (uint8_t)~INCIDENT_FLAG_FLAPPING;
        table->stats.open--;
    } else if (header->status == INCIDENT_RESOLVED) {
        header->resolved_ms = 0;
        header->reopen_count++;
        table->stats.open++;
    }
    if (status == INCIDENT_OPEN) {
        header->reopened_ms = at_ms;
        table->series[incident->series].active_ms = at_ms;
    }
    header->status = (uint8_t)status;
    if (incident->series != SLOT_NONE)
        incident_touch(table, &table->series[incident->series]);
    incident_push_change(table, slot, INCIDENT_CAUSE_CHANGED, at_ms, true, actor);
    *ret_slot = slot;
    return INCIDENT_MOVED;
}

/* --- records ------------------------------------------------------------------------ */

int incident_table_restore(struct incident_table *table, const struct incident_image *image,
                           uint32_t partition, struct journal_location location, uint32_t size)
{
    uint32_t slot = slot_index_find(&table->incident_index, image->header.id_low);
    struct incident *incident;
    int r;

    assert(!table->is_resumed);
    if (slot == SLOT_NONE) {
        r = make_slot(table, &slot);
        if (r != 0)
            return r;
        incident = begin_slot(table, slot, &image->header, partition);
    } else {
        incident = incident_at(table, slot);
        if (image->header.revision < incident->durable_revision)
            return 0;
        table->stats.open -= incident->header.status != INCIDENT_RESOLVED;
        table->is_full = false;
    }
    incident->header = image->header;
    incident->has_texts = true;
    for (uint32_t i = 0; i < INCIDENT_SECTION_COUNT; i++)
        set_text(incident, i, image->sections[i]);
    incident->durable_revision = image->header.revision;
    set_location(table, incident, location, size);
    table->stats.open += image->header.status != INCIDENT_RESOLVED;
    return 0;
}

uint32_t incident_table_up_to(const struct incident_table *table, uint32_t slot, uint32_t log,
                              uint64_t seq)
{
    for (; slot < table->incidents_end; slot++) {
        const struct incident *incident = &table->incidents[slot];

        if (incident->is_used && incident->location.bits != 0 &&
            journal_location_log(incident->location) == log &&
            journal_location_seq(incident->location) <= seq)
            return slot;
    }
    return SLOT_NONE;
}

bool incident_table_is_changing(const struct incident_table *table, uint32_t slot)
{
    return incident_at(table, slot)->changes > 0;
}

void incident_table_expire(struct incident_table *table, uint64_t before_ms)
{
    for (uint32_t i = 0; i < table->incidents_end; i++)
        if (may_be_forgotten(&table->incidents[i]) &&
            table->incidents[i].header.written_ms < before_ms)
            forget(table, i);
}

const struct incident_image_header *incident_table_at(const struct incident_table *table,
                                                      uint32_t n)
{
    return n < table->incidents_end && table->incidents[n].is_used ? &table->incidents[n].header
                                                                   : NULL;
}
