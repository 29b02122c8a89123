/*
 * Limits: the sum of everything that is bounded, line by line.
 *
 * Whoever owns a bound adds a line: what it is called, how many there may be and
 * what one costs. `weir serve --print-limits` shows the lines and the total, so
 * the memory of a configuration is known before it is tried.
 */
#pragma once

#include "runtime/base.h"

enum { LIMITS_LINES_MAX = 128 };

/* One bound. name is borrowed and must be static. */
struct limit {
    const char *name;
    uint64_t count;
    uint64_t unit_size; /* bytes */
};

/* Embedded by value; the lines may be read. */
struct limits {
    struct limit lines[LIMITS_LINES_MAX];
    uint32_t line_count;
};

/* No lines. */
void limits_init(struct limits *limits);

/* Adds a line; aborts when there are too many: the number of bounds is ours to plan. */
void limits_add(struct limits *limits, const char *name, uint64_t count, uint64_t unit_size);

/* Bytes of all lines together. */
uint64_t limits_total(const struct limits *limits);

/*
 * Writes a table, terminated: one line each and the total. Returns the size without
 * the terminator, or -EMSGSIZE when text_size is too small.
 */
MUST_USE int limits_render(const struct limits *limits, char *text, size_t text_size);
