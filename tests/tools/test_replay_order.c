#include "tools/replay_order.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct replay_order order;

static void teardown(void)
{
    replay_order_deinit(&order);
}

TestSuite(replay_order, .fini = teardown);

static void add(int64_t unix_ms, bool has_time)
{
    struct replay_line line = {.unix_ms = unix_ms, .line_number = order.count + 1};

    cr_assert(eq(int, replay_order_add(&order, &line, has_time), 0));
}

static void expect(const uint64_t *numbers, size_t count)
{
    replay_order_sort(&order);
    cr_assert(eq(sz, order.count, count));
    for (size_t i = 0; i < count; i++)
        cr_assert(eq(u64, order.lines[i].line_number, numbers[i]));
}

Test(replay_order, puts_lines_in_the_order_of_their_times)
{
    add(30, true);
    add(-10, true);
    add(20, true);
    expect((const uint64_t[]){2, 3, 1}, 3);
}

Test(replay_order, keeps_lines_of_one_time_as_they_stand)
{
    add(20, true);
    add(10, true);
    add(20, true);
    add(10, true);
    expect((const uint64_t[]){2, 4, 1, 3}, 4);
}

Test(replay_order, keeps_lines_without_a_time_behind_the_one_they_follow)
{
    add(0, false);
    add(20, true);
    add(0, false);
    add(10, true);
    add(0, false);
    expect((const uint64_t[]){1, 4, 5, 2, 3}, 5);
}

Test(replay_order, takes_more_lines_than_it_began_with)
{
    for (int64_t i = 0; i < 5000; i++)
        add(5000 - i, true);
    replay_order_sort(&order);
    for (uint64_t i = 0; i < 5000; i++)
        cr_assert(eq(u64, order.lines[i].line_number, 5000 - i));
}

Test(replay_order, sorts_nothing_at_all)
{
    replay_order_sort(&order);
    cr_assert(eq(sz, order.count, 0));
}
