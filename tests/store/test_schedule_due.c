#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/schedule_due.h"

static const uint64_t DAY_MS = 86400000;
static const uint64_t MIDNIGHT_MS = 1735689600000; /* 2025-01-01T00:00:00Z */

static struct schedule_image_header header;
static struct time_zone zone;
static struct cron cron;
static struct schedule_due due;

static void begin(const char *text, enum schedule_missed missed)
{
    struct cron_error error;

    time_zone_utc(&zone);
    cr_assert(eq(int, cron_parse(slice_of(text), &cron, &error), CRON_OK));
    memset(&header, 0, sizeof(header));
    header.settled_ms = MIDNIGHT_MS;
    header.missed = (uint8_t)missed;
}

static void ask(uint64_t now_ms)
{
    schedule_due_at(&header, &cron, &zone, now_ms, &due);
}

/* Does what is due, as the owner would. */
static void settle(void)
{
    cr_assert(due.is_due);
    header.settled_ms = due.settled_ms;
    header.catch_up_left = due.catch_up_left;
}

Test(schedule_due, says_when_it_is_due_next)
{
    begin("30 2 * * *", SCHEDULE_FIRE_ONCE);
    cr_assert(eq(u64, schedule_next_ms(&cron, &zone, MIDNIGHT_MS), MIDNIGHT_MS + 9000000));
    cr_assert(eq(u64, schedule_next_ms(&cron, &zone, MIDNIGHT_MS + 9000000),
                 MIDNIGHT_MS + 9000000 + DAY_MS));
}

Test(schedule_due, is_never_due_on_a_day_that_does_not_exist)
{
    begin("0 0 30 2 *", SCHEDULE_FIRE_ONCE);
    cr_assert(eq(u64, schedule_next_ms(&cron, &zone, MIDNIGHT_MS), SCHEDULE_NEVER_MS));
    ask(MIDNIGHT_MS + 365 * DAY_MS);
    cr_assert(not(due.is_due));
}

Test(schedule_due, does_nothing_before_its_time)
{
    begin("0 * * * *", SCHEDULE_FIRE_ONCE);
    ask(MIDNIGHT_MS + 3599999);
    cr_assert(not(due.is_due));
    ask(MIDNIGHT_MS + 3600000);
    cr_assert(due.is_due);
    cr_assert(due.fires);
    cr_assert(eq(u64, due.settled_ms, MIDNIGHT_MS + 3600000));
    cr_assert(eq(u32, due.missed_count, 0));
}

Test(schedule_due, runs_no_instant_twice_when_the_clock_goes_back)
{
    begin("0 * * * *", SCHEDULE_FIRE_ALL);
    ask(MIDNIGHT_MS + 3600000);
    settle();
    ask(MIDNIGHT_MS);
    cr_assert(not(due.is_due));
    ask(MIDNIGHT_MS + 3600000);
    cr_assert(not(due.is_due));
    ask(MIDNIGHT_MS + 7200000);
    cr_assert(due.fires);
}

Test(schedule_due, runs_once_for_all_that_were_missed)
{
    begin("0 * * * *", SCHEDULE_FIRE_ONCE);
    ask(MIDNIGHT_MS + 10 * 3600000 + 1800000);
    cr_assert(due.fires);
    cr_assert(eq(u64, due.settled_ms, MIDNIGHT_MS + 10 * 3600000));
    cr_assert(eq(u32, due.missed_count, 9));
    settle();
    ask(MIDNIGHT_MS + 10 * 3600000 + 1800000);
    cr_assert(not(due.is_due));
}

Test(schedule_due, runs_each_that_was_missed_in_order)
{
    begin("0 * * * *", SCHEDULE_FIRE_ALL);
    for (uint64_t i = 1; i <= 10; i++) {
        ask(MIDNIGHT_MS + 10 * 3600000 + 1800000);
        cr_assert(due.fires);
        cr_assert(eq(u64, due.settled_ms, MIDNIGHT_MS + i * 3600000));
        cr_assert(eq(u32, due.missed_count, 0));
        settle();
    }
    cr_assert(eq(u16, header.catch_up_left, 0));
    ask(MIDNIGHT_MS + 10 * 3600000 + 1800000);
    cr_assert(not(due.is_due));
}

Test(schedule_due, bounds_a_backlog_and_ends_it_with_the_latest)
{
    uint64_t now_ms = MIDNIGHT_MS + DAY_MS + 500;
    uint32_t count = 0, missed = 0;

    begin("* * * * * *", SCHEDULE_FIRE_ALL);
    for (ask(now_ms); due.is_due; ask(now_ms)) {
        count += due.fires;
        missed += due.missed_count;
        settle();
    }
    cr_assert(eq(u32, count, CRON_MISSED_COUNT_MAX));
    cr_assert(eq(u32, missed, CRON_MISSED_COUNT_MAX - 1)); /* counted up to a bound too */
    cr_assert(eq(u64, header.settled_ms, MIDNIGHT_MS + DAY_MS));
    cr_assert(eq(u16, header.catch_up_left, 0));
}

Test(schedule_due, skips_what_was_missed_but_not_what_is_a_little_late)
{
    begin("0 * * * *", SCHEDULE_SKIP);
    ask(MIDNIGHT_MS + 2 * 3600000 + SCHEDULE_GRACE_MS + 1);
    cr_assert(due.is_due);
    cr_assert(not(due.fires));
    cr_assert(eq(u32, due.missed_count, 2));
    cr_assert(eq(u64, due.settled_ms, MIDNIGHT_MS + 2 * 3600000));
    ask(MIDNIGHT_MS + 2 * 3600000 + SCHEDULE_GRACE_MS);
    cr_assert(due.fires);
    cr_assert(eq(u32, due.missed_count, 1));
}

Test(schedule_due, finds_the_latest_of_many_as_a_walk_would)
{
    static const char *const texts[] = {"*/7 * * * *", "0 0 1 * *", "15,45 9-17 * * MON-FRI",
                                        "5 4 3 * * *", "* * * 12 *"};

    for (uint32_t i = 0; i < ARRAY_COUNT(texts); i++) {
        for (uint64_t hours = 1; hours < 3000; hours += 113) {
            uint64_t now_ms = MIDNIGHT_MS + hours * 3600000 + 1234;
            uint64_t latest = SCHEDULE_NEVER_MS, next;

            begin(texts[i], SCHEDULE_FIRE_ONCE);
            for (next = schedule_next_ms(&cron, &zone, MIDNIGHT_MS); next <= now_ms;
                 next = schedule_next_ms(&cron, &zone, next))
                latest = next;
            ask(now_ms);
            cr_assert(eq(int, due.is_due, latest != SCHEDULE_NEVER_MS));
            if (due.is_due)
                cr_assert(eq(u64, due.settled_ms, latest), "%s", texts[i]);
        }
    }
}
