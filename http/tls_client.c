/*
 * A profile of BearSSL's client and a name to check; the doors are those of tls_engine.h,
 * but for take_wire(), which copies: the bytes being sent may outlive the record.
 */
#include "http/tls_client.h"

/* From year 0, as BearSSL counts, to 1970. */
enum { DAYS_TO_1970 = 719528, SECONDS_PER_DAY = 86400 };

static void tls_client_check(const struct tls_client *tls)
{
    assert(tls->name[0] != '\0');
    assert(tls->protocols[0] != NULL);
}

void tls_client_start(struct tls_client *tls, const struct trust_store *trust, struct slice name,
                      const br_ssl_session_parameters *session, uint64_t unix_ms,
                      const uint8_t seed[TLS_CLIENT_SEED_SIZE])
{
    br_ssl_engine_context *engine = &tls->engine.eng;
    const br_x509_trust_anchor *anchors;
    size_t anchor_count;
    uint64_t seconds = unix_ms / 1000;
    int is_started;

    assert(name.size > 0);
    assert(name.size <= TLS_CLIENT_NAME_SIZE_MAX);
    memcpy(tls->name, name.data, name.size);
    tls->name[name.size] = '\0';
    tls->protocols[0] = "http/1.1";
    tls->is_resumed = session != NULL;
    anchors = trust_store_anchors(trust, &anchor_count);
    br_ssl_client_init_full(&tls->engine, &tls->x509, anchors, anchor_count);
    br_x509_minimal_set_time(&tls->x509, (uint32_t)(seconds / SECONDS_PER_DAY) + DAYS_TO_1970,
                             (uint32_t)(seconds % SECONDS_PER_DAY));
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION);
    br_ssl_engine_set_protocol_names(engine, tls->protocols, 1);
    br_ssl_engine_set_buffer(engine, tls->records, sizeof(tls->records), 1);
    br_ssl_engine_inject_entropy(engine, seed, TLS_CLIENT_SEED_SIZE);
    if (session != NULL)
        br_ssl_engine_set_session_parameters(engine, session);
    is_started = br_ssl_client_reset(&tls->engine, tls->name, session != NULL);
    /* It can only lack entropy, and has been given that. */
    assert(is_started == 1);
    tls_client_check(tls);
}

size_t tls_client_feed(struct tls_client *tls, const char *data, size_t size)
{
    tls_client_check(tls);
    return tls_engine_feed(&tls->engine.eng, data, size);
}

size_t tls_client_take_wire(struct tls_client *tls, char *buffer, size_t size)
{
    size_t taken = 0;
    struct slice wire;

    tls_client_check(tls);
    while (taken < size && (wire = tls_engine_wire(&tls->engine.eng)).size > 0) {
        size_t count = min_u64(wire.size, size - taken);

        memcpy(buffer + taken, wire.data, count);
        tls_engine_wire_sent(&tls->engine.eng, count);
        taken += count;
    }
    return taken;
}

size_t tls_client_write(struct tls_client *tls, const char *data, size_t size)
{
    tls_client_check(tls);
    return tls_engine_write(&tls->engine.eng, data, size);
}

struct slice tls_client_plain(struct tls_client *tls)
{
    tls_client_check(tls);
    return tls_engine_plain(&tls->engine.eng);
}

void tls_client_plain_taken(struct tls_client *tls, size_t size)
{
    tls_client_check(tls);
    tls_engine_plain_taken(&tls->engine.eng, size);
}

bool tls_client_is_open(const struct tls_client *tls)
{
    return tls_engine_is_open(&tls->engine.eng);
}

int tls_client_error(const struct tls_client *tls)
{
    return tls_engine_error(&tls->engine.eng);
}

bool tls_client_is_finished(const struct tls_client *tls)
{
    return tls_engine_is_finished(&tls->engine.eng);
}

void tls_client_session(const struct tls_client *tls, br_ssl_session_parameters *ret_session)
{
    assert(tls_client_error(tls) == BR_ERR_OK);
    br_ssl_engine_get_session_parameters(&tls->engine.eng, ret_session);
}
