/*
 * Resolver: the addresses of a host name, for the connections of one shard.
 *
 * A bounded cache in front of whoever really looks: resolver_dns.h in production, a
 * table in a test, anything that a simulation can decide. Several who ask for one name
 * share one look-up. The answers are as the name server gave them: whoever connects
 * checks each address (address_policy.h) every time, also one out of the cache.
 *
 * An answer is kept for its TTL, within bounds; so is the news that there is none, for
 * less. A full cache forgets the name that was asked for least recently. Nothing here
 * allocates after resolver_init(), and nothing does I/O.
 */
#pragma once

#include "contracts/siphash.h"
#include "http/address.h"
#include "runtime/clock.h"
#include "runtime/list.h"
#include "runtime/message.h"

enum {
    RESOLVER_NAME_SIZE_MAX = 253,
    RESOLVER_ADDRESS_COUNT_MAX = 8, /* of one name; more are left out */
    RESOLVER_NAME_COUNT_DEFAULT = 512,
    RESOLVER_TTL_MS_MIN = 1000,
    RESOLVER_TTL_MS_MAX = 300000,
    RESOLVER_TTL_MS_NOT_FOUND = 5000,
    RESOLVER_TTL_MS_FAILED = 1000,
};

enum resolver_status {
    RESOLVER_FOUND,
    RESOLVER_NOT_FOUND, /* there is no such name, or it has no address */
    RESOLVER_FAILED,    /* nobody could say */
    RESOLVER_FULL,      /* too many look-ups at once, or no memory for one more */
};

/* Ports are 0. Borrowed for as long as the call says. */
struct resolver_answer {
    enum resolver_status status;
    uint32_t address_count;
    const struct address *addresses;
};

struct resolver;
struct resolver_name;

/* One who waits for an answer; the caller's, embedded. Zeroed before its first use. */
struct resolver_query {
    /* Not from inside resolver_find(). The answer is borrowed for the call. */
    void (*on_answer)(struct resolver_query *query, const struct resolver_answer *answer);
    struct list_node link; /* private, with the next */
    struct resolver_name *name;
};

/*
 * Whoever looks names up; embedded in its own state. It answers each lookup with one
 * call of resolver_settle(), also from inside lookup(). All but lookup may be NULL.
 */
struct resolver_backend {
    /* Borrows text, lower case and terminated, until it has settled name. */
    void (*lookup)(struct resolver_backend *backend, struct resolver_name *name, const char *text);
    /* The actor whose operations and timers it may use has started. */
    void (*start)(struct resolver_backend *backend, struct actor *owner);
    /* A completion or a timer of the owner. False when it is not this backend's. */
    bool (*receive)(struct resolver_backend *backend, const struct message *msg);
    /* The owner has ended, no operation is armed: settles whatever is open. */
    void (*stop)(struct resolver_backend *backend);
};

/* Private to resolver.c; embedded by value. */
struct resolver {
    struct resolver_backend *backend;
    const struct clock *clock;
    struct resolver_name *names;
    uint32_t name_count;
    struct list_node *buckets; /* as many as names */
    struct list_node recent;   /* the least recently asked for comes first */
    uint8_t hash_key[SIPHASH_KEY_SIZE];
    uint64_t hit_count; /* these two may be read */
    uint64_t lookup_count;
};

/*
 * Reserves room for name_count names. Borrows backend (NULL: no name is ever found) and
 * clock. hash_key need not be secret for long. 0 or -ENOMEM. Start-up only.
 */
MUST_USE int resolver_init(struct resolver *resolver, uint32_t name_count,
                           struct resolver_backend *backend, const struct clock *clock,
                           const uint8_t hash_key[SIPHASH_KEY_SIZE]);

/* Gives the memory back; nobody must be told any more. */
void resolver_deinit(struct resolver *resolver);

/* What one name takes, for --print-limits. */
size_t resolver_name_size(void);

/*
 * Asks for the addresses of a name in any case. True: *ret_answer, which is borrowed
 * until the next call of any function here. False: query->on_answer will be called.
 */
MUST_USE bool resolver_find(struct resolver *resolver, struct resolver_query *query,
                            struct slice name, struct resolver_answer *ret_answer);

/* Forgets who asks; the look-up itself goes on for whoever asks next. Idle: nothing. */
void resolver_cancel(struct resolver_query *query);

/*
 * For backends: the answer to a lookup, good for ttl_ms. Borrows addresses for the call.
 * Tells all who wait.
 */
void resolver_settle(struct resolver_name *name, enum resolver_status status,
                     const struct address *addresses, uint32_t address_count, uint64_t ttl_ms);
