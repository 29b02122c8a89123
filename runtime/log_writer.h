/*
 * Log writer: carries a shard's log lines to descriptor 2 without blocking it.
 *
 * One write is in flight at a time, from a buffer of its own, so the log can go
 * on filling. With a hook the lines go there instead; in a simulated run without
 * a hook they are discarded. Owned by the shard's thread.
 */
#pragma once

#include "runtime/io.h"
#include "runtime/log.h"
#include "runtime/timer_wheel.h"

struct shard;

enum { LOG_WRITER_RETRY_MS = 100 }; /* after a full pipe that does not block */

/* Private to log_writer.c; embedded by value. */
struct log_writer {
    struct shard *shard;
    struct io_op op;
    struct timer timer; /* armed instead of op while a full pipe is waited for */
    uint32_t size;
    uint32_t done;
    char buffer[LOG_BUFFER_SIZE];
};

/* An idle writer of this shard's log. Borrows shard. */
void log_writer_init(struct log_writer *writer, struct shard *shard);

/* Takes what the log holds and starts to write it, unless a write is in flight or waits. */
void log_writer_hand_over(struct log_writer *writer);

/* Asks a write in flight to end, and one that waits to wait no more; true when none is in flight.
 */
bool log_writer_cancel(struct log_writer *writer);

/*
 * At the end, after log_writer_cancel(): writes at once, blocking, what a cancelled or
 * failed write has left, then what the log still holds.
 */
void log_writer_finish(struct log_writer *writer);
