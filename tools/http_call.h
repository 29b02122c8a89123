/*
 * HTTP call: one keep-alive connection of a command-line tool to one server.
 *
 * Blocking, with a time limit per call. Connects when needed; a kept connection that
 * the server has closed meanwhile is opened again once, so callers send only what is
 * safe to repeat. Redirects are not followed. Not for the server: it blocks and
 * allocates.
 */
#pragma once

#include "http/url.h"
#include "runtime/base.h"

enum {
    HTTP_CALL_TIMEOUT_MS_DEFAULT = 30000,
    HTTP_CALL_HEAD_SIZE_MAX = 64 * 1024,
    HTTP_CALL_BODY_SIZE_MAX = 64 << 20,
};

struct http_call;

/* One request. Everything is borrowed for the call; what is NULL or empty is left out. */
struct http_call_request {
    const char *method;
    const char *path; /* with its query; appended to the path of the server's URL */
    const char *content_type;
    const char *api_key; /* X-API-Key */
    const char *token;   /* Authorization: Bearer */
    struct slice body;
};

/* One answer; the slices live until the next call. */
struct http_call_answer {
    unsigned status;
    uint64_t retry_after_s; /* of a Retry-After in seconds; 0 when there is none */
    struct slice content_type;
    struct slice body;
};

/*
 * A caller of the server at url, http[s]://HOST[:PORT][/PREFIX], which is copied. Nothing
 * is connected yet. 0; -EINVAL for what is no such URL; -ENOMEM. timeout_ms bounds each
 * attempt to connect, each handshake and each call.
 */
MUST_USE int http_call_new(const char *url, uint64_t timeout_ms, struct http_call **ret_call);

/*
 * For https, before the first call; for http it does nothing. Trusts the authorities of
 * the system and those in the PEM file at ca_path, unless that is NULL. 0; or -errno and,
 * in text, a sentence that names the file.
 */
MUST_USE int http_call_trust(struct http_call *call, const char *ca_path, char *text, size_t size);

/* Closes and frees; nulls the pointer. NULL is accepted. */
void http_call_free(struct http_call **call);

/* True when the host of the URL is this machine by its name or address. */
bool http_call_is_loopback(const struct http_call *call);

/*
 * Sends request and reads its answer to the end. 0 whatever the status; -EINVAL when
 * a field cannot be sent in a header; -ECONNREFUSED, -EHOSTUNREACH (also: no such
 * host), -ECONNRESET, -ETIMEDOUT or another -errno of the network; -EKEYREJECTED when TLS
 * fails, -ENOKEY when nobody is trusted yet; -EPROTO when the answer is not HTTP;
 * -EMSGSIZE when it is too large.
 */
MUST_USE int http_call_send(struct http_call *call, const struct http_call_request *request,
                            struct http_call_answer *ret_answer);

/* True when error, an answer of http_call_send(), says that no server could be reached. */
bool http_call_is_unreachable(int error);

/* "cannot reach http://127.0.0.1:3000: Connection refused" into text[0..size). */
void http_call_describe(const struct http_call *call, int error, char *text, size_t size);

/*
 * What a refusal says, for people: status, then detail, title or error of the body, then the
 * stable code; into text[0..size).
 */
void http_call_describe_refusal(const struct http_call_answer *answer, char *text, size_t size);
