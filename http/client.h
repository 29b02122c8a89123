/*
 * Client: sends HTTP/1.1 requests of ours and brings back what is answered.
 *
 * One per shard, an actor of its own: it owns the connections, keeps them for the next
 * call to the same host, resolves names and checks every address before it connects to
 * it. Whoever calls is another actor of the shard, with a struct of its own for each
 * call, and is told by a callback:
 *
 *     struct delivery { struct http_client_call call; ... };      (zeroed once)
 *
 *     delivery->call.method = HTTP_METHOD_POST;
 *     delivery->call.url = ...; .headers, .body, .timeout_ms, .body_size_max likewise
 *     delivery->call.on_done = on_done;
 *     r = http_client_start(client, &delivery->call);             (negative: not started)
 *
 *     static void on_done(struct http_client_call *call)          (exactly once, later)
 *     {
 *         struct delivery *delivery = container_of(call, struct delivery, call);
 *         if (call->result.outcome == HTTP_CLIENT_RESPONSE) ... call->result.status ...
 *     }
 *
 * on_done runs inside the client's receive(): it notes what it needs and sends a message
 * to its own actor. A panic in it crashes the client, which cancels all other calls.
 *
 * https is TLS 1.2, by BearSSL; see tls_client.h.
 *
 * One time-out covers everything from start to the last byte of the answer. Redirects
 * are not followed. An answer is bounded, and never decompressed: identity is asked for.
 */
#pragma once

#include "http/address_policy.h"
#include "http/client_host.h"
#include "http/resolver.h"
#include "http/response_parser.h"
#include "http/tls_sessions.h"
#include "http/trust_store.h"
#include "http/url.h"
#include "runtime/buffer.h"
#include "runtime/shard.h"

struct client_connection;
struct limits;

enum {
    HTTP_CLIENT_MAGIC = 0x48434c49,
    HTTP_CLIENT_HEADER_COUNT_MAX = 64, /* of one request */
    HTTP_CLIENT_INTERIM_COUNT_MAX = 8, /* 1xx before an answer */
    /* A request that cannot be told apart from one never sent, when sending it failed. */
    HTTP_CLIENT_REPEAT_SIZE_MAX = 16 * 1024,
};

/* Times in milliseconds, sizes in bytes; all positive. Start with http_client_config_default(). */
struct http_client_config {
    uint32_t call_count_max;           /* started and not done; 4096 */
    uint32_t connection_count_max;     /* 256 */
    uint32_t connections_per_host_max; /* 16 */
    uint32_t request_size_max;         /* head and body; 1 MiB */
    uint32_t head_size_max;            /* of an answer; 16 KiB */
    uint64_t connect_timeout_ms;       /* to one of the addresses of a host; 3 s */
    uint64_t tls_timeout_ms;           /* for the handshake; 5 s */
    uint64_t idle_timeout_ms;          /* how long a connection is kept; 30 s */
    uint32_t name_count_max;           /* of the cache of addresses; 512 */
    struct slice user_agent;           /* static; empty: none is sent */
    const struct trust_store *trust;   /* borrowed; NULL: every https call fails */
    struct address_policy policy;      /* of calls that bring none of their own */
};

enum http_client_outcome {
    HTTP_CLIENT_RESPONSE,        /* a whole answer, whatever its status */
    HTTP_CLIENT_TIMED_OUT,       /* stage says where */
    HTTP_CLIENT_CONNECT_FAILED,  /* to all of the addresses; error is that of the last one */
    HTTP_CLIENT_RESOLVE_FAILED,  /* no such name, no address, or nobody could say */
    HTTP_CLIENT_ADDRESS_REFUSED, /* the policy forbids each of the addresses; remote is one */
    HTTP_CLIENT_TLS_FAILED,      /* tls_error says why */
    HTTP_CLIENT_TOO_LARGE,       /* the answer has a longer body; body is its beginning */
    HTTP_CLIENT_BAD_RESPONSE,    /* not HTTP/1.1 as we understand it */
    HTTP_CLIENT_CLOSED_EARLY,    /* the connection ended before the answer did */
    HTTP_CLIENT_NO_CAPACITY,     /* on our side: nothing was sent */
    HTTP_CLIENT_CANCELLED,       /* the client itself was stopped, or crashed */
    HTTP_CLIENT_OUTCOME_COUNT,
};

/* How far a call came. */
enum http_client_stage {
    HTTP_CLIENT_WAITING, /* for one of the connections that it may have */
    HTTP_CLIENT_RESOLVING,
    HTTP_CLIENT_CONNECTING,
    HTTP_CLIENT_SECURING,
    HTTP_CLIENT_SENDING, /* not a byte of an answer yet */
    HTTP_CLIENT_RECEIVING,
};

/*
 * What came of a call. Borrowed for on_done: headers, content_type and body. With another
 * outcome than RESPONSE there may still be a status, when the head of an answer came; the
 * body is then what came of it.
 */
struct http_client_result {
    enum http_client_outcome outcome;
    enum http_client_stage stage;
    int error;         /* negative errno of the system, if it was one; else 0 */
    int tls_error;     /* of TLS_FAILED: BearSSL's number */
    unsigned status;   /* 200 to 599; 0: no answer came */
    bool was_reused;   /* the connection had served another call */
    bool was_repeated; /* sent twice, because a kept connection was found closed */
    bool has_retry_after;
    uint64_t retry_after_ms;       /* from now; in whichever form it was said */
    const struct headers *headers; /* NULL: no answer came */
    struct slice content_type;     /* data NULL when there is none */
    struct slice body;
    struct address remote; /* the family is 0 when no address was chosen */
    /* Instants on the shard's clock; 0: not reached, or not needed. */
    uint64_t started_ns;
    uint64_t resolved_ns;
    uint64_t connected_ns;
    uint64_t secured_ns;
    uint64_t first_byte_ns;
    uint64_t done_ns;
};

