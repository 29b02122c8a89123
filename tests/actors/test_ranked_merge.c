#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/ranked_merge.h"
#include "runtime/shard.h"

static struct ranked_place places[8];

static void expect_place(uint32_t n, uint32_t list, uint32_t index)
{
    cr_expect(eq(u32, places[n].list, list), "place %u", n);
    cr_expect(eq(u32, places[n].index, index), "place %u", n);
}

TestSuite(ranked_merge, .timeout = 20);

Test(ranked_merge, puts_the_highest_of_all_lists_first)
{
    static const uint64_t FIRST[] = {9, 4, 0}, SECOND[] = {UINT64_MAX, 5}, THIRD[] = {6};
    const struct ranked_list lists[] = {{FIRST, 3}, {SECOND, 2}, {THIRD, 1}};

    cr_assert(eq(u32, ranked_merge(lists, 3, places, 8), 6));
    expect_place(0, 1, 0);
    expect_place(1, 0, 0);
    expect_place(2, 2, 0);
    expect_place(3, 1, 1);
    expect_place(4, 0, 1);
    expect_place(5, 0, 2);
}

Test(ranked_merge, takes_equals_from_the_earlier_list)
{
    static const uint64_t RANKS[] = {3, 3};
    const struct ranked_list lists[] = {{RANKS, 2}, {RANKS, 2}};

    cr_assert(eq(u32, ranked_merge(lists, 2, places, 8), 4));
    expect_place(0, 0, 0);
    expect_place(1, 0, 1);
    expect_place(2, 1, 0);
    expect_place(3, 1, 1);
}

Test(ranked_merge, ends_where_the_places_do)
{
    static const uint64_t RANKS[] = {3, 2, 1};
    const struct ranked_list lists[] = {{RANKS, 3}, {RANKS, 3}};

    places[2] = (struct ranked_place){77, 77};
    cr_assert(eq(u32, ranked_merge(lists, 2, places, 2), 2));
    expect_place(0, 0, 0);
    expect_place(1, 1, 0);
    expect_place(2, 77, 77);
    cr_assert(zero(u32, ranked_merge(lists, 2, places, 0)));
}

Test(ranked_merge, gives_nothing_of_empty_lists)
{
    const struct ranked_list lists[] = {{NULL, 0}, {NULL, 0}};

    cr_assert(zero(u32, ranked_merge(lists, 2, places, 8)));
    cr_assert(zero(u32, ranked_merge(NULL, 0, places, 8)));
}

Test(ranked_merge, has_room_for_a_list_of_every_shard)
{
    static const uint64_t RANK = 1;
    struct ranked_list lists[SHARD_COUNT_MAX] = {0};

    lists[SHARD_COUNT_MAX - 1] = (struct ranked_list){&RANK, 1};
    cr_assert(eq(u32, ranked_merge(lists, SHARD_COUNT_MAX, places, 8), 1));
    expect_place(0, SHARD_COUNT_MAX - 1, 0);
}
