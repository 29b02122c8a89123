#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/parameters.h"

static const struct slice COLOURS[] = {SLICE_INITIALIZER("red"), SLICE_INITIALIZER("green"),
                                       SLICE_INITIALIZER("blue")};

enum { LIMIT, TEXT, ONE, MANY, FLAG, TIME };

static const struct parameter PARAMETERS[] = {
    [LIMIT] = {PARAMETER_NAME("limit"), PARAMETER_NUMBER, .min = 1, .max = 100,
               .rule = "must be a whole number from 1 to 100"},
    [TEXT] = {PARAMETER_NAME("q"), PARAMETER_TEXT, .min = 0, .max = 8, .rule = "is too long"},
    [ONE] = {PARAMETER_NAME("one"), PARAMETER_CHOICE, COLOURS, 3, .rule = "must be a colour"},
    [MANY] = {PARAMETER_NAME("many"), PARAMETER_SET, COLOURS, 3, .rule = "must be colours"},
    [FLAG] = {PARAMETER_NAME("flag"), PARAMETER_FLAG, .rule = "must be true or false"},
    [TIME] = {PARAMETER_NAME("from"), PARAMETER_TIME, .rule = "must be a date-time"},
};

static struct parameter_value values[ARRAY_COUNT(PARAMETERS)];
static struct issue_list issues;
static char buffer[64];

static bool read_query(const char *query)
{
    issue_list_init(&issues);
    return parameters_read(slice_of(query), PARAMETERS, ARRAY_COUNT(PARAMETERS), buffer,
                           sizeof(buffer), &issues, values);
}

/* True when this one parameter is what is wrong. */
static bool is_refused(const char *query, uint32_t parameter)
{
    return !read_query(query) && issues.count == 1 &&
           slice_equal(issues.items[0].key.raw, PARAMETERS[parameter].name);
}

TestSuite(parameters, .timeout = 20);

Test(parameters, are_left_out_when_there_is_no_query)
{
    issue_list_init(&issues);
    cr_expect(parameters_read((struct slice){NULL, 0}, PARAMETERS, ARRAY_COUNT(PARAMETERS), buffer,
                              sizeof(buffer), &issues, values));
    cr_expect(not(values[LIMIT].is_given));
    cr_expect(read_query(""));
}

Test(parameters, are_read_by_their_kind)
{
    cr_assert(read_query("limit=17&q=a+b%26&one=green&many=red,blue&flag=true"
                         "&from=2025-01-15T12:00:00Z"));
    cr_expect(eq(u64, values[LIMIT].number, 17));
    cr_expect(slice_equal(values[TEXT].text, SLICE_LITERAL("a b&")));
    cr_expect(eq(u64, values[ONE].number, 1));
    cr_expect(eq(u64, values[MANY].number, 5));
    cr_expect(eq(u64, values[FLAG].number, 1));
    cr_expect(eq(u64, values[TIME].number, 1736942400000));
}

Test(parameters, refuse_numbers_that_are_none_or_out_of_bounds)
{
    static const char *const bad[] = {"limit=0",   "limit=101",
                                      "limit=-1",  "limit=abc",
                                      "limit=",    "limit=1e2",
                                      "limit=1.5", "limit=%20",
                                      "limit=+1",  "limit=99999999999999999999999"};

    for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++)
        cr_expect(is_refused(bad[i], LIMIT), "%s", bad[i]);
    cr_expect(read_query("limit=100"));
    cr_expect(read_query("limit=001"));
}

Test(parameters, refuse_words_that_are_no_option)
{
    cr_expect(is_refused("one=Red", ONE));
    cr_expect(is_refused("one=", ONE));
    cr_expect(is_refused("one=red,green", ONE));
    cr_expect(is_refused("many=red,", MANY));
    cr_expect(is_refused("many=", MANY));
    cr_expect(is_refused("many=red,yellow", MANY));
    cr_expect(is_refused("flag=1", FLAG));
}

Test(parameters, take_sets_in_parts)
{
    cr_assert(read_query("many=red&many=green"));
    cr_expect(eq(u64, values[MANY].number, 3));
}

Test(parameters, refuse_what_occurs_twice)
{
    cr_expect(is_refused("limit=1&limit=2", LIMIT));
    cr_expect(is_refused("q=&q=", TEXT));
}

Test(parameters, refuse_what_is_not_known)
{
    cr_expect(not(read_query("limti=1")));
    cr_expect(slice_equal(issues.items[0].key.raw, SLICE_LITERAL("\"limti\"")));
    cr_expect(not(read_query("%22=1")));
    cr_expect(eq(int, issues.items[0].key.type, JSON_ABSENT));
    cr_expect(not(read_query("=1")));
}

Test(parameters, refuse_texts_that_are_too_long_or_no_utf_8)
{
    cr_expect(read_query("q=12345678"));
    cr_expect(is_refused("q=123456789", TEXT));
    cr_expect(is_refused("q=%ff", TEXT));
    cr_expect(read_query("q=%e2%98%83"));
}

Test(parameters, refuse_a_query_that_is_malformed)
{
    static char query[4096];

    cr_expect(not(read_query("q=%zz")));
    cr_expect(eq(u32, issues.count, 1));
    cr_expect(not(read_query("q=%00")));
    memset(query, 'a', sizeof(query) - 1);
    memcpy(query, "q=", 2);
    cr_expect(not(read_query(query)));
}

Test(parameters, know_times_with_an_offset_that_nobody_escaped)
{
    cr_assert(read_query("from=2025-01-15T17:30:00+05:30"));
    cr_expect(eq(u64, values[TIME].number, 1736942400000));
    cr_expect(is_refused("from=yesterday", TIME));
    cr_expect(is_refused("from=2025-02-30T00:00:00Z", TIME));
    cr_expect(is_refused("from=1969-12-31T23:59:59Z", TIME));
    cr_expect(is_refused("from=", TIME));
}

Test(parameters, name_all_that_is_wrong_at_once)
{
    cr_expect(not(read_query("limit=0&one=x&flag=&nope=1")));
    cr_expect(eq(u32, issues.count, 4));
}
