#include "http/connection_tls.h"

#include <errno.h>

#include "http/listener.h"
#include "runtime/sim_point.h"

/*
 *     SECURING --handshake over--> IDLE ... as connection.c has it
 *        |  \--GET ... in plain text--> 400 in plain text, LINGER, without TLS
 *        |   \--what is no TLS 1.2--> alert if there is one, LINGER
 *        +--header time-out, the peer's FIN--> the end
 *
 * Plain bytes are lent from the engine to connection_on_bytes(), which parses them where
 * they lie, as it does with receive buffers. Answers gather in the connection's output as
 * ever; output_sent counts the bytes of them that are in records. One record is in flight
 * at a time, straight from the engine's own buffer.
 *
 * The engine takes no bytes from the wire while a flight of the handshake waits to be
 * sent. A client may have sent its first requests by then: they are kept aside and the
 * connection stops receiving until the flight is gone.
 *
 * A peer that says farewell is answered with ours by the engine itself, and that is the
 * end, whatever was still to be sent: so TLS 1.2 wants it. We say farewell before our own
 * FIN. A FIN of the peer without a farewell is counted; it can hide nothing, because a
 * request says how long it is.
 */

static struct http_tls *shared_of(const struct connection *c)
{
    return &c->server->tls;
}

static br_ssl_engine_context *engine_of(struct connection *c)
{
    return tls_server_engine(&c->tls->tls);
}

static void connection_tls_check(const struct connection *c)
{
    assert(c->tls != NULL);
    assert((c->state == CONNECTION_SECURING) == (c->tls->identity != NULL) || c->tls->is_closing);
}

static void count(struct connection *c, enum tls_outcome outcome)
{
    metrics_add(&c->actor.shard->metrics, c->server->metrics->tls_handshakes[outcome], 1);
}

struct connection_tls *connection_tls_acquire(struct http_server *server)
{
    struct connection_tls *tls =
        FAILPOINT("no TLS is free") ? NULL : pool_acquire(&server->tls.connections);

    if (tls == NULL)
        return NULL;
    tls->identity = NULL;
    tls->unfed = NULL;
    tls->wire_size = 0;
    tls->sent_size = 0;
    tls->has_heard = false;
    tls->is_open = false;
    tls->is_closing = false;
    return tls;
}

int connection_tls_begin(struct connection *c)
{
    struct http_tls *shared = shared_of(c);
    struct shard *shard = c->actor.shard;
    uint8_t seed[TLS_SERVER_SEED_SIZE];
    int r;

    assert(shared->identity != NULL);
    r = rng_secret(&shard->rng, seed, sizeof(seed));
    if (r < 0)
        return r;
    c->tls->identity = tls_identity_ref(shared->identity);
    tls_server_start(&c->tls->tls, c->tls->identity, &shared->sessions, &shard->clock.mono_ns,
                     seed);
    explicit_bzero(seed, sizeof(seed));
    c->state = CONNECTION_SECURING;
    connection_set_deadline(c, c->server->limits.header_timeout_ms);
    connection_tls_check(c);
    return 0;
}

void connection_tls_release(struct connection *c)
{
    void *slot = c->tls;

    if (c->tls == NULL)
        return;
    tls_identity_unref(&c->tls->identity);
    buffer_unref(&c->tls->unfed);
    tls_server_wipe(&c->tls->tls);
    pool_release(&shared_of(c)->connections, &slot);
    c->tls = NULL;
}

/* --- sending ---------------------------------------------------------------- */

/* Puts the next of the answers into a record. */
static void fill_record(struct connection *c)
{
    size_t size = c->output->size - c->output_sent;
    size_t written = tls_engine_write(engine_of(c), c->output->data + c->output_sent, size);

    c->output_sent += (uint32_t)written;
    c->tls->sent_size += (uint32_t)written;
}

void connection_tls_send(struct connection *c)
{
    struct slice wire;

    if (io_op_is_armed(&c->send_op))
        return;
    wire = tls_engine_wire(engine_of(c));
    if (wire.size == 0 && c->output != NULL) {
        fill_record(c);
        wire = tls_engine_wire(engine_of(c));
    }
    if (wire.size == 0)
        return;
    c->tls->wire_size = (uint32_t)wire.size;
    io_send(c->actor.shard->io, &c->send_op, c->fd, wire.data, c->tls->wire_size);
    if (c->write_deadline_ns == UINT64_MAX)
        connection_set_write_deadline(c);
}

