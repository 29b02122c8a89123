/*
 * c-ares knows neither our ring nor our actors, but lets itself be told when to look at
 * a socket and makes no system call on sockets but through functions that we give it.
 *
 *     socket   it says what it waits for (on_interest); a poll is armed for that. One
 *              report, then the poll is cancelled and armed anew: c-ares may leave bytes
 *              unread, and a poll reports only changes.
 *     close    waits for the poll to let go, so that no other descriptor can get the
 *              number while an operation of ours is armed on it.
 *     time     its next time-out is asked for after each call, and a timer armed.
 *     memory   its allocator is global, so the memory of this shard is named in a thread
 *              variable around each call: enter(), leave().
 *
 * An answer may come from inside the call that asks. Whoever is told may ask for another
 * name from there; c-ares allows that.
 */
#include "http/resolver_dns.h"

#include <ares.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "http/dns_memory.h"
#include "http/hosts_file.h"
#include "runtime/shard.h"

enum { HOSTS_TTL_MS = 60000 };

struct dns_socket {
    struct io_op op;
    struct resolver_dns *dns;
    int32_t fd;           /* -1: this place is free */
    uint32_t events;      /* what c-ares waits for */
    uint32_t poll_events; /* what the poll was armed for */
    bool is_closing;
};

struct dns_lookup {
    struct resolver_dns *dns;
    struct resolver_name *name; /* NULL: this place is free */
};

struct resolver_dns {
    struct resolver_backend backend;
    struct actor *owner; /* NULL: none has started */
    struct hosts_file *hosts;
    ares_channel channel;
    struct dns_memory memory;
    struct dns_memory *memory_outside; /* what the thread had before enter() */
    uint32_t depth;                    /* of enter() */
    struct timer timer;
    struct dns_socket sockets[RESOLVER_DNS_SOCKET_COUNT_MAX];
    struct dns_lookup lookups[RESOLVER_DNS_LOOKUP_COUNT_MAX];
};

/* Of the shard whose call into c-ares is going on. */
static _Thread_local struct dns_memory *memory_now;

static void *acquire(size_t size)
{
    assert(memory_now != NULL);
    return dns_memory_acquire(memory_now, size);
}

static void release(void *piece)
{
    assert(memory_now != NULL);
    dns_memory_release(memory_now, piece);
}

static void *resize(void *piece, size_t size)
{
    assert(memory_now != NULL);
    return dns_memory_resize(memory_now, piece, size);
}

static struct resolver_dns *dns_of(struct resolver_backend *backend)
{
    return container_of(backend, struct resolver_dns, backend);
}

static bool can_arm(const struct resolver_dns *dns)
{
    return dns->owner != NULL && actor_is_running(dns->owner);
}

static void arm_timer(struct resolver_dns *dns)
{
    struct timeval left;

    if (ares_timeout(dns->channel, NULL, &left) == NULL)
        actor_timer_stop(dns->owner, &dns->timer);
    else
        actor_timer_start(dns->owner, &dns->timer,
                          (uint64_t)left.tv_sec * 1000 + ((uint64_t)left.tv_usec + 999) / 1000);
}

static void enter(struct resolver_dns *dns)
{
    if (dns->depth++ > 0)
        return;
    dns->memory_outside = memory_now;
    memory_now = &dns->memory;
}

static void leave(struct resolver_dns *dns)
{
    assert(dns->depth > 0);
    if (--dns->depth > 0)
        return;
    if (can_arm(dns))
        arm_timer(dns);
    memory_now = dns->memory_outside;
}

/* --- sockets -------------------------------------------------------------------- */

static struct dns_socket *find_socket(struct resolver_dns *dns, int fd, bool is_closing)
{
    for (uint32_t i = 0; i < RESOLVER_DNS_SOCKET_COUNT_MAX; i++) {
        struct dns_socket *s = &dns->sockets[i];

        if (s->fd == fd && s->is_closing == is_closing)
            return s;
    }
    return NULL;
}

static void close_socket(struct dns_socket *s)
{
    if (s->dns->owner != NULL)
        io_close_now(s->dns->owner->shard->io, s->fd);
    else
        close(s->fd);
    s->fd = -1;
    s->is_closing = false;
    s->events = 0;
}

