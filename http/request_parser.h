/*
 * Request parser: the head of one HTTP/1.x request, strict RFC 9112, zero copy.
 *
 * Sans-I/O: the caller keeps the bytes of the request contiguous, from its first
 * byte, and shows them again each time more has come; the buffer may move in
 * between. What is ambiguous about framing is refused, never repaired. Time is
 * linear in the bytes however they are cut. Nothing here allocates.
 *
 * The parser is the small part that a connection keeps (20 bytes); the request
 * is the large part, needed only from HTTP_PARSE_DONE to the end of handling, so
 * one per shard will do if what must live longer is copied.
 */
#pragma once

#include "http/head_scan.h"
#include "http/headers.h"
#include "http/parse_error.h"
#include "runtime/base.h"

enum {
    REQUEST_LINE_SIZE_MAX = 8192, /* without its CRLF */
    REQUEST_METHOD_SIZE_MAX = 32,
    REQUEST_HEAD_SIZE_MAX = 64 * 1024,          /* the default of head_size_max */
    REQUEST_HEAD_SIZE_MIN = HEAD_SCAN_SIZE_MIN, /* the least that head_size_max may be */
};

enum http_method {
    HTTP_METHOD_UNKNOWN, /* a valid token; method_name has it: 501 or 405 */
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_COUNT,
};

enum http_version {
    HTTP_VERSION_1_0,
    HTTP_VERSION_1_1,
};

/*
 * All slices borrow the parsed bytes, except that path may be a static "/". A
 * header that was absent has data == NULL; one that was present and empty has
 * size 0 only.
 */
struct http_request {
    size_t head_size; /* bytes of the head with its empty line: the body is next */
    enum http_method method;
    enum http_version version;
    struct slice method_name;
    struct slice target; /* as it came */
    struct slice path;   /* still percent-encoded but well-formed; or "*" */
    struct slice query;  /* after the first '?', without it; data NULL if none */
    struct slice host;   /* with port; of an absolute target if it is one */

    /* Framing. Neither length nor chunked means that there is no body. */
    uint64_t content_length; /* 0 unless has_content_length; at most INT64_MAX */
    bool has_content_length;
    bool is_chunked;
    bool keep_alive;       /* what the peer wants, from version and Connection */
    bool expects_continue; /* HTTP/1.1 with Expect: 100-continue */

    /* Each at most once per request: twice is HTTP_ERROR_DUPLICATE_HEADER. */
    struct slice content_type;
    struct slice content_encoding;
    struct slice api_key;         /* X-API-Key */
    struct slice authorization;   /* Authorization */
    struct slice idempotency_key; /* Idempotency-Key */
    struct slice correlation_id;  /* X-Correlation-Id */
    struct slice traceparent;     /* traceparent */

    struct headers headers; /* all of them, these included */
};

/* Private to request_parser.c; embedded by the connection. */
struct request_parser {
    struct head_scan scan;
    enum http_parse_error error;
};

/*
 * Makes the parser ready for a request, also for the next one on the connection.
 * head_size_max counts the request line, the header section and the empty line;
 * it is REQUEST_HEAD_SIZE_MIN to 1 GiB.
 */
void request_parser_init(struct request_parser *parser, size_t head_size_max);

/*
 * Looks at the request that starts at data. size must not shrink from one call
 * to the next. DONE: *ret_request is filled in and borrows data; the bytes after
 * head_size are body or the next request. NEED_MORE: receive more and call again
 * (a buffer of head_size_max bytes is always enough). BAD: request_parser_error()
 * says why; answer and close. *ret_request is scratch unless the result is DONE.
 * One empty line before the request line is skipped and counts in head_size.
 */
MUST_USE enum http_parse_result request_parser_feed(struct request_parser *parser, const char *data,
                                                    size_t size, struct http_request *ret_request);

/* The reason of the last HTTP_PARSE_BAD, else HTTP_ERROR_NONE. */
MUST_USE enum http_parse_error request_parser_error(const struct request_parser *parser);

/* The method's name; static. "UNKNOWN" for HTTP_METHOD_UNKNOWN. */
MUST_USE struct slice http_method_name(enum http_method method);
