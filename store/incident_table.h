/*
 * Incident table: the series of all projects of a shard, and what is wrong with them.
 *
 * One series for each (project, environment, rule, fingerprint), see contracts/series.h: its
 * minutes, and at most one incident that is not over. It takes events in (the fold), decides
 * (store/incident_verdict.h), and queues what it has decided as changes, whose records the
 * caller writes in their order. No I/O, no allocation after start, no clock of its own.
 *
 *     event --fold--> minutes --judge--> change: OPENED, REOPENED, ESCALATED
 *     time passes ----------- tick ----> change: AUTO_RESOLVED, FLAPPING, SETTLED, SEEN, or OPENED
 *     a person ----------------------->  change: CHANGED
 *
 *              +--------------------- CHANGED -------------------+
 *              v                                                 |
 *     none -> OPEN <--CHANGED--> INVESTIGATING --CHANGED--> RESOLVED
 *              |  ^                                           ^
 *              |  +-- REOPENED, within reopen_minutes --------+
 *              +----- AUTO_RESOLVED after resolve_minutes ----+
 *
 * Time is that of the events. The clock of a stream (a project's environment) is the newest
 * instant at which one of its events happened, never more than a minute beyond when it was
 * received; when nothing comes it goes on as the server's clock does. So what is due at an
 * instant happens at that instant, and a recording that is played faster, or in one go, leads
 * to the same incidents with the same times in them.
 *
 * After a restart the minutes are folded again from the events in the logs, in any order, and
 * the incidents come from their own records. What had been decided, but was not on stable
 * storage, is decided again from the minutes of the last half hour: to the minute, if not to
 * the millisecond.
 *
 * Memory is bounded: series_max in all, a number of live ones per project, and of new ones per
 * minute. Errors beyond that are counted together, in one series per environment that has an
 * incident of its own; nothing is lost but the distinction. Bounds decide about what is new: a
 * start reads back every incident that is not resolved, and all rules.
 */
#pragma once

#include "store/event_record.h"
#include "store/incident_verdict.h"
#include "store/segment.h"

enum {
    INCIDENT_SLOT_COUNT_MAX = 1000000,  /* of a shard, read back: more than any admits */
    INCIDENT_PROJECT_COUNT_MAX = 65536, /* the same for projects */
    INCIDENT_SERIES_MIN = 1024,         /* least series_max of a shard */
    INCIDENT_RESERVE_MAX = 256,         /* series beyond series_max, for overflow and signups */
    INCIDENT_CHANGES_MAX = 1024,        /* decided and not taken yet */
    INCIDENT_CHANGES_PER_FOLD = 128,    /* at most; so many must be free */
    INCIDENT_FUTURE_MS_MAX = 60000,     /* an event is never later than that after it came */
    INCIDENT_CLOCK_GRACE_MS = 500,      /* an idle stream's clock is that much behind */
    INCIDENT_JUMP_MINUTES_MAX =
        256,                        /* ticks after a leap; then nothing is left that could happen */
    INCIDENT_CATCH_UP_MINUTES = 31, /* that are judged again after a restart */
    INCIDENT_RECENT_MS = 600000,    /* what came so long before it may have been undecided */
};

struct incident_table;

/* How large it is. */
struct incident_table_config {
    const uint8_t *hash_key; /* SIPHASH_KEY_SIZE bytes; borrowed for its life */
    uint32_t series_max;     /* INCIDENT_SERIES_MIN or more */
    uint32_t incidents_max;  /* open and resolved ones that are remembered */
    uint32_t projects_max;
    uint32_t live_max;    /* series per project with an event in their minutes */
    uint32_t new_max;     /* of these, new ones in a minute */
    uint32_t lateness_ms; /* behind the newest event: older ones do not count */
    uint64_t seed;        /* of the ids */
};

/* What became of an event. */
enum incident_folded {
    INCIDENT_FOLDED,
    INCIDENT_IGNORED,    /* its type belongs to no series */
    INCIDENT_LATE,       /* it was marked so, or is older than the minutes reach */
    INCIDENT_OVERFLOWED, /* counted with all others that found no place */
    INCIDENT_UNFOLDED,   /* there is no place for that either */
};

