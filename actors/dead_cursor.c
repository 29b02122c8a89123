#include "actors/dead_cursor.h"

enum { NUMBER_COUNT = 4, DIGIT_COUNT_MAX = 16 };

struct slice dead_cursor_write(const struct job_dead_place *place,
                               char buffer[DEAD_CURSOR_SIZE_MAX])
{
    int size = snprintf(buffer, DEAD_CURSOR_SIZE_MAX, "%llx.%llx.%llx.%llx",
                        (unsigned long long)place->dead_ms, (unsigned long long)place->created_ms,
                        (unsigned long long)place->order, (unsigned long long)place->id_low);

    assert(size > 0 && size < DEAD_CURSOR_SIZE_MAX);
    return (struct slice){buffer, (size_t)size};
}

/* The number at the beginning of *text, which is moved behind it. */
static bool read_number(struct slice *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    uint32_t count = 0;

    for (; text->size > 0 && *text->data != '.'; text->data++, text->size--, count++) {
        char digit = *text->data;

        if (digit >= '0' && digit <= '9')
            number = number << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            number = number << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    *ret_number = number;
    return count > 0 && count <= DIGIT_COUNT_MAX;
}

bool dead_cursor_read(struct slice text, struct job_dead_place *ret_place)
{
    uint64_t numbers[NUMBER_COUNT];

    for (uint32_t i = 0; i < NUMBER_COUNT; i++) {
        if (!read_number(&text, &numbers[i]))
            return false;
        if (i + 1 == NUMBER_COUNT)
            break;
        if (text.size == 0)
            return false;
        text.data++;
        text.size--;
    }
    if (text.size != 0)
        return false;
    *ret_place = (struct job_dead_place){numbers[0], numbers[1], numbers[2], numbers[3]};
    return true;
}
