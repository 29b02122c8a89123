/*
 * Dead cursor: a place among the dead letters, as text for clients.
 *
 * Four hexadecimal numbers with points between them. It names a place and not a letter, so
 * a page goes on behind it whatever has become of the letter that stood there.
 */
#pragma once

#include "store/job_table.h"

enum { DEAD_CURSOR_SIZE_MAX = 4 * 16 + 3 + 1 };

/* Writes the text, which borrows buffer. */
struct slice dead_cursor_write(const struct job_dead_place *place,
                               char buffer[DEAD_CURSOR_SIZE_MAX]);

/* True when text is one. */
MUST_USE bool dead_cursor_read(struct slice text, struct job_dead_place *ret_place);
