/*
 * Crash ledger: which events were sent and acknowledged, and when.
 *
 * An event is known by its number, which stands in its message and, when the client
 * chose the id, in the id. Times are entries of the write log, so "acknowledged before
 * the crash" is one comparison. A new round of recording begins with what the disk of
 * a crash held: those events must stay, and those that were lost must stay lost.
 */
#pragma once

#include "tests/crash/write_log.h"

enum {
    CRASH_EVENT_COUNT_MAX = 16384,
    CRASH_ID_SIZE = 36,
    CRASH_LOG_COUNT_MAX = 4,
    CRASH_SEGMENT_COUNT_MAX = CRASH_LOG_COUNT_MAX << 12,
    CRASH_PADDING_SIZE_MAX = 32768,
};

/* One event. */
struct crash_event {
    uint32_t sent;         /* entry; WRITE_LOG_NONE: in no round that counts */
    uint32_t acknowledged; /* entry; WRITE_LOG_NONE: not yet */
    uint32_t first;        /* number of the first event of its request */
    uint32_t last;         /* and of the last one: all or nothing */
    uint32_t client;
    uint32_t padding_size; /* of its message */
    uint32_t segment;      /* that recovery found it in, log and number; 0: never found */
};

/* Owned by the main thread but for the two functions that say otherwise. */
struct crash_ledger {
    struct write_log *log; /* of this round */
    struct crash_event events[CRASH_EVENT_COUNT_MAX];
    uint32_t event_count; /* numbers given out, over all rounds */
    uint32_t round_first; /* the first number of this round */
};

/* A new round, whose disk holds those earlier events for which is_there is true. Borrows log. */
void crash_ledger_begin_round(struct crash_ledger *ledger, struct write_log *log,
                              const bool *is_there);

/*
 * Notes a request of count events of one client, just before it is sent; the number
 * of the first one. Any thread.
 */
uint32_t crash_ledger_send(struct crash_ledger *ledger, uint32_t client, uint32_t count,
                           uint32_t padding_size);

/* Notes that the event was acknowledged; once noted it stays. Any thread. */
void crash_ledger_acknowledge(struct crash_ledger *ledger, uint32_t number);

/* The same for every id of the ledger's form in what goes out to a client. Any thread. */
void crash_ledger_read_answer(struct crash_ledger *ledger, const char *data, uint32_t size);

/* True when it was acknowledged by now. Any thread. */
bool crash_ledger_is_acknowledged(struct crash_ledger *ledger, uint32_t number);

/* The id that a client gives to event number. */
void crash_ledger_write_id(uint32_t number, char ret_id[CRASH_ID_SIZE + 1]);

/* CRASH_PADDING_SIZE_MAX bytes; a message has the first padding_size of them after its number. */
const char *crash_ledger_padding(void);
