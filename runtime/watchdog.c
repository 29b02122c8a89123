#include "runtime/watchdog.h"

#include <errno.h>
#include <pthread.h>

#include "runtime/actor.h"
#include "runtime/memory.h"

/*
 * The shard's side is a few relaxed stores: the watchdog wants to know whether
 * something has changed in 100 ms, not what exactly and when. Only the count
 * matters; type and message type are read between two equal odd counts, so they
 * belong to that handler, but for a race that would need the handler to end
 * within these few instructions after it stood still for 100 ms.
 *
 * The thread writes its lines to descriptor 2 itself: the shard that would write
 * them is the one that is stuck.
 */

enum { WATCHDOG_SHARDS_MAX = 64 };

struct watchdog {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping; /* under mutex */
    uint32_t count;
    struct heartbeat *heartbeats[WATCHDOG_SHARDS_MAX];
    struct heartbeat_watch watches[WATCHDOG_SHARDS_MAX];
    struct clock clock;
    struct log log;
};

void heartbeat_enter(struct heartbeat *heartbeat, const struct actor_type *type,
                     uint16_t message_type)
{
    uint64_t beat = __atomic_load_n(&heartbeat->beat_count, __ATOMIC_RELAXED);

    assert((beat & 1) == 0);
    /* All relaxed: pair with the loads in heartbeat_scan(), which only compare. */
    __atomic_store_n(&heartbeat->type, type, __ATOMIC_RELAXED);
    __atomic_store_n(&heartbeat->message_type, message_type, __ATOMIC_RELAXED);
    __atomic_store_n(&heartbeat->beat_count, beat + 1, __ATOMIC_RELAXED);
}

void heartbeat_leave(struct heartbeat *heartbeat)
{
    uint64_t beat = __atomic_load_n(&heartbeat->beat_count, __ATOMIC_RELAXED);

    assert((beat & 1) == 1);
    /* Relaxed: pairs with the load in heartbeat_scan(). */
    __atomic_store_n(&heartbeat->beat_count, beat + 1, __ATOMIC_RELAXED);
}

uint64_t heartbeat_stall_count(const struct heartbeat *heartbeat)
{
    /* Relaxed: pairs with the addition in look(); a statistic. */
    return __atomic_load_n(&heartbeat->stall_count, __ATOMIC_RELAXED);
}

bool heartbeat_scan(struct heartbeat_watch *watch, struct heartbeat_stall *ret_stall)
{
    const struct heartbeat *heartbeat = watch->heartbeat;
    /* Relaxed, here and below: pair with the stores in heartbeat_enter() and _leave(). */
    uint64_t beat = __atomic_load_n(&heartbeat->beat_count, __ATOMIC_RELAXED);
    const struct actor_type *type;

    if (beat != watch->seen || (beat & 1) == 0) {
        watch->seen = beat;
        watch->reported = false;
        return false;
    }
    if (watch->reported)
        return false;
    watch->reported = true;
    type = __atomic_load_n(&heartbeat->type, __ATOMIC_RELAXED);
    *ret_stall = (struct heartbeat_stall){
        .actor_name = type->name,
        .message_type = (uint16_t)__atomic_load_n(&heartbeat->message_type, __ATOMIC_RELAXED),
    };
    return true;
}

static void look(struct watchdog *watchdog)
{
    clock_update(&watchdog->clock);
    for (uint32_t i = 0; i < watchdog->count; i++) {
        struct heartbeat_stall stall;

        if (!heartbeat_scan(&watchdog->watches[i], &stall))
            continue;
        /* Relaxed: pairs with the load in heartbeat_stall_count(). */
        __atomic_fetch_add(&watchdog->heartbeats[i]->stall_count, 1, __ATOMIC_RELAXED);
        log_event(&watchdog->log, LOG_ERROR, "watchdog", "an actor blocks its shard",
                  LOG_NUMBER("shard", i), LOG_TEXT("actor", slice_of(stall.actor_name)),
                  LOG_NUMBER("message_type", stall.message_type),
                  LOG_NUMBER("at_least_ms", WATCHDOG_PERIOD_MS));
    }
    if (watchdog->log.size > 0)
        log_flush_now(&watchdog->log);
}

/* CLOCK_MONOTONIC, because the condition variable was made to use it. */
static struct timespec next_period(void)
{
    struct clock now;
    uint64_t deadline_ns;

    clock_init(&now, &clock_source_system);
    deadline_ns = now.mono_ns + WATCHDOG_PERIOD_MS * UINT64_C(1000000);
    return (struct timespec){
        .tv_sec = (time_t)(deadline_ns / 1000000000),
        .tv_nsec = (long)(deadline_ns % 1000000000),
    };
}

static void *run_watchdog(void *argument)
{
    struct watchdog *watchdog = argument;

    pthread_setname_np(pthread_self(), "weir-watchdog");
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->stopping) {
        struct timespec until = next_period();

        if (pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until) == ETIMEDOUT)
            look(watchdog);
    }
    pthread_mutex_unlock(&watchdog->mutex);
    return NULL;
}

static void init_wake(pthread_cond_t *wake)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_watchdog(struct watchdog **watchdog)
{
    char *memory = (char *)*watchdog;

    pthread_cond_destroy(&(*watchdog)->wake);
    pthread_mutex_destroy(&(*watchdog)->mutex);
    memory_unmap(&memory, sizeof(struct watchdog));
    *watchdog = NULL;
}

int watchdog_start(struct heartbeat *const *heartbeats, uint32_t count,
                   const struct clock_source *clock_source, enum log_format format,
                   struct watchdog **ret_watchdog)
{
    struct watchdog *watchdog;
    char *memory = NULL;
    int r;

    assert(count > 0);
    assert(count <= WATCHDOG_SHARDS_MAX);
    r = memory_map(sizeof(*watchdog), &memory);
    if (r < 0)
        return r;
    watchdog = (struct watchdog *)(void *)memory;
    watchdog->count = count;
    for (uint32_t i = 0; i < count; i++) {
        watchdog->heartbeats[i] = heartbeats[i];
        watchdog->watches[i].heartbeat = heartbeats[i];
    }
    clock_init(&watchdog->clock, clock_source);
    log_init(&watchdog->log, &watchdog->clock, LOG_INFO, format);
    pthread_mutex_init(&watchdog->mutex, NULL);
    init_wake(&watchdog->wake);
    r = pthread_create(&watchdog->thread, NULL, run_watchdog, watchdog);
    if (r != 0) {
        free_watchdog(&watchdog);
        return -r;
    }
    *ret_watchdog = watchdog;
    return 0;
}

void watchdog_stop(struct watchdog **watchdog)
{
    if (*watchdog == NULL)
        return;
    pthread_mutex_lock(&(*watchdog)->mutex);
    (*watchdog)->stopping = true;
    pthread_cond_signal(&(*watchdog)->wake);
    pthread_mutex_unlock(&(*watchdog)->mutex);
    pthread_join((*watchdog)->thread, NULL);
    free_watchdog(watchdog);
}
