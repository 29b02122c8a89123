/*
 * Fuzz: the JSON reader, held against itself.
 *
 * Reading a text in one go and walking it step by step must agree on verdict,
 * reason and place. What was accepted must survive being written again, no
 * beginning of it may be called bad, and its strings and numbers must convert.
 */
#include "contracts/json_number.h"
#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "contracts/timestamp.h"
#include "contracts/uuid.h"

enum { TEXT_SIZE_MAX = 1 << 16, DEPTH_MAX = 16 };

static char rewritten[8 * TEXT_SIZE_MAX];
static char decoded[TEXT_SIZE_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void rewrite_string(const struct json_value *string, struct json_writer *writer)
{
    struct slice text;
    int64_t ignored_ms;

    require(json_string_text(string, decoded, sizeof(decoded), &text));
    require(json_string_equal(string, text));
    require(json_string_same(string, string));
    if (timestamp_parse(text, &ignored_ms))
        require(text.size >= sizeof("2025-01-15T12:00Z") - 1);
    if (uuid_is_valid(text))
        require(text.size == UUID_TEXT_SIZE);
    json_writer_string(writer, text);
}

static void rewrite_number(const struct json_value *number, struct json_writer *writer)
{
    char text[JSON_NUMBER_TEXT_SIZE];
    double as_double = 0;
    int64_t as_integer = 0;

    require(json_number_format(number->raw, text) <= sizeof(text));
    if (json_number_to_double(number->raw, &as_double) &&
        json_number_to_i64(number->raw, &as_integer))
        require((double)as_integer == as_double);
    json_writer_raw(writer, number->raw);
}

/* Recursion is bounded by the reader's depth limit. */
static enum json_result walk(struct json_reader *reader, struct json_writer *writer)
{
    struct json_value value;
    enum json_type type;
    enum json_result result = json_reader_peek(reader, &type);

    if (result != JSON_OK)
        return result;
    if (type == JSON_OBJECT) {
        result = json_reader_enter_object(reader);
        if (result == JSON_OK)
            json_writer_begin_object(writer);
        while (result == JSON_OK && (result = json_reader_next_member(reader, &value)) == JSON_OK) {
            rewrite_string(&value, writer);
            json_writer_verbatim(writer, SLICE_LITERAL(":"));
            writer->needs_comma = false;
            result = walk(reader, writer);
        }
        if (result == JSON_END)
            json_writer_end_object(writer);
        return result == JSON_END ? JSON_OK : result;
    }
    if (type == JSON_ARRAY) {
        result = json_reader_enter_array(reader);
        if (result == JSON_OK)
            json_writer_begin_array(writer);
        while (result == JSON_OK && (result = json_reader_next_element(reader)) == JSON_OK)
            result = walk(reader, writer);
        if (result == JSON_END)
            json_writer_end_array(writer);
        return result == JSON_END ? JSON_OK : result;
    }
    result = json_reader_read(reader, &value);
    if (result != JSON_OK)
        return result;
    require(value.type == type);
    if (type == JSON_STRING)
        rewrite_string(&value, writer);
    else if (type == JSON_NUMBER)
        rewrite_number(&value, writer);
    else
        json_writer_raw(writer, value.raw);
    return JSON_OK;
}

static void check_beginning(struct slice text)
{
    struct json_reader reader;
    struct json_value value;
    size_t cut = text.size / 2;

    for (size_t i = 0; i < 4; i++, cut = cut * 7 / 10)
        require(json_read_document((struct slice){text.data, cut}, DEPTH_MAX, &reader, &value) !=
                JSON_BAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct json_reader reader;
    struct json_reader walker;
    struct json_writer writer;
    struct json_value value;
    struct slice again;
    enum json_result whole;
    enum json_result stepped;

    if (size > TEXT_SIZE_MAX)
        return 0;
    whole = json_read_document(text, DEPTH_MAX, &reader, &value);
    json_reader_init(&walker, text, DEPTH_MAX);
    json_writer_init(&writer, rewritten, sizeof(rewritten));
    stepped = walk(&walker, &writer);
    if (stepped == JSON_OK)
        stepped = json_reader_finish(&walker);
    require(whole == stepped);
    require(json_reader_error(&reader) == json_reader_error(&walker));
    require(json_reader_offset(&reader) == json_reader_offset(&walker));
    if (whole != JSON_OK)
        return 0;
    require(json_writer_finish(&writer, &again));
    require(json_read_document(again, DEPTH_MAX, &reader, &value) == JSON_OK);
    check_beginning(text);
    return 0;
}
