/*
 * Probe op: an operation of runtime/io.h that keeps what its completions said, and how
 * the cases of io_conformance.h drive a backend with it.
 *
 * drive() turns a backend until a condition holds, but not more than PROBE_TURN_COUNT_MAX
 * times: a lost completion is a failure and not a hang.
 */
#pragma once

#include <netinet/in.h>

#include "runtime/io.h"

enum {
    PROBE_TURN_COUNT_MAX = 20000,
    PROBE_CONNECTION_COUNT = 50,
    PROBE_HELD_COUNT_MAX = 8,
};

static const uint64_t PROBE_TURN_NS = 100000000;

/* An operation, and what became of it. */
struct probe_op {
    struct io_op op;
    uint32_t completion_count;
    bool more;                           /* of the last completion */
    int32_t value;                       /* of the last completion */
    int32_t fds[PROBE_CONNECTION_COUNT]; /* of an accept */
    uint32_t fd_count;
    uint64_t received_count;
    char head[64]; /* the first bytes received */
    bool hold;     /* keep the receive buffers */
    uint32_t held[PROBE_HELD_COUNT_MAX];
    uint32_t held_count;
    struct io *io;
};

/* Fresh, for operations of io. */
void probe_init(struct probe_op *probe, struct io *io);

/* Fresh, and receiving from fd. */
void probe_recv(struct probe_op *probe, struct io *io, int fd);

/* Gives back the receive buffers that it holds, and holds no more. */
void probe_release(struct probe_op *probe);

/* One wait and what it brought. */
void probe_turn(struct io *io);

/* Turns until the condition holds. A macro because a condition cannot be passed as a value. */
#define drive(io, condition)                                                                       \
    do {                                                                                           \
        int turn_count = 0;                                                                        \
                                                                                                   \
        while (!(condition)) {                                                                     \
            cr_assert(lt(int, turn_count++, PROBE_TURN_COUNT_MAX), "never came true: %s",          \
                      #condition);                                                                 \
            probe_turn(io);                                                                        \
        }                                                                                          \
    } while (0)

/* Turns so often that whatever may come has come. */
void probe_settle(struct io *io);

/* Turns until the operation is over; gives what its last completion said. */
int32_t probe_finish(struct io *io, struct probe_op *probe);

/* Closes it, which must succeed. */
void probe_close(struct io *io, int fd);

/* A socket that listens at a free port of the loopback address, which is given. */
int probe_listen(struct io *io, struct sockaddr_in *ret_address);

/* A socket that is connected to address. */
int probe_connect(struct io *io, const struct sockaddr_in *address);

/* A connected pair: what is sent on one end arrives at the other. */
struct probe_pair {
    int client;
    int server;
};

/* Opens a pair over the loopback address. */
struct probe_pair probe_pair_open(struct io *io);

/* Closes both ends. */
void probe_pair_close(struct io *io, const struct probe_pair *pair);

/* Bytes of which each place has its own. */
void probe_fill(char *data, size_t size);
