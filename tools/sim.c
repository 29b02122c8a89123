/*
 * Sim: `weir sim`, the real server in a simulated world, from seeds.
 *
 *     --seed N       one run, whose story can be traced
 *     --seeds A..B   a campaign of many, on all processors
 *     --mutants      a campaign for each planted bug, in a build that has them
 *
 * All three are campaigns (tools/sim/sim_campaign.h): even a single run has a process
 * of its own, so that a broken assertion is reported like any other failure.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/options.h"
#include "tools/sim/sim_fault_list.h"
#include "tools/sim/sim_mutants.h"
#include "tools/sim/sim_report.h"

#define SEED_MAX (UINT64_MAX - 1) /* a campaign's end is exclusive */

enum { EXIT_INTERRUPTED = 130 };

static const struct option_spec OPTIONS[] = {
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = SEED_MAX,
     .help = "run this seed (default 0)"},
    {.name = "seeds",
     .kind = OPTION_TEXT,
     .argument = "A..B",
     .help = "run the seeds from A up to but without B; of --mutants: instead of those from 0 on"},
    {.name = "steps",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .help = "bound of the steps of one run (default: the simulation's own)"},
    {.name = "faults",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .help = "which faults a seed may draw: names from the list below, `all` (the default) or "
             "`none`, separated by commas; a minus takes one away: all,-damage"},
    {.name = "no-jobs",
     .kind = OPTION_FLAG,
     .help = "clients send events only; without it three seeds in four have jobs, too"},
    {.name = "trace",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "write what happened in the run; - for standard output. With --seed"},
    {.name = "trace-io",
     .kind = OPTION_FLAG,
     .help = "every operation on disk and network goes into the trace, too"},
    {.name = "jobs",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = SIM_CAMPAIGN_JOB_COUNT_MAX,
     .help = "runs at a time, each in its own process (default: as many as processors)"},
    {.name = "keep-going",
     .kind = OPTION_FLAG,
     .help = "do not stop at the first seed that fails but at the 20th"},
    {.name = "seed-timeout",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .help = "CPU time after which a run counts as hanging; 0: never (default 120s)"},
    {.name = "points",
     .kind = OPTION_FLAG,
     .help = "show how often each point in the code was met, and in how many seeds"},
    {.name = "require-points",
     .kind = OPTION_FLAG,
     .help = "fail when a point was never met that these faults make possible"},
    {.name = "hashes", .kind = OPTION_FLAG, .help = "show the hash of every seed"},
    {.name = "mutant",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "with a planted bug; only in a build with -Dmutants=true"},
    {.name = "mutants",
     .kind = OPTION_FLAG,
     .help = "how many seeds it takes to find each planted bug, and then the same seeds without "
             "any; only in such a build"},
    {.name = "budget",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = 1000000,
     .help = "seeds for each of --mutants (default 1000)"},
    {.name = "table",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "put the table of --mutants between its markers in this file"},
    {.name = "json", .kind = OPTION_FLAG, .help = "print the result as one JSON object"},
};

static const struct command_spec COMMAND = {
    .name = "sim",
    .summary = "run the server in a simulated world with faults, and check that nothing is lost",
    .details =
        "A seed decides everything: faults, kills, power cuts, the order of all that happens. The\n"
        "same seed in the same binary does the same again. After each end of the server its log\n"
        "is compared with what clients were told. A failure prints the command that replays it.\n"
        "\n"
        "Faults:\n"
#define FAULT_LINE(name, id, text) "  " name ": " text "\n"
    SIM_FAULT_GROUPS(FAULT_LINE)
#undef FAULT_LINE
        "\n"
        "Exit codes: 0 all is well; 1 a seed failed, or a mutant was not caught; 2 wrong usage;\n"
        "130 interrupted.",
    .example = "weir sim --seeds 0..1000\n"
               "weir sim --seed 17 --trace story.txt\n"
               "weir sim --seed 17 --faults all,-damage --trace - --trace-io\n"
               "weir sim --seeds 0..20000 --points --require-points --json\n"
               "weir sim --mutants --table tests/sim/README.md",
    .options = OPTIONS,
    .option_count = ARRAY_COUNT(OPTIONS),
};

