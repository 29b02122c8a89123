/*
 *     FREE --find--> PENDING --settled--> KNOWN --asked for when too old--> PENDING
 *                                           \--the place is needed--> FREE
 *
 * A name that is PENDING is never forgotten, since its backend will come back to it; so
 * with as many look-ups in flight as there are places, the next one is told FULL. All
 * places but those that were never used are in one list by the time they were last asked
 * for, and in a bucket of a hash table with a key.
 */
#include "http/resolver.h"

#include <errno.h>
#include <stdlib.h>

#include "http/char_class.h"

enum name_state {
    NAME_FREE,
    NAME_PENDING,
    NAME_KNOWN,
};

struct resolver_name {
    struct resolver *resolver;
    enum name_state state;
    enum resolver_status status;
    uint64_t expires_ns;
    struct list_node bucket_link;
    struct list_node recent_link;
    struct list_node queries; /* who waits, first come first */
    uint32_t address_count;
    struct address addresses[RESOLVER_ADDRESS_COUNT_MAX];
    char text[RESOLVER_NAME_SIZE_MAX + 1];
};

static void resolver_check(const struct resolver *resolver)
{
    assert(resolver->clock != NULL);
    assert(resolver->names != NULL);
    assert(resolver->name_count > 0);
}

int resolver_init(struct resolver *resolver, uint32_t name_count, struct resolver_backend *backend,
                  const struct clock *clock, const uint8_t hash_key[SIPHASH_KEY_SIZE])
{
    assert(name_count > 0);
    *resolver = (struct resolver){.backend = backend, .clock = clock, .name_count = name_count};
    memcpy(resolver->hash_key, hash_key, sizeof(resolver->hash_key));
    list_init(&resolver->recent);
    resolver->names = calloc(name_count, sizeof(*resolver->names));
    resolver->buckets = calloc(name_count, sizeof(*resolver->buckets));
    if (resolver->names == NULL || resolver->buckets == NULL) {
        resolver_deinit(resolver);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < name_count; i++) {
        struct resolver_name *name = &resolver->names[i];

        name->resolver = resolver;
        list_init(&resolver->buckets[i]);
        list_init(&name->bucket_link);
        list_init(&name->recent_link);
        list_init(&name->queries);
        list_push_back(&resolver->recent, &name->recent_link);
    }
    resolver_check(resolver);
    return 0;
}

void resolver_deinit(struct resolver *resolver)
{
    free(resolver->names);
    free(resolver->buckets);
    resolver->names = NULL;
    resolver->buckets = NULL;
}

size_t resolver_name_size(void)
{
    return sizeof(struct resolver_name) + sizeof(struct list_node);
}

static struct list_node *bucket_of(struct resolver *resolver, struct slice text)
{
    return &resolver->buckets[siphash_64(resolver->hash_key, text) % resolver->name_count];
}

static struct resolver_name *find_name(struct list_node *bucket, struct slice text)
{
    for (struct list_node *node = bucket->next; node != bucket; node = node->next) {
        struct resolver_name *name = container_of(node, struct resolver_name, bucket_link);

        if (slice_equal(slice_of(name->text), text))
            return name;
    }
    return NULL;
}

/* A place for one more name: the one asked for least recently that nobody waits for. */
static struct resolver_name *take_place(struct resolver *resolver)
{
    for (struct list_node *node = resolver->recent.next; node != &resolver->recent;
         node = node->next) {
        struct resolver_name *name = container_of(node, struct resolver_name, recent_link);

        if (name->state == NAME_PENDING)
            continue;
        list_remove(&name->bucket_link);
        name->state = NAME_FREE;
        return name;
    }
    return NULL;
}

static struct resolver_answer answer_of(const struct resolver_name *name)
{
    assert(name->state == NAME_KNOWN);
    return (struct resolver_answer){
        .status = name->status, .address_count = name->address_count, .addresses = name->addresses};
}

static void look_up(struct resolver *resolver, struct resolver_name *name)
{
    assert(name->state != NAME_PENDING);
    name->state = NAME_PENDING;
    resolver->lookup_count++;
    if (resolver->backend != NULL)
        resolver->backend->lookup(resolver->backend, name, name->text);
    else
        resolver_settle(name, RESOLVER_NOT_FOUND, NULL, 0, 0);
}

