/*
 * Client connection: one connection of the outgoing client, from its name to its close.
 *
 * It serves one call at a time and may be kept for the next one to the same host. What
 * its bytes mean is in client_exchange.h. For http/client*.c.
 */
#pragma once

#include "http/chunked.h"
#include "http/client.h"

enum client_connection_state {
    CLIENT_CONNECTION_RESOLVING,
    CLIENT_CONNECTION_CONNECTING,
    CLIENT_CONNECTION_SECURING,
    CLIENT_CONNECTION_BUSY, /* a request goes out, an answer comes in */
    CLIENT_CONNECTION_IDLE, /* kept; whatever comes ends it */
    CLIENT_CONNECTION_CLOSING,
};

/* Which operation of a connection an io_op is; the wrapper leads back to the connection. */
enum client_op_kind {
    CLIENT_OP_CONNECT,
    CLIENT_OP_RECV,
    CLIENT_OP_SEND,
    CLIENT_OP_COUNT,
};

struct client_op {
    struct io_op op;
    struct client_connection *connection;
    enum client_op_kind kind;
};

struct client_tls;

/* Fields are for http/client*.c. */
struct client_connection {
    struct http_client *client;
    struct client_host *host;
    struct http_client_call *call; /* NULL when idle, or when its call has gone */
    struct list_node link;         /* among all */
    struct list_node idle_link;    /* among the client's kept ones */
    struct list_node host_link;    /* among its host's kept ones */
    int32_t fd;                    /* -1: none */
    uint8_t state;                 /* enum client_connection_state */
    bool is_reused;                /* has served a call before */
    bool is_evicted;               /* closes to make room */
    bool peer_closed;              /* no more bytes will come */
    struct client_op ops[CLIENT_OP_COUNT];
    struct client_timer timer; /* time-out of a connect or handshake, or of being idle */

    struct resolver_query query;
    struct address addresses[RESOLVER_ADDRESS_COUNT_MAX]; /* that the policy permits */
    uint32_t address_count;
    uint32_t address_next; /* the one to be tried next */
    int connect_error;     /* of the last one tried */
    struct address remote;
    struct client_tls *tls; /* NULL: plain HTTP */

    /* The exchange, private to client_exchange.c. */
    struct buffer *output; /* the request, until it is sent */
    struct buffer *input;  /* head of the answer, then the body without its framing */
    size_t head_size;      /* 0 until the head is whole */
    size_t body_size;      /* of what is in input */
    uint64_t body_left;    /* of a Content-Length */
    struct response_parser parser;
    struct chunked chunked;
    uint8_t body_kind; /* enum response_body */
    uint8_t interim_count;
    bool keep_alive;
    bool got_bytes;   /* of an answer */
    bool send_failed; /* and the whole request was in that one send */
};

/*
 * Opens a connection to host for a call, which is served as soon as it is there, or
 * fails. The caller has seen that one more is allowed.
 */
void client_connection_open(struct http_client *client, struct client_host *host,
                            struct http_client_call *call);

/* Serves a call with a kept connection. */
void client_connection_reuse(struct client_connection *connection, struct http_client_call *call);

/* The host's kept connection that was used last and that the call may use, or NULL. */
MUST_USE struct client_connection *client_connection_find_idle(const struct client_host *host,
                                                               const struct http_client_call *call);

/* The call has its answer: keeps the connection for another, or serves one that waits. */
void client_connection_keep(struct client_connection *connection);

/*
 * Ends the connection, at once or when the operations have let go of it; a call must
 * have been taken from it before. Repeating it does nothing.
 */
void client_connection_close(struct client_connection *connection);

/* Sends all of output; client_exchange_on_sent() hears of it. */
void client_connection_send(struct client_connection *connection);

/* Connected, and with TLS secured: sends the request. */
void client_connection_begin_exchange(struct client_connection *connection);

/* Plain bytes of the peer, or the end of them: 0, or a negative errno when it came early. */
void client_connection_on_bytes(struct client_connection *connection, const char *data,
                                size_t size);
void client_connection_on_end(struct client_connection *connection, int error);

/* Ends the call that is being served, and the connection. */
void client_connection_fail(struct client_connection *connection, enum http_client_outcome outcome,
                            int error);

/* A completion of one of its operations. */
void client_connection_on_io(struct client_op *op, const struct io_result *result);

/* Its timer fired. */
void client_connection_on_timer(struct client_connection *connection);

/* Frees a connection of which no operation is armed. */
void client_connection_release(struct client_connection *connection);
