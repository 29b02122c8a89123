/*
 * Client host: the place that a client's calls go to, by scheme, name and port.
 *
 * It holds the calls that wait for a connection to it and the kept connections, and
 * exists as long as it has either, or a connection in use. For http/client*.c.
 */
#pragma once

#include "contracts/siphash.h"
#include "http/url.h"
#include "runtime/list.h"
#include "runtime/pool.h"

enum { CLIENT_HOST_NAME_SIZE_MAX = 253 };

/* Fields are for http/client*.c. */
struct client_host {
    struct list_node bucket_link;
    struct list_node hungry_link; /* among the hosts that wait for the total to allow more */
    struct list_node waiting;     /* calls, first come first served */
    struct list_node idle;        /* connections, the one used last comes first */
    uint32_t connection_count;
    uint32_t hold_count; /* callers that must find it again */
    uint16_t port;
    uint8_t scheme; /* enum url_scheme */
    uint8_t name_size;
    char name[CLIENT_HOST_NAME_SIZE_MAX + 1]; /* lower case, terminated */
};

/* Embedded by value; private to client_host.c. */
struct client_hosts {
    struct pool pool;
    struct list_node *buckets;
    uint32_t bucket_count;
    uint8_t hash_key[SIPHASH_KEY_SIZE];
};

/* Reserves room for host_count hosts. 0 or -ENOMEM. Start-up only. */
MUST_USE int client_hosts_init(struct client_hosts *hosts, uint32_t host_count,
                               const uint8_t hash_key[SIPHASH_KEY_SIZE]);

/* Gives the memory back, also of hosts that are still there. */
void client_hosts_deinit(struct client_hosts *hosts);

/* The host of a URL, a new one if need be. NULL: no room, or a name that is too long. */
MUST_USE struct client_host *client_hosts_get(struct client_hosts *hosts, const struct url *url);

/* Forgets the host when it has no connection and no call, and nobody holds it. */
void client_hosts_put(struct client_hosts *hosts, struct client_host *host);

/* How many there are. */
uint32_t client_hosts_count(const struct client_hosts *hosts);
