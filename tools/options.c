/*
 * Options: see the header for the language. Two passes are not needed: each argument
 * is looked up in the table, its value checked by kind, and noted as (spec, text);
 * the getters parse the text again, which cannot fail a second time.
 *
 * An unknown name is answered with the nearest known one by edit distance: at most
 * a third of the name may differ, so that nonsense gets no advice.
 */
#include "tools/options.h"

#include <stdarg.h>

#include "tools/commands.h"

enum {
    NAME_SIZE_MAX = 32, /* of names that are compared for a hint */
    HELP_COLUMN = 26,   /* where the descriptions begin */
    HELP_COLUMNS = 88,  /* where they are wrapped */
    OPTION_TEXT_SIZE = 64,
};

/* --- values --------------------------------------------------------------- */

bool option_parse_number(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    }
    *ret_number = number;
    return true;
}

bool option_parse_duration_ms(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } UNITS[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char digits[OPTION_TEXT_SIZE];
    size_t size = strspn(text, "0123456789");
    uint64_t number;

    if (size == 0 || size >= sizeof(digits))
        return false;
    memcpy(digits, text, size);
    digits[size] = '\0';
    if (!option_parse_number(digits, &number))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(UNITS); i++)
        if (strcmp(text + size, UNITS[i].unit) == 0)
            return !__builtin_mul_overflow(number, UNITS[i].ms, ret_ms);
    return false;
}

static bool choice_has(const char *choices, const char *text)
{
    size_t size = strlen(text);

    while (true) {
        size_t length = strcspn(choices, "|");

        if (length == size && memcmp(choices, text, size) == 0)
            return true;
        if (choices[length] == '\0')
            return false;
        choices += length + 1;
    }
}

static bool is_within(const struct option_spec *spec, uint64_t value)
{
    return value >= spec->min && (spec->max == 0 || value <= spec->max);
}

/* NULL when text is a value for spec, else what it should be. */
static const char *check_value(const struct option_spec *spec, const char *text)
{
    uint64_t value;

    assert(spec->kind == OPTION_FLAG || text != NULL);
    switch (spec->kind) {
    case OPTION_FLAG:
        return "no value";
    case OPTION_TEXT:
        return *text != '\0' ? NULL : "a value that is not empty";
    case OPTION_NUMBER:
        if (!option_parse_number(text, &value))
            return "a whole number";
        return is_within(spec, value) ? NULL : "a number within bounds";
    case OPTION_DURATION:
        if (!option_parse_duration_ms(text, &value))
            return "a duration such as 250ms, 60s, 5m or 24h";
        return is_within(spec, value) ? NULL : "a duration within bounds";
    case OPTION_CHOICE:
        return choice_has(spec->argument, text) ? NULL : spec->argument;
    }
    return NULL;
}

/* --- hints ---------------------------------------------------------------- */

/* The Levenshtein distance; both shorter than NAME_SIZE_MAX. */
static uint32_t edit_distance(const char *a, const char *b)
{
    uint32_t row[NAME_SIZE_MAX + 1];
    uint32_t b_size = (uint32_t)strlen(b);

    assert(b_size < NAME_SIZE_MAX);
    for (uint32_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (uint32_t i = 0; a[i] != '\0'; i++) {
        uint32_t diagonal = row[0];

        row[0] = i + 1;
        for (uint32_t j = 0; j < b_size; j++) {
            uint32_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
            uint32_t shorter = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

            diagonal = row[j + 1];
            row[j + 1] = changed < shorter ? changed : shorter;
        }
    }
    return row[b_size];
}

const char *option_nearest(const char *text, const char *const *names, uint32_t count)
{
    const char *nearest = NULL;
    uint32_t best;

    if (strlen(text) >= NAME_SIZE_MAX)
        return NULL;
    best = (uint32_t)strlen(text) / 3 + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t distance = edit_distance(text, names[i]);

        if (distance <= best && distance < strlen(names[i])) {
            nearest = names[i];
            best = distance > 0 ? distance - 1 : 0;
        }
    }
    return nearest;
}

