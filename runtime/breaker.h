/*
 * Breaker: keeps calls away from a peer that fails, and finds out when it is well.
 *
 *              failures in a row, or a failure rate
 *     CLOSED ----------------------------------------> OPEN <----+
 *        ^                                              |        |
 *        | enough probes succeed     its time is over,  |        | a probe fails:
 *        |                           at the next call   v        | the time grows
 *        +------------------------------------------ HALF-OPEN --+
 *
 * Whoever calls the peer asks breaker_admit() before each attempt and reports each
 * admitted one once, with breaker_on_result(), or with breaker_release() when nothing
 * was learned. What is parked has not been attempted: it waits and is not counted.
 *
 * The rules are those of gobreaker 1.0, so that its settings mean the same here:
 *
 *   - Counts are cleared at each change of state and, while closed, at the end of each
 *     interval, which begins when the one before it is found to be over.
 *   - Each clearing begins a generation. A result counts only in the generation that
 *     admitted its call; a later one is ignored.
 *   - Open becomes half-open, and an interval ends, at the first call strictly after
 *     its time; nothing happens by itself.
 *   - Whether it trips is asked after failures only, the one at hand included.
 *   - Half-open, any failure opens it again, and probe_successes successes close it.
 *     At most probe_count probes are out at a time, and no more than successes are
 *     missing. gobreaker's MaxRequests = N is N for both.
 *
 * Beyond gobreaker: the failure rate over the last calls, the open time that grows
 * while probes keep failing, its jitter, giving a probe back, and the durable form.
 *
 * Time is the caller's wall clock, because an open breaker outlives the process. A
 * clock set forward ends the open time early, which costs one probe; set back, it does
 * not extend what is left beyond the open time itself (and 1 ms: "strictly after").
 *
 * One thread owns a breaker. All is a function of the arguments: no clock, no
 * generator, no I/O, no memory, so that a replay comes to the same state.
 */
#pragma once

#include "runtime/base.h"

enum {
    BREAKER_WINDOW_MAX = 64,    /* calls that the failure rate looks back on */
    BREAKER_COUNT_MAX = 0xffff, /* failures in a row, probes, successes of a policy */
    BREAKER_SAVED_SIZE = 32,
};

/* What breaker_next_ms() says when only the result of a probe can change anything. */
#define BREAKER_AT_NEXT_RESULT UINT64_MAX

/* As metrics show it: breaker_state{name}. */
enum breaker_state {
    BREAKER_CLOSED = 0,
    BREAKER_OPEN = 1,
    BREAKER_HALF_OPEN = 2,
};

/*
 * Any value for which breaker_policy_is_sound(). With consecutive_failures and
 * failure_percent both 0 there is no breaker: everything is admitted.
 */
struct breaker_policy {
    uint32_t consecutive_failures; /* so many in a row trip it; 0: this does not */
    uint32_t failure_percent;      /* so many of the window's calls trip it; 0: this does not */
    uint32_t window_calls;         /* the last calls that failure_percent is about */
    uint32_t window_calls_min;     /* below so many, failure_percent says nothing */
    uint32_t interval_ms;          /* closed: counts are cleared so often; 0: never */
    uint32_t open_ms;              /* the first open time */
    uint32_t open_ms_cap;          /* it grows no further; 0: it does not grow */
    uint32_t open_factor;          /* by which it grows at each failed probe; 0 means 2 */
    uint32_t open_jitter_percent;  /* of it are added, evenly from 0, within the cap */
    uint32_t probe_count;          /* half-open: calls out at a time */
    uint32_t probe_successes;      /* half-open: to close it */
};

/* Private to breaker.c; embedded by value. */
struct breaker {
    uint64_t until_ms;             /* closed: end of the interval, or 0; open: of the open time */
    uint64_t window;               /* the last calls, newest in bit 0; a set bit is a failure */
    uint32_t generation;           /* compared for equality only; wraps */
    uint16_t consecutive_failures; /* stays at BREAKER_COUNT_MAX */
    uint16_t open_count;           /* times it opened since it was last closed; stays at the top */
    uint16_t probes_out;           /* half-open: admitted and not heard of */
    uint16_t probe_success_count;  /* half-open */
    uint16_t salt;                 /* tells its jitter from that of others */
    uint8_t state;                 /* enum breaker_state */
    uint8_t window_count;          /* calls in the window, up to BREAKER_WINDOW_MAX */
};
static_assert(sizeof(struct breaker) <= 64, "a breaker fits a cache line");

