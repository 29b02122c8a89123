#include "runtime/breaker.h"

#include <errno.h>

#include "runtime/backoff.h"
#include "runtime/sim_point.h"

/*
 * Every public function that is given the time first brings the state up to it
 * (refresh), as gobreaker does: an open time or an interval that is over ends there.
 * The same place bounds until_ms, which covers a clock that was set back, a policy with
 * shorter times and a saved breaker from another machine.
 *
 * The open time is a function of the policy, open_count and salt, and not remembered:
 *
 *     min(cap, open_ms * factor^(open_count - 1) + jitter)
 *
 * It is that of runtime/backoff, with a generator seeded from open_count and salt, so
 * that it comes out the same when it is needed again: to bound until_ms, and after a
 * restart. The jitter need not be secret; it must only differ between breakers.
 */

static const uint32_t SAVED_MAGIC = 0x31524257; /* "WBR1" */

/*
 * Not every generation is saved (half-open, intervals), so one that is loaded goes on
 * well above those that the process before it can have begun since.
 */
static const uint32_t GENERATIONS_UNSAVED_MAX = 1u << 20;

/* --- policy --------------------------------------------------------------- */

static bool is_on(const struct breaker_policy *policy)
{
    return policy->consecutive_failures > 0 || policy->failure_percent > 0;
}

static bool window_is_sound(const struct breaker_policy *policy)
{
    if (policy->failure_percent == 0)
        return true;
    return policy->failure_percent <= 100 && policy->window_calls <= BREAKER_WINDOW_MAX &&
           policy->window_calls_min > 0 && policy->window_calls_min <= policy->window_calls;
}

static bool open_time_is_sound(const struct breaker_policy *policy)
{
    return policy->open_ms > 0 &&
           (policy->open_ms_cap == 0 || policy->open_ms_cap >= policy->open_ms) &&
           policy->open_jitter_percent <= 100;
}

static bool probes_are_sound(const struct breaker_policy *policy)
{
    return policy->probe_count > 0 && policy->probe_count <= BREAKER_COUNT_MAX &&
           policy->probe_successes > 0 && policy->probe_successes <= BREAKER_COUNT_MAX;
}

bool breaker_policy_is_sound(const struct breaker_policy *policy)
{
    if (!is_on(policy))
        return true;
    return policy->consecutive_failures <= BREAKER_COUNT_MAX && window_is_sound(policy) &&
           open_time_is_sound(policy) && probes_are_sound(policy);
}

/* --- state ---------------------------------------------------------------- */

