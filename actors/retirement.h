/*
 * Retirement: what is asked of all shards before segments go.
 *
 * The number of shards may change between starts, so what a shard still needs can be in
 * any log. The keeper that is about to drop segments asks every shard, its own too;
 * each has its durables carry forward what they need of them (store/durable.h) and
 * answers when that is durable. Asked about several logs at a time, a shard takes one
 * after the other.
 */
#pragma once

#include "runtime/base.h"
#include "store/segment.h"

struct keeper;

/* Questions that this shard has not answered yet. Private to retirement.c; in the keeper. */
struct retirement {
    uint64_t asked_seqs[SEGMENT_LOG_MAX + 1]; /* by log: up to this one; 0: nothing is asked */
    uint32_t asked_count;
    uint32_t next_log; /* where to look for the next one */
    uint64_t since_ns; /* when the last answer was given, or the first question came after it */
    bool is_open;
    bool is_looking;
};

/* Asks all shards about the segments up to seq of one of the keeper's own logs. */
void retirement_ask(struct keeper *keeper, uint32_t log, uint64_t seq);

/* The shard's own log takes appends: from now on questions are answered. */
void retirement_open(struct keeper *keeper);

/* MSG_KEEPER_CARRY: a shard asks about segments. */
void retirement_on_asked(struct keeper *keeper, uint32_t log, uint64_t seq);

/* The durables of this shard have carried what they need. */
void retirement_on_carried(struct keeper *keeper, uint32_t log, uint64_t seq);
