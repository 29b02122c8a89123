/*
 * Connection internals: what connection.c (the actor), connection_tls.c (TLS below it)
 * and connection_request.c (from bytes to answers) use of each other. Nobody else includes
 * this.
 *
 * Results named "0 or -errno": a negative errno is forwarded to the supervisor.
 */
#pragma once

#include "http/connection.h"
#include "runtime/shard.h"

/* --- connection.c --------------------------------------------------------- */

/* Bounds the present state to delay_ms from now; UINT64_MAX: no bound. */
void connection_set_deadline(struct connection *c, uint64_t delay_ms);

/* Between requests from now on: parser and deadline start anew. */
void connection_enter_idle(struct connection *c);

/* True when the next answer is to be the last. */
bool connection_must_close(const struct connection *c);

/* Bytes of answers that the peer has not been given yet. */
size_t connection_output_size(const struct connection *c);

/* The buffer that gathers answers now, with room for size more bytes. 0 or -errno. */
MUST_USE int connection_reserve_output(struct connection *c, size_t size,
                                       struct buffer **ret_buffer);

/* Bounds the send in flight by the write time-out. */
void connection_set_write_deadline(struct connection *c);

/* All of output is sent: what was gathered meanwhile is next. */
void connection_output_done(struct connection *c);

/* Drops the answers that are not sent, none of which may be lent to an operation. */
void connection_drop_output(struct connection *c);

/* No request comes any more: when all is sent, the FIN. */
void connection_begin_linger(struct connection *c);

/* Takes bytes of requests, which may be changed. Verdict of an actor. */
MUST_USE int connection_on_bytes(struct connection *c, char *data, size_t size);

/* After anything happened: send, receive, and see whether the end has come. Verdict. */
MUST_USE int connection_proceed(struct connection *c);

/* --- connection_request.c ------------------------------------------------- */

/* A new exchange; request is NULL for one that never became a request. */
void connection_begin_exchange(struct connection *c, struct http_request *request);

/* After an answer: the next request, or the end. */
void connection_end_exchange(struct connection *c);

/* The handler will not get to answer: it gives back what it took. At most once. */
void connection_abandon_exchange(struct connection *c);

/*
 * Answers with a problem in place of the handler, and ends the exchange. detail may be
 * NULL. Positive, or -errno.
 */
MUST_USE int connection_refuse(struct connection *c, enum problem_code code, const char *detail);

/* True while no further request may be started or read on. */
bool connection_must_wait(const struct connection *c);

/*
 * Answers what can be answered of the bytes at data; says how many are used up and how
 * many remain behind them. May write to data. 0 or -errno.
 */
MUST_USE int connection_process(struct connection *c, char *data, size_t size, size_t *ret_used,
                                size_t *ret_left);

/* Keeps size bytes at data for later. 0; -ENOBUFS or -EMSGSIZE: shed; or another -errno. */
MUST_USE int connection_keep_input(struct connection *c, const char *data, size_t size);

/* Processes the input buffer and keeps what is left of it. 0 or -errno. */
MUST_USE int connection_process_input(struct connection *c);

/* Gives the decoded body back, if there is one. */
void connection_release_decoded(struct connection *c);
