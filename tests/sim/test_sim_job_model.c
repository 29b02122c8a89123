#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tools/sim/sim_job_leases.h"

/*
 * The reference queue must refuse what a correct server cannot say: here wrong answers are
 * planted, one for each promise, beside the right ones.
 */
static struct sim_job_model model;

enum { BOOT = 1, LEASE_S = 30 };

static const struct sim_job_spec PLAIN = {.priority = 3, .max_attempts = 3};

static void setup(void)
{
    memset(&model, 0, sizeof(model));
    sim_job_model_init(&model);
    model.life = 1;
    model.now_ns = 1000000000;
}

static void pass_ms(uint64_t ms)
{
    model.now_ns += ms * 1000000;
}

/* The id that the server gives the n-th job. */
static struct slice id_of(uint32_t n)
{
    static char texts[8][SIM_JOB_ID_SIZE + 1];
    static uint32_t turn;
    char *text = texts[turn++ % ARRAY_COUNT(texts)];

    snprintf(text, SIM_JOB_ID_SIZE + 1, "01941f29-0000-7000-8000-%012x", n);
    return (struct slice){text, SIM_JOB_ID_SIZE};
}

static struct sim_job_ask send(uint32_t job)
{
    struct sim_job_ask ask = sim_job_model_ask(&model);

    sim_job_send(&model, job);
    return ask;
}

/* Sends it and is told that it is the n-th. */
static const char *enqueue_as(uint32_t job, uint32_t n, bool is_duplicate)
{
    struct sim_job_ask ask = send(job);

    pass_ms(1);
    return sim_job_accepted(&model, job, id_of(n), is_duplicate, &ask);
}

static uint32_t enqueue(const struct sim_job_spec *spec)
{
    uint32_t job = sim_job_model_add(&model, spec);

    cr_assert(eq(ptr, (void *)enqueue_as(job, job, false), NULL));
    return job;
}

static uint64_t epoch_of(uint32_t boot, uint32_t delivery)
{
    return (uint64_t)boot << 32 | delivery;
}

static const char *lease_under(uint32_t job, uint64_t epoch, uint32_t attempt, uint32_t *ret_lease)
{
    struct sim_job_ask ask = sim_job_model_ask(&model);
    struct sim_job_leased leased = {
        .id = id_of(job),
        .job = job,
        .queue = model.jobs[job].spec.queue,
        .epoch = epoch,
        .attempt = attempt,
        .max_attempts = model.jobs[job].spec.max_attempts,
        .lease_ms = LEASE_S * 1000,
    };

    pass_ms(1);
    return sim_job_lease(&model, &leased, &ask, ret_lease);
}

/* The first attempt, under this delivery. */
static uint32_t lease(uint32_t job, uint32_t delivery)
{
    uint32_t index = 0;

    cr_assert(eq(ptr, (void *)lease_under(job, epoch_of(BOOT, delivery), 1, &index), NULL));
    return index;
}

/* True when the job may be leased now. */
static bool may_lease(uint32_t job, uint32_t delivery, uint32_t attempt)
{
    uint32_t index;

    return lease_under(job, epoch_of(BOOT, delivery), attempt, &index) == NULL;
}

static const char *finish_with(uint32_t index, bool is_failure, enum sim_job_outcome outcome)
{
    struct sim_job_finish finish = {.lease = index, .is_failure = is_failure, .is_retryable = true};
    struct sim_job_ask ask = sim_job_model_ask(&model);

    sim_job_finish(&model, &finish);
    pass_ms(1);
    return sim_job_finished(&model, &finish, outcome, &ask);
}

static bool may_finish(uint32_t index, bool is_failure, enum sim_job_outcome outcome)
{
    return finish_with(index, is_failure, outcome) == NULL;
}

static bool may_look(uint32_t job, const struct sim_job_look *look)
{
    struct sim_job_ask ask = sim_job_model_ask(&model);

    return sim_job_looked(&model, job, look, &ask) == NULL;
}