/* One decision, with the incident as it is then. */
struct incident_change {
    uint64_t sequence; /* 1 and up */
    uint32_t slot;     /* of the incident; SLOT_NONE: it has been given up, nothing is to be done */
    struct incident_image_header header;
    uint8_t actor_size;
    char actor[INCIDENT_ACTOR_SIZE_MAX];
};

/* What became of a wish of a person. */
enum incident_moved {
    INCIDENT_MOVED,
    INCIDENT_UNMOVED, /* it has that status already */
    INCIDENT_UNKNOWN, /* there is no such incident in this project */
    INCIDENT_ILLEGAL, /* not from its present status */
    INCIDENT_CLOGGED, /* no room for a change just now */
};

/* Levels and totals, as shown: see actors/incident_metrics.c. */
struct incident_table_stats {
    uint32_t series;
    uint32_t projects;
    uint32_t incidents; /* remembered */
    uint32_t open;      /* that are not resolved */
    uint64_t folded;
    uint64_t late;
    uint64_t overflowed;
    uint64_t unfolded;
    uint64_t refused; /* incidents that found no slot: decided again with the next event */
};

/* The rules of a project, with where they stand. */
struct incident_project_rules {
    struct incident_rules_record record;
    struct journal_location location; /* NONE: never written, and record is the default */
    uint32_t size;
};

/* Reserves all memory. 0 or -errno. Start-up only. */
MUST_USE int incident_table_new(const struct incident_table_config *config,
                                struct incident_table **ret_table);

/* Frees and nulls; accepts NULL. */
void incident_table_free(struct incident_table **table);

/* Bytes that what is admitted takes. */
uint64_t incident_table_bytes(const struct incident_table_config *config);

/* --- events and time ------------------------------------------------------------ */

/* True when the event is so far behind the newest of its stream that it must not count. */
MUST_USE bool incident_table_is_late(const struct incident_table *table,
                                     const struct record_event *event);

/* True when there is room for what folding one event may lead to. */
MUST_USE bool incident_table_has_room(const struct incident_table *table);

/*
 * Counts a durable event and decides; needs room. now_ms is the server's clock, and location
 * where the event's record is.
 */
enum incident_folded incident_table_fold(struct incident_table *table,
                                         const struct record_event *event,
                                         struct journal_location location, uint64_t now_ms);

/* Time has passed: does what is due. False when the changes found no room: again, later. */
bool incident_table_advance(struct incident_table *table, uint64_t now_ms);

/* True when there is a series to which something may happen by itself. */
bool incident_table_is_watching(const struct incident_table *table);

/* --- changes -------------------------------------------------------------------- */

/* The oldest change that was not taken, or NULL. Valid until incident_table_take_change(). */
const struct incident_change *incident_table_change(const struct incident_table *table);

/* The oldest change is on its way into the log. */
void incident_table_take_change(struct incident_table *table);

/* How many changes have been decided: the sequence of the newest. */
uint64_t incident_table_sequence(const struct incident_table *table);

/* Where the newest event of the incident's series is. */
struct journal_location incident_table_source(const struct incident_table *table, uint32_t slot);

/* True when the texts of the incident are known: they are read once, when it opens. */
MUST_USE bool incident_table_has_texts(const struct incident_table *table, uint32_t slot);

/* Sets its texts: organisation, project, fingerprint, title. */
void incident_table_set_texts(struct incident_table *table, uint32_t slot,
                              const struct slice texts[INCIDENT_SECTION_COUNT]);

/* The image of a change of an incident with texts; borrows from both. */
void incident_table_image(const struct incident_table *table, const struct incident_change *change,
                          struct incident_image *ret_image);

/* The image of the incident as it is now, which must have texts; borrowed from the table. */
void incident_table_current(const struct incident_table *table, uint32_t slot,
                            struct incident_image *ret_image);

