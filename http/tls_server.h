/*
 * TLS server: our end of one TLS connection that somebody else has opened.
 *
 * Sans-I/O, over BearSSL's engine: the doors are those of tls_engine.h. TLS 1.2 only
 * (BearSSL has no 1.3), ECDHE with AES-GCM or ChaCha20-Poly1305 only, ALPN http/1.1 when
 * the client offers anything, no renegotiation, no client certificates. The name that the
 * client asks for (SNI) is not looked at: there is one identity.
 */
#pragma once

#include "http/tls_engine.h"
#include "http/tls_identity.h"
#include "http/tls_server_sessions.h"

enum { TLS_SERVER_SEED_SIZE = 32, TLS_SERVER_PROTOCOL_COUNT = 2 };

/* Embedded by value, in a pool: 37 KiB. Private to tls_server.c but for is_resumed. */
struct tls_server {
    br_ssl_server_context engine;
    const br_ssl_session_cache_class *cache;
    struct tls_server_sessions *sessions;
    const uint64_t *now_ns;
    bool is_resumed; /* once it is open: the handshake was a short one */
    bool was_open;
    const char *protocols[TLS_SERVER_PROTOCOL_COUNT];
    unsigned char records[BR_SSL_BUFSIZE_BIDI];
};

/*
 * Waits for a handshake. Borrows identity until it is open, sessions and the instant at
 * now_ns for the life of the connection; seed is secret and used once.
 */
void tls_server_start(struct tls_server *tls, const struct tls_identity *identity,
                      struct tls_server_sessions *sessions, const uint64_t *now_ns,
                      const uint8_t seed[TLS_SERVER_SEED_SIZE]);

/*
 * Takes bytes from the wire, in place of tls_engine_feed(); how many. Fewer: plain bytes
 * or bytes to send are in the way.
 */
MUST_USE size_t tls_server_feed(struct tls_server *tls, const char *data, size_t size);

/* The other doors: see tls_engine.h. */
static inline br_ssl_engine_context *tls_server_engine(struct tls_server *tls)
{
    return &tls->engine.eng;
}

/* Begins our farewell, when it is open and nothing is to be sent; else does nothing. */
void tls_server_close(struct tls_server *tls);

/* Wipes the keys. */
void tls_server_wipe(struct tls_server *tls);