/* A record is gone: so may be the answers that were in it, and the time that they had. */
static void settle_sent(struct connection *c)
{
    struct connection_tls *t = c->tls;
    bool is_whole;

    if (tls_engine_error(engine_of(c)) != 0)
        return; /* it failed while the record was on its way, and has dropped it */
    tls_engine_wire_sent(engine_of(c), t->wire_size);
    if (tls_engine_wire(engine_of(c)).size > 0)
        return;
    is_whole = c->output != NULL && c->output_sent == c->output->size;
    if (is_whole)
        connection_output_done(c);
    if (c->output == NULL || is_whole || t->sent_size >= HTTP_SEND_SIZE_MAX) {
        t->sent_size = 0;
        c->write_deadline_ns = UINT64_MAX;
    }
}

/* --- receiving --------------------------------------------------------------- */

/* The engine has failed: what it has to say about that is on its way or sent. */
MUST_USE static int fail(struct connection *c)
{
    SOMETIMES("a TLS connection fails");
    if (!c->tls->is_open)
        count(c, TLS_OUTCOME_FAILED);
    c->tls->is_closing = true;
    tls_identity_unref(&c->tls->identity);
    connection_abandon_exchange(c);
    connection_drop_output(c); /* nobody can be told any more */
    connection_begin_linger(c);
    return connection_proceed(c);
}

/* Tells the other shards; one that has no room for it now makes a full handshake later. */
static void share_session(struct connection *c)
{
    const struct http_tls *shared = shared_of(c);
    br_ssl_session_parameters parameters;

    br_ssl_engine_get_session_parameters(engine_of(c), &parameters);
    if (parameters.session_id_len != TLS_SERVER_SESSION_ID_SIZE)
        return;
    for (uint32_t i = 0; i < shared->peer_count; i++) {
        struct message *msg = NULL;
        struct tls_shared_session *session;

        if (i != c->actor.shard->index)
            msg = actor_message(&c->actor, shared->peers[i], MSG_LISTENER_SESSION);
        if (msg == NULL)
            continue;
        session = MESSAGE_AS(msg, struct tls_shared_session);
        memcpy(session->id, parameters.session_id, sizeof(session->id));
        memcpy(session->master_secret, parameters.master_secret, sizeof(session->master_secret));
        msg->token = (uint64_t)parameters.version << 16 | parameters.cipher_suite;
        msg->size = sizeof(*session);
        msg->flags |= MESSAGE_DROPPABLE;
        if (actor_send(&c->actor, &msg) == SEND_FULL)
            actor_message_release(&c->actor, &msg);
    }
}

static void on_open(struct connection *c)
{
    struct connection_tls *t = c->tls;

    if (t->tls.is_resumed)
        SOMETIMES("a TLS session is resumed");
    else
        share_session(c);
    t->is_open = true;
    tls_identity_unref(&t->identity);
    count(c, t->tls.is_resumed ? TLS_OUTCOME_RESUMED : TLS_OUTCOME_FULL);
    connection_enter_idle(c);
}

/* Does what has become possible. */
MUST_USE static int advance(struct connection *c)
{
    br_ssl_engine_context *engine = engine_of(c);
    struct slice plain;

    if (c->tls->is_closing)
        return ACTOR_OK;
    if (tls_engine_error(engine) != 0)
        return fail(c);
    if (!c->tls->is_open && tls_engine_is_open(engine))
        on_open(c);
    while ((plain = tls_engine_plain(engine)).size > 0) {
        /* What lies in the engine is ours until taken, so chunks may be decoded in place. */
        int r = connection_on_bytes(c, (char *)(uintptr_t)plain.data, plain.size);

        if (r != ACTOR_OK)
            return r;
        tls_engine_plain_taken(engine, plain.size);
    }
    connection_tls_send(c);
    if (tls_engine_is_finished(engine)) {
        SOMETIMES("a TLS peer says farewell");
        return ACTOR_STOP;
    }
    return ACTOR_OK;
}

/* Feeds what the engine takes; says how much that was. */
MUST_USE static int feed(struct connection *c, const char *data, size_t size, size_t *ret_fed)
{
    size_t fed = 0;
    size_t taken = 1;
    int r = ACTOR_OK;

    while (fed < size && taken > 0 && !c->tls->is_closing && r == ACTOR_OK) {
        taken = tls_server_feed(&c->tls->tls, data + fed, size - fed);
        fed += taken;
        r = advance(c);
    }
    *ret_fed = c->tls->is_closing ? size : fed; /* nobody wants the rest of it */
    return r;
}

