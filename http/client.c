#include "http/client.h"

#include <errno.h>

#include "http/client_internals.h"
#include "http/client_tls.h"
#include "http/request_head.h"
#include "runtime/limits.h"

/*
 * Life of a call:
 *
 *     start --> WAITING --a connection--> SERVED --answered, failed--> DONE --> on_done
 *                  |  ^                      |                          ^
 *                  |  +----sent once more----+                          |
 *                  +-------------time is over, client ends--------------+
 *
 * A call waits only when its host has as many connections as it may have, or the client
 * has. In the first case the next connection of that host that is free serves it; in the
 * second its host is hungry and gets the next place there is, hosts taking turns, one
 * call each. A kept connection of another host makes room. A call whose time is over
 * while it waits ends with NO_CAPACITY: nobody else is to blame.
 *
 * Callers' code never runs inside of a start, a cancel or a completion. What is done is
 * put into a list, what can be served is noted, and settle() does the rest at the end of
 * receive(), or in a turn that the kick timer asks for. One settle() tells only those
 * that were done when it began: whoever starts a call again that fails at once costs a
 * turn each time and cannot hold up the shard.
 */
enum {
    CALL_COUNT_DEFAULT = 4096,
    CONNECTION_COUNT_DEFAULT = 256,
    CONNECTIONS_PER_HOST_DEFAULT = 16,
    REQUEST_SIZE_DEFAULT = 1 << 20,
    HEAD_SIZE_DEFAULT = 16 * 1024,
    CONNECT_TIMEOUT_MS_DEFAULT = 3000,
    TLS_TIMEOUT_MS_DEFAULT = 5000,
    IDLE_TIMEOUT_MS_DEFAULT = 30000,
};

static struct http_client *client_of(struct actor *self)
{
    return ACTOR_CAST(self, struct http_client, HTTP_CLIENT_MAGIC);
}

static void client_check(const struct http_client *client)
{
    assert(client->connection_count <= client->config.connection_count_max);
    assert(client->call_count <= client->config.call_count_max);
    assert(client->evicting_count <= client->connection_count);
    assert(client->buffers != NULL);
}

/* --- calls ------------------------------------------------------------------- */

const struct address_policy *client_call_policy(const struct http_client_call *call)
{
    return call->policy != NULL ? call->policy : &call->client->config.policy;
}

void client_kick(struct http_client *client)
{
    if (!client->is_receiving && actor_is_running(&client->actor))
        actor_timer_start(&client->actor, &client->kick.timer, 0);
}

void client_call_finish(struct http_client_call *call, enum http_client_outcome outcome, int error)
{
    struct http_client *client = call->client;

    assert(call->state == CLIENT_CALL_WAITING || call->state == CLIENT_CALL_SERVED);
    assert(list_is_empty(&call->link));
    call->state = CLIENT_CALL_DONE;
    call->connection = NULL;
    call->result.outcome = outcome;
    call->result.error = error;
    call->result.done_ns = client_now_ns(client);
    actor_timer_stop(&client->actor, &call->deadline.timer);
    list_push_back(&client->done, &call->link);
    client_kick(client);
}

/* The call waits no longer, for whatever reason. */
static void leave_host(struct http_client_call *call)
{
    struct client_host *host = call->host;

    assert(call->state == CLIENT_CALL_WAITING);
    list_remove(&call->link);
    if (list_is_empty(&host->waiting))
        list_remove(&host->hungry_link);
    client_hosts_put(&call->client->hosts, host);
}

void client_call_repeat(struct http_client_call *call)
{
    assert(call->state == CLIENT_CALL_SERVED);
    call->connection = NULL;
    call->result.was_repeated = true;
    call->result.was_reused = false;
    call->result.stage = HTTP_CLIENT_WAITING;
    call->wants_fresh = true;
    call->state = CLIENT_CALL_WAITING;
    call->client->stats.repeated_count++;
    list_push_front(&call->host->waiting, &call->link);
    client_note_room(call->client, call->host);
}

/* --- serving ----------------------------------------------------------------- */

/* True when the host may have one more connection, were it not for the client's total. */
static bool is_hungry(const struct http_client *client, const struct client_host *host)
{
    return !list_is_empty(&host->waiting) &&
           (host->connection_count < client->config.connections_per_host_max ||
            !list_is_empty(&host->idle));
}

