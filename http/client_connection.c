#include "http/client_connection.h"

#include <errno.h>

#include "http/client_internals.h"
#include "http/client_tls.h"

/*
 *     RESOLVING --addresses--> CONNECTING --connected--> (SECURING) --> BUSY
 *                                ^     |                                |  ^
 *                                +-----+ the next address      answered v  | next call
 *                                                                      IDLE
 *     each of them --failed, cancelled, closed, evicted--> CLOSING --> released
 *
 * A connection is made for a call, at once, and holds its place among those allowed for
 * the host and in all while it resolves and connects. It never outlives a failure: the
 * next call gets a new one.
 *
 * The addresses of a name are tried one after the other, IPv4 first, each for a bounded
 * time; those that the policy forbids are left out. A kept connection is held against
 * the policy again, since the next call may bring another one.
 *
 * From the moment it is connected a receive is armed, also while it is kept: a peer that
 * closes is noticed at once, and a byte that nobody asked for ends the connection.
 *
 * CLOSING waits for the operations to let go; the descriptor is closed after that.
 */
static void on_addresses(struct resolver_query *query, const struct resolver_answer *answer);

static struct io *io_of(const struct client_connection *c)
{
    return c->client->actor.shard->io;
}

static void connection_check(const struct client_connection *c)
{
    assert(c->client != NULL);
    assert(c->host != NULL);
    assert(c->state <= CLIENT_CONNECTION_CLOSING);
    assert(c->call == NULL || c->call->connection == c);
    assert((c->state == CLIENT_CONNECTION_IDLE) != list_is_empty(&c->host_link));
}

static void start_timer(struct client_connection *c, uint64_t delay_ms)
{
    actor_timer_start(&c->client->actor, &c->timer.timer, delay_ms);
}

static void stop_timer(struct client_connection *c)
{
    actor_timer_stop(&c->client->actor, &c->timer.timer);
}

/* --- the end ---------------------------------------------------------------- */

static bool is_any_op_armed(const struct client_connection *c)
{
    for (int kind = 0; kind < CLIENT_OP_COUNT; kind++)
        if (io_op_is_armed(&c->ops[kind].op))
            return true;
    return false;
}

void client_connection_release(struct client_connection *c)
{
    struct http_client *client = c->client;
    struct client_host *host = c->host;
    void *slot = c;

    assert(!is_any_op_armed(c));
    assert(c->call == NULL);
    resolver_cancel(&c->query);
    stop_timer(c);
    if (c->fd >= 0)
        io_close_now(io_of(c), c->fd);
    buffer_unref(&c->output);
    buffer_unref(&c->input);
    client_tls_release(c);
    list_remove(&c->link);
    list_remove(&c->idle_link);
    list_remove(&c->host_link);
    assert(host->connection_count > 0);
    assert(client->connection_count > 0);
    host->connection_count--;
    client->connection_count--;
    client->evicting_count -= c->is_evicted;
    pool_release(&client->connection_pool, &slot);
    client_note_room(client, host);
}

void client_connection_close(struct client_connection *c)
{
    connection_check(c);
    assert(c->call == NULL);
    if (c->state == CLIENT_CONNECTION_CLOSING)
        return;
    c->state = CLIENT_CONNECTION_CLOSING;
    list_remove(&c->idle_link);
    list_remove(&c->host_link);
    resolver_cancel(&c->query);
    stop_timer(c);
    for (int kind = 0; kind < CLIENT_OP_COUNT; kind++)
        io_cancel(io_of(c), &c->ops[kind].op);
    if (!is_any_op_armed(c))
        client_connection_release(c);
}

void client_connection_fail(struct client_connection *c, enum http_client_outcome outcome,
                            int error)
{
    struct http_client_call *call = c->call;

    connection_check(c);
    assert(call != NULL);
    client_exchange_hand_over(c, call);
    c->call = NULL;
    client_call_finish(call, outcome, error);
    client_connection_close(c);
}

/* --- the exchange ------------------------------------------------------------ */

void client_connection_begin_exchange(struct client_connection *c)
{
    c->state = CLIENT_CONNECTION_BUSY;
    client_exchange_begin(c);
}

void client_connection_send(struct client_connection *c)
{
    connection_check(c);
    if (c->tls != NULL)
        client_tls_send(c);
    else
        io_send(io_of(c), &c->ops[CLIENT_OP_SEND].op, c->fd, c->output->data, c->output->size);
}

static void attach(struct client_connection *c, struct http_client_call *call)
{
    assert(call->connection == NULL);
    c->call = call;
    call->connection = c;
    call->state = CLIENT_CALL_SERVED;
}

void client_connection_reuse(struct client_connection *c, struct http_client_call *call)
{
    connection_check(c);
    assert(c->state == CLIENT_CONNECTION_IDLE);
    list_remove(&c->idle_link);
    list_remove(&c->host_link);
    stop_timer(c);
    attach(c, call);
    c->is_reused = true;
    c->client->stats.reused_count++;
    call->result.was_reused = true;
    call->result.remote = c->remote;
    client_connection_begin_exchange(c);
}

