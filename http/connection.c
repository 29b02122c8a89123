#include "http/connection_internals.h"

#include <errno.h>

#include "http/connection_tls.h"
#include "runtime/sim_point.h"

/*
 * The states, and the time-out that rules each:
 *
 *     IDLE --first byte--> HEAD --empty line--> BODY --last byte--> (handler)
 *      idle    |            header   |           body                 |
 *              +----whole request----+--------------------------------+
 *                                                                     v
 *     IDLE <--answered, keep-alive-- (answered at once, or) PENDING --reply--> answered
 *     LINGER <--answered, close-- : FIN sent, input thrown away until the peer closes
 *
 * With TLS there is SECURING before the first IDLE, for the header time-out at most, and
 * a farewell before the FIN; connection_tls.c stands between the socket and the bytes here.
 *
 * This file is the actor: its states and deadlines, what is received and sent, its
 * end. What happens between bytes and an answer is in connection_request.c.
 *
 * While an answer is awaited and much input is kept, the connection stops receiving,
 * which closes the TCP window.
 *
 * There are two deadlines: that of the state above, and that of the send in flight,
 * which every state may have and which ends the connection at once. One timer serves
 * both. It is armed when a deadline comes sooner than the time it is armed for, and
 * looks at the deadlines when it fires, so a busy keep-alive connection hardly ever
 * touches the wheel.
 *
 * A refused request (4xx before its body was read) ends the connection gently:
 * the answer and FIN go out first, what the peer still sends is read and thrown
 * away for a bounded time, so that the answer is not lost to a reset.
 *
 * Asked to stop, or while the server drains, it finishes the request that has begun,
 * says Connection: close, and goes; with nothing to do it goes at once, with TLS when its
 * farewell is sent.
 */

static struct connection *connection_of(struct actor *self)
{
    return ACTOR_CAST(self, struct connection, CONNECTION_MAGIC);
}

static void connection_check(const struct connection *c)
{
    assert(c->server != NULL);
    assert(c->fd >= 0);
    assert(c->state <= CONNECTION_LINGER);
    assert(c->output != NULL || c->output_next == NULL);
    assert(c->output_sent <= (c->output != NULL ? c->output->size : 0));
}

/* Lets the timer fire no later than the earlier of the two deadlines. */
static void arm_timer(struct connection *c)
{
    uint64_t now_ns = c->actor.shard->clock.mono_ns;
    uint64_t earliest_ns = min_u64(c->deadline_ns, c->write_deadline_ns);

    if (earliest_ns >= c->timer_armed_ns)
        return;
    c->timer_armed_ns = earliest_ns;
    actor_timer_start(&c->actor, &c->timer,
                      earliest_ns > now_ns ? (earliest_ns - now_ns + 999999) / 1000000 : 0);
}

static uint64_t deadline_after(const struct connection *c, uint64_t delay_ms)
{
    return delay_ms == UINT64_MAX ? UINT64_MAX : c->actor.shard->clock.mono_ns + delay_ms * 1000000;
}

void connection_set_deadline(struct connection *c, uint64_t delay_ms)
{
    c->deadline_ns = deadline_after(c, delay_ms);
    arm_timer(c);
}

void connection_enter_idle(struct connection *c)
{
    c->state = CONNECTION_IDLE;
    request_parser_init(&c->parser, c->server->limits.head_size_max);
    connection_set_deadline(c, c->server->limits.idle_timeout_ms);
}

/* True when nobody would miss the connection: no request has begun, no answer is under way. */
static bool has_nothing_to_do(const struct connection *c)
{
    return c->state == CONNECTION_IDLE && c->input == NULL && c->output == NULL &&
           !connection_tls_is_blocked(c);
}

/* Keeps the server's list of those that may be closed to make room. */
static void update_idle(struct connection *c)
{
    if (!has_nothing_to_do(c))
        list_remove(&c->idle_link);
    else if (list_is_empty(&c->idle_link))
        list_push_back(c->tls != NULL ? &c->server->tls.idle : &c->server->idle, &c->idle_link);
}