void client_note_room(struct http_client *client, struct client_host *host)
{
    if (is_hungry(client, host) && list_is_empty(&host->hungry_link))
        list_push_back(&client->hungry, &host->hungry_link);
    client_hosts_put(&client->hosts, host);
    client_kick(client);
}

/* Ends a kept connection to make room. False when there is none. */
static bool evict(struct http_client *client, struct list_node *node, const struct list_node *head)
{
    struct client_connection *c;

    if (node == head)
        return false;
    c = head == &client->idle ? container_of(node, struct client_connection, idle_link)
                              : container_of(node, struct client_connection, host_link);
    c->is_evicted = true;
    client->evicting_count++;
    client->stats.evicted_count++;
    client_connection_close(c);
    return true;
}

/*
 * Gives a call the connection that it may have now; the call is in no list. False when
 * there is none; then one is on its way, or a place is.
 */
static bool serve(struct http_client *client, struct client_host *host,
                  struct http_client_call *call)
{
    struct client_connection *idle = client_connection_find_idle(host, call);

    if (idle != NULL) {
        client_connection_reuse(idle, call);
        return true;
    }
    if (host->connection_count == client->config.connections_per_host_max) {
        /* The kept ones are not for this call; one of them must go. */
        if (client->evicting_count == 0)
            evict(client, host->idle.next, &host->idle);
        return false;
    }
    if (client->connection_count < client->config.connection_count_max) {
        client_connection_open(client, host, call);
        return true;
    }
    if (client->evicting_count == 0)
        evict(client, client->idle.next, &client->idle);
    return false;
}

/*
 * Serves the call, or lets it wait before or behind those of its host that do. The host
 * is held meanwhile: a connection that fails at once would be the last to need it.
 */
static bool serve_or_wait(struct http_client_call *call, bool is_first)
{
    struct http_client *client = call->client;
    struct client_host *host = call->host;
    bool is_served;

    assert(call->state == CLIENT_CALL_WAITING);
    assert(list_is_empty(&call->link));
    host->hold_count++;
    is_served = (is_first || list_is_empty(&host->waiting)) && serve(client, host, call);
    if (!is_served && is_first)
        list_push_front(&host->waiting, &call->link);
    else if (!is_served)
        list_push_back(&host->waiting, &call->link);
    host->hold_count--;
    return is_served;
}

/* Serves the first call of the host that is hungry longest. False when nobody can be served. */
static bool serve_hungry(struct http_client *client)
{
    struct list_node *node = list_pop_front(&client->hungry);
    struct http_client_call *call;
    struct client_host *host;
    bool is_served;

    if (node == NULL)
        return false;
    host = container_of(node, struct client_host, hungry_link);
    assert(!list_is_empty(&host->waiting));
    call = container_of(list_pop_front(&host->waiting), struct http_client_call, link);
    host->hold_count++;
    is_served = serve_or_wait(call, true);
    host->hold_count--;
    list_remove(&host->hungry_link);
    if (!is_served && is_hungry(client, host)) {
        list_push_front(&client->hungry, &host->hungry_link);
        return false;
    }
    client_note_room(client, host);
    return true;
}

/* --- telling ------------------------------------------------------------------ */

/* Lends the answer to the result: its head is parsed once more, where it lies now. */
static void lend_answer(struct http_client *client, struct http_client_call *call)
{
    struct http_client_result *result = &call->result;
    struct response_parser parser;

    result->headers = NULL;
    result->content_type = (struct slice){NULL, 0};
    result->body = (struct slice){NULL, 0};
    if (call->head_size == 0)
        return;
    response_parser_init(&parser, client->config.head_size_max, call->method == HTTP_METHOD_HEAD);
    if (response_parser_feed(&parser, call->input->data, call->head_size, &client->response) !=
        HTTP_PARSE_DONE)
        assert(false); /* it was parsed before */
    assert(client->response.status == result->status);
    result->headers = &client->response.headers;
    result->content_type = client->response.content_type;
    result->body =
        (struct slice){call->input->data + call->head_size, call->input->size - call->head_size};
}

/* The call is the caller's again from the moment it is told. */
static void tell(struct http_client *client, struct http_client_call *call)
{
    assert(call->state == CLIENT_CALL_DONE);
    assert(client->told_input == NULL);
    assert(client->call_count > 0);
    list_remove(&call->link);
    list_remove(&call->live_link);
    client->call_count--;
    client->stats.done_count[call->result.outcome]++;
    lend_answer(client, call);
    client->told_input = call->input; /* noted where release() finds it, should on_done panic */
    call->input = NULL;
    call->state = CLIENT_CALL_IDLE;
    call->on_done(call);
    buffer_unref(&client->told_input);
}

