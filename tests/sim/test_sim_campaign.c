#include "tools/sim/sim_campaign.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A stand-in for sim_run() does what the seed says, so that the end of every kind of
 * run can be seen: seeds in bad_seeds end badly, all others well.
 */
enum end {
    ENDS_WELL,
    ENDS_IN_FAILURE,
    ENDS_IN_ABORT,
    ENDS_IN_EXIT,
    ENDS_NEVER,
    ENDS_IN_NOISE, /* more than a worker may write */
};

static const struct {
    uint64_t seed;
    enum end end;
} BAD_SEEDS[] = {{37, ENDS_IN_FAILURE}, {53, ENDS_IN_FAILURE}, {71, ENDS_IN_FAILURE},
                 {1001, ENDS_IN_ABORT}, {1002, ENDS_IN_EXIT},  {1003, ENDS_NEVER},
                 {1004, ENDS_IN_NOISE}};

static struct sim_campaign *campaign;
static struct sim_campaign_options options;

static enum end end_of(uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_COUNT(BAD_SEEDS); i++)
        if (BAD_SEEDS[i].seed == seed)
            return BAD_SEEDS[i].end;
    return ENDS_WELL;
}

static void make_noise(void)
{
    for (uint32_t i = 0; i < 100000; i++)
        fputs("noise\n", stderr);
    abort();
}

static bool on_hit(struct sim_point_hook *hook, struct sim_point *point)
{
    (void)hook;
    point->hit_count++;
    return false;
}

static void clear_points(void)
{
    size_t count;
    struct sim_point *const *points = sim_point_all(&count);

    for (size_t i = 0; i < count; i++)
        points[i]->hit_count = 0;
}

static void run_seed(const struct sim_run_options *run, struct sim_story *story,
                     struct sim_story_judge *judge, struct sim_run_result *ret_result)
{
    static struct sim_point_hook hook = {on_hit};
    struct sim_world *world = sim_world_new(run->seed);

    sim_point_install(NULL);
    clear_points();
    sim_point_install(&hook);
    sim_story_begin(story, run->seed, world, judge, run->trace);
    sim_story_tell(story, 1, 1, "a fact of seed %" PRIu64, run->seed);
    SOMETIMES("a stand-in runs");
    if (run->seed % 2 == 0) {
        SOMETIMES("a stand-in meets an even seed");
        SOMETIMES("a stand-in meets an even seed");
    }
    if (run->seed == UINT64_MAX)
        SOMETIMES("a stand-in meets the last seed");
    switch (end_of(run->seed)) {
    case ENDS_WELL:
        break;
    case ENDS_IN_FAILURE:
        sim_story_fail(story, 1, "event 1 is lost");
    case ENDS_IN_ABORT:
        assert(run->seed != 1001);
        break;
    case ENDS_IN_EXIT:
        fputs("something is wrong\n", stderr);
        _exit(3);
    case ENDS_NEVER:
        for (;;)
            pause();
    case ENDS_IN_NOISE:
        make_noise();
    }
    sim_world_free(&world);
    *ret_result = (struct sim_run_result){
        .hash = run->seed * 3 + 1, .simulated_ns = run->seed, .life_count = 2};
}

static void setup(void)
{
    options = (struct sim_campaign_options){
        .seed_begin = 0,
        .seed_end = 20,
        .task = {.run_seed = run_seed, .replay_options = "--faults crash"},
        .job_count = 3,
        .failure_count_max = 1,
        .seed_timeout_ms = 60000};
}

static void teardown(void)
{
    sim_campaign_free(&campaign);
}

TestSuite(sim_campaign, .init = setup, .fini = teardown, .timeout = 60);

static void run_seeds(uint64_t begin, uint64_t end)
{
    options.seed_begin = begin;
    options.seed_end = end;
    cr_assert(eq(int, sim_campaign_new(&options, &campaign), 0));
    cr_assert(eq(int, sim_campaign_run(campaign), 0));
}

static const struct sim_campaign_point *point_named(const char *name)
{
    for (uint32_t i = 0; i < campaign->point_count; i++)
        if (strcmp(campaign->points[i].name, name) == 0)
            return &campaign->points[i];
    cr_fatal("no point %s", name);
    return NULL;
}

static void check_report(uint64_t seed, const char *what)
{
    const char *report;

    cr_assert(eq(u32, campaign->failure_count, 1));
    cr_assert(eq(u64, campaign->failures[0]->seed, seed));
    report = campaign->failures[0]->report;
    cr_assert(ne(ptr, strstr(campaign->failures[0]->what, what), NULL), "%s", report);
    cr_assert(ne(ptr, strstr(report, "a fact of seed"), NULL), "%s", report);
    cr_assert(ne(ptr, strstr(report, "--faults crash --trace story.txt\n"), NULL), "%s", report);
}

