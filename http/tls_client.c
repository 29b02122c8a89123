/*
 * The engine has four doors, of which it says at each moment which ones are open:
 *
 *     wire --> RECVREC  [ engine ]  RECVAPP --> plain
 *     wire <-- SENDREC  [        ]  SENDAPP <-- plain
 *
 * It closes RECVREC while a record that was read is not taken, or while its output waits
 * to be taken in the middle of a handshake. So feed() stops there, and its caller takes
 * what is there and goes on. RECVREC and SENDREC use buffers of their own, so plain bytes
 * that lie there do not keep us from sending.
 */
#include "http/tls_client.h"

/* From year 0, as BearSSL counts, to 1970. */
enum { DAYS_TO_1970 = 719528, SECONDS_PER_DAY = 86400 };

static unsigned state_of(const struct tls_client *tls)
{
    return br_ssl_engine_current_state(&tls->engine.eng);
}

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
    size_t fed = 0;

    tls_client_check(tls);
    while (fed < size && (state_of(tls) & BR_SSL_RECVREC) != 0) {
        size_t room;
        unsigned char *buffer = br_ssl_engine_recvrec_buf(&tls->engine.eng, &room);
        size_t count = min_u64(room, size - fed);

        memcpy(buffer, data + fed, count);
        br_ssl_engine_recvrec_ack(&tls->engine.eng, count);
        fed += count;
    }
    return fed;
}

size_t tls_client_take_wire(struct tls_client *tls, char *buffer, size_t size)
{
    size_t taken = 0;

    tls_client_check(tls);
    while (taken < size && (state_of(tls) & BR_SSL_SENDREC) != 0) {
        size_t ready;
        const unsigned char *record = br_ssl_engine_sendrec_buf(&tls->engine.eng, &ready);
        size_t count = min_u64(ready, size - taken);

        memcpy(buffer + taken, record, count);
        br_ssl_engine_sendrec_ack(&tls->engine.eng, count);
        taken += count;
    }
    return taken;
}

size_t tls_client_write(struct tls_client *tls, const char *data, size_t size)
{
    unsigned char *buffer;
    size_t room, count;

    tls_client_check(tls);
    if (size == 0 || (state_of(tls) & BR_SSL_SENDAPP) == 0)
        return 0;
    buffer = br_ssl_engine_sendapp_buf(&tls->engine.eng, &room);
    count = min_u64(room, size);
    memcpy(buffer, data, count);
    br_ssl_engine_sendapp_ack(&tls->engine.eng, count);
    br_ssl_engine_flush(&tls->engine.eng, 0);
    return count;
}

struct slice tls_client_plain(struct tls_client *tls)
{
    const unsigned char *data;
    size_t size;

    tls_client_check(tls);
    if ((state_of(tls) & BR_SSL_RECVAPP) == 0)
        return (struct slice){NULL, 0};
    data = br_ssl_engine_recvapp_buf(&tls->engine.eng, &size);
    return (struct slice){(const char *)data, size};
}

void tls_client_plain_taken(struct tls_client *tls, size_t size)
{
    assert(size <= tls_client_plain(tls).size);
    br_ssl_engine_recvapp_ack(&tls->engine.eng, size);
}

bool tls_client_is_open(const struct tls_client *tls)
{
    return (state_of(tls) & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) != 0;
}

int tls_client_error(const struct tls_client *tls)
{
    return br_ssl_engine_last_error(&tls->engine.eng);
}

bool tls_client_is_finished(const struct tls_client *tls)
{
    return state_of(tls) == BR_SSL_CLOSED && tls_client_error(tls) == BR_ERR_OK;
}

void tls_client_session(const struct tls_client *tls, br_ssl_session_parameters *ret_session)
{
    assert(tls_client_error(tls) == BR_ERR_OK);
    br_ssl_engine_get_session_parameters(&tls->engine.eng, ret_session);
}

struct slice tls_client_error_name(int error)
{
    switch (error) {
    case BR_ERR_OK:
        return SLICE_LITERAL("none");
    case BR_ERR_X509_EXPIRED:
        return SLICE_LITERAL("certificate_expired");
    case BR_ERR_X509_BAD_SERVER_NAME:
        return SLICE_LITERAL("wrong_host");
    case BR_ERR_X509_NOT_TRUSTED:
        return SLICE_LITERAL("not_trusted");
    case BR_ERR_X509_BAD_SIGNATURE:
    case BR_ERR_X509_WEAK_PUBLIC_KEY:
    case BR_ERR_X509_UNSUPPORTED:
        return SLICE_LITERAL("bad_certificate");
    case BR_ERR_UNSUPPORTED_VERSION:
        return SLICE_LITERAL("unsupported_version");
    case BR_ERR_BAD_MAC:
        return SLICE_LITERAL("bad_record");
    default:
        break;
    }
    if (error >= BR_ERR_SEND_FATAL_ALERT)
        return SLICE_LITERAL("we_refused");
    if (error >= BR_ERR_RECV_FATAL_ALERT)
        return SLICE_LITERAL("peer_refused");
    return error > BR_ERR_X509_OK ? SLICE_LITERAL("bad_certificate") : SLICE_LITERAL("protocol");
}
