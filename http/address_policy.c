/*
 * Two tables, from the registries of special-purpose addresses (IANA, RFC 6890 and its
 * successors) and from what the clouds document. The first row that holds the address
 * decides, so the exceptions stand before the networks they lie in. An IPv4 address in
 * no row is public. For IPv6 it is the other way round: only 2000::/3 has ever been
 * assigned, so whatever else is in no row is reserved.
 *
 * An IPv6 address with an IPv4 address inside is refused without looking at that: no
 * receiver has only such an address, and each form is a way around a check of IPv4.
 */
#include "http/address_policy.h"

#include <arpa/inet.h>
#include <errno.h>

#include "http/char_class.h"

enum { NETWORK_TEXT_MAX = INET6_ADDRSTRLEN + 4, IP4_BITS = 32, IP6_BITS = 128 };

struct row {
    struct address_network network;
    enum address_class class;
};

#define IP4(a, b, c, d, bits)                                                                      \
    {                                                                                              \
        .bytes = {a, b, c, d}, .bit_count = (bits)                                                 \
    }
#define IP6(bits, ...)                                                                             \
    {                                                                                              \
        .bytes = {__VA_ARGS__}, .is_ip6 = 1, .bit_count = (bits)                                   \
    }

static const struct row IP4_ROWS[] = {
    {IP4(169, 254, 169, 254, 32), ADDRESS_METADATA}, /* nearly every cloud */
    {IP4(169, 254, 170, 2, 32), ADDRESS_METADATA},   /* AWS: credentials of a task */
    {IP4(169, 254, 170, 23, 32), ADDRESS_METADATA},  /* AWS: credentials of a pod */
    {IP4(100, 100, 100, 200, 32), ADDRESS_METADATA}, /* Alibaba Cloud */
    {IP4(168, 63, 129, 16, 32), ADDRESS_METADATA},   /* Azure; a public address by its number */
    {IP4(192, 0, 0, 192, 32), ADDRESS_METADATA},     /* Oracle Cloud, the older machines */
    {IP4(0, 0, 0, 0, 8), ADDRESS_UNSPECIFIED},       /* Linux connects 0.0.0.0 to itself */
    {IP4(10, 0, 0, 0, 8), ADDRESS_PRIVATE},
    {IP4(100, 64, 0, 0, 10), ADDRESS_SHARED},
    {IP4(127, 0, 0, 0, 8), ADDRESS_LOOPBACK},
    {IP4(169, 254, 0, 0, 16), ADDRESS_LINK_LOCAL},
    {IP4(172, 16, 0, 0, 12), ADDRESS_PRIVATE},
    {IP4(192, 0, 0, 0, 24), ADDRESS_RESERVED},    /* protocol assignments */
    {IP4(192, 0, 2, 0, 24), ADDRESS_RESERVED},    /* documentation */
    {IP4(192, 31, 196, 0, 24), ADDRESS_RESERVED}, /* AS112 */
    {IP4(192, 52, 193, 0, 24), ADDRESS_RESERVED}, /* multicast tunnels */
    {IP4(192, 88, 99, 0, 24), ADDRESS_RESERVED},  /* 6to4 relays, withdrawn */
    {IP4(192, 168, 0, 0, 16), ADDRESS_PRIVATE},
    {IP4(192, 175, 48, 0, 24), ADDRESS_RESERVED}, /* AS112 */
    {IP4(198, 18, 0, 0, 15), ADDRESS_RESERVED},   /* benchmarks */
    {IP4(198, 51, 100, 0, 24), ADDRESS_RESERVED}, /* documentation */
    {IP4(203, 0, 113, 0, 24), ADDRESS_RESERVED},  /* documentation */
    {IP4(224, 0, 0, 0, 4), ADDRESS_MULTICAST},
    {IP4(255, 255, 255, 255, 32), ADDRESS_MULTICAST}, /* broadcast */
    {IP4(240, 0, 0, 0, 4), ADDRESS_RESERVED},         /* never assigned */
};

