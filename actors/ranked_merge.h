/*
 * Ranked merge: the first ones of several lists, each of which is in order already.
 *
 * What every shard ranked of its own becomes one list of all shards: only numbers are looked
 * at, and what comes out is where each line is to be found.
 */
#pragma once

#include "runtime/base.h"

/* The ranks of one list, which do not rise. Borrowed. */
struct ranked_list {
    const uint64_t *ranks;
    uint32_t count;
};

/* Where a line is. */
struct ranked_place {
    uint32_t list;
    uint32_t index;
};

/*
 * Gives the places of at most place_count lines, the highest rank first, of equals those of
 * the earlier list. Returns how many. At most SHARD_COUNT_MAX lists.
 */
MUST_USE uint32_t ranked_merge(const struct ranked_list *lists, uint32_t list_count,
                               struct ranked_place *ret_places, uint32_t place_count);
