/*
 * Token bucket: a rate limit in one word, shared by all shards of the process.
 *
 * The generic cell rate algorithm: instead of a token count and the time of its
 * last refill, the bucket remembers one instant, when it will be full again. One
 * compare-and-swap takes tokens, so a limit per API key holds for the whole
 * process and not per shard. Rate and burst are the caller's and may change
 * between calls: what was taken before keeps its price in time.
 */
#pragma once

#include "runtime/base.h"

enum {
    TOKEN_BUCKET_RATE_MAX = 1000000000, /* tokens per second */
    TOKEN_BUCKET_BURST_MAX = 1 << 28,
};

/* Private to token_bucket.c; embedded by value. Zeroed is a full bucket. Any thread. */
struct token_bucket {
    uint64_t full_at; /* shared */
};

/*
 * Takes cost tokens if that many are there: true. Else false, nothing is taken and
 * *ret_wait_ns says how long until they would be, if nobody else came: at least 1;
 * UINT64_MAX when cost is above burst, so never. now_ns is the caller's clock;
 * shards may differ by a loop turn. rate_per_s and burst must be positive and
 * within their bounds. Of the rate, at most one part in 16e9 / rate_per_s is lost
 * to rounding (1 % at 160 M/s), never exceeded.
 */
MUST_USE bool token_bucket_take(struct token_bucket *bucket, uint64_t now_ns, uint32_t cost,
                                uint64_t rate_per_s, uint32_t burst, uint64_t *ret_wait_ns);

/* Tokens that could be taken at now_ns, for the RateLimit fields of an answer. */
MUST_USE uint32_t token_bucket_left(const struct token_bucket *bucket, uint64_t now_ns,
                                    uint64_t rate_per_s, uint32_t burst);
