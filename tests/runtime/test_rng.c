#include "runtime/rng.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

static struct rng rng;

static void setup(void)
{
    rng_init_seed(&rng, 42);
}

TestSuite(rng, .init = setup, .timeout = 20);

Test(rng, computes_the_published_xoshiro256_sequence)
{
    /* State 1, 2, 3, 4: the reference vector that other implementations test against. */
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    struct rng known = {.state = {1, 2, 3, 4}};

    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        cr_expect(eq(u64, rng_next(&known), expected[i]));
}

Test(rng, repeats_the_stream_of_a_seed_secrets_included)
{
    struct rng other;
    char secret[33];
    char secret_again[33];

    rng_init_seed(&other, 42);
    for (int i = 0; i < 100; i++)
        cr_assert(eq(u64, rng_next(&rng), rng_next(&other)));
    cr_assert(eq(int, rng_secret(&rng, secret, sizeof(secret)), 0));
    cr_assert(eq(int, rng_secret(&other, secret_again, sizeof(secret_again)), 0));
    cr_expect(eq(int, memcmp(secret, secret_again, sizeof(secret)), 0));
}

Test(rng, gives_another_stream_for_another_seed)
{
    struct rng other;

    rng_init_seed(&other, 43);
    cr_expect(ne(u64, rng_next(&rng), rng_next(&other)));
}

Test(rng, draws_secrets_from_the_kernel_in_production)
{
    struct rng first;
    struct rng second;
    char secret[2][32];

    cr_assert(eq(int, rng_init_system(&first), 0));
    second = first;
    cr_assert(eq(int, rng_secret(&first, secret[0], 32), 0));
    cr_assert(eq(int, rng_secret(&second, secret[1], 32), 0));
    cr_expect(ne(int, memcmp(secret[0], secret[1], 32), 0));
    cr_expect(eq(u64, rng_next(&first), rng_next(&second)));
}

Test(rng, stays_below_the_bound_and_reaches_every_value)
{
    uint32_t seen_count[7] = {0};

    for (int i = 0; i < 70000; i++)
        seen_count[rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++) {
        cr_expect(lt(u32, 9500, seen_count[i]));
        cr_expect(lt(u32, seen_count[i], 10500));
    }
    cr_expect(eq(u64, rng_below(&rng, 1), 0));
    for (int i = 0; i < 1000; i++)
        cr_assert(lt(u64, rng_below(&rng, UINT64_MAX - 5), UINT64_MAX - 5));
}

Test(rng, never_and_always_are_exact)
{
    for (int i = 0; i < 1000; i++) {
        cr_assert(not(rng_chance(&rng, 0, 10)));
        cr_assert(rng_chance(&rng, 10, 10));
    }
}

Test(rng, fills_exactly_the_bytes_asked_for)
{
    for (size_t size = 0; size <= 20; size++) {
        unsigned char data[24];
        unsigned char ored = 0;

        memset(data, 0x5a, sizeof(data));
        rng_fill(&rng, data, size);
        for (size_t i = size; i < sizeof(data); i++)
            cr_assert(data[i] == 0x5a);
        for (size_t i = 0; i < size; i++)
            ored |= data[i] ^ 0x5a;
        cr_assert(size == 0 || ored != 0);
    }
}

Test(rng, aborts_when_nobody_seeded_it, .signal = SIGABRT)
{
    struct rng blank = {0};

    (void)!rng_next(&blank);
}

Test(rng, aborts_on_a_bound_of_zero, .signal = SIGABRT)
{
    (void)!rng_below(&rng, 0);
}
