/*
 * Issue: one thing that is wrong with what a client sent, and the list of them.
 *
 * Written for the client in the shape of the validator that the product replaces
 * (seeds 1.2), with a JSON Pointer added. An issue borrows from the request's text;
 * it is written while that text is still there.
 */
#pragma once

#include "contracts/json_reader.h"
#include "contracts/json_writer.h"
#include "runtime/base.h"

enum {
    ISSUE_COUNT_MAX = 64,           /* per request */
    ISSUE_PER_EVENT_COUNT_MAX = 16, /* so that one event cannot use them all up */
    ISSUE_TEXT_SIZE_MAX = 128,      /* of a name or value quoted back to the client */
};

enum issue_kind {
    ISSUE_TYPE,          /* another JSON type than expected; missing when JSON_ABSENT */
    ISSUE_OPTION,        /* a string that is none of the options */
    ISSUE_DATETIME,      /* not a date-time */
    ISSUE_UUID,          /* not a UUID */
    ISSUE_STRING_EMPTY,  /* a string of no characters */
    ISSUE_DUPLICATE_KEY, /* a member name that occurs twice */
    ISSUE_ARRAY_EMPTY,   /* an array of no elements */
    ISSUE_ARRAY_TOO_BIG, /* an array of more than limit elements */
    ISSUE_UNKNOWN_KEY,   /* a member name that means nothing there */
    ISSUE_RULE,          /* another rule, which the issue itself puts into words */
};

enum { ISSUE_NO_INDEX = -1 };

/* Everything borrowed. Unused fields are zero, except index. */
struct issue {
    enum issue_kind kind;
    int32_t index;               /* of the event in its batch, or ISSUE_NO_INDEX */
    struct slice parent;         /* name of the member that holds key; empty: the event itself */
    struct json_value key;       /* the member concerned; JSON_ABSENT: the value itself */
    enum json_type received;     /* what was there */
    struct slice expected;       /* the type's name; empty when options say it */
    const struct slice *options; /* what a string may be */
    size_t option_count;
    struct json_value value; /* the string received, for ISSUE_OPTION and ISSUE_RULE */
    uint32_t limit;
    struct slice rule; /* ISSUE_RULE: a sentence without a full stop */
};

/* Private to issue.c; spelled out so that it can live where the caller wants it. */
struct issue_list {
    uint32_t count;
    uint32_t omitted_count; /* found, but beyond a bound */
    uint32_t event_begin;   /* the count when the present event began */
    struct issue items[ISSUE_COUNT_MAX];
};

/* Makes the list empty, without touching all of its memory. */
void issue_list_init(struct issue_list *list);

/* The issues added from here on belong to another event. */
void issue_list_begin_event(struct issue_list *list);

/* Copies issue into the list, or counts it as omitted when a bound is reached. */
void issue_list_add(struct issue_list *list, const struct issue *issue);

/* The stable name of a kind, such as "invalid_enum_value". */
struct slice issue_code(const struct issue *issue);

/*
 * Writes one issue as an object. array_key names the member that holds the batch
 * ("events"), or is empty when the batch is the body itself; the path is made of it,
 * the issue's index, parent and key.
 */
void issue_write(const struct issue *issue, struct slice array_key, struct json_writer *writer);

/*
 * Writes the issues as an array, as many as leave reserve_size bytes of the writer's
 * buffer free, and returns how many of all that were found are not in it.
 */
uint32_t issue_list_write(const struct issue_list *list, struct slice array_key,
                          size_t reserve_size, struct json_writer *writer);
