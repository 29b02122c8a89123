/*
 * Timestamp: date-times on the wire, without any time zone database.
 *
 * Reading follows the rule of the event format: a real calendar date YYYY-MM-DD,
 * 'T', HH:MM with optional :SS and an optional fraction of any length, then 'Z' or
 * an offset +HH:MM or +HHMM up to 23:59. No leap second, no 24:00, no lower case.
 * Writing always gives YYYY-MM-DDTHH:MM:SS.mmmZ.
 */
#pragma once

#include "runtime/base.h"

enum { TIMESTAMP_TEXT_SIZE = 24 }; /* of what timestamp_format() writes */

/*
 * True when text follows the rule; gives milliseconds since 1970, fractions cut off
 * as written. Years 0000 to 9999; an offset may move the instant just outside.
 */
MUST_USE bool timestamp_parse(struct slice text, int64_t *ret_unix_ms);

/*
 * Writes exactly TIMESTAMP_TEXT_SIZE bytes, without a terminator. An instant outside
 * of the years 0000 to 9999 is written as the nearest one inside.
 */
void timestamp_format(int64_t unix_ms, char ret_text[TIMESTAMP_TEXT_SIZE]);
