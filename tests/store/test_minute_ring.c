#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/rng.h"
#include "store/minute_ring.h"
#include "store/slot_index.h"

static struct minute_ring ring;
static struct rng rng;

TestSuite(minute_ring, .timeout = 60);

Test(minute_ring, counts_by_the_minute_in_any_order)
{
    cr_assert(minute_ring_add(&ring, 600 * MINUTE_MS + 5));
    cr_assert(minute_ring_add(&ring, 598 * MINUTE_MS));
    cr_assert(minute_ring_add(&ring, 600 * MINUTE_MS + 3));
    cr_assert(eq(u32, minute_ring_count(&ring, 600), 2));
    cr_assert(eq(u32, minute_ring_count(&ring, 599), 0));
    cr_assert(eq(u32, minute_ring_count(&ring, 598), 1));
    cr_assert(eq(u32, minute_ring_count(&ring, 601), 0));
    cr_assert(eq(u64, minute_ring_sum(&ring, 0, 10000), 3));
    cr_assert(eq(i64, minute_ring_last_ms(&ring, 600), 600 * MINUTE_MS + 5));
}

Test(minute_ring, takes_nothing_older_than_it_reaches)
{
    cr_assert(minute_ring_add(&ring, 600 * MINUTE_MS));
    cr_assert(minute_ring_add(&ring, (int64_t)(600 - MINUTE_RING_COUNT + 1) * MINUTE_MS));
    cr_assert(not(minute_ring_add(&ring, (int64_t)(600 - MINUTE_RING_COUNT) * MINUTE_MS)));
}

Test(minute_ring, forgets_what_it_passes)
{
    cr_assert(minute_ring_add(&ring, 600 * MINUTE_MS));
    cr_assert(minute_ring_add(&ring, (int64_t)(600 + MINUTE_RING_COUNT) * MINUTE_MS));
    cr_assert(eq(u32, minute_ring_count(&ring, 600), 0));
    cr_assert(eq(u64, minute_ring_sum(&ring, 0, 100000), 1));
    cr_assert(minute_ring_add(&ring, (int64_t)600000 * MINUTE_MS));
    cr_assert(eq(u64, minute_ring_sum(&ring, 0, 1000000), 1));
}

Test(minute_ring, agrees_with_a_plain_list)
{
    static int64_t times[4000];
    uint32_t head = 0;

    rng_init_seed(&rng, 5);
    for (int i = 0; i < 4000; i++) {
        int64_t at = ((int64_t)1000 + i / 8 - (int64_t)rng_below(&rng, 140)) * MINUTE_MS +
                     (int64_t)rng_below(&rng, MINUTE_MS);
        int64_t first = 1000 + i / 8 - (int64_t)rng_below(&rng, 150),
                last = first + (int64_t)rng_below(&rng, 80);
        uint64_t expected = 0;

        if (minute_of(at) > head)
            head = minute_of(at);
        cr_assert(eq(int, minute_ring_add(&ring, at), head - minute_of(at) < MINUTE_RING_COUNT));
        times[i] = at;
        for (int j = 0; j <= i; j++)
            expected += times[j] / MINUTE_MS >= first && times[j] / MINUTE_MS <= last &&
                        head - minute_of(times[j]) < MINUTE_RING_COUNT;
        cr_assert(eq(u64, minute_ring_sum(&ring, first, last), expected));
    }
}

Test(slot_index, finds_what_was_added_and_not_removed)
{
    static uint32_t slots[500];
    struct slot_index index;

    rng_init_seed(&rng, 6);
    cr_assert(eq(int, slot_index_init(&index, 500), 0));
    for (uint32_t round = 0; round < 100000; round++) {
        uint32_t i = (uint32_t)rng_below(&rng, 500);
        /* Many share their low bits, and one key is 0. */
        uint64_t key = (uint64_t)(i % 20) + ((uint64_t)(i / 20) << 32);

        cr_assert(eq(u32, slot_index_find(&index, key), slots[i] == 0 ? SLOT_NONE : slots[i]));
        if (slots[i] == 0) {
            slots[i] = 1 + (uint32_t)rng_below(&rng, 1000);
            slot_index_add(&index, key, slots[i]);
        } else {
            slots[i] = 0;
            slot_index_remove(&index, key);
        }
    }
    slot_index_deinit(&index);
}
