/*
 * A list is read from left to right into a bit set. Written it is as short as it can
 * be, because it becomes a part of the command that people copy to replay a run: the
 * groups that are there, or all but those that are missing.
 */
#include "tools/sim/sim_fault_list.h"

#include "runtime/text_writer.h"

/* The groups in the order of their numbers, then the words for sets of them. */
static const char *const WORDS[] = {
#define NAME(name, id, text) name,
    SIM_FAULT_GROUPS(NAME)
#undef NAME
        "all",
    "none",
};

enum { WORD_ALL = SIM_FAULT_GROUP_COUNT, WORD_NONE, WORD_COUNT };

static_assert(ARRAY_COUNT(WORDS) == WORD_COUNT, "each word has its number");

#define SIZE(name, id, text) +sizeof("," name)
static_assert(sizeof("all,-") + (0 SIM_FAULT_GROUPS(SIZE)) <= SIM_FAULT_LIST_SIZE_MAX,
              "all names fit into a list");
#undef SIZE

/* The set that the word stands for; false when there is none. */
static bool find_word(struct slice word, uint32_t *ret_faults)
{
    for (uint32_t i = 0; i < WORD_COUNT; i++) {
        if (!slice_equal(word, slice_of(WORDS[i])))
            continue;
        *ret_faults = i == WORD_ALL ? SIM_FAULTS_ALL : i == WORD_NONE ? 0 : 1U << i;
        return true;
    }
    return false;
}

bool sim_fault_list_parse(const char *text, uint32_t *ret_faults, struct slice *ret_bad)
{
    uint32_t faults = 0, set;
    const char *next = text;

    for (;;) {
        size_t size = strcspn(next, ",");
        bool takes_away = *next == '-';
        struct slice word = {next + (takes_away ? 1 : 0), size - (takes_away ? 1 : 0)};

        if (!find_word(word, &set)) {
            *ret_bad = (struct slice){next, size};
            return false;
        }
        /* A list that begins with a minus takes away from all: nothing else makes sense. */
        if (takes_away && next == text)
            faults = SIM_FAULTS_ALL;
        faults = takes_away ? faults & ~set : faults | set;
        if (next[size] == '\0')
            break;
        next += size + 1;
    }
    *ret_faults = faults;
    return true;
}

/* Appends the names of the groups in the set, each with prefix. */
static void put_groups(struct text_writer *writer, uint32_t set, const char *prefix)
{
    for (uint32_t i = 0; i < SIM_FAULT_GROUP_COUNT; i++) {
        if ((set & (1U << i)) == 0)
            continue;
        text_writer_text(writer, writer->size > 0 ? "," : "");
        text_writer_text(writer, prefix);
        text_writer_text(writer, WORDS[i]);
    }
}

void sim_fault_list_write(uint32_t faults, char *text)
{
    struct text_writer writer;
    uint32_t missing = SIM_FAULTS_ALL & ~faults;

    assert((faults & ~(uint32_t)SIM_FAULTS_ALL) == 0);
    text_writer_init(&writer, text, SIM_FAULT_LIST_SIZE_MAX - 1);
    if (faults == 0) {
        text_writer_text(&writer, WORDS[WORD_NONE]);
    } else if (__builtin_popcount(missing) < __builtin_popcount(faults)) {
        text_writer_text(&writer, WORDS[WORD_ALL]);
        put_groups(&writer, missing, "-");
    } else {
        put_groups(&writer, faults, "");
    }
    assert(!writer.overflowed);
    text[writer.size] = '\0';
}

const char *const *sim_fault_list_words(size_t *ret_count)
{
    *ret_count = ARRAY_COUNT(WORDS);
    return WORDS;
}