TestSuite(sim_job_model, .init = setup, .timeout = 5);

/* --- enqueueing ----------------------------------------------------------------- */

Test(sim_job_model, lets_a_job_have_one_id_and_be_new_once)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t job;

    spec.unique = SIM_JOB_UNIQUE_IDEMPOTENCY;
    spec.unique_key = 64;
    job = enqueue(&spec);
    cr_expect(eq(ptr, (void *)enqueue_as(job, job, true), NULL));
    cr_expect(ne(ptr, (void *)enqueue_as(job, job, false), NULL));
    cr_expect(ne(ptr, (void *)enqueue_as(job, 99, true), NULL));
}

Test(sim_job_model, calls_no_job_a_duplicate_that_is_not_unique)
{
    uint32_t job = sim_job_model_add(&model, &PLAIN);

    cr_expect(ne(ptr, (void *)enqueue_as(job, job, true), NULL));
}

Test(sim_job_model, gives_no_two_jobs_the_same_id)
{
    uint32_t first = enqueue(&PLAIN), second = sim_job_model_add(&model, &PLAIN);

    cr_expect(ne(ptr, (void *)enqueue_as(second, first, false), NULL));
}

Test(sim_job_model, wants_a_singleton_to_be_alone_while_it_lives)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t first, second, third;

    spec.unique = SIM_JOB_UNIQUE_SINGLETON;
    spec.unique_key = 5;
    first = enqueue(&spec);
    second = sim_job_model_add(&model, &spec);
    cr_expect(eq(ptr, (void *)enqueue_as(second, first, true), NULL));
    cr_expect(not(may_lease(second, 1, 1)), "a duplicate is never run");
    third = sim_job_model_add(&model, &spec);
    cr_expect(ne(ptr, (void *)enqueue_as(third, third, false), NULL));
}

Test(sim_job_model, lets_a_singleton_be_new_when_the_first_has_ended)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t first, second;

    spec.unique = SIM_JOB_UNIQUE_SINGLETON;
    spec.unique_key = 5;
    first = enqueue(&spec);
    cr_assert(may_finish(lease(first, 1), false, SIM_JOB_OUTCOME_COMPLETED));
    second = sim_job_model_add(&model, &spec);
    cr_expect(ne(ptr, (void *)enqueue_as(second, first, true), NULL));
    second = sim_job_model_add(&model, &spec);
    cr_expect(eq(ptr, (void *)enqueue_as(second, second, false), NULL));
}

Test(sim_job_model, knows_the_window_of_a_throttle)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t first, second;

    spec.unique = SIM_JOB_UNIQUE_THROTTLE;
    spec.unique_key = 6;
    spec.unique_ms = 1000;
    first = enqueue(&spec);
    second = sim_job_model_add(&model, &spec);
    cr_expect(ne(ptr, (void *)enqueue_as(second, second, false), NULL));
    pass_ms(1100);
    second = sim_job_model_add(&model, &spec);
    cr_expect(ne(ptr, (void *)enqueue_as(second, first, true), NULL));
    second = sim_job_model_add(&model, &spec);
    cr_expect(eq(ptr, (void *)enqueue_as(second, second, false), NULL));
}

Test(sim_job_model, wants_the_last_of_the_debounced_to_win)
{
    struct sim_job_spec spec = PLAIN;
    struct sim_job_ask ask;
    struct sim_job_leased leased;
    uint32_t first, second, index;

    spec.unique = SIM_JOB_UNIQUE_DEBOUNCE;
    spec.unique_key = 7;
    spec.unique_ms = 100;
    first = enqueue(&spec);
    second = sim_job_model_add(&model, &spec);
    cr_assert(eq(ptr, (void *)enqueue_as(second, first, false), NULL));
    pass_ms(200);
    ask = sim_job_model_ask(&model);
    leased = (struct sim_job_leased){.id = id_of(first),
                                     .job = first,
                                     .epoch = epoch_of(BOOT, 1),
                                     .attempt = 1,
                                     .max_attempts = 3,
                                     .lease_ms = 5000};
    cr_expect(ne(ptr, (void *)sim_job_lease(&model, &leased, &ask, &index), NULL));
    leased.job = second;
    cr_expect(eq(ptr, (void *)sim_job_lease(&model, &leased, &ask, &index), NULL));
}

