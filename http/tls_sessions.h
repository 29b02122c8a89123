/*
 * TLS sessions: what lets a second connection to a host skip most of the handshake.
 *
 * A bounded cache of one shard, by host name and port. A slot holds the host that wrote
 * to it last. The master secrets in it never leave the process.
 */
#pragma once

#include <bearssl.h>

#include "contracts/siphash.h"

enum { TLS_SESSION_COUNT = 256 };

/* Private to tls_sessions.c. */
struct tls_session {
    uint8_t key[SIPHASH_128_SIZE];
    bool is_used;
    br_ssl_session_parameters parameters;
};

/* Embedded by value; private to tls_sessions.c. */
struct tls_sessions {
    uint8_t hash_key[SIPHASH_KEY_SIZE];
    struct tls_session sessions[TLS_SESSION_COUNT];
};

/* An empty cache. */
void tls_sessions_init(struct tls_sessions *sessions, const uint8_t hash_key[SIPHASH_KEY_SIZE]);

/* True, and the parameters, when there is a session with that host. */
MUST_USE bool tls_sessions_get(const struct tls_sessions *sessions, struct slice host,
                               uint16_t port, br_ssl_session_parameters *ret_parameters);

/* Keeps a session; one that the server gave no name to cannot be resumed and is passed over. */
void tls_sessions_put(struct tls_sessions *sessions, struct slice host, uint16_t port,
                      const br_ssl_session_parameters *parameters);

/* Forgets the session with that host: a handshake with it has failed. */
void tls_sessions_forget(struct tls_sessions *sessions, struct slice host, uint16_t port);
