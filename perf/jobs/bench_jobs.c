/*
 * Bench jobs: the load on weir's durable jobs, from enqueue over start to complete.
 *
 *     bench_jobs --port N [--mode single|chain|batch|open] [--rate N] [--warmup S] [--seconds S]
 *                [--clients N] [--workers N] [--backlog N] [--key KEY]
 *
 * One thread, one ring. Each client and each worker is a connection of its own
 * with one request in flight:
 *
 *     client   POST /v1/jobs          wait for 202, again     (batch: /v1/jobs/batch)
 *     worker   POST .../lease         LEASING: wait for a job
 *              POST .../{id}/complete COMPLETING: wait for 200, again (batch: /v1/jobs/complete)
 *              or POST .../lease with what is to be completed: one request a job (chain)
 *
 * In the closed modes (single, chain, batch) clients pause while `backlog` jobs are not
 * completed, so that the rate is that of the whole path and no queue grows behind
 * it. In the open mode jobs are due at fixed times whatever the server does: one
 * that finds no idle client waits, and its latency counts from when it was due.
 *
 * It speaks to whoever started it: a line BEGIN and a line END as the measured window
 * begins and ends, at the end RESULT and one JSON object. Before that every job must
 * be completed, exactly once, no further job may be there to lease, and a sample of
 * the jobs must be `completed` when asked for by id. If not, it ends with status 1.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "contracts/json_reader.h"
#include "perf/jobs/lane.h"
#include "perf/jobs/tally.h"
#include "runtime/io_uring.h"

enum {
    LANE_COUNT_MAX = 256, /* of each kind */
    BATCH_COUNT = 100,
    TEXT_SIZE_MAX = 96, /* an id or an epoch, and its terminator */
    SAMPLE_COUNT = 200, /* jobs that are read back */
    SAMPLE_STRIDE = 97,
    DRAIN_SECONDS_MAX = 60,
    WARM_SECONDS_MAX = 60,
};

/* CHAIN: one by one too, but a worker completes its job in the request that leases the next. */
enum mode { MODE_SINGLE, MODE_BATCH, MODE_OPEN, MODE_CHAIN };

static const char KIND[] = "bench";
static const uint64_t SECOND_NS = 1000000000;

/* A job that a worker holds. */
struct held {
    uint64_t number;
    char id[TEXT_SIZE_MAX];
    char epoch[TEXT_SIZE_MAX]; /* as JSON */
};

struct client {
    struct lane lane;
    uint32_t job_count; /* in the request that is on its way */
};

struct worker {
    struct lane lane;
    bool is_completing;
    uint32_t held_count;
    struct held held[BATCH_COUNT];
};

/* What is measured over the window. */
struct mark {
    uint64_t mono_ns;
    uint64_t cpu_us;
    uint64_t acknowledged;
    uint64_t completed;
};

static struct {
    enum mode mode;
    uint16_t port;
    double rate;
    double warmup_s;
    double seconds;
    uint32_t client_count;
    uint32_t worker_count;
    uint64_t backlog_max;
    const char *key;
} options = {.warmup_s = 2, .seconds = 5, .key = "dev-api-key-12345"};

static struct io *io;
static struct tally *tally;
static struct client clients[LANE_COUNT_MAX];
static struct worker workers[LANE_COUNT_MAX];
static char samples[SAMPLE_COUNT][TEXT_SIZE_MAX];
static uint64_t sample_count; /* ever taken: the latest SAMPLE_COUNT are kept */
static uint64_t started_ns;
static bool is_stopping; /* no new jobs */
static bool is_drained;  /* no new leases */