static const struct row IP6_ROWS[] = {
    {IP6(128, 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54), ADDRESS_METADATA}, /* AWS */
    {IP6(128, 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23), ADDRESS_METADATA},              /* AWS: pods */
    {IP6(128, 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54), ADDRESS_METADATA}, /* Google */
    {IP6(128, 0), ADDRESS_UNSPECIFIED},
    {IP6(128, [15] = 1), ADDRESS_LOOPBACK},
    {IP6(96, [10] = 0xff, 0xff), ADDRESS_EMBEDDED},                  /* mapped */
    {IP6(96, [8] = 0xff, 0xff), ADDRESS_EMBEDDED},                   /* translated, RFC 2765 */
    {IP6(96, 0), ADDRESS_EMBEDDED},                                  /* compatible, withdrawn */
    {IP6(96, 0x00, 0x64, 0xff, 0x9b), ADDRESS_EMBEDDED},             /* NAT64 */
    {IP6(48, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01), ADDRESS_EMBEDDED}, /* NAT64, local use */
    {IP6(32, 0x20, 0x01), ADDRESS_EMBEDDED},                         /* Teredo */
    {IP6(16, 0x20, 0x02), ADDRESS_EMBEDDED},                         /* 6to4 */
    {IP6(23, 0x20, 0x01), ADDRESS_RESERVED},                         /* protocol assignments */
    {IP6(32, 0x20, 0x01, 0x0d, 0xb8), ADDRESS_RESERVED},             /* documentation */
    {IP6(48, 0x26, 0x20, 0x00, 0x4f, 0x80), ADDRESS_RESERVED},       /* AS112 */
    {IP6(20, 0x3f, 0xff), ADDRESS_RESERVED},                         /* documentation */
    {IP6(64, 0x01), ADDRESS_RESERVED},                               /* discarded */
    {IP6(7, 0xfc), ADDRESS_PRIVATE},
    {IP6(10, 0xfe, 0x80), ADDRESS_LINK_LOCAL},
    {IP6(10, 0xfe, 0xc0), ADDRESS_LINK_LOCAL}, /* site-local, withdrawn */
    {IP6(8, 0xff), ADDRESS_MULTICAST},
};

static const struct address_network IP6_ASSIGNED = IP6(3, 0x20);

