/*
 * One row per reason, written once in parse_errors.inc and expanded here.
 */
#include "http/parse_error.h"

struct row {
    unsigned status;
    struct slice code;
    struct slice text;
};

#define X(name, status, code, text)                                                                \
    [HTTP_ERROR_##name] = {status, {code, sizeof(code) - 1}, {text, sizeof(text) - 1}},
static const struct row ROWS[HTTP_ERROR_COUNT] = {
#include "http/parse_errors.inc"
};
#undef X

static const struct row *find_row(enum http_parse_error error)
{
    assert(error > HTTP_ERROR_NONE);
    assert(error < HTTP_ERROR_COUNT);
    return &ROWS[error];
}

unsigned http_parse_error_status(enum http_parse_error error)
{
    return find_row(error)->status;
}

struct slice http_parse_error_code(enum http_parse_error error)
{
    return find_row(error)->code;
}

struct slice http_parse_error_text(enum http_parse_error error)
{
    return find_row(error)->text;
}
