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
    bool is_tls;                /* whoever connects must speak TLS */
    struct io_op accept_op;
    struct timer retry_timer;
    bool is_paused; /* the timer runs; accept_op may not have ended yet */
    bool is_stopping;
};

extern const struct actor_type listener_type;

/* Messages to a listener, none of which it answers. */
enum {
    /* words[0] is a struct tls_identity *, taken: see http_server_set_identity(). */
    MSG_LISTENER_IDENTITY = MSG_HTTP,
    /* struct tls_shared_session, of another shard; version and suite are in the token. */
    MSG_LISTENER_SESSION,
};

/* A session on its way to another shard. */
struct tls_shared_session {
    uint8_t id[TLS_SERVER_SESSION_ID_SIZE];
    uint8_t master_secret[48];
};

/*
 * Fills in a listener on an open listening socket, ready to be spawned. is_tls: only on a
 * server that has been given an identity.
 */
void listener_init(struct listener *listener, struct http_server *server, int fd, bool is_tls);
