/*
 * App listeners: the addresses at which the process can be reached.
 *
 * Opened at the start, before there are threads, so that an address that cannot be had
 * ends the start with a reason. What the listeners do then is said in http/listener.h.
 */
#pragma once

#include "actors/app.h"
#include "http/address.h"

/*
 * Opens those in server.listen, then those in server.listen_tls, on every shard: a
 * listener each, ready to be spawned. Waits a little for an address that a process holds
 * which is just ending. The shards' servers must have been set up. Results as app_new().
 */
MUST_USE int app_listeners_open(struct app *app, char *text, int *ret_exit_code);

/* The address that listener index is bound to, also where its port was 0. 0 or -errno. */
MUST_USE int app_listeners_address(struct app *app, uint32_t index, struct address *ret_address);
