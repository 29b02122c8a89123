/*
 * HTTP request: the handler of jobs of the kind http.request.
 *
 * The payload says what to send (contracts/job_kinds.h); the answer decides:
 *
 *     a status the job expects; any 2xx if it says none     completed, see below
 *     408, 425, 429, 5xx, no answer at all                  tried again, Retry-After honoured
 *     any other status, a URL or field that cannot be sent,
 *     an address that the policy forbids                    dead, not retryable
 *     a breaker that is open                                parked, no attempt used
 *
 * A probe of a breaker that gets no answer at all uses no attempt either: it says more of the
 * peer than of the job. Result: {"status", "headers": a few, "body": the first 4 KiB, or
 * "body_base64" when it is not UTF-8, "body_truncated": true when there was more}.
 *
 * "Idempotency-Key: <job id>" is added unless the job has one of its own, so that a peer can
 * tell a repetition; "Content-Type: application/json" likewise for a body that is no string.
 * Redirects are not followed. One per shard; it runs inside the desk and the HTTP client.
 */
#pragma once

#include "actors/job_call.h"
#include "contracts/uuid.h"

enum {
    HTTP_REQUEST_TIMEOUT_MS = 30000,    /* of jobs that say none */
    HTTP_REQUEST_BODY_SIZE_MAX = 65536, /* of an answer; the rest is not read */
    HTTP_REQUEST_BODY_KEPT_MAX = 4096,
    HTTP_REQUEST_FIELD_KEPT_MAX = 256,
    HTTP_REQUEST_RESULT_SIZE_MAX = 15000,
    HTTP_REQUEST_HEADER_COUNT_MAX = 32 + 2,
    HTTP_REQUEST_EXPECT_COUNT_MAX = 16,
};

struct app_shard;

/* One request on its way. Private to http_request.c. */
struct http_request_call {
    struct job_call call;
    struct buffer *work; /* strings without their escapes; NULL: there were none */
    uint8_t expect_count;
    uint16_t expect[HTTP_REQUEST_EXPECT_COUNT_MAX];
    uint32_t header_count;
    struct header headers[HTTP_REQUEST_HEADER_COUNT_MAX];
    char id[UUID_TEXT_SIZE];
};

/* Private to http_request.c; embedded in the app_shard. */
struct http_requests {
    struct job_calls calls;
};

/*
 * Reserves the calls and registers the handler at the shard's desk, which there must be. 0 or
 * -errno; -EINVAL when the settings name a network that is none. Start-up only.
 */
MUST_USE int http_requests_init(struct http_requests *requests, struct app_shard *home);

/* Frees what http_requests_init() made. */
void http_requests_deinit(struct http_requests *requests);

/* At a time, on each shard. */
uint32_t http_requests_concurrency(int64_t total, uint32_t shard_count);
