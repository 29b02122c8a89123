#include "contracts/summary_output.h"

#include <stdio.h>

#include "contracts/json_number.h"
#include "contracts/json_string.h"
#include "contracts/utf8.h"

/*
 * One pass notes the value of each member, then each is checked by itself, so that one
 * answer to the model names all that is wrong with its text, not only the first thing.
 */

enum summary_member {
    MEMBER_TITLE,
    MEMBER_IMPACT,
    MEMBER_CAUSES,
    MEMBER_EVIDENCE,
    MEMBER_STEPS,
    MEMBER_CONFIDENCE,
    SUMMARY_MEMBER_COUNT,
};

static const struct slice NAMES[] = {
    [MEMBER_TITLE] = SLICE_INITIALIZER("title"),
    [MEMBER_IMPACT] = SLICE_INITIALIZER("impact"),
    [MEMBER_CAUSES] = SLICE_INITIALIZER("likely_causes"),
    [MEMBER_EVIDENCE] = SLICE_INITIALIZER("evidence"),
    [MEMBER_STEPS] = SLICE_INITIALIZER("next_steps"),
    [MEMBER_CONFIDENCE] = SLICE_INITIALIZER("confidence"),
};

static_assert(ARRAY_COUNT(NAMES) == SUMMARY_MEMBER_COUNT, "a name for each");
static_assert(MEMBER_CAUSES + SUMMARY_LIST_COUNT == MEMBER_CONFIDENCE, "lists in their order");

static const struct slice RULE_TEXTS[] = {
#define SUMMARY_RULE_TEXT(name, text) SLICE_INITIALIZER(text),
    SUMMARY_RULES(SUMMARY_RULE_TEXT)
#undef SUMMARY_RULE_TEXT
};

struct slice summary_list_name(enum summary_list list)
{
    assert(list < SUMMARY_LIST_COUNT);
    return NAMES[MEMBER_CAUSES + list];
}

/* --- reading ------------------------------------------------------------------------- */

static void refuse_at(struct summary_output *output, struct slice key, int32_t index,
                      enum summary_rule rule)
{
    if (output->problem_count == SUMMARY_PROBLEM_COUNT_MAX)
        return;
    output->problems[output->problem_count++] =
        (struct summary_problem){.rule = rule, .index = index, .key = key};
}

