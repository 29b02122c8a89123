/*
 * Bench io: what the io_uring backend costs on this machine.
 *
 *     bench_io [DIRECTORY]    default: the working directory's file system
 *
 * First an echo of 64 bytes over loopback TCP, server alone on core 0 and a
 * closed-loop client on the last core: requests per second, per CPU second of
 * the server thread, and system calls per request. Then what the journal will
 * live on: O_DIRECT writes with RWF_DSYNC into a file already written, 4 and 64
 * KiB, one to four in flight. A shared machine takes time away: run it several
 * times and quote the median. The directory must be on a real disk, not tmpfs.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "runtime/io_uring.h"

enum {
    CONNECTION_COUNT_MAX = 512,
    ECHO_SIZE = 64,
    ECHO_SECONDS = 2,
    WRITE_COUNT = 2000,
    WRITE_SIZE_MAX = 65536,
    DEPTH_MAX = 4,
    FILE_SIZE = 64 * 1024 * 1024,
};

static const uint64_t TURN_NS = 50000000;

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;
    int r = clock_gettime(id, &now);

    assert(r == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void must(bool held, const char *what)
{
    if (held)
        return;
    fprintf(stderr, "bench_io: %s failed\n", what);
    exit(1);
}

static void pin(long core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    /* Not allowed everywhere; the figures are then only less steady. */
    (void)sched_setaffinity(0, sizeof(set), &set);
}

static struct io *backend_new(void)
{
    static const struct io_uring_config CONFIG = {0};
    struct io *io = NULL;

    must(io_uring_new(&CONFIG, &io) == 0, "io_uring_new");
    return io;
}

static void turn(struct io *io)
{
    must(io_wait(io, TURN_NS) == 0, "io_wait");
    io_reap(io, 4096);
}

/* --- Echo ---------------------------------------------------------------------------------- */

struct connection {
    struct io *io;
    struct io_op recv;
    struct io_op send;
    int fd;
    uint32_t pending_size; /* of an echo that is not complete */
    uint64_t *reply_count; /* the client's; NULL on the server */
    char data[ECHO_SIZE];
};

struct echo_server {
    struct io *io;
    struct io_op accept;
    struct connection connections[CONNECTION_COUNT_MAX];
    uint32_t connection_count;
    uint64_t cpu_ns;
    volatile bool stopping;
};

static void on_sent(struct io_op *op, const struct io_result *result)
{
    (void)op;
    must(result->value == ECHO_SIZE || result->value < 0, "send");
}

/* Both sides alike: whatever is complete goes back. */
static void on_received(struct io_op *op, const struct io_result *result)
{
    struct connection *connection = container_of(op, struct connection, recv);
    uint32_t size = result->value > 0 ? (uint32_t)result->value : 0;

    if (size == 0)
        return;
    must(connection->pending_size + size <= ECHO_SIZE, "framing");
    memcpy(connection->data + connection->pending_size, result->data, size);
    connection->pending_size += size;
    io_buffer_release(connection->io, result->buffer_index);
    if (connection->pending_size < ECHO_SIZE)
        return;
    connection->pending_size = 0;
    if (connection->reply_count != NULL)
        ++*connection->reply_count;
    io_send(connection->io, &connection->send, connection->fd, connection->data, ECHO_SIZE);
}

static void connection_start(struct connection *connection, struct io *io, int fd,
                             uint64_t *reply_count)
{
    *connection = (struct connection){.io = io, .fd = fd, .reply_count = reply_count};
    io_op_init(&connection->recv, on_received);
    io_op_init(&connection->send, on_sent);
    io_recv(io, &connection->recv, fd);
}

static void on_accepted(struct io_op *op, const struct io_result *result)
{
    struct echo_server *server = container_of(op, struct echo_server, accept);

    if (result->value >= 0)
        connection_start(&server->connections[server->connection_count++], server->io,
                         result->value, NULL);
}

static void *serve(void *argument)
{
    struct echo_server *server = argument;
    uint64_t before;

    pin(0);
    must(io_enable(server->io) == 0, "io_enable");
    before = read_ns(CLOCK_THREAD_CPUTIME_ID);
    while (!server->stopping)
        turn(server->io);
    server->cpu_ns = read_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    return NULL;
}

