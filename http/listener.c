#include "http/listener.h"

#include <errno.h>

#include "http/connection.h"
#include "runtime/shard.h"
#include "runtime/sim_point.h"

/*
 *     ACCEPTING --limit reached and none to evict, EMFILE, ENFILE, ENOMEM--> PAUSED
 *     PAUSED --retry timer, when there is room or one to evict--> ACCEPTING
 *
 * The multishot accept may hand over connections that were accepted before a
 * pause took effect; the spare slots of the pool are for those. The cancelled
 * accept may also end after the pause: then whichever comes last arms it again.
 */

static struct listener *listener_of(struct actor *self)
{
    return ACTOR_CAST(self, struct listener, LISTENER_MAGIC);
}

/* True when only the end of a connection with TLS makes room for one more. */
static bool is_at_tls_limit(const struct listener *l)
{
    const struct http_tls *tls = &l->server->tls;

    return l->is_tls && pool_used_count(&tls->connections) >= tls->limits.connection_count_max;
}

static bool is_at_limit(const struct listener *l)
{
    return l->server->connection_count >= l->server->limits.connection_count_max ||
           is_at_tls_limit(l);
}

static bool can_evict(const struct listener *l)
{
    return connection_can_evict(l->server, is_at_tls_limit(l));
}

static bool evict(struct listener *l)
{
    return connection_evict(l->server, is_at_tls_limit(l));
}

static void pause_accepting(struct listener *l)
{
    io_cancel(l->actor.shard->io, &l->accept_op);
    if (l->is_paused)
        return;
    SOMETIMES("accepting is paused");
    l->is_paused = true;
    actor_timer_start(&l->actor, &l->retry_timer, LISTENER_RETRY_MS);
}

static void resume_accepting(struct listener *l)
{
    l->is_paused = false;
    if (is_at_limit(l) && !can_evict(l))
        pause_accepting(l);
    else if (!io_op_is_armed(&l->accept_op) && !MUTANT("accept_not_armed_again"))
        io_accept(l->actor.shard->io, &l->accept_op, l->fd);
}

/* Takes fd. Somebody else makes room for it, if there is somebody. */
static void serve(struct listener *l, int fd)
{
    bool makes_room = !is_at_limit(l) || evict(l);

    if (connection_open(l->server, fd, l->is_tls) < 0)
        metrics_add(&l->actor.shard->metrics, l->server->metrics->accept_failures, 1);
    if (!makes_room || (is_at_limit(l) && !can_evict(l)))
        pause_accepting(l);
}

static int on_accepted(struct listener *l, const struct io_result *result)
{
    if (result->value >= 0) {
        serve(l, result->value);
        return FAILPOINT("a listener fails") ? -EIO : ACTOR_OK;
    }
    if (l->is_stopping)
        return ACTOR_STOP;
    switch (-result->value) {
    case ECANCELED:
    case ECONNABORTED:
    case EINTR:
    case EAGAIN:
    case EPROTO:
    case EPERM:
        SOMETIMES("accepting ends and is begun again");
        if (!l->is_paused)
            resume_accepting(l);
        return ACTOR_OK;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        SOMETIMES("accepting finds no descriptor");
        metrics_add(&l->actor.shard->metrics, l->server->metrics->accept_failures, 1);
        (void)connection_evict(l->server, false);
        if (l->server->on_no_descriptor != NULL)
            l->server->on_no_descriptor(l->server);
        pause_accepting(l);
        return ACTOR_OK;
    default:
        return result->value;
    }
}

static void take_identity(struct listener *l, const struct message *msg)
{
    struct tls_identity *identity = (struct tls_identity *)(uintptr_t)msg->as.words[0];

    SOMETIMES("a server gets another identity");
    http_server_set_identity(l->server, &identity);
}

static void take_session(struct listener *l, const struct message *msg)
{
    const struct tls_shared_session *shared = MESSAGE_AS_CONST(msg, struct tls_shared_session);
    br_ssl_session_parameters parameters = {
        .session_id_len = sizeof(shared->id),
        .version = (uint16_t)(msg->token >> 16),
        .cipher_suite = (uint16_t)msg->token,
    };

    memcpy(parameters.session_id, shared->id, sizeof(shared->id));
    memcpy(parameters.master_secret, shared->master_secret, sizeof(shared->master_secret));
    tls_server_sessions_put(&l->server->tls.sessions, &parameters, l->actor.shard->clock.mono_ns);
}

static int receive(struct actor *self, const struct message *msg)
{
    struct listener *l = listener_of(self);

    assert(l->fd >= 0);
    switch (msg->type) {
    case MSG_IO:
        assert(msg->as.io.op == &l->accept_op);
        return on_accepted(l, msg->as.io.result);
    case MSG_TIMER:
        SOMETIMES("accepting goes on after a pause");
        if (!l->is_stopping)
            resume_accepting(l);
        return ACTOR_OK;
    case MSG_LISTENER_IDENTITY:
        take_identity(l, msg);
        return ACTOR_OK;
    case MSG_LISTENER_SESSION:
        take_session(l, msg);
        return ACTOR_OK;
    case MSG_STOP:
        l->is_stopping = true;
        if (!io_op_is_armed(&l->accept_op))
            return ACTOR_STOP;
        io_cancel(self->shard->io, &l->accept_op);
        return ACTOR_OK;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct listener *l = listener_of(self);

    actor_op_init(self, &l->accept_op);
    actor_timer_init(self, &l->retry_timer);
    l->is_paused = false;
    l->is_stopping = false;
    io_accept(self->shard->io, &l->accept_op, l->fd);
    return 0;
}

/* The end, not a restart: nobody will accept on the socket any more. */
static void free_listener(struct actor *self)
{
    struct listener *l = listener_of(self);

    io_close_now(self->shard->io, l->fd);
    l->fd = -1;
}

const struct actor_type listener_type = {
    .name = "listener",
    .start = start,
    .receive = receive,
    .free = free_listener,
    .mailbox_max = 64,
};

void listener_init(struct listener *listener, struct http_server *server, int fd, bool is_tls)
{
    assert(fd >= 0);
    assert(!is_tls || server->tls.identity != NULL);
    memset(listener, 0, sizeof(*listener));
    listener->server = server;
    listener->fd = fd;
    listener->is_tls = is_tls;
}
