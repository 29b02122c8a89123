/*
 * Shard: one thread's share of the product, and THE loop.
 *
 * A shard owns its ring, clock, randomness, pools, timer wheel, run queue and
 * actors; nothing is shared but the inboxes. shard_turn() is one pass of the
 * loop, a list of named phases:
 *
 *     reap completions -> drain inbound rings -> fire timers -> run actors
 *     -> flush outboxes and wake parked peers -> submit and wait
 *
 * In production a thread calls shard_turn() until told to stop; the simulator
 * calls it for N shards on one thread, in seeded order.
 */
#pragma once

#include "runtime/actor.h"
#include "runtime/clock.h"
#include "runtime/dead_letter.h"
#include "runtime/io.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/pool.h"
#include "runtime/rng.h"
#include "runtime/timer_wheel.h"

enum {
    SHARD_COUNT_MAX = 64,
    SHARD_ACTOR_BATCH_MAX = 64,    /* messages one actor handles per activation */
    SHARD_ACTOR_SLICE_NS = 200000, /* or this long, whichever comes first */
    SHARD_RUN_SLICE_NS = 1000000,  /* all actors together before I/O is polled again */
    SHARD_SLOW_NS = 1000000,       /* a handler that takes this long is counted as slow */
    SHARD_OS_SLICE_NS = 100000,    /* of its thread among others; Linux takes no less */
    SHARD_RUN_WORK_MAX = 32768,    /* activations and messages; virtual time stands still */
    SHARD_REAP_MAX = 4096,         /* completions per turn */
    SHARD_TIMER_FIRE_MAX = 1024,   /* timers per turn */
    SHARD_INBOX_DRAIN_MAX = 256,   /* messages per peer and turn */
    SHARD_EXIT_SOFTWARE = 70,      /* exit code when a root failed: EX_SOFTWARE */
    SHARD_EXIT_IO = 74,            /* exit code when the I/O backend broke: EX_IOERR */
};

struct limits;
struct runtime;
struct shard_internals; /* run queue, actor table, inboxes, panic guard: private to shard.c */

/* Public fields are read-only for everybody but shard.c, unless said otherwise. */
struct shard {
    struct runtime *runtime;
    uint32_t index;
    struct clock clock;
    struct rng rng;         /* callers draw from it */
    struct io *io;          /* callers arm operations on it */
    struct log log;         /* callers write lines to it */
    struct metrics metrics; /* callers add to it */
    struct timer_wheel timers;
    struct actor_id root; /* the shard's root supervisor */
    struct shard_internals *internals;
};

/*
 * What the runtime tells the floors above; embedded in whatever keeps their state.
 * Each may be NULL. Called on the shard's own thread.
 */
struct runtime_hooks {
    /* Takes whole log lines, instead of writing them to descriptor 2. Borrows data. */
    void (*log_out)(struct runtime_hooks *hooks, uint32_t shard_index, const char *data,
                    size_t size);
    /* Hears of every dead letter, after it was counted. Borrows msg. */
    void (*dead_letter)(struct runtime_hooks *hooks, struct shard *shard, const struct message *msg,
                        enum dead_letter_reason reason, const char *actor_name);
};

/* What a runtime is made of; all borrowed for its life, sizes are bounds. */
struct runtime_config {
    uint32_t shard_count;
    uint32_t actor_count_max;   /* per shard */
    uint32_t message_count_max; /* per shard, the sum printed by --print-limits */
    uint32_t inbox_capacity;    /* messages per pair of shards, a power of two */
    const struct clock_source *clock_source;
    struct metrics_registry *registry; /* the runtime adds its series, then freezes it */
    enum log_level log_level;
    enum log_format log_format;
    bool pin_threads;
    bool simulated; /* no threads, no watchdog; seed decides randomness */
    uint64_t seed;
    struct runtime_hooks *hooks; /* or NULL; simulated runs without log_out discard their lines */
    /* Makes shard index's backend. 0 or -errno. */
    int (*io_new)(struct runtime *runtime, uint32_t index, struct io **ret_io);
};

/*
 * Allocates everything for shard_count shards and their rings; no thread runs
 * yet and shards may be set up (actors spawned) by the caller. 0 or -errno.
 */
