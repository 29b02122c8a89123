#include "runtime/inbox.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "runtime/rng.h"

enum { CAPACITY = 8 };

static struct message slots[CAPACITY];
static struct inbox inbox;
static struct doorbell bell;

static void setup(void)
{
    inbox_init(&inbox, slots, CAPACITY);
}

static bool push(uint64_t token)
{
    return inbox_push(&inbox, &(struct message){.token = token});
}

TestSuite(inbox, .init = setup, .timeout = 10);

Test(inbox, shows_nothing_before_it_is_published)
{
    cr_assert(push(1));
    cr_expect(eq(ptr, (void *)inbox_front(&inbox), NULL));
    cr_expect(not(inbox_has_message(&inbox)));
    cr_expect(eq(u32, inbox_unpublished_count(&inbox), 1));
    inbox_publish(&inbox);
    cr_expect(inbox_has_message(&inbox));
    cr_assert(ne(ptr, (void *)inbox_front(&inbox), NULL));
    cr_expect(eq(u64, inbox_front(&inbox)->token, 1));
    cr_expect(eq(u32, inbox_unpublished_count(&inbox), 0));
}

Test(inbox, keeps_the_front_until_it_is_popped)
{
    cr_assert(push(1));
    cr_assert(push(2));
    inbox_publish(&inbox);
    cr_expect(eq(u64, inbox_front(&inbox)->token, 1));
    cr_expect(eq(u64, inbox_front(&inbox)->token, 1));
    inbox_pop(&inbox);
    cr_expect(eq(u64, inbox_front(&inbox)->token, 2));
    inbox_pop(&inbox);
    cr_expect(eq(ptr, (void *)inbox_front(&inbox), NULL));
}

Test(inbox, is_full_until_places_are_returned)
{
    for (uint64_t i = 0; i < CAPACITY; i++)
        cr_assert(push(i));
    cr_expect(not(push(99)));
    inbox_publish(&inbox);
    cr_assert(ne(ptr, (void *)inbox_front(&inbox), NULL));
    inbox_pop(&inbox);
    cr_expect(not(push(99)));
    inbox_return(&inbox);
    cr_expect(push(99));
    cr_expect(not(push(100)));
}

Test(inbox, keeps_order_when_its_counters_wrap)
{
    uint64_t written = 0;
    uint64_t read = 0;
    struct rng rng;

    rng_init_seed(&rng, 3);
    inbox.written_count = inbox.published_count = inbox.returned_seen = UINT32_MAX - 20;
    inbox.published = inbox.returned = inbox.written_count;
    inbox.read_count = inbox.returned_count = inbox.published_seen = inbox.written_count;
    while (read < 10000) {
        for (uint64_t i = rng_below(&rng, 6); i > 0 && push(written); i--)
            written++;
        if (rng_chance(&rng, 1, 2))
            inbox_publish(&inbox);
        for (uint64_t i = rng_below(&rng, 6); i > 0 && inbox_front(&inbox) != NULL; i--) {
            cr_assert(eq(u64, inbox_front(&inbox)->token, read));
            inbox_pop(&inbox);
            read++;
        }
        if (rng_chance(&rng, 1, 2))
            inbox_return(&inbox);
    }
    cr_expect(le(u64, written - read, CAPACITY));
}

Test(inbox, aborts_on_a_capacity_that_is_not_a_power_of_two, .signal = SIGABRT)
{
    inbox_init(&inbox, slots, 7);
}

Test(inbox, aborts_when_nothing_is_there_to_pop, .signal = SIGABRT)
{
    inbox_pop(&inbox);
}

Test(doorbell, asks_for_one_wake_per_sleep)
{
    cr_expect(not(doorbell_ring(&bell)));
    doorbell_park(&bell);
    cr_expect(doorbell_is_parked(&bell));
    cr_expect(doorbell_ring(&bell));
    cr_expect(not(doorbell_ring(&bell)));
    doorbell_park(&bell);
    doorbell_unpark(&bell);
    cr_expect(not(doorbell_ring(&bell)));
}
