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
#include "http/tls_engine.h"

static unsigned state_of(const br_ssl_engine_context *engine)
{
    return br_ssl_engine_current_state(engine);
}

size_t tls_engine_feed(br_ssl_engine_context *engine, const char *data, size_t size)
{
    size_t fed = 0;

    while (fed < size && (state_of(engine) & BR_SSL_RECVREC) != 0) {
        size_t room;
        unsigned char *buffer = br_ssl_engine_recvrec_buf(engine, &room);
        size_t count = min_u64(room, size - fed);

        assert(room > 0);
        memcpy(buffer, data + fed, count);
        br_ssl_engine_recvrec_ack(engine, count);
        fed += count;
    }
    return fed;
}

struct slice tls_engine_wire(br_ssl_engine_context *engine)
{
    const unsigned char *data;
    size_t size;

    if ((state_of(engine) & BR_SSL_SENDREC) == 0)
        return (struct slice){NULL, 0};
    data = br_ssl_engine_sendrec_buf(engine, &size);
    assert(size > 0);
    return (struct slice){(const char *)data, size};
}

void tls_engine_wire_sent(br_ssl_engine_context *engine, size_t size)
{
    assert(size > 0);
    assert(size <= tls_engine_wire(engine).size);
    br_ssl_engine_sendrec_ack(engine, size);
}

size_t tls_engine_write(br_ssl_engine_context *engine, const char *data, size_t size)
{
    unsigned char *buffer;
    size_t room, count;

    if (size == 0 || (state_of(engine) & BR_SSL_SENDAPP) == 0)
        return 0;
    buffer = br_ssl_engine_sendapp_buf(engine, &room);
    count = min_u64(room, size);
    assert(count > 0);
    memcpy(buffer, data, count);
    br_ssl_engine_sendapp_ack(engine, count);
    br_ssl_engine_flush(engine, 0);
    return count;
}

struct slice tls_engine_plain(br_ssl_engine_context *engine)
{
    const unsigned char *data;
    size_t size;

    if ((state_of(engine) & BR_SSL_RECVAPP) == 0)
        return (struct slice){NULL, 0};
    data = br_ssl_engine_recvapp_buf(engine, &size);
    return (struct slice){(const char *)data, size};
}

void tls_engine_plain_taken(br_ssl_engine_context *engine, size_t size)
{
    assert(size > 0);
    assert(size <= tls_engine_plain(engine).size);
    br_ssl_engine_recvapp_ack(engine, size);
}

bool tls_engine_is_open(const br_ssl_engine_context *engine)
{
    return (state_of(engine) & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) != 0;
}

int tls_engine_error(const br_ssl_engine_context *engine)
{
    return br_ssl_engine_last_error(engine);
}

/* No function of BearSSL's tells it before our own farewell is sent, too. */
bool tls_engine_has_farewell(const br_ssl_engine_context *engine)
{
    return engine->shutdown_recv != 0;
}

bool tls_engine_is_finished(const br_ssl_engine_context *engine)
{
    return state_of(engine) == BR_SSL_CLOSED && tls_engine_error(engine) == BR_ERR_OK;
}

struct slice tls_engine_error_name(int error)
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
