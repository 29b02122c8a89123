/*
 * Tenant: the API keys of organisations and projects.
 *
 * One per shard, each with its copy of the keyring. Shard 0's changes them: it
 * appends the key's record to its log and, when that is durable, has every shard
 * apply it before the change is answered. Log 0 keeps the keys for ever: their
 * records are copied forward before retention drops a segment.
 */
#pragma once

#include "actors/keyring.h"
#include "actors/outbox.h"
#include "http/exchange.h"
#include "runtime/pool.h"
#include "store/journal.h"

enum {
    TENANT_MAGIC = 0x54454e41,
    TENANT_LOG = 0,
    TENANT_REQUEST_COUNT_MAX = 64, /* per shard, in flight */
    TENANT_COPY_COUNT_MAX =
        128, /* keys copied forward by one append, so that any segment has room */
    TENANT_SECRET_BYTES = 24,
    TENANT_SECRET_SIZE_MAX = 64,
};

/* The key of org_demo/proj_demo that [server] demo makes. */
#define TENANT_DEMO_SECRET "dev-api-key-12345"

struct app_shard;
struct tenant;

enum tenant_operation {
    TENANT_CREATE,
    TENANT_REVOKE,
};

/* One change in flight; lent from shard to shard. Private to tenant.c and key_routes.c. */
struct tenant_request {
    struct tenant *home;
    struct actor_id connection; /* ACTOR_ID_NONE: nobody waits */
    uint64_t token;
    enum tenant_operation operation;
    enum problem_code code; /* PROBLEM_NONE: done */
    bool is_submitted;
    bool is_decided;
    bool abandoned;
    uint32_t waiting_count;
    struct record_key record;
    struct slice part;
    struct journal_record journal_record;
    struct journal_append append;
    char secret[TENANT_SECRET_SIZE_MAX]; /* of a new key, shown once */
    uint8_t secret_size;
};

/* Private to tenant.c, except keyring, read-only. Embedded in the app_shard. */
struct tenant {
    struct actor actor;
    struct app_shard *home;
    struct outbox outbox;
    struct pool requests;
    struct keyring keyring;
    uint32_t changing_count; /* shard 0: changes appended, not applied yet */
    uint32_t creating_count; /* those of them that add a key */
    /* Copying keys out of a segment that is about to be dropped, some at a time. */
    struct journal_append copy_append;
    struct journal_record copy_records[TENANT_COPY_COUNT_MAX];
    struct slice copy_parts[TENANT_COPY_COUNT_MAX];
    uint16_t copy_slots[TENANT_COPY_COUNT_MAX];
    uint32_t copy_count;
    uint64_t copy_seq;
    bool copy_waits;      /* until the changes in flight are applied */
    bool copy_wants_room; /* in the journal; tenant_on_room() goes on */
};

extern const struct actor_type tenant_type;

/* 0 or -errno. Start-up only. */
MUST_USE int tenant_init(struct tenant *tenant, struct app_shard *home);

/* Frees what tenant_init() made. */
void tenant_deinit(struct tenant *tenant);

/* The shard's log is open: shard 0 makes the demo key if it is asked for and missing. */
void tenant_on_open(struct tenant *tenant);

/* True unless a demo key is asked for and not known to this shard yet. */
bool tenant_is_ready(struct tenant *tenant);

/*
 * Before segments of log 0 up to seq are dropped: appends the keys whose record is there again.
 * False when there is none; else keeper_keys_copied() is called when it is durable.
 */
bool tenant_copy_forward(struct tenant *tenant, uint32_t log, uint64_t seq);

/* The shard's journal has room again: a copy that waits for it goes on. */
void tenant_on_room(struct tenant *tenant);

/* Bytes of the log that the keys' records take. */
uint64_t tenant_live_bytes(const struct tenant *tenant);

/* A blank change for this exchange, or NULL when too many are in flight. */
MUST_USE struct tenant_request *tenant_acquire(struct tenant *tenant,
                                               const struct exchange *exchange);

/* Draws a new secret into the request and its hash into the record. 0 or -errno. */
MUST_USE int tenant_draw_secret(struct tenant *tenant, struct tenant_request *request);

/* Starts the change. MSG_TENANT_ANSWER tells the connection. */
void tenant_submit(struct tenant_request *request);

/* Gives a decided request back, or has it given back when it is; nulls the pointer. */
void tenant_release(struct tenant_request **request);
