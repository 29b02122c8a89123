/*
 * Io recorder: listens in on a backend of io.h and notes in a write log what goes to
 * the disk.
 *
 * The backend stays the server's struct io; only its table of calls is replaced by one
 * that looks at each operation first. Each shard of a process has a backend of its own.
 */
#pragma once

#include "runtime/io.h"
#include "tests/crash/write_log.h"

enum { IO_RECORDER_COUNT_MAX = 4 }; /* backends at the same time */

/*
 * Replaces io's table until io_free(). Borrows log. on_send is told of every piece of
 * data just before it goes out to a client; what it notes in the log comes before all
 * that the client can do about it.
 */
void io_recorder_attach(struct io *io, struct write_log *log,
                        void (*on_send)(const char *data, uint32_t size));
