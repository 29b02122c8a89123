/*
 * Chunked: decodes a chunked body where it lies, piece by piece.
 *
 * The caller feeds what it received and gets back slices of the same bytes: the
 * body without its framing. Strict RFC 9112 section 7.1: CRLF only, plain hex
 * sizes, no whitespace around them. Extensions and trailers are checked, bounded
 * and dropped. Nothing is allocated or copied.
 */
#pragma once

#include "http/parse_error.h"
#include "runtime/base.h"

enum {
    CHUNKED_SIZE_DIGIT_COUNT_MAX = 16,
    CHUNKED_EXTENSIONS_SIZE_MAX = 16 * 1024, /* over the whole body */
    CHUNKED_TRAILERS_SIZE_MAX = 8 * 1024,
    CHUNKED_TRAILER_NAME_SIZE_MAX = 64,
    CHUNKED_TRAILER_NAME_KEPT_MAX = 24, /* a longer name cannot be a forbidden one */
};

enum chunked_result {
    CHUNKED_DATA,      /* *ret_body is the next piece; call again with the rest */
    CHUNKED_NEED_MORE, /* all input is consumed; call again when more has come */
    CHUNKED_DONE,      /* the body is complete; unconsumed bytes are the next message */
    CHUNKED_BAD,       /* refused; chunked_error() says why; close */
    CHUNKED_TOO_LARGE, /* over body_size_max, as soon as a size line says so; 413 */
};

/* Private to chunked.c; embedded by the connection. */
struct chunked {
    uint64_t body_size_max;
    uint64_t body_size;  /* sum of the chunk sizes announced so far */
    uint64_t chunk_left; /* bytes of this chunk not given out yet, or its size so far */
    uint32_t extensions_size;
    uint32_t trailers_size;
    uint16_t name_size; /* of the trailer line being read */
    uint8_t digit_count;
    uint8_t state;
    enum http_parse_error error;
    char name[CHUNKED_TRAILER_NAME_KEPT_MAX]; /* its beginning, in lower case */
};

/* Makes it ready for a body of at most body_size_max bytes, framing not counted. */
void chunked_init(struct chunked *chunked, uint64_t body_size_max);

/*
 * Decodes from data, which holds bytes not consumed so far. *ret_consumed is how
 * many of them are used up, *ret_body the piece that CHUNKED_DATA speaks of; it
 * borrows data and is empty otherwise. A loop until the result is not
 * CHUNKED_DATA gets everything. Not to be called after DONE, BAD or TOO_LARGE.
 */
MUST_USE enum chunked_result chunked_feed(struct chunked *chunked, const char *data, size_t size,
                                          size_t *ret_consumed, struct slice *ret_body);

/* The reason for CHUNKED_BAD or CHUNKED_TOO_LARGE, else HTTP_ERROR_NONE. */
MUST_USE enum http_parse_error chunked_error(const struct chunked *chunked);
