/*
 * Members: the members of a JSON object of a known shape, read and checked.
 *
 *     static const struct slice NAMES[] = {MEMBER_NAME("kind"), MEMBER_NAME("priority")};
 *
 *     members_init(&members, NAMES, ARRAY_COUNT(NAMES), &issues, ISSUE_NO_INDEX);
 *     r = members_read(&members, &reader);
 *     if (r == JSON_OK && members_require(&members, 0))
 *         members_integer(&members, 1, 0, 7, "must be a whole number from 0 to 7", &priority);
 *
 * One pass keeps the value of each known member; the checks look at those values
 * and add an issue for each that is wrong. A name that is not known, or that occurs twice,
 * is an issue too: what a client misspelled must not be taken for left out. null
 * stands for left out, except where the caller takes any JSON.
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "runtime/base.h"

enum { MEMBER_COUNT_MAX = 16 };

/* A name with the quotes that it has in JSON; for static tables. */
#define MEMBER_NAME(text)                                                                          \
    {                                                                                              \
        "\"" text "\"", sizeof(text) + 1                                                           \
    }

/* is_valid and values[] may be read; is_open may be set before reading. */
struct members {
    const struct slice *names;
    uint32_t count;
    struct issue_list *issues;
    int32_t index;       /* of the issues */
    struct slice parent; /* of the issues */
    bool is_open;        /* members of other names are nobody's business */
    bool is_valid;       /* no issue was added */
    struct json_value values[MEMBER_COUNT_MAX];
};

/* Borrows names and issues. */
void members_init(struct members *members, const struct slice *names, uint32_t count,
                  struct issue_list *issues, int32_t index);

/*
 * Consumes the value that reader is at. JSON_OK: all of it was read; when it is no object,
 * that is an issue and every member is absent. JSON_TRUNCATED or JSON_BAD as the reader says.
 */
MUST_USE enum json_result members_read(struct members *members, struct json_reader *reader);

/* The same for a value that was read before; it is the member parent of another object. */
void members_read_value(struct members *members, struct slice parent,
                        const struct json_value *value);

/* Reads a body that is one such object. *ret_reader says why not, unless JSON_OK. */
MUST_USE enum json_result members_read_document(struct members *members, struct slice body,
                                                uint32_t depth_max, struct json_reader *ret_reader);

/* True when it is there and not null. */
bool members_has(const struct members *members, uint32_t n);

/* As members_has(); adds an issue when it is not. expected is the type's name. */
bool members_require(struct members *members, uint32_t n, const char *expected);

/* Adds the issue that member n breaks this rule; rule must be static. */
void members_refuse(struct members *members, uint32_t n, const char *rule);

/*
 * The checks. True: it is there and right, and given. False: it is absent and nothing was
 * given, or it is wrong and an issue was added. rule says what is right; static text.
 */

/* A string of 1 to size_max bytes, borrowed from the text, or decoded into buffer[size_max]. */
bool members_text(struct members *members, uint32_t n, char *buffer, size_t size_max,
                  const char *rule, struct slice *ret_text);

/* A whole number from min to max. */
bool members_integer(struct members *members, uint32_t n, uint64_t min, uint64_t max,
                     const char *rule, uint64_t *ret_value);

/* A number of seconds, with or without a fraction, as milliseconds from min_ms to max_ms. */
bool members_seconds(struct members *members, uint32_t n, uint64_t min_ms, uint64_t max_ms,
                     const char *rule, uint64_t *ret_ms);

/* A boolean. */
bool members_boolean(struct members *members, uint32_t n, bool *ret_value);

/* One of options[0..option_count), which are static. */
bool members_option(struct members *members, uint32_t n, const struct slice *options,
                    uint32_t option_count, uint32_t *ret_option);
