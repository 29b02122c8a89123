#include "runtime/limits.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

static struct limits limits;

TestSuite(limits, .timeout = 10);

Test(limits, adds_up_all_lines)
{
    limits_init(&limits);
    limits_add(&limits, "slots", 10, 64);
    limits_add(&limits, "big things", 3, UINT64_C(1) << 33);
    cr_expect(eq(u64, limits_total(&limits), 640 + 3 * (UINT64_C(1) << 33)));
}

Test(limits, renders_a_line_for_each_and_the_total)
{
    char text[1024];
    int size;

    limits_init(&limits);
    limits_add(&limits, "slots", 10, 64);
    limits_add(&limits, "rows", 5, 100);
    size = limits_render(&limits, text, sizeof(text));
    cr_assert(lt(int, 0, size));
    cr_expect(eq(sz, strlen(text), (size_t)size));
    cr_expect(strstr(text, "slots ") != NULL);
    cr_expect(strstr(text, " 640\n") != NULL);
    cr_expect(strstr(text, " 1140\n") != NULL);
}

Test(limits, refuses_a_text_that_is_too_small_by_one)
{
    char text[1024];
    int size;

    limits_init(&limits);
    limits_add(&limits, "slots", 10, 64);
    size = limits_render(&limits, text, sizeof(text));
    cr_expect(eq(int, limits_render(&limits, text, (size_t)size), -EMSGSIZE));
    cr_expect(eq(int, limits_render(&limits, text, (size_t)size + 1), size));
    for (size_t small = 1; small <= (size_t)size; small++)
        cr_assert(eq(int, limits_render(&limits, text, small), -EMSGSIZE));
}

Test(limits, aborts_on_one_line_too_many, .signal = SIGABRT)
{
    limits_init(&limits);
    for (uint32_t i = 0; i <= LIMITS_LINES_MAX; i++)
        limits_add(&limits, "one", 1, 1);
}
