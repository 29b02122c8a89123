/*
 * Token bucket, shared: threads that take from one bucket together get what one
 * thread alone would have got, to the token. A plain program because Criterion
 * does not run under ThreadSanitizer.
 */
#include <pthread.h>
#include <stdio.h>

#include "runtime/token_bucket.h"

enum { THREAD_COUNT = 4, TRY_COUNT = 200000, BURST = 300000, RATE = 1000 };

struct taker {
    pthread_t thread;
    uint64_t now_ns;
    uint64_t taken;
};

static struct token_bucket bucket;
static pthread_barrier_t start_line;

static void *run_taker(void *argument)
{
    struct taker *taker = argument;
    uint64_t wait_ns = 0;

    pthread_barrier_wait(&start_line);
    for (int i = 0; i < TRY_COUNT; i++) {
        uint32_t cost = 1 + (uint32_t)i % 3;

        if (token_bucket_take(&bucket, taker->now_ns, cost, RATE, BURST, &wait_ns))
            taker->taken += cost;
    }
    return NULL;
}

static uint64_t run_round(uint64_t now_ns)
{
    struct taker takers[THREAD_COUNT];
    uint64_t taken = 0;

    for (int i = 0; i < THREAD_COUNT; i++) {
        takers[i] = (struct taker){.now_ns = now_ns};
        if (pthread_create(&takers[i].thread, NULL, run_taker, &takers[i]) != 0)
            return UINT64_MAX;
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        pthread_join(takers[i].thread, NULL);
        taken += takers[i].taken;
    }
    return taken;
}

int main(void)
{
    uint64_t start_ns = 1000000000;
    uint64_t full;
    uint64_t refilled;

    pthread_barrier_init(&start_line, NULL, THREAD_COUNT);
    full = run_round(start_ns);
    refilled = run_round(start_ns + 10 * (uint64_t)1000000000);
    printf("taken %llu of %d, then %llu of %d\n", (unsigned long long)full, (int)BURST,
           (unsigned long long)refilled, 10 * RATE);
    return full == BURST && refilled == 10 * RATE ? 0 : 1;
}