static uint64_t read_mono_ns(void)
{
    struct timespec now;
    int r = clock_gettime(CLOCK_MONOTONIC, &now);

    assert(r == 0);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* Ends the run unless the answer has the status it should have. */
static void must_answer(unsigned status, unsigned expected, struct slice body)
{
    if (status == expected)
        return;
    fprintf(stderr, "bench_jobs: %u instead of %u: %.*s\n", status, expected,
            (int)min_u64(body.size, 500), body.data);
    exit(1);
}

static struct slice must_be_json(struct slice body)
{
    struct json_reader reader;
    struct json_value value;

    lane_must(json_read_document(body, JSON_DEPTH_DEFAULT, &reader, &value) == JSON_OK,
              "an answer is not JSON");
    lane_must(value.type == JSON_OBJECT, "an answer is not a JSON object");
    return value.raw;
}

static struct json_value must_have(struct slice object, struct slice name)
{
    struct json_value value;

    if (json_find_member(object, name, &value))
        return value;
    fprintf(stderr, "bench_jobs: no \"%s\" in %.*s\n", name.data, (int)min_u64(object.size, 500),
            object.data);
    exit(1);
}

/* Calls visit for each object in this member of an answer; returns how many there were. */
static uint32_t each_of(struct slice body, struct slice member,
                        void (*visit)(struct worker *worker, uint32_t index, struct slice job),
                        struct worker *worker)
{
    struct json_value jobs = must_have(must_be_json(body), member), job;
    struct json_reader reader;
    uint32_t count = 0;

    lane_must(jobs.type == JSON_ARRAY, "jobs are not an array");
    json_reader_init(&reader, jobs.raw, JSON_DEPTH_DEFAULT);
    lane_must(json_reader_enter_array(&reader) == JSON_OK, "jobs are not an array");
    while (json_reader_next_element(&reader) == JSON_OK) {
        lane_must(json_reader_read(&reader, &job) == JSON_OK && job.type == JSON_OBJECT,
                  "a job is not an object");
        lane_must(count < BATCH_COUNT, "more jobs than were asked for");
        visit(worker, count++, job.raw);
    }
    return count;
}

static uint32_t each_job(struct slice body,
                         void (*visit)(struct worker *worker, uint32_t index, struct slice job),
                         struct worker *worker)
{
    return each_of(body, SLICE_LITERAL("jobs"), visit, worker);
}

/* --- clients -------------------------------------------------------------- */

static uint64_t due_ns_of(uint64_t number)
{
    return started_ns + (uint64_t)((double)number * 1e9 / options.rate);
}

/* How many jobs the client may hand over now; 0 leaves it idle. */
static uint32_t count_to_send(uint64_t now_ns)
{
    uint64_t made = tally_made(tally);
    uint32_t count = options.mode == MODE_BATCH ? BATCH_COUNT : 1;

    if (is_stopping)
        return 0;
    if (options.mode == MODE_OPEN)
        return due_ns_of(made) <= now_ns ? 1 : 0;
    return made - tally_completed(tally) + count <= options.backlog_max ? count : 0;
}

static void client_send(struct client *client)
{
    uint64_t now_ns = read_mono_ns(), due_ns;
    char *body, *at;

    client->job_count = count_to_send(now_ns);
    if (client->job_count == 0)
        return;
    body = at = lane_body(&client->lane);
    if (options.mode == MODE_BATCH)
        at += snprintf(at, 64, "{\"jobs\":[");
    for (uint32_t i = 0; i < client->job_count; i++) {
        due_ns = options.mode == MODE_OPEN ? due_ns_of(tally_made(tally)) : now_ns;
        at += snprintf(at, 64, "%s{\"kind\":\"%s\",\"payload\":", i > 0 ? "," : "", KIND);
        tally_make(tally, due_ns, now_ns, at);
        at += TALLY_PAYLOAD_SIZE;
        *at++ = '}';
    }
    if (options.mode == MODE_BATCH)
        at += snprintf(at, 64, "]}");
    lane_post(&client->lane, options.mode == MODE_BATCH ? "/v1/jobs/batch" : "/v1/jobs",
              (size_t)(at - body));
}

static void on_enqueued(struct lane *lane, unsigned status, struct slice body)
{
    struct client *client = container_of(lane, struct client, lane);

    must_answer(status, 202, body);
    tally_acknowledge(tally, client->job_count);
    client->job_count = 0;
    client_send(client);
}

static void send_from_idle_clients(void)
{
    for (uint32_t i = 0; i < options.client_count; i++) {
        if (!lane_is_busy(&clients[i].lane))
            client_send(&clients[i]);
        if (count_to_send(read_mono_ns()) == 0)
            return;
    }
}

/* --- workers -------------------------------------------------------------- */

static void worker_lease(struct worker *worker)
{
    char path[64];
    int size;

    worker->is_completing = false;
    worker->held_count = 0;
    if (is_drained)
        return;
    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", KIND);
    size = snprintf(lane_body(&worker->lane), LANE_BODY_SIZE_MAX,
                    "{\"limit\":%d,\"wait_seconds\":1,\"lease_seconds\":60}",
                    options.mode == MODE_BATCH ? BATCH_COUNT : 1);
    lane_post(&worker->lane, path, (size_t)size);
}

static void copy_text(struct slice from, char *ret_text)
{
    lane_must(from.size < TEXT_SIZE_MAX, "an id or an epoch is too long");
    memcpy(ret_text, from.data, from.size);
    ret_text[from.size] = '\0';
}

static void hold(struct worker *worker, uint32_t index, struct slice job)
{
    struct held *held = &worker->held[index];
    struct json_value id = must_have(job, SLICE_LITERAL("id"));

    lane_must(id.type == JSON_STRING && id.raw.size > 2, "a job has no id");
    copy_text((struct slice){id.raw.data + 1, id.raw.size - 2}, held->id);
    copy_text(must_have(job, SLICE_LITERAL("epoch")).raw, held->epoch);
    held->number = tally_start(tally, must_have(job, SLICE_LITERAL("payload")).raw, read_mono_ns());
}

static void worker_complete(struct worker *worker)
{
    char path[TEXT_SIZE_MAX + 32] = "/v1/jobs/complete";
    char *body = lane_body(&worker->lane), *at = body;

    worker->is_completing = true;
    if (options.mode != MODE_BATCH) {
        snprintf(path, sizeof(path), "/v1/jobs/%s/complete", worker->held[0].id);
        at += snprintf(at, LANE_BODY_SIZE_MAX, "{\"epoch\":%s,\"result\":{\"ok\":true}}",
                       worker->held[0].epoch);
    } else {
        at += snprintf(at, 64, "{\"jobs\":[");
        for (uint32_t i = 0; i < worker->held_count; i++)
            at += snprintf(at, 2 * TEXT_SIZE_MAX + 64,
                           "%s{\"id\":\"%s\",\"epoch\":%s,\"result\":{\"ok\":true}}",
                           i > 0 ? "," : "", worker->held[i].id, worker->held[i].epoch);
        at += snprintf(at, 64, "]}");
    }
    lane_post(&worker->lane, path, (size_t)(at - body));
}

static void expect_completed(struct worker *worker, uint32_t index, struct slice job)
{
    struct json_value status = must_have(job, SLICE_LITERAL("status"));

    lane_must(index < worker->held_count, "more jobs in the answer than were completed");
    lane_must(slice_equal(status.raw, SLICE_LITERAL("\"completed\"")), "a job was not completed");
}

static void settle(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->held_count; i++) {
        tally_complete(tally, worker->held[i].number);
        if (worker->held[i].number % SAMPLE_STRIDE == 0)
            memcpy(samples[sample_count++ % SAMPLE_COUNT], worker->held[i].id, TEXT_SIZE_MAX);
    }
}

