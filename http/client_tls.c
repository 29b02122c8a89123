#include "http/client_tls.h"

#include <errno.h>

#include "http/client_internals.h"

/*
 * One send is in flight at a time, from wire. Whenever that is free it is filled: first
 * with what the engine has to say, a handshake or an alert, then with the next record of
 * the request. So the engine's own buffer is empty whenever plain bytes are written to
 * it, and it always has room for the few bytes that a handshake wants to send while a
 * send is in flight. A peer that makes it want more is not one that we talk to.
 *
 * A handshake that goes well is kept for the next connection to the host; one that goes
 * wrong makes us forget what it may have been based on.
 */
enum { WIRE_PIECE_SIZE = 512 };

static struct slice host_of(const struct client_connection *c)
{
    return (struct slice){c->host->name, c->host->name_size};
}

static void client_tls_check(const struct client_connection *c)
{
    assert(c->tls != NULL);
    assert(c->output != NULL || c->tls->output_written == 0);
}

static void fail(struct client_connection *c, int tls_error, int error)
{
    tls_sessions_forget(&c->client->tls_sessions, host_of(c), c->host->port);
    if (c->call == NULL) {
        client_connection_close(c);
        return;
    }
    c->call->result.tls_error = tls_error;
    client_connection_fail(c, HTTP_CLIENT_TLS_FAILED, error);
}

/* Fills wire and sends it, if it is free and there is something to send. */
static void pump(struct client_connection *c)
{
    struct client_tls *t = c->tls;
    size_t size;

    client_tls_check(c);
    if (io_op_is_armed(&c->ops[CLIENT_OP_SEND].op) || c->state == CLIENT_CONNECTION_CLOSING)
        return;
    size = tls_client_take_wire(&t->tls, t->wire, sizeof(t->wire));
    if (size == 0 && c->output != NULL) {
        t->output_written += tls_client_write(&t->tls, c->output->data + t->output_written,
                                              c->output->size - t->output_written);
        size = tls_client_take_wire(&t->tls, t->wire, sizeof(t->wire));
    }
    if (size > 0)
        io_send(c->client->actor.shard->io, &c->ops[CLIENT_OP_SEND].op, c->fd, t->wire,
                (uint32_t)size);
}

void client_tls_begin(struct client_connection *c)
{
    struct http_client *client = c->client;
    struct shard *shard = client->actor.shard;
    br_ssl_session_parameters session;
    uint8_t seed[TLS_CLIENT_SEED_SIZE];
    bool has_session;

    assert(c->tls == NULL);
    c->state = CLIENT_CONNECTION_SECURING;
    c->call->result.stage = HTTP_CLIENT_SECURING;
    if (client->config.trust == NULL) {
        client_connection_fail(c, HTTP_CLIENT_TLS_FAILED, -EPROTONOSUPPORT);
        return;
    }
    c->tls = pool_acquire(&client->tls_pool);
    assert(c->tls != NULL); /* one for each connection */
    c->tls->output_written = 0;
    if (rng_secret(&shard->rng, seed, sizeof(seed)) < 0) {
        client_connection_fail(c, HTTP_CLIENT_NO_CAPACITY, -EIO);
        return;
    }
    has_session = tls_sessions_get(&client->tls_sessions, host_of(c), c->host->port, &session);
    tls_client_start(&c->tls->tls, client->config.trust, host_of(c), has_session ? &session : NULL,
                     shard->clock.unix_ms, seed);
    actor_timer_start(&client->actor, &c->timer.timer, client->config.tls_timeout_ms);
    pump(c);
}

void client_tls_send(struct client_connection *c)
{
    assert(c->tls->output_written == 0);
    pump(c);
}

/* The handshake is over. */
static void on_open(struct client_connection *c)
{
    br_ssl_session_parameters session;

    actor_timer_stop(&c->client->actor, &c->timer.timer);
    tls_client_session(&c->tls->tls, &session);
    tls_sessions_put(&c->client->tls_sessions, host_of(c), c->host->port, &session);
    c->client->stats.handshake_count++;
    c->call->result.secured_ns = client_now_ns(c->client);
    client_connection_begin_exchange(c);
}

/* Does what has become possible. False when the connection is at its end. */
static bool advance(struct client_connection *c)
{
    struct tls_client *tls = &c->tls->tls;
    struct slice plain;

    if (tls_client_error(tls) != 0) {
        fail(c, tls_client_error(tls), 0);
        return false;
    }
    pump(c); /* the last of a handshake may be ours, and opens the connection when taken */
    if (c->state == CLIENT_CONNECTION_SECURING && tls_client_is_open(tls))
        on_open(c);
    while (c->state != CLIENT_CONNECTION_CLOSING && (plain = tls_client_plain(tls)).size > 0) {
        client_connection_on_bytes(c, plain.data, plain.size);
        if (c->state != CLIENT_CONNECTION_CLOSING)
            tls_client_plain_taken(tls, plain.size);
    }
    if (c->state == CLIENT_CONNECTION_CLOSING)
        return false;
    pump(c); /* our own farewell, perhaps */
    if (!tls_client_is_finished(tls))
        return true;
    client_connection_on_end(c, 0);
    return false;
}

void client_tls_on_sent(struct client_connection *c, int error)
{
    bool is_whole = c->output != NULL && c->tls->output_written == c->output->size;

    client_tls_check(c);
    if (c->state == CLIENT_CONNECTION_BUSY && c->output != NULL && (error < 0 || is_whole)) {
        c->tls->output_written = 0;
        client_exchange_on_sent(c, error);
    }
    if (error == 0 && c->state != CLIENT_CONNECTION_CLOSING)
        (void)advance(c);
}

void client_tls_on_wire(struct client_connection *c, const char *data, size_t size)
{
    client_tls_check(c);
    while (size > 0) {
        size_t fed = tls_client_feed(&c->tls->tls, data, size);

        data += fed;
        size -= fed;
        if (!advance(c))
            return;
        if (fed == 0) {
            fail(c, BR_ERR_UNEXPECTED, 0);
            return;
        }
    }
}

/* The peer said farewell, though ours to it may be unsent: nobody would read it any more. */
static bool is_finished(struct client_connection *c)
{
    char unsent[WIRE_PIECE_SIZE];

    while (tls_client_take_wire(&c->tls->tls, unsent, sizeof(unsent)) > 0)
        continue;
    return tls_client_is_finished(&c->tls->tls);
}

void client_tls_on_end(struct client_connection *c, int error)
{
    client_tls_check(c);
    if (c->state == CLIENT_CONNECTION_SECURING)
        fail(c, 0, error < 0 ? error : -ECONNRESET);
    else if (error == 0 && is_finished(c))
        client_connection_on_end(c, 0);
    else
        client_connection_on_end(c, error < 0 ? error : -ECONNABORTED);
}

void client_tls_release(struct client_connection *c)
{
    void *slot = c->tls;

    pool_release(&c->client->tls_pool, &slot);
    c->tls = NULL;
}
