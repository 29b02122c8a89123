#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "job_fixture.h"

static const struct job_fact COMPLETED = {.header = {.kind = JOB_FACT_COMPLETED, .attempt = 1}};
static const struct job_fact CANCELLED = {.header = {.kind = JOB_FACT_CANCELLED}};
static const struct job_fact DEAD = {
    .header = {.kind = JOB_FACT_DEAD, .attempt = 1, .reason = JOB_DEAD_ATTEMPTS}};
static const struct job_fact PROGRESS = {.header = {.kind = JOB_FACT_PROGRESS}};
static const struct job_ask PLAIN;

static void setup(void)
{
    struct job_table_config config = job_fixture_config();

    job_fixture_new(&config);
}

static struct job_fact retry_at(uint64_t due_ms, uint8_t attempt)
{
    return (struct job_fact){
        .header = {.kind = JOB_FACT_RETRY, .due_ms = due_ms, .attempt = attempt}};
}

/* A job that is leased: its delivery. */
static uint32_t lease(uint64_t id, uint32_t lease_ms)
{
    cr_assert(eq(u64, job_fixture_take("mail", lease_ms), id));
    return job_fixture_view(id).delivery;
}

static void set_queue(const char *kind, struct job_queue_settings settings)
{
    job_table_apply_queue(table, job_fixture_queue(kind), &settings, job_fixture_location(0));
}

static uint32_t live_permits(const char *kind)
{
    return job_fixture_queue(kind)->permit_count;
}

TestSuite(job_table, .init = setup, .fini = job_fixture_end, .timeout = 60);

/* --- the life of a job ------------------------------------------------------------ */

Test(job_table, leads_a_job_from_pending_to_completed)
{
    struct job_image image = job_fixture_image(&PLAIN, 77);
    struct job_ref ref;
    uint32_t delivery;

    cr_assert(eq(int, job_fixture_admit(&PLAIN, 77, &ref), JOB_ADMITTED));
    cr_expect(eq(int, job_fixture_state(77), JOB_PENDING));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    job_fixture_apply_job(&image, 0);
    cr_expect(eq(int, job_fixture_state(77), JOB_QUEUED));
    delivery = lease(77, 5000);
    cr_expect(eq(u64, job_fixture_view(77).when_ms, now_ms + 5000));
    cr_expect(eq(u64, job_fixture_view(77).leased_ms, now_ms));
    cr_expect(eq(int, job_fixture_do(77, true, delivery, COMPLETED), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_state(77), JOB_COMPLETED));
    cr_expect(eq(u8, job_fixture_view(77).attempt, 1));
    cr_expect(eq(u32, live_permits("mail"), 0));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, forgets_what_was_withdrawn)
{
    struct job_ref ref;

    cr_assert(eq(int, job_fixture_admit(&PLAIN, 77, &ref), JOB_ADMITTED));
    job_table_withdraw(table, ref);
    cr_expect(eq(int, job_fixture_state(77), JOB_FREE));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, readies_a_delayed_job_when_it_is_due_and_not_before)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.delay_ms = 500});

    cr_expect(eq(u64, job_table_next_due_ms(table), T0 + 500));
    now_ms = T0 + 499;
    cr_expect(eq(u32, job_fixture_due(), 0));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    now_ms = T0 + 500;
    cr_expect(eq(u32, job_fixture_due(), 1));
    cr_expect(eq(u64, job_fixture_view(id).when_ms, T0 + 500));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), id));
}

Test(job_table, names_a_queue_once_that_got_something_to_run)
{
    job_fixture_enqueue(&PLAIN);
    job_fixture_enqueue(&PLAIN);
    cr_expect(eq(ptr, job_table_next_ready(table), job_fixture_queue("mail")));
    cr_expect(eq(ptr, job_table_next_ready(table), NULL));
}

/* --- fencing ----------------------------------------------------------------------- */

