/*
 * Scrape: the numbers of all shards for GET /metrics.
 *
 * A request lends every shard a block to copy its numbers into; when all have
 * answered, the sum is rendered. No shard ever reads another's live numbers.
 */
#pragma once

#include "actors/outbox.h"
#include "http/exchange.h"
#include "runtime/metrics.h"

enum {
    SCRAPE_MAGIC = 0x53435250,
    SCRAPE_REQUEST_COUNT_MAX = 4, /* per shard; more at once get a 503 */
    SCRAPE_TEXT_SIZE_MAX = 1 << 20,
};

struct app_shard;
struct scrape;

/* One scrape in flight. Private to scrape.c. */
struct scrape_request {
    struct scrape *home;
    struct actor_id connection;
    uint64_t token;
    uint32_t waiting_count;
    bool is_used;
    bool is_decided;
    bool abandoned;
};

/* Private to scrape.c; embedded in the app_shard. */
struct scrape {
    struct actor actor;
    struct app_shard *home;
    struct outbox outbox;
    struct scrape_request requests[SCRAPE_REQUEST_COUNT_MAX];
    char *blocks; /* memory of all requests' blocks */
};

extern const struct actor_type scrape_type;

/* 0 or -errno. Start-up only. */
MUST_USE int scrape_init(struct scrape *scrape, struct app_shard *home);

/* Frees what scrape_init() made. */
void scrape_deinit(struct scrape *scrape);

/* GET /metrics: the calls of its route. */
int scrape_on_head(struct exchange *exchange);
int scrape_on_request(struct exchange *exchange);
int scrape_on_reply(struct exchange *exchange, const struct message *msg);
void scrape_on_abandon(struct exchange *exchange);
