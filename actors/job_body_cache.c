/*
 * Each record is preceded by a head and starts at a multiple of 64 bytes; one that does not
 * fit before the end of the ring begins at its start. A handle is the record's place in the
 * endless stream of bytes, in units of 64, plus one; it wraps after 256 GiB. What it names
 * is still there when less than a ring has been written since, and the head, which names the
 * job, decides when the handle is so old that it has wrapped.
 */
#include "actors/job_body_cache.h"

#include "runtime/memory.h"
#include "runtime/sim_point.h"

enum { UNIT = 64 };

static const uint64_t CAPACITY_MIN = 65536;

struct head {
    uint64_t id_low;
    uint64_t size;
};

static_assert(sizeof(struct head) <= UNIT, "a head never crosses the end of the ring");

int job_body_cache_init(struct job_body_cache *cache, uint64_t capacity)
{
    uint64_t rounded = CAPACITY_MIN;

    while (rounded * 2 <= capacity)
        rounded *= 2;
    *cache = (struct job_body_cache){.capacity = rounded};
    return memory_map(rounded, &cache->bytes);
}

void job_body_cache_deinit(struct job_body_cache *cache)
{
    memory_unmap(&cache->bytes, cache->capacity);
}

uint32_t job_body_cache_put(struct job_body_cache *cache, uint64_t id_low, struct slice record)
{
    struct head head = {id_low, record.size};
    uint64_t size = (sizeof(head) + record.size + UNIT - 1) / UNIT * UNIT;
    uint64_t offset = cache->written & (cache->capacity - 1);

    if (size > cache->capacity / 4)
        return 0;
    if (offset + size > cache->capacity) {
        cache->written += cache->capacity - offset;
        offset = 0;
    }
    memcpy(cache->bytes + offset, &head, sizeof(head));
    memcpy(cache->bytes + offset + sizeof(head), record.data, record.size);
    cache->written += size;
    return (uint32_t)((cache->written - size) / UNIT) + 1;
}

bool job_body_cache_get(const struct job_body_cache *cache, uint32_t handle, uint64_t id_low,
                        struct slice *ret_record)
{
    uint64_t written_units = cache->written / UNIT;
    uint32_t age;
    uint64_t offset;
    struct head head;

    if (handle == 0)
        return false;
    /* Both wrap at 2^32, so the difference is right. */
    age = (uint32_t)written_units - (handle - 1);
    if (age == 0 || age > written_units || (uint64_t)age * UNIT > cache->capacity) {
        SOMETIMES("a job's body has left the cache");
        return false;
    }
    offset = (written_units - age) * UNIT & (cache->capacity - 1);
    memcpy(&head, cache->bytes + offset, sizeof(head));
    if (head.id_low != id_low || head.size > cache->capacity - offset - sizeof(head))
        return false;
    *ret_record = (struct slice){cache->bytes + offset + sizeof(head), head.size};
    return true;
}