/* Completes what the worker holds and asks for the next job, in one request. */
static void worker_go_on(struct worker *worker)
{
    char path[64];
    int size;

    worker->is_completing = true;
    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", KIND);
    size = snprintf(lane_body(&worker->lane), LANE_BODY_SIZE_MAX,
                    "{\"limit\":%d,\"wait_seconds\":%d,\"lease_seconds\":60,\"complete\":[{\"id\":"
                    "\"%s\",\"epoch\":%s,\"result\":{\"ok\":true}}]}",
                    1, is_stopping ? 0 : 1, worker->held[0].id, worker->held[0].epoch);
    lane_post(&worker->lane, path, (size_t)size);
}

static void on_chain_answer(struct worker *worker, struct slice body)
{
    if (worker->is_completing) {
        lane_must(each_of(body, SLICE_LITERAL("completed"), expect_completed, worker) ==
                      worker->held_count,
                  "fewer jobs in the answer than were completed");
        settle(worker);
    }
    worker->held_count = each_job(body, hold, worker);
    lane_must(worker->held_count <= 1, "more jobs than asked");
    if (worker->held_count > 0)
        worker_go_on(worker);
    else
        worker_lease(worker);
}

static void on_worker_answer(struct lane *lane, unsigned status, struct slice body)
{
    struct worker *worker = container_of(lane, struct worker, lane);

    must_answer(status, 200, body);
    if (options.mode == MODE_CHAIN) {
        on_chain_answer(worker, body);
        return;
    }
    if (!worker->is_completing) {
        worker->held_count = each_job(body, hold, worker);
        lane_must(worker->held_count <= 1 || options.mode == MODE_BATCH, "more jobs than asked");
        if (worker->held_count > 0)
            worker_complete(worker);
        else
            worker_lease(worker);
        return;
    }
    if (options.mode == MODE_BATCH)
        lane_must(each_job(body, expect_completed, worker) == worker->held_count,
                  "fewer jobs in the answer than were completed");
    settle(worker);
    worker_lease(worker);
}

/* --- the run -------------------------------------------------------------- */

static struct mark mark_now(const char *line)
{
    struct rusage usage;
    int r = getrusage(RUSAGE_SELF, &usage);

