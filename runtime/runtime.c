/*
 * Runtime: the shards together, from runtime_new() to runtime_join().
 *
 * Everything is reserved in runtime_new(): shards, their pools, the rings between
 * them. runtime_start() makes one thread per shard and returns when each has enabled
 * its backend, so a kernel that refuses is an error of start-up, not of the loop.
 * Shard threads leave the signals to the boot thread, except those that a fault
 * raises in the thread itself.
 *
 * Three words are shared with all threads, each written at most once: exit_code,
 * unsaid_failure and stop_wanted. Whoever writes one wakes every shard afterwards.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "runtime/crash_report.h"
#include "runtime/internals.h"
#include "runtime/limits.h"
#include "runtime/memory.h"
#include "runtime/time_slice.h"

static void runtime_check(const struct runtime *runtime)
{
    assert(runtime->shard_count > 0);
    assert(runtime->shard_count <= SHARD_COUNT_MAX);
}

static size_t inbox_count(uint32_t shard_count)
{
    return (size_t)shard_count * (shard_count + 1);
}

static int map_inboxes(struct runtime *runtime)
{
    size_t count = inbox_count(runtime->shard_count);
    uint32_t capacity = runtime->config.inbox_capacity;
    char *memory = NULL;
    int r;

    runtime->inboxes_size = count * sizeof(struct inbox);
    r = memory_map(runtime->inboxes_size, &memory);
    if (r < 0)
        return r;
    runtime->inboxes = (struct inbox *)(void *)memory;
    runtime->inbox_slots_size = count * capacity * sizeof(struct message);
    r = memory_map(runtime->inbox_slots_size, &memory);
    if (r < 0)
        return r;
    runtime->inbox_slots = (struct message *)(void *)memory;
    for (size_t i = 0; i < count; i++)
        inbox_init(&runtime->inboxes[i], runtime->inbox_slots + i * capacity, capacity);
    return 0;
}

static int make_shard(struct runtime *runtime, uint32_t index)
{
    struct shard *shard;
    char *memory = NULL;
    int r;

    r = memory_map(sizeof(struct shard), &memory);
    if (r < 0)
        return r;
    shard = (struct shard *)(void *)memory;
    runtime->shards[index] = shard;
    r = memory_map(sizeof(struct shard_internals), &memory);
    if (r < 0)
        return r;
    shard->internals = (struct shard_internals *)(void *)memory;
    r = runtime->config.io_new(runtime, index, &shard->io);
    if (r < 0)
        return r;
    return shard_init(shard, runtime, index);
}

static void free_shard(struct shard **shard)
{
    char *internals = (char *)(*shard)->internals;
    char *memory = (char *)*shard;

    if (internals != NULL)
        shard_deinit(*shard);
    memory_unmap(&internals, sizeof(struct shard_internals));
    memory_unmap(&memory, sizeof(struct shard));
    *shard = NULL;
}

static int fill_runtime(struct runtime *runtime)
{
    int r = map_inboxes(runtime);

    for (uint32_t i = 0; r == 0 && i < runtime->shard_count; i++)
        r = make_shard(runtime, i);
    if (r < 0)
        return r;
    runtime_add_series(runtime);
    return 0;
}

int runtime_new(const struct runtime_config *config, struct runtime **ret_runtime)
{
    struct runtime *runtime;
    char *memory = NULL;
    int r;

    assert(config->shard_count > 0);
    assert(config->shard_count <= SHARD_COUNT_MAX);
    assert(config->registry != NULL);
    assert(is_power_of_two(config->inbox_capacity));
    r = memory_map(sizeof(*runtime), &memory);
    if (r < 0)
        return r;
    runtime = (struct runtime *)(void *)memory;
    runtime->config = *config;
    runtime->shard_count = config->shard_count;
    pthread_mutex_init(&runtime->start_mutex, NULL);
    pthread_cond_init(&runtime->start_changed, NULL);
    r = fill_runtime(runtime);
    if (r < 0) {
        runtime_free(&runtime);
        return r;
    }
    *ret_runtime = runtime;
    return 0;
}

void runtime_free(struct runtime **runtime)
{
    struct runtime *gone = *runtime;
    char *memory = (char *)gone;
    char *part;

    if (gone == NULL)
        return;
    assert(gone->thread_count == 0);
    for (uint32_t i = 0; i < gone->shard_count; i++) {
        if (gone->shards[i] != NULL)
            free_shard(&gone->shards[i]);
    }
    part = (char *)gone->inboxes;
    memory_unmap(&part, gone->inboxes_size);
    part = (char *)gone->inbox_slots;
    memory_unmap(&part, gone->inbox_slots_size);
    pthread_cond_destroy(&gone->start_changed);
    pthread_mutex_destroy(&gone->start_mutex);
    memory_unmap(&memory, sizeof(struct runtime));
    *runtime = NULL;
}

struct shard *runtime_shard(struct runtime *runtime, uint32_t index)
{
    runtime_check(runtime);
    assert(index < runtime->shard_count);
    return runtime->shards[index];
}

uint32_t runtime_shard_count(const struct runtime *runtime)
{
    return runtime->shard_count;
}

const struct runtime_config *runtime_settings(const struct runtime *runtime)
{
    return &runtime->config;
}

void runtime_add_limits(const struct runtime_config *config, struct limits *limits)
{
    uint64_t shards = config->shard_count;

    limits_add(limits, "shards", shards, sizeof(struct shard) + sizeof(struct shard_internals));
    limits_add(limits, "actor ids", shards * config->actor_count_max, sizeof(struct actor_row));
    limits_add(limits, "messages", shards * config->message_count_max, sizeof(struct message));
    limits_add(limits, "messages between shards",
               inbox_count(config->shard_count) * config->inbox_capacity, sizeof(struct message));
}

/* Puts the calling thread on the index-th CPU it may use, if there are enough for all. */
static void pin_thread(const struct runtime *runtime, uint32_t index)
{
    cpu_set_t allowed;
    cpu_set_t mine;
    uint32_t seen = 0;

    CPU_ZERO(&allowed);
    if (pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed) != 0 ||
        (uint32_t)CPU_COUNT(&allowed) < runtime->shard_count)
        return;
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || seen++ != index)
            continue;
        CPU_ZERO(&mine);
        CPU_SET(cpu, &mine);
        /* Only an optimisation: where it is not permitted, the kernel places the thread. */
        (void)pthread_setaffinity_np(pthread_self(), sizeof(mine), &mine);
        return;
    }
}

