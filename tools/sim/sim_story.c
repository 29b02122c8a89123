/*
 * Facts are kept in a ring, oldest overwritten first. A report is made of it by
 * walking back from the latest: once for the facts about the event concerned, once
 * for all, so that one sees both the life of the event and what went on around its
 * end. Its last line is the command that replays the run, alone, to be copied.
 */
#include "tools/sim/sim_story.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>

#include "runtime/text_writer.h"

#define NS_PER_S 1000000000U

enum {
    LINE_SIZE_MAX = SIM_FACT_SIZE_MAX + 32,
    /* Kept free in the report for its last lines. */
    TAIL_SIZE = SIM_STORY_OPTIONS_SIZE_MAX + 128,
};

/* What a fact must be to be shown. number SIM_NO_NUMBER: any will do. */
static bool is_about(const struct sim_fact *fact, uint32_t number)
{
    if (number == SIM_NO_NUMBER)
        return true;
    return fact->first != SIM_NO_NUMBER && number >= fact->first &&
           number - fact->first < fact->count;
}

static const struct sim_fact *fact_at(const struct sim_story *story, uint64_t index)
{
    assert(index < story->fact_count);
    return &story->facts[index % SIM_FACT_COUNT_MAX];
}

static uint64_t kept_count(const struct sim_story *story)
{
    return min_u64(story->fact_count, SIM_FACT_COUNT_MAX);
}

/* --- the report ----------------------------------------------------------- */

/* Makes "  12.345678901 s  text\n" and gives its size. */
static int format_line(char *line, uint64_t mono_ns, const char *text)
{
    int size = snprintf(line, LINE_SIZE_MAX, "%4" PRIu64 ".%09" PRIu64 " s  %s\n",
                        mono_ns / NS_PER_S, mono_ns % NS_PER_S, text);

    assert(size > 0);
    return size < LINE_SIZE_MAX ? size : LINE_SIZE_MAX - 1;
}

/* The index of the earliest fact about number of which so many at most are shown. */
static uint64_t first_shown(const struct sim_story *story, uint32_t number, uint64_t *ret_total)
{
    uint64_t oldest = story->fact_count - kept_count(story), first = story->fact_count, total = 0;

    for (uint64_t i = story->fact_count; i > oldest; i--) {
        if (!is_about(fact_at(story, i - 1), number))
            continue;
        if (total < SIM_STORY_FACTS_SHOWN_MAX)
            first = i - 1;
        total++;
    }
    *ret_total = total;
    return first;
}

static void put_facts(const struct sim_story *story, uint32_t number, struct text_writer *report)
{
    char line[LINE_SIZE_MAX];
    uint64_t total;

    for (uint64_t i = first_shown(story, number, &total); i < story->fact_count; i++) {
        const struct sim_fact *fact = fact_at(story, i);

        if (is_about(fact, number)) {
            int size = format_line(line, fact->mono_ns, fact->text);

            text_writer_put(report, (struct slice){line, (size_t)size});
        }
    }
    if (total == 0)
        text_writer_text(report, "  none\n");
}

static void put_event(const struct sim_story *story, uint32_t number, struct text_writer *report)
{
    bool is_job = number >= SIM_STORY_JOB_FIRST;

    text_writer_text(report, "\nthe last facts about ");
    text_writer_text(report, is_job ? "job " : "event ");
    text_writer_u64(report, is_job ? number - SIM_STORY_JOB_FIRST : number);
    text_writer_text(report, ":\n");
    put_facts(story, number, report);
}

/* Both ends matter: the first error, and how it ended. The middle may go. */
static void put_output(const char *output, struct text_writer *report)
{
    size_t size = strlen(output), half = SIM_STORY_OUTPUT_SHOWN_MAX / 2;

    text_writer_text(report, "\nwhat the process wrote to standard error:\n");
    if (size <= SIM_STORY_OUTPUT_SHOWN_MAX) {
        text_writer_text(report, output);
    } else {
        text_writer_put(report, (struct slice){output, half});
        text_writer_text(report, "\n[...]\n");
        text_writer_text(report, output + size - half);
    }
    if (size > 0 && output[size - 1] != '\n')
        text_writer_char(report, '\n');
}

static void put_headline(const struct sim_story *story, uint64_t mono_ns,
                         struct text_writer *report)
{
    text_writer_text(report, "seed ");
    text_writer_u64(report, story->seed);
    text_writer_text(report, ", at ");
    text_writer_u64(report, mono_ns / NS_PER_S);
    text_writer_char(report, '.');
    text_writer_padded(report, mono_ns % NS_PER_S, 9);
    text_writer_text(report, " s: ");
    text_writer_text(report, story->what);
    text_writer_char(report, '\n');
}

