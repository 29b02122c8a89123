/*
 * Breakers view: what an operator is shown of the breakers of one shard, copied out of them.
 *
 * Part of the shard view, and like it taken on the shard's own thread and written elsewhere.
 * Bounded: of the breakers those come first that are not closed, then those with the most
 * jobs parked, then those with the most failures in a row. States are as of the last call:
 * an open one whose time is over is still called open until its probe has come.
 */
#pragma once

#include "actors/breakers.h"
#include "contracts/json_writer.h"

enum {
    BREAKERS_VIEW_COUNT_MAX = 20,       /* of each shard, and of all together */
    BREAKERS_VIEW_JSON_SIZE_MAX = 3072, /* of one, every character escaped */
    BREAKERS_VIEW_STATE_COUNT = 3,
};

struct breakers_view_line {
    struct breaker_view breaker;
    uint64_t since_ms;
    uint32_t call_count;
    uint32_t parked_count;
    uint16_t origin_size;
    uint8_t org_size;
    uint8_t project_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char origin[BREAKERS_ORIGIN_SIZE_MAX];
};

struct breakers_view {
    uint32_t counts[BREAKERS_VIEW_STATE_COUNT]; /* by enum breaker_state; all of the shard */
    uint32_t call_count;
    uint32_t parked_count;
    uint32_t line_count;
    uint64_t ranks[BREAKERS_VIEW_COUNT_MAX]; /* of the lines, which are in their order */
    struct breakers_view_line lines[BREAKERS_VIEW_COUNT_MAX];
};

/*
 * Fills the view. Lines are those of one project, or with an empty project all. On the
 * shard's thread only; forgets parked jobs that have come by now.
 */
void breakers_view_take(struct breakers *breakers, struct slice org, struct slice project,
                        uint64_t now_ms, struct breakers_view *ret_view);

/* Writes the sums of one shard, as an object. */
void breakers_view_write_totals(const struct breakers_view *view, struct json_writer *writer);

/* Writes the first ones of all these shards, as one array. */
void breakers_view_write(const struct breakers_view *const *views, uint32_t view_count,
                         struct json_writer *writer);
