#include "http/server.h"

#include <errno.h>

#include "http/connection_tls.h"
#include "runtime/memory.h"

/*
 * The series of a route are made for every status that weir sends, so that a
 * request only adds to a number it finds by index; those that stay 0 are left
 * out when rendered. The last row, "other", counts requests that matched no
 * route, so that a scan for paths cannot grow the metrics.
 */

static const uint16_t STATUSES[] = {
    200, 201, 202, 204, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411,
    412, 413, 414, 415, 417, 422, 429, 431, 500, 501, 502, 503, 504, 505,
};

static const char *const TLS_OUTCOME_NAMES[TLS_OUTCOME_COUNT] = {
    [TLS_OUTCOME_FULL] = "full",     [TLS_OUTCOME_RESUMED] = "resumed",
    [TLS_OUTCOME_FAILED] = "failed", [TLS_OUTCOME_TIMEOUT] = "timeout",
    [TLS_OUTCOME_PLAIN] = "plain",
};

static_assert(ARRAY_COUNT(STATUSES) <= HTTP_STATUS_SERIES_COUNT, "a series per status");
static_assert((ROUTE_COUNT_MAX + 1) * (HTTP_STATUS_SERIES_COUNT + 1) <= METRICS_SERIES_MAX - 512,
              "a table full of routes leaves series for everything else");

uint32_t http_status_index(uint32_t status)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(STATUSES); i++)
        if (STATUSES[i] == status)
            return i;
    assert(false && "a status that has no series");
    return 0;
}

static const char *route_pattern(const struct router *router, uint32_t index)
{
    return index < router->count ? router->routes[index].pattern : "other";
}

static const char *route_method(const struct router *router, uint32_t index)
{
    return index < router->count ? http_method_name(router->routes[index].method).data : "any";
}

void http_metrics_register(struct http_metrics *metrics, struct metrics_registry *registry,
                           const struct router *router)
{
    assert(router->count <= ROUTE_COUNT_MAX);
    for (uint32_t i = 0; i <= router->count; i++)
        for (uint32_t j = 0; j < ARRAY_COUNT(STATUSES); j++)
            metrics->requests[i][j] = metrics_add_series(
                registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_http_requests_total",
                metrics_text(registry, "route=\"%s\",method=\"%s\",status=\"%u\"",
                             route_pattern(router, i), route_method(router, i), STATUSES[j]),
                "Requests answered.");
    for (uint32_t i = 0; i <= router->count; i++)
        metrics->duration[i] = metrics_add_histogram(
            registry, METRIC_UNIT_SECONDS, "weir_http_request_duration_seconds",
            metrics_text(registry, "route=\"%s\",method=\"%s\"", route_pattern(router, i),
                         route_method(router, i)),
            "From the end of the request head to the answer.", METRICS_REQUEST_NS,
            METRICS_REQUEST_BOUNDS);
    metrics->connections = metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                                              "weir_http_connections", "", "Connections open now.");
    metrics->connections_accepted =
        metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                           "weir_http_connections_accepted_total", "", "Connections accepted.");
    metrics->connections_evicted = metrics_add_series(
        registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_http_connections_evicted_total", "",
        "Idle connections closed to make room for new ones.");
    metrics->accept_failures = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                                  "weir_http_accept_failures_total", "",
                                                  "Connections that could not be accepted.");
    for (uint32_t i = 0; i < TLS_OUTCOME_COUNT; i++)
        metrics->tls_handshakes[i] = metrics_add_series(
            registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_tls_handshakes_total",
            metrics_text(registry, "outcome=\"%s\"", TLS_OUTCOME_NAMES[i]), "TLS handshakes.");
    metrics->tls_truncated =
        metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_tls_truncated_total",
                           "", "TLS connections that the client ended without a close_notify.");
    metrics->tls_not_after =
        metrics_add_series(registry, METRIC_GAUGE_MAX, METRIC_UNIT_NONE,
                           "weir_tls_certificate_not_after_timestamp_seconds", "",
                           "When the server's certificate ends, in Unix time.");
}

