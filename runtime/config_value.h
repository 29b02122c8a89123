/*
 * Config value: how the text of one setting becomes a value, and back.
 *
 * Pure functions without state, so that the kinds can be tested apart from files
 * and sources. Numbers are decimal, never negative unless the key's bounds allow
 * it, and never wrap: what does not fit is refused.
 */
#pragma once

#include "runtime/config.h"
#include "runtime/text_writer.h"

/*
 * Reads text as key->kind says and writes the value at destination, whose type is
 * that of the kind. For CONFIG_TEXT and CONFIG_LIST the value borrows text; for a
 * list its separators are overwritten, and its items are added to those already
 * there. 0, or -EINVAL with nothing written; config_value_expected() says why.
 */
MUST_USE int config_value_parse(const struct config_key *key, char *text, char *destination);

/* Writes what the key accepts: "a whole number from 1 to 64", "one of auto|uring". */
void config_value_expected(const struct config_key *key, struct text_writer *writer);

/* Prints the value at destination in the form that config_value_parse() reads. */
void config_value_print(const struct config_key *key, const char *destination,
                        struct text_writer *writer);
