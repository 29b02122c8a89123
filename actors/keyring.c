#include "actors/keyring.h"

#include <errno.h>

/*
 * The index maps the first bytes of a SHA-256 to a slot by linear probing; keys
 * are never removed (a revoked key must be told from an unknown one), so there
 * are no tombstones. The cache holds keyed 128-bit hashes instead of keys: who
 * reads the process's memory learns no secret from it.
 */

enum { INDEX_COUNT = KEYRING_KEY_COUNT_MAX * 2 };

static_assert((INDEX_COUNT & (INDEX_COUNT - 1)) == 0, "the mask needs a power of two");
static_assert((KEYRING_CACHE_COUNT & (KEYRING_CACHE_COUNT - 1)) == 0, "as above");

int keyring_init(struct keyring *ring, struct rng *rng)
{
    memset(ring, 0, sizeof(*ring));
    memset(ring->index, 0xff, sizeof(ring->index));
    for (uint32_t i = 0; i < KEYRING_CACHE_COUNT; i++)
        ring->cache[i].slot = KEYRING_NO_SLOT;
    return rng_secret(rng, ring->cache_key, sizeof(ring->cache_key));
}

/* Where the index has this hash, or the free place where it belongs. */
static uint32_t find_place(const struct keyring *ring, const uint8_t hash[SHA256_SIZE])
{
    uint32_t place;

    memcpy(&place, hash, sizeof(place));
    for (uint32_t i = 0; i < INDEX_COUNT; i++) {
        uint16_t slot;

        place &= INDEX_COUNT - 1;
        slot = ring->index[place];
        if (slot == KEYRING_NO_SLOT || memcmp(ring->keys[slot].record.hash, hash, SHA256_SIZE) == 0)
            return place;
        place++;
    }
    assert(false && "the index is twice as large as the ring");
    return 0;
}

int keyring_apply(struct keyring *ring, const struct record_key *record, uint64_t location)
{
    uint16_t slot = keyring_find_id(ring, (struct slice){record->id, sizeof(record->id)});

    assert(record->org_size <= TENANT_NAME_SIZE_MAX);
    assert(record->project_size <= TENANT_NAME_SIZE_MAX);
    if (slot == KEYRING_NO_SLOT) {
        if (ring->count == KEYRING_KEY_COUNT_MAX)
            return -ENOSPC;
        slot = (uint16_t)ring->count++;
        ring->index[find_place(ring, record->hash)] = slot;
    }
    ring->keys[slot].record = *record;
    ring->keys[slot].location = location;
    return 0;
}

uint16_t keyring_find(struct keyring *ring, struct slice secret)
{
    uint8_t cache_hash[SIPHASH_128_SIZE];
    uint8_t digest[SHA256_SIZE];
    uint32_t place;
    uint16_t slot;

    siphash_128(ring->cache_key, secret, cache_hash);
    place = cache_hash[0] & (KEYRING_CACHE_COUNT - 1);
    if (ring->cache[place].slot != KEYRING_NO_SLOT &&
        memcmp(ring->cache[place].hash, cache_hash, sizeof(cache_hash)) == 0)
        return ring->cache[place].slot;
    sha256(secret, digest);
    slot = ring->index[find_place(ring, digest)];
    if (slot != KEYRING_NO_SLOT) {
        memcpy(ring->cache[place].hash, cache_hash, sizeof(cache_hash));
        ring->cache[place].slot = slot;
    }
    return slot;
}

uint16_t keyring_find_id(const struct keyring *ring, struct slice id)
{
    for (uint32_t i = 0; i < ring->count; i++)
        if (slice_equal((struct slice){ring->keys[i].record.id, UUID_TEXT_SIZE}, id))
            return (uint16_t)i;
    return KEYRING_NO_SLOT;
}