/* Tells those that are done now; what they cause is for the next time. */
static void tell_done(struct http_client *client)
{
    struct list_node *node;

    while ((node = list_pop_front(&client->done)) != NULL)
        list_push_back(&client->telling, node);
    while (!list_is_empty(&client->telling))
        tell(client, container_of(client->telling.next, struct http_client_call, link));
}

/* Does what is left over. What comes up meanwhile asks for another turn. */
static void settle(struct http_client *client)
{
    while (serve_hungry(client))
        continue;
    tell_done(client);
    while (serve_hungry(client))
        continue;
    client->is_receiving = false;
    if (!list_is_empty(&client->done))
        client_kick(client);
    client_check(client);
}

/* --- what callers do ----------------------------------------------------------- */

static int check_call(const struct http_client *client, struct http_client_call *call)
{
    struct request_head head = {.method = call->method,
                                .url = &call->parts,
                                .headers = call->headers,
                                .header_count = call->header_count,
                                .user_agent = client->config.user_agent};

    if (url_parse(call->url, &call->parts) != URL_OK ||
        call->parts.host.size > CLIENT_HOST_NAME_SIZE_MAX ||
        call->header_count > HTTP_CLIENT_HEADER_COUNT_MAX || request_head_check(&head) < 0)
        return -EINVAL;
    if (call->body.size > client->config.request_size_max ||
        request_head_size_max(&head) > client->config.request_size_max - call->body.size)
        return -EMSGSIZE;
    if (client->call_count == client->config.call_count_max)
        return -EAGAIN;
    return 0;
}

int http_client_start(struct http_client *client, struct http_client_call *call)
{
    int r;

    assert(call->state == CLIENT_CALL_IDLE);
    assert(call->method > HTTP_METHOD_UNKNOWN);
    assert(call->method < HTTP_METHOD_COUNT);
    assert(call->timeout_ms > 0);
    assert(call->body_size_max > 0);
    assert(call->on_done != NULL);
    if (!actor_is_running(&client->actor))
        return -ESHUTDOWN;
    r = check_call(client, call);
    if (r < 0)
        return r;
    call->host = client_hosts_get(&client->hosts, &call->parts);
    if (call->host == NULL)
        return -EAGAIN;
    call->client = client;
    call->state = CLIENT_CALL_WAITING;
    call->wants_fresh = false;
    call->connection = NULL;
    call->input = NULL;
    call->head_size = 0;
    call->result = (struct http_client_result){.started_ns = client_now_ns(client)};
    list_init(&call->link);
    list_init(&call->live_link);
    list_push_back(&client->calls, &call->live_link);
    client->call_count++;
    client->stats.started_count++;
    call->deadline.is_of_call = true;
    actor_timer_init(&client->actor, &call->deadline.timer);
    actor_timer_start(&client->actor, &call->deadline.timer, call->timeout_ms);
    call->host->hold_count++;
    (void)serve_or_wait(call, false);
    call->host->hold_count--;
    client_note_room(client, call->host);
    return 0;
}

void http_client_cancel(struct http_client_call *call)
{
    struct http_client *client = call->client;
    struct client_connection *connection = call->connection;

    if (call->state == CLIENT_CALL_IDLE)
        return;
    assert(client->call_count > 0);
    if (call->state == CLIENT_CALL_WAITING)
        leave_host(call);
    list_remove(&call->link);
    list_remove(&call->live_link);
    client->call_count--;
    actor_timer_stop(&client->actor, &call->deadline.timer);
    buffer_unref(&call->input);
    call->connection = NULL;
    call->state = CLIENT_CALL_IDLE;
    if (connection != NULL) {
        connection->call = NULL;
        client_connection_close(connection);
    }
}

bool http_client_is_open(const struct http_client_call *call)
{
    return call->state != CLIENT_CALL_IDLE;
}

/* --- the actor ------------------------------------------------------------------ */

static void on_deadline(struct http_client_call *call)
{
    switch ((enum client_call_state)call->state) {
    case CLIENT_CALL_WAITING:
        leave_host(call);
        client_call_finish(call, HTTP_CLIENT_NO_CAPACITY, -ETIMEDOUT);
        break;
    case CLIENT_CALL_SERVED:
        client_connection_fail(call->connection, HTTP_CLIENT_TIMED_OUT, -ETIMEDOUT);
        break;
    case CLIENT_CALL_IDLE:
    case CLIENT_CALL_DONE:
        assert(false); /* its timer was stopped */
        break;
    }
}