/* Brings the poll in line with what is wanted. */
static void steer(struct dns_socket *s)
{
    struct resolver_dns *dns = s->dns;

    if (io_op_is_armed(&s->op)) {
        if (s->is_closing || s->events != s->poll_events)
            io_cancel(dns->owner->shard->io, &s->op);
        return;
    }
    if (s->is_closing) {
        close_socket(s);
    } else if (s->events != 0 && can_arm(dns)) {
        s->poll_events = s->events;
        io_poll(dns->owner->shard->io, &s->op, s->fd, s->events);
    }
}

static ares_socket_t open_socket(int family, int type, int protocol, void *data)
{
    struct resolver_dns *dns = data;
    struct dns_socket *s = find_socket(dns, -1, false);
    int one = 1;

    if (s == NULL) {
        errno = EMFILE;
        return ARES_SOCKET_BAD;
    }
    s->fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (s->fd >= 0 && type == SOCK_STREAM &&
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
        close_socket(s);
    return s->fd;
}

static int on_close(ares_socket_t fd, void *data)
{
    struct dns_socket *s = find_socket(data, fd, false);

    assert(s != NULL);
    s->is_closing = true;
    steer(s);
    return 0;
}

static int on_connect(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t size,
                      void *data)
{
    (void)data;
    return connect(fd, address, size);
}

static ares_ssize_t on_receive(ares_socket_t fd, void *bytes, size_t size, int flags,
                               struct sockaddr *from, ares_socklen_t *from_size, void *data)
{
    (void)data;
    return recvfrom(fd, bytes, size, flags, from, from_size);
}

static ares_ssize_t on_send(ares_socket_t fd, const struct iovec *parts, int part_count, void *data)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                         .msg_iovlen = (size_t)part_count};

    (void)data;
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static const struct ares_socket_functions SOCKET_FUNCTIONS = {
    .asocket = open_socket,
    .aclose = on_close,
    .aconnect = on_connect,
    .arecvfrom = on_receive,
    .asendv = on_send,
};

/* c-ares says what it waits for; both 0 just before it closes the socket. */
static void on_interest(void *data, ares_socket_t fd, int readable, int writable)
{
    struct dns_socket *s = find_socket(data, fd, false);

    assert(s != NULL);
    s->events = (readable != 0 ? (uint32_t)POLLIN : 0) | (writable != 0 ? (uint32_t)POLLOUT : 0);
    steer(s);
}

static void on_poll(struct dns_socket *s, const struct io_result *result)
{
    struct resolver_dns *dns = s->dns;
    bool is_broken = result->value > 0 && (result->value & (POLLERR | POLLHUP)) != 0;

    if (result->value > 0 && !s->is_closing) {
        ares_socket_t readable =
            (result->value & POLLIN) != 0 || is_broken ? s->fd : ARES_SOCKET_BAD;
        ares_socket_t writable = (result->value & POLLOUT) != 0 ? s->fd : ARES_SOCKET_BAD;

        /* One report is enough: see above. The cancel may have been asked for already. */
        s->poll_events = 0;
        ares_process_fd(dns->channel, readable, writable);
    }
    if (s->fd >= 0)
        steer(s);
}

/* --- look-ups --------------------------------------------------------------------- */

static enum resolver_status status_of(int error)
{
    switch (error) {
    case ARES_SUCCESS:
        return RESOLVER_FOUND;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME:
    case ARES_EBADNAME:
        return RESOLVER_NOT_FOUND;
    case ARES_ENOMEM:
        return RESOLVER_FULL;
    default:
        return RESOLVER_FAILED;
    }
}

/* False for a family that is neither. */
static bool convert(const struct ares_addrinfo_node *node, struct address *ret_address)
{
    const struct sockaddr_in *ip4 = (const struct sockaddr_in *)(const void *)node->ai_addr;
    const struct sockaddr_in6 *ip6 = (const struct sockaddr_in6 *)(const void *)node->ai_addr;

    if (node->ai_family == AF_INET)
        *ret_address = address_from_ip4((const uint8_t *)&ip4->sin_addr, 0);
    else if (node->ai_family == AF_INET6)
        *ret_address = address_from_ip6(ip6->sin6_addr.s6_addr, 0);
    return node->ai_family == AF_INET || node->ai_family == AF_INET6;
}

