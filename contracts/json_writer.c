/*
 * One flag says whether a comma is due in front of the next value or name: it is
 * set behind every value and cleared behind every opening bracket and every name.
 * That is enough because a closing bracket completes a value of the level outside,
 * so no stack is needed; the depth is kept only to assert that all were closed.
 */
#include "contracts/json_writer.h"

#include <math.h>

#include "contracts/json_scan.h"
#include "contracts/utf8.h"

enum { INTEGER_DIGITS_MAX = 20, DOUBLE_TEXT_SIZE = 32 };

static void writer_check(const struct json_writer *writer)
{
    assert(writer->size <= writer->capacity);
}

static void put_byte(struct json_writer *writer, char byte)
{
    json_writer_verbatim(writer, (struct slice){&byte, 1});
}

static void begin_value(struct json_writer *writer)
{
    writer_check(writer);
    if (writer->needs_comma)
        put_byte(writer, ',');
    writer->needs_comma = true;
}

void json_writer_init(struct json_writer *writer, char *data, size_t capacity)
{
    assert(data != NULL || capacity == 0);
    *writer = (struct json_writer){.data = data, .capacity = capacity};
}

bool json_writer_finish(const struct json_writer *writer, struct slice *ret_text)
{
    writer_check(writer);
    assert(writer->depth == 0);
    if (writer->overflowed)
        return false;
    *ret_text = (struct slice){writer->data, writer->size};
    return true;
}

static void begin_container(struct json_writer *writer, char opener)
{
    begin_value(writer);
    put_byte(writer, opener);
    writer->depth++;
    writer->needs_comma = false;
}

static void end_container(struct json_writer *writer, char closer)
{
    assert(writer->depth > 0);
    put_byte(writer, closer);
    writer->depth--;
    writer->needs_comma = true;
}

void json_writer_begin_object(struct json_writer *writer)
{
    begin_container(writer, '{');
}

void json_writer_end_object(struct json_writer *writer)
{
    end_container(writer, '}');
}

void json_writer_begin_array(struct json_writer *writer)
{
    begin_container(writer, '[');
}

void json_writer_end_array(struct json_writer *writer)
{
    end_container(writer, ']');
}

void json_writer_key(struct json_writer *writer, struct slice name)
{
    json_writer_string(writer, name);
    put_byte(writer, ':');
    writer->needs_comma = false;
}

/* Writes the one ASCII byte that must not stand in a string as it is. */
static void put_escaped(struct json_writer *writer, char byte)
{
    static const char HEX[] = "0123456789abcdef";
    char escape[6] = "\\u00";

    switch (byte) {
    case '"':
    case '\\':
        escape[1] = byte;
        break;
    case '\b':
        escape[1] = 'b';
        break;
    case '\f':
        escape[1] = 'f';
        break;
    case '\n':
        escape[1] = 'n';
        break;
    case '\r':
        escape[1] = 'r';
        break;
    case '\t':
        escape[1] = 't';
        break;
    default:
        assert((unsigned char)byte < 0x20);
        escape[4] = HEX[byte >> 4];
        escape[5] = HEX[byte & 15];
        json_writer_verbatim(writer, (struct slice){escape, 6});
        return;
    }
    json_writer_verbatim(writer, (struct slice){escape, 2});
}

/* Writes the sequence at at, or the replacement character for one wrong byte. */
static const char *put_multibyte(struct json_writer *writer, const char *at, const char *end)
{
    int length = utf8_sequence(at, (size_t)(end - at));

    if (length <= 0) {
        json_writer_verbatim(writer, SLICE_LITERAL("\xef\xbf\xbd"));
        return at + 1;
    }
    json_writer_verbatim(writer, (struct slice){at, (size_t)length});
    return at + length;
}

void json_writer_begin_string(struct json_writer *writer)
{
    begin_value(writer);
    put_byte(writer, '"');
}

void json_writer_string_piece(struct json_writer *writer, struct slice piece)
{
    const char *at = piece.data;
    const char *end;

    writer_check(writer);
    if (piece.size == 0)
        return;
    end = at + piece.size;
    while (at < end) {
        const char *stop = json_scan_plain(at, end);

        json_writer_verbatim(writer, (struct slice){at, (size_t)(stop - at)});
        at = stop;
        if (at == end)
            break;
        if ((signed char)*at < 0)
            at = put_multibyte(writer, at, end);
        else
            put_escaped(writer, *at++);
    }
}

void json_writer_end_string(struct json_writer *writer)
{
    put_byte(writer, '"');
}

void json_writer_string(struct json_writer *writer, struct slice text)
{
    json_writer_begin_string(writer);
    json_writer_string_piece(writer, text);
    json_writer_end_string(writer);
}

void json_writer_raw(struct json_writer *writer, struct slice json)
{
    assert(json.size > 0);
    begin_value(writer);
    json_writer_verbatim(writer, json);
}

static void put_digits(struct json_writer *writer, uint64_t value)
{
    char digits[INTEGER_DIGITS_MAX];
    size_t begin = sizeof(digits);

    do {
        digits[--begin] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    json_writer_verbatim(writer, (struct slice){digits + begin, sizeof(digits) - begin});
}

void json_writer_u64(struct json_writer *writer, uint64_t value)
{
    begin_value(writer);
    put_digits(writer, value);
}

void json_writer_u64_text(struct json_writer *writer, uint64_t value)
{
    json_writer_begin_string(writer);
    put_digits(writer, value);
    json_writer_end_string(writer);
}

void json_writer_i64(struct json_writer *writer, int64_t value)
{
    if (value >= 0) {
        json_writer_u64(writer, (uint64_t)value);
        return;
    }
    begin_value(writer);
    put_byte(writer, '-');
    writer->needs_comma = false;
    json_writer_u64(writer, 0 - (uint64_t)value);
}

void json_writer_double(struct json_writer *writer, double value)
{
    char text[DOUBLE_TEXT_SIZE];
    int size = 0;

    if (!isfinite(value)) {
        json_writer_null(writer);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        size = snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    assert(size > 0 && (size_t)size < sizeof(text));
    begin_value(writer);
    json_writer_verbatim(writer, (struct slice){text, (size_t)size});
}

void json_writer_boolean(struct json_writer *writer, bool value)
{
    json_writer_raw(writer, value ? SLICE_LITERAL("true") : SLICE_LITERAL("false"));
}

void json_writer_null(struct json_writer *writer)
{
    json_writer_raw(writer, SLICE_LITERAL("null"));
}

void json_writer_time(struct json_writer *writer, int64_t unix_ms)
{
    char text[TIMESTAMP_TEXT_SIZE];

    timestamp_format(unix_ms, text);
    json_writer_string(writer, (struct slice){text, sizeof(text)});
}
