#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/dead_letters.h"
#include "tests/sim/weir_calls.h"
#include "tests/sim/weir_letters.h"

/*
 * Replays of dead letters in the real server: cut off by power cuts and kills at every point,
 * by starts with other numbers of shards, by each other, stopped and forgotten. Whatever comes
 * in between, a letter becomes one job.
 */
enum {
    PROJECT_COUNT = WEIR_LETTERS_PROJECT_COUNT,
    JOB_COUNT = WEIR_LETTERS_JOB_COUNT,
    TOTAL = WEIR_LETTERS_TOTAL,
    PATH_SIZE = WEIR_LETTERS_PATH_SIZE,
    POINT_COUNT = 48, /* where a replay is cut off */
    SEED_COUNT = 12,
};

static struct weir weir;
static struct weir_client client;
static struct weir_letters letters;

TestSuite(weir_replays, .timeout = 300);

/* A server with all its dead letters. */
static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir_letters_begin(&letters, &weir, &client);
    weir_letters_make(&letters);
}

/* --- cut off -------------------------------------------------------------- */

Test(weir_replays, a_replay_that_is_cut_off_anywhere_makes_one_job_of_each_letter)
{
    for (uint32_t point = 0; point < POINT_COUNT; point++) {
        char path[PATH_SIZE];

        begin(100 + point, 1 + point % 4);
        weir_letters_begin_replay(&letters, "{\"filter\":{\"origin\":\"job:mail\"},\"rate\":500}",
                                  path);
        cr_assert(eq(u64, weir_letters_number(&letters, "total"), TOTAL));
        /* 36 letters at 500 a second take 72 ms. */
        weir_let_pass(&weir, point * 2);
        weir_end_life(&weir, SIM_REACHED); /* a power cut or a kill */
        weir_letters_restart(&letters);
        weir_letters_finish_replay(&letters, path);
        cr_assert(eq(u64, weir_letters_number(&letters, "total"), TOTAL));
        cr_assert(eq(u64, weir_letters_number(&letters, "done"), TOTAL), "seed %lu: %s", weir.seed,
                  client.answer);
        cr_assert(eq(u32, weir_letters_count(&letters, ""), 0), "seed %lu", weir.seed);
        weir_letters_check_jobs(&letters);
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_replays, a_replay_goes_on_through_many_ends_and_changes_of_the_number_of_shards)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char path[PATH_SIZE];
        uint32_t ends = 0;

        begin(200 + seed, 3);
        weir_letters_begin_replay(&letters, "{\"filter\":{},\"rate\":100}", path);
        while (!weir_letters_is_replay_over(&letters, path) && ends < 40) {
            uint64_t ms = rng_below(&weir.world->rng, 60);

            weir_let_pass(&weir, ms);
            if (rng_below(&weir.world->rng, 3) == 0)
                weir_stop(&weir);
            else
                weir_end_life(&weir, SIM_REACHED);
            weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 4);
            weir_letters_restart(&letters);
            ends++;
        }
        cr_assert(weir_letters_is_replay_over(&letters, path), "seed %lu", weir.seed);
        cr_assert(eq(u32, weir_letters_count(&letters, ""), 0), "seed %lu", weir.seed);
        weir_letters_check_jobs(&letters);
        weir_stop(&weir);
        weir_end(&weir);
    }
}

/* --- what is replayed, and when ------------------------------------------- */

