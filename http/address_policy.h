/*
 * Address policy: which addresses our own requests may go to.
 *
 * A URL that somebody else chose must not reach what only we can reach: this host, the
 * private network around it, a cloud's metadata service. So every address is checked
 * after the name was resolved, at every attempt, and the connection is made to the very
 * address that was checked. Default: public unicast addresses only.
 *
 * allow_private opens loopback, private and shared networks (for a test, or a server
 * whose receivers are its neighbours). A list of networks opens exactly those, whatever
 * they are. Creating an endpoint, its test button and each delivery use this one check.
 */
#pragma once

#include "http/address.h"

enum { ADDRESS_POLICY_ALLOWED_MAX = 32 };

/* What an address is, as far as reaching it is concerned. */
enum address_class {
    ADDRESS_PUBLIC,
    ADDRESS_UNSPECIFIED, /* 0.0.0.0/8, :: */
    ADDRESS_LOOPBACK,
    ADDRESS_PRIVATE,    /* RFC 1918, fc00::/7 */
    ADDRESS_SHARED,     /* carrier-grade NAT, 100.64.0.0/10 */
    ADDRESS_LINK_LOCAL, /* 169.254.0.0/16, fe80::/10, and the former site-local ones */
    ADDRESS_METADATA,   /* a cloud's service for its own machines */
    ADDRESS_MULTICAST,  /* and broadcast */
    ADDRESS_EMBEDDED,   /* IPv6 with IPv4 inside: mapped, NAT64, 6to4, Teredo, ISATAP */
    ADDRESS_RESERVED,   /* documentation, benchmarks, protocols, not assigned */
};

/* A network. Private to address_policy.c. */
struct address_network {
    uint8_t bytes[16];
    uint8_t is_ip6;
    uint8_t bit_count;
};

/* Embedded by value; zero is the default. allow_private may be set; the rest is private. */
struct address_policy {
    bool allow_private;
    uint32_t allowed_count;
    struct address_network allowed[ADDRESS_POLICY_ALLOWED_MAX];
};

/*
 * Opens one network, "10.1.0.0/16", "fd12::/64", or one address. 0; -EINVAL for what is
 * none, or has bits set behind its prefix; -ENOSPC for one too many.
 */
MUST_USE int address_policy_allow(struct address_policy *policy, struct slice network);

/* What the address is. */
MUST_USE enum address_class address_classify(const struct address *address);

/* True when a connection may be made to it. The port does not matter. */
MUST_USE bool address_policy_permits(const struct address_policy *policy,
                                     const struct address *address);

/* What the class is called in logs and answers: "loopback". Static. */
MUST_USE struct slice address_class_name(enum address_class class);
