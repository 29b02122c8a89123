#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>

#include "runtime/rng.h"
#include "store/dedup.h"

static struct dedup *dedup;
static const uint64_t NOW = 1735689600000;
static struct dedup_found found;

static void make(uint32_t count_max, uint64_t window_ms, bool strict)
{
    struct dedup_config config = {
        .entry_count_max = count_max, .window_ms = window_ms, .strict = strict};

    cr_assert(eq(int, dedup_new(&config, &dedup), 0));
}

static void teardown(void)
{
    dedup_free(&dedup);
}

static struct dedup_key key_of(uint64_t n)
{
    return (struct dedup_key){{n * 0x9e3779b97f4a7c15u + 1, n}};
}

static struct journal_location at(uint64_t seq)
{
    return journal_location_make(0, seq, 4096);
}

TestSuite(dedup, .fini = teardown, .timeout = 60);

Test(dedup, knows_reserved_committed_conflicting_and_released_keys)
{
    make(16, 60000, false);
    cr_expect(eq(int, dedup_reserve(dedup, key_of(1), 7, NOW, &found), DEDUP_NEW));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(1), 7, NOW + 5, &found), DEDUP_IN_FLIGHT));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(1), 8, NOW + 5, &found), DEDUP_CONFLICT));
    dedup_commit(dedup, key_of(1), at(3));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(1), 7, NOW + 9, &found), DEDUP_DUPLICATE));
    cr_expect(eq(u64, found.location.bits, at(3).bits));
    cr_expect(eq(u64, found.received_unix_ms, NOW));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(1), 8, NOW + 9, &found), DEDUP_CONFLICT));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(2), 7, NOW, &found), DEDUP_NEW));
    dedup_release(dedup, key_of(2));
    cr_expect(eq(int, dedup_find(dedup, key_of(2), 7, NOW, &found), DEDUP_NEW));
}

Test(dedup, forgets_a_key_at_the_end_of_its_window_and_not_before)
{
    make(16, 60000, false);
    cr_assert(eq(int, dedup_reserve(dedup, key_of(1), 7, NOW, &found), DEDUP_NEW));
    dedup_commit(dedup, key_of(1), at(1));
    cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, NOW + 59999, &found), DEDUP_DUPLICATE));
    cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, NOW + 60000, &found), DEDUP_NEW));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(1), 9, NOW + 60000, &found), DEDUP_NEW));
}

Test(dedup, keeps_a_key_when_the_clock_is_set_back)
{
    make(16, 60000, false);
    cr_assert(eq(int, dedup_reserve(dedup, key_of(1), 7, NOW, &found), DEDUP_NEW));
    dedup_commit(dedup, key_of(1), at(1));
    cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, NOW - 3600000, &found), DEDUP_DUPLICATE));
    cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, NOW + 100, &found), DEDUP_DUPLICATE));
}

Test(dedup, tells_the_time_of_arrival_also_when_the_clock_was_set_back)
{
    static const uint64_t back_ms[] = {1, 999, 3600000, 86400000, 7ull * 86400000};

    make(16, DEDUP_WINDOW_MS_MAX, false);
    cr_assert(eq(int, dedup_reserve(dedup, key_of(1), 7, NOW, &found), DEDUP_NEW));
    dedup_commit(dedup, key_of(1), at(1));
    for (size_t i = 0; i < sizeof(back_ms) / sizeof(back_ms[0]); i++) {
        uint64_t now = NOW - back_ms[i];

        cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, now, &found), DEDUP_DUPLICATE));
        cr_expect(eq(u64, found.received_unix_ms, NOW), "%lu ms earlier", back_ms[i]);
    }
    cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, NOW + 86400000, &found), DEDUP_DUPLICATE));
    cr_expect(eq(u64, found.received_unix_ms, NOW));
}

Test(dedup, keeps_the_later_acceptance_when_recovery_reads_it_first)
{
    struct journal_location later = journal_location_make(0, 9, 4096);
    struct journal_location earlier = journal_location_make(1, 2, 4096);

    make(16, 60000, false);
    dedup_insert_recovered(dedup, key_of(1), 7, later, NOW + 70000);
    dedup_insert_recovered(dedup, key_of(1), 7, earlier, NOW);
    cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, NOW + 100000, &found), DEDUP_DUPLICATE));
    cr_expect(eq(u64, found.location.bits, later.bits));
    cr_expect(eq(u64, found.received_unix_ms, NOW + 70000));
    /* In order of time the later one counts as well. */
    dedup_insert_recovered(dedup, key_of(2), 7, earlier, NOW);
    dedup_insert_recovered(dedup, key_of(2), 7, later, NOW + 70000);
    cr_expect(eq(int, dedup_find(dedup, key_of(2), 7, NOW + 100000, &found), DEDUP_DUPLICATE));
    cr_expect(eq(u64, found.location.bits, later.bits));
}

