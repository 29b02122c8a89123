/*
 * Response parser: the head of one HTTP/1.x response, for weir's own clients.
 *
 * The contract is the request parser's: sans-I/O, the bytes contiguous from the
 * first one, shown again when more has come, linear time, zero copy. As strict
 * about framing; lenient only where servers differ harmlessly: the reason phrase
 * may be anything or absent.
 */
#pragma once

#include "http/head_scan.h"
#include "http/headers.h"
#include "http/parse_error.h"
#include "http/request_parser.h"
#include "runtime/base.h"

enum {
    RESPONSE_LINE_SIZE_MAX = 8192,
};

enum response_body {
    RESPONSE_BODY_NONE,        /* HEAD, 1xx, 204, 304 */
    RESPONSE_BODY_LENGTH,      /* content_length bytes, maybe 0 */
    RESPONSE_BODY_CHUNKED,     /* through struct chunked */
    RESPONSE_BODY_UNTIL_CLOSE, /* all until the peer closes; cannot tell a cut */
};

/* Slices borrow the parsed bytes. */
struct http_response {
    size_t head_size; /* the body, or the final response after a 1xx, is next */
    unsigned status;  /* 100 to 599; after a 1xx parse again */
    enum http_version version;
    enum response_body body;
    uint64_t content_length; /* of RESPONSE_BODY_LENGTH */
    bool keep_alive;         /* the connection may serve another request after the body */
    struct slice reason;
    struct slice content_type; /* data NULL when absent */
    struct slice retry_after;
    struct headers headers;
};

/* Private to response_parser.c; embedded by the client's connection. */
struct response_parser {
    struct head_scan scan;
    bool answers_head;
    enum http_parse_error error;
};

/*
 * Makes it ready for the response to one request; answers_head tells that it was
 * HEAD. head_size_max as for request_parser_init().
 */
void response_parser_init(struct response_parser *parser, size_t head_size_max, bool answers_head);

/* As request_parser_feed(), for a response that starts at data. */
MUST_USE enum http_parse_result response_parser_feed(struct response_parser *parser,
                                                     const char *data, size_t size,
                                                     struct http_response *ret_response);

/* The reason of the last HTTP_PARSE_BAD, else HTTP_ERROR_NONE. */
MUST_USE enum http_parse_error response_parser_error(const struct response_parser *parser);
