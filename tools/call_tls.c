/*
 * Everything is send what the engine has to say, then do what was asked for, and receive
 * when that is not possible yet.
 */
#include "tools/call_tls.h"

#include <errno.h>

#include "http/tls_client.h"
#include "runtime/rng.h"

struct call_tls {
    struct trust_store *trust;
    struct tls_client client;
    struct rng rng;
    size_t wire_size; /* received and not taken by the engine yet */
    size_t wire_fed;
    char wire[TLS_CLIENT_WIRE_SIZE];
};

/* The text of the last failure to read a file. */
static int fail(const char *path, int error, char *text, size_t size)
{
    assert(error < 0);
    snprintf(text, size, "%s: %s", path,
             error == -EBADMSG ? "holds no PEM certificate that can be read" : strerror(-error));
    return error;
}

int call_tls_new(const char *ca_path, struct call_tls **ret_tls, char *text, size_t size)
{
    struct call_tls *tls = calloc(1, sizeof(*tls));
    int r = -ENOMEM;

    if (tls == NULL || trust_store_new(&tls->trust) < 0) {
        call_tls_free(&tls);
        snprintf(text, size, "out of memory");
        return r;
    }
    r = trust_store_add_file(tls->trust, TRUST_STORE_SYSTEM_PATH);
    if (r < 0 && ca_path == NULL)
        r = fail(TRUST_STORE_SYSTEM_PATH, r, text, size);
    else if (ca_path != NULL && (r = trust_store_add_file(tls->trust, ca_path)) < 0)
        r = fail(ca_path, r, text, size);
    if (r < 0) {
        call_tls_free(&tls);
        return r;
    }
    *ret_tls = tls;
    return 0;
}

void call_tls_free(struct call_tls **tls)
{
    if (*tls == NULL)
        return;
    trust_store_free(&(*tls)->trust);
    explicit_bzero(*tls, sizeof(**tls));
    free(*tls);
    *tls = NULL;
}

/* Sends what the engine has to say. */
static int flush(struct call_tls *tls, struct call_socket *socket)
{
    char wire[TLS_CLIENT_WIRE_SIZE];
    size_t size;
    int r = 0;

    while (r == 0 && (size = tls_client_take_wire(&tls->client, wire, sizeof(wire))) > 0)
        r = call_socket_send(socket, (struct slice){wire, size}, (struct slice){NULL, 0});
    return r;
}

/* Feeds the engine, from the socket if need be. 1, 0 at the end of the stream, or -errno. */
static int feed(struct call_tls *tls, struct call_socket *socket)
{
    size_t fed;

    if (tls->wire_fed == tls->wire_size) {
        ssize_t n = call_socket_receive(socket, tls->wire, sizeof(tls->wire));

        if (n <= 0)
            return (int)n;
        tls->wire_size = (size_t)n;
        tls->wire_fed = 0;
    }
    fed = tls_client_feed(&tls->client, tls->wire + tls->wire_fed, tls->wire_size - tls->wire_fed);
    tls->wire_fed += fed;
    if (tls_client_error(&tls->client) != 0)
        return -EKEYREJECTED;
    return fed > 0 ? 1 : -EPROTO; /* bytes behind the farewell */
}

int call_tls_begin(struct call_tls *tls, struct call_socket *socket, struct slice host)
{
    uint8_t seed[TLS_CLIENT_SEED_SIZE];
    int r;

    if (host.size > TLS_CLIENT_NAME_SIZE_MAX)
        return -EINVAL;
    r = rng_init_system(&tls->rng);
    if (r == 0)
        r = rng_secret(&tls->rng, seed, sizeof(seed));
    if (r < 0)
        return r;
    tls->wire_size = 0;
    tls->wire_fed = 0;
    tls_client_start(&tls->client, tls->trust, host, NULL, socket->clock.unix_ms, seed);
    explicit_bzero(seed, sizeof(seed));
    r = 1;
    while (r == 1 && !tls_client_is_open(&tls->client)) {
        r = flush(tls, socket);
        if (r == 0 && !tls_client_is_open(&tls->client))
            r = feed(tls, socket);
        else if (r == 0)
            r = 1;
    }
    if (r == 1)
        return 0;
    return r == 0 ? -ECONNRESET : r;
}

int call_tls_send(struct call_tls *tls, struct call_socket *socket, struct slice data)
{
    int r = 0;

    while (r == 0 && data.size > 0) {
        size_t written = tls_client_write(&tls->client, data.data, data.size);

        data.data += written;
        data.size -= written;
        r = flush(tls, socket);
        if (r == 0 && written == 0)
            r = -EPIPE; /* the server has ended it, and perhaps said why before */
    }
    return r;
}

ssize_t call_tls_receive(struct call_tls *tls, struct call_socket *socket, char *data, size_t size)
{
    struct slice plain;

    while ((plain = tls_client_plain(&tls->client)).size == 0) {
        int r = flush(tls, socket);

        if (r == 0 && tls_client_is_finished(&tls->client))
            return 0;
        if (r == 0)
            r = feed(tls, socket);
        if (r <= 0)
            return r == 0 ? -ECONNRESET : r;
    }
    size = min_u64(size, plain.size);
    memcpy(data, plain.data, size);
    tls_client_plain_taken(&tls->client, size);
    return (ssize_t)size;
}

const char *call_tls_describe(const struct call_tls *tls)
{
    switch (tls_client_error(&tls->client)) {
    case BR_ERR_X509_EXPIRED:
        return "its certificate has expired, or is not valid yet";
    case BR_ERR_X509_BAD_SERVER_NAME:
        return "its certificate does not bear the name in the URL (addresses are not matched)";
    case BR_ERR_X509_NOT_TRUSTED:
        return "its certificate is signed by nobody who is trusted; --ca FILE says whom to trust";
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION:
        return "it does not speak TLS 1.2";
    default:
        return tls_client_error(&tls->client) >= BR_ERR_RECV_FATAL_ALERT
                   ? "it refused the TLS handshake"
                   : "it does not speak TLS, or its certificate is broken";
    }
}
