/*
 * Io_uring: the production backend of io.h, one ring per shard.
 *
 * Needs Linux 6.1 (SINGLE_ISSUER, DEFER_TASKRUN, multishot accept and receive,
 * provided buffer rings) and builds against liburing 2.3. The ring is made
 * disabled by the boot thread and belongs to the thread that calls io_enable();
 * from then on any call from another thread, but io_wake(), asserts. Operations
 * may be armed before io_enable(); they start with it.
 *
 * For a while after bytes were received a wait may end early, once, with nothing to
 * reap: see io_uring_watch.h.
 *
 * IO_POLL reports changes: whoever polls must use the descriptor until it would
 * block before waiting for the next report.
 */
#pragma once

#include "runtime/io.h"
#include "runtime/io_uring_setup.h"

/*
 * Makes a backend. 0 or -errno; -ENOMEM means the locked memory limit, and is
 * repeated for up to half a second first because the kernel gives back the
 * memory of an ended ring late. Start-up only; end with io_free().
 */
MUST_USE int io_uring_new(const struct io_uring_config *config, struct io **ret_io);