    assert(r == 0);
    printf("%s\n", line);
    fflush(stdout);
    return (struct mark){
        .mono_ns = read_mono_ns(),
        .cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                  (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec),
        .acknowledged = tally_acknowledged(tally),
        .completed = tally_completed(tally),
    };
}

/* Lets the ring work until something came, the next job is due, or until_ns. */
static void turn(uint64_t until_ns)
{
    uint64_t now_ns = read_mono_ns();

    if (options.mode == MODE_OPEN && !is_stopping)
        until_ns = min_u64(until_ns, due_ns_of(tally_made(tally)));
    lane_must(io_wait(io, until_ns > now_ns ? until_ns - now_ns : 0) == 0, "io_wait failed");
    io_reap(io, 4096);
    if (!is_stopping)
        send_from_idle_clients();
}

static void run_until(uint64_t until_ns)
{
    while (read_mono_ns() < until_ns)
        turn(until_ns);
}

/* Not while the backlog is still filling up: there clients are quicker than they can last. */
static void run_until_warm(void)
{
    uint64_t until_ns = started_ns + WARM_SECONDS_MAX * SECOND_NS;

    run_until(started_ns + (uint64_t)(options.warmup_s * 1e9));
    while (options.mode != MODE_OPEN && tally_completed(tally) < 2 * options.backlog_max) {
        lane_must(read_mono_ns() < until_ns, "too slow to get warm");
        turn(until_ns);
    }
}

static bool is_any_busy(void)
{
    for (uint32_t i = 0; i < options.client_count; i++)
        if (lane_is_busy(&clients[i].lane))
            return true;
    for (uint32_t i = 0; i < options.worker_count; i++)
        if (lane_is_busy(&workers[i].lane))
            return true;
    return false;
}

static void drain(void)
{
    uint64_t until_ns = read_mono_ns() + DRAIN_SECONDS_MAX * SECOND_NS;

    is_stopping = true;
    while (is_any_busy()) {
        lane_must(read_mono_ns() < until_ns, "jobs are left that nobody can lease");
        turn(read_mono_ns() + SECOND_NS / 10);
        if (tally_completed(tally) == tally_made(tally))
            is_drained = true;
    }
}

/* --- reading back ---------------------------------------------------------- */

static void on_empty(struct lane *lane, unsigned status, struct slice body)
{
    struct worker *worker = container_of(lane, struct worker, lane);

    must_answer(status, 200, body);
    lane_must(each_job(body, hold, worker) == 0, "a job is left after all were completed");
}

static void on_sample(struct lane *lane, unsigned status, struct slice body)
{
    struct json_value state;

    (void)lane;
    must_answer(status, 200, body);
    state = must_have(must_be_json(body), SLICE_LITERAL("state"));
    lane_must(slice_equal(state.raw, SLICE_LITERAL("\"completed\"")),
              "a job that was completed is not");
}

static void wait_for(struct lane *lane)
{
    while (lane_is_busy(lane))
        turn(read_mono_ns() + SECOND_NS / 10);
}

/* Returns how many jobs were read back. */
static uint64_t read_back(void)
{
    struct lane *lane = &workers[0].lane;
    uint64_t count = min_u64(sample_count, SAMPLE_COUNT);
    char path[TEXT_SIZE_MAX + 32];
    int size;

    lane->on_answer = on_empty;
    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", KIND);
    size = snprintf(lane_body(lane), LANE_BODY_SIZE_MAX,
                    "{\"limit\":1,\"wait_seconds\":0,\"lease_seconds\":60}");
    lane_post(lane, path, (size_t)size);
    wait_for(lane);
    lane->on_answer = on_sample;
    for (uint64_t i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "/v1/jobs/%s", samples[i]);
        lane_get(lane, path);
        wait_for(lane);
    }
    return count;
}

/* --- start and report ------------------------------------------------------ */

static void connect_all(void)
{
    static const struct io_uring_config CONFIG = {0};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(options.port)};

    lane_must(io_uring_new(&CONFIG, &io) == 0, "no io_uring");
    lane_must(io_enable(io) == 0, "no io_uring");
    for (uint32_t i = 0; i < options.client_count; i++)
        lane_open(&clients[i].lane, io, &address, options.key, on_enqueued);
    for (uint32_t i = 0; i < options.worker_count; i++)
        lane_open(&workers[i].lane, io, &address, options.key, on_worker_answer);
}

static void print_latency(const char *name, struct tally_latency latency)
{
    printf(",\"%s\":{\"count\":%llu,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name,
           (unsigned long long)latency.count, latency.p50_us, latency.p99_us, latency.max_us);
}

