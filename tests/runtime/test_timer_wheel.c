#include "runtime/timer_wheel.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <setjmp.h>
#include <signal.h>

#include "runtime/memory.h"
#include "runtime/rng.h"

enum { MS = 1000000 };

static const uint64_t YEAR_MS = 365ull * 24 * 3600 * 1000;

/* A timer that remembers when it fired. */
struct probe {
    struct timer timer;
    uint64_t deadline_ns; /* of the reference; UINT64_MAX when not armed there */
    uint64_t fire_count;
};

static struct timer_wheel wheel;
static struct probe a, b, c;
static uint64_t now_ns;
static struct probe *fired[4096];
static uint32_t fired_count;
static jmp_buf loop;

static void on_fire(struct timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);

    probe->fire_count++;
    fired[fired_count++ % ARRAY_COUNT(fired)] = probe;
}

static void setup(void)
{
    now_ns = 5 * MS;
    fired_count = 0;
    timer_wheel_init(&wheel, now_ns);
    timer_init(&a.timer, on_fire);
    timer_init(&b.timer, on_fire);
    timer_init(&c.timer, on_fire);
}

static uint32_t advance_to(uint64_t mono_ns)
{
    now_ns = mono_ns;
    return timer_wheel_advance(&wheel, mono_ns, UINT32_MAX);
}

TestSuite(timer_wheel, .init = setup, .timeout = 60);

Test(timer_wheel, is_never_early_and_rounds_up_to_the_tick)
{
    timer_start(&wheel, &a.timer, 7 * MS + 1);

    cr_expect(eq(u64, timer_wheel_next_ns(&wheel), 8 * MS));
    cr_expect(eq(u32, advance_to(8 * MS - 1), 0));
    cr_expect(eq(u32, advance_to(8 * MS), 1));
    cr_expect(eq(u64, wheel.armed_count, 0));
    cr_expect(eq(u64, timer_wheel_next_ns(&wheel), UINT64_MAX));
}

Test(timer_wheel, fires_a_deadline_in_the_past_at_the_next_advance)
{
    timer_start(&wheel, &a.timer, 1);

    cr_expect(le(u64, timer_wheel_next_ns(&wheel), now_ns));
    cr_expect(eq(u32, advance_to(now_ns), 1));
}

Test(timer_wheel, fires_in_order_of_deadline_whatever_the_order_of_start)
{
    timer_start(&wheel, &c.timer, 9000 * (uint64_t)MS);
    timer_start(&wheel, &a.timer, 10 * MS);
    timer_start(&wheel, &b.timer, 80 * MS);

    cr_assert(eq(u32, advance_to(10000 * (uint64_t)MS), 3));
    cr_expect(eq(ptr, fired[0], &a));
    cr_expect(eq(ptr, fired[1], &b));
    cr_expect(eq(ptr, fired[2], &c));
}

Test(timer_wheel, does_not_fire_a_stopped_timer)
{
    timer_start(&wheel, &a.timer, 100 * MS);
    timer_stop(&wheel, &a.timer);
    timer_stop(&wheel, &a.timer);

    cr_expect(eq(u64, timer_wheel_next_ns(&wheel), UINT64_MAX));
    cr_expect(eq(u32, advance_to(200 * MS), 0));
    cr_expect(eq(u64, wheel.armed_count, 0));
}

Test(timer_wheel, moves_a_running_timer_that_is_started_again)
{
    timer_start(&wheel, &a.timer, 100 * MS);
    timer_start(&wheel, &a.timer, 300 * (uint64_t)MS);

    cr_expect(eq(u64, wheel.armed_count, 1));
    cr_expect(eq(u32, advance_to(299 * (uint64_t)MS), 0));
    cr_expect(eq(u32, advance_to(300 * (uint64_t)MS), 1));
}

Test(timer_wheel, keeps_the_rest_due_when_the_fire_bound_is_reached)
{
    timer_start(&wheel, &a.timer, 10 * MS);
    timer_start(&wheel, &b.timer, 11 * MS);
    timer_start(&wheel, &c.timer, 12 * MS);

    cr_expect(eq(u32, timer_wheel_advance(&wheel, 20 * MS, 2), 2));
    cr_expect(le(u64, timer_wheel_next_ns(&wheel), 20 * MS));
    timer_start(&wheel, &a.timer, 1);
    cr_expect(eq(u32, timer_wheel_advance(&wheel, 20 * MS, 2), 2));
    cr_expect(eq(ptr, fired[2], &c));
    cr_expect(eq(ptr, fired[3], &a));
}

