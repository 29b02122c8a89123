#include "tools/sim/sim_mutants.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <unistd.h>

#include "contracts/json_reader.h"

#define BEFORE "# Title\n\n<!-- mutants: replace from here -->\n"
#define AFTER "<!-- mutants: to here -->\n\nThe rest.\n"

static struct sim_mutants mutants;
static char path[] = "test_sim_mutants_XXXXXX";
static char text[65536];

static void put_file(const char *content)
{
    FILE *file = fopen(path, "w");

    fputs(content, file);
    fclose(file);
}

static const char *get_file(void)
{
    FILE *file = fopen(path, "r");
    size_t size = fread(text, 1, sizeof(text) - 1, file);

    fclose(file);
    text[size] = '\0';
    return text;
}

static void add(const char *name, const char *what, uint64_t seed)
{
    struct sim_mutant *mutant = &mutants.items[mutants.count++];

    mutant->name = name;
    mutant->was_met = what != NULL;
    mutant->was_caught = what != NULL;
    mutant->seed_count = seed + 1;
    if (what != NULL)
        snprintf(mutant->what, sizeof(mutant->what), "%s", what);
    mutants.done_count = mutants.count;
}

static void setup(void)
{
    close(mkstemp(path));
    memset(&mutants, 0, sizeof(mutants));
    add("ack_early", "event 7 is lost", 0);
    add("skip_check",
        "the process died of signal 6 (Aborted): weir: ../dir/x.c:7: f: Assertion "
        "`a || b' failed.",
        41);
    add("wild", "the process died of signal 11 (Segmentation fault): weir: crash report: 0x10", 3);
    add("unseen", NULL, 0);
}

static void teardown(void)
{
    unlink(path);
}

TestSuite(sim_mutants, .init = setup, .fini = teardown, .timeout = 60);

Test(sim_mutants, are_written_as_a_table_between_the_markers)
{
    put_file(BEFORE "an older table\n" AFTER);
    cr_assert(eq(int, sim_mutants_write_table(&mutants, path), 0));
    cr_assert(eq(str, (char *)get_file(),
                 BEFORE "| mutant | seeds needed | how it showed |\n"
                        "|---|---|---|\n"
                        "| `ack_early` | 1 | event 7 is lost |\n"
                        "| `skip_check` | 42 | Assertion `a \\|\\| b' failed. |\n"
                        "| `wild` | 4 | the process died of signal 11 (Segmentation fault) |\n"
                        "| `unseen` | - | NOT FOUND: no seed came to its place |\n" AFTER));
}

Test(sim_mutants, are_written_the_same_twice)
{
    static char first[65536];

    put_file(BEFORE AFTER);
    cr_assert(eq(int, sim_mutants_write_table(&mutants, path), 0));
    memcpy(first, get_file(), sizeof(first));
    cr_assert(eq(int, sim_mutants_write_table(&mutants, path), 0));
    cr_assert(eq(str, (char *)get_file(), first));
}

Test(sim_mutants, leave_a_file_without_markers_alone)
{
    static const char *const CASES[] = {"", "text\n", BEFORE, AFTER, AFTER BEFORE};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        put_file(CASES[i]);
        cr_assert(eq(int, sim_mutants_write_table(&mutants, path), -EINVAL), "%s", CASES[i]);
        cr_assert(eq(str, (char *)get_file(), (char *)CASES[i]));
    }
    cr_assert(eq(int, sim_mutants_write_table(&mutants, "/nonexistent/file"), -ENOENT));
}

Test(sim_mutants, are_counted_and_printed_as_json)
{
    struct json_reader reader;
    struct json_value document, value;
    char *json = NULL;
    size_t size;
    FILE *stream = open_memstream(&json, &size);
    uint64_t missed = 0;

    sim_mutants_print_json(&mutants, stream);
    fclose(stream);
    cr_assert(eq(
        int,
        json_read_document((struct slice){json, size - 1}, JSON_DEPTH_DEFAULT, &reader, &document),
        JSON_OK));
    cr_assert(json_find_member(document.raw, SLICE_LITERAL("missed"), &value));
    missed = (uint64_t)(value.raw.data[0] - '0');
    cr_assert(eq(u64, missed, 1));
    cr_assert(eq(u32, sim_mutants_caught_count(&mutants), 3));
    free(json);
}

/* The run of the seed is found wanting from seed 5 on, whatever the mutant. */
static void run_seed(const struct sim_run_options *run, struct sim_story *story,
                     struct sim_story_judge *judge, struct sim_run_result *ret_result)
{
    struct sim_world *world = sim_world_new(run->seed);

    sim_story_begin(story, run->seed, world, judge, NULL);
    if (run->seed >= 5 && strcmp(run->mutant, "ack_early") == 0)
        sim_story_fail(story, SIM_NO_NUMBER, "seed %u shows it", (unsigned)run->seed);
    sim_world_free(&world);
    *ret_result = (struct sim_run_result){.hash = run->seed};
}

Test(sim_mutants, need_as_many_seeds_as_the_smallest_that_fails)
{
    struct sim_campaign_options options = {.seed_end = 40,
                                           .task = {.run_seed = run_seed, .replay_options = ""},
                                           .failure_count_max = 1};

    mutants.done_count = 0;
    for (uint32_t i = 0; i < 2; i++)
        cr_assert(eq(int, sim_mutants_run_next(&mutants, &options), 0));
    cr_assert(mutants.items[0].was_caught);
    cr_assert(eq(u64, mutants.items[0].seed_count, 6));
    cr_assert(eq(str, mutants.items[0].what, "seed 5 shows it"));
    cr_assert(not(mutants.items[1].was_caught));
    cr_assert(not(mutants.items[1].was_met));
    cr_assert(eq(u64, sim_mutants_seed_count(&mutants), 6));
}

Test(sim_mutants, need_seeds_of_the_range_that_they_are_run_in)
{
    struct sim_campaign_options options = {.seed_begin = 3,
                                           .seed_end = 40,
                                           .task = {.run_seed = run_seed, .replay_options = ""},
                                           .failure_count_max = 1};

    mutants.done_count = 0;
    cr_assert(eq(int, sim_mutants_run_next(&mutants, &options), 0));
    cr_assert(mutants.items[0].was_caught);
    cr_assert(eq(u64, mutants.items[0].seed_count, 3));
}
