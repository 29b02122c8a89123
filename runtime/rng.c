#include "runtime/rng.h"

#include <errno.h>
#include <sys/random.h>

/*
 * The generator is xoshiro256** (Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", 2018): 32 bytes of state, about a nanosecond
 * per number, no known statistical weakness, and not a cipher. A seed of one
 * word is spread over the state with SplitMix64, as its authors advise.
 * Whatever an attacker must not guess comes from rng_secret().
 */

__extension__ typedef unsigned __int128 wide;

static uint64_t rotate_left(uint64_t value, unsigned count)
{
    return (value << count) | (value >> (64 - count));
}

static uint64_t split_mix(uint64_t *state)
{
    uint64_t z;

    *state += 0x9e3779b97f4a7c15u;
    z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int read_kernel(char *data, size_t size)
{
    while (size > 0) {
        ssize_t r = getrandom(data, size, 0);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        data += r;
        size -= (size_t)r;
    }
    return 0;
}

int rng_init_system(struct rng *rng)
{
    uint64_t seed;
    int r;

    r = read_kernel((char *)&seed, sizeof(seed));
    if (r < 0)
        return r;
    rng_init_seed(rng, seed);
    rng->simulated = false;
    return 0;
}

void rng_init_seed(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_COUNT(rng->state); i++)
        rng->state[i] = split_mix(&seed);
    rng->simulated = true;
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    /* All zeroes is the one state that has no successor: an rng nobody seeded. */
    assert((s[0] | s[1] | s[2] | s[3]) != 0);
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/*
 * Lemire's method: the high word of a product is uniform once the few low words
 * that would make some answers likelier have been thrown away.
 */
uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    wide product;

    assert(bound > 0);
    product = (wide)rng_next(rng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound;

        while ((uint64_t)product < threshold)
            product = (wide)rng_next(rng) * bound;
    }
    assert((uint64_t)(product >> 64) < bound);
    return (uint64_t)(product >> 64);
}

bool rng_chance(struct rng *rng, uint64_t numerator, uint64_t denominator)
{
    assert(denominator > 0);
    assert(numerator <= denominator);
    return rng_below(rng, denominator) < numerator;
}

void rng_fill(struct rng *rng, void *data, size_t size)
{
    char *next = data;

    assert(data != NULL || size == 0);
    while (size > 0) {
        uint64_t word = rng_next(rng);
        size_t part = min_u64(size, sizeof(word));

        memcpy(next, &word, part);
        next += part;
        size -= part;
    }
}

int rng_secret(struct rng *rng, void *data, size_t size)
{
    assert(data != NULL || size == 0);
    if (!rng->simulated)
        return read_kernel(data, size);
    rng_fill(rng, data, size);
    return 0;
}
