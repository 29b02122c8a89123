/*
 * The second byte carries every restriction beyond "is a continuation byte":
 * E0 needs A0..BF and F0 needs 90..BF, or the form would be overlong; ED needs
 * 80..9F, or it would be a surrogate; F4 needs 80..8F, or it would lie above
 * U+10FFFF. So a lead byte fixes the length and the range of the byte behind it,
 * and all later bytes are plain continuations.
 */
#include "contracts/utf8.h"

enum { CONTINUATION_MIN = 0x80, CONTINUATION_MAX = 0xbf };

int utf8_sequence(const char *at, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)at;
    unsigned char lead = bytes[0];
    unsigned second_min = CONTINUATION_MIN;
    unsigned second_max = CONTINUATION_MAX;
    int length;

    assert(size > 0);
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return UTF8_BAD;
    length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead == 0xe0)
        second_min = 0xa0;
    else if (lead == 0xed)
        second_max = 0x9f;
    else if (lead == 0xf0)
        second_min = 0x90;
    else if (lead == 0xf4)
        second_max = 0x8f;

    for (int i = 1; i < length; i++) {
        if ((size_t)i == size)
            return UTF8_TRUNCATED;
        if (bytes[i] < second_min || bytes[i] > second_max)
            return UTF8_BAD;
        second_min = CONTINUATION_MIN;
        second_max = CONTINUATION_MAX;
    }
    return length;
}

size_t utf8_encode(uint32_t code_point, char ret_bytes[4])
{
    assert(code_point <= 0x10ffff);
    assert(code_point < 0xd800 || code_point > 0xdfff);
    if (code_point < 0x80) {
        ret_bytes[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        ret_bytes[0] = (char)(0xc0 | code_point >> 6);
        ret_bytes[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        ret_bytes[0] = (char)(0xe0 | code_point >> 12);
        ret_bytes[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        ret_bytes[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    ret_bytes[0] = (char)(0xf0 | code_point >> 18);
    ret_bytes[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    ret_bytes[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    ret_bytes[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}

size_t utf8_cut(struct slice text, size_t limit)
{
    size_t size = limit;

    if (text.size <= limit)
        return text.size;
    assert(text.data != NULL);
    while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    return size;
}
