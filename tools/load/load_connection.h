/*
 * Load connection: one keep-alive connection of the generator, with at most one request
 * under way.
 *
 *     CLOSED --open(), send()--> CONNECTING --> SECURING --> IDLE
 *       ^                                        (https)      |  ^
 *       |                                              send() v  | answer
 *       +------------------ CLOSING <----------------------- BUSY
 *
 * CLOSED and IDLE connections are free: they can take a request. One that has to connect
 * first does so as part of the request, and the time counts. The owner is told by the
 * four calls of struct load_connection_owner. Only io.h underneath, so it runs on any
 * backend; nothing here allocates.
 */
#pragma once

#include "http/address.h"
#include "http/tls_client.h"
#include "runtime/io.h"
#include "runtime/rng.h"
#include "tools/load/load_answer.h"
#include "tools/load/load_tally.h"

struct load_connection;

enum load_connection_state {
    LOAD_CONNECTION_CLOSED,
    LOAD_CONNECTION_CONNECTING,
    LOAD_CONNECTION_SECURING,
    LOAD_CONNECTION_IDLE,
    LOAD_CONNECTION_BUSY,
    LOAD_CONNECTION_CLOSING,
};

/* Whoever has the connections; embedded in its own state. May send from inside on_free. */
struct load_connection_owner {
    /* It can take a request: it has just opened, answered or closed. */
    void (*on_free)(struct load_connection_owner *owner, struct load_connection *connection);
    /* It was free and is not: the server has closed it. on_free follows. */
    void (*on_lost)(struct load_connection_owner *owner, struct load_connection *connection);
    /* What came of a request; exactly one of these for each. */
    void (*on_answer)(struct load_connection_owner *owner, struct load_connection *connection,
                      unsigned status);
    void (*on_fail)(struct load_connection_owner *owner, struct load_connection *connection,
                    enum load_error error);
};

/* What all connections share. Set by the owner; the counters may be read. */
struct load_peer {
    struct io *io;
    struct load_connection_owner *owner;
    struct address address;
    const struct trust_store *trust; /* NULL: http */
    struct slice name;               /* of the server, for https */
    uint64_t unix_ms;                /* for its certificate */
    struct rng rng;
    bool answers_head; /* requests are HEAD */
    uint64_t connects;
    uint64_t bytes_out;
    uint64_t bytes_in;
    int connect_error;             /* of the last connection that failed, -errno */
    int tls_error;                 /* likewise, BearSSL's number */
    struct http_response response; /* scratch */
};

/* Embedded by value in zeroed memory. Private to load_connection.c, but for ticket and link. */
struct load_connection {
    struct load_ticket ticket; /* the owner's: of the request under way */
    struct list_node link;     /* the owner's */
    char *buffer;              /* the owner's: where its requests are written; may be NULL */
    struct load_peer *peer;
    struct io_op recv;
    struct io_op send;
    struct io_op connect;
    struct io_op close;
    int fd;
    enum load_connection_state state;
    bool has_request;
    bool has_failed;  /* it could not be opened the last time; may be read */
    bool is_answered; /* all of the answer is there */
    struct load_answer answer;
    struct slice request;   /* what is not with the kernel, or with TLS */
    struct tls_client *tls; /* NULL: http */
    char *wire;             /* TLS_CLIENT_WIRE_SIZE bytes, with tls */
};

/*
 * Makes it closed. Borrows peer, head and, for https, tls and wire for its life; memory that
 * held a connection before goes on counting generations.
 */
void load_connection_init(struct load_connection *connection, struct load_peer *peer, char *head,
                          struct tls_client *tls, char *wire);

/* Connects a closed one ahead of its first request. on_free follows, also when it fails. */
void load_connection_open(struct load_connection *connection);

/* Sends to a free one. Borrows request until on_answer or on_fail, not empty. */
void load_connection_send(struct load_connection *connection, struct slice request);

/* Gives up what it does: on_fail follows from inside when it has a request, on_free later. */
void load_connection_abort(struct load_connection *connection, enum load_error error);

/* After the backend is gone: closes the descriptor. */
void load_connection_deinit(struct load_connection *connection);

/* True when it can take a request. */
static inline bool load_connection_is_free(const struct load_connection *connection)
{
    return connection->state == LOAD_CONNECTION_IDLE || connection->state == LOAD_CONNECTION_CLOSED;
}
