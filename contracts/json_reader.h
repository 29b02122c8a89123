/*
 * JSON reader: strict RFC 8259 over one contiguous text, pulled by the caller.
 *
 * It never allocates, copies or looks past the end of the text. Every value it
 * gives is a slice of the text, validated to the last byte: UTF-8 well-formed,
 * escapes paired, numbers in the grammar, nesting within the limit. Numbers stay
 * text, so none is ever rounded. Text that breaks off is JSON_TRUNCATED, text that
 * no continuation could repair is JSON_BAD; both stay: every later call repeats
 * them.
 *
 *     json_reader_init(&reader, body, JSON_DEPTH_DEFAULT);
 *     r = json_reader_enter_object(&reader);
 *     while (r == JSON_OK && (r = json_reader_next_member(&reader, &key)) == JSON_OK)
 *         r = json_reader_read(&reader, &value);
 *     if (r == JSON_END)
 *         r = json_reader_finish(&reader);
 *
 * Between next_member (or next_element) and the following one the caller consumes
 * exactly one value: by read(), or by enter and next until JSON_END. Repeated
 * member names are the caller's matter; json_key_set helps.
 */
#pragma once

#include "runtime/base.h"

enum {
    JSON_DEPTH_DEFAULT = 64,
    JSON_DEPTH_MAX = 512, /* the largest limit a caller may ask for */
};

enum json_result {
    JSON_OK,
    JSON_END,       /* the object or array has no more members; it is left now */
    JSON_TRUNCATED, /* the text ended too early */
    JSON_BAD,       /* json_reader_error() says why */
};

/* X(name, text): why a text was refused. */
#define JSON_ERRORS(X)                                                                             \
    X(NONE, "no error")                                                                            \
    X(TRUNCATED, "the text ends inside a value")                                                   \
    X(VALUE, "a value was expected")                                                               \
    X(KEY, "a member name in double quotes was expected")                                          \
    X(COLON, "a colon was expected after the member name")                                         \
    X(SEPARATOR, "a comma or the closing bracket was expected")                                    \
    X(CONTROL, "a control character in a string is not escaped")                                   \
    X(ESCAPE, "a string contains an unknown or malformed escape")                                  \
    X(SURROGATE, "a string contains a \\u surrogate without its other half")                       \
    X(UTF8, "the text is not well-formed UTF-8")                                                   \
    X(NUMBER, "a number is malformed")                                                             \
    X(DEPTH, "values are nested too deeply")                                                       \
    X(TRAILING, "something follows the end of the value")

enum json_error {
#define JSON_ERROR_ENUM(name, text) JSON_ERROR_##name,
    JSON_ERRORS(JSON_ERROR_ENUM)
#undef JSON_ERROR_ENUM
};

enum json_type {
    JSON_ABSENT, /* no value: what a zeroed struct json_value says */
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* One validated value, borrowed from the text. */
struct json_value {
    struct slice raw; /* all of it, a string with its quotes */
    enum json_type type;
    bool has_escapes; /* string: some character is written as an escape */
    bool is_integer;  /* number: neither fraction nor exponent */
    bool is_true;     /* boolean */
};

/* Private to json_reader.c; spelled out so that it can live on the stack. */
struct json_reader {
    const char *start;
    const char *cursor;
    const char *end;
    uint32_t depth;
    uint32_t depth_max;
    bool is_first; /* a container was just entered: no comma is due */
    enum json_error error;
};

/* Borrows text while the reader and its values are used. 1 <= depth_max <= JSON_DEPTH_MAX. */
void json_reader_init(struct json_reader *reader, struct slice text, uint32_t depth_max);

/*
 * As init, but reading begins at offset, which must not exceed the size; error
 * offsets still count from the start of text. For a line inside a larger body.
 */
void json_reader_init_at(struct json_reader *reader, struct slice text, size_t offset,
                         uint32_t depth_max);

/* Tells the type of the value that comes next from its first byte; consumes only white space. */
MUST_USE enum json_result json_reader_peek(struct json_reader *reader, enum json_type *ret_type);

/* Validates and consumes one whole value of any type. */
MUST_USE enum json_result json_reader_read(struct json_reader *reader,
                                           struct json_value *ret_value);

/* Enters the object that peek() announced; JSON_BAD when what follows is no object. */
MUST_USE enum json_result json_reader_enter_object(struct json_reader *reader);

/* Enters the array that peek() announced; JSON_BAD when what follows is no array. */
MUST_USE enum json_result json_reader_enter_array(struct json_reader *reader);

/*
 * Moves to the next member of the entered object. JSON_OK: *ret_key is its name (a
 * string value) and its value is due. JSON_END: the object is closed and left.
 */
MUST_USE enum json_result json_reader_next_member(struct json_reader *reader,
                                                  struct json_value *ret_key);

/* Moves to the next element of the entered array: JSON_OK and its value is due, or JSON_END. */
MUST_USE enum json_result json_reader_next_element(struct json_reader *reader);

/* JSON_OK when nothing but white space is left, else JSON_BAD with JSON_ERROR_TRAILING. */
MUST_USE enum json_result json_reader_finish(struct json_reader *reader);

/* The byte of the text that comes next; with an error, the byte where it was found. */
size_t json_reader_offset(const struct json_reader *reader);

/*
 * The text from offset begin, an earlier json_reader_offset(), to the cursor. Right
 * after the JSON_END of a container whose offset was noted, this is its raw form.
 */
struct slice json_reader_since(const struct json_reader *reader, size_t begin);

/* Why the reader stopped; JSON_ERROR_NONE while it has not. */
enum json_error json_reader_error(const struct json_reader *reader);

/* A static sentence for the error, without a full stop. */
struct slice json_error_text(enum json_error error);

/* The name JavaScript validators give the type; "undefined" for JSON_ABSENT. */
struct slice json_type_name(enum json_type type);

/* Reads text as exactly one document. JSON_OK gives the value; else *ret_reader says why not. */
MUST_USE enum json_result json_read_document(struct slice text, uint32_t depth_max,
                                             struct json_reader *ret_reader,
                                             struct json_value *ret_value);

/*
 * Finds the member named name in object, a raw slice that a reader has validated;
 * the last one when it is repeated, as JavaScript does. False when there is none.
 */
MUST_USE bool json_find_member(struct slice object, struct slice name,
                               struct json_value *ret_value);