/* pg-boss: completion was keyed on id and state, so it could complete the next attempt. */
Test(job_table, refuses_a_stale_completion_of_the_next_attempt)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    uint32_t first = lease(id, 1000), second;
    struct job_table_stats stats;

    cr_assert(eq(int, job_fixture_do(id, true, first, retry_at(now_ms, 1)), JOB_CLAIMED));
    job_fixture_due();
    second = lease(id, 1000);
    cr_expect(eq(int, job_fixture_do(id, true, first, COMPLETED), JOB_CLAIM_STALE));
    cr_expect(eq(int, job_fixture_state(id), JOB_LEASED));
    cr_expect(eq(int, job_fixture_do(id, true, second, COMPLETED), JOB_CLAIMED));
    job_table_stats(table, &stats);
    cr_expect(eq(u64, stats.stale_count, 1));
}

/* Goes on with another boot generation. */
static void restart_as(uint32_t boot_generation)
{
    struct job_table_config config = job_fixture_config();
    struct job_table *other;

    config.boot_generation = boot_generation;
    other = job_fixture_recover(&config);
    job_table_free(&table);
    table = other;
}

Test(job_table, knows_a_completion_again_that_an_earlier_process_recorded)
{
    uint64_t id = job_fixture_enqueue(&PLAIN), epoch, other;
    struct job_fact fact = COMPLETED;

    restart_as(5);
    lease(id, 1000);
    epoch = job_fixture_view(id).epoch;
    cr_assert(eq(u64, epoch >> 32, 5));
    fact.header.link = epoch;
    cr_assert(eq(int, job_fixture_do(id, true, epoch, fact), JOB_CLAIMED));
    restart_as(6);
    other = (uint64_t)6 << 32 | (uint32_t)epoch;
    cr_expect(eq(int, job_fixture_do(id, true, epoch, fact), JOB_CLAIM_REPEATED));
    cr_expect(eq(int, job_fixture_do(id, true, other, fact), JOB_CLAIM_STALE));
    cr_expect(eq(int, job_fixture_do(id, true, epoch, retry_at(now_ms, 1)), JOB_CLAIM_STALE));
    job_fixture_carry(id, NULL, 0);
    restart_as(7);
    cr_expect(eq(int, job_fixture_do(id, true, epoch, fact), JOB_CLAIM_REPEATED));
    cr_expect(eq(int, job_fixture_do(id, true, epoch + 1, fact), JOB_CLAIM_STALE));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, remembers_the_epoch_that_failed_last)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    struct job_fact fact = retry_at(now_ms, 1);

    restart_as(5);
    for (int i = 0; i < 2; i++) {
        job_fixture_due();
        fact.header.link = (uint64_t)5 << 32 | lease(id, 1000);
        cr_assert(eq(int, job_fixture_do(id, true, fact.header.link, fact), JOB_CLAIMED));
    }
    cr_expect(eq(u64, job_fixture_view(id).last_epoch, fact.header.link));
    cr_expect(zero(u64, job_fixture_view(id).link));
    restart_as(6);
    cr_expect(eq(u64, job_fixture_view(id).last_epoch, fact.header.link));
    job_fixture_carry(id, NULL, 0);
    restart_as(7);
    cr_expect(eq(u64, job_fixture_view(id).last_epoch, fact.header.link));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, takes_no_completion_under_an_epoch_of_an_earlier_boot)
{
    uint64_t id = job_fixture_enqueue(&PLAIN), first;

    restart_as(5);
    lease(id, 1000);
    first = job_fixture_view(id).epoch;
    restart_as(6);
    lease(id, 1000);
    cr_assert(eq(u32, job_fixture_view(id).delivery, (uint32_t)first));
    cr_expect(eq(int, job_fixture_do(id, true, first, COMPLETED), JOB_CLAIM_STALE));
    cr_expect(eq(int, job_fixture_state(id), JOB_LEASED));
}

