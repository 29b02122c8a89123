/*
 * Exchange: one request that is being answered, as its handler sees it.
 *
 * Embedded in the connection. The order of calls is on_head, then (when it says
 * EXCHANGE_READ_BODY) on_request with the whole decoded body, then (when that
 * says EXCHANGE_PENDING) on_reply for a message that carries the exchange's
 * token. Slices of the request and of the body are lent for the call only; what
 * a handler needs later it keeps in the note. Each exchange is answered exactly
 * once, by exchange_respond() or exchange_problem().
 */
#pragma once

#include "contracts/problem.h"
#include "http/content_decoder.h"
#include "http/request_parser.h"
#include "http/router.h"
#include "runtime/actor.h"

struct http_server;

enum {
    EXCHANGE_CORRELATION_SIZE_MAX = 64,
    EXCHANGE_NOTE_SIZE = 64,
    EXCHANGE_HEADER_COUNT_MAX = 4,
};

/* Public fields are the handler's to read; the note is its to write. */
struct exchange {
    struct http_server *server;
    struct actor *actor;          /* the connection: the address for replies */
    uint64_t token;               /* replies carry it; grows with each exchange of a connection */
    struct http_request *request; /* valid in on_head and on_request only */
    struct slice *params;         /* as request: ROUTE_PARAM_COUNT_MAX of them */
    struct slice body;            /* decoded; valid in on_request only */
    uint64_t body_size_max;       /* set by on_head: bytes on the wire */
    uint64_t decoded_size_max;    /* set by on_head: bytes after Content-Encoding */
    uint64_t started_ns;
    const struct route *route;
    uint32_t route_index;
    enum http_method method;
    uint16_t wait_ms; /* set by on_request: how much later than others the answer may come */
    bool keep_alive;
    bool speaks_1_0; /* the request was HTTP/1.0 */
    bool answered;
    bool refusal_closes; /* the body has not been read: an answer ends the connection */
    bool ends_with_peer; /* set by on_request: nobody to answer when the peer closes its side */
    uint8_t correlation_size;
    char correlation[EXCHANGE_CORRELATION_SIZE_MAX];
    union {
        uint64_t words[EXCHANGE_NOTE_SIZE / 8];
        char bytes[EXCHANGE_NOTE_SIZE];
    } note; /* zero at on_head; the handler's own until answered */
};

/* The note seen as a type; the size is checked when compiled. */
#define EXCHANGE_NOTE(exchange, type_name)                                                         \
    ((type_name *)(void *)((exchange)->note.bytes +                                                \
                           sizeof(char[sizeof(type_name) <= EXCHANGE_NOTE_SIZE ? 1 : -1]) - 1))

/* An answer; everything is borrowed for the call and copied out. */
struct response {
    uint32_t status;
    struct slice content_type; /* empty: no body */
    struct slice body;
    struct header fields[EXCHANGE_HEADER_COUNT_MAX];
    uint32_t field_count;
    bool close; /* end the connection after this answer */
};

/* Answers. EXCHANGE_ANSWERED, or a negative errno that the handler forwards. */
MUST_USE int exchange_respond(struct exchange *exchange, const struct response *response);

/* What a problem answer may add to its code. */
struct exchange_problem_options {
    struct slice detail;             /* for people; may be empty */
    const struct issue_list *issues; /* written as details, or NULL */
    struct slice array_key;          /* for the issues' paths */
    bool has_limit;
    uint64_t limit;         /* the bound that was exceeded */
    uint32_t retry_after_s; /* 0: no Retry-After */
    struct header field;    /* one more header, or empty name */
    bool close;
};

/* Answers with application/problem+json. options may be NULL. Results as exchange_respond(). */
MUST_USE int exchange_problem(struct exchange *exchange, enum problem_code code,
                              const struct exchange_problem_options *options);

/* Answers a request that could not be parsed, and closes. Results as exchange_respond(). */
MUST_USE int exchange_parse_error(struct exchange *exchange, enum http_parse_error error);

/* The correlation id of this exchange. */
static inline struct slice exchange_correlation(const struct exchange *exchange)
{
    return (struct slice){exchange->correlation, exchange->correlation_size};
}