static void on_addresses(void *data, int status, int timeouts, struct ares_addrinfo *answer)
{
    struct address addresses[RESOLVER_ADDRESS_COUNT_MAX];
    struct dns_lookup *lookup = data;
    struct resolver_name *name = lookup->name;
    uint64_t ttl_ms = RESOLVER_TTL_MS_MAX;
    uint32_t count = 0;

    (void)timeouts;
    assert(name != NULL);
    assert(lookup->dns->depth > 0);
    lookup->name = NULL;
    for (const struct ares_addrinfo_node *node = answer != NULL ? answer->nodes : NULL;
         status == ARES_SUCCESS && node != NULL && count < RESOLVER_ADDRESS_COUNT_MAX;
         node = node->ai_next) {
        if (!convert(node, &addresses[count]))
            continue;
        ttl_ms = min_u64(ttl_ms, node->ai_ttl > 0 ? (uint64_t)node->ai_ttl * 1000 : 0);
        count++;
    }
    ares_freeaddrinfo(answer);
    resolver_settle(name, status_of(status), addresses, count, ttl_ms);
}

static struct dns_lookup *find_lookup_place(struct resolver_dns *dns)
{
    for (uint32_t i = 0; i < RESOLVER_DNS_LOOKUP_COUNT_MAX; i++)
        if (dns->lookups[i].name == NULL)
            return &dns->lookups[i];
    return NULL;
}

/* RFC 6761: this name and all below it mean this machine, and no server is to be asked. */
static bool is_localhost(struct slice name)
{
    static const struct slice LOCALHOST = SLICE_INITIALIZER(".localhost");
    struct slice end = name;

    if (slice_equal(name, SLICE_LITERAL("localhost")))
        return true;
    if (name.size <= LOCALHOST.size)
        return false;
    end.data += name.size - LOCALHOST.size;
    end.size = LOCALHOST.size;
    return slice_equal(end, LOCALHOST);
}

/* What is known without asking. */
static uint32_t find_local(const struct resolver_dns *dns, struct slice name,
                           struct address addresses[RESOLVER_ADDRESS_COUNT_MAX])
{
    static const uint8_t ip4[4] = {127, 0, 0, 1};
    static const uint8_t ip6[16] = {[15] = 1};
    uint32_t count = hosts_file_find(dns->hosts, name, addresses, RESOLVER_ADDRESS_COUNT_MAX);

    if (count > 0 || !is_localhost(name))
        return count;
    addresses[0] = address_from_ip4(ip4, 0);
    addresses[1] = address_from_ip6(ip6, 0);
    return 2;
}

static void look_up(struct resolver_backend *backend, struct resolver_name *name, const char *text)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct address addresses[RESOLVER_ADDRESS_COUNT_MAX];
    struct resolver_dns *dns = dns_of(backend);
    uint32_t count = find_local(dns, slice_of(text), addresses);
    struct dns_lookup *lookup = find_lookup_place(dns);

    if (count > 0) {
        resolver_settle(name, RESOLVER_FOUND, addresses, count, HOSTS_TTL_MS);
        return;
    }
    if (lookup == NULL) {
        resolver_settle(name, RESOLVER_FULL, NULL, 0, 0);
        return;
    }
    lookup->dns = dns;
    lookup->name = name;
    enter(dns);
    ares_getaddrinfo(dns->channel, text, NULL, &hints, on_addresses, lookup);
    leave(dns);
}

/* --- the owner ---------------------------------------------------------------------- */

static void on_start(struct resolver_backend *backend, struct actor *owner)
{
    struct resolver_dns *dns = dns_of(backend);

    dns->owner = owner;
    actor_timer_init(owner, &dns->timer);
    for (uint32_t i = 0; i < RESOLVER_DNS_SOCKET_COUNT_MAX; i++) {
        assert(dns->sockets[i].fd < 0);
        actor_op_init(owner, &dns->sockets[i].op);
    }
}