static void print_result(const struct mark *begin, const struct mark *end, uint64_t read_back_count)
{
    static const char *const NAMES[] = {"single", "batch", "open", "chain"};
    double seconds = (double)(end->mono_ns - begin->mono_ns) / 1e9;
    uint64_t completed = end->completed - begin->completed;

    printf("RESULT {\"mode\":\"%s\",\"seconds\":%.3f,\"enqueued\":%llu,\"completed\":%llu,"
           "\"rate\":%.1f,\"client_cpu_us\":%.3f,\"total\":%llu,\"total_completed\":%llu,"
           "\"read_back\":%llu",
           NAMES[options.mode], seconds,
           (unsigned long long)(end->acknowledged - begin->acknowledged),
           (unsigned long long)completed, (double)completed / seconds,
           (double)(end->cpu_us - begin->cpu_us) / (double)(completed > 0 ? completed : 1),
           (unsigned long long)tally_made(tally), (unsigned long long)tally_completed(tally),
           (unsigned long long)read_back_count);
    print_latency("start_us", tally_start_latency(tally));
    print_latency("schedule_us", tally_schedule_delay(tally));
    printf("}\n");
}

static void parse_mode(const char *text)
{
    if (strcmp(text, "single") == 0)
        options.mode = MODE_SINGLE;
    else if (strcmp(text, "batch") == 0)
        options.mode = MODE_BATCH;
    else if (strcmp(text, "chain") == 0)
        options.mode = MODE_CHAIN;
    else if (strcmp(text, "open") == 0)
        options.mode = MODE_OPEN;
    else
        lane_must(false, "--mode is single, batch or open");
}

static void parse_options(int argument_count, char **arguments)
{
    static const struct option LONG[] = {
        {"port", required_argument, NULL, 'p'},    {"mode", required_argument, NULL, 'm'},
        {"rate", required_argument, NULL, 'r'},    {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 's'}, {"clients", required_argument, NULL, 'c'},
        {"workers", required_argument, NULL, 'j'}, {"backlog", required_argument, NULL, 'b'},
        {"key", required_argument, NULL, 'k'},     {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argument_count, arguments, "", LONG, NULL)) != -1) {
        switch (option) {
        case 'p':
            options.port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'm':
            parse_mode(optarg);
            break;
        case 'r':
            options.rate = strtod(optarg, NULL);
            break;
        case 'w':
            options.warmup_s = strtod(optarg, NULL);
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'c':
            options.client_count = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'j':
            options.worker_count = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            options.backlog_max = strtoull(optarg, NULL, 10);
            break;
        case 'k':
            options.key = optarg;
            break;
        default:
            exit(2);
        }
    }
    lane_must(options.port > 0, "--port is missing");
    lane_must(options.mode != MODE_OPEN || options.rate > 0, "--rate is missing");
    lane_must(options.client_count <= LANE_COUNT_MAX, "--clients is too many");
    lane_must(options.worker_count <= LANE_COUNT_MAX, "--workers is too many");
    lane_must(options.seconds > 0 && options.warmup_s >= 0, "--seconds and --warmup");
    if (options.client_count == 0)
        options.client_count = options.mode == MODE_BATCH ? 16 : 64;
    if (options.worker_count == 0)
        options.worker_count = options.mode == MODE_BATCH ? 16 : 64;
    if (options.backlog_max == 0)
        options.backlog_max = options.mode == MODE_BATCH ? 4000 : 500;
}

int main(int argument_count, char **arguments)
{
    struct mark begin, end;

    parse_options(argument_count, arguments);
    tally = tally_new();
    connect_all();
    started_ns = read_mono_ns();
    for (uint32_t i = 0; i < options.worker_count; i++)
        worker_lease(&workers[i]);
    run_until_warm();
    begin = mark_now("BEGIN");
    tally_set_recording(tally, true);
    run_until(begin.mono_ns + (uint64_t)(options.seconds * 1e9));
    tally_set_recording(tally, false);
    end = mark_now("END");
    drain();
    lane_must(tally_acknowledged(tally) == tally_made(tally), "a job was never acknowledged");
    lane_must(tally_completed(tally) == tally_made(tally), "a job was never completed");
    print_result(&begin, &end, read_back());
    io_free(&io);
    for (uint32_t i = 0; i < options.client_count; i++)
        lane_close(&clients[i].lane);
    for (uint32_t i = 0; i < options.worker_count; i++)
        lane_close(&workers[i].lane);
    tally_free(&tally);
    return 0;
}
