#include "contracts/cursor.h"

/*
 * Forty bytes in base64url: no padding, nothing to be escaped in a URL. Every place has one
 * text: bits that no byte needs must be 0, or two texts would mean the same place.
 */

enum {
    CURSOR_SIZE = (CURSOR_WORD_COUNT + 1) * 8, /* decoded */
    SEALED_WORD_COUNT = CURSOR_WORD_COUNT + 1,
};

static_assert(CURSOR_TEXT_SIZE == (CURSOR_SIZE * 8 + 5) / 6, "six bits a character");

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint64_t tag_of(const struct cursor_seal *seal, const struct cursor *cursor)
{
    uint64_t sealed[SEALED_WORD_COUNT];

    memcpy(sealed, cursor->words, sizeof(cursor->words));
    sealed[CURSOR_WORD_COUNT] = seal->filter;
    return siphash_64(seal->key, (struct slice){(const char *)sealed, sizeof(sealed)});
}

void cursor_write(const struct cursor_seal *seal, const struct cursor *cursor,
                  char ret_text[CURSOR_TEXT_SIZE])
{
    uint8_t bytes[CURSOR_SIZE];
    uint64_t tag = tag_of(seal, cursor);
    uint32_t bits = 0, bit_count = 0;
    size_t size = 0;

    memcpy(bytes, cursor->words, sizeof(cursor->words));
    memcpy(bytes + sizeof(cursor->words), &tag, sizeof(tag));
    for (size_t i = 0; i < CURSOR_SIZE; i++) {
        bits = bits << 8 | bytes[i];
        for (bit_count += 8; bit_count >= 6; bit_count -= 6)
            ret_text[size++] = ALPHABET[bits >> (bit_count - 6) & 63];
    }
    if (bit_count > 0)
        ret_text[size++] = ALPHABET[bits << (6 - bit_count) & 63];
    assert(size == CURSOR_TEXT_SIZE);
}

/* The six bits that a character stands for; false for any other. */
static bool read_digit(char c, uint32_t *ret_digit)
{
    const char *found = c == '\0' ? NULL : strchr(ALPHABET, c);

    if (found == NULL)
        return false;
    *ret_digit = (uint32_t)(found - ALPHABET);
    return true;
}

static bool decode(struct slice text, uint8_t bytes[CURSOR_SIZE])
{
    uint32_t bits = 0, bit_count = 0, digit;
    size_t size = 0;

    if (text.size != CURSOR_TEXT_SIZE)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!read_digit(text.data[i], &digit))
            return false;
        bits = bits << 6 | digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            bytes[size++] = (uint8_t)(bits >> bit_count);
        }
    }
    assert(size == CURSOR_SIZE);
    /* What is left over must be what was written: there is one text for each place. */
    return (bits & ((1u << bit_count) - 1)) == 0;
}

bool cursor_read(const struct cursor_seal *seal, struct slice text, struct cursor *ret_cursor)
{
    uint8_t bytes[CURSOR_SIZE];
    struct cursor cursor;
    uint64_t tag;

    if (!decode(text, bytes))
        return false;
    memcpy(cursor.words, bytes, sizeof(cursor.words));
    memcpy(&tag, bytes + sizeof(cursor.words), sizeof(tag));
    if (tag != tag_of(seal, &cursor))
        return false;
    *ret_cursor = cursor;
    return true;
}

uint64_t cursor_filter_add(const struct cursor_seal *seal, uint64_t filter, struct slice bytes)
{
    uint64_t parts[3] = {filter, bytes.size, siphash_64(seal->key, bytes)};

    return siphash_64(seal->key, (struct slice){(const char *)parts, sizeof(parts)});
}
