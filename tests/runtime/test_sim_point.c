#include "runtime/sim_point.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

/* The places of this test, one of each kind; each gives what its macro gave. */
static void pass_sometimes(void)
{
    SOMETIMES("the test comes by");
}

static void pass_second_place(void)
{
    SOMETIMES("the test comes by");
}

static bool pass_failpoint(void)
{
    return FAILPOINT("the test runs out");
}

static bool pass_mutant(void)
{
    return MUTANT("test_mutant");
}

/* Counts what it is told and strikes where it was asked to. */
struct probe {
    struct sim_point_hook hook;
    const char *strike;
    struct sim_point *last;
    uint32_t count;
};

static bool on_hit(struct sim_point_hook *hook, struct sim_point *point)
{
    struct probe *probe = container_of(hook, struct probe, hook);

    point->hit_count++;
    probe->last = point;
    probe->count++;
    return probe->strike != NULL && strcmp(point->name, probe->strike) == 0;
}

static struct probe probe;

static void setup(void)
{
    probe = (struct probe){.hook.on_hit = on_hit};
    sim_point_install(&probe.hook);
}

static void teardown(void)
{
    sim_point_install(NULL);
}

/* How many places bear the name; *ret_kind is that of the last. */
static uint32_t count_places(const char *name, enum sim_point_kind *ret_kind)
{
    size_t count;
    struct sim_point *const *points = sim_point_all(&count);
    uint32_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(points[i]->name, name) != 0)
            continue;
        *ret_kind = points[i]->kind;
        found++;
    }
    return found;
}

TestSuite(sim_point, .init = setup, .fini = teardown, .timeout = 20);

Test(sim_point, lists_places_that_were_never_met)
{
    enum sim_point_kind kind = SIM_POINT_MUTANT;

    cr_expect(eq(u32, count_places("the test comes by", &kind), 2));
    cr_expect(eq(int, kind, SIM_POINT_SOMETIMES));
    cr_expect(eq(u32, count_places("the test runs out", &kind), 1));
    cr_expect(eq(int, kind, SIM_POINT_FAILPOINT));
    cr_expect(eq(u32, count_places("no place bears this name", &kind), 0));
    cr_expect(eq(u32, probe.count, 3), "only the place in sim_point_all() itself");
}

Test(sim_point, lists_every_place_whole)
{
    size_t count;
    struct sim_point *const *points = sim_point_all(&count);

    cr_assert(lt(sz, 3, count));
    for (size_t i = 0; i < count; i++) {
        cr_assert(ne(ptr, points[i], NULL));
        cr_expect(lt(sz, 0, strlen(points[i]->name)));
        cr_expect(lt(sz, 0, strlen(points[i]->file)));
        cr_expect(lt(u32, 0, points[i]->line));
        cr_expect(le(int, points[i]->kind, SIM_POINT_MUTANT));
    }
}

Test(sim_point, tells_the_hook_of_each_hit)
{
    pass_sometimes();
    pass_sometimes();
    cr_expect(eq(u32, probe.count, 2));
    cr_assert(ne(ptr, probe.last, NULL));
    cr_expect(eq(str, (char *)probe.last->name, "the test comes by"));
    cr_expect(eq(u64, probe.last->hit_count, 2));
    pass_second_place();
    cr_expect(eq(u64, probe.last->hit_count, 1), "a place of its own, under the same name");
}

Test(sim_point, lets_a_failpoint_strike_only_when_the_hook_says_so)
{
    cr_expect(not(pass_failpoint()));
    probe.strike = "the test runs out";
    cr_expect(pass_failpoint());
    probe.strike = "something else";
    cr_expect(not(pass_failpoint()));
    cr_expect(eq(u32, probe.count, 3));
}

Test(sim_point, has_no_effect_without_a_hook)
{
    probe.strike = "the test runs out";
    sim_point_install(NULL);
    pass_sometimes();
    cr_expect(not(pass_failpoint()));
    cr_expect(not(pass_mutant()));
    cr_expect(eq(u32, probe.count, 0));
}

Test(sim_point, keeps_mutants_out_of_an_ordinary_build)
{
    enum sim_point_kind kind = SIM_POINT_SOMETIMES;
    uint32_t places = count_places("test_mutant", &kind);

    probe.strike = "test_mutant";
#ifdef WEIR_MUTANTS
    cr_expect(eq(u32, places, 1));
    cr_expect(eq(int, kind, SIM_POINT_MUTANT));
    cr_expect(pass_mutant());
    probe.strike = NULL;
    cr_expect(not(pass_mutant()));
#else
    static_assert(!MUTANT("test_mutant"), "a constant");
    cr_expect(eq(u32, places, 0));
    cr_expect(not(pass_mutant()));
    cr_expect(eq(u32, probe.count, 1), "only sim_point_all()");
#endif
}

Test(sim_point, refuses_a_hook_that_cannot_be_told, .signal = SIGABRT)
{
    struct sim_point_hook empty = {NULL};

    sim_point_install(&empty);
}
