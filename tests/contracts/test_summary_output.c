#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_string.h"
#include "contracts/summary_output.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct summary_output output;
static char buffer[1 << 18];
static char text[1 << 18];

static void setup(void)
{
    guarded_text_init(&guarded);
}

/* Appends to a terminated text. */
static void append(char *to, size_t capacity, const char *more)
{
    size_t size = strlen(to);
    int r = snprintf(to + size, capacity - size, "%s", more);

    assert(r >= 0 && (size_t)r < capacity - size);
}

TestSuite(summary_output, .init = setup, .timeout = 10);

static bool read_text(const char *body)
{
    return summary_output_read(guarded_text_put(&guarded, slice_of(body)), &output);
}

/* A whole answer in which one member is written by the caller. */
static const char *with(const char *member, const char *value)
{
    static const char *const names[] = {"title",    "impact",     "likely_causes",
                                        "evidence", "next_steps", "confidence"};
    static const char *const values[] = {"\"T\"", "\"I\"", "[\"c\"]", "[]", "[\"s\",\"t\"]", "0.5"};
    size_t size = 0;

    text[size++] = '{';
    for (uint32_t i = 0; i < ARRAY_COUNT(names); i++) {
        const char *written = strcmp(names[i], member) == 0 ? value : values[i];

        if (written != NULL)
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s\"%s\":%s",
                                     size > 1 ? "," : "", names[i], written);
    }
    snprintf(text + size, sizeof(text) - size, "}");
    return text;
}

static const char *explained(void)
{
    static char lines[SUMMARY_EXPLAINED_SIZE_MAX + 1];

    lines[summary_output_explain(&output, lines)] = '\0';
    return lines;
}

static const char *written(void)
{
    struct json_writer writer;
    struct slice slice;

    json_writer_init(&writer, buffer, SUMMARY_WRITTEN_SIZE_MAX);
    summary_output_write(&output, &writer);
    cr_assert(json_writer_finish(&writer, &slice));
    buffer[slice.size] = '\0';
    return buffer;
}

/* A JSON string of so many bytes of text. */
static const char *string_of(size_t size)
{
    static char string[2048];

    assert(size + 3 <= sizeof(string));
    memset(string, 'x', sizeof(string));
    string[0] = string[size + 1] = '"';
    string[size + 2] = '\0';
    return string;
}

Test(summary_output, reads_and_writes_a_whole_answer)
{
    const char *body = "{\"title\":\"Checkout fails\",\"impact\":\"All payments\","
                       "\"likely_causes\":[\"a\",\"b\"],\"evidence\":[\"e\"],\"next_steps\":[],"
                       "\"confidence\":0.75}";

    cr_assert(read_text(body));
    cr_assert(eq(u32, output.list_counts[SUMMARY_CAUSES], 2));
    cr_assert(output.has_confidence);
    cr_assert(eq(dbl, output.confidence, 0.75));
    cr_assert(eq(str, (char *)written(), (char *)body));
}

Test(summary_output, writes_members_in_one_order_and_characters_in_one_spelling)
{
    cr_assert(
        read_text(" {\"confidence\":null, \"next_steps\":[\"\\u0061\\/\"], \"evidence\":[],\n"
                  "\"likely_causes\":[], \"impact\":\"i\\n\\\"\", \"ti\\u0074le\":\"\\u00e9\"}\t"));
    cr_assert(eq(str, (char *)written(),
                 "{\"title\":\"\xc3\xa9\",\"impact\":\"i\\n\\\"\",\"likely_causes\":[],"
                 "\"evidence\":[],\"next_steps\":[\"a/\"],\"confidence\":null}"));
}

Test(summary_output, never_makes_up_a_confidence)
{
    cr_assert(read_text(with("confidence", "null")));
    cr_assert(not(output.has_confidence));
    cr_assert(not(read_text(with("confidence", NULL))));
    cr_assert(eq(str, (char *)explained(), "- /confidence: is required\n"));
}

Test(summary_output, takes_a_confidence_from_0_to_1_only)
{
    static const char *const good[] = {"0", "1", "0.0", "1.0", "-0", "1e-400", "100e-2", "0.999"};
    static const char *const bad[] = {"1.01", "-0.1", "2", "1e400", "\"0.9\"", "true", "[]", "85"};

    for (uint32_t i = 0; i < ARRAY_COUNT(good); i++) {
        cr_assert(read_text(with("confidence", good[i])), "%s", good[i]);
        cr_assert(output.has_confidence);
        cr_assert(output.confidence >= 0 && output.confidence <= 1);
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_assert(not(read_text(with("confidence", bad[i]))), "%s", bad[i]);
        cr_assert(
            eq(str, (char *)explained(), "- /confidence: must be a number from 0 to 1, or null\n"));
    }
}

