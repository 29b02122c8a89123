#include "tools/replay_schedule.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const uint64_t MS = 1000000;

static struct replay_schedule schedule;

Test(replay_schedule, keeps_the_gaps_at_speed_one)
{
    replay_schedule_init(&schedule, 1, 60000);
    cr_assert(eq(u64, replay_schedule_next(&schedule, 5000), 0));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 5250), 250 * MS));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 5250), 250 * MS));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 6000), 1000 * MS));
}

Test(replay_schedule, divides_the_gaps_by_the_speed)
{
    replay_schedule_init(&schedule, 4, 60000);
    cr_assert(eq(u64, replay_schedule_next(&schedule, 0), 0));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 1000), 250 * MS));
    replay_schedule_init(&schedule, 0.5, 60000);
    cr_assert(eq(u64, replay_schedule_next(&schedule, 0), 0));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 1000), 2000 * MS));
}

Test(replay_schedule, leaves_no_gap_at_full_speed)
{
    replay_schedule_init(&schedule, 0, 60000);
    cr_assert(eq(u64, replay_schedule_next(&schedule, 0), 0));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 86400000), 0));
}

Test(replay_schedule, cuts_long_gaps_before_the_speed)
{
    replay_schedule_init(&schedule, 2, 1000);
    cr_assert(eq(u64, replay_schedule_next(&schedule, 0), 0));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 1000), 500 * MS));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 86400000), 1000 * MS));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 86400010), 1005 * MS));
}

Test(replay_schedule, does_not_wait_for_events_out_of_order_nor_count_them_twice)
{
    replay_schedule_init(&schedule, 1, 60000);
    cr_assert(eq(u64, replay_schedule_next(&schedule, 1000), 0));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 2000), 1000 * MS));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 500), 1000 * MS));
    cr_assert(eq(u64, replay_schedule_next(&schedule, 2100), 1100 * MS));
}

Test(replay_schedule, survives_the_farthest_times)
{
    replay_schedule_init(&schedule, 0.000001, UINT64_MAX);
    cr_assert(eq(u64, replay_schedule_next(&schedule, INT64_MIN), 0));
    cr_assert(eq(u64, replay_schedule_next(&schedule, INT64_MAX), (uint64_t)9e18));
    replay_schedule_init(&schedule, 1, UINT64_MAX);
    cr_assert(eq(u64, replay_schedule_next(&schedule, -62167219200000), 0));
    cr_assert(lt(u64, replay_schedule_next(&schedule, 253402300799999), (uint64_t)9e18 + 1));
}

Test(replay_schedule, shifts_so_that_the_last_event_occurs_when_it_is_sent)
{
    replay_schedule_init(&schedule, 2, 60000);
    (void)replay_schedule_next(&schedule, 1000);
    (void)replay_schedule_next(&schedule, 5000);
    /* Sent 2000 ms after the start at 100000. */
    cr_assert(eq(i64, 5000 + replay_schedule_shift_ms(&schedule, 100000), 102000));
    replay_schedule_init(&schedule, 0, 60000);
    (void)replay_schedule_next(&schedule, 1000);
    (void)replay_schedule_next(&schedule, 5000);
    cr_assert(eq(i64, 5000 + replay_schedule_shift_ms(&schedule, 100000), 100000));
}

Test(replay_schedule, never_shifts_an_event_behind_its_sending)
{
    static const double SPEEDS[] = {0.25, 0.5, 1, 3, 1000};
    static const int64_t TIMES[] = {0, 10, 500, 400, 90000, 90001};

    for (size_t s = 0; s < ARRAY_COUNT(SPEEDS); s++) {
        struct replay_schedule whole;
        int64_t shift_ms;

        replay_schedule_init(&whole, SPEEDS[s], 60000);
        for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++)
            (void)replay_schedule_next(&whole, TIMES[i]);
        shift_ms = replay_schedule_shift_ms(&whole, 0);
        replay_schedule_init(&schedule, SPEEDS[s], 60000);
        for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
            uint64_t due_ns = replay_schedule_next(&schedule, TIMES[i]);

            /* One millisecond of rounding. */
            cr_assert(le(i64, TIMES[i] + shift_ms, (int64_t)(due_ns / MS) + 1));
        }
    }
}

Test(replay_schedule, shifts_nothing_when_no_event_has_a_time)
{
    replay_schedule_init(&schedule, 1, 60000);
    cr_assert(eq(i64, replay_schedule_shift_ms(&schedule, 100000), 0));
}

Test(replay_schedule, reads_speeds_and_nothing_else)
{
    static const char *const BAD[] = {"",      "0", "-1",  "1e3",     "0x10", "inf", "nan",
                                      "1.2.3", ".", "10x", "2000000", "fast", " 1"};
    double speed = -1;

    cr_assert(replay_speed_parse("max", &speed) && speed <= 0);
    cr_assert(replay_speed_parse("1", &speed) && speed >= 1 && speed <= 1);
    cr_assert(replay_speed_parse("0.5", &speed) && speed >= 0.5 && speed <= 0.5);
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        cr_assert(not(replay_speed_parse(BAD[i], &speed)), "%s", BAD[i]);
}
