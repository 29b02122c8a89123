/*
 * URL: the parts of an http(s) URL, percent-decoding, and query parameters.
 *
 * Serves the request parser (absolute targets, Host), handlers (path and query
 * parameters) and our own clients (where to connect). Decodes only into the
 * caller's buffer. Nothing here allocates or does I/O.
 */
#pragma once

#include "runtime/base.h"

enum url_result {
    URL_OK,
    URL_BAD,      /* malformed; the caller refuses it */
    URL_TOO_LONG, /* does not fit into the caller's buffer */
    URL_END,      /* url_query_next() only: no more parameters */
};

enum url_scheme {
    URL_SCHEME_HTTP,
    URL_SCHEME_HTTPS,
};

/* All slices borrow the parsed text, but for the "/" of an empty path. */
struct url {
    enum url_scheme scheme;
    struct slice authority; /* host[:port] as it came: the Host header */
    struct slice host;      /* without port, without the brackets of an address */
    struct slice path;      /* starts with '/'; still encoded */
    struct slice query;     /* after '?'; data NULL if there is none */
    uint16_t port;          /* 80 or 443 when not given */
    bool host_is_ipv6;      /* it came in brackets */
};

/* Private to url.c; start with url_query_init(). */
struct url_query {
    struct slice rest;
};

/*
 * Parses http://host[:port][/path][?query], also https, scheme in any case.
 * Refused: user information, fragments, port 0, a bad % in the path, characters
 * outside the grammar. Borrows text.
 */
MUST_USE enum url_result url_parse(struct slice text, struct url *ret_url);

/*
 * Splits host[:port]: a name of letters, digits and -._~, or an IPv6 address in
 * brackets. An absent or empty port leaves *ret_port at default_port.
 */
MUST_USE enum url_result url_parse_authority(struct slice authority, uint16_t default_port,
                                             struct slice *ret_host, uint16_t *ret_port,
                                             bool *ret_is_ipv6);

/* True when the host is this machine by its name or its address. Nothing is looked up. */
MUST_USE bool url_is_loopback(const struct url *url);

/*
 * Writes "https://api.example.com:443" to at most capacity bytes and a zero: scheme and host in
 * lower case, the port always. False when it does not fit; *ret_origin is then untouched.
 */
MUST_USE bool url_origin_write(const struct url *url, char *buffer, size_t capacity,
                               struct slice *ret_origin);

/* True when every % of the text is followed by two hex digits. */
MUST_USE bool url_percents_are_valid(struct slice text);

/*
 * Percent-decodes text into buffer; '+' stays as it is. Refuses a bad % and NUL,
 * as %00 or bare. At most text.size bytes are written, and buffer may be where
 * text is.
 */
MUST_USE enum url_result url_decode(struct slice text, char *buffer, size_t buffer_size,
                                    size_t *ret_size);

/* Starts over a raw query (without '?'); borrows it. */
void url_query_init(struct url_query *query, struct slice raw);

/*
 * Decodes the next parameter into buffer, key first; '+' is a space. Empty pairs
 * ("a=1&&b") are skipped, a key without '=' has an empty value. On URL_OK the two
 * slices borrow buffer and the iterator moves on; on URL_BAD and URL_TOO_LONG it
 * moves on too, so that the caller may choose to go on.
 */
MUST_USE enum url_result url_query_next(struct url_query *query, char *buffer, size_t buffer_size,
                                        struct slice *ret_key, struct slice *ret_value);

/*
 * Decodes the value of the first parameter with that (plain) name into buffer,
 * which need only be large enough for this value. URL_END when there is none;
 * parameters of other names are passed over whatever they hold.
 */
MUST_USE enum url_result url_query_find(struct slice raw, struct slice key, char *buffer,
                                        size_t buffer_size, struct slice *ret_value);

/*
 * The same where a parameter that is bad and one that is too long are refused alike;
 * raw.data may be NULL. *ret_value.data is NULL when there is none. False: refuse.
 */
MUST_USE bool url_query_text(struct slice raw, struct slice key, char *buffer, size_t buffer_size,
                             struct slice *ret_value);

/*
 * Reads the decimal number of the first parameter with that (plain) name; raw.data may be
 * NULL. *ret_value stays as it is when there is none. False when it is no whole number from
 * min to max.
 */
MUST_USE bool url_query_number(struct slice raw, struct slice key, uint64_t min, uint64_t max,
                               uint64_t *ret_value);
