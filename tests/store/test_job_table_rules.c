#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>

#include "job_fixture.h"

/* Unique keys, serial keys, flows, and what recovery makes of them. */

static const struct job_fact COMPLETED = {.header = {.kind = JOB_FACT_COMPLETED, .attempt = 1}};
static const struct job_fact CANCELLED = {.header = {.kind = JOB_FACT_CANCELLED}};
static const struct job_fact DEAD = {
    .header = {.kind = JOB_FACT_DEAD, .attempt = 1, .reason = JOB_DEAD_ATTEMPTS}};
static const struct job_fact DROPPED = {.header = {.kind = JOB_FACT_DROPPED}};

static void setup(void)
{
    struct job_table_config config = job_fixture_config();

    job_fixture_new(&config);
}

/* Takes it and ends it; it must be the next one. */
static void run(uint64_t id, struct job_fact fact)
{
    cr_assert(eq(u64, job_fixture_take("mail", 1000), id));
    cr_assert(eq(int, job_fixture_do(id, true, job_fixture_view(id).delivery, fact), JOB_CLAIMED));
}

static void end(uint64_t id, struct job_fact fact)
{
    cr_assert(eq(int, job_fixture_do(id, false, 0, fact), JOB_CLAIMED));
}

static struct job_fact retry_at(uint64_t due_ms, uint8_t attempt)
{
    return (struct job_fact){
        .header = {.kind = JOB_FACT_RETRY, .due_ms = due_ms, .attempt = attempt}};
}

static enum job_admission try(const struct job_ask *ask, uint64_t *ret_id)
{
    static uint64_t id = 1 << 20;
    struct job_view view;
    struct job_ref ref = JOB_REF_NONE;
    enum job_admission admission = job_fixture_admit(ask, ++id, &ref);

    if (ref.index != 0) {
        job_table_view(table, ref, &view);
        *ret_id = view.id_low;
    }
    return admission;
}

static struct job_ask after(uint64_t first, uint64_t second, enum job_on_failure on_failure)
{
    return (struct job_ask){.on_failure = (uint8_t)on_failure,
                            .after_count = second == 0 ? 1 : 2,
                            .after = {first, second}};
}

/* Goes on until nothing has to be failed any more. Returns how many were. */
static uint32_t fail_all(void)
{
    struct job_fact fact = {.header = {.kind = JOB_FACT_DEAD, .reason = JOB_DEAD_DEPENDENCY}};
    uint32_t count = 0;
    struct job_view view;
    struct job_ref ref;

    while ((ref = job_table_next_failed(table)).index != 0) {
        job_table_view(table, ref, &view);
        end(view.id_low, fact);
        count++;
    }
    return count;
}

TestSuite(job_table_rules, .init = setup, .fini = job_fixture_end, .timeout = 60);

/* --- unique keys ----------------------------------------------------------------------- */

Test(job_table_rules, admits_one_of_64_that_race_for_a_key)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_IDEMPOTENCY,
                          .unique_key = 5,
                          .unique_until_ms = T0 + 1000,
                          .body_hash = 7};
    struct job_image image;
    uint64_t id = 0, found = 0;

    cr_assert(eq(int, try(&ask, &id), JOB_ADMITTED));
    for (uint32_t i = 1; i < 64; i++) {
        cr_assert(eq(int, try(&ask, &found), JOB_IN_FLIGHT));
        cr_assert(eq(u64, found, id));
    }
    ask.body_hash = 8;
    cr_expect(eq(int, try(&ask, &found), JOB_CONFLICT));
    ask.body_hash = 7;
    image = job_fixture_image(&ask, id);
    job_fixture_apply_job(&image, 0);
    cr_expect(eq(int, try(&ask, &found), JOB_DUPLICATE));
    cr_expect(eq(u64, found, id));
    ask.body_hash = 8;
    cr_expect(eq(int, try(&ask, &found), JOB_CONFLICT));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, gives_a_withdrawn_key_to_the_next)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_SINGLETON, .unique_key = 5};
    uint64_t id = 0;
    struct job_ref ref;

    cr_assert(eq(int, try(&ask, &id), JOB_ADMITTED));
    cr_assert(job_table_find(table, id, &ref));
    job_table_withdraw(table, ref);
    cr_expect(eq(int, try(&ask, &id), JOB_ADMITTED));
}

