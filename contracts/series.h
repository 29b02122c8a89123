/*
 * Series: which events are counted together, and what a group of them is called.
 *
 * One series for each (project, environment, what is counted, fingerprint): the errors of
 * one code and route, all signups, or what has no series of its own any more. Its key is a
 * keyed 128-bit hash of these fields, each with its length, so that no two ways to divide
 * a text into fields meet, and of a version: other rules give other keys, and what has
 * been grouped stays as it was.
 *
 * The route of an error counts without what makes each request different: a query string
 * goes, and segments that are numbers, UUIDs or long hexadecimal numbers become {id}. A
 * client that knows better says so in attributes.fingerprint, a string or an array of up to
 * SERIES_PART_COUNT_MAX strings that are taken instead; "{{ default }}" in it stands for
 * error code and route.
 *
 *     text     error:  <error_code>|<route>|<environment>, or <part>|...|<environment>
 *              signup: signup|<environment>
 *
 * Version 1 of both. The text is for people: it may be cut, the key never is.
 */
#pragma once

#include "contracts/fingerprint.h"
#include "contracts/siphash.h"

enum {
    SERIES_VERSION = 1,
    SERIES_PART_COUNT_MAX = 8,
};

#define SERIES_OVERFLOW_TEXT "__overflow__"

/* What a key is made of, besides the event. */
struct series_scope {
    const uint8_t *hash_key; /* SIPHASH_KEY_SIZE bytes; borrowed */
    uint64_t project;        /* series_project() */
};

/* The number of a project, never 0. Neither name may be longer than 255 bytes. */
MUST_USE uint64_t series_project(const uint8_t hash_key[SIPHASH_KEY_SIZE], struct slice org,
                                 struct slice project);

/* The key of the event's series. False when events of its type are not counted. */
MUST_USE bool series_key(const struct series_scope *scope, const struct raw_event *event,
                         uint64_t ret_key[2]);

/* The key under which the project's further errors count, when there are too many series. */
void series_overflow_key(const struct series_scope *scope, enum event_environment environment,
                         uint64_t ret_key[2]);

/* The event's route as it counts for its series, or "unknown"; returns its size. */
MUST_USE size_t series_route_write(const struct raw_event *event,
                                   char ret_text[FINGERPRINT_PART_SIZE_MAX]);

/* The text of the event's series. Not terminated; may hold any character. */
MUST_USE size_t series_text_write(const struct raw_event *event,
                                  char ret_text[FINGERPRINT_SIZE_MAX]);
