/*
 * Parameters: the query of a request, of a known shape, read and checked.
 *
 *     static const struct parameter LIST[] = {
 *         {PARAMETER_NAME("limit"), PARAMETER_NUMBER, .min = 1, .max = 100,
 *          .rule = "must be a whole number from 1 to 100"},
 *         {PARAMETER_NAME("status"), PARAMETER_SET, STATUSES, ARRAY_COUNT(STATUSES),
 *          .rule = "must be of open, investigating and resolved"},
 *     };
 *
 * Every parameter that is wrong is an issue; so is one that is not known or occurs twice:
 * what a client misspelled must not be taken for left out, or it gets what it did not ask
 * for. Sets alone may be repeated, and take several words with commas between them.
 */
#pragma once

#include "contracts/issue.h"
#include "http/url.h"

enum {
    PARAMETER_COUNT_MAX = 16,
    PARAMETER_NAME_SIZE_MAX = 64,
    PARAMETER_TEXT_SIZE_MAX = 1024, /* of one value, decoded */
};

/* A name with the quotes that it has in an issue's path; for static tables. */
#define PARAMETER_NAME(text) SLICE_INITIALIZER("\"" text "\"")

enum parameter_kind {
    PARAMETER_NUMBER, /* a whole number from min to max */
    PARAMETER_TEXT,   /* well-formed UTF-8 of min to max bytes */
    PARAMETER_CHOICE, /* the number of one of the options */
    PARAMETER_SET,    /* bit n for option n */
    PARAMETER_FLAG,   /* true or false: 1 or 0 */
    PARAMETER_TIME,   /* unix ms, not before 1970 */
};

/* One that a route takes. Static. */
struct parameter {
    struct slice name;
    enum parameter_kind kind;
    const struct slice *options; /* CHOICE, SET */
    uint32_t option_count;
    uint64_t min;
    uint64_t max;
    const char *rule; /* what is said when it is broken: no full stop */
};

/* What was given. */
struct parameter_value {
    bool is_given;
    uint64_t number;
    struct slice text; /* TEXT; borrows the caller's buffer */
};

/*
 * Reads the query, whose data may be NULL, into ret_values[0..count), which are those of the
 * parameters; texts go into buffer. True when nothing is wrong with it. Issues borrow from the
 * parameters and from buffer.
 */
MUST_USE bool parameters_read(struct slice query, const struct parameter *parameters,
                              uint32_t count, char *buffer, size_t buffer_size,
                              struct issue_list *issues, struct parameter_value *ret_values);
