/*
 * Sim net: who listens where, and how connections come about.
 *
 * One flat network for all hosts of a world: an address and port mean the same
 * from everywhere, loopback included, and a wildcard listener hears every
 * address. Several listeners of one host may share an address (SO_REUSEPORT);
 * each connection goes to a drawn one. For runtime/sim_*.c and io_sim.c.
 */
#pragma once

#include "runtime/sim_socket.h"

/*
 * Makes socket (FRESH) listen; port 0 takes a free one. 0, -EADDRINUSE when
 * another host listens there, -EINVAL for an address of an unknown family.
 */
MUST_USE int sim_net_listen(struct sim_socket *socket, const struct sockaddr *address,
                            socklen_t size, int backlog);

/*
 * The request to connect arrives. 0: connected, and waiting to be accepted;
 * -ECONNREFUSED; -EAGAIN when the backlog is full; -EISCONN; -EINVAL.
 */
MUST_USE int sim_net_connect(struct sim_socket *socket, const struct sockaddr *address,
                             socklen_t size);

/* The oldest connection that waits at a listener, now the caller's; NULL when there is none. */
struct sim_socket *sim_net_accept(struct sim_socket *listener);
