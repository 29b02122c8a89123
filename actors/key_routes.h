/*
 * Key routes: API keys over HTTP, for whoever has the scope admin.
 *
 *     POST   /v1/admin/keys       {"org_id","project_id","scopes"?,"rate_per_second"?,"burst"?}
 *                                 201 {"id","key",...}: the key is shown this once
 *     GET    /v1/admin/keys       {"keys":[...],"next_cursor"}
 *     DELETE /v1/admin/keys/{id}  200 with the key as it is now, revoked_at set
 *
 * A key with the scope admin manages the keys of its own organisation only; the
 * admin token manages all.
 */
#pragma once

#include "http/router.h"

/* All three: only admins pass. */
int key_on_head(struct exchange *exchange);

/* POST: checks the body and starts the change. */
int key_create_on_request(struct exchange *exchange);

/* GET: answers from the shard's copy. */
int key_list_on_request(struct exchange *exchange);

/* DELETE: starts the change. */
int key_revoke_on_request(struct exchange *exchange);

/* POST and DELETE: the change is durable and known to every shard, or refused. */
int key_on_reply(struct exchange *exchange, const struct message *msg);

/* The client went away. */
void key_on_abandon(struct exchange *exchange);
