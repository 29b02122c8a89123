/*
 * Inspection routes: how the server is, for operators.
 *
 *     GET /v1/admin/runtime   {"shards":[{"index","tree","timers","jobs","journal"}],
 *                              "queues":[the deepest]}
 *     GET /v1/admin/doctor    {"status":"ok|warn|fail","checks":[...]}: every invariant that
 *                             can be checked while it runs; takes a while on a large table
 *
 * For whoever has the scope admin. A key sees only the queues of its own project; the admin
 * token, those of all.
 */
#pragma once

#include "http/router.h"

/* Both: only admins pass. */
int inspection_on_head(struct exchange *exchange);

/* GET /v1/admin/runtime. */
int inspection_runtime_on_request(struct exchange *exchange);

/* GET /v1/admin/doctor. */
int inspection_doctor_on_request(struct exchange *exchange);

/* All shards have answered. */
int inspection_on_reply(struct exchange *exchange, const struct message *msg);

/* The client went away. */
void inspection_on_abandon(struct exchange *exchange);