/* Keeps what the engine does not take now. 0 or -errno. */
MUST_USE static int keep_unfed(struct connection *c, const char *data, size_t size)
{
    struct connection_tls *t = c->tls;
    size_t present = t->unfed != NULL ? t->unfed->size : 0;
    int r = 0;

    SOMETIMES("bytes wait for a handshake's flight to be sent");
    if (t->unfed == NULL)
        r = buffer_acquire(c->server->buffers, size, &t->unfed);
    else if (present + size > t->unfed->capacity)
        r = buffer_grow(&t->unfed, present + size);
    if (r < 0)
        return r;
    memcpy(t->unfed->data + present, data, size);
    t->unfed->size += (uint32_t)size;
    return 0;
}

/* Feeds what has been kept. */
MUST_USE static int feed_unfed(struct connection *c)
{
    struct connection_tls *t = c->tls;
    size_t fed;
    int r;

    if (t->unfed == NULL)
        return ACTOR_OK;
    r = feed(c, t->unfed->data, t->unfed->size, &fed);
    if (fed == t->unfed->size) {
        buffer_unref(&t->unfed);
    } else {
        memmove(t->unfed->data, t->unfed->data + fed, t->unfed->size - fed);
        t->unfed->size -= (uint32_t)fed;
    }
    return r;
}

/* A handshake begins with 22; a request in plain text with its method. */
static bool is_plain_http(char first)
{
    return first >= 'A' && first <= 'Z';
}

/* Answers in plain text, without TLS from now on. */
MUST_USE static int refuse_plain(struct connection *c)
{
    int r;

    SOMETIMES("plain HTTP comes where TLS is spoken");
    count(c, TLS_OUTCOME_PLAIN);
    connection_tls_release(c);
    connection_enter_idle(c);
    connection_begin_exchange(c, NULL);
    r = connection_refuse(c, PROBLEM_TLS_REQUIRED, "this port speaks TLS: use https://");
    return r < 0 ? r : connection_proceed(c);
}

int connection_tls_on_wire(struct connection *c, char *data, size_t size)
{
    struct connection_tls *t = c->tls;
    size_t fed = 0;
    int r = ACTOR_OK;

    connection_tls_check(c);
    assert(size > 0);
    if (c->state == CONNECTION_LINGER)
        return ACTOR_OK;
    if (!t->has_heard && is_plain_http(data[0]))
        return refuse_plain(c);
    t->has_heard = true;
    if (c->state == CONNECTION_BODY)
        connection_set_deadline(c, c->server->limits.body_timeout_ms);
    if (t->unfed == NULL)
        r = feed(c, data, size, &fed);
    if (r == ACTOR_OK && fed < size)
        r = keep_unfed(c, data + fed, size - fed);
    return r == ACTOR_OK ? connection_proceed(c) : r;
}

int connection_tls_on_sent(struct connection *c)
{
    int r;

    connection_tls_check(c);
    settle_sent(c);
    r = advance(c);
    if (r == ACTOR_OK)
        r = feed_unfed(c);
    return r;
}

void connection_tls_on_end(struct connection *c)
{
    connection_tls_check(c);
    if (!c->tls->is_open && !c->tls->is_closing)
        count(c, TLS_OUTCOME_FAILED);
    if (c->tls->is_open && !c->tls->is_closing && !tls_engine_has_farewell(engine_of(c))) {
        SOMETIMES("a TLS peer ends without a farewell");
        metrics_add(&c->actor.shard->metrics, c->server->metrics->tls_truncated, 1);
    }
}

void connection_tls_on_timeout(struct connection *c)
{
    SOMETIMES("a TLS handshake is timed out");
    connection_tls_check(c);
    count(c, TLS_OUTCOME_TIMEOUT);
}

/* --- the end ----------------------------------------------------------------- */

bool connection_tls_is_blocked(const struct connection *c)
{
    return c->tls != NULL && c->tls->unfed != NULL;
}

bool connection_tls_close(struct connection *c)
{
    assert(!io_op_is_armed(&c->send_op));
    assert(c->output == NULL);
    if (c->tls == NULL || c->tls->is_closing)
        return false;
    c->tls->is_closing = true;
    tls_server_close(&c->tls->tls);
    connection_tls_send(c);
    return io_op_is_armed(&c->send_op);
}
