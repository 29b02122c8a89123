/*
 * A linear search: with at most 64 names, nearly all refused by their size alone,
 * hashing would cost more than it saves.
 */
#include "contracts/json_key_set.h"

#include "contracts/json_string.h"

void json_key_set_init(struct json_key_set *set)
{
    set->count = 0;
}

enum json_key_result json_key_set_add(struct json_key_set *set, const struct json_value *key)
{
    assert(key->type == JSON_STRING);
    assert(set->count <= JSON_KEY_SET_COUNT_MAX);
    for (uint32_t i = 0; i < set->count; i++)
        if (json_string_same(&set->keys[i], key))
            return JSON_KEY_REPEATED;
    if (set->count == JSON_KEY_SET_COUNT_MAX)
        return JSON_KEY_SET_FULL;
    set->keys[set->count++] = *key;
    return JSON_KEY_NEW;
}
