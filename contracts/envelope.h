/*
 * Envelope: the canonical form in which an event is stored and passed on.
 *
 *     {"schema_version":"1.0","event_id":...,"occurred_at":...,"received_at":...,
 *      "org_id":...,"project_id":...,"environment":...,"event_type":...,
 *      "severity":...,"message":...,"attributes":{...},"payload":{...}}
 *
 * always with all members, in this order, without white space between them. Message,
 * attributes, payload and occurred_at are the sender's bytes.
 */
#pragma once

#include "contracts/json_writer.h"
#include "contracts/raw_event.h"
#include "runtime/base.h"

/* What the server adds to a raw event. Everything borrowed. */
struct envelope_stamp {
    struct slice org_id;     /* text, not JSON */
    struct slice project_id; /* text, not JSON */
    const char *event_id;    /* UUID_TEXT_SIZE bytes: the event's own or a new one */
    int64_t received_ms;
};

/* An upper bound for what envelope_write() writes, no more than 6 times the ids' sizes off. */
MUST_USE size_t envelope_size_max(const struct raw_event *event,
                                  const struct envelope_stamp *stamp);

/* Writes the envelope as one value, borrowing all that event and stamp refer to. */
void envelope_write(const struct raw_event *event, const struct envelope_stamp *stamp,
                    struct json_writer *writer);

/* A stored envelope, read back; borrows from its text. */
struct envelope {
    struct raw_event event;   /* event.event_id is always there */
    struct json_value org_id; /* strings; json_string_text() gives their text */
    struct json_value project_id;
    struct slice received_at; /* without quotes */
    int64_t received_ms;
};

/*
 * False when text is not an envelope; since only envelopes are stored, that means
 * damage, or a text from elsewhere.
 */
MUST_USE bool envelope_read(struct slice text, struct envelope *ret_envelope);
