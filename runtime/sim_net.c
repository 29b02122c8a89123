#include "runtime/sim_net.h"

#include <errno.h>
#include <netinet/in.h>

/*
 * Listeners are found by walking all of them: there are a few dozen at most. An
 * exact address beats the wildcard, as in the kernel; among equals the lot
 * decides, where the kernel hashes the four-tuple. A full backlog answers
 * nothing, so the caller tries again, as a lost SYN would be sent again.
 */
enum {
    PORT_FIRST = 32768,
    PORT_LAST = 60999,
};

static uint16_t port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
}

/* The bytes that tell one machine from another; the count depends on the family. */
static struct slice machine_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return (struct slice){
            (const char *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16};
    return (struct slice){
        (const char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr, 4};
}

static bool is_wildcard(const struct sockaddr_storage *address)
{
    static const char zeroes[16];
    struct slice machine = machine_of(address);

    return memcmp(machine.data, zeroes, machine.size) == 0;
}

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    return a->ss_family == b->ss_family && port_of(a) == port_of(b) &&
           slice_equal(machine_of(a), machine_of(b));
}

/* A listener that hears address: 2 by its exact address, 1 by wildcard, 0 not. */
static uint32_t rank(const struct sim_socket *listener, const struct sockaddr_storage *address)
{
    if (is_same(&listener->local, address))
        return 2;
    if (listener->local.ss_family == address->ss_family && is_wildcard(&listener->local) &&
        port_of(&listener->local) == port_of(address))
        return 1;
    return 0;
}

static int copy_address(const struct sockaddr *address, socklen_t size,
                        struct sockaddr_storage *ret_address)
{
    bool is_ip4 = address->sa_family == AF_INET && size >= sizeof(struct sockaddr_in);
    bool is_ip6 = address->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6);

    if (!is_ip4 && !is_ip6)
        return -EINVAL;
    memset(ret_address, 0, sizeof(*ret_address));
    memcpy(ret_address, address, is_ip4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    return 0;
}

static struct sim_socket *listener_after(struct sim_world *world, struct list_node *node)
{
    if (node->next == &world->listeners)
        return NULL;
    return container_of(node->next, struct sim_socket, listener_link);
}

static uint16_t take_port(struct sim_world *world)
{
    uint16_t port = world->port_next;

    assert(port >= PORT_FIRST);
    assert(port <= PORT_LAST);
    world->port_next = port == PORT_LAST ? PORT_FIRST : (uint16_t)(port + 1);
    return port;
}

int sim_net_listen(struct sim_socket *socket, const struct sockaddr *address, socklen_t size,
                   int backlog)
{
    struct sim_world *world = socket->host->world;
    struct sockaddr_storage local;
    int r;

    assert(socket->state == SIM_SOCKET_FRESH);
    assert(backlog > 0);
    r = copy_address(address, size, &local);
    if (r < 0)
        return r;
    if (port_of(&local) == 0)
        set_port(&local, take_port(world));
    for (struct sim_socket *other = listener_after(world, &world->listeners); other != NULL;
         other = listener_after(world, &other->listener_link)) {
        if (is_same(&other->local, &local) && other->host != socket->host)
            return -EADDRINUSE;
    }
    socket->local = local;
    socket->state = SIM_SOCKET_LISTENING;
    socket->backlog_count_max = (uint32_t)backlog;
    list_push_back(&world->listeners, &socket->listener_link);
    return 0;
}

/* The listener that gets a connection to address: the best rank, one of equals by lot. */
static struct sim_socket *choose_listener(struct sim_world *world,
                                          const struct sockaddr_storage *address)
{
    struct sim_socket *chosen = NULL;
    uint32_t best = 1;
    uint32_t count = 0;

    for (struct sim_socket *other = listener_after(world, &world->listeners); other != NULL;
         other = listener_after(world, &other->listener_link)) {
        uint32_t r = rank(other, address);

        if (r < best)
            continue;
        count = r > best ? 1 : count + 1;
        best = r;
        if (rng_below(&world->rng, count) == 0)
            chosen = other;
    }
    return chosen;
}

/*
 * Where a client seems to come from: 10.0.0.<host + 1>, or fd00::<host + 1>; inside one host,
 * the address that it called.
 */
static void set_client_address(struct sim_socket *socket, const struct sim_host *callee)
{
    uint8_t number = (uint8_t)(socket->host->index + 1);
    sa_family_t family = socket->remote.ss_family;

    if (callee == socket->host) {
        socket->local = socket->remote;
        set_port(&socket->local, take_port(socket->host->world));
        return;
    }
    memset(&socket->local, 0, sizeof(socket->local));
    socket->local.ss_family = family;
    if (family == AF_INET) {
        uint8_t bytes[4] = {10, 0, 0, number};

        memcpy(&((struct sockaddr_in *)(void *)&socket->local)->sin_addr, bytes, sizeof(bytes));
    } else {
        uint8_t bytes[16] = {0xfd, [15] = number};

        memcpy(&((struct sockaddr_in6 *)(void *)&socket->local)->sin6_addr, bytes, sizeof(bytes));
    }
    set_port(&socket->local, take_port(socket->host->world));
}

int sim_net_connect(struct sim_socket *socket, const struct sockaddr *address, socklen_t size)
{
    struct sim_world *world = socket->host->world;
    struct sim_socket *listener;
    struct sim_socket *accepted;
    int r;

    assert(socket->peer == NULL || socket->state == SIM_SOCKET_CONNECTED);
    if (socket->state != SIM_SOCKET_FRESH)
        return -EISCONN;
    r = copy_address(address, size, &socket->remote);
    if (r < 0)
        return r;
    listener = choose_listener(world, &socket->remote);
    if (listener == NULL || sim_fault_strikes(&socket->host->faults.connect_refused, &world->rng))
        return -ECONNREFUSED;
    if (listener->backlog_count == listener->backlog_count_max)
        return -EAGAIN;

    set_client_address(socket, listener->host);
    accepted = sim_socket_new(listener->host);
    sim_socket_pair(socket, accepted);
    list_push_back(&listener->backlog, &accepted->backlog_link);
    listener->backlog_count++;
    sim_op_notify(listener->waiting[SIM_SLOT_ACCEPT]);
    sim_op_notify(listener->waiting[SIM_SLOT_POLL]);
    return 0;
}

struct sim_socket *sim_net_accept(struct sim_socket *listener)
{
    struct list_node *node = list_pop_front(&listener->backlog);

    assert(listener->state == SIM_SOCKET_LISTENING);
    if (node == NULL)
        return NULL;
    assert(listener->backlog_count > 0);
    listener->backlog_count--;
    return container_of(node, struct sim_socket, backlog_link);
}
