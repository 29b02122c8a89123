/*
 * Time zone: what the wall clocks of one place show, from the bytes of a TZif file.
 *
 * TZif is the format of /usr/share/zoneinfo (RFC 8536, versions 1 to 3; RFC 9636,
 * version 4). Whoever loads a file reads it once, at start-up or on reload; from
 * then on a zone is a constant that any thread may read.
 *
 * A zone is a sequence of spans, each with one offset from UTC: those of the file's
 * table, then, without end, those of the rule in its footer. Where the offset grows
 * between two spans the local clock jumps over a gap; where it shrinks the clock
 * shows an overlap twice. "Local seconds" are counted from 1970-01-01T00:00:00 on
 * the local clock, see civil_time_seconds(); Unix seconds are real instants.
 */
#pragma once

#include "contracts/civil.h"
#include "contracts/time_zone_rule.h"
#include "runtime/base.h"

enum {
    TIME_ZONE_FILE_SIZE_MAX = 16384,      /* the largest of release 2025b has 3,940 bytes */
    TIME_ZONE_TRANSITION_COUNT_MAX = 512, /* 310 there */
    TIME_ZONE_TYPE_COUNT_MAX = 64,        /* 18 there */
    TIME_ZONE_CHAR_COUNT_MAX = 128,       /* 40 there; of all abbreviations with their NULs */
    TIME_ZONE_NAME_SIZE_MAX = 64,
};

enum time_zone_result {
    TIME_ZONE_OK,
    TIME_ZONE_BAD,             /* not TZif, cut short, or against a rule of the format */
    TIME_ZONE_TOO_BIG,         /* above one of the bounds here */
    TIME_ZONE_UNKNOWN_VERSION, /* above 4 */
    TIME_ZONE_LEAP_SECONDS,    /* counts them, as zoneinfo/right does; Unix time does not */
};

/* How a local date and time lies in its zone. */
enum time_zone_local {
    TIME_ZONE_UNIQUE,
    TIME_ZONE_GAP,     /* the clock jumps over it */
    TIME_ZONE_OVERLAP, /* the clock shows it twice */
    TIME_ZONE_NO_DATE, /* 30 February, or outside of the years 0000 to 9999 */
};

/* Private to time_zone.c; spelled out so that a zone can be embedded. About 5 KiB. */
struct time_zone {
    int64_t transitions[TIME_ZONE_TRANSITION_COUNT_MAX]; /* Unix seconds, ascending */
    uint8_t transition_types[TIME_ZONE_TRANSITION_COUNT_MAX];
    struct time_zone_type {
        int32_t offset_s; /* local time minus UTC */
        bool is_dst;
        uint8_t abbrev_index; /* into chars; a NUL follows it there */
    } types[TIME_ZONE_TYPE_COUNT_MAX];
    char chars[TIME_ZONE_CHAR_COUNT_MAX];
    uint32_t transition_count;
    uint32_t type_count;
    bool has_rule;
    struct time_zone_rule rule;
};

/* What time_zone_to_unix() gives; all in Unix seconds. */
struct time_zone_instants {
    int64_t earlier_s;    /* OVERLAP: the first time round. GAP: by the offset after the gap,
                             which gives an instant before it */
    int64_t later_s;      /* OVERLAP: the second. GAP: by the offset before the gap */
    int64_t transition_s; /* GAP: the first instant behind it; else earlier_s */
};

/*
 * True for a name that may be looked up below a zoneinfo directory: components of
 * letters, digits, '_', '+' and '-' with single slashes between them, at most
 * TIME_ZONE_NAME_SIZE_MAX bytes. No such name leaves the directory, for it has no
 * dot and no slash at either end. It need not exist, and may name a directory.
 */
MUST_USE bool time_zone_name_is_valid(struct slice name);

/*
 * Reads a whole TZif file. Strict: each length and index is checked, transitions must
 * ascend, offsets keep to the bounds, nothing may follow the footer. The 64-bit data
 * is used when there is any; then the 32-bit data before it is only skipped. Hours of
 * -167 to 167 in the footer are read in every version. ret_zone is written only on
 * TIME_ZONE_OK and borrows nothing.
 */
MUST_USE enum time_zone_result time_zone_parse(struct slice bytes, struct time_zone *ret_zone);

/* What a result other than TIME_ZONE_OK means, for an error message. */
struct slice time_zone_result_text(enum time_zone_result result);

/* The zone UTC, without any file. */
void time_zone_utc(struct time_zone *ret_zone);

/*
 * The span that holds the instant, whichever it is. Spans abut, but two neighbours
 * may have the same offset. Before the table the file's first type holds; after it
 * the rule, or without one the last type.
 */
struct time_zone_span time_zone_span_at(const struct time_zone *zone, int64_t unix_s);

/* Local time minus UTC at the instant, in seconds, as in "local = unix_s + offset". */
int32_t time_zone_offset_at(const struct time_zone *zone, int64_t unix_s);

/*
 * The instants at which the local clock shows a date and time. ret_instants is written
 * unless TIME_ZONE_NO_DATE; UNIQUE gives the same instant three times. Were a clock to
 * show a time more than twice, OVERLAP would give the first and the last.
 */
MUST_USE enum time_zone_local time_zone_to_unix(const struct time_zone *zone,
                                                const struct civil_time *local,
                                                struct time_zone_instants *ret_instants);

/*
 * The first instant at which the local clock shows local_s or, after a jump, something
 * later. It never shrinks as local_s grows. local_s lies between CIVIL_SECONDS_MIN and
 * CIVIL_SECONDS_MAX, give or take a year.
 */
int64_t time_zone_reach(const struct time_zone *zone, int64_t local_s);

/*
 * The latest that the local clock has shown up to the instant, that instant included:
 * time_zone_reach() of anything above it lies after the instant. Bounds as there.
 */
int64_t time_zone_latest_local(const struct time_zone *zone, int64_t unix_s);