/* True when the bytes lie in the network; both are of one family. */
static bool network_has(const struct address_network *network, const uint8_t *bytes)
{
    size_t whole = network->bit_count / 8;
    unsigned rest = network->bit_count % 8;
    uint8_t mask = (uint8_t)(0xff00u >> rest);

    assert(network->bit_count <= (network->is_ip6 ? IP6_BITS : IP4_BITS));
    if (memcmp(network->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || ((network->bytes[whole] ^ bytes[whole]) & mask) == 0;
}

static const uint8_t *bytes_of(const struct address *address, bool *ret_is_ip6)
{
    *ret_is_ip6 = address->as.any.sa_family == AF_INET6;
    assert(*ret_is_ip6 || address->as.any.sa_family == AF_INET);
    return *ret_is_ip6 ? address->as.ip6.sin6_addr.s6_addr
                       : (const uint8_t *)&address->as.ip4.sin_addr;
}

/* An interface identifier that ISATAP makes: an IPv4 address behind 0000:5efe or 0200:5efe. */
static bool is_isatap(const uint8_t bytes[16])
{
    return (bytes[8] & ~0x02) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe;
}

enum address_class address_classify(const struct address *address)
{
    bool is_ip6;
    const uint8_t *bytes = bytes_of(address, &is_ip6);
    const struct row *rows = is_ip6 ? IP6_ROWS : IP4_ROWS;
    size_t count = is_ip6 ? ARRAY_COUNT(IP6_ROWS) : ARRAY_COUNT(IP4_ROWS);

    for (size_t i = 0; i < count; i++)
        if (network_has(&rows[i].network, bytes))
            return rows[i].class;
    if (!is_ip6)
        return ADDRESS_PUBLIC;
    if (is_isatap(bytes))
        return ADDRESS_EMBEDDED;
    return network_has(&IP6_ASSIGNED, bytes) ? ADDRESS_PUBLIC : ADDRESS_RESERVED;
}

static bool is_listed(const struct address_policy *policy, const struct address *address)
{
    bool is_ip6;
    const uint8_t *bytes = bytes_of(address, &is_ip6);

    for (uint32_t i = 0; i < policy->allowed_count; i++) {
        const struct address_network *network = &policy->allowed[i];

        if ((network->is_ip6 != 0) == is_ip6 && network_has(network, bytes))
            return true;
    }
    return false;
}

bool address_policy_permits(const struct address_policy *policy, const struct address *address)
{
    enum address_class class = address_classify(address);

    assert(policy->allowed_count <= ADDRESS_POLICY_ALLOWED_MAX);
    if (class == ADDRESS_PUBLIC || is_listed(policy, address))
        return true;
    return policy->allow_private &&
           (class == ADDRESS_LOOPBACK || class == ADDRESS_PRIVATE || class == ADDRESS_SHARED);
}

/* The digits behind the slash; false for none, too many, or more than bits_max. */
static bool parse_bit_count(struct slice text, unsigned bits_max, uint8_t *ret_bit_count)
{
    unsigned count = 0;

    if (text.size == 0 || text.size > 3 || (text.size > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!char_is_digit(text.data[i]))
            return false;
        count = count * 10 + (unsigned)(text.data[i] - '0');
    }
    if (count > bits_max)
        return false;
    *ret_bit_count = (uint8_t)count;
    return true;
}

/* True when a bit behind the prefix is set: the writer may have meant something else. */
static bool has_stray_bits(const struct address_network *network)
{
    for (unsigned bit = network->bit_count; bit < (network->is_ip6 ? IP6_BITS : IP4_BITS); bit++)
        if ((network->bytes[bit / 8] & (0x80u >> bit % 8)) != 0)
            return true;
    return false;
}

int address_policy_allow(struct address_policy *policy, struct slice text)
{
    struct address_network network = {0};
    char host[NETWORK_TEXT_MAX + 1];
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
    size_t host_size = slash != NULL ? (size_t)(slash - text.data) : text.size;

    if (host_size == 0 || host_size > NETWORK_TEXT_MAX)
        return -EINVAL;
    memcpy(host, text.data, host_size);
    host[host_size] = '\0';
    network.is_ip6 = strchr(host, ':') != NULL;
    network.bit_count = network.is_ip6 ? IP6_BITS : IP4_BITS;
    if (inet_pton(network.is_ip6 ? AF_INET6 : AF_INET, host, network.bytes) != 1)
        return -EINVAL;
    if (slash != NULL && !parse_bit_count((struct slice){slash + 1, text.size - host_size - 1},
                                          network.bit_count, &network.bit_count))
        return -EINVAL;
    if (has_stray_bits(&network))
        return -EINVAL;
    if (policy->allowed_count == ADDRESS_POLICY_ALLOWED_MAX)
        return -ENOSPC;
    policy->allowed[policy->allowed_count++] = network;
    return 0;
}

struct slice address_class_name(enum address_class class)
{
    static const struct slice NAMES[] = {
        [ADDRESS_PUBLIC] = SLICE_INITIALIZER("public"),
        [ADDRESS_UNSPECIFIED] = SLICE_INITIALIZER("unspecified"),
        [ADDRESS_LOOPBACK] = SLICE_INITIALIZER("loopback"),
        [ADDRESS_PRIVATE] = SLICE_INITIALIZER("private"),
        [ADDRESS_SHARED] = SLICE_INITIALIZER("shared"),
        [ADDRESS_LINK_LOCAL] = SLICE_INITIALIZER("link-local"),
        [ADDRESS_METADATA] = SLICE_INITIALIZER("metadata"),
        [ADDRESS_MULTICAST] = SLICE_INITIALIZER("multicast"),
        [ADDRESS_EMBEDDED] = SLICE_INITIALIZER("embedded"),
        [ADDRESS_RESERVED] = SLICE_INITIALIZER("reserved"),
    };

    assert((size_t) class < ARRAY_COUNT(NAMES));
    return NAMES[class];
}
