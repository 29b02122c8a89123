#include "runtime/clock.h"

#include <errno.h>
#include <time.h>

static void read_system(const struct clock_source *source, uint64_t *ret_mono_ns,
                        uint64_t *ret_unix_ms)
{
    struct timespec mono;
    struct timespec wall;
    int r;

    (void)source;
    r = clock_gettime(CLOCK_MONOTONIC, &mono);
    assert(r == 0);
    r = clock_gettime(CLOCK_REALTIME, &wall);
    assert(r == 0);
    *ret_mono_ns = (uint64_t)mono.tv_sec * 1000000000u + (uint64_t)mono.tv_nsec;
    *ret_unix_ms = (uint64_t)wall.tv_sec * 1000u + (uint64_t)wall.tv_nsec / 1000000u;
}

const struct clock_source clock_source_system = {.read = read_system};

void clock_init(struct clock *clock, const struct clock_source *source)
{
    assert(source != NULL);
    assert(source->read != NULL);
    clock->source = source;
    source->read(source, &clock->mono_ns, &clock->unix_ms);
}

uint64_t clock_cpu_ns(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    assert(pid > 0);
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

void clock_update(struct clock *clock)
{
    uint64_t mono_ns;
    uint64_t unix_ms;

    assert(clock->source != NULL);
    clock->source->read(clock->source, &mono_ns, &unix_ms);
    assert(mono_ns >= clock->mono_ns);
    clock->mono_ns = mono_ns;
    clock->unix_ms = unix_ms;
}

void clock_sleep_ms(uint64_t delay_ms)
{
    struct timespec left = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_nsec = (long)(delay_ms % 1000 * 1000000)};

    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}
