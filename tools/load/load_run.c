/*
 * A turn of the loop:
 *
 *     due      what the schedule says goes into the queue, and out of it while
 *              connections are free; it is handed to the kernel at once
 *     wait     asleep, or awake when the next send is near
 *     reap     a few completions only, lest a send that comes due has to wait for them;
 *              a connection that becomes free takes what waits in the queue
 *     chores   time-outs, the line of progress, the end; each 50 ms
 *
 * Time is read where something is measured: when answers are complete and when requests
 * go, not once per turn. The lateness of a send is read after it is with the kernel.
 */
#include "tools/load/load_run.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "runtime/clock.h"
#include "runtime/io_uring.h"
#include "runtime/memory.h"
#include "runtime/time_slice.h"
#include "tools/load/load_meter.h"

enum {
    REAP_COUNT_OPEN_LOOP = 8,
    REAP_COUNT_CLOSED_LOOP = 4096,
    FD_COUNT_SPARE = 64,
};

static const uint64_t CHORE_NS = 50000000;
static const uint64_t PROGRESS_NS = 500000000;
static const uint64_t OPEN_TIMEOUT_NS = 10000000000;

struct run {
    const struct load_run_config *config;
    struct load_tally *tally;
    struct load_desk desk;
    struct load_peer peer;
    struct load_connection_owner owner;
    struct load_connection *connections;
    struct load_connection **fresh; /* sent in this turn by the schedule */
    uint32_t fresh_count;
    uint32_t opening_count;
    bool is_started;
    struct list_node free;
    struct clock clock;
    struct slice fixed; /* the one request, if there is only one */
    bool has_fixed;
    uint64_t start_ns; /* on the clock; all else is relative to it */
    uint64_t start_unix_ms;
    uint64_t now_ns;
    uint64_t chore_ns;    /* when they are next */
    uint64_t progress_ns; /* likewise */
    uint64_t spun_ns;
    uint64_t turn_ns; /* when the last turn began ... */
    bool was_idle;    /* ... and whether all it did was to wait with open eyes */
    struct load_meter meter;
    struct load_run_result result;
    /* All memory of connections, each kind in one piece. */
    char *heads, *buffers, *tls, *wires, *states, *fresh_memory;
};

static uint64_t read_now(struct run *run)
{
    clock_update(&run->clock);
    run->now_ns = run->clock.mono_ns - run->start_ns;
    return run->now_ns;
}

static uint64_t unix_ms_at(const struct run *run, uint64_t now_ns)
{
    return run->start_unix_ms + now_ns / 1000000;
}

