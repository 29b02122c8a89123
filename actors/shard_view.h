/*
 * Shard view: what an operator is shown of one shard, copied out of it.
 *
 * Taken on the shard's own thread into a block that was lent for it, written as JSON on the
 * shard that was asked. Bounded: actors of one kind that stand side by side (connections) are
 * one line with their number, queues are those with the most jobs that have not ended, breakers
 * those that keep most away.
 */
#pragma once

#include "actors/breakers_view.h"
#include "actors/job_handler.h"
#include "actors/job_request.h"
#include "contracts/json_writer.h"
#include "store/job_table.h"
#include "store/journal.h"

enum {
    SHARD_VIEW_ACTOR_COUNT_MAX = 48,
    SHARD_VIEW_QUEUE_COUNT_MAX = 20,  /* of each shard, and of all together */
    SHARD_VIEW_JSON_SIZE_MAX = 24576, /* of one shard, without its queues and breakers */
    SHARD_VIEW_QUEUE_JSON_SIZE_MAX = 2048,
};

struct app_shard;

/* Actors of one kind. The names are static. */
struct shard_view_actor {
    const char *name;
    const char *type;
    const char *state; /* NULL: not all in the same */
    uint32_t depth;
    uint32_t count;
    uint32_t mailbox_count; /* of all together, as the next two */
    uint32_t restart_count;
    uint32_t child_count;
    uint64_t uptime_ms; /* of the oldest */
};

struct shard_view_queue {
    struct job_queue_view view;
    uint8_t org_size;
    uint8_t project_size;
    uint8_t kind_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char kind[JOB_NAME_SIZE_MAX];
};

/* What carries out jobs of one kind inside of the process. The kind is static. */
struct shard_view_handler {
    struct slice kind;
    uint32_t run_count;
    uint32_t concurrency;
};

struct shard_view {
    uint32_t shard;
    uint32_t actor_count;
    uint32_t left_out_count; /* actors for which there was no line */
    uint32_t queue_count;    /* lines */
    uint32_t queue_total;    /* queues of the shard */
    uint32_t handler_count;
    uint32_t log_count;
    uint32_t waiting_workers;
    uint32_t carrying_count; /* segments that wait until this shard has carried on what it needs */
    uint64_t timer_count;
    uint64_t oldest_ready_ms;
    bool is_open; /* the log, without which the rest of it means nothing */
    bool has_failed;
    bool is_low;
    struct journal_stats journal;
    struct job_table_stats jobs;
    struct shard_view_actor actors[SHARD_VIEW_ACTOR_COUNT_MAX];
    uint64_t queue_depths[SHARD_VIEW_QUEUE_COUNT_MAX]; /* jobs that have not ended; most first */
    struct shard_view_queue queues[SHARD_VIEW_QUEUE_COUNT_MAX];
    struct shard_view_handler handlers[JOB_HANDLER_COUNT_MAX];
    struct breakers_view breakers;
};

/* Which queues and breakers are shown: those of one project, or with empty names all. */
struct shard_view_filter {
    uint8_t org_size;
    uint8_t project_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
};

/* Fills the view of this shard. On its thread only. */
void shard_view_take(struct app_shard *home, const struct shard_view_filter *filter,
                     struct shard_view *ret_view);

/* Writes all but the queues and breakers, as one object. */
void shard_view_write(const struct shard_view *view, struct json_writer *writer);

/* Writes the deepest queues of all these shards, as one array. */
void shard_view_write_queues(const struct shard_view *const *views, uint32_t view_count,
                             struct json_writer *writer);

/* Writes the breakers that keep most away of all these shards, as one array. */
void shard_view_write_breakers(const struct shard_view *const *views, uint32_t view_count,
                               struct json_writer *writer);
