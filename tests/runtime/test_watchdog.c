#include "runtime/watchdog.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "runtime/actor.h"

static const struct actor_type SLOW = {.name = "slow"};
static struct heartbeat heartbeat;
static struct heartbeat_watch watch = {.heartbeat = &heartbeat};
static struct heartbeat_stall stall;

TestSuite(watchdog, .timeout = 10);

Test(watchdog, reports_a_handler_that_it_sees_twice_and_only_once)
{
    heartbeat_enter(&heartbeat, &SLOW, 77);
    cr_expect(not(heartbeat_scan(&watch, &stall)));
    cr_assert(heartbeat_scan(&watch, &stall));
    cr_expect(eq(str, (char *)stall.actor_name, "slow"));
    cr_expect(eq(u16, stall.message_type, 77));
    cr_expect(not(heartbeat_scan(&watch, &stall)));
}

Test(watchdog, reports_the_next_stall_again)
{
    for (uint32_t i = 0; i < 3; i++) {
        heartbeat_enter(&heartbeat, &SLOW, 1);
        cr_expect(not(heartbeat_scan(&watch, &stall)));
        cr_expect(heartbeat_scan(&watch, &stall));
        heartbeat_leave(&heartbeat);
        cr_expect(not(heartbeat_scan(&watch, &stall)));
    }
}

Test(watchdog, never_reports_a_shard_that_sleeps)
{
    for (uint32_t i = 0; i < 10; i++)
        cr_expect(not(heartbeat_scan(&watch, &stall)));
    heartbeat_enter(&heartbeat, &SLOW, 1);
    heartbeat_leave(&heartbeat);
    for (uint32_t i = 0; i < 10; i++)
        cr_expect(not(heartbeat_scan(&watch, &stall)));
}

Test(watchdog, never_reports_a_shard_that_is_busy_with_many_handlers)
{
    for (uint32_t i = 0; i < 10; i++) {
        heartbeat_enter(&heartbeat, &SLOW, 1);
        cr_expect(not(heartbeat_scan(&watch, &stall)));
        heartbeat_leave(&heartbeat);
    }
}

Test(watchdog, aborts_on_a_handler_inside_a_handler, .signal = SIGABRT)
{
    heartbeat_enter(&heartbeat, &SLOW, 1);
    heartbeat_enter(&heartbeat, &SLOW, 2);
}
