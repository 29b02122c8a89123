/*
 * Tally: a byte per job, its state, and two growing lists of delays.
 *
 *     0 --make--> MADE --start--> STARTED --complete--> COMPLETED
 */
#include "perf/jobs/tally.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "contracts/json_reader.h"
#include "perf/jobs/lane.h"

enum { DELAY_COUNT_MAX = 4 * 1000 * 1000 };

enum job_state { JOB_UNKNOWN, JOB_MADE, JOB_STARTED, JOB_COMPLETED };

struct delays {
    uint64_t *ns;
    size_t count;
};

struct tally {
    uint8_t *states; /* by job number */
    uint64_t made;
    uint64_t acknowledged;
    uint64_t started;
    uint64_t completed;
    bool is_recording;
    struct delays start;
    struct delays schedule;
};

static void check(const struct tally *tally)
{
    assert(tally->started <= tally->made);
    assert(tally->completed <= tally->started);
    assert(tally->acknowledged <= tally->made);
}

struct tally *tally_new(void)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    lane_must(tally != NULL, "no memory");
    tally->states = calloc(TALLY_JOB_COUNT_MAX, sizeof(*tally->states));
    tally->start.ns = calloc(DELAY_COUNT_MAX, sizeof(uint64_t));
    tally->schedule.ns = calloc(DELAY_COUNT_MAX, sizeof(uint64_t));
    lane_must(tally->states != NULL, "no memory");
    lane_must(tally->start.ns != NULL && tally->schedule.ns != NULL, "no memory");
    return tally;
}

void tally_free(struct tally **tally)
{
    if (*tally == NULL)
        return;
    free((*tally)->states);
    free((*tally)->start.ns);
    free((*tally)->schedule.ns);
    free(*tally);
    *tally = NULL;
}

static void record(const struct tally *tally, struct delays *delays, uint64_t ns)
{
    if (!tally->is_recording)
        return;
    lane_must(delays->count < DELAY_COUNT_MAX, "too many jobs for one run: make it shorter");
    delays->ns[delays->count++] = ns;
}

void tally_make(struct tally *tally, uint64_t due_ns, uint64_t now_ns, char *ret_payload)
{
    char head[96];
    int size;

    check(tally);
    assert(due_ns <= now_ns);
    lane_must(tally->made < TALLY_JOB_COUNT_MAX, "too many jobs for one run: make it shorter");
    size = snprintf(head, sizeof(head), "{\"n\":%llu,\"t\":%llu,\"pad\":\"",
                    (unsigned long long)tally->made, (unsigned long long)due_ns);
    assert(size > 0 && (size_t)size < sizeof(head));
    memset(ret_payload, 'x', TALLY_PAYLOAD_SIZE);
    memcpy(ret_payload, head, (size_t)size);
    memcpy(ret_payload + TALLY_PAYLOAD_SIZE - 2, "\"}", 2);
    record(tally, &tally->schedule, now_ns - due_ns);
    tally->states[tally->made++] = JOB_MADE;
}

void tally_acknowledge(struct tally *tally, uint64_t count)
{
    tally->acknowledged += count;
    check(tally);
}

static uint64_t read_number(struct slice payload, struct slice name)
{
    struct json_value value;
    char text[24];

    lane_must(json_find_member(payload, name, &value), "a payload came back without a member");
    lane_must(value.type == JSON_NUMBER && value.is_integer && value.raw.size < sizeof(text),
              "a payload came back changed");
    memcpy(text, value.raw.data, value.raw.size);
    text[value.raw.size] = '\0';
    return strtoull(text, NULL, 10);
}

uint64_t tally_start(struct tally *tally, struct slice payload, uint64_t now_ns)
{
    uint64_t number = read_number(payload, SLICE_LITERAL("n"));
    uint64_t due_ns = read_number(payload, SLICE_LITERAL("t"));

    check(tally);
    lane_must(number < tally->made, "a job was leased that nobody made");
    lane_must(tally->states[number] == JOB_MADE, "a job was leased twice");
    lane_must(due_ns <= now_ns, "a job was leased before it was made");
    tally->states[number] = JOB_STARTED;
    tally->started++;
    record(tally, &tally->start, now_ns - due_ns);
    return number;
}

void tally_complete(struct tally *tally, uint64_t number)
{
    assert(number < tally->made);
    lane_must(tally->states[number] == JOB_STARTED, "a job was completed twice");
    tally->states[number] = JOB_COMPLETED;
    tally->completed++;
    check(tally);
}

void tally_set_recording(struct tally *tally, bool is_recording)
{
    tally->is_recording = is_recording;
}

uint64_t tally_made(const struct tally *tally)
{
    return tally->made;
}

uint64_t tally_acknowledged(const struct tally *tally)
{
    return tally->acknowledged;
}

uint64_t tally_completed(const struct tally *tally)
{
    return tally->completed;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

/* The smallest value that at least percent of all do not exceed. */
static double percentile_us(const struct delays *delays, uint64_t percent)
{
    size_t rank = (delays->count * percent + 99) / 100;

    assert(percent >= 1 && percent <= 100);
    return (double)delays->ns[rank - 1] / 1e3;
}

static struct tally_latency summarize(struct delays *delays)
{
    if (delays->count == 0)
        return (struct tally_latency){0};
    qsort(delays->ns, delays->count, sizeof(delays->ns[0]), compare_u64);
    return (struct tally_latency){
        .count = delays->count,
        .p50_us = percentile_us(delays, 50),
        .p99_us = percentile_us(delays, 99),
        .max_us = percentile_us(delays, 100),
    };
}

struct tally_latency tally_start_latency(struct tally *tally)
{
    assert(!tally->is_recording);
    return summarize(&tally->start);
}

struct tally_latency tally_schedule_delay(struct tally *tally)
{
    assert(!tally->is_recording);
    return summarize(&tally->schedule);
}
