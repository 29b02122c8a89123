/*
 * Replay sender: sends the events of a replay, waits when the server asks to, and
 * reads back what was accepted.
 *
 * Every event has an id, so all of it may be repeated safely: a request whose answer
 * was lost, a 429 or 503, the events of a batch that were put off. What cannot be sent
 * is said on stderr with its line number.
 */
#pragma once

#include "tools/http_call.h"
#include "tools/replay_event.h"

enum {
    REPLAY_BATCH_COUNT_MAX = 1000,
    REPLAY_BATCH_SIZE_MAX = 1 << 20, /* of the body of more than one event */
    REPLAY_ATTEMPT_COUNT_MAX = 10,   /* in a row without any progress */
    REPLAY_WAIT_MS_MAX = 60000,      /* of one wait, whatever Retry-After says */
    REPLAY_COMPLAINT_COUNT_MAX = 50, /* lines that are named on stderr */
};

/* Borrowed by the sender. */
struct replay_sender_config {
    struct http_call *call;
    const char *key;
    uint32_t batch_count; /* 1 to REPLAY_BATCH_COUNT_MAX; 1: POST /v1/events */
    bool verify;
};

/* What became of the events; sent is accepted + duplicates + rejected. */
struct replay_tally {
    uint64_t sent;
    uint64_t accepted;
    uint64_t duplicates; /* stored before */
    uint64_t rejected;
    uint64_t invalid; /* of the rejected: the event itself is wrong */
    uint64_t verified;
    uint64_t differing; /* read back, but not there or not the same */
    uint64_t retries;   /* requests sent again */
};

struct replay_sender;

/* Makes a sender. 0 or -ENOMEM. */
MUST_USE int replay_sender_new(const struct replay_sender_config *config,
                               struct replay_sender **ret_sender);

/* Frees it with what it holds unsent; nulls the pointer. NULL is accepted. */
void replay_sender_free(struct replay_sender **sender);

/*
 * Takes a copy of the event of that line; sends when a batch is full. 0, or the exit code
 * with which the run must end, the reason having been said.
 */
MUST_USE int replay_sender_add(struct replay_sender *sender, uint64_t line_number,
                               const struct replay_event *event);

/* Sends what has been added. As replay_sender_add(). */
MUST_USE int replay_sender_flush(struct replay_sender *sender);

/* True when nothing waits to be sent. */
bool replay_sender_is_empty(const struct replay_sender *sender);

/* The counts so far. */
const struct replay_tally *replay_sender_tally(const struct replay_sender *sender);

/* Says something about a line on stderr, the first REPLAY_COMPLAINT_COUNT_MAX times. */
void replay_sender_complain(struct replay_sender *sender, uint64_t line_number, const char *format,
                            ...) PRINTF_LIKE(3, 4);

/* Sleeps until clock_source_system's monotonic time is mono_ns. */
void replay_sleep_until(uint64_t mono_ns);
