/*
 * JSON scan: how far a run of bytes goes that needs no attention in a string.
 *
 * Reader and writer stop at the same four things: the quote, the backslash, the
 * control characters below 0x20 and every byte of a multi-byte UTF-8 sequence.
 * Both vector and portable forms are compiled on x86-64, so that the tests can
 * hold one against the other; neither reads at or past end.
 */
#pragma once

#include "runtime/base.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* True for a byte that stands for itself inside a JSON string. */
static inline bool json_byte_is_plain(char byte)
{
    return (signed char)byte >= 0x20 && byte != '"' && byte != '\\';
}

/* Borrows at..end; returns the first byte that is not plain, or end. */
static inline const char *json_scan_plain_portable(const char *at, const char *end)
{
    while (at < end && json_byte_is_plain(*at))
        at++;
    return at;
}

#if defined(__SSE2__)
/*
 * The same, sixteen bytes at a time. The compare is signed: bytes of 0x80 and
 * more are negative, so one "less than 0x20" finds them and the controls.
 */
static inline const char *json_scan_plain(const char *at, const char *end)
{
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');

    while (end - at >= 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i stops = _mm_or_si128(
            _mm_cmplt_epi8(block, space),
            _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(stops);

        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    }
    return json_scan_plain_portable(at, end);
}
#else
/* The same; this host has no vector form. */
static inline const char *json_scan_plain(const char *at, const char *end)
{
    return json_scan_plain_portable(at, end);
}
#endif
