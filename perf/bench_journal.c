/*
 * Bench journal: what durable records cost on this machine and disk.
 *
 *     bench_journal DIRECTORY [SECONDS]    a directory on the disk in question; default 2 s per row
 *
 * One thread, the product's own journal on the io_uring backend, O_DIRECT writes
 * that are durable by themselves. "clients" groups of one 450-byte record are
 * outstanding at any time; each is appended again when it is acknowledged, as
 * connections would. CPU is the thread's own time per record, kernel included; the row
 * "append alone" is journal_append() into memory, without any write. Recovery reads
 * what the runs wrote. A shared machine takes time away: run it several times.
 */
#include <errno.h>

#include "runtime/io_uring.h"
#include "store/journal.h"
#include "store/recovery.h"
#include "store/superblock.h"

enum { CLIENTS_MAX = 4096, RECORD_SIZE = 450, LATENCIES_MAX = 1 << 20 };

struct bench {
    struct journal_owner owner;
    struct recovery_visitor visitor;
    struct journal *journal;
    struct io *io;
    struct clock clock;
    struct rng rng;
    struct superblock superblock;
    struct recovered *recovered;
    uint64_t recovered_record_count;
    uint64_t acked_count;
    bool stopped;
    bool draining;
};

struct client {
    struct journal_append append;
    struct journal_record record;
    struct slice part;
    struct bench *bench;
    uint64_t started_ns;
    bool waiting; /* staging was full */
};

static struct client clients[CLIENTS_MAX];
static char payload[RECORD_SIZE];
static uint64_t latencies[LATENCIES_MAX];
static uint64_t latency_count;

static uint64_t now_ns(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void check(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench_journal: %s: error %d\n", what, -r);
    exit(1);
}

static void on_failed(struct journal_owner *owner, int error, const char *text)
{
    (void)owner;
    check(error, text);
}

static void on_stopped(struct journal_owner *owner)
{
    container_of(owner, struct bench, owner)->stopped = true;
}

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    container_of(visitor, struct bench, visitor)->recovered_record_count += group->record_count;
    return 0;
}

static void start(struct client *client)
{
    int r;

    client->started_ns = now_ns(CLOCK_MONOTONIC);
    r = journal_append(client->bench->journal, &client->append, &client->record, 1, 0);
    client->waiting = r == JOURNAL_FULL;
    if (r != JOURNAL_FULL && r != JOURNAL_OK)
        check(-EIO, "append");
}

static void on_durable(struct journal_append *append, enum journal_outcome outcome)
{
    struct client *client = container_of(append, struct client, append);

    if (outcome != JOURNAL_DURABLE)
        check(-EIO, "outcome unknown");
    if (latency_count < LATENCIES_MAX)
        latencies[latency_count++] = now_ns(CLOCK_MONOTONIC) - client->started_ns;
    client->bench->acked_count++;
    if (!client->bench->draining)
        start(client);
}

static void turn(struct bench *bench)
{
    journal_flush(bench->journal);
    check(io_wait(bench->io, 100000000), "wait");
    clock_update(&bench->clock);
    (void)io_reap(bench->io, 4096);
}

static void open_all(struct bench *bench, const char *directory, uint32_t writes_in_flight,
                     uint64_t batch_bytes)
{
    static char text[RECOVERY_TEXT_SIZE];
    struct io_uring_config uring = {.entries = 256};
    struct superblock_config superblock = {
        .disk = disk_posix(), .rng = &bench->rng, .data_path = directory, .log_count = 1};
    struct recovery_config recovery = {
        .disk = disk_posix(),
        .data_path = directory,
        .superblock = &bench->superblock,
        .visitor = &bench->visitor,
    };
    struct journal_config config = {
        .disk = disk_posix(),
        .clock = &bench->clock,
        .owner = &bench->owner,
        .data_path = directory,
        .writes_in_flight = writes_in_flight,
        .batch_bytes = batch_bytes,
        .spare_segments = 4,
    };

    check(superblock_open(&superblock, &bench->superblock, text), text);
    check(recovery_run(&recovery, &bench->recovered, text), text);
    clock_init(&bench->clock, &clock_source_system);
    check(io_uring_new(&uring, &bench->io), "io_uring");
    check(io_enable(bench->io), "enable");
    config.io = bench->io;
    config.boot_generation = bench->superblock.boot_generation;
    config.uuid = bench->superblock.uuid;
    check(journal_open(&config, &bench->recovered->logs[0], &bench->journal), "open");
    /* Let the spares be made first: their zeroing is not what is measured. */
    for (;;) {
        struct journal_stats stats;

        journal_stats(bench->journal, &stats);
        if (stats.spare_count >= 5)
            break;
        turn(bench);
    }
}

