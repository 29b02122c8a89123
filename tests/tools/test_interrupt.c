#include "tools/interrupt.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static void expect_flag_after(int number)
{
    const volatile sig_atomic_t *is_interrupted = interrupt_catch();

    cr_assert(eq(int, *is_interrupted, 0));
    cr_assert(eq(int, raise(number), 0));
    cr_assert(eq(int, *is_interrupted, 1));
}

Test(interrupt, sets_the_flag_at_the_first_sigint)
{
    expect_flag_after(SIGINT);
}

Test(interrupt, sets_the_flag_at_the_first_sigterm)
{
    expect_flag_after(SIGTERM);
}

Test(interrupt, lets_the_same_signal_end_the_process_when_it_comes_again, .signal = SIGTERM)
{
    const volatile sig_atomic_t *is_interrupted = interrupt_catch();

    (void)raise(SIGTERM);
    cr_assert(eq(int, *is_interrupted, 1));
    (void)raise(SIGTERM);
}
