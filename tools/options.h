/*
 * Options: command lines read by a table, which also makes the help text.
 *
 *     static const struct option_spec OPTIONS[] = {
 *         {.name = "url", .kind = OPTION_TEXT, .argument = "URL",
 *          .help = "the server (default http://127.0.0.1:3000)"},
 *         {.name = "batch", .kind = OPTION_NUMBER, .argument = "N", .min = 1, .max = 1000,
 *          .help = "events per request (default 1)"},
 *         {.name = "io", .kind = OPTION_CHOICE, .argument = "auto|uring|epoll",
 *          .help = "I/O backend"},
 *         {.name = "json", .kind = OPTION_FLAG, .help = "machine output"},
 *     };
 *     static const struct command_spec COMMAND = {
 *         .name = "replay", .operands = "FILE|-", .summary = "send events from a file",
 *         .options = OPTIONS, .option_count = ARRAY_COUNT(OPTIONS),
 *         .operand_count_min = 1, .operand_count_max = 1,
 *         .example = "weir replay spike.ndjson --speed max",
 *     };
 *
 *     if (!command_begin(&COMMAND, argc, argv, &options, &exit_code))
 *         return exit_code;
 *     url = options_text(&options, "url", "http://127.0.0.1:3000");
 *
 * Options are `--name value` or `--name=value`, in any order with the operands; `--`
 * ends them; `-` alone is an operand. --help and -h are understood by every command.
 * Values are checked while parsing, so the getters cannot fail. Nothing is copied:
 * everything borrows argv. The command line of one process, at its start.
 */
#pragma once

#include "runtime/base.h"

enum {
    OPTIONS_SPEC_COUNT_MAX = 48,
    OPTIONS_VALUE_COUNT_MAX = 64, /* given on one command line, repetitions included */
    OPTIONS_OPERAND_COUNT_MAX = 8,
    OPTIONS_MESSAGE_SIZE = 512,
};

enum option_kind {
    OPTION_FLAG,     /* takes no value */
    OPTION_TEXT,     /* anything that is not empty */
    OPTION_NUMBER,   /* decimal, from min to max */
    OPTION_DURATION, /* 250ms, 60s, 5m, 24h, 7d; without a unit: seconds. From min to max ms */
    OPTION_CHOICE,   /* one of the words in argument, which are separated by | */
};

/* One option. */
struct option_spec {
    const char *name; /* without the dashes */
    enum option_kind kind;
    const char *argument; /* how the help calls the value; NULL for a flag */
    const char *help;     /* one phrase; wrapped as needed */
    bool repeatable;      /* else giving it twice is an error */
    bool required;        /* an error when it is missing */
    bool hidden;          /* understood, but not shown by --help */
    uint64_t min;
    uint64_t max; /* 0: no upper bound */
};

/* One command. All texts are static. */
struct command_spec {
    const char *name;     /* as after `weir`: "replay", "keys create" */
    const char *operands; /* for the usage line; NULL: it takes none */
    const char *summary;  /* one phrase, lower case, without a full stop */
    const char *details;  /* paragraphs for --help; may be NULL */
    const char *example;  /* one or more lines; shown indented */
    const struct option_spec *options;
    uint32_t option_count;
    uint32_t operand_count_min;
    uint32_t operand_count_max;
};

enum options_result {
    OPTIONS_OK,
    OPTIONS_HELP, /* --help was given; the rest has not been checked */
    OPTIONS_BAD,  /* message says why, with a hint */
};

/* What was given. Private to options.c but for operands and message. */
struct options {
    const struct command_spec *command;
    struct {
        uint32_t spec;
        const char *text; /* NULL for a flag */
    } values[OPTIONS_VALUE_COUNT_MAX];
    uint32_t value_count;
    const char *operands[OPTIONS_OPERAND_COUNT_MAX];
    uint32_t operand_count;
    char message[OPTIONS_MESSAGE_SIZE];
};

/* Reads argv[1..argc) by the table; borrows both for the life of options. Prints nothing. */
MUST_USE enum options_result options_parse(const struct command_spec *command, int argc,
                                           char **argv, struct options *ret_options);

/*
 * options_parse() for the top of a command: prints help to stdout or the message to
 * stderr. True to go on; false to return *ret_exit_code at once.
 */
MUST_USE bool command_begin(const struct command_spec *command, int argc, char **argv,
                            struct options *ret_options, int *ret_exit_code);

/* Prints "weir NAME: message" and where to look to stderr; gives the exit code for bad usage. */
int command_usage_error(const struct command_spec *command, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* Prints "weir NAME: message" to stderr; gives exit_code back. name as in command_spec. */
int command_fail(const char *name, int exit_code, const char *format, ...) PRINTF_LIKE(3, 4);

/* One action of a command such as `weir keys`: the table entry of its own command. */
struct command_action {
    const char *name; /* "create" in `weir keys create` */
    const struct command_spec *command;
};

/*
 * For a command made of actions: gives the index of the one that argv[1] names, to be
 * run with argc - 1 and argv + 1. Else prints help or the message, and gives count and
 * the exit code.
 */
MUST_USE uint32_t command_find_action(const struct command_action *actions, uint32_t count,
                                      int argc, char **argv, int *ret_exit_code);

/* Writes the help text to stream. */
void command_print_help(const struct command_spec *command, FILE *stream);

/* How often the option was given. name must be in the table, here and below. */
uint32_t options_count(const struct options *options, const char *name);

/* True when the option was given. */
bool options_has(const struct options *options, const char *name);

/* The value of the option's occurrence at index, which must be below options_count(). */
const char *options_at(const struct options *options, const char *name, uint32_t index);

/* The value of a text or choice, or fallback when it was not given. */
const char *options_text(const struct options *options, const char *name, const char *fallback);

/* The value of a number, or fallback when it was not given. */
uint64_t options_number(const struct options *options, const char *name, uint64_t fallback);

/* The value of a duration in milliseconds, or fallback when it was not given. */
uint64_t options_duration_ms(const struct options *options, const char *name, uint64_t fallback);

/* Reads decimal digits and nothing else, up to UINT64_MAX. */
MUST_USE bool option_parse_number(const char *text, uint64_t *ret_number);

/* Reads a duration as OPTION_DURATION says. */
MUST_USE bool option_parse_duration_ms(const char *text, uint64_t *ret_ms);

/*
 * The name out of names[0..count) that text was probably meant to be, or NULL when
 * none is near.
 */
const char *option_nearest(const char *text, const char *const *names, uint32_t count);
