/*
 * Zone cache: the time zones that a shard's schedules use, read from their files.
 *
 * A zone is read once, by the actor that owns the cache, one file at a time and without
 * blocking; from then on it is a constant until the process ends, even if tzdata is updated.
 * Those that nobody uses make room for others.
 *
 *     FREE --get--> WANTED --read--> READY
 *                      ^   \--no such file, or none that makes sense--> MISSING
 *                      +------------------zone_cache_retry()---------------+
 */
#pragma once

#include "contracts/time_zone.h"
#include "runtime/actor.h"

enum {
    ZONE_COUNT_MAX = 64, /* per shard; 5 KiB each */
    ZONE_PATH_SIZE_MAX = 512,
};

enum zone_state {
    ZONE_FREE,
    ZONE_WANTED, /* to be read; zone_cache_on_io() tells when it has been */
    ZONE_READY,
    ZONE_MISSING,
};

/* One zone. Read-only but for zone_cache.c; rules only when READY. */
struct zone {
    uint8_t state; /* enum zone_state */
    uint8_t name_size;
    char name[TIME_ZONE_NAME_SIZE_MAX];
    uint32_t user_count;
    int error; /* MISSING: -errno; -EBADMSG for a file that is no zone's */
    struct time_zone rules;
};

/* Private to zone_cache.c; embedded by value. */
struct zone_cache {
    struct actor *owner;
    const char *root;
    struct zone *zones; /* ZONE_COUNT_MAX */
    struct zone *reading;
    struct io_op op;
    int fd; /* of what is being read; -1: none */
    int error;
    uint32_t size; /* read so far */
    char path[ZONE_PATH_SIZE_MAX];
    char bytes[TIME_ZONE_FILE_SIZE_MAX + 1]; /* one more, to see that a file is too large */
};

/* An empty cache over the directory root (borrowed). 0 or -errno. Start-up only. */
MUST_USE int zone_cache_init(struct zone_cache *cache, const char *root);

/* Frees it. */
void zone_cache_deinit(struct zone_cache *cache);

/* Once per start of owner, which passes MSG_IO on. */
void zone_cache_start(struct zone_cache *cache, struct actor *owner);

/*
 * The zone of this name, which time_zone_name_is_valid() accepts; one more user. It may not be
 * READY yet, or MISSING. NULL: there are too many in use. "UTC" needs no file.
 */
MUST_USE struct zone *zone_cache_get(struct zone_cache *cache, struct slice name);

/* One user less; nulls the pointer. NULL is accepted. */
void zone_cache_put(struct zone_cache *cache, struct zone **zone);

/* For MSG_IO: the zone that has just become READY or MISSING, or NULL. */
struct zone *zone_cache_on_io(struct zone_cache *cache, const struct message *msg);

/* Reads those that are MISSING once more. */
void zone_cache_retry(struct zone_cache *cache);

/* True while a file is open: the owner must not stop now. */
bool zone_cache_is_busy(const struct zone_cache *cache);

/* True when there is no such zone, rather than no way to read it now. */
bool zone_is_unknown(const struct zone *zone);