/* Fills story->failure from story->what. output may be NULL. */
static void write_report(struct sim_story *story, uint64_t mono_ns, uint32_t number,
                         const char *output)
{
    struct text_writer report;

    text_writer_init(&report, story->failure, sizeof(story->failure) - TAIL_SIZE);
    put_headline(story, mono_ns, &report);
    if (number != SIM_NO_NUMBER)
        put_event(story, number, &report);
    text_writer_text(&report, "\nthe last facts of all, of ");
    text_writer_u64(&report, story->fact_count);
    text_writer_text(&report, ":\n");
    put_facts(story, SIM_NO_NUMBER, &report);
    if (output != NULL && *output != '\0')
        put_output(output, &report);
    report.capacity = sizeof(story->failure) - 1;
    text_writer_text(&report, "\nreplay it with\nweir sim --seed ");
    text_writer_u64(&report, story->seed);
    text_writer_text(&report, story->replay_options[0] != '\0' ? " " : "");
    text_writer_text(&report, story->replay_options);
    text_writer_text(&report, " --trace story.txt\n");
    story->failure[report.size] = '\0';
}

/* --- telling -------------------------------------------------------------- */

/* A full disk must not end the run that the trace describes. */
static void write_trace(FILE *file, const char *bytes, size_t size)
{
    if (fwrite(bytes, 1, size, file) != size)
        clearerr(file);
}

void sim_story_prepare(struct sim_story *story, uint64_t seed, const char *replay_options)
{
    size_t size = strlen(replay_options);

    assert(size < sizeof(story->replay_options));
    story->world = NULL;
    story->judge = NULL;
    story->file = NULL;
    story->seed = seed;
    story->fact_count = 0;
    story->fact_ns = 0;
    story->what[0] = '\0';
    story->failure[0] = '\0';
    memcpy(story->replay_options, replay_options, size + 1);
}

void sim_story_begin(struct sim_story *story, uint64_t seed, const struct sim_world *world,
                     struct sim_story_judge *judge, FILE *file)
{
    assert(world != NULL);
    assert(judge != NULL);
    assert(judge->failed != NULL);
    story->world = world;
    story->judge = judge;
    story->file = file;
    story->seed = seed;
    story->fact_count = 0;
    story->fact_ns = world->mono_ns;
    story->what[0] = '\0';
    story->failure[0] = '\0';
}

void sim_story_tell(struct sim_story *story, uint32_t first, uint32_t count, const char *format,
                    ...)
{
    struct sim_fact *fact = &story->facts[story->fact_count % SIM_FACT_COUNT_MAX];
    va_list arguments;

    assert(story->world != NULL);
    assert((first == SIM_NO_NUMBER) == (count == 0));
    fact->mono_ns = story->world->mono_ns;
    fact->first = first;
    fact->count = count;
    va_start(arguments, format);
    (void)vsnprintf(fact->text, sizeof(fact->text), format, arguments);
    va_end(arguments);
    story->fact_ns = fact->mono_ns;
    story->fact_count++;
    if (story->file != NULL) {
        char line[LINE_SIZE_MAX];
        int size = format_line(line, fact->mono_ns, fact->text);

        write_trace(story->file, line, (size_t)size);
    }
}

void sim_story_fail(struct sim_story *story, uint32_t number, const char *format, ...)
{
    va_list arguments;

    assert(story->world != NULL);
    assert(story->judge != NULL);
    va_start(arguments, format);
    (void)vsnprintf(story->what, sizeof(story->what), format, arguments);
    va_end(arguments);
    write_report(story, story->world->mono_ns, number, NULL);
    if (story->file != NULL) {
        char line[SIM_STORY_WHAT_SIZE_MAX + 64];
        uint64_t now = story->world->mono_ns;
        int size = snprintf(line, sizeof(line), "%4" PRIu64 ".%09" PRIu64 " s  FAILED: %s\n",
                            now / NS_PER_S, now % NS_PER_S, story->what);

        write_trace(story->file, line, min_u64((uint64_t)size, sizeof(line) - 1));
        fflush(story->file);
    }
    story->judge->failed(story->judge, story);
    abort(); /* the judge came back, which it must not */
}

/* The first line of output that says something: sanitizers begin with a rule. */
static struct slice telling_line(const char *output)
{
    while (*output != '\0') {
        size_t size = strcspn(output, "\n");

        for (size_t i = 0; i < size; i++)
            if (isalpha((unsigned char)output[i]))
                return (struct slice){output, size};
        output += size;
        output += *output == '\n' ? 1 : 0;
    }
    return (struct slice){output, 0};
}

void sim_story_note_end(struct sim_story *story, const char *output, const char *format, ...)
{
    struct slice line = telling_line(output);
    va_list arguments;
    size_t size;
    int n;

    va_start(arguments, format);
    n = vsnprintf(story->what, sizeof(story->what), format, arguments);
    va_end(arguments);
    assert(n >= 0);
    size = min_u64((uint64_t)n, sizeof(story->what) - 1);
    if (line.size > 0)
        snprintf(story->what + size, sizeof(story->what) - size, ": %.*s", (int)line.size,
                 line.data);
    write_report(story, story->fact_ns, SIM_NO_NUMBER, output);
}
