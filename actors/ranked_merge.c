#include "actors/ranked_merge.h"

#include "runtime/shard.h"

/*
 * Takes the best of the first ones, again and again: there are as many to look at as shards,
 * and as many turns as lines, both of which are few.
 */

uint32_t ranked_merge(const struct ranked_list *lists, uint32_t list_count,
                      struct ranked_place *ret_places, uint32_t place_count)
{
    uint32_t next[SHARD_COUNT_MAX] = {0};

    assert(list_count <= SHARD_COUNT_MAX);
    for (uint32_t n = 0; n < place_count; n++) {
        uint32_t best = list_count;

        for (uint32_t i = 0; i < list_count; i++) {
            if (next[i] == lists[i].count)
                continue;
            if (best == list_count || lists[i].ranks[next[i]] > lists[best].ranks[next[best]])
                best = i;
        }
        if (best == list_count)
            return n;
        ret_places[n] = (struct ranked_place){best, next[best]++};
    }
    return place_count;
}
