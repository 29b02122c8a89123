/*
 * Fingerprint: the short names under which events belong together.
 *
 *     fingerprint    error: <error_code>|<route>|<environment>
 *                    else:  <event_type>|<environment>
 *     partition key  error: <org>|<project>|<error_code>|<route>
 *                    else:  <org>|<project>|<event_type>
 *
 * error_code and route are attributes of any JSON type. Missing and null are
 * "unknown", the empty string stays empty, other types are written the way
 * JavaScript turns them into strings. One that would be longer than
 * FINGERPRINT_PART_SIZE_MAX bytes is cut and ends in "~" and 32 hexadecimal digits
 * of a hash of all of it, so that two long ones do not meet.
 */
#pragma once

#include "contracts/raw_event.h"
#include "runtime/base.h"

enum {
    FINGERPRINT_PART_SIZE_MAX = 256,
    FINGERPRINT_SIZE_MAX = 2 * FINGERPRINT_PART_SIZE_MAX + 16,
    METRIC_BUCKET_MS = 60000,
};

/* Writes the fingerprint and returns its size. Not terminated; may hold any character. */
MUST_USE size_t fingerprint_write(const struct raw_event *event,
                                  char ret_text[FINGERPRINT_SIZE_MAX]);

/* Writes one part, the text of a value, and returns its size. */
MUST_USE size_t fingerprint_part_write(const struct json_value *value,
                                       char ret_text[FINGERPRINT_PART_SIZE_MAX]);

/* The capacity that a partition key of ids of these sizes needs at most. */
static inline size_t partition_key_size_max(struct slice org_id, struct slice project_id)
{
    return org_id.size + project_id.size + FINGERPRINT_SIZE_MAX;
}

/* Writes the key into text[0..capacity) and returns its size, or 0 when it does not fit. */
MUST_USE size_t partition_key_write(const struct raw_event *event, struct slice org_id,
                                    struct slice project_id, char *text, size_t capacity);

/* The metric that an event of this type counts for; empty when there is none. */
struct slice metric_name(enum event_type type);

/* The beginning of the minute that holds the instant, before 1970 too. */
int64_t metric_bucket(int64_t unix_ms);

/* MurmurHash2 as Kafka's Java client computes it, sign bit and all. */
MUST_USE uint32_t murmur2(struct slice bytes);

/* The partition that Kafka's default partitioners pick. partition_count > 0. */
MUST_USE uint32_t partition_of(struct slice key, uint32_t partition_count);