bool connection_must_close(const struct connection *c)
{
    return c->server->draining || c->is_stopping || c->is_deaf;
}

size_t connection_output_size(const struct connection *c)
{
    return (c->output != NULL ? c->output->size - c->output_sent : 0) +
           (c->output_next != NULL ? c->output_next->size : 0);
}

void connection_set_write_deadline(struct connection *c)
{
    c->write_deadline_ns = deadline_after(c, c->server->limits.write_timeout_ms);
    arm_timer(c);
}

static void send_output(struct connection *c)
{
    size_t size;

    if (c->tls != NULL) {
        connection_tls_send(c);
        return;
    }
    if (c->output == NULL || io_op_is_armed(&c->send_op))
        return;
    size = min_u64(c->output->size - c->output_sent, HTTP_SEND_SIZE_MAX);
    io_send(c->actor.shard->io, &c->send_op, c->fd, c->output->data + c->output_sent,
            (uint32_t)size);
    connection_set_write_deadline(c);
}

void connection_output_done(struct connection *c)
{
    assert(c->output_sent == c->output->size);
    buffer_unref(&c->output);
    c->output = c->output_next;
    c->output_next = NULL;
    c->output_sent = 0;
}

void connection_drop_output(struct connection *c)
{
    buffer_unref(&c->output);
    buffer_unref(&c->output_next);
    c->output_sent = 0;
}

void connection_begin_linger(struct connection *c)
{
    /* What is sent still has its own deadline, what follows gets one with the FIN. */
    c->state = CONNECTION_LINGER;
    connection_set_deadline(c, UINT64_MAX);
}

int connection_reserve_output(struct connection *c, size_t size, struct buffer **ret_buffer)
{
    struct buffer **slot = io_op_is_armed(&c->send_op) ? &c->output_next : &c->output;
    int r = 0;

    if (*slot == NULL)
        r = buffer_acquire(c->server->buffers, size, slot);
    else if ((*slot)->size + size > (*slot)->capacity)
        r = buffer_grow(slot, (*slot)->size + size);
    if (r < 0)
        return r;
    *ret_buffer = *slot;
    return 0;
}

int connection_write(struct connection *c, const struct response_head *head, struct slice body)
{
    struct buffer *buffer;
    size_t head_size_max =
        RESPONSE_HEAD_FIXED_SIZE + head->content_type.size + head->correlation_id.size;
    size_t head_size;
    int r;

    connection_check(c);
    for (size_t i = 0; i < head->extra_count; i++)
        head_size_max += head->extra[i].name.size + head->extra[i].value.size + 4;
    r = connection_reserve_output(c, head_size_max + body.size, &buffer);
    if (r < 0)
        return r;
    r = response_head_write(head, buffer->data + buffer->size, buffer->capacity - buffer->size,
                            &head_size);
    if (r < 0)
        return r;
    assert(head_size <= head_size_max);
    buffer->size += (uint32_t)head_size;
    if (body.size > 0)
        memcpy(buffer->data + buffer->size, body.data, body.size);
    buffer->size += (uint32_t)body.size;
    c->close_after_send |= !head->keep_alive;
    return 0;
}

/* Stops receiving while the input is long enough, and starts again when it is not. */
static void steer_receiving(struct connection *c)
{
    struct io *io = c->actor.shard->io;
    size_t kept = c->input != NULL ? c->input->size : 0;
    bool is_full = connection_must_wait(c) && c->state != CONNECTION_LINGER &&
                   kept >= HTTP_INPUT_PIPELINED_MAX;
    bool wanted = !c->peer_closed && !is_full && !connection_tls_is_blocked(c);

    c->is_receiving_wanted = wanted;
    if (!wanted && io_op_is_armed(&c->recv_op)) {
        SOMETIMES("a connection stops receiving");
        io_cancel(io, &c->recv_op);
    } else if (wanted && !io_op_is_armed(&c->recv_op)) {
        io_recv(io, &c->recv_op, c->fd);
    }
}

