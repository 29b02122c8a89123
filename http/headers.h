/*
 * Headers: the field lines of one message head, in order, zero copy.
 *
 * Names and values are slices of the bytes that were parsed and live as long as
 * those. Names keep the case they came in and are matched without regard to it.
 * The same field section parser serves requests and responses. Nothing here
 * allocates or does I/O.
 */
#pragma once

#include "http/parse_error.h"
#include "runtime/base.h"

enum { HEADER_COUNT_MAX = 100 };

struct header {
    struct slice name;
    struct slice value; /* without the whitespace around it */
};

struct headers {
    uint32_t count;
    struct header items[HEADER_COUNT_MAX];
};

/*
 * Walks the comma-separated list of a value, or of all values of one name.
 * Private to headers.c; start with header_tokens_init().
 */
struct header_tokens {
    struct slice rest;
};

/*
 * Parses field lines from data up to and including the empty line. Strict: a
 * line ends with CRLF only, a name is a token directly followed by its colon, a
 * value holds no control characters but HTAB, no folding. *ret_headers borrows
 * data. On HTTP_PARSE_DONE *ret_size is the size of the section with its empty
 * line; on HTTP_PARSE_BAD *ret_error is the reason. *ret_headers is scratch
 * unless the result is HTTP_PARSE_DONE.
 */
MUST_USE enum http_parse_result headers_parse(const char *data, size_t size,
                                              struct headers *ret_headers, size_t *ret_size,
                                              enum http_parse_error *ret_error);

/*
 * The first field with that name, which must be given in lower case. NULL when
 * there is none. The result lives as long as headers.
 */
MUST_USE const struct header *headers_find(const struct headers *headers, struct slice lower_name);

/* The value of the first such field; data is NULL when there is none. */
MUST_USE struct slice headers_value(const struct headers *headers, struct slice lower_name);

/* How many fields have that name, which must be given in lower case. */
MUST_USE size_t headers_count_of(const struct headers *headers, struct slice lower_name);

/* True when any field of that name lists the token, both in lower case. */
MUST_USE bool headers_have_token(const struct headers *headers, struct slice lower_name,
                                 struct slice lower_token);

/* True when text equals lower (which must be in lower case), ignoring ASCII case. */
MUST_USE bool header_text_equal(struct slice text, struct slice lower);

/*
 * Reads a Content-Length: digits only, no sign, no list, at most INT64_MAX. False
 * and nothing written for anything else.
 */
MUST_USE bool header_parse_length(struct slice value, uint64_t *ret_length);

/* True when name is a token: what a header name that we send must be. */
MUST_USE bool header_name_is_valid(struct slice name);

/* True when value holds no control character but HTAB: it cannot end its line. */
MUST_USE bool header_value_is_valid(struct slice value);

/* text without the spaces and tabs around it. */
MUST_USE struct slice header_text_trim(struct slice text);

/* Starts over a comma-separated value; borrows it. */
void header_tokens_init(struct header_tokens *tokens, struct slice value);

/*
 * The next element without whitespace around it; empty elements are skipped, as
 * RFC 9110 5.6.1 asks of a recipient. False at the end. Commas inside quoted
 * strings separate too: use it for lists of tokens.
 */
MUST_USE bool header_tokens_next(struct header_tokens *tokens, struct slice *ret_token);
