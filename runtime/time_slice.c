#include "runtime/time_slice.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Since 6.12 the scheduler of Linux (EEVDF) lets a thread say how long its slices are to be.
 * The share of the processor that a thread gets stays the same. What changes is who waits:
 * a thread that wakes up and has shorter slices than the one that runs takes the processor
 * at once, else only when the slice of the one that runs is over, which is 1.4 ms with two
 * processors and more with more. And whoever waits for a thread with short slices, as a
 * worker of the kernel does that has a write of ours to finish, waits no longer than those.
 *
 * The C library has no such call yet, so the structure is spelled out, in its first version.
 */
struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice_ns;
    uint64_t deadline_ns; /* this and the next: of SCHED_DEADLINE */
    uint64_t period_ns;
};

static_assert(sizeof(struct scheduling) == 48, "SCHED_ATTR_SIZE_VER0");

MUST_USE static int load(struct scheduling *ret_scheduling)
{
    struct scheduling scheduling = {.size = sizeof(scheduling)};

    if (syscall(SYS_sched_getattr, 0, &scheduling, sizeof(scheduling), 0) < 0)
        return -errno;
    *ret_scheduling = scheduling;
    return 0;
}

int time_slice_set(uint64_t slice_ns)
{
    struct scheduling scheduling = {0};
    int r = load(&scheduling);

    assert(slice_ns > 0);
    if (r < 0)
        return r;
    /* Other classes have no slices, or others: whoever chose one knew why. */
    if (scheduling.policy != SCHED_OTHER && scheduling.policy != SCHED_BATCH)
        return -EOPNOTSUPP;
    scheduling.slice_ns = slice_ns;
    return syscall(SYS_sched_setattr, 0, &scheduling, 0) < 0 ? -errno : 0;
}

int time_slice_get(uint64_t *ret_slice_ns)
{
    struct scheduling scheduling = {0};
    int r = load(&scheduling);

    if (r == 0)
        *ret_slice_ns = scheduling.slice_ns;
    return r;
}

void time_slice_end(void)
{
    int r = sched_yield();

    assert(r == 0);
}
