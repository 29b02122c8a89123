/*
 * Bench timers: what the wheel costs on this machine with a million timers alive.
 *
 *     bench_timers [ROUNDS]    default: 5
 *
 * A million timers spread over an hour, in random order of memory: start, restart
 * (start of an armed one), stop, firing including all cascades, and a mass expiry
 * of all of them at one tick, where the longest single call is what other work of
 * the shard would have to wait for. Best and median of the rounds, on one core;
 * a shared machine takes time away, so the best is the least disturbed.
 */
#include <time.h>

#include "runtime/memory.h"
#include "runtime/rng.h"
#include "runtime/timer_wheel.h"

enum { TIMER_COUNT = 1000000, FIRE_MAX = 1024, ROUND_COUNT_MAX = 100 };

static const uint64_t MS = 1000000;
static const uint64_t HOUR_MS = 3600000;

/* What one bench measured, over the rounds. */
struct series {
    const char *name;
    const char *unit;
    double values[ROUND_COUNT_MAX];
    uint32_t count;
    bool less_is_better;
};

static struct series starts = {.name = "start", .unit = "M/s"};
static struct series restarts = {.name = "restart", .unit = "M/s"};
static struct series stops = {.name = "stop", .unit = "M/s"};
static struct series fires = {.name = "fire, with cascades", .unit = "M/s"};
static struct series expiries = {.name = "mass expiry, all", .unit = "M/s"};
static struct series longest = {
    .name = "mass expiry, longest call", .unit = "ms", .less_is_better = true};

static struct timer *timers;
static uint32_t *order;
static struct timer_wheel wheel;
static struct rng rng;
static uint64_t fired_count;

static uint64_t read_ns(void)
{
    struct timespec now;
    int r = clock_gettime(CLOCK_MONOTONIC, &now);

    assert(r == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void record(struct series *series, double value)
{
    assert(series->count < ROUND_COUNT_MAX);
    series->values[series->count++] = value;
}

static void record_rate(struct series *series, uint64_t start_ns)
{
    record(series, (double)TIMER_COUNT * 1000 / (double)(read_ns() - start_ns));
}

static void on_fire(struct timer *timer)
{
    (void)timer;
    fired_count++;
}

static void prepare(void)
{
    char *memory = NULL;
    int r;

    r = memory_map(TIMER_COUNT * sizeof(struct timer), &memory);
    assert(r == 0);
    timers = (struct timer *)(void *)memory;
    r = memory_map(TIMER_COUNT * sizeof(uint32_t), &memory);
    assert(r == 0);
    order = (uint32_t *)(void *)memory;
    rng_init_seed(&rng, 1);
    for (uint32_t i = 0; i < TIMER_COUNT; i++) {
        uint32_t other = (uint32_t)rng_below(&rng, i + 1);

        timer_init(&timers[i], on_fire);
        order[i] = order[other];
        order[other] = i;
    }
}

static void start_all(struct series *series)
{
    uint64_t start_ns = read_ns();

    for (uint32_t i = 0; i < TIMER_COUNT; i++)
        timer_start(&wheel, &timers[order[i]], wheel.now_tick * MS + rng_below(&rng, HOUR_MS * MS));
    record_rate(series, start_ns);
}

static void run_round(void)
{
    uint64_t start_ns;
    uint64_t mono_ns = 12345 * MS;
    uint64_t longest_ns = 0;

    timer_wheel_init(&wheel, mono_ns);
    start_all(&starts);
    start_all(&restarts);
    start_ns = read_ns();
    for (uint32_t i = 0; i < TIMER_COUNT; i++)
        timer_stop(&wheel, &timers[order[TIMER_COUNT - 1 - i]]);
    record_rate(&stops, start_ns);

    start_all(&starts);
    start_ns = read_ns();
    for (fired_count = 0; fired_count < TIMER_COUNT; mono_ns += MS)
        (void)timer_wheel_advance(&wheel, mono_ns, FIRE_MAX);
    record_rate(&fires, start_ns);

    for (uint32_t i = 0; i < TIMER_COUNT; i++)
        timer_start(&wheel, &timers[order[i]], mono_ns + HOUR_MS * MS);
    mono_ns += HOUR_MS * MS;
    start_ns = read_ns();
    for (fired_count = 0; fired_count < TIMER_COUNT;) {
        uint64_t call_ns = read_ns();

        (void)timer_wheel_advance(&wheel, mono_ns, FIRE_MAX);
        longest_ns = max_u64(longest_ns, read_ns() - call_ns);
    }
    record_rate(&expiries, start_ns);
    record(&longest, (double)longest_ns / 1e6);
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static void print(struct series *series)
{
    qsort(series->values, series->count, sizeof(double), compare_doubles);
    printf("%-28s best %8.2f  median %8.2f %s\n", series->name,
           series->values[series->less_is_better ? 0 : series->count - 1],
           series->values[series->count / 2], series->unit);
}

int main(int argument_count, char **arguments)
{
    long rounds = argument_count > 1 ? strtol(arguments[1], NULL, 10) : 5;

    if (rounds < 1 || rounds > ROUND_COUNT_MAX / 2) {
        fprintf(stderr, "usage: bench_timers [ROUNDS from 1 to %d]\n", (int)ROUND_COUNT_MAX / 2);
        return 2;
    }
    prepare();
    for (long i = 0; i < rounds; i++)
        run_round();
    printf("%d timers of %zu bytes over one hour, %ld rounds\n", (int)TIMER_COUNT,
           sizeof(struct timer), rounds);
    print(&starts);
    print(&restarts);
    print(&stops);
    print(&fires);
    print(&expiries);
    print(&longest);
    return 0;
}
