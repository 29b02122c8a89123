/*
 * A linear search per name: the shapes have a dozen members, most told apart by their
 * size alone.
 */
#include "contracts/members.h"

#include "contracts/json_number.h"
#include "contracts/json_string.h"

static const double MS_PER_SECOND = 1000;

static void members_check(const struct members *members)
{
    assert(members->count > 0);
    assert(members->count <= MEMBER_COUNT_MAX);
}

static struct json_value name_value(const struct members *members, uint32_t n)
{
    assert(n < members->count);
    return (struct json_value){.type = JSON_STRING, .raw = members->names[n]};
}

static void add_issue(struct members *members, struct issue issue)
{
    issue.index = members->index;
    issue.parent = members->parent;
    issue_list_add(members->issues, &issue);
    members->is_valid = false;
}

static void refuse_type(struct members *members, uint32_t n, struct slice expected)
{
    add_issue(members, (struct issue){.kind = ISSUE_TYPE,
                                      .key = name_value(members, n),
                                      .received = members->values[n].type,
                                      .expected = expected});
}

void members_init(struct members *members, const struct slice *names, uint32_t count,
                  struct issue_list *issues, int32_t index)
{
    memset(members, 0, sizeof(*members));
    members->names = names;
    members->count = count;
    members->issues = issues;
    members->index = index;
    members->is_valid = true;
    members_check(members);
}

/* The place of the name, or count. */
static uint32_t find_name(const struct members *members, const struct json_value *key)
{
    uint32_t n = 0;

    while (n < members->count) {
        struct json_value name = name_value(members, n);

        if (json_string_same(key, &name))
            break;
        n++;
    }
    return n;
}

/* Files one member under its name; its value is due. */
static enum json_result read_member(struct members *members, struct json_reader *reader,
                                    const struct json_value *key)
{
    struct json_value value;
    uint32_t n = find_name(members, key);
    enum json_result r = json_reader_read(reader, &value);

    if (r != JSON_OK)
        return r;
    if (n == members->count) {
        if (!members->is_open)
            add_issue(members, (struct issue){.kind = ISSUE_UNKNOWN_KEY, .key = *key});
        return JSON_OK;
    }
    if (members->values[n].type != JSON_ABSENT)
        add_issue(members, (struct issue){.kind = ISSUE_DUPLICATE_KEY, .key = *key});
    members->values[n] = value;
    return JSON_OK;
}

/* Any other value than an object: consumes it and adds the issue. */
static enum json_result read_other(struct members *members, struct json_reader *reader)
{
    struct issue issue = {.kind = ISSUE_TYPE, .expected = SLICE_LITERAL("object")};
    struct json_value value;
    enum json_result r = json_reader_read(reader, &value);

    if (r != JSON_OK)
        return r;
    issue.received = value.type;
    add_issue(members, issue);
    return JSON_OK;
}

enum json_result members_read(struct members *members, struct json_reader *reader)
{
    struct json_value key;
    enum json_type type;
    enum json_result r = json_reader_peek(reader, &type);

    members_check(members);
    if (r != JSON_OK)
        return r;
    if (type != JSON_OBJECT)
        return read_other(members, reader);
    r = json_reader_enter_object(reader);
    while (r == JSON_OK) {
        r = json_reader_next_member(reader, &key);
        if (r == JSON_OK)
            r = read_member(members, reader, &key);
    }
    return r == JSON_END ? JSON_OK : r;
}

void members_read_value(struct members *members, struct slice parent,
                        const struct json_value *value)
{
    struct json_reader reader;
    enum json_result r;

    members->parent = parent;
    json_reader_init(&reader, value->raw, JSON_DEPTH_MAX);
    r = members_read(members, &reader);
    assert(r == JSON_OK); /* it was validated when it was read the first time */
}

enum json_result members_read_document(struct members *members, struct slice body,
                                       uint32_t depth_max, struct json_reader *ret_reader)
{
    enum json_result r;

    json_reader_init(ret_reader, body, depth_max);
    r = members_read(members, ret_reader);
    return r == JSON_OK ? json_reader_finish(ret_reader) : r;
}

bool members_has(const struct members *members, uint32_t n)
{
    members_check(members);
    assert(n < members->count);
    return members->values[n].type != JSON_ABSENT && members->values[n].type != JSON_NULL;
}

bool members_require(struct members *members, uint32_t n, const char *expected)
{
    if (members_has(members, n))
        return true;
    refuse_type(members, n, slice_of(expected));
    return false;
}

void members_refuse(struct members *members, uint32_t n, const char *rule)
{
    members_check(members);
    add_issue(members, (struct issue){.kind = ISSUE_RULE,
                                      .key = name_value(members, n),
                                      .value = members->values[n],
                                      .rule = slice_of(rule)});
}

/* True when it is there and of the type. */
static bool has_type(struct members *members, uint32_t n, enum json_type type)
{
    if (!members_has(members, n))
        return false;
    if (members->values[n].type == type)
        return true;
    refuse_type(members, n, json_type_name(type));
    return false;
}

bool members_text(struct members *members, uint32_t n, char *buffer, size_t size_max,
                  const char *rule, struct slice *ret_text)
{
    struct slice text;

    if (!has_type(members, n, JSON_STRING))
        return false;
    if (!json_string_text(&members->values[n], buffer, size_max, &text) || text.size == 0 ||
        text.size > size_max) {
        members_refuse(members, n, rule);
        return false;
    }
    *ret_text = text;
    return true;
}

bool members_integer(struct members *members, uint32_t n, uint64_t min, uint64_t max,
                     const char *rule, uint64_t *ret_value)
{
    int64_t value;

    if (!has_type(members, n, JSON_NUMBER))
        return false;
    if (!json_number_to_i64(members->values[n].raw, &value) || value < 0 || (uint64_t)value < min ||
        (uint64_t)value > max) {
        members_refuse(members, n, rule);
        return false;
    }
    *ret_value = (uint64_t)value;
    return true;
}

bool members_seconds(struct members *members, uint32_t n, uint64_t min_ms, uint64_t max_ms,
                     const char *rule, uint64_t *ret_ms)
{
    double seconds, ms;

    if (!has_type(members, n, JSON_NUMBER))
        return false;
    if (!json_number_to_double(members->values[n].raw, &seconds)) {
        members_refuse(members, n, rule);
        return false;
    }
    ms = seconds * MS_PER_SECOND + 0.5;
    if (!(seconds >= 0) || !(ms < (double)max_ms + 1) || (uint64_t)ms < min_ms) {
        members_refuse(members, n, rule);
        return false;
    }
    *ret_ms = (uint64_t)ms;
    return true;
}

bool members_boolean(struct members *members, uint32_t n, bool *ret_value)
{
    if (!has_type(members, n, JSON_BOOLEAN))
        return false;
    *ret_value = members->values[n].is_true;
    return true;
}

bool members_option(struct members *members, uint32_t n, const struct slice *options,
                    uint32_t option_count, uint32_t *ret_option)
{
    struct issue issue = {.kind = ISSUE_OPTION, .options = options, .option_count = option_count};

    if (!has_type(members, n, JSON_STRING))
        return false;
    for (uint32_t i = 0; i < option_count; i++)
        if (json_string_equal(&members->values[n], options[i])) {
            *ret_option = i;
            return true;
        }
    issue.key = name_value(members, n);
    issue.value = members->values[n];
    add_issue(members, issue);
    return false;
}
