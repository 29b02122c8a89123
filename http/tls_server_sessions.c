/*
 * Ids are random and ours, so their first bytes are the hash: they name a set of four
 * neighbouring entries, of which a new session takes one that is free, or else the one
 * that would end first. Nobody can choose an id that is kept, so nobody can aim at a set.
 */
#include "http/tls_server_sessions.h"

#include "runtime/memory.h"

static uint32_t rounded(uint32_t count_min)
{
    uint32_t count = TLS_SERVER_SESSION_WAY_COUNT;

    assert(count_min <= UINT32_MAX / 2);
    if (count_min == 0)
        return 0;
    while (count < count_min)
        count *= 2;
    return count;
}

size_t tls_server_sessions_size(uint32_t count_min)
{
    return rounded(count_min) * sizeof(struct tls_server_session);
}

int tls_server_sessions_init(struct tls_server_sessions *sessions, uint32_t count_min,
                             uint64_t lifetime_ms)
{
    char *memory = NULL;
    int r = 0;

    if (count_min > 0)
        r = memory_map(tls_server_sessions_size(count_min), &memory);
    if (r < 0)
        return r;
    *sessions = (struct tls_server_sessions){
        .entries = (struct tls_server_session *)(void *)memory,
        .count = rounded(count_min),
        .lifetime_ns = lifetime_ms * 1000000,
    };
    return 0;
}

void tls_server_sessions_clear(struct tls_server_sessions *sessions)
{
    if (sessions->count > 0)
        explicit_bzero(sessions->entries, sessions->count * sizeof(*sessions->entries));
}

void tls_server_sessions_deinit(struct tls_server_sessions *sessions)
{
    char *memory = (char *)sessions->entries;

    tls_server_sessions_clear(sessions);
    memory_unmap(&memory, sessions->count * sizeof(*sessions->entries));
    sessions->entries = NULL;
    sessions->count = 0;
}

static struct tls_server_session *set_of(const struct tls_server_sessions *sessions,
                                         const uint8_t *id)
{
    uint32_t hash;

    assert(is_power_of_two(sessions->count));
    memcpy(&hash, id, sizeof(hash));
    return &sessions->entries[hash & (sessions->count - TLS_SERVER_SESSION_WAY_COUNT)];
}

void tls_server_sessions_put(struct tls_server_sessions *sessions,
                             const br_ssl_session_parameters *parameters, uint64_t now_ns)
{
    struct tls_server_session *set, *chosen;

    if (sessions->count == 0 || parameters->session_id_len != TLS_SERVER_SESSION_ID_SIZE)
        return;
    set = set_of(sessions, parameters->session_id);
    chosen = set;
    for (uint32_t i = 1; i < TLS_SERVER_SESSION_WAY_COUNT; i++)
        if (set[i].expires_ns < chosen->expires_ns)
            chosen = &set[i];
    chosen->expires_ns = now_ns + sessions->lifetime_ns;
    chosen->version = parameters->version;
    chosen->suite = parameters->cipher_suite;
    memcpy(chosen->id, parameters->session_id, sizeof(chosen->id));
    memcpy(chosen->master_secret, parameters->master_secret, sizeof(chosen->master_secret));
}

bool tls_server_sessions_get(const struct tls_server_sessions *sessions, uint64_t now_ns,
                             br_ssl_session_parameters *parameters)
{
    const struct tls_server_session *set;

    if (sessions->count == 0 || parameters->session_id_len != TLS_SERVER_SESSION_ID_SIZE)
        return false;
    set = set_of(sessions, parameters->session_id);
    for (uint32_t i = 0; i < TLS_SERVER_SESSION_WAY_COUNT; i++) {
        if (set[i].expires_ns <= now_ns ||
            memcmp(set[i].id, parameters->session_id, sizeof(set[i].id)) != 0)
            continue;
        parameters->version = set[i].version;
        parameters->cipher_suite = set[i].suite;
        memcpy(parameters->master_secret, set[i].master_secret, sizeof(parameters->master_secret));
        return true;
    }
    return false;
}