/* River #1302: the rescuer overwrote a job that had completed. */
Test(job_table, does_not_let_the_end_of_a_lease_overwrite_a_completion)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    uint32_t delivery = lease(id, 1000);

    cr_assert(eq(int, job_fixture_do(id, true, delivery, COMPLETED), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_do(id, true, delivery, retry_at(now_ms, 1)), JOB_CLAIM_STALE));
    now_ms += 5000;
    cr_expect(eq(u32, job_fixture_due(), 0));
    job_fixture_apply((struct job_fact){.header = {.id_low = id, .kind = JOB_FACT_RETRY}}, 0);
    cr_expect(eq(int, job_fixture_state(id), JOB_COMPLETED));
}

Test(job_table, does_not_run_an_expired_job_again_while_its_completion_is_written)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    uint32_t delivery = lease(id, 1000);
    struct job_ref ref;

    cr_assert(
        eq(int, job_table_claim(table, id, true, delivery, JOB_FACT_COMPLETED, &ref), JOB_CLAIMED));
    now_ms += 60000;
    cr_expect(eq(u32, job_fixture_due(), 0));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    cr_expect(
        eq(int, job_table_claim(table, id, true, delivery, JOB_FACT_RETRY, &ref), JOB_CLAIM_BUSY));
    job_fixture_apply((struct job_fact){.header = {.id_low = id, .kind = JOB_FACT_COMPLETED}}, 0);
    cr_expect(eq(int, job_fixture_state(id), JOB_COMPLETED));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, ends_a_lease_that_ran_out_while_a_refused_fact_was_written)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    uint32_t delivery = lease(id, 1000);
    struct job_ref ref;

    cr_assert(
        eq(int, job_table_claim(table, id, true, delivery, JOB_FACT_COMPLETED, &ref), JOB_CLAIMED));
    now_ms += 1500;
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_NONE));
    job_table_find(table, id, &ref) ? job_table_unclaim(table, ref) : (void)0;
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_EXPIRED));
}

Test(job_table, repeats_the_answer_to_a_completion_under_the_same_delivery)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    uint32_t delivery = lease(id, 1000);
    struct job_fact fact = COMPLETED;

    fact.header.link = delivery;
    cr_assert(eq(int, job_fixture_do(id, true, delivery, fact), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_do(id, true, delivery, fact), JOB_CLAIM_REPEATED));
    cr_expect(eq(int, job_fixture_do(id, true, delivery + 1, fact), JOB_CLAIM_STALE));
    cr_expect(eq(int, job_fixture_do(id, false, 0, CANCELLED), JOB_CLAIM_TERMINAL));
}

Test(job_table, names_an_expired_lease_again_after_a_second)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    struct job_ref ref;

    lease(id, 1000);
    now_ms += 1000;
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_EXPIRED));
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_NONE));
    now_ms += 999;
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_NONE));
    now_ms += 1;
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_EXPIRED));
}

Test(job_table, extends_a_lease_up_to_its_timeout)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.timeout_ms = 3000});
    uint32_t delivery = lease(id, 1000);
    uint64_t until_ms = 0;
    struct job_ref ref;

    cr_expect(
        eq(int, job_table_extend(table, id, delivery, now_ms + 500, 2000, &until_ms), JOB_CLAIMED));
    cr_expect(eq(u64, until_ms, T0 + 2500));
    cr_expect(eq(int, job_table_extend(table, id, delivery, now_ms + 2000, 2000, &until_ms),
                 JOB_CLAIMED));
    cr_expect(eq(u64, until_ms, T0 + 3000));
    cr_expect(eq(int, job_table_extend(table, id, delivery + 1, now_ms + 2000, 1, &until_ms),
                 JOB_CLAIM_STALE));
    cr_assert(
        eq(int, job_table_claim(table, id, true, delivery, JOB_FACT_RETRY, &ref), JOB_CLAIMED));
    cr_expect(eq(int, job_table_extend(table, id, delivery, now_ms + 2000, 1, &until_ms),
                 JOB_CLAIM_STALE));
    cr_expect(
        eq(int, job_table_extend(table, 999, delivery, now_ms, 1, &until_ms), JOB_CLAIM_UNKNOWN));
}

