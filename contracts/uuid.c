/*
 * One table gives each byte its hexadecimal value, or a value with the high bits
 * set when it has none. All 32 lookups are ORed together and judged once, so a
 * valid id, the only kind worth hurrying for, costs no branch per digit.
 */
#include "contracts/uuid.h"

enum { NO_DIGIT = 0x80 };

#define DIGIT(c) ((uint8_t)((c) + 1)) /* 0 in the table means "no digit" */

static const uint8_t HEX_PLUS_ONE[256] = {
    ['0'] = DIGIT(0),  ['1'] = DIGIT(1),  ['2'] = DIGIT(2),  ['3'] = DIGIT(3),  ['4'] = DIGIT(4),
    ['5'] = DIGIT(5),  ['6'] = DIGIT(6),  ['7'] = DIGIT(7),  ['8'] = DIGIT(8),  ['9'] = DIGIT(9),
    ['a'] = DIGIT(10), ['b'] = DIGIT(11), ['c'] = DIGIT(12), ['d'] = DIGIT(13), ['e'] = DIGIT(14),
    ['f'] = DIGIT(15), ['A'] = DIGIT(10), ['B'] = DIGIT(11), ['C'] = DIGIT(12), ['D'] = DIGIT(13),
    ['E'] = DIGIT(14), ['F'] = DIGIT(15),
};

/* Where each byte's two digits begin in the text; the hyphens lie in the gaps. */
static const uint8_t DIGITS_AT[UUID_SIZE] = {0,  2,  4,  6,  9,  11, 14, 16,
                                             19, 21, 24, 26, 28, 30, 32, 34};

/* The digit's value; NO_DIGIT or more when it is none. */
static unsigned hex_value(char digit)
{
    return (HEX_PLUS_ONE[(unsigned char)digit] - 1u) & 0xff;
}

bool uuid_parse(struct slice text, uint8_t ret_bytes[UUID_SIZE])
{
    uint8_t bytes[UUID_SIZE];
    unsigned seen = 0;

    if (text.size != UUID_TEXT_SIZE)
        return false;
    if (text.data[8] != '-' || text.data[13] != '-' || text.data[18] != '-' || text.data[23] != '-')
        return false;
    for (int i = 0; i < UUID_SIZE; i++) {
        unsigned high = hex_value(text.data[DIGITS_AT[i]]);
        unsigned low = hex_value(text.data[DIGITS_AT[i] + 1]);

        seen |= high | low;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (seen >= NO_DIGIT)
        return false;
    memcpy(ret_bytes, bytes, sizeof(bytes));
    return true;
}

bool uuid_is_valid(struct slice text)
{
    uint8_t ignored[UUID_SIZE];

    return uuid_parse(text, ignored);
}

void uuid_format(const uint8_t bytes[UUID_SIZE], char ret_text[UUID_TEXT_SIZE])
{
    static const char HEX[] = "0123456789abcdef";

    ret_text[8] = ret_text[13] = ret_text[18] = ret_text[23] = '-';
    for (int i = 0; i < UUID_SIZE; i++) {
        ret_text[DIGITS_AT[i]] = HEX[bytes[i] >> 4];
        ret_text[DIGITS_AT[i] + 1] = HEX[bytes[i] & 15];
    }
}

void uuid_format_v4(const uint8_t random_bytes[UUID_SIZE], char ret_text[UUID_TEXT_SIZE])
{
    uint8_t bytes[UUID_SIZE];

    memcpy(bytes, random_bytes, sizeof(bytes));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    uuid_format(bytes, ret_text);
}