Test(job_table_rules, admits_a_singleton_again_when_the_first_has_ended)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_SINGLETON, .unique_key = 5};
    uint64_t first = job_fixture_enqueue(&ask), id = 0;

    cr_expect(eq(int, try(&ask, &id), JOB_DUPLICATE));
    run(first, DEAD);
    cr_expect(eq(int, try(&ask, &id), JOB_ADMITTED));
}

Test(job_table_rules, keeps_keys_of_different_queues_apart)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_SINGLETON, .unique_key = 5};
    uint64_t id = 0;

    job_fixture_enqueue(&ask);
    ask.kind = "sms";
    cr_expect(eq(int, try(&ask, &id), JOB_ADMITTED));
    ask.project = "other";
    cr_expect(eq(int, try(&ask, &id), JOB_ADMITTED));
}

Test(job_table_rules, throttles_for_a_window_whatever_became_of_the_first)
{
    struct job_table_config config = job_fixture_config();
    struct job_ask ask = {
        .unique = JOB_UNIQUE_THROTTLE, .unique_key = 5, .unique_until_ms = T0 + 1000};
    uint64_t first, id = 0;

    config.finished_count_max = 0;
    job_fixture_new(&config);
    first = job_fixture_enqueue(&ask);
    end(first, CANCELLED);
    job_table_tidy(table, now_ms);
    now_ms = T0 + 999;
    cr_expect(eq(int, try(&ask, &id), JOB_DUPLICATE));
    cr_expect(eq(u64, id, first));
    now_ms = T0 + 1000;
    cr_expect(eq(u64, job_table_next_due_ms(table), now_ms));
    job_fixture_due();
    cr_expect(eq(int, job_fixture_state(first), JOB_FREE));
    cr_expect(eq(int, try(&ask, &id), JOB_ADMITTED));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, holds_a_throttle_over_a_dropped_dead_letter)
{
    struct job_ask ask = {
        .unique = JOB_UNIQUE_THROTTLE, .unique_key = 5, .unique_until_ms = T0 + 1000};
    uint64_t first = job_fixture_enqueue(&ask), id = 0;

    end(first, DEAD);
    end(first, DROPPED);
    cr_expect(eq(int, job_fixture_state(first), JOB_CANCELLED));
    cr_expect(eq(int, try(&ask, &id), JOB_DUPLICATE));
    now_ms = T0 + 1000;
    job_fixture_due();
    cr_expect(eq(int, job_fixture_state(first), JOB_FREE));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, replaces_a_debounced_job_that_has_not_started)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_DEBOUNCE,
                          .unique_key = 5,
                          .delay_ms = 100,
                          .unique_until_ms = T0 + 1000};
    uint64_t first = job_fixture_enqueue(&ask), id = 0;
    struct job_image image;

    now_ms += 50;
    cr_expect(eq(int, try(&ask, &id), JOB_REPLACES));
    cr_expect(eq(u64, id, first));
    cr_expect(eq(int, try(&ask, &id), JOB_IN_FLIGHT));
    now_ms += 50; /* due, but a new payload is on its way */
    cr_expect(eq(u32, job_fixture_due(), 0));
    image = job_fixture_image(&ask, first);
    job_fixture_apply_job(&image, 0);
    cr_expect(eq(u64, job_fixture_view(first).when_ms, T0 + 200));
    now_ms = T0 + 200;
    job_fixture_due();
    cr_expect(eq(int, job_fixture_state(first), JOB_QUEUED));
    cr_expect(eq(int, try(&ask, &id), JOB_ADMITTED));
    cr_expect(ne(u64, id, first));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, readies_a_debounced_job_whose_new_payload_was_refused)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_DEBOUNCE,
                          .unique_key = 5,
                          .delay_ms = 100,
                          .unique_until_ms = T0 + 1000};
    uint64_t first = job_fixture_enqueue(&ask), id = 0;

    cr_expect(eq(int, try(&ask, &id), JOB_REPLACES));
    now_ms += 100;
    cr_expect(eq(u32, job_fixture_due(), 0));
    job_table_withdraw(table, job_fixture_view(first).ref);
    cr_expect(eq(u32, job_fixture_due(), 1));
    cr_expect(eq(int, job_fixture_state(first), JOB_QUEUED));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, knows_its_unique_keys_after_a_restart)
{
    struct job_ask singleton = {.unique = JOB_UNIQUE_SINGLETON, .unique_key = 5};
    struct job_ask throttle = {
        .unique = JOB_UNIQUE_THROTTLE, .unique_key = 6, .unique_until_ms = T0 + 1000};
    uint64_t first = job_fixture_enqueue(&singleton), second = job_fixture_enqueue(&throttle);
    uint64_t id = 0;

    end(second, CANCELLED);
    job_fixture_restart();
    cr_expect(eq(int, try(&singleton, &id), JOB_DUPLICATE));
    cr_expect(eq(u64, id, first));
    cr_expect(eq(int, try(&throttle, &id), JOB_DUPLICATE));
    cr_expect(eq(u64, id, second));
}

