#include "runtime/breaker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "runtime/rng.h"
#include "tests/runtime/breaker_fixture.h"

/*
 * The durable form: its bytes, what goes on after a restart, and bytes that are none of it.
 */

static void save_and_load(void)
{
    struct breaker_saved saved;

    breaker_save(&breaker, &saved);
    memset(&breaker, 0xee, sizeof(breaker));
    cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
}

TestSuite(breaker_saved, .timeout = 20);

Test(breaker_saved, is_saved_byte_by_byte_as_documented)
{
    static const uint8_t EXPECTED[BREAKER_SAVED_SIZE] = {
        'W',  'B',  'R',  '1',  0,    5,    2,    0,    /* closed */
        0x30, 0xdd, 0xe5, 0xcf, 0x8b, 0x01, 0x00, 0x00, /* START_MS + 30 s */
        0x13, 0,    0,    0,    0,    0,    0,    0,    /* F, S, S, F, F */
        1,    0,    0,    0,    0,    0,    0xef, 0xbe};
    struct breaker_saved saved;

    begin(&GOBREAKER);
    breaker_init(&breaker, &policy, now_ms, 0xbeef);
    (void)call(false);
    (void)call(true);
    (void)call(true);
    (void)call(false);
    (void)call(false);
    breaker_save(&breaker, &saved);
    for (size_t i = 0; i < sizeof(EXPECTED); i++)
        cr_expect(eq(u8, saved.bytes[i], EXPECTED[i]), "byte %zu", i);
}

Test(breaker_saved, goes_on_counting_after_a_restart)
{
    begin(&GOBREAKER);
    for (uint32_t i = 0; i < 4; i++)
        (void)call(false);
    save_and_load();
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));
    cr_expect(call(false));

    begin(&RATE);
    for (uint32_t i = 0; i < 9; i++)
        (void)call(false);
    save_and_load();
    cr_expect(call(false));
}

Test(breaker_saved, keeps_the_time_until_which_it_is_open_over_a_restart)
{
    struct breaker_policy jittery = ONE_PROBE;

    jittery.open_jitter_percent = 20;
    for (uint32_t salt = 0; salt < 100; salt++) {
        uint64_t next_ms;

        policy = jittery;
        now_ms = START_MS;
        breaker_init(&breaker, &policy, now_ms, (uint16_t)salt);
        trip();
        next_ms = breaker_next_ms(&breaker, &policy, now_ms);
        save_and_load();
        cr_assert(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), next_ms));
        now_ms = next_ms - 1;
        cr_assert(is_parked());
        now_ms++;
        cr_assert(not(is_parked()));
    }
}

Test(breaker_saved, is_open_and_due_after_a_restart_in_the_midst_of_a_probe)
{
    begin(&ONE_PROBE);
    trip();
    pass_open_time();
    (void)start_call();
    save_and_load();
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_OPEN));
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms));
    cr_assert(call(false));
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 60001));
}

Test(breaker_saved, ignores_results_of_calls_from_before_a_restart)
{
    uint32_t before;

    begin(&GOBREAKER);
    before = start_call();
    save_and_load();
    for (uint32_t i = 0; i < 4; i++)
        cr_expect(not(call(false)));
    cr_expect(not(end_call(before, false)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_CLOSED));

    begin(&ONE_PROBE);
    trip();
    {
        struct breaker_saved saved;

        breaker_save(&breaker, &saved);
        pass_open_time();
        before = start_call(); /* a generation that was never saved */
        cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
    }
    (void)start_call();
    cr_expect(not(end_call(before, true)));
    cr_expect(eq(int, breaker_state(&breaker), BREAKER_HALF_OPEN));
}

Test(breaker_saved, is_saved_the_same_after_it_was_loaded)
{
    struct breaker_saved saved, again;

    begin(&ONE_PROBE);
    trip();
    breaker_save(&breaker, &saved);
    cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
    breaker_save(&breaker, &again);
    memset(saved.bytes + 24, 0, 4); /* but for its generation */
    memset(again.bytes + 24, 0, 4);
    cr_expect(eq(int, memcmp(&saved, &again, sizeof(saved)), 0));
}

Test(breaker_saved, is_not_parked_beyond_the_cap_by_any_time_that_was_saved)
{
    struct breaker_saved saved;

    begin(&ONE_PROBE);
    trip();
    breaker_save(&breaker, &saved);
    memset(saved.bytes + 8, 0xff, 8);
    cr_assert(eq(int, breaker_load(&breaker, &saved), 0));
    cr_expect(eq(u64, breaker_next_ms(&breaker, &policy, now_ms), now_ms + 30001));
}

Test(breaker_saved, refuses_bytes_that_it_did_not_write_and_stays_as_it_was)
{
    static const struct {
        uint8_t offset;
        uint8_t value;
        bool is_open; /* else it is closed, with one failure */
    } CASES[] = {
        {0, 'X', false}, {1, 'X', false}, {2, 'X', false},  {3, '2', false}, {4, 1, false},
        {4, 2, false},   {4, 3, false},   {4, 255, false},  {5, 65, false},  {5, 255, false},
        {5, 0, false},   {16, 2, false},  {23, 128, false}, {28, 1, false},  {29, 1, false},
        {4, 0, true},    {4, 2, true},    {5, 1, true},     {6, 1, true},    {7, 1, true},
        {16, 1, true},   {28, 0, true},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct breaker_saved saved;
        struct breaker before;

        begin(&ONE_PROBE);
        (void)call(false);
        if (CASES[i].is_open)
            for (uint32_t n = 0; n < 4; n++)
                (void)call(false);
        breaker_save(&breaker, &saved);
        saved.bytes[CASES[i].offset] = CASES[i].value;
        before = breaker;
        cr_expect(eq(int, breaker_load(&breaker, &saved), -EBADMSG), "case %zu", i);
        cr_expect(eq(int, memcmp(&breaker, &before, sizeof(breaker)), 0), "case %zu", i);
    }
}

Test(breaker_saved, refuses_noise_and_works_with_whatever_it_accepts)
{
    struct breaker_saved saved, good;
    struct rng rng;
    uint32_t accepted_count = 0;

    rng_init_seed(&rng, 1);
    begin(&GOBREAKER);
    breaker_save(&breaker, &good);
    for (uint32_t i = 0; i < 100000; i++) {
        rng_fill(&rng, &saved, sizeof(saved));
        cr_assert(eq(int, breaker_load(&breaker, &saved), -EBADMSG));
    }
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t next_ms;

        saved = good;
        for (uint64_t n = rng_below(&rng, 4) + 1; n > 0; n--)
            saved.bytes[4 + rng_below(&rng, 28)] = (uint8_t)rng_below(&rng, 8);
        if (breaker_load(&breaker, &saved) != 0)
            continue;
        accepted_count++;
        next_ms = breaker_next_ms(&breaker, &policy, now_ms);
        cr_assert(ge(u64, next_ms, now_ms));
        cr_assert(le(u64, next_ms, now_ms + 60001));
        if (next_ms > now_ms)
            cr_assert(is_parked());
        now_ms = next_ms;
        (void)call(false);
        now_ms = START_MS;
    }
    cr_expect(lt(u32, 1000, accepted_count));
}