Test(weir_replays, replaying_twice_at_the_same_time_is_replaying_once)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char path[PATH_SIZE], other[PATH_SIZE], third[PATH_SIZE];

        begin(300 + seed, 2);
        weir_letters_begin_replay(&letters, "{\"filter\":{},\"rate\":2000}", path);
        weir_letters_begin_replay(&letters, "{\"filter\":{},\"rate\":10000}", other);
        weir_letters_begin_replay(&letters,
                                  "{\"filter\":{\"project\":\"project0\"},\"rate\":10000}", third);
        weir_letters_finish_replay(&letters, path);
        weir_letters_finish_replay(&letters, other);
        weir_letters_finish_replay(&letters, third);
        weir_letters_begin_replay(&letters, "{\"filter\":{}}", path);
        cr_assert(weir_letters_is_replay_over(&letters, path));
        cr_assert(eq(u64, weir_letters_number(&letters, "total"), 0));
        weir_letters_check_jobs(&letters);
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_replays, ids_that_are_named_are_replayed_and_no_others)
{
    char path[PATH_SIZE], what[256];

    begin(5, 4);
    snprintf(what, sizeof(what), "{\"ids\":[\"%s\",\"%s\",\"%s\",\"%s\"]}", letters.ids[1],
             letters.ids[JOB_COUNT], letters.ids[TOTAL - 1], letters.ids[1]);
    weir_letters_begin_replay(&letters, what, path);
    cr_expect(eq(u64, weir_letters_number(&letters, "total"), 3));
    weir_letters_finish_replay(&letters, path);
    cr_expect(eq(u64, weir_letters_number(&letters, "done"), 3));
    cr_expect(eq(u32, weir_letters_count(&letters, ""), TOTAL - 3));
    weir_letters_begin_replay(&letters, what, path);
    cr_expect(eq(u64, weir_letters_number(&letters, "total"), 0));
    cr_assert(eq(u32, weir_letters_ask_for(&letters, "GET", letters.ids[1]), 200));
    cr_expect(weir_answer_has(&client.request, "\"replayed_as\":\""));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_replays, a_replay_takes_the_time_that_its_rate_says)
{
    char path[PATH_SIZE];
    uint32_t tenths = 0;

    begin(6, 2);
    weir_letters_begin_replay(&letters, "{\"filter\":{},\"rate\":10}", path);
    while (!weir_letters_is_replay_over(&letters, path) && tenths < 100) {
        cr_assert(weir_letters_number(&letters, "done") <= tenths + 2, "%s after %u tenths",
                  client.answer, tenths);
        weir_let_pass(&weir, 100);
        tenths++;
    }
    cr_expect(tenths >= TOTAL - 2);
    cr_expect(tenths <= TOTAL + 2);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_replays, letters_that_die_after_it_began_are_not_replayed)
{
    char path[PATH_SIZE];

    begin(7, 2);
    weir_letters_begin_replay(&letters, "{\"filter\":{},\"rate\":100}", path);
    /* What it makes fails again at once, all the time. */
    for (uint32_t i = 0; i < 200 && !weir_letters_is_replay_over(&letters, path); i++) {
        for (uint32_t project = 0; project < PROJECT_COUNT; project++)
            (void)weir_letters_fail(&letters, project, "mail");
        weir_let_pass(&weir, 10);
    }
    cr_assert(weir_letters_is_replay_over(&letters, path));
    cr_expect(eq(u64, weir_letters_number(&letters, "done"), TOTAL));
    weir_stop(&weir);
    weir_end(&weir);
}

/* --- many at the same time, and what is left of them ---------------------- */

Test(weir_replays, only_the_latest_replays_are_remembered)
{
    char first[PATH_SIZE], path[PATH_SIZE];

    weir_begin(&weir, 8, 1);
    weir_letters_begin(&letters, &weir, &client);
    weir_letters_begin_replay(&letters, "{\"filter\":{}}", first);
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX - 1; i++)
        weir_letters_begin_replay(&letters, "{\"filter\":{}}", path);
    cr_expect(weir_letters_is_replay_over(&letters, first));
    weir_let_pass(&weir, 10);
    weir_letters_begin_replay(&letters, "{\"filter\":{}}", path);
    cr_expect(eq(u32, weir_letters_ask(&letters, "GET", first, ""), 404));
    weir_crash(&weir);
    weir_letters_restart(&letters);
    cr_expect(weir_letters_is_replay_over(&letters, path));
    weir_stop(&weir);
    weir_end(&weir);
}

/* How many replays of this state are listed. */
static uint32_t count_replays(const char *state)
{
    char wanted[32];

    cr_assert(eq(u32, weir_letters_ask(&letters, "GET", "/v1/admin/dlq/replays", ""), 200));
    snprintf(wanted, sizeof(wanted), "\"state\":\"%s\"", state);
    return weir_answer_count(&client.request, wanted);
}