Test(job_table_rules, does_not_carry_forward_a_key_that_another_job_owns)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_DEBOUNCE,
                          .unique_key = 5,
                          .delay_ms = 100,
                          .unique_until_ms = T0 + 1000};
    uint64_t first = job_fixture_enqueue(&ask), second, id = 0;

    now_ms += 100;
    job_fixture_due();
    second = job_fixture_enqueue(&ask);
    job_fixture_carry(first, NULL, 0);
    job_fixture_restart();
    cr_expect(eq(int, try(&ask, &id), JOB_REPLACES));
    cr_expect(eq(u64, id, second));
}

/* --- serial keys ------------------------------------------------------------------------- */

static const struct job_ask KEYED = {.key = "k"};

Test(job_table_rules, runs_the_jobs_of_a_key_one_after_the_other_in_order)
{
    uint64_t ids[4];

    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = job_fixture_enqueue(&KEYED);
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        cr_assert(eq(u64, job_fixture_take("mail", 1000), ids[i]));
        cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
        cr_expect(eq(u32, job_fixture_audit(), 0));
        end(ids[i], i % 2 == 0 ? COMPLETED : DEAD);
    }
}

Test(job_table_rules, holds_a_key_while_its_job_waits_for_the_next_attempt)
{
    uint64_t first = job_fixture_enqueue(&KEYED), second = job_fixture_enqueue(&KEYED);
    uint64_t other = job_fixture_enqueue(&(struct job_ask){.key = "other"});

    run(first, retry_at(now_ms + 100, 1));
    run(other, COMPLETED);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    now_ms += 100;
    job_fixture_due();
    run(first, COMPLETED);
    run(second, COMPLETED);
}

/* Restate #5196: an invocation that was gone held its key for ever. */
Test(job_table_rules, gives_the_key_on_when_its_job_is_cancelled_in_any_state)
{
    uint64_t queued = job_fixture_enqueue(&KEYED), leased = job_fixture_enqueue(&KEYED);
    uint64_t waiting = job_fixture_enqueue(&KEYED), resting = job_fixture_enqueue(&KEYED);
    uint64_t last = job_fixture_enqueue(&KEYED);

    end(queued, CANCELLED);
    cr_assert(eq(u64, job_fixture_take("mail", 1000), leased));
    end(leased, CANCELLED);
    run(waiting, retry_at(now_ms + 100, 1));
    end(resting, CANCELLED);
    end(waiting, CANCELLED);
    run(last, COMPLETED);
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, waits_for_the_cancel_of_the_next_of_a_key_to_be_certain)
{
    uint64_t first = job_fixture_enqueue(&KEYED), second = job_fixture_enqueue(&KEYED);
    uint64_t third = job_fixture_enqueue(&KEYED);
    struct job_ref ref;

    cr_assert(eq(u64, job_fixture_take("mail", 1000), first));
    cr_assert(
        eq(int, job_table_claim(table, second, false, 0, JOB_FACT_CANCELLED, &ref), JOB_CLAIMED));
    end(first, COMPLETED);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    job_table_unclaim(table, ref);
    run(second, COMPLETED);
    run(third, COMPLETED);
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, runs_as_many_of_a_key_at_a_time_as_the_queue_allows)
{
    struct job_queue_settings settings = {.key_concurrency = 2};
    uint64_t ids[4];

    job_table_apply_queue(table, job_fixture_queue("mail"), &settings, job_fixture_location(0));
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = job_fixture_enqueue(&KEYED);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), ids[0]));
    settings.key_concurrency = 1;
    job_table_apply_queue(table, job_fixture_queue("mail"), &settings, job_fixture_location(0));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    cr_expect(eq(u32, job_fixture_audit(), 0));
    end(ids[0], COMPLETED);
    for (size_t i = 1; i < ARRAY_COUNT(ids); i++)
        run(ids[i], COMPLETED);
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, keeps_the_order_of_a_key_whose_concurrency_is_lowered)
{
    struct job_queue_settings settings = {.key_concurrency = 3};
    uint64_t ids[5];

    job_table_apply_queue(table, job_fixture_queue("mail"), &settings, job_fixture_location(0));
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = job_fixture_enqueue(&KEYED);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), ids[0]));
    settings.key_concurrency = 1;
    job_table_apply_queue(table, job_fixture_queue("mail"), &settings, job_fixture_location(0));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    end(ids[0], COMPLETED);
    for (size_t i = 1; i < ARRAY_COUNT(ids); i++)
        run(ids[i], COMPLETED);
}

