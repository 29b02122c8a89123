/*
 * Watchdog: notices an actor that keeps its shard's thread to itself.
 *
 * Each shard has a heartbeat that it changes before and after every handler. The
 * watchdog's own thread looks at all of them every 100 ms: a heartbeat that stands
 * inside the same handler twice in a row has been there for 100 ms, which is
 * logged once, with the types of actor and message. A shard that sleeps, or runs
 * no handler, is never reported. It cannot interrupt anybody.
 */
#pragma once

#include "runtime/clock.h"
#include "runtime/log.h"

struct actor_type;

enum { WATCHDOG_PERIOD_MS = 100 };

/* Stored by the shard, loaded by the watchdog; touched only atomically. */
struct heartbeat {
    uint64_t beat_count __attribute__((aligned(64))); /* odd: inside a handler */
    const struct actor_type *type;
    uint32_t message_type;

    /* The other way round. */
    uint64_t stall_count __attribute__((aligned(64)));
};

/* What the watchdog remembers of one heartbeat; owned by whoever calls heartbeat_scan(). */
struct heartbeat_watch {
    const struct heartbeat *heartbeat; /* borrowed */
    uint64_t seen;
    bool reported;
};

/* What stands still. */
struct heartbeat_stall {
    const char *actor_name;
    uint16_t message_type;
};

struct watchdog;

/* Shard: a handler begins, and ends. Cheap: plain stores, no barrier. */
void heartbeat_enter(struct heartbeat *heartbeat, const struct actor_type *type,
                     uint16_t message_type);
void heartbeat_leave(struct heartbeat *heartbeat);

/* How many stalls were reported of this shard. Any thread. */
uint64_t heartbeat_stall_count(const struct heartbeat *heartbeat);

/*
 * One look. True, once per stall, when the shard has been inside one handler since
 * the previous look.
 */
MUST_USE bool heartbeat_scan(struct heartbeat_watch *watch, struct heartbeat_stall *ret_stall);

/* Starts the thread over count heartbeats, which it borrows. 0 or -errno. */
MUST_USE int watchdog_start(struct heartbeat *const *heartbeats, uint32_t count,
                            const struct clock_source *clock_source, enum log_format format,
                            struct watchdog **ret_watchdog);

/* Ends the thread and nulls the pointer. NULL is accepted. */
void watchdog_stop(struct watchdog **watchdog);
