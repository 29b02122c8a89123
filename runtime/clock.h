/*
 * Clock: the only source of time.
 *
 * A shard reads its clock once per loop turn; everything that happens in that
 * turn happens at the same instant. mono_ns never goes back and is what timers
 * use; unix_ms is what goes on the wire and may jump. The source is real
 * (clock_source_system) or virtual (the simulator's).
 */
#pragma once

#include <sys/types.h>

#include "runtime/base.h"

/* Where time comes from; embedded in whatever keeps the source's own state. */
struct clock_source {
    /* Writes both readings. Callable from any thread. */
    void (*read)(const struct clock_source *source, uint64_t *ret_mono_ns, uint64_t *ret_unix_ms);
};

/* CLOCK_MONOTONIC and CLOCK_REALTIME. */
extern const struct clock_source clock_source_system;

/* Owned by one thread. The two readings are public and read-only. */
struct clock {
    const struct clock_source *source; /* borrowed */
    uint64_t mono_ns;
    uint64_t unix_ms;
};

/* Borrows source for the life of the clock and takes the first reading. */
void clock_init(struct clock *clock, const struct clock_source *source);

/* Sleeps so long. For the boot thread and tools while they wait for another process; never a shard.
 */
void clock_sleep_ms(uint64_t delay_ms);

/* CPU time that another process has used, all its threads; 0 when there is no such process. */
uint64_t clock_cpu_ns(pid_t pid);

/* Reads again. Aborts if monotonic time went back: nothing above can be right then. */
void clock_update(struct clock *clock);
