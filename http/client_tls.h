/*
 * Client TLS: TLS between a client's connection and its exchange.
 *
 * What is received goes through here before the exchange sees it, what the exchange
 * sends goes through here before it is sent. For http/client*.c.
 */
#pragma once

#include "http/client_connection.h"
#include "http/tls_client.h"

/* In a pool of its own, as long as the connection. */
struct client_tls {
    struct tls_client tls;
    size_t output_written;           /* bytes of the connection's output that are in records */
    char wire[TLS_CLIENT_WIRE_SIZE]; /* being sent */
};

/* The connection is there: begins the handshake. Fails the call when that cannot be. */
void client_tls_begin(struct client_connection *connection);

/* Sends output, record by record. */
void client_tls_send(struct client_connection *connection);

/* The send in flight has ended: 0 or a negative errno. */
void client_tls_on_sent(struct client_connection *connection, int error);

/* Bytes of the wire, borrowed for the call. */
void client_tls_on_wire(struct client_connection *connection, const char *data, size_t size);

/* The stream has ended: 0 or a negative errno. Without a farewell it was cut. */
void client_tls_on_end(struct client_connection *connection, int error);

/* Gives back what the connection has of TLS; without it, nothing. */
void client_tls_release(struct client_connection *connection);
