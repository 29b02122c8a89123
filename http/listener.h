/*
 * Listener: accepts connections on one address of one shard.
 *
 * An actor. Every shard listens on the same address (SO_REUSEPORT), the kernel
 * spreads the connections. At the connection limit a new one takes the place of the
 * one that has been idle longest; when none has been idle for a while, accepting
 * pauses and the backlog waits. Out of descriptors: the same. A timer tries again.
 */
#pragma once

#include "http/server.h"

enum {
    LISTENER_MAGIC = 0x4c495354,
    LISTENER_BACKLOG = 4096,
    LISTENER_RETRY_MS = 50, /* after EMFILE and the like, and while at the limit */
};

/* fd is set by the owner before the spawn; the rest is private to listener.c. */
struct listener {
    struct actor actor;
    struct http_server *server; /* borrowed */
    int32_t fd;                 /* a listening socket; stays open over restarts */
    struct io_op accept_op;
    struct timer retry_timer;
    bool is_paused; /* the timer runs; accept_op may not have ended yet */
    bool is_stopping;
};

extern const struct actor_type listener_type;

/* Fills in a listener on an open listening socket, ready to be spawned. */
void listener_init(struct listener *listener, struct http_server *server, int fd);
