/*
 * Timer wheel: 6 levels of 64 slots, 1 ms per tick, about 2 years of range.
 *
 * Start and stop are O(1), the node is embedded in what waits, long delays are
 * not rounded: a node cascades down level by level until its exact tick. Never
 * early. One bitmap per level finds the next deadline without scanning.
 * Source: Varghese and Lauck, "Hashed and hierarchical timing wheels", 1997.
 */
#pragma once

#include "runtime/list.h"

struct actor;

enum {
    TIMER_LEVEL_COUNT = 6,
    TIMER_SLOT_COUNT = 64,
    TIMER_MOVE_MAX = 4096, /* nodes cascaded and slots emptied by one advance */
};

/* Embedded by value. Public: nothing. At most 64 bytes. */
struct timer {
    struct list_node link;
    uint64_t deadline_tick;
    void (*on_fire)(struct timer *timer);
    struct actor *owner; /* set by actor_timer_init(); NULL for a plain timer */
    uint32_t owner_incarnation;
    uint16_t slot_index; /* level * TIMER_SLOT_COUNT + slot, while armed */
    bool armed;
    struct list_node
        owner_link; /* actor.c's: the owner's armed timers; the wheel leaves it alone */
};

static_assert(sizeof(struct timer) <= 64, "a million armed timers cost 64 MB");

/* Private to timer_wheel.c; embedded by value in the shard. */
struct timer_wheel {
    struct list_node slots[TIMER_LEVEL_COUNT][TIMER_SLOT_COUNT];
    uint64_t occupied[TIMER_LEVEL_COUNT]; /* bit n: slot n has members */
    struct list_node cascading;           /* out of a slot that was reached, to be put lower */
    struct list_node due;                 /* expired, in order of tick */
    struct list_node late;                /* started when past: due at the next advance */
    uint64_t now_tick;                    /* where the wheel stands: 1 ms each, since mono_ns 0 */
    uint64_t armed_count;                 /* may be read */
};

/* An empty wheel that stands at mono_ns. */
void timer_wheel_init(struct timer_wheel *wheel, uint64_t mono_ns);

/* Makes a plain timer that calls on_fire on the wheel's thread. */
void timer_init(struct timer *timer, void (*on_fire)(struct timer *timer));

/* Arms timer for the first tick at or after deadline_ns; a running one is moved. */
void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns);

/* Disarms; a timer that is not armed stays as it is. */
void timer_stop(struct timer_wheel *wheel, struct timer *timer);

/*
 * Moves the wheel to mono_ns and fires at most fire_count_max timers, in order
 * of deadline tick. Returns how many fired; the rest stay due for the next call.
 * A mass expiry is also cut at TIMER_MOVE_MAX moves: the wheel then stands still
 * behind mono_ns, nothing is lost or reordered, and timer_wheel_next_ns() answers
 * with an instant in the past. on_fire may start and stop any timer and may leave
 * by longjmp; what it starts with a deadline already past fires in the next call.
 */
uint32_t timer_wheel_advance(struct timer_wheel *wheel, uint64_t mono_ns, uint32_t fire_count_max);

/*
 * The next instant at which timer_wheel_advance() has work; UINT64_MAX when nothing
 * is armed. For a long delay that may be a cascade, before the deadline.
 */
uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel);
