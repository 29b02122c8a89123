/*
 * Sleeping and waking between two real threads: a hundred thousand times each waits
 * for the other, with the protocol of inbox.h and an eventfd as io_wake() has it. A lost
 * wake-up would leave both asleep; poll(2) then runs into its deadline and the program
 * fails. Random pauses move the threads against each other.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/inbox.h"
#include "runtime/rng.h"

enum { CAPACITY = 16, DEADLINE_MS = 20000 };

static const uint64_t ROUND_COUNT = 100000;

struct side {
    struct inbox in;
    struct message slots[CAPACITY];
    struct doorbell bell;
    int wake_fd;
    struct rng rng;
    uint64_t sleep_count;
};

static struct side sides[2];

static void pause_randomly(struct rng *rng)
{
    uint64_t turns = rng_below(rng, 200);

    for (uint64_t i = 0; i < turns; i++)
        __asm__ volatile("" ::: "memory");
    if (rng_chance(rng, 1, 16))
        sched_yield();
}

/* False when the deadline passed without a wake-up. */
static bool sleep_until_woken(struct side *me)
{
    struct pollfd entry = {.fd = me->wake_fd, .events = POLLIN};
    uint64_t count = 0;

    me->sleep_count++;
    if (poll(&entry, 1, DEADLINE_MS) != 1)
        return false;
    return read(me->wake_fd, &count, sizeof(count)) == sizeof(count);
}

/* False when a wake-up was lost. */
static bool receive(struct side *me, uint64_t expected)
{
    const struct message *msg;

    while ((msg = inbox_front(&me->in)) == NULL) {
        pause_randomly(&me->rng);
        doorbell_park(&me->bell);
        if (!inbox_has_message(&me->in) && !sleep_until_woken(me)) {
            fprintf(stderr, "asleep for %d ms in round %lu\n", DEADLINE_MS,
                    (unsigned long)expected);
            return false;
        }
        doorbell_unpark(&me->bell);
    }
    if (msg->token != expected)
        return false;
    inbox_pop(&me->in);
    inbox_return(&me->in);
    return true;
}

static bool send_to(struct side *peer, struct rng *rng, uint64_t token)
{
    struct message msg;
    uint64_t one = 1;

    message_init(&msg, ACTOR_ID_NONE, ACTOR_ID_NONE, MSG_ACTORS);
    msg.token = token;
    if (!inbox_push(&peer->in, &msg))
        return false;
    pause_randomly(rng);
    inbox_publish(&peer->in);
    if (doorbell_ring(&peer->bell))
        return write(peer->wake_fd, &one, sizeof(one)) == sizeof(one);
    return true;
}

static bool play(uint32_t index)
{
    struct side *me = &sides[index];
    struct side *peer = &sides[1 - index];

    for (uint64_t round = 0; round < ROUND_COUNT; round++) {
        if (index == 0 && !send_to(peer, &me->rng, round))
            return false;
        if (!receive(me, round))
            return false;
        if (index == 1 && !send_to(peer, &me->rng, round))
            return false;
    }
    return true;
}

static void *run_second(void *argument)
{
    return play(1) ? &sides[1] : argument;
}

int main(void)
{
    pthread_t second;
    void *result = NULL;
    bool right;

    for (uint32_t i = 0; i < 2; i++) {
        inbox_init(&sides[i].in, sides[i].slots, CAPACITY);
        rng_init_seed(&sides[i].rng, i + 1);
        sides[i].wake_fd = eventfd(0, EFD_CLOEXEC);
        if (sides[i].wake_fd < 0)
            return 1;
    }
    if (pthread_create(&second, NULL, run_second, NULL) != 0)
        return 1;
    right = play(0);
    if (!right)
        return 1;
    pthread_join(second, &result);
    /* A run in which nobody ever slept has shown nothing. */
    return result != NULL && sides[0].sleep_count + sides[1].sleep_count > 0 ? 0 : 1;
}
