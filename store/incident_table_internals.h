/*
 * Incident table internals: what the files of the table share.
 *
 *     incident_table.c    memory, events and time: the fold
 *     incident_series.c   projects and series: who has a place, who goes
 *     incident_life.c     decisions: what opens, changes and ends an incident
 *     incident_slots.c    incidents, their changes and their records
 */
#pragma once

#include "runtime/list.h"
#include "runtime/rng.h"
#include "store/incident_table.h"
#include "store/slot_index.h"

/* One series. */
struct incident_series {
    uint64_t key[2];
    uint32_t project;
    uint32_t incident; /* slot of its latest one, SLOT_NONE: none that matters */
    uint8_t environment;
    uint8_t what; /* enum series_what */
    bool is_used;
    uint32_t ticked_minute;         /* the last one whose tick has been */
    int64_t due_ms;                 /* of what happens next, when it is watched */
    int64_t last_ms;                /* when its newest event happened */
    int64_t active_ms;              /* signups: the last tick at which they were missing */
    uint64_t received_ms;           /* when its newest event came, by the server's clock */
    struct journal_location source; /* where that is */
    struct list_node watch;         /* stream.watched, or free */
    struct spike_measure measure;   /* of the newest minute, as long as only that one grows */
    struct minute_ring ring;
};

/* One environment of a project. */
struct incident_stream {
    bool has_events;
    int64_t newest_ms;        /* event; 0: none yet */
    uint64_t anchor_ms;       /* when that came, by the server's clock */
    int64_t clock_ms;         /* how far time has come */
    int64_t due_ms;           /* earliest of the watched; INT64_MAX: none */
    struct list_node watched; /* series to which something may happen by itself */
    struct list_node link;    /* table.streams, when some are watched */
};

struct incident_project {
    uint64_t hash;
    bool is_used;
    uint32_t partition;
    uint32_t series_count; /* all */
    uint32_t live_count;   /* of errors */
    uint32_t new_minute;
    uint32_t new_count;    /* in new_minute */
    uint32_t swept_minute; /* when dead ones were last looked for because there were too many */
    struct incident_project_rules rules;
    struct incident_stream streams[EVENT_ENVIRONMENT_COUNT];
};

struct incident {
    struct incident_image_header header; /* as decided */
    uint32_t partition;
    bool is_used;
    bool has_texts;
    uint32_t series;                /* slot of its series, SLOT_NONE: it is over */
    uint32_t changes;               /* decided and not durable */
    struct journal_location source; /* once it is over: its series' newest event then */
    uint64_t durable_revision;      /* 0: it has no record yet */
    struct journal_location location;
    uint32_t size;
    uint16_t sizes[INCIDENT_SECTION_COUNT];
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char fingerprint[FINGERPRINT_SIZE_MAX];
    char title[INCIDENT_TITLE_SIZE_MAX];
    char actor[INCIDENT_ACTOR_SIZE_MAX]; /* of the newest change */
};

struct incident_table {
    struct incident_table_config config;
    struct rng rng;
    uint64_t now_ms;       /* the server's clock, as last heard */
    uint64_t recovered_ms; /* when the newest event of all came that was read back */
    bool is_resumed;
    bool is_catching_up;

    struct incident_series *series;
    uint32_t series_end; /* slots that have ever been used */
    uint32_t series_slots;
    struct list_node free_series;
    struct slot_index series_index;
    uint32_t hand;          /* where dead series are looked for next */
    uint32_t resume_series; /* incident_table_resume() goes on here */

    struct incident_project *projects;
    uint32_t projects_end;
    uint32_t project_room; /* places in the index */
    struct slot_index project_index;
    uint32_t last_project; /* slot that was found last: the events of a request are one project's */
    struct list_node streams;

    struct incident *incidents;
    uint32_t incidents_end;
    uint32_t incident_room; /* places in the index; for so many there are series */
    bool is_full;           /* the last look found no slot, and nothing has changed since */
    struct slot_index incident_index;
    uint64_t live_bytes;