static void bench_echo(uint32_t connection_count)
{
    static struct echo_server server;
    static struct connection clients[CONNECTION_COUNT_MAX];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_storage bound;
    struct io *io = backend_new();
    uint64_t reply_count = 0, started, ended;
    pthread_t thread;
    int listener, fd;

    server = (struct echo_server){.io = backend_new()};
    listener = io_listen(server.io, (struct sockaddr *)&address, sizeof(address), 1024);
    must(listener >= 0 && io_local_address(server.io, listener, &bound) == 0, "listen");
    io_op_init(&server.accept, on_accepted);
    io_accept(server.io, &server.accept, listener);
    must(pthread_create(&thread, NULL, serve, &server) == 0, "thread");

    pin(sysconf(_SC_NPROCESSORS_ONLN) - 1);
    must(io_enable(io) == 0, "io_enable");
    for (uint32_t i = 0; i < connection_count; i++) {
        fd = io_socket(io, AF_INET);
        must(fd >= 0 && connect(fd, (struct sockaddr *)&bound, sizeof(address)) == 0, "connect");
        connection_start(&clients[i], io, fd, &reply_count);
        io_send(io, &clients[i].send, fd, clients[i].data, ECHO_SIZE);
    }
    started = read_ns(CLOCK_MONOTONIC);
    do {
        turn(io);
        ended = read_ns(CLOCK_MONOTONIC);
    } while (ended - started < ECHO_SECONDS * 1000000000ULL);
    server.stopping = true;
    io_wake(server.io);
    pthread_join(thread, NULL);

    printf("echo %3u connections   %9.0f req/s   %9.0f req/CPU-s   %.3f syscalls/req\n",
           connection_count, (double)reply_count * 1e9 / (double)(ended - started),
           (double)reply_count * 1e9 / (double)server.cpu_ns,
           (double)server.io->stats.enter_count / (double)reply_count);
    io_free(&io);
    io_free(&server.io);
    for (uint32_t i = 0; i < connection_count; i++) {
        close(clients[i].fd);
        close(server.connections[i].fd);
    }
    close(listener);
}

/* --- Durable writes ------------------------------------------------------------------------ */

struct writer {
    struct io_op op;
    uint64_t started_ns;
};

static struct writer writers[DEPTH_MAX];
static uint64_t latencies[WRITE_COUNT];
static uint32_t latency_count;

static void on_written(struct io_op *op, const struct io_result *result)
{
    struct writer *writer = container_of(op, struct writer, op);

    must(result->value == (int32_t)op->as.rw.size, "durable write");
    latencies[latency_count++] = read_ns(CLOCK_MONOTONIC) - writer->started_ns;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static void bench_writes(struct io *io, int fd, char *data, uint32_t size, uint32_t depth)
{
    uint32_t begun = 0;
    uint64_t started, elapsed, offset = 0;

    latency_count = 0;
    started = read_ns(CLOCK_MONOTONIC);
    while (latency_count < WRITE_COUNT) {
        for (uint32_t i = 0; i < depth && begun < WRITE_COUNT; i++) {
            if (io_op_is_armed(&writers[i].op))
                continue;
            writers[i].started_ns = read_ns(CLOCK_MONOTONIC);
            io_write(io, &writers[i].op, fd, data, size, offset, IO_WRITE_DURABLE);
            offset = (offset + size) % FILE_SIZE;
            begun++;
        }
        turn(io);
    }
    elapsed = read_ns(CLOCK_MONOTONIC) - started;
    qsort(latencies, WRITE_COUNT, sizeof(latencies[0]), compare_u64);
    printf("write %2u KiB durable, %u in flight   p50 %4.0f us   p99 %5.0f us   %6.0f writes/s   "
           "%5.0f MB/s\n",
           size / 1024, depth, (double)latencies[WRITE_COUNT / 2] / 1e3,
           (double)latencies[WRITE_COUNT * 99 / 100] / 1e3, WRITE_COUNT * 1e9 / (double)elapsed,
           (double)WRITE_COUNT * size * 1e3 / (double)elapsed);
}

static void bench_disk(const char *directory)
{
    static _Alignas(4096) char data[WRITE_SIZE_MAX];
    struct io *io = backend_new();
    char path[512];
    int fd;

    memset(data, 'x', sizeof(data));
    snprintf(path, sizeof(path), "%s/bench_io.%ld", directory, (long)getpid());
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    must(fd >= 0, "opening a file with O_DIRECT");
    unlink(path);
    for (off_t offset = 0; offset < FILE_SIZE; offset += WRITE_SIZE_MAX)
        must(pwrite(fd, data, WRITE_SIZE_MAX, offset) == WRITE_SIZE_MAX, "filling the file");
    must(fsync(fd) == 0, "fsync");
    must(io_enable(io) == 0, "io_enable");
    for (uint32_t i = 0; i < DEPTH_MAX; i++)
        io_op_init(&writers[i].op, on_written);
    for (uint32_t depth = 1; depth <= DEPTH_MAX; depth++)
        bench_writes(io, fd, data, 4096, depth);
    for (uint32_t depth = 1; depth <= DEPTH_MAX; depth *= 2)
        bench_writes(io, fd, data, WRITE_SIZE_MAX, depth);
    io_free(&io);
    close(fd);
}

int main(int argument_count, char **arguments)
{
    static const uint32_t COUNTS[] = {1, 64, 512};
    struct utsname name;
    double load = 0;

    must(uname(&name) == 0, "uname");
    must(getloadavg(&load, 1) == 1, "getloadavg");
    printf("kernel %s, %ld cores, load %.2f\n", name.release, sysconf(_SC_NPROCESSORS_ONLN), load);
    for (size_t i = 0; i < ARRAY_COUNT(COUNTS); i++)
        bench_echo(COUNTS[i]);
    bench_disk(argument_count > 1 ? arguments[1] : ".");
    return 0;
}