Test(job_table_rules, keeps_the_order_of_a_key_over_carrying_and_restarts)
{
    uint64_t ids[6];

    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = job_fixture_enqueue(&KEYED);
    cr_assert(eq(u64, job_fixture_take("mail", 1000), ids[0]));
    job_fixture_carry(ids[2], "k", 0);
    job_fixture_carry(ids[0], "k", 0);
    job_fixture_restart();
    job_fixture_carry(ids[1], "k", 0);
    job_fixture_restart();
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        run(ids[i], COMPLETED);
}

Test(job_table_rules, keeps_the_order_of_a_key_whose_job_was_given_back_until_later)
{
    uint64_t first = job_fixture_enqueue(&KEYED), second;

    now_ms += 10;
    second = job_fixture_enqueue(&KEYED);
    cr_assert(eq(u64, job_fixture_take("mail", 1000), first));
    job_table_return(table, job_fixture_view(first).ref, now_ms, now_ms + 100);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    job_fixture_carry(first, "k", 0);
    job_fixture_restart();
    run(first, COMPLETED);
    run(second, COMPLETED);
}

Test(job_table_rules, lets_a_job_that_had_an_attempt_hold_its_key_after_a_restart)
{
    uint64_t first = job_fixture_enqueue(&KEYED), second = job_fixture_enqueue(&KEYED);

    run(first, retry_at(now_ms + 100, 1));
    now_ms += 50;
    job_fixture_restart();
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    now_ms += 100;
    job_fixture_restart();
    run(first, COMPLETED);
    run(second, COMPLETED);
}

/* --- flows ---------------------------------------------------------------------------------- */

