/*
 * Replay schedule: when each event of a recording is due, from the times at which
 * they occurred.
 *
 * A gap is what lies between an event and the latest one before it: events out of
 * order wait for nothing and do not make later gaps longer. A gap above gap_max_ms
 * is cut to it, then all gaps are divided by the speed. Pure: knows no clock.
 */
#pragma once

#include "runtime/base.h"

static const double REPLAY_SPEED_MAX = 1e6;

/* Public and read-only. */
struct replay_schedule {
    double speed; /* 0: as fast as possible */
    uint64_t gap_max_ms;
    bool has_events;
    int64_t first_ms; /* the earliest time at which an event occurred */
    int64_t last_ms;  /* the latest */
    double due_ns;    /* of the last event, since the start */
};

/* Reads a speed: "max", which gives 0, or a decimal number above 0 up to REPLAY_SPEED_MAX. */
MUST_USE bool replay_speed_parse(const char *text, double *ret_speed);

/* Begins. speed as replay_speed_parse() gives it. */
void replay_schedule_init(struct replay_schedule *schedule, double speed, uint64_t gap_max_ms);

/* When the next event, which occurred at unix_ms, is due: nanoseconds since the start. */
uint64_t replay_schedule_next(struct replay_schedule *schedule, int64_t unix_ms);

/*
 * What to add to all times so that the last event, seen by a schedule that went over
 * the whole recording, occurs when it is sent, for a start at start_ms. No event
 * occurs after it is sent.
 */
int64_t replay_schedule_shift_ms(const struct replay_schedule *whole, int64_t start_ms);
