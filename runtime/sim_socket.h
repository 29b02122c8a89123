/*
 * Sim socket: one end of a simulated TCP connection, or a listening socket.
 *
 *     FRESH --sim_net_listen()--> LISTENING
 *       |
 *       +--sim_net_connect()----> CONNECTED --reset or both ends closed--> peer NULL
 *
 * Each end holds the bytes that have arrived and were not received (bounded by
 * its host's socket_buffer_size). A sender moves bytes straight into its peer's
 * buffer, one segment per event, so what is "on the wire" is still the sender's
 * and a send is done when all its bytes have arrived. End of stream and reset
 * arrive later, as events of the receiving end. For runtime/sim_*.c and io_sim.c.
 */
#pragma once

#include <sys/socket.h>

#include "runtime/sim_host.h"
#include "runtime/sim_op.h"

enum sim_socket_state {
    SIM_SOCKET_FRESH,
    SIM_SOCKET_LISTENING,
    SIM_SOCKET_CONNECTED,
};

/* Kinds of operations that may wait on one socket, one of each. */
enum sim_socket_slot {
    SIM_SLOT_ACCEPT,
    SIM_SLOT_RECV,
    SIM_SLOT_SEND,
    SIM_SLOT_CONNECT,
    SIM_SLOT_POLL,
    SIM_SLOT_COUNT,
};

/* Private to sim_socket.c and sim_net.c. */
struct sim_socket {
    struct sim_host *host;
    enum sim_socket_state state;
    struct sockaddr_storage local;
    struct sockaddr_storage remote;
    struct sim_op *waiting[SIM_SLOT_COUNT];

    /* Listening. */
    struct list_node listener_link; /* world->listeners */
    struct list_node backlog;       /* connections nobody accepted yet */
    uint32_t backlog_count;
    uint32_t backlog_count_max;

    /* Connected. */
    struct list_node backlog_link;
    struct sim_socket *peer; /* NULL when it closed or either side reset */
    char *bytes;             /* arrived: size bytes from start */
    uint32_t start;
    uint32_t size;
    uint32_t capacity;
    struct sim_event fin_arrival;
    struct sim_event reset_arrival;
    int error;        /* ECONNRESET until it has been reported */
    bool fin_arrived; /* nothing comes after size bytes */
    bool fin_sent;
    bool receive_shut; /* bytes that arrive are thrown away */
    bool silent;       /* the peer's machine vanished: nothing answers until the reset */
};

/* A socket in FRESH. */
struct sim_socket *sim_socket_new(struct sim_host *host);

/*
 * Closes: the peer sees the end of the stream, or a reset if bytes were left
 * unread here. Frees the socket and nulls the pointer. NULL is accepted.
 */
void sim_socket_close(struct sim_socket **socket);

/* The machine is gone: the peer hears nothing, and a reset later. The socket must still be closed.
 */
void sim_socket_vanish(struct sim_socket *socket);

/* Connects two FRESH sockets with each other. */
void sim_socket_pair(struct sim_socket *a, struct sim_socket *b);

/* shutdown(2). 0 or -ENOTCONN. */
MUST_USE int sim_socket_shutdown(struct sim_socket *socket, int how);

/*
 * Moves the next segment of size bytes to the peer. The count; 0 when there is
 * no room now; -EPIPE, -ECONNRESET or -ENOTCONN.
 */
MUST_USE int64_t sim_socket_send(struct sim_socket *socket, const char *data, uint32_t size);

/* True when sim_socket_send() would move bytes, or fail. */
bool sim_socket_has_room(const struct sim_socket *socket);

/* Takes up to size bytes. The count; 0 at the end; -EAGAIN, -ECONNRESET or -ENOTCONN. */
MUST_USE int64_t sim_socket_receive(struct sim_socket *socket, char *data, uint32_t size);

/* poll(2) events that hold now. */
uint32_t sim_socket_events(const struct sim_socket *socket);

/* A time for one message to cross the network from socket. */
uint64_t sim_socket_latency_ns(struct sim_socket *socket);