static void log_failure(struct shard *shard, int exit_code, const char *text)
{
    log_event(&shard->log, LOG_ERROR, "runtime", "stopping at once",
              LOG_TEXT("error", slice_of(text)), LOG_NUMBER("exit_code", exit_code));
}

/* A log belongs to its thread: what another thread had to say, the first shard says. */
static void log_foreign_failure(struct shard *shard)
{
    /* Pairs with the store in runtime_fail(). */
    const char *text = __atomic_load_n(&shard->runtime->unsaid_failure, __ATOMIC_ACQUIRE);

    if (shard->index == 0 && text != NULL)
        log_failure(shard, runtime_exit_code(shard->runtime), text);
}

static void report_start(struct runtime *runtime, int error)
{
    pthread_mutex_lock(&runtime->start_mutex);
    runtime->started_count++;
    if (error < 0 && runtime->start_error == 0)
        runtime->start_error = error;
    pthread_cond_signal(&runtime->start_changed);
    pthread_mutex_unlock(&runtime->start_mutex);
}

/* Only an optimisation, too: what makes rows and answers, say, must not hold up a shard. */
static void shorten_slices(void)
{
    int r = time_slice_set(SHARD_OS_SLICE_NS);

    assert(r <= 0);
}

static void *run_shard(void *argument)
{
    struct shard *shard = argument;
    char name[16];
    int r;

    (void)snprintf(name, sizeof(name), "weir-shard-%u", shard->index);
    pthread_setname_np(pthread_self(), name);
    if (shard->runtime->config.pin_threads)
        pin_thread(shard->runtime, shard->index);
    shorten_slices();
    r = crash_report_thread_start(name, &shard->internals->trace);
    if (r == 0)
        r = io_enable(shard->io);
    report_start(shard->runtime, r);
    while (r == 0 && shard_turn(shard, true)) {
    }
    if (r == 0) {
        log_foreign_failure(shard);
        shard_update_metrics(shard);
        shard_finish_log(shard);
    }
    crash_report_thread_stop();
    return NULL;
}

