#include "http/address_policy.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

static struct address address_of(const char *host)
{
    struct address address;
    enum address_literal literal =
        address_parse(slice_of(host), strchr(host, ':') != NULL, 443, &address);

    cr_assert(eq(int, literal, ADDRESS_LITERAL), "%s", host);
    return address;
}

struct vector {
    const char *host;
    enum address_class class;
};

/* Both ends of every network and their neighbours outside. */
static const struct vector VECTORS[] = {
    {"0.0.0.0", ADDRESS_UNSPECIFIED},
    {"0.255.255.255", ADDRESS_UNSPECIFIED},
    {"1.0.0.0", ADDRESS_PUBLIC},
    {"9.255.255.255", ADDRESS_PUBLIC},
    {"10.0.0.0", ADDRESS_PRIVATE},
    {"10.255.255.255", ADDRESS_PRIVATE},
    {"11.0.0.0", ADDRESS_PUBLIC},
    {"100.63.255.255", ADDRESS_PUBLIC},
    {"100.64.0.0", ADDRESS_SHARED},
    {"100.100.100.200", ADDRESS_METADATA},
    {"100.100.100.201", ADDRESS_SHARED},
    {"100.127.255.255", ADDRESS_SHARED},
    {"100.128.0.0", ADDRESS_PUBLIC},
    {"126.255.255.255", ADDRESS_PUBLIC},
    {"127.0.0.0", ADDRESS_LOOPBACK},
    {"127.0.0.1", ADDRESS_LOOPBACK},
    {"127.255.255.255", ADDRESS_LOOPBACK},
    {"128.0.0.0", ADDRESS_PUBLIC},
    {"168.63.129.15", ADDRESS_PUBLIC},
    {"168.63.129.16", ADDRESS_METADATA},
    {"168.63.129.17", ADDRESS_PUBLIC},
    {"169.253.255.255", ADDRESS_PUBLIC},
    {"169.254.0.0", ADDRESS_LINK_LOCAL},
    {"169.254.169.253", ADDRESS_LINK_LOCAL},
    {"169.254.169.254", ADDRESS_METADATA},
    {"169.254.169.255", ADDRESS_LINK_LOCAL},
    {"169.254.170.2", ADDRESS_METADATA},
    {"169.254.170.23", ADDRESS_METADATA},
    {"169.254.255.255", ADDRESS_LINK_LOCAL},
    {"169.255.0.0", ADDRESS_PUBLIC},
    {"172.15.255.255", ADDRESS_PUBLIC},
    {"172.16.0.0", ADDRESS_PRIVATE},
    {"172.31.255.255", ADDRESS_PRIVATE},
    {"172.32.0.0", ADDRESS_PUBLIC},
    {"191.255.255.255", ADDRESS_PUBLIC},
    {"192.0.0.0", ADDRESS_RESERVED},
    {"192.0.0.192", ADDRESS_METADATA},
    {"192.0.0.255", ADDRESS_RESERVED},
    {"192.0.1.0", ADDRESS_PUBLIC},
    {"192.0.2.0", ADDRESS_RESERVED},
    {"192.0.2.255", ADDRESS_RESERVED},
    {"192.0.3.0", ADDRESS_PUBLIC},
    {"192.31.195.255", ADDRESS_PUBLIC},
    {"192.31.196.1", ADDRESS_RESERVED},
    {"192.31.197.0", ADDRESS_PUBLIC},
    {"192.52.193.1", ADDRESS_RESERVED},
    {"192.52.194.0", ADDRESS_PUBLIC},
    {"192.88.98.255", ADDRESS_PUBLIC},
    {"192.88.99.1", ADDRESS_RESERVED},
    {"192.88.100.0", ADDRESS_PUBLIC},
    {"192.167.255.255", ADDRESS_PUBLIC},
    {"192.168.0.0", ADDRESS_PRIVATE},
    {"192.168.255.255", ADDRESS_PRIVATE},
    {"192.169.0.0", ADDRESS_PUBLIC},
    {"192.175.48.1", ADDRESS_RESERVED},
    {"192.175.49.0", ADDRESS_PUBLIC},
    {"198.17.255.255", ADDRESS_PUBLIC},
    {"198.18.0.0", ADDRESS_RESERVED},
    {"198.19.255.255", ADDRESS_RESERVED},
    {"198.20.0.0", ADDRESS_PUBLIC},
    {"198.51.99.255", ADDRESS_PUBLIC},
    {"198.51.100.1", ADDRESS_RESERVED},
    {"198.51.101.0", ADDRESS_PUBLIC},
    {"203.0.112.255", ADDRESS_PUBLIC},
    {"203.0.113.1", ADDRESS_RESERVED},
    {"203.0.114.0", ADDRESS_PUBLIC},
    {"223.255.255.255", ADDRESS_PUBLIC},
    {"224.0.0.0", ADDRESS_MULTICAST},
    {"239.255.255.255", ADDRESS_MULTICAST},
    {"240.0.0.0", ADDRESS_RESERVED},
    {"255.255.255.254", ADDRESS_RESERVED},
    {"255.255.255.255", ADDRESS_MULTICAST},
    {"8.8.8.8", ADDRESS_PUBLIC},
    {"::", ADDRESS_UNSPECIFIED},
    {"::1", ADDRESS_LOOPBACK},
    {"::2", ADDRESS_EMBEDDED},
    {"::127.0.0.1", ADDRESS_EMBEDDED},
    {"::ffff:127.0.0.1", ADDRESS_EMBEDDED},
    {"::ffff:8.8.8.8", ADDRESS_EMBEDDED},
    {"::ffff:0:127.0.0.1", ADDRESS_EMBEDDED},
    {"::1:0:0:0", ADDRESS_RESERVED},
    {"64:ff9b::7f00:1", ADDRESS_EMBEDDED},
    {"64:ff9b::8.8.8.8", ADDRESS_EMBEDDED},
    {"64:ff9b:1::1", ADDRESS_EMBEDDED},
    {"64:ff9b:1:ffff::a9fe:a9fe", ADDRESS_EMBEDDED},
    {"64:ff9b:2::1", ADDRESS_RESERVED},
    {"100::1", ADDRESS_RESERVED},
    {"1fff:ffff::1", ADDRESS_RESERVED},
    {"2000::1", ADDRESS_PUBLIC},
    {"2001::1", ADDRESS_EMBEDDED},
    {"2001:0:ffff::1", ADDRESS_EMBEDDED},
    {"2001:1::1", ADDRESS_RESERVED},
    {"2001:2::1", ADDRESS_RESERVED},
    {"2001:20::1", ADDRESS_RESERVED},
    {"2001:1ff::1", ADDRESS_RESERVED},
    {"2001:200::1", ADDRESS_PUBLIC},
    {"2001:db7::1", ADDRESS_PUBLIC},
    {"2001:db8::1", ADDRESS_RESERVED},
    {"2001:db9::1", ADDRESS_PUBLIC},
    {"2001:4860:4860::8888", ADDRESS_PUBLIC},
    {"2002:7f00:1::1", ADDRESS_EMBEDDED},
    {"2002:808:808::1", ADDRESS_EMBEDDED},
    {"2003::1", ADDRESS_PUBLIC},
    {"2606:4700::5efe:7f00:1", ADDRESS_EMBEDDED},
    {"2606:4700::200:5efe:7f00:1", ADDRESS_EMBEDDED},
    {"2606:4700::6810:84e5", ADDRESS_PUBLIC},
    {"2620:4f:8000::1", ADDRESS_RESERVED},
    {"2620:4f:8001::1", ADDRESS_PUBLIC},
    {"3ffe:ffff::1", ADDRESS_PUBLIC},
    {"3fff::1", ADDRESS_RESERVED},
    {"3fff:0fff::1", ADDRESS_RESERVED},
    {"3fff:1000::1", ADDRESS_PUBLIC},
    {"4000::1", ADDRESS_RESERVED},
    {"5f00::1", ADDRESS_RESERVED},
    {"fbff::1", ADDRESS_RESERVED},
    {"fc00::1", ADDRESS_PRIVATE},
    {"fd00:ec2::253", ADDRESS_PRIVATE},
    {"fd00:ec2::254", ADDRESS_METADATA},
    {"fd00:ec2::23", ADDRESS_METADATA},
    {"fd20:ce::254", ADDRESS_METADATA},
    {"fdff:ffff::1", ADDRESS_PRIVATE},
    {"fe00::1", ADDRESS_RESERVED},
    {"fe80::1", ADDRESS_LINK_LOCAL},
    {"febf::1", ADDRESS_LINK_LOCAL},
    {"fec0::1", ADDRESS_LINK_LOCAL},
    {"ff02::1", ADDRESS_MULTICAST},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_MULTICAST},
};