    struct incident_change *changes; /* a ring */
    uint64_t change_begin;           /* sequence of the oldest, minus 1 */
    uint64_t change_end;             /* sequence of the newest */
    struct incident_table_stats stats;
};

/* --- incident_series.c ------------------------------------------------------------ */

/* The project, or NULL. */
struct incident_project *incident_find_project(const struct incident_table *table, uint64_t hash);

/* The project, made when need be; NULL when there are too many. */
struct incident_project *incident_get_project(struct incident_table *table, uint64_t hash,
                                              uint32_t partition);

/*
 * The same for what was durable before this start: its limit does not count. NULL when there are
 * more than can be read back, or no memory.
 */
struct incident_project *incident_get_old_project(struct incident_table *table, uint64_t hash,
                                                  uint32_t partition);

/* The rules in force for it. */
const struct incident_rules *incident_rules_of(const struct incident_project *project);

/* The series, or NULL. */
struct incident_series *incident_find_series(const struct incident_table *table,
                                             const uint64_t key[2]);

/*
 * The series of the event, or the one for all that have no place: then *ret_overflows. NULL
 * when there is no room for that either.
 */
struct incident_series *incident_get_series(struct incident_table *table,
                                            struct incident_project *project,
                                            const struct record_event *event, int64_t at_ms,
                                            bool *ret_overflows);

/* A series for an incident that was read back, whatever the limits; NULL: no memory for it. */
struct incident_series *incident_adopt_series(struct incident_table *table,
                                              struct incident_project *project,
                                              const uint64_t key[2], enum series_what what,
                                              enum event_environment environment);

/* Its stream. */
struct incident_stream *incident_stream_of(const struct incident_table *table,
                                           const struct incident_series *series);

/* Something may happen to it by itself from now on; or no more. */
void incident_watch(struct incident_table *table, struct incident_series *series);
void incident_unwatch(struct incident_table *table, struct incident_series *series);

/* Something else is due in it than was thought: looks as soon as time passes. */
void incident_touch(struct incident_table *table, struct incident_series *series);

/* Lets dead series go, up to count slots from where the last look ended. */
void incident_sweep(struct incident_table *table, uint32_t count);

/* How far the stream's clock would be at this time of the server's. */
int64_t incident_stream_clock(const struct incident_stream *stream, uint64_t now_ms);

/* --- incident_life.c ---------------------------------------------------------------- */

/* An event at at_ms has been added to the series' minutes: judges the minutes that it changes. */
void incident_life_on_event(struct incident_table *table, struct incident_series *series,
                            int64_t at_ms);

/* Does what is due in the series up to this instant. False: no room for its changes. */
bool incident_life_step(struct incident_table *table, struct incident_series *series,
                        int64_t clock_ms);

/* After a restart: true when some of its events came so late that they may be undecided. */
bool incident_life_is_recent(const struct incident_table *table,
                             const struct incident_series *series);

/* After a restart: judges the last minutes again. */
void incident_life_catch_up(struct incident_table *table, struct incident_series *series);

/* --- incident_slots.c ----------------------------------------------------------------- */

/* A new incident of the series, still to be filled; SLOT_NONE: there are too many. */
MUST_USE uint32_t incident_slot_acquire(struct incident_table *table,
                                        struct incident_series *series);

/* Queues the incident as its header is now, with one revision more. */
void incident_push_change(struct incident_table *table, uint32_t slot, enum incident_cause cause,
                          int64_t changed_ms, bool notify, struct slice actor);

/* Free places for changes. */
static inline uint64_t incident_change_room(const struct incident_table *table)
{
    return INCIDENT_CHANGES_MAX - (table->change_end - table->change_begin);
}

/*
 * Ties the incident to its series, made when need be, in the place of one that is resolved.
 * False when there is no place for it, or another incident is alive there.
 */
MUST_USE bool incident_slot_attach(struct incident_table *table, uint32_t slot);

/* The series is no more, or no longer interested. */
void incident_slot_detach(struct incident_table *table, uint32_t slot);
