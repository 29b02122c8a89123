/*
 * UUID: the text form 8-4-4-4-12 of 16 bytes, hexadecimal of either case.
 *
 * Event ids follow the lenient rule of the event format: any version and variant,
 * the nil UUID included. Only ids made here are version 4.
 */
#pragma once

#include "runtime/base.h"

enum { UUID_SIZE = 16, UUID_TEXT_SIZE = 36 };

/* True when text has the form; gives its bytes. Equal bytes mean equal ids in any case. */
MUST_USE bool uuid_parse(struct slice text, uint8_t ret_bytes[UUID_SIZE]);

/* True when text has the form. */
MUST_USE bool uuid_is_valid(struct slice text);

/* Writes the lower-case text, without a terminator. */
void uuid_format(const uint8_t bytes[UUID_SIZE], char ret_text[UUID_TEXT_SIZE]);

/* Writes the version 4 UUID that has these random bits (six of them are overruled). */
void uuid_format_v4(const uint8_t random_bytes[UUID_SIZE], char ret_text[UUID_TEXT_SIZE]);
