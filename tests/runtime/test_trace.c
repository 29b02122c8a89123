#include "runtime/trace.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

static struct trace trace;

static void setup(void)
{
    trace_init(&trace);
}

TestSuite(trace, .init = setup, .timeout = 5);

Test(trace, starts_empty)
{
    cr_expect(eq(u32, trace_count(&trace), 0));
    cr_expect(not(trace.running));
}

Test(trace, shows_the_latest_event_first)
{
    trace_begin(&trace, 10, 1, "first", 100);
    trace_end(&trace);
    trace_begin(&trace, 20, 2, "second", 200);

    cr_expect(eq(u32, trace_count(&trace), 2));
    cr_expect(eq(str, (char *)trace_at(&trace, 0)->actor_type, "second"));
    cr_expect(eq(u64, trace_at(&trace, 1)->mono_ns, 10));
    cr_expect(eq(u32, trace_at(&trace, 1)->message_type, 100));
    cr_expect(trace.running);
    trace_end(&trace);
    cr_expect(not(trace.running));
}

Test(trace, keeps_the_last_sixty_four)
{
    for (uint64_t i = 0; i < 1000; i++) {
        trace_begin(&trace, i, i * 2, "actor", (uint16_t)i);
        trace_end(&trace);
    }
    cr_assert(eq(u32, trace_count(&trace), TRACE_EVENT_COUNT));
    for (uint32_t age = 0; age < TRACE_EVENT_COUNT; age++)
        cr_expect(eq(u64, trace_at(&trace, age)->mono_ns, 999 - age));
}

Test(trace, aborts_on_an_event_that_it_never_had, .signal = SIGABRT)
{
    trace_begin(&trace, 1, 1, "actor", 1);
    (void)trace_at(&trace, 1);
}