/* Sends the FIN when everything else is sent; what follows is bounded. Verdict. */
MUST_USE static int linger(struct connection *c)
{
    assert(c->state == CONNECTION_LINGER);
    if (c->fin_sent || connection_tls_close(c))
        return ACTOR_OK;
    if (c->is_leaving)
        return ACTOR_STOP;
    c->fin_sent = true;
    io_shutdown(c->actor.shard->io, &c->send_op, c->fd, SHUT_WR);
    connection_set_deadline(c, c->server->limits.linger_timeout_ms);
    return ACTOR_OK;
}

/* With nothing to do: the end, after a farewell if there is one to be said. Verdict. */
MUST_USE static int leave(struct connection *c)
{
    if (c->tls == NULL)
        return ACTOR_STOP;
    c->is_leaving = true;
    connection_begin_linger(c);
    return connection_proceed(c);
}

int connection_proceed(struct connection *c)
{
    bool is_sending;

    send_output(c);
    is_sending = c->output != NULL || (c->tls != NULL && io_op_is_armed(&c->send_op));
    if (c->peer_closed && c->state == CONNECTION_PENDING)
        SOMETIMES("a peer closes its side while its answer is awaited");
    if (c->peer_closed && !is_sending &&
        (c->state != CONNECTION_PENDING || c->exchange.ends_with_peer))
        return ACTOR_STOP;
    if (c->state == CONNECTION_SECURING && connection_must_close(c))
        return ACTOR_STOP;
    if (has_nothing_to_do(c) && connection_must_close(c))
        return leave(c);
    steer_receiving(c);
    update_idle(c);
    return c->state == CONNECTION_LINGER && !is_sending ? linger(c) : ACTOR_OK;
}

/*
 * No buffer is left for what the peer sends: 503 and the end. While an answer is
 * awaited that answer is the end, and the requests behind it are lost, as they may be
 * whenever a server closes.
 */
MUST_USE static int shed(struct connection *c)
{
    int r;

    assert(c->state != CONNECTION_LINGER);
    if (c->state == CONNECTION_PENDING) {
        SOMETIMES("pipelined requests are given up: no buffer");
        c->is_deaf = true;
        buffer_unref(&c->input);
        return connection_proceed(c);
    }
    SOMETIMES("a request is shed: no buffer for its bytes");
    if (c->state != CONNECTION_BODY)
        connection_begin_exchange(c, NULL);
    r = connection_refuse(c, PROBLEM_OVERLOADED, "no buffer is free for the request");
    return r < 0 ? r : connection_proceed(c);
}

int connection_on_bytes(struct connection *c, char *data, size_t size)
{
    size_t used, left;
    int r;

    if (c->state == CONNECTION_LINGER || c->is_deaf)
        return ACTOR_OK;
    if (c->state == CONNECTION_BODY)
        connection_set_deadline(c, c->server->limits.body_timeout_ms);
    if (c->input == NULL && !connection_must_wait(c)) {
        r = connection_process(c, data, size, &used, &left);
        if (r < 0)
            return r;
        r = connection_keep_input(c, data + used, left);
        if (r == -ENOBUFS || r == -EMSGSIZE)
            return shed(c);
        return r < 0 ? r : connection_proceed(c);
    }
    r = connection_keep_input(c, data, size);
    if (r == -ENOBUFS || r == -EMSGSIZE)
        return shed(c);
    if (r == 0)
        r = connection_process_input(c);
    return r < 0 ? r : connection_proceed(c);
}

static void release_lent(struct connection *c)
{
    if (!c->has_lent)
        return;
    c->has_lent = false;
    io_buffer_release(c->actor.shard->io, c->lent_index);
}

MUST_USE static int on_data(struct connection *c, char *data, size_t size)
{
    return c->tls != NULL ? connection_tls_on_wire(c, data, size)
                          : connection_on_bytes(c, data, size);
}

