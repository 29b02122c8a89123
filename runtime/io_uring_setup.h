/*
 * Io_uring setup: the sizes of one ring, the flags every ring has, and what it costs.
 *
 * Apart from the backend so that the probe asks the kernel for exactly what the
 * shards will ask for, and --print-limits can name the price.
 */
#pragma once

#include <liburing.h>

#include "runtime/base.h"

enum {
    IO_URING_ENTRIES_DEFAULT = 1024,
    IO_URING_CQ_ENTRIES_DEFAULT = 8192,
    IO_URING_RECV_BUFFER_COUNT_DEFAULT = 1024,
    IO_URING_RECV_BUFFER_SIZE_DEFAULT = 4096,
    IO_URING_ENTRIES_MAX = 32768,
    IO_URING_CQ_ENTRIES_MAX = 65536,
};

/* Sizes of one ring; the counts are powers of two. 0 means the default. */
struct io_uring_config {
    uint32_t entries;           /* operations handed over by one system call */
    uint32_t cq_entries;        /* completions that may wait; at least four per entry is wise */
    uint32_t recv_buffer_count; /* shared by all connections of the shard */
    uint32_t recv_buffer_size;  /* bytes */
};

/* The configuration with its defaults filled in. Aborts on sizes that no ring can have. */
struct io_uring_config io_uring_sizes(const struct io_uring_config *config);

/* Bytes that one such ring charges to RLIMIT_MEMLOCK, for --print-limits and the probe. */
uint64_t io_uring_memlock_need(const struct io_uring_config *config);

/* RLIMIT_MEMLOCK in bytes; UINT64_MAX when unlimited or when CAP_IPC_LOCK exempts us. */
uint64_t io_uring_memlock_limit(void);

/* The parameters of every ring here: one issuer, deferred completions, made disabled. */
void io_uring_params_fill(const struct io_uring_config *config, struct io_uring_params *ret_params);

/* Makes the bare ring, still disabled. 0 or -errno. */
MUST_USE int io_uring_setup_ring(const struct io_uring_config *config, struct io_uring *ret_ring);
