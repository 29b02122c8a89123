#include "tools/options.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

static const struct option_spec SPECS[] = {
    {.name = "url", .kind = OPTION_TEXT, .argument = "URL", .help = "the server"},
    {.name = "batch",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .help = "events per request",
     .min = 1,
     .max = 100},
    {.name = "max-gap", .kind = OPTION_DURATION, .argument = "TIME", .help = "the longest wait"},
    {.name = "io", .kind = OPTION_CHOICE, .argument = "auto|uring|epoll", .help = "the backend"},
    {.name = "listen",
     .kind = OPTION_TEXT,
     .argument = "ADDR:PORT",
     .help = "where to listen",
     .repeatable = true},
    {.name = "json", .kind = OPTION_FLAG, .help = "machine output"},
    {.name = "secret-door", .kind = OPTION_FLAG, .help = "not for everybody", .hidden = true},
};

static const struct command_spec COMMAND = {
    .name = "try",
    .operands = "FILE",
    .summary = "try the parser",
    .example = "weir try this\nweir try that",
    .options = SPECS,
    .option_count = ARRAY_COUNT(SPECS),
    .operand_count_max = 2,
};

static struct options options;

#define PARSE(...)                                                                                 \
    options_parse(&COMMAND, (int)ARRAY_COUNT(((char *[]){"try", __VA_ARGS__})),                    \
                  (char *[]){"try", __VA_ARGS__}, &options)

Test(options, reads_values_as_next_argument_and_after_an_equals_sign)
{
    char *argv[] = {"try", "--url", "http://a", "--batch=7", "file", "--json"};

    cr_assert(eq(int, options_parse(&COMMAND, 6, argv, &options), OPTIONS_OK));
    cr_assert(eq(str, (char *)options_text(&options, "url", ""), "http://a"));
    cr_assert(eq(u64, options_number(&options, "batch", 0), 7));
    cr_assert(options_has(&options, "json"));
    cr_assert(eq(u32, options.operand_count, 1));
    cr_assert(eq(str, (char *)options.operands[0], "file"));
}

Test(options, gives_the_fallback_for_what_was_not_given)
{
    char *argv[] = {"try"};

    cr_assert(eq(int, options_parse(&COMMAND, 1, argv, &options), OPTIONS_OK));
    cr_assert(eq(str, (char *)options_text(&options, "url", "none"), "none"));
    cr_assert(eq(u64, options_number(&options, "batch", 5), 5));
    cr_assert(eq(u64, options_duration_ms(&options, "max-gap", 60000), 60000));
    cr_assert(not(options_has(&options, "json")));
}

Test(options, keeps_repeated_values_in_order)
{
    cr_assert(eq(int, PARSE("--listen", "a:1", "--listen=b:2"), OPTIONS_OK));
    cr_assert(eq(u32, options_count(&options, "listen"), 2));
    cr_assert(eq(str, (char *)options_at(&options, "listen", 0), "a:1"));
    cr_assert(eq(str, (char *)options_at(&options, "listen", 1), "b:2"));
}

Test(options, refuses_to_be_given_twice_unless_repeatable)
{
    cr_assert(eq(int, PARSE("--url", "a", "--url", "b"), OPTIONS_BAD));
    cr_assert(ne(ptr, strstr(options.message, "--url is given twice"), NULL));
}

Test(options, refuses_an_unknown_name_and_suggests_the_nearest)
{
    cr_assert(eq(int, PARSE("--bacth", "4"), OPTIONS_BAD));
    cr_assert(ne(ptr, strstr(options.message, "--bacth; did you mean --batch?"), NULL));
    cr_assert(eq(int, PARSE("--no-such-flag"), OPTIONS_BAD));
    cr_assert(ne(ptr, strstr(options.message, "no-such-flag"), NULL));
    cr_assert(eq(ptr, strstr(options.message, "did you mean"), NULL));
}

Test(options, does_not_suggest_a_hidden_option)
{
    cr_assert(eq(int, PARSE("--secret-dor"), OPTIONS_BAD));
    cr_assert(eq(ptr, strstr(options.message, "did you mean"), NULL));
    cr_assert(eq(int, PARSE("--secret-door"), OPTIONS_OK));
}

Test(options, survives_names_of_any_length)
{
    static char name[4096];

    memset(name, 'x', sizeof(name) - 1);
    memcpy(name, "--", 2);
    cr_assert(eq(int, PARSE(name), OPTIONS_BAD));
    name[1] = 'x';
    cr_assert(eq(int, PARSE(name), OPTIONS_BAD));
    name[0] = 'x';
    cr_assert(eq(int, PARSE("a", "b", name), OPTIONS_BAD));
}