MUST_USE static int on_received(struct connection *c, const struct io_result *result)
{
    int r;

    if (result->value > 0) {
        /* Noted first: a handler that panics leaves it to release(). */
        assert(!c->has_lent);
        c->has_lent = true;
        c->lent_index = result->buffer_index;
        /* The lent bytes are ours until released, so chunks may be decoded in place. */
        r = on_data(c, (char *)(uintptr_t)result->data, (size_t)result->value);
        release_lent(c);
        return r;
    }
    if (result->value == -ECANCELED && !c->is_receiving_wanted)
        return ACTOR_OK;
    if (result->value == -ECANCELED)
        return connection_proceed(c);
    if (result->value < 0) {
        if (c->state == CONNECTION_PENDING)
            SOMETIMES("a connection is reset while its answer is awaited");
        return ACTOR_STOP; /* reset: nobody is there to be answered */
    }
    c->peer_closed = true;
    if (c->tls != NULL)
        connection_tls_on_end(c);
    return connection_proceed(c);
}

/* A plain send is over. */
static void settle_sent(struct connection *c, size_t size)
{
    c->write_deadline_ns = UINT64_MAX;
    c->output_sent += (uint32_t)size;
    if (c->output_sent == c->output->size)
        connection_output_done(c);
}

MUST_USE static int on_sent(struct connection *c, const struct io_result *result)
{
    int r = ACTOR_OK;

    if (result->value < 0) {
        SOMETIMES("an answer cannot be sent: its peer is gone");
        return ACTOR_STOP;
    }
    if (c->tls == NULL)
        settle_sent(c, (size_t)result->value);
    else
        r = connection_tls_on_sent(c);
    if (r != ACTOR_OK)
        return r;
    send_output(c);
    if (c->state == CONNECTION_IDLE && c->output == NULL)
        connection_set_deadline(c, c->server->limits.idle_timeout_ms);
    r = connection_process_input(c);
    return r < 0 ? r : connection_proceed(c);
}

MUST_USE static int on_io(struct connection *c, const struct message_io *io)
{
    if (io->op == &c->recv_op)
        return on_received(c, io->result);
    assert(io->op == &c->send_op);
    if (!c->fin_sent)
        return on_sent(c, io->result);
    return c->peer_closed ? ACTOR_STOP : ACTOR_OK;
}

MUST_USE static int on_deadline(struct connection *c)
{
    int r;

    switch ((enum connection_state)c->state) {
    case CONNECTION_SECURING:
        connection_tls_on_timeout(c);
        return ACTOR_STOP;
    case CONNECTION_IDLE:
        if (has_nothing_to_do(c)) {
            SOMETIMES("an idle connection is closed");
            return leave(c);
        }
        connection_set_deadline(c, UINT64_MAX); /* what is being sent has its own deadline */
        return ACTOR_OK;
    case CONNECTION_LINGER:
        return ACTOR_STOP;
    case CONNECTION_PENDING:
        SOMETIMES("an answer timed out with outcome unknown");
        c->exchange.keep_alive = false;
        r = connection_refuse(c, PROBLEM_ANSWER_TIMEOUT,
                              "the answer did not come in time; what was asked may "
                              "still happen, and is safe to repeat");
        return r < 0 ? r : connection_proceed(c);
    case CONNECTION_HEAD:
        SOMETIMES("a slow head is timed out");
        connection_begin_exchange(c, NULL);
        r = connection_refuse(c, PROBLEM_REQUEST_TIMEOUT, "the request head did not come in time");
        return r < 0 ? r : connection_proceed(c);
    case CONNECTION_BODY:
        SOMETIMES("a slow body is timed out");
        r = connection_refuse(c, PROBLEM_REQUEST_TIMEOUT, "the request body stalled");
        return r < 0 ? r : connection_proceed(c);
    }
    return ACTOR_STOP;
}