/* A timer, and whether it lies in a call or in a connection. Private to http/client*.c. */
struct client_timer {
    struct timer timer;
    bool is_of_call;
};

/*
 * One call; the caller's, zeroed once before its first use. The first group is set by the
 * caller before each start, and what it points at is borrowed until on_done is called or
 * http_client_cancel() returns; so is the struct. The result may be read from on_done on.
 */
struct http_client_call {
    enum http_method method;      /* not HTTP_METHOD_UNKNOWN */
    struct slice url;             /* absolute, http or https */
    const struct header *headers; /* see request_head_check() */
    uint32_t header_count;
    struct slice body;
    uint64_t timeout_ms;                 /* for all of it; positive */
    uint32_t body_size_max;              /* of the answer's body; positive */
    bool is_repeatable;                  /* though its method is POST or PATCH: it carries a key */
    const struct address_policy *policy; /* NULL: the client's */
    void (*on_done)(struct http_client_call *call);

    struct http_client_result result;

    uint8_t state; /* private from here on */
    bool wants_fresh;
    struct http_client *client;
    struct client_host *host;
    struct client_connection *connection;
    struct url parts;
    struct buffer *input; /* of the answer, kept for on_done */
    size_t head_size;
    struct client_timer deadline;
    struct list_node link;      /* among those of its host that wait, or those done */
    struct list_node live_link; /* among all calls */
};

/* May be read. */
struct http_client_stats {
    uint64_t started_count;
    uint64_t done_count[HTTP_CLIENT_OUTCOME_COUNT];
    uint64_t connect_count;   /* connections tried */
    uint64_t reused_count;    /* calls on a connection that was kept */
    uint64_t repeated_count;  /* calls sent a second time */
    uint64_t evicted_count;   /* kept connections that had to make room */
    uint64_t handshake_count; /* of TLS, that went well */
};

/* Private to http/client*.c, except the counters; embedded by value. */
struct http_client {
    struct actor actor;
    struct http_client_config config;
    struct buffer_pool *buffers; /* borrowed */
    struct resolver resolver;
    struct client_hosts hosts;
    struct pool connection_pool;
    struct pool tls_pool;
    struct tls_sessions tls_sessions;
    struct list_node connections; /* all of them */
    struct list_node idle;        /* kept ones, longest idle first */
    struct list_node hungry;      /* hosts with calls that could have one more connection */
    struct list_node calls;       /* all that have been started */
    struct list_node done;        /* of them, those to be told ... */
    struct list_node telling;     /* ... and those to be told now */
    struct client_timer kick;     /* work is left over for the next turn */
    uint32_t call_count;          /* these three may be read */
    uint32_t connection_count;
    struct http_client_stats stats;
    uint32_t evicting_count; /* connections that close to make room */
    bool is_receiving;       /* inside receive(), which settles what is left over */
    bool has_lent;
    uint32_t lent_index;           /* the receive buffer to be given back, when has_lent */
    struct buffer *told_input;     /* of the call being told */
    struct http_response response; /* scratch */
};

/* For the specification of its supervisor; type_magic is HTTP_CLIENT_MAGIC. */
extern const struct actor_type http_client_type;

/* The numbers given with the fields above. */
struct http_client_config http_client_config_default(void);

/*
 * Reserves everything for the shard's client; it becomes an actor by its supervisor.
 * Copies config; borrows buffers, which requests and answers lie in, and backend (NULL:
 * only literal addresses can be reached) for its life. 0 or -ENOMEM. Start-up only.
 */
MUST_USE int http_client_init(struct http_client *client, struct shard *shard,
                              const struct http_client_config *config, struct buffer_pool *buffers,
                              struct resolver_backend *backend);

/* Gives the memory back; the actor must have ended, or never started. */
void http_client_deinit(struct http_client *client);

/* The same though calls are open: the process they belonged to died (simulated). */
void http_client_abandon(struct http_client *client);

/* Adds the lines of so many clients to the sum of --print-limits. */
void http_client_add_limits(const struct http_client_config *config, uint32_t client_count,
                            struct limits *limits);

/*
 * Starts a call; from any actor of the shard, also from an on_done. 0: on_done will be
 * called once, and not from inside. Otherwise nothing happens: -EINVAL for a URL that is
 * none or a field that cannot be sent, -EMSGSIZE for a request over request_size_max,
 * -EAGAIN when call_count_max calls are open, -ESHUTDOWN while the client is not running.
 */
MUST_USE int http_client_start(struct http_client *client, struct http_client_call *call);

/*
 * Ends a call without on_done; everything is the caller's again at once. What was sent
 * may have been received. A call that is not open stays as it is.
 */
void http_client_cancel(struct http_client_call *call);

/* True from http_client_start() until on_done or http_client_cancel(). */
bool http_client_is_open(const struct http_client_call *call);

/* "timed_out": for logs, metrics and records. Static. */
struct slice http_client_outcome_name(enum http_client_outcome outcome);

/* "connecting". Static. */
struct slice http_client_stage_name(enum http_client_stage stage);
