#include "runtime/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/*
 * Plain socket calls, for whichever backend: what is done once per address or once
 * per connection and never waits. SO_REUSEPORT lets every shard have a listening
 * socket of its own on one address; its price is that another process may join in
 * unnoticed, which socket_probe() finds out beforehand.
 */

static int set_option(int fd, int level, int name)
{
    int one = 1;

    return setsockopt(fd, level, name, &one, sizeof(one)) < 0 ? -errno : 0;
}

int socket_new(int family)
{
    int fd, r;

    assert(family == AF_INET || family == AF_INET6);
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    r = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

int socket_listen(const struct sockaddr *address, socklen_t size, int backlog)
{
    int fd, r;

    assert(address != NULL);
    assert(backlog > 0);
    fd = socket_new(address->sa_family);
    if (fd < 0)
        return fd;
    r = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (r == 0)
        r = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    if (r == 0 && address->sa_family == AF_INET6)
        r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (r == 0 && bind(fd, address, size) < 0)
        r = -errno;
    if (r == 0 && listen(fd, backlog) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

int socket_probe(const struct sockaddr *address, socklen_t size)
{
    int fd, r;

    assert(address != NULL);
    fd = socket_new(address->sa_family);
    if (fd < 0)
        return fd;
    r = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (r == 0 && address->sa_family == AF_INET6)
        r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (r == 0 && bind(fd, address, size) < 0)
        r = -errno;
    close(fd);
    return r;
}

int socket_local_address(int fd, struct sockaddr_storage *ret_address)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);

    assert(fd >= 0);
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    *ret_address = address;
    return 0;
}

int socket_peer_address(int fd, struct sockaddr_storage *ret_address)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);

    assert(fd >= 0);
    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    *ret_address = address;
    return 0;
}
