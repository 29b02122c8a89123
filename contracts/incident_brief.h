/*
 * Incident brief: what a summary of an incident is made from.
 *
 * Read from one JSON text as the read model gives it:
 *
 *     {"incident": {...}, "events": [{...}, ...], "event_count": 812}
 *
 * with the newest of its events, newest first, and how many there are. Of the incident: id,
 * title, status, severity, environment, rule, fingerprint, opened_at, last_seen_at. Of an
 * event: occurred_at, event_type, severity, and error_code, route, status_code, which may
 * also stand in its attributes. All are taken as they come; what is missing, or of a type that
 * makes no sense, is unknown.
 * Neither an event's message nor its payload is looked at, so none of it reaches a model.
 *
 * What clients wrote is written into texts only by incident_brief_text(): cut, and with
 * control characters turned into blanks, so that a route cannot add a line to a prompt.
 * The same input gives the same brief, to the last byte.
 */
#pragma once

#include "contracts/json_reader.h"
#include "contracts/json_writer.h"
#include "runtime/base.h"

enum {
    BRIEF_EVENT_COUNT_MAX = 50,  /* more are not looked at */
    BRIEF_SAMPLE_COUNT_MAX = 10, /* events that are shown one by one */
    BRIEF_DEPTH_MAX = 512,       /* the events have been taken with less */
    BRIEF_TEXT_SIZE_MAX = 160,   /* of one value in a text */
};

/* A value and how many events have it. An absent value stands for events without one. */
struct brief_group {
    struct json_value value;
    uint32_t count;
};

/* Borrowed, any of it JSON_ABSENT. */
struct brief_event {
    struct json_value occurred_at;
    struct json_value event_type;
    struct json_value severity;
    struct json_value error_code;
    struct json_value route;
    struct json_value status_code;
};

/* Groups are sorted: more events first, then the one met first. */
struct incident_brief {
    struct json_value id; /* strings, or JSON_ABSENT */
    struct json_value title;
    struct json_value status;
    struct json_value severity;
    struct json_value environment;
    struct json_value rule;
    struct json_value fingerprint;
    struct json_value opened_at;
    struct json_value last_seen_at;
    bool has_event_total;
    uint64_t event_total;
    uint32_t event_count; /* that were looked at */
    struct brief_event events[BRIEF_EVENT_COUNT_MAX];
    const struct brief_event *first; /* by time; NULL: no event with a time */
    const struct brief_event *last;
    uint32_t code_count;
    struct brief_group codes[BRIEF_EVENT_COUNT_MAX];
    uint32_t route_count;
    struct brief_group routes[BRIEF_EVENT_COUNT_MAX];
};

/* Reads the text, which is borrowed. False when it is not such JSON. */
MUST_USE bool incident_brief_read(struct slice text, struct incident_brief *ret_brief);

/*
 * Writes the value as text, at most BRIEF_TEXT_SIZE_MAX bytes and "..." when it is longer;
 * absent stands for nothing. Verbatim, for texts that are no JSON.
 */
void incident_brief_text(const struct json_value *value, struct slice absent,
                         struct json_writer *writer);
