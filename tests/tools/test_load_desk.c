#include "tools/load/load_desk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * A target on virtual time: a number of connections, each answering after service_ns,
 * except that nothing is answered from stall_begin_ns to stall_end_ns. It is driven as the
 * real loop drives connections, so what the desk records can be worked out by hand.
 */

enum { CONNECTION_COUNT_MAX = 64 };

static const uint64_t US = 1000, MS = 1000000, SECOND = 1000000000;

struct target {
    uint32_t connection_count;
    uint64_t service_ns;
    uint64_t stall_begin_ns, stall_end_ns;
    uint64_t lateness_ns; /* of the generator, for each send */
    struct load_ticket tickets[CONNECTION_COUNT_MAX];
    uint64_t done_ns[CONNECTION_COUNT_MAX]; /* UINT64_MAX: free */
};

static struct load_tally tally;
static struct load_desk desk;
static struct target target;

static void begin(double rate, uint64_t duration_ns, uint64_t warmup_ns, uint32_t queue_count_max)
{
    struct load_desk_config config = {
        .scenario = {.kind = LOAD_SCENARIO_REQUEST,
                     .has_rate = true,
                     .profile = {.rate_first = rate, .rate_last = rate, .duration_ns = duration_ns},
                     .batch_count = 1},
        .is_open_loop = true,
        .warmup_ns = warmup_ns,
        .end_ns = duration_ns,
        .queue_count_max = queue_count_max,
    };

    load_tally_init(&tally, warmup_ns, duration_ns, true);
    cr_assert(eq(int, load_desk_init(&desk, &config, &tally), 0));
    target = (struct target){.connection_count = CONNECTION_COUNT_MAX, .service_ns = MS};
    for (uint32_t i = 0; i < CONNECTION_COUNT_MAX; i++)
        target.done_ns[i] = UINT64_MAX;
}

static uint64_t answer_time(uint64_t now_ns)
{
    uint64_t done_ns = now_ns + target.service_ns;

    if (done_ns >= target.stall_begin_ns && done_ns < target.stall_end_ns)
        done_ns = target.stall_end_ns;
    return done_ns;
}

static void start(uint32_t i, uint64_t now_ns)
{
    if (!load_desk_take(&desk, now_ns, &target.tickets[i]))
        return;
    load_desk_sent(&desk, &target.tickets[i], now_ns);
    target.done_ns[i] = answer_time(now_ns);
}

static uint32_t earliest(void)
{
    uint32_t found = 0;

    for (uint32_t i = 1; i < target.connection_count; i++)
        if (target.done_ns[i] < target.done_ns[found])
            found = i;
    return found;
}

/* From event to event until the run is over. */
static void run(void)
{
    uint64_t now_ns = 0;

    while (!load_desk_is_over(&desk, now_ns)) {
        uint32_t first = earliest();
        uint64_t due_ns = load_desk_next_due(&desk);

        if (due_ns != UINT64_MAX && due_ns + target.lateness_ns <= target.done_ns[first]) {
            now_ns = due_ns + target.lateness_ns;
            load_desk_advance(&desk, now_ns);
            for (uint32_t i = 0; i < target.connection_count && load_desk_waiting(&desk) > 0; i++)
                if (target.done_ns[i] == UINT64_MAX)
                    start(i, now_ns);
        } else {
            now_ns = target.done_ns[first];
            target.done_ns[first] = UINT64_MAX;
            load_desk_answer(&desk, &target.tickets[first], 202, now_ns);
            start(first, now_ns);
        }
    }
    load_tally_finish(&tally, now_ns);
}

static void teardown(void)
{
    if (desk.ring != NULL)
        load_desk_deinit(&desk);
}

TestSuite(load_desk, .fini = teardown, .timeout = 60);

static uint64_t corrected(double percentile)
{
    return hdr_histogram_percentile(&tally.corrected, percentile);
}

static uint64_t uncorrected(double percentile)
{
    return hdr_histogram_percentile(&tally.uncorrected, percentile);
}

Test(load_desk, sees_a_stall_as_clients_would_that_do_not_wait_for_each_other)
{
    begin(2000, 30 * SECOND, 0, 1 << 20);
    target.stall_begin_ns = 10 * SECOND;
    target.stall_end_ns = 10 * SECOND + 1400 * MS;
    run();
    cr_assert(eq(u64, tally.sent, 60000));
    cr_assert(eq(u64, tally.ok, 60000));
    /*
     * 2,800 of 60,000 are due in the stall and wait from 1,400 ms down to nothing, behind
     * 64 that were sent: 600, one in a hundred, wait longer than 1,400 * (1 - 600 / 2800)
     * = 1,100 ms, 60 longer than 1,370 ms. Working off what has gathered adds a few ms.
     */
    cr_assert(ge(u64, corrected(99), 1100000));
    cr_assert(le(u64, corrected(99), 1115000));
    cr_assert(ge(u64, corrected(99.9), 1370000));
    cr_assert(le(u64, corrected(99.9), 1376000));
    cr_assert(ge(u64, corrected(100), 1400000));
    /* What was sent saw little of it: 64 requests of 60,000. */
    cr_assert(eq(u64, uncorrected(99), 1000));
    cr_assert(eq(u64, uncorrected(99.8), 1000));
    cr_assert(ge(u64, uncorrected(100), 1368000));
    cr_assert(eq(u64, hdr_histogram_percentile(&tally.schedule_error, 100), 0));
}

