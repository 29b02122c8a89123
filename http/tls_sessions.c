/*
 * The key is a 128-bit keyed hash of name and port, so the cache holds neither and two
 * hosts do not meet by accident; what they may share is a slot.
 */
#include "http/tls_sessions.h"

enum { HOST_SIZE_MAX = 256 };

void tls_sessions_init(struct tls_sessions *sessions, const uint8_t hash_key[SIPHASH_KEY_SIZE])
{
    memset(sessions, 0, sizeof(*sessions));
    memcpy(sessions->hash_key, hash_key, sizeof(sessions->hash_key));
}

static size_t index_of(const struct tls_sessions *sessions, struct slice host, uint16_t port,
                       uint8_t ret_key[SIPHASH_128_SIZE])
{
    char text[HOST_SIZE_MAX + sizeof(port)];
    uint64_t hash;

    assert(host.size > 0);
    assert(host.size <= HOST_SIZE_MAX);
    memcpy(text, host.data, host.size);
    memcpy(text + host.size, &port, sizeof(port));
    siphash_128(sessions->hash_key, (struct slice){text, host.size + sizeof(port)}, ret_key);
    memcpy(&hash, ret_key, sizeof(hash));
    return hash % TLS_SESSION_COUNT;
}

static bool is_of(const struct tls_session *session, const uint8_t key[SIPHASH_128_SIZE])
{
    return session->is_used && memcmp(session->key, key, sizeof(session->key)) == 0;
}

bool tls_sessions_get(const struct tls_sessions *sessions, struct slice host, uint16_t port,
                      br_ssl_session_parameters *ret_parameters)
{
    uint8_t key[SIPHASH_128_SIZE];
    const struct tls_session *session = &sessions->sessions[index_of(sessions, host, port, key)];

    if (!is_of(session, key))
        return false;
    *ret_parameters = session->parameters;
    return true;
}

void tls_sessions_put(struct tls_sessions *sessions, struct slice host, uint16_t port,
                      const br_ssl_session_parameters *parameters)
{
    uint8_t key[SIPHASH_128_SIZE];
    struct tls_session *session = &sessions->sessions[index_of(sessions, host, port, key)];

    if (parameters->session_id_len == 0)
        return;
    session->is_used = true;
    session->parameters = *parameters;
    memcpy(session->key, key, sizeof(session->key));
}

void tls_sessions_forget(struct tls_sessions *sessions, struct slice host, uint16_t port)
{
    uint8_t key[SIPHASH_128_SIZE];
    struct tls_session *session = &sessions->sessions[index_of(sessions, host, port, key)];

    if (is_of(session, key))
        memset(session, 0, sizeof(*session));
}
