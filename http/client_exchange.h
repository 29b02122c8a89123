/*
 * Client exchange: one request and its answer on a client's connection.
 *
 * Bytes in, a verdict out: it knows nothing of sockets or TLS but one call that sends.
 * For http/client*.c.
 */
#pragma once

#include "http/client_connection.h"

/* Writes the request of the connection's call and sends it, or fails the call. */
void client_exchange_begin(struct client_connection *connection);

/* Takes bytes of the answer. They are borrowed for the call. */
void client_exchange_on_bytes(struct client_connection *connection, const char *data, size_t size);

/* No more bytes will come: 0 at the proper end of the stream, else a negative errno. */
void client_exchange_on_end(struct client_connection *connection, int error);

/* The request has been sent, or could not be. */
void client_exchange_on_sent(struct client_connection *connection, int error);

/* Hands what has come of the answer over to the call that is about to be told. */
void client_exchange_hand_over(struct client_connection *connection, struct http_client_call *call);
