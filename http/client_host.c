#include "http/client_host.h"

#include <errno.h>
#include <stdlib.h>

#include "http/char_class.h"

/*
 * A chained hash table over a pool. The hash has a key, for names come from whoever may
 * register an endpoint; scheme and port only shift it, so that the hosts of one name are
 * neighbours. A host that is found is compared in full.
 */
enum { HOST_COUNT_PER_BUCKET = 2 };

int client_hosts_init(struct client_hosts *hosts, uint32_t host_count,
                      const uint8_t hash_key[SIPHASH_KEY_SIZE])
{
    int r;

    assert(host_count > 0);
    *hosts = (struct client_hosts){.bucket_count = host_count / HOST_COUNT_PER_BUCKET + 1};
    memcpy(hosts->hash_key, hash_key, sizeof(hosts->hash_key));
    r = pool_init(&hosts->pool, "client hosts", sizeof(struct client_host), host_count);
    if (r < 0)
        return r;
    hosts->buckets = calloc(hosts->bucket_count, sizeof(*hosts->buckets));
    if (hosts->buckets == NULL) {
        pool_deinit(&hosts->pool);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < hosts->bucket_count; i++)
        list_init(&hosts->buckets[i]);
    return 0;
}

void client_hosts_deinit(struct client_hosts *hosts)
{
    if (hosts->buckets == NULL)
        return;
    pool_abandon(&hosts->pool);
    free(hosts->buckets);
    hosts->buckets = NULL;
}

static bool is_host_of(const struct client_host *host, const struct url *url, struct slice name)
{
    return host->port == url->port && host->scheme == (uint8_t)url->scheme &&
           slice_equal((struct slice){host->name, host->name_size}, name);
}

struct client_host *client_hosts_get(struct client_hosts *hosts, const struct url *url)
{
    char lower[CLIENT_HOST_NAME_SIZE_MAX + 1];
    struct slice name = {lower, url->host.size};
    struct client_host *host;
    struct list_node *bucket;
    uint64_t hash;

    assert(url->port > 0);
    if (name.size > CLIENT_HOST_NAME_SIZE_MAX)
        return NULL;
    for (size_t i = 0; i < name.size; i++)
        lower[i] = char_lower(url->host.data[i]);
    lower[name.size] = '\0';
    hash = siphash_64(hosts->hash_key, name) + url->port + (uint64_t)url->scheme;
    bucket = &hosts->buckets[hash % hosts->bucket_count];
    for (struct list_node *node = bucket->next; node != bucket; node = node->next) {
        host = container_of(node, struct client_host, bucket_link);
        if (is_host_of(host, url, name))
            return host;
    }
    host = pool_acquire(&hosts->pool);
    if (host == NULL)
        return NULL;
    *host = (struct client_host){
        .port = url->port, .scheme = (uint8_t)url->scheme, .name_size = (uint8_t)name.size};
    memcpy(host->name, lower, name.size + 1);
    list_init(&host->bucket_link);
    list_init(&host->hungry_link);
    list_init(&host->waiting);
    list_init(&host->idle);
    list_push_back(bucket, &host->bucket_link);
    return host;
}

void client_hosts_put(struct client_hosts *hosts, struct client_host *host)
{
    void *slot = host;

    if (host->connection_count > 0 || host->hold_count > 0 || !list_is_empty(&host->waiting))
        return;
    assert(list_is_empty(&host->idle));
    list_remove(&host->hungry_link);
    list_remove(&host->bucket_link);
    pool_release(&hosts->pool, &slot);
}

uint32_t client_hosts_count(const struct client_hosts *hosts)
{
    return pool_used_count(&hosts->pool);
}
