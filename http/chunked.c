/*
 * A body is chunks, a last chunk of size 0, trailer lines and an empty line:
 *
 *     5;name=value CRLF  hello CRLF  0 CRLF  Trailer: value CRLF  CRLF
 *
 *     SIZE -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *       \-> EXTENSION -^  \ size 0
 *                          v
 *                   TRAILER_START -> TRAILER_NAME -> TRAILER_VALUE -> TRAILER_LF -+
 *                      |   ^------------------------------------------------------+
 *                      \-> END_LF -> DONE
 *
 * The framing is read byte by byte, one state per place where input may be cut;
 * the data itself is given out in whole slices. The size is checked against the
 * limit when its line ends, before any of the data is taken.
 *
 * Known smuggling tricks and what refuses them: sizes with sign, 0x, spaces or
 * overflow (SIZE takes hex digits only, 16 at most, and nothing beyond INT64_MAX);
 * a bare LF or CR ending a size line or an extension; data longer than its size
 * (DATA_CR); trailers that would change framing or identity (forbidden list).
 */
#include "http/chunked.h"

#include "http/char_class.h"

enum state {
    STATE_SIZE,
    STATE_EXTENSION,
    STATE_SIZE_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_TRAILER_START,
    STATE_TRAILER_NAME,
    STATE_TRAILER_VALUE,
    STATE_TRAILER_LF,
    STATE_END_LF,
    STATE_DONE,
    STATE_FAILED,
};

/* RFC 9110 6.5.1: framing, routing, authentication and content must not come late. */
static const struct slice FORBIDDEN_TRAILERS[] = {
    {"authorization", 13},
    {"cache-control", 13},
    {"connection", 10},
    {"content-encoding", 16},
    {"content-length", 14},
    {"content-range", 13},
    {"content-type", 12},
    {"cookie", 6},
    {"expect", 6},
    {"host", 4},
    {"idempotency-key", 15},
    {"keep-alive", 10},
    {"proxy-authorization", 19},
    {"set-cookie", 10},
    {"te", 2},
    {"trailer", 7},
    {"transfer-encoding", 17},
    {"upgrade", 7},
    {"x-api-key", 9},
};

static void chunked_check(const struct chunked *chunked)
{
    assert(chunked->state <= STATE_FAILED);
    assert(chunked->body_size <= chunked->body_size_max);
    assert(chunked->digit_count <= CHUNKED_SIZE_DIGIT_COUNT_MAX);
    assert(chunked->extensions_size <= CHUNKED_EXTENSIONS_SIZE_MAX);
    assert(chunked->trailers_size <= CHUNKED_TRAILERS_SIZE_MAX);
    assert(chunked->name_size <= CHUNKED_TRAILER_NAME_SIZE_MAX);
    assert((chunked->state == STATE_FAILED) == (chunked->error != HTTP_ERROR_NONE));
}

void chunked_init(struct chunked *chunked, uint64_t body_size_max)
{
    assert(body_size_max <= INT64_MAX);
    memset(chunked, 0, sizeof(*chunked));
    chunked->body_size_max = body_size_max;
    chunked->state = STATE_SIZE;
    chunked_check(chunked);
}

enum http_parse_error chunked_error(const struct chunked *chunked)
{
    chunked_check(chunked);
    return chunked->error;
}

/* Returns false, so that a step can end with it. */
static bool fail(struct chunked *chunked, enum http_parse_error error)
{
    assert(error != HTTP_ERROR_NONE);
    chunked->error = error;
    chunked->state = STATE_FAILED;
    return false;
}

/* The size is complete: may there be so much more? */
static bool end_size(struct chunked *chunked, uint8_t next_state)
{
    if (chunked->digit_count == 0)
        return fail(chunked, HTTP_ERROR_BAD_CHUNK_SIZE);
    if (chunked->chunk_left > chunked->body_size_max - chunked->body_size)
        return fail(chunked, HTTP_ERROR_BODY_TOO_LARGE);
    chunked->body_size += chunked->chunk_left;
    chunked->state = next_state;
    return true;
}

static bool on_size_byte(struct chunked *chunked, char c)
{
    int digit = char_hex_value(c);

    if (digit < 0) {
        if (c == '\r')
            return end_size(chunked, STATE_SIZE_LF);
        if (c == ';')
            return end_size(chunked, STATE_EXTENSION);
        return fail(chunked, c == '\n' ? HTTP_ERROR_BARE_LF : HTTP_ERROR_BAD_CHUNK_SIZE);
    }
    if (chunked->digit_count == CHUNKED_SIZE_DIGIT_COUNT_MAX ||
        chunked->chunk_left > INT64_MAX / 16)
        return fail(chunked, HTTP_ERROR_BAD_CHUNK_SIZE);
    chunked->digit_count++;
    chunked->chunk_left = chunked->chunk_left * 16 + (uint64_t)digit;
    return true;
}

static bool on_extension_byte(struct chunked *chunked, char c)
{
    if (c == '\r') {
        chunked->state = STATE_SIZE_LF;
        return true;
    }
    if (!char_is(c, CHAR_FIELD_VALUE))
        return fail(chunked, c == '\n' ? HTTP_ERROR_BARE_LF : HTTP_ERROR_BAD_CHUNK_EXTENSION);
    if (chunked->extensions_size == CHUNKED_EXTENSIONS_SIZE_MAX)
        return fail(chunked, HTTP_ERROR_CHUNK_EXTENSIONS_TOO_LARGE);
    chunked->extensions_size++;
    return true;
}

