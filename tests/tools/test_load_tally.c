#include "tools/load/load_tally.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * What is counted of answers, failures and time-outs, in which interval, and each reason for
 * which a run does not count. How a schedule leads to these is in test_load_desk.c.
 */
static const uint64_t US = 1000, MS = 1000000, SECOND = 1000000000;

static struct load_tally tally;
static struct load_verdict verdict;

static void answer(uint64_t intended_ns, uint64_t sent_ns, uint64_t now_ns, unsigned status)
{
    struct load_ticket ticket = {
        .intended_ns = intended_ns, .sent_ns = sent_ns, .event_count = 3, .is_measured = true};

    load_tally_answer(&tally, &ticket, status, now_ns);
}

static void fail(enum load_error error, uint64_t now_ns)
{
    struct load_ticket ticket = {.is_measured = true};

    load_tally_fail(&tally, &ticket, error, now_ns);
}

/* A run that counts. */
static void begin(void)
{
    load_tally_init(&tally, 0, SECOND, true);
    for (uint64_t i = 0; i < 1000; i++) {
        load_tally_schedule_error(&tally, LOAD_SCHEDULE_ERROR_US_MAX * US);
        answer(i * MS, i * MS, i * MS + 200 * US, 202);
    }
    tally.sent = 1000;
    tally.cpu_ns = LOAD_CPU_PERCENT_MAX;
    tally.wall_ns = 100;
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 0));
}

static void expect_void(const char *why)
{
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 1));
    cr_assert(strstr(verdict.why[0], why) != NULL, "%s", verdict.why[0]);
}

TestSuite(load_tally, .init = begin);

Test(load_tally, keeps_two_latencies_of_each_answer)
{
    answer(500 * MS, 900 * MS, 950 * MS, 200);
    cr_assert(eq(u64, tally.corrected.max, 450000));
    cr_assert(eq(u64, tally.uncorrected.max, 50000));
    cr_assert(eq(u64, tally.ok, 1001));
    cr_assert(eq(u64, tally.events, 3003));
}

Test(load_tally, takes_what_is_no_success_for_an_answer_all_the_same)
{
    answer(0, 0, MS, 199);
    answer(0, 0, MS, 300);
    answer(0, 0, MS, 503);
    cr_assert(eq(u64, tally.answered, 1003));
    cr_assert(eq(u64, tally.ok, 1000));
    cr_assert(eq(u64, tally.status_counts[503], 1));
    cr_assert(eq(u64, tally.corrected.total_count, 1003));
    cr_assert(ieee_ulp_eq(dbl, load_tally_throughput(&tally), 1000, 4));
}

Test(load_tally, gives_a_timeout_the_time_that_it_waited_and_other_failures_none)
{
    fail(LOAD_ERROR_CLOSED, 100 * MS);
    fail(LOAD_ERROR_CONNECT, 100 * MS);
    cr_assert(eq(u64, tally.corrected.total_count, 1000));
    fail(LOAD_ERROR_TIMEOUT, 10 * SECOND);
    cr_assert(eq(u64, tally.corrected.max, 10000000));
    cr_assert(eq(u64, tally.uncorrected.max, 10000000));
    cr_assert(eq(u64, load_tally_failed(&tally), 3));
    cr_assert(eq(u64, tally.end_ns, 10 * SECOND));
}

Test(load_tally, leaves_out_what_was_not_measured)
{
    struct load_ticket warm = {.event_count = 1};

    load_tally_answer(&tally, &warm, 200, MS);
    load_tally_fail(&tally, &warm, LOAD_ERROR_TIMEOUT, MS);
    cr_assert(eq(u64, tally.answered, 1000));
    cr_assert(eq(u64, load_tally_failed(&tally), 0));
}

Test(load_tally, shows_a_stall_as_a_gap_with_its_latencies_behind_it)
{
    load_tally_init(&tally, 0, 4 * SECOND, true);
    answer(0, 0, 100 * MS, 200);
    answer(1100 * MS, 1100 * MS, 3200 * MS, 200);
    fail(LOAD_ERROR_CLOSED, 3300 * MS);
    load_tally_finish(&tally, 3300 * MS);
    cr_assert(eq(u32, tally.interval_count, 4));
    cr_assert(eq(u64, tally.intervals[0].answered, 1));
    cr_assert(eq(u64, tally.intervals[0].max_us, 100000));
    for (uint32_t i = 1; i < 3; i++) {
        cr_assert(eq(u64, tally.intervals[i].answered, 0), "%u", i);
        cr_assert(eq(u64, tally.intervals[i].max_us, 0), "%u", i);
    }
    cr_assert(eq(u64, tally.intervals[3].max_us, 2100000));
    cr_assert(eq(u64, tally.intervals[3].failed, 1));
}

Test(load_tally, has_room_for_a_run_of_any_length)
{
    load_tally_init(&tally, 0, 86400 * SECOND, true);
    for (uint64_t i = 0; i < 2 * 86400; i += 60)
        answer(i * SECOND, i * SECOND, i * SECOND + MS, 200);
    load_tally_finish(&tally, 2 * 86400 * SECOND);
    cr_assert(eq(u64, tally.ok, 2880));
    cr_assert(le(u32, tally.interval_count, LOAD_INTERVAL_COUNT_MAX));
}

Test(load_tally, calls_a_run_void_in_which_sends_were_skipped)
{
    tally.skipped = 1;
    expect_void("1 sends were skipped");
}

Test(load_tally, calls_a_run_void_in_which_sends_were_late)
{
    for (uint32_t i = 0; i < 20; i++)
        load_tally_schedule_error(&tally, 300 * US);
    expect_void("late by 300 us at p99");
    tally.is_open_loop = false;
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 0));
}

Test(load_tally, calls_a_run_void_in_which_the_generator_was_the_limit)
{
    tally.cpu_ns = LOAD_CPU_PERCENT_MAX + 1;
    expect_void("81 % of its core");
}

Test(load_tally, calls_a_run_void_in_which_nothing_succeeded)
{
    load_tally_init(&tally, 0, SECOND, true);
    answer(0, 0, MS, 500);
    expect_void("no request was answered with success");
}

Test(load_tally, has_room_for_every_reason_at_once)
{
    load_tally_init(&tally, 0, SECOND, true);
    tally.skipped = UINT64_MAX;
    tally.cpu_ns = UINT64_MAX;
    tally.wall_ns = 1;
    load_tally_schedule_error(&tally, UINT64_MAX - 1000);
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, LOAD_WHY_COUNT_MAX));
}
