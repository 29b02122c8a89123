/*
 * Recording is two additions into histograms and a third into that of the present
 * interval. An interval is closed when the first answer after its end comes: then its
 * histogram is read and emptied, which takes about 50 us and so is done once a second at
 * most. Intervals go by the time of the answer, so that a stall shows as a gap where it
 * was and its latencies right after it.
 */
#include "tools/load/load_tally.h"

#include <stdarg.h>
#include <stdio.h>

static const uint64_t SECOND_NS = 1000000000;

static const char *const ERROR_NAMES[LOAD_ERROR_COUNT] = {
    [LOAD_ERROR_CONNECT] = "connect", [LOAD_ERROR_TLS] = "tls",
    [LOAD_ERROR_CLOSED] = "closed",   [LOAD_ERROR_PROTOCOL] = "protocol",
    [LOAD_ERROR_TIMEOUT] = "timeout",
};

const char *load_error_name(enum load_error error)
{
    assert((size_t)error < ARRAY_COUNT(ERROR_NAMES));
    return ERROR_NAMES[error];
}

/* To the nearest. */
static uint64_t us_of(uint64_t ns)
{
    return (ns + 500) / 1000;
}

void load_tally_init(struct load_tally *tally, uint64_t begin_ns, uint64_t end_ns,
                     bool is_open_loop)
{
    uint64_t seconds = (end_ns - begin_ns) / SECOND_NS;

    assert(begin_ns <= end_ns);
    memset(tally, 0, sizeof(*tally));
    hdr_histogram_init(&tally->corrected);
    hdr_histogram_init(&tally->uncorrected);
    hdr_histogram_init(&tally->schedule_error);
    hdr_histogram_init(&tally->window);
    tally->begin_ns = begin_ns;
    tally->end_ns = end_ns;
    tally->is_open_loop = is_open_loop;
    /* Half of the room, for a run that its target makes longer. */
    tally->interval_ns = (seconds / (LOAD_INTERVAL_COUNT_MAX / 2) + 1) * SECOND_NS;
}

/* --- intervals ------------------------------------------------------------ */

static void close_interval(struct load_tally *tally)
{
    struct load_interval *interval;

    if (tally->interval_count < LOAD_INTERVAL_COUNT_MAX) {
        interval = &tally->intervals[tally->interval_count++];
        *interval = tally->current;
        interval->p50_us = hdr_histogram_percentile(&tally->window, 50);
        interval->p99_us = hdr_histogram_percentile(&tally->window, 99);
        interval->max_us = tally->window.max;
    }
    tally->current = (struct load_interval){0};
    if (tally->window.total_count > 0)
        hdr_histogram_init(&tally->window);
}

/* Closes the intervals that lie before now. */
static void turn_intervals(struct load_tally *tally, uint64_t now_ns)
{
    while (unlikely(now_ns >= tally->begin_ns + (tally->interval_count + 1) * tally->interval_ns) &&
           tally->interval_count < LOAD_INTERVAL_COUNT_MAX)
        close_interval(tally);
}

/* --- counting ------------------------------------------------------------- */

void load_tally_schedule_error(struct load_tally *tally, uint64_t error_ns)
{
    hdr_histogram_record(&tally->schedule_error, us_of(error_ns));
}

static void record(struct load_tally *tally, const struct load_ticket *ticket, uint64_t now_ns)
{
    uint64_t corrected_us;

    assert(ticket->intended_ns <= ticket->sent_ns);
    assert(ticket->sent_ns <= now_ns);
    corrected_us = us_of(now_ns - ticket->intended_ns);
    hdr_histogram_record(&tally->corrected, corrected_us);
    hdr_histogram_record(&tally->window, corrected_us);
    hdr_histogram_record(&tally->uncorrected, us_of(now_ns - ticket->sent_ns));
}

void load_tally_answer(struct load_tally *tally, const struct load_ticket *ticket, unsigned status,
                       uint64_t now_ns)
{
    assert(status < LOAD_STATUS_COUNT);
    if (!ticket->is_measured)
        return;
    turn_intervals(tally, now_ns);
    record(tally, ticket, now_ns);
    tally->status_counts[status]++;
    tally->answered++;
    tally->current.answered++;
    if (status >= 200 && status < 300) {
        tally->ok++;
        tally->events += ticket->event_count;
    }
    tally->end_ns = max_u64(tally->end_ns, now_ns);
}

void load_tally_fail(struct load_tally *tally, const struct load_ticket *ticket,
                     enum load_error error, uint64_t now_ns)
{
    assert(error < LOAD_ERROR_COUNT);
    if (!ticket->is_measured)
        return;
    turn_intervals(tally, now_ns);
    if (error == LOAD_ERROR_TIMEOUT)
        record(tally, ticket, now_ns);
    tally->error_counts[error]++;
    tally->current.failed++;
    tally->end_ns = max_u64(tally->end_ns, now_ns);
}

void load_tally_finish(struct load_tally *tally, uint64_t now_ns)
{
    turn_intervals(tally, now_ns);
    if (tally->current.answered + tally->current.failed > 0)
        close_interval(tally);
}

/* --- judging -------------------------------------------------------------- */

uint64_t load_tally_failed(const struct load_tally *tally)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < LOAD_ERROR_COUNT; i++)
        count += tally->error_counts[i];
    return count;
}

double load_tally_throughput(const struct load_tally *tally)
{
    if (tally->end_ns <= tally->begin_ns)
        return 0;
    return (double)tally->ok * 1e9 / (double)(tally->end_ns - tally->begin_ns);
}

double load_tally_cpu_percent(const struct load_tally *tally)
{
    return tally->wall_ns == 0 ? 0 : (double)tally->cpu_ns * 100 / (double)tally->wall_ns;
}

PRINTF_LIKE(2, 3) static void blame(struct load_verdict *verdict, const char *format, ...)
{
    va_list arguments;

    assert(verdict->why_count < LOAD_WHY_COUNT_MAX);
    va_start(arguments, format);
    vsnprintf(verdict->why[verdict->why_count++], LOAD_WHY_SIZE, format, arguments);
    va_end(arguments);
}

void load_tally_judge(const struct load_tally *tally, struct load_verdict *ret_verdict)
{
    uint64_t error_us = hdr_histogram_percentile(&tally->schedule_error, 99);

    ret_verdict->why_count = 0;
    if (tally->ok == 0)
        blame(ret_verdict, "no request was answered with success");
    if (tally->skipped > 0)
        blame(ret_verdict, "%llu sends were skipped: the target fell too far behind",
              (unsigned long long)tally->skipped);
    if (load_tally_cpu_percent(tally) > LOAD_CPU_PERCENT_MAX)
        blame(ret_verdict, "the generator used %.0f %% of its core, above %d %%: it was the limit",
              load_tally_cpu_percent(tally), LOAD_CPU_PERCENT_MAX);
    if (tally->is_open_loop && error_us > LOAD_SCHEDULE_ERROR_US_MAX)
        blame(ret_verdict,
              "sends were late by %llu us at p99, above %d us: this machine is too busy",
              (unsigned long long)error_us, LOAD_SCHEDULE_ERROR_US_MAX);
}