Test(summary_output, wants_each_member)
{
    static const char *const names[] = {"title",    "impact",     "likely_causes",
                                        "evidence", "next_steps", "confidence"};
    char expected[64];

    for (uint32_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(expected, sizeof(expected), "- /%s: is required\n", names[i]);
        cr_assert(not(read_text(with(names[i], NULL))));
        cr_assert(eq(str, (char *)explained(), expected));
    }
    cr_assert(not(read_text("{}")));
    cr_assert(eq(u32, output.problem_count, 6));
}

Test(summary_output, refuses_a_member_that_occurs_twice)
{
    cr_assert(
        not(read_text("{\"title\":\"a\",\"title\":\"b\",\"impact\":\"i\",\"likely_causes\":[],"
                      "\"evidence\":[],\"next_steps\":[],\"confidence\":1}")));
    cr_assert(eq(str, (char *)explained(), "- /title: occurs twice\n"));
    cr_assert(not(read_text("{\"title\":\"a\",\"t\\u0069tle\":\"a\",\"impact\":\"i\","
                            "\"likely_causes\":[],\"evidence\":[],\"next_steps\":[],"
                            "\"confidence\":1}")));
    cr_assert(eq(str, (char *)explained(), "- /title: occurs twice\n"));
}

Test(summary_output, names_an_unknown_member_as_a_pointer)
{
    cr_assert(not(read_text("{\"title\":\"a\",\"a/b~c\":1,\"impact\":\"i\",\"likely_causes\":[],"
                            "\"evidence\":[],\"next_steps\":[],\"confidence\":1}")));
    cr_assert(eq(str, (char *)explained(), "- /a~1b~0c: is not a member of the answer\n"));
}

Test(summary_output, takes_nothing_but_one_object)
{
    static const struct {
        const char *body;
        const char *line;
    } cases[] = {
        {"", "- the answer is not JSON: the text ends inside a value, at byte 0\n"},
        {"null", "- the answer must be one object and nothing else\n"},
        {"[{}]", "- the answer must be one object and nothing else\n"},
        {"\"{}\"", "- the answer must be one object and nothing else\n"},
        {"```json\n{}\n```", "- the answer is not JSON: a value was expected, at byte 0\n"},
        {"Here it is: {}", "- the answer is not JSON: a value was expected, at byte 0\n"},
        {"{} thanks", "- the answer is not JSON: something follows the end of the value, at byte "
                      "3\n"},
        {"{}{}", "- the answer is not JSON: something follows the end of the value, at byte 2\n"},
        {"{\"title\":\"a", "- the answer is not JSON: the text ends inside a value, at byte 11\n"},
    };

    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cr_assert(not(read_text(cases[i].body)), "%s", cases[i].body);
        cr_assert(eq(str, (char *)explained(), (char *)cases[i].line));
    }
}

Test(summary_output, refuses_every_beginning_of_an_answer)
{
    static char whole[1024];
    size_t size = (size_t)snprintf(whole, sizeof(whole), "%s", with("", NULL));

    for (size_t end = 0; end < size; end++)
        cr_assert(not(
            summary_output_read(guarded_text_put(&guarded, (struct slice){whole, end}), &output)));
    cr_assert(
        summary_output_read(guarded_text_put(&guarded, (struct slice){whole, size}), &output));
}

Test(summary_output, bounds_every_text)
{
    char list[8192];

    cr_assert(read_text(with("title", string_of(SUMMARY_TITLE_SIZE_MAX))));
    cr_assert(not(read_text(with("title", string_of(SUMMARY_TITLE_SIZE_MAX + 1)))));
    cr_assert(not(read_text(with("title", "\"\""))));
    cr_assert(not(read_text(with("title", "\" \\n\\t \""))));
    cr_assert(eq(str, (char *)explained(),
                 "- /title: must be a string of 1 to 200 bytes that is not blank\n"));
    cr_assert(read_text(with("impact", string_of(SUMMARY_IMPACT_SIZE_MAX))));
    cr_assert(not(read_text(with("impact", string_of(SUMMARY_IMPACT_SIZE_MAX + 1)))));
    snprintf(list, sizeof(list), "[%s]", string_of(SUMMARY_ITEM_SIZE_MAX));
    cr_assert(read_text(with("evidence", list)));
    snprintf(list, sizeof(list), "[\"a\",%s]", string_of(SUMMARY_ITEM_SIZE_MAX + 1));
    cr_assert(not(read_text(with("evidence", list))));
    cr_assert(eq(str, (char *)explained(),
                 "- /evidence/1: must be a string of 1 to 400 bytes that is not blank\n"));
}

