/*
 * Results go to one stream; nothing here decides about exit codes. A point whose
 * name begins with "damage: " can only be met when damage is among the faults.
 */
#include "tools/sim/sim_report.h"

#include <inttypes.h>

#include "contracts/json_writer.h"
#include "tools/sim/sim_fault_list.h"

#define DAMAGE_PREFIX "damage: "

enum {
    JSON_SIZE_MIN = 1 << 20,
    JSON_ESCAPE_FACTOR = 6, /* \u0000 */
    JSON_POINT_SIZE = 1024,
    JSON_HASH_SIZE = 24,
    HASH_TEXT_SIZE = 17,
    MISSING_SHOWN_MAX = 20, /* without --points */
};

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* How much faster than real time. */
static double speed(const struct sim_campaign *campaign)
{
    return campaign->wall_ns > 0 ? (double)campaign->sum.simulated_ns / (double)campaign->wall_ns
                                 : 0;
}

static uint64_t hash_of(const struct sim_campaign *campaign, const struct sim_report_style *style)
{
    return style->is_single && campaign->hashes != NULL ? campaign->hashes[0] : campaign->hash;
}

/* --- points --------------------------------------------------------------- */

/* True for a point that a good simulation with these faults meets. */
static bool is_wanted(const struct sim_campaign_point *point, uint32_t faults)
{
    if (point->kind != SIM_POINT_SOMETIMES)
        return false;
    return strncmp(point->name, DAMAGE_PREFIX, strlen(DAMAGE_PREFIX)) != 0 ||
           (faults & (1U << SIM_FAULT_DAMAGE)) != 0;
}

static uint32_t count_wanted(const struct sim_campaign *campaign, uint32_t faults)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < campaign->point_count; i++)
        count += is_wanted(&campaign->points[i], faults) ? 1 : 0;
    return count;
}

uint32_t sim_report_missing_count(const struct sim_campaign *campaign, uint32_t faults)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < campaign->point_count; i++)
        if (is_wanted(&campaign->points[i], faults) && campaign->points[i].seed_count == 0)
            count++;
    return count;
}

bool sim_report_met_mutant(const struct sim_campaign *campaign, const char *name)
{
    for (uint32_t i = 0; i < campaign->point_count; i++)
        if (campaign->points[i].kind == SIM_POINT_MUTANT &&
            strcmp(campaign->points[i].name, name) == 0)
            return campaign->points[i].seed_count > 0;
    return false;
}

static const char *kind_name(enum sim_point_kind kind)
{
    switch (kind) {
    case SIM_POINT_SOMETIMES:
        return "sometimes";
    case SIM_POINT_FAILPOINT:
        return "failpoint";
    case SIM_POINT_MUTANT:
        return "mutant";
    }
    return "?";
}

/* --- text ----------------------------------------------------------------- */

static void print_head(const struct sim_campaign *campaign, const struct sim_report_style *style,
                       FILE *stream)
{
    const struct sim_campaign_options *options = &campaign->options;
    double wall_s = seconds(campaign->wall_ns);

    assert(!style->is_single || options->seed_end - options->seed_begin == 1);
    if (style->is_single) {
        fprintf(stream, "seed %" PRIu64 ": %s\n", options->seed_begin,
                campaign->failure_count > 0 ? "FAILED"
                : campaign->done_count > 0  ? "ok"
                                            : "not finished");
    } else {
        fprintf(stream,
                "seeds %" PRIu64 "..%" PRIu64 ": %" PRIu64 " done in %.1f s (%.1f/s, %" PRIu32
                " at a time), %" PRIu32 " failed%s\n",
                options->seed_begin, options->seed_end, campaign->done_count, wall_s,
                wall_s > 0 ? (double)campaign->done_count / wall_s : 0, campaign->worker_count,
                campaign->failure_count, campaign->was_interrupted ? "; interrupted" : "");
    }
    if (campaign->sum.simulated_ns < 3600ULL * 1000000000)
        fprintf(stream, "simulated %.3f s", seconds(campaign->sum.simulated_ns));
    else
        fprintf(stream, "simulated %.2f hours", seconds(campaign->sum.simulated_ns) / 3600);
    fprintf(stream, " in %.2f s, %.0f times real time\n", wall_s, speed(campaign));
}