/* Copies in lower case; false for what cannot be a name. */
static bool normalize(struct slice name, char ret_text[RESOLVER_NAME_SIZE_MAX + 1])
{
    if (name.size == 0 || name.size > RESOLVER_NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (!char_is(name.data[i], CHAR_UNRESERVED))
            return false;
        ret_text[i] = char_lower(name.data[i]);
    }
    ret_text[name.size] = '\0';
    return true;
}

bool resolver_find(struct resolver *resolver, struct resolver_query *query, struct slice text,
                   struct resolver_answer *ret_answer)
{
    char lower[RESOLVER_NAME_SIZE_MAX + 1];
    struct resolver_name *name;
    struct list_node *bucket;

    resolver_check(resolver);
    assert(query->name == NULL);
    assert(query->on_answer != NULL);
    if (!normalize(text, lower)) {
        *ret_answer = (struct resolver_answer){.status = RESOLVER_NOT_FOUND};
        return true;
    }
    bucket = bucket_of(resolver, slice_of(lower));
    name = find_name(bucket, slice_of(lower));
    if (name == NULL) {
        name = take_place(resolver);
        if (name == NULL) {
            *ret_answer = (struct resolver_answer){.status = RESOLVER_FULL};
            return true;
        }
        memcpy(name->text, lower, text.size + 1);
        list_push_back(bucket, &name->bucket_link);
    }
    list_remove(&name->recent_link);
    list_push_back(&resolver->recent, &name->recent_link);
    if (name->state == NAME_KNOWN && name->expires_ns > resolver->clock->mono_ns)
        resolver->hit_count++;
    else if (name->state != NAME_PENDING)
        look_up(resolver, name);
    if (name->state == NAME_KNOWN) {
        *ret_answer = answer_of(name);
        return true;
    }
    query->name = name;
    list_init(&query->link);
    list_push_back(&name->queries, &query->link);
    return false;
}

void resolver_cancel(struct resolver_query *query)
{
    if (query->name == NULL)
        return;
    list_remove(&query->link);
    query->name = NULL;
}

static uint64_t bounded_ttl_ms(enum resolver_status status, uint64_t ttl_ms)
{
    switch (status) {
    case RESOLVER_FOUND:
        return min_u64(max_u64(ttl_ms, RESOLVER_TTL_MS_MIN), RESOLVER_TTL_MS_MAX);
    case RESOLVER_NOT_FOUND:
        return RESOLVER_TTL_MS_NOT_FOUND;
    case RESOLVER_FAILED:
        return RESOLVER_TTL_MS_FAILED;
    case RESOLVER_FULL:
        return 0;
    }
    return 0;
}

void resolver_settle(struct resolver_name *name, enum resolver_status status,
                     const struct address *addresses, uint32_t address_count, uint64_t ttl_ms)
{
    struct address copies[RESOLVER_ADDRESS_COUNT_MAX];
    struct resolver_answer answer;
    struct list_node asking;
    struct list_node *node;

    assert(name->state == NAME_PENDING);
    assert(address_count == 0 || status == RESOLVER_FOUND);
    if (status == RESOLVER_FOUND && address_count == 0)
        status = RESOLVER_NOT_FOUND;
    name->state = NAME_KNOWN;
    name->status = status;
    name->address_count = (uint32_t)min_u64(address_count, RESOLVER_ADDRESS_COUNT_MAX);
    for (uint32_t i = 0; i < name->address_count; i++)
        name->addresses[i] = addresses[i];
    name->expires_ns =
        name->resolver->clock->mono_ns + bounded_ttl_ms(status, ttl_ms) * UINT64_C(1000000);

    /* Those who are told may ask again, which may give the place to another name. */
    memcpy(copies, name->addresses, sizeof(copies));
    answer = answer_of(name);
    answer.addresses = copies;
    list_init(&asking);
    while ((node = list_pop_front(&name->queries)) != NULL)
        list_push_back(&asking, node);
    while ((node = list_pop_front(&asking)) != NULL) {
        struct resolver_query *query = container_of(node, struct resolver_query, link);

        query->name = NULL;
        query->on_answer(query, &answer);
    }
}
