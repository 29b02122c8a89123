/*
 * TLS server sessions: what lets a client that comes again skip most of the handshake.
 *
 * A bounded cache of one shard, by session id, each entry good for a bounded time from
 * the full handshake that made it, which may have been on another shard. The master
 * secrets in it never leave the process.
 */
#pragma once

#include <bearssl.h>

#include "runtime/base.h"

enum {
    TLS_SERVER_SESSION_ID_SIZE = 32,
    TLS_SERVER_SESSION_WAY_COUNT = 4, /* places that one id may be at */
};

/* Private to tls_server_sessions.c. */
struct tls_server_session {
    uint64_t expires_ns; /* 0: empty */
    uint8_t id[TLS_SERVER_SESSION_ID_SIZE];
    uint8_t master_secret[48];
    uint16_t version;
    uint16_t suite;
};

/* Embedded by value; private to tls_server_sessions.c. */
struct tls_server_sessions {
    struct tls_server_session *entries;
    uint32_t count; /* a power of two; 0: nothing is kept */
    uint64_t lifetime_ns;
};

/*
 * Reserves room for count_min sessions, rounded up; 0: nothing is kept and nothing found.
 * 0 or -ENOMEM. Start-up only.
 */
MUST_USE int tls_server_sessions_init(struct tls_server_sessions *sessions, uint32_t count_min,
                                      uint64_t lifetime_ms);

/* Wipes it and gives the memory back. */
void tls_server_sessions_deinit(struct tls_server_sessions *sessions);

/* Bytes that so many sessions take. */
size_t tls_server_sessions_size(uint32_t count_min);

/* Keeps a session until lifetime_ms after now; it takes the place of the one that ends first. */
void tls_server_sessions_put(struct tls_server_sessions *sessions,
                             const br_ssl_session_parameters *parameters, uint64_t now_ns);

/* True, and the rest of parameters, when the session with the id in them is known. */
MUST_USE bool tls_server_sessions_get(const struct tls_server_sessions *sessions, uint64_t now_ns,
                                      br_ssl_session_parameters *parameters);

/* Forgets all of them: the identity that they were made with is no longer ours. */
void tls_server_sessions_clear(struct tls_server_sessions *sessions);
