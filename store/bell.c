#include "store/bell.h"

#include <errno.h>

/*
 * A semaphore that is posted once per ring that somebody may be waiting for. The waiter takes
 * the mark back before it looks at what there is to do, so a ring during that look wakes it
 * again.
 */

void bell_init(struct bell *bell)
{
    int r = sem_init(&bell->semaphore, 0, 0);

    assert(r == 0);
    bell->is_rung = false;
}

void bell_deinit(struct bell *bell)
{
    sem_destroy(&bell->semaphore);
}

void bell_ring(struct bell *bell)
{
    /*
     * Pairs with the exchange in bell_wait(): either this one comes first, and what was done
     * before it is seen there, or it finds the mark gone and posts.
     */
    if (!__atomic_exchange_n(&bell->is_rung, true, __ATOMIC_ACQ_REL))
        sem_post(&bell->semaphore);
}

void bell_wait(struct bell *bell, uint64_t deadline_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / 1000000000),
        .tv_nsec = (long)(deadline_ns % 1000000000),
    };
    int r;

    do {
        r = deadline_ns == UINT64_MAX ? sem_wait(&bell->semaphore)
                                      : sem_clockwait(&bell->semaphore, CLOCK_MONOTONIC, &until);
    } while (r < 0 && errno == EINTR);
    /* Pairs with the exchange in bell_ring(). */
    (void)__atomic_exchange_n(&bell->is_rung, false, __ATOMIC_ACQ_REL);
}