MUST_USE static int on_timer(struct connection *c)
{
    uint64_t now_ns = c->actor.shard->clock.mono_ns;

    c->timer_armed_ns = UINT64_MAX;
    if (c->write_deadline_ns <= now_ns) {
        SOMETIMES("a peer does not read its answer in time");
        return ACTOR_STOP;
    }
    if (c->deadline_ns <= now_ns) {
        int r = on_deadline(c);

        if (r != ACTOR_OK)
            return r;
    }
    arm_timer(c);
    return ACTOR_OK;
}

/* An answer that is begun is finished and the last; proceed() ends what has nothing to do. */
MUST_USE static int on_stop(struct connection *c)
{
    if (c->state == CONNECTION_PENDING)
        SOMETIMES("a connection is drained with a request in flight");
    else if (!has_nothing_to_do(c))
        SOMETIMES("a connection is drained with half a request");
    c->is_stopping = true;
    return connection_proceed(c);
}

MUST_USE static int on_reply(struct connection *c, const struct message *msg)
{
    struct exchange *x = &c->exchange;
    int r;

    if (c->state != CONNECTION_PENDING || msg->token != x->token) {
        SOMETIMES("an answer comes when its time is over");
        return ACTOR_OK; /* answered without it, when its time was over */
    }
    assert(x->route->on_reply != NULL);
    x->keep_alive = x->keep_alive && !connection_must_close(c);
    r = x->route->on_reply(x, msg);
    if (r < 0)
        return r;
    if (r == EXCHANGE_PENDING)
        return ACTOR_OK;
    assert(r == EXCHANGE_ANSWERED);
    connection_end_exchange(c);
    r = connection_process_input(c);
    return r < 0 ? r : connection_proceed(c);
}

MUST_USE static int on_message(struct connection *c, const struct message *msg)
{
    switch (msg->type) {
    case MSG_IO:
        return on_io(c, &msg->as.io);
    case MSG_TIMER:
        return on_timer(c);
    case MSG_STOP:
        return on_stop(c);
    default:
        return on_reply(c, msg);
    }
}

static int receive(struct actor *self, const struct message *msg)
{
    struct connection *c = connection_of(self);
    int r;

    connection_check(c);
    r = on_message(c, msg);
    if (r != -ENOBUFS)
        return r;
    /* No buffer for an answer is overload, which ends the connection, not a failure of it. */
    SOMETIMES("a connection ends: no buffer for its answer");
    return ACTOR_STOP;
}

static int start(struct actor *self)
{
    struct connection *c = connection_of(self);
    int r = 0;

    actor_op_init(self, &c->recv_op);
    actor_op_init(self, &c->send_op);
    actor_timer_init(self, &c->timer);
    list_init(&c->idle_link);
    c->write_deadline_ns = UINT64_MAX;
    c->timer_armed_ns = UINT64_MAX;
    c->is_receiving_wanted = true;
    if (c->tls != NULL)
        r = connection_tls_begin(c);
    else
        connection_enter_idle(c);
    if (r < 0)
        return r;
    update_idle(c);
    io_recv(self->shard->io, &c->recv_op, c->fd);
    return 0;
}

static void release(struct actor *self)
{
    struct connection *c = connection_of(self);

    list_remove(&c->idle_link);
    release_lent(c);
    if (!MUTANT("buffer_leak"))
        buffer_unref(&c->input);
    connection_release_decoded(c);
    connection_drop_output(c);
    connection_tls_release(c);
    io_close_now(self->shard->io, c->fd);
    connection_abandon_exchange(
        c); /* the handler's code comes last: if it panics, all else is done */
}

static void free_connection(struct actor *self)
{
    struct connection *c = connection_of(self);
    struct http_server *server = c->server;
    void *slot = c;

    assert(server->connection_count > 0);
    server->connection_count--;
    metrics_set(&self->shard->metrics, server->metrics->connections, server->connection_count);
    pool_release(&server->connections, &slot);
}

