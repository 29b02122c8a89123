/*
 * Time zone rule: the offsets of all years to come, as the POSIX variable TZ says it.
 *
 *     CET-1CEST,M3.5.0,M10.5.0/3
 *     <+0330>-3:30
 *
 * Standard time and its offset with the sign turned round, daylight-saving time, when
 * the one begins and when the other begins again: "Mm.w.d" is the day d of the week
 * (0: Sunday) in the week w (5: the last) of the month m, "Jn" the day n of the year
 * from 1 without ever counting 29 February, "n" the day from 0 counting it. "/time"
 * is 02:00 when not given and, after RFC 8536, from -167 to 167 hours. A rule with
 * daylight saving but without dates means whatever a system likes, and is refused.
 */
#pragma once

#include "runtime/base.h"

enum {
    TIME_ZONE_ABBREV_SIZE_MAX = 15,
    TIME_ZONE_OFFSET_S_MIN = -89999, /* -24:59:59 and +25:59:59, the bounds of RFC 8536 */
    TIME_ZONE_OFFSET_S_MAX = 93599,
};

/* When each year an offset begins to hold. Private to time_zone_rule.c. */
struct time_zone_rule_date {
    uint8_t kind;
    uint8_t month;  /* 1..12 */
    uint8_t week;   /* 1..5, where 5 is the last */
    uint16_t day;   /* of the week or of the year */
    int32_t time_s; /* from local midnight before it */
};

/* Private to time_zone_rule.c; a value to copy. */
struct time_zone_rule {
    bool has_dst; /* else the rest about it is zero */
    int32_t std_offset_s;
    int32_t dst_offset_s;
    char std_abbrev[TIME_ZONE_ABBREV_SIZE_MAX + 1];
    char dst_abbrev[TIME_ZONE_ABBREV_SIZE_MAX + 1];
    struct time_zone_rule_date dst_start; /* in standard time */
    struct time_zone_rule_date dst_end;   /* in daylight-saving time */
};

/* A stretch of real time with one offset. abbrev borrows from its zone or rule. */
struct time_zone_span {
    int64_t begin_s; /* Unix seconds; INT64_MIN when nothing came before */
    int64_t end_s;   /* first second behind it; INT64_MAX when nothing comes after */
    int32_t offset_s;
    bool is_dst;
    struct slice abbrev; /* "CEST"; letters, digits, + and - */
};

/* True for what an abbreviation is made of when it is quoted: letters, digits, + and -. */
MUST_USE static inline bool time_zone_byte_is_abbrev(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '+' || byte == '-';
}

/* True when all of text is a rule. ret_rule is written only then and borrows nothing. */
MUST_USE bool time_zone_rule_parse(struct slice text, struct time_zone_rule *ret_rule);

/*
 * The span that holds the instant, whichever it is, by the rule alone. Spans abut, but
 * two neighbours may have the same offset.
 */
struct time_zone_span time_zone_rule_span_at(const struct time_zone_rule *rule, int64_t unix_s);
