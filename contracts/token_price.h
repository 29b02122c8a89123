/*
 * Token price: what a call to a model costs, in whole micro-USD.
 *
 * Prices are integers per million tokens, so that no sum is ever rounded twice: a call's
 * cost is rounded up once, and sums of costs are exact.
 */
#pragma once

#include "runtime/base.h"

/* A cost that nobody knows: no price is set, or the server did not count tokens. */
static const uint64_t TOKEN_COST_UNKNOWN = UINT64_MAX;

/* The highest price: ten million USD per million tokens. */
#define TOKEN_PRICE_MAX INT64_C(10000000000000)

/* In micro-USD per million tokens. */
struct token_price {
    bool is_set;
    uint64_t input;
    uint64_t cached; /* for the part of the input that the server had in its cache */
    uint64_t output; /* reasoning is part of it */
};

/*
 * The cost of a call. cached is part of input and counts as 0 when it is unknown; input or
 * output unknown (UINT32_MAX), or no price: TOKEN_COST_UNKNOWN.
 */
MUST_USE uint64_t token_price_cost(const struct token_price *price, uint32_t input_tokens,
                                   uint32_t cached_tokens, uint32_t output_tokens);
