/*
 * Socket: the few plain system calls around TCP sockets that need no ring.
 *
 * Shared by the backends that talk to the kernel. None of them blocks. The
 * descriptors are close-on-exec and left in blocking mode, which is what a ring
 * wants: it waits by itself, and a non-blocking descriptor would answer -EAGAIN.
 */
#pragma once

#include <sys/socket.h>

#include "runtime/base.h"

/*
 * 0 when the address is free for us alone, else -errno. A listening socket shares its
 * address with every other that has SO_REUSEPORT, another process's too: ask first.
 */
MUST_USE int socket_probe(const struct sockaddr *address, socklen_t size);

/*
 * A listening socket with SO_REUSEADDR, SO_REUSEPORT and TCP_NODELAY, which the
 * accepted ones inherit; an IPv6 address takes IPv6 only. Descriptor or -errno.
 */
MUST_USE int socket_listen(const struct sockaddr *address, socklen_t size, int backlog);

/* A socket to connect from, with TCP_NODELAY. Descriptor or -errno. */
MUST_USE int socket_new(int family);

/* The socket's own address, and its peer's. 0 or -errno. */
MUST_USE int socket_local_address(int fd, struct sockaddr_storage *ret_address);
MUST_USE int socket_peer_address(int fd, struct sockaddr_storage *ret_address);
