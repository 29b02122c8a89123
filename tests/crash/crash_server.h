/*
 * Crash server: the real server on the real kernel, with a recorder at its disk.
 *
 * Shards on their own threads with the io_uring backend, a directory on a real disk
 * that stands for the root of the crash disk, a listener on 127.0.0.1. The caller's
 * thread does what the boot thread of `weir serve` does.
 */
#pragma once

#include <netinet/in.h>

#include "tests/crash/crash_ledger.h"

enum crash_server_result {
    CRASH_SERVER_OK,
    CRASH_SERVER_UNAVAILABLE, /* no io_uring or no O_DIRECT here: a reason to skip */
    CRASH_SERVER_FAILED,
};

/* What differs between rounds. */
struct crash_server_config {
    const char *root; /* of the crash disk, on a real one */
    struct crash_ledger *ledger;
    uint64_t retain_bytes;
    uint32_t writes_in_flight;
    uint32_t shard_count;
};

/* Starts and records into ledger->log. Borrows config. On failure text (1 KiB) says why. */
MUST_USE enum crash_server_result crash_server_start(const struct crash_server_config *config,
                                                     char *text);

/* Where it listens. */
struct sockaddr_in crash_server_address(void);

/* SIGTERM's way: drains and ends; true when all went well. */
MUST_USE bool crash_server_stop(void);
