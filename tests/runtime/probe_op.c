#include "tests/runtime/probe_op.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

/*
 * Nothing here waits without a bound: a turn waits for a tenth of a second at most, and a
 * condition for so many turns. Whatever is over is over for good, so what a completion
 * said can be looked at later. A receive gives its buffer back at once unless the test
 * wants to hold it.
 */
enum { REAP_MAX = 64 };

static void on_done(struct io_op *op, const struct io_result *result)
{
    struct probe_op *probe = container_of(op, struct probe_op, op);

    probe->completion_count++;
    probe->more = result->more;
    probe->value = result->value;
    if (op->type == IO_ACCEPT && result->value >= 0) {
        cr_assert(lt(u32, probe->fd_count, PROBE_CONNECTION_COUNT));
        cr_assert(result->more);
        probe->fds[probe->fd_count++] = result->value;
    }
    if (op->type != IO_RECV || result->value <= 0)
        return;
    cr_assert(result->more);
    for (int32_t i = 0; i < result->value; i++) {
        if (probe->received_count < sizeof(probe->head))
            probe->head[probe->received_count] = result->data[i];
        probe->received_count++;
    }
    if (probe->hold) {
        cr_assert(lt(u32, probe->held_count, PROBE_HELD_COUNT_MAX));
        probe->held[probe->held_count++] = result->buffer_index;
        return;
    }
    io_buffer_release(probe->io, result->buffer_index);
}

void probe_init(struct probe_op *probe, struct io *io)
{
    *probe = (struct probe_op){.io = io};
    io_op_init(&probe->op, on_done);
}

void probe_recv(struct probe_op *probe, struct io *io, int fd)
{
    probe_init(probe, io);
    io_recv(io, &probe->op, fd);
}

void probe_release(struct probe_op *probe)
{
    for (uint32_t i = 0; i < probe->held_count; i++)
        io_buffer_release(probe->io, probe->held[i]);
    probe->held_count = 0;
    probe->hold = false;
}

void probe_turn(struct io *io)
{
    cr_assert(eq(int, io_wait(io, PROBE_TURN_NS), 0));
    io_reap(io, REAP_MAX);
}

void probe_settle(struct io *io)
{
    for (int i = 0; i < 20; i++) {
        cr_assert(eq(int, io_wait(io, 1000000), 0));
        io_reap(io, REAP_MAX);
    }
}

int32_t probe_finish(struct io *io, struct probe_op *probe)
{
    drive(io, !io_op_is_armed(&probe->op));
    return probe->value;
}

void probe_close(struct io *io, int fd)
{
    struct probe_op probe;

    probe_init(&probe, io);
    io_close(io, &probe.op, fd);
    cr_assert(eq(i32, probe_finish(io, &probe), 0));
}

int probe_listen(struct io *io, struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_storage bound;
    int fd = io_listen(io, (const struct sockaddr *)&address, sizeof(address), 128);

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(int, io_local_address(io, fd, &bound), 0));
    memcpy(ret_address, &bound, sizeof(*ret_address));
    cr_assert(ne(u16, ret_address->sin_port, 0));
    return fd;
}

int probe_connect(struct io *io, const struct sockaddr_in *address)
{
    struct probe_op probe;
    int fd = io_socket(io, AF_INET);

    cr_assert(ge(int, fd, 0));
    probe_init(&probe, io);
    io_connect(io, &probe.op, fd, (const struct sockaddr *)address, sizeof(*address));
    cr_assert(eq(i32, probe_finish(io, &probe), 0));
    return fd;
}

struct probe_pair probe_pair_open(struct io *io)
{
    static struct probe_op accept;
    struct sockaddr_in address;
    struct probe_pair pair;
    int listener = probe_listen(io, &address);

    probe_init(&accept, io);
    io_accept(io, &accept.op, listener);
    pair.client = probe_connect(io, &address);
    drive(io, accept.fd_count == 1);
    pair.server = accept.fds[0];
    io_cancel(io, &accept.op);
    cr_assert(eq(i32, probe_finish(io, &accept), -ECANCELED));
    probe_close(io, listener);
    return pair;
}

void probe_pair_close(struct io *io, const struct probe_pair *pair)
{
    probe_close(io, pair->client);
    probe_close(io, pair->server);
}

void probe_fill(char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 251);
}
