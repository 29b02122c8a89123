/*
 * Weir: finds the subcommand and hands over.
 *
 * `weir help COMMAND ...` is the same as `weir COMMAND ... --help`, so every command
 * has one help text, made from its own table of options.
 */
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/version.h"

enum { HELP_ARGUMENT_COUNT_MAX = 4 };

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} COMMANDS[] = {
    {"serve", "run the server", command_serve},
    {"replay", "send events from a file with their original gaps", command_replay},
    {"load", "put a target under load and measure it, stalls included", command_load},
    {"keys", "create, list and revoke API keys", command_keys},
    {"dlq", "list, show, replay and drop dead letters, stop replays", command_dlq},
    {"doctor", "check every invariant of a running server", command_doctor},
    {"journal", "inspect, verify and dump the journal of a data directory", command_journal},
    {"migrate", "bring the read model to this version's schema, or make it anew", command_migrate},
    {"sim", "run the server in a simulated world and check that nothing is lost", command_sim},
};

static void print_overview(FILE *stream)
{
    fputs("weir - durable event intake over HTTP, actors over io_uring\n"
          "\n"
          "usage: weir COMMAND [options]\n"
          "\n"
          "commands:\n",
          stream);
    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++)
        fprintf(stream, "  %-10s%s\n", COMMANDS[i].name, COMMANDS[i].summary);
    fputs("\n"
          "  weir help COMMAND explains one of them with an example\n"
          "  weir --version    prints version, commit and I/O backend\n"
          "\n"
          "example:\n"
          "  weir serve --demo\n",
          stream);
}

static int complain_unknown(const char *name)
{
    const char *names[ARRAY_COUNT(COMMANDS)];
    const char *nearest;

    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++)
        names[i] = COMMANDS[i].name;
    nearest = option_nearest(name, names, ARRAY_COUNT(names));
    fprintf(stderr, "weir: unknown %s \"%s\"", name[0] == '-' ? "option" : "command", name);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean %s?", nearest);
    fputs("\nsee: weir help\n", stderr);
    return COMMAND_BAD_USAGE;
}

static int run(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++)
        if (strcmp(argv[0], COMMANDS[i].name) == 0)
            return COMMANDS[i].run(argc, argv);
    return complain_unknown(argv[0]);
}

/* `help`, argv[0], and what follows it. */
static int help(int argc, char **argv)
{
    char *arguments[HELP_ARGUMENT_COUNT_MAX + 2];
    char flag[] = "--help";
    int count = 0;

    if (argc < 2) {
        print_overview(stdout);
        return COMMAND_DONE;
    }
    for (int i = 1; i < argc && count < HELP_ARGUMENT_COUNT_MAX; i++)
        arguments[count++] = argv[i];
    arguments[count++] = flag;
    arguments[count] = NULL;
    return run(count, arguments);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return COMMAND_BAD_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("weir %s (%s) io: uring\n", version_number, version_commit);
        return COMMAND_DONE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(1, argv);
    if (strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    return run(argc - 1, argv + 1);
}
