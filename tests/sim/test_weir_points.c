#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_point.h"
#include "tests/sim/weir_fixture.h"

/* Lets the n-th hit of one failpoint strike. */
struct strike {
    struct sim_point_hook hook;
    const char *name;
    uint32_t left;
    bool struck;
};

static struct weir weir;

static bool on_hit(struct sim_point_hook *hook, struct sim_point *point)
{
    struct strike *strike = container_of(hook, struct strike, hook);

    if (strike->struck || strcmp(point->name, strike->name) != 0 || strike->left-- > 0)
        return false;
    strike->struck = true;
    return true;
}

TestSuite(weir_points, .timeout = 60);

Test(weir_points, refuse_a_start_cleanly_when_any_memory_is_missing)
{
    uint32_t failed_count = 0;
    bool struck = true;

    weir_begin(&weir, 1, 2);
    for (uint32_t n = 0; struck; n++) {
        struct strike strike = {{on_hit}, "no memory can be mapped", n, false};
        int exit_code = 0;
        bool started;

        sim_point_install(&strike.hook);
        started = weir_try_start(&weir, &exit_code);
        sim_point_install(NULL);
        struck = strike.struck;
        if (started)
            weir_kill(&weir);
        else
            failed_count++;
        cr_assert(eq(int, started, !struck), "map %u", n);
        cr_assert(started || exit_code > 0, "map %u", n);
        cr_assert(started || weir.process.text[0] != '\0', "map %u", n);
    }
    cr_expect(lt(u32, 30, failed_count));
    weir_start(&weir);
    weir_stop(&weir);
    weir_end(&weir);
}
