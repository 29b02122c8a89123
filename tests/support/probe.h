/*
 * Probe: an actor that does what its messages say and remembers what it saw.
 */
#pragma once

#include "tests/support/test_shards.h"

enum { PROBE_MAGIC = 0x0fb70be1, PROBE_SEEN_MAX = 4096, PROBE_OPS = 2 };

/* What a message tells a probe to do. The token is noted first, always. */
enum probe_message {
    PROBE_NOTE = MSG_ACTORS, /* nothing */
    PROBE_QUIT,              /* answer ACTOR_STOP */
    PROBE_FAIL,              /* answer -EPROTO */
    PROBE_PANIC,             /* actor_panic("told to") */
    PROBE_IGNORE,            /* answer ACTOR_UNHANDLED */
    PROBE_ARM,               /* arm a poll operation */
    PROBE_TIMER,             /* start a timer of token ms */
    PROBE_AGAIN,             /* send the same to itself again, for ever */
};

struct probe {
    struct actor actor;
    /* Settings. */
    int start_result;     /* what start() answers */
    uint32_t start_fails; /* how many starts fail before one succeeds; 0: by start_result */
    bool start_arms;      /* start() arms an operation */
    bool start_panics;
    bool release_panics;
    bool ignores_stop; /* answers ACTOR_OK to MSG_STOP */
    bool panics_on_timer;
    uint64_t takes_ns; /* of virtual time, for each message */
    bool checks_order; /* tokens are sender << 32 | number: counts those that go back */
    bool leaves_stop;  /* answers ACTOR_UNHANDLED to MSG_STOP */
    char name;         /* written to probe_events */
    /* What happened. */
    uint32_t start_count;
    uint32_t release_count;
    uint32_t free_count;
    uint32_t io_count;
    uint32_t timer_count;
    uint32_t exit_count;
    uint32_t stop_count;
    int32_t last_io_value;
    struct message_exit last_exit;
    uint32_t out_of_order;
    uint64_t latest[8];
    uint32_t seen_count;
    uint64_t seen[PROBE_SEEN_MAX]; /* tokens */
    struct io_op op;
    struct timer timer;
};

/* Ordinary; one that is given a message again twice; one with a mailbox of 4. */
extern const struct actor_type probe_type;
extern const struct actor_type probe_stubborn_type;
extern const struct actor_type probe_small_type;

/* "+a" for each start of probe a, "-a" for each release, in order. */
extern char probe_events[4096];

/* Empties probe_events. */
void probe_events_clear(void);

/* Spawns with probe_type. */
int probe_spawn(struct probe *probe, uint32_t shard_index, struct actor_id supervisor);

/* Sends from one probe to an id. */
enum send_result probe_send(struct probe *from, struct actor_id to, uint16_t type, uint64_t token);
