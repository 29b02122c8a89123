/*
 * Replay recording: the lines of a recording, as they stand or in the order of their times.
 *
 * A recording may be larger than memory. One that is to be read twice, because its end has
 * to be known before the start, is copied into an unnamed file when it comes from a pipe.
 * To put its lines in order it is gone over once, and where each line is is kept, not the
 * lines:
 *
 *     open, keep -> next, index ... -> rewind -> next ... -> close
 */
#pragma once

#include <sys/types.h>

#include "tools/line_reader.h"
#include "tools/replay_order.h"

/* Private to replay_recording.c but for line_number and order, which may be read. */
struct replay_recording {
    int fd;               /* -1: closed */
    uint64_t line_number; /* of the line given last, from 1 */
    struct line_reader lines;
    struct replay_order order;
    off_t begin; /* where it begins in fd */
    bool is_sorted;
    size_t next;         /* in order */
    char *line;          /* the line given last, when they are sorted */
    uint64_t line_count; /* of all, since it was rewound */
};

/* A recording that is not open, for replay_recording_close(). */
void replay_recording_init(struct replay_recording *recording);

/* Opens the file at path, or standard input for "-". 0 or -errno. */
MUST_USE int replay_recording_open(struct replay_recording *recording, const char *path);

/* Makes sure that it can be rewound; before the first line is read. 0 or -errno. */
MUST_USE int replay_recording_keep(struct replay_recording *recording);

/*
 * The next line, valid until the next call: an enum line_result; or -errno, -ENODATA when a
 * file has become shorter since its lines were put in order.
 */
MUST_USE int replay_recording_next(struct replay_recording *recording, struct slice *ret_line);

/*
 * Notes the line given last, which is line, for the order; has_time tells whether unix_ms
 * holds. 0 or -errno, as replay_order_add().
 */
MUST_USE int replay_recording_index(struct replay_recording *recording, struct slice line,
                                    bool has_time, int64_t unix_ms);

/*
 * After LINE_END: begins again, by_time with the lines that were noted, in the order of their
 * times. Only of what replay_recording_keep() was asked for. 0 or -errno.
 */
MUST_USE int replay_recording_rewind(struct replay_recording *recording, bool by_time);

/* How many lines it has, of those that were read; by time, all. */
uint64_t replay_recording_line_count(const struct replay_recording *recording);

/* Closes it and frees what it holds; also one that is not open. */
void replay_recording_close(struct replay_recording *recording);