Test(summary_output, counts_bytes_of_the_text_and_not_of_its_escapes)
{
    char title[2048] = "\"";

    for (uint32_t i = 0; i < SUMMARY_TITLE_SIZE_MAX; i++)
        append(title, sizeof(title), "\\u0041");
    append(title, sizeof(title), "\"");
    cr_assert(read_text(with("title", title)));
}

Test(summary_output, bounds_every_list)
{
    cr_assert(read_text(with("next_steps", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
                                           "\"10\"]")));
    cr_assert(not(read_text(with("next_steps", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
                                               "\"9\",\"10\",\"11\"]"))));
    cr_assert(
        eq(str, (char *)explained(), "- /next_steps: must be an array of at most 10 strings\n"));
    cr_assert(not(read_text(with("next_steps", "\"restart\""))));
    cr_assert(not(read_text(with("next_steps", "{}"))));
    cr_assert(not(read_text(with("next_steps", "[1]"))));
    cr_assert(not(read_text(with("next_steps", "[[\"a\"]]"))));
}

Test(summary_output, refuses_control_characters_that_a_terminal_would_obey)
{
    cr_assert(not(read_text(with("title", "\"a\\u001b[2Jb\""))));
    cr_assert(eq(str, (char *)explained(), "- /title: must not contain control characters\n"));
    cr_assert(not(read_text(with("likely_causes", "[\"ok\",\"a\\u0000\"]"))));
    cr_assert(
        eq(str, (char *)explained(), "- /likely_causes/1: must not contain control characters\n"));
    cr_assert(read_text(with("impact", "\"line\\nand\\ttab\"")));
}

Test(summary_output, names_all_that_is_wrong_at_once)
{
    cr_assert(not(read_text("{\"title\":1,\"impact\":\"\",\"likely_causes\":[\"a\",2],"
                            "\"evidence\":null,\"confidence\":\"high\"}")));
    cr_assert(eq(str, (char *)explained(),
                 "- /next_steps: is required\n"
                 "- /title: must be a string of 1 to 200 bytes that is not blank\n"
                 "- /impact: must be a string of 1 to 1000 bytes that is not blank\n"
                 "- /likely_causes/1: must be a string of 1 to 400 bytes that is not blank\n"
                 "- /evidence: must be an array of at most 10 strings\n"
                 "- /confidence: must be a number from 0 to 1, or null\n"));
}

Test(summary_output, keeps_a_bounded_number_of_problems)
{
    char body[16384] = "{";

    for (uint32_t i = 0; i < 100; i++) {
        size_t size = strlen(body);

        snprintf(body + size, sizeof(body) - size, "%s\"%u%0100u\":1", i > 0 ? "," : "", i, 0U);
    }
    append(body, sizeof(body), "}");
    cr_assert(not(read_text(body)));
    cr_assert(eq(u32, output.problem_count, SUMMARY_PROBLEM_COUNT_MAX));
    cr_assert(strlen(explained()) < SUMMARY_EXPLAINED_SIZE_MAX);
}

Test(summary_output, explains_the_longest_keys_within_its_bound)
{
    char body[16384] = "{";

    for (uint32_t i = 0; i < 20; i++) {
        size_t size = strlen(body);

        snprintf(body + size, sizeof(body) - size, "%s\"%c", i > 0 ? "," : "", 'a' + (char)i);
        for (uint32_t n = 0; n < 200; n++)
            append(body, sizeof(body), "/");
        append(body, sizeof(body), "\":1");
    }
    append(body, sizeof(body), "}");
    cr_assert(not(read_text(body)));
    cr_assert(strlen(explained()) < SUMMARY_EXPLAINED_SIZE_MAX);
}

Test(summary_output, refuses_what_is_nested_or_too_large)
{
    memset(text, '[', 64);
    text[64] = '\0';
    cr_assert(not(read_text(with("evidence", text))));
    memset(text, ' ', SUMMARY_TEXT_SIZE_MAX + 1);
    cr_assert(not(summary_output_read(
        guarded_text_put(&guarded, (struct slice){text, SUMMARY_TEXT_SIZE_MAX + 1}), &output)));
    cr_assert(eq(str, (char *)explained(), "- the answer must be at most 64 KiB\n"));
}