static const struct actor_type connection_type = {
    .name = "connection",
    .start = start,
    .receive = receive,
    .release = release,
    .free = free_connection,
    .mailbox_max = 16,
};

void connection_supervise(struct http_server *server, int32_t shutdown_ms)
{
    server->connection_spec = (struct supervisor_child_spec){
        .name = "connection",
        .type = &connection_type,
        .type_magic = CONNECTION_MAGIC,
        .restart = RESTART_TEMPORARY,
        .shutdown_ms = shutdown_ms,
    };
    server->supervisor_spec = (struct supervisor_spec){
        .name = "connections",
        .strategy = SUPERVISE_SIMPLE_ONE_FOR_ONE,
        .children = &server->connection_spec,
        .child_count = 1,
    };
    supervisor_init(&server->supervisor, &server->supervisor_spec);
}

/* A connection with what it needs, or NULL: all are in use. */
MUST_USE static struct connection *acquire(struct http_server *server, bool is_tls)
{
    struct connection *c =
        FAILPOINT("no connection is free") ? NULL : pool_acquire(&server->connections);
    void *slot = c;

    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof(*c));
    if (is_tls)
        c->tls = connection_tls_acquire(server);
    if (is_tls && c->tls == NULL) {
        pool_release(&server->connections, &slot);
        return NULL;
    }
    return c;
}

int connection_open(struct http_server *server, int fd, bool is_tls)
{
    struct connection *c = acquire(server, is_tls);
    void *slot = c;
    int r;

    if (c == NULL) {
        SOMETIMES("a connection is turned away");
        io_close_now(server->shard->io, fd);
        return -EAGAIN;
    }
    c->server = server;
    c->fd = fd;
    r = supervisor_start_child(&server->supervisor, &c->actor);
    if (r < 0) {
        io_close_now(server->shard->io, fd);
        connection_tls_release(c);
        pool_release(&server->connections, &slot);
        return r;
    }
    server->connection_count++;
    metrics_set(&server->shard->metrics, server->metrics->connections, server->connection_count);
    metrics_add(&server->shard->metrics, server->metrics->connections_accepted, 1);
    return 0;
}

static struct connection *longest_idle(const struct list_node *idle)
{
    return list_is_empty(idle) ? NULL : container_of(idle->next, struct connection, idle_link);
}

static void close_idle(struct connection *c)
{
    list_remove(&c->idle_link);
    actor_stop(c->server->shard, c->actor.id);
}

bool connection_close_idle(struct http_server *server)
{
    struct connection *c = longest_idle(&server->idle);

    if (c == NULL)
        c = longest_idle(&server->tls.idle);
    if (c == NULL)
        return false;
    close_idle(c);
    return true;
}

/* The one to go, or NULL. The lists are in the order in which their time is over. */
static struct connection *find_evicted(const struct http_server *server, bool needs_tls)
{
    struct connection *secured = longest_idle(&server->tls.idle);
    struct connection *longest = needs_tls ? NULL : longest_idle(&server->idle);
    uint64_t idle_since_ns;

    if (longest == NULL || (secured != NULL && secured->deadline_ns < longest->deadline_ns))
        longest = secured;
    if (longest == NULL)
        return NULL;
    assert(longest->state == CONNECTION_IDLE);
    idle_since_ns = longest->deadline_ns - server->limits.idle_timeout_ms * 1000000;
    return idle_since_ns + CONNECTION_EVICT_IDLE_MS * UINT64_C(1000000) <=
                   server->shard->clock.mono_ns
               ? longest
               : NULL;
}

bool connection_can_evict(const struct http_server *server, bool needs_tls)
{
    return find_evicted(server, needs_tls) != NULL;
}

bool connection_evict(struct http_server *server, bool needs_tls)
{
    struct connection *c = find_evicted(server, needs_tls);

    if (c == NULL)
        return false;
    SOMETIMES("an idle connection makes room for another");
    metrics_add(&server->shard->metrics, server->metrics->connections_evicted, 1);
    close_idle(c);
    return true;
}