static void print_sums(const struct sim_run_result *sum, FILE *stream)
{
    fprintf(stream,
            "lives %" PRIu64 ": power cuts %" PRIu64 ", kills %" PRIu64
            ", ended by a fault %" PRIu64 ", failed starts %" PRIu64 "\n",
            sum->life_count, sum->crash_count, sum->kill_count, sum->exit_count,
            sum->failed_start_count);
    fprintf(stream,
            "requests %" PRIu64 ": unknown outcome %" PRIu64 "; events acknowledged %" PRIu64
            ", in the logs at the end %" PRIu64 "\n",
            sum->request_count, sum->unknown_count, sum->acknowledged_count, sum->stored_count);
    fprintf(stream,
            "jobs accepted %" PRIu64 ", leased %" PRIu64 "; calls sent %" PRIu64
            ", letters replayed %" PRIu64 "\n",
            sum->job_count, sum->lease_count, sum->call_count, sum->replay_count);
    fprintf(stream,
            "checks of the whole log %" PRIu64 ", damage refused %" PRIu64 ", steps %" PRIu64 "\n",
            sum->check_count, sum->damage_count, sum->step_count);
}

/* The names that a short campaign leaves out would fill the screen. */
static void print_missing(const struct sim_campaign *campaign, const struct sim_report_style *style,
                          FILE *stream)
{
    uint32_t shown_max = style->wants_points ? UINT32_MAX : MISSING_SHOWN_MAX, count = 0;

    for (uint32_t i = 0; i < campaign->point_count; i++) {
        const struct sim_campaign_point *point = &campaign->points[i];

        if (!is_wanted(point, style->faults) || point->seed_count > 0)
            continue;
        if (count++ < shown_max)
            fprintf(stream, "  %s\n", point->name);
    }
    if (count > shown_max)
        fprintf(stream, "  ... and %" PRIu32 " more (--points)\n", count - shown_max);
}

static void print_points(const struct sim_campaign *campaign, const struct sim_report_style *style,
                         FILE *stream)
{
    uint32_t wanted = count_wanted(campaign, style->faults);
    uint32_t missing = sim_report_missing_count(campaign, style->faults);

    for (uint32_t i = 0; style->wants_points && i < campaign->point_count; i++) {
        const struct sim_campaign_point *point = &campaign->points[i];

        fprintf(stream, "  %-9s %12" PRIu64 " hits in %8" PRIu64 " seeds  %s\n",
                kind_name(point->kind), point->hit_count, point->seed_count, point->name);
    }
    fprintf(stream, "points met %" PRIu32 " of %" PRIu32 "%s\n", wanted - missing, wanted,
            missing > 0 && (!style->is_single || style->wants_points) ? "; never met:" : "");
    if (!style->is_single || style->wants_points)
        print_missing(campaign, style, stream);
}

static void print_text(const struct sim_campaign *campaign, const struct sim_report_style *style,
                       FILE *stream)
{
    uint64_t seed = campaign->options.seed_begin;

    for (uint64_t i = 0;
         !style->is_single && campaign->hashes != NULL && i < campaign->options.seed_end - seed;
         i++)
        fprintf(stream, "seed %" PRIu64 " hash %016" PRIx64 "\n", seed + i, campaign->hashes[i]);
    print_head(campaign, style, stream);
    print_sums(&campaign->sum, stream);
    print_points(campaign, style, stream);
    fprintf(stream, "hash %016" PRIx64 "\n", hash_of(campaign, style));
    /* At the end, where the eye and `tail` look. */
    for (uint32_t i = 0; i < campaign->failure_count; i++)
        fprintf(stream, "\n%s", campaign->failures[i]->report);
}

/* --- JSON ----------------------------------------------------------------- */

static void write_u64(struct json_writer *writer, const char *name, uint64_t value)
{
    json_writer_key(writer, slice_of(name));
    json_writer_u64(writer, value);
}

static void write_text(struct json_writer *writer, const char *name, const char *text)
{
    json_writer_key(writer, slice_of(name));
    json_writer_string(writer, slice_of(text));
}

static void write_hash(struct json_writer *writer, uint64_t hash)
{
    char text[HASH_TEXT_SIZE];

    snprintf(text, sizeof(text), "%016" PRIx64, hash);
    json_writer_string(writer, slice_of(text));
}

static void write_numbers(struct json_writer *writer, const char *name,
                          const struct sim_run_result *numbers)
{
    json_writer_key(writer, slice_of(name));
    json_writer_begin_object(writer);
#define WRITE(member) write_u64(writer, #member, numbers->member);
    SIM_CAMPAIGN_NUMBERS(WRITE)
#undef WRITE
    json_writer_end_object(writer);
}

