/*
 * Every disk that a power cut could leave behind, made and recovered from.
 *
 * Rounds: the real server runs on the real kernel and its writes are recorded
 * (crash_server.h), then each crash state of the record is made in memory and judged
 * (crash_campaign.h). The first round begins with an empty directory, each later one
 * with a crash state of the round before that recovery had to repair. Then the same
 * states with flaws put in on purpose, which must be found.
 *
 * usage: test_crash_states [--mutant NAME] [SEED]
 * CHECK_LONG=1 takes all states within wide bounds. A planted bug (runtime/sim_point.h,
 * in a build with the option `mutants`) ends in a finding, as a failure.
 * A plain program, because the server has threads; it speaks TAP.
 */
#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "actors/app.h"
#include "runtime/sim_point.h"
#include "tests/crash/crash_campaign.h"
#include "tests/crash/crash_load.h"
#include "tests/crash/crash_server.h"

enum {
    PATH_SIZE = 400,
    CLIENT_COUNT = 4,
    PAUSE_MS = 4, /* a few times what the journal waits before it writes a watermark */
    TREE_DEPTH_MAX = 16,
};

/* How much one run does. */
struct plan {
    uint32_t round_count;
    uint32_t burst_count;   /* pieces of load before each stop */
    uint32_t request_count; /* of one client in a burst */
    struct crash_bounds bounds;
};

static const struct plan SHORT_PLAN = {
    .round_count = 5,
    .burst_count = 2,
    .request_count = 14,
    .bounds = {.state_count_max = 4,
               .alone_count_max = 1,
               .torn_count = 1,
               .recovery_period = 60,
               .recovery_torn_count = 1},
};

static const struct plan LONG_PLAN = {
    .round_count = 4,
    .burst_count = 4,
    .request_count = 24,
    .bounds = {.state_count_max = 64,
               .alone_count_max = 64,
               .torn_count = 6,
               .recovery_period = 25,
               .recovery_torn_count = 4},
};

static struct crash_ledger ledger;
static struct crash_judge judge;
static struct crash_campaign campaign;
static struct write_log write_log;
static char work_path[PATH_SIZE]; /* where the binary is: on a real disk */
static char failure_path[PATH_SIZE + 32];

static uint32_t case_count;

/* One line of TAP; the first that does not hold ends the program. */
static void check(bool held, const char *what)
{
    printf("%sok %u - %s\n", held ? "" : "not ", ++case_count, what);
    if (held)
        return;
    printf("1..%u\n", case_count);
    exit(1);
}

