/*
 * TLS client: our end of one TLS connection, between a socket and whoever speaks HTTP.
 *
 * Sans-I/O, over BearSSL's engine: bytes of the wire go in, plain bytes come out, and the
 * other way round. TLS 1.2 only (BearSSL has no 1.3). The server's certificate must lead
 * to the trust store, be valid now, and bear the name that was asked for, which is also
 * sent to it (SNI); http/1.1 is offered by ALPN. The name of an address written in a URL
 * is its text, which hardly any certificate has: https wants names.
 *
 *     tls_client_start -> feed, take_wire ... until is_open -> write, plain, feed, take_wire
 *
 * After each feed and write whatever take_wire() gives must be sent. An end of the stream
 * before tls_client_is_finished() was cut by somebody, and what came may not be all.
 */
#pragma once

#include "http/tls_engine.h"
#include "http/tls_sessions.h"
#include "http/trust_store.h"

enum {
    TLS_CLIENT_NAME_SIZE_MAX = 253,
    TLS_CLIENT_WIRE_SIZE = 17 * 1024, /* room that take_wire() needs for a whole record */
    TLS_CLIENT_SEED_SIZE = 32,
};

/* Embedded by value, or in a pool: 45 KiB. Private to tls_client.c. */
struct tls_client {
    br_ssl_client_context engine;
    br_x509_minimal_context x509;
    const char *protocols[1];
    bool is_resumed;
    char name[TLS_CLIENT_NAME_SIZE_MAX + 1];
    unsigned char records[BR_SSL_BUFSIZE_BIDI];
};

/*
 * Begins a handshake with the server called name. Borrows trust for the life of the
 * connection; resumes session unless that is NULL; seed is secret and used once.
 */
void tls_client_start(struct tls_client *tls, const struct trust_store *trust, struct slice name,
                      const br_ssl_session_parameters *session, uint64_t unix_ms,
                      const uint8_t seed[TLS_CLIENT_SEED_SIZE]);

/* Takes bytes from the wire; how many. Fewer: plain bytes or bytes to send are in the way. */
MUST_USE size_t tls_client_feed(struct tls_client *tls, const char *data, size_t size);

/* Moves at most size bytes that are to be sent into buffer; how many, 0 for none. */
MUST_USE size_t tls_client_take_wire(struct tls_client *tls, char *buffer, size_t size);

/* Takes plain bytes to be sent, at most one record; how many, 0 while it cannot. */
MUST_USE size_t tls_client_write(struct tls_client *tls, const char *data, size_t size);

/* Borrows the plain bytes that have come; empty for none. */
MUST_USE struct slice tls_client_plain(struct tls_client *tls);

/* Says that the first size of them are done with. */
void tls_client_plain_taken(struct tls_client *tls, size_t size);

/* True when the handshake is over and the server is who it should be. */
bool tls_client_is_open(const struct tls_client *tls);

/* True when the server has said that nothing more comes. */
bool tls_client_is_finished(const struct tls_client *tls);

/* 0, or BearSSL's number of what went wrong; for good. */
int tls_client_error(const struct tls_client *tls);

/* What may be resumed later, once it is open. */
void tls_client_session(const struct tls_client *tls, br_ssl_session_parameters *ret_session);