/* BullMQ #3362: a parent stayed in waiting-children although all its children had ended. */
Test(job_table_rules, releases_a_job_when_the_last_it_comes_after_has_ended)
{
    uint64_t first = job_fixture_enqueue(&(struct job_ask){.priority = 7});
    uint64_t second = job_fixture_enqueue(&(struct job_ask){.priority = 6});
    struct job_ask ask = after(first, second, JOB_ON_FAILURE_IGNORE);
    uint64_t last = job_fixture_enqueue(&ask);
    uint64_t ids[JOB_AFTER_COUNT_MAX];

    cr_expect(eq(int, job_fixture_state(last), JOB_WAITING));
    cr_expect(eq(u32, job_table_after(table, job_fixture_view(last).ref, ids), 2));
    run(first, COMPLETED);
    cr_expect(eq(u32, job_table_after(table, job_fixture_view(last).ref, ids), 1));
    cr_expect(eq(u64, ids[0], second));
    now_ms += 10;
    end(second, CANCELLED);
    cr_expect(eq(int, job_fixture_state(last), JOB_QUEUED));
    cr_expect(eq(u64, job_fixture_view(last).when_ms, T0 + 10));
    cr_expect(eq(u32, job_fixture_view(last).after_failed_count, 1));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, fails_a_chain_one_after_the_other)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.priority = 7}), first = id;
    struct job_table_config config = job_fixture_config();

    config.dead_count_max = 2000;
    job_fixture_new(&config);
    id = first = job_fixture_enqueue(&(struct job_ask){.priority = 7});
    for (uint32_t i = 0; i < 1000; i++) {
        struct job_ask ask = after(id, 0, JOB_ON_FAILURE_FAIL);

        id = job_fixture_enqueue(&ask);
    }
    end(first, DEAD);
    cr_expect(eq(u32, fail_all(), 1000));
    cr_expect(eq(int, job_fixture_state(id), JOB_DEAD));
    cr_expect(eq(int, job_fixture_view(id).reason, JOB_DEAD_DEPENDENCY));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, tells_many_dependents_a_few_at_a_time)
{
    uint64_t first = job_fixture_enqueue(&(struct job_ask){.priority = 7});

    for (uint32_t i = 0; i < 500; i++) {
        struct job_ask ask = after(first, 0, JOB_ON_FAILURE_CONTINUE);

        job_fixture_enqueue(&ask);
    }
    run(first, COMPLETED);
    cr_expect(lt(u32, 0, job_fixture_queue("mail")->counts[JOB_WAITING]));
    for (uint32_t i = 0; i < 20; i++) {
        cr_expect(le(u64, job_table_next_due_ms(table), i < 5 ? now_ms : UINT64_MAX));
        job_fixture_due();
    }
    cr_expect(eq(u32, job_fixture_queue("mail")->counts[JOB_QUEUED], 500));
    cr_expect(eq(u64, job_table_next_due_ms(table), UINT64_MAX));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, names_a_failed_job_again_when_it_could_not_be_written)
{
    uint64_t first = job_fixture_enqueue(&(struct job_ask){.priority = 7});
    struct job_ask ask = after(first, 0, JOB_ON_FAILURE_FAIL);
    uint64_t last = job_fixture_enqueue(&ask);
    struct job_ref ref;

    end(first, CANCELLED);
    ref = job_table_next_failed(table);
    cr_assert(eq(u32, ref.index, job_fixture_view(last).ref.index));
    cr_expect(eq(u32, job_table_next_failed(table).index, 0));
    cr_assert(eq(int, job_table_claim(table, last, false, 0, JOB_FACT_DEAD, &ref), JOB_CLAIMED));
    job_table_unclaim(table, ref);
    cr_expect(eq(u32, job_table_next_failed(table).index, 0));
    cr_expect(eq(u64, job_table_next_due_ms(table), now_ms + 1000));
    now_ms += 1000;
    job_fixture_due();
    cr_expect(eq(u32, fail_all(), 1));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, keeps_a_failed_job_for_as_long_as_one_that_comes_after_it_lives)
{
    struct job_table_config config = job_fixture_config();
    uint64_t first, last;
    struct job_ask ask;

    config.finished_count_max = 0;
    job_fixture_new(&config);
    first = job_fixture_enqueue(&(struct job_ask){.priority = 7});
    ask = after(first, 0, JOB_ON_FAILURE_CONTINUE);
    last = job_fixture_enqueue(&ask);
    end(first, CANCELLED);
    job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_state(first), JOB_CANCELLED));
    cr_expect(eq(int, job_fixture_state(last), JOB_QUEUED));
    job_fixture_restart();
    cr_expect(eq(u32, job_fixture_view(last).after_failed_count, 1));
    run(last, COMPLETED);
    job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_state(first), JOB_FREE));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, does_not_wait_for_what_is_forgotten)
{
    struct job_ask ask = after(4711, 0, JOB_ON_FAILURE_FAIL);
    uint64_t id = job_fixture_enqueue(&ask);

    cr_expect(eq(int, job_fixture_state(id), JOB_QUEUED));
}