/* What has to go well before anything can be checked. */
static void must(bool held, const char *what)
{
    if (!held)
        check(false, what);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- directories ---------------------------------------------------------- */

static void find_work_path(void)
{
    ssize_t size = readlink("/proc/self/exe", work_path, sizeof(work_path) - 1);

    must(size > 0, "/proc/self/exe cannot be read");
    work_path[size] = '\0';
    *strrchr(work_path, '/') = '\0';
    snprintf(failure_path, sizeof(failure_path), "%s/crash-failure", work_path);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, TREE_DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
}

/* --- one round ------------------------------------------------------------ */

/* Few and many segments, one write at a time and several, one log, then two, then one again. */
static const struct crash_server_config ROUNDS[] = {
    {.retain_bytes = 768 << 10, .writes_in_flight = 3, .shard_count = 1},
    {.retain_bytes = 600 << 10, .writes_in_flight = 2, .shard_count = 2},
    {.retain_bytes = 300 << 10, .writes_in_flight = 1, .shard_count = 1},
    {.retain_bytes = 512 << 10, .writes_in_flight = 4, .shard_count = 1},
};

static void start_server(const char *root, uint32_t round)
{
    struct crash_server_config config = ROUNDS[round % ARRAY_COUNT(ROUNDS)];
    char text[APP_TEXT_SIZE];

    config.root = root;
    config.ledger = &ledger;
    switch (crash_server_start(&config, text)) {
    case CRASH_SERVER_OK:
        return;
    case CRASH_SERVER_UNAVAILABLE:
        printf("1..0 # SKIP %s\n", text);
        remove_tree(root);
        exit(0);
    case CRASH_SERVER_FAILED:
        must(false, text);
    }
}

/* One life of the server, from start to orderly stop. */
static void live(const struct plan *plan, const char *root, uint32_t round, uint64_t seed)
{
    start_server(root, round);
    for (uint32_t i = 0; i < plan->burst_count; i++) {
        struct crash_load load = {
            .ledger = &ledger,
            .address = crash_server_address(),
            .seed = seed * 100 + i,
            .client_count = CLIENT_COUNT,
            .request_count = plan->request_count,
        };

        must(crash_load_run(&load), "the load failed");
        clock_sleep_ms(PAUSE_MS);
    }
    must(crash_server_stop(), "the server did not stop with exit code 0");
}

/* Two lives on a disk that begins as base, recorded as one. */
static void record(const struct plan *plan, uint32_t round, uint64_t seed,
                   const struct crash_disk *base, const bool *is_there)
{
    char root[PATH_SIZE + 32];

    snprintf(root, sizeof(root), "%s/crash-XXXXXX", work_path);
    must(mkdtemp(root) != NULL, "no directory can be made beside the binary");
    must(crash_disk_export(base, disk_posix(), root) == 0, "the crash state cannot be written");
    write_log_init(&write_log, root, base);
    crash_ledger_begin_round(&ledger, &write_log, is_there);
    live(plan, root, round, seed * 2);
    live(plan, root, round, seed * 2 + 1);
    remove_tree(root);
}

/* The log must have what the states are to cover. */
static void must_cover(uint32_t round)
{
    uint32_t counts[WRITE_LOG_MARK + 1] = {0};
    uint32_t durable_count = 0, segment_count = 0, retired_count = 0;

    for (uint32_t i = 0; i < write_log.op_count; i++) {
        const struct write_log_op *op = &write_log.ops[i];

        counts[op->kind]++;
        durable_count += op->durable;
        segment_count += op->kind == WRITE_LOG_RENAME && strstr(op->new_path, ".seg") != NULL;
        retired_count += op->kind == WRITE_LOG_RENAME && strstr(op->path, ".seg") != NULL;
        retired_count += op->kind == WRITE_LOG_UNLINK && strstr(op->path, ".seg") != NULL;
    }
    printf("# round %u: %u entries: %u writes (%u durable), %u syncs, %u of directories, %u names; "
           "%u segments begun, %u retired\n",
           round, write_log.entry_count, counts[WRITE_LOG_WRITE], durable_count,
           counts[WRITE_LOG_SYNC], counts[WRITE_LOG_SYNC_DIRECTORY],
           counts[WRITE_LOG_CREATE] + counts[WRITE_LOG_RENAME] + counts[WRITE_LOG_UNLINK] +
               counts[WRITE_LOG_MAKE_DIRECTORY],
           segment_count, retired_count);
    must(counts[WRITE_LOG_WRITE] > 50 && segment_count > 3 && retired_count > 0,
         "the record is too thin: no segment was retired");
}

/* --- flaws that must be found --------------------------------------------- */

static void must_find(uint32_t flaw, const char *name, enum crash_finding expected)
{
    static const struct crash_bounds BOUNDS = {.state_count_max = 4, .torn_count = 0};
    static struct crash_campaign flawed;

    crash_campaign_init(&flawed, &judge, &BOUNDS, 1);
    flawed.wanted = expected;
    (void)crash_campaign_run(&flawed, &ledger, flaw);
    printf("# %s: %s after %llu states: %s\n", name, crash_finding_name(flawed.finding),
           (unsigned long long)flawed.state_count, judge.text);
    check(flawed.finding == expected, name);
    crash_campaign_deinit(&flawed);
}

static void must_find_flaws(void)
{
    must_find(CRASH_FLAW_NO_DURABLE_WRITES, "finds that durable writes are not durable",
              CRASH_LOST);
    must_find(CRASH_FLAW_NO_DIRECTORY_SYNC, "finds that directories are not synced", CRASH_LOST);
    must_find(CRASH_FLAW_RENAME_BEFORE_SYNC,
              "finds that a rename comes before the fsync of the file", CRASH_REFUSED);
}

/* --- planted bugs --------------------------------------------------------- */

static const char *mutant_name;

static bool is_mutant(const struct sim_point *point)
{
    return point->kind == SIM_POINT_MUTANT && strcmp(point->name, mutant_name) == 0;
}

static bool on_hit(struct sim_point_hook *hook, struct sim_point *point)
{
    (void)hook;
    return is_mutant(point);
}

static void plant(const char *name)
{
    static struct sim_point_hook hook = {.on_hit = on_hit};
    size_t count = 0;
    struct sim_point *const *points = sim_point_all(&count);
    bool is_there = false;

    mutant_name = name;
    for (size_t i = 0; i < count; i++)
        is_there |= is_mutant(points[i]);
    must(is_there, "this build has no such mutant");
    sim_point_install(&hook);
}

/* --- all of it ------------------------------------------------------------ */

static void run(const struct plan *plan, uint64_t seed)
{
    struct crash_disk base;

    crash_disk_init(&base);
    crash_campaign_init(&campaign, &judge, &plan->bounds, seed);
    campaign.failure_path = failure_path;
    remove_tree(failure_path);
    for (uint32_t round = 0; round < plan->round_count; round++) {
        double began = seconds();
        double recorded;
        char name[96];
        bool good;

        record(plan, round, seed + round, &base, campaign.is_there);
        must_cover(round);
        recorded = seconds() - began;
        began = seconds();
        good = crash_campaign_run(&campaign, &ledger, 0) == CRASH_GOOD;
        printf("# recorded in %.1f s, judged in %.1f s\n", recorded, seconds() - began);
        snprintf(name, sizeof(name), "every crash state of round %u keeps what was acknowledged",
                 round);
        check(good, name);
        if (round == 0 && mutant_name == NULL)
            must_find_flaws();
        write_log_deinit(&write_log);
        crash_disk_deinit(&base);
        must(campaign.has_chosen, "no crash state had anything to repair");
        crash_disk_copy(&base, &campaign.chosen);
    }
    crash_disk_deinit(&base);
}

int main(int argc, char **argv)
{
    const char *is_long = getenv("CHECK_LONG");
    bool is_mutated = argc > 2 && strcmp(argv[1], "--mutant") == 0;
    int seed_at = is_mutated ? 3 : 1;
    uint64_t seed = argc > seed_at ? strtoull(argv[seed_at], NULL, 10) : 1;
    const struct plan *plan =
        is_long != NULL && strcmp(is_long, "1") == 0 ? &LONG_PLAN : &SHORT_PLAN;
    double began = seconds();

    setvbuf(stdout, NULL, _IOLBF, 0);
    (void)crash_ledger_padding(); /* before there are threads */
    find_work_path();
    if (is_mutated)
        plant(argv[2]);
    run(plan, seed);
    printf("1..%u\n# %llu moments, %llu states, of which %llu were repaired; %llu recoveries "
           "crashed in %llu states; %llu recoveries in %.1f s\n",
           case_count, (unsigned long long)campaign.moment_count,
           (unsigned long long)campaign.state_count, (unsigned long long)campaign.repaired_count,
           (unsigned long long)campaign.recovery_crash_count,
           (unsigned long long)campaign.recovery_state_count,
           (unsigned long long)judge.recovery_count, seconds() - began);
    crash_campaign_deinit(&campaign);
    crash_judge_deinit(&judge);
    return 0;
}
