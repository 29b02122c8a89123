/*
 * Job request: what one HTTP request wants done with jobs, from parsed to answered.
 *
 * job_routes.c fills it on the shard that received the request (home); the desk of the
 * shard that keeps the project's jobs (owner) carries it out, and gives it back decided.
 * Between submit and the answer it is lent: only the owner touches it, and with it all
 * buffers that hang on it. Bounded by a pool per shard.
 *
 *     FILLING --submit--> LENT --decided--> DECIDED --release--> free
 *                           \--the connection is gone: abandoned, freed when it comes back
 */
#pragma once

#include "contracts/problem.h"
#include "http/exchange.h"
#include "runtime/buffer.h"
#include "store/durable.h"
#include "store/job_id.h"
#include "store/job_table.h"
#include "store/journal_reader.h"

enum {
    JOB_REQUEST_MAGIC = 0x4a4f4252,
    JOB_BATCH_MAX = 100,     /* jobs of one request */
    JOB_FLOW_JOBS_MAX = 100, /* jobs of one flow */
    JOB_ANSWER_SIZE_MIN = 16384,
    JOB_ANSWER_BATCH_SIZE = 262144,
    JOB_LEASE_LIMIT_MAX = 100, /* jobs of one lease */
    JOB_QUEUE_LIST_MAX = 100,  /* queues of one page */
    JOB_LEASE_WAIT_MS_MAX = 30000,
    JOB_LEASE_MS_MIN = 5000,
    JOB_LEASE_MS_DEFAULT = 30000,
};

struct job_desk;

enum job_operation {
    JOB_ENQUEUE, /* items: new jobs, all or nothing */
    JOB_LEASE,   /* finishes: complete or fail these first; then lease up to limit of kind */
    JOB_FINISH,  /* finishes only: each its own outcome */
    JOB_EXTEND,  /* items[0]: id, epoch; lease_ms; progress */
    JOB_CANCEL,  /* items[0]: id */
    JOB_GET,     /* items[0]: id */
    JOB_QUEUE_GET,
    JOB_QUEUE_SET,  /* those of settings that are given; made when it is not there */
    JOB_QUEUE_LIST, /* up to limit queues of the project whose kinds come after kind */
    JOB_RETURN,     /* job_request.c's own: nobody is there to take what was leased */
};

/* What became of one item. */
enum job_item_status {
    JOB_ITEM_NONE,      /* not looked at yet, or the whole request was refused */
    JOB_ITEM_DONE,      /* enqueued, completed, failed, extended, cancelled, found, leased */
    JOB_ITEM_DUPLICATE, /* enqueue: the job is there already. finish: repeated, the same again */
    JOB_ITEM_UNKNOWN,   /* no such job of this project: 404 */
    JOB_ITEM_STALE,     /* 409 stale_epoch */
    JOB_ITEM_BUSY,      /* another command about it is being written: 409, Retry-After 1 */
    JOB_ITEM_TERMINAL,  /* cancel: it has ended already: 409 */
};

/*
 * One job of a request. For ENQUEUE image is filled but for ids, times and state. Slices may
 * point into the exchange's body: job_request_submit() copies what they point to. For a finish
 * text is the result or the error.
 */
struct job_item {
    struct job_id id;
    uint64_t epoch; /* boot generation << 32 | delivery */
    /* ENQUEUE, in. image.after_count of after_items are indexes of earlier items (flows). */
    struct job_image image;
    uint64_t delay_ms; /* from now; with neither this nor run_at: at once */
    uint64_t run_at_ms;
    uint64_t deadline_in_ms;   /* from now; 0: none */
    uint64_t unique_window_ms; /* THROTTLE, IDEMPOTENCY; DEBOUNCE: longest wait, 0: none */
    uint8_t after_items[JOB_AFTER_COUNT_MAX];
    char kind[JOB_NAME_SIZE_MAX];
    /* finish, in */
    bool is_failure;
    bool is_retryable;
    uint64_t retry_after_ms; /* 0: by policy */
    struct slice text;       /* result, error, or progress (EXTEND); JSON but for an error */
    /* out */
    uint8_t status;  /* enum job_item_status */
    uint8_t state;   /* enum job_state, as it is now */
    uint8_t attempt; /* of a lease: the running one; else those recorded */
    uint8_t max_attempts;
    uint8_t priority;
    uint8_t reason; /* enum job_dead_reason */
    uint32_t after_failed_count;
    uint64_t when_ms; /* LEASED: until; SCHEDULED: due; terminal: ended */
    struct slice payload, key, result, last_error, progress, correlation; /* in `answer` */
    /* Private to the desk. */
    struct job_ref ref;
    struct job_queue *queue;
    struct slice encoded; /* the record's payload, in facts */
};