static void on_timer(struct http_client *client, struct client_timer *timer)
{
    if (timer == &client->kick)
        return; /* settle() is all that it is for */
    if (timer->is_of_call)
        on_deadline(container_of(timer, struct http_client_call, deadline));
    else
        client_connection_on_timer(container_of(timer, struct client_connection, timer));
}

static int receive(struct actor *self, const struct message *msg)
{
    struct http_client *client = client_of(self);
    struct resolver_backend *backend = client->resolver.backend;

    client_check(client);
    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    if (msg->type != MSG_IO && msg->type != MSG_TIMER)
        return ACTOR_UNHANDLED;
    client->is_receiving = true;
    if (backend == NULL || backend->receive == NULL || !backend->receive(backend, msg)) {
        if (msg->type == MSG_TIMER)
            on_timer(client, container_of(msg->as.timer.timer, struct client_timer, timer));
        else
            client_connection_on_io(container_of(msg->as.io.op, struct client_op, op),
                                    msg->as.io.result);
    }
    settle(client);
    return ACTOR_OK;
}

static int start(struct actor *self)
{
    struct http_client *client = client_of(self);
    struct resolver_backend *backend = client->resolver.backend;

    assert(client->connection_count == 0);
    assert(client->evicting_count == 0);
    client->is_receiving = false;
    client->has_lent = false;
    actor_timer_init(self, &client->kick.timer);
    /* Calls that an earlier life could not tell, because one of them panicked in its end. */
    if (client->call_count > 0)
        client_kick(client);
    if (backend != NULL && backend->start != NULL)
        backend->start(backend, self);
    client_check(client);
    return 0;
}

/* Callers hear of it last: should one of them panic, all else has been given back. */
static void release(struct actor *self)
{
    struct http_client *client = client_of(self);
    struct resolver_backend *backend = client->resolver.backend;

    client->is_receiving = false;
    if (client->has_lent)
        io_buffer_release(self->shard->io, client->lent_index);
    client->has_lent = false;
    buffer_unref(&client->told_input);
    for (struct list_node *node = client->calls.next; node != &client->calls; node = node->next) {
        struct http_client_call *call = container_of(node, struct http_client_call, live_link);
        struct client_connection *connection = call->connection;

        if (call->state == CLIENT_CALL_WAITING)
            leave_host(call);
        if (connection != NULL)
            connection->call = NULL;
        if (call->state == CLIENT_CALL_DONE)
            continue;
        call->result.status = 0;
        client_call_finish(call, HTTP_CLIENT_CANCELLED, 0);
    }
    while (!list_is_empty(&client->connections))
        client_connection_release(
            container_of(client->connections.next, struct client_connection, link));
    if (backend != NULL && backend->stop != NULL)
        backend->stop(backend);
    assert(client_hosts_count(&client->hosts) == 0);
    assert(list_is_empty(&client->hungry));
    tell_done(client);
}

const struct actor_type http_client_type = {
    .name = "http_client",
    .start = start,
    .receive = receive,
    .release = release,
};

/* --- set-up --------------------------------------------------------------------- */

struct http_client_config http_client_config_default(void)
{
    return (struct http_client_config){
        .call_count_max = CALL_COUNT_DEFAULT,
        .connection_count_max = CONNECTION_COUNT_DEFAULT,
        .connections_per_host_max = CONNECTIONS_PER_HOST_DEFAULT,
        .request_size_max = REQUEST_SIZE_DEFAULT,
        .head_size_max = HEAD_SIZE_DEFAULT,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS_DEFAULT,
        .tls_timeout_ms = TLS_TIMEOUT_MS_DEFAULT,
        .idle_timeout_ms = IDLE_TIMEOUT_MS_DEFAULT,
        .name_count_max = RESOLVER_NAME_COUNT_DEFAULT,
        .user_agent = SLICE_LITERAL("weir"),
    };
}

/* Each connection has a host, and so may have each call that waits. */
static uint32_t host_count_max(const struct http_client_config *config)
{
    return config->connection_count_max + config->call_count_max;
}

int http_client_init(struct http_client *client, struct shard *shard,
                     const struct http_client_config *config, struct buffer_pool *buffers,
                     struct resolver_backend *backend)
{
    uint8_t hash_key[SIPHASH_KEY_SIZE];
    int r;

