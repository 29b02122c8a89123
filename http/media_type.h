/*
 * Media type: what a Content-Type says, as far as weir cares.
 *
 * Type and subtype are compared without regard to case. The only charset is
 * UTF-8; other parameters are checked for form and dropped.
 */
#pragma once

#include "runtime/base.h"

enum media_type_result {
    MEDIA_TYPE_OK,
    MEDIA_TYPE_BAD,                 /* malformed: 400, or 415 if one prefers */
    MEDIA_TYPE_UNSUPPORTED_CHARSET, /* well-formed, but not UTF-8: 415 */
};

/* Slices borrow the parsed text. */
struct media_type {
    struct slice essence; /* type/subtype */
    struct slice type;
    struct slice subtype;
    bool has_charset; /* and it was utf-8 */
};

enum { MEDIA_TYPE_NO_MATCH = -1 };

/*
 * Parses type/subtype *(; name=value), with tokens or quoted strings as values.
 * A charset that is not utf-8 in any case, or comes twice, is refused.
 */
MUST_USE enum media_type_result media_type_parse(struct slice text, struct media_type *ret_type);

/* True when type/subtype equals lower_essence, which is in lower case. */
MUST_USE bool media_type_is(const struct media_type *media_type, struct slice lower_essence);

/* True when the subtype ends with "+" and the lower-case suffix ("json"). */
MUST_USE bool media_type_has_suffix(const struct media_type *media_type, struct slice lower_suffix);

/* The index of the first of count lower-case essences that fits, or MEDIA_TYPE_NO_MATCH. */
MUST_USE int media_type_match(const struct media_type *media_type,
                              const struct slice *lower_essences, size_t count);
