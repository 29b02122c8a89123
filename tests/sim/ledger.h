/*
 * Ledger: a very small durable server, to prove that the simulator finds what it
 * is there to find.
 *
 * One actor per shard listens on port 3000. A request is `POST / HTTP/1.1`,
 * `content-length: 8` and an eight-digit number; the actor appends a sector with
 * the number to its shard's file, durably, and answers 202 with the number. With
 * answer_early it answers before the write is complete, which is the mistake that
 * the crash test must catch.
 */
#pragma once

#include "runtime/disk.h"
#include "runtime/shard.h"

enum {
    LEDGER_CONNECTION_COUNT_MAX = 32,
    LEDGER_SECTOR_SIZE = 512,
    LEDGER_REQUEST_SIZE = 46,
    LEDGER_NUMBER_SIZE = 8,
};

/* Private to ledger.c. */
struct ledger_connection {
    struct io_op recv_op;
    struct io_op send_op;
    struct io_op write_op;
    struct io_op close_op;
    int fd; /* -1: free */
    bool ending;
    uint32_t input_size;
    char input[LEDGER_REQUEST_SIZE];
    char answer[96];
    char *sector;
};

/* One per shard. Private to ledger.c. */
struct ledger {
    struct actor actor;
    struct disk *disk;
    bool answer_early;
    int listener;
    int file;
    uint64_t end;
    struct io_op accept_op;
    struct ledger_connection connections[LEDGER_CONNECTION_COUNT_MAX];
    char sectors[LEDGER_CONNECTION_COUNT_MAX][LEDGER_SECTOR_SIZE]
        __attribute__((aligned(LEDGER_SECTOR_SIZE)));
};

/* Spawns ledger (zeroed memory) as the root of shard. Opens its file on disk. 0 or -errno. */
MUST_USE int ledger_spawn(struct ledger *ledger, struct shard *shard, struct disk *disk,
                          bool answer_early);

/* True when some shard's file holds number. */
bool ledger_holds(struct disk *disk, uint32_t shard_count, uint32_t number);

/* Writes the request for number, LEDGER_REQUEST_SIZE bytes. */
void ledger_format_request(uint32_t number, char ret_request[LEDGER_REQUEST_SIZE]);
