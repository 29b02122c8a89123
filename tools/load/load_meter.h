/*
 * Load meter: how much of its core the generator used while it had something to send.
 *
 * It is read when the warm-up is over and when the schedule is. What follows, waiting for
 * the last answers and for time-outs, is idle time: counted in, it would make a generator
 * that was the limit look as if it had had time to spare. Pure.
 */
#pragma once

#include "tools/load/load_tally.h"

/* Readings since the beginning of the run, but for cpu_ns: since whenever it likes. */
struct load_reading {
    uint64_t now_ns;
    uint64_t cpu_ns;  /* of the generator's thread */
    uint64_t spun_ns; /* of it, waiting with open eyes */
};

/* Private to load_meter.c; embedded by value. */
struct load_meter {
    uint64_t begin_ns;
    uint64_t end_ns;
    struct load_reading first, last;
    uint32_t reading_count;
};

/* For a run that measures from begin_ns to end_ns, or to its end when that is UINT64_MAX. */
void load_meter_init(struct load_meter *meter, uint64_t begin_ns, uint64_t end_ns);

/* True when load_meter_read() is wanted. */
MUST_USE bool load_meter_is_due(const struct load_meter *meter, uint64_t now_ns);

/* Takes a reading; ignores it when none is due. */
void load_meter_read(struct load_meter *meter, const struct load_reading *reading);

/* The run is over: takes a last reading if need be, and adds what was used to the tally. */
void load_meter_settle(struct load_meter *meter, const struct load_reading *reading,
                       struct load_tally *tally);
