/*
 * Bench incidents: what it costs to count one event.
 *
 *     bench_incidents [ROUNDS]    default: 5
 *
 * The key of an event's series (contracts/series.h) and its fold (store/incident_table.h), as
 * the intake pays them for each error and signup: a flood of one error whose incident is open,
 * 10,000 different ones in turn, which miss the caches, errors beyond the limit, which go into
 * one series, and what recovery pays per event. Best and median of the rounds, on one core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "contracts/series.h"
#include "store/incident_table.h"

enum { EVENT_COUNT = 2000000, SERIES_COUNT = 10000, ROUND_COUNT_MAX = 100 };

static const int64_t NOON_MS = 1736942400000;
static const uint8_t HASH_KEY[SIPHASH_KEY_SIZE] = {1, 2, 3};

struct result {
    const char *name;
    double ns[ROUND_COUNT_MAX];
    uint32_t count;
};

static struct result keys = {.name = "key of a series"};
static struct result flood = {.name = "fold, one series, incident open"};
static struct result many = {.name = "fold, 10,000 series in turn"};
static struct result overflow = {.name = "fold, beyond the limit"};
static struct result recovery = {.name = "recover, 10,000 series in turn"};

static uint64_t read_ns(void)
{
    struct timespec now;
    int r = clock_gettime(CLOCK_MONOTONIC, &now);

    assert(r == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void record(struct result *result, uint64_t start_ns)
{
    assert(result->count < ROUND_COUNT_MAX);
    result->ns[result->count++] = (double)(read_ns() - start_ns) / EVENT_COUNT;
}

static struct record_event error_of(uint64_t number, int64_t at_ms)
{
    return (struct record_event){.event_type = EVENT_TYPE_ERROR,
                                 .occurred_ms = at_ms,
                                 .received_ms = (uint64_t)at_ms,
                                 .project = 1,
                                 .series = {number * 0x9e3779b97f4a7c15, number}};
}

static struct incident_table *make_table(uint32_t new_max)
{
    struct incident_table_config config = {.hash_key = HASH_KEY,
                                           .series_max = 20000,
                                           .incidents_max = 1024,
                                           .projects_max = 64,
                                           .live_max = SERIES_COUNT,
                                           .new_max = new_max,
                                           .lateness_ms = 300000,
                                           .seed = 1};
    struct incident_table *table;
    int r = incident_table_new(&config, &table);

    if (r < 0)
        abort();
    return table;
}

static void take_changes(struct incident_table *table)
{
    while (incident_table_change(table) != NULL)
        incident_table_take_change(table);
}

/* EVENT_COUNT errors of count series in turn, step_ms apart. */
static void fold(struct result *result, uint32_t count, uint32_t new_max, uint32_t step_ms)
{
    struct incident_table *table = make_table(new_max);
    uint64_t start_ns;

    if (!incident_table_resume(table, 1))
        abort();
    start_ns = read_ns();
    for (uint32_t i = 0; i < EVENT_COUNT; i++) {
        int64_t at_ms = NOON_MS + (int64_t)i * step_ms;
        struct record_event event = error_of(1 + i % count, at_ms);

        if (!incident_table_has_room(table))
            take_changes(table);
        (void)incident_table_fold(table, &event, journal_location_make(0, 1, 8), (uint64_t)at_ms);
    }
    record(result, start_ns);
    incident_table_free(&table);
}

static void recover(void)
{
    struct incident_table *table = make_table(100);
    uint64_t start_ns = read_ns();

    for (uint32_t i = 0; i < EVENT_COUNT; i++) {
        struct record_event event = error_of(1 + i % SERIES_COUNT, NOON_MS + (int64_t)(i / 10));

        incident_table_recover(table, &event, journal_location_make(0, 1, 8));
    }
    record(&recovery, start_ns);
    incident_table_free(&table);
}

static void make_keys(void)
{
    static const char text[] =
        "{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\","
        "\"attributes\":{\"error_code\":\"PAYMENT_TIMEOUT\",\"route\":\"/api/checkout\"}}";
    struct series_scope scope = {HASH_KEY, 7};
    struct json_reader reader;
    struct issue_list issues;
    struct raw_event event;
    uint64_t key[2], sum = 0, start_ns;

    issue_list_init(&issues);
    if (raw_event_read_document(slice_of(text), JSON_DEPTH_DEFAULT, &issues, &reader, &event) !=
        RAW_EVENT_OK)
        abort();
    start_ns = read_ns();
    for (uint32_t i = 0; i < EVENT_COUNT; i++) {
        scope.project = i + 1;
        if (series_key(&scope, &event, key))
            sum += key[0];
    }
    record(&keys, start_ns);
    if (sum == 0)
        abort(); /* so that nobody leaves the loop out */
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

static void print(struct result *result)
{
    qsort(result->ns, result->count, sizeof(result->ns[0]), compare);
    printf("%-34s %8.1f ns best %8.1f ns median\n", result->name, result->ns[0],
           result->ns[result->count / 2]);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 5;

    if (rounds < 1 || rounds > ROUND_COUNT_MAX)
        rounds = 5;
    for (long i = 0; i < rounds; i++) {
        make_keys();
        fold(&flood, 1, 100, 1);
        fold(&many, SERIES_COUNT, 1000000, 3); /* too few of each for an incident */
        fold(&overflow, EVENT_COUNT, 1, 1);
        recover();
    }
    print(&keys);
    print(&flood);
    print(&many);
    print(&overflow);
    print(&recovery);
    return 0;
}