Test(timer_wheel, can_stop_a_timer_that_is_due_but_has_not_fired)
{
    timer_start(&wheel, &a.timer, 10 * MS);
    timer_start(&wheel, &b.timer, 11 * MS);
    cr_assert(eq(u32, timer_wheel_advance(&wheel, 20 * MS, 1), 1));

    timer_stop(&wheel, &b.timer);

    cr_expect(eq(u32, timer_wheel_advance(&wheel, 20 * MS, 1), 0));
    cr_expect(eq(u64, timer_wheel_next_ns(&wheel), UINT64_MAX));
}

static void restart_at_once(struct timer *timer)
{
    on_fire(timer);
    timer_start(&wheel, timer, now_ns);
}

Test(timer_wheel, fires_a_timer_that_restarts_itself_once_per_advance)
{
    timer_init(&a.timer, restart_at_once);
    timer_start(&wheel, &a.timer, 6 * MS);

    cr_expect(eq(u32, advance_to(6 * MS), 1));
    cr_expect(eq(u32, advance_to(6 * MS), 1));
    cr_expect(eq(u64, wheel.armed_count, 1));
}

static void stop_the_others(struct timer *timer)
{
    on_fire(timer);
    timer_stop(&wheel, &b.timer);
    timer_start(&wheel, &c.timer, now_ns + 5 * MS);
}

Test(timer_wheel, lets_a_callback_stop_and_move_timers_that_are_due)
{
    timer_init(&a.timer, stop_the_others);
    timer_start(&wheel, &a.timer, 10 * MS);
    timer_start(&wheel, &b.timer, 10 * MS);
    timer_start(&wheel, &c.timer, 10 * MS);

    cr_expect(eq(u32, advance_to(12 * MS), 1));
    cr_expect(eq(u64, wheel.armed_count, 1));
    cr_expect(eq(u64, timer_wheel_next_ns(&wheel), 17 * MS));
    cr_expect(eq(u32, advance_to(17 * MS), 1));
    cr_expect(eq(ptr, fired[1], &c));
}

static void leave(struct timer *timer)
{
    on_fire(timer);
    longjmp(loop, 1);
}

Test(timer_wheel, goes_on_where_it_was_after_a_callback_left_by_longjmp)
{
    timer_init(&a.timer, leave);
    timer_start(&wheel, &a.timer, 10 * MS);
    timer_start(&wheel, &b.timer, 10 * MS);
    timer_start(&wheel, &c.timer, 11 * MS);

    if (setjmp(loop) == 0)
        (void)!advance_to(20 * MS);
    cr_expect(eq(u64, wheel.armed_count, 2));
    cr_expect(eq(u32, advance_to(20 * MS), 2));
    cr_expect(eq(ptr, fired[1], &b));
    cr_expect(eq(ptr, fired[2], &c));
}

Test(timer_wheel, keeps_two_years_exact_to_the_tick)
{
    uint64_t deadline_ns = now_ns + 2 * YEAR_MS * MS;
    uint32_t step_count = 0;

    timer_start(&wheel, &a.timer, deadline_ns);
    cr_expect(eq(u32, advance_to(deadline_ns - 1), 0));
    while (fired_count == 0) {
        uint64_t next_ns = timer_wheel_next_ns(&wheel);

        cr_assert(le(u64, next_ns, deadline_ns));
        (void)!advance_to(max_u64(next_ns, now_ns));
        cr_assert(lt(u32, step_count++, 10));
    }
    cr_expect(eq(u64, now_ns, deadline_ns));
}

