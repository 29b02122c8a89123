#include <signal.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/segment_marks.h"

static struct segment_marks marks;

static void setup(void)
{
    cr_assert(zero(int, segment_marks_init(&marks)));
}

static void teardown(void)
{
    segment_marks_deinit(&marks);
}

TestSuite(segment_marks, .init = setup, .fini = teardown, .timeout = 30);

Test(segment_marks, know_nothing_at_first)
{
    cr_assert(not(segment_marks_has_oldest(&marks, 1)));
    segment_marks_drop(&marks, UINT64_MAX);
    cr_assert(not(segment_marks_has_oldest(&marks, 1)));
}

Test(segment_marks, tell_the_oldest_segment_that_is_marked)
{
    static const uint64_t SEQS[] = {3, 3, 3, 5, 9, 9};

    for (size_t i = 0; i < ARRAY_COUNT(SEQS); i++)
        segment_marks_add(&marks, SEQS[i]);
    cr_assert(not(segment_marks_has_oldest(&marks, 1)));
    cr_assert(segment_marks_has_oldest(&marks, 3));
    segment_marks_drop(&marks, 4);
    cr_assert(not(segment_marks_has_oldest(&marks, 4)));
    segment_marks_drop(&marks, 5);
    cr_assert(segment_marks_has_oldest(&marks, 5));
    segment_marks_drop(&marks, 8);
    cr_assert(not(segment_marks_has_oldest(&marks, 8)));
    segment_marks_drop(&marks, 10);
    cr_assert(not(segment_marks_has_oldest(&marks, 10)));
}

Test(segment_marks, go_round_their_ring)
{
    for (uint64_t seq = 1; seq <= 3 * SEGMENT_MARKS_MAX; seq++) {
        segment_marks_add(&marks, seq);
        segment_marks_drop(&marks, seq < 100 ? 1 : seq - 99);
    }
    cr_assert(segment_marks_has_oldest(&marks, 3 * SEGMENT_MARKS_MAX - 99));
}

Test(segment_marks, count_all_as_marked_when_there_are_too_many)
{
    for (uint64_t seq = 1; seq <= SEGMENT_MARKS_MAX + 1; seq++)
        segment_marks_add(&marks, 2 * seq);
    segment_marks_drop(&marks, UINT64_MAX);
    cr_assert(segment_marks_has_oldest(&marks, 7));
}

Test(segment_marks, never_go_back, .signal = SIGABRT)
{
    segment_marks_add(&marks, 7);
    segment_marks_add(&marks, 6);
}
