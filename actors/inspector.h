/*
 * Inspector: asks every shard how it is, for operators.
 *
 * One per shard. A request lends each shard a block to fill: with a view of what there is
 * (shard_view.h), or with the results of an examination (examination.h), which takes many
 * turns. When all have answered, the connection is told and its route writes the JSON. No
 * shard ever reads another's live state.
 */
#pragma once

#include "actors/examination.h"
#include "actors/outbox.h"
#include "actors/shard_view.h"
#include "http/exchange.h"

enum {
    INSPECTOR_MAGIC = 0x494e5350,
    INSPECTION_COUNT_MAX = 2,       /* per shard; more at once get a 503 */
    INSPECTION_STEP_MS = 1,         /* between two parts of an examination */
    INSPECTION_WAIT_MS_MAX = 60000, /* how long one may take */
};

struct app_shard;
struct inspector;

enum inspection_kind {
    INSPECTION_RUNTIME,
    INSPECTION_DOCTOR,
};

/* What each shard fills. */
struct inspection_block {
    struct inspection *inspection;
    union {
        struct shard_view view;
        struct examination examination;
    };
};

/* One request. kind and filter are set between acquire and submit. */
struct inspection {
    enum inspection_kind kind;
    struct shard_view_filter filter; /* RUNTIME */
    /* Private to inspector.c. */
    struct inspector *home;
    struct actor_id connection;
    uint64_t token;
    uint64_t began_ns;
    uint32_t waiting_count; /* shards that have not answered */
    bool is_used;
    bool is_decided;
    bool abandoned;
};

/* Private to inspector.c; embedded in the app_shard. */
struct inspector {
    struct actor actor;
    struct app_shard *home;
    struct outbox outbox;
    struct timer timer;
    struct list_node examinations; /* of this shard, for whomever: one after the other */
    struct inspection inspections[INSPECTION_COUNT_MAX];
    char *blocks; /* of all inspections, a block for each shard */
};

/* The type and magic for the shard's supervision tree. */
extern const struct actor_type inspector_type;

/* 0 or -errno. Start-up only. */
MUST_USE int inspector_init(struct inspector *inspector, struct app_shard *home);

/* Frees what inspector_init() made. */
void inspector_deinit(struct inspector *inspector);

/* Memory that one shard's inspector takes for its blocks. */
uint64_t inspector_memory_size(uint32_t shard_count);

/* A blank one for this exchange, or NULL when too many are under way: 503. */
MUST_USE struct inspection *inspection_acquire(struct inspector *home, struct exchange *exchange);

/* Asks all shards. The answer is MSG_INSPECT_ANSWER to the connection, with its token. */
void inspection_submit(struct inspection *inspection);

/* What a shard has answered. Only when all have. */
const struct shard_view *inspection_view(const struct inspection *inspection, uint32_t shard);
const struct examination *inspection_examination(const struct inspection *inspection,
                                                 uint32_t shard);

/* Gives an answered one back; nulls the pointer. */
void inspection_release(struct inspection **inspection);

/* The connection is gone. Nulls the pointer. */
void inspection_abandon(struct inspection **inspection);
