/*
 * Parse error: the one list of reasons why bytes from a peer were refused.
 *
 * Shared by all parsers of this floor. The list itself is parse_errors.inc.
 */
#pragma once

#include "runtime/base.h"

enum http_parse_error {
    HTTP_ERROR_NONE,
#define X(name, status, code, text) HTTP_ERROR_##name,
#include "http/parse_errors.inc"
#undef X
    HTTP_ERROR_COUNT,
};

/* What a parser has to say about the bytes so far. */
enum http_parse_result {
    HTTP_PARSE_DONE,      /* complete; what follows belongs to the next part */
    HTTP_PARSE_NEED_MORE, /* correct so far; call again when more has come */
    HTTP_PARSE_BAD,       /* refused for good; the parser's error says why */
};

/* The status to answer with. error must not be HTTP_ERROR_NONE. */
MUST_USE unsigned http_parse_error_status(enum http_parse_error error);

/* The stable snake_case code; static. error must not be HTTP_ERROR_NONE. */
MUST_USE struct slice http_parse_error_code(enum http_parse_error error);

/* A sentence for people; static. error must not be HTTP_ERROR_NONE. */
MUST_USE struct slice http_parse_error_text(enum http_parse_error error);
