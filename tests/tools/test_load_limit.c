#include "tools/load/load_limit.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct load_limit limit;

/* A server of one queue: at rate r of capacity c, 1 % wait longer than ln(100) / (c - r). */
static enum load_limit_outcome serve(double rate, double capacity, double bound_s)
{
    if (rate >= capacity)
        return LOAD_LIMIT_MISSED;
    return 4.60517 / (capacity - rate) < bound_s ? LOAD_LIMIT_HELD : LOAD_LIMIT_MISSED;
}

static void find(double rate_first, double capacity, double bound_s)
{
    double rate;

    load_limit_init(&limit, rate_first, 0.05);
    while (load_limit_next(&limit, &rate))
        load_limit_note(&limit, serve(rate, capacity, bound_s));
}

Test(load_limit, finds_what_a_server_holds_from_below_and_from_above)
{
    static const double STARTS[] = {1, 10, 1000, 45000, 1e6};
    /* 10 ms at 50,000/s: held up to 50,000 - 460.5. */
    double held = 50000 - 460.517;

    for (size_t i = 0; i < ARRAY_COUNT(STARTS); i++) {
        find(STARTS[i], 50000, 0.010);
        cr_assert(le(dbl, limit.held, held));
        cr_assert(ge(dbl, limit.held, held * 0.95));
        cr_assert(le(u32, limit.try_count, 25));
        cr_assert(not(limit.is_generator_limit));
    }
}

Test(load_limit, gives_up_on_a_server_that_holds_nothing)
{
    find(1000, 10, 0.001);
    cr_assert(ieee_ulp_eq(dbl, limit.held, 0, 0));
    cr_assert(le(u32, limit.try_count, 8));
}

Test(load_limit, ends_on_a_server_that_holds_everything)
{
    find(1000, 1e12, 1);
    cr_assert(ge(dbl, limit.held, 2e6));
    cr_assert(ieee_ulp_eq(dbl, limit.missed, 0, 0));
}

Test(load_limit, says_when_the_generator_was_the_limit)
{
    double rate;

    load_limit_init(&limit, 1000, 0.05);
    while (load_limit_next(&limit, &rate))
        load_limit_note(&limit, rate > 20000 ? LOAD_LIMIT_UNKNOWN : LOAD_LIMIT_HELD);
    cr_assert(limit.is_generator_limit);
    cr_assert(ge(dbl, limit.held, 19000));
    cr_assert(le(dbl, limit.held, 20000));
}

Test(load_limit, ends_with_a_server_that_cannot_make_up_its_mind)
{
    double rate;
    uint32_t count = 0;

    load_limit_init(&limit, 1, 0.000001);
    while (load_limit_next(&limit, &rate))
        load_limit_note(&limit, count++ % 2 == 0 ? LOAD_LIMIT_HELD : LOAD_LIMIT_MISSED);
    cr_assert(le(u32, count, LOAD_LIMIT_TRY_COUNT_MAX));
}

Test(load_limit, repeats_a_try_that_said_nothing_before_it_believes_it)
{
    double rate, before = 0;
    uint32_t count = 0;

    /* Every third try is disturbed; the server holds 1,234. */
    load_limit_init(&limit, 100, 0.05);
    while (load_limit_next(&limit, &rate)) {
        if (count % 3 == 2)
            cr_assert(ieee_ulp_eq(dbl, rate, before, 0));
        before = rate;
        load_limit_note(&limit, count++ % 3 == 1 ? LOAD_LIMIT_UNKNOWN
                                : rate <= 1234   ? LOAD_LIMIT_HELD
                                                 : LOAD_LIMIT_MISSED);
    }
    cr_assert(not(limit.is_generator_limit));
    cr_assert(ge(dbl, limit.held, 1234 * 0.95));
    cr_assert(le(dbl, limit.held, 1234));
}
