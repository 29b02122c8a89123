/*
 * Char class: which bytes the grammar of HTTP and of URLs allows where.
 *
 * One table with one bit per class; a byte may be in several. Shared by the
 * parsers of this floor, which scan with it wherever vectors do not pay.
 */
#pragma once

#include "runtime/base.h"

enum char_class {
    CHAR_TOKEN = 1,       /* RFC 9110 tchar: method, header name */
    CHAR_PATH = 2,        /* RFC 3986 pchar, '/' and '%' */
    CHAR_TARGET = 4,      /* CHAR_PATH, '?', and what browsers leave bare in a query: []{}|\^` */
    CHAR_FIELD_VALUE = 8, /* visible, SP, HTAB and 0x80-0xff */
    CHAR_UNRESERVED = 16, /* RFC 3986 unreserved: a host name */
};

extern const uint8_t CHAR_CLASSES[256];

/* True when c is in the class. */
static inline bool char_is(char c, enum char_class class)
{
    return (CHAR_CLASSES[(unsigned char)c] & class) != 0;
}

/* The first byte in [at, end) outside the class, or end. */
static inline const char *char_skip(const char *at, const char *end, enum char_class class)
{
    while (at < end && char_is(*at, class))
        at++;
    return at;
}

/* True for 0 to 9, in no locale but ASCII. */
static inline bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hex digit of either case, or -1. */
static inline int char_hex_value(char c)
{
    if (char_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* ASCII lower case; other bytes stay as they are. */
static inline char char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
