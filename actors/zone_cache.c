#include "actors/zone_cache.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/shard.h"
#include "runtime/sim_point.h"

/*
 *     open -> read until the end or too much -> close -> parse -> the next that is WANTED
 *
 * One operation, one buffer: who starts with sixty zones waits for them a few
 * milliseconds. An actor that is restarted in the middle begins with the same file again.
 */

static void read_next(struct zone_cache *cache);

static void cache_check(const struct zone_cache *cache)
{
    assert(cache->zones != NULL);
    assert(cache->fd < 0 || cache->reading != NULL);
    assert(cache->size <= sizeof(cache->bytes));
}

int zone_cache_init(struct zone_cache *cache, const char *root)
{
    memset(cache, 0, offsetof(struct zone_cache, bytes));
    cache->root = root;
    cache->fd = -1;
    cache->zones = calloc(ZONE_COUNT_MAX, sizeof(*cache->zones));
    return cache->zones == NULL ? -ENOMEM : 0;
}

void zone_cache_deinit(struct zone_cache *cache)
{
    free(cache->zones);
    cache->zones = NULL;
}

static struct io *io_of(const struct zone_cache *cache)
{
    return cache->owner->shard->io;
}

void zone_cache_start(struct zone_cache *cache, struct actor *owner)
{
    cache->owner = owner;
    actor_op_init(owner, &cache->op);
    if (cache->fd >= 0)
        io_close_now(io_of(cache), cache->fd);
    cache->fd = -1;
    cache->reading = NULL;
    read_next(cache);
}

bool zone_cache_is_busy(const struct zone_cache *cache)
{
    return io_op_is_armed(&cache->op);
}

bool zone_is_unknown(const struct zone *zone)
{
    return zone->error == -ENOENT || zone->error == -ENOTDIR || zone->error == -EISDIR ||
           zone->error == -EBADMSG || zone->error == -ENAMETOOLONG;
}

/* --- users ------------------------------------------------------------------ */

static struct slice name_of(const struct zone *zone)
{
    return (struct slice){zone->name, zone->name_size};
}

static struct zone *find(struct zone_cache *cache, struct slice name)
{
    for (uint32_t i = 0; i < ZONE_COUNT_MAX; i++)
        if (cache->zones[i].state != ZONE_FREE && slice_equal(name_of(&cache->zones[i]), name))
            return &cache->zones[i];
    return NULL;
}

/* A place that is free, or whose zone nobody uses. */
static struct zone *find_place(struct zone_cache *cache)
{
    struct zone *unused = NULL;

    for (uint32_t i = 0; i < ZONE_COUNT_MAX; i++) {
        struct zone *zone = &cache->zones[i];

        if (zone->state == ZONE_FREE)
            return zone;
        if (zone->user_count == 0 && zone != cache->reading)
            unused = zone;
    }
    return unused;
}

struct zone *zone_cache_get(struct zone_cache *cache, struct slice name)
{
    struct zone *zone = find(cache, name);

    cache_check(cache);
    assert(time_zone_name_is_valid(name));
    if (zone != NULL) {
        zone->user_count++;
        return zone;
    }
    zone = find_place(cache);
    if (zone == NULL) {
        SOMETIMES("a shard's schedules use too many time zones");
        return NULL;
    }
    memset(zone, 0, offsetof(struct zone, rules));
    memcpy(zone->name, name.data, name.size);
    zone->name_size = (uint8_t)name.size;
    zone->user_count = 1;
    if (slice_equal(name, SLICE_LITERAL("UTC"))) {
        time_zone_utc(&zone->rules);
        zone->state = ZONE_READY;
    } else {
        zone->state = ZONE_WANTED;
        read_next(cache);
    }
    return zone;
}

void zone_cache_put(struct zone_cache *cache, struct zone **zone)
{
    struct zone *it = *zone;

    if (it == NULL)
        return;
    cache_check(cache);
    assert(it->user_count > 0);
    it->user_count--;
    if (it->user_count == 0 && it->state == ZONE_MISSING)
        it->state = ZONE_FREE;
    *zone = NULL;
}

/* --- reading ------------------------------------------------------------------ */

/* The file has been read, or not: says what became of its zone. */
static struct zone *finish(struct zone_cache *cache, int error)
{
    struct zone *zone = cache->reading;

    cache->reading = NULL;
    if (error == 0 &&
        time_zone_parse((struct slice){cache->bytes, cache->size}, &zone->rules) != TIME_ZONE_OK) {
        SOMETIMES("a time zone's file is none");
        error = -EBADMSG;
    }
    zone->error = error;
    zone->state = error == 0 ? ZONE_READY : ZONE_MISSING;
    if (zone->user_count == 0 && zone->state == ZONE_MISSING)
        zone->state = ZONE_FREE;
    read_next(cache);
    return zone;
}

static void read_next(struct zone_cache *cache)
{
    uint32_t i = 0;
    int size;

    if (cache->reading != NULL || cache->owner == NULL || !actor_is_running(cache->owner))
        return;
    while (i < ZONE_COUNT_MAX && cache->zones[i].state != ZONE_WANTED)
        i++;
    if (i == ZONE_COUNT_MAX)
        return;
    cache->reading = &cache->zones[i];
    cache->size = 0;
    cache->error = 0;
    /* Where it would be cut short, so is the name, and there is no such file. */
    size = snprintf(cache->path, sizeof(cache->path), "%s/%.*s", cache->root,
                    (int)cache->reading->name_size, cache->reading->name);
    assert(size > 0);
    io_open(io_of(cache), &cache->op, cache->path, O_RDONLY | O_CLOEXEC, 0);
}

static void read_more(struct zone_cache *cache)
{
    io_read(io_of(cache), &cache->op, cache->fd, cache->bytes + cache->size,
            (uint32_t)(sizeof(cache->bytes) - cache->size), cache->size);
}

static void on_read(struct zone_cache *cache, int32_t value)
{
    if (value < 0)
        cache->error = value;
    else
        cache->size += (uint32_t)value;
    if (value > 0 && cache->size < sizeof(cache->bytes)) {
        read_more(cache);
        return;
    }
    io_close(io_of(cache), &cache->op, cache->fd);
    cache->fd = -1;
}

struct zone *zone_cache_on_io(struct zone_cache *cache, const struct message *msg)
{
    struct io_op *op = msg->as.io.op;
    int32_t value = msg->as.io.result->value;

    cache_check(cache);
    assert(op == &cache->op);
    assert(cache->reading != NULL);
    switch ((enum io_op_type)op->type) {
    case IO_OPEN:
        if (value < 0)
            return finish(cache, value);
        cache->fd = value;
        read_more(cache);
        return NULL;
    case IO_READ:
        on_read(cache, value);
        return NULL;
    case IO_CLOSE:
        return finish(cache, cache->error);
    case IO_NONE:
    case IO_ACCEPT:
    case IO_RECV:
    case IO_SEND:
    case IO_CONNECT:
    case IO_SHUTDOWN:
    case IO_WRITE:
    case IO_POLL:
    case IO_RENAME:
    case IO_UNLINK:
    case IO_FSYNC:
    case IO_CANCEL:
        break;
    }
    assert(false && "an operation of this cache");
    return NULL;
}

void zone_cache_retry(struct zone_cache *cache)
{
    for (uint32_t i = 0; i < ZONE_COUNT_MAX; i++)
        if (cache->zones[i].state == ZONE_MISSING)
            cache->zones[i].state = ZONE_WANTED;
    read_next(cache);
}