Test(sim_job_model, gives_an_idempotency_key_to_one_request)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t other;

    spec.unique = SIM_JOB_UNIQUE_IDEMPOTENCY;
    spec.unique_key = 64;
    enqueue(&spec);
    other = sim_job_model_add(&model, &spec);
    cr_expect(sim_job_may_conflict(&model, other));
    cr_expect(ne(ptr, (void *)enqueue_as(other, other, false), NULL));
    spec.unique_key = 128;
    other = sim_job_model_add(&model, &spec);
    cr_expect(not(sim_job_may_conflict(&model, other)));
}

/* --- leases ------------------------------------------------------------------------ */

Test(sim_job_model, runs_what_was_sent_and_only_that)
{
    uint32_t job = sim_job_model_add(&model, &PLAIN), index;

    cr_expect(not(may_lease(job, 1, 1)), "nobody sent it");
    (void)send(job);
    sim_job_refused(&model, job);
    cr_expect(ne(ptr, (void *)lease_under(job, epoch_of(BOOT, 1), 1, &index), NULL), "refused");
    (void)send(job);
    sim_job_unknown(&model, job);
    cr_expect(may_lease(job, 1, 1), "it may be there");
}

Test(sim_job_model, leases_a_job_to_one_worker_at_a_time)
{
    uint32_t job = enqueue(&PLAIN);

    (void)lease(job, 1);
    cr_expect(not(may_lease(job, 2, 1)), "the first is in force");
    pass_ms(LEASE_S * 1000);
    cr_expect(may_lease(job, 2, 2));
}

Test(sim_job_model, lets_leases_die_with_their_process)
{
    uint32_t job = enqueue(&PLAIN), index;

    (void)lease(job, 1);
    model.life++;
    cr_expect(eq(ptr, (void *)lease_under(job, epoch_of(2, 1), 1, &index), NULL));
    cr_expect(not(may_lease(enqueue(&PLAIN), 9, 1)), "of an earlier start");
}

Test(sim_job_model, gives_no_epoch_twice_and_none_that_is_smaller)
{
    uint32_t job = enqueue(&PLAIN);

    (void)lease(job, 5);
    pass_ms(LEASE_S * 1000);
    cr_expect(not(may_lease(job, 5, 2)));
    cr_expect(not(may_lease(job, 4, 2)));
    cr_expect(may_lease(job, 6, 2));
}

Test(sim_job_model, counts_attempts)
{
    uint32_t job = enqueue(&PLAIN);

    cr_expect(not(may_lease(job, 1, 2)), "there was none before");
    cr_assert(may_finish(lease(job, 1), true, SIM_JOB_OUTCOME_FAILED));
    cr_expect(not(may_lease(job, 2, 1)), "the first is not counted");
    cr_expect(not(may_lease(job, 2, 4)), "more than may be");
    cr_expect(may_lease(job, 2, 2));
}

Test(sim_job_model, counts_attempts_of_those_whose_answer_is_still_to_come)
{
    uint32_t job = enqueue(&PLAIN);

    cr_expect(not(may_lease(job, 1, 2)), "nobody can have been given it");
    sim_job_lease_ask(&model, 0);
    cr_expect(may_lease(job, 1, 2), "somebody may have been");
    sim_job_lease_answered(&model, 0);
}

Test(sim_job_model, never_runs_again_what_has_completed)
{
    uint32_t job = enqueue(&PLAIN);

    cr_assert(may_finish(lease(job, 1), false, SIM_JOB_OUTCOME_COMPLETED));
    pass_ms(LEASE_S * 1000);
    cr_expect(not(may_lease(job, 2, 1)));
    cr_expect(not(may_lease(job, 2, 2)));
}

