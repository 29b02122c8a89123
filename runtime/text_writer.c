#include "runtime/text_writer.h"

/*
 * Numbers are made from their last digit backwards in a small array and then put
 * like any other bytes, so that there is one place which looks at the bound. That
 * is several times faster than snprintf(), which matters for a scrape of thousands
 * of values on a shard's thread, and safe where snprintf() is not.
 */

enum { NUMBER_SIZE_MAX = 20 };

static void text_writer_check(const struct text_writer *writer)
{
    assert(writer->data != NULL);
    assert(writer->size <= writer->capacity);
}

void text_writer_init(struct text_writer *writer, char *data, size_t capacity)
{
    *writer = (struct text_writer){.data = data, .capacity = capacity};
    text_writer_check(writer);
}

void text_writer_put(struct text_writer *writer, struct slice bytes)
{
    text_writer_check(writer);
    if (bytes.size > writer->capacity - writer->size) {
        writer->overflowed = true;
        return;
    }
    if (bytes.size > 0)
        memcpy(writer->data + writer->size, bytes.data, bytes.size);
    writer->size += bytes.size;
}

void text_writer_text(struct text_writer *writer, const char *text)
{
    text_writer_put(writer, slice_of(text));
}

void text_writer_char(struct text_writer *writer, char byte)
{
    text_writer_put(writer, (struct slice){&byte, 1});
}

void text_writer_u64(struct text_writer *writer, uint64_t value)
{
    char digits[NUMBER_SIZE_MAX];
    size_t start = sizeof(digits);

    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    text_writer_put(writer, (struct slice){digits + start, sizeof(digits) - start});
}

void text_writer_i64(struct text_writer *writer, int64_t value)
{
    if (value < 0)
        text_writer_char(writer, '-');
    text_writer_u64(writer, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void text_writer_hex(struct text_writer *writer, uint64_t value)
{
    char digits[NUMBER_SIZE_MAX];
    size_t start = sizeof(digits);

    do {
        digits[--start] = "0123456789abcdef"[value % 16];
        value /= 16;
    } while (value > 0);
    digits[--start] = 'x';
    digits[--start] = '0';
    text_writer_put(writer, (struct slice){digits + start, sizeof(digits) - start});
}

void text_writer_padded(struct text_writer *writer, uint64_t value, uint32_t width)
{
    char digits[NUMBER_SIZE_MAX];

    assert(width <= NUMBER_SIZE_MAX);
    for (uint32_t i = width; i > 0; i--) {
        digits[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    assert(value == 0);
    text_writer_put(writer, (struct slice){digits, width});
}
