/*
 * Batch: walks a body that holds many events, one at a time.
 *
 * The reader never knows in advance whether the body is sound to its end; a caller
 * that takes all or nothing keeps what it read until BATCH_END.
 *
 *     batch_init(&batch, body, BATCH_OBJECT, limits);
 *     while ((r = batch_next(&batch, &issues)) == BATCH_EVENT)
 *         switch (batch_read_event(&batch, &issues, &event)) ...
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "contracts/raw_event.h"
#include "runtime/base.h"

enum batch_format {
    BATCH_OBJECT, /* {"events":[...]}; other members are checked and dropped */
    BATCH_ARRAY,  /* [...] */
    BATCH_LINES,  /* NDJSON: one value per line, LF or CRLF; blank lines are skipped */
};

enum batch_result {
    BATCH_EVENT,     /* batch->reader is at the value of event number batch_index() */
    BATCH_END,       /* the body ended well and held at least one event */
    BATCH_INVALID,   /* the body is not such a batch; issues were added */
    BATCH_TRUNCATED, /* the reader's JSON_TRUNCATED */
    BATCH_BAD_JSON,  /* the reader's JSON_BAD */
};

struct batch_limits {
    uint32_t event_count_max; /* at least 1 */
    uint32_t depth_max;       /* for each event; at most JSON_DEPTH_MAX - 2 */
};

enum batch_position { BATCH_AT_START, BATCH_IN_OBJECT, BATCH_IN_ARRAY, BATCH_AT_END };

/* Private to batch.c, except that the reader is used to read an event. */
struct batch {
    struct json_reader reader;
    struct slice body;
    struct batch_limits limits;
    enum batch_format format;
    uint32_t event_count;
    size_t line_next; /* BATCH_LINES: where the next line begins */
    enum batch_position position;
    bool has_events;
    bool is_invalid;
};

/* Borrows body while the batch and what is read from it are used. */
void batch_init(struct batch *batch, struct slice body, enum batch_format format,
                struct batch_limits limits);

/*
 * Moves to the next event, whose value must be consumed before the next call. After
 * any other result than BATCH_EVENT the batch is over; BATCH_INVALID comes only at
 * the end, so text that is not JSON is reported as that (of lines beyond the
 * limit nothing is read).
 */
MUST_USE enum batch_result batch_next(struct batch *batch, struct issue_list *issues);

/*
 * Reads the event that batch_next() announced. With BATCH_LINES, text behind the
 * value is RAW_EVENT_BAD_JSON, and even after that batch_next() goes on with the
 * following line; with the other formats such a result ends the batch.
 */
MUST_USE enum raw_event_result batch_read_event(struct batch *batch, struct issue_list *issues,
                                                struct raw_event *ret_event);

/* The place of the present event, from 0. */
uint32_t batch_index(const struct batch *batch);

/* The array_key with which issues of this batch are written: "events" or empty. */
struct slice batch_array_key(const struct batch *batch);
