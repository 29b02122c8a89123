#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>

#include "runtime/rng.h"
#include "store/event_index.h"

static struct event_index *index_;

static void teardown(void)
{
    event_index_free(&index_);
}

TestSuite(event_index, .fini = teardown, .timeout = 60);

static struct journal_location at(uint64_t seq, uint64_t n)
{
    return journal_location_make(2, seq, 4096 + n * 8);
}

static uint32_t count_found(uint32_t hash, struct journal_location *ret_first)
{
    struct event_index_search search;
    struct journal_location location;
    uint32_t count = 0;

    event_index_find(index_, hash, &search);
    while (event_index_next(&search, &location)) {
        if (count++ == 0)
            *ret_first = location;
    }
    return count;
}

Test(event_index, finds_candidates_newest_first)
{
    struct event_index_search search;
    struct journal_location location;

    cr_assert(eq(int, event_index_new(2, 64, &index_), 0));
    cr_assert(eq(int, event_index_add(index_, 7, at(1, 0)), EVENT_INDEX_ADDED));
    cr_assert(eq(int, event_index_add(index_, 8, at(1, 4)), EVENT_INDEX_ADDED));
    cr_assert(eq(int, event_index_add(index_, 7, at(2, 9)), EVENT_INDEX_ADDED));
    cr_assert(eq(int, event_index_add(index_, 7, at(2, 12)), EVENT_INDEX_ADDED));
    event_index_find(index_, 7, &search);
    cr_assert(event_index_next(&search, &location));
    cr_expect(eq(u64, location.bits, at(2, 12).bits));
    cr_assert(event_index_next(&search, &location));
    cr_expect(eq(u64, location.bits, at(2, 9).bits));
    cr_assert(event_index_next(&search, &location));
    cr_expect(eq(u64, location.bits, at(1, 0).bits));
    cr_expect(not(event_index_next(&search, &location)));
}

Test(event_index, is_full_until_the_oldest_segment_goes)
{
    struct journal_location location;

    cr_assert(eq(int, event_index_new(2, 4, &index_), 0));
    for (uint64_t i = 0; i < 4; i++)
        cr_assert(
            eq(int, event_index_add(index_, (uint32_t)i, at(1 + i / 2, i)), EVENT_INDEX_ADDED));
    cr_expect(eq(int, event_index_add(index_, 9, at(3, 0)), EVENT_INDEX_FULL));
    cr_expect(eq(u64, event_index_oldest_seq(index_), 1));
    event_index_drop_segments(index_, 2);
    cr_expect(eq(u64, event_index_oldest_seq(index_), 2));
    cr_expect(eq(u64, event_index_count(index_), 2));
    cr_expect(eq(int, event_index_add(index_, 9, at(3, 0)), EVENT_INDEX_ADDED));
    cr_expect(eq(u32, count_found(0, &location), 0));
    cr_expect(eq(u32, count_found(2, &location), 1));
}

/* Every added and not dropped entry is found, at every stage of sorting, also around the ring. */
Test(event_index, finds_everything_while_segments_are_sorted_step_by_step)
{
    static uint32_t hashes[200000];
    static uint64_t locations[200000];
    struct rng rng;
    uint64_t seq = 1;
    uint32_t oldest = 0;

    rng_init_seed(&rng, 5);
    cr_assert(eq(int, event_index_new(2, 16384, &index_), 0));
    for (uint32_t i = 0; i < 60000; i++) {
        struct journal_location location = at(seq, i % 100000);

        hashes[i] = (uint32_t)rng_below(&rng, 3000) * 0x01010101u;
        locations[i] = location.bits;
        while (event_index_add(index_, hashes[i], location) == EVENT_INDEX_FULL) {
            event_index_drop_segments(index_, event_index_oldest_seq(index_) + 1);
            while (journal_location_seq((struct journal_location){locations[oldest]}) <
                   event_index_oldest_seq(index_))
                oldest++;
        }
        if (rng_below(&rng, 3000) == 0)
            seq++;
        if (i % 50 == 0) {
            uint32_t probe = oldest + (uint32_t)rng_below(&rng, i - oldest + 1);
            struct event_index_search search;
            uint64_t before = UINT64_MAX;
            bool seen = false;
            struct journal_location candidate;

            event_index_find(index_, hashes[probe], &search);
            while (event_index_next(&search, &candidate)) {
                cr_assert(lt(u64, candidate.bits, before));
                before = candidate.bits;
                seen = seen || candidate.bits == locations[probe];
            }
            cr_assert(seen, "step %u probe %u", i, probe);
        }
    }
    while (event_index_work(index_, 1000))
        continue;
    for (uint32_t i = oldest; i < 60000; i++) {
        struct journal_location first;

        cr_assert(lt(u32, 0, count_found(hashes[i], &first)));
    }
}

Test(event_index, aborts_on_a_location_of_another_log, .signal = SIGABRT)
{
    cr_assert(eq(int, event_index_new(1, 4, &index_), 0));
    cr_assert(eq(int, event_index_add(index_, 1, at(1, 0)), EVENT_INDEX_ADDED));
}
