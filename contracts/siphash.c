/*
 * After Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with the
 * 128-bit output that the authors added later: another constant goes into v1 at the
 * start, another into v2 before the finish, and a second finish gives the upper
 * half. Words are little-endian on the wire and on every host this builds for.
 */
#include "contracts/siphash.h"

enum { COMPRESSION_ROUNDS = 2, FINISH_ROUNDS = 4 };

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are loaded as they lie");

struct siphash_state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t word, int count)
{
    return word << count | word >> (64 - count);
}

static uint64_t load_word(const void *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return word;
}

static inline void mix(struct siphash_state *state, int round_count)
{
    for (int i = 0; i < round_count; i++) {
        state->v0 += state->v1;
        state->v2 += state->v3;
        state->v1 = rotate_left(state->v1, 13) ^ state->v0;
        state->v3 = rotate_left(state->v3, 16) ^ state->v2;
        state->v0 = rotate_left(state->v0, 32);
        state->v2 += state->v1;
        state->v0 += state->v3;
        state->v1 = rotate_left(state->v1, 17) ^ state->v2;
        state->v3 = rotate_left(state->v3, 21) ^ state->v0;
        state->v2 = rotate_left(state->v2, 32);
    }
}

static inline void compress(struct siphash_state *state, uint64_t word)
{
    state->v3 ^= word;
    mix(state, COMPRESSION_ROUNDS);
    state->v0 ^= word;
}

static struct siphash_state begin(const uint8_t key[SIPHASH_KEY_SIZE])
{
    uint64_t low = load_word(key);
    uint64_t high = load_word(key + 8);

    return (struct siphash_state){
        .v0 = 0x736f6d6570736575 ^ low,
        .v1 = 0x646f72616e646f6d ^ high,
        .v2 = 0x6c7967656e657261 ^ low,
        .v3 = 0x7465646279746573 ^ high,
    };
}

/* All whole words, then one that ends with the size's low byte. */
static inline void absorb(struct siphash_state *state, struct slice bytes)
{
    uint64_t last = (uint64_t)bytes.size << 56;
    size_t left = bytes.size;
    const char *at = bytes.data;

    for (; left >= 8; at += 8, left -= 8)
        compress(state, load_word(at));
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)(uint8_t)at[i] << (8 * i);
    compress(state, last);
}

static uint64_t fold(const struct siphash_state *state)
{
    return state->v0 ^ state->v1 ^ state->v2 ^ state->v3;
}

uint64_t siphash_64(const uint8_t key[SIPHASH_KEY_SIZE], struct slice bytes)
{
    struct siphash_state state = begin(key);

    absorb(&state, bytes);
    state.v2 ^= 0xff;
    mix(&state, FINISH_ROUNDS);
    return fold(&state);
}

void siphash_128(const uint8_t key[SIPHASH_KEY_SIZE], struct slice bytes,
                 uint8_t ret_hash[SIPHASH_128_SIZE])
{
    struct siphash_state state = begin(key);
    uint64_t halves[2];

    state.v1 ^= 0xee;
    absorb(&state, bytes);
    state.v2 ^= 0xee;
    mix(&state, FINISH_ROUNDS);
    halves[0] = fold(&state);
    state.v1 ^= 0xdd;
    mix(&state, FINISH_ROUNDS);
    halves[1] = fold(&state);
    memcpy(ret_hash, halves, sizeof(halves));
}