Test(load_desk, shows_a_target_that_is_too_slow_as_an_ever_longer_wait)
{
    /* One connection answers 500 a second, 1,000 are asked for: number i waits i ms more. */
    begin(1000, 2 * SECOND, 0, 1 << 20);
    target.connection_count = 1;
    target.service_ns = 2 * MS;
    run();
    cr_assert(eq(u64, tally.ok, 2000));
    cr_assert(eq(u64, uncorrected(100), 2000));
    cr_assert(eq(u64, tally.corrected.max, 2000 + 1999 * 1000));
    cr_assert(eq(u64, tally.corrected.min, 2000));
    cr_assert(eq(u64, tally.end_ns, 4 * SECOND));
}

Test(load_desk, skips_what_does_not_fit_into_the_queue_and_says_so)
{
    struct load_verdict verdict;

    begin(1000, SECOND, 0, 10);
    target.connection_count = 1;
    target.stall_begin_ns = 1;
    target.stall_end_ns = 500 * MS + 500 * US;
    run();
    /* Until the end of the stall 501 were due: 1 was sent, 10 waited. */
    cr_assert(eq(u64, tally.skipped, 490));
    cr_assert(eq(u64, tally.sent, 510));
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 1));
    cr_assert(eq(int, strncmp(verdict.why[0], "490 sends were skipped", 22), 0));
}

Test(load_desk, takes_our_own_lateness_for_a_schedule_error)
{
    struct load_verdict verdict;

    begin(100, SECOND, 0, 100);
    target.lateness_ns = 250 * US;
    run();
    cr_assert(eq(u64, tally.schedule_error.total_count, 100));
    cr_assert(eq(u64, tally.schedule_error.min, 250));
    cr_assert(eq(u64, tally.schedule_error.max, 250));
    cr_assert(eq(u64, tally.corrected.max, 1250));
    cr_assert(eq(u64, tally.uncorrected.max, 1000));
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 1));
    cr_assert(strstr(verdict.why[0], "late by 250 us") != NULL);
}

Test(load_desk, does_not_blame_the_schedule_for_a_wait_for_a_connection)
{
    begin(1000, SECOND, 0, 1 << 20);
    target.connection_count = 1;
    target.service_ns = 5 * MS;
    run();
    cr_assert(eq(u64, tally.schedule_error.total_count, 1000));
    cr_assert(eq(u64, tally.schedule_error.max, 0));
}

Test(load_desk, leaves_the_warm_up_out)
{
    begin(1000, 3 * SECOND, SECOND, 1 << 20);
    target.stall_begin_ns = 1;
    target.stall_end_ns = 500 * MS;
    run();
    cr_assert(eq(u64, desk.taken_count, 3000));
    cr_assert(eq(u64, tally.sent, 2000));
    cr_assert(eq(u64, tally.corrected.max, 1000));
    cr_assert(ieee_ulp_eq(dbl, load_tally_throughput(&tally), 1000, 4));
}

Test(load_desk, counts_what_waits_at_a_stop_as_skipped)
{
    struct load_ticket ticket;

    begin(1000, SECOND, 0, 1000);
    load_desk_advance(&desk, 99 * MS);
    cr_assert(load_desk_take(&desk, 99 * MS, &ticket));
    cr_assert(eq(u32, load_desk_waiting(&desk), 99));
    cr_assert(eq(u64, load_desk_oldest(&desk), MS));
    load_desk_stop(&desk, 99 * MS);
    cr_assert(eq(u64, tally.skipped, 99));
    cr_assert(eq(u64, load_desk_next_due(&desk), UINT64_MAX));
    cr_assert(not(load_desk_is_over(&desk, 99 * MS)));
    load_desk_fail(&desk, &ticket, LOAD_ERROR_CLOSED, 100 * MS);
    cr_assert(load_desk_is_over(&desk, 100 * MS));
    cr_assert(eq(u64, tally.error_counts[LOAD_ERROR_CLOSED], 1));
    cr_assert(eq(u64, tally.corrected.total_count, 0));
}

Test(load_desk, gives_a_request_to_every_free_connection_in_closed_loop)
{
    struct load_desk_config config = {
        .scenario = {.kind = LOAD_SCENARIO_REQUEST,
                     .has_rate = true,
                     .profile = {.rate_first = 1, .rate_last = 1, .duration_ns = SECOND},
                     .batch_count = 1},
        .end_ns = SECOND,
        .queue_count_max = 1,
    };
    struct load_ticket ticket;

    load_tally_init(&tally, 0, SECOND, false);
    cr_assert(eq(int, load_desk_init(&desk, &config, &tally), 0));
    for (uint64_t i = 0; i < 1000; i++) {
        cr_assert(load_desk_take(&desk, i * MS, &ticket));
        cr_assert(eq(u64, ticket.intended_ns, i * MS));
        load_desk_answer(&desk, &ticket, 200, i * MS + 10 * US);
    }
    cr_assert(not(load_desk_take(&desk, SECOND, &ticket)));
    cr_assert(load_desk_is_over(&desk, SECOND));
    cr_assert(eq(u64, tally.corrected.max, 10));
    cr_assert(eq(u64, tally.schedule_error.total_count, 0));
}
