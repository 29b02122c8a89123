/*
 * Listener: accepts connections on one address of one shard.
 *
 * An actor. Every shard listens on the same address (SO_REUSEPORT), the kernel
 * spreads the connections. At the connection limit the longest idle connection
 * is closed to make room; when none is idle, accepting pauses and the backlog
 * waits. Out of descriptors: the same, and accepting is tried again by a timer.
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
    bool is_stopping;
};

extern const struct actor_type listener_type;

/* Fills in a listener on an open listening socket, ready to be spawned. */
void listener_init(struct listener *listener, struct http_server *server, int fd);
