/*
 * UTF-8: the one decision whether bytes are well-formed (RFC 3629).
 *
 * Overlong forms, UTF-16 surrogates and code points above U+10FFFF are refused.
 */
#pragma once

#include "runtime/base.h"

enum {
    UTF8_BAD = -1,     /* no continuation could make these bytes valid */
    UTF8_TRUNCATED = 0 /* a valid beginning, but the bytes end too early */
};

/*
 * Measures the sequence at at[0..size), size > 0, and borrows it for the call.
 * Returns its length 1..4, UTF8_TRUNCATED or UTF8_BAD.
 */
MUST_USE int utf8_sequence(const char *at, size_t size);

/*
 * Writes the UTF-8 form of code_point, which must be at most U+10FFFF and not a
 * surrogate, and returns its length 1..4.
 */
size_t utf8_encode(uint32_t code_point, char ret_bytes[4]);

/*
 * Returns the largest size not above limit at which text can be cut without
 * splitting a sequence; text is well-formed and limit may exceed its size.
 */
MUST_USE size_t utf8_cut(struct slice text, size_t limit);
