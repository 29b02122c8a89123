/*
 * Connection: one client's TCP connection, from accept to close.
 *
 * An actor that owns the descriptor, reads requests, lets handlers answer them
 * one at a time and in order, and enforces every time-out. An idle connection
 * holds no buffer, but with TLS (connection_tls.h) the memory of that.
 */
#pragma once

#include "http/chunked.h"
#include "http/exchange.h"
#include "http/server.h"

enum { CONNECTION_MAGIC = 0x434f4e4e, CONNECTION_EVICT_IDLE_MS = 50 };

enum connection_state {
    CONNECTION_SECURING, /* TLS only: the handshake */
    CONNECTION_IDLE,
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_PENDING,
    CONNECTION_LINGER,
};

struct connection_tls;

/* Private to connection*.c and exchange.c; spelled out for the pool. */
struct connection {
    struct actor actor;
    struct http_server *server;
    int32_t fd;
    uint32_t lent_index;  /* the receive buffer to be given back, when has_lent */
    uint32_t head_size;   /* of the request at hand */
    uint32_t output_sent; /* bytes of output that the peer's kernel has taken */
    struct request_parser parser;
    uint8_t state; /* enum connection_state */
    bool is_receiving_wanted : 1;
    bool peer_closed : 1;
    bool close_after_send : 1;
    bool fin_sent : 1;
    bool body_is_chunked : 1;
    bool continue_wanted : 1;
    bool is_stopping : 1; /* asked to stop: this answer is the last */
    bool is_deaf : 1;     /* pipelined bytes were lost for want of a buffer: likewise */
    bool has_lent : 1;
    bool has_decoded : 1; /* while a handler has the body */
    bool is_leaving : 1; /* in CONNECTION_LINGER: there is nothing that the peer must get to read */
    struct io_op recv_op;
    struct io_op send_op; /* from fin_sent on: of the shutdown, after the last send */
    struct timer timer;
    uint64_t deadline_ns;       /* what the present state may take at most; UINT64_MAX: no limit */
    uint64_t write_deadline_ns; /* what the send in flight may; UINT64_MAX: none is */
    uint64_t timer_armed_ns;    /* when the timer fires; it may be earlier than both */
    struct buffer *input;       /* bytes of requests not answered yet, or NULL */
    struct buffer *output;      /* being sent, or gathered when nothing is in flight */
    struct buffer *output_next; /* gathered while output is in flight */
    uint64_t body_size;         /* content length, or decoded chunk bytes so far */
    union {
        struct chunked chunked; /* while a chunked body is read */
        struct buffer *decoded; /* when has_decoded: the body without its Content-Encoding */
    };
    struct connection_tls *tls; /* NULL: plain HTTP */
    struct list_node idle_link;
    struct exchange exchange;
};

static_assert(sizeof(struct connection) <= 960, "what an idle connection costs");

/*
 * Prepares the server's supervisor, for a tree of the floor above: connections are children
 * of it while they last, and end shutdown_ms after they are asked to at the latest. Before
 * the tree is spawned.
 */
void connection_supervise(struct http_server *server, int32_t shutdown_ms);

/*
 * Takes fd and serves it until it ends, with TLS if is_tls. 0; on -EAGAIN (no slot) or
 * another negative errno the descriptor has been closed.
 */
MUST_USE int connection_open(struct http_server *server, int fd, bool is_tls);

/* Ends an idle connection. False when none is idle. */
bool connection_close_idle(struct http_server *server);

/*
 * Ends the connection that has been idle longest, to make room for a new one, and counts
 * it; only of those idle for at least CONNECTION_EVICT_IDLE_MS, so that who has just come
 * gets to ask. needs_tls: only one that gives back the memory of TLS makes room.
 */
bool connection_evict(struct http_server *server, bool needs_tls);

/* True when connection_evict() would find one. */
bool connection_can_evict(const struct http_server *server, bool needs_tls);

/* For exchange.c: appends head and body of an answer to what is to be sent. 0 or -errno. */
MUST_USE int connection_write(struct connection *connection, const struct response_head *head,
                              struct slice body);