Test(address_policy, knows_what_each_address_is)
{
    for (size_t i = 0; i < ARRAY_COUNT(VECTORS); i++) {
        struct address address = address_of(VECTORS[i].host);

        cr_assert(eq(int, address_classify(&address), VECTORS[i].class), "%s", VECTORS[i].host);
    }
}

Test(address_policy, permits_public_addresses_only_when_nothing_is_said)
{
    const struct address_policy policy = {0};

    for (size_t i = 0; i < ARRAY_COUNT(VECTORS); i++) {
        struct address address = address_of(VECTORS[i].host);

        cr_assert(
            eq(int, address_policy_permits(&policy, &address), VECTORS[i].class == ADDRESS_PUBLIC),
            "%s", VECTORS[i].host);
    }
}

Test(address_policy, opens_neighbours_but_neither_metadata_nor_what_is_no_receiver)
{
    const struct address_policy policy = {.allow_private = true};

    for (size_t i = 0; i < ARRAY_COUNT(VECTORS); i++) {
        struct address address = address_of(VECTORS[i].host);
        enum address_class class = VECTORS[i].class;
        bool expected = class == ADDRESS_PUBLIC || class == ADDRESS_LOOPBACK ||
                        class == ADDRESS_PRIVATE || class == ADDRESS_SHARED;

        cr_assert(eq(int, address_policy_permits(&policy, &address), expected), "%s",
                  VECTORS[i].host);
    }
}

