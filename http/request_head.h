/*
 * Request head: writes the head of one HTTP/1.1 request of ours into a buffer.
 *
 * No formatting library, no allocation. What the caller adds is checked first, so that
 * no value can end a line and no field can say something else about the framing.
 */
#pragma once

#include "http/headers.h"
#include "http/request_parser.h"
#include "http/url.h"

enum { REQUEST_HEAD_FIXED_SIZE = 160 }; /* bounds all but the slices and 4 bytes per field */

/* Borrowed for the duration of the call. */
struct request_head {
    enum http_method method; /* not HTTP_METHOD_UNKNOWN */
    const struct url *url;
    const struct header *headers;
    uint32_t header_count;
    struct slice user_agent; /* unless headers have one; empty: none */
    uint64_t content_length;
};

/*
 * 0 when the fields can be sent; -EINVAL when a name is no token, a value holds a
 * control character, or a field is one that the client itself decides about: Connection,
 * Content-Length, Expect, Host, Keep-Alive, Proxy-Connection, TE, Trailer,
 * Transfer-Encoding, Upgrade.
 */
MUST_USE int request_head_check(const struct request_head *head);

/* Room that suffices for the head. */
size_t request_head_size_max(const struct request_head *head);

/*
 * Writes a checked head with its empty line into buffer, which has room for
 * request_head_size_max() bytes; returns how many it is. Content-Length is there when
 * the length is positive, or the method is one that has a body.
 */
size_t request_head_write(const struct request_head *head, char *buffer);

/* True when repeating the request does no more than sending it once (RFC 9110 9.2.2). */
bool http_method_is_idempotent(enum http_method method);