Test(sim_job_model, never_runs_what_is_dead_or_cancelled)
{
    struct sim_job_spec spec = PLAIN;
    struct sim_job_ask ask;
    uint32_t dead, cancelled = enqueue(&PLAIN);

    spec.max_attempts = 1;
    dead = enqueue(&spec);
    cr_assert(may_finish(lease(dead, 1), true, SIM_JOB_OUTCOME_FAILED));
    cr_expect(not(may_lease(dead, 2, 2)));
    ask = sim_job_model_ask(&model);
    sim_job_cancel(&model, cancelled);
    cr_assert(eq(ptr, (void *)sim_job_cancelled(&model, cancelled, &ask), NULL));
    cr_expect(not(may_lease(cancelled, 3, 1)));
}

Test(sim_job_model, waits_for_the_time_of_a_job)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t job;

    spec.delay_ms = 1000;
    job = enqueue(&spec);
    cr_expect(not(may_lease(job, 1, 1)));
    pass_ms(1000);
    cr_expect(may_lease(job, 1, 1));
}

Test(sim_job_model, waits_as_long_as_a_worker_asked_for)
{
    uint32_t job = enqueue(&PLAIN);
    struct sim_job_finish finish = {
        .lease = lease(job, 1), .is_failure = true, .is_retryable = true, .retry_after_ms = 500};
    struct sim_job_ask ask = sim_job_model_ask(&model);

    sim_job_finish(&model, &finish);
    cr_assert(
        eq(ptr, (void *)sim_job_finished(&model, &finish, SIM_JOB_OUTCOME_FAILED, &ask), NULL));
    cr_expect(not(may_lease(job, 2, 2)));
    pass_ms(500);
    cr_expect(may_lease(job, 2, 2));
}

Test(sim_job_model, runs_the_jobs_of_a_key_in_order_and_one_at_a_time)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t first, second;

    spec.key = 1;
    first = enqueue(&spec);
    second = enqueue(&spec);
    cr_expect(not(may_lease(second, 1, 1)));
    cr_assert(may_finish(lease(first, 1), true, SIM_JOB_OUTCOME_FAILED));
    cr_expect(not(may_lease(second, 2, 1)), "the first waits for its next attempt");
    pass_ms(1000);
    cr_assert(may_lease(first, 2, 2));
    cr_assert(may_finish(model.jobs[first].latest_lease, false, SIM_JOB_OUTCOME_COMPLETED));
    cr_expect(may_lease(second, 3, 1));
}

Test(sim_job_model, runs_a_job_when_those_it_comes_after_have_ended_as_it_wants)
{
    struct sim_job_spec spec = PLAIN;
    uint32_t first = enqueue(&PLAIN), failing, other;

    spec.after_count = 1;
    spec.after[0] = first;
    spec.on_failure = SIM_JOB_ON_FAILURE_FAIL;
    failing = enqueue(&spec);
    spec.on_failure = SIM_JOB_ON_FAILURE_IGNORE;
    other = enqueue(&spec);
    cr_expect(not(may_lease(failing, 1, 1)));
    sim_job_cancel(&model, first);
    cr_assert(eq(ptr, (void *)sim_job_note_end(&model, first, SIM_JOB_CANCELLED, 0), NULL));
    cr_expect(not(may_lease(failing, 1, 1)), "one that it comes after has failed");
    cr_expect(not(may_lease(other, 2, 1)), "and this one must be told");
}

