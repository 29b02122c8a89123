/*
 * Cursor: a place in a list, as opaque text for clients.
 *
 *     base64url( word 0 | word 1 | word 2 | word 3 | tag )    5 * 8 bytes, little-endian
 *
 * The words are what the list is sorted by, an id last, so that it names a place and not a
 * row: a page goes on behind it whatever has come or gone meanwhile. The tag is a keyed hash
 * over the words and over what was asked for, so a cursor that was made up, changed, or taken
 * from a list with another filter is refused instead of showing something odd. It gives no
 * right to anything: whose rows are shown is decided by the key of each request.
 */
#pragma once

#include "contracts/siphash.h"
#include "runtime/base.h"

enum {
    CURSOR_WORD_COUNT = 4,
    CURSOR_TEXT_SIZE = 54, /* of every cursor */
};

/* What a cursor is good for. */
struct cursor_seal {
    uint8_t key[SIPHASH_KEY_SIZE]; /* the server's secret */
    uint64_t filter;               /* a hash of the list and of all that was asked for */
};

/* The place. What a list does not need is 0. */
struct cursor {
    uint64_t words[CURSOR_WORD_COUNT];
};

/* Writes the text, without a terminator. */
void cursor_write(const struct cursor_seal *seal, const struct cursor *cursor,
                  char ret_text[CURSOR_TEXT_SIZE]);

/* True when text is what cursor_write() makes with this seal; gives the place. */
MUST_USE bool cursor_read(const struct cursor_seal *seal, struct slice text,
                          struct cursor *ret_cursor);

/*
 * The filter after one more thing that was asked for. Begin with any number; sizes count, so
 * no two lists of things give the same by moving bytes from one to the next.
 */
MUST_USE uint64_t cursor_filter_add(const struct cursor_seal *seal, uint64_t filter,
                                    struct slice bytes);