MUST_USE int runtime_new(const struct runtime_config *config, struct runtime **ret_runtime);

/*
 * Makes the type's own series (messages, restarts, mailbox depth) and its name known.
 * Before the freeze. Types of actors spawned before the freeze register themselves; any
 * other is counted under "other".
 */
void runtime_register_type(struct runtime *runtime, const struct actor_type *type);

/*
 * Adds the runtime's remaining series and freezes the registry; repeating it does
 * nothing. runtime_start() does it; the simulator calls it before its first turn. The
 * last series that runtime_new() adds is weir_dead_letters_total: a floor that has more
 * origins of dead letters adds them first, so that the name stays in one piece.
 */
void runtime_freeze_metrics(struct runtime *runtime);

/* Adds the runtime's lines to the sum of --print-limits. */
void runtime_add_limits(const struct runtime_config *config, struct limits *limits);

/* The configuration, with which io_new and hooks find their own state. */
const struct runtime_config *runtime_settings(const struct runtime *runtime);

/* Frees it and nulls the pointer; threads must have ended. NULL is accepted. */
void runtime_free(struct runtime **runtime);

/* Shard index, for set-up and for the simulator. */
struct shard *runtime_shard(struct runtime *runtime, uint32_t index);

/* How many shards there are. */
uint32_t runtime_shard_count(const struct runtime *runtime);

/* Starts one pinned thread per shard, and the watchdog. 0 or -errno. Not when simulated. */
MUST_USE int runtime_start(struct runtime *runtime);

/*
 * Asks every shard's root to stop: the tree goes down in reverse order, then
 * runtime_join() returns. Any thread, also from a signal handler; repeating is harmless.
 */
void runtime_stop(struct runtime *runtime);

/*
 * Any thread, also a signal-handling one: posts a message with this type, token
 * and payload words to an actor, through the boot thread's own ring. SEND_OK or SEND_FULL.
 * Only one thread at a time may use it (the boot thread).
 */
MUST_USE enum send_result runtime_post(struct runtime *runtime, struct actor_id to, uint16_t type,
                                       uint64_t token, const void *payload, size_t payload_size);

/* Waits until every shard's root supervisor has ended; then all threads have been joined. */
void runtime_join(struct runtime *runtime);

/*
 * Work at the end of every turn, after the actors ran and before anything is
 * submitted: for components that gather during a turn, such as the journal.
 * Embedded in the component; it must not panic.
 */
struct turn_hook {
    struct list_node link;
    void (*on_turn_end)(struct turn_hook *hook);
};

/* Adds a hook for the rest of the shard's life. Set-up only. */
void shard_add_turn_hook(struct shard *shard, struct turn_hook *hook);

/* Ends a shard's loop after this turn. Called by its root when the tree is down. */
void shard_end(struct shard *shard);

/* One turn of the loop. Waits for work only when may_wait. False when the shard has ended. */
bool shard_turn(struct shard *shard, bool may_wait);

/*
 * True on a thread that is inside shard_turn(). *ret_message_type is what its actor
 * handles now, MSG_NONE between handlers.
 */
bool shard_is_running(uint16_t *ret_message_type);

/* True when the shard has nothing to do at this instant (simulator's idle test). */
bool shard_is_idle(const struct shard *shard);

/* The instant of the next timer, UINT64_MAX when none is armed. */
uint64_t shard_next_timer_ns(const struct shard *shard);

/*
 * Brings shard->metrics up to date: the loop counts in its own fields and does this
 * every 100 ms, a scrape does it before it copies the block.
 */
void shard_update_metrics(struct shard *shard);

/* The live actor with this id on this shard, or NULL. */
struct actor *shard_actor(struct shard *shard, struct actor_id id);

/*
 * Tells the process to stop at once because going on would lose or corrupt data:
 * the text is logged, no further loop turn runs on any shard, the exit code is
 * passed to runtime_join()'s caller through runtime_exit_code().
 */
void runtime_fail(struct runtime *runtime, int exit_code, const char *text);

/* 0, or the code given to the first runtime_fail(). */
int runtime_exit_code(const struct runtime *runtime);
