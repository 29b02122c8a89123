/*
 * SHA-256 of bytes that are all there, by BearSSL.
 */
#pragma once

#include "runtime/base.h"

enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 64 };

/* Borrows bytes for the call. */
void sha256(struct slice bytes, uint8_t ret_digest[SHA256_SIZE]);

/* The same as lower-case hexadecimal text, without a terminator. */
void sha256_hex(struct slice bytes, char ret_text[SHA256_HEX_SIZE]);
