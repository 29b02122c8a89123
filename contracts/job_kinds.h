/*
 * Job kinds: what the kinds that the product knows ask of a job's payload.
 *
 * A kind that is not in the table is the user's own and may carry any JSON. The nine of the
 * service desk take a small object with the ids they work on, each a string of 1 to 128
 * bytes; other members of it are theirs. incident.summarize is of the same shape, but carried
 * out by the server itself (actors/incident_summary.h), and so is http.request:
 *
 *     {"url": http or https, "method"?: "POST", "headers"?: {"name": "value", ... 1..32},
 *      "body"?: a string, or any other JSON to be sent as such,
 *      "timeout_ms"?: 100..300000, "expect"?: [status, ... 1..16]; any 2xx when left out}
 */
#pragma once

#include "contracts/issue.h"
#include "runtime/base.h"

enum {
    JOB_KIND_FIELD_COUNT_MAX = 2,
    JOB_KIND_ID_SIZE_MAX = 128,
    JOB_KIND_URL_SIZE_MAX = 2048,
    JOB_KIND_HEADER_COUNT_MAX = 32,
    JOB_KIND_HEADER_SIZE_MAX = 4096,
    JOB_KIND_EXPECT_COUNT_MAX = 16,
    JOB_KIND_TIMEOUT_MS_MIN = 100,
    JOB_KIND_TIMEOUT_MS_MAX = 300000,
};

/* The kind that incidents enqueue and the server carries out itself. */
#define JOB_KIND_SUMMARIZE "incident.summarize"

/* One kind of the product's own. */
struct job_kind {
    struct slice name;
    struct slice fields[JOB_KIND_FIELD_COUNT_MAX]; /* in quotes, as in JSON; empty: none */
    uint32_t field_count;
    uint8_t max_attempts; /* for a job and a queue that set none */
    uint32_t timeout_ms;  /* the same */
    /* The waits between attempts: base_ms * factor^(n - 1), at most cap_ms. */
    uint32_t base_ms;
    uint32_t cap_ms;
    uint8_t factor;
    bool has_jitter; /* each wait is anything from nothing up to that */
};

/* The n-th, 0 <= n < job_kind_count(). */
const struct job_kind *job_kind_at(uint32_t n);
uint32_t job_kind_count(void);

/* The kind of this name in the table, or NULL. */
const struct job_kind *job_kind_find(struct slice name);

/*
 * True when payload, raw JSON that a reader has validated, is what the kind takes; else
 * issues with the parent "payload" were added.
 */
MUST_USE bool job_kind_check(struct slice kind, struct slice payload, int32_t index,
                             struct issue_list *issues);
