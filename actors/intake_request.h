/*
 * Intake request: the events of one HTTP request, from validated to acknowledged.
 *
 * event_routes.c fills it; then its ids are reserved at the shards that own them, its
 * records appended as one group, and the connection told. The states are in
 * intake_request.c. It belongs to the shard that received it and is lent to others.
 */
#pragma once

#include "contracts/siphash.h"
#include "http/exchange.h"
#include "runtime/buffer.h"
#include "store/dedup.h"
#include "store/journal.h"
#include "store/journal_reader.h"
#include "store/record.h"

enum { INTAKE_REQUEST_MAGIC = 0x49525153 };

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
    bool is_old;      /* so old that its series must say whether it still counts */
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
 * One request. Filled in by event_routes.c between intake_request_acquire() and
 * intake_request_submit(); afterwards intake's until decided, then read by event_routes.c
 * and given back with intake_request_release().
 */
struct intake_request {
    uint32_t magic;
    uint8_t phase;  /* enum intake_phase */
    bool abandoned; /* nobody waits for the answer any more */
    bool is_batch;
    bool is_partial;
    bool has_claim;
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
    /* What incidents.c, on the shard of the project, needs while it counts the events. */
    struct list_node fold_link;
    uint64_t fold_sequence;
    uint32_t fold_index;
    uint64_t project; /* of the events' series; 0: not known yet */
    uint32_t project_partition;
    bool has_series; /* some event counts for one */
    bool has_old;    /* some entry is_old */
    uint8_t idempotency_size;
    char idempotency[IDEMPOTENCY_KEY_SIZE_MAX];
};

/* A blank request for this exchange, or NULL when too many are in flight: 503. */
MUST_USE struct intake_request *intake_request_acquire(struct intake *intake,
                                                       struct exchange *exchange);

/*
 * Makes room for count events and their records. 0, or -ENOBUFS / -EMSGSIZE.
 * A request of one event needs no call.
 */
MUST_USE int intake_request_make_room(struct intake_request *request, uint32_t count);

/* Fills in what follows from an entry's id and flags: hash, owner. key is the API key's. */
void intake_request_identify(struct intake *intake, struct intake_entry *entry,
                             const struct record_key *key, struct slice name, bool is_event);

/* Starts the work. The request is decided later, perhaps before this returns. */
void intake_request_submit(struct intake_request *request);

/* True when request is decided and may be answered. */
static inline bool intake_request_is_decided(const struct intake_request *request)
{
    return request->phase == INTAKE_DECIDED;
}

/* Gives the request back, answered; nulls the pointer. */
void intake_request_release(struct intake_request **request);

/* The connection is gone or will not ask again: the request is given back when it is decided. */
void intake_request_abandon(struct intake_request **request);

/*
 * Does the request's present step for the entries that owner's shard owns. For the
 * actor, on a request of its own shard or one that was lent to it. False when that takes
 * its time: intake_request_folded() ends it.
 */
MUST_USE bool intake_request_do_step(struct intake *owner, struct intake_request *request);

/* The request's events have been counted on owner's shard: its step is done there. */
void intake_request_folded(struct intake *owner, struct intake_request *request);

/* All owners have done the present step: goes on with the next one. For the actor. */
void intake_request_advance(struct intake_request *request);

/*
 * Appends, or parks behind those that wait. False when there is still no room and the
 * request is parked at the end of the line. For the actor.
 */
bool intake_request_append(struct intake_request *request);

/* Tells the connection that its request is decided; tries again later if need be. */
void intake_request_tell(struct intake_request *request);

/* The dedup key of an event id or an Idempotency-Key of a project of an organisation. */
void intake_key(const uint8_t hash_key[SIPHASH_KEY_SIZE], struct slice org, struct slice project,
                struct slice name, bool is_event, struct dedup_key *ret_key);