static bool on_message(struct resolver_backend *backend, const struct message *msg)
{
    struct resolver_dns *dns = dns_of(backend);

    if (msg->type == MSG_TIMER && msg->as.timer.timer == &dns->timer) {
        enter(dns);
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        leave(dns);
        return true;
    }
    for (uint32_t i = 0; msg->type == MSG_IO && i < RESOLVER_DNS_SOCKET_COUNT_MAX; i++) {
        if (msg->as.io.op != &dns->sockets[i].op)
            continue;
        enter(dns);
        on_poll(&dns->sockets[i], msg->as.io.result);
        leave(dns);
        return true;
    }
    return false;
}

static void on_stop(struct resolver_backend *backend)
{
    struct resolver_dns *dns = dns_of(backend);

    dns->depth = 0; /* the owner may have been torn out of a call */
    enter(dns);
    ares_cancel(dns->channel);
    for (uint32_t i = 0; i < RESOLVER_DNS_SOCKET_COUNT_MAX; i++)
        if (dns->sockets[i].is_closing)
            close_socket(&dns->sockets[i]);
    leave(dns);
}

/* --- set-up ---------------------------------------------------------------------------- */

/* The library's own state is global; it is made with the first and never unmade. */
static int init_library(void)
{
    static bool is_done;
    int error;

    if (is_done)
        return 0;
    error = ares_library_init_mem(ARES_LIB_INIT_ALL, acquire, release, resize);
    is_done = error == ARES_SUCCESS;
    return is_done ? 0 : -ENOMEM;
}

static int make_channel(struct resolver_dns *dns, const struct resolver_dns_config *config)
{
    char lookups[] = "b";
    struct ares_options options = {
        .flags = ARES_FLAG_NOALIASES,
        .timeout =
            (int)(config->timeout_ms > 0 ? config->timeout_ms : RESOLVER_DNS_TIMEOUT_MS_DEFAULT),
        .tries = (int)(config->tries > 0 ? config->tries : RESOLVER_DNS_TRIES_DEFAULT),
        .lookups = lookups,
        .sock_state_cb = on_interest,
        .sock_state_cb_data = dns,
    };
    int error = ares_init_options(&dns->channel, &options,
                                  ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                      ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);

    if (error != ARES_SUCCESS)
        return error == ARES_ENOMEM ? -ENOMEM : -EINVAL;
    ares_set_socket_functions(dns->channel, &SOCKET_FUNCTIONS, dns);
    if (config->servers != NULL &&
        ares_set_servers_ports_csv(dns->channel, config->servers) != ARES_SUCCESS)
        return -EINVAL;
    return 0;
}

int resolver_dns_new(const struct resolver_dns_config *config, struct resolver_dns **ret_dns)
{
    struct resolver_dns *dns = calloc(1, sizeof(*dns));
    int r;

    if (dns == NULL)
        return -ENOMEM;
    dns->backend = (struct resolver_backend){
        .lookup = look_up, .start = on_start, .receive = on_message, .stop = on_stop};
    for (uint32_t i = 0; i < RESOLVER_DNS_SOCKET_COUNT_MAX; i++) {
        dns->sockets[i].dns = dns;
        dns->sockets[i].fd = -1;
    }
    r = dns_memory_init(&dns->memory, RESOLVER_DNS_MEMORY_SIZE);
    if (r == 0)
        r = hosts_file_new(config->hosts_path != NULL ? config->hosts_path : "/etc/hosts",
                           &dns->hosts);
    if (r == 0)
        r = init_library();
    if (r == 0) {
        enter(dns);
        r = make_channel(dns, config);
        leave(dns);
    }
    if (r < 0) {
        resolver_dns_free(&dns);
        return r;
    }
    *ret_dns = dns;
    return 0;
}

void resolver_dns_free(struct resolver_dns **dns)
{
    struct resolver_dns *d = *dns;

    if (d == NULL)
        return;
    if (d->memory.bytes != NULL) {
        d->owner = NULL; /* sockets are closed at once */
        enter(d);
        if (d->channel != NULL)
            ares_destroy(d->channel);
        leave(d);
        dns_memory_deinit(&d->memory);
    }
    hosts_file_free(&d->hosts);
    free(d);
    *dns = NULL;
}

struct resolver_backend *resolver_dns_backend(struct resolver_dns *dns)
{
    assert(dns->backend.lookup != NULL);
    return &dns->backend;
}