Test(job_table, returns_a_lease_to_the_front_of_its_class_without_an_attempt)
{
    uint64_t first = job_fixture_enqueue(&PLAIN);
    uint64_t second = job_fixture_enqueue(&PLAIN);

    lease(first, 1000);
    job_table_return(table, job_fixture_view(first).ref, now_ms, 0);
    cr_expect(eq(u8, job_fixture_view(first).attempt, 0));
    cr_expect(eq(u64, job_fixture_view(first).when_ms, T0));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), first));
    job_table_return(table, job_fixture_view(first).ref, now_ms, now_ms + 50);
    cr_expect(eq(int, job_fixture_state(first), JOB_SCHEDULED));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), second));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, keeps_a_job_in_one_piece_when_a_cancel_is_refused)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    struct job_ref ref;

    cr_assert(eq(int, job_table_claim(table, id, false, 0, JOB_FACT_CANCELLED, &ref), JOB_CLAIMED));
    cr_expect(job_fixture_view(id).is_committing);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    cr_expect(eq(int, job_fixture_do(id, false, 0, DEAD), JOB_CLAIM_BUSY));
    job_table_unclaim(table, ref);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), id));
}

/* --- order and limits -------------------------------------------------------------- */

Test(job_table, takes_the_highest_priority_first_and_the_oldest_of_a_class)
{
    uint64_t low = job_fixture_enqueue(&(struct job_ask){.priority = 1});
    uint64_t high = job_fixture_enqueue(&(struct job_ask){.priority = 6});
    uint64_t later = job_fixture_enqueue(&(struct job_ask){.priority = 6});

    cr_expect(eq(u64, job_fixture_take("mail", 1000), high));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), later));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), low));
}

/* awa: its ageing fired 0 times in 60 minutes under load. */
Test(job_table, lets_the_lowest_class_run_under_saturation_by_ageing)
{
    uint64_t low = job_fixture_enqueue(&(struct job_ask){.priority = 0}), id = 0;

    for (uint32_t i = 0; i < 7 * 30 && id != low; i++) {
        now_ms += 1000;
        job_fixture_enqueue(&(struct job_ask){.priority = 7});
        id = job_fixture_take("mail", 1000);
        cr_assert(ne(u64, id, 0));
        cr_assert(eq(int, job_fixture_do(id, true, job_fixture_view(id).delivery, COMPLETED),
                     JOB_CLAIMED));
    }
    cr_expect(eq(u64, id, low));
    cr_expect(eq(u64, now_ms, T0 + 7 * JOB_AGEING_MS));
}

Test(job_table, takes_nothing_from_a_paused_queue_and_says_when_it_goes_on)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);

    set_queue("mail", (struct job_queue_settings){.flags = JOB_QUEUE_PAUSED});
    cr_expect(not(job_table_is_ready(table, job_fixture_queue("mail"), now_ms)));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    while (job_table_next_ready(table) != NULL)
        ;
    set_queue("mail", (struct job_queue_settings){.flags = 0});
    cr_expect(eq(ptr, job_table_next_ready(table), job_fixture_queue("mail")));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), id));
}

Test(job_table, leases_no_more_at_a_time_than_the_queue_may)
{
    uint64_t first = job_fixture_enqueue(&PLAIN), second = job_fixture_enqueue(&PLAIN);
    uint32_t delivery;

    set_queue("mail", (struct job_queue_settings){.concurrency = 1});
    delivery = lease(first, 1000);
    cr_expect(eq(u64, job_fixture_take("mail", 1000), 0));
    while (job_table_next_ready(table) != NULL)
        ;
    cr_assert(eq(int, job_fixture_do(first, true, delivery, DEAD), JOB_CLAIMED));
    cr_expect(eq(ptr, job_table_next_ready(table), job_fixture_queue("mail")));
    cr_expect(eq(u64, job_fixture_take("mail", 1000), second));
}