static void write_failures(struct json_writer *writer, const struct sim_campaign *campaign)
{
    json_writer_key(writer, SLICE_LITERAL("failures"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < campaign->failure_count; i++) {
        json_writer_begin_object(writer);
        write_u64(writer, "seed", campaign->failures[i]->seed);
        write_text(writer, "what", campaign->failures[i]->what);
        write_text(writer, "report", campaign->failures[i]->report);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

static void write_points(struct json_writer *writer, const struct sim_campaign *campaign)
{
    json_writer_key(writer, SLICE_LITERAL("points"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < campaign->point_count; i++) {
        json_writer_begin_object(writer);
        write_text(writer, "name", campaign->points[i].name);
        write_text(writer, "kind", kind_name(campaign->points[i].kind));
        write_u64(writer, "hits", campaign->points[i].hit_count);
        write_u64(writer, "seeds", campaign->points[i].seed_count);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

static void write_hashes(struct json_writer *writer, const struct sim_campaign *campaign)
{
    uint64_t count = campaign->options.seed_end - campaign->options.seed_begin;

    json_writer_key(writer, SLICE_LITERAL("hashes"));
    json_writer_begin_array(writer);
    for (uint64_t i = 0; i < count; i++)
        write_hash(writer, campaign->hashes[i]);
    json_writer_end_array(writer);
}

static void write_json(struct json_writer *writer, const struct sim_campaign *campaign,
                       const struct sim_report_style *style)
{
    const struct sim_campaign_options *options = &campaign->options;
    char faults[SIM_FAULT_LIST_SIZE_MAX];
    uint32_t missing = sim_report_missing_count(campaign, style->faults);
    uint32_t wanted = count_wanted(campaign, style->faults);

    sim_fault_list_write(style->faults, faults);
    json_writer_begin_object(writer);
    write_u64(writer, "seed_begin", options->seed_begin);
    write_u64(writer, "seed_end", options->seed_end);
    write_text(writer, "faults", faults);
    json_writer_key(writer, SLICE_LITERAL("ok"));
    json_writer_boolean(writer, campaign->failure_count == 0 && !campaign->was_interrupted);
    json_writer_key(writer, SLICE_LITERAL("interrupted"));
    json_writer_boolean(writer, campaign->was_interrupted);
    write_u64(writer, "done", campaign->done_count);
    write_u64(writer, "failed", campaign->failure_count);
    json_writer_key(writer, SLICE_LITERAL("hash"));
    write_hash(writer, hash_of(campaign, style));
    json_writer_key(writer, SLICE_LITERAL("wall_s"));
    json_writer_double(writer, seconds(campaign->wall_ns));
    json_writer_key(writer, SLICE_LITERAL("speed"));
    json_writer_double(writer, speed(campaign));
    write_numbers(writer, "sum", &campaign->sum);
    write_numbers(writer, "max", &campaign->max);
    write_u64(writer, "points_met", wanted - missing);
    write_u64(writer, "points_total", wanted);
    write_points(writer, campaign);
    if (!style->is_single && campaign->hashes != NULL)
        write_hashes(writer, campaign);
    write_failures(writer, campaign);
    json_writer_end_object(writer);
}

static bool print_json(const struct sim_campaign *campaign, const struct sim_report_style *style,
                       FILE *stream)
{
    uint64_t seed_count = campaign->options.seed_end - campaign->options.seed_begin;
    size_t size =
        JSON_SIZE_MIN + (size_t)campaign->point_count * JSON_POINT_SIZE +
        sizeof(struct sim_campaign_failure) * campaign->failure_count * JSON_ESCAPE_FACTOR +
        (campaign->hashes != NULL ? seed_count * JSON_HASH_SIZE : 0);
    char *data = malloc(size);
    struct json_writer writer;
    struct slice text;
    bool is_done;

    if (data == NULL)
        return false;
    assert(seed_count > 0);
    json_writer_init(&writer, data, size);
    write_json(&writer, campaign, style);
    is_done = json_writer_finish(&writer, &text) &&
              fwrite(text.data, 1, text.size, stream) == text.size && fputc('\n', stream) != EOF;
    free(data);
    return is_done;
}

bool sim_report_print(const struct sim_campaign *campaign, const struct sim_report_style *style,
                      FILE *stream)
{
    assert(campaign->done_count + campaign->failure_count <=
           campaign->options.seed_end - campaign->options.seed_begin);
    assert((style->faults & ~(uint32_t)SIM_FAULTS_ALL) == 0);
    if (style->as_json && !print_json(campaign, style, stream))
        return false;
    if (!style->as_json)
        print_text(campaign, style, stream);
    return fflush(stream) == 0 && ferror(stream) == 0;
}
