/*
 * The table is part of the documentation and goes into commits, so nothing in it may
 * depend on where and how fast the binary was built: of a broken assertion it shows
 * the condition, not the file name as the compiler saw it.
 */
#include "tools/sim/sim_mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "contracts/json_writer.h"
#include "tools/sim/sim_report.h"

#define MARKER_FROM "<!-- mutants: replace from here -->\n"
#define MARKER_TO "<!-- mutants: to here -->"

enum {
    FILE_SIZE_MAX = 1 << 20,
    SHOWN_SIZE_MAX = 120, /* of what is wrong */
    PATH_SIZE_MAX = 4096,
    JSON_SIZE_MAX = SIM_MUTANT_COUNT_MAX * 8192,
};

static void mutants_check(const struct sim_mutants *mutants)
{
    assert(mutants->count <= SIM_MUTANT_COUNT_MAX);
    assert(mutants->done_count <= mutants->count);
}

/* --- the list ------------------------------------------------------------- */

static int compare_mutants(const void *a, const void *b)
{
    const struct sim_mutant *left = a, *right = b;

    return strcmp(left->name, right->name);
}

bool sim_mutants_has(const struct sim_mutants *mutants, const char *name)
{
    for (uint32_t i = 0; i < mutants->count; i++)
        if (strcmp(mutants->items[i].name, name) == 0)
            return true;
    return false;
}

void sim_mutants_init(struct sim_mutants *mutants)
{
    struct sim_point *const *points;
    size_t count;

    memset(mutants, 0, sizeof(*mutants));
    points = sim_point_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (points[i]->kind != SIM_POINT_MUTANT || sim_mutants_has(mutants, points[i]->name))
            continue;
        assert(mutants->count < SIM_MUTANT_COUNT_MAX);
        mutants->items[mutants->count++].name = points[i]->name;
    }
    qsort(mutants->items, mutants->count, sizeof(mutants->items[0]), compare_mutants);
    mutants_check(mutants);
}

uint32_t sim_mutants_caught_count(const struct sim_mutants *mutants)
{
    uint32_t count = 0;

    mutants_check(mutants);
    for (uint32_t i = 0; i < mutants->done_count; i++)
        count += mutants->items[i].was_caught ? 1 : 0;
    return count;
}

uint64_t sim_mutants_seed_count(const struct sim_mutants *mutants)
{
    uint64_t count = 0;

    mutants_check(mutants);
    for (uint32_t i = 0; i < mutants->done_count; i++)
        if (mutants->items[i].was_caught)
            count = max_u64(count, mutants->items[i].seed_count);
    return count;
}

/* --- running -------------------------------------------------------------- */

static void note_result(struct sim_mutant *mutant, const struct sim_campaign *campaign)
{
    mutant->was_caught = campaign->failure_count > 0;
    /* What kills the process leaves no counts behind, but nothing else was wrong. */
    mutant->was_met = mutant->was_caught || sim_report_met_mutant(campaign, mutant->name);
    if (mutant->was_caught) {
        mutant->seed_count = campaign->failures[0]->seed - campaign->options.seed_begin + 1;
        memcpy(mutant->what, campaign->failures[0]->what, sizeof(mutant->what));
    }
}

/* How it showed, on one line, without what another build would say otherwise. */
static struct slice describe(const struct sim_mutant *mutant)
{
    static const char DIED[] = "the process died of signal";
    const char *text = mutant->what, *assertion = strstr(mutant->what, "Assertion `");
    size_t size;

    if (!mutant->was_caught)
        return mutant->was_met ? SLICE_LITERAL("NOT FOUND")
                               : SLICE_LITERAL("NOT FOUND: no seed came to its place");
    if (assertion != NULL)
        text = assertion;
    size = strcspn(text, "\n");
    if (strncmp(text, DIED, strlen(DIED)) == 0)
        size = strcspn(text, ":\n");
    return (struct slice){text, min_u64(size, SHOWN_SIZE_MAX)};
}

void sim_mutants_print_latest(const struct sim_mutants *mutants, FILE *stream)
{
    const struct sim_mutant *mutant = &mutants->items[mutants->done_count - 1];
    struct slice what = describe(mutant);
    char seeds[24] = "-";

    mutants_check(mutants);
    assert(mutants->done_count > 0);
    if (mutant->was_caught)
        snprintf(seeds, sizeof(seeds), "%" PRIu64, mutant->seed_count);
    fprintf(stream, "%-36s %6s  %.*s\n", mutant->name, seeds, (int)what.size, what.data);
    fflush(stream);
}

int sim_mutants_run_next(struct sim_mutants *mutants, const struct sim_campaign_options *options)
{
    struct sim_mutant *mutant = &mutants->items[mutants->done_count];
    struct sim_campaign_options with = *options;
    struct sim_campaign *campaign = NULL;
    char replay_options[SIM_STORY_OPTIONS_SIZE_MAX];
    int r;

    mutants_check(mutants);
    assert(mutants->done_count < mutants->count);
    snprintf(replay_options, sizeof(replay_options), "%s%s--mutant %s",
             options->task.replay_options, options->task.replay_options[0] != '\0' ? " " : "",
             mutant->name);
    with.task.run.mutant = mutant->name;
    with.task.replay_options = replay_options;
    with.failure_count_max = 1;
    r = sim_campaign_new(&with, &campaign);
    if (r == 0)
        r = sim_campaign_run(campaign);
    if (r == 0) {
        note_result(mutant, campaign);
        mutants->done_count++;
    }
    sim_campaign_free(&campaign);
    return r;
}