Test(job_table, gives_the_permit_back_on_every_way_out_of_a_lease)
{
    static const enum job_fact_kind KINDS[] = {JOB_FACT_RETRY, JOB_FACT_COMPLETED, JOB_FACT_DEAD,
                                               JOB_FACT_CANCELLED};

    set_queue("mail", (struct job_queue_settings){.concurrency = 1});
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        uint64_t id = job_fixture_enqueue(&PLAIN);
        struct job_fact fact = {.header = {.kind = KINDS[i], .due_ms = now_ms + 1000000}};

        lease(id, 1000);
        cr_expect(eq(u32, live_permits("mail"), 1));
        cr_assert(
            eq(int, job_fixture_do(id, true, job_fixture_view(id).delivery, fact), JOB_CLAIMED));
        cr_expect(eq(u32, live_permits("mail"), 0));
        cr_expect(eq(u32, job_fixture_audit(), 0));
    }
    lease(job_fixture_enqueue(&PLAIN), 1000);
    job_table_return(table, (struct job_ref){job_fixture_view(5).ref.index}, now_ms, 0);
    cr_expect(eq(u32, live_permits("mail"), 0));
}

Test(job_table, wakes_the_queues_of_a_project_when_one_of_its_permits_is_free)
{
    struct job_table_config config = job_fixture_config();
    uint64_t first, second;

    config.tenant_concurrency = 1;
    job_fixture_new(&config);
    first = job_fixture_enqueue(&PLAIN);
    second = job_fixture_enqueue(&(struct job_ask){.kind = "sms"});
    lease(first, 1000);
    cr_expect(eq(u64, job_fixture_take("sms", 1000), 0));
    while (job_table_next_ready(table) != NULL)
        cr_expect(eq(u64, job_fixture_take("sms", 1000), 0));
    cr_assert(eq(int, job_fixture_do(first, false, 0, CANCELLED), JOB_CLAIMED));
    cr_expect(eq(ptr, job_table_next_ready(table), job_fixture_queue("sms")));
    cr_expect(eq(u64, job_fixture_take("sms", 1000), second));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, says_when_a_rate_allows_the_next_lease)
{
    uint64_t retry_ms = 0;
    struct job_ref ref;

    for (uint32_t i = 0; i < 3; i++)
        job_fixture_enqueue(&PLAIN);
    set_queue("mail", (struct job_queue_settings){.rate_per_s = 10, .burst = 2});
    cr_expect(ne(u64, job_fixture_take("mail", 1000), 0));
    cr_expect(ne(u64, job_fixture_take("mail", 1000), 0));
    cr_expect(not(job_table_is_ready(table, job_fixture_queue("mail"), now_ms)));
    ref = job_table_take(table, job_fixture_queue("mail"), now_ms, 1000, &retry_ms);
    cr_expect(eq(u32, ref.index, 0));
    cr_expect(le(u64, now_ms + 100, retry_ms));
    cr_expect(le(u64, retry_ms, now_ms + 101));
    now_ms = retry_ms;
    cr_expect(ne(u64, job_fixture_take("mail", 1000), 0));
}

Test(job_table, refuses_more_than_a_queue_may_hold_and_all_while_it_drains)
{
    struct job_ref ref;

    set_queue("mail", (struct job_queue_settings){.depth_max = 1});
    job_fixture_enqueue(&PLAIN);
    cr_expect(eq(int, job_fixture_admit(&PLAIN, 90, &ref), JOB_QUEUE_FULL));
    set_queue("mail", (struct job_queue_settings){.flags = JOB_QUEUE_DRAINING});
    cr_expect(eq(int, job_fixture_admit(&PLAIN, 90, &ref), JOB_QUEUE_CLOSED));
}

