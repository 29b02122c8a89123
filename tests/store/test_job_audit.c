#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/store/job_fixture.h"

static const uint64_t no_seqs[SEGMENT_LOG_MAX + 1];

static void setup(void)
{
    struct job_table_config config = job_fixture_config();

    job_fixture_new(&config);
}

TestSuite(job_audit, .init = setup, .fini = job_fixture_end, .timeout = 60);

static struct job_audit_tally tally(void)
{
    struct job_audit_tally now;

    job_table_audit_tally(table, &now);
    return now;
}

static struct job_table_sums sums(void)
{
    struct job_table_sums now;

    job_table_sums(table, &now);
    return now;
}

static void fill(uint32_t count)
{
    static const char *const KINDS[] = {"mail", "sms", "fax"};

    for (uint32_t i = 0; i < count; i++)
        job_fixture_enqueue(&(struct job_ask){.kind = KINDS[i % ARRAY_COUNT(KINDS)]});
}

/* --- rounds ----------------------------------------------------------------------- */

Test(job_audit, compares_sums_in_a_round_in_which_nothing_changes)
{
    bool round_done;

    fill(10);
    cr_assert(eq(int, tally().is_between, true));
    cr_assert(zero(u32, job_table_audit(table, 4, no_seqs, &round_done)));
    cr_expect(eq(int, tally().is_between, false));
    cr_assert(zero(u32, job_table_audit(table, 100, no_seqs, &round_done)));
    cr_expect(eq(int, round_done, true));
    cr_expect(eq(int, tally().is_between, true));
    cr_expect(eq(u64, tally().round_count, 1));
    cr_expect(eq(u64, tally().compared_count, 1));
}

Test(job_audit, does_not_say_that_it_compared_what_has_changed_meanwhile)
{
    bool round_done;

    fill(10);
    cr_assert(zero(u32, job_table_audit(table, 4, no_seqs, &round_done)));
    fill(1);
    cr_assert(zero(u32, job_table_audit(table, 100, no_seqs, &round_done)));
    cr_expect(eq(u64, tally().round_count, 1));
    cr_expect(zero(u64, tally().compared_count));
}

Test(job_audit, counts_what_it_finds_under_its_check)
{
    struct job_queue *queue = job_fixture_queue("mail");

    fill(10);
    queue->permit_count++; /* a permit that no lease holds */
    cr_assert(lt(u32, 0, job_fixture_audit()));
    cr_expect(lt(u64, 0, tally().mismatch_counts[JOB_CHECK_SUMS]));
    for (uint32_t i = 0; i < JOB_CHECK_SUMS; i++)
        cr_expect(zero(u64, tally().mismatch_counts[i]), "check %u", i);
    queue->permit_count--;
}

/* --- sums that agree at any instant ------------------------------------------------- */

static void expect_agreement(void)
{
    struct job_table_sums now = sums();

    cr_expect(eq(u64, now.accepted_count, now.state_count + now.dropped_count));
    cr_expect(eq(u64, now.queue_accepted_count, now.accepted_count));
    cr_expect(eq(u64, now.queue_state_count, now.state_count));
    cr_expect(eq(u64, now.queue_dropped_count, now.dropped_count));
    cr_expect(eq(u64, now.queue_permit_count, now.leased_count));
    cr_expect(eq(u64, now.project_permit_count, now.leased_count));
}

Test(job_audit, adds_up_whatever_has_become_of_the_jobs)
{
    fill(200);
    expect_agreement();
    for (uint32_t i = 0; i < 60; i++) {
        uint64_t id = job_fixture_take(i % 2 == 0 ? "mail" : "sms", 5000);
        struct job_fact fact = {
            .header = {.id_low = id,
                       .at_ms = now_ms,
                       .due_ms = now_ms + 1000,
                       .attempt = 1,
                       .kind = i % 3 == 0 ? JOB_FACT_COMPLETED : JOB_FACT_RETRY}};

        cr_assert(ne(u64, id, 0));
        expect_agreement();
        if (i % 5 != 0)
            cr_assert(eq(int, job_fixture_do(id, true, job_fixture_view(id).delivery, fact),
                         JOB_CLAIMED));
        expect_agreement();
    }
    cr_expect(eq(u64, sums().accepted_count, 200));
    cr_expect(eq(u64, sums().leased_count, 12));
    now_ms += 10 * 3600000; /* what has ended is forgotten */
    job_table_tidy(table, now_ms);
    cr_expect(lt(u64, 0, sums().dropped_count));
    expect_agreement();
}

Test(job_audit, tells_since_when_a_leased_job_had_been_ready)
{
    uint64_t id = job_fixture_enqueue(&(struct job_ask){.delay_ms = 500});

    now_ms += 500;
    job_fixture_due();
    now_ms += 70;
    cr_assert(eq(u64, job_fixture_take("mail", 5000), id));
    cr_expect(eq(u64, job_fixture_view(id).leased_ms, T0 + 570));
    cr_expect(eq(u64, job_fixture_view(id).ready_ms, T0 + 500));
}
