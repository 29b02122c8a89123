/*
 * Load desk: hands out what is to be sent, and takes in what came of it.
 *
 * In open loop, requests are due when the scenario says, whatever the target does. Those
 * for which no connection is free wait in a bounded queue, and their wait counts: that is
 * what makes the latencies true. One that does not even fit into the queue is skipped,
 * and makes the run void. In closed loop (--rate max) a request is due when a connection
 * is free.
 *
 * Times are nanoseconds since the beginning of the run. No I/O, no clock.
 *
 *     advance(now) -> take(now) while connections are free -> send
 *         -> sent(after) for those that were taken -> answer() or fail()
 */
#pragma once

#include "tools/load/load_scenario.h"
#include "tools/load/load_tally.h"

enum { LOAD_QUEUE_COUNT_MAX = 1 << 22 };

struct load_desk_config {
    struct load_scenario_config scenario;
    bool is_open_loop;
    uint64_t warmup_ns; /* requests due before are not measured */
    uint64_t end_ns;    /* of closed loop: nothing is due from then on */
    uint32_t queue_count_max;
};

/* One that waits. Private to load_desk.c. */
struct load_waiting {
    struct load_arrival arrival;
    uint64_t noticed_ns;
};

/* Embedded by value; private to load_desk.c, but for the two counts. */
struct load_desk {
    struct load_desk_config config;
    struct load_scenario scenario;
    struct load_tally *tally;
    struct load_waiting *ring;
    uint32_t ring_size; /* in entries, a power of two */
    uint64_t pushed;
    uint64_t popped;
    struct load_arrival next;
    bool has_next;
    bool is_stopped;
    uint64_t taken_count; /* may be read: requests taken, and of them ... */
    uint64_t open_count;  /* ... those that have not come back */
};

/* Borrows tally, which the caller has made empty. 0 or -ENOMEM. */
MUST_USE int load_desk_init(struct load_desk *desk, const struct load_desk_config *config,
                            struct load_tally *tally);

/* Gives the queue back. */
void load_desk_deinit(struct load_desk *desk);

/* Puts what is due by now into the queue. */
void load_desk_advance(struct load_desk *desk, uint64_t now_ns);

/* When the next one that is not in the queue is due; UINT64_MAX when there is none. */
uint64_t load_desk_next_due(const struct load_desk *desk);

/* How many wait, and since when the first of them should have been sent (0 when none). */
uint32_t load_desk_waiting(const struct load_desk *desk);
uint64_t load_desk_oldest(const struct load_desk *desk);

/* Takes the request that has waited longest, to be sent at now. False when there is none. */
MUST_USE bool load_desk_take(struct load_desk *desk, uint64_t now_ns,
                             struct load_ticket *ret_ticket);

/* It has been handed to the kernel. */
void load_desk_sent(struct load_desk *desk, const struct load_ticket *ticket, uint64_t now_ns);

/* It has come back, one way or the other. */
void load_desk_answer(struct load_desk *desk, const struct load_ticket *ticket, unsigned status,
                      uint64_t now_ns);
void load_desk_fail(struct load_desk *desk, const struct load_ticket *ticket, enum load_error error,
                    uint64_t now_ns);

/* Ends the run now: nothing more is due, what waits is skipped. */
void load_desk_stop(struct load_desk *desk, uint64_t now_ns);

/* True when nothing is due any more, nothing waits and nothing is open. */
bool load_desk_is_over(const struct load_desk *desk, uint64_t now_ns);