Test(sim_campaign, adds_up_what_the_seeds_give)
{
    run_seeds(10, 30);
    cr_assert(eq(u64, campaign->done_count, 20));
    cr_assert(eq(u64, campaign->sum.simulated_ns, (10 + 29) * 10));
    cr_assert(eq(u64, campaign->sum.life_count, 40));
    cr_assert(eq(u64, campaign->max.simulated_ns, 29));
    cr_assert(eq(u32, campaign->failure_count, 0));
}

Test(sim_campaign, gives_the_same_hash_with_any_number_of_workers)
{
    uint64_t hash;

    options.job_count = 1;
    run_seeds(0, 20);
    hash = campaign->hash;
    sim_campaign_free(&campaign);
    options.job_count = 5;
    run_seeds(0, 20);
    cr_assert(eq(u64, campaign->hash, hash));
    sim_campaign_free(&campaign);
    run_seeds(0, 21);
    cr_assert(ne(u64, campaign->hash, hash));
}

Test(sim_campaign, gives_the_hash_of_each_seed_on_request)
{
    options.wants_hashes = true;
    run_seeds(35, 39);
    cr_assert(eq(u64, campaign->hashes[0], 35 * 3 + 1));
    cr_assert(eq(u64, campaign->hashes[1], 36 * 3 + 1));
    cr_assert(eq(u64, campaign->hashes[2], 0));
}

Test(sim_campaign, counts_points_by_name_and_in_how_many_seeds_they_were_met)
{
    run_seeds(0, 20);
    cr_assert(eq(u64, point_named("a stand-in runs")->seed_count, 20));
    cr_assert(eq(u64, point_named("a stand-in meets an even seed")->seed_count, 10));
    cr_assert(eq(u64, point_named("a stand-in meets an even seed")->hit_count, 20));
    cr_assert(eq(u64, point_named("a stand-in meets the last seed")->seed_count, 0));
}

Test(sim_campaign, leaves_out_the_place_that_no_run_can_meet)
{
    run_seeds(0, 1);
    for (uint32_t i = 0; i < campaign->point_count; i++)
        cr_assert(ne(str, (char *)campaign->points[i].name, "the points of a binary are listed"));
}

Test(sim_campaign, reports_the_smallest_seed_that_fails)
{
    for (options.job_count = 1; options.job_count <= 8; options.job_count++) {
        run_seeds(0, 100);
        check_report(37, "event 1 is lost");
        cr_assert(ge(u64, campaign->done_count, 37));
        sim_campaign_free(&campaign);
    }
}

Test(sim_campaign, goes_on_until_enough_have_failed)
{
    options.failure_count_max = 2;
    run_seeds(0, 100);
    cr_assert(eq(u32, campaign->failure_count, 2));
    cr_assert(eq(u64, campaign->failures[0]->seed, 37));
    cr_assert(eq(u64, campaign->failures[1]->seed, 53));
    sim_campaign_free(&campaign);
    options.failure_count_max = 20;
    run_seeds(0, 100);
    cr_assert(eq(u32, campaign->failure_count, 3));
    cr_assert(eq(u64, campaign->done_count, 97));
    cr_assert(eq(u64, point_named("a stand-in runs")->seed_count, 100));
}

Test(sim_campaign, reports_a_broken_assertion_with_its_text)
{
    run_seeds(990, 1002);
    check_report(1001, "run->seed != 1001");
}

Test(sim_campaign, reports_a_process_that_ends_by_itself)
{
    run_seeds(1002, 1003);
    check_report(1002, "exit code 3: something is wrong");
}

Test(sim_campaign, ends_and_reports_a_run_that_hangs)
{
    options.seed_timeout_ms = 100;
    run_seeds(1003, 1004);
    check_report(1003, "hangs");
}

Test(sim_campaign, bounds_what_a_run_may_write)
{
    run_seeds(1004, 1005);
    check_report(1004, "noise");
}

Test(sim_campaign, leaves_no_process_behind)
{
    run_seeds(0, 100);
    cr_assert(eq(int, waitpid(-1, NULL, WNOHANG), -1));
    cr_assert(eq(int, errno, ECHILD));
}

/* Interrupts the campaign as soon as something is done. */
static void interrupt(struct sim_campaign_watch *watch, const struct sim_campaign *running)
{
    (void)watch;
    if (running->done_count > 0 && !running->was_interrupted)
        raise(SIGINT);
}

Test(sim_campaign, ends_early_on_a_signal_and_keeps_what_was_done)
{
    static struct sim_campaign_watch watch = {interrupt};

    options.watch = &watch;
    options.seed_begin = 990;
    options.seed_end = 1004;
    options.failure_count_max = 20;
    options.seed_timeout_ms = 0;
    cr_assert(eq(int, sim_campaign_new(&options, &campaign), 0));
    cr_assert(eq(int, sim_campaign_run(campaign), -EINTR));
    cr_assert(campaign->was_interrupted);
    cr_assert(ge(u64, campaign->done_count, 11));
    cr_assert(eq(int, waitpid(-1, NULL, WNOHANG), -1));
}
