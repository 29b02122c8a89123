/*
 * Trace: the last messages that a shard handled, for the crash report.
 *
 * A ring of TRACE_EVENT_COUNT events, overwritten for ever; recording is four
 * stores. One thread writes; the same thread reads, in its signal handler. The
 * last event is also the answer to "what was running": between trace_begin() and
 * trace_end() it is.
 */
#pragma once

#include "runtime/base.h"

enum { TRACE_EVENT_COUNT = 64 }; /* a power of two */

/* One message given to one actor. */
struct trace_event {
    uint64_t mono_ns;
    uint64_t actor_id;      /* struct actor_id's bits */
    const char *actor_type; /* a literal */
    uint32_t message_type;
    uint32_t reserved;
};

static_assert(sizeof(struct trace_event) == 32, "two events to a cache line");

/* Public for reading; embedded by value in the shard. Zeroed is empty. */
struct trace {
    struct trace_event events[TRACE_EVENT_COUNT];
    uint64_t event_count; /* total; event n rests at n % TRACE_EVENT_COUNT */
    bool running;         /* the last event's handler has not returned */
};

/* An empty ring. */
static inline void trace_init(struct trace *trace)
{
    *trace = (struct trace){.event_count = 0};
}

/* Records that a handler is called now. Borrows actor_type for ever. */
static inline void trace_begin(struct trace *trace, uint64_t mono_ns, uint64_t actor_id,
                               const char *actor_type, uint16_t message_type)
{
    struct trace_event *event = &trace->events[trace->event_count % TRACE_EVENT_COUNT];

    event->mono_ns = mono_ns;
    event->actor_id = actor_id;
    event->actor_type = actor_type;
    event->message_type = message_type;
    trace->event_count++;
    trace->running = true;
    /* A signal handler on this thread reads it: the compiler may not put the stores off. */
    __asm__ volatile("" ::: "memory");
}

/* Records that the handler has returned, or was left by a panic. */
static inline void trace_end(struct trace *trace)
{
    trace->running = false;
}

/* How many events the ring holds. */
uint32_t trace_count(const struct trace *trace);

/* The event with this age: 0 is the latest, trace_count() - 1 the oldest. */
const struct trace_event *trace_at(const struct trace *trace, uint32_t age);
