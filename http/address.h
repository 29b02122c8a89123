/*
 * Address: where a connection of ours goes: an IPv4 or IPv6 address and a port.
 *
 * Made from an address written in a URL, or from what a resolver found. Literals are
 * read strictly: four decimal numbers, or RFC 4291 text without a zone. The octal,
 * hexadecimal and short forms that inet_aton() takes are not addresses here; nor are
 * they names, since a name whose last label is a number is none.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "runtime/base.h"

enum { ADDRESS_TEXT_SIZE = 56 }; /* "[" 45 bytes "]:65535" and its terminator */

/* Embedded by value; as.any.sa_family says which. */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
    } as;
};

enum address_literal {
    ADDRESS_LITERAL,     /* it is one */
    ADDRESS_NAME,        /* it may be a name */
    ADDRESS_LITERAL_BAD, /* neither: 0x7f.1, 127.1, 256.1.1.1, 2130706433 */
};

/* An IPv4 address from its four bytes, an IPv6 address from its sixteen, network order. */
struct address address_from_ip4(const uint8_t bytes[4], uint16_t port);
struct address address_from_ip6(const uint8_t bytes[16], uint16_t port);

/* Reads the host of a URL, an IPv6 one without its brackets. *ret_address is set for a literal. */
MUST_USE enum address_literal address_parse(struct slice host, bool is_ipv6, uint16_t port,
                                            struct address *ret_address);

/* What connect() wants to know. */
socklen_t address_size(const struct address *address);

/* The port, and the same address with another one. */
uint16_t address_port(const struct address *address);
struct address address_with_port(const struct address *address, uint16_t port);

/* Writes "192.0.2.1:80" or "[2001:db8::1]:80", terminated; returns its size without that. */
size_t address_format(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE]);
