/*
 * Retry-After: how long a server asks to be left alone.
 *
 * A number of seconds, or an instant in any of the three forms of RFC 9110 5.6.7:
 * IMF-fixdate, RFC 850 with a two-digit year, asctime. The caller bounds what it obeys.
 */
#pragma once

#include "runtime/base.h"

/* What a larger value is read as: 10 years. */
#define RETRY_AFTER_MS_MAX (UINT64_C(10) * 366 * 86400 * 1000)

/*
 * Reads the value of the header; unix_ms is now. False when it follows no form. An
 * instant in the past gives 0.
 */
MUST_USE bool retry_after_parse(struct slice value, uint64_t unix_ms, uint64_t *ret_delay_ms);