    assert(config->connections_per_host_max > 0);
    assert(config->connection_count_max > 0);
    assert(config->call_count_max > 0);
    *client = (struct http_client){.config = *config, .buffers = buffers};
    list_init(&client->connections);
    list_init(&client->idle);
    list_init(&client->hungry);
    list_init(&client->calls);
    list_init(&client->done);
    list_init(&client->telling);
    rng_fill(&shard->rng, hash_key, sizeof(hash_key));
    tls_sessions_init(&client->tls_sessions, hash_key);
    r = pool_init(&client->connection_pool, "client connections", sizeof(struct client_connection),
                  config->connection_count_max);
    if (r == 0)
        r = pool_init(&client->tls_pool, "client TLS", sizeof(struct client_tls),
                      config->connection_count_max);
    if (r == 0)
        r = client_hosts_init(&client->hosts, host_count_max(config), hash_key);
    if (r == 0)
        r = resolver_init(&client->resolver, config->name_count_max, backend, &shard->clock,
                          hash_key);
    if (r < 0)
        http_client_abandon(client);
    return r;
}

void http_client_deinit(struct http_client *client)
{
    assert(client->call_count == 0);
    assert(client->connection_count == 0);
    http_client_abandon(client);
}

void http_client_abandon(struct http_client *client)
{
    resolver_deinit(&client->resolver);
    client_hosts_deinit(&client->hosts);
    pool_abandon(&client->tls_pool);
    pool_abandon(&client->connection_pool);
}

void http_client_add_limits(const struct http_client_config *config, uint32_t client_count,
                            struct limits *limits)
{
    uint64_t connections = (uint64_t)config->connection_count_max * client_count;

    limits_add(limits, "client connections", connections, sizeof(struct client_connection));
    limits_add(limits, "client TLS", connections, sizeof(struct client_tls));
    limits_add(limits, "client hosts", (uint64_t)host_count_max(config) * client_count,
               sizeof(struct client_host));
    limits_add(limits, "client names", (uint64_t)config->name_count_max * client_count,
               resolver_name_size());
}

struct slice http_client_outcome_name(enum http_client_outcome outcome)
{
    static const struct slice NAMES[] = {
        [HTTP_CLIENT_RESPONSE] = SLICE_INITIALIZER("response"),
        [HTTP_CLIENT_TIMED_OUT] = SLICE_INITIALIZER("timed_out"),
        [HTTP_CLIENT_CONNECT_FAILED] = SLICE_INITIALIZER("connect_failed"),
        [HTTP_CLIENT_RESOLVE_FAILED] = SLICE_INITIALIZER("resolve_failed"),
        [HTTP_CLIENT_ADDRESS_REFUSED] = SLICE_INITIALIZER("address_refused"),
        [HTTP_CLIENT_TLS_FAILED] = SLICE_INITIALIZER("tls_failed"),
        [HTTP_CLIENT_TOO_LARGE] = SLICE_INITIALIZER("too_large"),
        [HTTP_CLIENT_BAD_RESPONSE] = SLICE_INITIALIZER("bad_response"),
        [HTTP_CLIENT_CLOSED_EARLY] = SLICE_INITIALIZER("closed_early"),
        [HTTP_CLIENT_NO_CAPACITY] = SLICE_INITIALIZER("no_capacity"),
        [HTTP_CLIENT_CANCELLED] = SLICE_INITIALIZER("cancelled"),
    };

    static_assert(ARRAY_COUNT(NAMES) == HTTP_CLIENT_OUTCOME_COUNT, "every outcome has a name");
    assert((size_t)outcome < ARRAY_COUNT(NAMES));
    return NAMES[outcome];
}

struct slice http_client_stage_name(enum http_client_stage stage)
{
    static const struct slice NAMES[] = {
        [HTTP_CLIENT_WAITING] = SLICE_INITIALIZER("waiting"),
        [HTTP_CLIENT_RESOLVING] = SLICE_INITIALIZER("resolving"),
        [HTTP_CLIENT_CONNECTING] = SLICE_INITIALIZER("connecting"),
        [HTTP_CLIENT_SECURING] = SLICE_INITIALIZER("securing"),
        [HTTP_CLIENT_SENDING] = SLICE_INITIALIZER("sending"),
        [HTTP_CLIENT_RECEIVING] = SLICE_INITIALIZER("receiving"),
    };

    assert((size_t)stage < ARRAY_COUNT(NAMES));
    return NAMES[stage];
}
