/*
 * Sim HTTP client: one connection of a client machine in a simulated world.
 *
 *     IDLE --submit--> CONNECTING --> OPEN --lost, closed, dropped--> CLOSING
 *      ^                   |                                            |
 *      |                   +--refused-----------------------------------+
 *      +--- RESTING (drawn delay) <-------------------------------------+
 *
 * Requests are sent in order, at most pipeline_count_max unanswered ones at a
 * time, whole or cut at drawn points with pauses. Whatever of a request went out
 * when the connection was lost, its outcome is unknown: lost. Requests of which
 * no byte went out wait for the next connection. Understands Content-Length, 1xx and
 * Connection: close; anything else ends the connection and counts as malformed.
 */
#pragma once

#include <sys/socket.h>

#include "runtime/io.h"
#include "runtime/sim_faults.h"
#include "runtime/sim_world.h"

enum {
    SIM_HTTP_BODY_SIZE_MAX = 65536,
    SIM_HTTP_INPUT_SIZE_MAX = SIM_HTTP_BODY_SIZE_MAX + 8192,
};

/* One request and its outcome. The caller's; borrowed from submit to on_done. */
struct sim_http_request {
    const char *data; /* head and body */
    uint32_t size;
    void (*on_done)(struct sim_http_request *request);

    bool lost;       /* the connection went first: nobody knows */
    uint16_t status; /* unless lost */
    uint32_t body_size;
    const char *body;  /* borrowed during on_done */
    uint64_t whole_ns; /* when its last byte was handed to the network; 0: never */

    struct list_node link; /* private, with the next */
    uint32_t sent_size;
};

enum sim_http_state {
    SIM_HTTP_IDLE,
    SIM_HTTP_CONNECTING,
    SIM_HTTP_OPEN,
    SIM_HTTP_CLOSING,
    SIM_HTTP_RESTING,
};

/* Callers set the first group after init; the counters may be read. */
struct sim_http_client {
    uint32_t pipeline_count_max; /* default 1 */
    uint32_t split_ppm;          /* of requests that are sent in pieces; default one in four */
    struct sim_range pause_ns;   /* between pieces */
    struct sim_range rest_ns;    /* before connecting again */

    uint64_t connect_count;
    uint64_t refused_count;
    uint64_t answered_count;
    uint64_t lost_count;
    uint64_t malformed_count;

    struct sim_world *world;
    struct io *io;
    const struct sockaddr *address;
    socklen_t address_size;
    enum sim_http_state state;
    int fd;
    struct io_op connect_op;
    struct io_op recv_op;
    struct io_op send_op;
    struct io_op close_op;
    struct sim_event pause_over;
    struct sim_event rest_over;
    struct list_node queue;     /* not begun */
    struct list_node in_flight; /* begun, in order; the last may not be wholly sent */
    uint32_t in_flight_count;
    struct sim_http_request *early; /* answered before it was wholly sent: told after the close */
    uint32_t input_size;
    char input[SIM_HTTP_INPUT_SIZE_MAX];
};

/* A client that has done nothing yet. Borrows all; io is of the client's machine. */
void sim_http_client_init(struct sim_http_client *client, struct sim_world *world, struct io *io,
                          const struct sockaddr *address, socklen_t address_size);

/* Takes the client out of the world. Call when it is idle, or after io_free() of its io. */
void sim_http_client_deinit(struct sim_http_client *client);

/* Sends request in its turn. data, size and on_done are set. Allowed in on_done. */
void sim_http_client_submit(struct sim_http_client *client, struct sim_http_request *request);

/* Walks away from the connection, if there is one: what was begun is lost. */
void sim_http_client_drop(struct sim_http_client *client);

/* Requests that have no outcome yet. */
uint32_t sim_http_client_pending(const struct sim_http_client *client);
