/*
 * Schedule request: what one HTTP request wants done with schedules.
 *
 * schedule_routes.c fills it on the shard that received the request (home); the shard that
 * keeps the project's schedules (owner) carries it out and gives it back decided. Between
 * submit and the answer it is lent: only the owner touches it and its buffers.
 *
 *     FILLING --submit--> LENT --decided--> DECIDED --release--> free
 *                           \--the connection is gone: abandoned, freed when it comes back
 */
#pragma once

#include "contracts/problem.h"
#include "contracts/schedule_spec.h"
#include "http/exchange.h"
#include "runtime/buffer.h"
#include "store/durable.h"
#include "store/schedule_record.h"

enum {
    SCHEDULE_REQUEST_MAGIC = 0x53435251,
    SCHEDULE_REQUEST_COUNT_MAX = 64, /* per shard, in flight */
    SCHEDULE_TEXT_SIZE_MAX = 4096,   /* of one schedule as JSON, without its payload */
    SCHEDULE_LIST_SIZE_MAX = 65536,
    SCHEDULE_TOMBSTONE_SIZE_MAX = 128 + 3 * JOB_NAME_SIZE_MAX,
};

struct schedules;
struct schedule;
struct zone;

enum schedule_operation {
    SCHEDULE_PUT,
    SCHEDULE_DELETE,
    SCHEDULE_GET,
    SCHEDULE_LIST,
};

/* What only the owner can find wrong with a PUT: 422. */
enum schedule_fault {
    SCHEDULE_FAULT_NONE,
    SCHEDULE_FAULT_ZONE,  /* there is no such time zone here */
    SCHEDULE_FAULT_NEVER, /* the schedule is never due */
};

enum schedule_request_phase {
    SCHEDULE_REQUEST_FILLING,
    SCHEDULE_REQUEST_LENT,
    SCHEDULE_REQUEST_DECIDED,
};

/* One request. The first group is filled by schedule_routes.c between acquire and submit. */
struct schedule_request {
    uint32_t magic;
    uint8_t phase;     /* enum schedule_request_phase */
    uint8_t operation; /* enum schedule_operation */
    uint8_t org_size;
    uint8_t project_size;
    uint8_t name_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char name[SCHEDULE_SPEC_NAME_SIZE_MAX];
    uint32_t limit;  /* LIST */
    uint32_t cursor; /* LIST: where to go on */

    /* Result: PROBLEM_NONE, or why it was refused; else the answer is JSON. */
    uint16_t code;
    uint8_t fault; /* enum schedule_fault, with PROBLEM_INVALID_SCHEDULE */
    bool is_new;   /* PUT: there was none before */
    struct slice answer;

    /* Private to schedule*.c. */
    bool abandoned;
    struct schedules *home;
    struct schedules *owner;
    struct actor_id connection;
    uint64_t token;
    struct buffer *image;      /* PUT: the record, whose head the owner completes */
    struct buffer *text;       /* holds answer */
    struct zone *zone;         /* PUT: the owner's */
    struct schedule *schedule; /* while its record is being written */
    struct list_node link;     /* of those that wait */
    struct slice part;
    struct journal_record record;
    struct durable_step step;
    char tombstone[SCHEDULE_TOMBSTONE_SIZE_MAX];
};

/* A blank request for this exchange, or NULL when too many are in flight: 503. */
MUST_USE struct schedule_request *schedule_request_acquire(struct schedules *home,
                                                           struct exchange *exchange);

/*
 * PUT: takes over what spec asks for, copied. 0, or -ENOBUFS. key is its decoded key, which
 * may be empty; the names must have been set.
 */
MUST_USE int schedule_request_take_spec(struct schedule_request *request,
                                        const struct schedule_spec *spec, struct slice key);

/*
 * Hands it to the owner of the project's schedules. 0, or -ENOBUFS and it is still the
 * caller's. The answer is MSG_SCHEDULE_ANSWER to the connection, with the exchange's token.
 */
MUST_USE int schedule_request_submit(struct schedule_request *request);

/* A request has come home. For schedules.c. */
void schedule_request_came_back(struct schedule_request *request);

/* Gives a request back, or has that done when it comes back; nulls the pointer. */
void schedule_request_release(struct schedule_request **request);
