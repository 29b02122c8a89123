#include "http/address.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/url.h"

static enum address_literal parse(const char *host, struct address *address)
{
    bool is_ipv6 = strchr(host, ':') != NULL;

    return address_parse(slice_of(host), is_ipv6, 80, address);
}

static void assert_format(const char *host, const char *expected)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address address;

    cr_assert(eq(int, parse(host, &address), ADDRESS_LITERAL), "%s", host);
    cr_assert(eq(sz, address_format(&address, text), strlen(expected)));
    cr_assert(eq(str, text, (char *)expected));
}

Test(address, reads_four_decimal_numbers_and_writes_them_with_their_port)
{
    assert_format("192.0.2.1", "192.0.2.1:80");
    assert_format("255.255.255.255", "255.255.255.255:80");
}

Test(address, reads_ipv6_text_and_writes_it_in_brackets)
{
    assert_format("2001:db8::1", "[2001:db8::1]:80");
    assert_format("::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80");
    assert_format("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80");
}

Test(address, takes_names_for_names)
{
    static const char *const NAMES[] = {"localhost", "example.com",  "1.example.com", "a1", "0xyz",
                                        "1and1.com", "example.com.", "x--1",          "1e5"};
    struct address address;

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        cr_assert(eq(int, parse(NAMES[i], &address), ADDRESS_NAME), "%s", NAMES[i]);
}

Test(address, refuses_numbers_that_some_other_parser_would_take_for_an_address)
{
    static const char *const BAD[] = {
        "2130706433", "0x7f000001",
        "0x7f.1",     "127.1",
        "127.0.1",    "0177.0.0.1",
        "127.0.0.1.", "256.1.1.1",
        "1.2.3.4.5",  "0",
        "0x",         "0X7F.0.0.0X1",
        "127.0.0.01", "017700000001",
        "1.2.3.",     "00000000000000000000000000000000000000000000000000000127.0.0.1"};
    struct address address;

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        cr_assert(eq(int, parse(BAD[i], &address), ADDRESS_LITERAL_BAD), "%s", BAD[i]);
}

Test(address, refuses_ipv6_text_that_is_none)
{
    static const char *const BAD[] = {":::",
                                      "1::2::3",
                                      "::1.2.3",
                                      "12345::",
                                      "fe80::1%eth0",
                                      "1:2:3:4:5:6:7:8:9",
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    struct address address;

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        cr_assert(eq(int, parse(BAD[i], &address), ADDRESS_LITERAL_BAD), "%s", BAD[i]);
}

Test(address, changes_its_port_and_nothing_else)
{
    const uint8_t ip4[4] = {192, 0, 2, 7};
    const uint8_t ip6[16] = {0x20, 0x01, [15] = 9};
    struct address address = address_from_ip4(ip4, 80);
    struct address other = address_with_port(&address, 443);

    cr_assert(eq(u16, address_port(&other), 443));
    cr_assert(eq(u16, address_port(&address), 80));
    cr_assert(eq(sz, address_size(&other), sizeof(struct sockaddr_in)));
    address = address_from_ip6(ip6, 1);
    other = address_with_port(&address, 65535);
    cr_assert(eq(u16, address_port(&other), 65535));
    cr_assert(eq(sz, address_size(&other), sizeof(struct sockaddr_in6)));
    cr_assert(eq(int, memcmp(&other.as.ip6.sin6_addr, ip6, 16), 0));
}
