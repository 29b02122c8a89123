#include "runtime/config_value.h"

#include <errno.h>
#include <strings.h>

/*
 * Sizes and durations are a number and a unit; a table per kind gives the units,
 * largest last, and printing takes the largest that divides the value. Bounds are
 * applied to the value in its base unit (bytes, milliseconds).
 */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit SIZE_UNITS[] = {
    {"B", 1},
    {"KiB", (uint64_t)1 << 10},
    {"MiB", (uint64_t)1 << 20},
    {"GiB", (uint64_t)1 << 30},
    {"TiB", (uint64_t)1 << 40},
};
static const struct unit DURATION_UNITS[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};
static const char *const TRUE_NAMES[] = {"true", "yes", "on", "1"};
static const char *const FALSE_NAMES[] = {"false", "no", "off", "0"};
static const char SEPARATORS[] = " \t,";

/* Reads digits; gives what follows them, or NULL when there are none or too many. */
static const char *parse_digits(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    const char *next = text;

    while (*next >= '0' && *next <= '9') {
        uint64_t digit = (uint64_t)(*next - '0');

        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return NULL;
        next++;
    }
    *ret_value = value;
    return next == text ? NULL : next;
}

static bool is_in_bounds(const struct config_key *key, int64_t value)
{
    if (key->min == 0 && key->max == 0)
        return value >= 0;
    return value >= key->min && value <= key->max;
}