/* The message for a name that is not in the table. */
static void complain_unknown(struct options *options, const char *name)
{
    const struct command_spec *command = options->command;
    const char *names[OPTIONS_SPEC_COUNT_MAX];
    const char *nearest;
    uint32_t count = 0;

    for (uint32_t i = 0; i < command->option_count; i++)
        if (!command->options[i].hidden)
            names[count++] = command->options[i].name;
    nearest = option_nearest(name, names, count);
    if (nearest != NULL)
        snprintf(options->message, sizeof(options->message),
                 "unknown option --%.64s; did you mean --%s?", name, nearest);
    else
        snprintf(options->message, sizeof(options->message), "unknown option --%.64s", name);
}

/* --- parsing -------------------------------------------------------------- */

static void check_command(const struct command_spec *command)
{
    assert(command->name != NULL);
    assert(command->option_count <= OPTIONS_SPEC_COUNT_MAX);
    assert(command->operand_count_max <= OPTIONS_OPERAND_COUNT_MAX);
    assert(command->operand_count_min <= command->operand_count_max);
}

/* Index of the spec with that name, or option_count. */
static uint32_t find_spec(const struct command_spec *command, const char *name, size_t size)
{
    uint32_t i;

    for (i = 0; i < command->option_count; i++)
        if (strlen(command->options[i].name) == size &&
            memcmp(command->options[i].name, name, size) == 0)
            break;
    return i;
}

/* Notes one occurrence; false with a message when it may not be. text is NULL for a flag. */
static bool note_value(struct options *options, uint32_t index, const char *text)
{
    const struct option_spec *spec = &options->command->options[index];
    const char *wanted = spec->kind == OPTION_FLAG ? NULL : check_value(spec, text);

    if (wanted != NULL) {
        snprintf(options->message, sizeof(options->message), "--%s needs %s, not \"%.64s\"",
                 spec->name, wanted, text);
        return false;
    }
    if (!spec->repeatable && options_has(options, spec->name)) {
        snprintf(options->message, sizeof(options->message), "--%s is given twice", spec->name);
        return false;
    }
    if (options->value_count == OPTIONS_VALUE_COUNT_MAX) {
        snprintf(options->message, sizeof(options->message), "more than %d options",
                 OPTIONS_VALUE_COUNT_MAX);
        return false;
    }
    options->values[options->value_count].spec = index;
    options->values[options->value_count].text = text;
    options->value_count++;
    return true;
}

/*
 * Reads the option at argv[*index], and its value if that is the next argument, which
 * moves *index. False with a message.
 */
static bool read_option(struct options *options, int argc, char **argv, int *index)
{
    const struct command_spec *command = options->command;
    const char *name = argv[*index] + 2;
    const char *equals = strchr(name, '=');
    size_t size = equals != NULL ? (size_t)(equals - name) : strlen(name);
    uint32_t i = find_spec(command, name, size);

    if (i == command->option_count) {
        char text[OPTION_TEXT_SIZE];

        snprintf(text, sizeof(text), "%.*s", (int)min_u64(size, sizeof(text) - 1), name);
        complain_unknown(options, text);
        return false;
    }
    if (command->options[i].kind == OPTION_FLAG) {
        if (equals == NULL)
            return note_value(options, i, NULL);
        snprintf(options->message, sizeof(options->message), "--%s takes no value",
                 command->options[i].name);
        return false;
    }
    if (equals != NULL)
        return note_value(options, i, equals + 1);
    if (*index + 1 >= argc || strncmp(argv[*index + 1], "--", 2) == 0) {
        snprintf(options->message, sizeof(options->message), "--%s needs a value: %s",
                 command->options[i].name, command->options[i].argument);
        return false;
    }
    *index += 1;
    return note_value(options, i, argv[*index]);
}

