/*
 * Crash load: clients that send events to a recorded server and wait for each answer.
 *
 * Each client is a thread with one connection: single events, batches, large and small
 * ones, with an id of the client's choice or of the server's, decided by a seed. Every
 * request must be answered with 202. Time-limited: a silent server is a failure.
 */
#pragma once

#include <netinet/in.h>

#include "tests/crash/crash_ledger.h"

/* What to send. */
struct crash_load {
    struct crash_ledger *ledger;
    struct sockaddr_in address;
    uint64_t seed;
    uint32_t client_count;
    uint32_t request_count; /* of each client */
};

/* Sends all of it and waits for the end; true when every request was answered with 202. */
MUST_USE bool crash_load_run(const struct crash_load *load);