struct client_connection *client_connection_find_idle(const struct client_host *host,
                                                      const struct http_client_call *call)
{
    const struct address_policy *policy = client_call_policy(call);

    if (call->wants_fresh)
        return NULL;
    for (struct list_node *node = host->idle.next; node != &host->idle; node = node->next) {
        struct client_connection *c = container_of(node, struct client_connection, host_link);

        if (address_policy_permits(policy, &c->remote))
            return c;
    }
    return NULL;
}

void client_connection_keep(struct client_connection *c)
{
    struct http_client *client = c->client;

    assert(c->state == CLIENT_CONNECTION_BUSY);
    assert(c->call == NULL);
    assert(c->output == NULL);
    assert(c->input == NULL);
    c->state = CLIENT_CONNECTION_IDLE;
    list_push_front(&c->host->idle, &c->host_link);
    list_push_back(&client->idle, &c->idle_link);
    start_timer(c, client->config.idle_timeout_ms);
    connection_check(c);
    client_note_room(client, c->host);
}

/* --- the way there ------------------------------------------------------------ */

static void on_connected(struct client_connection *c)
{
    struct http_client_call *call = c->call;

    stop_timer(c);
    call->result.connected_ns = client_now_ns(c->client);
    io_recv(io_of(c), &c->ops[CLIENT_OP_RECV].op, c->fd);
    if (call->parts.scheme == URL_SCHEME_HTTPS) {
        client_tls_begin(c);
        return;
    }
    client_connection_begin_exchange(c);
}

/* Out of descriptors or memory: the next address would fare no better. */
static bool is_our_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* Connects to the next of the addresses, or fails the call when there is none. */
static void connect_next(struct client_connection *c)
{
    assert(c->fd < 0);
    while (c->address_next < c->address_count) {
        const struct address *address = &c->addresses[c->address_next++];
        int fd = io_socket(io_of(c), address->as.any.sa_family);

        if (fd >= 0) {
            c->fd = fd;
            c->remote = *address;
            c->call->result.remote = *address;
            c->client->stats.connect_count++;
            io_connect(io_of(c), &c->ops[CLIENT_OP_CONNECT].op, fd, &c->remote.as.any,
                       address_size(&c->remote));
            start_timer(c, c->client->config.connect_timeout_ms);
            return;
        }
        c->connect_error = fd;
        if (is_our_shortage(fd))
            break;
    }
    client_connection_fail(
        c, is_our_shortage(c->connect_error) ? HTTP_CLIENT_NO_CAPACITY : HTTP_CLIENT_CONNECT_FAILED,
        c->connect_error);
}

static void on_connect(struct client_connection *c, int error)
{
    assert(c->state == CLIENT_CONNECTION_CONNECTING);
    if (error == 0) {
        on_connected(c);
        return;
    }
    /* We cancel a connect only when its time is over. */
    c->connect_error = error == -ECANCELED ? -ETIMEDOUT : error;
    io_close_now(io_of(c), c->fd);
    c->fd = -1;
    connect_next(c);
}

static void add_addresses(struct client_connection *c, const struct resolver_answer *answer,
                          sa_family_t family)
{
    const struct address_policy *policy = client_call_policy(c->call);

    for (uint32_t i = 0; i < answer->address_count; i++) {
        const struct address *address = &answer->addresses[i];

        if (address->as.any.sa_family != family)
            continue;
        if (!address_policy_permits(policy, address)) {
            c->call->result.remote = address_with_port(address, c->host->port);
            continue;
        }
        assert(c->address_count < RESOLVER_ADDRESS_COUNT_MAX);
        c->addresses[c->address_count++] = address_with_port(address, c->host->port);
    }
}

static void take_answer(struct client_connection *c, const struct resolver_answer *answer)
{
    struct http_client_call *call = c->call;

    assert(c->state == CLIENT_CONNECTION_RESOLVING);
    if (answer->status != RESOLVER_FOUND) {
        client_connection_fail(c,
                               answer->status == RESOLVER_FULL ? HTTP_CLIENT_NO_CAPACITY
                                                               : HTTP_CLIENT_RESOLVE_FAILED,
                               0);
        return;
    }
    add_addresses(c, answer, AF_INET);
    add_addresses(c, answer, AF_INET6);
    if (c->address_count == 0) {
        client_connection_fail(c, HTTP_CLIENT_ADDRESS_REFUSED, 0);
        return;
    }
    call->result.resolved_ns = client_now_ns(c->client);
    call->result.stage = HTTP_CLIENT_CONNECTING;
    c->state = CLIENT_CONNECTION_CONNECTING;
    connect_next(c);
}

static void on_addresses(struct resolver_query *query, const struct resolver_answer *answer)
{
    struct client_connection *c = container_of(query, struct client_connection, query);

    connection_check(c);
    take_answer(c, answer);
}

