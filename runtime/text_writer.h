/*
 * Text writer: appends to a bounded piece of memory without ever passing its end.
 *
 * What does not fit is left out whole and overflowed is set; the caller decides
 * whether that means an error or a cut. No allocation, no locale, no I/O, so it
 * may be used in a signal handler.
 */
#pragma once

#include "runtime/base.h"

/* Public; embedded by value. The text is data[0..size), not terminated. */
struct text_writer {
    char *data;
    size_t size;
    size_t capacity;
    bool overflowed;
};

/* Borrows data[0..capacity). */
void text_writer_init(struct text_writer *writer, char *data, size_t capacity);

/* Appends the bytes; all of them or none. */
void text_writer_put(struct text_writer *writer, struct slice bytes);

/* Appends terminated text; all of it or none. */
void text_writer_text(struct text_writer *writer, const char *text);

/* Appends one byte. */
void text_writer_char(struct text_writer *writer, char byte);

/* Appends a decimal number. */
void text_writer_u64(struct text_writer *writer, uint64_t value);

/* Appends a decimal number with a minus sign when negative. */
void text_writer_i64(struct text_writer *writer, int64_t value);

/* Appends 0x and lower-case hexadecimal digits without leading zeroes. */
void text_writer_hex(struct text_writer *writer, uint64_t value);

/* Appends exactly width digits, zeroes first; the number must fit. */
void text_writer_padded(struct text_writer *writer, uint64_t value, uint32_t width);
