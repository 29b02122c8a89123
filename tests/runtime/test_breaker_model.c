#include "runtime/breaker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/rng.h"
#include "tests/runtime/breaker_fixture.h"

/*
 * Random runs: beside a model of gobreaker, and against what breaker_next_ms() promises.
 */

TestSuite(breaker_model, .timeout = 20);

/* --- against gobreaker ---------------------------------------------------- */

/* What seeds' library does, written down without regard for size. */
struct model {
    int state; /* as enum breaker_state */
    uint64_t expiry_ms;
    uint32_t generation, request_count, successes_in_row, failures_in_row;
};

static void model_enter(struct model *model, int state)
{
    model->state = state;
    model->generation++;
    model->request_count = model->successes_in_row = model->failures_in_row = 0;
    model->expiry_ms = state == BREAKER_CLOSED ? now_ms + GOBREAKER.interval_ms
                       : state == BREAKER_OPEN ? now_ms + GOBREAKER.open_ms
                                               : UINT64_MAX;
}

static void model_refresh(struct model *model)
{
    if (model->expiry_ms < now_ms)
        model_enter(model, model->state == BREAKER_OPEN ? BREAKER_HALF_OPEN : BREAKER_CLOSED);
}

static bool model_admit(struct model *model)
{
    model_refresh(model);
    if (model->state == BREAKER_OPEN ||
        (model->state == BREAKER_HALF_OPEN && model->request_count >= 3))
        return false;
    model->request_count++;
    return true;
}

static void model_end(struct model *model, uint32_t generation, bool success)
{
    model_refresh(model);
    if (generation != model->generation)
        return;
    model->successes_in_row = success ? model->successes_in_row + 1 : 0;
    model->failures_in_row = success ? 0 : model->failures_in_row + 1;
    if (model->state == BREAKER_HALF_OPEN && success && model->successes_in_row >= 3)
        model_enter(model, BREAKER_CLOSED);
    else if (!success && (model->state == BREAKER_HALF_OPEN || model->failures_in_row >= 5))
        model_enter(model, BREAKER_OPEN);
}

Test(breaker_model, does_what_gobreaker_does_over_any_sequence_of_calls)
{
    enum { CALLS_MAX = 8 };
    uint32_t state_counts[3] = {0}, call_count = 0;
    struct {
        uint32_t generation, model_generation;
    } calls[CALLS_MAX];
    struct model model = {0};
    struct rng rng;

    rng_init_seed(&rng, 1);
    begin(&GOBREAKER);
    model_enter(&model, BREAKER_CLOSED);
    for (uint32_t step = 0; step < 300000; step++) {
        uint64_t action = rng_below(&rng, 100);

        if (action < 5) {
            static const uint64_t LEAPS_MS[] = {1, 7000, 30000, 30001, 60000, 60001};

            now_ms += LEAPS_MS[rng_below(&rng, ARRAY_COUNT(LEAPS_MS))];
        } else if (action < 55 && call_count < CALLS_MAX) {
            bool admitted = breaker_admit(&breaker, &policy, now_ms,
                                          &calls[call_count].generation) == BREAKER_ADMITTED;

            cr_assert(eq(int, admitted, model_admit(&model)), "step %u", step);
            calls[call_count].model_generation = model.generation;
            call_count += admitted ? 1 : 0;
        } else if (call_count > 0) {
            uint64_t n = rng_below(&rng, call_count);
            bool success = rng_chance(&rng, (step / 1000) % 10, 10);

            (void)end_call(calls[n].generation, success);
            model_end(&model, calls[n].model_generation, success);
            calls[n] = calls[--call_count];
        }
        cr_assert(eq(int, breaker_state(&breaker), model.state), "step %u", step);
        state_counts[model.state]++;
    }
    for (uint32_t i = 0; i < 3; i++)
        cr_expect(lt(u32, 1000, state_counts[i]), "state %u", i);
}

Test(breaker_model, keeps_its_word_about_when_to_ask_again)
{
    uint32_t probe_count = 0, parked_count = 0;
    struct breaker_policy mixed = ONE_PROBE;
    struct rng rng;

    rng_init_seed(&rng, 2);
    mixed.open_jitter_percent = 20;
    mixed.failure_percent = 60;
    mixed.window_calls = 20;
    mixed.window_calls_min = 10;
    begin(&mixed);
    for (uint32_t step = 0; step < 100000; step++) {
        uint64_t next_ms = breaker_next_ms(&breaker, &policy, now_ms);

        cr_assert(le(u64, next_ms, now_ms + 900001));
        if (next_ms > now_ms) {
            parked_count++;
            cr_assert(is_parked());
            now_ms = next_ms - 1;
            cr_assert(is_parked());
            now_ms = next_ms;
        }
        (void)call(rng_chance(&rng, 1, 2));
        if (breaker_state(&breaker) == BREAKER_OPEN && rng_chance(&rng, 1, 8))
            now_ms += rng_below(&rng, 2 * HOUR_MS) - HOUR_MS;
        probe_count += breaker_state(&breaker) != BREAKER_CLOSED ? 1 : 0;
    }
    cr_expect(lt(u32, 1000, probe_count));
    cr_expect(lt(u32, 1000, parked_count));
}
