/*
 * Search text: what somebody typed into a search, taken apart.
 *
 *     timeout "payment failed" check*
 *
 * Words and "phrases", all of which must be there; a trailing * stands for any ending. There
 * is nothing else: any other character is either part of a word or between two of them, so
 * nothing that can be typed is an error, and none of it means anything to whoever searches.
 * What holds no letter and no digit is left out. A phrase that is not closed ends with the
 * text.
 */
#pragma once

#include "runtime/base.h"

enum {
    SEARCH_TEXT_SIZE_MAX = 512,
    SEARCH_TERM_COUNT_MAX = 32,
};

/* One word or phrase; borrows the text. It contains neither quotes nor NUL. */
struct search_term {
    struct slice text;
    bool is_prefix;
};

/*
 * Takes the terms out of text, which must be well-formed UTF-8. Returns how many there are:
 * 0 when there is nothing to search for; above SEARCH_TERM_COUNT_MAX when there are too many,
 * of which only the first were given.
 */
MUST_USE uint32_t search_text_read(struct slice text,
                                   struct search_term ret_terms[SEARCH_TERM_COUNT_MAX]);