static bool permits(const char *network, const char *host)
{
    struct address_policy policy = {0};
    struct address address = address_of(host);

    cr_assert(eq(int, address_policy_allow(&policy, slice_of(network)), 0), "%s", network);
    return address_policy_permits(&policy, &address);
}

Test(address_policy, opens_exactly_the_networks_that_are_listed)
{
    cr_assert(permits("10.1.0.0/16", "10.1.0.0"));
    cr_assert(permits("10.1.0.0/16", "10.1.255.255"));
    cr_assert(not(permits("10.1.0.0/16", "10.0.255.255")));
    cr_assert(not(permits("10.1.0.0/16", "10.2.0.0")));
    cr_assert(permits("10.1.2.128/25", "10.1.2.129"));
    cr_assert(not(permits("10.1.2.128/25", "10.1.2.127")));
    cr_assert(permits("127.0.0.1", "127.0.0.1"));
    cr_assert(not(permits("127.0.0.1", "127.0.0.2")));
    cr_assert(permits("169.254.169.254/32", "169.254.169.254"));
    cr_assert(permits("fd12:3456::/32", "fd12:3456:789a::1"));
    cr_assert(not(permits("fd12:3456::/32", "fd12:3457::1")));
    cr_assert(permits("::1", "::1"));
    cr_assert(permits("0.0.0.0/0", "127.0.0.1"));
}

Test(address_policy, does_not_take_a_network_of_one_family_for_the_other)
{
    cr_assert(not(permits("0.0.0.0/0", "::1")));
    cr_assert(not(permits("::/0", "127.0.0.1")));
    cr_assert(not(permits("127.0.0.0/8", "::ffff:127.0.0.1")));
    cr_assert(permits("::ffff:127.0.0.0/104", "::ffff:127.0.0.1"));
}

Test(address_policy, refuses_a_network_that_is_not_written_as_one)
{
    static const char *const BAD[] = {"",
                                      "/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/08",
                                      "10.0.0.0/-1",
                                      "10.0.0.1/8",
                                      "10.0.0.0/8/8",
                                      "10.0.0/8",
                                      "::/129",
                                      "fd00::1/8",
                                      "localhost/8",
                                      "10.0.0.0/ 8",
                                      "[::1]/128",
                                      "10.0.0.0/8000",
                                      "1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0:1:2:3:4:5:6"};
    struct address_policy policy = {0};

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        cr_assert(eq(int, address_policy_allow(&policy, slice_of(BAD[i])), -EINVAL), "%s", BAD[i]);
    cr_assert(eq(u32, policy.allowed_count, 0));
}

Test(address_policy, says_when_its_list_is_full)
{
    struct address_policy policy = {0};

    for (int i = 0; i < ADDRESS_POLICY_ALLOWED_MAX; i++)
        cr_assert(eq(int, address_policy_allow(&policy, SLICE_LITERAL("10.0.0.0/8")), 0));
    cr_assert(eq(int, address_policy_allow(&policy, SLICE_LITERAL("10.0.0.0/8")), -ENOSPC));
}

Test(address_policy, names_each_class)
{
    cr_assert(slice_equal(address_class_name(ADDRESS_METADATA), SLICE_LITERAL("metadata")));
    cr_assert(slice_equal(address_class_name(ADDRESS_RESERVED), SLICE_LITERAL("reserved")));
}
