#include "http/parameters.h"

#include "contracts/timestamp.h"
#include "contracts/utf8.h"

/*
 * A value is decoded on the stack; only texts, and names that are not known, which the issue
 * about them borrows, are kept in the caller's buffer.
 */

enum { DECIMAL = 10 };

static const char UNKNOWN_RULE[] = "is no parameter of this request";
static const char REPEATED_RULE[] = "must be given once";
static const char MALFORMED_RULE[] = "the query is malformed or a value in it is too long";

struct reading {
    const struct parameter *parameters;
    uint32_t count;
    char *buffer;
    size_t buffer_left;
    struct issue_list *issues;
    struct parameter_value *values;
    bool is_valid;
};

static void refuse(struct reading *reading, struct slice quoted_name, const char *rule)
{
    struct issue issue = {.kind = ISSUE_RULE, .index = ISSUE_NO_INDEX, .rule = slice_of(rule)};

    if (quoted_name.size > 0)
        issue.key = (struct json_value){.type = JSON_STRING, .raw = quoted_name};
    issue_list_add(reading->issues, &issue);
    reading->is_valid = false;
}

/* A copy in the caller's buffer; empty when there is no room. */
static struct slice keep(struct reading *reading, struct slice text)
{
    struct slice kept = {reading->buffer, text.size};

    if (text.size > reading->buffer_left || text.size == 0)
        return (struct slice){NULL, 0};
    memcpy(reading->buffer, text.data, text.size);
    reading->buffer += text.size;
    reading->buffer_left -= text.size;
    return kept;
}

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-' && c != '.')
            return false;
    }
    return name.size > 0 && name.size <= PARAMETER_NAME_SIZE_MAX;
}

static void refuse_unknown(struct reading *reading, struct slice name)
{
    char quoted[PARAMETER_NAME_SIZE_MAX + 2];

    if (!is_plain(name)) {
        refuse(reading, (struct slice){NULL, 0}, UNKNOWN_RULE);
        return;
    }
    quoted[0] = quoted[name.size + 1] = '"';
    memcpy(quoted + 1, name.data, name.size);
    refuse(reading, keep(reading, (struct slice){quoted, name.size + 2}), UNKNOWN_RULE);
}

/* --- values ------------------------------------------------------------------------- */

static bool read_number(const struct parameter *parameter, struct slice text, uint64_t *ret_number)
{
    uint64_t number = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = (uint64_t)text.data[i] - '0';

        if (text.data[i] < '0' || text.data[i] > '9' || number > (UINT64_MAX - digit) / DECIMAL)
            return false;
        number = number * DECIMAL + digit;
    }
    *ret_number = number;
    return text.size > 0 && number >= parameter->min && number <= parameter->max;
}

static bool read_choice(const struct parameter *parameter, struct slice text, uint64_t *ret_number)
{
    for (uint32_t i = 0; i < parameter->option_count; i++)
        if (slice_equal(parameter->options[i], text)) {
            *ret_number = i;
            return true;
        }
    return false;
}

static bool read_set(const struct parameter *parameter, struct slice text, uint64_t *ret_mask)
{
    for (;;) {
        const char *comma = text.size > 0 ? memchr(text.data, ',', text.size) : NULL;
        size_t size = comma != NULL ? (size_t)(comma - text.data) : text.size;
        uint64_t number;

        if (!read_choice(parameter, (struct slice){text.data, size}, &number))
            return false;
        *ret_mask |= UINT64_C(1) << number;
        if (comma == NULL)
            return true;
        text = (struct slice){comma + 1, text.size - size - 1};
    }
}

static bool read_flag(struct slice text, uint64_t *ret_number)
{
    *ret_number = slice_equal(text, SLICE_LITERAL("true"));
    return *ret_number != 0 || slice_equal(text, SLICE_LITERAL("false"));
}

/* The + of an offset that nobody escaped has come out of the query as a space. */
static bool read_time(struct slice text, uint64_t *ret_number)
{
    char copy[PARAMETER_TEXT_SIZE_MAX];
    int64_t unix_ms;

    assert(text.size <= sizeof(copy));
    if (text.size == 0)
        return false;
    memcpy(copy, text.data, text.size);
    for (size_t i = 0; i < text.size; i++)
        if (copy[i] == ' ')
            copy[i] = '+';
    if (!timestamp_parse((struct slice){copy, text.size}, &unix_ms) || unix_ms < 0)
        return false;
    *ret_number = (uint64_t)unix_ms;
    return true;
}

static bool is_well_formed(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        int size = utf8_sequence(text.data + i, text.size - i);

        if (size <= 0)
            return false;
        i += (size_t)size;
    }
    return true;
}

static bool read_text(struct reading *reading, const struct parameter *parameter, struct slice text,
                      struct slice *ret_text)
{
    if (text.size < parameter->min || text.size > parameter->max || !is_well_formed(text))
        return false;
    *ret_text = keep(reading, text);
    return ret_text->size == text.size;
}

static bool read_value(struct reading *reading, const struct parameter *parameter,
                       struct slice text, struct parameter_value *value)
{
    switch (parameter->kind) {
    case PARAMETER_NUMBER:
        return read_number(parameter, text, &value->number);
    case PARAMETER_TEXT:
        return read_text(reading, parameter, text, &value->text);
    case PARAMETER_CHOICE:
        return read_choice(parameter, text, &value->number);
    case PARAMETER_SET:
        return read_set(parameter, text, &value->number);
    case PARAMETER_FLAG:
        return read_flag(text, &value->number);
    case PARAMETER_TIME:
        return read_time(text, &value->number);
    }
    return false;
}

/* --- the query ------------------------------------------------------------------------ */

/* The number of the parameter with this name; count when there is none. */
static uint32_t find_parameter(const struct reading *reading, struct slice name)
{
    uint32_t i = 0;

    for (; i < reading->count; i++) {
        struct slice known = reading->parameters[i].name;

        if (slice_equal((struct slice){known.data + 1, known.size - 2}, name))
            break;
    }
    return i;
}

static void take(struct reading *reading, struct slice name, struct slice text)
{
    uint32_t n = find_parameter(reading, name);
    const struct parameter *parameter = &reading->parameters[n];

    if (n == reading->count) {
        refuse_unknown(reading, name);
        return;
    }
    if (reading->values[n].is_given && parameter->kind != PARAMETER_SET) {
        refuse(reading, parameter->name, REPEATED_RULE);
        return;
    }
    reading->values[n].is_given = true;
    if (!read_value(reading, parameter, text, &reading->values[n]))
        refuse(reading, parameter->name, parameter->rule);
}

bool parameters_read(struct slice query, const struct parameter *parameters, uint32_t count,
                     char *buffer, size_t buffer_size, struct issue_list *issues,
                     struct parameter_value *ret_values)
{
    struct reading reading = {parameters, count, buffer, buffer_size, issues, ret_values, true};
    char pair[PARAMETER_NAME_SIZE_MAX + PARAMETER_TEXT_SIZE_MAX];
    struct url_query rest;
    struct slice name, text;
    enum url_result r;

    assert(count <= PARAMETER_COUNT_MAX);
    memset(ret_values, 0, count * sizeof(*ret_values));
    if (query.data == NULL)
        return true;
    url_query_init(&rest, query);
    while ((r = url_query_next(&rest, pair, sizeof(pair), &name, &text)) != URL_END) {
        if (r != URL_OK || text.size > PARAMETER_TEXT_SIZE_MAX)
            refuse(&reading, (struct slice){NULL, 0}, MALFORMED_RULE);
        else
            take(&reading, name, text);
    }
    return reading.is_valid;
}
