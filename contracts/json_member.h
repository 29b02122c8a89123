/*
 * JSON member: a name and its value, written into an object in one call.
 *
 * Names need no escaping: they are ours. What else can be a value is written behind
 * json_writer_key() by the caller.
 */
#pragma once

#include "contracts/json_writer.h"

/* A text, escaped as need be. */
void json_member_string(struct json_writer *writer, struct slice name, struct slice text);

/* A whole number. */
void json_member_u64(struct json_writer *writer, struct slice name, uint64_t number);

/* true or false. */
void json_member_boolean(struct json_writer *writer, struct slice name, bool value);

/* A time in unix ms, as a date-time. */
void json_member_time(struct json_writer *writer, struct slice name, int64_t unix_ms);

/* The same, but null for 0: it has not been yet. */
void json_member_time_or_null(struct json_writer *writer, struct slice name, int64_t unix_ms);
