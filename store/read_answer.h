/*
 * Read answer: the JSON that a query's answer is, and the cursors between its pages.
 *
 * Used by every backend. A page that does not fit the answer is cut after a whole row and
 * goes on behind it:
 *
 *     read_answer_begin(&answer, query);
 *     json_writer_key(&answer.writer, SLICE_LITERAL("incidents"));
 *     json_writer_begin_array(&answer.writer);
 *     while (there is a row, at most query->limit) {
 *         write_row(&answer.writer, ...);
 *         if (!read_answer_keep_row(&answer)) { cut; break; }
 *     }
 *     read_answer_end_rows(&answer, there is more ? &cursor of the last row kept : NULL);
 *     return read_answer_finish(&answer);
 */
#pragma once

#include "contracts/json_writer.h"
#include "store/read_model.h"

enum {
    READ_CURSOR_WORD_COUNT = CURSOR_WORD_COUNT,
    READ_ANSWER_RESERVE = 512, /* kept for what follows the rows */
};

/* One answer being written. writer is the caller's to write with. */
struct read_answer {
    struct json_writer writer;
    struct json_writer kept; /* as it was after the last row that fits */
    struct read_query *query;
    uint32_t row_count; /* kept so far */
};

/* A place among the rows of one query: what the rows are sorted by, in order. */
struct read_cursor {
    uint64_t words[READ_CURSOR_WORD_COUNT];
};

enum read_cursor_result {
    READ_CURSOR_NONE,  /* the query has none: the first page */
    READ_CURSOR_GIVEN, /* go on behind it */
    READ_CURSOR_BAD,   /* not one of such a query */
};

/* Opens the answer's object. Rows may then be written, a reserve stays free. */
void read_answer_begin(struct read_answer *answer, struct read_query *query);

/* The rows come next: what was written so far stays even when no row fits. */
void read_answer_begin_rows(struct read_answer *answer, struct slice name);

/* True when the row that was just written fits; else takes it back: the page ends before it. */
MUST_USE bool read_answer_keep_row(struct read_answer *answer);

/* Closes the rows and writes next_cursor; NULL: there is no further page. */
void read_answer_end_rows(struct read_answer *answer, const struct read_cursor *next);

/* Writes a cursor as the member name, or null. */
void read_answer_cursor(struct read_answer *answer, struct slice name,
                        const struct read_cursor *next);

/* Frees the reserve for what else is to be written after the rows. */
void read_answer_use_reserve(struct read_answer *answer);

/* Closes the object and sets query->answer_size. READ_OK, or READ_TOO_BIG. */
MUST_USE enum read_result read_answer_finish(struct read_answer *answer);

/* Reads the query's cursor. */
MUST_USE enum read_cursor_result read_cursor_read(const struct read_query *query,
                                                  struct read_cursor *ret_cursor);