/* --- results -------------------------------------------------------------- */

void sim_mutants_print_json(const struct sim_mutants *mutants, FILE *stream)
{
    char *data = malloc(JSON_SIZE_MAX);
    struct json_writer writer;
    struct slice text;

    if (data == NULL)
        return;
    json_writer_init(&writer, data, JSON_SIZE_MAX);
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("mutants"));
    json_writer_begin_array(&writer);
    for (uint32_t i = 0; i < mutants->done_count; i++) {
        const struct sim_mutant *mutant = &mutants->items[i];

        json_writer_begin_object(&writer);
        json_writer_key(&writer, SLICE_LITERAL("name"));
        json_writer_string(&writer, slice_of(mutant->name));
        json_writer_key(&writer, SLICE_LITERAL("met"));
        json_writer_boolean(&writer, mutant->was_met);
        json_writer_key(&writer, SLICE_LITERAL("caught"));
        json_writer_boolean(&writer, mutant->was_caught);
        json_writer_key(&writer, SLICE_LITERAL("seeds"));
        json_writer_u64(&writer, mutant->was_caught ? mutant->seed_count : 0);
        json_writer_key(&writer, SLICE_LITERAL("what"));
        json_writer_string(&writer, describe(mutant));
        json_writer_end_object(&writer);
    }
    json_writer_end_array(&writer);
    json_writer_key(&writer, SLICE_LITERAL("caught"));
    json_writer_u64(&writer, sim_mutants_caught_count(mutants));
    json_writer_key(&writer, SLICE_LITERAL("missed"));
    json_writer_u64(&writer, mutants->count - sim_mutants_caught_count(mutants));
    json_writer_end_object(&writer);
    if (json_writer_finish(&writer, &text))
        fprintf(stream, "%.*s\n", (int)text.size, text.data);
    free(data);
}

/* A bar would end the cell. */
static void write_cell(struct slice text, FILE *stream)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '|')
            fputc('\\', stream);
        fputc(text.data[i], stream);
    }
}

static void write_rows(const struct sim_mutants *mutants, FILE *stream)
{
    fputs("| mutant | seeds needed | how it showed |\n|---|---|---|\n", stream);
    for (uint32_t i = 0; i < mutants->done_count; i++) {
        const struct sim_mutant *mutant = &mutants->items[i];

        fprintf(stream, "| `%s` | ", mutant->name);
        if (mutant->was_caught)
            fprintf(stream, "%" PRIu64 " | ", mutant->seed_count);
        else
            fputs("- | ", stream);
        write_cell(describe(mutant), stream);
        fputs(" |\n", stream);
    }
}

/* Reads the whole file; text has FILE_SIZE_MAX bytes. 0 or -errno. */
static int read_file(const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int r = 0;

    if (fd < 0)
        return -errno;
    n = read(fd, text, FILE_SIZE_MAX);
    if (n < 0)
        r = -errno;
    else if (n == FILE_SIZE_MAX)
        r = -EFBIG;
    else
        text[n] = '\0';
    close(fd);
    return r;
}

/* Writes head, table and tail to a new file beside path. 0 or -errno. */
static int write_file(const struct sim_mutants *mutants, const char *path, struct slice head,
                      const char *tail)
{
    FILE *stream = fopen(path, "we");
    bool is_bad;

    if (stream == NULL)
        return -errno;
    fprintf(stream, "%.*s", (int)head.size, head.data);
    write_rows(mutants, stream);
    fputs(tail, stream);
    is_bad = ferror(stream) != 0;
    if (fclose(stream) != 0 || is_bad)
        return -EIO;
    return 0;
}

int sim_mutants_write_table(const struct sim_mutants *mutants, const char *path)
{
    char path_new[PATH_SIZE_MAX];
    char *text = malloc(FILE_SIZE_MAX);
    const char *from, *to = NULL;
    int r;

    mutants_check(mutants);
    if (text == NULL)
        return -ENOMEM;
    if (snprintf(path_new, sizeof(path_new), "%s.new", path) >= (int)sizeof(path_new)) {
        free(text);
        return -ENAMETOOLONG;
    }
    r = read_file(path, text);
    from = r == 0 ? strstr(text, MARKER_FROM) : NULL;
    if (from != NULL) {
        from += strlen(MARKER_FROM);
        to = strstr(from, MARKER_TO);
    }
    if (r == 0 && to == NULL)
        r = -EINVAL;
    if (r == 0)
        r = write_file(mutants, path_new, (struct slice){text, (size_t)(from - text)}, to);
    if (r == 0 && rename(path_new, path) < 0)
        r = -errno;
    free(text);
    return r;
}
