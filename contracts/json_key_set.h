/*
 * JSON key set: tells whether a member name was seen before in the same object.
 *
 * Bounded and without allocation: it is meant for objects of a known shape. Names
 * are compared by characters, not by spelling.
 */
#pragma once

#include "contracts/json_reader.h"
#include "runtime/base.h"

enum { JSON_KEY_SET_COUNT_MAX = 64 };

enum json_key_result {
    JSON_KEY_NEW,
    JSON_KEY_REPEATED,
    JSON_KEY_SET_FULL, /* the key is not among those kept, and cannot be kept */
};

/* Private to json_key_set.c; spelled out so that it can live on the stack. */
struct json_key_set {
    uint32_t count;
    struct json_value keys[JSON_KEY_SET_COUNT_MAX];
};

/* Makes the set empty, without touching all of its memory. */
void json_key_set_init(struct json_key_set *set);

/* Adds key, a string value whose text must outlive the set. */
MUST_USE enum json_key_result json_key_set_add(struct json_key_set *set,
                                               const struct json_value *key);