/*
 * The durable form, little-endian:
 *
 *      0  u32  magic and version, "WBR1"
 *      4  u8   state (enum breaker_state)
 *      5  u8   window_count
 *      6  u16  consecutive_failures
 *      8  u64  until_ms
 *     16  u64  window
 *     24  u32  generation
 *     28  u16  open_count
 *     30  u16  salt
 *
 * Probes are not in it: who was out when the process ended is not heard of again. It
 * has no checksum of its own; the record around it has one.
 */
struct breaker_saved {
    uint8_t bytes[BREAKER_SAVED_SIZE];
};
static_assert(sizeof(struct breaker_saved) == BREAKER_SAVED_SIZE, "a durable format");

/* A breaker as people are shown it. */
struct breaker_view {
    enum breaker_state state;
    uint32_t failure_count; /* in a row, while closed */
    uint32_t open_count;    /* times it opened since it was last closed */
    uint64_t until_ms;      /* open: until then nobody is admitted; else 0 */
};

enum breaker_admission {
    BREAKER_ADMITTED,
    BREAKER_PARKED, /* see breaker_next_ms() */
};

/* True for a policy that the others take; ask before using one from outside. */
MUST_USE bool breaker_policy_is_sound(const struct breaker_policy *policy);

/*
 * Closed, its first interval begun. The policy is the caller's (here and below): it is
 * passed to each call, must be sound and may change between calls. Breakers of one
 * policy should differ in salt, when it has jitter.
 */
void breaker_init(struct breaker *breaker, const struct breaker_policy *policy, uint64_t now_ms,
                  uint16_t salt);

/*
 * Asks to make one call. BREAKER_ADMITTED: make it, and bring *ret_generation back with
 * its outcome; else it is not written. now_ms is unix time in milliseconds.
 */
MUST_USE enum breaker_admission breaker_admit(struct breaker *breaker,
                                              const struct breaker_policy *policy, uint64_t now_ms,
                                              uint32_t *ret_generation);

/*
 * When it is worth asking again: now_ms if a call would be admitted now, else at most
 * the longest open time and 1 ms later, or BREAKER_AT_NEXT_RESULT while half-open with
 * all probes out. Changes nothing, so it may be asked at any time.
 */
MUST_USE uint64_t breaker_next_ms(const struct breaker *breaker,
                                  const struct breaker_policy *policy, uint64_t now_ms);

/*
 * Takes the outcome of an admitted call; one of an older generation is ignored. True
 * when the breaker opened or closed by it: save it, and if it closed, wake the parked.
 * Also after false while half-open, somebody parked may now be admitted.
 */
bool breaker_on_result(struct breaker *breaker, const struct breaker_policy *policy,
                       uint64_t now_ms, uint32_t generation, bool success);

/*
 * An admitted call came to nothing that says anything of the peer: cancelled, or never
 * sent. Gives its probe back; of an older generation, or closed, there is nothing to do.
 */
void breaker_release(struct breaker *breaker, uint32_t generation);

/* Its state as of the last call; open until somebody asks after its time. */
enum breaker_state breaker_state(const struct breaker *breaker);

/* "closed", "open", "half_open". */
struct slice breaker_state_name(enum breaker_state state);

/* What there is to show, as of the last call. */
void breaker_look(const struct breaker *breaker, struct breaker_view *ret_view);

/* The durable form of what it is now. */
void breaker_save(const struct breaker *breaker, struct breaker_saved *ret_saved);

/*
 * Takes up what was saved: closed with its counts, open with its time; half-open becomes
 * open and due, and its next open time goes on growing where it was. Results of calls
 * from before are of an older generation. 0, or -EBADMSG when these are no bytes that
 * breaker_save() writes; then the breaker is untouched.
 */
MUST_USE int breaker_load(struct breaker *breaker, const struct breaker_saved *saved);
