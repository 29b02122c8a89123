/*
 * Incident fixture: a table, the events and records that would be in the logs, and a crash
 * that leaves nothing but those.
 */
#pragma once

#include "store/incident_table.h"

enum {
    FIXTURE_EVENTS_MAX = 200000,
    FIXTURE_INCIDENTS_MAX = 4096,
    FIXTURE_CHANGES_MAX = 20000,
};

/* What one change said, in the order of the log. */
struct fixture_change {
    struct incident_image_header header;
};

struct incident_fixture {
    struct incident_table *table;
    struct incident_table_config config;
    struct incident_rules rules;
    uint64_t rules_project; /* 0: nobody has rules of its own */
    uint64_t now_ms;
    struct record_event *events; /* all that are durable, with their LATE marks */
    uint32_t event_count;
    struct incident_image_header *records; /* the newest durable one of each incident */
    uint32_t record_count;
    struct fixture_change *changes;
    uint32_t change_count;
};

/* 2025-01-15T12:00:00Z, the beginning of a minute. */
extern const int64_t FIXTURE_NOON_MS;

/* A table with the product's limits, or those set in config before. */
void fixture_begin(struct incident_fixture *fixture);
void fixture_end(struct incident_fixture *fixture);

/* An error or signup of a series, not folded yet. number > 0 tells series apart. */
struct record_event fixture_error(int64_t at_ms, uint64_t project, uint64_t number);
struct record_event fixture_signup(int64_t at_ms, uint64_t project);

/*
 * As the server does it: judged, durable, folded, and what it leads to written. received_ms of
 * 0 stands for: as it happens. Returns what became of it.
 */
enum incident_folded fixture_send(struct incident_fixture *fixture, struct record_event event);

/* The same, but the process dies before it has written what that leads to. */
void fixture_send_and_crash(struct incident_fixture *fixture, struct record_event event);

/* count errors of one series, evenly from from_ms up to before to_ms. */
void fixture_errors(struct incident_fixture *fixture, int64_t from_ms, int64_t to_ms,
                    uint32_t count, uint64_t number);
void fixture_signups(struct incident_fixture *fixture, int64_t from_ms, int64_t to_ms,
                     uint32_t count);

/* The server's time passes, without events. */
void fixture_pass(struct incident_fixture *fixture, uint64_t now_ms);

/* Writes all changes that have been decided. */
void fixture_write(struct incident_fixture *fixture);

/* The process dies and starts again; what was not written is lost. */
void fixture_crash(struct incident_fixture *fixture);

/* The n-th incident that ever opened, or NULL. */
const struct incident_image_header *fixture_incident(const struct incident_fixture *fixture,
                                                     uint32_t n);

/* How many changes had this cause. */
uint32_t fixture_count(const struct incident_fixture *fixture, enum incident_cause cause);

/* How many changes are to be told to somebody. */
uint32_t fixture_count_notified(const struct incident_fixture *fixture);