int http_server_init(struct http_server *server, struct shard *shard, const struct router *router,
                     const struct http_limits *limits, const struct http_metrics *metrics,
                     struct buffer_pool *buffers)
{
    size_t workspace_size = content_decoder_workspace_size(CONTENT_DECODER_WINDOW_LOG_MAX);
    int r;

    assert(limits->connection_count_max > 0);
    memset(server, 0, sizeof(*server));
    r = memory_map(workspace_size, &server->decoder_workspace);
    if (r < 0)
        return r;
    r = pool_init(&server->connections, "connections", sizeof(struct connection),
                  limits->connection_count_max + HTTP_CONNECTION_SPARE_COUNT);
    if (r < 0) {
        memory_unmap(&server->decoder_workspace, workspace_size);
        return r;
    }
    content_decoder_init(&server->decoder, server->decoder_workspace, workspace_size,
                         CONTENT_DECODER_WINDOW_LOG_MAX);
    server->shard = shard;
    server->router = *router;
    server->limits = *limits;
    server->metrics = metrics;
    server->buffers = buffers;
    list_init(&server->idle);
    list_init(&server->tls.idle);
    return 0;
}

size_t http_server_tls_connection_size(void)
{
    return sizeof(struct connection_tls);
}

static void take_identity(struct http_server *server, struct tls_identity **identity)
{
    server->tls.identity = *identity;
    *identity = NULL;
    metrics_set(&server->shard->metrics, server->metrics->tls_not_after,
                server->tls.identity->not_after_ms / 1000);
}

int http_server_add_tls(struct http_server *server, const struct http_tls_limits *limits,
                        struct tls_identity **identity)
{
    struct http_tls *tls = &server->tls;
    int r;

    assert(limits->connection_count_max > 0);
    assert(tls->identity == NULL);
    r = tls_server_sessions_init(&tls->sessions, limits->session_count,
                                 limits->session_lifetime_ms);
    if (r < 0)
        return r;
    r = pool_init(&tls->connections, "TLS connections", sizeof(struct connection_tls),
                  limits->connection_count_max + HTTP_CONNECTION_SPARE_COUNT);
    if (r < 0) {
        tls_server_sessions_deinit(&tls->sessions);
        return r;
    }
    tls->limits = *limits;
    take_identity(server, identity);
    return 0;
}

void http_server_share_sessions(struct http_server *server, const struct actor_id *peers,
                                uint32_t peer_count)
{
    assert(server->tls.identity != NULL);
    server->tls.peers = peers;
    server->tls.peer_count = peer_count;
}

void http_server_set_identity(struct http_server *server, struct tls_identity **identity)
{
    assert(server->tls.identity != NULL);
    assert(*identity != NULL);
    tls_identity_unref(&server->tls.identity);
    take_identity(server, identity);
    tls_server_sessions_clear(&server->tls.sessions);
}

void http_server_deinit(struct http_server *server)
{
    assert(server->connection_count == 0);
    http_server_abandon(server);
}

void http_server_abandon(struct http_server *server)
{
    pool_abandon(&server->connections);
    if (server->tls.identity != NULL) {
        pool_abandon(&server->tls.connections);
        tls_server_sessions_deinit(&server->tls.sessions);
    }
    tls_identity_unref(&server->tls.identity);
    memory_unmap(&server->decoder_workspace,
                 content_decoder_workspace_size(CONTENT_DECODER_WINDOW_LOG_MAX));
}

void http_server_drain(struct http_server *server)
{
    server->draining = true;
    for (uint32_t i = 0; i < server->connections.slot_count; i++)
        if (!connection_close_idle(server))
            return;
}

struct slice http_server_date(struct http_server *server)
{
    uint64_t now_s = server->shard->clock.unix_ms / 1000;

    if (server->date_s != now_s) {
        http_date_write(server->shard->clock.unix_ms, server->date);
        server->date_s = now_s;
    }
    return (struct slice){server->date, HTTP_DATE_SIZE};
}
