#include "tools/sim/sim_story.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <setjmp.h>
#include <signal.h>

static struct sim_story story;
static struct sim_world *world;
static struct sim_story_judge judge;
static jmp_buf court;

/* Leaves the code that found the failure, as a judge must. */
static void on_failed(struct sim_story_judge *self, struct sim_story *failed)
{
    cr_assert(eq(ptr, self, &judge));
    cr_assert(eq(ptr, failed, &story));
    longjmp(court, 1);
}

static void setup(void)
{
    world = sim_world_new(17);
    judge.failed = on_failed;
    sim_story_prepare(&story, 17, "--faults crash");
    sim_story_begin(&story, 17, world, &judge, NULL);
}

static void teardown(void)
{
    sim_world_free(&world);
}

TestSuite(sim_story, .init = setup, .fini = teardown, .timeout = 60);

static void fail_event(uint32_t number)
{
    if (setjmp(court) == 0)
        sim_story_fail(&story, number, "event %u is lost", number);
}

static size_t count_text(const char *text, const char *part)
{
    size_t count = 0;

    while ((text = strstr(text, part)) != NULL) {
        text += strlen(part);
        count++;
    }
    return count;
}

/* The part of the report from title to the next empty line. */
static const char *section(const char *title)
{
    static char text[SIM_STORY_FAILURE_SIZE_MAX];
    const char *start = strstr(story.failure, title), *end;

    cr_assert(ne(ptr, (void *)start, NULL), "no \"%s\" in\n%s", title, story.failure);
    end = strstr(start, "\n\n");
    cr_assert(ne(ptr, (void *)end, NULL));
    memcpy(text, start, (size_t)(end - start));
    text[end - start] = '\0';
    return text;
}

static const char *last_line(void)
{
    size_t size = strlen(story.failure);

    cr_assert(size > 0 && story.failure[size - 1] == '\n');
    story.failure[size - 1] = '\0';
    return strrchr(story.failure, '\n') + 1;
}

Test(sim_story, says_in_its_first_line_what_when_and_under_which_seed)
{
    sim_world_advance_to(world, 12345678901);
    fail_event(203);
    cr_assert(
        eq(int, strncmp(story.failure, "seed 17, at 12.345678901 s: event 203 is lost\n", 46), 0),
        "%s", story.failure);
    cr_assert(eq(str, story.what, "event 203 is lost"));
}

Test(sim_story, ends_with_the_command_that_replays_the_run)
{
    fail_event(1);
    cr_assert(eq(str, (char *)last_line(), "weir sim --seed 17 --faults crash --trace story.txt"));
}

Test(sim_story, shows_the_facts_about_the_event_and_those_of_all)
{
    sim_story_tell(&story, 200, 4, "client 3 sends a batch");
    sim_world_advance_to(world, 2000000000);
    sim_story_tell(&story, 199, 1, "client 4 sends one");
    sim_story_tell(&story, SIM_NO_NUMBER, 0, "the power goes");
    fail_event(203);
    cr_assert(eq(str, (char *)section("the last facts about"),
                 "the last facts about event 203:\n"
                 "   1.000000000 s  client 3 sends a batch"));
    cr_assert(eq(str, (char *)section("the last facts of all"),
                 "the last facts of all, of 3:\n"
                 "   1.000000000 s  client 3 sends a batch\n"
                 "   2.000000000 s  client 4 sends one\n"
                 "   2.000000000 s  the power goes"));
}

Test(sim_story, does_not_take_a_neighbour_for_the_event)
{
    sim_story_tell(&story, 200, 3, "below");
    sim_story_tell(&story, 204, 3, "above");
    sim_story_tell(&story, SIM_NO_NUMBER, 0, "about none");
    fail_event(203);
    cr_assert(eq(str, (char *)section("the last facts about"),
                 "the last facts about event 203:\n  none"));
}

Test(sim_story, leaves_the_events_out_when_the_failure_is_about_none)
{
    sim_story_tell(&story, 1, 1, "a fact");
    if (setjmp(court) == 0)
        sim_story_fail(&story, SIM_NO_NUMBER, "the server hangs");
    cr_assert(eq(ptr, strstr(story.failure, "about event"), NULL));
}

