/*
 * Lookup: finds one event by its id and reads it back from the journal.
 *
 * One per shard. A request visits the shards one after the other, its own first:
 * each looks in the indexes of its logs, reads the candidates and compares the key.
 * Found or not, the request comes home and the connection is told.
 */
#pragma once

#include "actors/outbox.h"
#include "http/exchange.h"
#include "runtime/buffer.h"
#include "runtime/pool.h"
#include "store/dedup.h"
#include "store/journal_reader.h"
#include "store/record.h"

enum {
    LOOKUP_MAGIC = 0x4c4f4f4b,
    LOOKUP_REQUEST_COUNT_MAX = 256,  /* per shard, in flight */
    LOOKUP_CANDIDATE_COUNT_MAX = 16, /* equal 32-bit hashes in one shard's logs */
    LOOKUP_BUFFER_SIZE = 8192,
};

struct app_shard;
struct lookup;

enum lookup_result {
    LOOKUP_SEARCHING,
    LOOKUP_FOUND,
    LOOKUP_NOT_FOUND,
    LOOKUP_NEEDS_ROOM, /* on the way home for a larger buffer, then back to the same shard */
    LOOKUP_FAILED,     /* the record could not be read */
};

/* One request in flight; lent to the shard that searches. Private to lookup.c. */
struct lookup_request {
    struct lookup *home;
    struct lookup *at; /* the shard that searches now */
    struct actor_id connection;
    uint64_t token;
    struct dedup_key key;
    uint32_t shard_index; /* of the shard that searches now */
    uint32_t shards_left;
    uint32_t candidate_count;
    uint32_t candidate_next;
    uint32_t size_needed;
    enum lookup_result result;
    bool is_decided;
    bool abandoned;
    uint8_t org_size;
    char org[TENANT_NAME_SIZE_MAX];
    struct journal_location candidates[LOOKUP_CANDIDATE_COUNT_MAX];
    struct journal_read read;
    struct buffer *buffer;
    struct slice envelope; /* in buffer, when found */
};

/* Private to lookup.c; embedded in the app_shard. */
struct lookup {
    struct actor actor;
    struct app_shard *home;
    struct outbox outbox;
    struct pool requests;
};

extern const struct actor_type lookup_type;

/* 0 or -errno. Start-up only. */
MUST_USE int lookup_init(struct lookup *lookup, struct app_shard *home);

/* Frees what lookup_init() made. */
void lookup_deinit(struct lookup *lookup);

/* GET /v1/events/{id}: the four calls of its route. */
int lookup_on_head(struct exchange *exchange);
int lookup_on_request(struct exchange *exchange);
int lookup_on_reply(struct exchange *exchange, const struct message *msg);
void lookup_on_abandon(struct exchange *exchange);