Test(weir_replays, a_start_with_fewer_shards_goes_on_with_the_replays_of_all_of_them)
{
    enum { PER_PROJECT = 9, ALL = 2 * PER_PROJECT };
    char paths[ALL][PATH_SIZE], path[PATH_SIZE], what[96];

    static_assert((int)ALL > (int)DEAD_REPLAY_COUNT_MAX, "one shard alone would not begin them");
    begin(10, 3);
    for (uint32_t i = 0; i < ALL; i++) {
        snprintf(what, sizeof(what),
                 "{\"filter\":{\"org\":\"org\",\"project\":\"project%u\"},\"rate\":1}", i % 2);
        weir_letters_begin_replay(&letters, what, paths[i]);
    }
    cr_assert(eq(u32, count_replays("running"), ALL));
    weir_crash(&weir);
    weir.process.shard_count = 1;
    weir_letters_restart(&letters);
    for (uint32_t i = 0; i < ALL; i++)
        weir_letters_finish_replay(&letters, paths[i]);
    cr_expect(eq(u32, weir_letters_count(&letters, ""), JOB_COUNT)); /* of the third project */
    weir_letters_begin_replay(&letters, "{\"filter\":{}}", path);
    weir_letters_finish_replay(&letters, path);
    cr_expect(eq(u32, count_replays("completed"), DEAD_REPLAY_COUNT_MAX));
    cr_expect(eq(u32, weir_letters_count(&letters, ""), 0));
    weir_letters_check_jobs(&letters);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_replays, a_replay_takes_the_place_of_one_that_was_stopped_while_it_waited)
{
    char paths[DEAD_REPLAY_COUNT_MAX][PATH_SIZE];

    begin(11, 1);
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX; i++)
        weir_letters_begin_replay(&letters, "{\"filter\":{},\"rate\":1}", paths[i]);
    weir_let_pass(&weir, 900);
    cr_assert(eq(u32, count_replays("running"), DEAD_REPLAY_COUNT_MAX));
    cr_assert(eq(u32, weir_letters_ask(&letters, "DELETE", paths[0], ""), 200), "%s",
              client.answer);
    /* The second that the first one waited for is over before the next one has begun. */
    weir.server->faults.stuck_ns = (struct sim_range){500000000, 500000000};
    weir.server->faults.disk_stuck.always = true;
    weir_letters_begin_replay(&letters, "{\"filter\":{},\"rate\":1}", paths[0]);
    weir_calm(&weir);
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX; i++)
        weir_letters_finish_replay(&letters, paths[i]);
    cr_expect(eq(u32, weir_letters_count(&letters, ""), 0));
    weir_letters_check_jobs(&letters);
    weir_stop(&weir);
    weir_end(&weir);
}

/* Events that open no incident fill the first log, until it has let all go that it holds now. */
static void fill_first_log(void)
{
    const struct journal *journal = weir.process.app.shards[0].keeper.logs[0].journal;
    uint64_t seq = journal_active_seq(journal);

    for (uint32_t i = 0; i < 3000 && journal_oldest_seq(journal) <= seq; i++)
        weir_send_filler(&client, "deploy", i);
    cr_assert(lt(u64, seq, journal_oldest_seq(journal)));
}

Test(weir_replays, a_replay_that_was_stopped_and_forgotten_stays_so_when_its_end_has_gone_first)
{
    char paths[PROJECT_COUNT][PATH_SIZE], what[96], path[PATH_SIZE];
    uint32_t left;

    weir_begin(&weir, 12, PROJECT_COUNT);
    weir.process.settings.segment_bytes = 128 << 10;
    weir.process.settings.retain_bytes = 1536 << 10;
    weir_letters_begin(&letters, &weir, &client);
    weir_letters_make(&letters);
    for (uint32_t i = 0; i < PROJECT_COUNT; i++) {
        snprintf(what, sizeof(what),
                 "{\"filter\":{\"org\":\"org\",\"project\":\"project%u\"},\"rate\":1}", i);
        weir_letters_begin_replay(&letters, what, paths[i]);
    }
    weir_crash(&weir);
    weir.process.shard_count = 1;
    weir_letters_restart(&letters);
    for (uint32_t i = 0; i < PROJECT_COUNT; i++)
        cr_assert(eq(u32, weir_letters_ask(&letters, "DELETE", paths[i], ""), 200), "%s",
                  client.answer);
    left = weir_letters_count(&letters, "");
    cr_assert(lt(u32, 0, left));
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX; i++) {
        weir_letters_begin_replay(&letters, "{\"filter\":{\"origin\":\"job:none\"}}", path);
        weir_letters_finish_replay(&letters, path);
    }
    for (uint32_t i = 0; i < PROJECT_COUNT; i++)
        cr_expect(eq(u32, weir_letters_ask(&letters, "GET", paths[i], ""), 404));
    fill_first_log();
    weir_crash(&weir);
    weir_letters_restart(&letters);
    weir_let_pass(&weir, 2000 * JOB_COUNT);
    cr_expect(eq(u32, weir_letters_count(&letters, ""), left), "what was stopped has gone on");
    weir_stop(&weir);
    weir_end(&weir);
}