static bool note_operand(struct options *options, const char *text)
{
    if (options->operand_count < options->command->operand_count_max) {
        options->operands[options->operand_count++] = text;
        return true;
    }
    snprintf(options->message, sizeof(options->message), "unexpected argument \"%.64s\"", text);
    return false;
}

enum options_result options_parse(const struct command_spec *command, int argc, char **argv,
                                  struct options *ret_options)
{
    struct options *options = ret_options;
    bool only_operands = false;

    check_command(command);
    *options = (struct options){.command = command};
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];

        if (only_operands || text[0] != '-' || text[1] == '\0') {
            if (!note_operand(options, text))
                return OPTIONS_BAD;
        } else if (strcmp(text, "--") == 0) {
            only_operands = true;
        } else if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            return OPTIONS_HELP;
        } else if (text[1] != '-') {
            snprintf(options->message, sizeof(options->message),
                     "unknown option %.64s; options have two dashes", text);
            return OPTIONS_BAD;
        } else if (!read_option(options, argc, argv, &i)) {
            return OPTIONS_BAD;
        }
    }
    if (options->operand_count < command->operand_count_min) {
        snprintf(options->message, sizeof(options->message), "it needs %s", command->operands);
        return OPTIONS_BAD;
    }
    for (uint32_t i = 0; i < command->option_count; i++)
        if (command->options[i].required && !options_has(options, command->options[i].name)) {
            snprintf(options->message, sizeof(options->message), "it needs --%s",
                     command->options[i].name);
            return OPTIONS_BAD;
        }
    return OPTIONS_OK;
}

/* --- getters -------------------------------------------------------------- */

uint32_t options_count(const struct options *options, const char *name)
{
    uint32_t index = find_spec(options->command, name, strlen(name));
    uint32_t count = 0;

    assert(index < options->command->option_count);
    for (uint32_t i = 0; i < options->value_count; i++)
        if (options->values[i].spec == index)
            count++;
    return count;
}

bool options_has(const struct options *options, const char *name)
{
    return options_count(options, name) > 0;
}

const char *options_at(const struct options *options, const char *name, uint32_t index)
{
    uint32_t spec = find_spec(options->command, name, strlen(name));
    uint32_t seen = 0;

    assert(index < options_count(options, name));
    for (uint32_t i = 0; i < options->value_count; i++)
        if (options->values[i].spec == spec && seen++ == index)
            return options->values[i].text;
    assert(false);
    return NULL;
}

const char *options_text(const struct options *options, const char *name, const char *fallback)
{
    return options_has(options, name) ? options_at(options, name, 0) : fallback;
}

uint64_t options_number(const struct options *options, const char *name, uint64_t fallback)
{
    uint64_t number = fallback;
    bool is_valid = true;

    if (options_has(options, name))
        is_valid = option_parse_number(options_at(options, name, 0), &number);
    assert(is_valid);
    return number;
}

uint64_t options_duration_ms(const struct options *options, const char *name, uint64_t fallback)
{
    uint64_t ms = fallback;
    bool is_valid = true;

    if (options_has(options, name))
        is_valid = option_parse_duration_ms(options_at(options, name, 0), &ms);
    assert(is_valid);
    return ms;
}

/* --- help ----------------------------------------------------------------- */