static void close_all(struct bench *bench)
{
    journal_stop(bench->journal);
    while (!bench->stopped)
        turn(bench);
    journal_free(&bench->journal);
    io_free(&bench->io);
    recovered_free(&bench->recovered);
    superblock_close(&bench->superblock, disk_posix());
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void run_row(const char *directory, uint32_t client_count, uint32_t writes_in_flight,
                    uint64_t batch_bytes, double seconds)
{
    static struct bench bench;
    struct journal_stats before;
    struct journal_stats after;
    uint64_t started_ns;
    uint64_t cpu_ns;
    uint64_t elapsed_ns;
    double records;

    memset(&bench, 0, sizeof(bench));
    bench.owner = (struct journal_owner){.on_failed = on_failed, .on_stopped = on_stopped};
    bench.visitor.on_group = on_group;
    check(rng_init_system(&bench.rng), "rng");
    open_all(&bench, directory, writes_in_flight, batch_bytes);
    journal_stats(bench.journal, &before);
    latency_count = 0;
    started_ns = now_ns(CLOCK_MONOTONIC);
    cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t i = 0; i < client_count; i++) {
        clients[i] = (struct client){.bench = &bench, .part = {payload, sizeof(payload)}};
        clients[i].append.on_durable = on_durable;
        clients[i].record =
            (struct journal_record){.type = 1, .parts = &clients[i].part, .part_count = 1};
        start(&clients[i]);
    }
    do {
        turn(&bench);
        for (uint32_t i = 0; i < client_count; i++) {
            if (clients[i].waiting)
                start(&clients[i]);
        }
        elapsed_ns = now_ns(CLOCK_MONOTONIC) - started_ns;
    } while ((double)elapsed_ns < seconds * 1e9);
    cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    records = (double)bench.acked_count;
    journal_stats(bench.journal, &after);
    bench.draining = true;
    while (journal_durable_lsn(bench.journal) + 1 < after.next_lsn)
        turn(&bench);
    qsort(latencies, latency_count, sizeof(latencies[0]), compare);
    printf("%7u %9u %8lu %12.0f %9.1f %10.1f %10.1f %9.1f %9.1f\n", client_count, writes_in_flight,
           (unsigned long)(batch_bytes / 1024), records * 1e9 / (double)elapsed_ns,
           records / (double)(after.flush_count - before.flush_count),
           (double)(after.byte_count - before.byte_count) * 1e3 / (double)elapsed_ns,
           (double)cpu_ns / records, (double)latencies[latency_count / 2] / 1e3,
           (double)latencies[latency_count * 99 / 100] / 1e3);
    fflush(stdout);
    close_all(&bench);
}

/* journal_append() alone: a backend that takes writes and ends them when the batch is full. */
static struct io_op *null_writes[16];
static uint32_t null_write_count;

static void null_submit(struct io *io, struct io_op *op)
{
    (void)io;
    if (op->type == IO_WRITE && (op->flags & IO_WRITE_DURABLE) != 0)
        null_writes[null_write_count++] = op;
}

static const struct io_vtable null_vtable = {.name = "null", .submit = null_submit};
static struct journal_append null_appends[4096];

static void on_null_durable(struct journal_append *append, enum journal_outcome outcome)
{
    (void)append;
    (void)outcome;
}

