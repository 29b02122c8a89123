/*
 * Cron: when a schedule like "30 2 * * MON-FRI" is due, on the wall clock of a zone.
 *
 *     [second] minute hour day-of-month month day-of-week
 *
 * Five fields, or six with the second in front, separated by blanks. A field is a
 * list, by commas, of '*', a value, or a range a-b, each optionally with a step /n;
 * "a/n" means from a to the field's end. Months and days of the week may be named
 * by their first three letters in any case. Sunday is 0, 7 or SUN, and may end a
 * range: FRI-SUN. A range does not run backwards, and a step is not greater than its
 * field has values. @yearly, @annually, @monthly, @weekly, @daily, @midnight and
 * @hourly stand for the fields that everyone expects. '?', 'L', 'W' and '#' of other
 * schedulers, and @reboot, are refused.
 *
 * As in Vixie cron a day matches when day-of-month OR day-of-week does, but when
 * either of the two fields begins with '*' both must: "0 0 13 * FRI" is every 13th
 * and every Friday, "0 0 1-7,8 * *" goes by the day of the month alone, and a step
 * over '*' in one narrows the other.
 *
 * When the clock is changed, it matters whether minute or hour begins with '*':
 *
 *   interval job  (one does)   follows real time: it runs whenever the clock shows a
 *                              matching time, so never for one in a gap, and twice for
 *                              one in an overlap. A job of every 15 minutes goes on
 *                              every 15 minutes.
 *   fixed-time job (none does) runs once for each time: for one in a gap at the first
 *                              instant behind the gap, for one in an overlap the first
 *                              time round. A nightly job is neither lost nor repeated.
 *                              Several times in one gap, or one in it and one at its
 *                              end, are one run.
 *
 * Instants are Unix seconds from year 0000 to 9999.
 */
#pragma once

#include "contracts/time_zone.h"
#include "runtime/base.h"

enum {
    CRON_TEXT_SIZE_MAX = 256,
    /*
     * How far ahead is searched. Five years are not enough: 29 February can be eight
     * away, and on a certain day of the week forty. What is not due within a cycle of
     * that length never is.
     */
    CRON_SEARCH_YEARS = 41,
    /* Most that is ever counted: policy fire_all runs no more after a stop. */
    CRON_MISSED_COUNT_MAX = 1000,
};

enum cron_field {
    CRON_SECOND,
    CRON_MINUTE,
    CRON_HOUR,
    CRON_DAY_OF_MONTH,
    CRON_MONTH,
    CRON_DAY_OF_WEEK,
    CRON_FIELD_COUNT
};

enum cron_result {
    CRON_OK,
    CRON_NEVER,         /* cron_next(): not due any more, or never, as 30 February */
    CRON_TOO_LONG,      /* the others: cron_parse() */
    CRON_FEW_FIELDS,    /* field: the first that is missing */
    CRON_MANY_FIELDS,   /* field: CRON_FIELD_COUNT */
    CRON_UNKNOWN_MACRO, /* field: CRON_FIELD_COUNT */
    CRON_UNKNOWN_NAME,
    CRON_BAD_SYNTAX,
    CRON_OUT_OF_RANGE,
    CRON_BACKWARD_RANGE,
    CRON_BAD_STEP,
};

/* Private to cron.c; a value to copy. Bit n of a field: n matches. */
struct cron {
    uint64_t seconds;
    uint64_t minutes;
    uint32_t hours;
    uint32_t days;
    uint16_t months;
    uint8_t weekdays; /* bit 0: Sunday */
    uint8_t stars;    /* bit n: the enum cron_field n begins with '*' */
};

/* Where and why a text was refused. */
struct cron_error {
    enum cron_result result;
    enum cron_field field; /* CRON_FIELD_COUNT when it is about no field */
    uint32_t offset;       /* of the offending byte of the text, at most its size */
};

/*
 * Reads a schedule. Returns CRON_OK or what ret_error says; only the one of the two
 * outputs that applies is written. That it is CRON_OK does not mean it is ever due.
 */
MUST_USE enum cron_result cron_parse(struct slice text, struct cron *ret_cron,
                                     struct cron_error *ret_error);

/* What a result means, for an error message: "is out of range". */
struct slice cron_result_text(enum cron_result result);

/* The name of a field, for an error message: "day of month"; "schedule" for none. */
struct slice cron_field_name(enum cron_field field);

/*
 * The first instant strictly after after_unix_s at which the schedule is due: CRON_OK,
 * or CRON_NEVER when there is none within CRON_SEARCH_YEARS or before year 10000.
 */
MUST_USE enum cron_result cron_next(const struct cron *cron, const struct time_zone *zone,
                                    int64_t after_unix_s, int64_t *ret_unix_s);

/*
 * How often it was due after from_unix_s up to and including to_unix_s, but at most
 * count_max, which is at most CRON_MISSED_COUNT_MAX. 0 when the clock went backward.
 */
uint32_t cron_count_missed(const struct cron *cron, const struct time_zone *zone,
                           int64_t from_unix_s, int64_t to_unix_s, uint32_t count_max);