Test(job_table, says_that_it_is_full_unless_something_has_ended)
{
    struct job_table_config config = job_fixture_config();
    struct job_ref ref;

    config.job_count_max = 2;
    job_fixture_new(&config);
    job_fixture_enqueue(&PLAIN);
    job_fixture_enqueue(&PLAIN);
    cr_expect(eq(int, job_fixture_admit(&PLAIN, 90, &ref), JOB_TABLE_FULL));
    cr_assert(eq(int, job_fixture_do(1, false, 0, CANCELLED), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_admit(&PLAIN, 90, &ref), JOB_ADMITTED));
    cr_expect(eq(int, job_fixture_state(1), JOB_FREE));
}

/* --- time ---------------------------------------------------------------------------- */

Test(job_table, names_a_late_job_in_whatever_state_it_is)
{
    uint64_t queued = job_fixture_enqueue(&(struct job_ask){.deadline_ms = T0 + 100});
    uint64_t leased =
        job_fixture_enqueue(&(struct job_ask){.deadline_ms = T0 + 200, .priority = 7});
    uint64_t delayed =
        job_fixture_enqueue(&(struct job_ask){.deadline_ms = T0 + 300, .delay_ms = 1000});
    struct job_ref ref;

    lease(leased, 60000);
    now_ms = T0 + 300;
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_DEADLINE));
    cr_expect(eq(u32, ref.index, job_fixture_view(queued).ref.index));
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_DEADLINE));
    cr_expect(eq(u32, ref.index, job_fixture_view(leased).ref.index));
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_DEADLINE));
    cr_expect(eq(u32, ref.index, job_fixture_view(delayed).ref.index));
    cr_expect(eq(int, job_table_due(table, now_ms, &ref), JOB_DUE_NONE));
    cr_assert(eq(int, job_fixture_do(leased, false, 0, DEAD), JOB_CLAIMED));
    cr_expect(eq(u32, live_permits("mail"), 0));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

/* --- endings ------------------------------------------------------------------------- */

Test(job_table, remembers_finished_jobs_up_to_a_count_and_an_age)
{
    struct job_table_config config = job_fixture_config();
    struct job_table_stats stats;

    config.finished_count_max = 2;
    job_fixture_new(&config);
    for (uint64_t id = 1; id <= 3; id++) {
        job_fixture_enqueue(&PLAIN);
        cr_assert(eq(int, job_fixture_do(id, false, 0, CANCELLED), JOB_CLAIMED));
    }
    job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_state(1), JOB_FREE));
    cr_expect(eq(int, job_fixture_state(2), JOB_CANCELLED));
    now_ms += 3600000;
    job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_state(3), JOB_FREE));
    job_table_stats(table, &stats);
    cr_expect(eq(u64, stats.accepted_count, 3));
    cr_expect(eq(u64, stats.dropped_count, 3));
    cr_expect(eq(u64, stats.live_bytes, 0));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

static uint64_t live_bytes(void)
{
    struct job_table_stats stats;

    job_table_stats(table, &stats);
    return stats.live_bytes;
}

/* A JOB with a payload of 60,000 bytes is in the log: one record. */
static uint64_t enqueue_large(uint64_t id)
{
    struct job_image image = job_fixture_image(&PLAIN, id);
    struct job_ref ref;

    cr_assert(eq(int, job_fixture_admit(&PLAIN, id, &ref), JOB_ADMITTED));
    cr_assert(
        eq(int, job_table_apply_job(table, &image, job_fixture_location(0), 60000, now_ms), 0));
    return id;
}

