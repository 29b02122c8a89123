/*
 * Inbox between two real threads: ten million messages arrive once, whole and in
 * order, with the producer publishing and the consumer returning in random batches.
 * A plain program, because Criterion does not run under ThreadSanitizer.
 */
#include <pthread.h>
#include <sched.h>

#include "runtime/inbox.h"
#include "runtime/rng.h"

enum { CAPACITY = 256 };

static const uint64_t MESSAGE_COUNT = 10000000;

static struct message slots[CAPACITY];
static struct inbox inbox;

static void *produce(void *argument)
{
    struct rng rng;
    struct message msg;

    rng_init_seed(&rng, 1);
    message_init(&msg, ACTOR_ID_NONE, ACTOR_ID_NONE, MSG_ACTORS);
    for (uint64_t i = 0; i < MESSAGE_COUNT; i++) {
        msg.token = i;
        msg.as.words[9] = ~i;
        while (!inbox_push(&inbox, &msg)) {
            inbox_publish(&inbox);
            sched_yield();
        }
        if (rng_chance(&rng, 1, 7))
            inbox_publish(&inbox);
    }
    inbox_publish(&inbox);
    return argument;
}

static bool consume_all(void)
{
    struct rng rng;
    uint64_t expected = 0;

    rng_init_seed(&rng, 2);
    while (expected < MESSAGE_COUNT) {
        const struct message *msg = inbox_front(&inbox);

        if (msg == NULL) {
            inbox_return(&inbox);
            sched_yield();
            continue;
        }
        if (msg->token != expected || msg->as.words[9] != ~expected) {
            fprintf(stderr, "message %lu is wrong\n", (unsigned long)expected);
            return false;
        }
        inbox_pop(&inbox);
        expected++;
        if (rng_chance(&rng, 1, 11))
            inbox_return(&inbox);
    }
    return inbox_front(&inbox) == NULL;
}

int main(void)
{
    pthread_t producer;
    bool right;

    inbox_init(&inbox, slots, CAPACITY);
    if (pthread_create(&producer, NULL, produce, NULL) != 0)
        return 1;
    right = consume_all();
    if (!right)
        return 1; /* the producer would wait for ever */
    pthread_join(producer, NULL);
    return 0;
}
