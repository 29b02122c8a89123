/*
 * Line reader: the lines of a file or pipe, one at a time, in bounded memory.
 *
 * A line ends with LF; a CR before it is not part of it; the last line may end with
 * the file. A line that is too long is passed over and reported, so that one
 * damaged line does not end the whole run.
 */
#pragma once

#include "runtime/base.h"

enum line_result {
    LINE_OK,
    LINE_TOO_LONG, /* passed over */
    LINE_END,
};

/* Private to line_reader.c but for line_number and line_offset. */
struct line_reader {
    int fd;
    uint64_t line_number; /* of the line given last, from 1 */
    uint64_t line_offset; /* where it begins, from where reading began */
    uint64_t base;        /* likewise of the first byte of data */
    char *data;
    size_t capacity;
    size_t start; /* of what is not given out yet */
    size_t end;
    size_t searched; /* no LF between start and here */
    bool at_end;
};

/* For lines of at most line_size_max bytes. Borrows fd. 0 or -ENOMEM. */
MUST_USE int line_reader_init(struct line_reader *reader, int fd, size_t line_size_max);

/* Frees the buffer; the descriptor stays open. */
void line_reader_deinit(struct line_reader *reader);

/* Starts over with line 1 of a descriptor that was moved back to its start. */
void line_reader_restart(struct line_reader *reader);

/*
 * Gives the next line without its end, valid until the next call. An enum line_result,
 * or -errno when reading fails.
 */
MUST_USE int line_reader_next(struct line_reader *reader, struct slice *ret_line);