Test(timer_wheel, keeps_delays_beyond_the_range_of_the_top_level)
{
    uint64_t range_ms = (uint64_t)1 << 36;
    uint64_t deadlines_ns[3] = {
        now_ns + range_ms * MS,
        now_ns + (range_ms + 100) * MS,
        now_ns + (5 * range_ms + 77777) * MS,
    };
    struct probe *probes[3] = {&a, &b, &c};

    for (int i = 0; i < 3; i++)
        timer_start(&wheel, &probes[i]->timer, deadlines_ns[i]);
    for (int i = 0; i < 3; i++) {
        cr_expect(eq(u32, advance_to(deadlines_ns[i] - 1), 0));
        cr_expect(eq(u32, advance_to(deadlines_ns[i]), 1));
        cr_expect(eq(ptr, fired[i], probes[i]));
    }
}

Test(timer_wheel, treats_the_largest_instant_as_never)
{
    timer_start(&wheel, &a.timer, UINT64_MAX);

    cr_expect(eq(u32, advance_to(now_ns + 100 * YEAR_MS * MS), 0));
    cr_expect(eq(u64, wheel.armed_count, 1));
}

/* ---- against a reference: an array that is searched from end to end ---- */

enum { PROBE_COUNT = 48, MODEL_STEPS = 30000 };

static struct probe probes[PROBE_COUNT];
static struct rng rng;

static uint64_t random_delay_ns(void)
{
    uint64_t bits = rng_below(&rng, 62);

    return rng_below(&rng, (uint64_t)1 << bits) +
           (rng_chance(&rng, 1, 8) ? rng_below(&rng, MS) : 0);
}

static uint64_t tick_of(uint64_t ns)
{
    return ns / MS + (ns % MS != 0);
}

static void model_start(struct probe *probe, uint64_t delay_ns)
{
    probe->deadline_ns = now_ns + min_u64(delay_ns, UINT64_MAX / 4);
    timer_start(&wheel, &probe->timer, probe->deadline_ns);
}

static void model_stop(struct probe *probe)
{
    probe->deadline_ns = UINT64_MAX;
    timer_stop(&wheel, &probe->timer);
}

/* What fires must be armed in the reference, must not be early, must be the earliest. */
static void on_model_fire(struct timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);
    struct probe *other = &probes[rng_below(&rng, PROBE_COUNT)];

    cr_assert(le(u64, probe->deadline_ns, now_ns));
    for (int i = 0; i < PROBE_COUNT; i++) {
        /* What this advance's callbacks started late waits for the next one. */
        if (probes[i].fire_count == 0 && probes[i].deadline_ns != UINT64_MAX)
            cr_assert(le(u64, tick_of(probe->deadline_ns), tick_of(probes[i].deadline_ns)));
    }
    probe->deadline_ns = UINT64_MAX;
    probe->fire_count = 1;
    if (rng_chance(&rng, 1, 4)) {
        model_stop(other);
    } else if (rng_chance(&rng, 1, 4)) {
        other->fire_count = 1;
        model_start(other, random_delay_ns());
    }
}

static uint64_t earliest_ns(void)
{
    uint64_t earliest = UINT64_MAX;

    for (int i = 0; i < PROBE_COUNT; i++)
        earliest = min_u64(earliest, probes[i].deadline_ns);
    return earliest;
}

static void model_step(void)
{
    struct probe *probe = &probes[rng_below(&rng, PROBE_COUNT)];
    uint64_t next_ns;

    switch (rng_below(&rng, 6)) {
    case 0:
    case 1:
    case 2:
        model_start(probe, random_delay_ns());
        break;
    case 3:
        model_stop(probe);
        break;
    case 4:
        now_ns += rng_chance(&rng, 1, 20) ? random_delay_ns() >> 8 : rng_below(&rng, 200 * MS);
        break;
    default:
        next_ns = timer_wheel_next_ns(&wheel);
        if (next_ns != UINT64_MAX && next_ns < UINT64_MAX / 4)
            now_ns = max_u64(now_ns, next_ns);
        break;
    }
    for (int i = 0; i < PROBE_COUNT; i++)
        probes[i].fire_count = 0;
    (void)!timer_wheel_advance(&wheel, now_ns, UINT32_MAX);
    for (int i = 0; i < PROBE_COUNT; i++)
        cr_assert(probes[i].fire_count == 1 || probes[i].deadline_ns == UINT64_MAX ||
                      tick_of(probes[i].deadline_ns) > now_ns / MS,
                  "probe %d was due and did not fire", i);
    if (earliest_ns() < UINT64_MAX)
        cr_assert(le(u64, timer_wheel_next_ns(&wheel), tick_of(earliest_ns()) * MS));
}

