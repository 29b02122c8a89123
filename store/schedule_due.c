#include "store/schedule_due.h"

/*
 * The latest instant that is due is found by halving: of two times before it the later
 * one still has it ahead, and no time at or behind it does. So a schedule of every
 * second that was down for a year costs some 25 searches, not 30 million.
 */

static int64_t seconds_of(uint64_t ms)
{
    return (int64_t)(ms / 1000);
}

uint64_t schedule_next_ms(const struct cron *cron, const struct time_zone *zone,
                          uint64_t settled_ms)
{
    int64_t next_s;

    if (cron_next(cron, zone, seconds_of(settled_ms), &next_s) != CRON_OK)
        return SCHEDULE_NEVER_MS;
    assert(next_s > seconds_of(settled_ms));
    return (uint64_t)next_s * 1000;
}

/* The latest due time that is not after now_s. first_s is one. */
static int64_t latest_s(const struct cron *cron, const struct time_zone *zone, int64_t first_s,
                        int64_t now_s)
{
    int64_t low = first_s;
    int64_t high = now_s; /* nothing is due after it and not after now */

    assert(first_s <= now_s);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int64_t next_s;

        if (cron_next(cron, zone, middle, &next_s) == CRON_OK && next_s <= now_s)
            low = next_s;
        else
            high = middle;
    }
    return low;
}

/* One of a backlog. The last that may run is the latest of all, so that the backlog ends. */
static void catch_up(const struct schedule_image_header *header, uint64_t first_ms,
                     uint64_t latest_ms, uint32_t count, struct schedule_due *due)
{
    uint16_t left = header->catch_up_left > 0 ? header->catch_up_left : CRON_MISSED_COUNT_MAX;

    due->fires = true;
    due->settled_ms = first_ms;
    due->missed_count = 0;
    due->catch_up_left = 0;
    if (count == 1)
        return;
    due->catch_up_left = (uint16_t)(left - 1);
    if (left > 1)
        return;
    due->settled_ms = latest_ms;
    due->missed_count = count - 1;
}

void schedule_due_at(const struct schedule_image_header *header, const struct cron *cron,
                     const struct time_zone *zone, uint64_t now_ms, struct schedule_due *ret_due)
{
    uint64_t first_ms = schedule_next_ms(cron, zone, header->settled_ms);
    /* In a backlog only its end counts what it leaves out; until then: one, or more? */
    bool is_backlog = header->missed == SCHEDULE_FIRE_ALL && header->catch_up_left != 1;
    uint64_t latest_ms;
    uint32_t count;

    memset(ret_due, 0, sizeof(*ret_due));
    if (first_ms > now_ms)
        return;
    latest_ms = (uint64_t)latest_s(cron, zone, seconds_of(first_ms), seconds_of(now_ms)) * 1000;
    count = cron_count_missed(cron, zone, seconds_of(header->settled_ms), seconds_of(now_ms),
                              is_backlog ? 2 : CRON_MISSED_COUNT_MAX);
    assert(count > 0);
    ret_due->is_due = true;
    ret_due->settled_ms = latest_ms;
    ret_due->missed_count = count - 1;
    switch ((enum schedule_missed)header->missed) {
    case SCHEDULE_FIRE_ONCE:
        ret_due->fires = true;
        return;
    case SCHEDULE_FIRE_ALL:
        catch_up(header, first_ms, latest_ms, count, ret_due);
        return;
    case SCHEDULE_SKIP:
        ret_due->fires = now_ms - latest_ms <= SCHEDULE_GRACE_MS;
        ret_due->missed_count = ret_due->fires ? count - 1 : count;
        return;
    case SCHEDULE_MISSED_COUNT:
        break;
    }
    assert(false && "an enum schedule_missed");
}
