/*
 * Peer: a scripted HTTP server of a simulated machine, for those who test our client.
 *
 * It listens on one address, keeps what comes, and calls its owner for each whole request
 * (head and Content-Length); the owner says what is sent, byte by byte if it likes, and
 * when the connection ends. Allocates: it lives in simulations only.
 */
#pragma once

#include "http/address.h"
#include "runtime/io.h"
#include "runtime/sim_host.h"

struct peer;

struct peer_connection {
    struct peer *peer;
    uint32_t index;         /* in the order of being accepted */
    uint32_t request_count; /* whole ones so far */
    bool is_open;           /* neither side has ended it */
    bool saw_end;           /* the client closed, or reset it */
    size_t in_size;
    char *in;

    int fd; /* private to peer.c from here on */
    size_t in_used;
    size_t in_capacity;
    char *out;
    size_t out_size;
    size_t out_sent;
    size_t piece_size_max;
    uint64_t pause_ns;
    bool end_wanted;
    bool is_closing;
    char *piece;
    struct io_op recv_op;
    struct io_op send_op;
    struct io_op close_op;
    struct sim_event pause_over;
};

/* on_request may be set at any time. */
struct peer {
    /* A whole request has come. Borrows the slices for the call. */
    void (*on_request)(struct peer_connection *connection, struct slice head, struct slice body);
    /* Bytes have come; NULL unless a test wants to answer before a request is whole. */
    void (*on_bytes)(struct peer_connection *connection);
    uint32_t request_count;
    uint32_t connection_count; /* accepted so far */
    struct peer_connection **connections;

    uint32_t connection_capacity; /* private to peer.c from here on */
    struct sim_world *world;
    struct io *io;
    int fd;
    struct io_op accept_op;
};

/* A server on host and port of io's machine. Borrows world and io, which must be reaped. */
void peer_init(struct peer *peer, struct sim_world *world, struct io *io, const char *host,
               uint16_t port);

/* Frees what it has; its io must have been freed. */
void peer_deinit(struct peer *peer);

/* The same on the heap. */
struct peer *peer_new(struct sim_world *world, struct io *io, const char *host, uint16_t port);

/* Ends and frees it and nulls the pointer. NULL is accepted. */
void peer_free(struct peer **peer);

/* Listens, but never accepts: the second connection gets no answer at all. */
int peer_listen_deaf(struct io *io, const char *host, uint16_t port);

/* Sends text behind what waits already. */
void peer_send(struct peer_connection *connection, const char *text);

/* The same for any bytes. */
void peer_send_bytes(struct peer_connection *connection, const char *data, size_t size);

/* From now on sends at most so many bytes at once, with a pause behind each. */
void peer_drip(struct peer_connection *connection, size_t piece_size_max, uint64_t pause_ns);

/* Closes when all has been sent. */
void peer_close(struct peer_connection *connection);

/* Connections that neither side has ended. */
uint32_t peer_open_count(const struct peer *peer);
