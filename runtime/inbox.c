#include "runtime/inbox.h"

/*
 * Four counters that run freely and wrap:
 *
 *     returned <= read <= published <= written <= returned + capacity
 *
 * written and read are private to one side each; published and returned are what
 * the sides tell each other. Each side keeps the last value it saw of the other
 * and looks again only when that is used up.
 *
 * Orders, by pair:
 *   published: store in inbox_publish() with the loads in inbox_front() (acquire:
 *     the slots are filled) and in inbox_has_message() (seq_cst, see below);
 *   returned: store-release in inbox_return() with load-acquire in inbox_push():
 *     the slot has been read before it is written again;
 *   published and parked: the store of one before the load of the other on both
 *     sides, all four sequentially consistent, so that not both sides can miss
 *     the other. That is why inbox_publish() is more than a release. Plain
 *     operations rather than fences, because ThreadSanitizer does not know fences.
 */

static void inbox_check(const struct inbox *inbox)
{
    assert(inbox->slots != NULL);
    assert(is_power_of_two((uint64_t)inbox->mask + 1));
}

void inbox_init(struct inbox *inbox, struct message *slots, uint32_t capacity)
{
    assert(is_power_of_two(capacity));
    assert(capacity <= INBOX_CAPACITY_MAX);
    *inbox = (struct inbox){.slots = slots, .mask = capacity - 1};
    inbox_check(inbox);
}

bool inbox_push(struct inbox *inbox, const struct message *msg)
{
    uint32_t capacity = inbox->mask + 1;

    if (inbox->written_count - inbox->returned_seen == capacity) {
        /* Pairs with the release in inbox_return(). */
        inbox->returned_seen = __atomic_load_n(&inbox->returned, __ATOMIC_ACQUIRE);
        assert(inbox->written_count - inbox->returned_seen <= capacity);
        if (inbox->written_count - inbox->returned_seen == capacity)
            return false;
    }
    inbox->slots[inbox->written_count & inbox->mask] = *msg;
    inbox->written_count++;
    return true;
}

uint32_t inbox_unpublished_count(const struct inbox *inbox)
{
    return inbox->written_count - inbox->published_count;
}

void inbox_publish(struct inbox *inbox)
{
    inbox_check(inbox);
    inbox->published_count = inbox->written_count;
    /* Pairs with the loads in inbox_front() and inbox_has_message(). */
    __atomic_store_n(&inbox->published, inbox->published_count, __ATOMIC_SEQ_CST);
}

const struct message *inbox_front(struct inbox *inbox)
{
    if (inbox->read_count == inbox->published_seen) {
        /* Pairs with the store in inbox_publish(). */
        inbox->published_seen = __atomic_load_n(&inbox->published, __ATOMIC_ACQUIRE);
        assert(inbox->published_seen - inbox->read_count <= inbox->mask + 1);
        if (inbox->read_count == inbox->published_seen)
            return NULL;
    }
    return &inbox->slots[inbox->read_count & inbox->mask];
}

void inbox_pop(struct inbox *inbox)
{
    assert(inbox->read_count != inbox->published_seen);
    inbox->read_count++;
}

void inbox_return(struct inbox *inbox)
{
    inbox_check(inbox);
    if (inbox->returned_count == inbox->read_count)
        return;
    inbox->returned_count = inbox->read_count;
    /* Pairs with the acquire in inbox_push(). */
    __atomic_store_n(&inbox->returned, inbox->returned_count, __ATOMIC_RELEASE);
}

bool inbox_has_message(const struct inbox *inbox)
{
    /* Comes after doorbell_park(); pairs with the store in inbox_publish(). */
    return __atomic_load_n(&inbox->published, __ATOMIC_SEQ_CST) != inbox->read_count;
}

void doorbell_park(struct doorbell *bell)
{
    /* Comes before inbox_has_message(); pairs with the load in doorbell_ring(). */
    __atomic_store_n(&bell->parked, 1, __ATOMIC_SEQ_CST);
}

void doorbell_unpark(struct doorbell *bell)
{
    /* A ring that comes too late costs one needless wake-up, never a lost one. */
    __atomic_store_n(&bell->parked, 0, __ATOMIC_RELAXED);
}

bool doorbell_ring(struct doorbell *bell)
{
    /* Comes after inbox_publish(); pairs with the store in doorbell_park(). */
    if (__atomic_load_n(&bell->parked, __ATOMIC_SEQ_CST) == 0)
        return false;
    return __atomic_exchange_n(&bell->parked, 0, __ATOMIC_SEQ_CST) == 1;
}

bool doorbell_is_parked(const struct doorbell *bell)
{
    /* For observers only: orders nothing. */
    return __atomic_load_n(&bell->parked, __ATOMIC_RELAXED) != 0;
}