/* The slot of the incident with this id, or SLOT_NONE. */
MUST_USE uint32_t incident_table_find(const struct incident_table *table, uint64_t id_low);

/* The partition of the incident's project. */
uint32_t incident_table_partition(const struct incident_table *table, uint32_t slot);

/* A record of the incident is durable, with this revision. */
void incident_table_written(struct incident_table *table, uint32_t slot, uint64_t revision,
                            struct journal_location location, uint32_t size);

/*
 * The first change of an incident, which was taken, cannot be written, since its texts will never
 * be known: the incident is forgotten, and with it all that was decided about it since.
 */
void incident_table_give_up(struct incident_table *table, uint32_t slot);

/* --- people --------------------------------------------------------------------- */

/*
 * Changes the status of the incident with this id, in this project. INCIDENT_MOVED: *ret_slot,
 * and a change is queued whose sequence is incident_table_sequence(). INCIDENT_UNMOVED sets
 * *ret_slot, too. actor may be empty.
 */
MUST_USE enum incident_moved incident_table_move(struct incident_table *table, uint64_t id_low,
                                                 uint64_t project, enum incident_status status,
                                                 struct slice actor, uint64_t now_ms,
                                                 uint32_t *ret_slot);

/* The rules of a project: its own, or the default. NULL when they never were set. */
const struct incident_project_rules *incident_table_rules(const struct incident_table *table,
                                                          uint64_t project);

/* --- records ---------------------------------------------------------------------- */

/*
 * Rules are durable, or read back; an older revision changes nothing. 0, -ENOMEM, or -ENOSPC
 * when more projects have rules than can be read back.
 */
MUST_USE int incident_table_apply_rules(struct incident_table *table,
                                        const struct incident_rules_record *record,
                                        uint32_t partition, struct journal_location location,
                                        uint32_t size);

/* True when rules of this project would find a place. */
MUST_USE bool incident_table_takes_rules(struct incident_table *table, uint64_t project,
                                         uint32_t partition);

/*
 * Recovery: an incident as read back; of two with the same id the later revision stays. 0,
 * -ENOMEM, or -ENOSPC when there are more than can be read back.
 */
MUST_USE int incident_table_restore(struct incident_table *table,
                                    const struct incident_image *image, uint32_t partition,
                                    struct journal_location location, uint32_t size);

/* Recovery: counts an event, in whatever order they come, and decides nothing. */
void incident_table_recover(struct incident_table *table, const struct record_event *event,
                            struct journal_location location);

/*
 * After recovery: decides what should have been decided. False when the changes found no room:
 * take some, and call it again.
 */
MUST_USE bool incident_table_resume(struct incident_table *table, uint64_t now_ms);

/*
 * The next incident from slot on whose newest record is in the log's segments up to seq, or
 * SLOT_NONE.
 */
MUST_USE uint32_t incident_table_up_to(const struct incident_table *table, uint32_t slot,
                                       uint32_t log, uint64_t seq);

/* True while changes of it are on their way: its record will be elsewhere soon. */
MUST_USE bool incident_table_is_changing(const struct incident_table *table, uint32_t slot);

/* The next project from *position on whose rules are there, or NULL. */
const struct incident_project_rules *incident_table_rules_up_to(const struct incident_table *table,
                                                                uint32_t *position, uint32_t log,
                                                                uint64_t seq);

/* Forgets incidents that were resolved before this instant, by the server's clock. */
void incident_table_expire(struct incident_table *table, uint64_t before_ms);

/* Bytes of the records that are still needed. */
uint64_t incident_table_live_bytes(const struct incident_table *table);

/* Levels and totals. */
void incident_table_stats(const struct incident_table *table,
                          struct incident_table_stats *ret_stats);

/* The n-th slot's header for tests and tools, NULL when it is free. */
const struct incident_image_header *incident_table_at(const struct incident_table *table,
                                                      uint32_t n);

/* Checks all invariants; aborts when one is broken. Slow: for tests. */
void incident_table_check(const struct incident_table *table);