Test(job_table_rules, comes_after_a_job_that_is_read_back_later)
{
    uint64_t first = job_fixture_enqueue(&(struct job_ask){.priority = 7});
    struct job_ask ask = after(first, 0, JOB_ON_FAILURE_FAIL);
    uint64_t last = job_fixture_enqueue(&ask);

    job_fixture_carry(first, NULL, 0);
    /* The segment with the first one's JOB has gone. */
    memmove(job_log, job_log + 1, --job_log_count * sizeof(*job_log));
    job_fixture_restart();
    cr_expect(eq(int, job_fixture_state(last), JOB_WAITING));
    run(first, COMPLETED);
    cr_expect(eq(int, job_fixture_state(last), JOB_QUEUED));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, learns_how_a_job_ended_of_which_only_the_end_is_left)
{
    uint64_t first = job_fixture_enqueue(&(struct job_ask){.priority = 7});
    struct job_ask ask = after(first, 0, JOB_ON_FAILURE_FAIL);
    uint64_t last = job_fixture_enqueue(&ask);

    end(first, CANCELLED);
    memmove(job_log, job_log + 1, --job_log_count * sizeof(*job_log));
    job_fixture_restart();
    cr_expect(eq(int, job_fixture_state(first), JOB_FREE));
    cr_expect(eq(u32, fail_all(), 1));
    cr_expect(eq(int, job_fixture_state(last), JOB_DEAD));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

/* --- recovery ------------------------------------------------------------------------------- */

Test(job_table_rules, queues_a_leased_job_again_after_a_restart_without_an_attempt)
{
    uint64_t first = job_fixture_enqueue(&(struct job_ask){.timeout_ms = 1});
    uint64_t second = job_fixture_enqueue(&(struct job_ask){.timeout_ms = 1});

    cr_assert(eq(u64, job_fixture_take("mail", 1000), first));
    now_ms += 10;
    job_fixture_restart();
    cr_expect(eq(u8, job_fixture_view(first).attempt, 0));
    run(first, COMPLETED);
    run(second, COMPLETED);
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, arms_delays_and_deadlines_again_after_a_restart)
{
    struct job_ref ref;

    job_fixture_enqueue(&(struct job_ask){.delay_ms = 100, .deadline_ms = T0 + 200});
    job_fixture_enqueue(&(struct job_ask){.deadline_ms = T0 + 50});
    job_fixture_restart();
    cr_expect(eq(u64, job_table_next_due_ms(table), T0 + 50));
    now_ms = T0 + 200;
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_DEADLINE));
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_READY));
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_DEADLINE));
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_NONE));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, never_runs_again_what_has_ended_though_an_older_job_is_read_back)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.priority = 1});
    struct job_image image = job_fixture_image(&(struct job_ask){.priority = 1}, id);

    run(id, COMPLETED);
    job_log_count--; /* read back in the wrong order */
    job_fixture_apply((struct job_fact){.header = {.id_low = id, .kind = JOB_FACT_COMPLETED}}, 0);
    image.header.flags = JOB_FLAG_CARRIED;
    job_fixture_apply_job(&image, 0);
    job_fixture_restart();
    cr_expect(eq(int, job_fixture_state(id), JOB_COMPLETED));
}

Test(job_table_rules, keeps_what_has_ended_within_bounds_while_reading_back)
{
    struct job_table_config config = job_fixture_config();
    struct job_table_stats stats;

    config.finished_count_max = 4;
    job_fixture_new(&config);
    for (uint64_t id = 1; id <= 3000; id++) {
        job_fixture_enqueue(&(struct job_ask){.priority = 1});
        run(id, COMPLETED);
        job_table_tidy(table, now_ms);
    }
    job_fixture_restart();
    job_table_stats(table, &stats);
    cr_expect(lt(u32, stats.counts[JOB_COMPLETED], 1100));
    for (uint32_t i = 0; i < 20; i++)
        job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_state(2996), JOB_FREE));
    cr_expect(eq(int, job_fixture_state(2997), JOB_COMPLETED));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, reads_back_more_than_fits_when_most_of_it_has_ended)
{
    struct job_table_config config = job_fixture_config();

    config.job_count_max = 8;
    config.finished_count_max = 4;
    job_fixture_new(&config);
    for (uint64_t id = 1; id <= 100; id++) {
        job_fixture_enqueue(&(struct job_ask){.priority = 1});
        run(id, COMPLETED);
        job_table_tidy(table, now_ms);
    }
    job_fixture_restart();
    cr_expect(eq(int, job_fixture_state(100), JOB_COMPLETED));
    cr_expect(eq(int, job_fixture_state(1), JOB_FREE));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

/* The clock of the machine ran a day ahead when the log was written. */
Test(job_table_rules, goes_by_the_clock_it_is_told_and_not_by_that_of_the_log)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.priority = 1});

    run(id, retry_at(now_ms + 1000, 1));
    job_log[job_log_count - 1].fact.header.at_ms += 86400000;
    job_fixture_restart();
    now_ms += 1000;
    cr_expect(eq(u32, job_fixture_due(), 1));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), id));
}