/* One call of the command. */
struct sim {
    struct options options;
    struct sim_campaign_options campaign;
    struct sim_report_style style;
    struct sim_mutants mutants;
    struct sim_campaign_watch watch;
    bool shows_progress;
    char replay_options[SIM_STORY_OPTIONS_SIZE_MAX];
};

/* --- the plan ------------------------------------------------------------- */

/* Two options that make no sense together, or one without the other. 0 or an exit code. */
static int check_combinations(const struct sim *sim)
{
    static const struct {
        const char *name, *other;
        bool is_needed; /* else forbidden */
    } RULES[] = {
        {"seed", "seeds", false},
        {"mutants", "seed", false},
        {"mutants", "mutant", false},
        {"budget", "seeds", false},
        {"table", "seeds", false},
        {"mutants", "trace", false},
        {"mutants", "points", false},
        {"mutants", "hashes", false},
        {"mutants", "require-points", false},
        {"mutants", "keep-going", false},
        {"trace", "seeds", false},
        {"trace-io", "trace", true},
        {"budget", "mutants", true},
        {"table", "mutants", true},
        {"keep-going", "seeds", true},
    };

    for (size_t i = 0; i < ARRAY_COUNT(RULES); i++) {
        if (!options_has(&sim->options, RULES[i].name) ||
            options_has(&sim->options, RULES[i].other) == RULES[i].is_needed)
            continue;
        return command_usage_error(
            &COMMAND, RULES[i].is_needed ? "--%s needs --%s" : "--%s does not go with --%s",
            RULES[i].name, RULES[i].other);
    }
    return 0;
}

/* Decimal digits only, ended by the end of text. */
static bool parse_range(const char *text, uint64_t *ret_begin, uint64_t *ret_end)
{
    char first[24];
    const char *dots = strstr(text, "..");
    size_t size = dots != NULL ? (size_t)(dots - text) : sizeof(first);

    if (size >= sizeof(first))
        return false;
    memcpy(first, text, size);
    first[size] = '\0';
    return option_parse_number(first, ret_begin) && option_parse_number(dots + 2, ret_end);
}

/* Which seeds. 0 or an exit code. */
static int read_seeds(struct sim *sim)
{
    struct sim_campaign_options *campaign = &sim->campaign;
    const char *text = options_text(&sim->options, "seeds", NULL);

    sim->style.is_single = text == NULL;
    campaign->seed_begin = options_number(&sim->options, "seed", 0);
    campaign->seed_end = campaign->seed_begin + 1;
    if (text == NULL)
        return 0;
    if (!parse_range(text, &campaign->seed_begin, &campaign->seed_end))
        return command_usage_error(&COMMAND, "--seeds needs A..B, not \"%s\"", text);
    if (campaign->seed_begin >= campaign->seed_end)
        return command_usage_error(&COMMAND, "--seeds %s: there is no seed in it: B is exclusive",
                                   text);
    if (options_has(&sim->options, "hashes") &&
        campaign->seed_end - campaign->seed_begin > SIM_CAMPAIGN_HASH_COUNT_MAX)
        return command_usage_error(&COMMAND, "--hashes is for %d seeds at most",
                                   SIM_CAMPAIGN_HASH_COUNT_MAX);
    return 0;
}