static void run_append_alone(const char *directory)
{
    static struct bench bench;
    static char text[RECOVERY_TEXT_SIZE];
    struct io io = {.vtable = &null_vtable};
    struct superblock_config superblock = {
        .disk = disk_posix(), .rng = &bench.rng, .data_path = directory, .log_count = 1};
    struct recovered_log position = {.next_seq = (uint64_t)1 << 32, .next_lsn = 1};
    struct journal_config config = {.io = &io,
                                    .disk = disk_posix(),
                                    .clock = &bench.clock,
                                    .owner = &bench.owner,
                                    .data_path = directory,
                                    .log = 99};
    struct slice part = {payload, sizeof(payload)};
    struct journal_record record = {.type = 1, .parts = &part, .part_count = 1};
    uint64_t count = 0;
    uint64_t append_ns = 0;
    uint64_t seal_ns = 0;

    bench.owner = (struct journal_owner){.on_failed = on_failed, .on_stopped = on_stopped};
    check(rng_init_system(&bench.rng), "rng");
    check(superblock_open(&superblock, &bench.superblock, text), text);
    clock_init(&bench.clock, &clock_source_system);
    config.uuid = bench.superblock.uuid;
    config.boot_generation = bench.superblock.boot_generation;
    check(journal_open(&config, &position, &bench.journal), "open");
    for (int round = 0; round < 50; round++) {
        uint64_t started_ns = now_ns(CLOCK_MONOTONIC);
        uint64_t sealed_ns;

        for (uint32_t i = 0; i < 2000; i++) {
            null_appends[i].on_durable = on_null_durable;
            if (journal_append(bench.journal, &null_appends[i], &record, 1, 0) != JOURNAL_OK)
                break;
            count++;
        }
        sealed_ns = now_ns(CLOCK_MONOTONIC);
        append_ns += sealed_ns - started_ns;
        journal_flush(bench.journal);
        while (null_write_count > 0) {
            struct io_op *op = null_writes[--null_write_count];

            io_op_complete(&io, op, &(struct io_result){.value = (int32_t)op->as.rw.size});
        }
        seal_ns += now_ns(CLOCK_MONOTONIC) - sealed_ns;
    }
    printf(
        "append alone, %d-byte records: %.0f ns per record, and %.0f ns to seal and acknowledge\n",
        RECORD_SIZE, (double)append_ns / (double)count, (double)seal_ns / (double)count);
    journal_free(&bench.journal);
    superblock_close(&bench.superblock, disk_posix());
}

static void run_recovery(const char *directory)
{
    static struct bench bench;
    static char text[RECOVERY_TEXT_SIZE];
    struct superblock_config superblock = {
        .disk = disk_posix(), .rng = &bench.rng, .data_path = directory, .log_count = 1};
    struct recovery_config recovery = {
        .disk = disk_posix(),
        .data_path = directory,
        .superblock = &bench.superblock,
        .visitor = &bench.visitor,
    };
    uint64_t started_ns;
    uint64_t cpu_ns;
    double gib;

    bench.visitor.on_group = on_group;
    check(rng_init_system(&bench.rng), "rng");
    check(superblock_open(&superblock, &bench.superblock, text), text);
    started_ns = now_ns(CLOCK_MONOTONIC);
    cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    check(recovery_run(&recovery, &bench.recovered, text), text);
    cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    started_ns = now_ns(CLOCK_MONOTONIC) - started_ns;
    gib = (double)bench.recovered->byte_count / (1024.0 * 1024 * 1024);
    printf("recovery: %.2f GiB, %lu records: %.2f s per GiB (%.2f s of CPU)\n", gib,
           (unsigned long)bench.recovered_record_count, (double)started_ns / 1e9 / gib,
           (double)cpu_ns / 1e9 / gib);
    recovered_free(&bench.recovered);
    superblock_close(&bench.superblock, disk_posix());
}

int main(int argc, char **argv)
{
    static const uint32_t client_counts[] = {1, 16, 64, 256, 1024};
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_journal DIRECTORY [SECONDS]\n");
        return 2;
    }
    memset(payload, 'x', sizeof(payload));
    run_append_alone(argv[1]);
    printf("clients in_flight batchKiB    records/s rec/flush       MB/s cpu ns/rec    p50 us    "
           "p99 us\n");
    for (uint32_t i = 0; i < ARRAY_COUNT(client_counts); i++) {
        run_row(argv[1], client_counts[i], 1, 1 << 20, seconds);
        run_row(argv[1], client_counts[i], 2, 1 << 20, seconds);
    }
    run_row(argv[1], 4096, 2, 256 << 10, seconds);
    run_row(argv[1], 4096, 2, 1 << 20, seconds);
    run_row(argv[1], 4096, 4, 1 << 20, seconds);
    run_recovery(argv[1]);
    return 0;
}
