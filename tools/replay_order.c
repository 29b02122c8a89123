#include "tools/replay_order.h"

#include <errno.h>

enum { CAPACITY_FIRST = 1024 };

int replay_order_add(struct replay_order *order, const struct replay_line *line, bool has_time)
{
    struct replay_line *last = order->count > 0 ? &order->lines[order->count - 1] : NULL;

    assert(last == NULL || last->line_number < line->line_number);
    assert(!order->is_sorted);
    if (order->count == REPLAY_ORDER_COUNT_MAX)
        return -E2BIG;
    if (order->count == order->capacity) {
        size_t capacity = order->capacity == 0 ? CAPACITY_FIRST : order->capacity * 2;
        struct replay_line *lines = realloc(order->lines, capacity * sizeof(*lines));

        if (lines == NULL)
            return -ENOMEM;
        last = order->count > 0 ? &lines[order->count - 1] : NULL;
        order->lines = lines;
        order->capacity = capacity;
    }
    order->lines[order->count] = *line;
    if (!has_time)
        order->lines[order->count].unix_ms = last == NULL ? INT64_MIN : last->unix_ms;
    order->count++;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct replay_line *left = a, *right = b;

    if (left->unix_ms != right->unix_ms)
        return left->unix_ms < right->unix_ms ? -1 : 1;
    return left->line_number < right->line_number ? -1 : 1;
}

void replay_order_sort(struct replay_order *order)
{
    if (order->count > 0)
        qsort(order->lines, order->count, sizeof(*order->lines), compare);
    order->is_sorted = true;
}

void replay_order_deinit(struct replay_order *order)
{
    free(order->lines);
    *order = (struct replay_order){0};
}
