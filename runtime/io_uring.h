/*
 * Io_uring: the production backend of io.h, one ring per shard.
 *
 * Needs Linux 6.1 (SINGLE_ISSUER, DEFER_TASKRUN, multishot accept and receive,
 * provided buffer rings) and builds against liburing 2.3. The ring is made
 * disabled by the boot thread and belongs to the thread that calls io_enable();
 * from then on any call from another thread, but io_wake(), asserts. Operations
 * may be armed before io_enable(); they start with it.
 *
 * IO_POLL reports changes: whoever polls must use the descriptor until it would
 * block before waiting for the next report.
 */
#pragma once

#include <liburing.h>

#include "runtime/io.h"

enum {
    IO_URING_ENTRIES_DEFAULT = 1024,
    IO_URING_CQ_ENTRIES_DEFAULT = 8192,
    IO_URING_RECV_BUFFER_COUNT_DEFAULT = 1024,
    IO_URING_RECV_BUFFER_SIZE_DEFAULT = 4096,
    IO_URING_ENTRIES_MAX = 32768,
    IO_URING_CQ_ENTRIES_MAX = 65536,
};

/* Sizes of one ring; all are powers of two. 0 means the default. */
struct io_uring_config {
    uint32_t entries;           /* operations handed over by one system call */
    uint32_t cq_entries;        /* completions that may wait; at least four per entry is wise */
    uint32_t recv_buffer_count; /* shared by all connections of the shard */
    uint32_t recv_buffer_size;
};

/*
 * Makes a backend. 0 or -errno; -ENOMEM means the locked memory limit, and is
 * repeated for up to half a second first because the kernel gives back the
 * memory of an ended ring late. Start-up only; end with io_free().
 */
MUST_USE int io_uring_new(const struct io_uring_config *config, struct io **ret_io);

/* Bytes that one such ring charges to RLIMIT_MEMLOCK, for --print-limits and the probe. */
uint64_t io_uring_memlock_need(const struct io_uring_config *config);

/* RLIMIT_MEMLOCK in bytes; UINT64_MAX when unlimited or when CAP_IPC_LOCK exempts us. */
uint64_t io_uring_memlock_limit(void);

/* The set-up parameters of every ring here, for the probe to ask for the same. */
void io_uring_params_fill(const struct io_uring_config *config, struct io_uring_params *ret_params);
