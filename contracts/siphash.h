/*
 * SipHash-2-4: a keyed hash, so that nobody outside can aim at one bucket.
 *
 * For tables keyed by what clients send. The 128-bit form stands in for the bytes
 * themselves: two different inputs do not meet by accident or without the key.
 */
#pragma once

#include "runtime/base.h"

enum { SIPHASH_KEY_SIZE = 16, SIPHASH_128_SIZE = 16 };

/* Borrows key and bytes for the call. */
MUST_USE uint64_t siphash_64(const uint8_t key[SIPHASH_KEY_SIZE], struct slice bytes);

/* The 128-bit form, in the byte order of the reference implementation. */
void siphash_128(const uint8_t key[SIPHASH_KEY_SIZE], struct slice bytes,
                 uint8_t ret_hash[SIPHASH_128_SIZE]);
