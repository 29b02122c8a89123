/*
 * Response head: writes the head of one HTTP/1.1 response into a buffer.
 *
 * No formatting, no allocation: constant blocks are copied, and what the caller
 * adds is checked on the way, so that no value can end a line. Every head carries
 * the security headers.
 */
#pragma once

#include "http/headers.h"
#include "runtime/base.h"

enum {
    HTTP_DATE_SIZE = 29,            /* Sun, 06 Nov 1994 08:49:37 GMT */
    RESPONSE_HEAD_FIXED_SIZE = 640, /* bounds all but the caller's slices */
};

enum response_framing {
    RESPONSE_CONTENT_LENGTH, /* also of an empty body */
    RESPONSE_CHUNKED,        /* for a peer that speaks HTTP/1.1 */
    RESPONSE_UNTIL_CLOSE,    /* for streams to HTTP/1.0; needs keep_alive false */
    RESPONSE_NO_BODY,        /* 1xx, 204, 304: neither length nor body */
};

enum response_policy {
    RESPONSE_POLICY_API,  /* nothing may be loaded, framed or stored */
    RESPONSE_POLICY_PAGE, /* the console: own scripts and styles, revalidated */
};

/* Borrowed for the duration of the call. Empty slices leave their header out. */
struct response_head {
    unsigned status; /* one of response_statuses.inc */
    enum response_framing framing;
    enum response_policy policy;
    bool keep_alive;   /* else "connection: close" */
    bool speaks_1_0;   /* the request was HTTP/1.0: say keep-alive aloud */
    struct slice date; /* HTTP_DATE_SIZE bytes */
    struct slice content_type;
    uint64_t content_length;
    struct slice correlation_id;
    const struct header *extra; /* further fields, names and values checked */
    size_t extra_count;
};

/*
 * Writes the head with its empty line. 0 and *ret_size; -ENOBUFS when buffer is
 * too small (RESPONSE_HEAD_FIXED_SIZE and 4 bytes per extra field, beside their
 * text, always suffice); -EINVAL when a name is no token or a value holds a
 * control byte. Nothing beyond buffer_size is ever written.
 */
MUST_USE int response_head_write(const struct response_head *head, char *buffer, size_t buffer_size,
                                 size_t *ret_size);

/* "HTTP/1.1 100 Continue" with its empty line; static. */
MUST_USE struct slice response_continue(void);

/* The reason phrase; static. data is NULL for a status weir does not send. */
MUST_USE struct slice response_reason(unsigned status);

/*
 * Writes unix_ms as an IMF-fixdate of exactly HTTP_DATE_SIZE bytes. The years are
 * 1970 to 9999.
 */
void http_date_write(uint64_t unix_ms, char *ret_date);
