/*
 * Schedule request: what one HTTP request wants done with schedules.
 *
 * An errand (actors/errand.h) from schedule_routes.c to the shard that keeps the project's
 * schedules, where schedule_commands.c carries it out. While it is lent, so are its buffers.
 */
#pragma once

#include "actors/errand.h"
#include "contracts/schedule_spec.h"
#include "runtime/buffer.h"
#include "store/durable.h"
#include "store/schedule_record.h"

enum {
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

/* One request. The first group is filled by schedule_routes.c between acquire and submit. */
struct schedule_request {
    struct errand errand;
    uint8_t operation; /* enum schedule_operation */
    uint8_t name_size;
    char name[SCHEDULE_SPEC_NAME_SIZE_MAX];
    uint32_t limit;  /* LIST */
    uint32_t cursor; /* LIST: where to go on */

    /* Result, beside the errand's. */
    uint8_t fault; /* enum schedule_fault, with PROBLEM_INVALID_SCHEDULE */
    bool is_new;   /* PUT: there was none before */

    /* Private to schedule*.c. */
    struct buffer *image;      /* PUT: the record, whose head the owner completes */
    struct buffer *text;       /* holds the answer */
    struct zone *zone;         /* PUT: the owner's */
    struct schedule *schedule; /* while its record is being written */
    struct slice part;
    struct journal_record record;
    struct durable_step step;
    char tombstone[SCHEDULE_TOMBSTONE_SIZE_MAX];
};

/* Of the errands of schedules. */
extern const struct errand_type schedule_request_type;

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
 * caller's.
 */
MUST_USE int schedule_request_submit(struct schedule_request *request);

/* What the errand is part of. */
static inline struct schedule_request *schedule_request_of(struct errand *errand)
{
    return container_of(errand, struct schedule_request, errand);
}