Test(sim_job_model, keeps_a_queue_within_its_concurrency)
{
    uint32_t first = enqueue(&PLAIN), second = enqueue(&PLAIN);

    sim_job_queue_change(&model.queues[0], &(struct sim_job_settings){.concurrency = 1});
    sim_job_queue_changed(&model.queues[0], sim_job_model_tick(&model), 1);
    (void)lease(first, 1);
    cr_expect(not(may_lease(second, 2, 1)));
    model.tenant_concurrency = 1;
    sim_job_queue_change(&model.queues[0], &(struct sim_job_settings){.concurrency = 2});
    sim_job_queue_changed(&model.queues[0], sim_job_model_tick(&model), 1);
    cr_expect(not(may_lease(second, 2, 1)), "the project is at its limit");
    model.tenant_concurrency = 0;
    cr_expect(may_lease(second, 2, 1));
}

Test(sim_job_model, runs_nothing_of_a_queue_that_is_surely_paused)
{
    uint32_t job = enqueue(&PLAIN);
    const struct sim_job_settings paused = {.is_paused = true}, open = {.is_paused = false};

    sim_job_queue_change(&model.queues[0], &paused);
    sim_job_queue_changed(&model.queues[0], sim_job_model_tick(&model), 1);
    cr_expect(not(may_lease(job, 1, 1)));
    sim_job_queue_change(&model.queues[0], &open);
    cr_expect(may_lease(job, 1, 1), "it may be open by now");
    sim_job_queue_in_doubt(&model.queues[0], 1);
    sim_job_queue_change(&model.queues[0], &paused);
    sim_job_queue_changed(&model.queues[0], sim_job_model_tick(&model), 1);
    cr_expect(may_lease(enqueue(&PLAIN), 2, 1), "the one in doubt may come yet");
}

Test(sim_job_model, lets_the_more_urgent_go_first_and_those_that_have_waited)
{
    struct sim_job_spec low = PLAIN, high = PLAIN;
    uint32_t old, urgent, fresh;

    low.priority = 0;
    high.priority = 1;
    old = enqueue(&low);
    pass_ms(5);
    urgent = enqueue(&high);
    pass_ms(5);
    cr_expect(not(may_lease(old, 1, 1)));
    cr_assert(may_lease(urgent, 1, 1));
    pass_ms(61000);
    fresh = enqueue(&high);
    pass_ms(5);
    cr_expect(not(may_lease(fresh, 2, 1)));
    cr_expect(may_lease(old, 2, 1));
}

/* --- outcomes ---------------------------------------------------------------------- */

Test(sim_job_model, takes_a_completion_once)
{
    uint32_t index = lease(enqueue(&PLAIN), 1);

    cr_assert(may_finish(index, false, SIM_JOB_OUTCOME_COMPLETED));
    cr_expect(may_finish(index, false, SIM_JOB_OUTCOME_DUPLICATE));
    cr_expect(not(may_finish(index, false, SIM_JOB_OUTCOME_COMPLETED)));
}

Test(sim_job_model, calls_nothing_a_repetition_that_was_said_once)
{
    uint32_t index = lease(enqueue(&PLAIN), 1);

    cr_expect(not(may_finish(index, false, SIM_JOB_OUTCOME_DUPLICATE)));
    setup();
    index = lease(enqueue(&PLAIN), 1);
    cr_assert(may_finish(index, false, SIM_JOB_OUTCOME_UNKNOWN));
    cr_expect(may_finish(index, false, SIM_JOB_OUTCOME_DUPLICATE));
}

Test(sim_job_model, takes_no_epoch_but_the_latest)
{
    uint32_t job = enqueue(&PLAIN), old = lease(job, 1), index;

    pass_ms(LEASE_S * 1000);
    cr_assert(may_lease(job, 2, 2));
    cr_expect(not(may_finish(old, false, SIM_JOB_OUTCOME_COMPLETED)));
    cr_expect(may_finish(old, false, SIM_JOB_OUTCOME_STALE));
    setup();
    job = enqueue(&PLAIN);
    old = lease(job, 1);
    model.life++;
    cr_assert(eq(ptr, (void *)lease_under(enqueue(&PLAIN), epoch_of(2, 1), 1, &index), NULL));
    cr_expect(not(may_finish(old, false, SIM_JOB_OUTCOME_COMPLETED)), "of an earlier start");
}

