/*
 * Tally: what became of every job that the load program made.
 *
 * Each job carries its number and the moment it was handed over. A job that is
 * started or completed twice, or was never made, ends the process: a run that loses
 * or repeats work has no result. Latencies are kept one by one, so percentiles are exact.
 */
#pragma once

#include "runtime/base.h"

enum {
    TALLY_JOB_COUNT_MAX = 16 * 1000 * 1000, /* of one run; ends it with a message */
    TALLY_PAYLOAD_SIZE = 256,
};

struct tally;

/* From enqueue to start, and of the schedule: nearest-rank percentiles in microseconds. */
struct tally_latency {
    uint64_t count;
    double p50_us;
    double p99_us;
    double max_us;
};

/* Never fails: ends the process when there is no memory. Free with tally_free(). */
struct tally *tally_new(void);

/* Takes *tally and nulls it. */
void tally_free(struct tally **tally);

/*
 * Makes a job that was due at due_ns and is handed over at now_ns; writes its payload,
 * TALLY_PAYLOAD_SIZE bytes of JSON without a terminator.
 */
void tally_make(struct tally *tally, uint64_t due_ns, uint64_t now_ns, char *ret_payload);

/* Counts count more jobs as acknowledged. */
void tally_acknowledge(struct tally *tally, uint64_t count);

/* Reads the payload of a leased job as it came back, counts it as started, gives its number. */
uint64_t tally_start(struct tally *tally, struct slice payload, uint64_t now_ns);

/* Counts a started job as completed. */
void tally_complete(struct tally *tally, uint64_t number);

/* From now on, or no longer, latencies are kept. */
void tally_set_recording(struct tally *tally, bool is_recording);

/* Jobs handed over, acknowledged and completed so far. */
uint64_t tally_made(const struct tally *tally);
uint64_t tally_acknowledged(const struct tally *tally);
uint64_t tally_completed(const struct tally *tally);

/* The recorded latencies from enqueue to start. Sorts them: only when recording is over. */
struct tally_latency tally_start_latency(struct tally *tally);

/* The recorded delays of the schedule itself, hand-over minus due time. Likewise. */
struct tally_latency tally_schedule_delay(struct tally *tally);
