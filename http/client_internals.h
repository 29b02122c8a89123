/*
 * Client internals: what the files of the outgoing client tell each other about calls.
 *
 * A call is WAITING for a connection, SERVED by one, or DONE and about to be told.
 */
#pragma once

#include "http/client_exchange.h"

enum client_call_state {
    CLIENT_CALL_IDLE, /* the caller's */
    CLIENT_CALL_WAITING,
    CLIENT_CALL_SERVED,
    CLIENT_CALL_DONE,
};

/* Ends a call that is with no connection and in no list: it will be told. */
void client_call_finish(struct http_client_call *call, enum http_client_outcome outcome, int error);

/* Sends a call to the front of those that wait, for a connection that is new. */
void client_call_repeat(struct http_client_call *call);

/* The addresses that the call may go to. */
const struct address_policy *client_call_policy(const struct http_client_call *call);

/* One more connection may be open: whoever waits is served before receive() returns. */
void client_note_room(struct http_client *client, struct client_host *host);

/* Something is left to be done: by receive() if we are inside it, or in the next turn. */
void client_kick(struct http_client *client);

/* The instant of this turn. */
static inline uint64_t client_now_ns(const struct http_client *client)
{
    return client->actor.shard->clock.mono_ns;
}
