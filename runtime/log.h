/*
 * Log: one JSON object (or one line of text) per event, on standard error.
 *
 * Each shard formats into its own bounded buffer, which the loop hands to an
 * asynchronous write at the end of a turn: a slow reader of the log never stops
 * a shard. When the buffer is full, lines are counted as dropped and the next
 * line that fits says how many. Library floors (contracts, http, store) never
 * log an error; the supervisor logs each failure once. Never a secret, never an
 * event's payload.
 */
#pragma once

#include "runtime/base.h"
#include "runtime/clock.h"

enum { LOG_BUFFER_SIZE = 64 * 1024, LOG_LINE_SIZE_MAX = 4096 };

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

enum log_format {
    LOG_FORMAT_JSON,
    LOG_FORMAT_TEXT,
};

enum log_field_kind {
    LOG_FIELD_END,
    LOG_FIELD_TEXT,
    LOG_FIELD_NUMBER,
};

/* One key and value of a line; made by the macros below. */
struct log_field {
    enum log_field_kind kind;
    const char *key;
    struct slice text;
    int64_t number;
};

#define LOG_TEXT(key_text, value_slice)                                                            \
    ((struct log_field){LOG_FIELD_TEXT, key_text, value_slice, 0})
#define LOG_NUMBER(key_text, value)                                                                \
    ((struct log_field){LOG_FIELD_NUMBER, key_text, {NULL, 0}, (int64_t)(value)})

/* Owned by one thread. buffer, size are read by whoever writes the lines out. */
struct log {
    const struct clock *clock; /* borrowed: the line's time */
    enum log_level level;      /* lines below are dropped */
    enum log_format format;
    uint32_t size;
    uint64_t dropped_count;
    uint64_t dropped_unsaid_count;
    char buffer[LOG_BUFFER_SIZE];
};

/* An empty log. Borrows clock. */
void log_init(struct log *log, const struct clock *clock, enum log_level level,
              enum log_format format);

/*
 * Appends one line: ts, level, msg, component, then the fields up to the first
 * LOG_FIELD_END. fields may be NULL. Keys are literals of ours and are not
 * escaped; values may hold anything: bytes that are not UTF-8 become U+FFFD. A
 * line over LOG_LINE_SIZE_MAX is cut at a whole character and says "truncated".
 */
void log_line(struct log *log, enum log_level level, const char *component, const char *msg,
              const struct log_field *fields);

/* log_line() with the fields written in place after msg: LOG_NUMBER("lsn", 5), ... */
#define log_event(log_pointer, level, component, ...)                                              \
    LOG_EVENT_SPLIT(log_pointer, level, component, __VA_ARGS__, {LOG_FIELD_END, NULL, {NULL, 0}, 0})
#define LOG_EVENT_SPLIT(log_pointer, level, component, msg, ...)                                   \
    log_line(log_pointer, level, component, msg, (const struct log_field[]){__VA_ARGS__})

/* Takes whole lines, at most size bytes, out of the front of the buffer; returns the count. */
size_t log_take(struct log *log, char *data, size_t size);

/* Counts lines that were taken and then lost as dropped: the next line that fits says so. */
void log_count_lost(struct log *log, uint32_t line_count);

/* Writes whole lines, borrowed for the call, to descriptor 2 at once, blocking. */
void log_write_now(struct slice lines);

/* Writes what is buffered to descriptor 2 at once, blocking: boot, shutdown, crash. */
void log_flush_now(struct log *log);