/* The numbers of a queue as shown to its owner. */
struct job_queue_view {
    struct job_queue_settings settings;
    uint32_t counts[JOB_STATE_COUNT];
    uint64_t accepted_count;
    uint64_t oldest_ready_ms; /* how long the oldest QUEUED job has been ready; 0: none */
    uint32_t waiter_count;    /* leases that wait for a job */
};

/* One queue of a list; they stand in `answer`. */
struct job_queue_line {
    struct job_queue_view view;
    uint8_t kind_size;
    char kind[JOB_NAME_SIZE_MAX];
};

enum job_request_phase {
    JOB_REQUEST_FILLING,
    JOB_REQUEST_LENT,
    JOB_REQUEST_DECIDED,
};

/* One request. The first group is filled by job_routes.c between acquire and submit. */
struct job_request {
    uint32_t magic;
    uint8_t phase;     /* enum job_request_phase */
    uint8_t operation; /* enum job_operation */
    bool abandoned;    /* home's: nobody waits any more */
    bool is_batch;
    bool is_flow;
    uint8_t org_size;
    uint8_t project_size;
    uint8_t kind_size;     /* LEASE, QUEUE_*; 0 otherwise, or for a list from its beginning */
    uint16_t item_count;   /* ENQUEUE, FINISH and the single ones */
    uint16_t finish_count; /* LEASE: items[0..finish_count) are to be finished first */
    uint16_t limit;        /* LEASE, QUEUE_LIST */
    uint16_t given;        /* QUEUE_SET: QUEUE_GIVES_* of contracts/queue_spec.h */
    uint32_t wait_ms;
    uint32_t lease_ms;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char kind[JOB_NAME_SIZE_MAX];
    struct job_item *items; /* item_count (LEASE: finish_count + limit) of them, in work */
    struct job_queue_settings settings;
    struct buffer *work;   /* the items */
    struct buffer *facts;  /* records to be written, with copies of all they are made of */
    struct buffer *answer; /* filled by the owner: bodies and texts; size grows as used */

    /* Result: PROBLEM_NONE, or why the whole request was refused. */
    uint16_t code;
    uint16_t leased_count; /* LEASE: items[finish_count..+leased_count) */
    uint32_t retry_after_s;
    struct job_queue_view queue_view;
    uint16_t line_count; /* QUEUE_LIST: struct job_queue_line in answer */
    bool has_more;       /* QUEUE_LIST: there are more behind them */

    /* Private to job_request.c and the desk. */
    struct job_desk *home;
    struct job_desk *owner;
    struct actor_id connection;
    uint64_t token;
    struct list_node link;      /* a queue's waiters */
    struct list_node desk_link; /* all waiters of the desk */
    struct timer wait_timer;
    bool is_waiting; /* a lease that waits for a job */
    bool has_waited;
    bool forget_sent; /* home has asked the owner to stop waiting, and has no answer yet */
    uint16_t stage;   /* the desk's progress through the items */
    uint32_t answer_size_needed; /* the first body does not fit: home sends it again with more */
    uint64_t wait_until_ns;
    uint64_t rate_retry_ms;         /* see job_table_take() */
    struct journal_record *records; /* in facts */
    struct durable_step step;
    struct journal_read read;
    struct buffer *read_buffer; /* the owner's */
};

/* A blank request for this exchange, or NULL when too many are in flight: 503. */
MUST_USE struct job_request *job_request_acquire(struct job_desk *home, struct exchange *exchange);

/* Makes room for item_count items, zeroed. 0, or -ENOBUFS / -EMSGSIZE. */
MUST_USE int job_request_make_room(struct job_request *request, uint32_t item_count);

/*
 * Hands it to the owner of the project's jobs. Copies all that its slices point to, so call
 * it while the body is there. 0, or -ENOBUFS / -EMSGSIZE and it is still the caller's. The
 * answer is MSG_JOB_ANSWER to the connection, with the exchange's token.
 */
MUST_USE int job_request_submit(struct job_request *request);

/* Gives a decided or never submitted request back; nulls the pointer. */
void job_request_release(struct job_request **request);

/* The connection is gone: what was leased for it goes back at once. Nulls the pointer. */
void job_request_abandon(struct job_request **request);

/* The owner has answered FORGET. For the desk. */
void job_request_forgotten(struct job_request *request);

/* True when it may be answered and released. */
static inline bool job_request_is_decided(const struct job_request *request)
{
    return request->phase == JOB_REQUEST_DECIDED;
}
