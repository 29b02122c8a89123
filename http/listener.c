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

static bool is_at_limit(const struct listener *l)
{
    return l->server->connection_count >= l->server->limits.connection_count_max;
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
    if (is_at_limit(l) && !connection_can_evict(l->server))
        pause_accepting(l);
    else if (!io_op_is_armed(&l->accept_op) && !MUTANT("accept_not_armed_again"))
        io_accept(l->actor.shard->io, &l->accept_op, l->fd);
}

/* Takes fd. Somebody else makes room for it, if there is somebody. */
static void serve(struct listener *l, int fd)
{
    bool makes_room = !is_at_limit(l) || connection_evict(l->server);

    if (connection_open(l->server, fd) < 0)
        metrics_add(&l->actor.shard->metrics, l->server->metrics->accept_failures, 1);
    if (!makes_room || (is_at_limit(l) && !connection_can_evict(l->server)))
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
        (void)connection_evict(l->server);
        pause_accepting(l);
        return ACTOR_OK;
    default:
        return result->value;
    }
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
    .mailbox_max = 16,
};

void listener_init(struct listener *listener, struct http_server *server, int fd)
{
    assert(fd >= 0);
    memset(listener, 0, sizeof(*listener));
    listener->server = server;
    listener->fd = fd;
}
