#include "runtime/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct manual_source {
    struct clock_source source;
    uint64_t mono_ns;
    uint64_t unix_ms;
};

static void read_manual(const struct clock_source *source, uint64_t *ret_mono_ns,
                        uint64_t *ret_unix_ms)
{
    const struct manual_source *manual = container_of(source, struct manual_source, source);

    *ret_mono_ns = manual->mono_ns;
    *ret_unix_ms = manual->unix_ms;
}

static struct manual_source manual = {.source = {read_manual}, .mono_ns = 50, .unix_ms = 7};
static struct clock clock_of_test;

TestSuite(clock, .timeout = 5);

Test(clock, shows_the_first_reading_at_once)
{
    clock_init(&clock_of_test, &manual.source);

    cr_expect(eq(u64, clock_of_test.mono_ns, 50));
    cr_expect(eq(u64, clock_of_test.unix_ms, 7));
}

Test(clock, stands_still_between_updates)
{
    clock_init(&clock_of_test, &manual.source);
    manual.mono_ns = 60;
    cr_expect(eq(u64, clock_of_test.mono_ns, 50));

    clock_update(&clock_of_test);

    cr_expect(eq(u64, clock_of_test.mono_ns, 60));
}

Test(clock, lets_the_wall_clock_jump_back)
{
    clock_init(&clock_of_test, &manual.source);
    manual.unix_ms = 1;

    clock_update(&clock_of_test);

    cr_expect(eq(u64, clock_of_test.unix_ms, 1));
}

Test(clock, aborts_when_monotonic_time_goes_back, .signal = SIGABRT)
{
    clock_init(&clock_of_test, &manual.source);
    manual.mono_ns = 49;
    clock_update(&clock_of_test);
}

Test(clock, system_source_gives_this_century_and_a_monotonic_reading)
{
    clock_init(&clock_of_test, &clock_source_system);
    for (int i = 0; i < 1000; i++)
        clock_update(&clock_of_test);

    cr_expect(lt(u64, 0, clock_of_test.mono_ns));
    cr_expect(lt(u64, 946684800000u, clock_of_test.unix_ms));
}

Test(clock, tells_the_cpu_time_of_a_process_until_it_is_gone)
{
    uint64_t before = clock_cpu_ns(getpid());
    pid_t child = fork();

    cr_assert(ge(int, child, 0));
    if (child == 0)
        _exit(0);
    cr_assert(eq(int, waitpid(child, NULL, 0), child));
    cr_expect(ne(u64, before, 0));
    cr_expect(le(u64, before, clock_cpu_ns(getpid())));
    cr_expect(eq(u64, clock_cpu_ns(child), 0));
}