Test(options, refuses_a_missing_value)
{
    cr_assert(eq(int, PARSE("--batch"), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--url", "--json"), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--url="), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--url", ""), OPTIONS_BAD));
}

Test(options, refuses_a_value_for_a_flag)
{
    cr_assert(eq(int, PARSE("--json=yes"), OPTIONS_BAD));
    cr_assert(ne(ptr, strstr(options.message, "--json takes no value"), NULL));
}

Test(options, holds_numbers_to_their_bounds)
{
    cr_assert(eq(int, PARSE("--batch", "1"), OPTIONS_OK));
    cr_assert(eq(int, PARSE("--batch", "100"), OPTIONS_OK));
    cr_assert(eq(int, PARSE("--batch", "0"), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--batch", "101"), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--batch", "many"), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--batch", "-1"), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--batch", "18446744073709551617"), OPTIONS_BAD));
}

Test(options, knows_the_units_of_time)
{
    uint64_t ms;

    cr_assert(option_parse_duration_ms("250ms", &ms) && ms == 250);
    cr_assert(option_parse_duration_ms("60s", &ms) && ms == 60000);
    cr_assert(option_parse_duration_ms("60", &ms) && ms == 60000);
    cr_assert(option_parse_duration_ms("5m", &ms) && ms == 300000);
    cr_assert(option_parse_duration_ms("24h", &ms) && ms == 86400000);
    cr_assert(option_parse_duration_ms("7d", &ms) && ms == 604800000);
    cr_assert(not(option_parse_duration_ms("", &ms)));
    cr_assert(not(option_parse_duration_ms("s", &ms)));
    cr_assert(not(option_parse_duration_ms("5 s", &ms)));
    cr_assert(not(option_parse_duration_ms("-5s", &ms)));
    cr_assert(not(option_parse_duration_ms("18446744073709551615d", &ms)));
}

Test(options, takes_only_the_words_of_a_choice)
{
    cr_assert(eq(int, PARSE("--io", "uring"), OPTIONS_OK));
    cr_assert(eq(int, PARSE("--io", "epoll"), OPTIONS_OK));
    cr_assert(eq(int, PARSE("--io", "uri"), OPTIONS_BAD));
    cr_assert(eq(int, PARSE("--io", "auto|uring"), OPTIONS_BAD));
}

Test(options, takes_a_dash_as_operand_and_everything_after_two_dashes)
{
    cr_assert(eq(int, PARSE("-", "--", "--json"), OPTIONS_OK));
    cr_assert(eq(str, (char *)options.operands[0], "-"));
    cr_assert(eq(str, (char *)options.operands[1], "--json"));
    cr_assert(not(options_has(&options, "json")));
}

Test(options, refuses_too_many_and_too_few_operands)
{
    struct command_spec strict = COMMAND;
    char *argv[] = {"try"};

    cr_assert(eq(int, PARSE("a", "b", "c"), OPTIONS_BAD));
    cr_assert(ne(ptr, strstr(options.message, "\"c\""), NULL));
    strict.operand_count_min = 1;
    cr_assert(eq(int, options_parse(&strict, 1, argv, &options), OPTIONS_BAD));
    cr_assert(ne(ptr, strstr(options.message, "FILE"), NULL));
}

Test(options, refuses_to_go_without_a_required_option)
{
    static const struct option_spec ORG[] = {
        {.name = "org", .kind = OPTION_TEXT, .argument = "ORG", .help = "", .required = true}};
    static const struct command_spec NEEDY = {.name = "needy", .options = ORG, .option_count = 1};
    char *argv[] = {"needy", "--org", "acme"};

    cr_assert(eq(int, options_parse(&NEEDY, 1, argv, &options), OPTIONS_BAD));
    cr_assert(eq(str, options.message, "it needs --org"));
    cr_assert(eq(int, options_parse(&NEEDY, 3, argv, &options), OPTIONS_OK));
}

Test(options, asks_for_help_wherever_it_stands)
{
    cr_assert(eq(int, PARSE("--json", "--help"), OPTIONS_HELP));
    cr_assert(eq(int, PARSE("-h"), OPTIONS_HELP));
}

Test(options, prints_every_option_and_the_example)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    command_print_help(&COMMAND, stream);
    fclose(stream);
    cr_assert(ne(ptr, strstr(text, "usage: weir try FILE [options]"), NULL));
    cr_assert(ne(ptr, strstr(text, "--max-gap TIME"), NULL));
    cr_assert(ne(ptr, strstr(text, "  weir try that\n"), NULL));
    cr_assert(eq(ptr, strstr(text, "secret-door"), NULL));
    free(text);
}

Test(options, counts_on_its_table, .signal = SIGABRT)
{
    cr_assert(eq(int, PARSE("--json"), OPTIONS_OK));
    options_has(&options, "not-in-the-table");
}
