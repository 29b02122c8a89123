/*
 * Problem: what a client is told when a request fails, after RFC 9457.
 *
 *     {"type":"/problems/<code>","title":...,"status":...,"detail":...,"code":...,
 *      "correlation_id":...,"error":<title>,"limit":...,"outcome":"unknown",
 *      "details":[...],"details_omitted":...}
 *
 * The first five and "error" are always there, "error" for clients of the system
 * that went before; the others where they have something to say.
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "contracts/json_writer.h"
#include "runtime/base.h"

enum problem_code {
#define X(name, code, status, title) PROBLEM_##name,
#include "contracts/problem_codes.inc"
#undef X
    PROBLEM_COUNT,
    PROBLEM_NONE = PROBLEM_COUNT, /* nothing is wrong; or a problem that brings its own words */
};

enum {
    /* All of a problem but its issues; callers may give less than this, at their risk. */
    PROBLEM_SIZE_MAX = 1024,
};

/* Borrows everything. Zeroed fields are left out; an empty detail repeats the title. */
struct problem {
    enum problem_code code; /* PROBLEM_NONE: the next three say what it is */
    uint16_t own_status;    /* for codes that another list keeps, such as the parser's */
    struct slice own_code;
    struct slice own_title;
    struct slice detail;
    struct slice correlation_id;
    bool has_limit; /* limit is the bound that was exceeded */
    uint64_t limit;
    const struct issue_list *issues; /* written as details when there are any */
    struct slice array_key;          /* for the issues' paths: batch_array_key() */
};

/* The HTTP status. */
MUST_USE uint16_t problem_status(enum problem_code code);

/* The stable name, such as "invalid_event". */
struct slice problem_code_name(enum problem_code code);

/* The short sentence. */
struct slice problem_title(enum problem_code code);

/* The code for a body whose reader stopped with this error. */
MUST_USE enum problem_code problem_of_json_error(enum json_error error);

/*
 * Writes the problem as one object. As many issues as fit the buffer are written and
 * the others counted in details_omitted, so only a buffer too small for the rest
 * makes the writer overflow.
 */
void problem_write(const struct problem *problem, struct json_writer *writer);
