#include "contracts/token_price.h"

/*
 * The largest product, 2^32 tokens at TOKEN_PRICE_MAX each, has 76 bits: whole millions of
 * tokens are counted apart from the rest, so that 64 are enough for what is divided, and a
 * sum that is none any more is the largest there is.
 */

enum { TOKENS_PER_PRICE = 1000000 };

struct cost {
    uint64_t whole; /* micro-USD */
    uint64_t rest;  /* millionths of them */
};

static void add(struct cost *cost, uint64_t tokens, uint64_t price)
{
    uint64_t rest = tokens % TOKENS_PER_PRICE * price;

    assert(price <= (uint64_t)TOKEN_PRICE_MAX);
    cost->whole += tokens / TOKENS_PER_PRICE * price + rest / TOKENS_PER_PRICE;
    cost->rest += rest % TOKENS_PER_PRICE;
}

uint64_t token_price_cost(const struct token_price *price, uint32_t input_tokens,
                          uint32_t cached_tokens, uint32_t output_tokens)
{
    struct cost cost = {0, 0};
    uint64_t cached = cached_tokens == UINT32_MAX ? 0 : min_u64(cached_tokens, input_tokens);

    if (!price->is_set || input_tokens == UINT32_MAX || output_tokens == UINT32_MAX)
        return TOKEN_COST_UNKNOWN;
    add(&cost, input_tokens - cached, price->input);
    add(&cost, cached, price->cached);
    add(&cost, output_tokens, price->output);
    return cost.whole + (cost.rest + TOKENS_PER_PRICE - 1) / TOKENS_PER_PRICE;
}
