#include "runtime/trace.h"

static_assert((TRACE_EVENT_COUNT & (TRACE_EVENT_COUNT - 1)) == 0, "the modulus becomes a mask");

uint32_t trace_count(const struct trace *trace)
{
    return (uint32_t)min_u64(trace->event_count, TRACE_EVENT_COUNT);
}

const struct trace_event *trace_at(const struct trace *trace, uint32_t age)
{
    assert(age < trace_count(trace));
    return &trace->events[(trace->event_count - 1 - age) % TRACE_EVENT_COUNT];
}
