/*
 * Intake: takes events in, once each, and acknowledges them when they are durable.
 *
 * One per shard. The HTTP handlers (event_routes.c) fill an intake_request with
 * validated, canonical events; intake reserves their ids, appends them to this
 * shard's log as one atomic record group, and tells the connection when the group
 * is on stable storage. Ids are deduplicated by the shard that owns their hash.
 */
#pragma once

#include "actors/outbox.h"
#include "actors/record.h"
#include "contracts/siphash.h"
#include "http/exchange.h"
#include "runtime/buffer.h"
#include "runtime/metrics.h"
#include "runtime/pool.h"
#include "store/dedup.h"
#include "store/event_index.h"
#include "store/journal.h"
#include "store/journal_reader.h"

enum {
    INTAKE_MAGIC = 0x494e544b,
    INTAKE_REQUEST_MAGIC = 0x49525153,
    INTAKE_DELAY_INTERVAL_MS = 100, /* the queue must be slow for so long before it sheds */
    INTAKE_RETRY_AFTER_S = 1,
};

struct app_shard;
struct intake;

/* One event, or the Idempotency-Key, of a request. */
struct intake_entry {
    struct dedup_key key;
    uint64_t body_hash;
    uint64_t received_ms; /* of the first acceptance, for a duplicate */
    struct journal_location location;
    struct record_event header; /* borrowed by the journal until durable */
    struct slice parts[2];      /* header and envelope */
    uint32_t partition;
    uint32_t owner; /* shard that deduplicates it */
    uint32_t envelope_offset;
    uint32_t envelope_size;
    uint8_t status;   /* enum event_status */
    uint8_t code;     /* enum problem_code of what was not accepted */
    uint8_t verdict;  /* enum dedup_result */
    bool is_claim;    /* deduplicated: the client chose the id */
    bool is_reserved; /* must be committed or released */
    char event_id[UUID_TEXT_SIZE];
};

enum intake_phase {
    INTAKE_FILLING,    /* the handler's */
    INTAKE_RESERVING,  /* owners look the ids up */
    INTAKE_PARKED,     /* the journal's staging is full: waits for room, in order */
    INTAKE_APPENDING,  /* in the journal */
    INTAKE_COMMITTING, /* owners learn where the records are */
    INTAKE_RELEASING,  /* owners forget the reservations */
    INTAKE_REPLAYING,  /* the first answer to this Idempotency-Key is read back */
    INTAKE_DECIDED,    /* the connection may answer */
};

/*
 * One request. Filled in by event_routes.c between intake_acquire() and
 * intake_submit(); afterwards intake's until decided, then read by event_routes.c
 * and given back with intake_release().
 */
struct intake_request {
    uint32_t magic;
    uint8_t phase;  /* enum intake_phase */
    bool abandoned; /* nobody waits for the answer any more */
    bool is_batch;
    bool is_partial;
    bool has_claim;
    bool outcome_unknown;
    bool is_replay; /* the Idempotency-Key was seen: give the first answer again */
    uint16_t code;  /* enum problem_code of the refusal; PROBLEM_NONE when accepted */
    uint32_t waiting_count;
    struct intake *home;
    struct actor_id connection;
    uint64_t token;
    uint64_t appended_ns;
    uint64_t received_ms;
    uint32_t entry_count;
    uint32_t new_count;           /* entries that get a record */
    struct intake_entry *entries; /* &inline_entry, or in work */
    struct intake_entry inline_entry;
    struct intake_entry claim; /* the Idempotency-Key, when has_claim */
    struct buffer *work;       /* entries and records of a batch */
    struct buffer *envelopes;
    struct buffer *claim_lines; /* record_claim_event lines, written or read back */
    struct journal_append append;
    struct journal_record *records; /* inline_records, or in work */
    struct journal_record inline_records[2];
    struct record_claim claim_header;
    struct slice claim_parts[3];
    struct journal_read read;
    struct list_node queue_link; /* intake.parked or intake.unanswered */
    uint8_t idempotency_size;
    char idempotency[IDEMPOTENCY_KEY_SIZE_MAX];
};

/* Series; registered once. */
struct intake_metrics {
    struct metric outcome[5]; /* by enum event_status, see the labels in intake.c */
    struct metric in_flight;
    struct metric queue_delay;
    struct metric dedup_entries;
    struct metric dedup_evicted;
    struct metric dedup_window;
};

/* Private to intake.c; embedded in the app_shard. */
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

/* A blank request for this exchange, or NULL when too many are in flight: 503. */
MUST_USE struct intake_request *intake_acquire(struct intake *intake, struct exchange *exchange);

/*
 * Makes room for count events and their records. 0, or -ENOBUFS / -EMSGSIZE.
 * A request of one event needs no call.
 */
MUST_USE int intake_make_room(struct intake_request *request, uint32_t count);

/* Fills in what follows from an entry's id and flags: hash, owner. */
void intake_identify(struct intake *intake, struct intake_entry *entry, struct slice project,
                     struct slice name, bool is_event);

/* Starts the work. The request is decided later, perhaps before this returns. */
void intake_submit(struct intake_request *request);

/* True when request is decided and may be answered. */
static inline bool intake_is_decided(const struct intake_request *request)
{
    return request->phase == INTAKE_DECIDED;
}

/* Gives the request back, answered; nulls the pointer. */
void intake_release(struct intake_request **request);

/* The connection is gone or will not ask again: the request is given back when it is decided. */
void intake_abandon(struct intake_request **request);

/*
 * Whether a new request may come in. PROBLEM_NONE, or the code of the refusal:
 * recovering, overloaded, storage full or failed.
 */
MUST_USE enum problem_code intake_admit(struct intake *intake);

/* The journal has room again: goes on with the parked requests. */
void intake_on_room(struct intake *intake);

/* Recovery: a record of this shard's or another log. Boot thread, before the hand-over. */
void intake_recover_claim(struct intake *intake, struct dedup_key key, uint64_t body_hash,
                          struct journal_location location, uint64_t received_ms);

/* The dedup key of an event id or an Idempotency-Key of a project. */
void intake_key(const uint8_t hash_key[SIPHASH_KEY_SIZE], struct slice project, struct slice name,
                bool is_event, struct dedup_key *ret_key);
