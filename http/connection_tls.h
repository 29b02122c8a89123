/*
 * Connection TLS: TLS between a connection's socket and its requests.
 *
 * What is received goes through here before connection_on_bytes() sees it, what answers
 * gather goes through here before it is sent. For http/connection*.c and server.c.
 */
#pragma once

#include "http/connection_internals.h"
#include "http/tls_server.h"

/* In a pool of its own, as long as the connection. Private to connection_tls.c. */
struct connection_tls {
    struct tls_server tls;
    struct tls_identity *identity; /* of a handshake that is not over, else NULL */
    struct buffer *unfed;          /* of the wire, while the engine does not take it; or NULL */
    uint32_t wire_size;            /* bytes of the send in flight */
    uint32_t sent_size;            /* plain bytes since the write time-out was begun */
    bool has_heard;                /* something has come */
    bool is_open;                  /* the handshake is over */
    bool is_closing;               /* we have said farewell, or nothing can be said any more */
};

/* What a connection with TLS needs, or NULL: all are in use. */
MUST_USE struct connection_tls *connection_tls_acquire(struct http_server *server);

/* Waits for the handshake; what is needed has been acquired. 0 or -errno. */
MUST_USE int connection_tls_begin(struct connection *c);

/* Bytes of the wire, which may be changed. Verdict of an actor. */
MUST_USE int connection_tls_on_wire(struct connection *c, char *data, size_t size);

/* The send in flight has ended well. Verdict of an actor. */
MUST_USE int connection_tls_on_sent(struct connection *c);

/* The peer's stream has ended. */
void connection_tls_on_end(struct connection *c);

/* The handshake has taken too long. */
void connection_tls_on_timeout(struct connection *c);

/* Sends the next record, if there is something to send and nothing in flight. */
void connection_tls_send(struct connection *c);

/* True while no more bytes of the wire can be taken. */
bool connection_tls_is_blocked(const struct connection *c);

/*
 * All answers are sent: begins to say farewell. False when that is not needed, because
 * it was done before, or not possible.
 */
bool connection_tls_close(struct connection *c);

/* Gives back what the connection has of TLS; without it, nothing. */
void connection_tls_release(struct connection *c);