/* Shard threads are born with all signals blocked but those of their own faults. */
static int create_threads(struct runtime *runtime)
{
    static const int FAULTS[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t blocked;
    sigset_t before;
    int r = 0;

    sigfillset(&blocked);
    for (uint32_t i = 0; i < ARRAY_COUNT(FAULTS); i++)
        sigdelset(&blocked, FAULTS[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    for (uint32_t i = 0; r == 0 && i < runtime->shard_count; i++) {
        r = pthread_create(&runtime->threads[i], NULL, run_shard, runtime->shards[i]);
        if (r == 0)
            runtime->thread_count++;
    }
    if (r == 0 && runtime->watchdog == NULL) {
        struct heartbeat *heartbeats[SHARD_COUNT_MAX];

        for (uint32_t i = 0; i < runtime->shard_count; i++)
            heartbeats[i] = &runtime->shards[i]->internals->heartbeat;
        r = -watchdog_start(heartbeats, runtime->shard_count, runtime->config.clock_source,
                            runtime->config.log_format, &runtime->watchdog);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

/* Waits until every thread that exists has enabled its backend, or failed to. */
static int await_start(struct runtime *runtime)
{
    int r;

    pthread_mutex_lock(&runtime->start_mutex);
    while (runtime->started_count < runtime->thread_count)
        pthread_cond_wait(&runtime->start_changed, &runtime->start_mutex);
    r = runtime->start_error;
    pthread_mutex_unlock(&runtime->start_mutex);
    return r;
}

int runtime_start(struct runtime *runtime)
{
    int r;
    int started;

    runtime_check(runtime);
    assert(!runtime->config.simulated);
    assert(runtime->thread_count == 0);
    runtime_freeze_metrics(runtime);
    r = create_threads(runtime);
    started = await_start(runtime);
    if (r == 0)
        r = started;
    if (r < 0) {
        runtime_fail(runtime, SHARD_EXIT_SOFTWARE, "the shards did not start");
        runtime_join(runtime);
    }
    return r;
}

void runtime_join(struct runtime *runtime)
{
    runtime_check(runtime);
    for (uint32_t i = 0; i < runtime->thread_count; i++)
        pthread_join(runtime->threads[i], NULL);
    runtime->thread_count = 0;
    watchdog_stop(&runtime->watchdog);
}

static void wake_all(struct runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->shard_count; i++)
        io_wake(runtime->shards[i]->io);
}

void runtime_stop(struct runtime *runtime)
{
    runtime_check(runtime);
    /* Pairs with the load in runtime_stop_is_wanted(); the wake-up orders it. */
    __atomic_store_n(&runtime->stop_wanted, 1, __ATOMIC_RELAXED);
    wake_all(runtime);
}

bool runtime_stop_is_wanted(const struct runtime *runtime)
{
    /* Pairs with the store in runtime_stop(). */
    return __atomic_load_n(&runtime->stop_wanted, __ATOMIC_RELAXED) != 0;
}

enum send_result runtime_post(struct runtime *runtime, struct actor_id to, uint16_t type,
                              uint64_t token, const void *payload, size_t payload_size)
{
    uint32_t index = actor_id_shard(to);
    struct inbox *inbox;
    struct message msg = {.to = to, .type = type, .token = token};

    runtime_check(runtime);
    assert(index < runtime->shard_count);
    assert(payload_size <= MESSAGE_PAYLOAD_SIZE);
    if (payload_size > 0)
        memcpy(msg.as.bytes, payload, payload_size);
    msg.size = (uint32_t)payload_size;
    inbox = runtime_inbox(runtime, index, runtime->shard_count);
    if (!inbox_push(inbox, &msg))
        return SEND_FULL;
    inbox_publish(inbox);
    if (doorbell_ring(&runtime->shards[index]->internals->doorbell))
        io_wake(runtime->shards[index]->io);
    return SEND_OK;
}

void runtime_fail(struct runtime *runtime, int exit_code, const char *text)
{
    int none = 0;

    assert(exit_code > 0);
    /* Pairs with the load in runtime_exit_code(); the first failure is the one that counts. */
    if (!__atomic_compare_exchange_n(&runtime->exit_code, &none, exit_code, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        return;
    if (shard_of_thread != NULL)
        log_failure(shard_of_thread, exit_code, text);
    else if (runtime->thread_count == 0)
        log_failure(runtime->shards[0], exit_code, text);
    else
        /* Pairs with the load in log_foreign_failure(). */
        __atomic_store_n(&runtime->unsaid_failure, text, __ATOMIC_RELEASE);
    wake_all(runtime);
}

int runtime_exit_code(const struct runtime *runtime)
{
    /* Pairs with the exchange in runtime_fail(). */
    return __atomic_load_n(&runtime->exit_code, __ATOMIC_RELAXED);
}
