/*
 * Router: which handler answers a method and a path.
 *
 * A table of routes, matched in order: a pattern is literal segments and {name}
 * segments, which match one non-empty segment each. HEAD is served by the GET
 * route. The router knows nothing of what a handler means.
 */
#pragma once

#include "http/request_parser.h"
#include "runtime/metrics.h"

struct exchange;
struct message;

enum {
    ROUTE_PARAM_COUNT_MAX = 2,
    ROUTE_COUNT_MAX = 96,
    ROUTER_ALLOWED_SIZE_MAX = 64, /* GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS */
};

/* What a handler answers; anything negative is an errno and ends the connection. */
enum exchange_verdict {
    EXCHANGE_READ_BODY, /* on_head only: read the body, then call on_request */
    EXCHANGE_ANSWERED,  /* exchange_respond() was called */
    EXCHANGE_PENDING,   /* a message to the connection will bring on_reply */
};

/* One endpoint. Static data of the floor above. */
struct route {
    enum http_method method;
    const char *pattern; /* also the metric label */
    /* The head is there, the body perhaps not: authenticate, admit, set limits. */
    int (*on_head)(struct exchange *exchange);
    /* The whole decoded body is there. */
    int (*on_request)(struct exchange *exchange);
    /* A message came for a pending exchange; borrowed. NULL for routes that never wait. */
    int (*on_reply)(struct exchange *exchange, const struct message *msg);
    /*
     * The handler will never answer: the connection ends, a handler failed, or the
     * connection itself refused the body (too large, damaged, too slow). Once per
     * exchange at most, from on_head on; gives back what the note holds, which may
     * be nothing. May be NULL.
     */
    void (*on_abandon)(struct exchange *exchange);
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_NOT_FOUND,
    ROUTE_METHOD_NOT_ALLOWED,
};

/* Borrows the table for its life. */
struct router {
    const struct route *routes;
    uint32_t count;
};

/*
 * Finds the route. On ROUTE_FOUND *ret_index is its place in the table and
 * ret_params[] borrow path. On ROUTE_METHOD_NOT_ALLOWED router_allowed() tells
 * what the path does serve.
 */
MUST_USE enum route_result router_find(const struct router *router, enum http_method method,
                                       struct slice path, uint32_t *ret_index,
                                       struct slice ret_params[ROUTE_PARAM_COUNT_MAX]);

/*
 * Writes the Allow value for path, for example "GET, HEAD, POST", into text of at least
 * ROUTER_ALLOWED_SIZE_MAX bytes; returns its size.
 */
size_t router_allowed(const struct router *router, struct slice path, char *text, size_t text_size);
