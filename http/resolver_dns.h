/*
 * Resolver DNS: looks names up in the hosts file and by DNS, for the resolver.
 *
 * c-ares asks the name servers of /etc/resolv.conf, with its search domains, over
 * sockets that are polled by the shard's ring; nothing blocks. Both files are read once,
 * at start. IPv4 and IPv6 addresses are asked for together.
 *
 * What the library allocates comes from memory that is reserved at start (dns_memory.h);
 * a look-up for which there is no room is told RESOLVER_FULL. Not for the simulator,
 * which has a table of names instead.
 */
#pragma once

#include "http/resolver.h"

enum {
    RESOLVER_DNS_LOOKUP_COUNT_MAX = 256, /* at once */
    RESOLVER_DNS_SOCKET_COUNT_MAX = 32,
    RESOLVER_DNS_MEMORY_SIZE = 1 << 20,
    RESOLVER_DNS_TIMEOUT_MS_DEFAULT = 2000,
    RESOLVER_DNS_TRIES_DEFAULT = 2, /* with each server */
};

struct resolver_dns;

/* Zero means the defaults. Borrowed for the call. */
struct resolver_dns_config {
    uint32_t timeout_ms;    /* for an answer to the first try; it doubles */
    uint32_t tries;         /* with each server */
    const char *servers;    /* "127.0.0.1:53,[::1]:53"; NULL: those of /etc/resolv.conf */
    const char *hosts_path; /* NULL: /etc/hosts */
};

/*
 * Makes what one shard needs. 0; -ENOMEM; -EINVAL for servers that are none. Start-up
 * only, on one thread, before the shards run.
 */
MUST_USE int resolver_dns_new(const struct resolver_dns_config *config,
                              struct resolver_dns **ret_dns);

/* Frees it and nulls the pointer; the actor that used it must have ended. NULL is accepted. */
void resolver_dns_free(struct resolver_dns **dns);

/* What http_client_init() wants; lives as long as dns. */
struct resolver_backend *resolver_dns_backend(struct resolver_dns *dns);