Test(dedup, lets_the_oldest_go_early_and_says_so)
{
    make(4, 60000, false);
    cr_expect(eq(u64, dedup_window_ms_effective(dedup, NOW), 60000));
    for (uint64_t i = 1; i <= 5; i++) {
        cr_assert(eq(int, dedup_reserve(dedup, key_of(i), 7, NOW + i * 1000, &found), DEDUP_NEW));
        dedup_commit(dedup, key_of(i), at(1));
    }
    cr_expect(eq(int, dedup_find(dedup, key_of(1), 7, NOW + 5000, &found), DEDUP_NEW));
    cr_expect(eq(int, dedup_find(dedup, key_of(2), 7, NOW + 5000, &found), DEDUP_DUPLICATE));
    cr_expect(eq(u64, dedup_window_ms_effective(dedup, NOW + 5000), 4000));
    cr_expect(eq(u64, dedup_window_ms_effective(dedup, NOW + 66000), 60000));
}

Test(dedup, answers_full_when_strict_or_when_all_is_in_flight)
{
    make(4, 60000, true);
    for (uint64_t i = 1; i <= 4; i++)
        cr_assert(eq(int, dedup_reserve(dedup, key_of(i), 7, NOW, &found), DEDUP_NEW));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(9), 7, NOW, &found), DEDUP_FULL));
    for (uint64_t i = 1; i <= 4; i++)
        dedup_commit(dedup, key_of(i), at(1));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(9), 7, NOW + 1, &found), DEDUP_FULL));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(9), 7, NOW + 60000, &found), DEDUP_NEW));
    dedup_free(&dedup);
    make(2, 60000, false);
    cr_assert(eq(int, dedup_reserve(dedup, key_of(1), 7, NOW, &found), DEDUP_NEW));
    cr_assert(eq(int, dedup_reserve(dedup, key_of(2), 7, NOW, &found), DEDUP_NEW));
    cr_expect(eq(int, dedup_reserve(dedup, key_of(3), 7, NOW, &found), DEDUP_FULL));
}

Test(dedup, drops_keys_of_retired_segments)
{
    make(16, 60000, false);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert(eq(int, dedup_reserve(dedup, key_of(i), 7, NOW, &found), DEDUP_NEW));
        dedup_commit(dedup, key_of(i), at(i));
    }
    dedup_drop_segments(dedup, 0, 3);
    cr_expect(eq(int, dedup_find(dedup, key_of(2), 7, NOW, &found), DEDUP_NEW));
    cr_expect(eq(int, dedup_find(dedup, key_of(3), 7, NOW, &found), DEDUP_DUPLICATE));
}

Test(dedup, aborts_on_the_commit_of_a_key_that_is_not_reserved, .signal = SIGABRT)
{
    make(16, 60000, false);
    dedup_commit(dedup, key_of(1), at(1));
}

enum { MODEL_KEYS = 48, MODEL_ENTRIES = 32 };

/* The same by linear search over a list in order of arrival. */
struct model_entry {
    uint64_t key;
    uint32_t body;
    uint64_t received;
    uint64_t seq; /* 0: reserved */
};
static struct model_entry model[4096];
static uint32_t model_count;

static void model_remove(uint32_t index)
{
    memmove(&model[index], &model[index + 1], (model_count - index - 1) * sizeof(model[0]));
    model_count--;
}

static int model_find(uint64_t key)
{
    for (uint32_t i = 0; i < model_count; i++)
        if (model[i].key == key)
            return (int)i;
    return -1;
}

/* Few keys that share home slots, so runs wrap and shift; time moves so that windows end. */
static void compare_with_model(uint64_t seed)
{
    struct rng rng;
    uint64_t now = NOW;

    make(64, 60000, false);
    model_count = 0;
    rng_init_seed(&rng, seed);
    for (uint32_t i = 0; i < 4000; i++) {
        uint64_t n = 1 + rng_below(&rng, MODEL_KEYS);
        struct dedup_key key = {{120 + n % 5, n}};
        uint32_t body = (uint32_t)rng_below(&rng, 2);
        int index;
        enum dedup_result want = DEDUP_NEW;

        now += rng_below(&rng, 2000);
        for (uint32_t j = 0; j < model_count;) {
            if (model[j].seq != 0 && now - model[j].received >= 60000)
                model_remove(j);
            else
                j++;
        }
        index = model_find(n);
        if (index >= 0 && model[index].seq == 0 && rng_chance(&rng, 1, 2)) {
            if (rng_chance(&rng, 1, 2)) {
                model[index].seq = 5;
                dedup_commit(dedup, key, at(5));
            } else {
                model_remove((uint32_t)index);
                dedup_release(dedup, key);
            }
            continue;
        }
        if (index >= 0 && model[index].body != body)
            want = DEDUP_CONFLICT;
        else if (index >= 0)
            want = model[index].seq == 0 ? DEDUP_IN_FLIGHT : DEDUP_DUPLICATE;
        cr_assert(eq(int, dedup_reserve(dedup, key, body, now, &found), want), "seed %lu step %u",
                  seed, i);
        if (index < 0)
            model[model_count++] = (struct model_entry){n, body, now, 0};
    }
    dedup_free(&dedup);
}

Test(dedup, behaves_like_a_plain_list)
{
    for (uint64_t seed = 1; seed <= 50; seed++)
        compare_with_model(seed);
}