/* Writes text from the current column on, wrapped at spaces; lines begin at HELP_COLUMN. */
static void print_wrapped(FILE *stream, const char *text)
{
    int column = HELP_COLUMN;

    while (*text != '\0') {
        int size = (int)strcspn(text, " ");

        if (column > HELP_COLUMN && column + 1 + size > HELP_COLUMNS) {
            fprintf(stream, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", size, text);
        column += size;
        text += size;
        text += strspn(text, " ");
    }
    fputc('\n', stream);
}

static void print_option(FILE *stream, const struct option_spec *spec)
{
    char left[2 * OPTION_TEXT_SIZE];
    int size =
        snprintf(left, sizeof(left), "  --%s%s%s", spec->name, spec->argument != NULL ? " " : "",
                 spec->argument != NULL ? spec->argument : "");

    if (size < HELP_COLUMN - 1)
        fprintf(stream, "%-*s", HELP_COLUMN, left);
    else
        fprintf(stream, "%s\n%*s", left, HELP_COLUMN, "");
    print_wrapped(stream, spec->help);
}

void command_print_help(const struct command_spec *command, FILE *stream)
{
    const char *operands = command->operands != NULL ? command->operands : "";
    const char *example = command->example;

    check_command(command);
    fprintf(stream, "weir %s - %s\n\nusage: weir %s%s%s%s\n", command->name, command->summary,
            command->name, *operands != '\0' ? " " : "", operands,
            command->option_count > 0 ? " [options]" : "");
    if (command->details != NULL)
        fprintf(stream, "\n%s\n", command->details);
    if (command->option_count > 0)
        fputs("\noptions:\n", stream);
    for (uint32_t i = 0; i < command->option_count; i++)
        if (!command->options[i].hidden)
            print_option(stream, &command->options[i]);
    if (example == NULL)
        return;
    fputs("\nexample:\n", stream);
    while (*example != '\0') {
        int size = (int)strcspn(example, "\n");

        fprintf(stream, "  %.*s\n", size, example);
        example += size;
        example += *example == '\n' ? 1 : 0;
    }
}

PRINTF_LIKE(2, 0)
static void complain(const char *name, const char *format, va_list arguments)
{
    fprintf(stderr, "weir %s: ", name);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
}

int command_usage_error(const struct command_spec *command, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(command->name, format, arguments);
    va_end(arguments);
    fprintf(stderr, "see: weir %s --help\n", command->name);
    return COMMAND_BAD_USAGE;
}

int command_fail(const char *name, int exit_code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(name, format, arguments);
    va_end(arguments);
    return exit_code;
}

bool command_begin(const struct command_spec *command, int argc, char **argv,
                   struct options *ret_options, int *ret_exit_code)
{
    switch (options_parse(command, argc, argv, ret_options)) {
    case OPTIONS_OK:
        return true;
    case OPTIONS_HELP:
        command_print_help(command, stdout);
        *ret_exit_code = COMMAND_DONE;
        return false;
    case OPTIONS_BAD:
        *ret_exit_code = command_usage_error(command, "%s", ret_options->message);
        return false;
    }
    return false;
}

uint32_t command_find_action(const struct command_action *actions, uint32_t count, int argc,
                             char **argv, int *ret_exit_code)
{
    const char *names[OPTIONS_OPERAND_COUNT_MAX];
    const char *nearest = NULL;

    assert(count > 0);
    assert(count <= ARRAY_COUNT(names));
    for (uint32_t i = 0; i < count; i++) {
        names[i] = actions[i].name;
        if (argc > 1 && strcmp(argv[1], actions[i].name) == 0)
            return i;
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        for (uint32_t i = 0; i < count; i++) {
            command_print_help(actions[i].command, stdout);
            fputs(i + 1 < count ? "\n" : "", stdout);
        }
        *ret_exit_code = COMMAND_DONE;
        return count;
    }
    fprintf(stderr, "weir %s: it needs one of", argv[0]);
    for (uint32_t i = 0; i < count; i++)
        fprintf(stderr, "%s %s", i > 0 ? "," : "", names[i]);
    if (argc > 1) {
        nearest = option_nearest(argv[1], names, count);
        fprintf(stderr, ", not \"%.64s\"", argv[1]);
    }
    if (nearest != NULL)
        fprintf(stderr, "; did you mean %s?", nearest);
    fprintf(stderr, "\nsee: weir help %s\n", argv[0]);
    *ret_exit_code = COMMAND_BAD_USAGE;
    return count;
}