Test(job_table_rules, recovers_more_than_it_admits)
{
    enum { COUNT = 200, AFTER_COUNT = 16, LIMIT = 2 };
    struct job_table_config config = job_fixture_config();
    struct job_ask ask = {.priority = 1, .key = "key"};
    struct job_table_stats stats;
    struct job_ref place;

    for (uint32_t i = 0; i < COUNT; i++) {
        ask.after_count = (uint32_t)min_u64(i, AFTER_COUNT);
        ask.on_failure = ask.after_count > 0 ? JOB_ON_FAILURE_FAIL : JOB_ON_FAILURE_NONE;
        for (uint32_t j = 0; j < ask.after_count; j++)
            ask.after[j] = i - j;
        cr_assert(eq(u64, job_fixture_enqueue(&ask), (uint64_t)i + 1));
    }
    job_table_free(&table);
    config.job_count_max = LIMIT;
    table = job_fixture_recover(&config);
    job_table_stats(table, &stats);
    cr_expect(eq(u32, stats.counts[JOB_QUEUED], 1));
    cr_expect(eq(u32, stats.counts[JOB_WAITING], COUNT - 1));
    cr_expect(eq(u32, stats.job_count_max, LIMIT));
    cr_expect(eq(u32, job_fixture_audit(), 0));
    ask.after_count = 0;
    ask.on_failure = JOB_ON_FAILURE_NONE;
    cr_expect(eq(int, job_fixture_admit(&ask, COUNT + 1, &place), JOB_TABLE_FULL));
    for (uint64_t id = 1; id <= COUNT; id++)
        cr_assert(eq(int, job_fixture_do(id, false, 0, CANCELLED), JOB_CLAIMED));
    cr_expect(eq(u32, job_fixture_audit(), 0));
    job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_admit(&ask, COUNT + 1, &place), JOB_ADMITTED));
}

Test(job_table_rules, carries_a_dead_letter_and_its_replay_forward)
{
    uint64_t dead = job_fixture_enqueue(&(struct job_ask){.priority = 1});
    uint64_t replayed = job_fixture_enqueue(&(struct job_ask){.priority = 1});

    end(dead, DEAD);
    end(replayed, DEAD);
    end(replayed, (struct job_fact){.header = {.kind = JOB_FACT_REPLAYED, .link = 500}});
    job_fixture_carry(dead, NULL, 0);
    job_fixture_carry(replayed, NULL, 0);
    job_fixture_restart();
    cr_expect(eq(int, job_fixture_view(dead).reason, JOB_DEAD_ATTEMPTS));
    cr_expect(job_fixture_view(replayed).is_replayed);
    cr_expect(eq(u64, job_fixture_view(replayed).link, 500));
    cr_expect(eq(u32, job_fixture_queue("mail")->counts[JOB_DEAD], 1));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, runs_what_was_ready_at_once_though_the_clock_was_set_back)
{
    uint64_t first = job_fixture_enqueue(&(struct job_ask){.key = "k"});
    uint64_t second = job_fixture_enqueue(&(struct job_ask){.key = "k"});
    uint64_t third = job_fixture_enqueue(
        &(struct job_ask){.on_failure = JOB_ON_FAILURE_FAIL, .after_count = 1, .after = {second}});

    now_ms -= 3600000;
    job_fixture_restart();
    run(first, COMPLETED);
    run(second, COMPLETED);
    run(third, COMPLETED);
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table_rules, takes_no_epoch_of_an_earlier_start_for_that_of_a_completed_job)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.priority = 1});

    run(id, COMPLETED);
    job_fixture_carry(id, NULL, 0);
    job_fixture_restart();
    cr_assert(eq(int, job_fixture_state(id), JOB_COMPLETED));
    cr_expect(eq(int, job_fixture_do(id, true, 0, COMPLETED), JOB_CLAIM_STALE));
}

Test(job_table_rules, finds_texts_where_a_carried_job_holds_them)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.priority = 1});
    struct job_image image = job_fixture_image(&(struct job_ask){.priority = 1}, id);
    struct job_view view;

    run(id, COMPLETED);
    image.header.state = JOB_COMPLETED;
    image.header.flags = JOB_FLAG_CARRIED;
    image.sections[JOB_SECTION_RESULT] = SLICE_LITERAL("{}");
    image.sections[JOB_SECTION_FIRST_ERROR] = SLICE_LITERAL("no room");
    job_fixture_apply_job(&image, 0);
    view = job_fixture_view(id);
    cr_expect(eq(u64, view.result.bits, view.location.bits));
    cr_expect(eq(u64, view.first_error.bits, view.location.bits));
    cr_expect(eq(u64, view.last_error.bits, 0));
    cr_expect(eq(u64, view.progress.bits, 0));
}