/* 0 or an exit code. */
static int read_faults(struct sim *sim)
{
    const char *text = options_text(&sim->options, "faults", "all");
    const char *const *words, *nearest;
    struct slice bad;
    char word[SIM_FAULT_LIST_SIZE_MAX];
    size_t count;

    if (sim_fault_list_parse(text, &sim->style.faults, &bad)) {
        sim->campaign.task.run.faults = sim->style.faults;
        sim->campaign.task.run.no_jobs = options_has(&sim->options, "no-jobs");
        return 0;
    }
    words = sim_fault_list_words(&count);
    snprintf(word, sizeof(word), "%.*s", (int)bad.size, bad.data);
    nearest = option_nearest(word[0] == '-' ? word + 1 : word, words, (uint32_t)count);
    if (nearest != NULL)
        return command_usage_error(&COMMAND, "--faults: unknown fault \"%s\"; did you mean %s?",
                                   word, nearest);
    return command_usage_error(&COMMAND, "--faults: unknown fault \"%s\"", word);
}

/* 0 or an exit code. */
static int read_mutant(struct sim *sim)
{
    const char *name = options_text(&sim->options, "mutant", NULL), *nearest;
    const char *names[SIM_MUTANT_COUNT_MAX];

    sim_mutants_init(&sim->mutants);
    if (name == NULL && !options_has(&sim->options, "mutants"))
        return 0;
    if (sim->mutants.count == 0)
        return command_usage_error(
            &COMMAND, "this binary has no mutants; build one: meson setup -Dmutants=true");
    if (name == NULL || sim_mutants_has(&sim->mutants, name)) {
        sim->campaign.task.run.mutant = name;
        return 0;
    }
    for (uint32_t i = 0; i < sim->mutants.count; i++)
        names[i] = sim->mutants.items[i].name;
    nearest = option_nearest(name, names, sim->mutants.count);
    return command_usage_error(&COMMAND, "unknown mutant \"%.64s\"%s%s%s", name,
                               nearest != NULL ? "; did you mean " : "",
                               nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

/* What a replay needs beside the seed. The names are known, so all of it fits. */
static void write_replay_options(struct sim *sim)
{
    const struct sim_run_options *run = &sim->campaign.task.run;
    char faults[SIM_FAULT_LIST_SIZE_MAX], *text = sim->replay_options;
    size_t capacity = sizeof(sim->replay_options), size = 0;

    text[0] = '\0';
    sim_fault_list_write(run->faults, faults);
    if (run->faults != SIM_FAULTS_ALL)
        size += (size_t)snprintf(text + size, capacity - size, " --faults %s", faults);
    if (run->step_count_max > 0)
        size += (size_t)snprintf(text + size, capacity - size, " --steps %" PRIu64,
                                 run->step_count_max);
    if (run->mutant != NULL)
        size += (size_t)snprintf(text + size, capacity - size, " --mutant %s", run->mutant);
    if (run->no_jobs)
        size += (size_t)snprintf(text + size, capacity - size, " --no-jobs");
    assert(size < capacity);
    sim->campaign.task.replay_options = size > 0 ? text + 1 : text;
}

/* Opens the trace, if one was asked for. 0 or an exit code. */
static int open_trace(struct sim *sim)
{
    const char *path = options_text(&sim->options, "trace", NULL);
    FILE *file;

    if (path == NULL)
        return 0;
    file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (file == NULL) {
        fprintf(stderr, "weir sim: %s: %s\n", path, strerror(errno));
        return COMMAND_FAILED;
    }
    /* Line by line, so that the last lines are there when the run's process dies. */
    setvbuf(file, NULL, _IOLBF, BUFSIZ);
    sim->campaign.task.run.trace = file;
    sim->campaign.task.run.trace_io = options_has(&sim->options, "trace-io");
    return 0;
}

/* Closes the trace. 0 or an exit code. */
static int close_trace(const struct sim *sim)
{
    FILE *file = sim->campaign.task.run.trace;

    if (file == NULL || file == stdout || fclose(file) == 0)
        return 0;
    fputs("weir sim: the trace could not be written\n", stderr);
    return COMMAND_FAILED;
}

/* --- progress ------------------------------------------------------------- */

/* For --seeds, and for each mutant. */
static void show_progress(struct sim_campaign_watch *watch, const struct sim_campaign *campaign)
{
    const struct sim *sim = container_of(watch, struct sim, watch);
    uint64_t total = campaign->options.seed_end - campaign->options.seed_begin;
    double wall_s = (double)campaign->wall_ns / 1e9;
    const char *mutant = campaign->options.task.run.mutant;

    if (!sim->shows_progress)
        return;
    fprintf(stderr,
            "\r\033[K%s%s%" PRIu64 " of %" PRIu64 " seeds, %.1f/s, %.1f simulated hours, %" PRIu32
            " failed",
            mutant != NULL ? mutant : "", mutant != NULL ? ": " : "", campaign->done_count, total,
            wall_s > 0 ? (double)campaign->done_count / wall_s : 0,
            (double)campaign->sum.simulated_ns / 3.6e12, campaign->failure_count);
}

static void clear_progress(const struct sim *sim)
{
    if (sim->shows_progress)
        fputs("\r\033[K", stderr);
}

/* --- running -------------------------------------------------------------- */

static int fail(int error)
{
    fprintf(stderr, "weir sim: %s\n", strerror(-error));
    return COMMAND_FAILED;
}

/* Everything that went right but is not enough. An exit code. */
static int judge(const struct sim *sim, const struct sim_campaign *campaign)
{
    const char *mutant = campaign->options.task.run.mutant;
    uint32_t missing = sim_report_missing_count(campaign, sim->style.faults);

    if (campaign->was_interrupted) {
        fputs("weir sim: interrupted\n", stderr);
        return EXIT_INTERRUPTED;
    }
    if (campaign->failure_count > 0)
        return COMMAND_FAILED;
    if (mutant != NULL && !sim_report_met_mutant(campaign, mutant)) {
        fprintf(stderr, "weir sim: no seed came to the place of the mutant %s\n", mutant);
        return COMMAND_FAILED;
    }
    if (options_has(&sim->options, "require-points") && missing > 0) {
        fprintf(stderr, "weir sim: %" PRIu32 " points were never met\n", missing);
        return COMMAND_FAILED;
    }
    return COMMAND_DONE;
}

/* One campaign, of one seed or many. An exit code. */
static int run_seeds(struct sim *sim)
{
    struct sim_campaign *campaign = NULL;
    int r = sim_campaign_new(&sim->campaign, &campaign), exit_code;
    FILE *stream = sim->campaign.task.run.trace == stdout ? stderr : stdout;

    if (r < 0)
        return fail(r);
    r = sim_campaign_run(campaign);
    clear_progress(sim);
    exit_code = r < 0 && r != -EINTR ? fail(r) : judge(sim, campaign);
    if (!sim_report_print(campaign, &sim->style, stream))
        exit_code = fail(-EIO);
    sim_campaign_free(&campaign);
    return exit_code;
}

/*
 * The seeds that caught mutants, without one: what fails there is no mutant's doing and proves
 * nothing. 0, 1 when a seed failed, or -errno.
 */
static int run_without_mutant(const struct sim *sim)
{
    struct sim_campaign_options options = sim->campaign;
    struct sim_campaign *campaign = NULL;
    int r;

    options.seed_end = options.seed_begin + sim_mutants_seed_count(&sim->mutants);
    if (options.seed_end == options.seed_begin)
        return 0;
    r = sim_campaign_new(&options, &campaign);
    if (r < 0)
        return r;
    r = sim_campaign_run(campaign);
    clear_progress(sim);
    if (r == 0 && campaign->failure_count > 0) {
        fprintf(stderr,
                "weir sim: without a mutant seed %" PRIu64
                " fails, too: what was caught there or later proves nothing\n%s",
                campaign->failures[0]->seed, campaign->failures[0]->report);
        r = 1;
    }
    sim_campaign_free(&campaign);
    return r;
}

/* Runs one mutant after the other. 0 or -errno. */
static int run_each_mutant(struct sim *sim)
{
    int r = 0;

    while (r == 0 && sim->mutants.done_count < sim->mutants.count) {
        r = sim_mutants_run_next(&sim->mutants, &sim->campaign);
        clear_progress(sim);
        if (r == 0 && !sim->style.as_json)
            sim_mutants_print_latest(&sim->mutants, stdout);
    }
    return r;
}

/* Prints what came of all mutants. An exit code. */
static int finish_mutants(struct sim *sim, bool is_sound)
{
    const char *path = options_text(&sim->options, "table", NULL);
    uint32_t caught = sim_mutants_caught_count(&sim->mutants);
    int r = 0;

    if (sim->style.as_json)
        sim_mutants_print_json(&sim->mutants, stdout);
    else
        printf("mutants: %" PRIu32 " caught, %" PRIu32 " missed\n", caught,
               sim->mutants.count - caught);
    if (is_sound && path != NULL)
        r = sim_mutants_write_table(&sim->mutants, path);
    if (r < 0) {
        fprintf(stderr, "weir sim: %s: %s\n", path,
                r == -EINVAL ? "it has no markers for the table" : strerror(-r));
        return COMMAND_FAILED;
    }
    return is_sound && caught == sim->mutants.count ? COMMAND_DONE : COMMAND_FAILED;
}

/* One campaign with each mutant, and one without. An exit code. */
static int run_mutants(struct sim *sim)
{
    int r = run_each_mutant(sim);
    int sound = r == 0 ? run_without_mutant(sim) : r;

    if (sound < 0)
        r = sound;
    if (r == -EINTR) {
        fputs("weir sim: interrupted\n", stderr);
        return EXIT_INTERRUPTED;
    }
    return r < 0 ? fail(r) : finish_mutants(sim, sound == 0);
}

/* 0 or an exit code. */
static int read_plan(struct sim *sim)
{
    const struct options *options = &sim->options;
    struct sim_campaign_options *campaign = &sim->campaign;
    int r = check_combinations(sim);

    if (r == 0)
        r = read_seeds(sim);
    if (r == 0)
        r = read_faults(sim);
    if (r == 0)
        r = read_mutant(sim);
    if (r != 0)
        return r;
    if (options_has(options, "mutants") && !options_has(options, "seeds")) {
        campaign->seed_begin = 0;
        campaign->seed_end = options_number(options, "budget", SIM_MUTANT_SEED_BUDGET);
    }
    campaign->task.run_seed = sim_run;
    campaign->task.run.step_count_max = options_number(options, "steps", 0);
    campaign->job_count = (uint32_t)options_number(options, "jobs", 0);
    campaign->failure_count_max =
        options_has(options, "keep-going") ? SIM_CAMPAIGN_FAILURE_COUNT_MAX : 1;
    campaign->seed_timeout_ms =
        options_duration_ms(options, "seed-timeout", SIM_CAMPAIGN_SEED_TIMEOUT_MS);
    campaign->wants_hashes = sim->style.is_single || options_has(options, "hashes");
    sim->style.as_json = options_has(options, "json");
    sim->style.wants_points = options_has(options, "points");
    write_replay_options(sim);
    return 0;
}

int command_sim(int argc, char **argv)
{
    static struct sim sim; /* too large for the stack */
    int exit_code, r;

    if (!command_begin(&COMMAND, argc, argv, &sim.options, &exit_code))
        return exit_code;
    exit_code = read_plan(&sim);
    if (exit_code == 0)
        exit_code = open_trace(&sim);
    if (exit_code != 0)
        return exit_code;
    sim.watch.on_progress = show_progress;
    sim.campaign.watch = &sim.watch;
    sim.shows_progress = isatty(STDERR_FILENO) == 1 &&
                         (!sim.style.is_single || options_has(&sim.options, "mutants"));
    exit_code = options_has(&sim.options, "mutants") ? run_mutants(&sim) : run_seeds(&sim);
    r = close_trace(&sim);
    return exit_code != 0 ? exit_code : r;
}
