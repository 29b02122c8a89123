#include "store/minute_ring.h"

#include <string.h>

/*
 * A minute's bucket is at its number modulo the size. All buckets of the MINUTE_RING_COUNT
 * minutes up to head are valid; head moves forward only, clearing what it passes.
 */

static_assert((MINUTE_RING_COUNT & (MINUTE_RING_COUNT - 1)) == 0, "indexed by a mask");
static_assert(MINUTE_MS <= UINT16_MAX, "ms of a minute");

static void move_head(struct minute_ring *ring, uint32_t minute)
{
    if (minute - ring->head >= MINUTE_RING_COUNT) {
        memset(ring->counts, 0, sizeof(ring->counts));
        memset(ring->lasts, 0, sizeof(ring->lasts));
    } else {
        for (uint32_t at = ring->head + 1; at <= minute; at++) {
            ring->counts[at % MINUTE_RING_COUNT] = 0;
            ring->lasts[at % MINUTE_RING_COUNT] = 0;
        }
    }
    ring->head = minute;
}

bool minute_ring_add(struct minute_ring *ring, int64_t unix_ms)
{
    uint32_t minute = minute_of(unix_ms), slot = minute % MINUTE_RING_COUNT;
    uint16_t into = (uint16_t)(unix_ms % MINUTE_MS);

    if (minute > ring->head)
        move_head(ring, minute);
    else if (ring->head - minute >= MINUTE_RING_COUNT)
        return false;
    if (ring->counts[slot] < UINT32_MAX)
        ring->counts[slot]++;
    if (into > ring->lasts[slot])
        ring->lasts[slot] = into;
    return true;
}

uint64_t minute_ring_sum(const struct minute_ring *ring, int64_t first, int64_t last)
{
    int64_t head = (int64_t)ring->head, oldest = head - (MINUTE_RING_COUNT - 1);
    uint64_t sum = 0;

    if (first < oldest)
        first = oldest;
    if (last > head)
        last = head;
    for (int64_t minute = first; minute <= last; minute++)
        sum += ring->counts[(uint64_t)minute % MINUTE_RING_COUNT];
    return sum;
}

int64_t minute_ring_last_ms(const struct minute_ring *ring, uint32_t minute)
{
    assert(minute_ring_count(ring, minute) > 0);
    return (int64_t)minute * MINUTE_MS + ring->lasts[minute % MINUTE_RING_COUNT];
}