static void resolve(struct client_connection *c)
{
    const struct url *url = &c->call->parts;
    struct address address = {0};
    struct resolver_answer answer = {
        .status = RESOLVER_FOUND, .address_count = 1, .addresses = &address};

    c->call->result.stage = HTTP_CLIENT_RESOLVING;
    switch (address_parse(url->host, url->host_is_ipv6, url->port, &address)) {
    case ADDRESS_LITERAL:
        break;
    case ADDRESS_LITERAL_BAD:
        answer = (struct resolver_answer){.status = RESOLVER_NOT_FOUND};
        break;
    case ADDRESS_NAME:
        c->query.on_answer = on_addresses;
        if (!resolver_find(&c->client->resolver, &c->query, url->host, &answer))
            return;
        break;
    }
    take_answer(c, &answer);
}

void client_connection_open(struct http_client *client, struct client_host *host,
                            struct http_client_call *call)
{
    struct client_connection *c = pool_acquire(&client->connection_pool);

    assert(c != NULL);
    assert(client->connection_count < client->config.connection_count_max);
    memset(c, 0, sizeof(*c));
    c->client = client;
    c->host = host;
    c->fd = -1;
    list_init(&c->idle_link);
    list_init(&c->host_link);
    list_init(&c->link);
    list_push_back(&client->connections, &c->link);
    for (int kind = 0; kind < CLIENT_OP_COUNT; kind++) {
        c->ops[kind].connection = c;
        c->ops[kind].kind = (enum client_op_kind)kind;
        actor_op_init(&client->actor, &c->ops[kind].op);
    }
    actor_timer_init(&client->actor, &c->timer.timer);
    host->connection_count++;
    client->connection_count++;
    attach(c, call);
    resolve(c);
}

/* --- what comes in -------------------------------------------------------------- */

void client_connection_on_bytes(struct client_connection *c, const char *data, size_t size)
{
    connection_check(c);
    if (c->state == CLIENT_CONNECTION_BUSY)
        client_exchange_on_bytes(c, data, size);
    else if (c->state != CLIENT_CONNECTION_CLOSING)
        client_connection_close(c); /* an answer that nobody asked for */
}

void client_connection_on_end(struct client_connection *c, int error)
{
    connection_check(c);
    if (c->state == CLIENT_CONNECTION_BUSY)
        client_exchange_on_end(c, error);
    else
        client_connection_close(c);
}

static void on_received(struct client_connection *c, const struct io_result *result)
{
    struct http_client *client = c->client;

    if (result->value <= 0) {
        if (c->tls != NULL)
            client_tls_on_end(c, result->value);
        else
            client_connection_on_end(c, result->value);
        return;
    }
    assert(!client->has_lent);
    client->has_lent = true;
    client->lent_index = result->buffer_index;
    if (c->tls != NULL)
        client_tls_on_wire(c, result->data, (size_t)result->value);
    else
        client_connection_on_bytes(c, result->data, (size_t)result->value);
    client->has_lent = false;
    io_buffer_release(client->actor.shard->io, result->buffer_index);
}

static void on_completion(struct client_connection *c, enum client_op_kind kind,
                          const struct io_result *result)
{
    switch (kind) {
    case CLIENT_OP_CONNECT:
        on_connect(c, result->value);
        break;
    case CLIENT_OP_RECV:
        on_received(c, result);
        break;
    case CLIENT_OP_SEND:
        if (c->tls != NULL)
            client_tls_on_sent(c, result->value < 0 ? result->value : 0);
        else
            client_exchange_on_sent(c, result->value < 0 ? result->value : 0);
        break;
    case CLIENT_OP_COUNT:
        assert(false);
        break;
    }
}

void client_connection_on_io(struct client_op *op, const struct io_result *result)
{
    struct client_connection *c = op->connection;

    connection_check(c);
    if (c->state != CLIENT_CONNECTION_CLOSING) {
        on_completion(c, op->kind, result);
        return;
    }
    if (op->kind == CLIENT_OP_RECV && result->value > 0)
        io_buffer_release(io_of(c), result->buffer_index);
    if (!is_any_op_armed(c))
        client_connection_release(c);
}

void client_connection_on_timer(struct client_connection *c)
{
    connection_check(c);
    switch ((enum client_connection_state)c->state) {
    case CLIENT_CONNECTION_CONNECTING:
        io_cancel(io_of(c), &c->ops[CLIENT_OP_CONNECT].op);
        break;
    case CLIENT_CONNECTION_SECURING:
        client_connection_fail(c, HTTP_CLIENT_TIMED_OUT, -ETIMEDOUT);
        break;
    case CLIENT_CONNECTION_IDLE:
        client_connection_close(c);
        break;
    case CLIENT_CONNECTION_RESOLVING:
    case CLIENT_CONNECTION_BUSY:
    case CLIENT_CONNECTION_CLOSING:
        assert(false); /* no timer is armed there */
        break;
    }
}
