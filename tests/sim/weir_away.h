/*
 * Weir away: a server of somebody else's, which the server under test sends requests to.
 *
 * It has a machine of its own, at a public address of the simulated network. What it answers
 * is its peer's on_request, which is a test's; each begins with weir_away_note().
 */
#pragma once

#include "tests/sim/weir_fixture.h"
#include "tools/sim/peer.h"

#define WEIR_AWAY_HOST "93.184.216.34"

enum { WEIR_AWAY_TIME_COUNT = 64 };

/* Tests have one, static; fields may be read. */
struct weir_away {
    struct weir *weir;
    struct sim_host *host;
    struct io *io;
    struct peer *peer;
    uint64_t request_ns[WEIR_AWAY_TIME_COUNT]; /* when they came, by their number from 0 */
    char last_request[1 << 18];                /* terminated; its end may be missing */
};

/* After weir_begin(): a machine with this server on port 80. */
void weir_away_begin(struct weir_away *away, struct weir *weir,
                     void (*on_request)(struct peer_connection *connection, struct slice head,
                                        struct slice body));

/* Ends the process under test, if it runs, then this machine. Before weir_end(). */
void weir_away_end(struct weir_away *away);

/* Remembers the request that has just come. */
void weir_away_note(struct weir_away *away, struct slice head, struct slice body);

/* Drives the world until so many requests have come in all. */
void weir_away_run_until(struct weir_away *away, uint32_t request_count);
