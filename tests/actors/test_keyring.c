#include "actors/keyring.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

static struct keyring ring;
static struct rng rng;

static struct record_key make_key(uint32_t number, const char *secret)
{
    struct record_key record = {0};
    uint8_t id[UUID_SIZE] = {0};

    memcpy(id, &number, sizeof(number));
    uuid_format(id, record.id);
    sha256(slice_of(secret), record.hash);
    memcpy(record.org, "org", 3);
    record.org_size = 3;
    return record;
}

static void setup(void)
{
    int r;

    rng_init_seed(&rng, 1);
    r = keyring_init(&ring, &rng);
    cr_assert(eq(int, r, 0));
}

TestSuite(keyring, .init = setup, .timeout = 20);

Test(keyring, finds_a_key_by_its_secret_twice_once_from_the_cache)
{
    struct record_key record = make_key(7, "secret-7");

    cr_assert(eq(int, keyring_apply(&ring, &record, 8), 0));
    cr_expect(eq(int, keyring_find(&ring, SLICE_LITERAL("secret-7")), 0));
    cr_expect(eq(int, keyring_find(&ring, SLICE_LITERAL("secret-7")), 0));
    cr_expect(eq(u64, ring.keys[0].location, 8));
}

Test(keyring, does_not_find_what_was_never_added)
{
    struct record_key record = make_key(7, "secret-7");

    cr_assert(eq(int, keyring_apply(&ring, &record, 8), 0));
    cr_expect(eq(int, keyring_find(&ring, SLICE_LITERAL("secret-8")), KEYRING_NO_SLOT));
    cr_expect(eq(int, keyring_find(&ring, SLICE_LITERAL("secret-")), KEYRING_NO_SLOT));
    cr_expect(eq(int, keyring_find(&ring, SLICE_LITERAL("")), KEYRING_NO_SLOT));
}

Test(keyring, keeps_a_revoked_key_in_its_slot_and_still_finds_it)
{
    struct record_key first = make_key(1, "one");
    struct record_key second = make_key(2, "two");

    cr_assert(eq(int, keyring_apply(&ring, &first, 1), 0));
    cr_assert(eq(int, keyring_apply(&ring, &second, 2), 0));
    cr_expect(eq(int, keyring_find(&ring, SLICE_LITERAL("one")), 0));
    first.revoked_ms = 99;
    cr_assert(eq(int, keyring_apply(&ring, &first, 3), 0));
    cr_expect(eq(int, keyring_find(&ring, SLICE_LITERAL("one")), 0));
    cr_expect(eq(u64, ring.keys[0].record.revoked_ms, 99));
    cr_expect(eq(u64, ring.keys[0].location, 3));
    cr_expect(eq(u32, ring.count, 2));
}

Test(keyring, refuses_one_key_more_than_it_holds_and_finds_all_others)
{
    char secret[32];

    for (uint32_t i = 0; i < KEYRING_KEY_COUNT_MAX; i++) {
        struct record_key record;

        snprintf(secret, sizeof(secret), "secret-%u", i);
        record = make_key(i, secret);
        /* By id is linear: fill the ring through the index only once per id. */
        cr_assert(eq(int, keyring_apply(&ring, &record, i + 1), 0));
    }
    snprintf(secret, sizeof(secret), "one too many");
    {
        struct record_key record = make_key(KEYRING_KEY_COUNT_MAX, secret);

        cr_expect(eq(int, keyring_apply(&ring, &record, 1), -ENOSPC));
    }
    for (uint32_t i = 0; i < KEYRING_KEY_COUNT_MAX; i++) {
        snprintf(secret, sizeof(secret), "secret-%u", i);
        cr_assert(eq(int, keyring_find(&ring, slice_of(secret)), (int)i));
    }
}
