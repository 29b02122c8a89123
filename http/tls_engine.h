/*
 * TLS engine: the four doors of BearSSL's engine, client's or server's, as calls.
 *
 * Sans-I/O: bytes of the wire go in, plain bytes come out, and the other way round. What
 * differs between the ends is in tls_client.h and tls_server.h.
 */
#pragma once

#include <bearssl.h>

#include "runtime/base.h"

/* Takes bytes from the wire; how many. Fewer: plain bytes or bytes to send are in the way. */
MUST_USE size_t tls_engine_feed(br_ssl_engine_context *engine, const char *data, size_t size);

/* Borrows what is to be sent next, until tls_engine_wire_sent(); empty for nothing. */
MUST_USE struct slice tls_engine_wire(br_ssl_engine_context *engine);

/* Says that the first size bytes of it are sent. */
void tls_engine_wire_sent(br_ssl_engine_context *engine, size_t size);

/* Takes plain bytes to be sent, at most one record; how many, 0 while it cannot. */
MUST_USE size_t tls_engine_write(br_ssl_engine_context *engine, const char *data, size_t size);

/* Borrows the plain bytes that have come, which the caller may change; empty for none. */
MUST_USE struct slice tls_engine_plain(br_ssl_engine_context *engine);

/* Says that the first size of them are done with. */
void tls_engine_plain_taken(br_ssl_engine_context *engine, size_t size);

/* True when the handshake is over and nothing has ended the connection. */
bool tls_engine_is_open(const br_ssl_engine_context *engine);

/* True when the peer has said that nothing more comes: its end is no cut. */
bool tls_engine_has_farewell(const br_ssl_engine_context *engine);

/* True when both ends have said that nothing more comes. */
bool tls_engine_is_finished(const br_ssl_engine_context *engine);

/* 0, or BearSSL's number of what went wrong; for good. */
int tls_engine_error(const br_ssl_engine_context *engine);

/* "certificate_expired": for logs and records. Static. */
struct slice tls_engine_error_name(int error);
