/*
 * A profile of BearSSL's server: what every client since 2014 can do, and nothing that has
 * been broken since. The order of the suites is the client's, which knows whether it has
 * AES in hardware.
 *
 * A client may send requests behind its last flight, before it has ours (RFC 7918). BearSSL
 * takes that for a mistake while its own last flight waits to be sent, so nothing is fed
 * to it until that is gone.
 *
 * BearSSL asks its cache for a session while it reads the first message of the client,
 * and gives it one at the end of a full handshake; both go to the shard's sessions.
 */
#include "http/tls_server.h"

static const uint16_t SUITES[] = {
    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
};

static struct tls_server *tls_server_of(const br_ssl_session_cache_class **cache)
{
    return container_of(cache, struct tls_server, cache);
}

static void save_session(const br_ssl_session_cache_class **cache, br_ssl_server_context *engine,
                         const br_ssl_session_parameters *parameters)
{
    struct tls_server *tls = tls_server_of(cache);

    assert(engine == &tls->engine);
    tls->is_resumed = false;
    tls_server_sessions_put(tls->sessions, parameters, *tls->now_ns);
}

static int load_session(const br_ssl_session_cache_class **cache, br_ssl_server_context *engine,
                        br_ssl_session_parameters *parameters)
{
    struct tls_server *tls = tls_server_of(cache);

    assert(engine == &tls->engine);
    tls->is_resumed = tls_server_sessions_get(tls->sessions, *tls->now_ns, parameters);
    return tls->is_resumed ? 1 : 0;
}

static const br_ssl_session_cache_class CACHE = {
    .context_size = sizeof(struct tls_server),
    .save = save_session,
    .load = load_session,
};

static void use_identity(struct tls_server *tls, const struct tls_identity *identity)
{
    assert(identity->certificate_count > 0);
    if (identity->key_type == BR_KEYTYPE_RSA)
        br_ssl_server_init_full_rsa(&tls->engine, identity->certificates,
                                    identity->certificate_count, &identity->rsa);
    else
        br_ssl_server_init_full_ec(&tls->engine, identity->certificates,
                                   identity->certificate_count, identity->issuer_key_type,
                                   &identity->ec);
}

void tls_server_start(struct tls_server *tls, const struct tls_identity *identity,
                      struct tls_server_sessions *sessions, const uint64_t *now_ns,
                      const uint8_t seed[TLS_SERVER_SEED_SIZE])
{
    br_ssl_engine_context *engine = &tls->engine.eng;
    int is_started;

    tls->cache = &CACHE;
    tls->sessions = sessions;
    tls->now_ns = now_ns;
    tls->is_resumed = false;
    tls->was_open = false;
    tls->protocols[0] = "http/1.1";
    tls->protocols[1] = "http/1.0";
    use_identity(tls, identity);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, SUITES, ARRAY_COUNT(SUITES));
    br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
    br_ssl_engine_set_protocol_names(engine, tls->protocols, TLS_SERVER_PROTOCOL_COUNT);
    br_ssl_server_set_cache(&tls->engine, &tls->cache);
    br_ssl_engine_set_buffer(engine, tls->records, sizeof(tls->records), 1);
    br_ssl_engine_inject_entropy(engine, seed, TLS_SERVER_SEED_SIZE);
    is_started = br_ssl_server_reset(&tls->engine);
    /* It can only lack entropy, and has been given that. */
    assert(is_started == 1);
    /* Of an alert before there is a version; BearSSL would write 0, which nobody can read. */
    engine->version_out = BR_TLS12;
}

size_t tls_server_feed(struct tls_server *tls, const char *data, size_t size)
{
    br_ssl_engine_context *engine = &tls->engine.eng;
    size_t fed = 0;
    size_t taken = 1;

    tls->was_open |= tls_engine_is_open(engine);
    if (tls->was_open)
        return tls_engine_feed(engine, data, size);
    /* No further than the end of a record or its header: each may make it speak. */
    while (taken > 0 && fed < size && tls_engine_wire(engine).size == 0) {
        size_t room;

        if (br_ssl_engine_recvrec_buf(engine, &room) == NULL)
            break;
        taken = tls_engine_feed(engine, data + fed, min_u64(room, size - fed));
        fed += taken;
    }
    return fed;
}

void tls_server_close(struct tls_server *tls)
{
    br_ssl_engine_context *engine = &tls->engine.eng;

    if (tls_engine_is_open(engine) && tls_engine_wire(engine).size == 0)
        br_ssl_engine_close(engine);
}

void tls_server_wipe(struct tls_server *tls)
{
    explicit_bzero(&tls->engine, sizeof(tls->engine));
}
