/*
 * Record: what the product writes into the journal, byte for byte.
 *
 * The journal frames and checks the bytes; these are the payloads. All integers
 * are little-endian, as in memory on every machine weir runs on. A reader that
 * meets a type or a version it does not know refuses the log.
 *
 *     EVENT    see store/event_record.h
 *     CLAIM    struct record_claim, then the Idempotency-Key, then event_count
 *              struct record_claim_event
 *     KEY      struct record_key: an API key as it is from now on
 *     JOB, JOB_FACT, JOB_QUEUE   see store/job_record.h
 *     SCHEDULE, BREAKER          see store/schedule_record.h, actors/breakers.h
 *     INCIDENT, INCIDENT_RULES, AI_RUN   see store/incident_record.h, store/ai_run_record.h
 *     REPLAY   struct record_replay, then id_count struct record_replay_id: a replay of
 *              dead letters as it is from now on
 *
 * Types from JOB on are facts of durable actors (store/durable.h), each with versions
 * of its own; they go to the shard that has their partition. A type that no actor of
 * this version owns is one of a later version.
 *
 * An event's own dedup claim is its record: flag RECORD_EVENT_CLIENT_ID. A CLAIM
 * stands in the same record group as the events it answers for.
 */
#pragma once

#include "contracts/problem.h"
#include "contracts/sha256.h"
#include "contracts/uuid.h"
#include "runtime/base.h"
#include "store/event_record.h"
#include "store/record_types.h"

enum { RECORD_VERSION = 1 }; /* of CLAIM, KEY */

enum {
    REPLAY_RECORD_VERSION = 1,
    REPLAY_ID_COUNT_MAX = 100, /* letters that one replay may name */
    REPLAY_NAME_SIZE_MAX = 64, /* organisation, project, kind: each */
};

enum {
    TENANT_NAME_SIZE_MAX = 64, /* org_id and project_id */
    IDEMPOTENCY_KEY_SIZE_MAX = 255,
};

struct record_claim {
    uint64_t key[2]; /* as in record_event, of (project, Idempotency-Key) */
    uint64_t received_ms;
    uint64_t body_hash; /* SipHash-64 of path, query and decoded body */
    uint32_t event_count;
    uint16_t key_size;
    uint8_t project_size;
    uint8_t is_batch;
    char project[TENANT_NAME_SIZE_MAX];
};

/* What became of one event of a request. On disk: only ever append. */
enum event_status {
    EVENT_ACCEPTED,
    EVENT_DUPLICATE,
    EVENT_INVALID,
    EVENT_QUOTA,
    EVENT_RETRY,
};

/* One line of the answer that a repeated request gets again. */
struct record_claim_event {
    char event_id[UUID_TEXT_SIZE];
    uint8_t status; /* enum event_status */
    uint8_t code;   /* record_claim_code(), for what was not accepted */
    uint8_t reserved[2];
};

enum {
    KEY_SCOPE_INGEST = 1,
    KEY_SCOPE_READ = 2,
    KEY_SCOPE_ADMIN = 4,
};

struct record_key {
    char id[UUID_TEXT_SIZE];
    uint32_t scopes;           /* KEY_SCOPE_* */
    uint8_t hash[SHA256_SIZE]; /* of the key as the client sends it */
    char org[TENANT_NAME_SIZE_MAX];
    char project[TENANT_NAME_SIZE_MAX];
    uint8_t org_size;
    uint8_t project_size;
    uint8_t prefix_size;
    uint8_t reserved[5];
    char prefix[16]; /* the first characters, to recognise a key by */
    uint64_t created_ms;
    uint64_t revoked_ms; /* 0: in force */
    uint64_t rate_per_s; /* events; 0: the server's default */
    uint64_t burst;
};

/*
 * Which letters are replayed, and how far that has come. The filter is that of
 * store/dead_filter.h; ids, when there are any, are those of its letters that are meant.
 */
struct record_replay {
    uint64_t id_low; /* with began_ms and the record's partition: its id, see store/job_id.h */
    uint64_t began_ms;
    uint64_t ended_ms; /* 0: it goes on */
    uint64_t total;    /* letters meant when it began */
    uint64_t done;     /* REPLAY that has ended: letters replayed */
    uint64_t failed;   /* the same: letters that could not be */
    uint64_t since_ms; /* 0: any */
    uint64_t until_ms; /* as since_ms */
    uint32_t rate_per_s;
    uint16_t id_count;
    uint8_t reason; /* enum job_dead_reason; 0: any */
    uint8_t org_size;
    uint8_t project_size;
    uint8_t kind_size;
    uint8_t is_stopped; /* it has ended before its letters did */
    uint8_t reserved[5];
    char org[REPLAY_NAME_SIZE_MAX];
    char project[REPLAY_NAME_SIZE_MAX];
    char kind[REPLAY_NAME_SIZE_MAX];
};

struct record_replay_id {
    uint64_t created_ms;
    uint64_t id_low;
    uint32_t partition;
    uint32_t reserved;
};

/* Reads the head of a REPLAY. False when payload is none of this version, ids included. */
MUST_USE bool record_replay_decode(struct slice payload, struct record_replay *ret_record);

/* The n-th of its ids. */
struct record_replay_id record_replay_id(struct slice payload, uint32_t n);

static_assert(sizeof(struct record_replay) == 272, "on disk");
static_assert(sizeof(struct record_replay_id) == 24, "on disk");
static_assert(offsetof(struct record_replay, rate_per_s) == 64, "on disk");
static_assert(offsetof(struct record_replay, org) == 80, "on disk");
static_assert(sizeof(struct record_claim) == 104, "on disk");
static_assert(sizeof(struct record_claim_event) == 40, "on disk");
static_assert(sizeof(struct record_key) == 256, "on disk");
static_assert(offsetof(struct record_key, hash) == 40, "on disk");
static_assert(offsetof(struct record_key, created_ms) == 224, "on disk");

/* The stored number of a problem code that an event in a batch may have; 0 for any other. */
uint8_t record_claim_code(enum problem_code code);

/* Back; PROBLEM_INTERNAL_ERROR for a number that this version does not know. */
enum problem_code record_claim_problem(uint8_t number);

/* The word for a status in answers and dumps; "unknown" for a number of a later version. */
struct slice record_status_name(uint32_t status);