static void refuse(struct summary_output *output, struct slice key, enum summary_rule rule)
{
    refuse_at(output, key, SUMMARY_NO_INDEX, rule);
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

/* Checks a string that must have 1 to size_max bytes of text, and more than blanks. */
static void check_text(struct summary_output *output, struct slice key, int32_t index,
                       const struct json_value *value, size_t size_max, enum summary_rule rule)
{
    bool is_blank = true, has_control = false;
    struct slice rest, run;
    char scratch[4];
    size_t size = 0;

    if (value->type != JSON_STRING) {
        refuse_at(output, key, index, rule);
        return;
    }
    rest = json_string_body(value);
    while ((run = json_string_next_run(&rest, scratch)).size > 0) {
        size += run.size;
        for (size_t i = 0; i < run.size; i++) {
            unsigned char c = (unsigned char)run.data[i];

            has_control |= is_control(c);
            is_blank &= c == ' ' || c == '\n' || c == '\t';
        }
    }
    if (is_blank || size > size_max)
        refuse_at(output, key, index, rule);
    else if (has_control)
        refuse_at(output, key, index, SUMMARY_RULE_CONTROL);
}

static void check_list(struct summary_output *output, enum summary_list list,
                       const struct json_value *value)
{
    struct slice key = summary_list_name(list);
    struct json_reader reader;
    struct json_value item;
    uint32_t count = 0;

    json_reader_init(&reader, value->raw, SUMMARY_DEPTH_MAX);
    if (value->type != JSON_ARRAY || json_reader_enter_array(&reader) != JSON_OK) {
        refuse(output, key, SUMMARY_RULE_LIST);
        return;
    }
    while (json_reader_next_element(&reader) == JSON_OK) {
        if (json_reader_read(&reader, &item) != JSON_OK || count == SUMMARY_ITEM_COUNT_MAX) {
            refuse(output, key, SUMMARY_RULE_LIST);
            return;
        }
        check_text(output, key, (int32_t)count, &item, SUMMARY_ITEM_SIZE_MAX, SUMMARY_RULE_ITEM);
        output->lists[list][count++] = item;
    }
    output->list_counts[list] = count;
}

static void check_confidence(struct summary_output *output, const struct json_value *value)
{
    if (value->type == JSON_NULL)
        return;
    if (value->type != JSON_NUMBER || !json_number_to_double(value->raw, &output->confidence) ||
        !(output->confidence >= 0 && output->confidence <= 1)) {
        refuse(output, NAMES[MEMBER_CONFIDENCE], SUMMARY_RULE_CONFIDENCE);
        return;
    }
    if (output->confidence <= 0)
        output->confidence = 0; /* -0 is written as 0 */
    output->has_confidence = true;
}

static void note_member(struct summary_output *output, const struct json_value *key,
                        const struct json_value *value,
                        struct json_value values[SUMMARY_MEMBER_COUNT])
{
    for (uint32_t i = 0; i < SUMMARY_MEMBER_COUNT; i++) {
        if (!json_string_equal(key, NAMES[i]))
            continue;
        if (values[i].type != JSON_ABSENT)
            refuse(output, NAMES[i], SUMMARY_RULE_REPEATED);
        values[i] = *value;
        return;
    }
    refuse(output, json_string_body(key), SUMMARY_RULE_UNKNOWN);
}

/* All members, each checked to be JSON. False: the text is none, or no object. */
MUST_USE static bool read_members(struct slice text, struct summary_output *output,
                                  struct json_value values[SUMMARY_MEMBER_COUNT])
{
    static const struct slice whole = {"", 0};
    struct json_value key, value;
    struct json_reader reader;
    enum json_result r;
    enum json_type type;

    json_reader_init(&reader, text, SUMMARY_DEPTH_MAX);
    r = json_reader_peek(&reader, &type);
    if (r == JSON_OK && type != JSON_OBJECT) {
        refuse(output, whole, SUMMARY_RULE_OBJECT);
        return false;
    }
    if (r == JSON_OK)
        r = json_reader_enter_object(&reader);
    while (r == JSON_OK && (r = json_reader_next_member(&reader, &key)) == JSON_OK) {
        r = json_reader_read(&reader, &value);
        if (r == JSON_OK)
            note_member(output, &key, &value, values);
    }
    if (r == JSON_END)
        r = json_reader_finish(&reader);
    if (r == JSON_OK)
        return true;
    output->problem_count = 0;
    refuse(output, whole, SUMMARY_RULE_JSON);
    output->problems[0].error = json_reader_error(&reader);
    output->problems[0].offset = json_reader_offset(&reader);
    return false;
}

static void check_members(struct summary_output *output,
                          const struct json_value values[SUMMARY_MEMBER_COUNT])
{
    for (uint32_t i = 0; i < SUMMARY_MEMBER_COUNT; i++)
        if (values[i].type == JSON_ABSENT)
            refuse(output, NAMES[i], SUMMARY_RULE_REQUIRED);
    if (values[MEMBER_TITLE].type != JSON_ABSENT)
        check_text(output, NAMES[MEMBER_TITLE], SUMMARY_NO_INDEX, &values[MEMBER_TITLE],
                   SUMMARY_TITLE_SIZE_MAX, SUMMARY_RULE_TITLE);
    if (values[MEMBER_IMPACT].type != JSON_ABSENT)
        check_text(output, NAMES[MEMBER_IMPACT], SUMMARY_NO_INDEX, &values[MEMBER_IMPACT],
                   SUMMARY_IMPACT_SIZE_MAX, SUMMARY_RULE_IMPACT);
    for (uint32_t list = 0; list < SUMMARY_LIST_COUNT; list++)
        if (values[MEMBER_CAUSES + list].type != JSON_ABSENT)
            check_list(output, (enum summary_list)list, &values[MEMBER_CAUSES + list]);
    if (values[MEMBER_CONFIDENCE].type != JSON_ABSENT)
        check_confidence(output, &values[MEMBER_CONFIDENCE]);
}

bool summary_output_read(struct slice text, struct summary_output *ret_output)
{
    struct json_value values[SUMMARY_MEMBER_COUNT] = {{.type = JSON_ABSENT}};

    memset(ret_output->list_counts, 0, sizeof(ret_output->list_counts));
    ret_output->problem_count = 0;
    ret_output->has_confidence = false;
    if (text.size > SUMMARY_TEXT_SIZE_MAX) {
        refuse(ret_output, (struct slice){"", 0}, SUMMARY_RULE_TOO_LARGE);
        return false;
    }
    if (!read_members(text, ret_output, values))
        return false;
    check_members(ret_output, values);
    ret_output->title = values[MEMBER_TITLE];
    ret_output->impact = values[MEMBER_IMPACT];
    return ret_output->problem_count == 0;
}

/* --- writing -------------------------------------------------------------------------- */

/* The text itself, so that how its characters were spelled makes no difference. */
static void write_text(struct json_writer *writer, const struct json_value *value)
{
    struct slice rest = json_string_body(value), run;
    char scratch[4];

    json_writer_begin_string(writer);
    while ((run = json_string_next_run(&rest, scratch)).size > 0)
        json_writer_string_piece(writer, run);
    json_writer_end_string(writer);
}

void summary_output_write(const struct summary_output *output, struct json_writer *writer)
{
    assert(output->problem_count == 0);
    json_writer_begin_object(writer);
    json_writer_key(writer, NAMES[MEMBER_TITLE]);
    write_text(writer, &output->title);
    json_writer_key(writer, NAMES[MEMBER_IMPACT]);
    write_text(writer, &output->impact);
    for (uint32_t list = 0; list < SUMMARY_LIST_COUNT; list++) {
        json_writer_key(writer, NAMES[MEMBER_CAUSES + list]);
        json_writer_begin_array(writer);
        for (uint32_t i = 0; i < output->list_counts[list]; i++)
            write_text(writer, &output->lists[list][i]);
        json_writer_end_array(writer);
    }
    json_writer_key(writer, NAMES[MEMBER_CONFIDENCE]);
    if (output->has_confidence)
        json_writer_double(writer, output->confidence);
    else
        json_writer_null(writer);
    json_writer_end_object(writer);
}

/* A key as it stands in a pointer, quoted from the text with its escapes. */
static size_t write_key(struct slice key, char ret_text[2 * SUMMARY_KEY_SIZE_MAX])
{
    size_t size = 0, end = utf8_cut(key, SUMMARY_KEY_SIZE_MAX);

    for (size_t i = 0; i < end; i++) {
        if (key.data[i] == '~' || key.data[i] == '/') {
            ret_text[size++] = '~';
            ret_text[size++] = key.data[i] == '~' ? '0' : '1';
        } else {
            ret_text[size++] = key.data[i];
        }
    }
    return size;
}

static size_t explain(const struct summary_problem *problem, char *text, size_t capacity)
{
    struct slice rule = RULE_TEXTS[problem->rule], error = json_error_text(problem->error);
    char key[2 * SUMMARY_KEY_SIZE_MAX];
    int key_size = (int)write_key(problem->key, key), size;

    if (problem->rule == SUMMARY_RULE_JSON)
        size = snprintf(text, capacity, "- the answer %s: %.*s, at byte %zu\n", rule.data,
                        (int)error.size, error.data, problem->offset);
    else if (problem->key.size == 0 && problem->rule != SUMMARY_RULE_UNKNOWN)
        size = snprintf(text, capacity, "- the answer %s\n", rule.data);
    else if (problem->index != SUMMARY_NO_INDEX)
        size =
            snprintf(text, capacity, "- /%.*s/%d: %s\n", key_size, key, problem->index, rule.data);
    else
        size = snprintf(text, capacity, "- /%.*s: %s\n", key_size, key, rule.data);
    assert(size > 0);
    assert((size_t)size < capacity);
    return (size_t)size;
}

size_t summary_output_explain(const struct summary_output *output,
                              char ret_text[SUMMARY_EXPLAINED_SIZE_MAX])
{
    size_t size = 0;

    assert(output->problem_count > 0);
    for (uint32_t i = 0; i < output->problem_count; i++)
        size += explain(&output->problems[i], ret_text + size, SUMMARY_EXPLAINED_SIZE_MAX - size);
    return size;
}
