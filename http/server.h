/*
 * Server: what the connections of one shard share.
 *
 * Limits, router, pools, the list of idle connections and the parser's scratch.
 * One per shard, embedded in the floor above, which finds its own context by
 * container_of(). Only the shard's thread touches it.
 */
#pragma once

#include "http/content_decoder.h"
#include "http/request_parser.h"
#include "http/response_head.h"
#include "http/router.h"
#include "http/tls_identity.h"
#include "http/tls_server_sessions.h"
#include "runtime/buffer.h"
#include "runtime/shard.h"
#include "runtime/supervisor.h"

enum {
    HTTP_STATUS_SERIES_COUNT = 32,
    HTTP_CONNECTION_SPARE_COUNT = 64, /* slots beyond the limit: closing while the next comes */
    /* Both leave room for one answer, or receive, more in a buffer of 64 KiB. */
    HTTP_OUTPUT_PENDING_MAX = 56 * 1024,  /* unsent answer bytes that stop pipelining */
    HTTP_INPUT_PIPELINED_MAX = 32 * 1024, /* unparsed bytes that stop receiving */
    HTTP_SEND_SIZE_MAX = 256 * 1024,      /* of an answer sent at once, within a write time-out */
};

/* Times in milliseconds, sizes in bytes; all positive. */
struct http_limits {
    uint32_t connection_count_max; /* per shard */
    uint32_t head_size_max;
    uint64_t header_timeout_ms; /* from the first byte of a request to its empty line */
    uint64_t body_timeout_ms;   /* without a byte of an announced body */
    uint64_t idle_timeout_ms;   /* between requests */
    uint64_t write_timeout_ms;  /* for the peer to take HTTP_SEND_SIZE_MAX bytes of answers */
    uint64_t answer_timeout_ms; /* for a handler that answers later; 0: no limit */
    uint64_t linger_timeout_ms; /* after the last answer, for the peer to read it */
};

/* How a handshake ended. */
enum tls_outcome {
    TLS_OUTCOME_FULL,
    TLS_OUTCOME_RESUMED,
    TLS_OUTCOME_FAILED,  /* nothing in common, or no TLS, or the peer went */
    TLS_OUTCOME_TIMEOUT, /* the header time-out */
    TLS_OUTCOME_PLAIN,   /* a request in plain text */
    TLS_OUTCOME_COUNT,
};

/* Bounds of one shard for what listeners with TLS accept; all positive but session_count. */
struct http_tls_limits {
    uint32_t connection_count_max; /* counted among those of http_limits too */
    uint32_t session_count;        /* 0: none is resumed */
    uint64_t session_lifetime_ms;
};

/* What connections with TLS share. Private to http/; embedded by value. */
struct http_tls {
    struct http_tls_limits limits;
    struct tls_identity *identity; /* of handshakes to come; NULL: no listener has TLS */
    struct tls_server_sessions sessions;
    struct pool connections;      /* struct connection_tls */
    struct list_node idle;        /* as that of the server, of connections with TLS */
    const struct actor_id *peers; /* a listener of each shard, by shard; borrowed */
    uint32_t peer_count;          /* 0: sessions are not shared */
};

/* Series for every route and status; registered once, shared read-only by the shards. */
struct http_metrics {
    struct metric requests[ROUTE_COUNT_MAX + 1][HTTP_STATUS_SERIES_COUNT];
    struct metric duration[ROUTE_COUNT_MAX + 1];
    struct metric connections;
    struct metric connections_accepted;
    struct metric connections_evicted;
    struct metric accept_failures;
    struct metric tls_handshakes[TLS_OUTCOME_COUNT];
    struct metric tls_truncated;
    struct metric tls_not_after;
};

/* Private to http/; embedded by value. draining may be read, and supervisor be a child. */
struct http_server {
    struct shard *shard;
    struct router router;
    struct http_limits limits;
    const struct http_metrics *metrics;
    struct buffer_pool *buffers; /* borrowed */
    struct pool connections;
    struct list_node idle; /* connections with nothing to do, longest idle first */
    struct http_tls tls;
    struct supervisor supervisor; /* the connections' parent: see connection_supervise() */
    struct supervisor_spec supervisor_spec;
    struct supervisor_child_spec connection_spec;
    uint32_t connection_count;
    bool draining;
    /* There is no descriptor for a connection: whoever can spare one may close it. May be NULL. */
    void (*on_no_descriptor)(struct http_server *server);
    struct http_request request;                /* scratch of the request at hand */
    struct slice params[ROUTE_PARAM_COUNT_MAX]; /* its path's */
    struct content_decoder decoder;
    char *decoder_workspace;
    uint64_t date_s;
    char date[HTTP_DATE_SIZE];
};

/* Registers the series of these routes. At boot, before the freeze. */
void http_metrics_register(struct http_metrics *metrics, struct metrics_registry *registry,
                           const struct router *router);

/*
 * Sets up the shard's server. Borrows router's table, metrics and buffers for its
 * life. 0 or -ENOMEM. Start-up only.
 */
MUST_USE int http_server_init(struct http_server *server, struct shard *shard,
                              const struct router *router, const struct http_limits *limits,
                              const struct http_metrics *metrics, struct buffer_pool *buffers);

/*
 * Reserves what listeners with TLS need. Takes *identity, which must be the shard's own,
 * and nulls it, but only on success. 0 or -ENOMEM. Start-up only.
 */
MUST_USE int http_server_add_tls(struct http_server *server, const struct http_tls_limits *limits,
                                 struct tls_identity **identity);

/*
 * Shares sessions with other shards, so that a client may resume one wherever it comes
 * in. Borrows peers, a listener of each shard, by shard. Start-up only.
 */
void http_server_share_sessions(struct http_server *server, const struct actor_id *peers,
                                uint32_t peer_count);

/*
 * From now on handshakes are made with *identity, which is taken and nulled, and sessions
 * of before are not resumed. Connections that are open stay so.
 */
void http_server_set_identity(struct http_server *server, struct tls_identity **identity);

/* Bytes that one connection with TLS takes beside those of every connection. */
size_t http_server_tls_connection_size(void);

/* Gives the memory back; no connection may be left. */
void http_server_deinit(struct http_server *server);

/* The same though connections are open: the process they belonged to died (simulated). */
void http_server_abandon(struct http_server *server);

/* Refuses new requests' keep-alive from now on and closes what is idle. */
void http_server_drain(struct http_server *server);

/* The place of a status among the series; aborts on one that weir does not send. */
uint32_t http_status_index(uint32_t status);

/* The Date value of this second. */
struct slice http_server_date(struct http_server *server);