Test(timer_wheel, agrees_with_a_sorted_reference_over_random_histories)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        rng_init_seed(&rng, seed);
        now_ns = rng_below(&rng, (uint64_t)1 << 50);
        timer_wheel_init(&wheel, now_ns);
        for (int i = 0; i < PROBE_COUNT; i++) {
            timer_init(&probes[i].timer, on_model_fire);
            probes[i].deadline_ns = UINT64_MAX;
        }
        for (int step = 0; step < MODEL_STEPS && now_ns < UINT64_MAX / 4; step++)
            model_step();
    }
}

/* ---- a million ---- */

enum { MANY = 1000000 };

static uint64_t last_tick;

static void on_many_fire(struct timer *timer)
{
    cr_assert(timer->deadline_tick >= last_tick);
    cr_assert(timer->deadline_tick <= now_ns / MS);
    last_tick = timer->deadline_tick;
    fired_count++;
}

static struct timer *many_new(char **ret_memory)
{
    struct timer *timers;

    cr_assert(eq(int, memory_map(MANY * sizeof(struct timer), ret_memory), 0));
    timers = (struct timer *)(void *)*ret_memory;
    for (int i = 0; i < MANY; i++)
        timer_init(&timers[i], on_many_fire);
    return timers;
}

Test(timer_wheel, fires_a_million_random_timers_in_order)
{
    char *memory = NULL;
    struct timer *timers = many_new(&memory);

    rng_init_seed(&rng, 7);
    for (int i = 0; i < MANY; i++)
        timer_start(&wheel, &timers[i], now_ns + rng_below(&rng, 3600 * 1000ull * MS));
    cr_expect(eq(u64, wheel.armed_count, MANY));
    while (wheel.armed_count > 0)
        (void)!advance_to(max_u64(now_ns, timer_wheel_next_ns(&wheel)) + 100 * MS);
    cr_expect(eq(u32, fired_count, MANY));
    memory_unmap(&memory, MANY * sizeof(struct timer));
}

Test(timer_wheel, spreads_a_mass_expiry_over_bounded_calls)
{
    char *memory = NULL;
    struct timer *timers = many_new(&memory);
    uint64_t deadline_ns = now_ns + 3600 * 1000ull * MS;

    for (int i = 0; i < MANY; i++)
        timer_start(&wheel, &timers[i], deadline_ns);
    /* The first level that must cascade is only begun by one call. */
    now_ns = deadline_ns;
    cr_expect(eq(u32, timer_wheel_advance(&wheel, now_ns, 1024), 0));
    while (wheel.armed_count > 0) {
        cr_assert(le(u64, timer_wheel_next_ns(&wheel), now_ns));
        cr_assert(le(u32, timer_wheel_advance(&wheel, now_ns, 1024), 1024));
    }
    cr_expect(eq(u32, fired_count, MANY));
    memory_unmap(&memory, MANY * sizeof(struct timer));
}

Test(timer_wheel, asks_to_be_called_again_at_once_while_a_cascade_is_unfinished)
{
    static struct timer many[2 * TIMER_MOVE_MAX];
    uint64_t boundary_ns = 64 * 64 * (uint64_t)MS;

    for (size_t i = 0; i < ARRAY_COUNT(many); i++) {
        timer_init(&many[i], on_many_fire);
        timer_start(&wheel, &many[i], boundary_ns + 1000 * (uint64_t)MS);
    }
    cr_assert(eq(u64, timer_wheel_next_ns(&wheel), boundary_ns));
    cr_expect(eq(u32, advance_to(boundary_ns), 0));
    cr_expect(eq(u64, timer_wheel_next_ns(&wheel), boundary_ns));
    for (int i = 0; i < 2; i++)
        cr_expect(eq(u32, advance_to(boundary_ns), 0));
    cr_expect(lt(u64, boundary_ns, timer_wheel_next_ns(&wheel)));
}

Test(timer_wheel, aborts_when_time_goes_back, .signal = SIGABRT)
{
    (void)!timer_wheel_advance(&wheel, now_ns - 2 * MS, 1);
}
