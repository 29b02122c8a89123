/*
 * Minute ring: how many events of a series happened in each of the last minutes.
 *
 * One bucket for each minute of event time, by the minute's number since 1970, with the time
 * of the newest event in it. It is the fold of a set of events: the order in which they come
 * makes no difference, so what a restart folds again gives the same. The ring reaches back
 * MINUTE_RING_COUNT minutes from the newest one it has seen; what is older is not taken, and
 * counts as nothing when it is asked for.
 *
 * Why so many: a rule looks at 66 minutes (5 and the current one, and 60 before), and after
 * a restart, or to see whether a breach lasts, at those of an hour ago.
 */
#pragma once

#include "runtime/base.h"

enum {
    MINUTE_RING_COUNT = 128, /* a power of two */
    MINUTE_MS = 60000,
};

/* Embedded by value; zeroed is empty. Private to minute_ring.c. */
struct minute_ring {
    uint32_t head; /* the newest minute with an event; 0: none yet */
    uint32_t counts[MINUTE_RING_COUNT];
    uint16_t lasts[MINUTE_RING_COUNT]; /* ms into the minute */
};

/* The minute of an instant, which must be at 0 or later. */
static inline uint32_t minute_of(int64_t unix_ms)
{
    assert(unix_ms >= 0);
    return (uint32_t)(unix_ms / MINUTE_MS);
}

/* Counts one event. False when it is older than the ring reaches. */
MUST_USE bool minute_ring_add(struct minute_ring *ring, int64_t unix_ms);

/* Events in one minute. */
static inline uint32_t minute_ring_count(const struct minute_ring *ring, uint32_t minute)
{
    if (minute > ring->head || ring->head - minute >= MINUTE_RING_COUNT)
        return 0;
    return ring->counts[minute % MINUTE_RING_COUNT];
}

/* Events in the minutes from first to last, both included. */
MUST_USE uint64_t minute_ring_sum(const struct minute_ring *ring, int64_t first, int64_t last);

/* When the newest event of a minute that has one happened. */
int64_t minute_ring_last_ms(const struct minute_ring *ring, uint32_t minute);
