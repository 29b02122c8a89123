/*
 * Rng: the only source of randomness.
 *
 * Each shard has one generator (xoshiro256**), seeded from the kernel in
 * production and from the run's seed in the simulator. rng_secret() is for keys
 * and tokens: the kernel's generator in production, the seeded stream in the
 * simulator, so that a whole run is decided by its seed.
 */
#pragma once

#include "runtime/base.h"

/* Private to rng.c; embedded by value. Owned by one thread. */
struct rng {
    uint64_t state[4];
    bool simulated;
};

/* Seeds from the kernel. 0, or -errno when the kernel gives nothing. */
MUST_USE int rng_init_system(struct rng *rng);

/* Seeds from a number: the same seed gives the same stream, secrets included. */
void rng_init_seed(struct rng *rng, uint64_t seed);

/* 64 uniform bits. */
uint64_t rng_next(struct rng *rng);

/* Uniform in [0, bound) without bias; bound must be positive. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* True with the chance numerator / denominator. */
bool rng_chance(struct rng *rng, uint64_t numerator, uint64_t denominator);

/* Fills data with uniform bytes that need not be secret. */
void rng_fill(struct rng *rng, void *data, size_t size);

/* Fills data with bytes fit for keys. 0 or -errno. */
MUST_USE int rng_secret(struct rng *rng, void *data, size_t size);
