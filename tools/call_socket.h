/*
 * Call socket: a TCP connection of a command-line tool, with one deadline over what it does.
 *
 * Blocking, by poll() on a socket that does not. For http_call.c and call_tls.c.
 */
#pragma once

#include <sys/types.h>

#include "runtime/base.h"
#include "runtime/clock.h"

/* Fields may be read. */
struct call_socket {
    int fd; /* -1: not connected */
    uint64_t timeout_ms;
    uint64_t deadline_ns;
    struct clock clock;
};

/* Not connected yet; each deadline is timeout_ms long. */
void call_socket_init(struct call_socket *socket, uint64_t timeout_ms);

/* From now on everything up to the next deadline must be over in timeout_ms. */
void call_socket_start_deadline(struct call_socket *socket);

/* Tries the addresses of host one after the other, each with a deadline. 0 or -errno. */
MUST_USE int call_socket_dial(struct call_socket *socket, const char *host, uint16_t port);

/* Closes; repeating does nothing. */
void call_socket_hang_up(struct call_socket *socket);

/* Sends head, then body, to the end. 0 or -errno, -ETIMEDOUT at the deadline. */
MUST_USE int call_socket_send(struct call_socket *socket, struct slice head, struct slice body);

/* Receives what is there, at least a byte. How much, 0 at the end of the stream, or -errno. */
MUST_USE ssize_t call_socket_receive(struct call_socket *socket, char *data, size_t size);