Test(job_table, counts_the_payload_of_a_job_that_has_ended_as_no_longer_alive)
{
    uint64_t completed = enqueue_large(70), cancelled = enqueue_large(71), dead = enqueue_large(72);

    cr_assert(ge(u64, live_bytes(), 180000));
    cr_assert(
        eq(int, job_fixture_do(completed, true, lease(completed, 1000), COMPLETED), JOB_CLAIMED));
    cr_expect(le(u64, live_bytes(), 121000));
    cr_assert(eq(int, job_fixture_do(cancelled, false, 0, CANCELLED), JOB_CLAIMED));
    cr_expect(le(u64, live_bytes(), 61000));
    cr_assert(eq(int, job_fixture_do(dead, false, 0, DEAD), JOB_CLAIMED));
    cr_expect(ge(u64, live_bytes(), 60000));
    cr_expect(eq(u32, job_fixture_audit(), 0));
    cr_assert(
        eq(int,
           job_fixture_do(dead, false, 0, (struct job_fact){.header = {.kind = JOB_FACT_DROPPED}}),
           JOB_CLAIMED));
    cr_expect(le(u64, live_bytes(), 1000));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, keeps_dead_letters_until_they_are_replayed_or_dropped)
{
    uint64_t first = job_fixture_enqueue(&PLAIN), second = job_fixture_enqueue(&PLAIN);
    struct job_fact replayed = {.header = {.kind = JOB_FACT_REPLAYED, .link = 500}};
    struct job_fact dropped = {.header = {.kind = JOB_FACT_DROPPED}};
    struct job_ref ref;

    cr_expect(eq(int, job_fixture_do(first, false, 0, dropped), JOB_CLAIM_UNKNOWN));
    cr_assert(eq(int, job_fixture_do(first, false, 0, DEAD), JOB_CLAIMED));
    cr_assert(eq(int, job_fixture_do(second, false, 0, DEAD), JOB_CLAIMED));
    ref = job_table_next_dead(table, JOB_REF_NONE);
    cr_expect(eq(u32, ref.index, job_fixture_view(first).ref.index));
    ref = job_table_next_dead(table, ref);
    cr_expect(eq(u32, ref.index, job_fixture_view(second).ref.index));
    cr_expect(eq(u32, job_table_next_dead(table, ref).index, 0));
    cr_assert(eq(int, job_fixture_do(first, false, 0, replayed), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_do(first, false, 0, replayed), JOB_CLAIM_REPEATED));
    cr_expect(job_fixture_view(first).is_replayed);
    cr_expect(eq(u64, job_fixture_view(first).link, 500));
    cr_expect(eq(u32, job_fixture_queue("mail")->counts[JOB_DEAD], 1));
    cr_assert(eq(int, job_fixture_do(second, false, 0, dropped), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_state(second), JOB_FREE));
    cr_expect(eq(u32, job_fixture_queue("mail")->counts[JOB_DEAD], 0));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, names_dead_letters_past_their_time)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);

    cr_assert(eq(int, job_fixture_do(id, false, 0, DEAD), JOB_CLAIMED));
    cr_expect(eq(u32, job_table_expired_dead(table, now_ms + 86399999).index, 0));
    cr_expect(eq(u32, job_table_expired_dead(table, now_ms + 86400000).index,
                 job_fixture_view(id).ref.index));
}

Test(job_table, refuses_a_dead_letter_when_there_is_no_room_for_it)
{
    struct job_table_config config = job_fixture_config();
    uint64_t first, second;
    struct job_ref ref;

    config.dead_count_max = 1;
    job_fixture_new(&config);
    first = job_fixture_enqueue(&PLAIN);
    second = job_fixture_enqueue(&PLAIN);
    cr_assert(eq(int, job_table_claim(table, first, false, 0, JOB_FACT_DEAD, &ref), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_do(second, false, 0, DEAD), JOB_CLAIM_DLQ_FULL));
    job_table_unclaim(table, ref);
    cr_expect(eq(int, job_fixture_do(second, false, 0, DEAD), JOB_CLAIMED));
    cr_expect(eq(int, job_fixture_do(first, false, 0, DEAD), JOB_CLAIM_DLQ_FULL));
    cr_expect(eq(int, job_fixture_state(first), JOB_QUEUED));
}

