/*
 * Bench: what the contract layer costs per event, on one core.
 *
 * Prints nanoseconds per event, best and median of many rounds, for the stages of
 * intake: scanning the JSON, reading it as an event, writing the envelope, and the
 * last two together with the names derived from it. The event has 400 bytes, like
 * the one in the load tool. Numbers from a loaded host mean nothing; take the best.
 */
#include <time.h>

#include "contracts/batch.h"
#include "contracts/envelope.h"
#include "contracts/fingerprint.h"
#include "contracts/json_reader.h"
#include "contracts/json_writer.h"
#include "contracts/raw_event.h"

enum { ROUND_COUNT = 41, EVENTS_PER_ROUND = 20000 };

static const char EVENT[] =
    "{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T11:59:00.123Z\","
    "\"message\":\"Connection timeout while calling the payment service\","
    "\"environment\":\"prod\",\"severity\":\"critical\","
    "\"event_id\":\"550e8400-e29b-41d4-a716-446655440000\","
    "\"attributes\":{\"error_code\":\"TIMEOUT\",\"route\":\"/api/checkout\",\"status\":504,"
    "\"region\":\"eu-west-1\",\"duration_ms\":30012.5},"
    "\"payload\":{\"user_id\":\"user_123\",\"retry\":true,\"items\":[1,2,3]}}";

static const struct envelope_stamp STAMP = {
    .org_id = {"org_123", 7},
    .project_id = {"proj_456", 8},
    .event_id = "550e8400-e29b-41d4-a716-446655440000",
    .received_ms = 1736942400000,
};

static struct issue_list issues;
static struct raw_event event;
static char buffer[4096];
static size_t envelope_size;
static uint64_t sink; /* keeps the results alive */

static void scan(struct slice text)
{
    struct json_reader reader;
    struct json_value value;

    sink += json_read_document(text, JSON_DEPTH_DEFAULT, &reader, &value);
}

static void read_event(struct slice text)
{
    struct json_reader reader;

    issue_list_init(&issues);
    sink +=
        RAW_EVENT_OK == raw_event_read_document(text, JSON_DEPTH_DEFAULT, &issues, &reader, &event);
}

static void write_envelope(struct slice text)
{
    struct json_writer writer;

    (void)text;
    json_writer_init(&writer, buffer, sizeof(buffer));
    envelope_write(&event, &STAMP, &writer);
    envelope_size = writer.size;
}

static void canonicalise(struct slice text)
{
    read_event(text);
    write_envelope(text);
}

static void take_in(struct slice text)
{
    char key[FINGERPRINT_SIZE_MAX + 64];
    size_t size;

    canonicalise(text);
    size = partition_key_write(&event, STAMP.org_id, STAMP.project_id, key, sizeof(key));
    sink += partition_of((struct slice){key, size}, 64);
}

static void read_back(struct slice text)
{
    struct envelope envelope;

    (void)text;
    sink += envelope_read((struct slice){buffer, envelope_size}, &envelope);
}

static int compare_ns(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure(const char *name, void (*stage)(struct slice))
{
    struct slice text = {EVENT, sizeof(EVENT) - 1};
    double rounds[ROUND_COUNT];

    for (int round = 0; round < ROUND_COUNT; round++) {
        double begin = now_ns();

        for (int i = 0; i < EVENTS_PER_ROUND; i++)
            stage(text);
        rounds[round] = (now_ns() - begin) / EVENTS_PER_ROUND;
    }
    qsort(rounds, ROUND_COUNT, sizeof(rounds[0]), compare_ns);
    printf("%-36s %8.0f %8.0f\n", name, rounds[0], rounds[ROUND_COUNT / 2]);
}

int main(void)
{
    printf("%zu-byte event %34s %8s\n", sizeof(EVENT) - 1, "best ns", "median");
    measure("scan JSON", scan);
    measure("parse + validate", read_event);
    measure("write envelope", write_envelope);
    measure("parse + validate + envelope", canonicalise);
    measure("all + partition key", take_in);
    measure("read a stored envelope", read_back);
    return sink == 0;
}
