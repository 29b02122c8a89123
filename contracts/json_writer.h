/*
 * JSON writer: writes compact JSON into a buffer of the caller's.
 *
 * Commas are its business, nesting is the caller's. It never allocates. When the
 * buffer is too small it stops writing and remembers: check once, at the end, with
 * json_writer_finish(). Whatever bytes it is given as text, its output is valid
 * JSON: what is not well-formed UTF-8 becomes U+FFFD.
 */
#pragma once

#include "contracts/timestamp.h"
#include "runtime/base.h"

/* Private to json_writer.c; spelled out so that it can live on the stack. */
struct json_writer {
    char *data;
    size_t capacity;
    size_t size;
    uint32_t depth;
    bool needs_comma;
    bool overflowed;
};

/* Borrows data[0..capacity) until finished. */
void json_writer_init(struct json_writer *writer, char *data, size_t capacity);

/* False when something did not fit; else gives what was written. Every container is closed. */
MUST_USE bool json_writer_finish(const struct json_writer *writer, struct slice *ret_text);

/* Opens an object as the next value. */
void json_writer_begin_object(struct json_writer *writer);

/* Closes the innermost open container, which is an object. */
void json_writer_end_object(struct json_writer *writer);

/* Opens an array as the next value. */
void json_writer_begin_array(struct json_writer *writer);

/* Closes the innermost open container, which is an array. */
void json_writer_end_array(struct json_writer *writer);

/* Writes a member's name; its value comes next. Borrows name for the call. */
void json_writer_key(struct json_writer *writer, struct slice name);

/* Writes text as a string value, escaped. Borrows text for the call. */
void json_writer_string(struct json_writer *writer, struct slice text);

/*
 * For a string value made of pieces: begin, any number of pieces, each escaped by
 * itself (so none may split a UTF-8 sequence), end.
 */
void json_writer_begin_string(struct json_writer *writer);
/* Adds one piece; borrows it for the call. */
void json_writer_string_piece(struct json_writer *writer, struct slice piece);
/* Ends the string value. */
void json_writer_end_string(struct json_writer *writer);

/* Writes a value that is JSON already, byte for byte. Borrows json for the call. */
void json_writer_raw(struct json_writer *writer, struct slice json);

/* Writes an integer value. */
void json_writer_u64(struct json_writer *writer, uint64_t value);

/* Writes an integer as a string, for one that a double need not hold. */
void json_writer_u64_text(struct json_writer *writer, uint64_t value);

/* Writes an integer value. */
void json_writer_i64(struct json_writer *writer, int64_t value);

/* Writes a number of at most 17 digits that reads back as value; null when not finite. */
void json_writer_double(struct json_writer *writer, double value);

/* Writes true or false. */
void json_writer_boolean(struct json_writer *writer, bool value);

/* Writes null. */
void json_writer_null(struct json_writer *writer);

/* Writes a time as a string, as timestamp_format() does. */
void json_writer_time(struct json_writer *writer, int64_t unix_ms);

/*
 * Writes bytes without any thought of commas or grammar, for templates whose
 * separators are part of the literal. Mixing with the calls above is safe only
 * between a begin and the first key, or for whole documents.
 */
static inline void json_writer_verbatim(struct json_writer *writer, struct slice bytes)
{
    if (unlikely(bytes.size > writer->capacity - writer->size) || unlikely(writer->overflowed)) {
        writer->overflowed = true;
        return;
    }
    if (bytes.size == 0)
        return;
    memcpy(writer->data + writer->size, bytes.data, bytes.size);
    writer->size += bytes.size;
}
