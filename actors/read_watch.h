/*
 * Read watch: tells operators how the read model is.
 *
 * The read model runs beside the shards and lives on a floor that does not speak. On shard 0
 * this looks at it at the end of each turn, logs each change of state once, and exports its
 * numbers when metrics are scraped.
 */
#pragma once

#include "runtime/shard.h"
#include "store/read_model.h"

/* Private to read_watch.c; embedded by value. */
struct read_watch {
    struct turn_hook hook;
    struct read_model *read_model;
    struct shard *shard;
    const struct read_model_metrics *series;
    enum read_model_state said; /* the state that was logged last */
    uint64_t looked_ns;
};

/* Begins to watch; read_model NULL: there is none. Before the shard's first turn. */
void read_watch_init(struct read_watch *watch, struct read_model *read_model, struct shard *shard,
                     const struct read_model_metrics *series);

/* Brings the numbers in the shard's metrics up to date; on other shards it does nothing. */
void read_watch_export(struct read_watch *watch);
