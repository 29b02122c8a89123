/*
 * Replay event: one line of a recording made into one event to send.
 *
 * A line is a raw event as clients send it, an envelope, or a record of
 * `weir journal dump`, from which the envelope is taken. Only what must change is
 * changed: members that stay are copied byte for byte. Whether the event is valid is
 * for the server to say. Pure: no I/O, no clock, no randomness.
 *
 * An event without an event_id gets one that follows from the bytes and the number of
 * its line, so that a second replay of the same file adds nothing.
 */
#pragma once

#include "contracts/uuid.h"
#include "runtime/base.h"

enum {
    REPLAY_EVENT_SIZE_MAX = (1 << 20) + (64 << 10), /* of a line, and of what is made of it */
};

enum replay_event_result {
    REPLAY_EVENT_OK,
    REPLAY_EVENT_SKIP, /* blank, or a dumped record that is no event */
    REPLAY_EVENT_BAD,  /* the reason is in ret_event->reason */
};

/* How events are changed. */
struct replay_rewrite {
    bool new_ids;  /* ids follow from seed, line number and bytes */
    uint64_t seed; /* of new ids */
    bool shift;    /* add shift_ms to occurred_at */
    int64_t shift_ms;
};

/* One event. text borrows the line or the buffer. */
struct replay_event {
    struct slice text;
    char event_id[UUID_TEXT_SIZE]; /* as it stands in text */
    bool has_time;                 /* occurred_at can be read */
    int64_t occurred_ms;           /* as recorded, before any shift */
    bool has_arrival;              /* received_at can be read: it was recorded by a server */
    int64_t arrival_ms;
    const char *reason; /* static; for REPLAY_EVENT_BAD */
};

/*
 * Reads line number line_number (from 1) and applies rewrite. buffer holds
 * REPLAY_EVENT_SIZE_MAX bytes; all is borrowed for as long as the event is used.
 */
MUST_USE enum replay_event_result replay_event_read(struct slice line, uint64_t line_number,
                                                    const struct replay_rewrite *rewrite,
                                                    char *buffer, struct replay_event *ret_event);

/*
 * NULL when envelope, as the server gives it back, is the event that was sent as text; else the
 * name of the first member that differs, or "envelope" when it is none. Static.
 */
const char *replay_event_compare(struct slice text, struct slice envelope);
