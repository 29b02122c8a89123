/*
 * The socket does not block; poll() waits until the deadline. Whoever calls begins a
 * deadline before each thing that is to be over in time: an attempt to connect, a
 * handshake, a request with its answer.
 */
#include "tools/call_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void call_socket_init(struct call_socket *s, uint64_t timeout_ms)
{
    assert(timeout_ms > 0);
    *s = (struct call_socket){.fd = -1, .timeout_ms = timeout_ms};
    clock_init(&s->clock, &clock_source_system);
}

void call_socket_hang_up(struct call_socket *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* Waits for events until the deadline. 0 or -ETIMEDOUT or another -errno. */
static int wait_for(struct call_socket *s, int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};

    while (true) {
        int timeout_ms, r;

        clock_update(&s->clock);
        if (s->clock.mono_ns >= s->deadline_ns)
            return -ETIMEDOUT;
        timeout_ms = (int)min_u64((s->deadline_ns - s->clock.mono_ns) / 1000000 + 1, 60000);
        r = poll(&pollfd, 1, timeout_ms);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
}

void call_socket_start_deadline(struct call_socket *s)
{
    clock_update(&s->clock);
    s->deadline_ns = s->clock.mono_ns + s->timeout_ms * 1000000;
}

/* A connected descriptor, or -errno. */
static int connect_to(struct call_socket *s, const struct addrinfo *address)
{
    socklen_t size = sizeof(int);
    int fd, one = 1, r = 0;

    fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Only a matter of latency: the call works without. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0)
        r = -errno;
    if (r == -EINPROGRESS) {
        int error = 0;

        r = wait_for(s, fd, POLLOUT);
        if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            r = -errno;
        if (r == 0)
            r = -error;
    }
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

int call_socket_dial(struct call_socket *s, const char *host, uint16_t port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char service[8];
    int r = -EHOSTUNREACH;

    assert(s->fd < 0);
    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &list) != 0)
        return -EHOSTUNREACH;
    for (const struct addrinfo *item = list; item != NULL && s->fd < 0; item = item->ai_next) {
        call_socket_start_deadline(s);
        r = connect_to(s, item);
        if (r >= 0)
            s->fd = r;
    }
    freeaddrinfo(list);
    return r < 0 ? r : 0;
}

int call_socket_send(struct call_socket *s, struct slice head, struct slice body)
{
    while (head.size + body.size > 0) {
        struct iovec parts[2] = {{(void *)(uintptr_t)head.data, head.size},
                                 {(void *)(uintptr_t)body.data, body.size}};
        struct msghdr msg = {.msg_iov = parts, .msg_iovlen = body.size > 0 ? 2 : 1};
        ssize_t n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            int r = wait_for(s, s->fd, POLLOUT);

            if (r < 0)
                return r;
        } else if (n < 0 && errno != EINTR) {
            return -errno;
        } else if (n > 0) {
            size_t of_head = (size_t)min_u64((uint64_t)n, head.size);
            size_t of_body = (size_t)n - of_head;

            head = (struct slice){head.data + of_head, head.size - of_head};
            body = (struct slice){body.size > 0 ? body.data + of_body : NULL, body.size - of_body};
        }
    }
    return 0;
}

ssize_t call_socket_receive(struct call_socket *s, char *data, size_t size)
{
    assert(size > 0);
    while (true) {
        ssize_t n = recv(s->fd, data, size, 0);
        int r;

        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        r = wait_for(s, s->fd, POLLIN);
        if (r < 0)
            return r;
    }
}
