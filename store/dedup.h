/*
 * Dedup: which idempotency keys were seen in the window, and where their record is.
 *
 * The caller hashes (tenant, key) to 128 bits with a keyed hash, and the body to 32
 * bits. An entry is reserved when the event arrives, committed when its record is
 * durable, or released when it was refused. Entries leave in order of arrival: when
 * the window is over, when their segment was retired, or, when the bound comes
 * first, early (counted; the effective window shrinks), unless strict.
 *
 *     absent --reserve--> RESERVED --commit--> COMMITTED --window over--> absent
 *                            \--release--> absent
 *
 * 32 bytes per entry and 8 of index, reserved at start, touched when used. O(1)
 * amortised. One thread. Durability is the journal's: recovery inserts again.
 */
#pragma once

#include "store/segment.h"

enum {
    DEDUP_ENTRY_COUNT_DEFAULT = 4 << 20,
    DEDUP_ENTRY_COUNT_MAX = 1 << 30,
    DEDUP_EXPIRE_STEP_MAX = 64, /* entries expired by one call, so that no call is long */
};
static const uint64_t DEDUP_WINDOW_MS_DEFAULT = 86400000;
static const uint64_t DEDUP_WINDOW_MS_MAX = 30ull * 86400000;

struct dedup_key {
    uint64_t words[2];
};

enum dedup_result {
    DEDUP_NEW,       /* reserved for the caller, who must commit or release */
    DEDUP_DUPLICATE, /* committed before with the same body; see ret_found */
    DEDUP_CONFLICT,  /* committed or in flight with another body: 409 */
    DEDUP_IN_FLIGHT, /* reserved with the same body, not durable yet */
    DEDUP_FULL,      /* strict and full, or everything is in flight: 429 */
};

/* An entry as found. */
struct dedup_found {
    struct journal_location location; /* JOURNAL_LOCATION_NONE while in flight */
    uint64_t received_unix_ms;
};

struct dedup_config {
    uint32_t entry_count_max; /* a power of two; 0: the default */
    uint64_t window_ms;       /* 60000..DEDUP_WINDOW_MS_MAX; 0: the default */
    bool strict;              /* refuse instead of forgetting early */
};

struct dedup_stats {
    uint32_t entry_count;
    uint32_t entry_count_max;
    uint64_t evicted_early_count;
    uint64_t expired_count;
};

struct dedup;

/* Reserves the memory. 0 or -errno. Start-up only. */
MUST_USE int dedup_new(const struct dedup_config *config, struct dedup **ret_dedup);

/* Frees it and nulls the pointer. NULL is accepted. */
void dedup_free(struct dedup **dedup);

/*
 * Looks the key up and reserves it when it is not there. *ret_found is written for
 * DUPLICATE, CONFLICT and IN_FLIGHT.
 */
MUST_USE enum dedup_result dedup_reserve(struct dedup *dedup, struct dedup_key key,
                                         uint32_t body_hash, uint64_t now_unix_ms,
                                         struct dedup_found *ret_found);

/* Looks without reserving: DEDUP_NEW when absent. */
MUST_USE enum dedup_result dedup_find(const struct dedup *dedup, struct dedup_key key,
                                      uint32_t body_hash, uint64_t now_unix_ms,
                                      struct dedup_found *ret_found);

/* The reserved entry's record is durable at location. The key must be reserved. */
void dedup_commit(struct dedup *dedup, struct dedup_key key, struct journal_location location);

/* Gives a reservation back as if it had never been. The key must be reserved. */
void dedup_release(struct dedup *dedup, struct dedup_key key);

/* Recovery: a committed entry, oldest first. A key that is there gets the newer location. */
void dedup_insert_recovered(struct dedup *dedup, struct dedup_key key, uint32_t body_hash,
                            struct journal_location location, uint64_t received_unix_ms);

/* All entries in segments of this log before oldest_seq are gone from now on. */
void dedup_drop_segments(struct dedup *dedup, uint32_t log, uint64_t oldest_seq);

/* The window in force: the configured one, or less when entries had to go early. */
uint64_t dedup_window_ms_effective(const struct dedup *dedup, uint64_t now_unix_ms);

/* A copy of the counters. */
void dedup_stats(const struct dedup *dedup, struct dedup_stats *ret_stats);