static int parse_bool(const char *text, char *destination)
{
    bool value = true;

    for (size_t i = 0; i < ARRAY_COUNT(TRUE_NAMES); i++) {
        if (strcasecmp(text, TRUE_NAMES[i]) == 0) {
            memcpy(destination, &value, sizeof(value));
            return 0;
        }
        if (strcasecmp(text, FALSE_NAMES[i]) == 0) {
            value = false;
            memcpy(destination, &value, sizeof(value));
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_integer(const struct config_key *key, const char *text, char *destination)
{
    bool negative = text[0] == '-';
    uint64_t magnitude = 0;
    const char *rest = parse_digits(negative ? text + 1 : text, &magnitude);
    int64_t value;

    if (rest == NULL || *rest != '\0' || magnitude > INT64_MAX)
        return -EINVAL;
    value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (!is_in_bounds(key, value))
        return -EINVAL;
    memcpy(destination, &value, sizeof(value));
    return 0;
}

static int parse_quantity(const struct config_key *key, const struct unit *units, size_t unit_count,
                          const char *text, char *destination)
{
    uint64_t value = 0;
    uint64_t factor = 0;
    const char *rest = parse_digits(text, &value);

    if (rest == NULL)
        return -EINVAL;
    while (*rest == ' ')
        rest++;
    for (size_t i = 0; i < unit_count; i++)
        if (strcmp(rest, units[i].name) == 0)
            factor = units[i].factor;
    /* A bare number of bytes is plain; a bare time is a guess, unless it is nothing. */
    if (*rest == '\0' && (key->kind == CONFIG_SIZE || value == 0))
        factor = 1;
    if (factor == 0 || __builtin_mul_overflow(value, factor, &value) || value > INT64_MAX)
        return -EINVAL;
    if (!is_in_bounds(key, (int64_t)value))
        return -EINVAL;
    memcpy(destination, &value, sizeof(value));
    return 0;
}

/* The next name of "a|b|c" behind *rest, empty at the end. */
static struct slice next_choice(const char **rest)
{
    struct slice choice = {*rest, strcspn(*rest, "|")};

    *rest += choice.size;
    if (**rest == '|')
        (*rest)++;
    return choice;
}

static int parse_choice(const struct config_key *key, const char *text, char *destination)
{
    const char *rest = key->choices;

    assert(key->choices != NULL);
    for (uint32_t i = 0; *rest != '\0'; i++) {
        if (slice_equal(next_choice(&rest), slice_of(text))) {
            memcpy(destination, &i, sizeof(i));
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_list(char *text, char *destination)
{
    struct config_list *list = (struct config_list *)(void *)destination;
    uint32_t count = list->count;

    for (text += strspn(text, SEPARATORS); *text != '\0'; text += strspn(text, SEPARATORS)) {
        char *end = text + strcspn(text, SEPARATORS);

        if (count == CONFIG_LIST_COUNT_MAX)
            return -EINVAL;
        list->items[count++] = text;
        text = end;
        if (*end != '\0')
            *text++ = '\0';
    }
    list->count = count;
    return 0;
}

int config_value_parse(const struct config_key *key, char *text, char *destination)
{
    const char *borrowed = text;

    assert(text != NULL);
    assert(destination != NULL);
    switch (key->kind) {
    case CONFIG_BOOL:
        return parse_bool(text, destination);
    case CONFIG_INTEGER:
        return parse_integer(key, text, destination);
    case CONFIG_SIZE:
        return parse_quantity(key, SIZE_UNITS, ARRAY_COUNT(SIZE_UNITS), text, destination);
    case CONFIG_DURATION:
        return parse_quantity(key, DURATION_UNITS, ARRAY_COUNT(DURATION_UNITS), text, destination);
    case CONFIG_TEXT:
        memcpy(destination, &borrowed, sizeof(borrowed));
        return 0;
    case CONFIG_CHOICE:
        return parse_choice(key, text, destination);
    case CONFIG_LIST:
        return parse_list(text, destination);
    }
    assert(false);
    return -EINVAL;
}

/* The largest unit that divides the value, so that 60000 ms is 1m and 61000 ms is 61s. */
static void put_quantity(const struct unit *units, size_t unit_count, uint64_t value,
                         struct text_writer *writer)
{
    size_t best = 0;

    for (size_t i = 1; i < unit_count && value != 0; i++)
        if (value % units[i].factor == 0)
            best = i;
    text_writer_u64(writer, value / units[best].factor);
    text_writer_text(writer, units[best].name);
}

static void put_number(const struct config_key *key, int64_t value, struct text_writer *writer)
{
    if (key->kind == CONFIG_SIZE)
        put_quantity(SIZE_UNITS, ARRAY_COUNT(SIZE_UNITS), (uint64_t)value, writer);
    else if (key->kind == CONFIG_DURATION)
        put_quantity(DURATION_UNITS, ARRAY_COUNT(DURATION_UNITS), (uint64_t)value, writer);
    else
        text_writer_i64(writer, value);
}

void config_value_expected(const struct config_key *key, struct text_writer *writer)
{
    static const char *const EXPECTED[] = {
        [CONFIG_BOOL] = "true or false",
        [CONFIG_INTEGER] = "a whole number",
        [CONFIG_SIZE] = "a size such as 64MiB",
        [CONFIG_DURATION] = "a time with its unit, such as 15s or 250ms,",
        [CONFIG_TEXT] = "text",
        [CONFIG_CHOICE] = "one of ",
        [CONFIG_LIST] = "a list of at most 64 entries",
    };
    bool is_number =
        key->kind == CONFIG_INTEGER || key->kind == CONFIG_SIZE || key->kind == CONFIG_DURATION;

    static_assert(CONFIG_LIST_COUNT_MAX == 64, "the sentence above says so");
    text_writer_text(writer, EXPECTED[key->kind]);
    if (key->kind == CONFIG_CHOICE)
        text_writer_text(writer, key->choices);
    if (is_number && (key->min != 0 || key->max != 0)) {
        text_writer_text(writer, " from ");
        put_number(key, key->min, writer);
        text_writer_text(writer, " to ");
        put_number(key, key->max, writer);
    }
}

static void put_choice(const struct config_key *key, uint32_t index, struct text_writer *writer)
{
    const char *rest = key->choices;
    struct slice choice = next_choice(&rest);

    for (; index > 0; index--)
        choice = next_choice(&rest);
    assert(choice.size > 0);
    text_writer_put(writer, choice);
}

void config_value_print(const struct config_key *key, const char *destination,
                        struct text_writer *writer)
{
    const struct config_list *list = (const struct config_list *)(const void *)destination;

    switch (key->kind) {
    case CONFIG_BOOL:
        text_writer_text(writer, *(const bool *)destination ? "true" : "false");
        break;
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        put_number(key, *(const int64_t *)(const void *)destination, writer);
        break;
    case CONFIG_TEXT:
        text_writer_text(writer, *(const char *const *)(const void *)destination);
        break;
    case CONFIG_CHOICE:
        put_choice(key, *(const uint32_t *)(const void *)destination, writer);
        break;
    case CONFIG_LIST:
        for (uint32_t i = 0; i < list->count; i++) {
            text_writer_text(writer, i > 0 ? " " : "");
            text_writer_text(writer, list->items[i]);
        }
        break;
    }
}
