/*
 * Keyring: the API keys, as every shard knows them.
 *
 * One copy per shard, filled by recovery and by the tenant actor's broadcasts in
 * the same order, so a key has the same slot on every shard. Lookup is by the
 * SHA-256 of what the client sent; a small keyed cache in front spares the hash
 * for keys seen lately. Only the shard's thread touches its copy.
 */
#pragma once

#include "contracts/siphash.h"
#include "runtime/rng.h"
#include "store/record.h"

enum {
    KEYRING_KEY_COUNT_MAX = 4096,
    KEYRING_CACHE_COUNT = 256,
    KEYRING_NO_SLOT = UINT16_MAX,
};

/* One key; public, read-only. */
struct keyring_key {
    struct record_key record;
    uint64_t location; /* of its latest record in the journal; 0 before */
};

/* Private to keyring.c, except keys[0..count), read-only. Embedded by value. */
struct keyring {
    uint32_t count;
    struct keyring_key keys[KEYRING_KEY_COUNT_MAX];
    uint16_t index[KEYRING_KEY_COUNT_MAX * 2]; /* open addressing by hash */
    struct {
        uint8_t hash[SIPHASH_128_SIZE];
        uint16_t slot;
    } cache[KEYRING_CACHE_COUNT];
    uint8_t cache_key[SIPHASH_KEY_SIZE];
};

/* An empty ring. Draws the cache's key from rng. 0 or -errno. */
MUST_USE int keyring_init(struct keyring *ring, struct rng *rng);

/* Adds a key, or replaces the one with the same id. 0, or -ENOSPC when the ring is full. */
MUST_USE int keyring_apply(struct keyring *ring, const struct record_key *record,
                           uint64_t location);

/* The slot of the key that the client sent, or KEYRING_NO_SLOT. Revoked keys are found too. */
MUST_USE uint16_t keyring_find(struct keyring *ring, struct slice secret);

/* The slot of the key with this id, or KEYRING_NO_SLOT. */
MUST_USE uint16_t keyring_find_id(const struct keyring *ring, struct slice id);

/* The names of a key's tenant. */
static inline struct slice key_org(const struct record_key *record)
{
    return (struct slice){record->org, record->org_size};
}

/* See key_org(). */
static inline struct slice key_project(const struct record_key *record)
{
    return (struct slice){record->project, record->project_size};
}
