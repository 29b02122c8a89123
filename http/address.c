/*
 * One way to write an address, and no other. inet_pton() takes exactly the text that
 * RFC 3986 allows in a URL. What it refuses but another parser would take, such as
 * 127.1 or 0x7f000001, must not be handed on as a name: a resolver of the system may
 * read it as an address, and then another one is reached than was checked.
 */
#include "http/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "http/char_class.h"

static void address_check(const struct address *address)
{
    assert(address->as.any.sa_family == AF_INET || address->as.any.sa_family == AF_INET6);
}

struct address address_from_ip4(const uint8_t bytes[4], uint16_t port)
{
    struct address address = {.as.ip4 = {.sin_family = AF_INET, .sin_port = htons(port)}};

    memcpy(&address.as.ip4.sin_addr, bytes, 4);
    return address;
}

struct address address_from_ip6(const uint8_t bytes[16], uint16_t port)
{
    struct address address = {.as.ip6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};

    memcpy(&address.as.ip6.sin6_addr, bytes, 16);
    return address;
}

/* True when the last label is a number in any base that some parser knows. */
static bool ends_in_number(struct slice host)
{
    size_t end = host.size;
    size_t start;
    bool is_hex;

    if (end > 0 && host.data[end - 1] == '.')
        end--;
    start = end;
    while (start > 0 && host.data[start - 1] != '.')
        start--;
    if (start == end)
        return false;
    is_hex = end - start >= 2 && host.data[start] == '0' && char_lower(host.data[start + 1]) == 'x';
    for (size_t i = is_hex ? start + 2 : start; i < end; i++) {
        char c = host.data[i];

        if (is_hex ? char_hex_value(c) < 0 : !char_is_digit(c))
            return false;
    }
    return true;
}

enum address_literal address_parse(struct slice host, bool is_ipv6, uint16_t port,
                                   struct address *ret_address)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    assert(host.size > 0);
    assert(port > 0);
    if (host.size >= sizeof(text))
        return is_ipv6 || ends_in_number(host) ? ADDRESS_LITERAL_BAD : ADDRESS_NAME;
    memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, bytes) == 1) {
        *ret_address = is_ipv6 ? address_from_ip6(bytes, port) : address_from_ip4(bytes, port);
        return ADDRESS_LITERAL;
    }
    return is_ipv6 || ends_in_number(host) ? ADDRESS_LITERAL_BAD : ADDRESS_NAME;
}

socklen_t address_size(const struct address *address)
{
    address_check(address);
    return address->as.any.sa_family == AF_INET ? sizeof(address->as.ip4) : sizeof(address->as.ip6);
}

uint16_t address_port(const struct address *address)
{
    address_check(address);
    return ntohs(address->as.any.sa_family == AF_INET ? address->as.ip4.sin_port
                                                      : address->as.ip6.sin6_port);
}

struct address address_with_port(const struct address *address, uint16_t port)
{
    struct address result = *address;

    address_check(address);
    if (address->as.any.sa_family == AF_INET)
        result.as.ip4.sin_port = htons(port);
    else
        result.as.ip6.sin6_port = htons(port);
    return result;
}

size_t address_format(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE])
{
    bool is_ip4 = address->as.any.sa_family == AF_INET;
    char host[INET6_ADDRSTRLEN] = "";
    int size;

    address_check(address);
    if (is_ip4)
        (void)inet_ntop(AF_INET, &address->as.ip4.sin_addr, host, sizeof(host));
    else
        (void)inet_ntop(AF_INET6, &address->as.ip6.sin6_addr, host, sizeof(host));
    size = snprintf(ret_text, ADDRESS_TEXT_SIZE, is_ip4 ? "%s:%u" : "[%s]:%u", host,
                    address_port(address));
    assert(size > 0);
    assert(size < ADDRESS_TEXT_SIZE);
    return (size_t)size;
}