Test(sim_job_model, takes_no_two_outcomes_of_one_attempt)
{
    uint32_t index = lease(enqueue(&PLAIN), 1);

    cr_assert(may_finish(index, true, SIM_JOB_OUTCOME_FAILED));
    cr_expect(not(may_finish(index, true, SIM_JOB_OUTCOME_FAILED)));
    cr_expect(not(may_finish(index, false, SIM_JOB_OUTCOME_COMPLETED)));
}

Test(sim_job_model, calls_no_lease_stale_that_is_in_force)
{
    uint32_t index = lease(enqueue(&PLAIN), 1);

    cr_expect(not(may_finish(index, false, SIM_JOB_OUTCOME_STALE)));
    pass_ms(LEASE_S * 1000);
    cr_expect(may_finish(index, false, SIM_JOB_OUTCOME_STALE));
}

Test(sim_job_model, holds_a_lease_for_as_long_as_it_was_extended)
{
    uint32_t index = lease(enqueue(&PLAIN), 1);
    struct sim_job_ask ask;

    pass_ms(LEASE_S * 1000 - 100);
    ask = sim_job_model_ask(&model);
    cr_assert(eq(ptr, (void *)sim_job_extended(&model, index, 10000, &ask), NULL));
    pass_ms(9000);
    cr_expect(ne(ptr, (void *)sim_job_called_stale(&model, index, false), NULL));
    pass_ms(1000);
    cr_expect(eq(ptr, (void *)sim_job_called_stale(&model, index, false), NULL));
}

/* --- looking ------------------------------------------------------------------------ */

Test(sim_job_model, sees_a_job_as_it_was_told)
{
    uint32_t job = enqueue(&PLAIN);
    struct sim_job_look look = {.max_attempts = 3};

    cr_expect(may_look(job, &look));
    look.end = SIM_JOB_COMPLETED;
    cr_expect(not(may_look(job, &look)), "nobody said so");
    look.end = SIM_JOB_DEAD;
    cr_expect(not(may_look(job, &look)), "without a reason");
    look.end = SIM_JOB_CANCELLED;
    cr_expect(not(may_look(job, &look)), "nobody asked for it");
    look.end = SIM_JOB_LIVE;
    look.is_waiting = true;
    cr_expect(not(may_look(job, &look)), "it comes after nothing");
    cr_expect(ne(ptr, (void *)sim_job_called_unknown(&model, job), NULL));
}

Test(sim_job_model, sees_no_end_revert)
{
    uint32_t job = enqueue(&PLAIN), index = lease(job, 1);
    struct sim_job_look look = {.max_attempts = 3, .attempt = 1};

    cr_assert(may_finish(index, false, SIM_JOB_OUTCOME_COMPLETED));
    cr_expect(not(may_look(job, &look)));
    look.end = SIM_JOB_CANCELLED;
    cr_expect(not(may_look(job, &look)));
    look.end = SIM_JOB_COMPLETED;
    look.has_result = true;
    look.result_job = job;
    look.result_epoch = epoch_of(BOOT, 1);
    cr_expect(may_look(job, &look));
    look.result_epoch++;
    cr_expect(not(may_look(job, &look)), "of a worker that was not there");
}

Test(sim_job_model, wants_what_ended_to_be_found_unless_it_may_be_forgotten)
{
    uint32_t job = enqueue(&PLAIN), other = enqueue(&PLAIN);

    cr_assert(may_finish(lease(job, 1), false, SIM_JOB_OUTCOME_COMPLETED));
    cr_expect(ne(ptr, (void *)sim_job_called_unknown(&model, job), NULL));
    model.forgets = true;
    cr_expect(eq(ptr, (void *)sim_job_called_unknown(&model, job), NULL));
    cr_expect(ne(ptr, (void *)sim_job_called_unknown(&model, other), NULL), "it lives");
}
