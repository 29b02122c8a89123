#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/token_price.h"

static const struct token_price PRICE = {
    .is_set = true, .input = 650000, .cached = 130000, .output = 2600000};

Test(token_price, adds_up_what_each_kind_of_token_costs)
{
    cr_assert(eq(u64, token_price_cost(&PRICE, 1000000, 0, 0), 650000));
    cr_assert(eq(u64, token_price_cost(&PRICE, 1000000, 1000000, 0), 130000));
    cr_assert(eq(u64, token_price_cost(&PRICE, 0, 0, 1000000), 2600000));
    cr_assert(eq(u64, token_price_cost(&PRICE, 2000000, 500000, 10000000),
                 3 * 325000 + 65000 + 26000000));
}

Test(token_price, rounds_up_once)
{
    cr_assert(eq(u64, token_price_cost(&PRICE, 1, 0, 0), 1));
    cr_assert(eq(u64, token_price_cost(&PRICE, 1, 1, 1), 3));        /* 0.13 + 2.6 */
    cr_assert(eq(u64, token_price_cost(&PRICE, 812, 512, 91), 499)); /* 498.16 */
    cr_assert(eq(u64, token_price_cost(&PRICE, 0, 0, 0), 0));
}

Test(token_price, does_not_know_what_was_not_counted_or_has_no_price)
{
    const struct token_price none = {.is_set = false};

    cr_assert(eq(u64, token_price_cost(&none, 1, 1, 1), TOKEN_COST_UNKNOWN));
    cr_assert(eq(u64, token_price_cost(&PRICE, UINT32_MAX, 0, 1), TOKEN_COST_UNKNOWN));
    cr_assert(eq(u64, token_price_cost(&PRICE, 1, 0, UINT32_MAX), TOKEN_COST_UNKNOWN));
    cr_assert(eq(u64, token_price_cost(&PRICE, 1000000, UINT32_MAX, 0), 650000));
}

Test(token_price, takes_more_cached_tokens_than_there_were_for_all_of_them)
{
    cr_assert(eq(u64, token_price_cost(&PRICE, 1000000, 2000000, 0), 130000));
}

Test(token_price, holds_the_largest_numbers)
{
    const struct token_price dear = {
        .is_set = true,
        .input = (uint64_t)TOKEN_PRICE_MAX,
        .cached = (uint64_t)TOKEN_PRICE_MAX,
        .output = (uint64_t)TOKEN_PRICE_MAX,
    };

    cr_assert(eq(u64, token_price_cost(&dear, UINT32_MAX - 1, 7, UINT32_MAX - 1),
                 2 * (uint64_t)(UINT32_MAX - 1) * 10000000));
}
