/*
 * Inbox: the bounded ring through which one thread hands messages to one other.
 *
 * Single producer, single consumer, messages by value. The producer publishes in
 * batches, the consumer gives places back in batches: the two threads meet in a
 * cache line once per batch, not once per message. A doorbell tells a producer
 * whether its consumer sleeps; nobody is woken who is awake.
 *
 * Sleeping, without a lost wake-up:
 *
 *     consumer                         producer
 *     doorbell_park()                  inbox_publish()
 *     inbox_has_message()? stay awake  doorbell_ring()? wake it
 *     sleep
 *
 * Each side first tells and then looks, sequentially consistent, so at least one
 * of the two sees the other.
 */
#pragma once

#include "runtime/message.h"

enum {
    INBOX_CAPACITY_MAX = 65536,
    INBOX_BATCH_MAX = 16, /* messages a producer may hold back before it publishes */
    CACHE_LINE_SIZE = 64,
};

/* Private to inbox.c; the shared counters are only touched atomically. Counters wrap. */
struct inbox {
    struct message *slots; /* read-only after inbox_init() */
    uint32_t mask;

    /* Owned by the producer. */
    uint32_t written_count __attribute__((aligned(CACHE_LINE_SIZE)));
    uint32_t published_count;
    uint32_t returned_seen;

    /* Shared: the producer stores, the consumer loads. */
    uint32_t published __attribute__((aligned(CACHE_LINE_SIZE)));

    /* Shared: the consumer stores, the producer loads. */
    uint32_t returned __attribute__((aligned(CACHE_LINE_SIZE)));

    /* Owned by the consumer. */
    uint32_t read_count __attribute__((aligned(CACHE_LINE_SIZE)));
    uint32_t returned_count;
    uint32_t published_seen;
};

/* Whether a thread sleeps; written by it, read by whoever has work for it. */
struct doorbell {
    uint32_t parked __attribute__((aligned(CACHE_LINE_SIZE)));
};

/* An empty ring. Borrows slots[0..capacity), capacity a power of two. */
void inbox_init(struct inbox *inbox, struct message *slots, uint32_t capacity);

/* Producer: copies msg in, not yet visible to the consumer. False when the ring is full. */
MUST_USE bool inbox_push(struct inbox *inbox, const struct message *msg);

/* Producer: how many pushed messages are not visible yet. */
uint32_t inbox_unpublished_count(const struct inbox *inbox);

/* Producer: makes everything pushed visible. */
void inbox_publish(struct inbox *inbox);

/* Consumer: borrows the oldest message until inbox_pop(). NULL when none is visible. */
const struct message *inbox_front(struct inbox *inbox);

/* Consumer: done with the oldest message. */
void inbox_pop(struct inbox *inbox);

/* Consumer: gives the places of popped messages back to the producer. */
void inbox_return(struct inbox *inbox);

/* Consumer: true when a message is visible; ordered after doorbell_park(). */
bool inbox_has_message(const struct inbox *inbox);

/* Says that this thread is about to sleep; it must look at its inboxes afterwards. */
void doorbell_park(struct doorbell *bell);

/* Says that this thread is awake. */
void doorbell_unpark(struct doorbell *bell);

/* True, once per sleep, when the owner sleeps and the caller must wake it. */
MUST_USE bool doorbell_ring(struct doorbell *bell);

/* True while the owner sleeps or is about to; for observers. */
bool doorbell_is_parked(const struct doorbell *bell);
