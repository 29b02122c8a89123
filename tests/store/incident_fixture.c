#include "tests/store/incident_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "contracts/siphash.h"

/*
 * The logs are two arrays: all events with their marks, and the newest record of each incident.
 * A crash throws the table away and makes it again from them; events are read back as recovery
 * reads logs, one log after the other, so their order is not that in which they came.
 */

const int64_t FIXTURE_NOON_MS = INT64_C(1736942400000);

static const uint8_t HASH_KEY[SIPHASH_KEY_SIZE] = {1};

static struct incident_table *make_table(struct incident_fixture *fixture)
{
    struct incident_table *table;
    int r = incident_table_new(&fixture->config, &table);

    assert(r == 0);
    return table;
}

static void apply_rules(struct incident_fixture *fixture)
{
    struct incident_rules_record record = {
        .revision = 1, .project = fixture->rules_project, .rules = fixture->rules};
    int r;

    if (fixture->rules_project == 0)
        return;
    assert(incident_rules_are_valid(&record.rules));
    r = incident_table_apply_rules(fixture->table, &record, 3, journal_location_make(0, 1, 8), 100);
    assert(r == 0);
}

void fixture_begin(struct incident_fixture *fixture)
{
    struct incident_table_config *config = &fixture->config;

    config->hash_key = HASH_KEY;
    config->series_max = config->series_max == 0 ? 20000 : config->series_max;
    config->incidents_max = config->incidents_max == 0 ? 512 : config->incidents_max;
    config->projects_max = config->projects_max == 0 ? 64 : config->projects_max;
    config->live_max = config->live_max == 0 ? 10000 : config->live_max;
    config->new_max = config->new_max == 0 ? 100 : config->new_max;
    config->lateness_ms = 5 * 60000;
    config->seed = 7;
    fixture->events = calloc(FIXTURE_EVENTS_MAX, sizeof(*fixture->events));
    fixture->records = calloc(FIXTURE_INCIDENTS_MAX, sizeof(*fixture->records));
    fixture->changes = calloc(FIXTURE_CHANGES_MAX, sizeof(*fixture->changes));
    fixture->table = make_table(fixture);
    apply_rules(fixture);
    assert(incident_table_resume(fixture->table, 1));
}

void fixture_end(struct incident_fixture *fixture)
{
    incident_table_check(fixture->table);
    incident_table_free(&fixture->table);
    free(fixture->events);
    free(fixture->records);
    free(fixture->changes);
}

struct record_event fixture_error(int64_t at_ms, uint64_t project, uint64_t number)
{
    return (struct record_event){.event_type = EVENT_TYPE_ERROR,
                                 .environment = EVENT_ENVIRONMENT_PROD,
                                 .severity = EVENT_SEVERITY_ERROR,
                                 .occurred_ms = at_ms,
                                 .project = project,
                                 .partition = 3,
                                 .series = {number * 0x9e3779b97f4a7c15 + project, number}};
}

struct record_event fixture_signup(int64_t at_ms, uint64_t project)
{
    struct record_event event = fixture_error(at_ms, project, 1000000);

    event.event_type = EVENT_TYPE_SIGNUP;
    return event;
}

static void note_record(struct incident_fixture *fixture,
                        const struct incident_image_header *header)
{
    uint32_t i = 0;

    while (i < fixture->record_count && fixture->records[i].id_low != header->id_low)
        i++;
    assert(i < FIXTURE_INCIDENTS_MAX);
    fixture->record_count += i == fixture->record_count;
    fixture->records[i] = *header;
    assert(fixture->change_count < FIXTURE_CHANGES_MAX);
    fixture->changes[fixture->change_count++].header = *header;
}

void fixture_write(struct incident_fixture *fixture)
{
    static const struct slice TEXTS[INCIDENT_SECTION_COUNT] = {
        [INCIDENT_SECTION_ORG] = SLICE_INITIALIZER("org"),
        [INCIDENT_SECTION_PROJECT] = SLICE_INITIALIZER("project"),
        [INCIDENT_SECTION_FINGERPRINT] = SLICE_INITIALIZER("a|b|prod"),
        [INCIDENT_SECTION_TITLE] = SLICE_INITIALIZER("title"),
    };
    const struct incident_change *change;

    while ((change = incident_table_change(fixture->table)) != NULL) {
        if (!incident_table_has_texts(fixture->table, change->slot))
            incident_table_set_texts(fixture->table, change->slot, TEXTS);
        note_record(fixture, &change->header);
        incident_table_written(fixture->table, change->slot, change->header.revision,
                               journal_location_make(0, 1, 8), 100);
        incident_table_take_change(fixture->table);
    }
}

