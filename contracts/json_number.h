/*
 * JSON number: what a number that the reader kept as text is worth.
 */
#pragma once

#include "runtime/base.h"

enum {
    JSON_NUMBER_DOUBLE_SIZE_MAX = 1024, /* a longer number is not turned into a double */
    JSON_NUMBER_TEXT_SIZE = 32,         /* enough for the ECMAScript text of any double */
};

/*
 * True when number, a raw slice validated by the reader, is mathematically an
 * integer within int64_t, however it is written: 7, 7.0, 0.7e1, 700e-2.
 */
MUST_USE bool json_number_to_i64(struct slice number, int64_t *ret_value);

/*
 * The nearest double, infinite when too large. False when the text is longer than
 * JSON_NUMBER_DOUBLE_SIZE_MAX. Assumes the "C" numeric locale.
 */
MUST_USE bool json_number_to_double(struct slice number, double *ret_value);

/*
 * Writes the double nearest to number as ECMAScript's Number::toString would (500
 * for 5e2, 1 for 1.0, 1e+21, Infinity) and returns the size; 0 when the text is
 * longer than JSON_NUMBER_DOUBLE_SIZE_MAX.
 */
MUST_USE size_t json_number_format(struct slice number, char ret_text[JSON_NUMBER_TEXT_SIZE]);