Test(sim_story, keeps_the_latest_facts_when_there_are_too_many)
{
    for (uint32_t i = 0; i < SIM_FACT_COUNT_MAX + 100; i++)
        sim_story_tell(&story, i, 1, "fact %u.", i);
    fail_event(SIM_FACT_COUNT_MAX);
    cr_assert(
        eq(sz, count_text(section("the last facts of all"), "fact "), SIM_STORY_FACTS_SHOWN_MAX));
    cr_assert(ne(ptr, strstr(section("the last facts of all"), "fact 8291."), NULL));
    cr_assert(eq(sz, count_text(section("the last facts about"), "fact 8192."), 1));
}

Test(sim_story, forgets_what_fell_out_of_the_ring)
{
    for (uint32_t i = 0; i < SIM_FACT_COUNT_MAX + 1; i++)
        sim_story_tell(&story, i, 1, "fact %u.", i);
    fail_event(0);
    cr_assert(ne(ptr, strstr(section("the last facts about"), "none"), NULL));
}

Test(sim_story, keeps_the_command_however_long_everything_is)
{
    static char output[65536];
    char text[SIM_FACT_SIZE_MAX * 2], options[SIM_STORY_OPTIONS_SIZE_MAX];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memset(options, 'o', sizeof(options) - 1);
    options[sizeof(options) - 1] = '\0';
    memset(output, 'y', sizeof(output) - 1);
    sim_story_prepare(&story, UINT64_MAX, options);
    sim_story_begin(&story, UINT64_MAX, world, &judge, NULL);
    for (uint32_t i = 0; i < 100; i++)
        sim_story_tell(&story, 1, 1, "%s", text);
    sim_story_note_end(&story, output, "%s", output);
    cr_assert(ne(ptr, strstr(story.failure, options), NULL));
    cr_assert(ne(ptr, strstr(story.failure, "[...]"), NULL));
    cr_assert(eq(int, strcmp(strrchr(last_line(), ' '), " story.txt"), 0));
}

Test(sim_story, begins_anew_with_each_run)
{
    sim_story_tell(&story, 1, 1, "of the first run");
    fail_event(1);
    sim_story_prepare(&story, 18, "");
    sim_story_begin(&story, 18, world, &judge, NULL);
    cr_assert(eq(str, story.failure, ""));
    fail_event(1);
    cr_assert(eq(ptr, strstr(story.failure, "of the first run"), NULL));
    cr_assert(eq(str, (char *)last_line(), "weir sim --seed 18 --trace story.txt"));
}

Test(sim_story, writes_every_fact_and_the_failure_to_the_file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    sim_story_begin(&story, 17, world, &judge, file);
    sim_story_tell(&story, 1, 1, "a fact");
    sim_world_advance_to(world, 123000000456);
    fail_event(1);
    fclose(file);
    cr_assert(eq(str, text,
                 "   1.000000000 s  a fact\n"
                 " 123.000000456 s  FAILED: event 1 is lost\n"));
    free(text);
}

Test(sim_story, tells_of_a_process_that_died_what_it_said)
{
    sim_story_tell(&story, 1, 1, "the last fact");
    sim_story_note_end(&story, "=====\nx.c:7: f: Assertion `a' failed.\nmore\n",
                       "ended by signal %d", 6);
    cr_assert(eq(str, story.what, "ended by signal 6: x.c:7: f: Assertion `a' failed."));
    cr_assert(ne(ptr, strstr(story.failure, "\nmore\n"), NULL));
    cr_assert(ne(ptr, strstr(story.failure, "the last fact\n"), NULL));
}

static void on_mild(struct sim_story_judge *self, struct sim_story *failed)
{
    (void)self;
    (void)failed;
}

Test(sim_story, does_not_go_on_when_the_judge_comes_back, .signal = SIGABRT)
{
    judge.failed = on_mild;
    sim_story_fail(&story, 1, "event 1 is lost");
}
