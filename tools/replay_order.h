/*
 * Replay order: the lines of a recording by time, for those that are not in order as they
 * stand. A dump of the journal is in order within each log only.
 *
 * 32 bytes of memory per line. Lines without a time stay behind the line that they follow,
 * and lines of the same time stay in the order of the recording.
 */
#pragma once

#include "runtime/base.h"

enum { REPLAY_ORDER_COUNT_MAX = 1 << 26 };

/* One line. */
struct replay_line {
    int64_t unix_ms;
    uint64_t offset; /* in the recording */
    uint64_t line_number;
    uint32_t size;
};

/* Public and read-only; zeroed before its first use. */
struct replay_order {
    struct replay_line *lines;
    size_t count;
    size_t capacity;
    bool is_sorted;
};

/*
 * Adds the next line of the recording; has_time tells whether unix_ms holds. 0, -ENOMEM, or
 * -E2BIG for more than REPLAY_ORDER_COUNT_MAX.
 */
MUST_USE int replay_order_add(struct replay_order *order, const struct replay_line *line,
                              bool has_time);

/* Puts the lines in order. */
void replay_order_sort(struct replay_order *order);

/* Frees the lines. */
void replay_order_deinit(struct replay_order *order);
