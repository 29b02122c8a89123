#include "runtime/limits.h"

#include <errno.h>
#include <inttypes.h>

void limits_init(struct limits *limits)
{
    limits->line_count = 0;
}

void limits_add(struct limits *limits, const char *name, uint64_t count, uint64_t unit_size)
{
    assert(limits->line_count < LIMITS_LINES_MAX);
    assert(unit_size == 0 || count <= UINT64_MAX / unit_size);
    limits->lines[limits->line_count++] =
        (struct limit){.name = name, .count = count, .unit_size = unit_size};
}

uint64_t limits_total(const struct limits *limits)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < limits->line_count; i++)
        total += limits->lines[i].count * limits->lines[i].unit_size;
    return total;
}

/* Moves *used on by what snprintf() answered; false when it did not fit. */
static bool advance(size_t *used, int printed, size_t text_size)
{
    if (printed < 0 || (size_t)printed >= text_size - *used)
        return false;
    *used += (size_t)printed;
    return true;
}

int limits_render(const struct limits *limits, char *text, size_t text_size)
{
    size_t used = 0;
    int printed;

    assert(text_size > 0);
    printed = snprintf(text, text_size, "%-36s %12s %12s %16s\n", "limit", "count", "bytes each",
                       "bytes");
    if (!advance(&used, printed, text_size))
        return -EMSGSIZE;
    for (uint32_t i = 0; i < limits->line_count; i++) {
        const struct limit *line = &limits->lines[i];

        printed = snprintf(text + used, text_size - used,
                           "%-36s %12" PRIu64 " %12" PRIu64 " %16" PRIu64 "\n", line->name,
                           line->count, line->unit_size, line->count * line->unit_size);
        if (!advance(&used, printed, text_size))
            return -EMSGSIZE;
    }
    printed = snprintf(text + used, text_size - used, "%-36s %12s %12s %16" PRIu64 "\n", "total",
                       "", "", limits_total(limits));
    if (!advance(&used, printed, text_size))
        return -EMSGSIZE;
    return (int)used;
}
