/*
 * Bell: wakes a thread that has nothing to do.
 *
 * Any thread may ring it, at any time and without waiting for anything; one thread waits for
 * it. Rings that come before the waiter looks again are one.
 */
#pragma once

#include <semaphore.h>

#include "runtime/base.h"

/* Private to bell.c; embedded by value. */
struct bell {
    sem_t semaphore;
    bool is_rung __attribute__((aligned(64))); /* and nobody has listened since; atomic */
};

/* Makes it silent. */
void bell_init(struct bell *bell);

/* Gives it back; nobody may wait for it or ring it any more. */
void bell_deinit(struct bell *bell);

/* Wakes the waiter, or makes its next wait short. Cheap when it is rung already. */
void bell_ring(struct bell *bell);

/* Waits for a ring, or until deadline_ns (monotonic; UINT64_MAX: never). What rang before, too. */
void bell_wait(struct bell *bell, uint64_t deadline_ns);
