#include "runtime/pool.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "runtime/memory.h"
#include "runtime/rng.h"

enum { SLOT_COUNT = 130 };

static struct pool pool;

static void setup(void)
{
    cr_assert(eq(int, pool_init(&pool, "test", 40, SLOT_COUNT), 0));
}

TestSuite(pool, .init = setup, .timeout = 20);

Test(pool, answers_null_when_every_slot_is_in_use)
{
    void *slots[SLOT_COUNT];

    for (int i = 0; i < SLOT_COUNT; i++) {
        slots[i] = pool_acquire(&pool);
        cr_assert(ne(ptr, slots[i], NULL));
    }
    cr_expect(eq(ptr, pool_acquire(&pool), NULL));
    cr_expect(eq(u32, pool_used_count(&pool), SLOT_COUNT));
    for (int i = 0; i < SLOT_COUNT; i++)
        pool_release(&pool, &slots[i]);
    cr_expect(eq(ptr, slots[7], NULL));
    cr_expect(eq(u32, pool_used_count(&pool), 0));
    cr_expect(eq(u32, pool.used_high_water, SLOT_COUNT));
    pool_deinit(&pool);
}

Test(pool, gives_the_slot_released_last_first)
{
    void *first = pool_acquire(&pool);
    void *second = pool_acquire(&pool);
    void *kept = second;

    pool_release(&pool, &first);
    pool_release(&pool, &second);

    cr_expect(eq(ptr, pool_acquire(&pool), kept));
}

Test(pool, gives_zeroed_aligned_memory_the_first_time)
{
    char *slot = pool_acquire(&pool);

    for (int i = 0; i < 40; i++)
        cr_assert(slot[i] == 0);
    cr_expect(eq(u64, (uintptr_t)slot % 64, 0));
    cr_expect(eq(u32, pool.slot_size, 64));
}

Test(pool, keeps_slots_apart_over_random_use)
{
    uint32_t *held[SLOT_COUNT] = {NULL};
    struct rng rng;

    rng_init_seed(&rng, 3);
    for (uint32_t step = 0; step < 50000; step++) {
        uint32_t i = (uint32_t)rng_below(&rng, SLOT_COUNT);

        if (held[i] == NULL) {
            held[i] = pool_acquire(&pool);
            cr_assert(ne(ptr, held[i], NULL));
            held[i][0] = i;
            cr_assert(eq(ptr, pool_at(&pool, pool_index(&pool, held[i])), held[i]));
        } else {
            cr_assert(eq(u32, held[i][0], i));
            pool_release(&pool, (void **)&held[i]);
        }
    }
}

Test(pool, accepts_the_release_of_nothing)
{
    void *nothing = NULL;

    pool_release(&pool, &nothing);
    cr_expect(eq(u32, pool_used_count(&pool), 0));
}

Test(pool, fails_when_the_address_space_has_no_room)
{
    struct pool huge = {0};

    cr_expect(lt(int, pool_init(&huge, "huge", UINT32_MAX - 64, UINT32_MAX), 0));
    pool_deinit(&huge);
}

Test(pool, aborts_on_a_second_release, .signal = SIGABRT)
{
    void *slot = pool_acquire(&pool);
    void *same = slot;

    pool_release(&pool, &slot);
    pool_release(&pool, &same);
}

Test(pool, aborts_on_a_pointer_into_the_middle_of_a_slot, .signal = SIGABRT)
{
    char *slot = pool_acquire(&pool);
    void *middle = slot + 8;

    pool_release(&pool, &middle);
}

Test(pool, aborts_when_it_ends_with_a_slot_in_use, .signal = SIGABRT)
{
    (void)!pool_acquire(&pool);
    pool_deinit(&pool);
}

#if MEMORY_ASAN
Test(pool, poisons_a_released_slot)
{
    void *slot = pool_acquire(&pool);
    void *same = slot;

    cr_expect(not(__asan_address_is_poisoned(slot)));
    pool_release(&pool, &slot);
    cr_expect(__asan_address_is_poisoned(same));
}
#endif
