/*
 * JSON string: reads the characters of a string value that a reader has validated.
 *
 * A string without escapes is its own text; only one with escapes needs decoding,
 * and that into the caller's buffer. Nothing here checks the grammar again.
 */
#pragma once

#include "contracts/json_reader.h"
#include "runtime/base.h"

/* The bytes between the quotes of a string value, escapes as they are written. */
static inline struct slice json_string_body(const struct json_value *string)
{
    assert(string->type == JSON_STRING);
    assert(string->raw.size >= 2);
    return (struct slice){string->raw.data + 1, string->raw.size - 2};
}

/*
 * Takes the next run off *rest, the undecoded part of a body: bytes that stand for
 * themselves, borrowed from the text, or one character decoded into scratch. An
 * empty run means the end.
 */
struct slice json_string_next_run(struct slice *rest, char scratch[4]);

/* True when the decoded string is exactly text. Slow path of json_string_equal(). */
MUST_USE bool json_string_equal_decoded(const struct json_value *string, struct slice text);

/* True when the decoded string is exactly text. */
MUST_USE static inline bool json_string_equal(const struct json_value *string, struct slice text)
{
    if (likely(!string->has_escapes))
        return string->raw.size - 2 == text.size &&
               memcmp(string->raw.data + 1, text.data, text.size) == 0;
    return json_string_equal_decoded(string, text);
}

/* True when two strings are equal after decoding. */
MUST_USE bool json_string_same(const struct json_value *a, const struct json_value *b);

/*
 * Decodes into buffer[0..capacity) and returns the size of the whole decoded text,
 * which never exceeds that of the body. When it is above capacity the buffer holds
 * as many whole characters as fit and *ret_written says how many bytes those are.
 */
MUST_USE size_t json_string_decode(const struct json_value *string, char *buffer, size_t capacity,
                                   size_t *ret_written);

/*
 * The decoded text: borrowed from the value when it has no escapes, else decoded
 * into buffer. False when it would not fit there.
 */
MUST_USE bool json_string_text(const struct json_value *string, char *buffer, size_t capacity,
                               struct slice *ret_text);
