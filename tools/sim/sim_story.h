/*
 * Sim story: what happened in one run, for people.
 *
 * Whoever knows something tells it as a fact: one short sentence, with the numbers
 * of the events it is about. All facts go to a file when one is given (--trace); the
 * latest ones are kept, so that a failure can print the last facts about the event
 * concerned without a second run. A failure ends the run: it never returns to the
 * code that found it, which may be deep inside callbacks.
 *
 * A story may live in memory that two processes share: then the one that waits can
 * write the report for the one that died (sim_story_note_end).
 */
#pragma once

#include "runtime/sim_world.h"

enum {
    SIM_FACT_COUNT_MAX = 8192, /* kept */
    SIM_FACT_SIZE_MAX = 160,
    SIM_STORY_FACTS_SHOWN_MAX = 40,
    SIM_STORY_WHAT_SIZE_MAX = 512,
    SIM_STORY_OPTIONS_SIZE_MAX = 256,
    SIM_STORY_OUTPUT_SHOWN_MAX = 8192,
    /* Two lists of facts with their times, the output of the process, the words around. */
    SIM_STORY_FAILURE_SIZE_MAX = 32768,
};

static_assert(SIM_STORY_FAILURE_SIZE_MAX >=
                  2 * SIM_STORY_FACTS_SHOWN_MAX * (SIM_FACT_SIZE_MAX + 32) +
                      SIM_STORY_OUTPUT_SHOWN_MAX + 2 * SIM_STORY_WHAT_SIZE_MAX + 2048,
              "a report always fits");

/* Numbers from here on are those of jobs. */
#define SIM_STORY_JOB_FIRST ((uint32_t)1 << 24)

/* The number of no event. */
#define SIM_NO_NUMBER UINT32_MAX

/* One sentence. Private to sim_story.c. */
struct sim_fact {
    uint64_t mono_ns;
    uint32_t first; /* number of the first event it is about, or SIM_NO_NUMBER */
    uint32_t count;
    char text[SIM_FACT_SIZE_MAX];
};

/* What becomes of a failure. failed() must not return; story->failure is the whole report. */
struct sim_story;
struct sim_story_judge {
    void (*failed)(struct sim_story_judge *judge, struct sim_story *story);
};

/* One run's story. Embedded, static or mapped: it is large. Zeroed before its first run. */
struct sim_story {
    const struct sim_world *world; /* NULL before and after a run */
    struct sim_story_judge *judge;
    FILE *file; /* borrowed, or NULL */
    uint64_t seed;
    uint64_t fact_count; /* told so far */
    uint64_t fact_ns;    /* when the latest was told */
    struct sim_fact facts[SIM_FACT_COUNT_MAX];
    char replay_options[SIM_STORY_OPTIONS_SIZE_MAX]; /* of the command that replays the run */
    char what[SIM_STORY_WHAT_SIZE_MAX];              /* the failure in one sentence, or "" */
    char failure[SIM_STORY_FAILURE_SIZE_MAX];        /* the whole report, or "" */
};

/*
 * Empties the story before the run of seed. replay_options is what stands on the
 * command line besides `weir sim --seed N --trace FILE`, or "". Copies it.
 */
void sim_story_prepare(struct sim_story *story, uint64_t seed, const char *replay_options);

/* Begins the story of a run; keeps the options. Borrows all; file may be NULL. */
void sim_story_begin(struct sim_story *story, uint64_t seed, const struct sim_world *world,
                     struct sim_story_judge *judge, FILE *file);

/* Tells a fact about the events first .. first + count - 1 (SIM_NO_NUMBER, 0: about none). */
PRINTF_LIKE(4, 5)
void sim_story_tell(struct sim_story *story, uint32_t first, uint32_t count, const char *format,
                    ...);

/*
 * Something is wrong with the event number (or SIM_NO_NUMBER): writes the report into
 * story->failure (what, when, the last facts about the event, the last facts of all,
 * the command that replays it) and hands it to the judge.
 */
PRINTF_LIKE(3, 4)
NORETURN void sim_story_fail(struct sim_story *story, uint32_t number, const char *format, ...);

/*
 * The report for a run whose process did not live to tell: it died, or hung and was
 * ended. For the process that waited for it; the story is in memory of both. The
 * format says how it ended; output is what it wrote to standard error, or "".
 */
PRINTF_LIKE(3, 4)
void sim_story_note_end(struct sim_story *story, const char *output, const char *format, ...);