/* A LF is due; anything else means that the CR stood alone. */
static bool on_line_feed(struct chunked *chunked, char c, uint8_t next_state)
{
    if (c != '\n')
        return fail(chunked, HTTP_ERROR_BARE_CR);
    chunked->state = next_state;
    return true;
}

static bool name_is_forbidden(const struct chunked *chunked)
{
    struct slice name = {chunked->name, chunked->name_size};

    if (name.size > CHUNKED_TRAILER_NAME_KEPT_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(FORBIDDEN_TRAILERS); i++) {
        if (slice_equal(name, FORBIDDEN_TRAILERS[i]))
            return true;
    }
    return false;
}

static bool on_name_byte(struct chunked *chunked, char c)
{
    if (c == ':' && chunked->name_size > 0) {
        if (name_is_forbidden(chunked))
            return fail(chunked, HTTP_ERROR_FORBIDDEN_TRAILER);
        chunked->state = STATE_TRAILER_VALUE;
        return true;
    }
    if (!char_is(c, CHAR_TOKEN))
        return fail(chunked, c == '\n' ? HTTP_ERROR_BARE_LF : HTTP_ERROR_BAD_TRAILER);
    if (chunked->name_size == CHUNKED_TRAILER_NAME_SIZE_MAX)
        return fail(chunked, HTTP_ERROR_TRAILERS_TOO_LARGE);
    if (chunked->name_size < CHUNKED_TRAILER_NAME_KEPT_MAX)
        chunked->name[chunked->name_size] = char_lower(c);
    chunked->name_size++;
    chunked->state = STATE_TRAILER_NAME;
    return true;
}

static bool on_trailer_value_byte(struct chunked *chunked, char c)
{
    if (c == '\r') {
        chunked->state = STATE_TRAILER_LF;
        return true;
    }
    if (!char_is(c, CHAR_FIELD_VALUE))
        return fail(chunked, c == '\n' ? HTTP_ERROR_BARE_LF : HTTP_ERROR_BAD_TRAILER);
    return true;
}

/* Every byte of the trailer lines counts, line ends included. */
static bool count_trailer_byte(struct chunked *chunked)
{
    if (chunked->trailers_size == CHUNKED_TRAILERS_SIZE_MAX)
        return fail(chunked, HTTP_ERROR_TRAILERS_TOO_LARGE);
    chunked->trailers_size++;
    return true;
}

static bool on_trailer_start(struct chunked *chunked, char c)
{
    chunked->name_size = 0;
    if (c == '\r') {
        chunked->state = STATE_END_LF;
        return true;
    }
    return count_trailer_byte(chunked) && on_name_byte(chunked, c);
}

/* Starts the next chunk, or the trailers after the last one. */
static void start_data(struct chunked *chunked)
{
    assert(chunked->digit_count > 0);
    chunked->digit_count = 0;
    chunked->state = chunked->chunk_left > 0 ? STATE_DATA : STATE_TRAILER_START;
}

/* Takes one byte of framing; false when it is refused. */
static bool step(struct chunked *chunked, char c)
{
    switch ((enum state)chunked->state) {
    case STATE_SIZE:
        return on_size_byte(chunked, c);
    case STATE_EXTENSION:
        return on_extension_byte(chunked, c);
    case STATE_SIZE_LF:
        if (!on_line_feed(chunked, c, STATE_DATA))
            return false;
        start_data(chunked);
        return true;
    case STATE_DATA_CR:
        if (c != '\r')
            return fail(chunked, HTTP_ERROR_BAD_CHUNK_END);
        chunked->state = STATE_DATA_LF;
        return true;
    case STATE_DATA_LF:
        return on_line_feed(chunked, c, STATE_SIZE);
    case STATE_TRAILER_START:
        return on_trailer_start(chunked, c);
    case STATE_TRAILER_NAME:
        return count_trailer_byte(chunked) && on_name_byte(chunked, c);
    case STATE_TRAILER_VALUE:
        return count_trailer_byte(chunked) && on_trailer_value_byte(chunked, c);
    case STATE_TRAILER_LF:
        return count_trailer_byte(chunked) && on_line_feed(chunked, c, STATE_TRAILER_START);
    case STATE_END_LF:
        return on_line_feed(chunked, c, STATE_DONE);
    case STATE_DATA:
    case STATE_DONE:
    case STATE_FAILED:
        break;
    }
    assert(false && "not a state of the framing");
    return false;
}

enum chunked_result chunked_feed(struct chunked *chunked, const char *data, size_t size,
                                 size_t *ret_consumed, struct slice *ret_body)
{
    size_t at = 0;

    chunked_check(chunked);
    assert(chunked->state != STATE_DONE);
    assert(chunked->state != STATE_FAILED);
    *ret_body = (struct slice){NULL, 0};
    while (at < size && chunked->state != STATE_DONE) {
        if (chunked->state == STATE_DATA) {
            *ret_body = (struct slice){data + at, min_u64(size - at, chunked->chunk_left)};
            chunked->chunk_left -= ret_body->size;
            if (chunked->chunk_left == 0)
                chunked->state = STATE_DATA_CR;
            *ret_consumed = at + ret_body->size;
            return CHUNKED_DATA;
        }
        if (!step(chunked, data[at])) {
            *ret_consumed = at;
            return chunked->error == HTTP_ERROR_BODY_TOO_LARGE ? CHUNKED_TOO_LARGE : CHUNKED_BAD;
        }
        at++;
    }
    *ret_consumed = at;
    return chunked->state == STATE_DONE ? CHUNKED_DONE : CHUNKED_NEED_MORE;
}
