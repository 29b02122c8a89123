#include "tools/sim/sim_report.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>

#include "contracts/json_reader.h"
#include "tools/sim/sim_fault_list.h"

static struct sim_campaign campaign;
static struct sim_campaign_point points[] = {
    {"a torn tail is cut", SIM_POINT_SOMETIMES, 12, 3},
    {"damage: a header is bad", SIM_POINT_SOMETIMES, 0, 0},
    {"the disk is full", SIM_POINT_SOMETIMES, 0, 0},
    {"a pool is empty", SIM_POINT_FAILPOINT, 0, 0},
    {"ack_early", SIM_POINT_MUTANT, 5, 2},
    {"ack_late", SIM_POINT_MUTANT, 0, 0},
};
static struct sim_campaign_failure failure = {
    .seed = 12, .what = "event 7 is lost", .report = "seed 12, \"quoted\"\n\treplay it\n"};
static uint64_t hashes[20] = {0xabc};
static struct sim_report_style style;

static void setup(void)
{
    campaign = (struct sim_campaign){.options = {.seed_begin = 10, .seed_end = 30},
                                     .done_count = 19,
                                     .hash = 0x1234,
                                     .sum = {.simulated_ns = 7200000000000, .life_count = 76},
                                     .wall_ns = 3600000000,
                                     .points = points,
                                     .point_count = ARRAY_COUNT(points)};
    style = (struct sim_report_style){.faults = SIM_FAULTS_ALL};
}

TestSuite(sim_report, .init = setup, .timeout = 60);

static const char *print(void)
{
    static char *text;
    size_t size;
    FILE *stream;

    free(text);
    stream = open_memstream(&text, &size);
    cr_assert(sim_report_print(&campaign, &style, stream));
    fclose(stream);
    return text;
}

static void has(const char *text, const char *part)
{
    cr_assert(ne(ptr, strstr(text, part), NULL), "no \"%s\" in\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
    cr_assert(eq(ptr, strstr(text, part), NULL), "\"%s\" in\n%s", part, text);
}

static void add_failure(void)
{
    campaign.failures[0] = &failure;
    campaign.failure_count = 1;
}

Test(sim_report, sums_a_campaign_up)
{
    const char *text = print();

    has(text, "seeds 10..30: 19 done in 3.6 s");
    has(text, "simulated 2.00 hours in 3.60 s, 2000 times real time\n");
    has(text, "lives 76:");
    has(text, "hash 0000000000001234\n");
    has(text, "points met 1 of 3; never met:\n");
    has(text, "  the disk is full\n");
    lacks(text, "a torn tail");
}

Test(sim_report, puts_failures_last)
{
    const char *text;

    add_failure();
    text = print();
    has(text, "1 failed");
    cr_assert(eq(str, strstr(text, "\nseed 12, "), "\nseed 12, \"quoted\"\n\treplay it\n"));
}

Test(sim_report, shows_all_points_on_request)
{
    style.wants_points = true;
    has(print(), "           12 hits in        3 seeds  a torn tail is cut\n");
}

Test(sim_report, does_not_blame_one_seed_for_what_it_did_not_meet)
{
    style.is_single = true;
    campaign.options.seed_end = 11;
    campaign.done_count = 1;
    campaign.hashes = hashes;
    has(print(), "seed 10: ok\n");
    has(print(), "hash 0000000000000abc\n");
    lacks(print(), "the disk is full");
}

Test(sim_report, does_not_miss_damage_that_was_switched_off)
{
    cr_assert(eq(u32, sim_report_missing_count(&campaign, SIM_FAULTS_ALL), 2));
    cr_assert(eq(
        u32, sim_report_missing_count(&campaign, SIM_FAULTS_ALL & ~(1U << SIM_FAULT_DAMAGE)), 1));
}

Test(sim_report, knows_which_mutants_were_met)
{
    cr_assert(sim_report_met_mutant(&campaign, "ack_early"));
    cr_assert(not(sim_report_met_mutant(&campaign, "ack_late")));
    cr_assert(not(sim_report_met_mutant(&campaign, "the disk is full")));
}

Test(sim_report, prints_one_json_object)
{
    struct json_reader reader;
    struct json_value document, value;
    const char *text;

    add_failure();
    style.as_json = true;
    campaign.hashes = hashes;
    text = print();
    cr_assert(eq(int,
                 json_read_document((struct slice){text, strlen(text) - 1}, JSON_DEPTH_DEFAULT,
                                    &reader, &document),
                 JSON_OK),
              "%s", text);
    cr_assert(json_find_member(document.raw, SLICE_LITERAL("ok"), &value));
    cr_assert(slice_equal(value.raw, SLICE_LITERAL("false")));
    cr_assert(json_find_member(document.raw, SLICE_LITERAL("failures"), &value));
    has(text, "\\\"quoted\\\"");
    has(text, "[\"0000000000000abc\",\"0000000000000000\"");
    has(text, "\"faults\":\"all\"");
}