static void advance(struct incident_fixture *fixture)
{
    while (!incident_table_advance(fixture->table, fixture->now_ms))
        fixture_write(fixture);
    fixture_write(fixture);
}

static enum incident_folded fold(struct incident_fixture *fixture, struct record_event event)
{

    if (event.received_ms == 0)
        event.received_ms = (uint64_t)event.occurred_ms;
    if (event.received_ms > fixture->now_ms)
        fixture->now_ms = event.received_ms;
    if (incident_table_is_late(fixture->table, &event))
        event.flags |= RECORD_EVENT_LATE;
    assert(fixture->event_count < FIXTURE_EVENTS_MAX);
    fixture->events[fixture->event_count++] = event;
    return incident_table_fold(fixture->table, &event,
                               journal_location_make(0, 1, 8 * (uint64_t)fixture->event_count),
                               fixture->now_ms);
}

enum incident_folded fixture_send(struct incident_fixture *fixture, struct record_event event)
{
    enum incident_folded folded = fold(fixture, event);

    fixture_write(fixture);
    return folded;
}

void fixture_send_and_crash(struct incident_fixture *fixture, struct record_event event)
{
    (void)fold(fixture, event);
    fixture_crash(fixture);
}

void fixture_errors(struct incident_fixture *fixture, int64_t from_ms, int64_t to_ms,
                    uint32_t count, uint64_t number)
{
    for (uint32_t i = 0; i < count; i++)
        fixture_send(fixture, fixture_error(from_ms + (to_ms - from_ms) * i / count, 1, number));
}

void fixture_signups(struct incident_fixture *fixture, int64_t from_ms, int64_t to_ms,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fixture_send(fixture, fixture_signup(from_ms + (to_ms - from_ms) * i / count, 1));
}

void fixture_pass(struct incident_fixture *fixture, uint64_t now_ms)
{
    fixture->now_ms = now_ms;
    advance(fixture);
}

static void restore(struct incident_fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        struct incident_image image = {.header = fixture->records[i],
                                       .sections = {SLICE_LITERAL("org"), SLICE_LITERAL("project"),
                                                    SLICE_LITERAL("a|b|prod"),
                                                    SLICE_LITERAL("title")}};
        int r =
            incident_table_restore(fixture->table, &image, 3, journal_location_make(0, 1, 8), 100);

        assert(r == 0);
    }
}

void fixture_crash(struct incident_fixture *fixture)
{
    incident_table_free(&fixture->table);
    fixture->table = make_table(fixture);
    apply_rules(fixture);
    restore(fixture);
    /* Two logs, one after the other, as recovery reads them. */
    for (uint32_t log = 0; log < 2; log++)
        for (uint32_t i = 0; i < fixture->event_count; i++)
            if ((i / 3) % 2 == log)
                incident_table_recover(fixture->table, &fixture->events[i],
                                       journal_location_make(0, 1, 8 * ((uint64_t)i + 1)));
    while (!incident_table_resume(fixture->table, fixture->now_ms))
        fixture_write(fixture);
    fixture_write(fixture);
    incident_table_check(fixture->table);
}

const struct incident_image_header *fixture_incident(const struct incident_fixture *fixture,
                                                     uint32_t n)
{
    return n < fixture->record_count ? &fixture->records[n] : NULL;
}

uint32_t fixture_count(const struct incident_fixture *fixture, enum incident_cause cause)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fixture->change_count; i++)
        count += fixture->changes[i].header.cause == cause;
    return count;
}

uint32_t fixture_count_notified(const struct incident_fixture *fixture)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fixture->change_count; i++)
        count += (fixture->changes[i].header.flags & INCIDENT_FLAG_NOTIFY) != 0;
    return count;
}
