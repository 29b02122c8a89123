/*
 * Schedule due: what a cron schedule has to do now.
 *
 * Pure: the schedule, its zone and the wall clock go in, what to write comes out. An
 * instant is settled once: after a fact with settled_ms is durable nothing at or before
 * it runs again, whatever the wall clock does. A clock that goes back therefore makes a
 * schedule wait until it is past what has run; one that jumps ahead, or a server that
 * was down, leaves runs that were missed, and the schedule's policy says what of them:
 *
 *     fire_once   one run, for the latest of them
 *     fire_all    each, oldest first; of a longer backlog CRON_MISSED_COUNT_MAX, the
 *                 latest among them
 *     skip        none; but the latest when it is no more than SCHEDULE_GRACE_MS late
 *
 * A single run that is due is the latest of one, so this is also how things go when
 * nothing was missed.
 */
#pragma once

#include "store/schedule_record.h"

enum {
    SCHEDULE_GRACE_MS = 60000, /* more than it takes to notice that a clock has jumped */
};

#define SCHEDULE_NEVER_MS UINT64_MAX

/* What to do, and what the schedule's image is to say with it. */
struct schedule_due {
    bool is_due;         /* something is to be written: settled_ms and the rest are set */
    bool fires;          /* a job is to be enqueued */
    uint64_t settled_ms; /* if it fires, the due time of that run */
    uint32_t missed_count;
    uint16_t catch_up_left;
};

/*
 * The first instant after settled_ms at which it is due, SCHEDULE_NEVER_MS when there is
 * none. Paused or not is the caller's business.
 */
uint64_t schedule_next_ms(const struct cron *cron, const struct time_zone *zone,
                          uint64_t settled_ms);

/* What is to be done at now_ms. A few dozen searches at most, however long ago it last ran. */
void schedule_due_at(const struct schedule_image_header *header, const struct cron *cron,
                     const struct time_zone *zone, uint64_t now_ms, struct schedule_due *ret_due);