/* Of this thread, in the kernel and outside. */
static uint64_t cpu_ns(void)
{
    struct rusage usage;
    int r = getrusage(RUSAGE_THREAD, &usage);

    assert(r == 0);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000 +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

/* --- requests ------------------------------------------------------------- */

/* Gives connection the request that has waited longest. False when nothing waits. */
static bool start_request(struct run *run, struct load_connection *connection, uint64_t now_ns)
{
    struct load_arrival arrival;
    struct slice request = run->fixed;

    if (!load_desk_take(&run->desk, now_ns, &connection->ticket))
        return false;
    if (!run->has_fixed) {
        arrival = (struct load_arrival){.mix = connection->ticket.mix,
                                        .event_count = connection->ticket.batch_count};
        request = load_payload_render(run->config->payload, &arrival, unix_ms_at(run, now_ns),
                                      connection->buffer, &connection->ticket.event_count);
    }
    load_connection_send(connection, request);
    return true;
}

static struct run *run_of(struct load_connection_owner *owner)
{
    return container_of(owner, struct run, owner);
}

static void on_free(struct load_connection_owner *owner, struct load_connection *connection)
{
    struct run *run = run_of(owner);
    /* What cannot connect would otherwise try again without a pause. */
    bool rests = connection->has_failed && !run->config->desk.is_open_loop;

    if (!run->is_started) {
        run->opening_count--;
        list_push_back(&run->free, &connection->link);
    } else if (rests || !start_request(run, connection, run->now_ns)) {
        list_push_back(&run->free, &connection->link);
    }
}

static void on_lost(struct load_connection_owner *owner, struct load_connection *connection)
{
    struct run *run = run_of(owner);

    if (!run->is_started && list_is_empty(&connection->link))
        run->opening_count--;
    list_remove(&connection->link);
}

static void on_answer(struct load_connection_owner *owner, struct load_connection *connection,
                      unsigned status)
{
    struct run *run = run_of(owner);

    load_desk_answer(&run->desk, &connection->ticket, status, read_now(run));
}

static void on_fail(struct load_connection_owner *owner, struct load_connection *connection,
                    enum load_error error)
{
    struct run *run = run_of(owner);

    load_desk_fail(&run->desk, &connection->ticket, error, read_now(run));
}

/* --- the loop ------------------------------------------------------------- */

static struct load_connection *first_free(struct run *run)
{
    struct list_node *node = run->free.next;

    return node == &run->free ? NULL : container_of(node, struct load_connection, link);
}

/* Sends what is due, as far as connections are free. */
static void send_due(struct run *run, uint64_t now_ns)
{
    struct load_connection *connection;

    load_desk_advance(&run->desk, now_ns);
    while (load_desk_waiting(&run->desk) > 0 && (connection = first_free(run)) != NULL) {
        list_remove(&connection->link);
        if (!start_request(run, connection, now_ns))
            assert(false); /* something waits */
        if (connection->ticket.is_prompt && connection->has_request)
            run->fresh[run->fresh_count++] = connection;
    }
}

/* Hands over what was just sent, and notes when that was done. 0 or -errno. */
static int hand_over(struct run *run)
{
    uint64_t after_ns;
    int r;

    if (run->fresh_count == 0)
        return 0;
    r = io_wait(run->peer.io, 0);
    after_ns = read_now(run);
    for (uint32_t i = 0; i < run->fresh_count; i++)
        load_desk_sent(&run->desk, &run->fresh[i]->ticket, after_ns);
    run->fresh_count = 0;
    return r;
}

/* How long to sleep; 0 when the next send is too near for that. */
static uint64_t sleep_ns(const struct run *run, uint64_t now_ns)
{
    uint64_t due_ns = load_desk_next_due(&run->desk);
    uint64_t until_ns = run->chore_ns;

    if (due_ns != UINT64_MAX)
        until_ns = min_u64(until_ns, due_ns - min_u64(due_ns, run->config->spin_ns));
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

/* Connections that rest, in closed loop, and those that a start found closed. */
static void wake_resting(struct run *run, uint64_t now_ns)
{
    struct load_connection *connection = first_free(run);

    while (connection != NULL) {
        list_remove(&connection->link);
        if (!start_request(run, connection, now_ns)) {
            list_push_front(&run->free, &connection->link);
            return;
        }
        connection = first_free(run);
    }
}

static void end_late(struct run *run, uint64_t now_ns)
{
    for (uint32_t i = 0; i < run->config->connection_count; i++) {
        struct load_connection *connection = &run->connections[i];

        if (connection->has_request && now_ns >= connection->ticket.sent_ns &&
            now_ns - connection->ticket.sent_ns >= run->config->timeout_ns)
            load_connection_abort(connection, LOAD_ERROR_TIMEOUT);
    }
}

static void show_progress(struct run *run, uint64_t now_ns)
{
    const struct load_tally *tally = run->tally;

    run->progress_ns = now_ns + PROGRESS_NS;
    fprintf(stderr,
            "\r\033[K%s %.1f s: %llu sent, %llu answered, %llu failed, %u waiting; "
            "p50 %llu us, p99 %llu us",
            run->config->progress_name, (double)now_ns / 1e9, (unsigned long long)tally->sent,
            (unsigned long long)tally->answered, (unsigned long long)load_tally_failed(tally),
            load_desk_waiting(&run->desk),
            (unsigned long long)hdr_histogram_percentile(&tally->corrected, 50),
            (unsigned long long)hdr_histogram_percentile(&tally->corrected, 99));
}

/* The schedule has been over for so long that what still waits has no time left. */
static bool is_drain_over(const struct run *run, uint64_t now_ns)
{
    return load_desk_next_due(&run->desk) == UINT64_MAX && run->config->desk.is_open_loop &&
           now_ns > run->config->desk.end_ns + run->config->timeout_ns;
}

static void do_chores(struct run *run, uint64_t now_ns)
{
    const struct load_run_config *config = run->config;
    uint64_t oldest_ns = load_desk_oldest(&run->desk);

    run->chore_ns = now_ns + CHORE_NS;
    end_late(run, now_ns);
    if (!config->desk.is_open_loop)
        wake_resting(run, now_ns);
    if (config->shows_progress && now_ns >= run->progress_ns)
        show_progress(run, now_ns);
    if (*config->is_interrupted && !run->result.was_interrupted) {
        run->result.was_interrupted = true;
        load_desk_stop(&run->desk, now_ns);
    }
    if (config->delay_ns_max > 0 && load_desk_waiting(&run->desk) > 0 &&
        now_ns - oldest_ns > config->delay_ns_max) {
        run->result.was_overrun = true;
        load_desk_stop(&run->desk, now_ns);
    }
    if (is_drain_over(run, now_ns) && load_desk_waiting(&run->desk) > 0)
        load_desk_stop(&run->desk, now_ns);
}

static struct load_reading read_meter(const struct run *run, uint64_t now_ns)
{
    return (struct load_reading){.now_ns = now_ns, .cpu_ns = cpu_ns(), .spun_ns = run->spun_ns};
}

static int turn(struct run *run)
{
    uint64_t now_ns = read_now(run), sleep;
    struct load_reading reading;
    uint32_t reap_max =
        run->config->desk.is_open_loop ? REAP_COUNT_OPEN_LOOP : REAP_COUNT_CLOSED_LOOP;
    int r;

    if (run->was_idle)
        run->spun_ns += now_ns - run->turn_ns;
    run->turn_ns = now_ns;
    if (unlikely(load_meter_is_due(&run->meter, now_ns))) {
        reading = read_meter(run, now_ns);
        load_meter_read(&run->meter, &reading);
    }
    send_due(run, now_ns);
    run->was_idle = run->fresh_count == 0;
    r = hand_over(run);
    if (r < 0)
        return r;
    sleep = sleep_ns(run, run->now_ns);
    r = io_wait(run->peer.io, sleep);
    if (r < 0)
        return r;
    if (io_reap(run->peer.io, reap_max) > 0 || sleep > 0)
        run->was_idle = false;
    if (run->was_idle)
        time_slice_end(); /* the kernel's own work for the disk or the network may wait behind us */
    now_ns = read_now(run);
    if (now_ns >= run->chore_ns)
        do_chores(run, now_ns);
    return 0;
}

/* --- the run -------------------------------------------------------------- */

/* Opens all connections, and waits until each has opened or failed. 0 or -errno. */
static int open_connections(struct run *run)
{
    uint64_t begin_ns = read_now(run);
    int r = 0;

    run->opening_count = run->config->connection_count;
    for (uint32_t i = 0; i < run->config->connection_count; i++)
        load_connection_open(&run->connections[i]);
    while (r == 0 && run->opening_count > 0 && !*run->config->is_interrupted &&
           read_now(run) - begin_ns < OPEN_TIMEOUT_NS) {
        r = io_wait(run->peer.io, CHORE_NS);
        if (r == 0)
            io_reap(run->peer.io, REAP_COUNT_CLOSED_LOOP);
    }
    /* Those that are still opening join when they are ready. */
    run->is_started = true;
    return r;
}

static int run_loop(struct run *run)
{
    int r = 0;

    clock_update(&run->clock);
    run->start_ns = run->clock.mono_ns;
    run->start_unix_ms = run->clock.unix_ms;
    run->now_ns = 0;
    if (!run->config->desk.is_open_loop)
        wake_resting(run, 0);
    while (r == 0 && !load_desk_is_over(&run->desk, run->now_ns))
        r = turn(run);
    if (run->config->shows_progress)
        fputs("\r\033[K", stderr);
    return r;
}

static void settle(struct run *run)
{
    struct load_tally *tally = run->tally;
    uint64_t now_ns = read_now(run);
    struct load_reading reading = read_meter(run, now_ns);

    load_meter_settle(&run->meter, &reading, tally);
    tally->connects = run->peer.connects;
    tally->bytes_out = run->peer.bytes_out;
    tally->bytes_in = run->peer.bytes_in;
    load_tally_finish(tally, now_ns);
    run->result.connect_error = run->peer.connect_error;
    run->result.tls_error = run->peer.tls_error;
}

/* --- memory --------------------------------------------------------------- */

static size_t buffer_size(const struct run *run)
{
    return round_up_u64(load_payload_size_max(run->config->payload), 64);
}

static int make_memory(struct run *run)
{
    size_t count = run->config->connection_count;
    int r = memory_map(count * sizeof(struct load_connection), &run->states);

    if (r == 0)
        r = memory_map(count * sizeof(struct load_connection *), &run->fresh_memory);
    if (r == 0)
        r = memory_map(count * LOAD_ANSWER_HEAD_SIZE_MAX, &run->heads);
    if (r == 0 && !run->has_fixed)
        r = memory_map(count * buffer_size(run), &run->buffers);
    if (r == 0 && run->config->trust != NULL)
        r = memory_map(count * sizeof(struct tls_client), &run->tls);
    if (r == 0 && run->config->trust != NULL)
        r = memory_map(count * TLS_CLIENT_WIRE_SIZE, &run->wires);
    return r;
}

static void free_memory(struct run *run)
{
    size_t count = run->config->connection_count;

    memory_unmap(&run->states, count * sizeof(struct load_connection));
    memory_unmap(&run->fresh_memory, count * sizeof(struct load_connection *));
    memory_unmap(&run->heads, count * LOAD_ANSWER_HEAD_SIZE_MAX);
    memory_unmap(&run->buffers, count * buffer_size(run));
    memory_unmap(&run->tls, count * sizeof(struct tls_client));
    memory_unmap(&run->wires, count * TLS_CLIENT_WIRE_SIZE);
}

static void make_connections(struct run *run)
{
    run->connections = (struct load_connection *)(void *)run->states;
    run->fresh = (struct load_connection **)(void *)run->fresh_memory;
    for (size_t i = 0; i < run->config->connection_count; i++) {
        struct load_connection *connection = &run->connections[i];
        struct tls_client *tls =
            run->tls == NULL ? NULL : (struct tls_client *)(void *)run->tls + i;

        load_connection_init(connection, &run->peer, run->heads + i * LOAD_ANSWER_HEAD_SIZE_MAX,
                             tls, tls == NULL ? NULL : run->wires + i * TLS_CLIENT_WIRE_SIZE);
        connection->buffer = run->buffers == NULL ? NULL : run->buffers + i * buffer_size(run);
    }
}

/* A connection needs a descriptor; the usual soft limit is 1024. */
static void raise_fd_limit(uint32_t connection_count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur >= connection_count + FD_COUNT_SPARE)
        return;
    limit.rlim_cur = min_u64(limit.rlim_max, connection_count + FD_COUNT_SPARE);
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what cannot connect is counted */
}

static int make_ring(struct run *run)
{
    struct io_uring_config sizes = {0};
    int r;

    /* One answer each, and some. */
    while (sizes.recv_buffer_count < 1024 ||
           sizes.recv_buffer_count < run->config->connection_count)
        sizes.recv_buffer_count = sizes.recv_buffer_count == 0 ? 1 : sizes.recv_buffer_count * 2;
    r = io_uring_new(&sizes, &run->peer.io);
    if (r < 0)
        return r;
    r = io_enable(run->peer.io);
    if (r < 0)
        io_free(&run->peer.io);
    return r;
}

static int make_run(struct run *run)
{
    int r = rng_init_system(&run->peer.rng);

    if (r < 0)
        return r;
    clock_init(&run->clock, &clock_source_system);
    /* A rhythm of its own has no end that was known before. */
    load_meter_init(&run->meter, run->config->desk.warmup_ns,
                    run->config->desk.scenario.has_rate ? run->config->desk.end_ns : UINT64_MAX);
    run->peer.owner = &run->owner;
    run->peer.address = run->config->address;
    run->peer.trust = run->config->trust;
    run->peer.name = run->config->name;
    run->peer.unix_ms = run->clock.unix_ms;
    run->peer.answers_head = run->config->answers_head;
    run->start_ns = run->clock.mono_ns;
    run->has_fixed = load_payload_is_fixed(run->config->payload, &run->fixed);
    list_init(&run->free);
    raise_fd_limit(run->config->connection_count);
    /* Timers of a sleeping thread may otherwise be 50 us late, to save wake-ups. */
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    r = load_desk_init(&run->desk, &run->config->desk, run->tally);
    if (r < 0)
        return r;
    r = make_memory(run);
    if (r == 0)
        r = make_ring(run);
    if (r == 0)
        make_connections(run);
    return r;
}

static void end_run(struct run *run)
{
    if (run->peer.io != NULL)
        io_free(&run->peer.io);
    for (uint32_t i = 0; run->connections != NULL && i < run->config->connection_count; i++)
        load_connection_deinit(&run->connections[i]);
    free_memory(run);
    if (run->desk.ring != NULL)
        load_desk_deinit(&run->desk);
}

int load_run(const struct load_run_config *config, struct load_tally *tally,
             struct load_run_result *ret_result)
{
    struct run run = {
        .config = config,
        .tally = tally,
        .owner = {on_free, on_lost, on_answer, on_fail},
    };
    int r;

    assert(config->connection_count >= 1);
    assert(config->connection_count <= LOAD_CONNECTION_COUNT_MAX);
    assert(config->timeout_ns > 0);
    r = make_run(&run);
    if (r == 0)
        r = open_connections(&run);
    if (r == 0)
        r = run_loop(&run);
    if (r == 0) {
        settle(&run);
        *ret_result = run.result;
    }
    end_run(&run);
    return r;
}