Test(job_table, keeps_a_job_with_records_in_two_logs_until_the_old_one_has_gone)
{
    struct job_table_config config = job_fixture_config();
    uint64_t id;

    config.finished_count_max = 0;
    job_fixture_new(&config);
    id = job_fixture_enqueue(&PLAIN);
    job_fixture_apply((struct job_fact){.header = {.id_low = id, .kind = JOB_FACT_CANCELLED}}, 1);
    job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_state(id), JOB_CANCELLED));
    cr_expect(job_table_rests_on(table, job_fixture_view(id).ref, 1, 12));
    job_table_old_logs_gone(table);
    job_table_tidy(table, now_ms);
    cr_expect(eq(int, job_fixture_state(id), JOB_FREE));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_table, knows_up_to_which_segment_a_job_still_needs_something)
{
    uint64_t id = job_fixture_enqueue(&PLAIN);
    struct job_fact fact = PROGRESS;
    uint64_t seq;

    lease(id, 1000);
    fact.text = SLICE_LITERAL("{}");
    cr_assert(eq(int, job_fixture_do(id, false, 0, fact), JOB_CLAIMED));
    seq = journal_location_seq(job_fixture_view(id).progress);
    cr_expect(job_table_rests_on(table, job_fixture_view(id).ref, 0, seq));
    cr_expect(job_table_rests_on(table, job_fixture_view(id).ref, 0, seq + 1));
    cr_expect(not(job_table_rests_on(table, job_fixture_view(id).ref, 0, seq - 1)));
    cr_expect(not(job_table_rests_on(table, job_fixture_view(id).ref, 1, seq)));
    job_fixture_carry(id, NULL, 0);
    cr_expect(eq(u64, job_fixture_view(id).progress.bits, 0));
    cr_expect(eq(int, job_fixture_state(id), JOB_LEASED));
}

Test(job_table, walks_the_table_in_bounded_steps)
{
    bool is_job = false;
    struct job_ref ref;

    for (uint64_t id = 1; id <= 4; id++)
        job_fixture_enqueue(&PLAIN);
    for (uint64_t id = 2; id <= 3; id++) {
        cr_assert(eq(int, job_fixture_do(id, false, 0, DEAD), JOB_CLAIMED));
        cr_assert(eq(
            int,
            job_fixture_do(id, false, 0, (struct job_fact){.header = {.kind = JOB_FACT_DROPPED}}),
            JOB_CLAIMED));
    }
    ref = job_table_next(table, JOB_REF_NONE, 1, &is_job);
    cr_expect(is_job);
    ref = job_table_next(table, ref, 2, &is_job);
    cr_expect(not(is_job));
    cr_expect(eq(u32, ref.index, 3));
    ref = job_table_next(table, ref, 2, &is_job);
    cr_expect(is_job);
    ref = job_table_next(table, ref, 2, &is_job);
    cr_expect(not(is_job));
    cr_expect(eq(u32, ref.index, 0));
}

/* --- memory -------------------------------------------------------------------------- */

Test(job_table, takes_no_more_than_64_bytes_per_parked_job)
{
    struct job_table_config config = job_fixture_config();
    struct job_image image;
    struct job_table_stats stats;
    uint32_t count = 1 << 20;

    config.job_count_max = 16 << 20;
    job_fixture_new(&config);
    for (uint32_t i = 1; i <= count; i++) {
        struct job_ref ref;

        image = job_fixture_image(&(struct job_ask){.delay_ms = i % 2 == 0 ? 0 : i}, i);
        cr_assert(eq(int, job_table_admit(table, job_fixture_queue("mail"), &image, now_ms, &ref),
                     JOB_ADMITTED));
        cr_assert(
            eq(int, job_table_apply_job(table, &image, job_fixture_location(0), 300, now_ms), 0));
    }
    job_table_stats(table, &stats);
    cr_expect(eq(u32, stats.counts[JOB_SCHEDULED], count / 2));
    cr_expect(eq(u32, stats.extra_count, 0));
    cr_expect(le(u64, stats.memory_bytes / count, 64));
}
