/*
 * Intake: takes events in, once each, and acknowledges them when they are durable.
 *
 * One per shard. The HTTP handlers (event_routes.c) fill an intake_request with
 * validated, canonical events; intake reserves their ids, appends them to this
 * shard's log as one atomic record group, and tells the connection when the group
 * is on stable storage. Ids are deduplicated by the shard that owns their hash.
 */
#pragma once

#include "actors/intake_request.h"
#include "actors/outbox.h"
#include "runtime/metrics.h"
#include "runtime/pool.h"
#include "store/dedup.h"

enum {
    INTAKE_MAGIC = 0x494e544b,
    INTAKE_DELAY_INTERVAL_MS = 100, /* the queue must be slow for so long before it sheds */
    INTAKE_RETRY_AFTER_S = 1,
};

struct app_shard;

/* Series; registered once. */
struct intake_metrics {
    struct metric outcome[5]; /* by enum event_status, see the labels in intake.c */
    struct metric in_flight;
    struct metric queue_delay;
    struct metric dedup_entries;
    struct metric dedup_evicted;
    struct metric dedup_window;
};

/* Private to intake.c and intake_request.c; embedded in the app_shard. */
struct intake {
    struct actor actor;
    struct app_shard *home;
    struct outbox outbox;
    struct pool requests;
    struct dedup *dedup;
    struct list_node parked;     /* INTAKE_PARKED, first come first served */
    struct list_node unanswered; /* decided, the message to the connection did not go yet */
    struct timer retry_timer;
    uint64_t slow_since_ns;   /* the queue has been slow since; 0: it is not */
    uint64_t progress_ns;     /* when the journal last did something for us */
    uint32_t appending_count; /* requests that wait for the journal */
    bool is_shedding;
    bool is_stopping;
    bool is_drained;        /* stopping, and nothing of this shard is in flight */
    uint32_t drained_count; /* shards of which that is true, this one included */
};

/* Registers the series. Boot only. */
void intake_metrics_add(struct metrics_registry *registry, struct intake_metrics *ret_metrics);

/* Reserves pool and dedup table. 0 or -errno. Start-up only. */
MUST_USE int intake_init(struct intake *intake, struct app_shard *home);

/* The type and magic for the shard's supervision tree. */
extern const struct actor_type intake_type;

/* Frees what intake_init() made. */
void intake_deinit(struct intake *intake);

/*
 * Whether a new request may come in. PROBLEM_NONE, or the code of the refusal:
 * recovering, overloaded, storage full or failed.
 */
MUST_USE enum problem_code intake_admit(struct intake *intake);

/* Feeds the shedding rule: slow for a whole interval starts it, one quick request ends it. */
void intake_observe_delay(struct intake *intake, uint64_t delay_ns);

/* The journal has room again: goes on with the parked requests. */
void intake_on_room(struct intake *intake);

/* Recovery: a record of this shard's or another log. Boot thread, before the hand-over. */
void intake_recover_claim(struct intake *intake, struct dedup_key key, uint64_t body_hash,
                          struct journal_location location, uint64_t received_ms);
