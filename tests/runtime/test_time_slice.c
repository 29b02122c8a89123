#include "runtime/time_slice.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

Test(time_slice, is_what_was_asked_for_where_the_kernel_has_slices)
{
    uint64_t slice_ns = 1;

    cr_assert(eq(int, time_slice_set(100000), 0));
    cr_assert(eq(int, time_slice_get(&slice_ns), 0));
    if (slice_ns == 0)
        cr_skip("a kernel before 6.12");
    cr_assert(eq(u64, slice_ns, 100000));
}

Test(time_slice, leaves_the_rest_as_it_is)
{
    cr_assert(eq(int, setpriority(PRIO_PROCESS, 0, 7), 0));
    cr_assert(eq(int, time_slice_set(200000), 0));
    errno = 0;
    cr_assert(eq(int, getpriority(PRIO_PROCESS, 0), 7));
    cr_assert(eq(int, errno, 0));
    cr_assert(eq(int, sched_getscheduler(0), SCHED_OTHER));
}

Test(time_slice, is_not_for_other_classes)
{
    struct sched_param none = {0};

    cr_assert(eq(int, sched_setscheduler(0, SCHED_IDLE, &none), 0));
    cr_assert(eq(int, time_slice_set(100000), -EOPNOTSUPP));
    cr_assert(eq(int, sched_getscheduler(0), SCHED_IDLE));
}

static void *raise_flag(void *flag)
{
    __atomic_store_n((bool *)flag, true, __ATOMIC_RELEASE);
    return NULL;
}

/* In this class only one thread of a processor ever runs, until it gives way. */
Test(time_slice, ends_for_others_that_wait)
{
    struct sched_param priority = {.sched_priority = 1};
    bool flag = false;
    cpu_set_t cpus;
    pthread_t other;

    CPU_ZERO(&cpus);
    CPU_SET(sched_getcpu(), &cpus);
    cr_assert(eq(int, sched_setaffinity(0, sizeof(cpus), &cpus), 0));
    if (sched_setscheduler(0, SCHED_FIFO, &priority) < 0)
        cr_skip("no right to a real-time class");
    cr_assert(eq(int, pthread_create(&other, NULL, raise_flag, &flag), 0));
    time_slice_end();
    cr_expect(__atomic_load_n(&flag, __ATOMIC_ACQUIRE));
    cr_assert(eq(int, pthread_join(other, NULL), 0));
}

Test(time_slice, has_a_length, .signal = SIGABRT)
{
    int r = time_slice_set(0);

    cr_expect(eq(int, r, 0));
}