/* The bits of the newest count calls. */
static uint64_t window_mask(uint32_t count)
{
    return count >= BREAKER_WINDOW_MAX ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

/* What holds of any breaker, and hence of any that was saved. */
static bool is_consistent(const struct breaker *breaker)
{
    if (breaker->window_count > BREAKER_WINDOW_MAX ||
        (breaker->window & ~window_mask(breaker->window_count)) != 0)
        return false;
    switch (breaker->state) {
    case BREAKER_CLOSED:
        return breaker->open_count == 0 && breaker->probes_out == 0 &&
               breaker->probe_success_count == 0;
    case BREAKER_OPEN:
        return breaker->open_count > 0 && breaker->window_count == 0 &&
               breaker->consecutive_failures == 0 && breaker->probes_out == 0 &&
               breaker->probe_success_count == 0;
    case BREAKER_HALF_OPEN:
        return breaker->open_count > 0 && breaker->window_count == 0 &&
               breaker->consecutive_failures == 0 && breaker->until_ms == 0;
    default:
        return false;
    }
}

static void breaker_check(const struct breaker *breaker, const struct breaker_policy *policy,
                          uint64_t now_ms)
{
    assert(is_consistent(breaker));
    assert(breaker_policy_is_sound(policy));
    assert(now_ms <= INT64_MAX); /* so that no sum with a duration overflows */
}

static uint64_t open_time_ms(const struct breaker *breaker, const struct breaker_policy *policy)
{
    struct backoff growth = {
        .min_ms = policy->open_ms,
        .max_ms = policy->open_ms_cap != 0 ? policy->open_ms_cap : policy->open_ms,
        .factor = policy->open_factor,
        .jitter_percent = policy->open_jitter_percent,
    };
    struct rng rng;

    assert(breaker->open_count > 0);
    rng_init_seed(&rng, (uint64_t)breaker->salt << 16 | breaker->open_count);
    return backoff_delay_ms(&growth, breaker->open_count - 1u, &rng);
}

static void begin_generation(struct breaker *breaker, enum breaker_state state, uint64_t until_ms)
{
    breaker->state = (uint8_t)state;
    breaker->until_ms = until_ms;
    breaker->generation++;
    breaker->window = 0;
    breaker->window_count = 0;
    breaker->consecutive_failures = 0;
    breaker->probes_out = 0;
    breaker->probe_success_count = 0;
}

static void begin_interval(struct breaker *breaker, const struct breaker_policy *policy,
                           uint64_t now_ms)
{
    breaker->open_count = 0;
    begin_generation(breaker, BREAKER_CLOSED,
                     policy->interval_ms > 0 ? now_ms + policy->interval_ms : 0);
}

static void open_now(struct breaker *breaker, const struct breaker_policy *policy, uint64_t now_ms)
{
    SOMETIMES("a breaker opens");
    if (breaker->open_count < UINT16_MAX)
        breaker->open_count++;
    begin_generation(breaker, BREAKER_OPEN, now_ms + open_time_ms(breaker, policy));
}

/* Brings the state up to now_ms. */
static void refresh(struct breaker *breaker, const struct breaker_policy *policy, uint64_t now_ms)
{
    switch ((enum breaker_state)breaker->state) {
    case BREAKER_CLOSED:
        if (policy->interval_ms == 0)
            breaker->until_ms = 0;
        else if (breaker->until_ms == 0)
            breaker->until_ms = now_ms + policy->interval_ms; /* the policy had none before */
        else if (breaker->until_ms < now_ms)
            begin_interval(breaker, policy, now_ms);
        else
            breaker->until_ms = min_u64(breaker->until_ms, now_ms + policy->interval_ms);
        break;
    case BREAKER_OPEN:
        if (!is_on(policy))
            begin_interval(breaker, policy, now_ms);
        else if (breaker->until_ms < now_ms)
            begin_generation(breaker, BREAKER_HALF_OPEN, 0);
        else
            breaker->until_ms = min_u64(breaker->until_ms, now_ms + open_time_ms(breaker, policy));
        break;
    case BREAKER_HALF_OPEN:
        /* Under another policy it may have had its successes: nobody is left to report. */
        if (!is_on(policy) || breaker->probe_success_count >= policy->probe_successes)
            begin_interval(breaker, policy, now_ms);
        break;
    }
}

static bool probe_is_free(const struct breaker *breaker, const struct breaker_policy *policy)
{
    return breaker->probes_out < policy->probe_count &&
           (uint32_t)breaker->probes_out + breaker->probe_success_count < policy->probe_successes;
}

/* --- life ----------------------------------------------------------------- */

void breaker_init(struct breaker *breaker, const struct breaker_policy *policy, uint64_t now_ms,
                  uint16_t salt)
{
    *breaker = (struct breaker){.salt = salt};
    breaker_check(breaker, policy, now_ms);
    begin_interval(breaker, policy, now_ms);
}

enum breaker_admission breaker_admit(struct breaker *breaker, const struct breaker_policy *policy,
                                     uint64_t now_ms, uint32_t *ret_generation)
{
    breaker_check(breaker, policy, now_ms);
    refresh(breaker, policy, now_ms);
    if (breaker->state == BREAKER_OPEN)
        return BREAKER_PARKED;
    if (breaker->state == BREAKER_HALF_OPEN) {
        if (!probe_is_free(breaker, policy) && !MUTANT("breaker_many_probes"))
            return BREAKER_PARKED;
        SOMETIMES("a breaker lets a probe through");
        breaker->probes_out++;
    }
    *ret_generation = breaker->generation;
    return BREAKER_ADMITTED;
}

uint64_t breaker_next_ms(const struct breaker *breaker, const struct breaker_policy *policy,
                         uint64_t now_ms)
{
    struct breaker then = *breaker;

    breaker_check(breaker, policy, now_ms);
    refresh(&then, policy, now_ms);
    switch ((enum breaker_state)then.state) {
    case BREAKER_OPEN:
        return then.until_ms + 1;
    case BREAKER_HALF_OPEN:
        return probe_is_free(&then, policy) ? now_ms : BREAKER_AT_NEXT_RESULT;
    case BREAKER_CLOSED:
    default:
        return now_ms;
    }
}

static void count_call(struct breaker *breaker, bool success)
{
    breaker->window = breaker->window << 1 | (success ? 0 : 1);
    if (breaker->window_count < BREAKER_WINDOW_MAX)
        breaker->window_count++;
    if (success)
        breaker->consecutive_failures = 0;
    else if (breaker->consecutive_failures < BREAKER_COUNT_MAX)
        breaker->consecutive_failures++;
}

static bool is_to_trip(const struct breaker *breaker, const struct breaker_policy *policy)
{
    uint32_t call_count = (uint32_t)min_u64(breaker->window_count, policy->window_calls);
    uint32_t failure_count =
        (uint32_t)__builtin_popcountll(breaker->window & window_mask(call_count));

    if (policy->consecutive_failures > 0 &&
        breaker->consecutive_failures >= policy->consecutive_failures)
        return true;
    return policy->failure_percent > 0 && call_count >= policy->window_calls_min &&
           failure_count * 100 >= policy->failure_percent * call_count;
}

/* A call's outcome while closed. True when it trips the breaker. */
static bool on_call(struct breaker *breaker, const struct breaker_policy *policy, uint64_t now_ms,
                    bool success)
{
    count_call(breaker, success);
    if (success || !is_to_trip(breaker, policy) || MUTANT("breaker_never_opens"))
        return false;
    open_now(breaker, policy, now_ms);
    return true;
}

/* A probe's outcome while half-open. True when it opens or closes the breaker. */
static bool on_probe(struct breaker *breaker, const struct breaker_policy *policy, uint64_t now_ms,
                     bool success)
{
    assert(breaker->probes_out > 0); /* each admitted call reports once */
    breaker->probes_out--;
    if (!success) {
        open_now(breaker, policy, now_ms);
        return true;
    }
    breaker->probe_success_count++;
    if (breaker->probe_success_count < policy->probe_successes)
        return false;
    SOMETIMES("a breaker closes again");
    begin_interval(breaker, policy, now_ms);
    return true;
}

bool breaker_on_result(struct breaker *breaker, const struct breaker_policy *policy,
                       uint64_t now_ms, uint32_t generation, bool success)
{
    breaker_check(breaker, policy, now_ms);
    refresh(breaker, policy, now_ms);
    if (generation != breaker->generation) {
        SOMETIMES("a breaker ignores the result of an older generation");
        return false;
    }
    assert(breaker->state != BREAKER_OPEN); /* it has admitted nothing in its generation */
    return breaker->state == BREAKER_CLOSED ? on_call(breaker, policy, now_ms, success)
                                            : on_probe(breaker, policy, now_ms, success);
}

void breaker_release(struct breaker *breaker, uint32_t generation)
{
    assert(is_consistent(breaker));
    if (generation != breaker->generation || breaker->state != BREAKER_HALF_OPEN)
        return;
    assert(breaker->probes_out > 0);
    breaker->probes_out--;
}

enum breaker_state breaker_state(const struct breaker *breaker)
{
    assert(is_consistent(breaker));
    return (enum breaker_state)breaker->state;
}

struct slice breaker_state_name(enum breaker_state state)
{
    static const struct slice NAMES[] = {
        [BREAKER_CLOSED] = SLICE_INITIALIZER("closed"),
        [BREAKER_OPEN] = SLICE_INITIALIZER("open"),
        [BREAKER_HALF_OPEN] = SLICE_INITIALIZER("half_open"),
    };

    assert(state < ARRAY_COUNT(NAMES));
    return NAMES[state];
}

void breaker_look(const struct breaker *breaker, struct breaker_view *ret_view)
{
    enum breaker_state state = breaker_state(breaker);

    *ret_view = (struct breaker_view){
        .state = state,
        .failure_count = breaker->consecutive_failures,
        .open_count = breaker->open_count,
        .until_ms = state == BREAKER_OPEN ? breaker->until_ms : 0,
    };
}

/* --- durable form --------------------------------------------------------- */

static void put(struct breaker_saved *saved, size_t offset, size_t size, uint64_t value)
{
    assert(offset + size <= sizeof(saved->bytes));
    for (size_t i = 0; i < size; i++)
        saved->bytes[offset + i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const struct breaker_saved *saved, size_t offset, size_t size)
{
    uint64_t value = 0;

    assert(offset + size <= sizeof(saved->bytes));
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)saved->bytes[offset + i] << (8 * i);
    return value;
}

void breaker_save(const struct breaker *breaker, struct breaker_saved *ret_saved)
{
    assert(is_consistent(breaker));
    put(ret_saved, 0, 4, SAVED_MAGIC);
    put(ret_saved, 4, 1, breaker->state);
    put(ret_saved, 5, 1, breaker->window_count);
    put(ret_saved, 6, 2, breaker->consecutive_failures);
    put(ret_saved, 8, 8, breaker->until_ms);
    put(ret_saved, 16, 8, breaker->window);
    put(ret_saved, 24, 4, breaker->generation);
    put(ret_saved, 28, 2, breaker->open_count);
    put(ret_saved, 30, 2, breaker->salt);
}

int breaker_load(struct breaker *breaker, const struct breaker_saved *saved)
{
    struct breaker loaded = {
        .state = (uint8_t)get(saved, 4, 1),
        .window_count = (uint8_t)get(saved, 5, 1),
        .consecutive_failures = (uint16_t)get(saved, 6, 2),
        .until_ms = get(saved, 8, 8),
        .window = get(saved, 16, 8),
        .generation = (uint32_t)get(saved, 24, 4),
        .open_count = (uint16_t)get(saved, 28, 2),
        .salt = (uint16_t)get(saved, 30, 2),
    };

    if (get(saved, 0, 4) != SAVED_MAGIC || !is_consistent(&loaded))
        return -EBADMSG;
    if (loaded.state == BREAKER_HALF_OPEN)
        loaded.state = BREAKER_OPEN; /* and due, as its time, 0, is over */
    loaded.generation += GENERATIONS_UNSAVED_MAX;
    *breaker = loaded;
    assert(is_consistent(breaker));
    return 0;
}
